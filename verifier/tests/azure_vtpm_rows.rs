//! A confidential machine on Azure, made under throw-away roots, and every twin of it that differs in one thing. Bad inputs, TPM-32
//! to TPM-37 and TDX-10.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keygate_forge::amd::{Amd, Product, SnpReport};
use keygate_verifier::{
    Anchors, Binding, BoundKey, Endorsements, Evidence, EvidenceKind, NativeBinding, Options, Outcome, RecipientCurve,
    RecipientKey, UnixTime, Verifier,
};
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::sign::Signer;
use serde_json::{Map, Value, json};

const NOW: i64 = 1_790_000_000;
const LAUNCH: [u8; 48] = [0x5a; 48];

fn b64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn recipient() -> RecipientKey {
    let x = URL_SAFE_NO_PAD.decode("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU").unwrap();
    let y = URL_SAFE_NO_PAD.decode("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0").unwrap();
    RecipientKey::ec(RecipientCurve::P256, &x, &y).unwrap()
}

fn binding() -> NativeBinding {
    NativeBinding::new([7; 32], "kms.example", &[9; 32], recipient(), b"")
}

/// A machine; each test changes one thing of it before it attests.
struct Machine {
    amd: Amd,
    ak: PKey<Private>,
    ek: PKey<Private>,
    signs_with: Option<PKey<Private>>,
    keys: Option<Value>,
    vmpl: u32,
    id_key_digest: [u8; 48],
    /// The second half of the report data.
    behind_digest: [u8; 32],
    extra_data: Vec<u8>,
    /// Registers 0 to 23 of the SHA-256 bank.
    pcrs: Vec<[u8; 32]>,
    /// Changes the paravisor's report when the hardware has signed.
    after: fn(&mut Vec<u8>),
}

fn rsa() -> PKey<Private> {
    PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap()
}

/// Attestation key and endorsement key of every machine here: making them takes longer than all the rest.
static MADE: LazyLock<(PKey<Private>, PKey<Private>)> = LazyLock::new(|| (rsa(), rsa()));

fn jwk(kid: &str, op: &str, key: &PKey<Private>) -> Value {
    let rsa = key.rsa().unwrap();
    json!({"kid": kid, "key_ops": [op], "kty": "RSA", "e": "AQAB", "n": b64(&rsa.n().to_vec())})
}

impl Machine {
    fn new() -> Self {
        Self {
            amd: Amd::new(Product::Genoa, NOW),
            ak: MADE.0.clone(),
            ek: MADE.1.clone(),
            signs_with: None,
            keys: None,
            vmpl: 0,
            id_key_digest: [0; 48],
            behind_digest: [0; 32],
            extra_data: binding().report_data()[..32].to_vec(),
            pcrs: (0..24).map(|index| [index; 32]).collect(),
            after: |_| {},
        }
    }

    fn good_keys(&self) -> Value {
        json!([jwk("HCLAkPub", "sign", &self.ak), jwk("HCLEkPub", "encrypt", &self.ek)])
    }

    fn hcl(&self) -> (Vec<u8>, Vec<Vec<u8>>) {
        let keys = self.keys.clone().unwrap_or_else(|| self.good_keys());
        let runtime = json!({"keys": keys, "vm-configuration": {"secure-boot": true, "vmUniqueId": "26F8BC30"}, "user-data": "00"});
        let runtime = serde_json::to_vec(&runtime).unwrap();
        let mut report_data = [0; 64];
        report_data[..32].copy_from_slice(&openssl::sha::sha256(&runtime));
        report_data[32..].copy_from_slice(&self.behind_digest);
        let wanted = SnpReport {
            vmpl: self.vmpl,
            measurement: LAUNCH,
            id_key_digest: self.id_key_digest,
            ..SnpReport::new(report_data)
        };
        let made = self.amd.evidence(&wanted);
        let length = u32::try_from(runtime.len()).unwrap();
        let mut report = b"HCLA".to_vec();
        for number in [1, length + 20 + 1216, 2, 0, 0, 0, 0] {
            report.extend_from_slice(&u32::to_le_bytes(number));
        }
        report.extend_from_slice(&made.report);
        for number in [length + 20, 1, 2, 1, length] {
            report.extend_from_slice(&u32::to_le_bytes(number));
        }
        report.extend_from_slice(&runtime);
        report.extend_from_slice(&[0; 30]);
        (self.after)(&mut report);
        (report, vec![made.vek, made.authority])
    }

