//! Wrap, unwrap and generate: encrypting small things under a key that stays.
//!
//! `native-api.md` section 3; why no caller chooses a nonce and none is counted is decision
//! `docs/decisions/data-wrap-fresh-keys.md`; the bytes are in `docs/formats/wrapped.md`.

use openssl::pkey::{PKey, Public};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::algorithm::{Algorithm, Encryption, Purpose};
use super::blob::{Blob, HEADER_LENGTH, header};
use crate::encoding::der::concat;
use crate::error::KeystoreError;
use crate::key::KeyType;
use crate::material::{KeyMaterial, PublicPart};
use crate::names::VersionId;
use crate::primitives::hash::Hash;
use crate::primitives::{gcm, hkdf, key_wrap, oaep, random};

/// Longest plaintext in bytes.
pub const LONGEST_PLAINTEXT: usize = 65_536;
/// Longest additional data in bytes.
pub const LONGEST_AAD: usize = 65_536;

const LABEL: &str = "keygate/v1/data-wrap";
const SALT_LENGTH: usize = 32;
const COMMITMENT_LENGTH: usize = 32;
/// What a ciphertext may be longer than its plaintext, RSA of 4096 bits counted.
const LONGEST_CIPHERTEXT: usize = LONGEST_PLAINTEXT + 1_024;
/// Each key of AES-GCM encrypts one message, so its nonce is a constant.
const NONCE: [u8; gcm::NONCE_LENGTH] = [0; gcm::NONCE_LENGTH];

/// Encrypts under the key; the ciphertext names `version`.
///
/// `unsupported`: no such algorithm, additional data with any but AES-GCM, a length that AES key wrap
/// cannot carry. `operation-not-allowed`: the algorithm does not fit the key. `too-large`: beyond
/// [`LONGEST_PLAINTEXT`], [`LONGEST_AAD`] or what RSA-OAEP carries.
pub fn wrap(
    key: &KeyMaterial,
    version: &VersionId,
    alg: &str,
    plaintext: &[u8],
    aad: &[u8],
) -> Result<Vec<u8>, KeystoreError> {
    let algorithm = Algorithm::parse_for(alg, key.key_type(), Purpose::Encryption)?;
    let (encryption, number) = parts(algorithm)?;
    if plaintext.len() > LONGEST_PLAINTEXT {
        return Err(KeystoreError::TooLarge("the plaintext is too long"));
    }
    check_aad(encryption, aad)?;
    let header = header(version, number);
    let body = match encryption {
        Encryption::Gcm => seal(key, algorithm, version, &header, plaintext, aad)?,
        Encryption::KeyWrap(padding) => key_wrap::wrap(key.symmetric(), padding, plaintext)?,
        Encryption::Oaep => oaep::encrypt(&public_key(key)?, Hash::Sha256, plaintext)?,
    };
    let mut ciphertext = Vec::with_capacity(HEADER_LENGTH + body.len());
    ciphertext.extend_from_slice(&header);
    ciphertext.extend_from_slice(&body);
    Ok(ciphertext)
}

/// Decrypts what [`wrap`] made, and what others encrypted with an RSA key's public part by
/// `RSA-OAEP-256` (then exactly as long as the modulus).
///
/// Whatever is wrong with the ciphertext or `aad` is the one `crypto-failed`. `unsupported`,
/// `operation-not-allowed` and `too-large` as for [`wrap`]: they depend on the request's form alone.
pub fn unwrap(
    key: &KeyMaterial,
    alg: &str,
    ciphertext: &[u8],
    aad: &[u8],
) -> Result<Zeroizing<Vec<u8>>, KeystoreError> {
    let algorithm = Algorithm::parse_for(alg, key.key_type(), Purpose::Encryption)?;
    let (encryption, number) = parts(algorithm)?;
    if ciphertext.len() > LONGEST_CIPHERTEXT {
        return Err(KeystoreError::TooLarge("the ciphertext is too long"));
    }
    check_aad(encryption, aad)?;
    if encryption == Encryption::Oaep && is_bare(key.key_type(), ciphertext) {
        return oaep::decrypt(&key.rsa()?, Hash::Sha256, ciphertext);
    }
    let blob = Blob::read(ciphertext).filter(|blob| blob.number == number).ok_or(KeystoreError::CryptoFailed)?;
    match encryption {
        Encryption::Gcm => open(key, algorithm, &blob, aad),
        Encryption::KeyWrap(padding) => key_wrap::unwrap(key.symmetric(), padding, blob.body),
        Encryption::Oaep => oaep::decrypt(&key.rsa()?, Hash::Sha256, blob.body),
    }
}

