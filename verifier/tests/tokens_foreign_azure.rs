//! Azure's tokens as evidence: the workload's key, places of a nonce, debug, what is refused. Bad inputs, section 1.

mod tokens;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keygate_verifier::BoundKey;
use keygate_verifier::tokens::{Foreign, Profile, TokenBinding, TokenFault};
use serde_json::{Value, json};
use tokens::foreign::{DECOY, Family, TEE, asked, for_encryption, nonce, recipient};
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

fn keys(keys: &[Value]) -> Vec<(&'static str, Value)> {
    vec![("/x-ms-runtime/keys", json!(keys))]
}

#[test]
fn azure_takes_the_first_encryption_key_of_the_top_level() {
    let azure = Family::of(Profile::Maa);
    let tee = BoundKey::Present(recipient(&TEE));
    let with = |members: Value| TEE.jwk_with(members);
    for first in [
        with(json!({ "use": "enc" })),
        with(json!({ "key_use": "enc" })),
        with(json!({ "key_ops": ["encrypt", "wrapKey"] })),
        with(json!({ "key_ops": "encrypt" })),
    ] {
        assert_eq!(key_of(&azure, &keys(&[DECOY.jwk(), first, for_encryption(&DECOY)])).unwrap(), tee);
    }
    // A key for signatures, an elliptic curve, no key at all: there is none, and none is looked for elsewhere.
    let curve = OTHER_P256.jwk_with(json!({ "use": "enc" }));
    for none in [vec![], vec![with(json!({ "key_ops": ["sign"] }))], vec![with(json!({ "use": "sig" }))], vec![curve]] {
        assert_eq!(key_of(&azure, &keys(&none)).unwrap(), BoundKey::Absent);
    }
    // The first one counts also where it is unfit: the next was not meant.
    for unfit in [
        with(json!({ "use": "enc", "kid": null })),
        with(json!({ "use": "enc", "n": b64([0xff; 128]) })),
        with(json!({ "use": "enc", "e": b64([3]) })),
        with(json!({ "use": "enc", "n": null })),
    ] {
        assert!(key_of(&azure, &keys(&[unfit.clone(), for_encryption(&TEE)])).is_err(), "{unfit}");
    }
    assert_eq!(profile(azure.changed(&[("/x-ms-runtime/keys", json!({}))])), "x-ms-runtime.keys");
    assert_eq!(profile(azure.changed(&[("/x-ms-runtime", json!("e30"))])), "x-ms-runtime");
}

#[test]
fn azure_keeps_the_name_of_the_key() {
    let azure = Family::of(Profile::Maa);
    assert_eq!(azure.changed(&[]).unwrap().key_id(), Some("TeeKey"));
}

/// The machine of a confidential VM, with the key of its virtual TPM on top and another below, both for encryption.
fn machine() -> Vec<(&'static str, Value)> {
    let below = json!({
        "x-ms-attestation-type": "sevsnpvm", "x-ms-compliance-status": "azure-compliant-cvm",
        "x-ms-sevsnpvm-is-debuggable": false, "x-ms-sevsnpvm-launchmeasurement": "cd".repeat(48),
        "x-ms-runtime": { "keys": [for_encryption(&DECOY)], "nonce": "other" },
    });
    vec![
        ("/x-ms-attestation-type", json!("azurevm")),
        ("/x-ms-sevsnpvm-is-debuggable", Value::Null),
        ("/x-ms-isolation-tee", below),
        ("/x-ms-azurevm-vmid", json!("2DEDC52A-6832-46CE-9910-E8C9980BF5A7")),
        ("/secureboot", json!(true)),
    ]
}

fn with(mut changes: Vec<(&'static str, Value)>, more: &[(&'static str, Value)]) -> Vec<(&'static str, Value)> {
    changes.extend(more.iter().cloned());
    changes
}