    fn quote(&self) -> Vec<u8> {
        let digest = openssl::sha::sha256(&self.pcrs.concat());
        let extra = u16::try_from(self.extra_data.len()).unwrap().to_be_bytes();
        let mut quote = vec![0xff, 0x54, 0x43, 0x47, 0x80, 0x18, 0, 34, 0, 0x0b];
        quote.extend_from_slice(&[3; 32]);
        quote.extend_from_slice(&extra);
        quote.extend_from_slice(&self.extra_data);
        quote.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 2, 0, 0, 0, 0, 1]);
        quote.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 7]);
        quote.extend_from_slice(&[0, 0, 0, 1, 0, 0x0b, 3, 0xff, 0xff, 0xff, 0, 32]);
        quote.extend_from_slice(&digest);
        quote
    }

    fn document(&self) -> Map<String, Value> {
        let (report, certificates) = self.hcl();
        let quote = self.quote();
        let mut signer = Signer::new(MessageDigest::sha256(), self.signs_with.as_ref().unwrap_or(&self.ak)).unwrap();
        signer.update(&quote).unwrap();
        let signature = [&[0, 0x14, 0, 0x0b, 1, 0][..], &signer.sign_to_vec().unwrap()].concat();
        let pcrs: Map<String, Value> =
            self.pcrs.iter().enumerate().map(|(index, value)| (index.to_string(), json!(hex::encode(value)))).collect();
        let certificates: Vec<String> = certificates.iter().map(|der| b64(der)).collect();
        let Value::Object(document) = json!({
            "kind": "azure-vtpm", "hcl_report": b64(&report), "certificates": certificates,
            "quote": b64(&quote), "signature": b64(&signature), "pcrs": {"sha256": pcrs},
        }) else {
            unreachable!()
        };
        document
    }

    fn verifier(&self, known: bool) -> Verifier {
        let mut anchors = Anchors::none();
        anchors.add("forge", EvidenceKind::Snp, &self.amd.ark_der()).unwrap();
        if known {
            anchors.add_paravisor(LAUNCH);
        }
        Verifier::new(anchors)
    }

    fn judge_with(&self, document: &Map<String, Value>, known: bool, binding: &Binding) -> Result<Outcome, String> {
        let bytes = serde_json::to_vec(document).unwrap();
        let evidence = Evidence { kind: EvidenceKind::AzureVtpm, bytes: &bytes };
        let now = UnixTime::from_secs(NOW);
        self.verifier(known)
            .verify(&evidence, binding, &Endorsements::default(), &Options::strict(), now)
            .map_err(|error| error.full_code())
    }

    fn judge(&self) -> Result<Outcome, String> {
        self.judge_with(&self.document(), true, &Binding::Native(Box::new(binding())))
    }

    fn refused(&self) -> String {
        code(self.judge())
    }
}

fn code(outcome: Result<Outcome, String>) -> String {
    match outcome {
        Ok(Outcome::Verified(_)) => "verified".to_owned(),
        Ok(Outcome::Wants(_)) => "wants".to_owned(),
        Ok(Outcome::NotAccepted { why, .. }) => why.full_code(),
        Err(code) => code,
    }
}

#[test]
fn a_known_paravisor_a_bound_key_and_the_claims_of_both() {
    let machine = Machine::new();
    let Ok(Outcome::Verified(verified)) = machine.judge() else { panic!("{:?}", machine.judge()) };
    assert_eq!(*verified.bound_key(), BoundKey::Present(recipient()));
    let claims = verified.claims();
    assert_eq!(claims["x-ms-attestation-type"], "azurevm");
    assert_eq!(claims["secureboot"], true);
    assert_eq!(claims["tpm"]["pcrs"]["sha256"]["7"], "07".repeat(32));
    assert_eq!(claims["tpm"]["ak"]["vouched_by"], "paravisor");
    assert_eq!(claims["x-ms-isolation-tee"]["x-ms-attestation-type"], "sevsnpvm");
    assert_eq!(claims["x-ms-isolation-tee"]["x-ms-sevsnpvm-launchmeasurement"], hex::encode(LAUNCH));
    assert_eq!(claims["keygate"]["anchor"], "forge");
    assert_eq!(claims["keygate"]["debug"], false);
    assert_eq!(verified.tpm().unwrap().reset_count, 2);
    assert!(verified.platforms().iter().any(|name| name == "azure-vm:26f8bc30"));
    assert_eq!(verified.check_init_data(&[0; 32]).unwrap_err().full_code(), "unsupported.init-data");
}

