//! Public keys and signature checks: the one module of the crate that asks OpenSSL whether a signature is right.
//!
//! The algorithm is fixed by the format that is read, never by what the evidence names (P2). Keys are built from their numbers
//! by the type's own reader, never by the generic decoder. FIPS 186-5, RFC 8017.

use std::fmt;
use std::sync::LazyLock;

use openssl::bn::{BigNum, BigNumContext, BigNumRef};
use openssl::ec::{EcGroup, EcKey, EcPoint};
use openssl::ecdsa::EcdsaSig;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{Id, PKey, Public};
use openssl::rsa::{Padding, Rsa};
use openssl::sign::{RsaPssSaltlen, Verifier};

use crate::formats::tcg::Bank;
use crate::formats::x509::Certificate;

/// The groups, made once: making one costs a good part of a signature check.
static P256: LazyLock<Option<EcGroup>> = LazyLock::new(|| EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).ok());
static P384: LazyLock<Option<EcGroup>> = LazyLock::new(|| EcGroup::from_curve_name(Nid::SECP384R1).ok());
static P521: LazyLock<Option<EcGroup>> = LazyLock::new(|| EcGroup::from_curve_name(Nid::SECP521R1).ok());

/// 2^255 - 19, little-endian.
const FIELD_PRIME: [u8; 32] = {
    let mut prime = [0xff; 32];
    prime[0] = 0xed;
    prime[31] = 0x7f;
    prime
};

/// The y of the points of order 1, 2, 4 and 8, little-endian.
const SMALL_ORDER: [[u8; 32]; 5] = {
    let (zero, mut one, mut minus_one) = ([0; 32], [0; 32], FIELD_PRIME);
    one[0] = 1;
    minus_one[0] = 0xec;
    let eighth = [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf,
        0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ];
    let other_eighth = [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20,
        0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ];
    [zero, one, minus_one, eighth, other_eighth]
};

/// The point of these coordinates as a key of OpenSSL's: an uncompressed point, `04 ‖ x ‖ y`. `None` when it is not on the curve.
pub(crate) fn ec_key(point: &[u8]) -> Option<EcKey<Public>> {
    let group = match point.len() {
        65 => P256.as_ref()?,
        97 => P384.as_ref()?,
        133 => P521.as_ref()?,
        _ => return None,
    };
    if point.first() != Some(&4) {
        return None;
    }
    let mut context = BigNumContext::new().ok()?;
    let on_curve = EcPoint::from_bytes(group, point, &mut context).ok()?;
    EcKey::from_public_key(group, &on_curve).ok()
}

/// A signature algorithm with the encoding of its signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Algorithm {
    /// ECDSA P-256 with SHA-256, r ‖ s big-endian, 64 bytes.
    P256Raw,
    /// ECDSA P-256 with SHA-256, DER.
    P256Der,
    /// ECDSA P-384 with SHA-384, r ‖ s big-endian, 96 bytes.
    P384Raw,
    /// ECDSA P-384 with SHA-384, DER.
    P384Der,
    /// ECDSA P-521 with SHA-512, r ‖ s big-endian, 132 bytes.
    P521Raw,
    /// RSASSA-PSS with SHA-256, MGF1 SHA-256, salt 32.
    PssSha256,
    /// RSASSA-PSS with SHA-384, MGF1 SHA-384, salt 48.
    PssSha384,
    /// RSASSA-PSS with SHA-512, MGF1 SHA-512, salt 64.
    PssSha512,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Pkcs1Sha256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Pkcs1Sha384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Pkcs1Sha512,
    /// Ed25519, 64 bytes; tokens only. RFC 8032 section 5.1.
    Ed25519,
    /// A TPM's RSASSA-PKCS1-v1_5 with this hash.
    TpmRsassa(Bank),
    /// A TPM's RSASSA-PSS, MGF1 with the same hash, a salt of the TPM's choice. TPM library, part 1, B.7.
    TpmRsapss(Bank),
    /// A TPM's ECDSA on the key's curve with this hash, r ‖ s big-endian, each as long as the order.
    TpmEcdsa(Bank),
}

impl Algorithm {
    pub const fn number(self) -> u8 {
        match self {
            Algorithm::P256Raw => 1,
            Algorithm::P256Der => 2,
            Algorithm::P384Raw => 3,
            Algorithm::P384Der => 4,
            Algorithm::PssSha384 => 5,
            Algorithm::P521Raw => 6,
            Algorithm::PssSha256 => 7,
            Algorithm::PssSha512 => 8,
            Algorithm::Pkcs1Sha256 => 9,
            Algorithm::Pkcs1Sha384 => 10,
            Algorithm::Pkcs1Sha512 => 11,
            Algorithm::Ed25519 => 12,
            Algorithm::TpmRsassa(hash) => 0x20 + hash as u8,
            Algorithm::TpmRsapss(hash) => 0x28 + hash as u8,
            Algorithm::TpmEcdsa(hash) => 0x30 + hash as u8,
        }
    }
}

