//! The claim that Windows makes about its platform, in the first form of a request: a quote with the values of all registers.
//!
//! `NCRYPT_TPM_PLATFORM_ATTESTATION_STATEMENT` of the Windows SDK (`ncrypt.h`), version 0: six numbers of 32 bits, little-endian
//! (magic `ALPT`, version, hash of the registers, lengths of signature, quote and registers), then signature, quote and the values of
//! the 24 registers, one after the other.

use std::collections::BTreeMap;

use crate::error::VerifyError;
use crate::formats::bytes::Reader;
use crate::formats::tcg::{Bank, PcrValues};

const PART: &str = "platform-claim";
const MAGIC: [u8; 4] = *b"ALPT";
/// Registers of a TPM on a PC.
const REGISTERS: u32 = 24;
/// The most bytes of a signature or a quote.
const MAX: u32 = 4_096;

/// A claim taken apart; nothing about it is believed.
#[derive(Debug)]
pub(super) struct PlatformClaim {
    /// TPMT_SIGNATURE.
    pub signature: Vec<u8>,
    /// TPMS_ATTEST.
    pub quote: Vec<u8>,
    /// All registers of one bank.
    pub pcrs: PcrValues,
}

impl PlatformClaim {
    /// Reads a claim with nothing behind it.
    ///
    /// # Errors
    /// `unsupported`: another magic, version or hash; `malformed`, `too-large`.
    pub fn parse(bytes: &[u8]) -> Result<Self, VerifyError> {
        let mut reader = Reader::new(bytes, PART);
        if *reader.array::<4>("magic")? != MAGIC {
            let detail =
                "the claim does not begin as a platform claim of Windows; send `attReqV2` with quote and registers";
            return Err(VerifyError::unsupported(PART, detail));
        }
        if reader.u32_le("version")? != 0 {
            return Err(VerifyError::unsupported(PART, "the claim is of another version than 0"));
        }
        let bank = u16::try_from(reader.u32_le("hash of the registers")?).ok().and_then(Bank::from_id);
        let bank = bank.ok_or_else(|| VerifyError::unsupported(PART, "the claim is about a bank of another hash"))?;
        let (signature, quote) = (reader.u32_le("length of the signature")?, reader.u32_le("length of the quote")?);
        if signature > MAX || quote > MAX {
            return Err(VerifyError::too_large(PART, format!("a signature or a quote of more than {MAX} bytes")));
        }
        let size = bank.size();
        let values = reader.u32_le("length of the registers")?;
        if usize::try_from(values).ok() != size.checked_mul(24) {
            return Err(VerifyError::malformed(PART, "the claim does not hold 24 registers of its bank"));
        }
        let length = |length: u32| usize::try_from(length).unwrap_or(usize::MAX);
        let signature = reader.take(length(signature), "signature")?.to_vec();
        let quote = reader.take(length(quote), "quote")?.to_vec();
        let mut registers = BTreeMap::new();
        for index in 0..REGISTERS {
            registers.insert(index, reader.take(size, "register")?.to_vec());
        }
        reader.finish()?;
        Ok(Self { signature, quote, pcrs: PcrValues::from([(bank, registers)]) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(numbers: [u32; 5], rest: &[u8]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        numbers.iter().for_each(|number| bytes.extend(number.to_le_bytes()));
        bytes.extend(rest);
        bytes
    }

    #[test]
    fn a_claim_is_read_whole_and_each_number_counts() {
        let rest = [&[1, 2][..], &[3, 4, 5], &[9; 24 * 32]].concat();
        let good = PlatformClaim::parse(&claim([0, 0x0b, 2, 3, 768], &rest)).unwrap();
        assert_eq!((good.signature, good.quote), (vec![1, 2], vec![3, 4, 5]));
        assert_eq!(good.pcrs[&Bank::Sha256].len(), 24);
        assert_eq!(good.pcrs[&Bank::Sha256][&23], vec![9; 32]);
        for (numbers, rest, code) in [
            ([1, 0x0b, 2, 3, 768], &rest[..], "unsupported"),
            ([0, 0x12, 2, 3, 768], &rest, "unsupported"),
            ([0, 0x1_000b, 2, 3, 768], &rest, "unsupported"),
            ([0, 0x04, 2, 3, 768], &rest, "malformed"),
            ([0, 0x0b, 2, 3, 736], &rest, "malformed"),
            ([0, 0x0b, 3, 3, 768], &rest, "malformed"),
            ([0, 0x0b, 2, 2, 768], &rest, "malformed"),
            ([0, 0x0b, u32::MAX, 3, 768], &rest, "too-large"),
            ([0, 0x0b, 2, u32::MAX, 768], &rest, "too-large"),
            ([0, 0x0b, 2, 3, 768], &rest[..100], "malformed"),
        ] {
            assert_eq!(PlatformClaim::parse(&claim(numbers, rest)).unwrap_err().code(), code, "{numbers:?}");
        }
        let mut other = claim([0, 0x0b, 2, 3, 768], &rest);
        other[..4].copy_from_slice(b"PADS");
        assert_eq!(PlatformClaim::parse(&other).unwrap_err().code(), "unsupported");
        for cut in 0..24 {
            assert_eq!(
                PlatformClaim::parse(&claim([0, 0x0b, 2, 3, 768], &rest)[..cut]).unwrap_err().code(),
                "malformed"
            );
        }
    }
}
