//! What a client of `AzureGuest` sends, translated into evidence of kind `azure-vtpm`: `maa-rest-api.md` section 3.5.
//!
//! Each member is decoded as its clients encode it, once, within a bound. Members that are not known are ignored, as everywhere at
//! this door; one that stands twice is refused. What the hardware and the TPM signed goes on byte by byte.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use keygate_policies::Limits;
use keygate_policies::json::{self, Kind, Node};
use keygate_verifier::SnpDocument;
use serde_json::{Map, Value, json};

use super::refused;
use crate::broker::azure::fault::Refused;
use crate::broker::error::{Code, Fault};

/// The one version of the protocol.
const VERSION: &str = "2.0";
/// The most bytes of the whole; the body bounds it too.
const LARGEST: usize = 1 << 20;
/// The most bytes of a structure of a TPM, and of the run-time data.
const LARGEST_PART: usize = 16 * 1_024;
/// The most bytes of proof and log; the verifier has bounds of its own.
const LARGEST_LOG: usize = 512 * 1_024;
/// The most bytes of a word of the client's.
const LONGEST_WORD: usize = 256;
/// The most members of the client's payload, and the most bytes of one.
const MOST_PAYLOAD: usize = 32;
const LONGEST_PAYLOAD: usize = 4_096;
/// Registers of the PC Client profile.
const REGISTERS: usize = 24;
/// Bytes of an RSA signature that stands bare: no TPMT_SIGNATURE of such a key is as short.
const BARE_SIGNATURES: [usize; 3] = [256, 384, 512];

/// Clients of several languages: either alphabet, padded or not. Bits that no byte needs must be zero.
const LOOSE: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What the client says of itself: nobody measured it.
#[derive(Debug, Clone, Default)]
pub(in crate::broker::azure) struct Said {
    /// Under Azure's names of claims.
    pub(in crate::broker::azure) words: Map<String, Value>,
    /// Names and values that go back in the token: base64 with padding, as relying parties of Azure's decode them.
    pub(in crate::broker::azure) payload: Map<String, Value>,
}

/// A request taken apart. Nothing in it is believed yet.
#[derive(Debug)]
pub(in crate::broker::azure) struct GuestInfo {
    /// Evidence of kind `azure-vtpm`.
    pub(in crate::broker::azure) document: Vec<u8>,
    /// PEM of the signing key's certificate and those above it; empty below TDX.
    pub(in crate::broker::azure) chain: Vec<u8>,
    /// What the client says.
    pub(in crate::broker::azure) said: Said,
}

impl GuestInfo {
    /// Reads the JSON of `AttestationInfo`, at most 1 MiB.
    ///
    /// # Errors
    /// `malformed`, `too-large`: another layout; `unsupported`: another protocol, a machine without hardware below that vouches for
    /// it; `binding-mismatch.recipient-key`: no certified encryption key.
    pub(in crate::broker::azure) fn read(bytes: &[u8]) -> Result<Self, Refused> {
        let node = strict(bytes, LARGEST)?;
        let info = Object::of(Some(&node), "the attestation info is no object")?;
        if info.text("AttestationProtocolVersion", LONGEST_WORD)? != Some(VERSION) {
            let told = "the attestation protocol is not version 2.0";
            return Err(refused(Code::Unsupported, "attestation-info", told));
        }
        let mut document = Map::from_iter([("kind".to_owned(), json!("azure-vtpm"))]);
        let chain = isolation(&info, &mut document)?;
        tpm(&info, &mut document)?;
        if let Some(log) = info.bytes("TcgLogs", LARGEST_LOG)?.filter(|log| !log.is_empty()) {
            put(&mut document, "event_log", &log);
        }
        let said = Said { words: words(&info)?, payload: payload(&info)? };
        Ok(Self { document: Value::Object(document).to_string().into_bytes(), chain, said })
    }
}

