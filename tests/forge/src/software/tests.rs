//! The forged software evidence, checked with OpenSSL and a JSON reader.
//! RFC 7515 sections 3.1 and 4.1.6.

use super::*;
use openssl::ecdsa::EcdsaSig;
use openssl::x509::X509;
use serde_json::Value;

const NOW: i64 = 1_790_000_000;

fn unurl(text: &str) -> Option<Vec<u8>> {
    let mut padded = text.replace('-', "+").replace('_', "/");
    padded.push_str(&"=".repeat(padded.len().next_multiple_of(4) - padded.len()));
    openssl::base64::decode_block(&padded).ok()
}

/// Header and payload if chain and signature hold under the hierarchy's root.
fn holds(software: &Software, evidence: &str) -> Option<(Value, Value)> {
    let parts: Vec<&str> = evidence.split('.').collect();
    let [header, payload, signature] = parts[..] else {
        return None;
    };
    let input = &evidence[..header.len() + 1 + payload.len()];
    let header: Value = serde_json::from_slice(&unurl(header)?).ok()?;
    let payload: Value = serde_json::from_slice(&unurl(payload)?).ok()?;
    let mut issuer = X509::from_der(&software.root_der()).ok()?;
    let chain = header.get("x5c")?.as_array()?;
    for der in chain.iter().rev() {
        let der = openssl::base64::decode_block(der.as_str()?).ok()?;
        let certificate = X509::from_der(&der).ok()?;
        let issuer_key = issuer.public_key().ok()?;
        if !certificate.verify(&issuer_key).ok()? {
            return None;
        }
        issuer = certificate;
    }
    let signature = unurl(signature)?;
    if signature.len() != 64 || chain.is_empty() {
        return None;
    }
    let number = |part: &[u8]| openssl::bn::BigNum::from_slice(part).unwrap();
    let signature = EcdsaSig::from_private_components(number(&signature[..32]), number(&signature[32..])).ok()?;
    let key = issuer.public_key().ok()?.ec_key().ok()?;
    let good = signature.verify(&keys::sha256(input.as_bytes()), &key).ok()?;
    good.then_some((header, payload))
}

#[test]
fn sound_evidence_holds() {
    let software = Software::new(NOW);
    for with_authority in [false, true] {
        let evidence = software.evidence(&SoftwareEvidence { with_authority, ..SoftwareEvidence::new([7; 64]) });
        let (header, payload) = holds(&software, &evidence).unwrap();
        assert_eq!(header["alg"], "ES256");
        assert_eq!(header["typ"], "keygate-software");
        assert_eq!(payload["report_data"], "07".repeat(64));
        assert_eq!(payload["measurement"], "5a".repeat(48));
        assert_eq!(payload["iat"], NOW);
        assert_eq!(payload["debug"], false);
        assert_eq!(payload["host"], "forge.example");
    }
}

#[test]
fn broken_signatures_and_chains_do_not_hold() {
    let software = Software::new(NOW);
    for fault in SoftwareFault::ALL {
        let evidence = software.evidence(&SoftwareEvidence { fault: Some(*fault), ..SoftwareEvidence::new([7; 64]) });
        let forged = matches!(
            fault,
            SoftwareFault::ForeignSigner
                | SoftwareFault::PayloadChanged
                | SoftwareFault::DerSignature
                | SoftwareFault::SelfMadeRoot
                | SoftwareFault::AlgNone
                | SoftwareFault::TwoParts
        );
        assert!(!(forged && holds(&software, &evidence).is_some()), "{fault:?}");
    }
}
