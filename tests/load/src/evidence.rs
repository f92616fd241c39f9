//! Evidence for load: one chain for the whole run, a fresh binding and a fresh signature for each request.
//!
//! `native-api.md` section 4. A machine keeps its certificates between requests, so a chain made anew for each would measure the
//! cold path only. The forge makes one piece; here its 64 bytes are replaced and it is signed again.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use keygate_forge::amd::{Amd, Product, SnpReport};
use keygate_forge::binding::{Question, bind, nitro_user_data};
use keygate_forge::intel::{Intel, SgxQuote, TdxQuote, Tee};
use keygate_forge::keys::{self, Key, SigAlg};
use keygate_forge::nitro::{Nitro, NitroDocument};
use keygate_forge::software::{Software, SoftwareEvidence};
use keygate_forge::{base64 as forge_base64, cbor};
use openssl::pkey::PKey;
use openssl::x509::X509;
use serde_json::json;

use crate::Fallible;

/// Where the 64 bytes stand in a SEV-SNP report, and where its signed part ends.
const SNP_BOUND: std::ops::Range<usize> = 0x50..0x90;
const SNP_SIGNED: usize = 0x2a0;
/// Bytes of r and of s in a SEV-SNP report, little-endian with zeros behind.
const SNP_NUMBER: usize = 72;
/// Bytes before a Nitro document's payload: array of four, protected header, unprotected header, length.
const NITRO_HEAD: usize = 10;
/// Bytes behind it: the signature and its length.
const NITRO_TAIL: usize = 98;

/// A recipient's key of one request: P-256, its private half thrown away.
pub struct Recipient {
    /// The public JWK in its RFC 7638 form.
    pub jwk: String,
    spki: Vec<u8>,
}

impl Recipient {
    /// A fresh key.
    pub fn new() -> Self {
        let key = keys::p256();
        let point = keys::point(&key);
        let (x, y) = point.split_at(32);
        let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
        Self { jwk: format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#), spki: keys::spki(&key) }
    }
}

/// Throw-away roots of every kind and what follows from them.
pub struct Lab {
    software: Software,
    nitro: Nitro,
    amd: Amd,
    intel: Intel,
}

/// A kind of evidence: how it is named, what its rule asks for.
pub struct Kind {
    /// As in requests.
    pub name: &'static str,
    /// A release rule that the lab's evidence of this kind meets.
    pub rule: String,
}

impl Lab {
    /// Hierarchies around `now` (unix seconds).
    pub fn new(now: i64) -> Self {
        Self {
            software: Software::new(now),
            nitro: Nitro::new(now),
            amd: Amd::new(Product::Genoa, now),
            intel: Intel::new(now),
        }
    }

