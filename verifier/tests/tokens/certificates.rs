//! Certificates for tests: any name, any issuer, with or without the right to issue.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::x509::extension::BasicConstraints;
use openssl::x509::{X509, X509Name, X509NameBuilder};

/// What a certificate says.
pub struct Says<'a> {
    pub subject: &'a str,
    pub issuer: &'a str,
    pub key: &'a PKey<Private>,
    pub signed_by: &'a PKey<Private>,
    /// `None`: no basic constraints; else whether it may issue.
    pub ca: Option<bool>,
    pub path_length: Option<u32>,
    pub valid: (i64, i64),
}

impl<'a> Says<'a> {
    /// Issued by itself, with the right to issue, valid from 2023 to 2027.
    pub fn own(name: &'a str, key: &'a PKey<Private>) -> Self {
        let valid = (1_700_000_000, 1_800_000_000);
        Self { subject: name, issuer: name, key, signed_by: key, ca: Some(true), path_length: None, valid }
    }

    /// In DER.
    pub fn der(&self) -> Vec<u8> {
        let mut builder = X509::builder().unwrap();
        builder.set_version(2).unwrap();
        builder.set_serial_number(&BigNum::from_u32(7).unwrap().to_asn1_integer().unwrap()).unwrap();
        builder.set_subject_name(&name(self.subject)).unwrap();
        builder.set_issuer_name(&name(self.issuer)).unwrap();
        builder.set_not_before(&Asn1Time::from_unix(self.valid.0).unwrap()).unwrap();
        builder.set_not_after(&Asn1Time::from_unix(self.valid.1).unwrap()).unwrap();
        builder.set_pubkey(self.key).unwrap();
        if let Some(ca) = self.ca {
            let mut constraints = BasicConstraints::new();
            if ca {
                constraints.ca();
            }
            if let Some(length) = self.path_length {
                constraints.pathlen(length);
            }
            builder.append_extension(constraints.build().unwrap()).unwrap();
        }
        builder.sign(self.signed_by, MessageDigest::sha256()).unwrap();
        builder.build().to_der().unwrap()
    }

    /// As it stands in `x5c`.
    pub fn x5c(&self) -> String {
        STANDARD.encode(self.der())
    }
}

/// `CN=name`; with ` + OU` behind a bar: `name|unit`.
fn name(text: &str) -> X509Name {
    let mut builder = X509NameBuilder::new().unwrap();
    let (common, unit) = text.split_once('|').unwrap_or((text, ""));
    if !unit.is_empty() {
        builder.append_entry_by_text("OU", unit).unwrap();
    }
    builder.append_entry_by_text("CN", common).unwrap();
    builder.build()
}
