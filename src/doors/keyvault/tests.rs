//! What bodies of this door are read as, and that no bytes make it panic.

use super::create::{read_create, read_import};
use super::version;
use crate::broker::vault::Rsa15;
use crate::broker::{Code, Operation};

const URL: &str = "https://vault.example";

fn latest() -> version::ApiVersion {
    version::read("api-version=2025-07-01").unwrap().version
}

fn code(outcome: Result<impl Sized, crate::broker::Fault>) -> Option<Code> {
    outcome.err().map(|fault| fault.code)
}

#[test]
fn types_sizes_and_curves_are_those_of_the_page() {
    let create = |body: &str| code(read_create(body.as_bytes(), latest()));
    for good in [
        r#"{"kty":"RSA"}"#,
        r#"{"kty":"RSA-HSM","key_size":4096,"key_ops":["sign","verify"]}"#,
        r#"{"kty":"EC","crv":"P-256K"}"#,
        r#"{"kty":"oct-HSM","key_size":192,"attributes":null,"tags":null}"#,
    ] {
        assert_eq!(create(good), None, "{good}");
    }
    for wrong in [
        r#"{}"#,
        r#"{"kty":"rsa"}"#,
        r#"{"kty":"RSA","key_size":1024}"#,
        r#"{"kty":"EC","crv":"P-224"}"#,
        r#"{"kty":"oct","key_size":512}"#,
        r#"{"kty":"RSA","key_ops":["release"]}"#,
        r#"{"kty":"RSA","release_policy":{}}"#,
        r#"{"kty":"RSA","kty":"EC"}"#,
    ] {
        assert_eq!(create(wrong), Some(Code::Malformed), "{wrong}");
    }
    assert_eq!(create(r#"{"kty":"RSA","public_exponent":3}"#), Some(Code::Unsupported));
}

#[test]
fn an_exportable_key_needs_a_version_that_knows_it() {
    let body = br#"{"kty":"RSA-HSM","attributes":{"exportable":true},"release_policy":{"data":"e30"}}"#;
    let old = version::read("api-version=7.2").unwrap().version;
    assert!(read_create(body, old).err().is_some_and(|fault| fault.part.starts_with("AKV.SKR.1001")));
    assert!(read_create(body, latest()).is_ok());
}

#[test]
fn mutated_bodies_are_read_or_refused_and_never_panic() {
    const GOOD: &str = r#"{"key":{"kty":"oct-HSM","k":"AAECAwQFBgcICQoLDA0ODw==","key_ops":["wrapKey"]},"Hsm":true,"attributes":{"exportable":true,"nbf":1},"tags":{"a":"b"},"release_policy":{"data":"e30","immutable":false},"alg":"A128KW","value":"AAAA","iv":"AAAA","kty":"RSA","count":3}"#;
    assert!(read_import(GOOD.as_bytes(), latest(), URL).is_ok());
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut step = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 16).unwrap_or(0)
    };
    let mut read = 0;
    for _ in 0..20_000 {
        let mut body = GOOD.as_bytes().to_vec();
        for _ in 0..=step() % 3 {
            let (at, other) = (step() % body.len(), step() % GOOD.len());
            match step() % 4 {
                0 => body[at] = b"\"{}[],:\\0-e\xff"[step() % 12],
                1 if body.len() > 1 => drop(body.remove(at)),
                2 => body.insert(at, GOOD.as_bytes()[other]),
                _ => body.truncate(at + 1),
            }
        }
        read += usize::from(read_import(&body, latest(), URL).is_ok());
        let _ = read_create(&body, latest());
        if let Ok(members) = super::wire::Members::read(&body) {
            for operation in [Operation::Encrypt, Operation::Verify] {
                let _ = members.input(operation, Rsa15::Refused);
            }
        }
    }
    assert!(read > 0, "some mutations change only a value");
}