#[test]
fn tpm_32_the_paravisors_report_has_one_layout() {
    type Change = fn(&mut Vec<u8>);
    let changes: &[(Change, &str)] = &[
        (|report| report[0] = b'X', "malformed.hcl-report"),
        (|report| report[4] = 3, "malformed.hcl-report"),
        (|report| report[8] ^= 1, "malformed.hcl-report"),
        (|report| report[12] = 1, "malformed.hcl-report"),
        (|report| report[16] = 1, "malformed.hcl-report"),
        (|report| report[1216] ^= 1, "malformed.hcl-report"),
        (|report| report[1220] = 2, "malformed.hcl-report"),
        (|report| report[1224] = 4, "malformed.azure-vtpm-document"),
        (|report| report[1224] = 3, "unsupported.hcl-report"),
        (|report| report[1228] = 2, "unsupported.hcl-report"),
        (|report| report[1232..1236].copy_from_slice(&[0xff; 4]), "malformed.hcl-report"),
        (|report| report[1236] = b'[', "malformed.hcl-runtime-data"),
        (|report| report.push(1), "malformed.hcl-report"),
        (|report| report.truncate(1300), "malformed.hcl-report"),
        (|report| report.truncate(20), "malformed.hcl-report"),
        (|report| report.resize(17_000, 0), "too-large.azure-vtpm-document"),
    ];
    for (number, (after, expected)) in changes.iter().enumerate() {
        let code = Machine { after: *after, ..Machine::new() }.refused();
        assert_eq!(code, *expected, "change {number}");
    }
    let machine = Machine::new();
    let mut document = machine.document();
    document.insert("td_quote".into(), json!(b64(&[0; 700])));
    let binding = Binding::Native(Box::new(binding()));
    assert_eq!(code(machine.judge_with(&document, true, &binding)), "malformed.azure-vtpm-document");
}

#[test]
fn tpm_33_the_run_time_data_are_those_that_the_hardware_names() {
    let other = Machine {
        after: |report| {
            let at = report.windows(8).position(|w| w == b"26F8BC30").unwrap();
            report[at] = b'3';
        },
        ..Machine::new()
    };
    assert_eq!(other.refused(), "binding-mismatch.report-data");
    let mut behind_digest = [0; 32];
    behind_digest[31] = 1;
    assert_eq!(Machine { behind_digest, ..Machine::new() }.refused(), "binding-mismatch.report-data");
    assert_eq!(
        Machine { after: |report| report[32 + 0x90] ^= 1, ..Machine::new() }.refused(),
        "signature-invalid.report"
    );
}

#[test]
fn tpm_34_the_report_names_one_attestation_key_that_signs() {
    let machine = Machine::new();
    let good = jwk("HCLAkPub", "sign", &machine.ak);
    let with = |change: fn(&mut Map<String, Value>)| {
        let mut key = good.as_object().unwrap().clone();
        change(&mut key);
        json!([key])
    };
    for (keys, expected) in [
        (json!([good]), "verified"),
        (json!([good, good]), "malformed.hcl-runtime-data"),
        (json!([]), "malformed.hcl-runtime-data"),
        (json!({"HCLAkPub": good}), "malformed.hcl-runtime-data"),
        (json!(["HCLAkPub"]), "malformed.hcl-runtime-data"),
        (with(|key| drop(key.insert("kid".into(), json!("HCLAkPub2")))), "malformed.hcl-runtime-data"),
        (with(|key| drop(key.insert("kid".into(), json!("hclakpub")))), "malformed.hcl-runtime-data"),
        (with(|key| drop(key.insert("e".into(), json!("AQ")))), "malformed.hcl-runtime-data"),
        (with(|key| drop(key.insert("e".into(), json!("AAEAAQ")))), "malformed.hcl-runtime-data"),
        (with(|key| drop(key.insert("n".into(), json!("AQAB")))), "malformed.hcl-runtime-data"),
        (with(|key| drop(key.insert("kty".into(), json!("EC")))), "malformed.hcl-runtime-data"),
        (with(|key| drop(key.insert("key_ops".into(), json!(["encrypt"])))), "malformed.hcl-runtime-data"),
        (with(|key| drop(key.insert("key_ops".into(), json!(["sign", "encrypt"])))), "malformed.hcl-runtime-data"),
        (with(|key| drop(key.remove("key_ops"))), "malformed.hcl-runtime-data"),
    ] {
        let ak = machine.ak.clone();
        let code = Machine { ak, keys: Some(keys.clone()), ..Machine::new() }.refused();
        assert_eq!(code, expected, "{keys}");
    }
}

