//! Every sample of the folder of tokens gets the verdict that is written beside it. Relying party tokens, section 9.

mod support;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keygate_verifier::tokens::{
    Foreign, Issuer, JwsAlgorithm, KeySet, Profile, TokenBinding, TokenFault, TokenRoots, peek_foreign, verify_foreign,
    verify_jws,
};
use keygate_verifier::{BoundKey, RecipientKey, UnixTime};
use serde_json::{Value, json};
use support::{Rng, mutations, skipped, tried, vector, vectors_root};

fn text(path: &str) -> String {
    String::from_utf8(vector(path)).expect("text").trim_end().to_owned()
}

fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).expect("a payload");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).expect("base64url")).expect("json")
}

fn keys(path: &str) -> KeySet {
    KeySet::parse(&vector(path)).expect("a key set")
}

fn nobody() -> KeySet {
    KeySet::parse(br#"{"keys":[]}"#).unwrap()
}

/// The key of Veraison's samples, which stands alone in its file.
fn veraison() -> KeySet {
    let key: Value = serde_json::from_slice(&vector("tokens/ear/pkey.json")).unwrap();
    KeySet::parse(json!({ "keys": [key] }).to_string().as_bytes()).unwrap()
}

struct Judge<'a> {
    profile: Profile,
    issuer: &'a str,
    keys: &'a KeySet,
    max_age: Option<i64>,
}

impl Judge<'_> {
    fn verdict(&self, token: &str, at: i64) -> Result<Foreign, TokenFault> {
        let roots = TokenRoots::none();
        let issuer = Issuer {
            name: "sample",
            issuer: self.issuer,
            profile: self.profile,
            keys: self.keys,
            roots: &roots,
            audiences: &["https://keygate.example"],
            max_age: self.max_age,
            is_keygate: false,
        };
        verify_foreign(token, &issuer, &TokenBinding::Unbound, UnixTime::from_secs(at))
    }
}

/// A line of the table as it came out.
fn line(sample: &str, verdict: &Result<Foreign, TokenFault>) {
    match verdict {
        Ok(found) => println!("{sample}: accepted, key {:?}", found.key_id()),
        Err(fault) => println!("{sample}: refused, {}: {fault}", fault.code()),
    }
}

const ATTEST: &str = "https://attest.example";
const ISSUED: i64 = 1_790_000_000;

#[test]
fn the_generated_targets_are_accepted_with_the_key_on_top() {
    if vectors_root().is_none() {
        return skipped("generated targets", 2);
    }
    let keys = keys("tokens/generated/issuer-jwks.json");
    let tee = RecipientKey::from_spki(&vector("tokens/generated/tee-public-spki.der")).unwrap();
    for name in ["target-cvm", "target-aci"] {
        let token = text(&format!("tokens/generated/{name}.jwt"));
        let judge = Judge { profile: Profile::Maa, issuer: ATTEST, keys: &keys, max_age: None };
        let found = judge.verdict(&token, ISSUED);
        line(name, &found);
        let found = found.unwrap();
        assert_eq!(found.bound_key(), &BoundKey::Present(tee.clone()), "{name}");
        assert_eq!(found.key_id(), Some("TeeWrapKey"));
        assert!(!found.is_debug() && !found.is_fresh());
        assert_eq!(found.expires(), UnixTime::from_secs(ISSUED + 28_800));
        let mut seen = found.claims().clone();
        seen.remove("keygate");
        let given: Value = serde_json::from_slice(&vector(&format!("tokens/generated/{name}.claims.json"))).unwrap();
        assert_eq!(Value::Object(seen), given, "the claims are the payload");
        assert_eq!(judge.verdict(&token, ISSUED - 61).unwrap_err(), TokenFault::NotYetValid);
        assert!(judge.verdict(&token, ISSUED + 28_859).is_ok());
        assert_eq!(judge.verdict(&token, ISSUED + 28_860).unwrap_err(), TokenFault::Expired);
        for other in ["https://attest.example/", "https://Attest.example", "https://attest.example.evil"] {
            let other = Judge { issuer: other, ..judge };
            assert_eq!(other.verdict(&token, ISSUED).unwrap_err(), TokenFault::Issuer);
        }
        assert!(Judge { keys: &nobody(), ..judge }.verdict(&token, ISSUED).unwrap_err().is_unknown_key());
        for profile in Profile::ALL.into_iter().filter(|profile| *profile != Profile::Maa) {
            assert!(Judge { profile, ..judge }.verdict(&token, ISSUED).is_err(), "{profile:?}");
        }
        // The caller's payload carries a nonce of somebody else's request.
        let roots = TokenRoots::none();
        let issuer = Issuer {
            name: "a",
            issuer: ATTEST,
            profile: Profile::Maa,
            keys: &keys,
            roots: &roots,
            audiences: &[],
            max_age: None,
            is_keygate: false,
        };
        let binding = TokenBinding::Nonce { bind: &[0; 32], recipient: &tee };
        let refused = verify_foreign(&token, &issuer, &binding, UnixTime::from_secs(ISSUED)).unwrap_err();
        assert_eq!(refused, TokenFault::Freshness);
    }
}

