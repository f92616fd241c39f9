//! Signing a digest that the caller made.
//!
//! RFC 7518 section 3: the signature has the form of a JWS.

use openssl::error::ErrorStack;
use openssl::md::{Md, MdRef};
use openssl::pkey_ctx::PkeyCtx;
use openssl::rsa::Padding;
use openssl::sign::RsaPssSaltlen;

use super::algorithm::{Algorithm, Purpose};
use crate::error::KeystoreError;
use crate::key::Curve;
use crate::material::KeyMaterial;
use crate::primitives::ecdsa;

/// Signs a digest of exactly the length of the algorithm's hash.
///
/// `RS*` and `PS*` give as many bytes as the modulus, `ES*` twice the length of the field. `unsupported`:
/// no such algorithm. `operation-not-allowed`: it does not fit the key. `malformed`: the digest has another
/// length.
pub fn sign(key: &KeyMaterial, alg: &str, digest: &[u8]) -> Result<Vec<u8>, KeystoreError> {
    let algorithm = Algorithm::parse_for(alg, key.key_type(), Purpose::Signing)?;
    let scheme = scheme(algorithm).ok_or(KeystoreError::OperationNotAllowed("the algorithm does not sign"))?;
    if digest.len() != scheme.hash().size() {
        return Err(KeystoreError::Malformed("the digest has not the length of the algorithm's hash"));
    }
    match scheme {
        Scheme::Ecdsa(curve, _) => ecdsa::sign(&key.ec()?, curve, digest),
        Scheme::Pkcs1(hash) => rsa(key, Padding::PKCS1, hash, digest),
        Scheme::Pss(hash) => rsa(key, Padding::PKCS1_PSS, hash, digest),
    }
}

enum Scheme {
    Pkcs1(&'static MdRef),
    Pss(&'static MdRef),
    Ecdsa(Curve, &'static MdRef),
}

impl Scheme {
    fn hash(&self) -> &'static MdRef {
        match self {
            Self::Pkcs1(hash) | Self::Pss(hash) | Self::Ecdsa(_, hash) => hash,
        }
    }
}

fn scheme(algorithm: Algorithm) -> Option<Scheme> {
    Some(match algorithm {
        Algorithm::Rs256 => Scheme::Pkcs1(Md::sha256()),
        Algorithm::Rs384 => Scheme::Pkcs1(Md::sha384()),
        Algorithm::Rs512 => Scheme::Pkcs1(Md::sha512()),
        Algorithm::Ps256 => Scheme::Pss(Md::sha256()),
        Algorithm::Ps384 => Scheme::Pss(Md::sha384()),
        Algorithm::Ps512 => Scheme::Pss(Md::sha512()),
        Algorithm::Es256 => Scheme::Ecdsa(Curve::P256, Md::sha256()),
        Algorithm::Es384 => Scheme::Ecdsa(Curve::P384, Md::sha384()),
        Algorithm::Es512 => Scheme::Ecdsa(Curve::P521, Md::sha512()),
        _ => return None,
    })
}

fn rsa(key: &KeyMaterial, padding: Padding, hash: &MdRef, digest: &[u8]) -> Result<Vec<u8>, KeystoreError> {
    let key = key.rsa()?;
    let run = || -> Result<Vec<u8>, ErrorStack> {
        let mut context = PkeyCtx::new(&key)?;
        context.sign_init()?;
        context.set_rsa_padding(padding)?;
        context.set_signature_md(hash)?;
        if padding == Padding::PKCS1_PSS {
            context.set_rsa_mgf1_md(hash)?;
            context.set_rsa_pss_saltlen(RsaPssSaltlen::DIGEST_LENGTH)?;
        }
        let mut signature = vec![0; key.size()];
        let written = context.sign(digest, Some(&mut signature))?;
        signature.truncate(written);
        Ok(signature)
    };
    run().map_err(|_| KeystoreError::CryptoFailed)
}
