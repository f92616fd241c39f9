//! Revocation lists, checked by hand for every link that is no root. RFC 5280 sections 5 and 6.3.

use std::collections::HashSet;

use der::asn1::ObjectIdentifier;
use der::{AnyRef, Decode, Encode, SliceReader};
use x509_cert::crl::CertificateList;

use super::certificate::{algorithm, pkcs1};
use super::{Certificate, VerifiedChain};
use crate::endorsements::Endorsements;
use crate::error::{Code, VerifyError};
use crate::memo::Memo;
use crate::signatures::Algorithm;
use crate::time::UnixTime;
use crate::verified::Revocation;

const MAX_CRL: usize = 4 * 1024 * 1024;
const CRL_NUMBER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.20");

/// A parsed revocation list. Nothing about it is believed yet.
#[derive(Debug)]
pub(crate) struct Crl {
    digest: [u8; 32],
    signed: Vec<u8>,
    issuer: Vec<u8>,
    this_update: UnixTime,
    next_update: Option<UnixTime>,
    number: u64,
    serials: HashSet<Vec<u8>>,
    unknown_critical: Option<ObjectIdentifier>,
    algorithm: Option<Algorithm>,
    signature: Vec<u8>,
}

impl Crl {
    /// Reads one revocation list in DER, at most 4 MiB.
    pub fn parse(der: &[u8]) -> Result<Self, VerifyError> {
        if der.len() > MAX_CRL {
            return Err(VerifyError::too_large("crl", format!("{} bytes, at most {MAX_CRL}", der.len())));
        }
        let bad = |_| VerifyError::malformed("crl", "not a der revocation list");
        let parsed = CertificateList::<x509_cert::certificate::Rfc5280>::from_der(der).map_err(bad)?;
        let list = &parsed.tbs_cert_list;
        if list.signature != parsed.signature_algorithm {
            return Err(VerifyError::malformed("crl", "the two signature algorithms differ"));
        }
        let mut unknown_critical = None;
        let mut number = 0;
        for extension in list.crl_extensions.iter().flatten() {
            if extension.extn_id == CRL_NUMBER {
                let value = der::asn1::UintRef::from_der(extension.extn_value.as_bytes()).map_err(bad)?;
                number = value
                    .as_bytes()
                    .iter()
                    .try_fold(0u64, |n, b| n.checked_mul(256)?.checked_add(u64::from(*b)))
                    .unwrap_or(u64::MAX);
            } else if extension.critical {
                unknown_critical = Some(extension.extn_id);
            }
        }
        let mut serials = HashSet::new();
        for entry in list.revoked_certificates.iter().flatten() {
            for extension in entry.crl_entry_extensions.iter().flatten().filter(|e| e.critical) {
                unknown_critical = Some(extension.extn_id);
            }
            serials.insert(entry.serial_number.as_bytes().to_vec());
        }
        let unix = |t: x509_cert::time::Time| {
            UnixTime::from_secs(i64::try_from(t.to_unix_duration().as_secs()).unwrap_or(i64::MAX))
        };
        Ok(Self {
            digest: openssl::sha::sha256(der),
            signed: signed_bytes(der).map_err(bad)?,
            issuer: list.issuer.to_der().map_err(bad)?,
            this_update: unix(list.this_update),
            next_update: list.next_update.map(unix),
            number,
            serials,
            unknown_critical,
            algorithm: algorithm(&parsed.signature_algorithm).or_else(|| pkcs1(&parsed.signature_algorithm)),
            signature: parsed.signature.as_bytes().map(<[u8]>::to_vec).unwrap_or_default(),
        })
    }

    /// The issuer's name in DER.
    pub fn issuer(&self) -> &[u8] {
        &self.issuer
    }
    /// SHA-256 of the DER.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }
    /// The CRL number, or zero where there is none.
    pub fn number(&self) -> u64 {
        self.number
    }
    /// When it was issued.
    pub fn this_update(&self) -> UnixTime {
        self.this_update
    }
    /// The last second it is in force.
    pub fn next_update(&self) -> Option<UnixTime> {
        self.next_update
    }
    /// Whether it is in force at `now`.
    pub fn in_force(&self, now: UnixTime) -> bool {
        self.this_update <= now && self.next_update.is_some_and(|end| now <= end)
    }
}

