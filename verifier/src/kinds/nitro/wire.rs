//! The layout of an attestation document: a CBOR map inside a COSE_Sign1 message.
//!
//! AWS Nitro Enclaves, *Attestation document specification*: every member is known, stands once and has its bounds.

use std::collections::BTreeMap;

use crate::error::VerifyError;
use crate::formats::cbor::{Length, Reader};
use crate::formats::cose::Sign1;

pub(super) const PART: &str = "nitro-document";
/// The most bytes in each of `nonce`, `user_data` and `public_key`.
const MAX_GIVEN: usize = 1_024;
/// The most bytes in a module id; real ones have about 40.
const MAX_MODULE_ID: usize = 64;
/// The most certificates in `cabundle`; real bundles have four.
const MAX_BUNDLE: usize = 8;
/// The number of registers of a Nitro Security Module.
const REGISTERS: u64 = 32;

/// A platform configuration register: SHA-384.
pub(super) type Pcr = [u8; 48];

/// What a document says. Nothing about it is believed yet.
#[derive(Debug)]
pub(super) struct Document<'a> {
    /// `i-<instance>-enc<enclave>`.
    pub module_id: &'a str,
    /// When the hypervisor made it, milliseconds since 1970.
    pub timestamp_ms: i64,
    /// The registers that are locked, by index; 0, 1 and 2 are always among them.
    pub pcrs: BTreeMap<u64, &'a Pcr>,
    /// The certificate that signs the document, DER.
    pub certificate: &'a [u8],
    /// The certificates above it, the root first, DER.
    pub bundle: Vec<&'a [u8]>,
    /// What the enclave put in.
    pub public_key: Option<&'a [u8]>,
    /// What the enclave put in.
    pub user_data: Option<&'a [u8]>,
    /// What the enclave put in.
    pub nonce: Option<&'a [u8]>,
}

/// A document with its signature, not yet checked.
#[derive(Debug)]
pub(super) struct SignedDocument<'a> {
    pub message: Sign1<'a>,
    pub document: Document<'a>,
}

impl<'a> SignedDocument<'a> {
    /// Reads message and document; both must be of the one encoding.
    ///
    /// # Errors
    /// `malformed`; `unsupported` for another algorithm or a NitroTPM document; `too-large` for a member beyond its bound;
    /// `chain-untrusted` for a bundle of more than eight certificates.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, VerifyError> {
        let message = Sign1::parse(bytes)?;
        let document = Document::parse(message.payload)?;
        Ok(Self { message, document })
    }
}

/// A member that may stand once.
struct Once<T>(Option<T>, &'static str);

impl<T> Once<T> {
    fn set(&mut self, value: T) -> Result<(), VerifyError> {
        if self.0.replace(value).is_some() {
            return Err(VerifyError::malformed(PART, format!("member `{}` stands twice", self.1)));
        }
        Ok(())
    }
    fn required(self) -> Result<T, VerifyError> {
        self.0.ok_or_else(|| VerifyError::malformed(PART, format!("member `{}` is missing", self.1)))
    }
}

impl<'a> Document<'a> {
    fn parse(payload: &'a [u8]) -> Result<Self, VerifyError> {
        let mut module_id = Once(None, "module_id");
        let mut digest = Once(None, "digest");
        let mut timestamp = Once(None, "timestamp");
        let mut pcrs = Once(None, "pcrs");
        let mut certificate = Once(None, "certificate");
        let mut bundle = Once(None, "cabundle");
        let mut public_key = Once(None, "public_key");
        let mut user_data = Once(None, "user_data");
        let mut nonce = Once(None, "nonce");

        let mut reader = Reader::new(payload, PART);
        let mut members = reader.map(Length::Either, "document")?;
        while reader.more(&mut members) {
            match reader.text("member name")? {
                "module_id" => module_id.set(reader.text("module_id")?)?,
                "digest" => digest.set(reader.text("digest")?)?,
                "timestamp" => timestamp.set(reader.unsigned("timestamp")?)?,
                "pcrs" => pcrs.set(read_pcrs(&mut reader)?)?,
                "certificate" => certificate.set(reader.bytes("certificate")?)?,
                "cabundle" => bundle.set(read_bundle(&mut reader)?)?,
                "public_key" => public_key.set(read_given(&mut reader, "public_key")?)?,
                "user_data" => user_data.set(read_given(&mut reader, "user_data")?)?,
                "nonce" => nonce.set(read_given(&mut reader, "nonce")?)?,
                "nitrotpm_pcrs" => {
                    return Err(VerifyError::unsupported(PART, "a nitrotpm document is not an enclave's document"));
                }
                _ => return Err(VerifyError::malformed(PART, "a member is not known")),
            }
        }
        reader.finish()?;

        if digest.required()? != "SHA384" {
            return Err(VerifyError::malformed(PART, "`digest` is not `SHA384`"));
        }
        let timestamp = timestamp.required()?;
        Ok(Self {
            module_id: checked_module_id(module_id.required()?)?,
            timestamp_ms: i64::try_from(timestamp)
                .map_err(|_| VerifyError::malformed(PART, "`timestamp` is out of range"))?,
            pcrs: pcrs.required()?,
            certificate: certificate.required()?,
            bundle: bundle.required()?,
            public_key: public_key.0.flatten(),
            user_data: user_data.0.flatten(),
            nonce: nonce.0.flatten(),
        })
    }

    /// The instance in the module id: `i-0827e799ec9232d44`.
    pub fn instance(&self) -> &'a str {
        self.module_id.split_once("-enc").map_or(self.module_id, |(instance, _)| instance)
    }

    /// Registers 0, 1 and 2: the measurements of the image.
    pub fn image(&self) -> impl Iterator<Item = &'a Pcr> {
        (0..3).filter_map(|index| self.pcrs.get(&index).copied())
    }
}

