//! TPMS_ATTEST, TPMT_SIGNATURE and TPMT_PUBLIC as a TPM writes them. TPM library, part 2, sections 10.12, 11.3 and 12.2.

use serde_json::{Value, json};

use crate::base64;
use crate::keys::{self, Key, SigAlg};

/// TPM_ALG_SHA256, as it stands before the digest in a name.
pub const NAME_SHA256: [u8; 2] = [0x00, 0x0b];

/// What is attested.
#[derive(Clone, Debug)]
pub enum Attested {
    /// Registers.
    Quote {
        /// Banks by TPM_ALG_ID, with their registers.
        selection: Vec<(u16, Vec<u32>)>,
        /// Over their values.
        digest: Vec<u8>,
    },
    /// A name.
    Certify {
        /// Of the object.
        name: Vec<u8>,
    },
}

/// An attestation; every member may be changed before [`Attest::bytes`].
#[derive(Clone, Debug)]
pub struct Attest {
    /// TPM_GENERATED_VALUE.
    pub magic: u32,
    /// TPM_ST.
    pub kind: u16,
    /// Qualifying data.
    pub extra_data: Vec<u8>,
    /// Milliseconds.
    pub clock: u64,
    /// Resets.
    pub reset_count: u32,
    /// Resumes.
    pub restart_count: u32,
    /// What is attested.
    pub attested: Attested,
}

impl Attest {
    /// A sound attestation with this qualifying data.
    pub fn new(extra_data: &[u8], attested: Attested) -> Self {
        let kind = if matches!(attested, Attested::Quote { .. }) { 0x8018 } else { 0x8017 };
        let extra_data = extra_data.to_vec();
        Self { magic: 0xff54_4347, kind, extra_data, clock: 9_000, reset_count: 5, restart_count: 1, attested }
    }

    /// TPMS_ATTEST.
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = [&self.magic.to_be_bytes()[..], &self.kind.to_be_bytes()].concat();
        out.extend(sized(&[&NAME_SHA256[..], &keys::sha256(b"a signer")].concat()));
        out.extend(sized(&self.extra_data));
        out.extend(self.clock.to_be_bytes());
        out.extend(self.reset_count.to_be_bytes());
        out.extend(self.restart_count.to_be_bytes());
        out.push(1);
        out.extend(0x2020_0312_0000_0001_u64.to_be_bytes());
        match &self.attested {
            Attested::Quote { selection, digest } => {
                out.extend((selection.len() as u32).to_be_bytes());
                for (bank, registers) in selection {
                    out.extend(bank.to_be_bytes());
                    let map = registers.iter().fold(0_u32, |map, index| map | 1 << index);
                    out.push(3);
                    out.extend(&map.to_le_bytes()[..3]);
                }
                out.extend(sized(digest));
            }
            Attested::Certify { name } => {
                out.extend(sized(name));
                out.extend(sized(&[&NAME_SHA256[..], &keys::sha256(name)].concat()));
            }
        }
        out
    }
}

/// TPMT_SIGNATURE of an RSA key: RSASSA with SHA-256.
pub fn signature(key: &Key, message: &[u8]) -> Vec<u8> {
    let signed = keys::sign(key, SigAlg::RsaSha256, message);
    [&[0x00, 0x14, 0x00, 0x0b][..], &sized(&signed)].concat()
}

/// TPMT_PUBLIC of an RSA key of 2,048 bits that signs by any scheme, its name by SHA-256.
pub fn public_area(key: &Key, attributes: u32, policy: &[u8]) -> Vec<u8> {
    let modulus = key.rsa().unwrap().n().to_vec();
    let mut out = vec![0x00, 0x01, 0x00, 0x0b];
    out.extend(attributes.to_be_bytes());
    out.extend(sized(policy));
    // No cipher, no scheme, 2,048 bits, the default exponent.
    out.extend([0x00, 0x10, 0x00, 0x10, 0x08, 0x00, 0, 0, 0, 0]);
    out.extend(sized(&modulus));
    out
}

/// The JWK of an RSA key.
pub fn rsa_jwk(key: &Key) -> Value {
    let rsa = key.rsa().unwrap();
    json!({"kty": "RSA", "n": base64::url(&rsa.n().to_vec()), "e": base64::url(&rsa.e().to_vec())})
}

fn sized(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat()
}
