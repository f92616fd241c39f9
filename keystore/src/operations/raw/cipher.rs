//! Encrypting and decrypting in raw parts.
//!
//! `keyvault-api.md` section 3; `bad-inputs.md` KEY-12, KEY-15, KEY-16 and section 12.

use openssl::rsa::Rsa;
use zeroize::Zeroizing;

use super::algorithm::{RawAlgorithm, Work};
use super::{RawCiphertext, RawParts, RawPlaintext, Rsa15};
use crate::encoding::pkcs1::RsaNumbers;
use crate::error::KeystoreError;
use crate::material::{KeyMaterial, PublicPart};
use crate::operations::{LONGEST_AAD, LONGEST_PLAINTEXT};
use crate::primitives::{cbc, gcm, key_wrap, oaep, random, rsa_pkcs1};

/// What a ciphertext may be longer than its plaintext: a block, or the modulus of 4096 bits.
const LONGEST_CIPHERTEXT: usize = LONGEST_PLAINTEXT + 512;

/// Encrypts.
///
/// `unsupported`: no such algorithm, `RSA1_5` where it is refused, additional data with any but AES-GCM, a
/// length that AES key wrap cannot carry. `operation-not-allowed`: the algorithm does not fit the key, or the
/// caller brought an initialisation vector where it is ours to make. `malformed`: none, or not 16 bytes, for
/// AES-CBC; no whole blocks for A*CBC. `too-large`: beyond 65,536 bytes or what RSA carries.
pub fn encrypt(key: &KeyMaterial, input: &RawPlaintext) -> Result<RawParts, KeystoreError> {
    let RawPlaintext { alg, plaintext, iv, aad, rsa1_5 } = input;
    let work = work_of(key, alg, *rsa1_5)?;
    if plaintext.len() > LONGEST_PLAINTEXT {
        return Err(KeystoreError::TooLarge("the plaintext is too long"));
    }
    check_aad(work, aad)?;
    if iv.is_some() && !matches!(work, Work::Cbc(..)) {
        return Err(KeystoreError::OperationNotAllowed("the initialisation vector is not the caller's to choose"));
    }
    let bare = |ciphertext| RawParts { ciphertext, iv: None, tag: None };
    match work {
        Work::Oaep(hash) => {
            let (n, e) = public_numbers(key)?;
            Ok(bare(oaep::encrypt(&oaep::public_key(n, e)?, hash, plaintext)?))
        }
        Work::Rsa15 => {
            let (n, e) = public_numbers(key)?;
            let public = oaep::public_key(n, e)?.rsa().map_err(|_| KeystoreError::CryptoFailed)?;
            Ok(bare(rsa_pkcs1::encrypt(&public, plaintext)?))
        }
        Work::Gcm(_) => {
            let nonce: [u8; gcm::NONCE_LENGTH] = random::public()?;
            let mut sealed = gcm::seal(key.symmetric(), &nonce, aad, plaintext)?;
            let tag = sealed.split_off(plaintext.len());
            Ok(RawParts { ciphertext: sealed, iv: Some(nonce.to_vec()), tag: Some(tag) })
        }
        Work::Cbc(_, padding) => {
            let iv = block_of(iv.as_deref())?;
            let ciphertext = cbc::encrypt(key.symmetric(), padding, &iv, plaintext)?;
            Ok(RawParts { ciphertext, iv: Some(iv.to_vec()), tag: None })
        }
        Work::KeyWrap(_, padding) => Ok(bare(key_wrap::wrap(key.symmetric(), padding, plaintext)?)),
        Work::Rsa(..) | Work::Ecdsa(..) | Work::Hmac(_) => Err(no_cipher()),
    }
}

