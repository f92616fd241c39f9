//! RSA signatures over a digest: PKCS#1 v1.5 and PSS.
//!
//! RFC 8017 sections 8.1 and 8.2. PSS takes one hash for message and mask, and a salt as long as the
//! hash; RFC 7518 sections 3.3 and 3.5.

use openssl::error::ErrorStack;
use openssl::pkey::{HasPrivate, HasPublic, PKey, PKeyRef};
use openssl::pkey_ctx::{PkeyCtx, PkeyCtxRef};
use openssl::rsa::Padding;
use openssl::sign::RsaPssSaltlen;

use super::hash::Hash;
use crate::error::KeystoreError;

/// How the digest is padded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scheme {
    /// RSASSA-PKCS1-v1_5.
    Pkcs1,
    /// RSASSA-PSS.
    Pss,
}

/// Signs a digest of the length of `hash`; the signature is as long as the modulus.
pub fn sign<T: HasPrivate>(key: &PKey<T>, scheme: Scheme, hash: Hash, digest: &[u8]) -> Result<Vec<u8>, KeystoreError> {
    let run = || -> Result<Vec<u8>, ErrorStack> {
        let mut context = PkeyCtx::new(key)?;
        context.sign_init()?;
        set(&mut context, scheme, hash)?;
        let mut signature = vec![0; key.size()];
        let written = context.sign(digest, Some(&mut signature))?;
        signature.truncate(written);
        Ok(signature)
    };
    run().map_err(|_| KeystoreError::CryptoFailed)
}

/// Whether a signature holds; one that has not the length of the modulus never does.
pub fn holds<T: HasPublic>(key: &PKeyRef<T>, scheme: Scheme, hash: Hash, digest: &[u8], signature: &[u8]) -> bool {
    if signature.len() != key.size() {
        return false;
    }
    let run = || -> Result<bool, ErrorStack> {
        let mut context = PkeyCtx::new(key)?;
        context.verify_init()?;
        set(&mut context, scheme, hash)?;
        context.verify(digest, signature)
    };
    run().unwrap_or(false)
}

fn set<T>(context: &mut PkeyCtxRef<T>, scheme: Scheme, hash: Hash) -> Result<(), ErrorStack> {
    match scheme {
        Scheme::Pkcs1 => context.set_rsa_padding(Padding::PKCS1)?,
        Scheme::Pss => context.set_rsa_padding(Padding::PKCS1_PSS)?,
    }
    context.set_signature_md(hash.md())?;
    if scheme == Scheme::Pss {
        context.set_rsa_mgf1_md(hash.md())?;
        context.set_rsa_pss_saltlen(RsaPssSaltlen::DIGEST_LENGTH)?;
    }
    Ok(())
}
