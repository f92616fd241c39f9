//! Tokens of another Keygate, and the texts that a workload fills. Tokens and claims of Azure Attestation, section 4.6; threat
//! model, P20; native API, section 4 (*token, once*).

mod tokens;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keygate_verifier::tokens::{Foreign, Issuer, Profile, TokenBinding, TokenFault, TokenRoots, verify_foreign};
use serde_json::{Value, json};
use tokens::foreign::{BIND, Family, change, held, nonce};
use tokens::{AUDIENCE, NOW, b64};

/// Sound claims of a Keygate about an SEV-SNP guest.
fn claims() -> Value {
    let mut claims = Family::of(Profile::Maa).claims();
    claims["keygate"] = json!({
        "kind": "snp", "anchor": "vendor", "debug": false, "known_forgeable": false, "revocation": "checked",
        "identities": [b64([7; 32]), b64([8; 32])], "issuer": "https://evil.example", "gpu": [{"model": "none"}],
    });
    claims
}

fn judged_by(family: &Family, claims: &Value, is_keygate: bool) -> Result<Foreign, TokenFault> {
    let (keys, roots) = (family.keys(), TokenRoots::none());
    let issuer = Issuer {
        name: "theirs",
        issuer: family.issuer,
        profile: family.profile,
        keys: &keys,
        roots: &roots,
        audiences: &[AUDIENCE],
        max_age: None,
        is_keygate,
    };
    verify_foreign(&family.token(claims), &issuer, &TokenBinding::Unbound, NOW)
}

fn judged(changes: &[(&str, Value)]) -> Result<Foreign, TokenFault> {
    let mut claims = claims();
    for (pointer, value) in changes {
        change(&mut claims, pointer, value);
    }
    judged_by(&Family::of(Profile::Maa), &claims, true)
}

#[test]
fn what_a_keygate_concluded_is_taken_over_and_the_rest_of_its_words_is_not() {
    let found = judged(&[]).unwrap();
    let keygate = &found.claims()["keygate"];
    assert_eq!((&keygate["kind"], &keygate["tee"]["kind"]), (&json!("token"), &json!("snp")));
    assert_eq!((&keygate["anchor"], &keygate["revocation"]), (&json!("vendor"), &json!("checked")));
    assert_eq!((&keygate["debug"], &keygate["known_forgeable"]), (&json!(false), &json!(false)));
    assert_eq!(keygate["issuer"], "https://sharedeus.eus.attest.azure.net");
    assert!(keygate.get("gpu").is_none() && keygate.get("identities").is_none() && keygate.get("tcb").is_none());
    assert_eq!(found.blinded_identities(), [[7; 32], [8; 32]]);
}

#[test]
fn it_narrows_what_is_accepted_and_never_widens_it() {
    for said in [json!(true), json!("false"), json!(0), Value::Null] {
        assert!(judged(&[("/keygate/debug", said)]).unwrap().is_debug());
    }
    let hidden = judged(&[("/x-ms-sevsnpvm-is-debuggable", json!(true))]).unwrap();
    assert!(hidden.is_debug(), "what Azure's claims say counts beside it");
    assert_eq!(hidden.claims()["keygate"]["debug"], true);
    let tcb = json!({"status": "OutOfDate", "advisories": ["INTEL-SA-1"]});
    assert_eq!(judged(&[("/keygate/tcb", tcb.clone())]).unwrap().claims()["keygate"]["tcb"], tcb);
    let lab = judged(&[("/keygate/anchor", json!("lab"))]).unwrap();
    assert_eq!(lab.claims()["keygate"]["anchor"], "lab");
}

#[test]
fn a_keygate_says_all_of_it_or_is_refused() {
    for (pointer, value) in [
        ("/keygate", Value::Null),
        ("/keygate", json!([])),
        ("/keygate/kind", json!("tdx")),
        ("/keygate/kind", Value::Null),
        ("/keygate/anchor", Value::Null),
        ("/keygate/anchor", json!("")),
        ("/keygate/tcb", json!("UpToDate")),
        ("/keygate/identities", Value::Null),
        ("/keygate/identities", json!([])),
        ("/keygate/identities", json!([b64([7; 31])])),
        ("/keygate/identities", json!([b64([7; 32]), 7])),
        ("/keygate/identities", json!(vec![b64([7; 32]); 65])),
    ] {
        let refused = judged(&[(pointer, value.clone())]).unwrap_err();
        assert_eq!(refused.code(), "token-invalid", "{pointer} {value}");
    }
    let tdx = [("/x-ms-attestation-type", json!("tdxvm")), ("/keygate/kind", json!("tdx"))];
    assert_eq!(judged(&tdx).unwrap_err(), TokenFault::Claim("keygate.tcb"), "Intel's kinds have a status");
}