    /// The roots that a server must trust: kind and DER.
    pub fn roots(&self) -> [(&'static str, Vec<u8>); 5] {
        [
            ("software", self.software.root_der()),
            ("nitro", self.nitro.root_der()),
            ("snp", self.amd.ark_der()),
            ("tdx", self.intel.root_der()),
            ("sgx", self.intel.root_der()),
        ]
    }

    /// Endorsements for the server's offline folder: file name and content.
    pub fn endorsements(&self) -> Vec<(&'static str, Vec<u8>)> {
        let chain = self.amd.evidence(&SnpReport::new([0; 64]));
        vec![
            ("tdx.json", self.intel.collateral(&self.intel.describe(Tee::Tdx)).into_bytes()),
            ("sgx.json", self.intel.collateral(&self.intel.describe(Tee::Sgx)).into_bytes()),
            ("vcek.der", chain.vek),
            ("ask.der", chain.authority),
            ("amd.crl", self.amd.sign_crl(&self.amd.crl())),
        ]
    }

    /// Certificates of the chip, of its issuer and of the root, PEM.
    pub fn amd_chain_pem(&self) -> String {
        self.amd.evidence(&SnpReport::new([0; 64])).chain_pem()
    }

    /// The kinds that keys are released to, and their rules.
    pub fn kinds() -> [Kind; 4] {
        let rule = |claim: &str, fill: u8| {
            let measured = hex::encode([fill; 48]);
            format!(
                r#"{{"version":"1.0.0","anyOf":[{{"authority":"self","allOf":[{{"claim":"{claim}","equals":"{measured}"}}]}}]}}"#
            )
        };
        [
            Kind { name: "software", rule: rule("software.measurement", 0x5a) },
            Kind { name: "nitro", rule: rule("nitro.pcrs.0", 0xa0) },
            Kind { name: "snp", rule: rule("x-ms-sevsnpvm-launchmeasurement", 0x4d) },
            Kind { name: "tdx", rule: rule("tdx_mrtd", 0x7d) },
        ]
    }

    /// What makes evidence of a kind, many times.
    pub fn mint(&self, kind: &str) -> Fallible<Mint<'_>> {
        Ok(match kind {
            "software" => Mint::Software(SoftwareMint::of(&self.software)?),
            "nitro" => Mint::Nitro(NitroMint::of(&self.nitro)?),
            "snp" => Mint::Snp { report: self.amd.report(&SnpReport::new([0; 64])), key: self.amd.vcek_key().clone() },
            "tdx" => Mint::Tdx(&self.intel),
            "sgx" => Mint::Sgx(&self.intel),
            other => return Err(format!("no evidence of kind `{other}` is made here").into()),
        })
    }
}

/// Makes evidence of one kind.
pub enum Mint<'a> {
    /// A compact JWS.
    Software(SoftwareMint),
    /// An attestation document.
    Nitro(NitroMint),
    /// A report; its certificates lie in the server's folder.
    Snp {
        /// A report whose binding is replaced.
        report: Vec<u8>,
        /// The chip's key.
        key: Key,
    },
    /// A quote, its chain inside; signed by attestation key and PCK alike each time.
    Tdx(&'a Intel),
    /// A quote of an enclave, likewise.
    Sgx(&'a Intel),
}

impl Mint<'_> {
    /// Kind as in requests.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Software(_) => "software",
            Self::Nitro(_) => "nitro",
            Self::Snp { .. } => "snp",
            Self::Tdx(_) => "tdx",
            Self::Sgx(_) => "sgx",
        }
    }

    /// Evidence that binds a question, a challenge and a recipient.
    pub fn evidence(
        &self,
        challenge: &[u8; 32],
        host: &str,
        question: &Question<'_>,
        recipient: &Recipient,
    ) -> Vec<u8> {
        let bound = bind(challenge, host, question, &recipient.jwk, b"");
        match self {
            Self::Nitro(mint) => mint.evidence(challenge, &recipient.spki, &nitro_user_data(&bound)),
            other => other.bound(&bound),
        }
    }

    /// Evidence with these 64 bytes of report data; in a Nitro document they are user data, with nothing beside them.
    pub fn bound(&self, bound: &[u8; 64]) -> Vec<u8> {
        match self {
            Self::Software(mint) => mint.evidence(bound).into_bytes(),
            Self::Nitro(mint) => mint.evidence(&[0; 32], &[0; 91], &nitro_user_data(bound)),
            Self::Snp { report, key } => snp(report.clone(), bound, key),
            Self::Tdx(intel) => intel.tdx_quote(&TdxQuote::new(*bound)),
            Self::Sgx(intel) => intel.sgx_quote(&SgxQuote::new(*bound)),
        }
    }
}

/// Software evidence with a constant header.
pub struct SoftwareMint {
    header: String,
    before: String,
    after: String,
    key: Key,
}

