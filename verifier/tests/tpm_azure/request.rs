//! The request as it stands on the wire: header, signature, payload.

use keygate_forge::azure_tpm::rsa;
use keygate_forge::base64;
use keygate_verifier::tpm_azure::{CustomValue, TpmRequest};
use openssl::hash::MessageDigest;
use serde_json::{Value, json};

use super::*;

#[test]
fn jwt_05_and_06_a_request_is_signed_by_its_own_key_with_ps256() {
    let machine = machine();
    let read = |change: fn(&mut Value), key| {
        let mut draft = machine.draft(&wanted());
        change(&mut draft.header);
        TpmRequest::read(&draft.sign(key)).map(drop).map_err(|refused| refused.full_code())
    };
    let (own, stranger) = (&machine.request_key, rsa());
    assert_eq!(read(|_| (), own), Ok(()));
    assert_eq!(read(|header| header["kid"] = json!("x"), own), Ok(()), "what is not known is ignored");
    assert_eq!(read(|_| (), &stranger), Err("signature-invalid.tpm-request".into()));
    for alg in ["RS256", "PS384", "ES256", "none", "ps256"] {
        let mut draft = machine.draft(&wanted());
        draft.header["alg"] = json!(alg);
        assert_eq!(TpmRequest::read(&draft.sign(own)).unwrap_err().code(), "unsupported", "{alg}");
    }
    for typ in [json!("JWT"), json!("attreq"), json!(null), json!("attReqV3")] {
        let mut draft = machine.draft(&wanted());
        draft.header["typ"] = typ.clone();
        assert_eq!(TpmRequest::read(&draft.sign(own)).unwrap_err().code(), "malformed", "{typ}");
    }
    assert_eq!(read(|header| header["crit"] = json!(["exp"]), own), Err("unsupported.tpm-request".into()));
    let sound = machine.request(&wanted());
    for bad in [sound.replacen('.', "", 1), format!("{sound}."), format!("{sound}="), String::new(), "a.b.c".into()] {
        assert_eq!(TpmRequest::read(&bad).unwrap_err().code(), "malformed");
    }
    assert_eq!(TpmRequest::read(&"a".repeat((1 << 20) + 1)).unwrap_err().code(), "too-large");
    // Another algorithm of the same key, under the header that is wanted.
    let (input, _) = sound.rsplit_once('.').unwrap();
    let other = keygate_forge::keys::sign_pss(own, MessageDigest::sha384(), input.as_bytes());
    let told = TpmRequest::read(&format!("{input}.{}", base64::url(&other)));
    assert_eq!(told.unwrap_err().full_code(), "signature-invalid.tpm-request");
}

