//! What Google, Intel and the verifiers behind EAR say in their own words: the workload's key, places of a nonce, debug, what it refuses. Bad inputs, section 1.

mod tokens;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keygate_verifier::BoundKey;
use keygate_verifier::tokens::{Foreign, Profile, TokenBinding, TokenFault};
use serde_json::{Value, json};
use tokens::foreign::{BIND, DECOY, Family, TEE, held, nonce, recipient};
use tokens::{OTHER_P256, b64};

fn profile(result: Result<Foreign, TokenFault>) -> &'static str {
    match result.map(|found| panic!("accepted: {:?}", found.claims())).unwrap_err() {
        TokenFault::Profile(why) | TokenFault::Claim(why) | TokenFault::Binding(why) => why,
        fault => panic!("{fault}"),
    }
}

/// The bound key of good claims with these changes, nothing asked.
fn key_of(family: &Family, changes: &[(&str, Value)]) -> Result<BoundKey, TokenFault> {
    let token = family.token(&family.claims_with(changes));
    family.judge(&token, &family.keys(), &TokenBinding::Unbound).map(|found| found.bound_key().clone())
}

// --- Google ---

#[test]
fn google_reads_one_nonce_or_up_to_six() {
    let google = Family::of(Profile::GoogleConfidentialSpace);
    let six: Vec<Value> = (0..5).map(|n| json!(format!("a-nonce-{n}"))).chain([json!(nonce())]).collect();
    let mut seven = six.clone();
    seven.insert(0, json!("nonce-six"));
    for good in [json!(nonce()), json!([nonce()]), json!(six)] {
        assert!(google.changed(&[("/eat_nonce", good)]).unwrap().is_fresh());
    }
    for bad in [json!(seven), json!([]), json!({}), json!(1), json!([nonce(), 1]), json!([nonce(), "short"])] {
        assert_eq!(
            google.changed(&[("/eat_nonce", bad.clone())]).unwrap_err(),
            TokenFault::Claim("eat_nonce"),
            "{bad}"
        );
    }
    for other in [json!(hex::encode(BIND)), json!(format!("{}=", nonce())), json!([b64([0x5b; 32])]), Value::Null] {
        assert_eq!(google.changed(&[("/eat_nonce", other.clone())]).unwrap_err(), TokenFault::Freshness, "{other}");
    }
    let echo = google.changed(&[("/eat_nonce", Value::Null), ("/nonce", json!(nonce()))]).unwrap_err();
    assert_eq!(echo, TokenFault::Freshness);
}

#[test]
fn jwt_44_google_signs_other_tokens_too() {
    let google = Family::of(Profile::GoogleConfidentialSpace);
    for (claim, values) in [
        ("/swname", vec![json!("GCE"), json!("HARDENED_SHIELDED"), Value::Null]),
        ("/hwmodel", vec![json!("GCP_SHIELDED_VM"), json!("GCP_INTEL_SGX"), Value::Null]),
        ("/oemid", vec![json!("11129"), json!(1), Value::Null]),
    ] {
        for value in values {
            profile(google.changed(&[(claim, value)]));
        }
    }
    for (hwmodel, kind) in [("GCP_AMD_SEV", "sev"), ("GCP_AMD_SEV_ES", "sev-es"), ("GCP_INTEL_TDX", "tdx")] {
        let found = google.changed(&[("/hwmodel", json!(hwmodel))]).unwrap();
        assert_eq!(found.claims()["keygate"]["tee"]["kind"], kind);
    }
}

#[test]
fn jwt_51_google_only_disabled_since_boot_is_no_debug() {
    let google = Family::of(Profile::GoogleConfidentialSpace);
    assert!(!google.changed(&[]).unwrap().is_debug());
    for word in [json!("enabled"), json!("enable"), json!("disabled"), json!(""), json!(false), Value::Null] {
        assert!(google.changed(&[("/dbgstat", word.clone())]).unwrap().is_debug(), "{word}");
    }
    let found = google.changed(&[]).unwrap();
    assert_eq!(found.claims()["keygate"]["workload"]["image_digest"], format!("sha256:{}", "cd".repeat(32)));
    assert_eq!(found.claims()["keygate"]["workload"]["signers"], json!(["ef".repeat(32)]));
    assert_eq!(
        (found.platforms(), found.measurements()),
        (&["gce-instance:1234567890".into()][..], &["cd".repeat(32)][..])
    );
}

