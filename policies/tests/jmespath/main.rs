//! JMESPath beside an oracle, under bombs, and by its own promises. The official cases: `tests/jmespath_compliance.rs`.

#![allow(missing_docs)]

mod bombs;
mod language;
mod maker;
mod oracle;
mod properties;
