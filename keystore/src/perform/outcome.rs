//! What a use gives, and how it leaves: ciphertext in the open, everything secret wrapped.
//!
//! `native-api.md` section 3, *Sealed answers only*; the one exception is [`Sealing::Clear`].

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use super::Opened;
use crate::authorized::{Outcome, RawUse, Sealing, Target, Use};
use crate::error::KeystoreError;
use crate::key::KeyType;
use crate::operations;
use crate::operations::raw;
use crate::wrap::{self, Wrapped, Wrapping};

const OCTETS: &str = "application/octet-stream";
const PKCS8: &str = "application/pkcs8";

/// What leaves in the clear.
type Clear = Option<Zeroizing<Vec<u8>>>;

/// Uses the key and wraps what is secret in the outcome.
pub(super) fn outcome(
    opened: &Opened,
    target: &Target,
    usage: Use,
    sealing: &Sealing,
) -> Result<(Outcome, Clear), KeystoreError> {
    let (material, version) = (&opened.material, &target.version);
    let mut outcome = Outcome {
        kid: format!("{}/versions/{version}", opened.rows.key.name),
        public: None,
        alg: None,
        ciphertext: None,
        iv: None,
        tag: None,
        valid: None,
        wrapped: None,
    };
    match usage {
        Use::Release => {
            let cty = match material.key_type() {
                KeyType::Secret | KeyType::Oct128 | KeyType::Oct192 | KeyType::Oct256 => OCTETS,
                _ => {
                    outcome.public = Some(material.public_part());
                    PKCS8
                }
            };
            outcome.wrapped = sealed(sealing, &material.handed_out_form()?, cty)?;
        }
        Use::Unwrap { alg, ciphertext, aad } => {
            let plaintext = operations::unwrap(material, &alg, &ciphertext, &aad)?;
            outcome.wrapped = sealed(sealing, &plaintext, OCTETS)?;
            outcome.alg = Some(alg);
        }
        Use::Generate { alg, bytes, aad } => {
            let (ciphertext, data_key) = operations::generate(material, version, &alg, bytes, &aad)?;
            outcome.wrapped = sealed(sealing, &data_key, OCTETS)?;
            outcome.ciphertext = Some(URL_SAFE_NO_PAD.encode(ciphertext));
            outcome.alg = Some(alg);
        }
        Use::Sign { alg, digest } => {
            let signature = operations::sign(material, &alg, &digest)?;
            outcome.wrapped = sealed(sealing, &signature, OCTETS)?;
            outcome.public = Some(material.public_part());
            outcome.alg = Some(alg);
        }
        Use::Wrap { alg, plaintext, aad } => {
            in_the_open(sealing)?;
            let ciphertext = operations::wrap(material, version, &alg, &plaintext, &aad)?;
            outcome.ciphertext = Some(URL_SAFE_NO_PAD.encode(ciphertext));
            outcome.alg = Some(alg);
        }
        Use::Raw(raw) => return raw_outcome(opened, outcome, raw, sealing),
    }
    Ok((outcome, None))
}

fn raw_outcome(
    opened: &Opened,
    mut outcome: Outcome,
    usage: RawUse,
    sealing: &Sealing,
) -> Result<(Outcome, Clear), KeystoreError> {
    let material = &opened.material;
    if usage.is_open() {
        in_the_open(sealing)?;
    }
    match &usage {
        RawUse::Wrap(input) => raw::fits_wrapping(&input.alg)?,
        RawUse::Unwrap(input) => raw::fits_wrapping(&input.alg)?,
        _ => {}
    }
    let secret = match usage {
        RawUse::Encrypt(input) | RawUse::Wrap(input) => {
            let parts = raw::encrypt(material, &input)?;
            let text = |bytes: Vec<u8>| URL_SAFE_NO_PAD.encode(bytes);
            outcome.ciphertext = Some(text(parts.ciphertext));
            outcome.iv = parts.iv.map(text);
            outcome.tag = parts.tag.map(text);
            outcome.alg = Some(input.alg);
            return Ok((outcome, None));
        }
        RawUse::Verify { alg, digest, signature } => {
            outcome.valid = Some(raw::verify(material, &alg, &digest, &signature)?);
            outcome.alg = Some(alg);
            return Ok((outcome, None));
        }
        RawUse::Decrypt(input) | RawUse::Unwrap(input) => {
            let plaintext = raw::decrypt(material, &input)?;
            outcome.alg = Some(input.alg);
            plaintext
        }
        RawUse::Sign { alg, digest } => {
            let signature = raw::sign(material, &alg, &digest)?;
            outcome.alg = Some(alg);
            Zeroizing::new(signature)
        }
    };
    if matches!(sealing, Sealing::Clear) {
        return Ok((outcome, Some(secret)));
    }
    outcome.wrapped = sealed(sealing, &secret, OCTETS)?;
    Ok((outcome, None))
}

fn in_the_open(sealing: &Sealing) -> Result<(), KeystoreError> {
    if matches!(sealing, Sealing::NotSealed) {
        return Ok(());
    }
    Err(KeystoreError::OperationNotAllowed("nothing in the outcome is secret, so it is not sealed to a recipient"))
}

/// Wraps for the recipient. The clear is refused here: it is of the raw forms alone.
fn sealed(sealing: &Sealing, plaintext: &[u8], cty: &str) -> Result<Option<Wrapped>, KeystoreError> {
    match sealing {
        Sealing::For { recipient, wrapping } => wrap::wrap(recipient, *wrapping, plaintext, cty).map(Some),
        Sealing::ByDefault { recipient } => {
            let wrapping = match plaintext {
                [] => Wrapping::Jwe,
                _ => Wrapping::default_for(recipient),
            };
            wrap::wrap(recipient, wrapping, plaintext, cty).map(Some)
        }
        Sealing::NotSealed | Sealing::Clear => {
            Err(KeystoreError::OperationNotAllowed("the outcome must be sealed to a recipient"))
        }
    }
}
