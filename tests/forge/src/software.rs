//! Evidence of the software attester: a compact JWS under a throw-away root of kind `software`.
//! The project's own format; JWS per RFC 7515, header member `x5c` per its section 4.1.6.

use crate::base64;
use crate::keys::{self, Key, SigAlg};
use crate::x509::{Cert, CertFault, Extension, key_id, name, usage};

const DAY: i64 = 86_400;

/// A software root, one authority below it and one attester.
pub struct Software {
    /// The instant around which everything is valid, unix seconds.
    pub now: i64,
    root: Key,
    authority: Key,
    leaf: Key,
    root_der: Vec<u8>,
}

/// What the evidence is to say. [`SoftwareEvidence::new`] gives a sound one.
#[derive(Clone, Debug)]
pub struct SoftwareEvidence {
    /// Measurement of the workload.
    pub measurement: [u8; 48],
    /// Name of the machine.
    pub host: String,
    /// What the workload bound, 64 bytes.
    pub report_data: [u8; 64],
    /// Issued at, unix seconds; the hierarchy's instant where unset.
    pub iat: Option<i64>,
    /// Whether the attester says it may be debugged.
    pub debug: bool,
    /// Whether an authority stands between leaf and root.
    pub with_authority: bool,
    /// The one thing that is wrong.
    pub fault: Option<SoftwareFault>,
    /// The one thing that is wrong with the authority; needs `with_authority`.
    pub authority_fault: Option<CertFault>,
}

impl SoftwareEvidence {
    /// Sound evidence that binds `report_data`, its leaf directly below the root.
    pub fn new(report_data: [u8; 64]) -> Self {
        Self {
            measurement: [0x5a; 48],
            host: "forge.example".to_owned(),
            report_data,
            iat: None,
            debug: false,
            with_authority: false,
            fault: None,
            authority_fault: None,
        }
    }
}

faults! {
    /// One thing wrong with software evidence; rows name the nearest kin, as the format is ours.
    SoftwareFault {
        /// Two parts instead of three.
        TwoParts => ("JWT-33", "malformed"),
        /// Header member `alg` is `none` and the signature empty.
        AlgNone => ("JWT-01", "unsupported" | "malformed" | "token-invalid" | "signature-invalid"),
        /// Header member `alg` is `ES384`.
        AlgOther => ("JWT-21", "unsupported" | "malformed" | "token-invalid"),
        /// Header member `typ` is another one.
        OtherType => ("JWT-43", "unsupported" | "malformed" | "token-invalid"),
        /// Header member `crit` names something.
        Crit => ("JWT-16", "malformed" | "unsupported" | "token-invalid"),
        /// Header lacks `x5c`.
        NoChain => ("JWT-10", "malformed"),
        /// Header member `x5c` is empty.
        EmptyChain => ("JWT-10", "malformed" | "chain-untrusted"),
        /// Header carries a `jwk` of its own.
        EmbeddedKey => ("JWT-06", "malformed" | "unsupported" | "token-invalid"),
        /// Signed by a key that is not the leaf's.
        ForeignSigner => ("JWT-11", "signature-invalid"),
        /// Payload changed after signing.
        PayloadChanged => ("JWT-11", "signature-invalid"),
        /// Signature is DER instead of 64 bytes.
        DerSignature => ("JWT-19", "signature-invalid"),
        /// Chain under a root with the right name and another key.
        SelfMadeRoot => ("JWT-10", "chain-untrusted"),
        /// The leaf expired.
        LeafExpired => ("JWT-10", "chain-untrusted"),
        /// The leaf is not yet valid.
        LeafNotYetValid => ("JWT-10", "chain-untrusted"),
        /// Measurement of 47 bytes.
        ShortMeasurement => ("JWT-47", "malformed"),
        /// Report data of 63 bytes.
        ShortReportData => ("JWT-47", "malformed"),
        /// Payload member `measurement` twice.
        DuplicateMember => ("JWT-30", "malformed"),
        /// Payload lacks `debug`.
        MissingDebug => ("JWT-25", "malformed"),
        /// The attester says it may be debugged.
        Debug => ("SGX-26", "debug-rejected"),
    }
}

impl Software {
    /// A hierarchy valid around `now` (unix seconds).
    pub fn new(now: i64) -> Self {
        let mut software =
            Self { now, root: keys::p256(), authority: keys::p256(), leaf: keys::p256(), root_der: Vec::new() };
        let root = software.authority_cert(ROOT, &software.root, None, None);
        software.root_der = root.sign(&software.root);
        software
    }

    /// Self-signed root, DER: the anchor of kind `software` that a verifier trusts.
    pub fn root_der(&self) -> Vec<u8> {
        self.root_der.clone()
    }

    /// The attester's private key, to sign something else with.
    pub fn leaf_key(&self) -> &Key {
        &self.leaf
    }

    /// The evidence: a compact JWS.
    pub fn evidence(&self, wanted: &SoftwareEvidence) -> String {
        let fault = wanted.fault;
        let header = self.header(wanted);
        let payload = self.payload(wanted);
        let input = format!("{}.{}", base64::url(header.as_bytes()), base64::url(payload.as_bytes()));
        let stranger = keys::p256();
        let key = match fault {
            Some(SoftwareFault::ForeignSigner) => &stranger,
            _ => &self.leaf,
        };
        let signature = match fault {
            Some(SoftwareFault::AlgNone) => Vec::new(),
            Some(SoftwareFault::DerSignature) => keys::sign(key, SigAlg::EcdsaSha256, input.as_bytes()),
            _ => keys::ecdsa_fixed(key, SigAlg::EcdsaSha256, input.as_bytes(), 32),
        };
        match fault {
            Some(SoftwareFault::TwoParts) => input,
            Some(SoftwareFault::PayloadChanged) => {
                let other = payload.replacen("5a", "5b", 1);
                let header = base64::url(header.as_bytes());
                let other = base64::url(other.as_bytes());
                format!("{header}.{other}.{}", base64::url(&signature))
            }
            _ => format!("{input}.{}", base64::url(&signature)),
        }
    }