#[test]
fn azure_never_takes_the_nested_decoy() {
    let azure = Family::of(Profile::Maa);
    let found = azure.changed(&machine()).unwrap();
    assert_eq!(found.bound_key(), &BoundKey::Present(recipient(&TEE)));
    assert_eq!(found.claims()["keygate"]["tee"]["kind"], "snp");
    assert_eq!(found.claims()["keygate"]["platform"]["secure_boot"], true);
    assert_eq!(found.platforms(), ["azure-vm:2DEDC52A-6832-46CE-9910-E8C9980BF5A7"]);
    assert_eq!(found.measurements(), ["cd".repeat(48)]);
    // Without a key on top there is none, also where the one below is for encryption.
    for top in [json!([]), json!([DECOY.jwk_with(json!({"key_ops": ["sign"]}))])] {
        let bound = key_of(&azure, &with(machine(), &[("/x-ms-runtime/keys", top)])).unwrap();
        assert_eq!(bound, BoundKey::Absent);
    }
    assert_eq!(key_of(&azure, &with(machine(), &[("/x-ms-runtime", Value::Null)])).unwrap(), BoundKey::Absent);
}

#[test]
fn azure_an_echoed_nonce_never_counts() {
    let azure = Family::of(Profile::Maa);
    let tee = recipient(&TEE);
    let ours = || json!(nonce());
    let without = ("/x-ms-runtime/nonce", Value::Null);
    for echo in ["/nonce", "/rp_data", "/x-ms-inittime", "/x-ms-nonce"] {
        let refused = azure.changed(&[without.clone(), (echo, ours())]).unwrap_err();
        assert_eq!(refused, TokenFault::Freshness, "{echo}");
    }
    let nested = with(machine(), &[without.clone(), ("/x-ms-isolation-tee/x-ms-runtime/nonce", ours())]);
    assert_eq!(azure.changed(&nested).unwrap_err(), TokenFault::Freshness);
    let elsewhere = with(vec![without.clone()], &[("/x-ms-runtime/user-nonce", ours())]);
    assert_eq!(azure.changed(&elsewhere).unwrap_err(), TokenFault::Freshness);
    // The payload of a client, in base64 as the guest's library writes it.
    for payload in [json!(STANDARD.encode(nonce())), ours()] {
        let found = azure.changed(&[without.clone(), ("/x-ms-runtime/client-payload", json!({ "nonce": payload }))]);
        assert!(found.unwrap().is_fresh());
    }
    let other = json!({ "nonce": STANDARD.encode(b64([0x5b; 32])) });
    let refused = azure.changed(&[without, ("/x-ms-runtime/client-payload", other)]).unwrap_err();
    assert_eq!(refused, TokenFault::Freshness);
    // Without a key in the token the nonce alone holds the recipient.
    let found = azure.changed(&[("/x-ms-runtime/keys", Value::Null)]).unwrap();
    assert_eq!(found.bound_key(), &BoundKey::Present(tee));
}

#[test]
fn azure_reads_the_held_data_of_older_sgx_tokens() {
    let azure = Family::of(Profile::Maa);
    let held = json!({ "keys": [for_encryption(&TEE)], "nonce": nonce() }).to_string();
    let sgx = |name: &'static str, held: &str| {
        vec![
            ("/x-ms-attestation-type", json!("sgx")),
            ("/x-ms-runtime", Value::Null),
            ("/x-ms-sgx-is-debuggable", json!(false)),
            (name, json!(b64(held))),
        ]
    };
    for name in ["/x-ms-sgx-ehd", "/maa-ehd", "/aas-ehd"] {
        let found = azure.changed(&sgx(name, &held)).unwrap();
        assert_eq!(found.bound_key(), &BoundKey::Present(recipient(&TEE)));
        assert!(found.is_fresh() && !found.is_debug());
    }
    // Data that are no JSON hold nothing, and other kinds of evidence have no such claim.
    assert_eq!(key_of(&azure, &sgx("/x-ms-sgx-ehd", "not json")).unwrap(), BoundKey::Absent);
    let mut snp = sgx("/x-ms-sgx-ehd", &held);
    snp[0].1 = json!("sevsnpvm");
    assert_eq!(key_of(&azure, &snp).unwrap(), BoundKey::Absent);
}

