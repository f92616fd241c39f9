//! Certificates of a provider: its CA, the receipt key's, and the TLS server's.
//!
//! RFC 5280; `native-api.md` sections 2 (`init`) and 3 *Receipt*: the CA in `ca.pem` is a workload's only pin.

use std::net::IpAddr;

use openssl::asn1::{Asn1Integer, Asn1Time};
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private, Public};
use openssl::rsa::Rsa;
use openssl::x509::extension::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAlternativeName, SubjectKeyIdentifier,
};
use openssl::x509::{X509, X509Builder, X509Name};
use zeroize::Zeroizing;

use super::SigningFailed;
use super::receipt;
use super::signer::SigningKey;

const DAY: i64 = 86_400;
/// A CA and its receipt certificate live as long as a workload's image may.
const LONG: i64 = 10 * 365 * DAY;
/// A TLS certificate.
const SHORT: i64 = 397 * DAY;

/// A TLS key with its chain, leaf first, PEM. Not printable.
pub struct ServerCertificate {
    /// PKCS#8.
    pub key_pem: Zeroizing<Vec<u8>>,
    /// Leaf, then CA.
    pub chain_pem: Vec<u8>,
}

/// The certificate of a new CA over its own key, SEC1 DER. `serial` is 16 random bytes.
///
/// # Errors
/// The key or OpenSSL is unfit.
pub fn authority(sec1: &[u8], name: &str, serial: [u8; 16], now: i64) -> Result<Vec<u8>, SigningFailed> {
    let make = || -> Result<Vec<u8>, ErrorStack> {
        let key = PKey::from_ec_key(EcKey::private_key_from_der(sec1)?)?;
        let subject = common_name(&format!("Keygate CA {name}"))?;
        let mut builder = begin(&subject, &subject, &serial, now, LONG)?;
        builder.set_pubkey(&key)?;
        builder.append_extension(BasicConstraints::new().critical().ca().pathlen(0).build()?)?;
        builder.append_extension(KeyUsage::new().critical().key_cert_sign().crl_sign().build()?)?;
        let id = SubjectKeyIdentifier::new().build(&builder.x509v3_context(None, None))?;
        builder.append_extension(id)?;
        finish(builder, &key)
    };
    make().map_err(|_| SigningFailed("a certificate could not be made"))
}

/// The certificate of a receipt key under the CA; the chain, leaf first, DER.
///
/// # Errors
/// The key or OpenSSL is unfit.
pub fn receipt(
    ca: &SigningKey,
    sec1: &[u8],
    name: &str,
    serial: [u8; 16],
    now: i64,
) -> Result<Vec<Vec<u8>>, SigningFailed> {
    let make = || -> Result<Vec<Vec<u8>>, ErrorStack> {
        let key = EcKey::private_key_from_der(sec1)?;
        let usage = ExtendedKeyUsage::new().critical().other(receipt::PURPOSE).build()?;
        let subject = common_name(&format!("Keygate receipts {name}"))?;
        let (issuer, mut builder) = under(ca, &subject, &serial, now, LONG - DAY)?;
        builder.set_pubkey(public(&key)?.as_ref())?;
        builder.append_extension(usage)?;
        let leaf = close(builder, ca, &issuer)?;
        Ok(vec![leaf, issuer.to_der()?])
    };
    make().map_err(|_| SigningFailed("a certificate could not be made"))
}

/// The self-signed certificate of a key of the attestation door, PKCS#1 DER: issuer and subject are `CN=` and the provider's
/// issuer URL, as relying parties compare it. `maa-tokens-and-claims.md` section 2.
///
/// # Errors
/// The key or OpenSSL is unfit, or the issuer is longer than a common name may be (64 characters).
pub fn azure_token(pkcs1: &[u8], issuer: &str, serial: [u8; 16], now: i64) -> Result<Vec<u8>, SigningFailed> {
    let make = || -> Result<Vec<u8>, ErrorStack> {
        let key = PKey::from_rsa(Rsa::private_key_from_der(pkcs1)?)?;
        let mut name = X509Name::builder()?;
        name.append_entry_by_nid(Nid::COMMONNAME, issuer)?;
        let name = name.build();
        let begun = || -> Result<X509Builder, ErrorStack> {
            let mut builder = begin(&name, &name, &serial, now, LONG)?;
            builder.set_pubkey(&key)?;
            builder.append_extension(BasicConstraints::new().critical().build()?)?;
            let own = SubjectKeyIdentifier::new().build(&builder.x509v3_context(None, None))?;
            builder.append_extension(own)?;
            Ok(builder)
        };
        // It names its own key, which OpenSSL reads from a certificate that has the identifier already.
        let draft = begun()?.build();
        let mut builder = begun()?;
        let above = AuthorityKeyIdentifier::new().keyid(true).build(&builder.x509v3_context(Some(&draft), None))?;
        builder.append_extension(above)?;
        finish(builder, &key)
    };
    make().map_err(|_| SigningFailed("the certificate of a token key could not be made"))
}

