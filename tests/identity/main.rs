//! Who is known from elsewhere: bearers of an issuer's tokens, clients with a certificate, and how the keys of issuers are fetched.
//!
//! `bad-inputs.md` sections 1 (bearers), 2 and 14 (ADM-16); threat model B3, P17, P18, P53. One binary, one file a topic;
//! `issuer.rs` and `authority.rs` play the other side.

mod authority;
mod bearers;
#[path = "../service/broker.rs"]
#[allow(dead_code)]
mod broker;
mod certificates;
mod composite;
mod discovery;
mod evidence;
mod issuer;
mod keys;
mod outage;
mod own_door;
#[path = "../raw/mod.rs"]
mod raw;
#[path = "../running/mod.rs"]
mod running;
mod server;
mod vault;
mod vault_keys;
mod vault_release;
mod vault_review;
