//! One certificate, strictly parsed. RFC 5280 section 4.

use std::fmt;

use der::asn1::ObjectIdentifier;
use der::oid::AssociatedOid;
use der::{AnyRef, Decode, Encode, SliceReader};
use x509_cert::Certificate as Parsed;
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectKeyIdentifier,
};

use crate::error::VerifyError;
use crate::signatures::{Algorithm, PublicKey};
use crate::time::UnixTime;

const MAX_CERTIFICATE: usize = 16 * 1024;
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// Keys that only decrypt: some makers of TPMs write their endorsement keys so. RFC 4055 section 4.
const RSAES_OAEP: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.7");
const ECDSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
const ECDSA_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");
const RSASSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");
const RSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");
const RSA_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.12");
const RSA_SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.13");
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// A certificate extension as it stands: its id, whether it is critical, its value in DER.
#[derive(Debug, Clone)]
pub(crate) struct RawExtension {
    pub id: ObjectIdentifier,
    pub critical: bool,
    pub value: Vec<u8>,
}

/// A parsed certificate. Nothing about it is believed yet.
pub(crate) struct Certificate {
    der: Vec<u8>,
    signed: std::ops::Range<usize>,
    digest: [u8; 32],
    serial: Vec<u8>,
    issuer: Vec<u8>,
    subject: Vec<u8>,
    common_name: Option<String>,
    not_before: UnixTime,
    not_after: UnixTime,
    key: PublicKey,
    algorithm: Option<Algorithm>,
    signature: Vec<u8>,
    extensions: Vec<RawExtension>,
    basic: Option<BasicConstraints>,
    usage: Option<KeyUsage>,
    authority_key: Option<Vec<u8>>,
    subject_key: Option<Vec<u8>>,
}

impl Certificate {
    /// Reads one certificate in DER, at most 16 KiB, with nothing after it.
    ///
    /// # Errors
    /// `malformed`, `too-large`, or `unsupported` for a key that attestation does not use (explicit curve parameters, small RSA).
    pub fn parse(der: &[u8]) -> Result<Self, VerifyError> {
        Self::parse_at_most(der, MAX_CERTIFICATE)
    }

    /// The same, at most `most` bytes: the signing keys of an Azure-style service carry evidence inside of their certificates.
    ///
    /// # Errors
    /// As [`Certificate::parse`].
    pub fn parse_at_most(der: &[u8], most: usize) -> Result<Self, VerifyError> {
        if der.len() > most {
            return Err(VerifyError::too_large("certificate", format!("{} bytes, at most {most}", der.len())));
        }
        let bad = |_| VerifyError::malformed("certificate", "not a der certificate");
        let parsed = Parsed::from_der(der).map_err(bad)?;
        let signed = signed_range(der).map_err(bad)?;
        let tbs = parsed.tbs_certificate();
        if tbs.signature() != parsed.signature_algorithm() {
            return Err(VerifyError::malformed("certificate", "the two signature algorithms differ"));
        }
        if tbs.serial_number().as_bytes().first().is_some_and(|first| first & 0x80 != 0) {
            return Err(VerifyError::malformed("certificate", "the serial number is negative"));
        }
        let mut extensions = Vec::new();
        for extension in tbs.extensions().map(Vec::as_slice).unwrap_or_default() {
            if extensions.iter().any(|known: &RawExtension| known.id == extension.extn_id) {
                return Err(VerifyError::malformed("certificate", "an extension stands twice"));
            }
            extensions.push(RawExtension {
                id: extension.extn_id,
                critical: extension.critical,
                value: extension.extn_value.as_bytes().to_vec(),
            });
        }
        let authority = known::<AuthorityKeyIdentifier>(&extensions)?;
        let subject_key = known::<SubjectKeyIdentifier>(&extensions)?;
        let validity = tbs.validity();
        Ok(Self {
            digest: openssl::sha::sha256(der),
            signed,
            serial: tbs.serial_number().as_bytes().to_vec(),
            issuer: tbs.issuer().to_der().map_err(bad)?,
            subject: tbs.subject().to_der().map_err(bad)?,
            common_name: common_name(tbs.subject()),
            not_before: unix(validity.not_before),
            not_after: unix(validity.not_after),
            key: public_key(tbs.subject_public_key_info())?,
            algorithm: algorithm(parsed.signature_algorithm()).or_else(|| pkcs1(parsed.signature_algorithm())),
            signature: parsed
                .signature()
                .as_bytes()
                .ok_or_else(|| VerifyError::malformed("certificate", "the signature is no whole number of bytes"))?
                .to_vec(),
            basic: known::<BasicConstraints>(&extensions)?,
            usage: known::<KeyUsage>(&extensions)?,
            authority_key: authority.map(|a| a.key_identifier.map(|k| k.as_bytes().to_vec()).unwrap_or_default()),
            subject_key: subject_key.map(|s| s.0.as_bytes().to_vec()),
            extensions,
            der: der.to_vec(),
        })
    }