#[test]
fn tpm_35_tdx_10_the_quote_is_of_the_key_that_the_report_names() {
    assert_eq!(Machine { signs_with: Some(rsa()), ..Machine::new() }.refused(), "signature-invalid.quote");
    // A client that says which key it used is told that the report names another.
    let machine = Machine::new();
    let binding = Binding::Native(Box::new(binding()));
    let area = |key: &PKey<Private>| {
        let mut area = vec![0, 1, 0, 0x0b, 0, 5, 0, 0x72, 0, 0, 0, 0x10, 0, 0x14, 0, 0x0b, 8, 0, 0, 0, 0, 0, 1, 0];
        area.extend_from_slice(&key.rsa().unwrap().n().to_vec());
        area
    };
    for (key, expected) in [(machine.ak.clone(), "verified"), (rsa(), "binding-mismatch.attestation-key")] {
        let mut document = machine.document();
        document.insert("ak".into(), json!(b64(&area(&key))));
        assert_eq!(code(machine.judge_with(&document, true, &binding)), expected);
    }
}

#[test]
fn tpm_37_without_the_hardware_or_under_an_unknown_launch_nothing_is_opened() {
    let machine = Machine::new();
    let binding = Binding::Native(Box::new(binding()));
    let mut document = machine.document();
    assert_eq!(code(machine.judge_with(&document, false, &binding)), "debug-rejected.paravisor");
    document.remove("hcl_report");
    assert_eq!(code(machine.judge_with(&document, true, &binding)), "malformed.azure-vtpm-document");
    assert_eq!(Machine { vmpl: 2, ..Machine::new() }.refused(), "debug-rejected.paravisor");
    // The key of Microsoft's identity blocks is known by itself; a machine below VMPL 0 is not.
    let key = "942fd93ebde6ea7a96efadeafc60f1c6b3d10e703b1dafd7555b92f7f3d32d0e006767648cba5b102af3d65756af4177";
    let id_key_digest: [u8; 48] = hex::decode(key).unwrap().try_into().unwrap();
    for (vmpl, expected) in [(0, "verified"), (1, "debug-rejected.paravisor")] {
        let machine = Machine { id_key_digest, vmpl, ..Machine::new() };
        assert_eq!(code(machine.judge_with(&machine.document(), false, &binding)), expected);
    }
    let unrooted = Verifier::new(Anchors::vendor().unwrap());
    let bytes = serde_json::to_vec(&machine.document()).unwrap();
    let evidence = Evidence { kind: EvidenceKind::AzureVtpm, bytes: &bytes };
    let now = UnixTime::from_secs(NOW);
    let refused = unrooted.verify(&evidence, &binding, &Endorsements::default(), &Options::strict(), now).unwrap_err();
    assert_eq!(refused.code(), "chain-untrusted");
}