/// Makes a data key of `bytes` bytes, 1 to 1024: the ciphertext of it under the key, and the data key.
///
/// Errors as for [`wrap`]; no bytes are `malformed`, more than 1024 `too-large`.
pub fn generate(
    key: &KeyMaterial,
    version: &VersionId,
    alg: &str,
    bytes: usize,
    aad: &[u8],
) -> Result<(Vec<u8>, Zeroizing<Vec<u8>>), KeystoreError> {
    match bytes {
        0 => return Err(KeystoreError::Malformed("a data key has at least one byte")),
        1..=1024 => {}
        _ => return Err(KeystoreError::TooLarge("a data key has at most 1024 bytes")),
    }
    let data_key = random::secret(bytes)?;
    Ok((wrap(key, version, alg, &data_key, aad)?, data_key))
}

fn parts(algorithm: Algorithm) -> Result<(Encryption, u8), KeystoreError> {
    let parts = algorithm.encryption().zip(algorithm.number());
    parts.ok_or(KeystoreError::OperationNotAllowed("the algorithm does not encrypt"))
}

fn check_aad(encryption: Encryption, aad: &[u8]) -> Result<(), KeystoreError> {
    if aad.len() > LONGEST_AAD {
        return Err(KeystoreError::TooLarge("the additional data is too long"));
    }
    if encryption != Encryption::Gcm && !aad.is_empty() {
        return Err(KeystoreError::Unsupported("the algorithm authenticates no additional data"));
    }
    Ok(())
}

fn is_bare(key_type: KeyType, ciphertext: &[u8]) -> bool {
    key_type.rsa_bits() == Some(ciphertext.len() * 8)
}

fn public_key(key: &KeyMaterial) -> Result<PKey<Public>, KeystoreError> {
    let PublicPart::Rsa { n, e } = key.public() else {
        return Err(KeystoreError::OperationNotAllowed("not an RSA key"));
    };
    oaep::public_key(n, e)
}

/// Body of AES-GCM: salt, commitment, ciphertext, tag.
fn seal(
    key: &KeyMaterial,
    algorithm: Algorithm,
    version: &VersionId,
    header: &[u8],
    plaintext: &[u8],
    aad: &[u8],
) -> Result<Vec<u8>, KeystoreError> {
    let salt: [u8; SALT_LENGTH] = random::public()?;
    let derived = derive(key, algorithm, version, &salt)?;
    let (message_key, commitment) = split(key, &derived)?;
    let sealed = gcm::seal(message_key, &NONCE, &concat(&[header, aad]), plaintext)?;
    let mut body = Vec::with_capacity(SALT_LENGTH + COMMITMENT_LENGTH + sealed.len());
    body.extend_from_slice(&salt);
    body.extend_from_slice(commitment);
    body.extend_from_slice(&sealed);
    Ok(body)
}

fn open(
    key: &KeyMaterial,
    algorithm: Algorithm,
    blob: &Blob<'_>,
    aad: &[u8],
) -> Result<Zeroizing<Vec<u8>>, KeystoreError> {
    let failed = KeystoreError::CryptoFailed;
    let salt = blob.body.split_at_checked(SALT_LENGTH);
    let (salt, rest) = salt.ok_or(failed.clone())?;
    let committed = rest.split_at_checked(COMMITMENT_LENGTH);
    let (commitment, sealed) = committed.ok_or(failed.clone())?;
    let derived = derive(key, algorithm, &blob.version, salt)?;
    let (message_key, expected) = split(key, &derived)?;
    if !bool::from(commitment.ct_eq(expected)) {
        return Err(failed);
    }
    gcm::open(message_key, &NONCE, &concat(&[blob.header, aad]), sealed)
}

/// A key for one message, as long as the key itself, and a value that commits to it.
fn derive(
    key: &KeyMaterial,
    algorithm: Algorithm,
    version: &VersionId,
    salt: &[u8],
) -> Result<Zeroizing<Vec<u8>>, KeystoreError> {
    let info = hkdf::info(LABEL, &[algorithm.as_str().as_bytes(), version.as_bytes()]);
    let length = key.symmetric().len() + COMMITMENT_LENGTH;
    hkdf::derive(key.symmetric(), salt, &info, length)
}

fn split<'a>(key: &KeyMaterial, derived: &'a [u8]) -> Result<(&'a [u8], &'a [u8]), KeystoreError> {
    let halves = derived.split_at_checked(key.symmetric().len());
    halves.ok_or(KeystoreError::CryptoFailed)
}
