//! Rows JWT-25 to JWT-52 of the bad inputs that concern tokens: form, time and claims. Each with its accepting twin.

mod tokens;

use keygate_verifier::UnixTime;
use keygate_verifier::tokens::{Expected, TokenFault, peek, verify_jwt};
use serde_json::{Value, json};
use tokens::{AUDIENCE, EXPECTED, ISSUER, NOW, P256, b64, check, claims, claims_with, code, set};

fn keys() -> keygate_verifier::tokens::KeySet {
    set(&[P256.jwk()])
}

/// The token whose payload is this text.
fn with_text(payload: &str) -> String {
    P256.sign_text(&P256.header().to_string(), payload, "ES256")
}

fn with(changes: Value) -> Result<(), TokenFault> {
    check(&P256.token(&claims_with(changes)), &keys()).map(|_| ())
}

#[test]
fn jwt_25_exp_is_an_integer_to_come() {
    assert_eq!(with(json!({})), Ok(()));
    for exp in [json!("1760000000"), json!(1.76e9), json!(-1), json!(i64::MIN), json!(true), json!([1_760_000_000])] {
        assert_eq!(with(json!({ "exp": exp })), Err(TokenFault::Claim("exp")), "{exp}");
    }
    assert_eq!(with(json!({ "exp": null })), Err(TokenFault::Claim("exp")));
    assert_eq!(with(json!({ "exp": 9_223_372_036_854_775_808_u64 })), Err(TokenFault::Claim("exp")));
    assert_eq!(with(json!({ "exp": i64::MAX })), Ok(()));
    for number in ["1e400", "1760000000.0", "176e7", "-0", "null"] {
        let claims = claims().to_string().replace(&(NOW.secs() + 3_600).to_string(), number);
        assert_eq!(code(&with_text(&claims), &keys()), "token-invalid", "{number}");
    }
    assert_eq!(with(json!({ "exp": 0 })), Err(TokenFault::Expired));
    assert_eq!(with(json!({ "exp": NOW.secs() - 60 })), Err(TokenFault::Expired));
    assert_eq!(with(json!({ "exp": NOW.secs() - 59 })), Ok(()));
}

#[test]
fn jwt_26_nbf_and_iat_are_past_and_not_too_long() {
    for name in ["nbf", "iat"] {
        assert_eq!(with(json!({ (name): NOW.secs() + 60 })), Ok(()));
        assert_eq!(with(json!({ (name): NOW.secs() + 61 })), Err(TokenFault::NotYetValid), "{name}");
        assert_eq!(with(json!({ (name): null })), Ok(()), "{name}");
        for value in [json!("1"), json!(1.5), json!(-1), json!([])] {
            assert!(matches!(with(json!({ (name): value })), Err(TokenFault::Claim(_))), "{name} {value}");
        }
    }
    let ten_years = NOW.secs() - 315_360_000;
    let old = P256.token(&claims_with(json!({ "iat": ten_years, "nbf": ten_years, "exp": NOW.secs() + 315_360_000 })));
    assert!(check(&old, &keys()).is_ok());
    let aged = |token: &str, max_age| {
        verify_jwt(token, &keys(), &Expected { max_age: Some(max_age), ..EXPECTED }, NOW).map(|_| ())
    };
    assert_eq!(aged(&old, 3_600), Err(TokenFault::TooOld));
    assert_eq!(aged(&old, i64::MAX), Ok(()));
    let at = |iat: i64| P256.token(&claims_with(json!({ "iat": iat })));
    assert_eq!(aged(&at(NOW.secs() - 3_660), 3_600), Ok(()));
    assert_eq!(aged(&at(NOW.secs() - 3_661), 3_600), Err(TokenFault::TooOld));
    assert_eq!(aged(&P256.token(&claims_with(json!({ "iat": null }))), 3_600), Err(TokenFault::Claim("iat")));
}

#[test]
fn leeway_is_what_the_caller_says_and_never_less_than_none() {
    let token = P256.token(&claims_with(json!({ "nbf": NOW.secs() + 1, "exp": NOW.secs() + 10 })));
    for (leeway, now, expected) in [
        (0, NOW, Err(TokenFault::NotYetValid)),
        (-5, NOW.plus(1), Ok(())),
        (0, NOW.plus(9), Ok(())),
        (0, NOW.plus(10), Err(TokenFault::Expired)),
        (-5, NOW.plus(9), Ok(())),
        (1, NOW, Ok(())),
        (1, NOW.plus(10), Ok(())),
        (i64::MAX, UnixTime::FOREVER, Err(TokenFault::Expired)),
    ] {
        let expected_token = Expected { leeway, ..EXPECTED };
        assert_eq!(verify_jwt(&token, &keys(), &expected_token, now).map(|_| ()), expected, "{leeway} {now}");
    }
}