#[test]
fn the_quote_answers_this_request_over_exactly_these_registers() {
    let mut extra_data = binding().report_data()[..32].to_vec();
    extra_data[0] ^= 1;
    assert_eq!(Machine { extra_data, ..Machine::new() }.refused(), "freshness-failed.qualifying-data");
    let whole = binding().report_data().to_vec();
    assert_eq!(Machine { extra_data: whole, ..Machine::new() }.refused(), "freshness-failed.qualifying-data");
    assert_eq!(Machine { extra_data: Vec::new(), ..Machine::new() }.refused(), "freshness-failed.qualifying-data");

    let machine = Machine::new();
    let native = Binding::Native(Box::new(binding()));
    let mut changed = machine.document();
    changed["pcrs"]["sha256"]["7"] = json!("00".repeat(32));
    assert_eq!(code(machine.judge_with(&changed, true, &native)), "binding-mismatch.pcr-digest");
    let mut missing = machine.document();
    missing["pcrs"]["sha256"].as_object_mut().unwrap().remove("7");
    assert_eq!(code(machine.judge_with(&missing, true, &native)), "binding-mismatch.pcr-selection");
    let held = Binding::HeldData { runtime_sha256: Some([0; 32]) };
    assert_eq!(code(machine.judge_with(&machine.document(), true, &held)), "unsupported.binding");
    let mut unknown = machine.document();
    unknown.insert("nonce".into(), json!("AA"));
    assert_eq!(code(machine.judge_with(&unknown, true, &native)), "malformed.azure-vtpm-document");
}

#[test]
fn the_hardwares_report_is_checked_once_and_the_quote_each_time() {
    let machine = Machine::new();
    let verifier = machine.verifier(true);
    let bytes = serde_json::to_vec(&machine.document()).unwrap();
    let evidence = Evidence { kind: EvidenceKind::AzureVtpm, bytes: &bytes };
    let native = Binding::Native(Box::new(binding()));
    let mut counts = Vec::new();
    for _ in 0..3 {
        let before = verifier.counts().signature_checks;
        let now = UnixTime::from_secs(NOW);
        verifier.verify(&evidence, &native, &Endorsements::default(), &Options::strict(), now).unwrap();
        counts.push(verifier.counts().signature_checks - before);
    }
    assert_eq!(counts[1..], [1, 1], "the quote's own: {counts:?}");
}

/// The same document with the paravisor's report taken apart, as some clients send it.
fn apart(mut document: Map<String, Value>) -> Map<String, Value> {
    let report = document.remove("hcl_report").unwrap();
    let report = URL_SAFE_NO_PAD.decode(report.as_str().unwrap()).unwrap();
    let length = usize::try_from(u32::from_le_bytes(report[1232..1236].try_into().unwrap())).unwrap();
    document.insert("snp_report".into(), json!(b64(&report[32..1216])));
    document.insert("runtime_data".into(), json!(b64(&report[1236..1236 + length])));
    document
}

#[test]
fn tpm_32_and_33_parts_of_the_paravisors_report_prove_what_the_whole_proves() {
    let machine = Machine::new();
    let native = Binding::Native(Box::new(binding()));
    let whole = machine.document();
    let parts = apart(whole.clone());
    let claims = |document: &Map<String, Value>| match machine.judge_with(document, true, &native) {
        Ok(Outcome::Verified(verified)) => verified.claims(),
        other => panic!("{other:?}"),
    };
    assert_eq!(claims(&whole), claims(&parts));
    assert_eq!(code(machine.judge_with(&parts, false, &native)), "debug-rejected.paravisor");
    let stranger = Machine { signs_with: Some(rsa()), ..Machine::new() };
    assert_eq!(code(stranger.judge_with(&apart(stranger.document()), true, &native)), "signature-invalid.quote");

    type Change = fn(&mut Map<String, Value>);
    let layout = "malformed.azure-vtpm-document";
    let changes: &[(Change, &str)] = &[
        // One space more is other run-time data, whatever they say.
        (
            |parts| {
                let text = URL_SAFE_NO_PAD.decode(parts["runtime_data"].as_str().unwrap()).unwrap();
                parts["runtime_data"] = json!(b64(&[b" ", &text[..]].concat()));
            },
            "binding-mismatch.report-data",
        ),
        (|parts| parts["runtime_data"] = json!(b64(b"[]")), "malformed.hcl-runtime-data"),
        (|parts| parts["runtime_data"] = json!(b64(&[b' '; 17_000])), "too-large.azure-vtpm-document"),
        (|parts| drop(parts.remove("runtime_data")), layout),
        (|parts| drop(parts.remove("snp_report")), layout),
        (|parts| drop(parts.insert("hcl_report".into(), parts["snp_report"].clone())), layout),
        (|parts| drop(parts.insert("td_quote".into(), parts["snp_report"].clone())), layout),
        (|parts| parts["snp_report"] = json!(b64(&[0; 1184])), "unsupported.report-version"),
        (
            |parts| {
                let mut report = URL_SAFE_NO_PAD.decode(parts["snp_report"].as_str().unwrap()).unwrap();
                report.push(0);
                parts["snp_report"] = json!(b64(&report));
            },
            "malformed.report",
        ),
    ];
    for (number, (change, expected)) in changes.iter().enumerate() {
        let mut changed = parts.clone();
        change(&mut changed);
        assert_eq!(code(machine.judge_with(&changed, true, &native)), *expected, "change {number}");
    }
}

