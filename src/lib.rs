//! Keygate: a key-release broker gated on attestation.
#![deny(missing_docs)]

pub mod attester;
pub mod collateral;
pub mod settings;