#[test]
fn jwt_06_25_veraisons_samples_have_no_end_and_no_key_of_their_own() {
    if vectors_root().is_none() {
        return skipped("ear samples", 3);
    }
    let (pinned, nothing) = (veraison(), nobody());
    let issuer = "https://veraison.example";
    let at = 1_666_091_373;
    for name in ["testJWT", "testJWT_JWK", "testRealmJWT"] {
        let token = text(&format!("tokens/ear/{name}.jwt"));
        let judge = |keys, max_age| Judge { profile: Profile::Ear, issuer, keys, max_age };
        if name == "testRealmJWT" {
            // Its own key in the header, at its own time.
            for keys in [&pinned, &nothing] {
                let refused = judge(keys, None).verdict(&token, 1_752_059_139);
                line(name, &refused);
                assert!(refused.unwrap_err().is_unknown_key());
            }
            continue;
        }
        let refused = judge(&pinned, None).verdict(&token, at);
        line(name, &refused);
        assert_eq!(refused.unwrap_err(), TokenFault::Claim("exp"), "the signature is right, and there is no end");
        assert!(judge(&nothing, None).verdict(&token, at).unwrap_err().is_unknown_key(), "a token brings no key");
        if name == "testJWT" {
            assert!(verify_jws(&token, &pinned, &[JwsAlgorithm::ES256]).is_ok());
        }
        // With a greatest age the issue is enough, and the age is held.
        let found = judge(&pinned, Some(300)).verdict(&token, at).unwrap();
        assert_eq!((found.expires(), found.bound_key()), (UnixTime::from_secs(at + 300), &BoundKey::Absent));
        assert!(!found.is_debug());
        assert_eq!(judge(&pinned, Some(300)).verdict(&token, at + 360).unwrap_err(), TokenFault::Expired);
        assert!(judge(&pinned, Some(300)).verdict(&token, ISSUED).is_err());
    }
}

#[test]
fn jwt_01_03_47_veraisons_negative_tokens_are_refused() {
    if vectors_root().is_none() {
        return skipped("negative ear tokens", 6);
    }
    let pinned = veraison();
    let tokens = text("tokens/ear/negative-tokens.txt");
    assert_eq!(tokens.lines().count(), 6);
    for (number, token) in tokens.lines().enumerate() {
        let judge =
            |max_age| Judge { profile: Profile::Ear, issuer: "https://veraison.example", keys: &pinned, max_age };
        let refused = judge(None).verdict(token, 1_666_091_373);
        line(&format!("negative {}", number + 1), &refused);
        let refused = refused.unwrap_err();
        // The first is well signed and good but for its end; the fifth is well signed and empty.
        match number {
            0 => assert_eq!(refused, TokenFault::Claim("exp")),
            4 => assert_eq!(refused, TokenFault::Claim("exp")),
            _ => assert!(judge(Some(300)).verdict(token, 1_666_091_373).is_err(), "{number}"),
        }
    }
}

#[test]
fn samples_without_a_key_set_are_refused_at_their_own_time() {
    if vectors_root().is_none() {
        return skipped("samples without keys", 5);
    }
    let nothing = nobody();
    for (path, profile, issuer, at) in [
        ("maa/sevsnpvm-2025.jwt", Profile::Maa, "https://sharedweu.weu.test.attest.azure.net", 1_744_085_700),
        ("ita/sgx-ps384.jwt", Profile::IntelTrustAuthority, "https://portal.trustauthority.intel.com", 1_704_926_454),
        (
            "nras/hopperClaimsv3_detached_eat.json",
            Profile::NvidiaNras,
            "https://nras.attestation.nvidia.com",
            1_749_601_858,
        ),
        ("nras/switch_detached_eat.json", Profile::NvidiaNras, "https://nras.attestation.nvidia.com", 1_751_155_060),
        (
            "gcs/confidential-space-lookalike.jwt",
            Profile::GoogleConfidentialSpace,
            "https://confidentialcomputing.googleapis.com",
            1_697_893_809,
        ),
    ] {
        let token = text(&format!("tokens/{path}"));
        let judge = Judge { profile, issuer, keys: &nothing, max_age: None };
        let refused = judge.verdict(&token, at);
        line(path, &refused);
        assert!(refused.unwrap_err().is_unknown_key(), "{path}");
        // The keys of others do not help.
        for keys in [&veraison(), &keys("tokens/generated/issuer-jwks.json")] {
            assert!(Judge { keys, ..judge }.verdict(&token, at).is_err(), "{path}");
        }
        let said = peek_foreign(&token).unwrap();
        let roots = TokenRoots::none();
        let configured = Issuer {
            name: "sample",
            issuer,
            profile,
            keys: &nothing,
            roots: &roots,
            audiences: &[],
            max_age: None,
            is_keygate: false,
        };
        // A staging instance, and a server of somebody's own, are no configured issuers.
        let stranger = path.contains("switch") || path.contains("lookalike");
        assert_eq!(configured.fits(&said), !stranger, "{path}: {:?}", said.issuer);
    }
}

