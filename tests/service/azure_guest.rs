//! `attest/AzureGuest` from what a client sends to the token that only the machine's TPM opens; each check with its twin.
//! `maa-rest-api.md` section 3.5, `maa-tokens-and-claims.md` section 4.5; `bad-inputs.md` TPM-32 to TPM-37.

use std::sync::Arc;

use actix_web::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use keygate::broker::*;
use keygate::clock::Clock as _;
use keygate_forge::amd::{Amd, Product};
use keygate_forge::intel::{Intel, Tee};
use keygate_forge::tcg::Log;
use keygate_verifier::tokens::{Issuer, KeySet, Profile, TokenBinding, TokenRoots, verify_foreign, verify_maa};
use keygate_verifier::{BoundKey, Endorsements};
use serde_json::{Map, Value, json};

use super::azure::Held;
use super::broker::*;
use super::guest_machine::{Guest, KEYS, open};
use super::maa_door::{Told, request, send};

const PATH: &str = "/attest/AzureGuest?api-version=2025-06-01";
const CONTEXT: &[u8] = b"Transport Key";

/// A house whose operator knows one paravisor of each hardware.
struct Ward {
    house: House,
    amd: Amd,
    intel: Intel,
}

impl Ward {
    fn new() -> Self {
        let (amd, intel) = (Amd::new(Product::Milan, NOW), Intel::new(NOW));
        let mut held = Endorsements::default();
        held.add_file(intel.collateral(&intel.describe(Tee::Tdx)).as_bytes()).unwrap();
        let house = House::with(Limits::default(), Arc::new(Held(held)), |anchors| {
            anchors.add("forge", EvidenceKind::Snp, &amd.ark_der()).unwrap();
            anchors.add("forge", EvidenceKind::Tdx, &intel.root_der()).unwrap();
            anchors.add_paravisor(super::guest_machine::LAUNCH);
            anchors.add_paravisor([0x7d; 48]);
        });
        Self { house, amd, intel }
    }

    async fn post(&self, body: &Value) -> Told {
        send(&self.house, request(&Method::POST, PATH, body.to_string())).await
    }

    async fn attest(&self, guest: &Guest) -> Told {
        self.post(&Guest::body(&guest.below_snp(&self.amd))).await
    }

    /// What a relying party reads once the machine opened the answer.
    fn relied(&self, told: &Told) -> Map<String, Value> {
        assert_eq!(told.status, 200, "{}", told.body);
        let sealed = told.body["token"].as_str().unwrap();
        let token = open(sealed, &KEYS[1], CONTEXT).expect("the machine's TPM opens it");
        verify_maa(&token, &self.keys(), &format!("https://{HOST}"), self.house.clock.now().unwrap()).unwrap().claims
    }

    fn keys(&self) -> KeySet {
        let keys = self.house.broker.azure_certs(&self.house.seat()).unwrap();
        KeySet::parse(keys.to_string().as_bytes()).unwrap()
    }

    /// The code that the audit counts, for a refusal that mentions `part`.
    fn counted(&self, told: &Told, part: &str) -> String {
        told.is(if told.status == 413 { 413 } else { 400 }, told.body["error"]["code"].as_str().unwrap(), part);
        assert!(told.body.get("token").is_none());
        assert!(told.message().contains(part), "{part}: {}", told.message());
        self.house.clock.advance(60);
        self.house.broker.tick();
        self.house.newest("strangers")["code"].as_str().unwrap().to_owned()
    }
}

