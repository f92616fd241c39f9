//! Numbers of algorithms, curves and schemes. Part 2, sections 6.3 (TPM_ALG_ID), 6.4 (TPM_ECC_CURVE).

use crate::error::VerifyError;
use crate::formats::tcg::Bank;

/// TPM_ALG_NULL: no algorithm.
pub(super) const NULL: u16 = 0x0010;
/// TPM_ALG_RSA, a type of keys.
pub(super) const RSA: u16 = 0x0001;
/// TPM_ALG_ECC, a type of keys.
pub(super) const ECC: u16 = 0x0023;
/// TPM_ALG_AES.
pub(super) const AES: u16 = 0x0006;
/// TPM_ALG_CFB, a mode.
pub(super) const CFB: u16 = 0x0043;

/// The name of a TPM_ALG_ID in refusals.
pub(super) fn name(id: u16) -> String {
    let known = match id {
        0x0001 => "rsa",
        0x0003 => "tdes",
        0x0004 => "sha1",
        0x0005 => "hmac",
        0x0006 => "aes",
        0x0008 => "keyedhash",
        0x000b => "sha256",
        0x000c => "sha384",
        0x000d => "sha512",
        0x0010 => "null",
        0x0012 => "sm3-256",
        0x0013 => "sm4",
        0x0014 => "rsassa",
        0x0015 => "rsaes",
        0x0016 => "rsapss",
        0x0017 => "oaep",
        0x0018 => "ecdsa",
        0x0019 => "ecdh",
        0x001a => "ecdaa",
        0x001b => "sm2",
        0x001c => "ecschnorr",
        0x0023 => "ecc",
        0x0025 => "symcipher",
        0x0026 => "camellia",
        _ => return format!("0x{id:04x}"),
    };
    known.to_owned()
}

/// The hash of a TPM_ALG_ID.
///
/// # Errors
/// `unsupported`: SM3, SHA-3 or no hash at all.
pub(super) fn hash(id: u16, part: &'static str) -> Result<Bank, VerifyError> {
    Bank::from_id(id).ok_or_else(|| {
        VerifyError::unsupported(part, format!("hash algorithm `{}`; sha256, sha384 and sha512 are served", name(id)))
    })
}

/// How a TPM key signs. Part 1, annexes B and C.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum SignatureScheme {
    /// TPM_ALG_RSASSA: RSASSA-PKCS1-v1_5.
    Rsassa,
    /// TPM_ALG_RSAPSS: RSASSA-PSS, MGF1 with the same hash; the salt's length is the signer's choice.
    Rsapss,
    /// TPM_ALG_ECDSA.
    Ecdsa,
}

impl SignatureScheme {
    /// The scheme of a TPM_ALG_ID.
    pub const fn from_id(id: u16) -> Option<Self> {
        match id {
            0x0014 => Some(Self::Rsassa),
            0x0016 => Some(Self::Rsapss),
            0x0018 => Some(Self::Ecdsa),
            _ => None,
        }
    }

    /// The name in claims.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rsassa => "rsassa",
            Self::Rsapss => "rsapss",
            Self::Ecdsa => "ecdsa",
        }
    }
}

/// A curve. Part 2, table of TPM_ECC_CURVE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Curve {
    /// TPM_ECC_NIST_P256.
    P256,
    /// TPM_ECC_NIST_P384.
    P384,
}

impl Curve {
    /// The curve of a number; no other is served (TPM-11).
    pub fn from_id(id: u16, part: &'static str) -> Result<Self, VerifyError> {
        match id {
            0x0003 => Ok(Self::P256),
            0x0004 => Ok(Self::P384),
            _ => Err(VerifyError::unsupported(part, format!("curve 0x{id:04x}; p-256 and p-384 are served"))),
        }
    }

    /// Bytes of a coordinate.
    pub const fn size(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
        }
    }
}