    /// The whole certificate in DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }
    /// About how many bytes the parsed form takes: names, extensions and signature stand a second time, the key with OpenSSL.
    pub fn weight(&self) -> usize {
        self.der.len().saturating_mul(4).saturating_add(2_048)
    }
    /// The bytes that are signed.
    pub fn signed_bytes(&self) -> &[u8] {
        self.der.get(self.signed.clone()).unwrap_or_default()
    }
    /// SHA-256 of the DER.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }
    /// The serial number, big-endian, as encoded.
    pub fn serial(&self) -> &[u8] {
        &self.serial
    }
    /// The issuer's name in DER.
    pub fn issuer(&self) -> &[u8] {
        &self.issuer
    }
    /// The subject's name in DER.
    pub fn subject(&self) -> &[u8] {
        &self.subject
    }
    /// The subject's common name, where there is one.
    pub fn common_name(&self) -> Option<String> {
        self.common_name.clone()
    }
    /// First second of validity.
    pub fn not_before(&self) -> UnixTime {
        self.not_before
    }
    /// Last second of validity.
    pub fn not_after(&self) -> UnixTime {
        self.not_after
    }
    /// The certified key.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }
    /// The algorithm of the issuer's signature; `None`: one that neither attestation nor tokens use.
    pub fn algorithm(&self) -> Option<Algorithm> {
        self.algorithm
    }
    /// The issuer's signature.
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }
    /// All extensions.
    pub fn extensions(&self) -> &[RawExtension] {
        &self.extensions
    }
    /// The value of one extension in DER.
    pub fn extension(&self, id: &ObjectIdentifier) -> Option<&[u8]> {
        self.extensions.iter().find(|e| e.id == *id).map(|e| e.value.as_slice())
    }
    /// Whether it may issue: basic constraints say CA, and key usage, where present, lets it sign certificates.
    pub fn is_ca(&self) -> bool {
        self.basic.as_ref().is_some_and(|b| b.ca) && self.usage.as_ref().is_none_or(KeyUsage::key_cert_sign)
    }
    /// Whether basic constraints say CA, whatever the key usage allows.
    pub fn says_ca(&self) -> bool {
        self.basic.as_ref().is_some_and(|b| b.ca)
    }
    /// Whether it may sign revocation lists.
    pub fn may_sign_crl(&self) -> bool {
        self.is_ca() && self.usage.as_ref().is_none_or(KeyUsage::crl_sign)
    }
    /// Whether its key may sign data: key usage, where present, says digital signature.
    pub fn may_sign_data(&self) -> bool {
        self.usage.as_ref().is_none_or(KeyUsage::digital_signature)
    }
    /// Whether its key may protect other keys: key usage, where present, says key encipherment or key agreement.
    pub fn may_protect_keys(&self) -> bool {
        self.usage.as_ref().is_none_or(|usage| usage.key_encipherment() || usage.key_agreement())
    }
    /// Whether there is a key usage.
    pub fn has_key_usage(&self) -> bool {
        self.usage.is_some()
    }
    /// What the extended key usage says; `None`: there is none, or it does not parse.
    pub fn extended_usages(&self) -> Option<Vec<ObjectIdentifier>> {
        known::<ExtendedKeyUsage>(&self.extensions).ok()?.map(|usage| usage.0)
    }
    /// Whether there is an extended key usage at all.
    pub fn has_extended_usage(&self) -> bool {
        self.extension(&ExtendedKeyUsage::OID).is_some()
    }
    /// How many CA certificates may stand below it; `None`: no limit.
    pub fn path_length(&self) -> Option<u8> {
        self.basic.as_ref().and_then(|b| b.path_len_constraint)
    }
    /// The authority key identifier; empty where the extension names none.
    pub fn authority_key(&self) -> Option<&[u8]> {
        self.authority_key.as_deref()
    }
    /// The subject key identifier.
    pub fn subject_key(&self) -> Option<&[u8]> {
        self.subject_key.as_deref()
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({:?}, {})", self.common_name, hex::encode(self.digest))
    }
}

fn signed_range(der: &[u8]) -> Result<std::ops::Range<usize>, der::Error> {
    let outer = AnyRef::from_der(der)?;
    let start = der.len().saturating_sub(outer.value().len());
    let mut inside = SliceReader::new(outer.value())?;
    AnyRef::decode(&mut inside)?;
    let length = usize::try_from(der::Reader::position(&inside))?;
    Ok(start..start.saturating_add(length))
}

fn known<'a, T: Decode<'a> + AssociatedOid>(extensions: &'a [RawExtension]) -> Result<Option<T>, VerifyError> {
    let Some(extension) = extensions.iter().find(|e| e.id == T::OID) else {
        return Ok(None);
    };
    T::from_der(&extension.value)
        .map(Some)
        .map_err(|_| VerifyError::malformed("certificate", format!("extension `{}` does not parse", T::OID)))
}

fn unix(time: x509_cert::time::Time) -> UnixTime {
    UnixTime::from_secs(i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX))
}