#[actix_web::test]
async fn a_guest_gets_a_token_that_its_tpm_alone_opens() {
    let ward = Ward::new();
    let told = ward.attest(&Guest::new()).await;
    let claims = ward.relied(&told);
    assert_eq!(claims["x-ms-attestation-type"], "azurevm");
    assert_eq!(claims["secureboot"], true);
    assert_eq!(claims["x-ms-azurevm-attestation-protocol-ver"], "2.0");
    assert_eq!(claims["x-ms-azurevm-vmid"], "26F8BC30");
    assert_eq!(claims["x-ms-azurevm-attested-pcrs"].as_array().map(Vec::len), Some(24));
    let word = |name: &str| claims[&format!("x-ms-azurevm-{name}")].clone();
    assert_eq!(
        (word("ostype"), word("osdistro"), word("osbuild")),
        (json!("Linux"), json!("Ubuntu"), json!("22.04.4"))
    );
    assert_eq!((word("osversion-major"), word("osversion-minor")), (json!(22), json!(4)));
    let tee = &claims["x-ms-isolation-tee"];
    assert_eq!(tee["x-ms-attestation-type"], "sevsnpvm");
    assert_eq!(tee["x-ms-runtime"]["keys"][0]["kid"], "HCLAkPub");
    assert_eq!(
        claims["x-ms-runtime"],
        json!({"client-payload": {"nonce": STANDARD.encode("seven"), "empty": ""}, "keys": [{"kid": "TpmEphemeralEncryptionKey",
            "kty": "RSA", "key_ops": ["encrypt"], "e": "AQAB",
            "n": URL_SAFE_NO_PAD.encode(KEYS[1].rsa().unwrap().n().to_vec())}]})
    );
    assert!(claims["tpm"]["boot"]["secure_boot"].as_bool().unwrap());
    assert!(!claims.contains_key("x-ms-azurevm-bootdebug-enabled"), "no log of Windows came");
    // Who has another key, or another use for it, reads nothing.
    let sealed = told.body["token"].as_str().unwrap();
    assert_eq!(open(sealed, &KEYS[0], CONTEXT), None);
    assert_eq!(open(sealed, &KEYS[2], CONTEXT), None);
    assert_eq!(open(sealed, &KEYS[1], b"transport key"), None);
    assert!(!String::from_utf8(URL_SAFE_NO_PAD.decode(sealed).unwrap()).unwrap().contains("eyJ"), "nothing is clear");
    let again = ward.attest(&Guest::new()).await;
    let part = |told: &Told, name: &str| {
        let bytes = URL_SAFE_NO_PAD.decode(told.body["token"].as_str().unwrap()).unwrap();
        serde_json::from_slice::<Value>(&bytes).unwrap()["EncryptionParams"][name].clone()
    };
    assert_ne!(part(&told, "Iv"), part(&again, "Iv"), "fresh each time");
    // The audit has what was measured, not what the client said.
    let record = ward.house.newest("attestation").to_string();
    assert!(
        record.contains("attest.AzureGuest")
            && !record.contains(&STANDARD.encode("seven"))
            && !record.contains("Ubuntu"),
        "{record}"
    );
}

#[actix_web::test]
async fn a_guest_below_tdx_is_attested_too() {
    let ward = Ward::new();
    let info = Guest::new().below_tdx(&ward.intel);
    let claims = ward.relied(&ward.post(&Guest::body(&info)).await);
    assert_eq!(claims["x-ms-isolation-tee"]["x-ms-attestation-type"], "tdxvm");
    assert_eq!(claims["x-ms-runtime"]["client-payload"]["nonce"], STANDARD.encode("seven"));
    let mut other = info.clone();
    other["IsolationInfo"]["Evidence"]["RunTimeData"] = json!(STANDARD.encode([&Guest::runtime()[..], b" "].concat()));
    let told = ward.post(&Guest::body(&other)).await;
    assert_eq!(ward.counted(&told, "report-data"), "binding-mismatch");
    let mut swapped = info;
    swapped["IsolationInfo"]["Type"] = json!("SevSnp");
    assert_eq!(ward.counted(&ward.post(&Guest::body(&swapped)).await, "snp-document"), "malformed");
}

#[actix_web::test]
async fn clients_spell_member_and_base64_in_several_ways() {
    let ward = Ward::new();
    let info = Guest::new().below_snp(&ward.amd).to_string();
    for body in [
        json!({"AttestationInfo": URL_SAFE_NO_PAD.encode(&info)}),
        json!({"attestationInfo": URL_SAFE_NO_PAD.encode(&info)}),
        json!({"AttestationInfo": STANDARD.encode(&info), "attestationInfo": null, "nonce": 1}),
    ] {
        ward.relied(&ward.post(&body).await);
    }
    let both = json!({"AttestationInfo": "e30", "attestationInfo": "e30"});
    assert_eq!(ward.counted(&ward.post(&both).await, "two names"), "malformed");
    assert_eq!(ward.counted(&ward.post(&json!({"data": "e30"})).await, "missing"), "malformed");
    ward.relied(&ward.attest(&Guest { bare: true, ..Guest::new() }).await);
    let silent = Guest { log: Vec::new(), ..Guest::new() };
    let claims = ward.relied(&ward.attest(&silent).await);
    assert!(claims["tpm"].get("boot").is_none(), "no log came");
}