/// Hardware and run-time data; the chain is returned.
fn isolation(info: &Object<'_>, document: &mut Map<String, Value>) -> Result<Vec<u8>, Refused> {
    let isolation = info.object("IsolationInfo", "`IsolationInfo` is missing or no object")?;
    let kind = isolation.text("Type", LONGEST_WORD)?;
    if kind == Some("TrustedLaunch") {
        let told = "a trusted launch machine is not attested here: no hardware below it vouches for its tpm";
        return Err(refused(Code::Unsupported, "isolation-type", told));
    }
    let evidence = isolation.object("Evidence", "`Evidence` is missing or no object")?;
    put(document, "runtime_data", &evidence.required("RunTimeData", LARGEST_PART)?);
    let proof = evidence.required("Proof", LARGEST_LOG)?;
    match kind {
        Some("SevSnp") => {
            let proof = SnpDocument::parse(&proof).map_err(Fault::from)?;
            put(document, "snp_report", &proof.report);
            Ok(proof.chain_pem)
        }
        Some("Tdx") => {
            let node = strict(&proof, LARGEST_LOG)?;
            let proof = Object::of(Some(&node), "the proof is no object")?;
            put(document, "td_quote", &proof.required("TdQuote", LARGEST_PART)?);
            Ok(Vec::new())
        }
        _ => {
            let told = "the isolation type is none of `SevSnp`, `Tdx` and `TrustedLaunch`";
            Err(refused(Code::Unsupported, "isolation-type", told))
        }
    }
}

/// Quote, registers, and the key that the answer is sealed to.
fn tpm(info: &Object<'_>, document: &mut Map<String, Value>) -> Result<(), Refused> {
    let tpm = info.object("TpmInfo", "`TpmInfo` is missing or no object")?;
    put(document, "quote", &tpm.required("PcrQuote", LARGEST_PART)?);
    put(document, "signature", &signature(tpm.required("PcrSignature", LARGEST_PART)?));
    if let Some(key) = tpm.bytes("AikPub", LARGEST_PART)?.filter(|key| !key.is_empty()) {
        put(document, "ak", &key);
    }
    document.insert("pcrs".to_owned(), json!({"sha256": registers(&tpm)?}));
    let part = |name| Ok::<_, Refused>(tpm.bytes(name, LARGEST_PART)?.filter(|bytes| !bytes.is_empty()));
    let parts = (part("EncKeyPub")?, part("EncKeyCertifyInfo")?, part("EncKeyCertifyInfoSignature")?);
    let (Some(public), Some(certify), Some(signed)) = parts else {
        let told = "the answer is sealed to an encryption key that the attestation key certified, and none was sent";
        return Err(refused(Code::BindingMismatch, "recipient-key", told));
    };
    let mut key = Map::new();
    put(&mut key, "public", &public);
    put(&mut key, "certify", &certify);
    put(&mut key, "signature", &signature(signed));
    document.insert("recipient_key".to_owned(), Value::Object(key));
    Ok(())
}

/// A TPMT_SIGNATURE as it stands; bare numbers get the head of the scheme that the paravisor's key has, RSASSA with SHA-256.
fn signature(bytes: Vec<u8>) -> Vec<u8> {
    match u16::try_from(bytes.len()) {
        Ok(length) if BARE_SIGNATURES.contains(&bytes.len()) => {
            [&[0, 0x14, 0, 0x0b][..], &length.to_be_bytes(), &bytes].concat()
        }
        _ => bytes,
    }
}

/// Index in decimal to value in hex. `PcrSet`, where it stands, names the same registers.
fn registers(tpm: &Object<'_>) -> Result<BTreeMap<String, String>, Refused> {
    let bad = || malformed("`PCRs` is no list of registers with values of sha256, each once");
    let list = tpm.member("PCRs").and_then(Node::as_list).filter(|list| list.len() <= REGISTERS).ok_or_else(bad)?;
    let index_of = |node: &Node| {
        node.as_integer().and_then(|index| usize::try_from(index).ok()).filter(|index| *index < REGISTERS)
    };
    let mut registers = BTreeMap::new();
    for node in list {
        let register = Object::of(Some(node), "a register is no object")?;
        let index = register.member("Index").and_then(index_of).ok_or_else(bad)?;
        let value = register.required("Digest", 64)?;
        if value.len() != 32 || registers.insert(index.to_string(), hex::encode(value)).is_some() {
            return Err(bad());
        }
    }
    if let Some(set) = tpm.member("PcrSet") {
        let set = set.as_list().ok_or_else(bad)?;
        let named = |node: &Node| index_of(node).is_some_and(|index| registers.contains_key(&index.to_string()));
        if set.len() != registers.len() || !set.iter().all(named) {
            return Err(malformed("`PcrSet` names other registers than `PCRs`"));
        }
    }
    Ok(registers)
}