// --- Intel ---

/// A token of version 1 about this attester, which holds these data.
fn flat(kind: &str, held: &str) -> Vec<(&'static str, Value)> {
    vec![
        ("/ver", json!("1.0.0")),
        ("/tdx", Value::Null),
        ("/attester_type", json!(kind)),
        ("/sgx_mrenclave", json!("ab".repeat(32))),
        ("/sgx_is_debuggable", json!(false)),
        ("/attester_tcb_status", json!("UpToDate")),
        ("/attester_held_data", json!(held)),
    ]
}

#[test]
fn intel_held_data_are_a_key_in_the_order_of_their_kind() {
    let intel = Family::of(Profile::IntelTrustAuthority);
    let tee = BoundKey::Present(recipient(&TEE));
    for (kind, little_endian) in [("SGX", true), ("TDX", false)] {
        assert_eq!(key_of(&intel, &flat(kind, &held(&TEE, little_endian))).unwrap(), tee, "{kind}");
        let other = key_of(&intel, &flat(kind, &held(&TEE, !little_endian))).unwrap();
        assert_ne!(other, tee, "{kind}");
        // A bare key has no place for a nonce: what the service was given, it gave itself.
        let mut changes = flat(kind, &held(&TEE, little_endian));
        changes.push(("/verifier_nonce", json!({ "val": nonce(), "iat": "x", "signature": "x" })));
        assert_eq!(intel.changed(&changes).unwrap_err(), TokenFault::Freshness);
        // Data that say both.
        let both = json!({ "nonce": nonce(), "tee-pubkey": TEE.jwk() }).to_string();
        let found = intel.changed(&flat(kind, &STANDARD.encode(both))).unwrap();
        assert_eq!((found.is_fresh(), found.bound_key()), (true, &tee));
        let only = intel.changed(&flat(kind, &STANDARD.encode(nonce()))).unwrap();
        assert_eq!((only.is_fresh(), only.bound_key()), (true, &tee), "the nonce holds the recipient");
    }
}

#[test]
fn intel_an_echoed_nonce_and_a_decoy_never_count() {
    let intel = Family::of(Profile::IntelTrustAuthority);
    let data = "/tdx/attester_runtime_data";
    for echo in ["/nonce", "/eat_nonce", "/tdx/nonce", "/tdx/verifier_nonce", "/jti"] {
        let changes = [("/tdx/attester_runtime_data/nonce", Value::Null), (echo, json!(nonce()))];
        assert_eq!(intel.changed(&changes).unwrap_err(), TokenFault::Freshness, "{echo}");
    }
    let decoy = json!({ "tee-pubkey": DECOY.jwk() });
    for place in ["/tee-pubkey", "/policy_defined_claims", "/tpm", "/attester_runtime_data"] {
        let changes = [(data, json!({ "nonce": nonce() })), (place, decoy.clone())];
        assert_eq!(key_of(&intel, &changes).unwrap(), BoundKey::Absent, "{place}");
    }
    let user = [(data, Value::Null), ("/tdx/attester_user_data", json!({ "tee-pubkey": TEE.jwk(), "nonce": nonce() }))];
    assert!(intel.changed(&user).unwrap().is_fresh());
}

