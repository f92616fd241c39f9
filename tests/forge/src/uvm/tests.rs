//! A sound endorsement, read by another implementation of CBOR and checked with OpenSSL.
//! RFC 9052 section 4.4.

use super::*;
use ciborium::Value;
use openssl::x509::X509;

const NOW: i64 = 1_790_000_000;

fn message(bytes: &[u8]) -> Vec<Value> {
    let Value::Tag(18, inner) = ciborium::from_reader(bytes).unwrap() else { panic!("no tag 18") };
    inner.into_array().unwrap()
}

#[test]
fn another_reader_finds_the_members_and_the_chain_holds() {
    let uvm = Uvm::new(NOW);
    let wanted = uvm.describe(&[7; 48]);
    let members = message(&uvm.endorsement(&wanted));
    let header: Value = ciborium::from_reader(members[0].as_bytes().unwrap().as_slice()).unwrap();
    let header = header.into_map().unwrap();
    let get = |label: Value| header.iter().find(|(l, _)| *l == label).unwrap().1.clone();
    assert_eq!(get(Value::from(1)), Value::from(-38));
    assert_eq!(get(Value::from("iss")), Value::from(uvm.issuer()));
    let chain: Vec<X509> = get(Value::from(33))
        .into_array()
        .unwrap()
        .iter()
        .map(|der| X509::from_der(der.as_bytes().unwrap()).unwrap())
        .collect();
    assert_eq!(chain.len(), 3);
    for (certificate, issuer) in chain.iter().zip(chain.iter().skip(1).chain(chain.last())) {
        assert!(certificate.verify(&issuer.public_key().unwrap()).unwrap());
    }
    let payload: serde_json::Value = serde_json::from_slice(members[2].as_bytes().unwrap()).unwrap();
    assert_eq!(payload["x-ms-sevsnpvm-launchmeasurement"], "07".repeat(48));
}
