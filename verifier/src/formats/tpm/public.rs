//! What a key of a TPM is: TPMT_PUBLIC. Part 2, sections 8.3 (TPMA_OBJECT), 12.2.4; names: part 1, section 16.

use std::fmt;

use super::algorithm::{self, AES, CFB, Curve, ECC, NULL, RSA, SignatureScheme};
use super::signature::padded;
use crate::error::VerifyError;
use crate::formats::bytes::Reader;
use crate::formats::tcg::Bank;
use crate::signatures::{PublicKey, has_roca_fingerprint};

const PART: &str = "tpm-public";
/// The most bytes of a public area: RSA 4096 with a policy of SHA-512 has under 700.
const MAX: usize = 1_024;
/// The most bytes of a policy digest.
const MAX_POLICY: usize = 64;
/// The exponent that zero stands for.
const DEFAULT_EXPONENT: u32 = 65_537;

/// TPMA_OBJECT: what an object may do and where it came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attributes(u32);

impl Attributes {
    const FIXED_TPM: u32 = 1 << 1;
    const FIXED_PARENT: u32 = 1 << 4;
    const SENSITIVE_DATA_ORIGIN: u32 = 1 << 5;
    const RESTRICTED: u32 = 1 << 16;
    const DECRYPT: u32 = 1 << 17;
    const SIGN: u32 = 1 << 18;
    /// Bits 0, 3, 12 to 15 and 20 to 31 are reserved and zero; 8 and 9 are revision 1.83's (firmware and SVN limited).
    const RESERVED: u32 = 0xfff0_f009;

    const fn has(self, bit: u32) -> bool {
        self.0 & bit != 0
    }
    /// The 32 bits.
    pub const fn bits(self) -> u32 {
        self.0
    }
    /// It cannot leave its TPM.
    pub const fn fixed_tpm(self) -> bool {
        self.has(Self::FIXED_TPM)
    }
    /// It cannot be moved under another parent.
    pub const fn fixed_parent(self) -> bool {
        self.has(Self::FIXED_PARENT)
    }
    /// The TPM made its secret part; nobody brought it.
    pub const fn sensitive_data_origin(self) -> bool {
        self.has(Self::SENSITIVE_DATA_ORIGIN)
    }
    /// A signing key: signs only what the TPM made. A decryption key: protects other objects.
    pub const fn restricted(self) -> bool {
        self.has(Self::RESTRICTED)
    }
    /// It may decrypt.
    pub const fn decrypt(self) -> bool {
        self.has(Self::DECRYPT)
    }
    /// It may sign.
    pub const fn sign(self) -> bool {
        self.has(Self::SIGN)
    }
}

/// The numbers of a public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Key {
    /// RSA of 2048, 3072 or 4096 bits.
    Rsa {
        /// Modulus, without leading zero bytes.
        n: Vec<u8>,
        /// Exponent, without leading zero bytes.
        e: Vec<u8>,
    },
    /// EC, a point on the curve.
    Ec {
        /// The curve.
        curve: Curve,
        /// `04 ‖ x ‖ y`.
        point: Vec<u8>,
    },
}

/// The cipher by which a storage key protects its children.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Symmetric {
    /// TPM_ALG_NULL.
    None,
    /// AES in CFB mode with a key of so many bits: 128 or 256.
    AesCfb(u16),
}

/// How a key signs or decrypts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// TPM_ALG_NULL: the caller of the TPM chooses.
    Any,
    /// A signature scheme and its hash.
    Signs(SignatureScheme, Bank),
    /// A scheme of encryption or agreement: RSAES, OAEP, ECDH.
    Decrypts(u16),
}

/// A public area, whole and well-formed. Nothing says that a TPM holds the key: that is for a certificate, an enrolment or a pin.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicArea {
    bytes: Vec<u8>,
    name: Vec<u8>,
    pub(super) name_hash: Bank,
    attributes: Attributes,
    pub(super) symmetric: Symmetric,
    scheme: Scheme,
    key: Key,
}