#[test]
fn jwt_44_51_intel_attests_other_things_too() {
    let intel = Family::of(Profile::IntelTrustAuthority);
    let tdx = intel.claims()["tdx"].clone();
    for changes in [
        vec![("/tdx", Value::Null), ("/nvgpu", json!({}))],
        vec![("/tdx", Value::Null), ("/tpm", json!({}))],
        vec![("/sgx", tdx.clone())],
        vec![("/ver", json!("3.0.0"))],
        vec![("/ver", Value::Null)],
        vec![("/ver", json!("1.0.0")), ("/attester_type", json!("NVGPU"))],
        vec![("/eat_profile", json!("https://portal.trustauthority.example/eat_profile.html"))],
        vec![("/eat_profile", Value::Null)],
        vec![("/intuse", json!("registration"))],
        vec![("/tdx/attester_tcb_status", Value::Null)],
        vec![("/tdx/attester_held_data", json!("***"))],
        vec![("/tdx/attester_runtime_data/tee-pubkey", json!({ "kty": "oct", "k": "AA" }))],
    ] {
        let refused = intel.changed(&changes).unwrap_err();
        assert_eq!(refused.code(), "token-invalid", "{changes:?}");
    }
    let debug = |changes: &[(&str, Value)]| intel.changed(changes).unwrap().is_debug();
    assert!(debug(&[("/dbgstat", json!("enabled"))]));
    assert!(debug(&[("/tdx/tdx_is_debuggable", json!(true))]));
    assert!(debug(&[("/dbgstat", Value::Null), ("/tdx/tdx_is_debuggable", Value::Null)]));
    assert!(!debug(&[("/dbgstat", Value::Null)]));
    let found = intel.changed(&[("/tdx/attester_tcb_status", json!("OutOfDate"))]).unwrap();
    assert_eq!(found.claims()["keygate"]["tcb"]["status"], "OutOfDate");
    assert_eq!(found.claims()["keygate"]["platform"]["tcb_status"], "OutOfDate");
    // Advisories that are not told are not none: a key that accepts the status refuses them missing.
    let found = intel.changed(&[("/tdx/attester_advisory_ids", Value::Null)]).unwrap();
    assert_eq!(found.claims()["keygate"]["tcb"].get("advisories"), None);
}

// --- EAR ---

fn appraisal(status: Value, vector: Value) -> Vec<(&'static str, Value)> {
    vec![("/submods/cpu0/ear.status", status), ("/submods/cpu0/ear.trustworthiness-vector", vector)]
}

#[test]
fn ear_a_status_that_is_not_affirming_is_debug_or_refused() {
    let ear = Family::of(Profile::Ear);
    let found = |status: Value, vector: Value| ear.changed(&appraisal(status, vector));
    for (status, debug) in [
        (json!("affirming"), false),
        (json!(2), false),
        (json!("none"), true),
        (json!(0), true),
        (json!("warning"), true),
        (json!(32), true),
    ] {
        assert_eq!(found(status.clone(), json!({ "hardware": 2 })).unwrap().is_debug(), debug, "{status}");
    }
    for status in [json!("contraindicated"), json!(96), json!("Affirming"), json!(""), json!(3), Value::Null, json!([])]
    {
        assert!(found(status.clone(), json!({})).is_err(), "{status}");
    }
    // A status is never better than its worst claim; values are one signed byte.
    for value in [-32, -2, -1, 0, 1, 2, 31] {
        assert!(!found(json!("affirming"), json!({ "executables": value })).unwrap().is_debug(), "{value}");
    }
    for value in [-128, -97, -96, -33, 32, 95, 96, 127, 128, -129] {
        assert!(found(json!("affirming"), json!({ "executables": value })).is_err(), "{value}");
    }
    for vector in [json!([]), json!({ "hardware": "2" }), json!({ "hardware": 2.0 }), json!({ "firmware": 2 })] {
        assert!(found(json!("affirming"), vector.clone()).is_err(), "{vector}");
    }
    // Every submodule counts.
    let gpu = json!({ "ear.status": "none" });
    assert!(ear.changed(&[("/submods/gpu0", gpu)]).unwrap().is_debug());
    assert!(ear.changed(&[("/submods/gpu0", json!({ "ear.status": "contraindicated" }))]).is_err());
    assert!(ear.changed(&[("/submods/gpu0", json!({}))]).is_err());
    for submods in [json!({}), json!([]), Value::Null, json!({ "cpu0": 1 })] {
        assert!(ear.changed(&[("/submods", submods)]).is_err());
    }
}

