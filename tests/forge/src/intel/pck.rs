//! The PCK certificate and its SGX extension 1.2.840.113741.1.13.1.
//! Intel SGX PCK certificate and CRL profile, section 1.3.5.

use super::{DAY, Intel, PckCa, SgxFault, YEAR, intel_name, serial};
use crate::der;
use crate::keys::{self, SigAlg};
use crate::x509::{AUTHORITY_KEY_ID, Cert, Extension, key_id, usage};

const ARC: &str = "1.2.840.113741.1.13.1";

impl Intel {
    /// The platform's certificate, still unsigned, wrong in one way where a fault is given.
    pub(crate) fn pck_cert(&self, fault: Option<SgxFault>) -> Cert {
        let ca = match self.platform.ca {
            PckCa::Processor => "processor",
            PckCa::Platform => "platform",
        };
        let uri = format!("https://api.example/sgx/certification/v4/pckcrl?ca={ca}&encoding=der");
        let mut cert = Cert {
            serial: serial(&self.pck),
            issuer: self.ca_name(),
            subject: intel_name("Intel SGX PCK Certificate"),
            not_before: self.now - 30 * DAY,
            not_after: self.now + 7 * YEAR,
            raw_validity: None,
            spki: keys::spki(&self.pck),
            extensions: vec![
                Extension::authority_key(&key_id(&self.ca)),
                Extension::crl_point(&uri),
                Extension::subject_key(&key_id(&self.pck)),
                Extension::key_usage(usage::DIGITAL_SIGNATURE | usage::NON_REPUDIATION),
                Extension::end_entity(),
                Extension::new(ARC, false, self.sgx_extension(fault)),
            ],
            algorithm: SigAlg::EcdsaSha256,
        };
        match fault {
            Some(SgxFault::PckExpired) => cert.not_after = self.now - 1,
            Some(SgxFault::PckNotYetValid) => cert.not_before = self.now + 1,
            Some(SgxFault::PckEmptyKeyId) => {
                cert.extension_mut(AUTHORITY_KEY_ID).value = der::sequence(&[]);
            }
            Some(SgxFault::PckNoExtension) => cert.extensions.retain(|e| e.oid != ARC),
            Some(SgxFault::PckExtensionTwice) => {
                let twin = cert.extension_mut(ARC).clone();
                cert.extensions.push(twin);
            }
            _ => {}
        }
        cert
    }

    fn sgx_extension(&self, fault: Option<SgxFault>) -> Vec<u8> {
        let platform = &self.platform;
        let mut items = vec![
            member("1", der::octets(&platform.ppid)),
            member("2", self.tcb(fault)),
            member("3", der::octets(&platform.pce_id)),
        ];
        match fault {
            Some(SgxFault::PckNoFmspc) => {}
            Some(SgxFault::PckLongFmspc) => {
                let long = [&platform.fmspc[..], &[0]].concat();
                items.push(member("4", der::octets(&long)));
            }
            _ => items.push(member("4", der::octets(&platform.fmspc))),
        }
        items.push(member("5", der::enumerated(platform.sgx_type)));
        if platform.ca == PckCa::Platform {
            items.push(member("6", der::octets(&[0x6b; 16])));
            let flags =
                [("7.1", true), ("7.2", false), ("7.3", false)].map(|(tail, value)| member(tail, der::boolean(value)));
            items.push(member("7", der::sequence(&flags)));
        }
        if fault == Some(SgxFault::PckFmspcTwice) {
            items.push(member("4", der::octets(&[0xff; 6])));
        }
        der::sequence(&items)
    }

    fn tcb(&self, fault: Option<SgxFault>) -> Vec<u8> {
        let platform = &self.platform;
        let mut items: Vec<Vec<u8>> = platform
            .components
            .iter()
            .enumerate()
            .map(|(i, svn)| member(&format!("2.{}", i + 1), der::integer((*svn).into())))
            .collect();
        items.push(member("2.17", der::integer(platform.pce_svn.into())));
        let cpu_svn = match fault {
            Some(SgxFault::PckShortCpuSvn) => &platform.cpu_svn[..15],
            _ => &platform.cpu_svn[..],
        };
        items.push(member("2.18", der::octets(cpu_svn)));
        match fault {
            Some(SgxFault::PckMissingComponent) => {
                items.remove(15);
            }
            Some(SgxFault::PckDuplicateComponent) => items[15] = items[14].clone(),
            Some(SgxFault::PckLargeComponent) => items[15] = member("2.16", der::integer(256)),
            Some(SgxFault::PckNegativeComponent) => {
                items[15] = member("2.16", der::raw_integer(&[0xff]));
            }
            Some(SgxFault::PckPaddedComponent) => {
                items[15] = member("2.16", der::raw_integer(&[0, 0]));
            }
            _ => {}
        }
        der::sequence(&items)
    }
}

fn member(tail: &str, value: Vec<u8>) -> Vec<u8> {
    der::sequence(&[der::oid(&format!("{ARC}.{tail}")), value])
}