#[test]
fn nobody_else_speaks_in_our_name() {
    let maa = Family::of(Profile::Maa);
    assert!(judged_by(&maa, &claims(), true).is_ok());
    assert!(matches!(judged_by(&maa, &claims(), false).unwrap_err(), TokenFault::Profile(_)));
    for family in Family::all().filter(|family| !matches!(family.profile, Profile::Maa | Profile::NvidiaNras)) {
        let mut theirs = family.claims();
        assert!(judged_by(&family, &theirs, true).is_ok(), "{:?}", family.profile);
        theirs["keygate"] = claims()["keygate"].clone();
        assert!(
            matches!(judged_by(&family, &theirs, true).unwrap_err(), TokenFault::Profile(_)),
            "{:?}",
            family.profile
        );
    }
}

fn texts(profile: Profile, changes: &[(&str, Value)]) -> Vec<String> {
    let family = Family::of(profile);
    judged_by(&family, &family.claims_with(changes), false).unwrap().workload_nonces().to_vec()
}

#[test]
fn a_machine_on_azure_has_a_kind_of_its_own_and_hardware_below() {
    let tee = json!({"x-ms-attestation-type": "sevsnpvm", "x-ms-sevsnpvm-launchmeasurement": "11".repeat(48), "x-ms-sevsnpvm-is-debuggable": false});
    let machine = |tee: Value, kind: &str| {
        judged(&[
            ("/x-ms-attestation-type", json!("azurevm")),
            ("/x-ms-isolation-tee", tee),
            ("/keygate/kind", json!(kind)),
        ])
    };
    machine(tee.clone(), "azure-vtpm").unwrap();
    let other = |tee: Value, kind: &str| matches!(machine(tee, kind).unwrap_err(), TokenFault::Profile(_));
    assert!(other(tee.clone(), "snp") && other(tee, "tpm"), "not what the machine's evidence is called");
    assert!(other(Value::Null, "azure-vtpm"), "no hardware below");
}

#[test]
fn the_texts_of_a_workload_are_those_that_it_filled_and_its_issuer_verified() {
    assert_eq!(texts(Profile::Maa, &[]), [nonce()]);
    assert_eq!(texts(Profile::GoogleConfidentialSpace, &[]), ["another-nonce".to_owned(), nonce()]);
    assert_eq!(texts(Profile::IntelTrustAuthority, &[]), [nonce()]);
    assert_eq!(texts(Profile::Ear, &[]), [nonce()]);
    assert_eq!(texts(Profile::NvidiaNras, &[]), [hex::encode(BIND)]);
    assert!(texts(Profile::Oidc, &[]).is_empty());

    let payload = ("/x-ms-runtime/client-payload", json!({"nonce": STANDARD.encode("of the guest")}));
    let encoded = STANDARD.encode("of the guest");
    assert_eq!(texts(Profile::Maa, &[payload]), [nonce(), encoded, "of the guest".to_owned()]);
    let data = STANDARD.encode(json!({"nonce": "held"}).to_string());
    let both = texts(Profile::IntelTrustAuthority, &[("/tdx/attester_held_data", json!(data))]);
    assert_eq!(both, [nonce(), "held".to_owned(), json!({"nonce": "held"}).to_string()]);
}

#[test]
fn an_echo_is_no_text_of_a_workload() {
    let none = ("/x-ms-runtime/nonce", Value::Null);
    for name in ["/nonce", "/rp_data", "/eat_nonce", "/x-ms-policy", "/x-ms-nonce"] {
        assert!(texts(Profile::Maa, &[none.clone(), (name, json!("echo"))]).is_empty(), "{name}");
    }
    let nested = json!({"x-ms-attestation-type": "sevsnpvm", "x-ms-runtime": {"nonce": "echo"}});
    let machine = [("/x-ms-attestation-type", json!("azurevm")), ("/x-ms-isolation-tee", nested), none];
    assert!(texts(Profile::Maa, &machine).is_empty(), "that one is the platform's");
    let own = ("/tdx/verifier_nonce", json!({"val": "echo"}));
    let top = ("/nonce", json!("echo"));
    assert_eq!(texts(Profile::IntelTrustAuthority, &[own, top.clone()]), [nonce()]);
    assert_eq!(texts(Profile::Ear, &[("/eat_nonce", json!("echo"))]), [nonce()]);
    assert!(texts(Profile::Oidc, &[top, ("/eat_nonce", json!("echo"))]).is_empty());
}

#[test]
fn the_texts_of_a_workload_are_few_and_short() {
    let long = |length: usize| texts(Profile::Maa, &[("/x-ms-runtime/nonce", json!("n".repeat(length)))]);
    assert_eq!((long(512).len(), long(513).len()), (1, 0));
    let data = held(&tokens::RSA, false);
    let held = texts(Profile::IntelTrustAuthority, &[("/tdx/attester_held_data", json!(data))]);
    assert_eq!(held, [nonce()], "a modulus is no text");
}
