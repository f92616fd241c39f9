//! The structures themselves. TPM Library part 2: TPMT_PUBLIC (12.2.4), TPMS_ATTEST (10.12.8), TPMT_SIGNATURE (11.3.4).

use openssl::ecdsa::EcdsaSig;
use openssl::hash::{MessageDigest, hash};
use openssl::rsa::Padding;
use openssl::sign::Signer;
use serde_json::{Map, Value, json};

use super::{Pcrs, Signs};
use crate::keys::{self, Key};

/// TPMA_OBJECT.
pub mod attributes {
    /// fixedTPM.
    pub const FIXED_TPM: u32 = 1 << 1;
    /// fixedParent.
    pub const FIXED_PARENT: u32 = 1 << 4;
    /// sensitiveDataOrigin.
    pub const SENSITIVE_DATA_ORIGIN: u32 = 1 << 5;
    /// userWithAuth.
    pub const USER_WITH_AUTH: u32 = 1 << 6;
    /// restricted.
    pub const RESTRICTED: u32 = 1 << 16;
    /// decrypt.
    pub const DECRYPT: u32 = 1 << 17;
    /// sign.
    pub const SIGN: u32 = 1 << 18;
}
use attributes::{DECRYPT, FIXED_PARENT, FIXED_TPM, RESTRICTED, SENSITIVE_DATA_ORIGIN, SIGN, USER_WITH_AUTH};

/// What is public of an object. Every member may be changed.
#[derive(Clone, Debug)]
pub struct Object {
    /// Type, 1 for RSA, 0x23 for ECC.
    pub kind: u16,
    /// Number of the name's hash: SHA-256.
    pub name_hash: u16,
    /// TPMA_OBJECT.
    pub attributes: u32,
    /// Digest of a policy, or nothing.
    pub policy: Vec<u8>,
    /// Symmetric definition, scheme and the rest of the parameters up to the unique part.
    pub parameters: Vec<u8>,
    /// The unique part: modulus, or coordinates.
    pub unique: Vec<u8>,
}

const INSIDE: u32 = FIXED_TPM | FIXED_PARENT | SENSITIVE_DATA_ORIGIN | USER_WITH_AUTH;

impl Object {
    /// A restricted signing key.
    pub fn signing(key: &Key, signs: Signs) -> Self {
        let scheme = [&scheme_of(signs)[..], &number(hash_of(signs)).to_be_bytes()].concat();
        Self::of(key, INSIDE | RESTRICTED | SIGN, &[0, 0x10], &scheme)
    }

    /// A storage key by the TCG's template, with AES-128 in CFB mode.
    pub fn endorsement(key: &Key) -> Self {
        let attributes = FIXED_TPM | FIXED_PARENT | SENSITIVE_DATA_ORIGIN | RESTRICTED | DECRYPT | 1 << 7;
        let object = Self::of(key, attributes, &[0, 6, 0, 128, 0, 0x43], &[0, 0x10]);
        Self { policy: vec![0x83; 32], ..object }
    }

    /// A key that decrypts for its owner.
    pub fn decrypting(key: &Key) -> Self {
        Self::of(key, INSIDE | DECRYPT, &[0, 0x10], &[0, 0x10])
    }

    fn of(key: &Key, attributes: u32, symmetric: &[u8], scheme: &[u8]) -> Self {
        let (kind, rest, unique) = match key.rsa() {
            Ok(rsa) => {
                let bits = (rsa.size() * 8) as u16;
                (1, [&bits.to_be_bytes()[..], &[0; 4]].concat(), sized(&rsa.n().to_vec()))
            }
            Err(_) => {
                let point = keys::point(key);
                let (x, y) = point.split_at(point.len() / 2);
                let curve: u16 = if x.len() == 32 { 3 } else { 4 };
                let rest = [&curve.to_be_bytes()[..], &[0, 0x10]].concat();
                (0x23, rest, [sized(x), sized(y)].concat())
            }
        };
        let parameters = [symmetric, scheme, &rest].concat();
        Self { kind, name_hash: 0x0b, attributes, policy: Vec::new(), parameters, unique }
    }

    /// TPMT_PUBLIC.
    pub fn area(&self) -> Vec<u8> {
        let mut area = self.kind.to_be_bytes().to_vec();
        area.extend(self.name_hash.to_be_bytes());
        area.extend(self.attributes.to_be_bytes());
        area.extend(sized(&self.policy));
        area.extend(&self.parameters);
        area.extend(&self.unique);
        area
    }

    /// The name.
    pub fn name(&self) -> Vec<u8> {
        [&[0, 0x0b][..], &keys::sha256(&self.area())].concat()
    }
}

/// The name of an object under a parent of the forge's.
pub(super) fn qualified(object: &Object) -> Vec<u8> {
    [&[0, 0x0b][..], &keys::sha256(&[&[0, 0x0b][..], &[0x55; 32], &object.name()].concat())].concat()
}

/// What is common to all attestations.
#[derive(Clone, Debug)]
pub struct AttestBody {
    /// Qualified name of the signer.
    pub qualified_signer: Vec<u8>,
    /// Qualifying data.
    pub extra_data: Vec<u8>,
    /// Clock, resets, resumes, safe.
    pub clock: (u64, u32, u32, bool),
    /// Number of the firmware.
    pub firmware_version: u64,
}