#[test]
fn jwt_27_52_aud_is_ours_byte_for_byte() {
    for aud in [json!(AUDIENCE), json!([AUDIENCE]), json!(["https://other.example", AUDIENCE])] {
        assert_eq!(with(json!({ "aud": aud })), Ok(()), "{aud}");
    }
    for aud in [
        json!("https://other.example"),
        json!("https://keygate.example/"),
        json!("HTTPS://keygate.example"),
        json!("https://keygate.example https://other.example"),
        json!(["https://other.example"]),
        json!([]),
        json!(""),
    ] {
        assert_eq!(with(json!({ "aud": aud })), Err(TokenFault::Audience), "{aud}");
    }
    for aud in [json!(1), json!({ AUDIENCE: true }), json!([AUDIENCE, 1]), json!([[AUDIENCE]]), json!(true)] {
        assert_eq!(with(json!({ "aud": aud })), Err(TokenFault::Claim("aud")), "{aud}");
    }
    assert_eq!(with(json!({ "aud": null })), Err(TokenFault::Claim("aud")));
    let two = Expected { audiences: &["https://other.example", AUDIENCE], ..EXPECTED };
    assert!(verify_jwt(&P256.token(&claims()), &keys(), &two, NOW).is_ok());
    let none = Expected { audiences: &[], ..EXPECTED };
    assert!(verify_jwt(&P256.token(&claims_with(json!({ "aud": null }))), &keys(), &none, NOW).is_ok());
}

#[test]
fn jwt_28_29_iss_is_the_issuer_byte_for_byte() {
    for iss in [
        json!([ISSUER]),
        json!([ISSUER, "https://evil.example"]),
        json!({ "0": ISSUER }),
        json!(1),
        json!(""),
        json!("https://issuer.example/"),
        json!("https://ISSUER.example"),
        json!("https://issuer.example:443"),
        json!("https://user@issuer.example"),
        json!("https://issuer.example@evil.example"),
        json!("https://%69ssuer.example"),
        json!("https://\u{456}ssuer.example"),
        json!("http://issuer.example"),
        json!(" https://issuer.example"),
        json!("https://issuer.example\0"),
    ] {
        assert_eq!(with(json!({ "iss": iss })), Err(TokenFault::Issuer), "{iss}");
    }
    assert_eq!(with(json!({ "iss": null })), Err(TokenFault::Claim("iss")));
    assert_eq!(with(json!({ "iss": ISSUER })), Ok(()));
    let slash = Expected { issuer: "https://issuer.example/", ..EXPECTED };
    assert_eq!(verify_jwt(&P256.token(&claims()), &keys(), &slash, NOW).unwrap_err(), TokenFault::Issuer);
}

#[test]
fn jwt_30_31_48_header_and_claims_say_everything_once() {
    let (header, payload) = (P256.header().to_string(), claims().to_string());
    assert!(check(&P256.sign_text(&header, &payload, "ES256"), &keys()).is_ok());
    let spaced = format!(" \n{}\t", header.replace(':', " : "));
    assert!(check(&P256.sign_text(&spaced, &payload, "ES256"), &keys()).is_ok());
    for bad in [
        r#"{"alg":"none","alg":"ES256","kid":"p256-1"}"#.to_owned(),
        r#"{"alg":"ES256","kid":"p256-1","\u0061lg":"none"}"#.to_owned(),
        format!("{header}{header}"),
        format!("{header}x"),
        format!("\u{feff}{header}"),
        "[]".to_owned(),
        "null".to_owned(),
        String::new(),
        r#"{"alg":"ES256","kid":"p256-1","x\u0000":1}"#.to_owned(),
        r#"{"alg":"ES256","kid":"p256-1","x":"\udc00"}"#.to_owned(),
        r#"{"alg":"ES256","kid":"p256-1",}"#.to_owned(),
    ] {
        assert_eq!(code(&P256.sign_text(&bad, &payload, "ES256"), &keys()), "malformed", "{bad}");
    }
    let cut = payload.strip_suffix('}').unwrap();
    for bad in [
        format!("{cut},\"exp\":1}}"),
        format!("{cut},\"\\u0065xp\":1}}"),
        format!("{cut},\"x\":{{\"a\":1,\"a\":2}}}}"),
        format!("{payload}{payload}"),
        format!("{payload} x"),
        format!("\u{feff}{payload}"),
        format!("{cut},\"a\\u0000\":1}}"),
        format!("{cut},\"a\":\"\\ud800\"}}"),
    ] {
        assert_eq!(code(&with_text(&bad), &keys()), "malformed", "{bad}");
    }
    let overlong = [cut.as_bytes(), b",\"a\":\"\xc0\xaf\"}"].concat();
    let token = P256.sign_segments(&b64(&header), &b64(overlong), "ES256");
    assert_eq!(code(&token, &keys()), "malformed");
    // Composed and decomposed spellings are two names.
    let twins = format!("{cut},\"\u{e9}\":1,\"e\u{301}\":2}}");
    let read = check(&with_text(&twins), &keys()).unwrap();
    assert_eq!((read.claims["\u{e9}"].as_i64(), read.claims["e\u{301}"].as_i64()), (Some(1), Some(2)));
}

