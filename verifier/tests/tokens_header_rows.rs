//! Rows JWT-01 to JWT-21 of the bad inputs: what a header says, and which key is asked. Each with its accepting twin.

mod tokens;

use keygate_verifier::tokens::{Expected, JwsAlgorithm, TokenFault, verify_jws, verify_jwt};
use serde_json::{Value, json};
use tokens::{
    EXPECTED, NOW, OTHER_P256, OTHER_RSA, P256, P384, P521, RSA, Signer, b64, check, claims, code, hs256, set,
};

#[test]
fn every_algorithm_is_accepted_under_its_key() {
    for (signer, names) in [
        (&RSA, &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"][..]),
        (&P256, &["ES256"]),
        (&P384, &["ES384"]),
        (&P521, &["ES512"]),
    ] {
        for alg in names {
            let token = signer.sign(&signer.header_with(json!({ "alg": alg })), &claims());
            for keys in [set(&[signer.jwk()]), set(&[signer.jwk_with(json!({ "alg": alg, "use": "sig" }))])] {
                let jwt = check(&token, &keys).unwrap_or_else(|fault| panic!("{alg}: {fault}"));
                assert_eq!((jwt.algorithm.as_str(), jwt.kid.as_deref()), (*alg, Some(signer.kid)));
                assert_eq!(jwt.claims["sub"], "workload");
            }
            let only_others: Vec<_> = JwsAlgorithm::RFC_7518.into_iter().filter(|a| a.as_str() != *alg).collect();
            let expected = Expected { algorithms: &only_others, ..EXPECTED };
            let refused = verify_jwt(&token, &set(&[signer.jwk()]), &expected, NOW).unwrap_err();
            assert_eq!(refused, TokenFault::Algorithm, "{alg}");
        }
    }
}

#[test]
fn jwt_01_02_none_in_any_spelling() {
    let keys = set(&[RSA.jwk()]);
    let good = RSA.token(&claims());
    assert!(check(&good, &keys).is_ok());
    let spellings: [Value; 16] = [
        "none",
        "None",
        "NONE",
        "nOnE",
        "none ",
        " none",
        "none\0",
        "",
        "rs256",
        "RS256 ",
        " RS256",
        "RS256\0",
        "RS-256",
        "HS256",
        "EdDSA",
        "RS256,none",
    ]
    .map(Value::from);
    for alg in spellings.into_iter().chain([json!(null), json!(["RS256"]), json!(256), json!({ "alg": "RS256" })]) {
        let header = json!({ "alg": alg, "kid": RSA.kid });
        let unsigned = format!("{}.{}.", b64(header.to_string()), b64(claims().to_string()));
        assert_eq!(check(&unsigned, &keys).unwrap_err(), TokenFault::Algorithm, "{alg}");
        assert_eq!(code(&unsigned, &keys), "token-invalid");
        // The same with a signature that is right.
        let signed = RSA.sign_text(&header.to_string(), &claims().to_string(), "RS256");
        assert_eq!(check(&signed, &keys).unwrap_err(), TokenFault::Algorithm, "{alg}");
    }
    let without = RSA.sign_text(&json!({ "kid": RSA.kid }).to_string(), &claims().to_string(), "RS256");
    assert_eq!(check(&without, &keys).unwrap_err(), TokenFault::Algorithm);
    let stripped = format!("{}.", good.rsplit_once('.').unwrap().0);
    assert_eq!(check(&stripped, &keys).unwrap_err(), TokenFault::Signature);
}

#[test]
fn jwt_03_04_05_a_public_key_is_no_secret() {
    let pem = RSA.key.public_key_to_pem().unwrap();
    let der = RSA.key.public_key_to_der().unwrap();
    let n = RSA.key.rsa().unwrap().n().to_vec();
    let spaced = [b" ", pem.as_slice()].concat();
    let jwk = RSA.jwk().to_string().into_bytes();
    for keys in [set(&[RSA.jwk()]), set(&[RSA.jwk_with(json!({ "alg": "RS256" }))])] {
        assert!(check(&RSA.token(&claims()), &keys).is_ok());
        for secret in [&pem[..], &der, &n, &spaced, &jwk, &[]] {
            let token = hs256(secret, &RSA.header_with(json!({ "alg": "HS256" })), &claims());
            assert_eq!(code(&token, &keys), "token-invalid");
            let token = hs256(secret, &RSA.header(), &claims());
            assert_eq!(check(&token, &keys).unwrap_err(), TokenFault::Signature);
        }
    }
    // A key that is kept for one algorithm is not for another of its family.
    let kept = set(&[RSA.jwk_with(json!({ "alg": "PS256" }))]);
    assert_eq!(check(&RSA.token(&claims()), &kept).unwrap_err(), TokenFault::WrongKey);
    assert!(check(&RSA.sign(&RSA.header_with(json!({ "alg": "PS256" })), &claims()), &kept).is_ok());
}

#[test]
fn jwt_06_a_key_in_the_header_is_refused() {
    let keys = set(&[P256.jwk()]);
    assert!(check(&P256.token(&claims()), &keys).is_ok());
    for jwk in [OTHER_P256.jwk_with(json!({ "kid": P256.kid })), P256.jwk(), json!(null), json!({})] {
        let header = json!({ "alg": "ES256", "kid": P256.kid, "jwk": jwk });
        for signer in [&OTHER_P256, &P256] {
            let token = signer.sign(&header, &claims());
            assert!(matches!(check(&token, &keys).unwrap_err(), TokenFault::Header(_)), "{jwk}");
        }
    }
}

/// The crate opens no socket; here: a place or a certificate in the header chooses no key.
#[test]
fn jwt_07_08_09_10_places_and_chains_in_the_header_choose_no_key() {
    let keys = set(&[P256.jwk()]);
    for header in [
        json!({ "jku": "https://evil.example/jwks" }),
        json!({ "jku": "https://issuer.example@evil.example/certs" }),
        json!({ "jku": "https://issuer.example.evil.example/certs" }),
        json!({ "jku": "https://issuer.example/redirect?to=https://evil.example" }),
        json!({ "x5u": "https://evil.example/chain.pem" }),
        json!({ "x5u": "file:///etc/passwd" }),
        json!({ "x5c": ["MAA="] }),
        json!({ "x5t": "AAAA", "x5t#S256": "AAAA" }),
    ] {
        // The attacker's key, under the good name and under its own.
        for kid in [P256.kid, OTHER_P256.kid] {
            let mut bad = header.clone();
            bad["kid"] = kid.into();
            let token = OTHER_P256.sign(&OTHER_P256.header_with(bad), &claims());
            assert_eq!(code(&token, &keys), "token-invalid", "{header}");
        }
        // Our issuer may write what it likes there: the key is the one of its set.
        assert!(check(&P256.sign(&P256.header_with(header.clone()), &claims()), &keys).is_ok(), "{header}");
    }
}

#[test]
fn jwt_13_a_kid_is_a_name_and_nothing_else() {
    let keys = set(&[P256.jwk()]);
    for kid in
        ["../../etc/passwd", "' OR 1=1 --", "p256-1\0", "p256-1 ", "P256-1", "\u{440}256-1", "", &"x".repeat(256)]
    {
        let refused = check(&P256.sign(&P256.header_with(json!({ "kid": kid })), &claims()), &keys).unwrap_err();
        assert!(refused.is_unknown_key() || matches!(refused, TokenFault::Header(_)), "{kid}: {refused}");
        assert_eq!(refused.code(), "token-invalid");
    }
    for kid in [json!("x".repeat(257)), json!(["p256-1"]), json!(1), json!(null)] {
        let header = json!({ "alg": "ES256", "kid": kid });
        assert!(matches!(check(&P256.sign(&header, &claims()), &keys).unwrap_err(), TokenFault::Header(_)), "{kid}");
    }
    let large = P256.sign(&P256.header_with(json!({ "kid": "k".repeat(65_536) })), &claims());
    assert_eq!(code(&large, &keys), "too-large");
    let longest = "k".repeat(256);
    let named = set(&[P256.jwk_with(json!({ "kid": longest }))]);
    assert!(check(&P256.sign(&P256.header_with(json!({ "kid": longest })), &claims()), &named).is_ok());
}

#[test]
fn jwt_14_keys_are_of_one_issuer() {
    let (ours, theirs) = (set(&[P256.jwk()]), set(&[OTHER_P256.jwk()]));
    let token = OTHER_P256.token(&claims());
    assert!(check(&token, &ours).unwrap_err().is_unknown_key());
    assert!(check(&token, &theirs).is_ok());
    // The name of our key over their signature.
    let named = OTHER_P256.sign(&P256.header(), &claims());
    assert_eq!(check(&named, &ours).unwrap_err(), TokenFault::Signature);
}

#[test]
fn jwt_15_without_a_kid_at_most_four_keys_are_tried() {
    let token = P256.sign(&P256.header_with(json!({ "kid": null })), &claims());
    let fresh = |n: usize| Signer::ec("x", "ES256").jwk_with(json!({ "kid": format!("k{n}") }));
    let mut entries: Vec<Value> = (0..3).map(fresh).chain([P256.jwk_with(json!({ "kid": null })), RSA.jwk()]).collect();
    assert!(check(&token, &set(&entries)).is_ok());
    entries.push(fresh(3));
    assert_eq!(check(&token, &set(&entries)).unwrap_err(), TokenFault::TooManyKeys);
    entries.extend((4..50).map(fresh));
    assert_eq!(check(&token, &set(&entries)).unwrap_err(), TokenFault::TooManyKeys);
    // Keys for other algorithms are no candidates, nor is one that is right for none.
    let others: Vec<Value> = (4..50).map(|n| RSA.jwk_with(json!({ "kid": format!("r{n}") }))).collect();
    assert!(check(&token, &set(&[others.clone(), vec![P256.jwk()]].concat())).is_ok());
    assert_eq!(check(&token, &set(&others)).unwrap_err(), TokenFault::WrongKey);
    let strangers: Vec<Value> = (0..4).map(fresh).collect();
    assert_eq!(check(&token, &set(&strangers)).unwrap_err(), TokenFault::Signature);
}

#[test]
fn jwt_16_17_extensions_are_refused() {
    let keys = set(&[P256.jwk()]);
    for changes in [
        json!({ "crit": ["x"], "x": 1 }),
        json!({ "crit": ["x"] }),
        json!({ "crit": [] }),
        json!({ "crit": "x" }),
        json!({ "crit": ["alg"] }),
        json!({ "crit": ["exp"], "exp": 1 }),
        json!({ "crit": { "x": 1 } }),
        json!({ "b64": false, "crit": ["b64"] }),
        json!({ "b64": false }),
        json!({ "b64": true }),
        json!({ "zip": "DEF" }),
    ] {
        let token = P256.sign(&P256.header_with(changes.clone()), &claims());
        assert!(matches!(check(&token, &keys).unwrap_err(), TokenFault::Header(_)), "{changes}");
    }
    let null = P256.sign_text(r#"{"alg":"ES256","kid":"p256-1","crit":null}"#, &claims().to_string(), "ES256");
    assert_eq!(code(&null, &keys), "token-invalid");
    assert!(check(&P256.sign(&P256.header_with(json!({ "x": 1, "cty": "JWT" })), &claims()), &keys).is_ok());
}

#[test]
fn jwt_18_19_es256_signatures_have_one_form() {
    let keys = set(&[P256.jwk()]);
    let good = P256.token(&claims());
    let (signed, _) = good.rsplit_once('.').unwrap();
    let signature = P256.signature("ES256", signed.as_bytes());
    let with = |signature: &[u8]| check(&format!("{signed}.{}", b64(signature)), &keys);
    assert!(with(&signature).is_ok());
    let (r, s) = signature.split_at(32);
    let order = hex::decode("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551").unwrap();
    let der = {
        let number = |bytes: &[u8]| openssl::bn::BigNum::from_slice(bytes).unwrap();
        let signature = openssl::ecdsa::EcdsaSig::from_private_components(number(r), number(s)).unwrap();
        signature.to_der().unwrap()
    };
    let zero = [0; 32];
    for bad in [
        [zero, zero].concat(),
        [r, &zero].concat(),
        [&zero, s].concat(),
        [&order, s].concat(),
        [r, &order].concat(),
        [[0xff; 32].as_slice(), s].concat(),
        signature[..63].to_vec(),
        [signature.as_slice(), &[0]].concat(),
        [[0].as_slice(), &signature].concat(),
        [s, r].concat(),
        der,
        Vec::new(),
    ] {
        assert_eq!(with(&bad).unwrap_err(), TokenFault::Signature, "{}", hex::encode(&bad));
    }
}

/// Whoever keeps tokens from coming twice must not look at the signature.
#[test]
fn jwt_20_the_other_signature_over_the_same_bytes_is_the_same_token() {
    let keys = set(&[P256.jwk()]);
    let good = P256.token(&claims());
    let (signed, _) = good.rsplit_once('.').unwrap();
    let signature = P256.signature("ES256", signed.as_bytes());
    let number = |bytes: &[u8]| openssl::bn::BigNum::from_slice(bytes).unwrap();
    let order = number(&hex::decode("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551").unwrap());
    let other = [&signature[..32], &(&order - &number(&signature[32..])).to_vec_padded(32).unwrap()].concat();
    assert_ne!(other, signature);
    let [first, second] = [signature, other].map(|s| check(&format!("{signed}.{}", b64(s)), &keys).unwrap());
    assert_eq!(first.signed_sha256, second.signed_sha256);
    assert_ne!(
        first.signed_sha256,
        check(&P256.token(&tokens::claims_with(json!({ "sub": "x" }))), &keys).unwrap().signed_sha256
    );
}

#[test]
fn jwt_21_the_curve_fixes_the_algorithm() {
    let keys = set(&[P256.jwk(), P384.jwk(), P521.jwk(), RSA.jwk()]);
    for (signer, right) in [(&P256, "ES256"), (&P384, "ES384"), (&P521, "ES512"), (&RSA, "RS256")] {
        for alg in ["ES256", "ES384", "ES512", "RS256"] {
            let token = signer.sign(&signer.header_with(json!({ "alg": alg })), &claims());
            if alg == right {
                assert!(check(&token, &keys).is_ok(), "{alg}");
            } else {
                assert_eq!(check(&token, &keys).unwrap_err(), TokenFault::WrongKey, "{right} as {alg}");
            }
        }
    }
    // A PKCS#1 signature under a header that says PSS, and the reverse.
    for (said, done) in [("PS256", "RS256"), ("RS256", "PS256"), ("RS384", "RS256"), ("PS512", "PS256")] {
        let token = RSA.sign_text(&RSA.header_with(json!({ "alg": said })).to_string(), &claims().to_string(), done);
        assert_eq!(check(&token, &keys).unwrap_err(), TokenFault::Signature, "{said} by {done}");
    }
    assert_eq!(check(&OTHER_RSA.sign(&RSA.header(), &claims()), &keys).unwrap_err(), TokenFault::Signature);
}

#[test]
fn a_payload_that_is_no_json_is_a_jws_and_no_jwt() {
    let keys = set(&[P256.jwk()]);
    for payload in ["", "foo", "\0\0", "[]"] {
        let token = P256.sign_text(&P256.header().to_string(), payload, "ES256");
        assert_eq!(verify_jws(&token, &keys, &[JwsAlgorithm::ES256]).unwrap().payload, payload.as_bytes());
        assert_eq!(code(&token, &keys), "malformed");
    }
}
