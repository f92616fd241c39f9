//! Release answers of a Key Vault: the shared samples and our keystore's own open; whatever differs in one thing is refused by its code.
//!
//! `secure-key-release.md` sections 5, 6 and 9; `keygate::client::open_release`.

mod vault;

use keygate::client::{ClientError, Expect, LONGEST_RELEASE, ReleasedKey, open_release};
use keygate_keystore::{KeyMaterial, KeyType, RecipientPrivate, Wrapping};
use keygate_verifier::UnixTime;
use serde_json::{Value, json};
use vault::*;

const OTHER: &str = "answer-not-authentic";

/// What a client of this vault expects, about the key `kid`.
fn expect<'a>(vault: &'a Vault, kid: &'a str, policy: &'a Value) -> Expect<'a> {
    Expect {
        ca: &vault.ca,
        host: HOST,
        kid,
        nonce: Some(NONCE),
        enc: None,
        policy: Some(policy),
        recipient_kid: RECIPIENT_KID,
        at: UnixTime::from_secs(AT),
    }
}

fn code(opened: Result<ReleasedKey, ClientError>) -> String {
    opened.err().map_or_else(|| "opened".to_owned(), |refused| refused.code)
}

#[test]
fn the_twelve_release_files_open() {
    let Some(samples) = samples() else { return };
    assert_eq!(samples.all.len(), 12);
    for sample in &samples.all {
        let (kid, policy) = (kid(&sample.key), policy());
        let expect = Expect { enc: Some(sample.enc), ..expect(&samples.vault, &kid, &policy) };
        let key = open_release(&sample.jws, &expect, &samples.recipient).unwrap();
        assert_eq!(*key.bytes, sample.plaintext, "{}", sample.name);
        assert_eq!((key.kid, key.kty), (format!("{kid}/{VERSION}"), sample.kty.clone()));
        assert_eq!(key.attributes["exportable"], true);
        let released = key.policy.unwrap();
        assert_eq!((&released.document, released.immutable), (&policy, false));
        // Asked for by its version, the answer says so in both places.
        let mut versioned = Answer::read(&sample.jws);
        versioned.payload["request"]["kid"] = json!(format!("{kid}/{VERSION}"));
        let asked = format!("{kid}/{VERSION}");
        let at_version = Expect { kid: &asked, ..expect };
        let open = |expect: &Expect<'_>| open_release(&versioned.signed(&samples.vault), expect, &samples.recipient);
        assert!(open(&at_version).is_ok());
        assert_eq!(code(open(&expect)), OTHER);
        assert_eq!(code(open_release(&sample.jws, &at_version, &samples.recipient)), OTHER);
    }
}

type Change = fn(&mut Answer, &Sample);

