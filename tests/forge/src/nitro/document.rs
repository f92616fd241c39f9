//! The attestation document of an enclave: CBOR in a COSE_Sign1 envelope, signed with ES384.
//! AWS NSM API, "Attestation document specification"; RFC 9052 sections 4.2 and 4.4.

use super::{Nitro, NitroFault};
use crate::cbor;
use crate::keys::{self, SigAlg};
use crate::x509::CertFault;
use std::collections::BTreeMap;

type Pair = (Vec<u8>, Vec<u8>);

/// What the document is to say. [`NitroDocument::new`] gives a sound enclave.
#[derive(Clone, Debug)]
pub struct NitroDocument {
    /// Identifier of the module, e.g. `i-…-enc…`.
    pub module_id: String,
    /// Milliseconds since the epoch; the hierarchy's instant where unset.
    pub timestamp_ms: Option<u64>,
    /// Registers by index, 48 bytes each.
    pub pcrs: BTreeMap<u64, Vec<u8>>,
    /// Recipient's key, DER SubjectPublicKeyInfo.
    pub public_key: Option<Vec<u8>>,
    /// What the enclave bound.
    pub user_data: Option<Vec<u8>>,
    /// The challenge.
    pub nonce: Option<Vec<u8>>,
    /// Whether the envelope carries tag 18; real documents carry none.
    pub tagged: bool,
    /// Whether the payload's map has a definite length; real documents have an open one.
    pub definite: bool,
    /// Whether absent optional members are left out instead of null.
    pub omit_absent: bool,
    /// The one thing that is wrong.
    pub fault: Option<NitroFault>,
    /// The one thing that is wrong with the issuer of the leaf.
    pub authority_fault: Option<CertFault>,
}

impl Default for NitroDocument {
    fn default() -> Self {
        Self::new()
    }
}

impl NitroDocument {
    /// A sound enclave in production mode: PCR 0 to 2 measured, 3 and 4 set, 5 to 15 zero.
    pub fn new() -> Self {
        let pcrs = (0..16)
            .map(|index| {
                let fill = if index < 5 { 0xa0 + index as u8 } else { 0 };
                (index, vec![fill; 48])
            })
            .collect();
        Self {
            module_id: "i-00f0f0f0f0f0f0f0f-enc019b5640fdf630d6".to_owned(),
            timestamp_ms: None,
            pcrs,
            public_key: None,
            user_data: None,
            nonce: None,
            tagged: false,
            definite: false,
            omit_absent: false,
            fault: None,
            authority_fault: None,
        }
    }
}

impl Nitro {
    /// The document: a COSE_Sign1 envelope in CBOR.
    pub fn document(&self, wanted: &NitroDocument) -> Vec<u8> {
        let fault = wanted.fault;
        let payload = self.payload(wanted);
        let protected = protected_header(fault);
        let structure =
            cbor::array(&[cbor::text("Signature1"), cbor::bytes(&protected), cbor::bytes(&[]), cbor::bytes(&payload)]);
        let mut signature = self.signature(&structure, fault);
        let shown = match fault {
            Some(NitroFault::PayloadChanged) => changed(payload),
            _ => payload,
        };
        if fault == Some(NitroFault::SignatureChanged) {
            signature[0] ^= 1;
        }
        envelope(wanted, &protected, &shown, &signature)
    }

    fn signature(&self, structure: &[u8], fault: Option<NitroFault>) -> Vec<u8> {
        let stranger = keys::p384();
        let key = match fault {
            Some(NitroFault::ForeignSigner) => &stranger,
            _ => &self.leaf,
        };
        let mut fixed = keys::ecdsa_fixed(key, SigAlg::EcdsaSha384, structure, 48);
        match fault {
            Some(NitroFault::SignatureShort) => fixed.truncate(95),
            Some(NitroFault::SignatureLong) => fixed.push(0),
            Some(NitroFault::SignatureDer) => {
                return keys::sign(key, SigAlg::EcdsaSha384, structure);
            }
            _ => {}
        }
        fixed
    }

    fn payload(&self, wanted: &NitroDocument) -> Vec<u8> {
        let fault = wanted.fault;
        let bundle = self.bundle(fault, wanted.authority_fault);
        let cabundle: Vec<Vec<u8>> = bundle.cabundle.iter().map(|c| cbor::bytes(c)).collect();
        let millis = wanted.timestamp_ms.unwrap_or(self.now as u64 * 1000);
        let mut pairs = vec![
            pair("module_id", cbor::text(&wanted.module_id)),
            pair("digest", cbor::text("SHA384")),
            pair("timestamp", cbor::uint(millis)),
            pair("pcrs", pcrs(&wanted.pcrs, fault)),
            pair("certificate", cbor::bytes(&bundle.leaf)),
            pair("cabundle", cbor::array(&cabundle)),
        ];
        for (name, value) in
            [("public_key", &wanted.public_key), ("user_data", &wanted.user_data), ("nonce", &wanted.nonce)]
        {
            match value {
                Some(value) => pairs.push(pair(name, cbor::bytes(value))),
                None if wanted.omit_absent => {}
                None => pairs.push(pair(name, cbor::null())),
            }
        }
        if let Some(fault) = fault {
            fault.in_members(&mut pairs, millis);
        }
        let mut out = if wanted.definite { cbor::map(&pairs) } else { cbor::open_map(&pairs) };
        if fault == Some(NitroFault::PayloadTrailing) {
            out.push(0xf6);
        }
        out
    }
}

