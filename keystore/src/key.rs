//! Kinds of keys, and what may be done with them.
//!
//! `native-api.md` sections 2 and 3.

use openssl::nid::Nid;

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
    /// Key on the curve secp256k1; only `ES256K` of the raw forms uses it.
    EcP256K,
}

impl KeyType {
    /// Every type.
    pub const ALL: [Self; 11] = [
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
        Self::EcP256K,
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
            Self::EcP256K => "ec-p256k",
        }
    }

    /// Reads such a name; another one is `unsupported`.
    pub fn parse(text: &str) -> Result<Self, KeystoreError> {
        Self::ALL.into_iter().find(|t| t.as_str() == text).ok_or(KeystoreError::Unsupported("not a type of key"))
    }

    /// Length of an AES key in bytes.
    pub fn oct_length(self) -> Option<usize> {
        match self {
            Self::Oct128 => Some(16),
            Self::Oct192 => Some(24),
            Self::Oct256 => Some(32),
            _ => None,
        }
    }

    /// Length of an RSA modulus in bits.
    pub fn rsa_bits(self) -> Option<usize> {
        match self {
            Self::Rsa2048 => Some(2048),
            Self::Rsa3072 => Some(3072),
            Self::Rsa4096 => Some(4096),
            _ => None,
        }
    }

    /// The curve of an EC key.
    pub fn curve(self) -> Option<Curve> {
        match self {
            Self::EcP256 => Some(Curve::P256),
            Self::EcP384 => Some(Curve::P384),
            Self::EcP521 => Some(Curve::P521),
            Self::EcP256K => Some(Curve::P256K),
            _ => None,
        }
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
    /// Encrypting in a raw form; as a use it is no other than `Wrap`, but keys allow the two apart.
    Encrypt,
    /// Decrypting in a raw form; as a use it is no other than `Unwrap`.
    Decrypt,
    /// Checking a signature.
    Verify,
    /// Opening keys that were sealed to this one, see [`Keystore::open_transfer`](crate::Keystore::open_transfer). It stands
    /// alone: such a key is an exchange key, does nothing else, and stays one. RSA only.
    Import,
    /// Kept for clients that ask for it; it opens nothing.
    Export,
}

impl Operation {
    /// Every operation.
    pub const ALL: [Self; 10] = [
        Self::Release,
        Self::Unwrap,
        Self::Wrap,
        Self::Generate,
        Self::Sign,
        Self::Encrypt,
        Self::Decrypt,
        Self::Verify,
        Self::Import,
        Self::Export,
    ];
    /// Those that [`Use`](crate::Use) knows.
    pub const USES: [Self; 8] = [
        Self::Release,
        Self::Unwrap,
        Self::Wrap,
        Self::Generate,
        Self::Sign,
        Self::Encrypt,
        Self::Decrypt,
        Self::Verify,
    ];

    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Unwrap => "unwrap",
            Self::Wrap => "wrap",
            Self::Generate => "generate",
            Self::Sign => "sign",
            Self::Encrypt => "encrypt",
            Self::Decrypt => "decrypt",
            Self::Verify => "verify",
            Self::Import => "import",
            Self::Export => "export",
        }
    }

    /// The operation under whose name the rules of a key speak about this one: decrypting is judged as
    /// `unwrap`, encrypting as `wrap`; checking a signature needs no rule, and what is no use has none.
    pub fn rule(self) -> Option<&'static str> {
        match self {
            Self::Decrypt => Some(Self::Unwrap.as_str()),
            Self::Encrypt => Some(Self::Wrap.as_str()),
            Self::Verify | Self::Import | Self::Export => None,
            own => Some(own.as_str()),
        }
    }

    /// Whether it only opens or checks what was made before: such a use may be allowed outside the time
    /// of the key, see [`Authorized::at_any_time`](crate::Authorized::at_any_time).
    pub fn looks_back(self) -> bool {
        matches!(self, Self::Release | Self::Unwrap | Self::Decrypt | Self::Verify)
    }

    /// Reads the name on the wire; another one is `unsupported`.
    pub fn parse(text: &str) -> Result<Self, KeystoreError> {
        Self::ALL.into_iter().find(|o| o.as_str() == text).ok_or(KeystoreError::Unsupported("not an operation on keys"))
    }
}

/// The curves of NIST SP 800-186 and SEC 2 that keys may lie on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Curve {
    /// secp256r1
    P256,
    /// secp384r1
    P384,
    /// secp521r1
    P521,
    /// secp256k1
    P256K,
}

impl Curve {
    /// Every curve.
    pub const ALL: [Self; 4] = [Self::P256, Self::P384, Self::P521, Self::P256K];

    /// The name in a JWK, RFC 7518 section 6.2.1.1 and RFC 8812 section 3.1.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::P521 => "P-521",
            Self::P256K => "secp256k1",
        }
    }

    /// Reads the name in a JWK; another one is `unsupported`.
    pub fn parse(text: &str) -> Result<Self, KeystoreError> {
        Self::ALL.into_iter().find(|c| c.as_str() == text).ok_or(KeystoreError::Unsupported("the curve is not served"))
    }

    /// Length of a coordinate and of a scalar in bytes.
    pub fn field_length(self) -> usize {
        match self {
            Self::P256 | Self::P256K => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }

    /// The type of a key on this curve.
    pub fn key_type(self) -> KeyType {
        match self {
            Self::P256 => KeyType::EcP256,
            Self::P384 => KeyType::EcP384,
            Self::P521 => KeyType::EcP521,
            Self::P256K => KeyType::EcP256K,
        }
    }

    pub(crate) fn nid(self) -> Nid {
        match self {
            Self::P256 => Nid::X9_62_PRIME256V1,
            Self::P384 => Nid::SECP384R1,
            Self::P521 => Nid::SECP521R1,
            Self::P256K => Nid::SECP256K1,
        }
    }

    /// The content of its object identifier.
    pub(crate) fn object_identifier(self) -> &'static [u8] {
        match self {
            Self::P256 => &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07],
            Self::P384 => &[0x2b, 0x81, 0x04, 0x00, 0x22],
            Self::P521 => &[0x2b, 0x81, 0x04, 0x00, 0x23],
            Self::P256K => &[0x2b, 0x81, 0x04, 0x00, 0x0a],
        }
    }

    pub(crate) fn from_object_identifier(content: &[u8]) -> Result<Self, KeystoreError> {
        Self::ALL
            .into_iter()
            .find(|c| c.object_identifier() == content)
            .ok_or(KeystoreError::Unsupported("the curve is not served"))
    }
}
