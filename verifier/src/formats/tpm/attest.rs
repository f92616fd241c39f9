//! What a TPM says about itself: TPMS_ATTEST. Part 2, section 10.12.
//!
//! Served are quotes (TPMS_QUOTE_INFO) and certified names (TPMS_CERTIFY_INFO); the other types are recognised and refused, so that
//! one is never taken for another.

use super::PcrSelection;
use super::public::Name;
use crate::error::VerifyError;
use crate::formats::bytes::Reader;

const PART: &str = "attest";
/// TPM_GENERATED_VALUE: a restricted key signs nothing from outside that begins so.
const MAGIC: u32 = 0xff54_4347;
/// The most bytes of a structure: a quote over 16 banks with the longest names and data has under 500.
const MAX: usize = 4_096;
/// The most bytes of extra data: a TPMT_HA of SHA-512.
const MAX_DATA: usize = 66;

/// TPMS_CLOCK_INFO. Part 2, section 10.11.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockInfo {
    /// Milliseconds that the TPM was powered, since its owner was last cleared.
    pub clock: u64,
    /// Resets since the last clear; for keys outside the endorsement and platform hierarchies plus a constant of each key.
    pub reset_count: u32,
    /// Resumes since the last reset; obfuscated alike.
    pub restart_count: u32,
    /// No greater value of `clock` was reported before.
    pub safe: bool,
}

/// What is attested.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Attested<'a> {
    /// TPM_ST_ATTEST_QUOTE: values of registers.
    Quote {
        /// Which registers.
        selection: PcrSelection,
        /// The digest over their values, by the hash of the signature.
        digest: &'a [u8],
    },
    /// TPM_ST_ATTEST_CERTIFY: an object of this name is loaded in the TPM.
    Certify {
        /// Name of the object: two bytes of algorithm and a digest.
        name: &'a [u8],
        /// Its name qualified by those of its parents.
        qualified_name: &'a [u8],
    },
}

/// A well-formed attestation; nothing about it is believed before the signature over its bytes is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attest<'a> {
    bytes: &'a [u8],
    /// Name of the signing key, qualified by those of its parents.
    pub qualified_signer: &'a [u8],
    /// Qualifying data, as the caller of the TPM gave them.
    pub extra_data: &'a [u8],
    /// Clock and counters.
    pub clock: ClockInfo,
    /// The vendor's number of the firmware; obfuscated like the counters.
    pub firmware_version: u64,
    /// What is attested.
    pub attested: Attested<'a>,
}

impl<'a> Attest<'a> {
    /// Reads a TPMS_ATTEST with nothing behind it, at most 4 KiB.
    ///
    /// # Errors
    /// In this order: `signature-invalid.magic` for what no TPM made; `malformed.attest-type` for another type than quote and
    /// certify; `malformed` or `unsupported` for the rest; `too-large`.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, VerifyError> {
        if bytes.len() > MAX {
            return Err(VerifyError::too_large(PART, format!("{} bytes, at most {MAX}", bytes.len())));
        }
        let mut reader = Reader::new(bytes, PART);
        if reader.u32_be("magic")? != MAGIC {
            return Err(VerifyError::signature("magic", "the structure does not begin as what a tpm makes"));
        }
        let kind = reader.u16_be("type")?;
        if let Some(other) = other_type(kind) {
            return Err(VerifyError::malformed("attest-type", format!("{other}, neither quote nor certify")));
        }
        let qualified_signer = Name::read(&mut reader, "qualified signer")?;
        let extra_data = reader.sized_be("extra data", MAX_DATA)?;
        let clock = ClockInfo {
            clock: reader.u64_be("clock")?,
            reset_count: reader.u32_be("reset count")?,
            restart_count: reader.u32_be("restart count")?,
            safe: match reader.u8("safe")? {
                0 => false,
                1 => true,
                other => return Err(VerifyError::malformed(PART, format!("`safe` is {other}, neither yes nor no"))),
            },
        };
        let firmware_version = reader.u64_be("firmware version")?;
        let attested = if kind == QUOTE {
            let selection = PcrSelection::read(&mut reader)?;
            Attested::Quote { selection, digest: reader.sized_be("digest of the registers", 64)? }
        } else {
            let name = Name::read(&mut reader, "name")?;
            Attested::Certify { name, qualified_name: Name::read(&mut reader, "qualified name")? }
        };
        reader.finish()?;
        Ok(Self { bytes, qualified_signer, extra_data, clock, firmware_version, attested })
    }

    /// The bytes that are signed.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

/// TPM_ST_ATTEST_QUOTE.
const QUOTE: u16 = 0x8018;
/// TPM_ST_ATTEST_CERTIFY.
const CERTIFY: u16 = 0x8017;

/// What a type is that is not served. Part 2, section 6.9 (TPM_ST).
fn other_type(kind: u16) -> Option<String> {
    Some(match kind {
        QUOTE | CERTIFY => return None,
        0x8014 => "the attestation is of an nv index".into(),
        0x8015 => "the attestation is of an audited command".into(),
        0x8016 => "the attestation is of an audited session".into(),
        0x8019 => "the attestation is of a time".into(),
        0x801a => "the attestation is of a creation".into(),
        0x801c => "the attestation is of the digest of an nv index".into(),
        other => format!("the attestation is of the unknown type 0x{other:04x}"),
    })
}
