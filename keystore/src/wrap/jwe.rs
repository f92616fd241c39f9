//! JWE in compact form, by `RSA-OAEP-256` or `ECDH-ES+A256KW`, with `A256GCM`.
//!
//! RFC 7516 sections 5.1, 5.2 and 7.1; RFC 7518 sections 4.3, 4.6 and 5.3. Ours, over the primitives,
//! rather than the general crate: decision `docs/decisions/jwe-of-our-own.md`.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::jwe_header::{ECDH_ES_A256KW, EphemeralKey, Header, RSA_OAEP_256};
use super::{LONGEST_ANSWER, Recipient, Unsealer};
use crate::error::KeystoreError;
use crate::key::Curve;
use crate::primitives::hash::Hash;
use crate::primitives::key_wrap::{self, Padding};
use crate::primitives::{ecdh, gcm, oaep, random};

/// Length of the content key in bytes.
const KEY_LENGTH: usize = 32;
/// Longest header that is read, in digits of base64url.
const LONGEST_HEADER: usize = 2_048;

pub(super) fn seal(recipient: &Recipient, plaintext: &[u8], cty: &str) -> Result<String, KeystoreError> {
    let content_key = random::secret(KEY_LENGTH)?;
    let (header, encrypted_key) = encrypt_key(recipient, &content_key, cty)?;
    let header = URL_SAFE_NO_PAD.encode(header.write()?);
    let nonce: [u8; gcm::NONCE_LENGTH] = random::public()?;
    let sealed = gcm::seal(&content_key, &nonce, header.as_bytes(), plaintext)?;
    let (ciphertext, tag) = sealed.split_last_chunk::<{ gcm::TAG_LENGTH }>().ok_or(KeystoreError::CryptoFailed)?;
    let parts = [&encrypted_key[..], &nonce, ciphertext, tag].map(|p| URL_SAFE_NO_PAD.encode(p));
    Ok(format!("{header}.{}", parts.join(".")))
}

pub(super) fn open(private: &dyn Unsealer, jwe: &str) -> Result<Zeroizing<Vec<u8>>, KeystoreError> {
    if jwe.len() > 2 * LONGEST_ANSWER {
        return Err(KeystoreError::TooLarge("the sealed answer is too long"));
    }
    let parts: Vec<&str> = jwe.splitn(6, '.').collect();
    let [header_text, encrypted_key, nonce, ciphertext, tag] = parts[..] else {
        return Err(KeystoreError::Malformed("a compact JWE has five parts"));
    };
    if header_text.len() > LONGEST_HEADER {
        return Err(KeystoreError::TooLarge("the header of the JWE is too long"));
    }
    let alg = algorithm_of(private.recipient());
    let header = Header::read(&decode(header_text)?, alg, &private.recipient().kid())?;
    let nonce: [u8; gcm::NONCE_LENGTH] = decode(nonce)?.try_into().map_err(|_| KeystoreError::CryptoFailed)?;
    let (mut sealed, tag) = (decode(ciphertext)?, decode(tag)?);
    if tag.len() != gcm::TAG_LENGTH {
        return Err(KeystoreError::CryptoFailed);
    }
    sealed.extend_from_slice(&tag);
    let content_key = decrypt_key(private, &header, &decode(encrypted_key)?)?;
    if content_key.len() != KEY_LENGTH {
        return Err(KeystoreError::CryptoFailed);
    }
    gcm::open(&content_key, &nonce, header_text.as_bytes(), &sealed)
}

fn algorithm_of(recipient: &Recipient) -> &'static str {
    match recipient.curve() {
        Some(_) => ECDH_ES_A256KW,
        None => RSA_OAEP_256,
    }
}

fn encrypt_key(recipient: &Recipient, content_key: &[u8], cty: &str) -> Result<(Header, Vec<u8>), KeystoreError> {
    let mut header = Header::new(algorithm_of(recipient), recipient.kid(), cty);
    if let Some(public) = recipient.rsa_key() {
        return Ok((header, oaep::encrypt(&public?, Hash::Sha256, content_key)?));
    }
    let (curve, public) = recipient.ec_key().ok_or(KeystoreError::CryptoFailed)?;
    let ephemeral = ecdh::ephemeral(curve)?;
    let text = |bytes| URL_SAFE_NO_PAD.encode(bytes);
    header.epk = Some(EphemeralKey::new(curve, text(&ephemeral.x), text(&ephemeral.y)));
    let shared = ecdh::agree(&ephemeral.private, &public?)?;
    let wrapping_key = concat_kdf(&shared, &[], &[]);
    let encrypted = key_wrap::wrap(wrapping_key.as_slice(), Padding::None, content_key)?;
    Ok((header, encrypted))
}

fn decrypt_key(private: &dyn Unsealer, header: &Header, encrypted: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeystoreError> {
    let Some(curve) = private.recipient().curve() else {
        return private.decrypt(Hash::Sha256, encrypted);
    };
    let missing = KeystoreError::Malformed("the header of the JWE lacks `epk`");
    let epk = header.epk.as_ref().ok_or(missing)?;
    if Curve::parse(&epk.crv)? != curve {
        return Err(KeystoreError::CryptoFailed);
    }
    // off the curve is refused here, before the private key meets it
    let public = ecdh::public_key(curve, &decode(&epk.x)?, &decode(&epk.y)?)?;
    let party = |text: &Option<String>| text.as_deref().map_or(Ok(Vec::new()), decode);
    let (apu, apv) = (party(&header.apu)?, party(&header.apv)?);
    let shared = private.agree(&public)?;
    let wrapping_key = concat_kdf(&shared, &apu, &apv);
    key_wrap::unwrap(wrapping_key.as_slice(), Padding::None, encrypted)
}

/// Concat KDF for a key of 256 bits: one round of SHA-256 (RFC 7518 section 4.6.2).
fn concat_kdf(shared: &[u8], apu: &[u8], apv: &[u8]) -> Zeroizing<[u8; KEY_LENGTH]> {
    let mut hash = Sha256::new();
    hash.update(1_u32.to_be_bytes());
    hash.update(shared);
    for part in [ECDH_ES_A256KW.as_bytes(), apu, apv] {
        hash.update((part.len() as u32).to_be_bytes());
        hash.update(part);
    }
    hash.update(((KEY_LENGTH * 8) as u32).to_be_bytes());
    Zeroizing::new(hash.finalize().into())
}

fn decode(text: &str) -> Result<Vec<u8>, KeystoreError> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| KeystoreError::Malformed("a part of the JWE is not base64url"))
}