#[test]
fn jwt_32_base64_has_one_spelling() {
    let good = P256.token(&claims());
    let segments: Vec<&str> = good.split('.').collect();
    assert!(check(&good, &keys()).is_ok());
    for place in 0..3 {
        let changed = |change: &dyn Fn(&str) -> String| {
            let mut parts: Vec<String> = segments.iter().map(|s| (*s).to_owned()).collect();
            parts[place] = change(&parts[place]);
            parts.join(".")
        };
        for bad in [
            changed(&|s| format!("{s}=")),
            changed(&|s| format!("{s}==")),
            changed(&|s| format!("{s}\n")),
            changed(&|s| format!(" {s}")),
            changed(&|s| format!("{}\r\n{}", &s[..4], &s[4..])),
            changed(&|s| format!("{}+{}", &s[..4], &s[5..])),
            changed(&|s| format!("{}/{}", &s[..4], &s[5..])),
            changed(&|s| format!("{}\0{}", &s[..4], &s[5..])),
            changed(&|s| format!("{}\u{fc}{}", &s[..4], &s[5..])),
            changed(&|s| s[..s.len() - 1].to_owned()),
        ] {
            let refused = check(&bad, &keys()).unwrap_err();
            assert!(matches!(refused.code(), "malformed" | "token-invalid"), "{place}: {bad}");
            if bad.len() >= good.len() {
                assert_eq!(refused.code(), "malformed", "{place}: {bad}");
            }
        }
    }
    // 64 bytes of signature end in two characters of which the last has four unused bits.
    let (rest, last) = good.split_at(good.len() - 1);
    let twin = (b'A'..=b'z').map(char::from).find(|c| {
        let bits = |c: char| "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".find(c);
        bits(*c).is_some_and(|b| Some(b & 0x30) == bits(last.chars().next().unwrap()).map(|b| b & 0x30) && b & 0xf != 0)
    });
    assert_eq!(code(&format!("{rest}{}", twin.unwrap()), &keys()), "malformed");
}

#[test]
fn jwt_33_34_json_serialisations_are_no_tokens() {
    let good = P256.token(&claims());
    let parts: Vec<&str> = good.split('.').collect();
    let flattened = json!({ "payload": parts[1], "protected": parts[0], "signature": parts[2] });
    let unprotected = json!({
        "payload": parts[1], "header": { "alg": "ES256", "kid": P256.kid }, "signature": parts[2],
    });
    let general = json!({ "payload": parts[1], "signatures": [{ "protected": parts[0], "signature": parts[2] }] });
    let mixed = format!("{{\"{}.\":\"{}.\",\"payload\":\"{}\"}}", parts[0], parts[1], parts[1]);
    for bad in [flattened.to_string(), unprotected.to_string(), general.to_string(), mixed] {
        assert_eq!(code(&bad, &keys()), "malformed", "{bad}");
    }
    for bad in ["", ".", "..", "a.b", &format!("{good}."), &format!("{good}.x"), &format!(".{good}"), parts[0]] {
        assert_eq!(code(bad, &keys()), "malformed", "{bad}");
    }
}

#[test]
fn jwt_35_45_sizes_are_bounded_before_anything_else() {
    let good = P256.token(&claims());
    for bad in [
        ".".repeat(10_000_000),
        format!("{}.{}", b64(vec![b'x'; 1 << 20]), good.split_once('.').unwrap().1),
        format!("{good}{}", "A".repeat(65_537 - good.len())),
    ] {
        assert_eq!(code(&bad, &keys()), "too-large");
        assert_eq!(peek(&bad).unwrap_err().code(), "too-large");
    }
    let text = P256.token(&claims_with(json!({ "text": "x".repeat(1 << 20) })));
    assert_eq!(code(&text, &keys()), "too-large");
    assert!(check(&P256.token(&claims_with(json!({ "text": "x".repeat(40_000) }))), &keys()).is_ok());
    let deep = |levels: usize| {
        let claims = claims().to_string();
        format!("{},\"d\":{}1{}}}", claims.strip_suffix('}').unwrap(), "[".repeat(levels), "]".repeat(levels))
    };
    assert!(check(&with_text(&deep(31)), &keys()).is_ok());
    for levels in [32, 10_000] {
        assert_eq!(code(&with_text(&deep(levels)), &keys()), "too-large", "{levels}");
    }
    let many = |count: usize| P256.token(&claims_with(json!({ "n": vec![0; count] })));
    assert!(check(&many(4_000), &keys()).is_ok());
    assert_eq!(code(&many(5_000), &keys()), "too-large");
    assert_eq!(code(&many(100_000), &keys()), "too-large");
}