#[test]
fn jwt_01_12_14_recorded_tokens_of_azure_count_for_their_instance() {
    if vectors_root().is_none() {
        return skipped("recorded tokens", 15);
    }
    let (mut accepted, mut drafts) = (0, 0);
    let folder = vectors_root().unwrap().join("maa-sdk/python");
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    for name in names.iter().filter(|name| name.starts_with("token-") && name.ends_with(".jwt")) {
        let token = text(&format!("maa-sdk/python/{name}"));
        let said = claims(&token);
        let (issuer, at) = (said["iss"].as_str().unwrap(), said["iat"].as_i64().unwrap());
        let instance = name.split('-').nth(2).unwrap();
        let set = keys(&format!("maa-sdk/python/jwks-{instance}.json"));
        let judge = Judge { profile: Profile::Maa, issuer, keys: &set, max_age: None };
        let verdict = judge.verdict(&token, at);
        line(name, &verdict);
        if name.ends_with("-draft.jwt") {
            assert_eq!(verdict.unwrap_err(), TokenFault::Algorithm, "{name}");
            drafts += 1;
            continue;
        }
        let found = verdict.unwrap();
        assert!(!found.is_debug());
        assert_eq!(found.bound_key(), &BoundKey::Absent, "its workload has a key for signatures only");
        assert_eq!(found.measurements()[0], said["x-ms-sgx-mrenclave"].as_str().unwrap());
        // The instances share their key: its certificate says for whom it signs.
        for other in ["aad", "iso", "shared"].into_iter().filter(|other| *other != instance) {
            let set = keys(&format!("maa-sdk/python/jwks-{other}.json"));
            let refused = Judge { keys: &set, ..judge }.verdict(&token, at).unwrap_err();
            assert!(matches!(refused, TokenFault::Certificate(_)), "{name}: {refused}");
        }
        accepted += 1;
    }
    assert_eq!((accepted, drafts), (12, 3));
}

/// Signed tokens and bundles, mutated: 20,000, or 100,000 with `KEYGATE_FULL=1`. An accepted one would have to mean the same.
#[test]
fn mutations_of_foreign_tokens_are_refused_without_a_panic() {
    if vectors_root().is_none() {
        return skipped("mutated tokens", 20_000);
    }
    let (attest, veraison) = (keys("tokens/generated/issuer-jwks.json"), veraison());
    let azure = keys("maa-sdk/python/jwks-aad.json");
    let recorded = text("maa-sdk/python/token-sgx_enclave-aad-json.jwt");
    let issuer = claims(&recorded)["iss"].as_str().unwrap().to_owned();
    let at = claims(&recorded)["iat"].as_i64().unwrap();
    let maa = |keys, issuer| Judge { profile: Profile::Maa, issuer, keys, max_age: None };
    let ear = Judge { profile: Profile::Ear, issuer: ATTEST, keys: &veraison, max_age: Some(300) };
    let nothing = nobody();
    let nras = Judge {
        profile: Profile::NvidiaNras,
        issuer: "https://nras.attestation.nvidia.com",
        keys: &nothing,
        max_age: None,
    };
    let cases = [
        (maa(&attest, ATTEST), text("tokens/generated/target-cvm.jwt"), ISSUED),
        (maa(&attest, ATTEST), text("tokens/generated/target-aci.jwt"), ISSUED),
        (maa(&azure, issuer.as_str()), recorded, at),
        (Judge { ..ear }, text("tokens/ear/testJWT.jwt"), 1_666_091_373),
        (ear, text("tokens/ear/testJWT_JWK.jwt"), 1_666_091_373),
        (nras, text("tokens/nras/hopperClaimsv3_detached_eat.json"), 1_749_601_858),
    ];
    for (judge, token, at) in cases.iter().take(5) {
        assert!(judge.verdict(token, *at).is_ok());
    }
    let (mut rng, count) = (Rng::new(9_334), mutations(20_000, 100_000));
    for turn in 0..count {
        let (judge, token, at) = &cases[turn % cases.len()];
        let mutated = rng.mutated(token.as_bytes());
        let mutated = String::from_utf8_lossy(&mutated);
        let refused = judge.verdict(&mutated, *at);
        assert!(refused.is_err() || mutated == token.as_str(), "turn {turn}: {mutated}");
        let _ = peek_foreign(&mutated);
    }
    tried("mutations of foreign tokens", count);
}
