//! What the TCG asks of certificates of endorsement and attestation keys.
//!
//! TCG *EK Credential Profile for TPM Family 2.0*, section 3; TCG *Infrastructure WG Credential Profiles*: extended key usages
//! tcg-kp-EKCertificate and tcg-kp-AIKCertificate, and a subject alternative name with maker, model and version of the TPM.

use der::asn1::ObjectIdentifier;
use der::oid::AssociatedOid;
use der::{AnyRef, Decode, Reader as _, SliceReader};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use crate::error::VerifyError;
use crate::formats::x509::Certificate;
use crate::signatures::Algorithm;

/// Extensions that may be critical on the certificate of a TPM's key, because they are read here.
pub(crate) const READ_EXTENSIONS: &[ObjectIdentifier] = &[
    ObjectIdentifier::new_unwrap("2.5.29.17"), // subject alternative name
    ObjectIdentifier::new_unwrap("2.5.29.37"), // extended key usage
];

/// The signature algorithms on chains of TPM makers and attestation authorities.
pub(crate) const ALGORITHMS: &[Algorithm] = &[
    Algorithm::Pkcs1Sha256,
    Algorithm::Pkcs1Sha384,
    Algorithm::Pkcs1Sha512,
    Algorithm::PssSha384,
    Algorithm::P256Der,
    Algorithm::P384Der,
];

/// The most CA certificates between the certificate of a key and the root.
pub(crate) const INTERMEDIATES: usize = 8;

/// tcg-kp-EKCertificate.
const ENDORSEMENT: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.23.133.8.1");
/// tcg-kp-AIKCertificate.
const ATTESTATION: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.23.133.8.3");
/// tcg-at-tpmManufacturer, tcg-at-tpmModel, tcg-at-tpmVersion.
const MANUFACTURER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.23.133.2.1");
const MODEL: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.23.133.2.2");
const VERSION: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.23.133.2.3");

/// What a certificate says of the TPM, in the maker's words; absent what it does not say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TpmMake {
    /// `id:` and the vendor's number of the TCG's registry in hex.
    pub manufacturer: Option<String>,
    /// The part number, in the maker's spelling.
    pub model: Option<String>,
    /// `id:` and the firmware's version in hex.
    pub version: Option<String>,
}

/// Whether this certificate is one for an attestation key: none of a CA, for signatures, and, where it has an extended key usage, one
/// for attestation keys. Google's authority writes the usage of endorsement certificates on those of its attestation keys: that is
/// taken where the key usage is there and allows no encryption.
///
/// # Errors
/// `chain-untrusted` with this part.
pub(crate) fn check_attestation_certificate(
    certificate: &Certificate,
    part: &'static str,
) -> Result<TpmMake, VerifyError> {
    let untrusted = |why| Err(VerifyError::chain(part, why));
    if certificate.says_ca() || !certificate.may_sign_data() {
        return untrusted("the certificate is not one for signatures of a tpm");
    }
    if certificate.has_extended_usage() {
        let usages = certificate.extended_usages().unwrap_or_default();
        let signs_alone = certificate.has_key_usage() && !certificate.may_protect_keys();
        let is_one = usages.contains(&ATTESTATION) || (usages.contains(&ENDORSEMENT) && signs_alone);
        if !is_one {
            return untrusted("the certificate's extended key usage is not that of attestation keys");
        }
    }
    make(certificate, part)
}

/// Whether this certificate is one for an endorsement key: none of a CA, for protecting keys, with the extended key usage of
/// endorsement keys.
///
/// # Errors
/// `chain-untrusted` with this part.
pub(crate) fn check_endorsement_certificate(
    certificate: &Certificate,
    part: &'static str,
) -> Result<TpmMake, VerifyError> {
    let untrusted = |why| Err(VerifyError::chain(part, why));
    if certificate.says_ca() || !certificate.may_protect_keys() {
        return untrusted("the certificate is not one for a key that protects others");
    }
    if !certificate.extended_usages().is_some_and(|usages| usages.contains(&ENDORSEMENT)) {
        return untrusted("the certificate's extended key usage is not that of endorsement keys");
    }
    make(certificate, part)
}

/// Maker, model and version out of the subject alternative name. An alternative name that does not parse is refused: it may be
/// critical, and counts as read.
fn make(certificate: &Certificate, part: &'static str) -> Result<TpmMake, VerifyError> {
    let mut make = TpmMake::default();
    let Some(value) = certificate.extension(&SubjectAltName::OID) else { return Ok(make) };
    let names = SubjectAltName::from_der(value)
        .map_err(|_| VerifyError::chain(part, "the certificate's subject alternative name does not parse"))?;
    for name in &names.0 {
        let GeneralName::DirectoryName(name) = name else { continue };
        for attribute in name.iter() {
            let text = std::str::from_utf8(attribute.value.value()).ok().filter(|text| text.len() <= 64);
            let place = match attribute.oid {
                MANUFACTURER => &mut make.manufacturer,
                MODEL => &mut make.model,
                VERSION => &mut make.version,
                _ => continue,
            };
            *place = text.map(str::to_owned);
        }
    }
    Ok(make)
}

/// The certificate out of an NV index: what stands behind its end is left out, where all of it is 0x00 or all of it 0xFF. Makers
/// define indices longer than the certificates in them; nothing else may follow.
///
/// # Errors
/// `malformed.ek-certificate`.
pub(crate) fn without_padding(bytes: &[u8]) -> Result<&[u8], VerifyError> {
    let bad = |why| VerifyError::malformed("ek-certificate", why);
    let mut reader = SliceReader::new(bytes).map_err(|_| bad("too long for a certificate"))?;
    AnyRef::decode(&mut reader).map_err(|_| bad("not a der certificate"))?;
    let length = usize::try_from(reader.position()).unwrap_or(usize::MAX);
    let (certificate, rest) = bytes.split_at_checked(length).ok_or_else(|| bad("not a der certificate"))?;
    if [0x00, 0xff].iter().any(|padding| rest.iter().all(|byte| byte == padding)) {
        return Ok(certificate);
    }
    Err(bad("bytes follow the certificate that are no padding"))
}