/// TPMS_ATTEST of a type with its information.
pub(super) fn attest(body: &AttestBody, kind: u16, info: &[u8]) -> Vec<u8> {
    let mut out = 0xff54_4347_u32.to_be_bytes().to_vec();
    out.extend(kind.to_be_bytes());
    out.extend(sized(&body.qualified_signer));
    out.extend(sized(&body.extra_data));
    out.extend(body.clock.0.to_be_bytes());
    out.extend(body.clock.1.to_be_bytes());
    out.extend(body.clock.2.to_be_bytes());
    out.push(u8::from(body.clock.3));
    out.extend(body.firmware_version.to_be_bytes());
    out.extend(info);
    out
}

/// TPMS_CERTIFY_INFO.
pub(super) fn certify_info(object: &Object) -> Vec<u8> {
    [sized(&object.name()), sized(&qualified(object))].concat()
}

/// Registers in the order in which they are quoted, and their values.
#[derive(Clone, Debug)]
pub struct Selected(pub Vec<Bank>);

/// Name of a bank, and its registers with their values.
pub type Bank = (&'static str, Vec<(u32, Vec<u8>)>);

impl Selected {
    /// All of these values.
    pub fn of(pcrs: &Pcrs) -> Self {
        let bank = |values: &std::collections::BTreeMap<u32, Vec<u8>>| values.clone().into_iter().collect();
        Self(pcrs.iter().map(|(name, values)| (*name, bank(values))).collect())
    }

    /// TPMS_QUOTE_INFO: the selection and the digest by this hash.
    pub(super) fn quote_info(&self, digest_hash: &str) -> Vec<u8> {
        let mut out = (self.0.len() as u32).to_be_bytes().to_vec();
        for (name, values) in &self.0 {
            out.extend(number(name).to_be_bytes());
            let map = values.iter().fold(0u32, |map, (index, _)| map | 1 << index);
            out.push(3);
            out.extend(&map.to_le_bytes()[..3]);
        }
        let all: Vec<u8> = self.0.iter().flat_map(|(_, values)| values.iter().flat_map(|(_, v)| v.clone())).collect();
        out.extend(sized(&digest(digest_hash, &all)));
        out
    }
}

/// Values as the document writes them.
pub(super) fn values(pcrs: &Pcrs) -> Value {
    let bank = |values: &std::collections::BTreeMap<u32, Vec<u8>>| -> Map<String, Value> {
        values.iter().map(|(index, value)| (index.to_string(), json!(hex::encode(value)))).collect()
    };
    Value::Object(pcrs.iter().map(|(name, values)| ((*name).to_owned(), Value::Object(bank(values)))).collect())
}

fn digest(name: &str, bytes: &[u8]) -> Vec<u8> {
    hash(message_digest(name), bytes).unwrap().to_vec()
}

fn message_digest(name: &str) -> MessageDigest {
    match name {
        "sha1" => MessageDigest::sha1(),
        "sha256" => MessageDigest::sha256(),
        "sha384" => MessageDigest::sha384(),
        other => panic!("hash `{other}`"),
    }
}

/// TPM_ALG_ID of a hash.
pub(super) fn number(name: &str) -> u16 {
    match name {
        "sha1" => 0x04,
        "sha256" => 0x0b,
        "sha384" => 0x0c,
        other => panic!("hash `{other}`"),
    }
}

/// The hash that goes with a scheme here.
pub(super) fn hash_of(signs: Signs) -> &'static str {
    match signs {
        Signs::P384 => "sha384",
        Signs::Rsassa | Signs::Rsapss | Signs::P256 => "sha256",
    }
}

fn scheme_of(signs: Signs) -> [u8; 2] {
    match signs {
        Signs::Rsassa => [0, 0x14],
        Signs::Rsapss => [0, 0x16],
        Signs::P256 | Signs::P384 => [0, 0x18],
    }
}

/// TPMT_SIGNATURE.
pub(super) fn sign(key: &Key, signs: Signs, message: &[u8]) -> Vec<u8> {
    let name = hash_of(signs);
    let mut out = scheme_of(signs).to_vec();
    out.extend(number(name).to_be_bytes());
    let mut signer = Signer::new(message_digest(name), key).unwrap();
    match signs {
        Signs::Rsassa => signer.set_rsa_padding(Padding::PKCS1).unwrap(),
        Signs::Rsapss => signer.set_rsa_padding(Padding::PKCS1_PSS).unwrap(),
        Signs::P256 | Signs::P384 => {
            let der = signer.sign_oneshot_to_vec(message).unwrap();
            let signature = EcdsaSig::from_der(&der).unwrap();
            let width = if signs == Signs::P256 { 32 } else { 48 };
            out.extend(sized(&signature.r().to_vec_padded(width).unwrap()));
            out.extend(sized(&signature.s().to_vec_padded(width).unwrap()));
            return out;
        }
    }
    out.extend(sized(&signer.sign_oneshot_to_vec(message).unwrap()));
    out
}

/// A TPM2B.
pub(super) fn sized(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat()
}
