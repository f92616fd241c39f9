//! Keygate: a key-release broker gated on attestation.
#![deny(missing_docs)]

pub mod audit;
pub mod broker;
pub mod clock;
pub mod collateral;
pub mod doors;
pub mod result;
pub mod settings;
pub mod telemetry;
