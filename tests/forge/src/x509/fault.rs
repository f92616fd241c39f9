//! Faults of a single certificate in a chain, the same for every technology.
//! Catalogue of bad inputs, section 9; RFC 5280 sections 4.1, 4.2 and 6.1.

use super::{AUTHORITY_KEY_ID, BASIC_CONSTRAINTS, Cert, Extension, KEY_USAGE, SUBJECT_KEY_ID};
use crate::der;
use crate::keys::{self, Key, SigAlg};

faults! {
    /// What is wrong with the certificate that issued the leaf.
    CertFault {
        /// Bytes after the certificate's own SEQUENCE, inside the outer length.
        TrailingBytes => ("X509-01", "malformed"),
        /// Serial number with a negative value.
        NegativeSerial => ("X509-01", "malformed"),
        /// The outer length is written in one byte more than needed.
        LongFormLength => ("X509-01", "malformed"),
        /// Basic constraints say `CA: FALSE`.
        NotAuthority => ("X509-03", "chain-untrusted"),
        /// Basic constraints are absent.
        NoBasicConstraints => ("X509-03", "chain-untrusted"),
        /// Key usage lacks keyCertSign.
        NoCertSign => ("X509-03", "chain-untrusted"),
        /// A critical extension that nobody knows.
        UnknownCritical => ("X509-04", "chain-untrusted"),
        /// Critical name constraints that no name of ours satisfies.
        NameConstraints => ("X509-05", "chain-untrusted"),
        /// The public key names its curve by explicit parameters.
        ExplicitCurve => ("X509-06", "unsupported"),
        /// The issuer's name is another one, the signature is right.
        WrongIssuerName => ("X509-13", "chain-untrusted"),
        /// Signed by a key that nobody knows, all names right.
        ForeignSigner => ("X509-13", "chain-untrusted"),
        /// End of validity with a fraction of a second.
        DateFraction => ("X509-07", "malformed"),
        /// End of validity without seconds.
        DateWithoutSeconds => ("X509-07", "malformed"),
        /// End of validity with an offset instead of `Z`.
        DateWithOffset => ("X509-07", "malformed"),
        /// Signed with SHA-1.
        Sha1 => ("X509-14", "unsupported"),
        /// Expired years ago, a second after validity began.
        Expired => ("SGX-21", "chain-untrusted"),
        /// Valid for a second, years ahead.
        NotYetValid => ("SNP-24", "chain-untrusted"),
        /// Authority key identifier is an empty SEQUENCE.
        EmptyAuthorityKeyId => ("SGX-22", "chain-untrusted"),
    }
}

impl CertFault {
    /// Whether the fault can be shown on certificates of this algorithm family and extension set.
    pub fn applies_to(self, cert: &Cert) -> bool {
        let has = |oid: &str| cert.extensions.iter().any(|e| e.oid == oid);
        match self {
            Self::NotAuthority | Self::NoBasicConstraints => has(BASIC_CONSTRAINTS),
            Self::NoCertSign => has(KEY_USAGE),
            Self::EmptyAuthorityKeyId => has(AUTHORITY_KEY_ID) || has(SUBJECT_KEY_ID),
            Self::ExplicitCurve => !is_rsa_spki(&cert.spki),
            _ => true,
        }
    }

