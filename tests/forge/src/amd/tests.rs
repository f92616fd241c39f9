//! The forged reports and chains, checked with the `sev` crate and with OpenSSL.
//! SEV-SNP firmware ABI 56860 section 7.3; AMD 57230 section 3.

use super::*;
use openssl::x509::X509;
use sev::certs::snp::{Certificate, Chain, Verifiable, ca};
use sev::firmware::guest::AttestationReport;
use sev::parser::ByteParser;

const NOW: i64 = 1_790_000_000;

fn accepts(evidence: &SnpEvidence) -> bool {
    let certificate = |der: &[u8]| Certificate::from_der(der);
    let Ok(report) = AttestationReport::from_bytes(&evidence.report) else {
        return false;
    };
    let chain = Chain {
        ca: ca::Chain { ark: certificate(&evidence.root).unwrap(), ask: certificate(&evidence.authority).unwrap() },
        vek: certificate(&evidence.vek).unwrap(),
    };
    (&chain, &report).verify().is_ok()
}

#[test]
fn another_reader_accepts_every_sound_report() {
    for product in Product::ALL {
        let amd = Amd::new(product, NOW);
        for version in [2, 3, 5] {
            for signing_key in [SigningKey::Vcek, SigningKey::Vlek] {
                let evidence =
                    amd.evidence(&SnpReport { version, signing_key, host_data: [8; 32], ..SnpReport::new([7; 64]) });
                let (turin, masked) = (product == Product::Turin, signing_key == SigningKey::Vlek);
                if version == 2 && (turin || masked) {
                    continue; // the other reader tells Turin from version 2 by the chip identifier
                }
                assert!(accepts(&evidence), "{product:?} {version} {signing_key:?}");
                let report = AttestationReport::from_bytes(&evidence.report).unwrap();
                assert_eq!(report.version, version);
                assert_eq!(report.report_data[..], [7; 64]);
                assert_eq!(report.measurement[..], [0x4d; 48]);
                assert_eq!(report.host_data[..], [8; 32]);
                assert_eq!(report.reported_tcb.bootloader, 4);
                assert_eq!(report.reported_tcb.microcode, 219);
                assert_eq!(report.reported_tcb.snp, 24);
                assert_eq!(report.reported_tcb.fmc, turin.then_some(1));
            }
        }
    }
}

#[test]
fn chains_hold_under_openssl() {
    for product in Product::ALL {
        let amd = Amd::new(product, NOW);
        let parse = |der: Vec<u8>| X509::from_der(&der).unwrap();
        let (ark, ask, asvk) = (parse(amd.ark_der()), parse(amd.ask_der()), parse(amd.asvk_der()));
        let signed = |c: &X509, by: &X509| c.verify(&by.public_key().unwrap()).unwrap();
        assert!(signed(&ark, &ark) && signed(&ask, &ark) && signed(&asvk, &ark));
        assert!(signed(&parse(amd.vcek_der(Tcb::default())), &ask));
        assert!(signed(&parse(amd.vlek_der(Tcb::default())), &asvk));
        assert!(!signed(&parse(amd.vlek_der(Tcb::default())), &ask));
    }
}

#[test]
fn lists_of_revocations_hold_under_openssl() {
    let amd = Amd::new(Product::Milan, NOW);
    let ark = X509::from_der(&amd.ark_der()).unwrap();
    let der = amd.sign_crl(&amd.crl().revoking(&amd.ask_serial()));
    let crl = openssl::x509::X509Crl::from_der(&der).unwrap();
    assert!(crl.verify(&ark.public_key().unwrap()).unwrap());
    let ask = X509::from_der(&amd.ask_der()).unwrap();
    assert!(matches!(crl.get_by_cert(&ask), openssl::x509::CrlStatus::Revoked(_)));
}

#[test]
fn the_table_is_read_by_another_reader() {
    let evidence = Amd::new(Product::Genoa, NOW).evidence(&SnpReport::new([0; 64]));
    let table = &evidence.table;
    let mut found = Vec::new();
    for entry in table.chunks(24).take(3) {
        let number = |at: usize| u32::from_le_bytes(entry[at..at + 4].try_into().unwrap());
        let (offset, length) = (number(16) as usize, number(20) as usize);
        found.push(table[offset..offset + length].to_vec());
    }
    assert_eq!(table[72..96], [0; 24]);
    assert_eq!(found, [evidence.vek, evidence.authority, evidence.root]);
}

#[test]
fn every_fault_changes_something() {
    for product in Product::ALL {
        let amd = Amd::new(product, NOW);
        let ark = amd.ark_der();
        for fault in SnpFault::ALL {
            let bad = amd.evidence(&SnpReport { fault: Some(*fault), ..SnpReport::new([7; 64]) });
            if fault.is_table() || bad.report.len() != report::LENGTH {
                continue;
            }
            let signature_only = accepts(&bad) && bad.root == ark;
            let forged = matches!(fault.expected_code(), "signature-invalid")
                && !matches!(
                    fault,
                    SnpFault::SignatureAlgorithm
                        | SnpFault::SigningKeyNone
                        | SnpFault::SigningKeyReserved
                        | SnpFault::LongR
                        | SnpFault::LongS
                );
            assert!(!(forged && signature_only), "{product:?} {fault:?}");
        }
    }
}