pub(super) fn pair(name: &str, value: Vec<u8>) -> Pair {
    (cbor::text(name), value)
}

fn pcrs(registers: &BTreeMap<u64, Vec<u8>>, fault: Option<NitroFault>) -> Vec<u8> {
    let mut registers = registers.clone();
    match fault {
        Some(NitroFault::Debug) => {
            for index in 0..3 {
                registers.insert(index, vec![0; 48]);
            }
        }
        Some(NitroFault::PcrIndex32) => {
            registers.insert(32, vec![1; 48]);
        }
        Some(NitroFault::PcrShort) => {
            registers.insert(0, vec![0xa0; 32]);
        }
        Some(NitroFault::PcrsEmpty) => registers.clear(),
        _ => {}
    }
    let mut pairs: Vec<Pair> =
        registers.iter().map(|(index, value)| (cbor::uint(*index), cbor::bytes(value))).collect();
    match fault {
        Some(NitroFault::DuplicatePcr) => pairs.push((cbor::uint(0), cbor::bytes(&[9; 48]))),
        Some(NitroFault::LongInteger) => pairs[0].0 = vec![0x18, 0x00],
        Some(NitroFault::NegativePcr) => pairs[0].0 = cbor::int(-1),
        _ => {}
    }
    cbor::map(&pairs)
}

fn protected_header(fault: Option<NitroFault>) -> Vec<u8> {
    let alg = |value| cbor::map(&[(cbor::uint(1), value)]);
    match fault {
        Some(NitroFault::AlgEs256) => alg(cbor::int(-7)),
        Some(NitroFault::AlgEs512) => alg(cbor::int(-36)),
        Some(NitroFault::AlgText) => alg(cbor::text("ES384")),
        Some(NitroFault::AlgUnprotected) => cbor::map(&[]),
        Some(NitroFault::ProtectedEmpty) => Vec::new(),
        Some(NitroFault::Crit) => cbor::map(&[
            (cbor::uint(1), cbor::int(-35)),
            (cbor::uint(2), cbor::array(&[cbor::int(-70_000)])),
            (cbor::int(-70_000), cbor::uint(1)),
        ]),
        Some(NitroFault::DuplicateAlg) => {
            cbor::map(&[(cbor::uint(1), cbor::int(-35)), (cbor::uint(1), cbor::int(-35))])
        }
        _ => alg(cbor::int(-35)),
    }
}

fn envelope(wanted: &NitroDocument, protected: &[u8], payload: &[u8], signature: &[u8]) -> Vec<u8> {
    let fault = wanted.fault;
    let unprotected = match fault {
        Some(NitroFault::AlgUnprotected) => cbor::map(&[(cbor::uint(1), cbor::int(-35))]),
        _ => cbor::map(&[]),
    };
    let shown = match fault {
        Some(NitroFault::Detached) => cbor::null(),
        Some(NitroFault::PayloadOpenString) => [vec![0x5f], cbor::bytes(payload), vec![0xff]].concat(),
        Some(NitroFault::PayloadLongLength) => [cbor::long_head(2, payload.len() as u64), payload.to_vec()].concat(),
        Some(NitroFault::PayloadHugeLength) => [cbor::long_head(2, u64::MAX), payload.to_vec()].concat(),
        _ => cbor::bytes(payload),
    };
    let mut items = vec![cbor::bytes(protected), unprotected, shown, cbor::bytes(signature)];
    match fault {
        Some(NitroFault::ArrayOfThree) => items.truncate(3),
        Some(NitroFault::ArrayOfFive) => items.push(cbor::null()),
        _ => {}
    }
    let mut out = match fault {
        Some(NitroFault::OpenArray) => [vec![0x9f], items.concat(), vec![0xff]].concat(),
        _ => cbor::array(&items),
    };
    match fault {
        Some(NitroFault::Tag98) => out = cbor::tag(98, &out),
        Some(NitroFault::TagTwice) => out = cbor::tag(18, &cbor::tag(18, &out)),
        Some(NitroFault::Trailing) => out.push(0),
        Some(NitroFault::Truncated) => out.truncate(out.len() - 1),
        _ => {}
    }
    if wanted.tagged {
        out = cbor::tag(18, &out);
    }
    out
}

/// The payload with one bit of PCR 0 changed.
fn changed(mut payload: Vec<u8>) -> Vec<u8> {
    let pcr = cbor::text("pcrs");
    let at = payload.windows(pcr.len()).position(|w| w == pcr).unwrap();
    payload[at + pcr.len() + 6] ^= 1;
    payload
}