#[actix_web::test]
async fn tpm_35_to_37_every_twin_of_a_sound_guest_is_refused() {
    let ward = Ward::new();
    let stranger = || KEYS[2].clone();
    let mut pcrs = Guest::new().pcrs;
    pcrs[4][0] ^= 1;
    for (guest, code, part) in [
        (Guest { launch: [0x5b; 48], ..Guest::new() }, "debug-rejected", "paravisor"),
        (Guest { quotes: stranger(), ..Guest::new() }, "signature-invalid", "quote"),
        (Guest { certifies: stranger(), ..Guest::new() }, "signature-invalid", "recipient-key"),
        (Guest { certified: |area| area[10] ^= 1, ..Guest::new() }, "binding-mismatch", "recipient-key"),
        (Guest { on_a_curve: true, ..Guest::new() }, "binding-mismatch", "recipient-key"),
        (Guest { sha1: true, ..Guest::new() }, "unsupported", "tpm-signature"),
        (Guest { certified_data: vec![1], ..Guest::new() }, "freshness-failed", "recipient-key"),
        (Guest { attributes: 0x0004_0472, ..Guest::new() }, "chain-untrusted", "recipient-key"),
        (Guest { attributes: 0x0002_0452, ..Guest::new() }, "chain-untrusted", "recipient-key"),
        (Guest { attributes: 0x0002_0470, ..Guest::new() }, "chain-untrusted", "recipient-key"),
        // Quoted as they are, but not what the log says.
        (Guest { pcrs, ..Guest::new() }, "binding-mismatch", "event-log"),
        (Guest { log: Log::usual().bytes()[..200].to_vec(), ..Guest::new() }, "malformed", "event-log"),
    ] {
        let told = ward.attest(&guest).await;
        assert_eq!(ward.counted(&told, part), code, "{}", told.message());
    }
}