#[test]
fn a_payload_says_everything_once_and_in_its_type() {
    let machine = machine();
    let read = |change: &dyn Fn(&mut Value)| {
        let mut draft = machine.draft(&wanted());
        change(&mut draft.payload);
        TpmRequest::read(&draft.sign(&machine.request_key)).map(drop).map_err(|refused| refused.code())
    };
    assert_eq!(read(&|payload| payload["att_data"]["unknown"] = json!([1])), Ok(()));
    let data = |name: &'static str, value: Value| move |payload: &mut Value| payload["att_data"][name] = value.clone();
    for (what, change, wanted) in [
        (
            "no type",
            (&|p: &mut Value| drop(p.as_object_mut().unwrap().remove("att_type"))) as &dyn Fn(&mut Value),
            "malformed",
        ),
        ("another type", &|p| p["att_type"] = json!("sgx"), "malformed"),
        ("vbs", &|p| p["att_type"] = json!("vbs"), "unsupported"),
        ("a short challenge", &data("challenge", json!("AAAA")), "malformed"),
        ("a challenge that is a number", &data("challenge", json!(7)), "malformed"),
        ("no context", &|p| drop(p["att_data"].as_object_mut().unwrap().remove("service_context")), "malformed"),
        ("a context without measure", &data("service_context", json!("A".repeat(2_000))), "too-large"),
        ("data that are no base64", &data("rp_data", json!("ä")), "malformed"),
        ("data without measure", &data("rp_data", json!("A".repeat(8_000))), "too-large"),
        (
            "three other keys",
            &|p| p["att_data"]["other_keys"] = json!(vec![p["att_data"]["request_key"].clone(); 3]),
            "too-large",
        ),
        ("nothing of a tpm", &|p| drop(p["att_data"].as_object_mut().unwrap().remove("tpm_att_data")), "malformed"),
        (
            "a log of another type",
            &|p| p["att_data"]["tpm_att_data"]["current_attestation"]["logs"][0]["type"] = json!("tcg"),
            "unsupported",
        ),
        (
            "a register of another length",
            &|p| p["att_data"]["tpm_att_data"]["current_attestation"]["pcrs"][0]["values"][0]["digest"] = json!("AA"),
            "malformed",
        ),
        (
            "a register twice",
            &|p| p["att_data"]["tpm_att_data"]["current_attestation"]["pcrs"][0]["values"][1]["index"] = json!(0),
            "malformed",
        ),
        (
            "a register too high",
            &|p| p["att_data"]["tpm_att_data"]["current_attestation"]["pcrs"][0]["values"][1]["index"] = json!(24),
            "malformed",
        ),
        (
            "a bank of another hash",
            &|p| p["att_data"]["tpm_att_data"]["current_attestation"]["pcrs"][0]["algorithm"] = json!(18),
            "unsupported",
        ),
        (
            "a bank twice",
            &|p| {
                let banks = p["att_data"]["tpm_att_data"]["current_attestation"]["pcrs"].as_array_mut().unwrap();
                banks.push(banks[0].clone());
            },
            "malformed",
        ),
    ] {
        assert_eq!(read(change), Err(wanted), "{what}");
    }
    // A name twice, wherever it stands.
    let sound = machine.draft(&wanted()).payload.to_string();
    for twice in [
        sound.replacen("\"att_type\"", "\"att_type\":\"vbs\",\"att_type\"", 1),
        sound.replacen("\"kty\"", "\"kty\":\"RSA\",\"kty\"", 1),
        sound.replacen("\"algorithm\"", "\"algorithm\":4,\"algorithm\"", 1),
        format!("{sound}{{}}"),
    ] {
        let input =
            format!("{}.{}", base64::url(br#"{"alg":"PS256","typ":"attReqV2"}"#), base64::url(twice.as_bytes()));
        let signature = keygate_forge::keys::sign_pss(&machine.request_key, MessageDigest::sha256(), input.as_bytes());
        let told = TpmRequest::read(&format!("{input}.{}", base64::url(&signature)));
        assert_eq!(told.unwrap_err().code(), "malformed");
    }
}

#[test]
fn custom_claims_have_their_type() {
    let machine = machine();
    let read = |claims: Value| {
        let mut draft = machine.draft(&wanted());
        draft.payload["att_data"]["custom_claims"] = claims;
        TpmRequest::read(&draft.sign(&machine.request_key)).map_err(|refused| refused.code())
    };
    let request = read(json!([
        {"name": "a", "value": "x"},
        {"name": "b", "value": 7, "value_type": "Integer"},
        {"name": "c", "value": false, "value_type": "Boolean"},
        {"name": "c", "value": "y", "value_type": "String"},
    ]))
    .unwrap();
    let told: Vec<_> = request.custom_claims().iter().map(|claim| (claim.name.as_str(), &claim.value)).collect();
    let (x, y) = (CustomValue::Text("x".into()), CustomValue::Text("y".into()));
    assert_eq!(told, [("a", &x), ("b", &CustomValue::Integer(7)), ("c", &CustomValue::Boolean(false)), ("c", &y)]);
    assert_eq!(request.rp_data(), Some(base64::url(b"relying party's own").as_str()));
    assert_eq!((request.challenge(), request.service_context()), (&CHALLENGE, &b"context"[..]));
    for (claim, code) in [
        (json!({"name": "a", "value": 7}), "malformed"),
        (json!({"name": "a", "value": "7", "value_type": "Integer"}), "malformed"),
        (json!({"name": "a", "value": 7.5, "value_type": "Integer"}), "malformed"),
        (json!({"name": "a", "value": 1, "value_type": "Boolean"}), "malformed"),
        (json!({"name": "a", "value": {}, "value_type": "String"}), "malformed"),
        (json!({"name": "a", "value": "x", "value_type": "string"}), "malformed"),
        (json!({"name": "", "value": "x"}), "malformed"),
        (json!({"value": "x"}), "malformed"),
        (json!({"name": "n".repeat(300), "value": "x"}), "too-large"),
        (json!({"name": "a", "value": "x".repeat(5_000)}), "too-large"),
    ] {
        assert_eq!(read(json!([claim])).unwrap_err(), code, "{claim}");
    }
    assert_eq!(read(json!(vec![json!({"name": "a", "value": "x"}); 65])).unwrap_err(), "too-large");
}

#[test]
fn nothing_of_a_request_is_in_its_debug_form() {
    let machine = machine();
    let shown = format!("{:?}", TpmRequest::read(&machine.request(&wanted())).unwrap());
    assert!(shown.len() < 90, "{shown}");
}