/// A public key of one of the types that attestation and tokens use. A clone is the same key of OpenSSL's.
#[derive(Clone)]
pub(crate) enum PublicKey {
    /// NIST P-256.
    P256(EcKey<Public>, [u8; 32]),
    /// NIST P-384.
    P384(EcKey<Public>, [u8; 32]),
    /// NIST P-521; tokens only.
    P521(EcKey<Public>, [u8; 32]),
    /// Ed25519; tokens only.
    Ed25519(PKey<Public>, [u8; 32]),
    /// RSA, 2048 to 4096 bits.
    Rsa(PKey<Public>, [u8; 32]),
}

impl PublicKey {
    /// From an uncompressed point `04 ‖ x ‖ y`: 65 bytes on P-256, 97 on P-384, 133 on P-521. `None` when it is not on the curve.
    pub fn from_point(point: &[u8]) -> Option<Self> {
        let key = ec_key(point)?;
        let digest = openssl::sha::sha256(point);
        Some(match point.len() {
            133 => Self::P521(key, digest),
            97 => Self::P384(key, digest),
            _ => Self::P256(key, digest),
        })
    }

    /// From modulus and exponent, big-endian. `None` outside 2048 to 4096 bits or with an even or tiny number.
    pub fn from_rsa(n: &[u8], e: &[u8]) -> Option<Self> {
        let modulus = BigNum::from_slice(n).ok()?;
        let exponent = BigNum::from_slice(e).ok()?;
        let sized = (2048..=4096).contains(&modulus.num_bits()) && (2..=64).contains(&exponent.num_bits());
        if !sized || !modulus.is_bit_set(0) || !exponent.is_bit_set(0) {
            return None;
        }
        // The length in front: no two pairs of numbers are the same bytes.
        let length = u32::try_from(n.len()).ok()?.to_be_bytes();
        let digest = openssl::sha::sha256(&[length.as_slice(), n, e].concat());
        let key = PKey::from_rsa(Rsa::from_public_components(modulus, exponent).ok()?).ok()?;
        Some(Self::Rsa(key, digest))
    }

    /// From the 32 bytes of a point on edwards25519. `None` for a point of small order, under which anybody can sign, and for a
    /// number that is not below the field's prime.
    pub fn from_ed25519(point: &[u8; 32]) -> Option<Self> {
        let mut y = *point;
        // The highest bit is the sign of x.
        if let Some(last) = y.last_mut() {
            *last &= 0x7f;
        }
        let is_reduced = y.iter().rev().lt(FIELD_PRIME.iter().rev());
        if !is_reduced || SMALL_ORDER.contains(&y) {
            return None;
        }
        let key = PKey::public_key_from_raw_bytes(point, Id::ED25519).ok()?;
        Some(Self::Ed25519(key, openssl::sha::sha256(point)))
    }

    /// The modulus of an RSA key.
    pub fn modulus(&self) -> Option<BigNum> {
        match self {
            Self::Rsa(key, _) => key.rsa().ok()?.n().to_owned().ok(),
            _ => None,
        }
    }

    /// SHA-256 of the key's numbers.
    pub fn digest(&self) -> [u8; 32] {
        match self {
            Self::P256(_, d) | Self::P384(_, d) | Self::P521(_, d) | Self::Ed25519(_, d) | Self::Rsa(_, d) => *d,
        }
    }

    /// SHA-256 of the key's SubjectPublicKeyInfo in DER, in the one form that OpenSSL writes. `None` only if OpenSSL fails.
    pub fn spki_sha256(&self) -> Option<[u8; 32]> {
        let der = match self {
            Self::P256(key, _) | Self::P384(key, _) | Self::P521(key, _) => key.public_key_to_der(),
            Self::Ed25519(key, _) | Self::Rsa(key, _) => key.public_key_to_der(),
        };
        der.ok().map(|der| openssl::sha::sha256(&der))
    }

    /// Whether `signature` over `message` is right. A key of another type than the algorithm's is simply wrong.
    pub fn verify(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        match (algorithm, self) {
            (Algorithm::P256Raw, Self::P256(key, _)) => {
                ecdsa(key, &openssl::sha::sha256(message), raw_signature(signature, 32))
            }
            (Algorithm::P256Der, Self::P256(key, _)) => {
                ecdsa(key, &openssl::sha::sha256(message), der_signature(signature))
            }
            (Algorithm::P384Raw, Self::P384(key, _)) => {
                ecdsa(key, &openssl::sha::sha384(message), raw_signature(signature, 48))
            }
            (Algorithm::P384Der, Self::P384(key, _)) => {
                ecdsa(key, &openssl::sha::sha384(message), der_signature(signature))
            }
            (Algorithm::P521Raw, Self::P521(key, _)) => {
                ecdsa(key, &openssl::sha::sha512(message), raw_signature(signature, 66))
            }
            (Algorithm::TpmEcdsa(hash), Self::P256(key, _)) => {
                ecdsa(key, &hash.digest(&[message]), raw_signature(signature, 32))
            }
            (Algorithm::TpmEcdsa(hash), Self::P384(key, _)) => {
                ecdsa(key, &hash.digest(&[message]), raw_signature(signature, 48))
            }
            (Algorithm::Ed25519, Self::Ed25519(key, _)) => ed25519(key, message, signature).unwrap_or(false),
            (_, Self::Rsa(key, _)) => rsa(algorithm, key, message, signature).unwrap_or(false),
            _ => false,
        }
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::P256(..) => "p-256",
            Self::P384(..) => "p-384",
            Self::P521(..) => "p-521",
            Self::Ed25519(..) => "ed25519",
            Self::Rsa(..) => "rsa",
        };
        write!(f, "{name}:{}", hex::encode(self.digest()))
    }
}

