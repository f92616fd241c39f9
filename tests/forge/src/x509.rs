//! A small certificate writer whose every member can be made wrong on purpose.
//! RFC 5280 sections 4.1 and 4.2; algorithm identifiers of RFC 5758 and RFC 4055.

pub mod crl;
mod fault;

pub use crl::{Crl, Revoked};
pub use fault::CertFault;

use crate::der;
use crate::keys::{self, Key, SigAlg};

/// One X.509 extension with a raw DER value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extension {
    /// Object identifier in dotted text.
    pub oid: String,
    /// Whether a reader that does not know it must refuse.
    pub critical: bool,
    /// Content of the OCTET STRING.
    pub value: Vec<u8>,
}

/// Object identifier of basic constraints.
pub const BASIC_CONSTRAINTS: &str = "2.5.29.19";
/// Object identifier of key usage.
pub const KEY_USAGE: &str = "2.5.29.15";
/// Object identifier of the subject key identifier.
pub const SUBJECT_KEY_ID: &str = "2.5.29.14";
/// Object identifier of the authority key identifier.
pub const AUTHORITY_KEY_ID: &str = "2.5.29.35";
/// Object identifier of the CRL distribution points.
pub const CRL_POINTS: &str = "2.5.29.31";
/// Object identifier of the CRL number.
pub const CRL_NUMBER: &str = "2.5.29.20";

/// Key usage bits, first bit first: digitalSignature is `0x80`.
pub mod usage {
    /// digitalSignature.
    pub const DIGITAL_SIGNATURE: u8 = 0x80;
    /// nonRepudiation.
    pub const NON_REPUDIATION: u8 = 0x40;
    /// keyCertSign.
    pub const CERT_SIGN: u8 = 0x04;
    /// cRLSign.
    pub const CRL_SIGN: u8 = 0x02;
}

impl Extension {
    /// An extension from its parts.
    pub fn new(oid: &str, critical: bool, value: Vec<u8>) -> Self {
        Self { oid: oid.to_owned(), critical, value }
    }

    /// Critical basic constraints of an authority, with a path length or without limit.
    pub fn authority(path_length: Option<u8>) -> Self {
        let mut items = vec![der::boolean(true)];
        items.extend(path_length.map(|n| der::integer(n.into())));
        Self::new(BASIC_CONSTRAINTS, true, der::sequence(&items))
    }

    /// Critical basic constraints of an end entity (an empty SEQUENCE).
    pub fn end_entity() -> Self {
        Self::new(BASIC_CONSTRAINTS, true, der::sequence(&[]))
    }

    /// Critical key usage; `bits` from [`usage`].
    pub fn key_usage(bits: u8) -> Self {
        let unused = bits.trailing_zeros().min(7) as u8;
        Self::new(KEY_USAGE, true, der::bits(&[bits], unused))
    }

    /// Subject key identifier.
    pub fn subject_key(id: &[u8]) -> Self {
        Self::new(SUBJECT_KEY_ID, false, der::octets(id))
    }

    /// Authority key identifier holding only the key identifier.
    pub fn authority_key(id: &[u8]) -> Self {
        let value = der::sequence(&[der::tlv(0x80, id)]);
        Self::new(AUTHORITY_KEY_ID, false, value)
    }

    /// CRL distribution point with one URI.
    pub fn crl_point(uri: &str) -> Self {
        let general = der::tlv(0x86, uri.as_bytes());
        let name = der::tlv(0xa0, &der::tlv(0xa0, &general));
        let value = der::sequence(&[der::sequence(&[name])]);
        Self::new(CRL_POINTS, false, value)
    }

    pub(crate) fn to_der(&self) -> Vec<u8> {
        let mut items = vec![der::oid(&self.oid)];
        if self.critical {
            items.push(der::boolean(true));
        }
        items.push(der::octets(&self.value));
        der::sequence(&items)
    }
}

/// Distinguished name, DER, from pairs such as `("CN", "a name")` in order.
///
/// Known attributes: CN, C, ST, L, O, OU. The country is a PrintableString, all else UTF8String.
pub fn name(parts: &[(&str, &str)]) -> Vec<u8> {
    let rdns: Vec<Vec<u8>> = parts
        .iter()
        .map(|(attribute, text)| {
            let oid = match *attribute {
                "CN" => "2.5.4.3",
                "C" => "2.5.4.6",
                "L" => "2.5.4.7",
                "ST" => "2.5.4.8",
                "O" => "2.5.4.10",
                "OU" => "2.5.4.11",
                other => panic!("unknown attribute `{other}`"),
            };
            let value = if *attribute == "C" { der::printable(text) } else { der::utf8(text) };
            der::set(&[der::sequence(&[der::oid(oid), value])])
        })
        .collect();
    der::sequence(&rdns)
}

