//! Signing a digest, and checking signatures.
//!
//! `keyvault-api.md` section 3: always a digest, never the message; RSA signatures are as long as the
//! modulus, those of ECDSA r and s one behind the other, those of HMAC the whole tag.

use super::algorithm::{RawAlgorithm, Work};
use crate::error::KeystoreError;
use crate::key::KeyType;
use crate::material::{KeyMaterial, PublicPart};
use crate::operations::sign::check_digest;
use crate::primitives::{ecdh, ecdsa, hmac, oaep, rsa_signature};

/// Signs a digest of exactly the length of the algorithm's hash.
///
/// `unsupported`: no such algorithm. `operation-not-allowed`: it does not fit the key. `malformed`: the
/// digest has another length.
pub fn sign(key: &KeyMaterial, alg: &str, digest: &[u8]) -> Result<Vec<u8>, KeystoreError> {
    let work = work_of(key.key_type(), alg, digest)?;
    match work {
        Work::Rsa(scheme, hash) => rsa_signature::sign(&key.rsa()?, scheme, hash, digest),
        Work::Ecdsa(curve, _) => ecdsa::sign(&key.ec()?, curve, digest),
        Work::Hmac(hash) => hmac::tag(key.symmetric(), hash, digest),
        _ => Err(no_signature()),
    }
}

/// Whether a signature of this key over the digest holds. What is wrong with a signature is never an error.
///
/// Errors as for [`sign`].
pub fn verify(key: &KeyMaterial, alg: &str, digest: &[u8], signature: &[u8]) -> Result<bool, KeystoreError> {
    match work_of(key.key_type(), alg, digest)? {
        Work::Hmac(hash) => hmac::holds(key.symmetric(), hash, digest, signature),
        work => holds(key.public(), work, digest, signature),
    }
}

/// The same with nothing but the public part. An algorithm of HMAC is `operation-not-allowed`: it has none.
pub fn verify_by(public: &PublicPart, alg: &str, digest: &[u8], signature: &[u8]) -> Result<bool, KeystoreError> {
    let algorithm = RawAlgorithm::parse(alg)?;
    let (work, hash) = match (algorithm.work, public) {
        (Work::Rsa(_, hash), PublicPart::Rsa { .. }) => (algorithm.work, hash),
        (Work::Ecdsa(wanted, hash), PublicPart::Ec { curve, .. }) if wanted == *curve => (algorithm.work, hash),
        _ => return Err(no_signature()),
    };
    check_digest(hash, digest)?;
    holds(public, work, digest, signature)
}

fn holds(public: &PublicPart, work: Work, digest: &[u8], signature: &[u8]) -> Result<bool, KeystoreError> {
    match (work, public) {
        (Work::Rsa(scheme, hash), PublicPart::Rsa { n, e }) => {
            let key = oaep::public_key(n, e)?;
            Ok(rsa_signature::holds(&key, scheme, hash, digest, signature))
        }
        (Work::Ecdsa(_, _), PublicPart::Ec { curve, x, y }) => {
            let key = ecdh::public_key(*curve, x, y)?;
            Ok(ecdsa::verify(&key, *curve, digest, signature).is_ok())
        }
        _ => Err(no_signature()),
    }
}

fn work_of(key_type: KeyType, alg: &str, digest: &[u8]) -> Result<Work, KeystoreError> {
    let work = RawAlgorithm::parse_for(alg, key_type, false)?.work;
    match work {
        Work::Rsa(_, hash) | Work::Ecdsa(_, hash) | Work::Hmac(hash) => check_digest(hash, digest)?,
        _ => return Err(no_signature()),
    }
    Ok(work)
}

fn no_signature() -> KeystoreError {
    KeystoreError::OperationNotAllowed("the algorithm does not fit the key")
}
