//! Which registers of which banks: TPML_PCR_SELECTION. Part 2, sections 10.6.1, 10.6.2 and 10.9.7.

use std::collections::BTreeMap;

use super::algorithm;
use crate::error::VerifyError;
use crate::formats::bytes::Reader;
use crate::formats::tcg::{Bank, PcrValues};

const PART: &str = "pcr-selection";
/// The most banks of a TPM, HASH_COUNT.
const MAX_BANKS: u32 = 16;
/// Bytes of a bit map: 24 registers, as the PC Client profile fixes them.
const MAP: u8 = 3;

/// The registers that a quote is over, in the order of the quote: banks as they stand, indices upwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PcrSelection {
    /// Bank and bit map, bit 0 for register 0.
    banks: Vec<(Bank, u32)>,
}

impl PcrSelection {
    /// Reads a list of selections.
    ///
    /// # Errors
    /// `malformed`: nothing is selected, a bank stands twice or selects nothing, a bit map of another length than three bytes, more
    /// than 16 banks; `unsupported`: a bank of another hash.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, VerifyError> {
        let bad = |detail: String| VerifyError::malformed(PART, detail);
        let count = reader.u32_be("count of selections")?;
        if count == 0 {
            return Err(bad("nothing is selected".into()));
        }
        if count > MAX_BANKS {
            return Err(bad(format!("{count} selections, at most {MAX_BANKS}")));
        }
        let mut banks: Vec<(Bank, u32)> = Vec::new();
        for _ in 0..count {
            let bank = algorithm::hash(reader.u16_be("bank")?, "pcr-bank")?;
            let size = reader.u8("size of the bit map")?;
            if size != MAP {
                return Err(bad(format!("a bit map of {size} bytes, three are read")));
            }
            let [low, middle, high] = *reader.array("bit map")?;
            let map = u32::from_le_bytes([low, middle, high, 0]);
            if banks.iter().any(|(known, _)| *known == bank) {
                return Err(bad(format!("bank `{}` stands twice", bank.as_str())));
            }
            if map == 0 {
                return Err(bad(format!("nothing is selected of bank `{}`", bank.as_str())));
            }
            banks.push((bank, map));
        }
        Ok(Self { banks })
    }

    /// The banks with their registers, by name: `sha256`, indices upwards.
    pub fn banks(&self) -> impl Iterator<Item = (&'static str, Vec<u32>)> {
        self.banks.iter().map(|(bank, map)| (bank.as_str(), registers(*map).collect()))
    }

    /// Whether a bank stronger than SHA-1 is among them.
    pub(crate) fn has_strong_bank(&self) -> bool {
        self.banks.iter().any(|(bank, _)| bank.is_strong())
    }

    /// Whether the values are of exactly these registers: by bank and index, never by position (TPM-03, TPM-04).
    pub(crate) fn is_of(&self, values: &PcrValues) -> bool {
        let given: BTreeMap<Bank, Vec<u32>> =
            values.iter().map(|(bank, registers)| (*bank, registers.keys().copied().collect())).collect();
        let selected: BTreeMap<Bank, Vec<u32>> =
            self.banks.iter().map(|(bank, map)| (*bank, registers(*map).collect())).collect();
        given == selected
    }

    /// The digest over the values in the order of the selection, by the hash of the signature. Part 1, section 17.5. `None`: a
    /// value is missing.
    pub(crate) fn digest(&self, values: &PcrValues, hash: Bank) -> Option<Vec<u8>> {
        let mut parts: Vec<&[u8]> = Vec::new();
        for (bank, map) in &self.banks {
            let bank = values.get(bank)?;
            for index in registers(*map) {
                parts.push(bank.get(&index)?);
            }
        }
        Some(hash.digest(&parts))
    }
}

fn registers(map: u32) -> impl Iterator<Item = u32> {
    (0..24).filter(move |index| map >> index & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<PcrSelection, VerifyError> {
        let mut reader = Reader::new(bytes, PART);
        let selection = PcrSelection::read(&mut reader)?;
        reader.finish()?;
        Ok(selection)
    }

    #[test]
    fn tpm_05_a_selection_says_something_once_and_in_three_bytes() {
        let good = read(&[0, 0, 0, 2, 0, 0x0b, 3, 0x01, 0, 0x80, 0, 0x04, 3, 0x81, 0, 0]).unwrap();
        let banks: Vec<_> = good.banks().collect();
        assert_eq!(banks, [("sha256", vec![0, 23]), ("sha1", vec![0, 7])]);
        for (bytes, code) in [
            (&[0, 0, 0, 0][..], "malformed"),
            (&[0, 0, 0, 1, 0, 0x0b, 0], "malformed"),
            (&[0, 0, 0, 1, 0, 0x0b, 4, 1, 0, 0, 0], "malformed"),
            (&[0, 0, 0, 1, 0, 0x0b, 255, 1, 0, 0], "malformed"),
            (&[0, 0, 0, 1, 0, 0x0b, 3, 0, 0, 0], "malformed"),
            (&[0, 0, 0, 2, 0, 0x0b, 3, 1, 0, 0, 0, 0x0b, 3, 1, 0, 0], "malformed"),
            (&[0, 0, 0, 17, 0, 0x0b, 3, 1, 0, 0], "malformed"),
            (&[0xff, 0xff, 0xff, 0xff], "malformed"),
            (&[0, 0, 0, 2, 0, 0x0b, 3, 1, 0, 0], "malformed"),
            (&[0, 0, 0, 1, 0, 0x12, 3, 1, 0, 0], "unsupported"),
            (&[0, 0, 0, 1, 0, 0x00, 3, 1, 0, 0], "unsupported"),
        ] {
            assert_eq!(read(bytes).unwrap_err().code(), code, "{bytes:?}");
        }
    }
}
