//! Keys: who vouches for the attestation key, and what binds the others to it.

use keygate_forge::azure_tpm::{Attest, Attested, Bound, Draft, Wanted, rsa};
use keygate_forge::base64;
use keygate_verifier::tpm_azure::TpmRules;
use serde_json::{Value, json};

use super::*;

#[test]
fn tpm_10_an_attestation_key_that_nothing_vouches_for_is_refused_or_told() {
    let machine = machine();
    let loose = TpmRules { require_valid_aik_cert: false, ..rules() };
    type Change = Box<dyn Fn(&mut Draft)>;
    let cases: [(&str, Change); 6] = [
        ("no certificate", Box::new(|d| drop(state(d).as_object_mut().unwrap().remove("aik_cert")))),
        (
            "another key's certificate",
            Box::new({
                let other = machine.certificate(&rsa()).sign(&machine.root);
                move |d| state(d)["aik_cert"] = json!(base64::url(&other))
            }),
        ),
        (
            "an expired one",
            Box::new({
                let mut certificate = machine.certificate(&machine.aik);
                certificate.not_after = NOW - 1;
                let der = certificate.sign(&machine.root);
                move |d| state(d)["aik_cert"] = json!(base64::url(&der))
            }),
        ),
        (
            "one of a stranger's",
            Box::new({
                let der = machine.certificate(&machine.aik).sign(&keygate_forge::keys::p256());
                move |d| state(d)["aik_cert"] = json!(base64::url(&der))
            }),
        ),
        (
            "one that does not sign",
            Box::new({
                let mut certificate = machine.certificate(&machine.aik);
                *certificate.extension_mut("2.5.29.15") = keygate_forge::x509::Extension::key_usage(0x20);
                let der = certificate.sign(&machine.root);
                move |d| state(d)["aik_cert"] = json!(base64::url(&der))
            }),
        ),
        ("what is none", Box::new(|d| state(d)["aik_cert"] = json!("AAAA"))),
    ];
    for (what, change) in &cases {
        let mut draft = machine.draft(&wanted());
        change(&mut draft);
        let jws = draft.sign(&machine.request_key);
        let strict = judged(&machine, &jws, &rules()).unwrap_err();
        assert!(["chain-untrusted", "binding-mismatch", "malformed"].contains(&strict.code()), "{what}: {strict:?}");
        let told = judged(&machine, &jws, &loose).unwrap_or_else(|refused| panic!("{what}: {refused:?}"));
        assert_eq!((told.anchor(), &told.key_claims()["aikValidated"]), (None, &json!(false)), "{what}");
    }
    // An anchor counts where the operator says that it does.
    let nobody = TpmRules { anchors: &["other"], ..rules() };
    assert_eq!(judged(&machine, &machine.request(&wanted()), &nobody).unwrap_err().code(), "chain-untrusted");
}

