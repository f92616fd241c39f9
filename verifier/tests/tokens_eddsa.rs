//! Ed25519 for attestation results and generic issuers, and for nobody else. RFC 8037; bad inputs, rows JWT-05, JWT-18, JWT-21, JWT-22.

mod tokens;

use keygate_verifier::tokens::{
    Foreign, Issuer, JwsAlgorithm, KeySet, Profile, TokenBinding, TokenFault, TokenRoots, verify_foreign, verify_jws,
};
use serde_json::{Value, json};
use tokens::foreign::Family;
use tokens::{AUDIENCE, NOW, RSA, Signer, b64, check, set};

fn judged(family: &Family, token: &str, keys: &KeySet) -> Result<Foreign, TokenFault> {
    let roots = TokenRoots::none();
    let issuer = Issuer {
        name: "configured",
        issuer: family.issuer,
        profile: family.profile,
        keys,
        roots: &roots,
        audiences: &[AUDIENCE],
        max_age: None,
        is_keygate: false,
    };
    verify_foreign(token, &issuer, &TokenBinding::Unbound, NOW)
}

#[test]
fn jwt_05_21_two_families_sign_with_ed25519_and_no_other() {
    let key = Signer::ed25519("ed-1");
    let other = Signer::ed25519("ed-1");
    for family in Family::all().filter(|family| family.profile != Profile::NvidiaNras) {
        let keys = set(&[key.jwk_with(json!({ "alg": "EdDSA", "use": "sig" }))]);
        let token = |signer: &Signer| signer.sign(&key.header(), &family.claims());
        if !matches!(family.profile, Profile::Ear | Profile::Oidc) {
            assert_eq!(
                judged(&family, &token(&key), &keys).unwrap_err(),
                TokenFault::Algorithm,
                "{:?}",
                family.profile
            );
            continue;
        }
        let found = judged(&family, &token(&key), &keys).unwrap();
        let input = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":{}}}"#, key.jwk()["x"]);
        assert_eq!(found.signer(), b64(openssl::sha::sha256(input.as_bytes())), "RFC 8037, appendix A.3");
        assert_eq!(judged(&family, &token(&other), &keys).unwrap_err(), TokenFault::Signature, "{:?}", family.profile);
        // The header says one type, the key is of another.
        let rsa = set(&[RSA.jwk_with(json!({ "kid": "ed-1" }))]);
        assert_eq!(judged(&family, &token(&key), &rsa).unwrap_err(), TokenFault::WrongKey);
        let header = json!({ "alg": "RS256", "kid": "ed-1", "typ": "JWT" });
        assert_eq!(judged(&family, &RSA.sign(&header, &family.claims()), &keys).unwrap_err(), TokenFault::WrongKey);
        let kept = set(&[key.jwk_with(json!({ "alg": "ES256" }))]);
        assert!(kept.is_empty(), "a key that contradicts itself");
    }
}

#[test]
fn a_bearer_is_checked_with_the_algorithms_that_its_caller_lists() {
    let key = Signer::ed25519("ed-1");
    let (keys, token) = (set(&[key.jwk()]), key.token(&tokens::claims()));
    assert_eq!(check(&token, &keys).unwrap_err(), TokenFault::Algorithm);
    assert!(verify_jws(&token, &keys, &JwsAlgorithm::ALL).is_ok());
    for zeros in [0, 63, 64, 65] {
        let spoiled = format!("{}.{}", token.rsplit_once('.').unwrap().0, b64(vec![0; zeros]));
        assert_eq!(verify_jws(&spoiled, &keys, &JwsAlgorithm::ALL).unwrap_err(), TokenFault::Signature, "{zeros}");
    }
}

#[test]
fn rfc_8037_appendix_a() {
    let keys = set(&[json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})]);
    let token = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    assert_eq!(verify_jws(token, &keys, &[JwsAlgorithm::EdDSA]).unwrap().payload, b"Example of Ed25519 signing");
}

#[test]
fn jwt_22_odd_keys_are_left_out() {
    let key = Signer::ed25519("ed-1");
    let mut little = [0_u8; 32];
    let mut small = vec![little];
    for first in [1_u8, 0xec] {
        little = if first == 1 { [0; 32] } else { [0xff; 32] };
        little[0] = first;
        little[31] &= 0x7f;
        small.push(little);
    }
    for hex in [
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    ] {
        small.push(hex::decode(hex).unwrap().try_into().unwrap());
    }
    // The same numbers once more, written above the prime.
    for first in [0xed_u8, 0xee] {
        let mut above = [0xff; 32];
        above[0] = first;
        above[31] = 0x7f;
        small.push(above);
    }
    for point in small {
        for sign in [0, 0x80] {
            let mut point = point;
            point[31] |= sign;
            assert!(set(&[key.jwk_with(json!({ "x": b64(point) }))]).is_empty(), "{}", hex::encode(point));
        }
    }
    let x = key.jwk()["x"].as_str().unwrap().to_owned();
    for changes in [
        json!({ "crv": "Ed448" }),
        json!({ "crv": "X25519" }),
        json!({ "crv": null }),
        json!({ "x": format!("{x}A") }),
        json!({ "x": b64([7; 31]) }),
        json!({ "x": null }),
        json!({ "y": x }),
        json!({ "d": x }),
        json!({ "kty": "EC" }),
        json!({ "use": "enc" }),
        json!({ "x5c": [Value::Null] }),
    ] {
        let read = set(&[key.jwk_with(changes.clone())]);
        // A certificate that does not parse says nothing.
        assert_eq!(read.is_empty(), changes.get("x5c").is_none(), "{changes}");
    }
}