#[actix_web::test]
async fn tpm_32_to_36_what_a_client_sends_has_one_layout() {
    let ward = Ward::new();
    let sound = Guest::new().below_snp(&ward.amd);
    type Change = fn(&mut Value);
    let changes: &[(Change, &str, &str)] = &[
        (|info| info["AttestationProtocolVersion"] = json!("1.0"), "unsupported", "2.0"),
        (|info| info["IsolationInfo"]["Type"] = json!("TrustedLaunch"), "unsupported", "trusted launch"),
        (|info| info["IsolationInfo"]["Type"] = json!("sevsnp"), "unsupported", "isolation type"),
        (|info| drop(info["IsolationInfo"].take()), "malformed", "IsolationInfo"),
        (|info| drop(info["TpmInfo"].take()), "malformed", "TpmInfo"),
        (|info| info["IsolationInfo"]["Evidence"]["Proof"] = json!(""), "malformed", "missing"),
        (
            |info| info["IsolationInfo"]["Evidence"]["RunTimeData"] = json!(STANDARD.encode(b"{}")),
            "binding-mismatch",
            "report-data",
        ),
        (|info| drop(info["TpmInfo"]["EncKeyPub"].take()), "binding-mismatch", "encryption key"),
        (|info| info["TpmInfo"]["EncKeyCertifyInfo"] = json!(""), "binding-mismatch", "encryption key"),
        (|info| drop(info["TpmInfo"]["EncKeyCertifyInfoSignature"].take()), "binding-mismatch", "encryption key"),
        (|info| info["TpmInfo"]["EncKeyCertifyInfo"] = info["TpmInfo"]["PcrQuote"].clone(), "malformed", "attest-type"),
        (
            |info| info["TpmInfo"]["AikPub"] = info["TpmInfo"]["EncKeyPub"].clone(),
            "binding-mismatch",
            "attestation-key",
        ),
        (|info| info["TpmInfo"]["PcrQuote"] = json!("*"), "malformed", "base64"),
        (|info| info["TpmInfo"]["PcrQuote"] = json!("AB"), "malformed", "base64"),
        (|info| info["TpmInfo"]["PcrQuote"] = json!(STANDARD.encode([0; 16_385])), "too-large", "too long"),
        (|info| info["TcgLogs"] = json!(STANDARD.encode(vec![0; 524_289])), "too-large", "too long"),
        (
            |info| info["TpmInfo"]["PCRs"][4]["Digest"] = json!(STANDARD.encode([7; 32])),
            "binding-mismatch",
            "pcr-digest",
        ),
        (|info| info["TpmInfo"]["PCRs"][4]["Digest"] = json!(STANDARD.encode([7; 20])), "malformed", "PCRs"),
        (|info| info["TpmInfo"]["PCRs"][4]["Index"] = json!(5), "malformed", "PCRs"),
        (|info| info["TpmInfo"]["PCRs"][4]["Index"] = json!(24), "malformed", "PCRs"),
        (|info| info["TpmInfo"]["PcrSet"][4] = json!(24), "malformed", "PcrSet"),
        (|info| drop(info["TpmInfo"]["PcrSet"].as_array_mut().unwrap().pop()), "malformed", "PcrSet"),
        (|info| info["OSType"] = json!(STANDARD.encode([0xff])), "malformed", "utf-8"),
        (|info| info["OSType"] = json!(STANDARD.encode([b'a'; 257])), "too-large", "too long"),
        (|info| info["OSVersionMajor"] = json!(1.5), "malformed", "version"),
        (|info| info["OSVersionMajor"] = json!(-1), "malformed", "version"),
        (|info| info["ClientPayload"] = json!([]), "malformed", "ClientPayload"),
        (|info| info["ClientPayload"]["nonce"] = json!(7), "malformed", "ClientPayload"),
        (|info| info["ClientPayload"]["nonce"] = json!("*"), "malformed", "base64"),
        (|info| info["ClientPayload"]["nonce"] = json!(STANDARD.encode([b'a'; 4_097])), "too-large", "too long"),
        (
            |info| (0..33).for_each(|number| info["ClientPayload"][number.to_string()] = json!("")),
            "too-large",
            "too many",
        ),
    ];
    for (number, (change, code, part)) in changes.iter().enumerate() {
        let mut info = sound.clone();
        change(&mut info);
        let told = ward.post(&Guest::body(&info)).await;
        assert_eq!(ward.counted(&told, part), *code, "change {number}: {}", told.message());
    }
    let text = sound.to_string();
    for text in [text.replacen('{', r#"{"OSType":"","#, 1), text[1..].to_owned(), "[]".to_owned()] {
        let told = ward.post(&json!({"AttestationInfo": URL_SAFE_NO_PAD.encode(text)})).await;
        assert_eq!(ward.counted(&told, "attestation info"), "malformed");
    }
    ward.relied(&ward.post(&Guest::body(&sound)).await);
}

#[actix_web::test]
async fn the_policy_of_the_type_decides_and_sees_the_clients_words_as_its_words() {
    let ward = Ward::new();
    let writer = super::maa_door::employ(&ward.house, "attestation-contributor");
    let set = |text: &str| {
        let payload = json!({"AttestationPolicy": URL_SAFE_NO_PAD.encode(text)}).to_string();
        let jws = format!("{}.{}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#), URL_SAFE_NO_PAD.encode(payload));
        let path = "/policies/AzureGuest?api-version=2025-06-01";
        super::maa_door::with_bearer(request(&Method::PUT, path, jws), &writer)
    };
    let rule = |issuer: &str| {
        format!(
            r#"version=1.0; authorizationrules{{[type=="x-ms-azurevm-ostype", value=="Linux", issuer=="{issuer}"] => permit();}}; issuancerules{{}};"#
        )
    };
    assert_eq!(send(&ward.house, set(&rule("AttestationService"))).await.status, 200);
    ward.attest(&Guest::new()).await.is(400, "PolicyEvaluationError", "nobody measured it");
    assert_eq!(send(&ward.house, set(&rule("CustomClaim"))).await.status, 200);
    ward.relied(&ward.attest(&Guest::new()).await);
}

/// What a key's use asks of a token: it is bound to the machine's key, and fresh by the nonce that the machine gave.
#[actix_web::test]
async fn the_token_is_evidence_for_the_certified_key_and_for_no_other() {
    let ward = Ward::new();
    let bind = [9; 32];
    let mut info = Guest::new().below_snp(&ward.amd);
    info["ClientPayload"]["nonce"] = json!(STANDARD.encode(URL_SAFE_NO_PAD.encode(bind)));
    let told = ward.post(&Guest::body(&info)).await;
    let token = open(told.body["token"].as_str().unwrap(), &KEYS[1], CONTEXT).unwrap();
    let (keys, home, roots) = (ward.keys(), format!("https://{HOST}"), TokenRoots::none());
    let issuer = Issuer {
        name: "default",
        issuer: &home,
        profile: Profile::Maa,
        keys: &keys,
        roots: &roots,
        audiences: &[],
        max_age: None,
        is_keygate: true,
    };
    let key = |index: usize| {
        let rsa = KEYS[index].rsa().unwrap();
        RecipientKey::rsa(&rsa.n().to_vec(), &rsa.e().to_vec()).unwrap()
    };
    let now = ward.house.clock.now().unwrap();
    let judge = |bind: &[u8; 32], recipient: &RecipientKey| {
        verify_foreign(&token, &issuer, &TokenBinding::Nonce { bind, recipient }, now)
    };
    let good = judge(&bind, &key(1)).unwrap();
    assert!(good.is_fresh() && *good.bound_key() == BoundKey::Present(key(1)));
    assert!(judge(&[8; 32], &key(1)).is_err(), "another request");
    let other = judge(&bind, &key(2));
    assert!(other.is_err() || *other.unwrap().bound_key() != BoundKey::Present(key(2)), "the key in the token counts");
}
