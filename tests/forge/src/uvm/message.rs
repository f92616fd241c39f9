//! The message: protected header, time stamp beside it, payload, signature.
//! RFC 9052 sections 3.1 and 4.4; RFC 8230 section 2 (RSASSA-PSS).

use super::{Uvm, UvmFault};
use crate::cbor;
use crate::keys::{self, Key, SigAlg};
use crate::x509::CertFault;
use openssl::hash::MessageDigest;

/// How an endorsement is signed; RSA keys have 4,096 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UvmAlg {
    /// ECDSA P-256 with SHA-256.
    Es256,
    /// ECDSA P-384 with SHA-384.
    Es384,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// RSASSA-PSS with SHA-384.
    Ps384,
    /// RSASSA-PSS with SHA-512.
    Ps512,
}

impl UvmAlg {
    /// Every algorithm.
    pub const ALL: [Self; 5] = [Self::Es256, Self::Es384, Self::Ps256, Self::Ps384, Self::Ps512];

    /// Its number in COSE.
    pub const fn number(self) -> i64 {
        match self {
            Self::Es256 => -7,
            Self::Es384 => -35,
            Self::Ps256 => -37,
            Self::Ps384 => -38,
            Self::Ps512 => -39,
        }
    }

    fn sign(self, key: &Key, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Es256 => keys::ecdsa_fixed(key, SigAlg::EcdsaSha256, message, 32),
            Self::Es384 => keys::ecdsa_fixed(key, SigAlg::EcdsaSha384, message, 48),
            Self::Ps256 => keys::sign_pss(key, MessageDigest::sha256(), message),
            Self::Ps384 => keys::sign_pss(key, MessageDigest::sha384(), message),
            Self::Ps512 => keys::sign_pss(key, MessageDigest::sha512(), message),
        }
    }
}

/// What is to be endorsed. Every member may be changed.
#[derive(Clone, Debug)]
pub struct UvmEndorsement {
    /// The measurement, as the payload spells it.
    pub launch_measurement: String,
    /// The version, as the payload spells it.
    pub guest_svn: String,
    /// The feed.
    pub feed: String,
    /// The issuer, where it is not the maker's own.
    pub issuer: Option<String>,
    /// When it was signed; left out where there is none.
    pub signing_time: Option<i64>,
    /// A countersignature for the unprotected header.
    pub timestamp: Option<Vec<u8>>,
    /// How it is signed.
    pub algorithm: UvmAlg,
    /// First and last second of the signer's certificate.
    pub signer_validity: (i64, i64),
    /// Last second of the authority's certificate.
    pub authority_until: i64,
    /// One thing wrong.
    pub fault: Option<UvmFault>,
    /// One thing wrong with the authority's certificate.
    pub authority_fault: Option<CertFault>,
}

impl Uvm {
    /// The endorsement: a COSE_Sign1 message with tag 18.
    pub fn endorsement(&self, wanted: &UvmEndorsement) -> Vec<u8> {
        let fault = wanted.fault;
        let protected = self.protected(wanted);
        let payload = payload(wanted);
        let structure =
            cbor::array(&[cbor::text("Signature1"), cbor::bytes(&protected), cbor::bytes(&[]), cbor::bytes(&payload)]);
        let stranger = keys::p256();
        let mut signature = match fault {
            Some(UvmFault::ForeignSigner) => UvmAlg::Es256.sign(&stranger, &structure),
            _ => wanted.algorithm.sign(self.signer_key(wanted.algorithm), &structure),
        };
        if fault == Some(UvmFault::SignatureChanged) {
            signature[7] ^= 1;
        }
        let mut unprotected: Vec<_> =
            wanted.timestamp.iter().map(|stamp| (cbor::text("timestamp"), cbor::bytes(stamp))).collect();
        match fault {
            Some(UvmFault::UnknownUnprotected) => unprotected.push((cbor::text("receipt"), cbor::bytes(b"?"))),
            Some(UvmFault::AlgUnprotected) => unprotected.push((cbor::uint(1), cbor::int(-38))),
            Some(UvmFault::TimestampTwice) => unprotected.extend(unprotected.clone()),
            _ => {}
        }
        let shown = match fault {
            Some(UvmFault::Detached) => cbor::null(),
            Some(UvmFault::PayloadChanged) => {
                cbor::bytes(String::from_utf8(payload).unwrap().replace("22", "23").as_bytes())
            }
            _ => cbor::bytes(&payload),
        };
        let items = [cbor::bytes(&protected), cbor::map(&unprotected), shown, cbor::bytes(&signature)];
        let message = match fault {
            Some(UvmFault::OpenArray) => [vec![0x9f], items.concat(), vec![0xff]].concat(),
            Some(UvmFault::ArrayOfThree) => cbor::array(&items[..3]),
            _ => cbor::array(&items),
        };
        let mut out = cbor::tag(if fault == Some(UvmFault::Tag98) { 98 } else { 18 }, &message);
        match fault {
            Some(UvmFault::Trailing) => out.push(0),
            Some(UvmFault::Truncated) => out.truncate(out.len() - 1),
            _ => {}
        }
        out
    }

    fn protected(&self, wanted: &UvmEndorsement) -> Vec<u8> {
        let chain = self.chain(wanted);
        let mut digest = keys::sha256(chain.first().map_or(&[], Vec::as_slice)).to_vec();
        if wanted.fault == Some(UvmFault::OtherThumbprint) {
            digest[0] ^= 1;
        }
        let listed: Vec<_> = chain.iter().map(|der| cbor::bytes(der)).collect();
        let issuer = wanted.issuer.clone().unwrap_or_else(|| self.issuer());
        let mut entries = vec![
            (cbor::uint(1), cbor::int(wanted.algorithm.number())),
            (cbor::uint(3), cbor::text("application/json")),
            (cbor::uint(33), cbor::array(&listed)),
            (cbor::uint(34), cbor::array(&[cbor::int(-16), cbor::bytes(&digest)])),
            (cbor::text("iss"), cbor::text(&issuer)),
            (cbor::text("feed"), cbor::text(&wanted.feed)),
        ];
        let time = |at: i64| match wanted.fault {
            Some(UvmFault::TimeUntagged) => cbor::int(at),
            Some(UvmFault::TimeAsText) => cbor::tag(0, &cbor::text("2026-09-21T00:00:00Z")),
            _ => cbor::tag(1, &cbor::int(at)),
        };
        entries.extend(wanted.signing_time.map(|at| (cbor::text("signingtime"), time(at))));
        if let Some(fault) = wanted.fault {
            fault.in_header(&mut entries);
        }
        cbor::map(&entries)
    }
}

fn payload(wanted: &UvmEndorsement) -> Vec<u8> {
    let (svn, measurement) = (&wanted.guest_svn, &wanted.launch_measurement);
    let svn = match wanted.fault {
        Some(UvmFault::SvnAsNumber) => svn.clone(),
        _ => format!(r#""{svn}""#),
    };
    let twice = match wanted.fault {
        Some(UvmFault::MeasurementTwice) => format!(r#","x-ms-sevsnpvm-launchmeasurement":"{measurement}""#),
        _ => String::new(),
    };
    let object =
        format!(r#"{{"x-ms-sevsnpvm-guestsvn":{svn},"x-ms-sevsnpvm-launchmeasurement":"{measurement}"{twice}}}"#);
    match wanted.fault {
        Some(UvmFault::PayloadAsArray) => format!(r#"[{svn},"{measurement}"]"#).into_bytes(),
        _ => object.into_bytes(),
    }
}
