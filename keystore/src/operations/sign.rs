//! Signing a digest that the caller made.
//!
//! RFC 7518 section 3: the signature has the form of a JWS.

use super::algorithm::{Algorithm, Purpose};
use crate::error::KeystoreError;
use crate::key::Curve;
use crate::material::KeyMaterial;
use crate::primitives::ecdsa;
use crate::primitives::hash::Hash;
use crate::primitives::rsa_signature::{self, Scheme};

/// Signs a digest of exactly the length of the algorithm's hash.
///
/// `RS*` and `PS*` give as many bytes as the modulus, `ES*` twice the length of the field. `unsupported`:
/// no such algorithm. `operation-not-allowed`: it does not fit the key. `malformed`: the digest has another
/// length.
pub fn sign(key: &KeyMaterial, alg: &str, digest: &[u8]) -> Result<Vec<u8>, KeystoreError> {
    let algorithm = Algorithm::parse_for(alg, key.key_type(), Purpose::Signing)?;
    let way = way(algorithm).ok_or(KeystoreError::OperationNotAllowed("the algorithm does not sign"))?;
    let (Way::Rsa(_, hash) | Way::Ecdsa(_, hash)) = way;
    check_digest(hash, digest)?;
    match way {
        Way::Ecdsa(curve, _) => ecdsa::sign(&key.ec()?, curve, digest),
        Way::Rsa(scheme, hash) => rsa_signature::sign(&key.rsa()?, scheme, hash, digest),
    }
}

pub(super) fn check_digest(hash: Hash, digest: &[u8]) -> Result<(), KeystoreError> {
    if digest.len() == hash.length() {
        return Ok(());
    }
    Err(KeystoreError::Malformed("the digest has not the length of the algorithm's hash"))
}

enum Way {
    Rsa(Scheme, Hash),
    Ecdsa(Curve, Hash),
}

fn way(algorithm: Algorithm) -> Option<Way> {
    Some(match algorithm {
        Algorithm::Rs256 => Way::Rsa(Scheme::Pkcs1, Hash::Sha256),
        Algorithm::Rs384 => Way::Rsa(Scheme::Pkcs1, Hash::Sha384),
        Algorithm::Rs512 => Way::Rsa(Scheme::Pkcs1, Hash::Sha512),
        Algorithm::Ps256 => Way::Rsa(Scheme::Pss, Hash::Sha256),
        Algorithm::Ps384 => Way::Rsa(Scheme::Pss, Hash::Sha384),
        Algorithm::Ps512 => Way::Rsa(Scheme::Pss, Hash::Sha512),
        Algorithm::Es256 => Way::Ecdsa(Curve::P256, Hash::Sha256),
        Algorithm::Es384 => Way::Ecdsa(Curve::P384, Hash::Sha384),
        Algorithm::Es512 => Way::Ecdsa(Curve::P521, Hash::Sha512),
        _ => return None,
    })
}
