//! Policies signed by made-up signers: every spelling that is accepted, each beside what is refused. Tokens and claims of Azure
//! Attestation, signed policies; bad inputs, rows JWT-01 to JWT-03, JWT-10, JWT-11, JWT-16, JWT-17, JWT-19.

mod tokens;

use keygate_verifier::tokens::{EmbeddedFault, read_embedded};
use serde_json::{Value, json};
use tokens::certificates::Says;
use tokens::{OTHER_P256, OTHER_RSA, P256, P384, RSA, Signer, b64};

const PAYLOAD: &str = r#"{"AttestationPolicy": "dmVyc2lvbj0xLjA7"}"#;

fn der_signature(raw: &[u8]) -> Vec<u8> {
    let number = |bytes: &[u8]| openssl::bn::BigNum::from_slice(bytes).unwrap();
    let (r, s) = raw.split_at(raw.len() / 2);
    openssl::ecdsa::EcdsaSig::from_private_components(number(r), number(s)).unwrap().to_der().unwrap()
}

fn sign(signer: &Signer, header: &Value) -> String {
    signer.sign_text(&header.to_string(), PAYLOAD, signer.alg)
}

fn own(signer: &Signer) -> String {
    Says::own("Policy signer", &signer.key).x5c()
}

#[test]
fn both_spellings_and_both_places_are_read() {
    for (signer, kty, names) in [(&RSA, "RSA", ["RS256", "RSA256"]), (&P256, "EC", ["ES256", "ECDH256"])] {
        for alg in names {
            for header in [
                json!({ "alg": alg, "x5c": [own(signer)] }),
                json!({ "alg": alg, "jwk": { "x5c": [own(signer)], "kty": kty } }),
                json!({ "alg": alg, "x5c": [own(signer)], "typ": "JWT", "kid": "x", "cty": "y" }),
            ] {
                let read = read_embedded(&sign(signer, &header)).unwrap_or_else(|fault| panic!("{header}: {fault}"));
                assert_eq!((read.payload.as_slice(), &read.header), (PAYLOAD.as_bytes(), header.as_object().unwrap()));
                let said = read.signer.unwrap();
                assert_eq!((said.alg.as_str(), said.kty), (alg, kty));
                assert_eq!(said.spki, signer.key.public_key_to_der().unwrap());
            }
        }
    }
}

#[test]
fn jwt_19_an_ec_signature_may_be_der_or_raw_and_nothing_between() {
    let header = json!({ "alg": "ECDH256", "jwk": { "x5c": [own(&P256)] } }).to_string();
    let signed = format!("{}.{}", b64(&header), b64(PAYLOAD));
    let raw = P256.signature("ES256", signed.as_bytes());
    let with = |signature: &[u8]| read_embedded(&format!("{signed}.{}", b64(signature)));
    assert!(with(&raw).is_ok() && with(&der_signature(&raw)).is_ok());
    let der = der_signature(&raw);
    for bad in [
        [der.as_slice(), &[0]].concat(),
        [0x30, 0x81].into_iter().chain(der[1..].iter().copied()).collect(),
        raw[..63].to_vec(),
        vec![0; 64],
        der_signature(&[0; 64]),
        der_signature(&P256.signature("ES256", b"something else")),
        Vec::new(),
    ] {
        assert_eq!(with(&bad).unwrap_err(), EmbeddedFault::Signature, "{}", hex::encode(&bad));
    }
}

#[test]
fn segments_are_verified_as_they_stand() {
    // JSON with spaces, `+` as an escape, a header in the other alphabet and with padding.
    let x5c = own(&RSA);
    let escaped = x5c.replace('+', "\\u002B");
    let header = format!("{{ \"alg\" : \"RSA256\", \"jwk\": {{\"x5c\": [\"{escaped}\"]}} }}");
    let signer = read_embedded(&RSA.sign_text(&header, PAYLOAD, "RS256")).unwrap().signer.unwrap();
    assert_eq!(signer.certificates, [Says::own("Policy signer", &RSA.key).der()]);
    let standard = |text: &str| base64::Engine::encode(&base64::engine::general_purpose::STANDARD, text);
    let text = "{\"p\": \"\u{fb}\u{ff}\u{3ff}>>>???\"}";
    let token = RSA.sign_segments(&standard(&header), &standard(text), "RS256");
    assert!(token.contains('/') || token.contains('+') || token.contains('='));
    assert_eq!(read_embedded(&token).unwrap().payload, text.as_bytes());
    // The same content in another spelling was not signed.
    let respelled = RSA.sign_segments(&b64(&header), &b64(text), "RS256");
    let swapped = format!("{}.{}", token.rsplit_once('.').unwrap().0, respelled.rsplit_once('.').unwrap().1);
    assert_eq!(read_embedded(&swapped).unwrap_err(), EmbeddedFault::Signature);
}

