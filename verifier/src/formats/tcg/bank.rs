//! PCR banks: a register per index, one value for each hash algorithm.
//!
//! TCG *Trusted Platform Module Library*, part 2, section 6.3 (TPM_ALG_ID); part 1, section 17 (PCR operations).

use std::collections::BTreeMap;

use openssl::sha::{Sha1, Sha256, Sha384, Sha512};

/// A hash algorithm of a PCR bank. SHA-1 is read so that it can be shown; it vouches for nothing by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bank {
    /// TPM_ALG_SHA1, 20 bytes.
    Sha1,
    /// TPM_ALG_SHA256, 32 bytes.
    Sha256,
    /// TPM_ALG_SHA384, 48 bytes.
    Sha384,
    /// TPM_ALG_SHA512, 64 bytes.
    Sha512,
}

/// Values of registers: bank, index, digest of the bank's length.
pub type PcrValues = BTreeMap<Bank, BTreeMap<u32, Vec<u8>>>;

impl Bank {
    /// Every bank, the weakest first.
    pub const ALL: &'static [Bank] = &[Self::Sha1, Self::Sha256, Self::Sha384, Self::Sha512];

    /// The bank of a TPM_ALG_ID.
    pub fn from_id(id: u16) -> Option<Self> {
        Self::ALL.iter().copied().find(|bank| bank.id() == id)
    }

    /// The bank of a name in claims and requests, exactly: `sha1`, `sha256`, `sha384`, `sha512`.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|bank| bank.as_str() == name)
    }

    /// TPM_ALG_ID.
    pub const fn id(self) -> u16 {
        match self {
            Self::Sha1 => 0x0004,
            Self::Sha256 => 0x000b,
            Self::Sha384 => 0x000c,
            Self::Sha512 => 0x000d,
        }
    }

    /// The name in claims and requests.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    /// Length of a digest in bytes.
    pub const fn size(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// Whether the bank may vouch for anything by itself.
    pub const fn is_strong(self) -> bool {
        !matches!(self, Self::Sha1)
    }

    /// The digest of the parts, one after the other.
    pub fn digest(self, parts: &[&[u8]]) -> Vec<u8> {
        macro_rules! digest {
            ($hash:ident) => {{
                let mut hash = $hash::new();
                parts.iter().for_each(|part| hash.update(part));
                hash.finish().to_vec()
            }};
        }
        match self {
            Self::Sha1 => digest!(Sha1),
            Self::Sha256 => digest!(Sha256),
            Self::Sha384 => digest!(Sha384),
            Self::Sha512 => digest!(Sha512),
        }
    }

    /// What a register of this bank holds after `measured` was extended into `register`.
    pub fn extend(self, register: &[u8], measured: &[u8]) -> Vec<u8> {
        self.digest(&[register, measured])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_numbers_and_lengths_are_those_of_the_library_specification() {
        for bank in Bank::ALL {
            assert_eq!(Bank::from_id(bank.id()), Some(*bank));
            assert_eq!(Bank::parse(bank.as_str()), Some(*bank));
            assert_eq!(bank.digest(&[b"a", b"bc"]).len(), bank.size());
        }
        assert_eq!(Bank::from_id(0x0012), None, "SM3 is not served");
        assert_eq!(Bank::parse("SHA256"), None);
        assert_eq!(
            hex::encode(Bank::Sha256.extend(&[0; 32], &[0; 32])),
            "f5a5fd42d16a20302798ef6ed309979b43003d2320d9f0e8ea9831a92759fb4b"
        );
    }
}