#[test]
fn ear_a_plain_word_of_debug_counts_whatever_the_status_says() {
    let ear = Family::of(Profile::Ear);
    let evidence = "/submods/cpu0/ear.veraison.annotated-evidence";
    let with = |tee: Value| {
        let mut all = json!({ "runtime_data_claims": { "nonce": nonce() } });
        all.as_object_mut().unwrap().extend(tee.as_object().unwrap().clone());
        ear.changed(&[(evidence, all)]).unwrap()
    };
    for (tee, debug, kind) in [
        (json!({ "snp": { "policy_debug_allowed": false } }), false, "snp"),
        (json!({ "snp": { "policy_debug_allowed": true } }), true, "snp"),
        (json!({ "az-snp-vtpm": { "policy_debug_allowed": "0" } }), false, "snp"),
        (json!({ "az-snp-vtpm": { "policy_debug_allowed": "1" } }), true, "snp"),
        (json!({ "tdx": { "td_attributes": { "debug": true } } }), true, "tdx"),
        (json!({ "tdx": { "td_attributes": { "debug": false } } }), false, "tdx"),
        (json!({ "sgx": { "body": { "attributes.flags": "0700000000000000" } } }), true, "sgx"),
        (json!({ "sgx": { "body": { "attributes.flags": "0500000000000000" } } }), false, "sgx"),
        (json!({ "sample": { "svn": "1" } }), true, "sample"),
    ] {
        let found = with(tee.clone());
        assert_eq!((found.is_debug(), &found.claims()["keygate"]["tee"]["kind"]), (debug, &json!(kind)), "{tee}");
    }
}

#[test]
fn ear_only_the_processors_key_and_nonce_count() {
    let ear = Family::of(Profile::Ear);
    let runtime = "/submods/cpu0/ear.veraison.annotated-evidence/runtime_data_claims";
    let decoy = json!({ "nonce": nonce(), "tee-pubkey": DECOY.jwk() });
    let nested =
        json!({ "ear.status": "affirming", "ear.veraison.annotated-evidence": { "runtime_data_claims": decoy } });
    for (place, value) in [
        ("/submods/gpu0", nested.clone()),
        ("/submods/cpu1", nested),
        ("/tee-pubkey", DECOY.jwk()),
        ("/customized_claims", json!({ "runtime_data": decoy })),
        ("/tdx", json!({ "attester_runtime_data": decoy })),
        ("/eat_nonce", json!(nonce())),
        ("/nonce", json!(nonce())),
    ] {
        let without = [(runtime, Value::Null), (place, value)];
        assert_eq!(key_of(&ear, &without).unwrap(), BoundKey::Absent, "{place}");
        assert_eq!(ear.changed(&without).unwrap_err(), TokenFault::Freshness, "{place}");
    }
    let curve = OTHER_P256.jwk_with(json!({ "alg": "ECDH-ES+A256KW" }));
    let bound = key_of(&ear, &[(runtime, json!({ "tee-pubkey": curve }))]).unwrap();
    let BoundKey::Present(key) = bound else { panic!("no key") };
    assert_eq!(key.thumbprint_input(), recipient(&OTHER_P256).thumbprint_input());
    for unfit in [
        json!(1),
        json!({}),
        json!({ "kty": "oct", "k": "AA" }),
        TEE.jwk_with(json!({ "n": b64([0xff; 128]) })),
        TEE.jwk_with(json!({ "d": "AA" })),
    ] {
        assert!(key_of(&ear, &[(runtime, json!({ "tee-pubkey": unfit }))]).is_err(), "{unfit}");
    }
}

#[test]
fn ear_names_its_profile_and_its_verifier() {
    let ear = Family::of(Profile::Ear);
    for changes in [
        ("/eat_profile", json!("tag:github.com,2023:veraison/ear2")),
        ("/eat_profile", Value::Null),
        ("/ear.verifier-id", Value::Null),
        ("/ear.verifier-id", json!("x")),
        ("/ear.verifier-id/build", Value::Null),
    ] {
        profile(ear.changed(&[changes]));
    }
    let found = ear.changed(&[("/eat_profile", json!("tag:github.com,2023:veraison/ear"))]).unwrap();
    assert_eq!(found.platforms(), [format!("snp-chip:{}", "cd".repeat(64))]);
}
