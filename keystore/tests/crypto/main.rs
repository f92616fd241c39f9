//! Import, use and sealing of keys: every accepting case with its refused twins, and every sealed form
//! opened by a path that is not ours.

mod foreign;
mod format;
mod import;
mod import_jwk;
mod import_weak;
mod operations;
mod raw;
mod raw_signing;
mod recipient;
mod releases;
mod sealed_otherwise;
mod sealing;
mod signing;
mod vectors;
