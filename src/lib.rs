//! Keygate: a key-release broker gated on attestation. This crate is the broker that people run; the three pillars it stands on
//! are crates of their own and do not know each other.
//!
//! From the bottom up, an arrow may skip floors and never climbs:
//!
//! * [`settings`], [`clock`]: what an operator wants, what time it is;
//! * [`collateral`]: endorsements from the world; [`attester`]: evidence of this machine; [`result`]: tokens, receipts and
//!   certificates; [`identity`]: who is known from elsewhere; [`audit`]: what is recorded; [`telemetry`]: what may be logged;
//! * [`broker`]: the use cases: judge evidence, decide, use a key, record, answer. Knows no HTTP;
//! * [`doors`]: dialects of HTTP, translated into the broker's words; [`app`]: settings in, a broker out;
//! * [`http`]: the two listeners; [`client`]: the workload's side of the native door;
//! * [`commands`]: the command line.
#![deny(missing_docs)]

pub mod app;
pub mod attester;
pub mod audit;
pub mod broker;
pub mod client;
pub mod clock;
pub mod collateral;
pub mod commands;
pub mod doors;
pub mod http;
pub mod identity;
pub mod result;
pub mod settings;
pub mod telemetry;