impl SoftwareMint {
    /// From an identity file of the software attester (key and certificates in PEM, leaf first), for a server that runs already.
    pub fn from_identity(file: &Path, measurement: &str, now: i64) -> Fallible<Self> {
        let pem = std::fs::read(file).map_err(|e| format!("cannot read `{}`: {e}", file.display()))?;
        let key = PKey::private_key_from_pem(&pem)?;
        let mut chain = Vec::new();
        for certificate in X509::stack_from_pem(&pem)? {
            chain.push(STANDARD.encode(certificate.to_der()?));
        }
        let header = json!({"alg": "ES256", "typ": "keygate-software", "x5c": chain}).to_string();
        let before = format!(r#"{{"measurement":"{measurement}","host":"keygate-load","report_data":""#);
        let after = format!(r#"","iat":{now},"debug":false}}"#);
        Ok(Self { header: URL_SAFE_NO_PAD.encode(header), before, after, key })
    }

    fn of(software: &Software) -> Fallible<Self> {
        let marker = [0xc3; 64];
        let model = software.evidence(&SoftwareEvidence::new(marker));
        let (header, rest) = model.split_once('.').ok_or("the forge's evidence has no parts")?;
        let payload = rest.split_once('.').map(|(payload, _)| payload).ok_or("the forge's evidence has two parts")?;
        let payload = String::from_utf8(URL_SAFE_NO_PAD.decode(payload)?)?;
        let (before, after) = payload.split_once(&hex::encode(marker)).ok_or("the forge's evidence binds elsewhere")?;
        Ok(Self {
            header: header.to_owned(),
            before: before.to_owned(),
            after: after.to_owned(),
            key: software.leaf_key().clone(),
        })
    }

    fn evidence(&self, bound: &[u8; 64]) -> String {
        let payload = format!("{}{}{}", self.before, hex::encode(bound), self.after);
        let signed = format!("{}.{}", self.header, forge_base64::url(payload.as_bytes()));
        let signature = keys::ecdsa_fixed(&self.key, SigAlg::EcdsaSha256, signed.as_bytes(), 32);
        format!("{signed}.{}", forge_base64::url(&signature))
    }
}

/// Nitro documents of one enclave: its leaf and its bundle stay.
pub struct NitroMint {
    model: Vec<u8>,
    public_key_at: usize,
    user_data_at: usize,
    nonce_at: usize,
    key: Key,
}

impl NitroMint {
    fn of(nitro: &Nitro) -> Fallible<Self> {
        let (nonce, user_data, public_key) = ([0xc1; 32], [0xc2; 75], [0xc4; 91]);
        let model = nitro.document(&NitroDocument {
            nonce: Some(nonce.to_vec()),
            user_data: Some(user_data.to_vec()),
            public_key: Some(public_key.to_vec()),
            ..NitroDocument::new()
        });
        let at = |marker: &[u8]| {
            model.windows(marker.len()).position(|w| w == marker).ok_or("the forge's document binds elsewhere")
        };
        let (public_key_at, user_data_at, nonce_at) = (at(&public_key)?, at(&user_data)?, at(&nonce)?);
        Ok(Self { public_key_at, user_data_at, nonce_at, key: nitro.leaf_key().clone(), model })
    }

    fn evidence(&self, challenge: &[u8; 32], spki: &[u8], user_data: &[u8]) -> Vec<u8> {
        let mut document = self.model.clone();
        for (at, bytes) in [(self.public_key_at, spki), (self.user_data_at, user_data), (self.nonce_at, &challenge[..])]
        {
            document[at..at + bytes.len()].copy_from_slice(bytes);
        }
        let end = document.len();
        let signed = cbor::array(&[
            cbor::text("Signature1"),
            cbor::bytes(&cbor::map(&[(cbor::uint(1), cbor::int(-35))])),
            cbor::bytes(&[]),
            cbor::bytes(&document[NITRO_HEAD..end - NITRO_TAIL]),
        ]);
        let signature = keys::ecdsa_fixed(&self.key, SigAlg::EcdsaSha384, &signed, 48);
        document[end - signature.len()..].copy_from_slice(&signature);
        document
    }
}

fn snp(mut report: Vec<u8>, bound: &[u8; 64], key: &Key) -> Vec<u8> {
    report[SNP_BOUND].copy_from_slice(bound);
    let signature = keys::ecdsa_fixed(key, SigAlg::EcdsaSha384, &report[..SNP_SIGNED], 48);
    for (index, number) in signature.chunks(48).enumerate() {
        let at = SNP_SIGNED + index * SNP_NUMBER;
        let little_endian: Vec<u8> = number.iter().rev().copied().collect();
        report[at..at + 48].copy_from_slice(&little_endian);
    }
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_790_000_000;

    #[test]
    fn a_nitro_document_signed_again_differs_only_where_it_must() {
        let lab = Lab::new(NOW);
        let Mint::Nitro(mint) = lab.mint("nitro").unwrap() else { panic!("another kind") };
        let one = mint.evidence(&[1; 32], &[2; 91], &[3; 75]);
        assert_eq!(one.len(), mint.model.len());
        let same = one.iter().zip(&mint.model).filter(|(a, b)| a == b).count();
        assert!(one.len() - same <= 32 + 91 + 75 + 96);
        assert!(one.windows(32).any(|w| w == [1; 32]) && one.windows(75).any(|w| w == [3; 75]));
        // What stands between head and tail is the payload: a map of open length, closed by a break.
        assert_eq!(one[NITRO_HEAD], 0xbf);
        assert_eq!(one[one.len() - NITRO_TAIL - 1], 0xff);
    }

    #[test]
    fn every_kind_binds_what_it_was_given() {
        let lab = Lab::new(NOW);
        let question = Question { operation: "release", key: "k", ..Question::default() };
        for kind in Lab::kinds() {
            let mint = lab.mint(kind.name).unwrap();
            assert_eq!(mint.kind(), kind.name);
            let recipient = Recipient::new();
            let one = mint.evidence(&[1; 32], "localhost", &question, &recipient);
            let two = mint.evidence(&[2; 32], "localhost", &question, &recipient);
            assert_ne!(one, two, "{}", kind.name);
        }
        assert!(lab.mint("cca").is_err());
    }
}
