//! The whole service but its sockets: a broker over a real store, judged evidence from the forge's roots, a clock that stands still.
//!
//! `architecture.md` section 12. One binary, one file a topic; `broker.rs` has the house they share.

mod audit;
mod azure;
mod azure_guest;
mod broker;
mod door;
mod enrolled;
mod enrolment;
mod enrolment_door;
mod guest_machine;
mod hardware;
mod hosts;
mod idempotency;
mod isolated;
mod maa_door;
mod maa_flow;
mod machine;
mod policies_on_keys;
mod references;
mod refusals;
mod replay;
mod restart;
mod sessions;
mod stale;
mod strain;
mod tend;
mod tpm_flow;
mod tpm_samples;
mod use_key;