/// Whether the subject of a certificate of a token key is this issuer.
pub fn is_of(der: &[u8], issuer: &str) -> bool {
    let Ok(certificate) = X509::from_der(der) else { return false };
    let mut names = certificate.subject_name().entries_by_nid(Nid::COMMONNAME);
    matches!((names.next(), names.next()), (Some(name), None) if name.data().as_slice() == issuer.as_bytes())
}

/// A fresh TLS key and its certificate under the CA, for these host names and addresses.
///
/// # Errors
/// No host, or OpenSSL is unfit.
pub fn server(
    ca: &SigningKey,
    hosts: &[String],
    serial: [u8; 16],
    now: i64,
) -> Result<ServerCertificate, SigningFailed> {
    let Some(first) = hosts.first() else {
        return Err(SigningFailed("a server certificate needs a host name"));
    };
    let make = || -> Result<ServerCertificate, ErrorStack> {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
        let key = PKey::from_ec_key(EcKey::generate(&group)?)?;
        let (issuer, mut builder) = under(ca, &common_name(first)?, &serial, now, SHORT)?;
        builder.set_pubkey(&key)?;
        builder.append_extension(ExtendedKeyUsage::new().server_auth().build()?)?;
        builder.append_extension(alternatives(hosts).build(&builder.x509v3_context(Some(&issuer), None))?)?;
        let leaf = X509::from_der(&close(builder, ca, &issuer)?)?;
        Ok(ServerCertificate {
            key_pem: Zeroizing::new(key.private_key_to_pem_pkcs8()?),
            chain_pem: [leaf.to_pem()?, issuer.to_pem()?].concat(),
        })
    };
    make().map_err(|_| SigningFailed("a certificate could not be made"))
}

/// The certificate of a key that signs released keys, PKCS#1 DER, under the CA, for the hosts of a vault; the chain, leaf first, DER.
/// Clients check it as the certificate of a TLS server (`secure-key-release.md` section 6).
///
/// # Errors
/// No host, or the key or OpenSSL is unfit.
pub fn release(
    ca: &SigningKey,
    pkcs1: &[u8],
    hosts: &[String],
    serial: [u8; 16],
    now: i64,
) -> Result<Vec<Vec<u8>>, SigningFailed> {
    let Some(first) = hosts.first() else {
        return Err(SigningFailed("a certificate for released keys needs a host name"));
    };
    let make = || -> Result<Vec<Vec<u8>>, ErrorStack> {
        let key = PKey::from_rsa(Rsa::private_key_from_der(pkcs1)?)?;
        let (issuer, mut builder) = under(ca, &common_name(first)?, &serial, now, SHORT)?;
        builder.set_pubkey(&key)?;
        builder.append_extension(ExtendedKeyUsage::new().server_auth().build()?)?;
        builder.append_extension(alternatives(hosts).build(&builder.x509v3_context(Some(&issuer), None))?)?;
        let leaf = close(builder, ca, &issuer)?;
        Ok(vec![leaf, issuer.to_der()?])
    };
    make().map_err(|_| SigningFailed("a certificate could not be made"))
}

/// Host names and addresses, as a certificate names them.
fn alternatives(hosts: &[String]) -> SubjectAlternativeName {
    let mut names = SubjectAlternativeName::new();
    for host in hosts {
        match host.trim_matches(['[', ']']).parse::<IpAddr>() {
            Ok(address) => names.ip(&address.to_string()),
            Err(_) => names.dns(host),
        };
    }
    names
}

/// DER to PEM.
///
/// # Errors
/// These bytes are no certificate.
pub fn pem(der: &[u8]) -> Result<String, SigningFailed> {
    let pem = X509::from_der(der).and_then(|certificate| certificate.to_pem());
    let text = pem.ok().and_then(|pem| String::from_utf8(pem).ok());
    text.ok_or(SigningFailed("a stored certificate does not parse"))
}

/// A builder for a leaf below the CA, with everything but key and purpose.
fn under(
    ca: &SigningKey,
    subject: &X509Name,
    serial: &[u8],
    now: i64,
    life: i64,
) -> Result<(X509, X509Builder), ErrorStack> {
    let own = ca.certificates().first().map_or(&[][..], Vec::as_slice);
    let issuer = X509::from_der(own)?;
    let mut builder = begin(subject, issuer.subject_name(), serial, now, life)?;
    builder.append_extension(BasicConstraints::new().critical().build()?)?;
    builder.append_extension(KeyUsage::new().critical().digital_signature().build()?)?;
    Ok((issuer, builder))
}