/// Whatever the five segments say, nothing is decrypted: no key is asked, nothing is inflated, no count is iterated.
#[test]
fn jwt_36_a_jwe_is_no_signed_token() {
    for header in [
        json!({ "alg": "RSA-OAEP-256", "enc": "A256GCM", "cty": "JWT" }),
        json!({ "alg": "dir", "enc": "A256GCM", "zip": "DEF" }),
        json!({ "alg": "PBES2-HS512+A256KW", "enc": "A256GCM", "p2c": 2_147_483_648_u32, "p2s": "AAAA" }),
        json!({ "alg": "RSA1_5", "enc": "A128CBC-HS256" }),
    ] {
        let plain = format!("{}.{}.", b64(r#"{"alg":"none"}"#), b64(claims().to_string()));
        let jwe = format!("{}.AAAA.AAAA.{}.AAAA", b64(header.to_string()), b64(plain));
        assert_eq!(check(&jwe, &keys()).unwrap_err(), TokenFault::Encrypted);
        assert_eq!((code(&jwe, &keys()), peek(&jwe).unwrap_err().code()), ("token-invalid", "token-invalid"));
    }
    // A signed token around a token is not the inner one.
    let nested = P256.sign_text(r#"{"alg":"ES256","kid":"p256-1","cty":"JWT"}"#, &P256.token(&claims()), "ES256");
    assert_eq!(code(&nested, &keys()), "malformed");
}

#[test]
fn jwt_43_typ_is_one_of_those_expected() {
    let typed = |typ: Value, names: &[&str]| {
        let token = P256.sign(&P256.header_with(json!({ "typ": typ })), &claims());
        verify_jwt(&token, &keys(), &Expected { typ: names, ..EXPECTED }, NOW).map(|_| ())
    };
    for good in ["JWT", "jwt", "at+jwt"] {
        assert_eq!(typed(json!(good), &["JWT", "at+jwt"]), Ok(()), "{good}");
    }
    for bad in [json!("keygate-attestation+jwt"), json!(null), json!(["JWT"]), json!(""), json!("JWT "), json!(1)] {
        assert_eq!(typed(bad.clone(), &["JWT", "at+jwt"]), Err(TokenFault::Type), "{bad}");
        assert_eq!(typed(bad, &[]), Ok(()));
    }
}

#[test]
fn jwt_46_47_integers_stay_exact() {
    let read = |number: &str| {
        let claims = claims().to_string();
        let text = format!("{},\"svn\":{number}}}", claims.strip_suffix('}').unwrap());
        check(&with_text(&text), &keys()).map(|jwt| jwt.claims["svn"].clone()).map_err(|fault| fault.code())
    };
    assert_eq!(read("9007199254740993"), Ok(json!(9_007_199_254_740_993_u64)));
    assert_eq!(read("18446744073709551615"), Ok(json!(u64::MAX)));
    for bad in ["18446744073709551616", "-9223372036854775809", "01", "NaN", "+1", "1.", "0x10"] {
        assert_eq!(read(bad), Err("malformed"), "{bad}");
    }
    for float in ["-0", "1.0", "1e0"] {
        let number = read(float).unwrap();
        assert!(number.as_i64().is_none() && number.as_u64().is_none(), "{float}");
    }
}

#[test]
fn a_peek_believes_nothing_and_is_bounded() {
    let token = P256.token(&claims());
    let seen = peek(&token).unwrap();
    assert_eq!(seen.issuer.as_deref(), Some(ISSUER));
    assert_eq!((seen.kid.as_deref(), seen.algorithm.as_deref()), (Some("p256-1"), Some("ES256")));
    let odd = P256.sign(&json!({ "alg": 1, "kid": "k".repeat(257) }), &json!({ "iss": [ISSUER] }));
    let seen = peek(&odd).unwrap();
    assert_eq!((seen.issuer, seen.kid, seen.algorithm), (None, None, None));
    assert_eq!(peek("a.b").unwrap_err().code(), "malformed");
    assert_eq!(peek(&P256.sign_text("{}", "x", "ES256")).unwrap_err().code(), "malformed");
}
