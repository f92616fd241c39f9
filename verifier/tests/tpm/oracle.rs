//! The structures against another reader of them: what this crate reads, `tpm2-protocol` reads, and of the same length.
//!
//! `docs/decisions/0032-tpm-structures-of-our-own.md`. The other way round does not hold: what is not served is refused here.

use keygate_forge::keys;
use keygate_forge::tpm::{Object, Tpm, TpmQuote, rsa};
use keygate_verifier::tpm::{Attest, PublicArea};
use openssl::base64::decode_block;
use serde_json::Value;
use tpm2_protocol::TpmUnmarshal;
use tpm2_protocol::data::{TpmsAttest, TpmtPublic, TpmtSignature};

use crate::support::{Rng, mutations, tried};
use crate::{NOW, SIGNS};

fn theirs<T: TpmUnmarshal>(bytes: &[u8]) -> bool {
    T::unmarshal(bytes).is_ok_and(|(_, rest)| rest.is_empty())
}

fn bytes(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap().replace('-', "+").replace('_', "/");
    let padded = format!("{text}{}", "=".repeat((4 - text.len() % 4) % 4));
    decode_block(&padded).unwrap()
}

#[test]
fn both_read_what_the_forge_writes() {
    for signs in SIGNS {
        let tpm = Tpm::new(NOW, signs);
        let document: Value = serde_json::from_slice(&tpm.document(&TpmQuote::new(&[1; 32]))).unwrap();
        let (quote, signature, key) =
            (bytes(&document["quote"]), bytes(&document["signature"]), bytes(&document["ak"]));
        assert!(theirs::<TpmsAttest>(&quote) && Attest::parse(&quote).is_ok(), "{signs:?}");
        assert!(theirs::<TpmtSignature>(&signature), "{signs:?}");
        assert!(theirs::<TpmtPublic>(&key) && PublicArea::parse(&key).is_ok(), "{signs:?}");
    }
}

#[test]
fn what_is_read_here_is_read_there_whatever_was_changed() {
    let tpm = Tpm::new(NOW, SIGNS[2]);
    let document: Value = serde_json::from_slice(&tpm.document(&TpmQuote::new(&[1; 32]))).unwrap();
    let quote = bytes(&document["quote"]);
    let areas = [
        tpm.ak_object().area(),
        tpm.ek_object().area(),
        Object::decrypting(&rsa()).area(),
        Object::decrypting(&keys::p384()).area(),
    ];
    let mut random = Rng::new(0x79a);
    let (mut read, count) = (0, mutations(4_000, 400_000));
    for round in 0..count {
        let changed = random.mutated(&quote);
        if Attest::parse(&changed).is_ok() {
            read += 1;
            assert!(theirs::<TpmsAttest>(&changed), "attest {}", hex::encode(&changed));
        }
        let changed = random.mutated(&areas[round % areas.len()]);
        if let Ok(area) = PublicArea::parse(&changed) {
            read += 1;
            assert!(theirs::<TpmtPublic>(area.bytes()), "public {}", hex::encode(&changed));
        }
    }
    assert!(read > count / 100, "only {read} of {count} mutations were read at all");
    tried("mutations of tpm structures against another reader", count);
}