fn close(mut builder: X509Builder, ca: &SigningKey, issuer: &X509) -> Result<Vec<u8>, ErrorStack> {
    let own = SubjectKeyIdentifier::new().build(&builder.x509v3_context(Some(issuer), None))?;
    builder.append_extension(own)?;
    let above = AuthorityKeyIdentifier::new().keyid(true).build(&builder.x509v3_context(Some(issuer), None))?;
    builder.append_extension(above)?;
    finish(builder, &PKey::from_ec_key(ca.private().clone())?)
}

fn begin(
    subject: &X509Name,
    issuer: &openssl::x509::X509NameRef,
    serial: &[u8],
    now: i64,
    life: i64,
) -> Result<X509Builder, ErrorStack> {
    let mut builder = X509::builder()?;
    builder.set_version(2)?;
    builder.set_subject_name(subject)?;
    builder.set_issuer_name(issuer)?;
    let mut number = serial.to_vec();
    if let Some(first) = number.first_mut() {
        // Positive, and never shorter than given. RFC 5280 section 4.1.2.2.
        *first = *first & 0x3f | 0x40;
    }
    builder.set_serial_number(Asn1Integer::from_bn(BigNum::from_slice(&number)?.as_ref())?.as_ref())?;
    builder.set_not_before(Asn1Time::from_unix(now - 3_600)?.as_ref())?;
    builder.set_not_after(Asn1Time::from_unix(now + life)?.as_ref())?;
    Ok(builder)
}

fn finish(mut builder: X509Builder, key: &PKey<Private>) -> Result<Vec<u8>, ErrorStack> {
    builder.sign(key, MessageDigest::sha256())?;
    builder.build().to_der()
}

fn common_name(text: &str) -> Result<X509Name, ErrorStack> {
    let short: String = text.chars().take(64).collect();
    let mut name = X509Name::builder()?;
    name.append_entry_by_nid(Nid::COMMONNAME, &short)?;
    Ok(name.build())
}

fn public(key: &EcKey<Private>) -> Result<PKey<Public>, ErrorStack> {
    PKey::from_ec_key(EcKey::from_public_key(key.group(), key.public_key())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use openssl::x509::X509VerifyResult;

    const NOW: i64 = 1_800_000_000;

    fn sec1() -> Vec<u8> {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
        EcKey::generate(&group).unwrap().private_key_to_der().unwrap()
    }

    fn ca() -> SigningKey {
        let key = sec1();
        let certificate = authority(&key, "default", [1; 16], NOW).unwrap();
        SigningKey::from_sec1(&key, vec![certificate]).unwrap()
    }

    #[test]
    fn leaves_chain_to_the_authority_and_have_one_purpose_each() {
        let ca = ca();
        let root = X509::from_der(&ca.certificates()[0]).unwrap();
        let receipts = receipt(&ca, &sec1(), "default", [2; 16], NOW).unwrap();
        assert_eq!(receipts[1], ca.certificates()[0]);
        let hosts = ["kms.example".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
        let server = server(&ca, &hosts, [3; 16], NOW).unwrap();
        let chain = X509::stack_from_pem(&server.chain_pem).unwrap();
        for (leaf, purpose) in [(X509::from_der(&receipts[0]).unwrap(), "2.25."), (chain[0].clone(), "TLS Web Server")]
        {
            assert!(leaf.verify(&root.public_key().unwrap()).unwrap());
            assert_eq!(root.issued(&leaf), X509VerifyResult::OK);
            let text = String::from_utf8(leaf.to_text().unwrap()).unwrap();
            let usage = text.split("Extended Key Usage").nth(1).unwrap().lines().nth(1).unwrap();
            assert!(usage.trim().starts_with(purpose) && !usage.contains(','), "{usage}");
            assert!(text.contains("CA:FALSE"));
        }
        let names = chain[0].subject_alt_names().unwrap();
        assert_eq!(names.iter().filter_map(|name| name.dnsname()).collect::<Vec<_>>(), ["kms.example"]);
        assert_eq!(names.iter().filter_map(|name| name.ipaddress()).map(<[u8]>::len).collect::<Vec<_>>(), [4, 16]);
    }

    #[test]
    fn another_curve_is_no_service_key() {
        let group = EcGroup::from_curve_name(Nid::SECP384R1).unwrap();
        let other = EcKey::generate(&group).unwrap().private_key_to_der().unwrap();
        assert!(SigningKey::from_sec1(&other, Vec::new()).is_err());
        assert!(SigningKey::from_sec1(b"no key", Vec::new()).is_err());
    }
}
