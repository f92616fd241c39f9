//! The receipt, checked before anything that came with it is used. Keygate's contract, section 3 *Receipt*.

use openssl::asn1::Asn1Object;
use openssl::bn::BigNum;
use openssl::ecdsa::EcdsaSig;
use openssl::x509::X509;
use openssl::x509::verify::X509VerifyParam;
use serde_json::{Map, Value};
use x509_cert::der::Decode as _;
use x509_cert::der::oid::AssociatedOid as _;
use x509_cert::ext::pkix::ExtendedKeyUsage;

use super::ClientError;
use super::signed::Signed;
use crate::result::receipt::{PURPOSE, TYPE};

/// The longest receipt that is read, in bytes.
const LONGEST: usize = 128 * 1024;

/// A receipt whose signature, chain and purpose hold.
#[derive(Debug)]
pub struct CheckedReceipt {
    payload: Map<String, Value>,
    compact: String,
}

impl CheckedReceipt {
    /// The compact JWS as it came, to keep for `audit verify --receipt`.
    pub fn compact(&self) -> &str {
        &self.compact
    }

    /// A member of the payload, as text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.payload.get(name).and_then(Value::as_str)
    }

    /// The number of the audit entry.
    pub fn entry(&self) -> Option<u64> {
        self.payload.get("entry").and_then(Value::as_u64)
    }

    /// A member must be this text.
    ///
    /// # Errors
    /// `answer-not-authentic`.
    pub fn matches(&self, name: &str, wanted: &str) -> Result<(), ClientError> {
        if self.text(name) == Some(wanted) {
            return Ok(());
        }
        Err(ClientError::not_authentic(format!("the receipt's `{name}` is not that of our request")))
    }
}

/// Checks a compact JWS under the provider's CA.
///
/// # Errors
/// `answer-not-authentic`.
pub(super) fn check(compact: &str, authority: &X509) -> Result<CheckedReceipt, ClientError> {
    let signed = Signed::read(compact, "the receipt", LONGEST)?;
    if !signed.says("alg", "ES256") || !signed.says("typ", TYPE) || signed.header.contains_key("crit") {
        return Err(signed.bad("has a header that is not that of a receipt"));
    }
    let certificates = signed.certificates()?;
    let rules = X509VerifyParam::new().map_err(|_| signed.bad("cannot be checked"))?;
    let leaf = signed.leaf(&certificates, std::slice::from_ref(authority), &rules)?;
    if !certificates.first().is_some_and(|der| for_receipts(der)) {
        return Err(signed.bad("has a certificate for another purpose"));
    }
    if !signed_by(&leaf, signed.message, &signed.signature).unwrap_or(false) {
        return Err(signed.bad("has a signature that is wrong"));
    }
    Ok(CheckedReceipt { payload: signed.payload()?, compact: compact.to_owned() })
}

/// Whether the one extended key usage is [`PURPOSE`]. Its arcs are larger than the reader of object identifiers counts, so the
/// encoding is compared: `SEQUENCE { OBJECT IDENTIFIER }`.
fn for_receipts(der: &[u8]) -> bool {
    let Ok(certificate) = x509_cert::Certificate::from_der(der) else { return false };
    let Ok(purpose) = Asn1Object::from_str(PURPOSE) else { return false };
    let id = purpose.as_slice();
    let Ok(length) = u8::try_from(id.len()) else { return false };
    let wanted = [&[0x30, length.saturating_add(2), 0x06, length], id].concat();
    let extensions = certificate.tbs_certificate().extensions().map(Vec::as_slice).unwrap_or_default();
    let usage = extensions.iter().find(|e| e.extn_id == ExtendedKeyUsage::OID);
    usage.is_some_and(|e| e.extn_value.as_bytes() == wanted)
}

fn signed_by(leaf: &X509, message: &[u8], signature: &[u8]) -> Result<bool, openssl::error::ErrorStack> {
    let Some((r, s)) = signature.split_at_checked(32).filter(|(_, s)| s.len() == 32) else {
        return Ok(false);
    };
    let key = leaf.public_key()?.ec_key()?;
    let signature = EcdsaSig::from_private_components(BigNum::from_slice(r)?, BigNum::from_slice(s)?)?;
    signature.verify(&openssl::sha::sha256(message), &key)
}
