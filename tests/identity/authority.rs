//! A throw-away CA: TLS certificates for test issuers, and client certificates that are right, or wrong in one thing.

use openssl::asn1::{Asn1Integer, Asn1Time};
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::x509::extension::{BasicConstraints, ExtendedKeyUsage, SubjectAlternativeName};
use openssl::x509::{X509, X509Builder, X509Extension, X509NameBuilder};

/// Around both the clock of the tests and that of the machine.
const BEGIN: i64 = 1_600_000_000;
pub const END: i64 = 2_000_000_000;

pub type Key = PKey<Private>;

pub fn p256() -> Key {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
}

/// What a certificate says.
#[derive(Clone)]
pub struct Wanted<'a> {
    pub common_names: Vec<&'a str>,
    pub dns: Vec<&'a str>,
    pub uri: Vec<&'a str>,
    pub purpose: Option<&'a str>,
    pub end: i64,
    pub is_ca: bool,
    /// Where revocation lists would be.
    pub crl_at: Option<String>,
}

impl Wanted<'_> {
    pub fn client<'a>(common_name: &'a str) -> Wanted<'a> {
        Wanted {
            common_names: vec![common_name],
            dns: Vec::new(),
            uri: Vec::new(),
            purpose: Some("clientAuth"),
            end: END,
            is_ca: false,
            crl_at: None,
        }
    }
    pub fn server<'a>(host: &'a str) -> Wanted<'a> {
        Wanted { dns: vec![host], purpose: Some("serverAuth"), ..Wanted::client(host) }
    }
    pub fn authority<'a>(name: &'a str) -> Wanted<'a> {
        Wanted { purpose: None, is_ca: true, ..Wanted::client(name) }
    }
}

/// A certificate with its key.
#[derive(Clone)]
pub struct Papers {
    pub certificate: X509,
    pub key: Key,
}

impl Papers {
    pub fn root(name: &str) -> Self {
        Self::make(&Wanted::authority(name), None)
    }

    /// A certificate under this one.
    pub fn issue(&self, wanted: &Wanted<'_>) -> Self {
        Self::make(wanted, Some(self))
    }

    fn make(wanted: &Wanted<'_>, issuer: Option<&Self>) -> Self {
        let key = p256();
        let mut name = X509NameBuilder::new().unwrap();
        for common_name in &wanted.common_names {
            name.append_entry_by_nid(Nid::COMMONNAME, common_name).unwrap();
        }
        let name = name.build();
        let mut builder = X509Builder::new().unwrap();
        builder.set_version(2).unwrap();
        let mut serial = [0; 8];
        openssl::rand::rand_bytes(&mut serial).unwrap();
        serial[0] = 1;
        let serial = Asn1Integer::from_bn(&BigNum::from_slice(&serial).unwrap()).unwrap();
        builder.set_serial_number(&serial).unwrap();
        builder.set_subject_name(&name).unwrap();
        builder.set_issuer_name(issuer.map_or(&name, |issuer| issuer.certificate.subject_name())).unwrap();
        builder.set_not_before(&Asn1Time::from_unix(BEGIN).unwrap()).unwrap();
        builder.set_not_after(&Asn1Time::from_unix(wanted.end).unwrap()).unwrap();
        builder.set_pubkey(&key).unwrap();
        if wanted.is_ca {
            builder.append_extension(BasicConstraints::new().critical().ca().build().unwrap()).unwrap();
        }
        if let Some(purpose) = wanted.purpose {
            let mut usage = ExtendedKeyUsage::new();
            for one in purpose.split(',') {
                usage.other(one);
            }
            builder.append_extension(usage.build().unwrap()).unwrap();
        }
        if !wanted.dns.is_empty() || !wanted.uri.is_empty() {
            let mut names = SubjectAlternativeName::new();
            for dns in &wanted.dns {
                names.dns(dns);
            }
            for uri in &wanted.uri {
                names.uri(uri);
            }
            let names = names.build(&builder.x509v3_context(None, None)).unwrap();
            builder.append_extension(names).unwrap();
        }
        if let Some(place) = &wanted.crl_at {
            #[allow(deprecated)] // there is no builder for these
            for (nid, value) in [
                (Nid::CRL_DISTRIBUTION_POINTS, format!("URI:{place}")),
                (Nid::INFO_ACCESS, format!("OCSP;URI:{place},caIssuers;URI:{place}")),
            ] {
                let context = builder.x509v3_context(None, None);
                let extension = X509Extension::new_nid(None, Some(&context), nid, &value).unwrap();
                builder.append_extension(extension).unwrap();
            }
        }
        builder.sign(issuer.map_or(&key, |issuer| &issuer.key), MessageDigest::sha256()).unwrap();
        Self { certificate: builder.build(), key }
    }

    pub fn pem(&self) -> Vec<u8> {
        self.certificate.to_pem().unwrap()
    }
}