impl PublicArea {
    /// Reads a TPMT_PUBLIC with nothing behind it, or a TPM2B_PUBLIC whose size is exact.
    ///
    /// # Errors
    /// `malformed`; `too-large`; `unsupported`: a type other than RSA and ECC, RSA outside 2048, 3072 and 4096 bits or with another
    /// exponent than 65537, another curve than P-256 and P-384, a point off the curve, another hash, cipher or scheme (TPM-11, TPM-12);
    /// `revoked`: a modulus that can be factored (TPM-38).
    pub fn parse(bytes: &[u8]) -> Result<Self, VerifyError> {
        if bytes.len() > MAX {
            return Err(VerifyError::too_large(PART, format!("{} bytes, at most {MAX}", bytes.len())));
        }
        // A size that is also a type (1 or 35) would have to stand before an area far too short for any key.
        let area = match bytes.split_first_chunk::<2>() {
            Some((size, area)) if usize::from(u16::from_be_bytes(*size)) == area.len() => area,
            _ => bytes,
        };
        Self::read(area)
    }

    fn read(area: &[u8]) -> Result<Self, VerifyError> {
        let mut reader = Reader::new(area, PART);
        let kind = reader.u16_be("type")?;
        if kind != RSA && kind != ECC {
            let what = algorithm::name(kind);
            return Err(VerifyError::unsupported(PART, format!("a key of type `{what}`; rsa and ecc are served")));
        }
        let name_hash = algorithm::hash(reader.u16_be("name algorithm")?, PART)?;
        if !name_hash.is_strong() {
            return Err(VerifyError::unsupported(PART, "the name algorithm is sha1"));
        }
        let attributes = Attributes(reader.u32_be("attributes")?);
        if attributes.has(Attributes::RESERVED) {
            return Err(VerifyError::malformed(PART, "a reserved attribute is set"));
        }
        let policy = reader.sized_be("policy", MAX_POLICY)?;
        if !policy.is_empty() && policy.len() != name_hash.size() {
            return Err(VerifyError::malformed(PART, "the policy is no digest of the name algorithm"));
        }
        let symmetric = Symmetric::read(&mut reader)?;
        let scheme = Scheme::read(&mut reader)?;
        let key = if kind == RSA { read_rsa(&mut reader)? } else { read_ec(&mut reader)? };
        reader.finish()?;
        let name = [&name_hash.id().to_be_bytes()[..], &name_hash.digest(&[area])].concat();
        Ok(Self { bytes: area.to_vec(), name, name_hash, attributes, symmetric, scheme, key })
    }

    /// The TPMT_PUBLIC.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
    /// The name: two bytes of the hash's number and the digest of the public area.
    pub fn name(&self) -> &[u8] {
        &self.name
    }
    /// What the object may do.
    pub fn attributes(&self) -> Attributes {
        self.attributes
    }
    pub(crate) fn scheme(&self) -> Scheme {
        self.scheme
    }
    pub(crate) fn key(&self) -> &Key {
        &self.key
    }

    /// The key as OpenSSL's. `None` only if OpenSSL refuses numbers that were looked at before.
    pub(crate) fn public_key(&self) -> Option<PublicKey> {
        match &self.key {
            Key::Rsa { n, e } => PublicKey::from_rsa(n, e),
            Key::Ec { point, .. } => PublicKey::from_point(point),
        }
    }
}

impl fmt::Debug for PublicArea {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicArea({})", hex::encode(&self.name))
    }
}

impl Symmetric {
    fn read(reader: &mut Reader<'_>) -> Result<Self, VerifyError> {
        match reader.u16_be("cipher")? {
            NULL => Ok(Self::None),
            AES => {
                let bits = reader.u16_be("key bits of the cipher")?;
                let mode = reader.u16_be("mode of the cipher")?;
                if !matches!(bits, 128 | 256) || mode != CFB {
                    return Err(VerifyError::unsupported(
                        PART,
                        "the cipher is aes, but not of 128 or 256 bits in mode cfb",
                    ));
                }
                Ok(Self::AesCfb(bits))
            }
            other => {
                let name = algorithm::name(other);
                Err(VerifyError::unsupported(PART, format!("cipher `{name}`; aes is served")))
            }
        }
    }
}

