//! Kinds of keys, what may be done with them, and a key in the clear.
//!
//! `native-api.md` sections 2 and 3; sealed forms after `store-durability.md` R10 and
//! `performance-floor.md` section 3, trap 1.

use zeroize::Zeroizing;

use crate::error::KeystoreError;

/// Type and size of a key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum KeyType {
    /// Bytes without structure, 1 to 65,536.
    Secret,
    /// AES key of 16 bytes.
    Oct128,
    /// AES key of 24 bytes.
    Oct192,
    /// AES key of 32 bytes.
    Oct256,
    /// RSA key of 2048 bits.
    Rsa2048,
    /// RSA key of 3072 bits.
    Rsa3072,
    /// RSA key of 4096 bits.
    Rsa4096,
    /// Key on the curve P-256.
    EcP256,
    /// Key on the curve P-384.
    EcP384,
    /// Key on the curve P-521.
    EcP521,
}

impl KeyType {
    /// Every type.
    pub const ALL: [Self; 10] = [
        Self::Secret,
        Self::Oct128,
        Self::Oct192,
        Self::Oct256,
        Self::Rsa2048,
        Self::Rsa3072,
        Self::Rsa4096,
        Self::EcP256,
        Self::EcP384,
        Self::EcP521,
    ];

    /// The name in the command line and in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Oct128 => "oct-128",
            Self::Oct192 => "oct-192",
            Self::Oct256 => "oct-256",
            Self::Rsa2048 => "rsa-2048",
            Self::Rsa3072 => "rsa-3072",
            Self::Rsa4096 => "rsa-4096",
            Self::EcP256 => "ec-p256",
            Self::EcP384 => "ec-p384",
            Self::EcP521 => "ec-p521",
        }
    }

    /// Reads such a name; another one is `unsupported`.
    pub fn parse(text: &str) -> Result<Self, KeystoreError> {
        Self::ALL
            .into_iter()
            .find(|t| t.as_str() == text)
            .ok_or(KeystoreError::Unsupported("not a type of key"))
    }
}

/// What a key may be used for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Operation {
    /// Handing the key itself to a recipient.
    Release,
    /// Decrypting for a recipient.
    Unwrap,
    /// Encrypting.
    Wrap,
    /// Making a data key, under the key and for a recipient.
    Generate,
    /// Signing a digest.
    Sign,
}

impl Operation {
    /// Every operation.
    pub const ALL: [Self; 5] = [
        Self::Release,
        Self::Unwrap,
        Self::Wrap,
        Self::Generate,
        Self::Sign,
    ];

    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Unwrap => "unwrap",
            Self::Wrap => "wrap",
            Self::Generate => "generate",
            Self::Sign => "sign",
        }
    }

    /// Reads the name on the wire; another one is `unsupported`.
    pub fn parse(text: &str) -> Result<Self, KeystoreError> {
        Self::ALL
            .into_iter()
            .find(|o| o.as_str() == text)
            .ok_or(KeystoreError::Unsupported("not an operation on keys"))
    }
}

/// A key in the clear, zeroed when dropped. It can be neither printed, copied nor serialized.
pub struct KeyMaterial {
    key_type: KeyType,
    /// Raw bytes, PKCS#1 DER or SEC1 DER with curve and public point.
    sealed_form: Zeroizing<Vec<u8>>,
}

impl KeyMaterial {
    /// Type and size.
    pub fn key_type(&self) -> KeyType {
        self.key_type
    }

    /// The form in which the key is kept, to be sealed at once: raw bytes, PKCS#1 DER or SEC1 DER.
    pub fn sealed_form(&self) -> Zeroizing<Vec<u8>> {
        self.sealed_form.clone()
    }
}