fn common_name(name: &x509_cert::name::Name) -> Option<String> {
    name.iter()
        .find(|attribute| attribute.oid == COMMON_NAME)
        .and_then(|attribute| std::str::from_utf8(attribute.value.value()).ok().map(str::to_owned))
}

fn public_key(info: &x509_cert::spki::SubjectPublicKeyInfoOwned) -> Result<PublicKey, VerifyError> {
    let unsupported = |what: &'static str| VerifyError::unsupported("certificate-key", what);
    let bytes = info.subject_public_key.as_bytes().ok_or_else(|| unsupported("the key is no whole number of bytes"))?;
    if info.algorithm.oid == EC_PUBLIC_KEY {
        let curve = info
            .algorithm
            .parameters
            .as_ref()
            .and_then(|p| p.decode_as::<ObjectIdentifier>().ok())
            .ok_or_else(|| unsupported("the curve is not named"))?;
        let length = match curve {
            P256 => 65,
            P384 => 97,
            _ => return Err(unsupported("the curve is neither p-256 nor p-384")),
        };
        if bytes.len() != length {
            return Err(unsupported("the point has the wrong length"));
        }
        return PublicKey::from_point(bytes).ok_or_else(|| unsupported("the point is not on the curve"));
    }
    if [RSA, RSASSA_PSS, RSAES_OAEP].contains(&info.algorithm.oid) {
        let (n, e) = rsa_numbers(bytes).map_err(|_| unsupported("the rsa key does not parse"))?;
        return PublicKey::from_rsa(n, e).ok_or_else(|| unsupported("the rsa key is outside 2048 to 4096 bits"));
    }
    Err(unsupported("the key is neither ec nor rsa"))
}

/// Modulus and exponent of an RSAPublicKey, without leading zero bytes. RFC 8017 appendix A.1.1.
pub(crate) fn rsa_numbers(bytes: &[u8]) -> Result<(&[u8], &[u8]), der::Error> {
    let outer = AnyRef::from_der(bytes)?;
    outer.sequence(|reader| -> Result<_, der::Error> {
        let n = der::asn1::UintRef::decode(reader)?;
        let e = der::asn1::UintRef::decode(reader)?;
        Ok((n.as_bytes(), e.as_bytes()))
    })
}

/// A key of its SubjectPublicKeyInfo in DER, with nothing after it.
///
/// # Errors
/// `malformed.certificate-key`; `unsupported.certificate-key` as in a certificate.
pub(crate) fn key_of_spki(der: &[u8]) -> Result<PublicKey, VerifyError> {
    let info = x509_cert::spki::SubjectPublicKeyInfoOwned::from_der(der)
        .map_err(|_| VerifyError::malformed("certificate-key", "not a public key in der"))?;
    public_key(&info)
}

/// The SubjectPublicKeyInfo of a certificate, as it stands in it. RFC 5280 section 4.1.
///
/// # Errors
/// Whatever the reader of DER says.
pub(crate) fn subject_public_key_info(certificate: &[u8]) -> Result<Vec<u8>, der::Error> {
    Parsed::from_der(certificate)?.tbs_certificate().subject_public_key_info().to_der()
}

/// The common name of a name that consists of it and nothing else.
pub(crate) fn only_common_name(name: &[u8]) -> Option<String> {
    let name = x509_cert::name::Name::from_der(name).ok()?;
    (name.iter().count() == 1).then(|| common_name(&name)).flatten()
}

/// RSASSA-PKCS1-v1_5 as it stands on certificates of token and policy signers. No technology of attestation uses it: each fixes
/// its own list.
pub(super) fn pkcs1(id: &x509_cert::spki::AlgorithmIdentifierOwned) -> Option<Algorithm> {
    match id.oid {
        RSA_SHA256 => Some(Algorithm::Pkcs1Sha256),
        RSA_SHA384 => Some(Algorithm::Pkcs1Sha384),
        RSA_SHA512 => Some(Algorithm::Pkcs1Sha512),
        _ => None,
    }
}

/// The algorithm of a signature by its identifier; for RSASSA-PSS the parameters must be SHA-384 with salt 48.
pub(super) fn algorithm(id: &x509_cert::spki::AlgorithmIdentifierOwned) -> Option<Algorithm> {
    match id.oid {
        ECDSA_SHA256 => Some(Algorithm::P256Der),
        ECDSA_SHA384 => Some(Algorithm::P384Der),
        RSASSA_PSS => {
            // AMD writes SHA-384, MGF1 with SHA-384, salt 48, and leaves the trailer field out or spells it.
            const SHA384: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02];
            let parameters = id.parameters.as_ref()?.value();
            let named = parameters.windows(SHA384.len()).filter(|w| *w == SHA384).count();
            let salt = parameters.windows(5).any(|w| w == [0xa2, 0x03, 0x02, 0x01, 0x30]);
            (named == 2 && salt).then_some(Algorithm::PssSha384)
        }
        _ => None,
    }
}