/// Key identifier of a public key: SHA-1 of the subject public key bits.
pub fn key_id(key: &Key) -> Vec<u8> {
    let bits = match key.ec_key() {
        Ok(_) => [vec![4], keys::point(key)].concat(),
        Err(_) => key.rsa().unwrap().public_key_to_der_pkcs1().unwrap(),
    };
    keys::sha1(&bits).to_vec()
}

/// AlgorithmIdentifier, DER.
pub fn algorithm(algorithm: SigAlg) -> Vec<u8> {
    let plain = |oid| der::sequence(&[der::oid(oid)]);
    let with_null = |oid| der::sequence(&[der::oid(oid), der::null()]);
    match algorithm {
        SigAlg::EcdsaSha256 => plain("1.2.840.10045.4.3.2"),
        SigAlg::EcdsaSha384 => plain("1.2.840.10045.4.3.3"),
        SigAlg::EcdsaSha1 => plain("1.2.840.10045.4.1"),
        SigAlg::RsaSha256 => with_null("1.2.840.113549.1.1.11"),
        SigAlg::RsaSha1 => with_null("1.2.840.113549.1.1.5"),
        SigAlg::RsaPssSha384 { trailer } => pss(trailer),
        SigAlg::RsaPssSha384WrongSalt => pss(false),
    }
}

fn pss(trailer: bool) -> Vec<u8> {
    let sha384 = der::sequence(&[der::oid("2.16.840.1.101.3.4.2.2"), der::null()]);
    let mgf = der::sequence(&[der::oid("1.2.840.113549.1.1.8"), sha384.clone()]);
    let mut parameters = vec![der::explicit(0, &sha384), der::explicit(1, &mgf), der::explicit(2, &der::integer(48))];
    if trailer {
        parameters.push(der::explicit(3, &der::integer(1)));
    }
    der::sequence(&[der::oid("1.2.840.113549.1.1.10"), der::sequence(&parameters)])
}

/// What is to be signed as a certificate. Every member may be changed before [`Cert::sign`].
#[derive(Clone, Debug)]
pub struct Cert {
    /// Content bytes of the serial number INTEGER, taken as they are.
    pub serial: Vec<u8>,
    /// Issuer name, DER.
    pub issuer: Vec<u8>,
    /// Subject name, DER.
    pub subject: Vec<u8>,
    /// First second of validity, unix seconds.
    pub not_before: i64,
    /// Last second of validity, unix seconds.
    pub not_after: i64,
    /// The two times as they are written, where they must not follow RFC 5280.
    pub raw_validity: Option<[Vec<u8>; 2]>,
    /// SubjectPublicKeyInfo, DER.
    pub spki: Vec<u8>,
    /// Extensions in order.
    pub extensions: Vec<Extension>,
    /// Algorithm named in the certificate and used to sign it.
    pub algorithm: SigAlg,
}

impl Cert {
    /// Signs with the issuer's key; the whole certificate, DER.
    pub fn sign(&self, issuer_key: &Key) -> Vec<u8> {
        let extensions: Vec<Vec<u8>> = self.extensions.iter().map(Extension::to_der).collect();
        let validity = match &self.raw_validity {
            Some(raw) => raw.clone(),
            None => [der::time(self.not_before), der::time(self.not_after)],
        };
        let body = der::sequence(&[
            der::explicit(0, &der::integer(2)),
            der::raw_integer(&self.serial),
            algorithm(self.algorithm),
            self.issuer.clone(),
            der::sequence(&validity),
            self.subject.clone(),
            self.spki.clone(),
            der::explicit(3, &der::sequence(&extensions)),
        ]);
        signed(&body, self.algorithm, issuer_key)
    }

    /// Signs after applying a fault, if there is one.
    pub fn sign_with(&self, issuer_key: &Key, fault: Option<CertFault>) -> Vec<u8> {
        match fault {
            None => self.sign(issuer_key),
            Some(fault) => fault.sign(self.clone(), issuer_key),
        }
    }

    /// The extension with this identifier.
    ///
    /// # Panics
    /// If the certificate has none.
    pub fn extension_mut(&mut self, oid: &str) -> &mut Extension {
        self.extensions.iter_mut().find(|e| e.oid == oid).expect("the certificate has this extension")
    }
}

/// `SEQUENCE { body, algorithm, signature over body }`: certificates and CRLs alike.
pub(crate) fn signed(body: &[u8], sig_alg: SigAlg, key: &Key) -> Vec<u8> {
    let signature = keys::sign(key, sig_alg, body);
    der::sequence(&[body.to_vec(), algorithm(sig_alg), der::bits(&signature, 0)])
}
