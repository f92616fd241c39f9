//! Throw-away Intel, AMD and AWS hierarchies that make evidence, right or wrong in exactly one way.
//! Bytes follow the vendors' published formats (Intel DCAP quote 3, 4 and 5, AMD SNP ABI, AWS NSM document, RFC 5280).
//!
//! Nothing here shares code with the verifier: every layout is written from the format's
//! description, so a shared misreading cannot hide. This is test code and panics where it is misused.
//!
//! Time is always an argument, in unix seconds. Keys are made once per hierarchy, except the
//! RSA-4096 keys of the AMD authorities, which lie in `data/` because making them is slow.
//!
//! A *fault* makes evidence wrong in one way. Every fault enum has `ALL`, `row()` (the row of the
//! catalogue of bad inputs) and `expected_code()` (the stable code a sound verifier answers with):
//!
//! ```
//! use keygate_forge::amd::{Amd, Product, SnpFault, SnpReport};
//!
//! let amd = Amd::new(Product::Milan, 1_790_000_000);
//! for fault in SnpFault::ALL {
//!     let bad = amd.evidence(&SnpReport { fault: Some(*fault), ..SnpReport::new([7; 64]) });
//!     assert!(!fault.expected_code().is_empty());
//!     drop(bad);
//! }
//! ```
#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[macro_use]
mod faults;

pub mod amd;
pub mod azure_tpm;
pub mod base64;
pub mod binding;
pub mod cbor;
pub mod der;
pub mod intel;
pub mod keys;
pub mod nitro;
pub mod software;
pub mod tcg;
pub mod tpm;
pub mod uvm;
pub mod x509;