    /// Applies the fault to the certificate and signs it.
    pub(crate) fn sign(self, mut cert: Cert, issuer_key: &Key) -> Vec<u8> {
        match self {
            Self::TrailingBytes => {
                let good = cert.sign(issuer_key);
                return der::tlv(0x30, &[content(&good), &[0x05, 0x00]].concat());
            }
            Self::LongFormLength => {
                let good = cert.sign(issuer_key);
                let inner = content(&good);
                let length = (inner.len() as u32).to_be_bytes();
                return [&[0x30, 0x84][..], &length, inner].concat();
            }
            Self::NegativeSerial => cert.serial = vec![0x80, 0x01],
            Self::NotAuthority => {
                cert.extension_mut(BASIC_CONSTRAINTS).value = der::sequence(&[]);
            }
            Self::NoBasicConstraints => cert.extensions.retain(|e| e.oid != BASIC_CONSTRAINTS),
            Self::NoCertSign => {
                *cert.extension_mut(KEY_USAGE) = Extension::key_usage(super::usage::DIGITAL_SIGNATURE);
            }
            Self::UnknownCritical => {
                let value = der::utf8("nobody knows this");
                cert.extensions.push(Extension::new("1.3.6.1.4.1.55555.1", true, value));
            }
            Self::NameConstraints => cert.extensions.push(name_constraints()),
            Self::ExplicitCurve => cert.spki = explicit_curve(&cert.spki),
            Self::WrongIssuerName => cert.issuer = super::name(&[("CN", "somebody else")]),
            Self::ForeignSigner => return foreign(&cert, issuer_key),
            Self::DateFraction => cert.raw_validity = Some(odd_end(&cert, 0x18, b"20991231235959.5Z")),
            Self::DateWithoutSeconds => cert.raw_validity = Some(odd_end(&cert, 0x17, b"4912312359Z")),
            Self::DateWithOffset => {
                cert.raw_validity = Some(odd_end(&cert, 0x17, b"491231235959+0000"));
            }
            Self::Sha1 => {
                cert.algorithm = match issuer_key.ec_key() {
                    Ok(_) => SigAlg::EcdsaSha1,
                    Err(_) => SigAlg::RsaSha1,
                }
            }
            Self::Expired => cert.not_after = cert.not_before + 1,
            Self::NotYetValid => cert.not_before = cert.not_after - 1,
            Self::EmptyAuthorityKeyId => {
                cert.extensions.retain(|e| e.oid != AUTHORITY_KEY_ID);
                cert.extensions.push(Extension::new(AUTHORITY_KEY_ID, false, der::sequence(&[])));
            }
        }
        cert.sign(issuer_key)
    }
}

/// Signs with a fresh key of the same family as the issuer's.
fn foreign(cert: &Cert, issuer_key: &Key) -> Vec<u8> {
    match issuer_key.ec_key() {
        Ok(ec) if ec.group().degree() == 384 => cert.sign(&keys::p384()),
        Ok(_) => cert.sign(&keys::p256()),
        Err(_) => cert.sign(&crate::amd::rogue_authority_key()),
    }
}

/// Validity with its sound begin and an end that is written oddly.
fn odd_end(cert: &Cert, tag: u8, end: &[u8]) -> [Vec<u8>; 2] {
    [der::time(cert.not_before), der::tlv(tag, end)]
}

/// Content bytes of a definite-length element.
fn content(element: &[u8]) -> &[u8] {
    let header = match element[1] {
        n if n < 0x80 => 2,
        n => 2 + usize::from(n & 0x7f),
    };
    &element[header..]
}

fn is_rsa_spki(spki: &[u8]) -> bool {
    let rsa = der::oid("1.2.840.113549.1.1.1");
    spki.windows(rsa.len()).any(|w| w == rsa)
}

/// Permits only directory names below one that none of our certificates carries.
fn name_constraints() -> Extension {
    let base = super::name(&[("C", "ZZ")]);
    let directory = der::tlv(0xa4, &base);
    let subtrees = der::tlv(0xa0, &der::sequence(&[directory]));
    Extension::new("2.5.29.30", true, der::sequence(&[subtrees]))
}

/// The same public key with its curve spelled out instead of named.
fn explicit_curve(spki: &[u8]) -> Vec<u8> {
    use openssl::ec::{Asn1Flag, EcGroup, EcKey};
    use openssl::pkey::PKey;
    let ec = PKey::public_key_from_der(spki).unwrap().ec_key().unwrap();
    let mut group = EcGroup::from_curve_name(ec.group().curve_name().unwrap()).unwrap();
    group.set_asn1_flag(Asn1Flag::EXPLICIT_CURVE);
    let key = EcKey::from_public_key(&group, ec.public_key()).unwrap();
    PKey::from_ec_key(key).unwrap().public_key_to_der().unwrap()
}
