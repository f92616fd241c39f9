//! The algorithms of the raw forms, by the names of key vaults.
//!
//! `keyvault-api.md` section 3, the table.

use crate::error::KeystoreError;
use crate::key::{Curve, KeyType};
use crate::primitives::hash::Hash;
use crate::primitives::rsa_signature::Scheme;
use crate::primitives::{cbc, key_wrap};

/// An algorithm of the raw forms.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RawAlgorithm {
    name: &'static str,
    pub(super) work: Work,
}

/// How it works on the bytes. Lengths of AES keys are in bytes; none is any of the three.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Work {
    Oaep(Hash),
    Rsa15,
    Gcm(usize),
    Cbc(usize, cbc::Padding),
    KeyWrap(Option<usize>, key_wrap::Padding),
    Rsa(Scheme, Hash),
    Ecdsa(Curve, Hash),
    Hmac(Hash),
}

const fn of(name: &'static str, work: Work) -> RawAlgorithm {
    RawAlgorithm { name, work }
}

impl RawAlgorithm {
    /// Every one.
    pub const ALL: [Self; 30] = [
        of("RSA-OAEP-256", Work::Oaep(Hash::Sha256)),
        of("RSA-OAEP", Work::Oaep(Hash::Sha1)),
        of("RSA1_5", Work::Rsa15),
        of("A128GCM", Work::Gcm(16)),
        of("A192GCM", Work::Gcm(24)),
        of("A256GCM", Work::Gcm(32)),
        of("A128CBC", Work::Cbc(16, cbc::Padding::None)),
        of("A192CBC", Work::Cbc(24, cbc::Padding::None)),
        of("A256CBC", Work::Cbc(32, cbc::Padding::None)),
        of("A128CBCPAD", Work::Cbc(16, cbc::Padding::Pkcs7)),
        of("A192CBCPAD", Work::Cbc(24, cbc::Padding::Pkcs7)),
        of("A256CBCPAD", Work::Cbc(32, cbc::Padding::Pkcs7)),
        of("A128KW", Work::KeyWrap(Some(16), key_wrap::Padding::None)),
        of("A192KW", Work::KeyWrap(Some(24), key_wrap::Padding::None)),
        of("A256KW", Work::KeyWrap(Some(32), key_wrap::Padding::None)),
        of("CKM_AES_KEY_WRAP", Work::KeyWrap(None, key_wrap::Padding::None)),
        of("CKM_AES_KEY_WRAP_PAD", Work::KeyWrap(None, key_wrap::Padding::Kwp)),
        of("PS256", Work::Rsa(Scheme::Pss, Hash::Sha256)),
        of("PS384", Work::Rsa(Scheme::Pss, Hash::Sha384)),
        of("PS512", Work::Rsa(Scheme::Pss, Hash::Sha512)),
        of("RS256", Work::Rsa(Scheme::Pkcs1, Hash::Sha256)),
        of("RS384", Work::Rsa(Scheme::Pkcs1, Hash::Sha384)),
        of("RS512", Work::Rsa(Scheme::Pkcs1, Hash::Sha512)),
        of("ES256", Work::Ecdsa(Curve::P256, Hash::Sha256)),
        of("ES384", Work::Ecdsa(Curve::P384, Hash::Sha384)),
        of("ES512", Work::Ecdsa(Curve::P521, Hash::Sha512)),
        of("ES256K", Work::Ecdsa(Curve::P256K, Hash::Sha256)),
        of("HS256", Work::Hmac(Hash::Sha256)),
        of("HS384", Work::Hmac(Hash::Sha384)),
        of("HS512", Work::Hmac(Hash::Sha512)),
    ];

    /// Reads the name on the wire, exactly; another one is `unsupported`.
    pub fn parse(text: &str) -> Result<Self, KeystoreError> {
        Self::ALL.into_iter().find(|a| a.name == text).ok_or(KeystoreError::Unsupported("the algorithm is not served"))
    }

    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        self.name
    }

    /// Whether a key of this type can be used by it.
    pub fn fits(self, key_type: KeyType) -> bool {
        match self.work {
            Work::Oaep(_) | Work::Rsa15 | Work::Rsa(..) => key_type.rsa_bits().is_some(),
            Work::Gcm(length) | Work::Cbc(length, _) | Work::KeyWrap(Some(length), _) => {
                key_type.oct_length() == Some(length)
            }
            Work::KeyWrap(None, _) | Work::Hmac(_) => key_type.oct_length().is_some(),
            Work::Ecdsa(curve, _) => key_type.curve() == Some(curve),
        }
    }

    /// Whether it encrypts; else it signs.
    pub fn encrypts(self) -> bool {
        !matches!(self.work, Work::Rsa(..) | Work::Ecdsa(..) | Work::Hmac(_))
    }

    /// Whether it wraps keys; AES-GCM and AES-CBC encrypt only.
    pub fn wraps(self) -> bool {
        matches!(self.work, Work::Oaep(_) | Work::Rsa15 | Work::KeyWrap(..))
    }

    /// Whether encrypting by it also opens ciphertexts: the caller chooses what the block cipher sees.
    pub fn opens_more(self) -> bool {
        matches!(self.work, Work::Cbc(..))
    }

    /// Whether its uses are counted.
    pub(crate) fn is_counted(self) -> bool {
        matches!(self.work, Work::Gcm(_))
    }

    /// Reads the name, for use with a key of this type.
    pub(super) fn parse_for(text: &str, key_type: KeyType, encrypts: bool) -> Result<Self, KeystoreError> {
        let algorithm = Self::parse(text)?;
        if algorithm.encrypts() != encrypts || !algorithm.fits(key_type) {
            return Err(KeystoreError::OperationNotAllowed("the algorithm does not fit the key"));
        }
        Ok(algorithm)
    }
}
