//! Throw-away keys and their signatures in the encodings that formats ask for.
//! ECDSA per FIPS 186-5, RSASSA-PSS and PKCS #1 v1.5 per RFC 8017.

use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::ecdsa::EcdsaSig;
use openssl::hash::{MessageDigest, hash};
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Padding;
use openssl::sign::{RsaPssSaltlen, Signer};

/// A private key of a throw-away hierarchy.
pub type Key = PKey<Private>;

fn ec(curve: Nid) -> Key {
    let group = EcGroup::from_curve_name(curve).unwrap();
    PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
}

/// New P-256 key.
pub fn p256() -> Key {
    ec(Nid::X9_62_PRIME256V1)
}

/// New P-384 key.
pub fn p384() -> Key {
    ec(Nid::SECP384R1)
}

/// Key from PEM (PKCS #8).
pub fn from_pem(pem: &str) -> Key {
    PKey::private_key_from_pem(pem.as_bytes()).unwrap()
}

/// An RSA key of 1,024 bits: too short, on purpose.
pub fn rsa_1024() -> Key {
    from_pem(include_str!("../data/throw-away-rsa-1024.pem"))
}

/// SubjectPublicKeyInfo of a key, DER.
pub fn spki(key: &Key) -> Vec<u8> {
    key.public_key_to_der().unwrap()
}

/// Affine coordinates of an EC public key as X ‖ Y, big-endian: 64 bytes on P-256, 96 on P-384.
pub fn point(key: &Key) -> Vec<u8> {
    let ec = key.ec_key().unwrap();
    let mut context = openssl::bn::BigNumContext::new().unwrap();
    let form = openssl::ec::PointConversionForm::UNCOMPRESSED;
    ec.public_key().to_bytes(ec.group(), form, &mut context).unwrap()[1..].to_vec()
}

/// SHA-256 of bytes.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    digest(MessageDigest::sha256(), bytes)
}

/// SHA-384 of bytes.
pub fn sha384(bytes: &[u8]) -> [u8; 48] {
    digest(MessageDigest::sha384(), bytes)
}

/// SHA-512 of bytes.
pub fn sha512(bytes: &[u8]) -> [u8; 64] {
    digest(MessageDigest::sha512(), bytes)
}

/// SHA-1 of bytes, as RFC 5280 names key identifiers.
pub fn sha1(bytes: &[u8]) -> [u8; 20] {
    digest(MessageDigest::sha1(), bytes)
}

fn digest<const N: usize>(algorithm: MessageDigest, bytes: &[u8]) -> [u8; N] {
    hash(algorithm, bytes).unwrap().as_ref().try_into().unwrap()
}

/// Signature algorithm of a certificate, a list of revocations or a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SigAlg {
    /// ECDSA with SHA-256.
    EcdsaSha256,
    /// ECDSA with SHA-384.
    EcdsaSha384,
    /// ECDSA with SHA-1: too weak, on purpose.
    EcdsaSha1,
    /// RSASSA-PSS with SHA-384, MGF1 of the same and a salt of 48 bytes.
    RsaPssSha384 {
        /// Whether the default trailer field is spelled out, as AMD's authorities do.
        trailer: bool,
    },
    /// RSASSA-PSS signed with a salt of 32 bytes while its parameters claim 48.
    RsaPssSha384WrongSalt,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    RsaSha256,
    /// RSASSA-PKCS1-v1_5 with SHA-1: too weak, on purpose.
    RsaSha1,
}

/// Signs `message`; ECDSA signatures are DER `SEQUENCE { r, s }`.
pub fn sign(key: &Key, algorithm: SigAlg, message: &[u8]) -> Vec<u8> {
    let (digest, salt) = match algorithm {
        SigAlg::EcdsaSha256 | SigAlg::RsaSha256 => (MessageDigest::sha256(), None),
        SigAlg::EcdsaSha384 => (MessageDigest::sha384(), None),
        SigAlg::EcdsaSha1 | SigAlg::RsaSha1 => (MessageDigest::sha1(), None),
        SigAlg::RsaPssSha384 { .. } => (MessageDigest::sha384(), Some(48)),
        SigAlg::RsaPssSha384WrongSalt => (MessageDigest::sha384(), Some(32)),
    };
    let mut signer = Signer::new(digest, key).unwrap();
    if let Some(salt) = salt {
        signer.set_rsa_padding(Padding::PKCS1_PSS).unwrap();
        signer.set_rsa_mgf1_md(digest).unwrap();
        signer.set_rsa_pss_saltlen(RsaPssSaltlen::custom(salt)).unwrap();
    }
    signer.sign_oneshot_to_vec(message).unwrap()
}

/// RSASSA-PSS with MGF1 of the same digest and a salt of its length.
pub fn sign_pss(key: &Key, digest: MessageDigest, message: &[u8]) -> Vec<u8> {
    let mut signer = Signer::new(digest, key).unwrap();
    signer.set_rsa_padding(Padding::PKCS1_PSS).unwrap();
    signer.set_rsa_mgf1_md(digest).unwrap();
    signer.set_rsa_pss_saltlen(RsaPssSaltlen::DIGEST_LENGTH).unwrap();
    signer.sign_oneshot_to_vec(message).unwrap()
}

/// ECDSA signature as fixed-width big-endian r ‖ s; `width` is 32 for P-256, 48 for P-384.
pub fn ecdsa_fixed(key: &Key, algorithm: SigAlg, message: &[u8], width: i32) -> Vec<u8> {
    let der = sign(key, algorithm, message);
    let signature = EcdsaSig::from_der(&der).unwrap();
    let mut out = signature.r().to_vec_padded(width).unwrap();
    out.extend(signature.s().to_vec_padded(width).unwrap());
    out
}

/// The other valid s of an ECDSA signature (n − s), for signatures of fixed width.
pub fn flip_s(key: &Key, fixed: &[u8]) -> Vec<u8> {
    let ec = key.ec_key().unwrap();
    let (mut order, mut context) = (BigNum::new().unwrap(), openssl::bn::BigNumContext::new().unwrap());
    ec.group().order(&mut order, &mut context).unwrap();
    let width = fixed.len() / 2;
    let s = BigNum::from_slice(&fixed[width..]).unwrap();
    let flipped = &order - &s;
    let mut out = fixed[..width].to_vec();
    out.extend(flipped.to_vec_padded(width as i32).unwrap());
    out
}

/// Order of the key's curve, big-endian with the curve's width.
pub fn order(key: &Key) -> Vec<u8> {
    let ec = key.ec_key().unwrap();
    let (mut order, mut context) = (BigNum::new().unwrap(), openssl::bn::BigNumContext::new().unwrap());
    ec.group().order(&mut order, &mut context).unwrap();
    order.to_vec()
}