/// Words under Azure's names of claims.
fn words(info: &Object<'_>) -> Result<Map<String, Value>, Refused> {
    let mut words = Map::from_iter([("x-ms-azurevm-attestation-protocol-ver".to_owned(), json!(VERSION))]);
    for (member, claim) in
        [("OSType", "x-ms-azurevm-ostype"), ("OSDistro", "x-ms-azurevm-osdistro"), ("OSBuild", "x-ms-azurevm-osbuild")]
    {
        if let Some(bytes) = info.bytes(member, LONGEST_WORD)? {
            let text = String::from_utf8(bytes).map_err(|_| malformed("a word about the system is not utf-8"))?;
            words.insert(claim.to_owned(), json!(text));
        }
    }
    for (member, claim) in
        [("OSVersionMajor", "x-ms-azurevm-osversion-major"), ("OSVersionMinor", "x-ms-azurevm-osversion-minor")]
    {
        if let Some(node) = info.member(member) {
            let number = node.as_integer().and_then(|number| u32::try_from(number).ok());
            let number = number.ok_or_else(|| malformed("a version of the system is no whole number of 32 bits"))?;
            words.insert(claim.to_owned(), json!(number));
        }
    }
    Ok(words)
}

/// Names with their values, which are looked at and encoded in one way.
fn payload(info: &Object<'_>) -> Result<Map<String, Value>, Refused> {
    let bad = || malformed("`ClientPayload` is no object of texts in base64");
    let Some(node) = info.member("ClientPayload") else { return Ok(Map::new()) };
    let members = node.as_object().ok_or_else(bad)?;
    if members.len() > MOST_PAYLOAD {
        return Err(Fault::new(Code::TooLarge, "the client's payload has too many members").into());
    }
    let mut payload = Map::new();
    for member in members {
        let text = member.value.as_text().ok_or_else(bad)?;
        payload.insert(member.name.clone(), json!(STANDARD.encode(decode(text, LONGEST_PAYLOAD)?)));
    }
    Ok(payload)
}

/// An object of the request.
struct Object<'a>(&'a Node);

impl<'a> Object<'a> {
    fn of(node: Option<&'a Node>, told: &'static str) -> Result<Self, Refused> {
        node.filter(|node| node.as_object().is_some()).map(Self).ok_or_else(|| malformed(told))
    }

    fn object(&self, name: &str, told: &'static str) -> Result<Object<'a>, Refused> {
        Self::of(self.member(name), told)
    }

    /// What stands there; null is nothing.
    fn member(&self, name: &str) -> Option<&'a Node> {
        self.0.get(name).filter(|node| node.kind != Kind::Null)
    }

    fn text(&self, name: &str, longest: usize) -> Result<Option<&'a str>, Refused> {
        let Some(node) = self.member(name) else { return Ok(None) };
        let text = node.as_text().ok_or_else(|| malformed("a member that must be text is none"))?;
        match text.len() <= longest {
            true => Ok(Some(text)),
            false => Err(too_long()),
        }
    }

    fn bytes(&self, name: &str, most: usize) -> Result<Option<Vec<u8>>, Refused> {
        let text = self.text(name, encoded(most))?;
        text.map(|text| decode(text, most)).transpose()
    }

    fn required(&self, name: &str, most: usize) -> Result<Vec<u8>, Refused> {
        let bytes = self.bytes(name, most)?.filter(|bytes| !bytes.is_empty());
        bytes.ok_or_else(|| malformed("a member of the attestation info is missing or empty"))
    }
}

/// Characters of so many bytes, padding among them.
const fn encoded(bytes: usize) -> usize {
    bytes.div_ceil(3) * 4
}

fn decode(text: &str, most: usize) -> Result<Vec<u8>, Refused> {
    if text.len() > encoded(most) {
        return Err(too_long());
    }
    let url_safe = |byte| match byte {
        b'+' => b'-',
        b'/' => b'_',
        other => other,
    };
    let bytes = LOOSE.decode(text.bytes().map(url_safe).collect::<Vec<u8>>());
    let bytes = bytes.map_err(|_| malformed("a binary member of the attestation info is not base64"))?;
    match bytes.len() <= most {
        true => Ok(bytes),
        false => Err(too_long()),
    }
}