#[test]
fn jwt_51_azure_missing_debug_information_is_debug() {
    let azure = Family::of(Profile::Maa);
    let debug = |changes: &[(&str, Value)]| azure.changed(changes).unwrap().is_debug();
    let claim = "/x-ms-sevsnpvm-is-debuggable";
    for (value, expected) in [
        (json!(false), false),
        (json!("false"), false),
        (json!(true), true),
        (json!("true"), true),
        (json!("False"), true),
        (json!(0), true),
        (json!(""), true),
        (Value::Null, true),
    ] {
        assert_eq!(debug(&[(claim, value.clone())]), expected, "{value}");
    }
    assert!(!debug(&machine()));
    assert!(debug(&with(machine(), &[("/x-ms-isolation-tee/x-ms-sevsnpvm-is-debuggable", Value::Null)])));
    assert!(debug(&with(machine(), &[("/x-ms-isolation-tee", Value::Null)])), "a machine without a tee");
    for what in ["bootdebug", "kerneldebug", "hypervisordebug"] {
        let name: &'static str = Box::leak(format!("/x-ms-azurevm-{what}-enabled").into_boxed_str());
        assert!(debug(&with(machine(), &[(name, json!(true))])), "{what}");
        assert!(!debug(&with(machine(), &[(name, json!(false))])), "{what}");
    }
    for (kind, claim) in [("sgx", "/x-ms-sgx-is-debuggable"), ("tdxvm", "/tdx_td_attributes_debug")] {
        let of = |value| vec![("/x-ms-attestation-type", json!(kind)), (claim, value)];
        assert!(!debug(&of(json!(false))) && debug(&of(json!(true))) && debug(&of(Value::Null)), "{kind}");
    }
    for kind in ["tpm", "vbs"] {
        // No report binds run-time data there: no key and no nonce are taken from them.
        let changes = [("/x-ms-attestation-type", json!(kind))];
        assert_eq!(azure.changed(&changes).unwrap_err(), TokenFault::Freshness, "{kind}");
        let token = azure.token(&azure.claims_with(&changes));
        let found = azure.judge(&token, &azure.keys(), &TokenBinding::Unbound).unwrap();
        assert_eq!((found.is_debug(), found.bound_key()), (true, &BoundKey::Absent), "{kind}");
    }
}

/// What a workload wrote stands under `x-ms-runtime` and nowhere else.
#[test]
fn jwt_50_azure_a_workload_cannot_write_a_hardware_claim() {
    let azure = Family::of(Profile::Maa);
    let honest = azure.changed(&[]).unwrap();
    let forged = azure
        .changed(&[
            ("/x-ms-runtime/x-ms-sevsnpvm-launchmeasurement", json!("00".repeat(48))),
            ("/x-ms-runtime/x-ms-isolation-tee", json!({ "x-ms-attestation-type": "tdxvm" })),
            ("/x-ms-runtime/secureboot", json!(true)),
            ("/x-ms-runtime/keygate", json!({ "debug": false })),
            ("/x-ms-runtime/x-ms-azurevm-vmid", json!("other")),
        ])
        .unwrap();
    assert_eq!(forged.claims()["keygate"], honest.claims()["keygate"]);
    assert_eq!((forged.platforms(), forged.measurements()), (honest.platforms(), honest.measurements()));
    let debug =
        [("/x-ms-sevsnpvm-is-debuggable", Value::Null), ("/x-ms-runtime/x-ms-sevsnpvm-is-debuggable", json!(false))];
    assert!(azure.changed(&debug).unwrap().is_debug());
}

#[test]
fn azure_refuses_what_it_does_not_know() {
    let azure = Family::of(Profile::Maa);
    assert_eq!(profile(azure.changed(&[("/x-ms-ver", json!("2.0"))])), "`x-ms-ver` is not 1.0");
    assert_eq!(profile(azure.changed(&[("/x-ms-ver", Value::Null)])), "x-ms-ver");
    for kind in ["azuregpu", "", "SEVSNPVM"] {
        profile(azure.changed(&[("/x-ms-attestation-type", json!(kind))]));
    }
    profile(azure.changed(&with(machine(), &[("/x-ms-isolation-tee/x-ms-attestation-type", json!("azurevm"))])));
    profile(azure.changed(&[("/x-ms-attestation-type", json!("tdxvm")), ("/eat_profile", json!("https://x.example"))]));
    let mut header = azure.header();
    header["jku"] = json!(format!("{}/certs", azure.issuer));
    let tee = recipient(&TEE);
    let judge =
        |header: &Value| azure.judge(&azure.signed(azure.signer, header, &azure.claims()), &azure.keys(), &asked(&tee));
    assert!(judge(&header).is_ok());
    header["jku"] = json!(format!("{}.evil.example/certs", azure.issuer));
    assert!(matches!(judge(&header).unwrap_err(), TokenFault::Header(_)));
}