#[test]
fn jwt_01_unsecured_means_no_signature_at_all() {
    let none = b64(r#"{"alg":"none"}"#);
    assert!(read_embedded("eyJhbGciOiJub25lIn0..").unwrap().payload.is_empty());
    let read = read_embedded(&format!("{none}.{}.", b64(PAYLOAD))).unwrap();
    assert!(read.signer.is_none() && read.payload == PAYLOAD.as_bytes());
    let signed = RSA.sign_text(&json!({ "alg": "none", "x5c": [own(&RSA)] }).to_string(), PAYLOAD, "RS256");
    assert_eq!(read_embedded(&signed).unwrap_err(), EmbeddedFault::UnexpectedSignature);
    assert_eq!(read_embedded(&format!("{none}.{}.AA", b64(PAYLOAD))).unwrap_err(), EmbeddedFault::UnexpectedSignature);
    let stripped = sign(&RSA, &json!({ "alg": "RS256", "x5c": [own(&RSA)] }));
    let stripped = format!("{}.", stripped.rsplit_once('.').unwrap().0);
    assert_eq!(read_embedded(&stripped).unwrap_err(), EmbeddedFault::Signature);
}

#[test]
fn jwt_02_03_16_17_other_algorithms_and_extensions_are_refused() {
    for alg in [
        json!("HS256"),
        json!("HS384"),
        json!("None"),
        json!("none "),
        json!("RS256 "),
        json!("rs256"),
        json!("RS384"),
        json!("PS256"),
        json!("ES384"),
        json!("ECDH-ES"),
        json!("EdDSA"),
        json!(""),
        json!(null),
        json!(["RS256"]),
    ] {
        let header = json!({ "alg": alg, "x5c": [own(&RSA)] });
        assert_eq!(read_embedded(&sign(&RSA, &header)).unwrap_err(), EmbeddedFault::Algorithm, "{alg}");
        let unsigned = format!("{}.{}.", b64(header.to_string()), b64(PAYLOAD));
        assert_eq!(read_embedded(&unsigned).unwrap_err(), EmbeddedFault::Algorithm, "{alg}");
    }
    assert_eq!(read_embedded(&format!("{}..", b64("{}"))).unwrap_err(), EmbeddedFault::Algorithm);
    for extension in [json!({ "crit": ["x"] }), json!({ "crit": [] }), json!({ "b64": false })] {
        for alg in ["RS256", "none"] {
            let mut header = extension.clone();
            header["alg"] = alg.into();
            header["x5c"] = json!([own(&RSA)]);
            assert_eq!(read_embedded(&sign(&RSA, &header)).unwrap_err(), EmbeddedFault::Extension, "{header}");
        }
    }
}

#[test]
fn the_key_is_of_the_algorithm() {
    let refused = |signer: &Signer, alg: &str, x5c: String| {
        read_embedded(&sign(signer, &json!({ "alg": alg, "x5c": [x5c] }))).unwrap_err()
    };
    for (signer, alg) in [(&RSA, "ES256"), (&P256, "RS256"), (&P384, "ES256"), (&P384, "RS256")] {
        assert!(matches!(refused(signer, alg, own(signer)), EmbeddedFault::Certificate { .. }), "{alg}");
    }
    assert_eq!(refused(&OTHER_RSA, "RS256", own(&RSA)), EmbeddedFault::Signature);
    assert_eq!(refused(&OTHER_P256, "ES256", own(&P256)), EmbeddedFault::Signature);
    let small = Signer::rsa("small", 1_024);
    assert!(matches!(refused(&small, "RS256", own(&small)), EmbeddedFault::Certificate { .. }));
}

#[test]
fn jwt_10_11_a_chain_is_complete_ordered_and_ends_in_a_root() {
    let (root, middle, leaf) = (&OTHER_RSA.key, &P256.key, &RSA.key);
    let says = |subject, issuer, key, signed_by, ca| Says {
        subject,
        issuer,
        ca: Some(ca),
        signed_by,
        ..Says::own(subject, key)
    };
    let root_cert = Says::own("Root", root).x5c();
    let leaf_cert = says("Leaf", "Root", leaf, root, false).x5c();
    let read =
        |chain: &[&String]| read_embedded(&sign(&RSA, &json!({ "alg": "RS256", "x5c": chain }))).map(|jws| jws.signer);
    let good = read(&[&leaf_cert, &root_cert]).unwrap().unwrap();
    assert_eq!(good.certificates.len(), 2);
    assert_eq!(good.spki, leaf.public_key_to_der().unwrap());

    let under_middle = says("Leaf", "Middle", leaf, middle, false).x5c();
    let middle_cert = says("Middle", "Root", middle, root, true).x5c();
    assert!(read(&[&under_middle, &middle_cert, &root_cert]).is_ok());

    let missing = |chain: &[&String], name: &str| {
        let expected = EmbeddedFault::NoIssuerCertificate { common_name: name.to_owned() };
        assert_eq!(read(chain).unwrap_err(), expected);
        assert_eq!(expected.to_string(), format!("unable to find the issuer certificate for CN={name}"));
    };
    missing(&[&leaf_cert], "Leaf");
    missing(&[&under_middle, &middle_cert], "Middle");
    for ca in [None, Some(false)] {
        missing(&[&Says { ca, ..Says::own("No CA", leaf) }.x5c()], "No CA");
        missing(&[&leaf_cert, &Says { ca, ..Says::own("Root", root) }.x5c()], "Root");
    }
    let refused = |chain: &[&String]| assert!(matches!(read(chain).unwrap_err(), EmbeddedFault::Certificate { .. }));
    missing(&[&root_cert, &leaf_cert], "Leaf");
    refused(&[&leaf_cert, &middle_cert, &root_cert]);
    refused(&[&leaf_cert, &root_cert, &root_cert]);
    refused(&[&leaf_cert, &root_cert, &Says::own("Stranger", middle).x5c()]);
    refused(&[&leaf_cert, &Says::own("Root", middle).x5c()]);
    refused(&[&under_middle, &says("Middle", "Root", middle, root, false).x5c(), &root_cert]);
    let short = Says { path_length: Some(0), ..Says::own("Root", root) }.x5c();
    refused(&[&under_middle, &middle_cert, &short]);
    assert!(read(&[&leaf_cert, &short]).is_ok());
    // Issued under its own name by another key.
    refused(&[&Says { signed_by: root, ..Says::own("Own", leaf) }.x5c()]);
    refused(&[]);
    refused(&[&leaf_cert; 9]);
    refused(&[&"MAA=".to_owned()]);
    refused(&[&leaf_cert.replace('=', ""), &"-".to_owned()]);
}

#[test]
fn x5c_stands_once_or_twice_the_same() {
    let (one, other) = (own(&RSA), own(&OTHER_RSA));
    let read = |header: Value| read_embedded(&sign(&RSA, &header)).map(|_| ());
    assert_eq!(read(json!({ "alg": "RS256", "x5c": [one], "jwk": { "x5c": [one] } })), Ok(()));
    for header in [
        json!({ "alg": "RS256", "x5c": [one], "jwk": { "x5c": [other] } }),
        json!({ "alg": "RS256", "x5c": [other], "jwk": { "x5c": [one] } }),
        json!({ "alg": "RS256" }),
        json!({ "alg": "RS256", "jwk": RSA.jwk() }),
        json!({ "alg": "RS256", "x5c": one }),
        json!({ "alg": "RS256", "x5c": [1] }),
        json!({ "alg": "RS256", "x5u": "https://evil.example" }),
    ] {
        assert!(matches!(read(header.clone()), Err(EmbeddedFault::Certificate { .. })), "{header}");
    }
}

#[test]
fn what_does_not_parse_says_where() {
    let none = b64(r#"{"alg":"none"}"#);
    let fault = |text: &str| read_embedded(text).unwrap_err();
    assert_eq!(fault(""), EmbeddedFault::MissingFirstPeriod);
    assert_eq!(fault(&none), EmbeddedFault::MissingFirstPeriod);
    assert_eq!(fault(&format!("{none}.")), EmbeddedFault::MissingSecondPeriod);
    assert_eq!(fault(&format!("{none}...")), EmbeddedFault::MorePeriods);
    assert_eq!(fault("a$b.."), EmbeddedFault::Base64 { code: 36, glyph: '$' });
    assert_eq!(fault(&format!("{none}.a b.")), EmbeddedFault::Base64 { code: 32, glyph: ' ' });
    assert_eq!(fault(&format!("{none}.\u{e9}.")), EmbeddedFault::Base64 { code: 233, glyph: '\u{e9}' });
    assert_eq!(
        fault(&format!("{none}.a=b.")).to_string().split(',').next(),
        Some("the jws is malformed: unknown base64 character")
    );
    assert_eq!(fault(&format!("{none}.A.")), EmbeddedFault::Base64End);
    assert_eq!(fault("\"eyJhbGciOiJub25lIn0..\""), EmbeddedFault::Base64 { code: 34, glyph: '"' });
    for header in
        ["[]", "", "{\"alg\":\"none\"}x", "{\"alg\":\"none\",\"alg\":\"none\"}", "{\"alg\":\"none\",\"\\u0061lg\":1}"]
    {
        assert_eq!(fault(&format!("{}..", b64(header))), EmbeddedFault::Json, "{header}");
    }
    assert_eq!(fault(&format!("{none}.{}.", "A".repeat(256 * 1024))), EmbeddedFault::TooLarge);
    assert!(read_embedded(&format!("{none}.{}.", "A".repeat(200 * 1024))).is_ok());
    let line = EmbeddedFault::Base64 { code: 10, glyph: '\n' }.to_string();
    assert!(line.ends_with("code 10, glyph `\\n`"), "{line}");
}