/// Keys of CVE-2017-15361: the modulus is a power of 65537 modulo every small prime. A modulus made otherwise is so with chance
/// below 2^-27.
pub(crate) fn has_roca_fingerprint(n: &BigNumRef) -> bool {
    (3..=167_u32).filter(|prime| (2..*prime).all(|divisor| prime.checked_rem(divisor) != Some(0))).all(|prime| {
        let remainder = n.mod_word(prime).unwrap_or(u64::MAX);
        let next = |power: &u64| power.checked_mul(65_537)?.checked_rem(u64::from(prime));
        let powers = std::iter::successors(Some(1_u64), next);
        powers.take(usize::try_from(prime).unwrap_or_default()).any(|power| power == remainder)
    })
}

/// Whether `certificate` carries a right signature by `key`, outside any memory: for anchors, once at start.
pub(crate) fn certificate_signed_by(certificate: &Certificate, key: &PublicKey) -> bool {
    certificate
        .algorithm()
        .is_some_and(|algorithm| key.verify(algorithm, certificate.signed_bytes(), certificate.signature()))
}

fn raw_signature(bytes: &[u8], half: usize) -> Option<EcdsaSig> {
    if bytes.len() != half.checked_mul(2)? {
        return None;
    }
    let (r, s) = bytes.split_at_checked(half)?;
    EcdsaSig::from_private_components(BigNum::from_slice(r).ok()?, BigNum::from_slice(s).ok()?).ok()
}

fn der_signature(bytes: &[u8]) -> Option<EcdsaSig> {
    let signature = EcdsaSig::from_der(bytes).ok()?;
    // OpenSSL reads BER leniently: only the one DER form of the two numbers counts.
    (signature.to_der().ok()?.as_slice() == bytes).then_some(signature)
}

fn ecdsa(key: &EcKey<Public>, digest: &[u8], signature: Option<EcdsaSig>) -> bool {
    signature.is_some_and(|s| s.verify(digest, key).unwrap_or(false))
}

fn ed25519(key: &PKey<Public>, message: &[u8], signature: &[u8]) -> Result<bool, openssl::error::ErrorStack> {
    Verifier::new_without_digest(key)?.verify_oneshot(signature, message)
}

fn rsa(
    algorithm: Algorithm,
    key: &PKey<Public>,
    message: &[u8],
    signature: &[u8],
) -> Result<bool, openssl::error::ErrorStack> {
    let fixed = RsaPssSaltlen::custom;
    let (digest, salt) = match algorithm {
        Algorithm::Pkcs1Sha256 => (MessageDigest::sha256(), None),
        Algorithm::Pkcs1Sha384 => (MessageDigest::sha384(), None),
        Algorithm::Pkcs1Sha512 => (MessageDigest::sha512(), None),
        Algorithm::PssSha256 => (MessageDigest::sha256(), Some(fixed(32))),
        Algorithm::PssSha384 => (MessageDigest::sha384(), Some(fixed(48))),
        Algorithm::PssSha512 => (MessageDigest::sha512(), Some(fixed(64))),
        Algorithm::TpmRsassa(hash) => (digest_of(hash), None),
        Algorithm::TpmRsapss(hash) => (digest_of(hash), Some(ANY_SALT)),
        _ => return Ok(false),
    };
    let mut verifier = Verifier::new(digest, key)?;
    match salt {
        None => verifier.set_rsa_padding(Padding::PKCS1)?,
        Some(salt) => {
            verifier.set_rsa_padding(Padding::PKCS1_PSS)?;
            verifier.set_rsa_mgf1_md(digest)?;
            verifier.set_rsa_pss_saltlen(salt)?;
        }
    }
    verifier.verify_oneshot(signature, message)
}

/// The salt is as long as the signature says: RSA_PSS_SALTLEN_AUTO when checking.
const ANY_SALT: RsaPssSaltlen = RsaPssSaltlen::MAXIMUM_LENGTH;

fn digest_of(hash: Bank) -> MessageDigest {
    match hash {
        Bank::Sha1 => MessageDigest::sha1(),
        Bank::Sha256 => MessageDigest::sha256(),
        Bank::Sha384 => MessageDigest::sha384(),
        Bank::Sha512 => MessageDigest::sha512(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rsa_keys_of_the_same_bytes_split_elsewhere_have_different_digests() {
        let all = [[0xc5; 255].as_slice(), &[0x11, 0x01, 0xff, 0x03]].concat();
        let key = |at: usize| PublicKey::from_rsa(&all[..at], &all[at..]).expect("a key").digest();
        assert_ne!(key(256), key(258));
    }
}