impl Scheme {
    fn read(reader: &mut Reader<'_>) -> Result<Self, VerifyError> {
        let id = reader.u16_be("scheme")?;
        if let Some(scheme) = SignatureScheme::from_id(id) {
            return Ok(Self::Signs(scheme, algorithm::hash(reader.u16_be("hash of the scheme")?, PART)?));
        }
        match id {
            NULL => Ok(Self::Any),
            0x0015 => Ok(Self::Decrypts(id)),
            0x0017 | 0x0019 => {
                algorithm::hash(reader.u16_be("hash of the scheme")?, PART)?;
                Ok(Self::Decrypts(id))
            }
            other => Err(VerifyError::unsupported(PART, format!("scheme `{}`", algorithm::name(other)))),
        }
    }
}

/// TPMS_RSA_PARMS from its key bits on, and the modulus.
fn read_rsa(reader: &mut Reader<'_>) -> Result<Key, VerifyError> {
    let unsupported = |what: &'static str| VerifyError::unsupported(PART, what);
    let bits = reader.u16_be("key bits")?;
    if !matches!(bits, 2_048 | 3_072 | 4_096) {
        return Err(unsupported("rsa keys of 2048, 3072 and 4096 bits are served"));
    }
    let exponent = reader.u32_be("exponent")?;
    if exponent != 0 && exponent != DEFAULT_EXPONENT {
        return Err(unsupported("the exponent is not 65537"));
    }
    let n = reader.sized_be("modulus", usize::from(bits / 8))?;
    if n.len() != usize::from(bits / 8) || n.first().is_none_or(|byte| byte & 0x80 == 0) {
        return Err(VerifyError::malformed(PART, format!("the modulus is no number of {bits} bits")));
    }
    if n.last().is_none_or(|byte| byte & 1 == 0) {
        return Err(unsupported("the modulus is even"));
    }
    // Made by chips that were sold in TPMs (TPM-38).
    if openssl::bn::BigNum::from_slice(n).is_ok_and(|n| has_roca_fingerprint(&n)) {
        return Err(VerifyError::revoked(PART, "the key can be factored: CVE-2017-15361"));
    }
    Ok(Key::Rsa { n: n.to_vec(), e: vec![1, 0, 1] })
}

/// TPMS_ECC_PARMS from its curve on, and the point.
fn read_ec(reader: &mut Reader<'_>) -> Result<Key, VerifyError> {
    let curve = Curve::from_id(reader.u16_be("curve")?, PART)?;
    let kdf = reader.u16_be("kdf")?;
    if kdf != NULL {
        return Err(VerifyError::unsupported(PART, "a kdf of the key's own"));
    }
    let mut coordinate = |field| {
        let number = reader.sized_be(field, curve.size())?;
        padded(number, curve.size()).ok_or_else(|| VerifyError::malformed(PART, "a coordinate is too long"))
    };
    let (x, y) = (coordinate("x")?, coordinate("y")?);
    let point = [&[4][..], &x, &y].concat();
    if PublicKey::from_point(&point).is_none() {
        return Err(VerifyError::unsupported(PART, "the point is not on the curve"));
    }
    Ok(Key::Ec { curve, point })
}

/// TPM2B_NAME of an object. Part 2, section 10.5.3.
pub(super) struct Name;

impl Name {
    /// Reads a name: the number of a hash and a digest of its length.
    ///
    /// # Errors
    /// `malformed`: a handle, nothing, or another length; `unsupported`: another hash.
    pub fn read<'a>(reader: &mut Reader<'a>, field: &str) -> Result<&'a [u8], VerifyError> {
        const NAME: &str = "tpm-name";
        let name = reader.sized_be(field, 66)?;
        let (id, digest) = name
            .split_first_chunk::<2>()
            .ok_or_else(|| VerifyError::malformed(NAME, format!("`{field}` is no name of an object")))?;
        let hash = algorithm::hash(u16::from_be_bytes(*id), NAME)?;
        if digest.len() != hash.size() {
            return Err(VerifyError::malformed(NAME, format!("`{field}` is no digest of its hash")));
        }
        Ok(name)
    }
}