#[test]
fn tpm_36_a_key_of_the_machines_is_shown_only_when_its_attestation_key_certified_it() {
    let key = rsa();
    let machine = Machine { extra_data: Vec::new(), ..Machine::new() };
    let area = |attributes: u32, key: &PKey<Private>| {
        let mut area = vec![0, 1, 0, 0x0b];
        area.extend_from_slice(&attributes.to_be_bytes());
        area.extend_from_slice(&[0, 0, 0, 0x10, 0, 0x10, 8, 0, 0, 0, 0, 0, 1, 0]);
        area.extend_from_slice(&key.rsa().unwrap().n().to_vec());
        area
    };
    let certified = |area: &[u8], named: &[u8], extra: &[u8], by: &PKey<Private>| {
        let name = [&[0, 0x0b][..], &openssl::sha::sha256(named)].concat();
        let mut certify = vec![0xff, 0x54, 0x43, 0x47, 0x80, 0x17, 0, 34, 0, 0x0b];
        certify.extend_from_slice(&[3; 32]);
        certify.extend_from_slice(&u16::try_from(extra.len()).unwrap().to_be_bytes());
        certify.extend_from_slice(extra);
        certify.extend_from_slice(&[0; 25]);
        for _ in 0..2 {
            certify.extend_from_slice(&[0, 34]);
            certify.extend_from_slice(&name);
        }
        let mut signer = Signer::new(MessageDigest::sha256(), by).unwrap();
        signer.update(&certify).unwrap();
        let signature = [&[0, 0x14, 0, 0x0b, 1, 0][..], &signer.sign_to_vec().unwrap()].concat();
        json!({"public": b64(area), "certify": b64(&certify), "signature": b64(&signature)})
    };
    let judge = |resident: Option<Value>| {
        let mut document = apart(machine.document());
        document.extend(resident.map(|resident| ("recipient_key".to_owned(), resident)));
        machine.judge_with(&document, true, &Binding::Unbound)
    };
    let (good, ak) = (area(0x0002_0472, &key), &machine.ak);
    let Ok(Outcome::Verified(verified)) = judge(Some(certified(&good, &good, b"", ak))) else { panic!("refused") };
    let numbers = key.rsa().unwrap();
    let expected = RecipientKey::rsa(&numbers.n().to_vec(), &numbers.e().to_vec()).unwrap();
    assert_eq!(verified.resident_key(), Some(&expected));
    assert_eq!(*verified.bound_key(), BoundKey::Absent, "nothing says that it is the recipient of anything");
    let Ok(Outcome::Verified(verified)) = judge(None) else { panic!("refused") };
    assert_eq!(verified.resident_key(), None);
    let signing = area(0x0004_0472, &key);
    let mobile = area(0x0002_0462, &key);
    for (resident, expected) in [
        (certified(&good, &good, b"", &machine.ek), "signature-invalid.recipient-key"),
        (certified(&good, &mobile, b"", ak), "binding-mismatch.recipient-key"),
        (certified(&good, &good, b"x", ak), "freshness-failed.recipient-key"),
        (certified(&signing, &signing, b"", ak), "chain-untrusted.recipient-key"),
        (certified(&mobile, &mobile, b"", ak), "chain-untrusted.recipient-key"),
    ] {
        assert_eq!(code(judge(Some(resident))), expected);
    }
}