    fn header(&self, wanted: &SoftwareEvidence) -> String {
        let fault = wanted.fault;
        let alg = match fault {
            Some(SoftwareFault::AlgNone) => "none",
            Some(SoftwareFault::AlgOther) => "ES384",
            _ => "ES256",
        };
        let typ = match fault {
            Some(SoftwareFault::OtherType) => "JWT",
            _ => "keygate-software",
        };
        let mut members = vec![format!(r#""alg":"{alg}""#), format!(r#""typ":"{typ}""#)];
        let chain: Vec<String> = match fault {
            Some(SoftwareFault::EmptyChain) => Vec::new(),
            _ => self.chain(wanted).iter().map(|der| format!(r#""{}""#, base64::standard(der))).collect(),
        };
        if fault != Some(SoftwareFault::NoChain) {
            members.push(format!(r#""x5c":[{}]"#, chain.join(",")));
        }
        match fault {
            Some(SoftwareFault::Crit) => members.push(r#""crit":["exp"],"exp":1"#.to_owned()),
            Some(SoftwareFault::EmbeddedKey) => {
                let point = keys::point(&self.leaf);
                let (x, y) = (base64::url(&point[..32]), base64::url(&point[32..]));
                members.push(format!(r#""jwk":{{"kty":"EC","crv":"P-256","x":"{x}","y":"{y}"}}"#));
            }
            _ => {}
        }
        format!("{{{}}}", members.join(","))
    }

    fn payload(&self, wanted: &SoftwareEvidence) -> String {
        let mut measurement = hex::encode(wanted.measurement);
        let mut report_data = hex::encode(wanted.report_data);
        match wanted.fault {
            Some(SoftwareFault::ShortMeasurement) => measurement.truncate(94),
            Some(SoftwareFault::ShortReportData) => report_data.truncate(126),
            _ => {}
        }
        let host = serde_json::to_string(&wanted.host).unwrap();
        let debug = wanted.debug || wanted.fault == Some(SoftwareFault::Debug);
        let mut members = vec![
            format!(r#""measurement":"{measurement}""#),
            format!(r#""host":{host}"#),
            format!(r#""report_data":"{report_data}""#),
            format!(r#""iat":{}"#, wanted.iat.unwrap_or(self.now)),
        ];
        if wanted.fault == Some(SoftwareFault::DuplicateMember) {
            members.push(format!(r#""measurement":"{}""#, "00".repeat(48)));
        }
        if wanted.fault != Some(SoftwareFault::MissingDebug) {
            members.push(format!(r#""debug":{debug}"#));
        }
        format!("{{{}}}", members.join(","))
    }

    /// The chain shown in the header: leaf first, up to but not including the root.
    fn chain(&self, wanted: &SoftwareEvidence) -> Vec<Vec<u8>> {
        let stranger = keys::p256();
        let root = match wanted.fault {
            Some(SoftwareFault::SelfMadeRoot) => &stranger,
            _ => &self.root,
        };
        let (issuer, issuer_key) = if wanted.with_authority { (AUTHORITY, &self.authority) } else { (ROOT, root) };
        let mut leaf = Cert {
            serial: vec![0x11, 0x22, 0x33],
            issuer: software_name(issuer),
            subject: software_name("keygate-forge software attester"),
            not_before: self.now - DAY,
            not_after: self.now + 30 * DAY,
            raw_validity: None,
            spki: keys::spki(&self.leaf),
            extensions: vec![
                Extension::end_entity(),
                Extension::key_usage(usage::DIGITAL_SIGNATURE),
                Extension::subject_key(&key_id(&self.leaf)),
                Extension::authority_key(&key_id(issuer_key)),
            ],
            algorithm: SigAlg::EcdsaSha256,
        };
        match wanted.fault {
            Some(SoftwareFault::LeafExpired) => leaf.not_after = self.now - 1,
            Some(SoftwareFault::LeafNotYetValid) => leaf.not_before = self.now + 1,
            _ => {}
        }
        let mut chain = vec![leaf.sign(issuer_key)];
        if wanted.with_authority {
            let authority = self.authority_cert(AUTHORITY, &self.authority, Some(0), Some(key_id(root)));
            chain.push(authority.sign_with(root, wanted.authority_fault));
        }
        chain
    }

    fn authority_cert(
        &self,
        subject: &str,
        key: &Key,
        path_length: Option<u8>,
        issuer_key_id: Option<Vec<u8>>,
    ) -> Cert {
        let mut extensions = vec![
            Extension::authority(path_length),
            Extension::key_usage(usage::CERT_SIGN | usage::CRL_SIGN),
            Extension::subject_key(&key_id(key)),
        ];
        extensions.extend(issuer_key_id.map(|id| Extension::authority_key(&id)));
        Cert {
            serial: vec![0x01 + path_length.map_or(0, |n| n + 1)],
            issuer: software_name(ROOT),
            subject: software_name(subject),
            not_before: self.now - 365 * DAY,
            not_after: self.now + 3650 * DAY,
            raw_validity: None,
            spki: keys::spki(key),
            extensions,
            algorithm: SigAlg::EcdsaSha256,
        }
    }
}

const ROOT: &str = "keygate-forge software root";
const AUTHORITY: &str = "keygate-forge software authority";

fn software_name(common: &str) -> Vec<u8> {
    name(&[("O", "throw-away"), ("CN", common)])
}

#[cfg(test)]
mod tests;