/// Decrypts.
///
/// Whatever is wrong with the ciphertext, the tag or `aad` is the one `crypto-failed`; with `RSA1_5` a
/// ciphertext whose padding is wrong gives a message that says nothing. `unsupported`, besides those of
/// [`encrypt`]: a tag that has not 16 bytes or an initialisation vector of AES-GCM that has not 12.
/// `malformed`: one of them is missing, or is there without use.
pub fn decrypt(key: &KeyMaterial, input: &RawCiphertext) -> Result<Zeroizing<Vec<u8>>, KeystoreError> {
    let RawCiphertext { alg, ciphertext, iv, tag, aad, rsa1_5 } = input;
    let work = work_of(key, alg, *rsa1_5)?;
    if ciphertext.len() > LONGEST_CIPHERTEXT {
        return Err(KeystoreError::TooLarge("the ciphertext is too long"));
    }
    check_aad(work, aad)?;
    let takes_iv = matches!(work, Work::Cbc(..) | Work::Gcm(_));
    if iv.is_some() && !takes_iv || tag.is_some() && !matches!(work, Work::Gcm(_)) {
        return Err(KeystoreError::Malformed("the algorithm has no initialisation vector or no tag"));
    }
    match work {
        Work::Oaep(hash) => oaep::decrypt(&key.rsa()?, hash, ciphertext),
        Work::Rsa15 => decrypt_rsa1_5(key, ciphertext),
        Work::Gcm(_) => {
            let missing = KeystoreError::Malformed("aes-gcm needs its initialisation vector and its tag");
            let (iv, tag) = iv.as_deref().zip(tag.as_deref()).ok_or(missing)?;
            let nonce: [u8; gcm::NONCE_LENGTH] =
                iv.try_into().map_err(|_| KeystoreError::Unsupported("the initialisation vector has not 12 bytes"))?;
            if tag.len() != gcm::TAG_LENGTH {
                return Err(KeystoreError::Unsupported("the tag has not 16 bytes"));
            }
            gcm::open(key.symmetric(), &nonce, aad, &[ciphertext, tag].concat())
        }
        Work::Cbc(_, padding) => cbc::decrypt(key.symmetric(), padding, &block_of(iv.as_deref())?, ciphertext),
        Work::KeyWrap(_, padding) => key_wrap::unwrap(key.symmetric(), padding, ciphertext),
        Work::Rsa(..) | Work::Ecdsa(..) | Work::Hmac(_) => Err(no_cipher()),
    }
}

/// Refuses an algorithm that wraps no keys: `operation-not-allowed`, or `unsupported` if there is none.
pub fn fits_wrapping(alg: &str) -> Result<(), KeystoreError> {
    if RawAlgorithm::parse(alg)?.wraps() {
        return Ok(());
    }
    Err(KeystoreError::OperationNotAllowed("the algorithm wraps no keys"))
}

fn work_of(key: &KeyMaterial, alg: &str, rsa1_5: Rsa15) -> Result<Work, KeystoreError> {
    let algorithm = RawAlgorithm::parse_for(alg, key.key_type(), true)?;
    if algorithm.work == Work::Rsa15 && rsa1_5 == Rsa15::Refused {
        return Err(KeystoreError::Unsupported("`RSA1_5` is switched off"));
    }
    Ok(algorithm.work)
}

fn check_aad(work: Work, aad: &[u8]) -> Result<(), KeystoreError> {
    if aad.len() > LONGEST_AAD {
        return Err(KeystoreError::TooLarge("the additional data is too long"));
    }
    if !aad.is_empty() && !matches!(work, Work::Gcm(_)) {
        return Err(KeystoreError::Unsupported("the algorithm authenticates no additional data"));
    }
    Ok(())
}

fn block_of(iv: Option<&[u8]>) -> Result<[u8; cbc::BLOCK_LENGTH], KeystoreError> {
    let iv = iv.and_then(|iv| iv.try_into().ok());
    iv.ok_or(KeystoreError::Malformed("aes-cbc needs an initialisation vector of 16 bytes"))
}

fn public_numbers(key: &KeyMaterial) -> Result<(&[u8], &[u8]), KeystoreError> {
    match key.public() {
        PublicPart::Rsa { n, e } => Ok((n, e)),
        _ => Err(no_cipher()),
    }
}

fn decrypt_rsa1_5(key: &KeyMaterial, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeystoreError> {
    let form = key.sealed_form();
    let numbers = RsaNumbers::read(&form).ok_or(KeystoreError::CryptoFailed)?;
    let private = Rsa::private_key_from_der(&form).map_err(|_| KeystoreError::CryptoFailed)?;
    rsa_pkcs1::decrypt(&private, numbers.d, ciphertext)
}

fn no_cipher() -> KeystoreError {
    KeystoreError::OperationNotAllowed("the algorithm does not encrypt")
}
