//! The forged documents, checked with another CBOR reader and with OpenSSL.
//! RFC 9052 section 4.4; AWS NSM attestation document.

use super::*;
use crate::cbor;
use ciborium::Value;
use openssl::ecdsa::EcdsaSig;
use openssl::x509::X509;

const NOW: i64 = 1_790_000_000;

fn read(bytes: &[u8]) -> Option<Value> {
    ciborium::from_reader(bytes).ok()
}

fn member(map: &Value, name: &str) -> Value {
    let pairs = map.as_map().unwrap();
    let found = pairs.iter().find(|(k, _)| k.as_text() == Some(name));
    found.unwrap().1.clone()
}

fn holds(nitro: &Nitro, document: &[u8]) -> Option<bool> {
    let envelope = read(document)?;
    let envelope = match envelope {
        Value::Tag(18, inner) => *inner,
        other => other,
    };
    let items = envelope.as_array()?.clone();
    let [protected, _, payload, signature] = &items[..] else {
        return None;
    };
    let payload = payload.as_bytes()?;
    let map = read(payload)?;
    let parse = |v: &Value| X509::from_der(v.as_bytes().unwrap()).unwrap();
    let mut chain: Vec<X509> = member(&map, "cabundle").as_array()?.iter().map(parse).collect();
    chain.push(parse(&member(&map, "certificate")));
    if chain[0].to_der().unwrap() != nitro.root_der() {
        return Some(false);
    }
    for pair in chain.windows(2) {
        if !pair[1].verify(&pair[0].public_key().unwrap()).unwrap() {
            return Some(false);
        }
    }
    let structure = cbor::array(&[
        cbor::text("Signature1"),
        cbor::bytes(protected.as_bytes()?),
        cbor::bytes(&[]),
        cbor::bytes(payload),
    ]);
    let signature = signature.as_bytes()?;
    if signature.len() != 96 {
        return Some(false);
    }
    let number = |part: &[u8]| openssl::bn::BigNum::from_slice(part).unwrap();
    let signature = EcdsaSig::from_private_components(number(&signature[..48]), number(&signature[48..])).unwrap();
    let key = chain.last()?.public_key().unwrap().ec_key().unwrap();
    Some(signature.verify(&crate::keys::sha384(&structure), &key).unwrap_or(false))
}

#[test]
fn sound_documents_hold_under_another_reader() {
    let nitro = Nitro::new(NOW);
    for (tagged, definite) in [(false, false), (true, false), (false, true)] {
        let document = nitro.document(&NitroDocument {
            tagged,
            definite,
            nonce: Some(vec![1; 32]),
            user_data: Some(vec![2; 75]),
            ..NitroDocument::new()
        });
        assert_eq!(holds(&nitro, &document), Some(true));
    }
}

#[test]
fn members_are_as_asked() {
    let nitro = Nitro::new(NOW);
    let document = nitro.document(&NitroDocument { nonce: Some(vec![1; 32]), ..NitroDocument::new() });
    let payload = read(&document).unwrap().as_array().unwrap()[2].clone();
    let map = read(payload.as_bytes().unwrap()).unwrap();
    assert_eq!(member(&map, "timestamp"), Value::from(NOW as u64 * 1000));
    assert_eq!(member(&map, "digest"), Value::from("SHA384"));
    assert_eq!(member(&map, "nonce"), Value::from(vec![1; 32]));
    assert_eq!(member(&map, "public_key"), Value::Null);
    assert_eq!(member(&map, "pcrs").as_map().unwrap().len(), 16);
}

#[test]
fn broken_signatures_and_roots_do_not_hold() {
    let nitro = Nitro::new(NOW);
    let bad = |fault| nitro.document(&NitroDocument { fault: Some(fault), ..NitroDocument::new() });
    for fault in NitroFault::ALL {
        let document = bad(*fault);
        if fault.expected_code() == "signature-invalid" || *fault == NitroFault::SelfMadeRoot {
            assert_ne!(holds(&nitro, &document), Some(true), "{fault:?}");
        }
    }
}

#[test]
fn every_fault_makes_another_document() {
    let nitro = Nitro::new(NOW);
    for fault in NitroFault::ALL {
        let bad = NitroDocument { fault: Some(*fault), ..NitroDocument::new() };
        assert!(!nitro.document(&bad).is_empty(), "{fault:?}");
    }
}
