//! X.509 certificates and revocation lists, as attestation uses them. RFC 5280.

mod certificate;
mod chain;
mod crl;
pub(crate) mod pem;

pub(crate) use certificate::{Certificate, key_of_spki, only_common_name, rsa_numbers, subject_public_key_info};
pub(crate) use chain::{ChainRules, VerifiedChain, verify_chain};
pub(crate) use crl::{Crl, check_crl, check_listed};