/// Changes of a sound answer that are signed anew, and what becomes of them.
const CHANGES: &[(&str, &str, Change)] = &[
    ("nothing", "opened", |_, _| ()),
    ("a member that nobody asks for", "opened", |answer, _| answer.payload["more"] = json!(1)),
    ("without a thumbprint", "opened", |answer, _| remove(&mut answer.header, "x5t#S256")),
    ("immutable", "opened", |answer, _| {
        answer.payload["response"]["key"]["release_policy"]["immutable"] = json!(true);
    }),
    ("another algorithm", OTHER, |answer, _| answer.header["alg"] = json!("RS384")),
    ("another padding", OTHER, |answer, _| answer.header["alg"] = json!("PS256")),
    ("no algorithm", OTHER, |answer, _| answer.header["alg"] = json!("none")),
    ("a secret's algorithm", OTHER, |answer, _| answer.header["alg"] = json!("HS256")),
    ("critical headers", OTHER, |answer, _| answer.header["crit"] = json!(["x"])),
    ("a key in the header", OTHER, |answer, _| answer.header["jwk"] = json!({"kty": "RSA"})),
    ("compressed", OTHER, |answer, _| answer.header["zip"] = json!("DEF")),
    ("payload as it is", OTHER, |answer, _| answer.header["b64"] = json!(false)),
    ("another thumbprint", OTHER, |answer, _| answer.header["x5t#S256"] = json!(b64([7; 32]))),
    ("no certificates", OTHER, |answer, _| remove(&mut answer.header, "x5c")),
    ("certificates that are none", OTHER, |answer, _| answer.header["x5c"] = json!(["AAAA"])),
    ("an empty chain", OTHER, |answer, _| answer.header["x5c"] = json!([])),
    ("a chain too long", OTHER, |answer, _| {
        answer.header["x5c"] = json!(vec![answer.header["x5c"][0].clone(); 5]);
    }),
    ("another nonce", OTHER, |answer, _| answer.payload["request"]["nonce"] = json!("n-2")),
    ("a nonce of another type", OTHER, |answer, _| answer.payload["request"]["nonce"] = json!(1)),
    ("no nonce", OTHER, |answer, _| remove(&mut answer.payload["request"], "nonce")),
    ("another key asked for", OTHER, |answer, _| answer.payload["request"]["kid"] = json!(kid("other"))),
    ("another host's key asked for", OTHER, |answer, _| {
        answer.payload["request"]["kid"] = json!("https://evil.example/keys/ours");
    }),
    ("another key given", OTHER, |answer, _| answer.key()["kid"] = json!(format!("{}/{VERSION}", kid("other")))),
    ("a key without version", OTHER, |answer, _| {
        answer.key()["kid"] = json!(answer.payload["request"]["kid"]);
    }),
    ("a key below the version", OTHER, |answer, _| {
        answer.key()["kid"] = json!(format!("{}/{VERSION}/x", answer.payload["request"]["kid"].as_str().unwrap()));
    }),
    ("no wrapping", OTHER, |answer, _| remove(&mut answer.payload["request"], "enc")),
    ("no wrapping that is known", OTHER, |answer, _| answer.payload["request"]["enc"] = json!("RSA_AES_KEY_WRAP_512")),
    ("a wrapping of another door", OTHER, |answer, _| {
        answer.payload["request"]["enc"] = json!("JWE");
        answer.blob["header"]["enc"] = json!("JWE");
    }),
    ("another wrapping outside", OTHER, |answer, sample| {
        answer.payload["request"]["enc"] = json!(next(sample.enc).as_str());
    }),
    ("another wrapping inside", OTHER, |answer, sample| {
        answer.blob["header"]["enc"] = json!(next(sample.enc).as_str())
    }),
    ("another wrapping in both places", "crypto-failed", |answer, sample| {
        answer.payload["request"]["enc"] = json!(next(sample.enc).as_str());
        answer.blob["header"]["enc"] = json!(next(sample.enc).as_str());
    }),
    ("sealed to another key", OTHER, |answer, _| answer.blob["header"]["kid"] = json!("HCLAkPub")),
    ("sealed to nobody", OTHER, |answer, _| remove(&mut answer.blob["header"], "kid")),
    ("another algorithm inside", OTHER, |answer, _| answer.blob["header"]["alg"] = json!("RSA-OAEP")),
    ("another form", OTHER, |answer, _| answer.blob["schema_version"] = json!("1.0.0")),
    ("no form", OTHER, |answer, _| remove(&mut answer.blob, "schema_version")),
    ("a ciphertext with padding", OTHER, |answer, _| pad(&mut answer.blob["ciphertext"])),
    ("a ciphertext in the other alphabet", OTHER, |answer, _| {
        let text = answer.blob["ciphertext"].as_str().unwrap();
        let text = if text.contains('_') { text.replace('_', "/") } else { format!("+{}", &text[1..]) };
        answer.blob["ciphertext"] = json!(text);
    }),
    ("no ciphertext", OTHER, |answer, _| remove(&mut answer.blob, "ciphertext")),
    ("an empty ciphertext", "crypto-failed", |answer, _| answer.seal([])),
    ("the encrypted key alone", "crypto-failed", |answer, _| {
        answer.seal(&answer.ciphertext()[..256]);
    }),
    ("a bit of the encrypted key", "crypto-failed", |answer, _| flip(answer, 100)),
    ("a bit of the first wrapped block", "crypto-failed", |answer, _| flip(answer, 256)),
    ("a bit of the last wrapped block", "crypto-failed", |answer, _| {
        let last = answer.ciphertext().len() - 1;
        flip(answer, last);
    }),
    ("a block less", "crypto-failed", |answer, _| {
        let ciphertext = answer.ciphertext();
        answer.seal(&ciphertext[..ciphertext.len() - 8]);
    }),
    ("a byte more", "crypto-failed", |answer, _| answer.seal([answer.ciphertext(), vec![0]].concat())),
    ("wrapped by us under the same key", "opened", |answer, sample| {
        rewrap(answer, sample, sample.plaintext.len(), padded(&sample.plaintext, 0));
    }),
    ("a length that cuts", "crypto-failed", |answer, sample| {
        rewrap(answer, sample, sample.plaintext.len() - 8, padded(&sample.plaintext, 0));
    }),
    ("a length beyond the end", "crypto-failed", |answer, sample| {
        rewrap(answer, sample, padded(&sample.plaintext, 0).len() + 1, padded(&sample.plaintext, 0));
    }),
    ("a length of nothing", "crypto-failed", |answer, sample| rewrap(answer, sample, 0, padded(&sample.plaintext, 0))),
    ("padding that is not zero", "crypto-failed", |answer, sample| {
        let mut plaintext = sample.plaintext.clone();
        plaintext.truncate(plaintext.len() / 8 * 8 - 1);
        rewrap(answer, sample, plaintext.len(), padded(&plaintext, 1));
    }),
    ("another initial value", "crypto-failed", |answer, sample| {
        let wrapped = key_wrap(&sample.aes, [0xa6; 8], &padded(&sample.plaintext, 0));
        answer.seal([&answer.ciphertext()[..256], &wrapped].concat());
    }),
    ("a key that is disabled", OTHER, |answer, _| {
        answer.payload["response"]["key"]["attributes"]["enabled"] = json!(false);
    }),
    ("a key that is not said to be enabled", OTHER, |answer, _| {
        remove(&mut answer.payload["response"]["key"]["attributes"], "enabled");
    }),
    ("no attributes", OTHER, |answer, _| remove(&mut answer.payload["response"]["key"], "attributes")),
    ("another policy", OTHER, |answer, _| {
        let mut other = policy();
        other["anyOf"][0]["authority"] = json!("https://evil.example");
        answer.payload["response"]["key"]["release_policy"]["data"] = json!(b64(other.to_string()));
    }),
    ("the same policy written otherwise", "opened", |answer, _| {
        let text = serde_json::to_string_pretty(&policy()).unwrap();
        answer.payload["response"]["key"]["release_policy"]["data"] = json!(b64(text));
    }),
    ("a policy that says something twice", OTHER, |answer, _| {
        let text = policy().to_string().replacen('{', r#"{"version":"1.0.0","#, 1);
        answer.payload["response"]["key"]["release_policy"]["data"] = json!(b64(text));
    }),
    ("a policy with padding", OTHER, |answer, _| {
        let text = format!("{} ", policy());
        let data = json!(b64(if text.len() % 3 == 0 { format!("{text} ") } else { text }));
        answer.payload["response"]["key"]["release_policy"]["data"] = data;
        pad(&mut answer.payload["response"]["key"]["release_policy"]["data"]);
    }),
    ("no policy", OTHER, |answer, _| remove(&mut answer.payload["response"]["key"], "release_policy")),
    ("no type", OTHER, |answer, _| remove(answer.key(), "kty")),
    ("a type that is none", OTHER, |answer, _| answer.key()["kty"] = json!("OKP")),
    ("no request", OTHER, |answer, _| remove(&mut answer.payload, "request")),
    ("a request that is no object", OTHER, |answer, _| answer.payload["request"] = json!([])),
    ("no response", OTHER, |answer, _| remove(&mut answer.payload, "response")),
];

fn remove(members: &mut Value, name: &str) {
    members.as_object_mut().unwrap().remove(name).unwrap();
}

fn pad(text: &mut Value) {
    *text = json!(format!("{}==", text.as_str().unwrap()));
}

fn flip(answer: &mut Answer, at: usize) {
    let mut ciphertext = answer.ciphertext();
    ciphertext[at] ^= 1;
    answer.seal(ciphertext);
}

fn next(enc: Wrapping) -> Wrapping {
    let at = ENCS.iter().position(|known| *known == enc).unwrap();
    ENCS[(at + 1) % ENCS.len()]
}

/// To whole blocks of 8 bytes, with this.
fn padded(plaintext: &[u8], with: u8) -> Vec<u8> {
    let mut bytes = plaintext.to_vec();
    bytes.resize(plaintext.len().next_multiple_of(8), with);
    bytes
}

/// Wraps anew under the AES key of the sample.
fn rewrap(answer: &mut Answer, sample: &Sample, length: usize, padded: Vec<u8>) {
    let wrapped = key_wrap(&sample.aes, initial(length), &padded);
    answer.seal([&answer.ciphertext()[..256], &wrapped].concat());
}

#[test]
fn each_file_with_one_thing_changed_and_signed_anew_is_refused_by_its_code() {
    let Some(samples) = samples() else { return };
    let mut wrong = Vec::new();
    for sample in &samples.all {
        let (kid, policy) = (kid(&sample.key), policy());
        let expect = expect(&samples.vault, &kid, &policy);
        for (what, wanted, change) in CHANGES {
            let mut answer = Answer::read(&sample.jws);
            change(&mut answer, sample);
            let opened = open_release(&answer.signed(&samples.vault), &expect, &samples.recipient);
            if let Ok(key) = &opened {
                assert_eq!(*key.bytes, sample.plaintext, "{}: {what}", sample.name);
            }
            let found = code(opened);
            if found != *wanted {
                wrong.push(format!("{}: {what}: {found}, not {wanted}", sample.name));
            }
        }
        // Of `key_hsm` itself: padding, the other alphabet, something twice.
        let blob = Answer::read(&sample.jws).blob.to_string();
        for odd in [format!("{}=", b64(&blob)), b64(blob.replacen('{', r#"{"ciphertext":"AA","#, 1)), b64("[]")] {
            let mut payload = Answer::read(&sample.jws).written();
            payload["response"]["key"]["key"]["key_hsm"] = json!(odd);
            let signed = samples.vault.sign(&samples.vault.header(), &payload);
            assert_eq!(code(open_release(&signed, &expect, &samples.recipient)), OTHER, "{}", sample.name);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_file_as_it_is_is_refused_by_whoever_expects_something_else() {
    let Some(samples) = samples() else { return };
    let stranger = RecipientPrivate::generate(KeyType::Rsa2048).unwrap();
    let ec = RecipientPrivate::generate(KeyType::EcP256).unwrap();
    let elsewhere = Vault::new();
    for sample in &samples.all {
        let (named, policy) = (kid(&sample.key), policy());
        let sound = expect(&samples.vault, &named, &policy);
        let open = |expect: Expect<'_>| code(open_release(&sample.jws, &expect, &samples.recipient));
        assert_eq!(open(sound), "opened");
        assert_eq!(open(Expect { policy: None, ..sound }), "opened");
        let other = kid("other");
        let strict = json!({"version": "1.0.0", "anyOf": []});
        for (what, expect) in [
            ("another CA", Expect { ca: &elsewhere.ca, ..sound }),
            ("another host", Expect { host: "other.example", ..sound }),
            ("a host below", Expect { host: "x.kv.broker.example", ..sound }),
            ("a host above", Expect { host: "broker.example", ..sound }),
            ("after its end", Expect { at: UnixTime::from_secs(2_100_000_000), ..sound }),
            ("before its begin", Expect { at: UnixTime::from_secs(1_700_000_000), ..sound }),
            ("another key", Expect { kid: &other, ..sound }),
            ("another nonce", Expect { nonce: Some("n-2"), ..sound }),
            ("no nonce", Expect { nonce: None, ..sound }),
            ("another wrapping", Expect { enc: Some(next(sample.enc)), ..sound }),
            ("another policy", Expect { policy: Some(&strict), ..sound }),
            ("another recipient", Expect { recipient_kid: "HCLAkPub", ..sound }),
        ] {
            assert_eq!(open(expect), OTHER, "{}: {what}", sample.name);
        }
        assert_eq!(code(open_release(&sample.jws, &sound, &stranger)), "crypto-failed");
        assert_eq!(code(open_release(&sample.jws, &sound, &ec)), "unsupported");
        for (what, expect) in [
            ("no CA", Expect { ca: b"", ..sound }),
            (
                "no certificate",
                Expect { ca: b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", ..sound },
            ),
            ("no host", Expect { host: "", ..sound }),
            ("every host below", Expect { host: ".broker.example", ..sound }),
            ("a host with its port", Expect { host: "kv.broker.example:443", ..sound }),
        ] {
            assert_eq!(open(expect), "usage", "{what}");
        }
    }
}

#[test]
fn each_file_with_a_bit_changed_or_in_another_form_is_refused() {
    let Some(samples) = samples() else { return };
    for sample in &samples.all {
        let (kid, policy) = (kid(&sample.key), policy());
        let expect = expect(&samples.vault, &kid, &policy);
        let open = |jws: &str| code(open_release(jws, &expect, &samples.recipient));
        let [head, payload, signature] = sample.jws.split('.').collect::<Vec<_>>()[..] else { panic!() };
        let flipped = |part: &str| {
            let mut bytes = unb64(part);
            let at = bytes.len() / 2;
            bytes[at] ^= 1;
            b64(bytes)
        };
        for odd in [
            format!("{}.{payload}.{signature}", flipped(head)),
            format!("{head}.{}.{signature}", flipped(payload)),
            format!("{head}.{payload}.{}", flipped(signature)),
            format!("{head}.{payload}."),
            format!("{head}.{payload}"),
            format!("{head}.{payload}.{signature}.{signature}"),
            format!("{head}.{payload}.{signature}=="),
            format!("{head}.{payload}.{signature}\n"),
            format!("{head}..{signature}"),
            json!({"payload": payload, "protected": head, "signature": signature}).to_string(),
            String::new(),
            ".".repeat(LONGEST_RELEASE + 1),
        ] {
            assert_eq!(open(&odd), OTHER, "{}: {}", sample.name, &odd[..odd.len().min(40)]);
        }
        // Two meanings, signed all the same.
        let text = Answer::read(&sample.jws).written().to_string().replacen('{', r#"{"request":{},"#, 1);
        assert_eq!(open(&samples.vault.sign_texts(&samples.vault.header().to_string(), &text)), OTHER);
        let header = samples.vault.header().to_string().replacen('{', r#"{"alg":"RS256","#, 1);
        let text = Answer::read(&sample.jws).written().to_string();
        assert_eq!(open(&samples.vault.sign_texts(&header, &text)), OTHER);
    }
}

#[test]
fn what_our_keystore_seals_opens_for_every_type_of_key_and_wrapping() {
    let vault = Vault::new();
    let (kid, policy) = (kid("ours"), policy());
    for size in [KeyType::Rsa2048, KeyType::Rsa3072] {
        let (recipient, _) = recipient(size);
        for key_type in [KeyType::Oct128, KeyType::Oct256, KeyType::Rsa2048, KeyType::EcP384, KeyType::EcP256K] {
            let material = KeyMaterial::generate(key_type).unwrap();
            for enc in ENCS {
                let expect = Expect { enc: Some(enc), ..expect(&vault, &kid, &policy) };
                let answer = Answer::of(&vault, &material, &recipient, enc);
                let key = open_release(&answer.signed(&vault), &expect, &recipient).unwrap();
                assert_eq!(*key.bytes, *material.handed_out_form().unwrap(), "{key_type:?} {enc:?}");
                let shown = format!("{key:?}");
                assert!(shown.contains(&key.kid) && !shown.contains("bytes"), "{shown}");
                let refused = Expect { enc: Some(next(enc)), ..expect };
                assert_eq!(code(open_release(&answer.signed(&vault), &refused, &recipient)), OTHER);
            }
        }
    }
}

#[test]
fn without_a_nonce_in_the_request_there_is_none_in_the_answer() {
    let (vault, (recipient, _)) = (Vault::new(), recipient(KeyType::Rsa2048));
    let (kid, policy) = (kid("ours"), policy());
    let expect = Expect { nonce: None, ..expect(&vault, &kid, &policy) };
    let material = KeyMaterial::generate(KeyType::Oct256).unwrap();
    let mut answer = Answer::of(&vault, &material, &recipient, Wrapping::CkmRsaAesKeyWrap);
    assert_eq!(code(open_release(&answer.signed(&vault), &expect, &recipient)), OTHER);
    remove(&mut answer.payload["request"], "nonce");
    assert_eq!(code(open_release(&answer.signed(&vault), &expect, &recipient)), "opened");
}

/// The certificate of a vault is one for TLS servers that names the host; everything else is another's.
#[test]
fn a_certificate_of_another_purpose_name_size_or_root_signs_nothing() {
    let (recipient, _) = recipient(KeyType::Rsa2048);
    let material = KeyMaterial::generate(KeyType::Oct256).unwrap();
    let (kid, policy) = (kid("ours"), policy());
    let open = |vault: &Vault, host: &str| {
        let answer = Answer::of(vault, &material, &recipient, Wrapping::RsaAesKeyWrap256);
        let expect = Expect { host, ..expect(vault, &kid, &policy) };
        code(open_release(&answer.signed(vault), &expect, &recipient))
    };
    let sound = Wanted::server(HOST);
    let address = Wanted { dns: None, ip: Some("127.0.0.1"), ..sound };
    for (what, host, leaf) in [
        ("as it should be", HOST, sound),
        ("no purpose", HOST, Wanted { purpose: None, ..sound }),
        ("below a star", HOST, Wanted { dns: Some("*.broker.example"), ..sound }),
        ("an address", "127.0.0.1", address),
    ] {
        assert_eq!(open(&Vault::with(&leaf), host), "opened", "{what}");
    }
    for (what, host, leaf) in [
        ("for clients", HOST, Wanted { purpose: Some("clientAuth"), ..sound }),
        ("for receipts", HOST, Wanted { purpose: Some(keygate::result::receipt::PURPOSE), ..sound }),
        ("ended", HOST, Wanted { end: AT - 1, ..sound }),
        ("another name", HOST, Wanted { dns: Some("other.example"), ..sound }),
        ("a name of old alone", HOST, Wanted { dns: None, ..sound }),
        ("a star in a part", HOST, Wanted { dns: Some("k*.broker.example"), ..sound }),
        ("a star over two parts", HOST, Wanted { dns: Some("*.example"), ..sound }),
        ("another address", "127.0.0.2", address),
        ("a name for an address", "127.0.0.1", Wanted { dns: Some("127.0.0.1"), ..sound }),
    ] {
        assert_eq!(open(&Vault::with(&leaf), host), OTHER, "{what}");
    }
    assert_eq!(open(&Vault::with_key(&sound, &rsa(1024)), HOST), OTHER, "a short key");
    assert_eq!(open(&Vault::with_key(&sound, &p256()), HOST), OTHER, "a key of another kind");

    let vault = Vault::new();
    let mut chain = vault.chain.clone();
    chain.remove(1);
    assert_eq!(open(&Vault { chain, ..vault.clone() }, HOST), OTHER, "a gap");
    let mut chain = vault.chain.clone();
    chain.pop();
    assert_eq!(open(&Vault { chain, ..vault.clone() }, HOST), "opened", "the root need not come along");
    let mut chain = vault.chain.clone();
    chain.swap(0, 1);
    assert_eq!(open(&Vault { chain, ..vault.clone() }, HOST), OTHER, "the leaf is the first");
    assert_eq!(open(&Vault { key: rsa(2048), ..vault.clone() }, HOST), OTHER, "another key signs");
    // The same names under a root of somebody's own.
    let namesake = Papers::new(&Wanted::authority("root"), &rsa(2048), None);
    assert_eq!(open(&Vault { ca: namesake.pem(), ..vault }, HOST), OTHER);
}

/// The vault that signs is honest or it is not: what it describes is what it seals.
#[test]
fn another_key_than_the_one_described_is_refused() {
    let (vault, (recipient, _)) = (Vault::new(), recipient(KeyType::Rsa2048));
    let (kid, policy) = (kid("ours"), policy());
    let open = |jwk: &Value, plaintext: &[u8]| {
        let answer = Answer::sealing(&vault, jwk, plaintext, &recipient, Wrapping::RsaAesKeyWrap256);
        code(open_release(&answer.signed(&vault), &expect(&vault, &kid, &policy), &recipient))
    };
    let made = |key_type| {
        let material = KeyMaterial::generate(key_type).unwrap();
        let form = material.handed_out_form().unwrap().to_vec();
        (Value::Object(material.public().jwk()), form)
    };
    let (rsa, other, ec) = (made(KeyType::Rsa2048), made(KeyType::Rsa2048), made(KeyType::EcP256));
    for (jwk, plaintext) in [&rsa, &other, &ec] {
        assert_eq!(open(jwk, plaintext), "opened");
    }
    for (jwk, plaintext) in [(&rsa.0, &other.1), (&rsa.0, &ec.1), (&ec.0, &rsa.1), (&ec.0, &made(KeyType::EcP256).1)] {
        assert_eq!(open(jwk, plaintext), OTHER);
    }
    assert_eq!(open(&rsa.0, &rsa.1[1..]), OTHER, "no private key at all");
    let mut less = rsa.0.clone();
    remove(&mut less, "n");
    assert_eq!(open(&less, &rsa.1), OTHER, "no public part");
    assert_eq!(open(&json!({"kty": "oct"}), &[7; 64]), "opened", "a secret of any length");
}

/// 1,000 answers with a byte or a stretch changed, 20,000 with `KEYGATE_FULL=1`, each signed as it then stands and also not: none
/// opens to anything else, none panics.
#[test]
fn mutations_open_to_the_same_key_or_are_refused() {
    let (vault, (recipient, _)) = (Vault::new(), recipient(KeyType::Rsa2048));
    let (kid, policy) = (kid("ours"), policy());
    let expect = expect(&vault, &kid, &policy);
    let answer = Answer::of(&vault, &KeyMaterial::generate(KeyType::Oct256).unwrap(), &recipient, ENCS[1]);
    let (header, payload) = (answer.header.to_string(), answer.written().to_string());
    let sound = open_release(&answer.signed(&vault), &expect, &recipient).unwrap();
    let mut state = 9_334_u64;
    let mut dice = move |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let count = if std::env::var_os("KEYGATE_FULL").is_some() { 20_000 } else { 1_000 };
    let mut opened = 0;
    for turn in 0..count {
        let mut texts = [header.clone().into_bytes(), payload.clone().into_bytes()];
        let text = &mut texts[dice(4).min(1)];
        let at = dice(text.len());
        match dice(3) {
            0 => text[at] = b" \"\\{}[],:0aZ-_="[dice(15)],
            1 => drop(text.drain(at..(at + 1 + dice(20)).min(text.len()))),
            _ => text.insert(at, b"\"{}[],:09azAZ-_="[dice(16)]),
        }
        let [header, payload] = texts.map(|text| String::from_utf8_lossy(&text).into_owned());
        let signed = vault.sign_texts(&header, &payload);
        match open_release(&signed, &expect, &recipient) {
            Ok(key) => {
                opened += 1;
                assert_eq!((&*key.bytes, &key.kty), (&*sound.bytes, &sound.kty), "turn {turn}");
            }
            Err(refused) => assert!(["answer-not-authentic", "crypto-failed"].contains(&&*refused.code), "{refused:?}"),
        }
        let unsigned = format!("{}.{}.{}", b64(&header), b64(&payload), b64([1; 256]));
        assert!(open_release(&unsigned, &expect, &recipient).is_err());
    }
    println!("{count} mutations, {opened} of them without meaning");
}