/// Looks `certificate` up on `crl`, which must be signed by `issuer`, be in force at `now` and say nothing unknown.
///
/// # Errors
/// `revoked`; `collateral-unavailable` for a list that is not in force or says something unknown; `chain-untrusted` for a list
/// of another issuer or signed by another key than the issuer's.
pub(crate) fn check_crl(
    certificate: &Certificate,
    issuer: &Certificate,
    crl: &Crl,
    part: &'static str,
    now: UnixTime,
    memo: &Memo,
) -> Result<(), VerifyError> {
    if crl.issuer() != issuer.subject() || certificate.issuer() != issuer.subject() {
        return Err(VerifyError::chain(part, "the revocation list is of another issuer"));
    }
    if !issuer.may_sign_crl() {
        return Err(VerifyError::chain(part, "the issuer may not sign revocation lists"));
    }
    let Some(algorithm) = crl.algorithm else {
        return Err(VerifyError::unsupported(part, "the revocation list is signed by an unknown algorithm"));
    };
    if !memo.check_sealed(algorithm, issuer.key(), &crl.digest, &crl.signed, &crl.signature) {
        return Err(VerifyError::chain(part, "the revocation list is not signed by the issuer that it names"));
    }
    if let Some(id) = crl.unknown_critical {
        return Err(VerifyError::collateral(
            part,
            format!("the revocation list has the unknown critical extension `{id}`"),
        ));
    }
    if !crl.in_force(now) {
        return Err(VerifyError::collateral(
            part,
            format!("the revocation list issued on {} is not in force", crl.this_update),
        ));
    }
    if crl.serials.contains(certificate.serial()) {
        return Err(VerifyError::revoked(
            part,
            format!("certificate serial `{}` is revoked", hex::encode(certificate.serial())),
        ));
    }
    Ok(())
}

fn signed_bytes(der: &[u8]) -> Result<Vec<u8>, der::Error> {
    let outer = AnyRef::from_der(der)?;
    let mut inside = SliceReader::new(outer.value())?;
    AnyRef::decode(&mut inside)?;
    let length = usize::try_from(der::Reader::position(&inside))?;
    Ok(outer.value().get(..length).unwrap_or_default().to_vec())
}

/// What the look at held revocation lists gave.
pub(crate) struct Listed {
    /// Whether every link that is no root was looked up.
    pub revocation: Revocation,
    /// The earliest end of the lists that counted.
    pub not_after: UnixTime,
}

/// The most revocation lists of one issuer that are looked at.
const MAX_LISTS: usize = 8;

/// Looks every link of a chain up on the lists that are held of its issuer. Where none is held of some issuer, the chain is
/// `NotChecked` as a whole.
///
/// # Errors
/// `revoked` with this part where any list in force says so; else the fault of the first list of an issuer of which none can be used.
pub(crate) fn check_listed(
    chain: &VerifiedChain,
    held: &Endorsements,
    part: &'static str,
    now: UnixTime,
    memo: &Memo,
) -> Result<Listed, VerifyError> {
    let mut looked = Listed { revocation: Revocation::Checked, not_after: UnixTime::FOREVER };
    let lists: Vec<_> = held.crls().iter().filter_map(|bytes| bytes.crl(memo).ok()).collect();
    let mut refused = None;
    for (certificate, issuer) in chain.issued() {
        let (mut used, mut fault) = (false, None);
        for list in lists.iter().filter(|list| list.issuer() == issuer.subject()).take(MAX_LISTS) {
            match check_crl(certificate, issuer, list, part, now, memo) {
                Ok(()) => {
                    used = true;
                    looked.not_after = looked.not_after.min(list.next_update().unwrap_or(UnixTime::FOREVER));
                }
                Err(why) if why.kind() == Code::Revoked => return Err(why),
                Err(why) => drop(fault.get_or_insert(why)),
            }
        }
        if !used {
            looked.revocation = Revocation::NotChecked;
            refused = refused.or(fault);
        }
    }
    refused.map_or(Ok(looked), Err)
}
