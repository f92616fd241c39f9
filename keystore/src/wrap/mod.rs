//! Sealing what leaves the service to the key of a recipient, and opening it there.
//!
//! `native-api.md` section 3, *Sealed answers only*; bytes and a vector in `docs/formats/wrapped.md`.
//! Sealing gives secrecy, not origin: who sealed is shown by the receipt, to be checked before use.

mod jwe;
mod jwe_header;
mod recipient;
mod recipient_jwk;
mod recipient_private;
mod rsa_aes_kwp;
mod unsealer;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::error::KeystoreError;
use crate::material::KeyMaterial;
use crate::primitives::hash::Hash;

pub use recipient::{Recipient, RecipientKind};
pub use recipient_private::RecipientPrivate;
pub use unsealer::Unsealer;

/// Longest answer that is sealed, in bytes.
pub const LONGEST_ANSWER: usize = 262_144;

/// The ways to seal an answer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Wrapping {
    /// A fresh AES-256 key under RSA-OAEP with SHA-256, then AES-KWP (RFC 5649) of the answer.
    RsaAesKeyWrap256,
    /// The same with SHA-384. For dialect doors.
    RsaAesKeyWrap384,
    /// The same with SHA-1, as PKCS#11 has it by default. For dialect doors whose clients know nothing
    /// else; a key's option `wrappings` can leave it out.
    CkmRsaAesKeyWrap,
    /// JWE in compact form: `RSA-OAEP-256` or `ECDH-ES+A256KW`, with `A256GCM`.
    Jwe,
}

impl Wrapping {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::RsaAesKeyWrap256, Self::RsaAesKeyWrap384, Self::CkmRsaAesKeyWrap, Self::Jwe];
    /// Those of the native door.
    pub const NATIVE: [Self; 2] = [Self::RsaAesKeyWrap256, Self::Jwe];

    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RsaAesKeyWrap256 => "RSA_AES_KEY_WRAP_256",
            Self::RsaAesKeyWrap384 => "RSA_AES_KEY_WRAP_384",
            Self::CkmRsaAesKeyWrap => "CKM_RSA_AES_KEY_WRAP",
            Self::Jwe => "JWE",
        }
    }

    /// Reads the name on the wire; another one is `unsupported`.
    pub fn parse(text: &str) -> Result<Self, KeystoreError> {
        Self::ALL
            .into_iter()
            .find(|w| w.as_str() == text)
            .ok_or(KeystoreError::Unsupported("the wrapping is not served"))
    }

    /// The hash in RSA-OAEP, of those that are RSA-OAEP and AES-KWP one behind the other.
    fn kwp_hash(self) -> Option<Hash> {
        match self {
            Self::RsaAesKeyWrap256 => Some(Hash::Sha256),
            Self::RsaAesKeyWrap384 => Some(Hash::Sha384),
            Self::CkmRsaAesKeyWrap => Some(Hash::Sha1),
            Self::Jwe => None,
        }
    }

    /// What is taken for a recipient that asks for none.
    pub fn default_for(recipient: &Recipient) -> Self {
        match recipient.kind() {
            RecipientKind::Rsa => Self::RsaAesKeyWrap256,
            RecipientKind::Ec => Self::Jwe,
        }
    }
}

/// A sealed answer, as it stands in the JSON of a reply.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "wrapping", deny_unknown_fields)]
pub enum Wrapped {
    /// The two ciphertexts one behind the other, base64url without padding.
    #[serde(rename = "RSA_AES_KEY_WRAP_256")]
    RsaAesKeyWrap256 {
        /// Modulus-long RSA-OAEP ciphertext, then the AES-KWP ciphertext.
        ciphertext: String,
    },
    /// The same two, with SHA-384 in RSA-OAEP.
    #[serde(rename = "RSA_AES_KEY_WRAP_384")]
    RsaAesKeyWrap384 {
        /// As above.
        ciphertext: String,
    },
    /// The same two, with SHA-1 in RSA-OAEP.
    #[serde(rename = "CKM_RSA_AES_KEY_WRAP")]
    CkmRsaAesKeyWrap {
        /// As above.
        ciphertext: String,
    },
    /// The five parts of a compact JWE.
    #[serde(rename = "JWE")]
    Jwe {
        /// The compact serialization.
        jwe: String,
    },
}

/// Seals `plaintext` to the recipient. `cty` is its content type, for the header of a JWE.
///
/// `unsupported`: the wrapping needs another kind of recipient, or the plaintext is empty and the
/// wrapping is not `JWE`: AES-KWP cannot carry nothing. `too-large`: beyond
/// [`LONGEST_ANSWER`]. `dependency-unavailable`: no randomness.
pub fn wrap(recipient: &Recipient, wrapping: Wrapping, plaintext: &[u8], cty: &str) -> Result<Wrapped, KeystoreError> {
    if plaintext.len() > LONGEST_ANSWER {
        return Err(KeystoreError::TooLarge("the answer is too long to seal"));
    }
    match wrapping {
        Wrapping::RsaAesKeyWrap256 => {
            let ciphertext = rsa_aes_kwp::seal(recipient, Hash::Sha256, plaintext)?;
            Ok(Wrapped::RsaAesKeyWrap256 { ciphertext })
        }
        Wrapping::RsaAesKeyWrap384 => {
            let ciphertext = rsa_aes_kwp::seal(recipient, Hash::Sha384, plaintext)?;
            Ok(Wrapped::RsaAesKeyWrap384 { ciphertext })
        }
        Wrapping::CkmRsaAesKeyWrap => {
            let ciphertext = rsa_aes_kwp::seal(recipient, Hash::Sha1, plaintext)?;
            Ok(Wrapped::CkmRsaAesKeyWrap { ciphertext })
        }
        Wrapping::Jwe => {
            let jwe = jwe::seal(recipient, plaintext, cty)?;
            Ok(Wrapped::Jwe { jwe })
        }
    }
}

/// Opens bytes that were sealed to a key of ours: `unsupported` for `JWE`, which is no such bytes, and for a key that is
/// not RSA. Whatever does not open is the one `crypto-failed`, after the same work.
pub(crate) fn open_bytes(
    private: &KeyMaterial,
    wrapping: Wrapping,
    ciphertext: &[u8],
) -> Result<Zeroizing<Vec<u8>>, KeystoreError> {
    let hash = wrapping.kwp_hash().ok_or(KeystoreError::Unsupported("keys do not come in this wrapping"))?;
    rsa_aes_kwp::open_bytes(private, hash, ciphertext)
}

/// Opens what was sealed to this recipient.
///
/// `malformed`: not the form at all. `unsupported`: a JWE by other algorithms, or a wrapping for another
/// kind of recipient. Whatever does not open is the one `crypto-failed`.
pub fn unwrap_with(private: &dyn Unsealer, wrapped: &Wrapped) -> Result<Zeroizing<Vec<u8>>, KeystoreError> {
    match wrapped {
        Wrapped::RsaAesKeyWrap256 { ciphertext } => rsa_aes_kwp::open(private, Hash::Sha256, ciphertext),
        Wrapped::RsaAesKeyWrap384 { ciphertext } => rsa_aes_kwp::open(private, Hash::Sha384, ciphertext),
        Wrapped::CkmRsaAesKeyWrap { ciphertext } => rsa_aes_kwp::open(private, Hash::Sha1, ciphertext),
        Wrapped::Jwe { jwe } => jwe::open(private, jwe),
    }
}