fn read_pcrs<'a>(reader: &mut Reader<'a>) -> Result<BTreeMap<u64, &'a Pcr>, VerifyError> {
    let bad = |detail: String| VerifyError::malformed(PART, detail);
    let mut pcrs = BTreeMap::new();
    let mut entries = reader.map(Length::Either, "pcrs")?;
    while reader.more(&mut entries) {
        let index = reader.unsigned("pcr index")?;
        if index >= REGISTERS {
            return Err(bad(format!("register {index} does not exist")));
        }
        let value = reader.bytes("pcr")?;
        let value = value.try_into().map_err(|_| bad(format!("register {index} has {} bytes, not 48", value.len())))?;
        if pcrs.insert(index, value).is_some() {
            return Err(bad(format!("register {index} stands twice")));
        }
    }
    // Without register 0 nobody can tell whether the enclave runs in debug mode.
    if pcrs.contains_key(&0) { Ok(pcrs) } else { Err(bad("register 0 is missing".to_owned())) }
}

fn read_bundle<'a>(reader: &mut Reader<'a>) -> Result<Vec<&'a [u8]>, VerifyError> {
    let mut bundle = Vec::new();
    let mut items = reader.array(Length::Either, "cabundle")?;
    while reader.more(&mut items) {
        if bundle.len() == MAX_BUNDLE {
            return Err(VerifyError::chain(PART, format!("`cabundle` has more than {MAX_BUNDLE} certificates")));
        }
        bundle.push(reader.bytes("cabundle")?);
    }
    Ok(bundle)
}

fn read_given<'a>(reader: &mut Reader<'a>, name: &str) -> Result<Option<&'a [u8]>, VerifyError> {
    let given = reader.bytes_or_null(name)?;
    match given.map_or(0, <[u8]>::len) {
        0..=MAX_GIVEN => Ok(given),
        length => Err(VerifyError::too_large(PART, format!("`{name}` has {length} bytes, at most {MAX_GIVEN}"))),
    }
}

/// `i-`, hexadecimal digits, `-enc`, hexadecimal digits.
fn checked_module_id(text: &str) -> Result<&str, VerifyError> {
    let hexadecimal =
        |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let well_formed = text.len() <= MAX_MODULE_ID
        && text
            .strip_prefix("i-")
            .and_then(|rest| rest.split_once("-enc"))
            .is_some_and(|(instance, enclave)| hexadecimal(instance) && hexadecimal(enclave));
    if well_formed {
        Ok(text)
    } else {
        Err(VerifyError::malformed(PART, "`module_id` is not of the form `i-…-enc…`"))
    }
}
