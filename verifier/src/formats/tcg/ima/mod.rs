//! IMA: the files that a Linux kernel measured into PCR 10 as it ran them.
//!
//! Linux, `Documentation/security/IMA-templates.rst`; catalogue of bad inputs, row TPM-31. A list goes on growing while it is read
//! and quoted: what PCR 10 holds must be some beginning of the list, never more than it. What comes after that beginning is not
//! believed.
//!
//! Since Linux 5.8 every bank is extended with the digest of an entry's fields in the bank's own algorithm; before, banks other
//! than SHA-1 got the SHA-1 digest filled up with zeros. Both are tried, and a list is in one of the two forms from its first entry
//! to its last. In the second form SHA-256 stands on SHA-1, and the claim `padded_sha1` says so.

mod allow;
mod binary;
mod claims;
mod entry;
mod text;

pub use allow::AllowList;

use crate::error::VerifyError;
use crate::formats::tcg::Bank;
use crate::formats::tcg::event_log::Registers;

use entry::Entry;

/// The part at fault in refusals of this module.
const PART: &str = "ima-log";
/// The register that IMA extends.
const PCR: u32 = 10;
/// The longest list that is read, in bytes.
pub const MAX_LOG: usize = 16 << 20;
/// The most entries that are read.
pub const MAX_ENTRIES: usize = 131_072;

/// A list that parses. It proves nothing yet.
#[derive(Debug, Clone)]
pub struct ImaLog<'a> {
    entries: Vec<Entry<'a>>,
}

impl<'a> ImaLog<'a> {
    /// Reads a list, as text or in bytes, whichever it is.
    ///
    /// # Errors
    /// `too-large.ima-log` beyond [`MAX_LOG`] or [`MAX_ENTRIES`], `malformed.ima-log`, `malformed.ima-violation` for an entry of
    /// zeros, `unsupported.ima-template` and `unsupported.ima-algorithm`, `unsupported.ima-log` for another register than PCR 10.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, VerifyError> {
        if bytes.len() > MAX_LOG {
            return Err(VerifyError::too_large(PART, format!("a list of {} bytes; {MAX_LOG} are read", bytes.len())));
        }
        let mut entries = Vec::new();
        let add = |entry: Entry<'a>| {
            if entries.len() >= MAX_ENTRIES {
                return Err(VerifyError::too_large(PART, format!("more than {MAX_ENTRIES} entries")));
            }
            entries.push(entry);
            Ok(())
        };
        match bytes {
            [] => return Err(VerifyError::malformed(PART, "the list is empty")),
            // PCR 10 is a line feed and three zeros in bytes; as text a line begins with a digit, or a space before it.
            [b'0'..=b'9' | b' ', ..] => text::parse(bytes, add)?,
            _ => binary::parse(bytes, add)?,
        }
        Ok(Self { entries })
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none; a list that parses has one.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What PCR 10 holds after the whole list, by the list alone, in the form of newer kernels.
    pub fn replay(&self, bank: Bank) -> Vec<u8> {
        self.entries.iter().fold(vec![0; bank.size()], |value, entry| bank.extend(&value, &entry.fields(bank)))
    }

    /// Finds the beginning of the list that the quoted PCR 10 stands for, and makes it believable.
    ///
    /// `quoted` are the registers of the bank; those beside PCR 10 are looked at for the boot aggregate.
    ///
    /// # Errors
    /// `binding-mismatch.ima-log`: PCR 10 is not quoted, was never extended, or holds what no beginning of the list gives.
    pub fn check(self, bank: Bank, quoted: &Registers) -> Result<MeasuredFiles<'a>, VerifyError> {
        let Some(held) = quoted.get(&PCR) else {
            return Err(VerifyError::binding(PART, "the list is for PCR 10, which is not quoted"));
        };
        for padded in [false, true] {
            if padded && bank == Bank::Sha1 {
                break;
            }
            let Some(count) = self.beginning(bank, held, padded)? else { continue };
            let mut entries = self.entries;
            let left = entries.len().saturating_sub(count);
            entries.truncate(count);
            let aggregate = claims::aggregate(&entries, bank, quoted);
            return Ok(MeasuredFiles { entries, left, padded, aggregate });
        }
        Err(VerifyError::binding(PART, "no beginning of the list gives the quoted PCR 10"))
    }

    /// How many entries give what is quoted. Where SHA-1 counts, an entry's fields must have the digest that the list shows.
    fn beginning(&self, bank: Bank, held: &[u8], padded: bool) -> Result<Option<usize>, VerifyError> {
        let mut value = vec![0; bank.size()];
        for (index, entry) in self.entries.iter().enumerate() {
            let mut measured = entry.fields(if padded { Bank::Sha1 } else { bank });
            if measured.len() == 20 && measured != entry.sha1 {
                return Err(VerifyError::binding(PART, "the fields of an entry do not have the digest that it shows"));
            }
            measured.resize(bank.size(), 0);
            value = bank.extend(&value, &measured);
            if value == held {
                return Ok(index.checked_add(1));
            }
        }
        Ok(None)
    }
}

/// The beginning of a list that the quoted PCR 10 bears out. Made by [`ImaLog::check`] alone.
#[derive(Debug, Clone)]
pub struct MeasuredFiles<'a> {
    entries: Vec<Entry<'a>>,
    /// Entries behind the quoted beginning; not believed.
    left: usize,
    padded: bool,
    /// Whether the first entry is the digest of the quoted boot registers; `None` where they are not quoted.
    aggregate: Option<bool>,
}
