//! Quotes with one bit turned, cut off, or disturbed. Bad inputs, section 0: no panic, and nothing changed is accepted.

use keygate_forge::base64::url;
use keygate_forge::tpm::Tpm;
use keygate_verifier::tpm::{Attest, PublicArea};
use keygate_verifier::{Evidence, EvidenceKind, Options, Verifier};
use openssl::base64::decode_block;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{Rng, flips, mutations, tried};
use crate::{NOW, SIGNS, judge, sound, under};

fn bytes(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap().replace('-', "+").replace('_', "/");
    let padded = format!("{text}{}", "=".repeat((4 - text.len() % 4) % 4));
    decode_block(&padded).unwrap()
}

#[test]
fn every_bit_of_quote_signature_and_key_counts() {
    let mut count = 0;
    for signs in SIGNS {
        let tpm = Tpm::new(NOW, signs);
        let (document, bound) = sound(&tpm);
        let verifier = under(&tpm);
        assert!(judge(&verifier, &document, &bound, &Options::show_all()).is_ok());
        let members: Value = serde_json::from_slice(&document).unwrap();
        for member in ["quote", "signature", "ak", "ak_certificate"] {
            let good = bytes(&members[member]);
            for (index, mask) in flips(0..good.len(), 29) {
                let mut flipped = good.clone();
                flipped[index] ^= mask;
                let mut changed = members.clone();
                changed[member] = json!(url(&flipped));
                let verdict = judge(&verifier, changed.to_string().as_bytes(), &bound, &Options::show_all());
                // Attributes that say nothing about where a key lives are part of its name alone; a certificate says the key.
                if member == "ak"
                    && let Ok(verified) = &verdict
                {
                    let name = hex::encode(PublicArea::parse(&flipped).unwrap().name());
                    assert_eq!(verified.claims()["tpm"]["ak"]["name"], json!(name));
                    continue;
                }
                assert!(verdict.is_err(), "{signs:?} {member}: byte {index}, bit {mask:#x}");
                count += 1;
            }
        }
    }
    tried("flipped bits of quotes", count);
}

#[test]
fn mutations_of_documents_neither_panic_nor_say_something_else() {
    let tpm = Tpm::new(NOW, SIGNS[2]);
    let (document, bound) = sound(&tpm);
    let verifier = under(&tpm);
    let genuine = judge(&verifier, &document, &bound, &Options::show_all()).unwrap();
    let mut random = Rng::new(0x7b3);
    let count = mutations(2_000, 300_000);
    for round in 0..count {
        let changed = random.mutated(&document);
        if let Ok(verified) = judge(&verifier, &changed, &bound, &Options::show_all()) {
            assert_eq!(verified.claims()["tpm"]["pcrs"], genuine.claims()["tpm"]["pcrs"], "round {round}");
            assert_eq!(verified.claims()["tpm"]["clock"], genuine.claims()["tpm"]["clock"], "round {round}");
        }
    }
    tried("mutations of documents of kind tpm", count);
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = Attest::parse(&bytes);
        let _ = PublicArea::parse(&bytes);
        let _ = Verifier::inspect(&Evidence { kind: EvidenceKind::Tpm, bytes: &bytes });
    }

    #[test]
    fn any_bytes_behind_a_magic_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200), certify: bool) {
        let head = if certify { [0xff, 0x54, 0x43, 0x47, 0x80, 0x17] } else { [0xff, 0x54, 0x43, 0x47, 0x80, 0x18] };
        let _ = Attest::parse(&[&head[..], &bytes].concat());
        let _ = PublicArea::parse(&[&[0, 1, 0, 0x0b][..], &bytes].concat());
        let _ = PublicArea::parse(&[&[0, 0x23, 0, 0x0b][..], &bytes].concat());
    }

    #[test]
    fn a_document_that_is_cut_off_is_refused(cut in 1usize..2_000) {
        let document = br#"{"kind":"tpm","quote":"_1RDR4AYAAA","signature":"ABQACwAA","ak":"AAE","pcrs":{"sha256":{"0":"00"}}}"#;
        let end = document.len().saturating_sub(cut);
        prop_assert!(EvidenceKind::Tpm.check_layout(&document[..end]).is_err());
    }
}