#[test]
fn tpm_36_keys_are_bound_as_they_say() {
    let machine = machine();
    let unbound = refused(&machine, &Wanted { bound: Bound::Nothing, ..wanted() });
    assert_eq!(unbound, "binding-mismatch.tpm-key");
    let certify = Wanted { bound: Bound::Certify, ..wanted() };
    let with = |change: fn(&mut Attest)| refused(&machine, &Wanted { certify: change, ..certify.clone() });
    assert_eq!(with(|attest| attest.magic ^= 1), "signature-invalid.magic");
    assert_eq!(with(|attest| attest.kind = 0x8018), "malformed.pcr-selection");
    assert_eq!(with(|attest| attest.extra_data[15] ^= 1), "freshness-failed.qualifying-data");
    let renamed = |attest: &mut Attest| {
        if let Attested::Certify { name } = &mut attest.attested {
            name[5] ^= 1;
        }
    };
    assert_eq!(with(renamed), "binding-mismatch.tpm-key");
    let certified = |change: &dyn Fn(&mut Value)| {
        code(changed(&machine, &certify, |draft| {
            change(&mut draft.payload["att_data"]["request_key"]["info"]["tpm_certify"])
        }))
    };
    let other = rsa();
    let of_other = machine.certified(&other, &CHALLENGE, |_| ());
    assert_eq!(certified(&|value| *value = of_other.clone()), "binding-mismatch.tpm-key");
    let stranger = keygate_forge::azure_tpm::signature(&other, b"x");
    assert_eq!(
        certified(&|value| value["signature"] = json!(base64::url(&stranger))),
        "signature-invalid.certification"
    );
    // The quote of a request that certifies its key covers the challenge alone, and the other way round.
    let swapped = changed(&machine, &certify, |draft| {
        draft.payload["att_data"]["request_key"]["info"] = json!({"tpm_quote": {"hash_alg": "sha-256"}});
    });
    assert_eq!(code(swapped), "freshness-failed.qualifying-data");
    // Another request's key under this quote.
    let mut draft = machine.draft(&wanted());
    draft.payload["att_data"]["request_key"]["jwk"] = keygate_forge::azure_tpm::rsa_jwk(&other);
    assert_eq!(code(judged(&machine, &draft.sign(&other), &rules())), "freshness-failed.qualifying-data");
}

#[test]
fn other_keys_are_told_bound_or_not() {
    let machine = machine();
    let other = rsa();
    let jwk = keygate_forge::azure_tpm::rsa_jwk(&other);
    let with = |keys: Value| changed(&machine, &wanted(), |draft| draft.payload["att_data"]["other_keys"] = keys);
    let resident = machine.certified(&other, &CHALLENGE, |_| ());
    let shown = with(json!([{"jwk": jwk}, {"jwk": jwk, "info": {"tpm_certify": resident}}])).unwrap();
    let told = json_of(&shown.log_claims(), "x-ms-tpm-other-keys");
    assert_eq!(told[0], json!({"jwk": jwk, "info": {}}));
    assert_eq!(told[1]["info"], json!({"tpm_certify": {"name_alg": 11, "obj_attr": 50, "auth_policy": ""}}));
    let quoted = json!([{"jwk": jwk, "info": {"tpm_quote": {"hash_alg": "sha-256"}}}]);
    assert_eq!(code(with(quoted)), "binding-mismatch.tpm-key");
    let stale = machine.certified(&other, &[1; 16], |_| ());
    assert_eq!(code(with(json!([{"jwk": jwk, "info": {"tpm_certify": stale}}]))), "freshness-failed.qualifying-data");
}

#[test]
fn a_request_of_the_first_form_proves_possession_and_no_more() {
    let machine = machine();
    let first = Wanted { second: false, ..wanted() };
    let shown = appraised(&machine, &first).unwrap();
    assert_eq!(shown.boot_claims()["secureBootEnabled"], true);
    assert_eq!((shown.attested_key(), shown.anchor()), (None, Some("lab")));
    assert_eq!(shown.confirmed_key(), &keygate_forge::azure_tpm::rsa_jwk(&machine.request_key));
    assert!(!shown.log_claims().contains_key("x-ms-tpm-request-key"));
    let other = refused(&machine, &Wanted { quote: |attest| attest.extra_data[0] ^= 1, ..first.clone() });
    assert_eq!(other, "freshness-failed.qualifying-data");
    assert_eq!(refused(&machine, &Wanted { banks: vec![0x04], ..first.clone() }), "unsupported.pcr-bank");
    assert!(
        appraised(&machine, &Wanted { slept: true, ..first.clone() }).unwrap().log_claims().contains_key("bootEvents")
    );
    let claim = changed(&machine, &first, |draft| {
        draft.payload["att_data"]["tpm_att_data"]["current_claim"] = json!(base64::url(b"PADSxxxxxxxxxxxxxxxxxxxx"));
    });
    assert_eq!(code(claim), "unsupported.platform-claim");
}