fn strict(bytes: &[u8], most: usize) -> Result<Node, Refused> {
    json::parse(bytes, &Limits::request(most)).map_err(|diagnostic| {
        let fault = Fault::new(Code::of(diagnostic.code), "the attestation info is no strict json");
        fault.because(diagnostic.to_string()).into()
    })
}

fn put(document: &mut Map<String, Value>, name: &str, bytes: &[u8]) {
    document.insert(name.to_owned(), json!(URL_SAFE_NO_PAD.encode(bytes)));
}

fn malformed(told: &'static str) -> Refused {
    refused(Code::Malformed, "attestation-info", told)
}

fn too_long() -> Refused {
    Fault::new(Code::TooLarge, "a member of the attestation info is too long").into()
}

#[cfg(test)]
mod tests {
    use keygate_forge::amd::{Amd, Product, SnpReport};

    use super::*;

    fn sound() -> String {
        let proof = Amd::new(Product::Milan, 1_800_000_000).evidence(&SnpReport::new([7; 64])).azure_document(&[]);
        let register = |index| json!({"Index": index, "Digest": STANDARD.encode([7; 32])});
        json!({
            "AttestationProtocolVersion": "2.0", "OSType": "TGludXg=", "OSVersionMajor": 5, "TcgLogs": "AAEC",
            "ClientPayload": {"nonce": "-_8"}, "IsolationInfo": {"Type": "SevSnp",
                "Evidence": {"Proof": URL_SAFE_NO_PAD.encode(proof), "RunTimeData": "e30="}},
            "TpmInfo": {"PcrQuote": "AAEC", "PcrSignature": STANDARD.encode([9; 256]), "PcrSet": [7, 11],
                "PCRs": [register(7), register(11)], "EncKeyPub": "AAEC", "EncKeyCertifyInfo": "AAED",
                "EncKeyCertifyInfoSignature": "AAEE"},
        })
        .to_string()
    }

    #[test]
    fn every_member_goes_on_byte_by_byte() {
        let info = GuestInfo::read(sound().as_bytes()).unwrap();
        let document: Value = serde_json::from_slice(&info.document).unwrap();
        assert_eq!((&document["quote"], &document["event_log"]), (&json!("AAEC"), &json!("AAEC")));
        assert_eq!(document["runtime_data"], "e30");
        assert_eq!(document["pcrs"]["sha256"], json!({"7": "07".repeat(32), "11": "07".repeat(32)}));
        let signature = URL_SAFE_NO_PAD.decode(document["signature"].as_str().unwrap()).unwrap();
        assert_eq!((signature.len(), &signature[..7]), (262, &[0, 0x14, 0, 0x0b, 1, 0, 9][..]), "with its head");
        assert_eq!(document["recipient_key"], json!({"public": "AAEC", "certify": "AAED", "signature": "AAEE"}));
        assert_eq!(info.said.payload["nonce"], "+/8=");
        assert_eq!(info.said.words["x-ms-azurevm-ostype"], "Linux");
        assert!(info.chain.starts_with(b"-----BEGIN"));
    }

    #[test]
    fn mutated_infos_are_read_or_refused_and_never_panic() {
        let good = sound().into_bytes();
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut step = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state >> 16).unwrap_or(0)
        };
        let (mut read, mut refused) = (0, 0);
        for _ in 0..5_000 {
            let mut bytes = good.clone();
            for _ in 0..=step() % 3 {
                let at = step() % bytes.len();
                match step() % 4 {
                    0 => bytes[at] = b"\"{}[],:\\0-e\xff"[step() % 12],
                    1 if bytes.len() > 1 => drop(bytes.remove(at)),
                    2 => bytes.insert(at, good[step() % good.len()]),
                    _ => bytes.truncate(at + 1),
                }
            }
            match GuestInfo::read(&bytes) {
                Ok(_) => read += 1,
                Err(_) => refused += 1,
            }
        }
        assert!(read > 0 && refused > 0, "{read} read, {refused} refused");
    }
}
