//! Which registers are quoted, their values, and a quote that fits them.
//!
//! TCG *Trusted Platform Module Library*, part 1, section 17 (PCR operations); part 3, section 18.4 (TPM2_Quote): the digest is over
//! the values in the order of the selection, by the hash of the signature.

use std::collections::BTreeMap;

use openssl::hash::{MessageDigest, hash};
use serde_json::{Map, Value};

use super::answers::{self, Attested, Selected};
use super::commands::{Loaded, Tpm};
use super::fault::TpmError;
use super::wire::Garbled;

/// Registers that a platform has.
const REGISTERS: u32 = 24;
/// How often registers are read and quoted before it is given up: between the two, something may be measured.
const ATTEMPTS: usize = 8;

/// A bank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bank {
    /// TPM_ALG_SHA1. It vouches for nothing by itself; a server shows it.
    Sha1,
    /// TPM_ALG_SHA256.
    Sha256,
    /// TPM_ALG_SHA384.
    Sha384,
    /// TPM_ALG_SHA512.
    Sha512,
}

impl Bank {
    const ALL: [Self; 4] = [Self::Sha1, Self::Sha256, Self::Sha384, Self::Sha512];

    /// TPM_ALG_ID.
    pub fn id(self) -> u16 {
        match self {
            Self::Sha1 => 0x0004,
            Self::Sha256 => 0x000b,
            Self::Sha384 => 0x000c,
            Self::Sha512 => 0x000d,
        }
    }
    /// The name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }
    fn size(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
    fn digest(self) -> MessageDigest {
        match self {
            Self::Sha1 => MessageDigest::sha1(),
            Self::Sha256 => MessageDigest::sha256(),
            Self::Sha384 => MessageDigest::sha384(),
            Self::Sha512 => MessageDigest::sha512(),
        }
    }
    /// The bank of a TPM_ALG_ID.
    pub fn of(id: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|bank| bank.id() == id)
    }
}

/// Registers by bank, in the order in which they are quoted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection(Vec<(Bank, Vec<u32>)>);

impl Selection {
    /// Reads `sha256:0,1,7+sha384:all`.
    ///
    /// # Errors
    /// [`TpmError::Selection`].
    pub fn parse(given: &str) -> Result<Self, TpmError> {
        let wrong = |detail: String| TpmError::Selection { given: given.to_owned(), detail };
        let mut banks = BTreeMap::new();
        for part in given.split('+') {
            let (name, list) =
                part.split_once(':').ok_or_else(|| wrong("a bank, `:` and its registers are wanted".to_owned()))?;
            let bank = Bank::ALL.into_iter().find(|bank| bank.as_str() == name);
            let bank = bank.ok_or_else(|| wrong(format!("there is no bank `{name}`")))?;
            let mut indexes: Vec<u32> = match list {
                "all" => (0..REGISTERS).collect(),
                list => list
                    .split(',')
                    .map(|index| index.parse().ok().filter(|index| *index < REGISTERS))
                    .collect::<Option<_>>()
                    .ok_or_else(|| wrong("registers are numbers from 0 to 23".to_owned()))?,
            };
            indexes.sort_unstable();
            let count = indexes.len();
            indexes.dedup();
            if count != indexes.len() || banks.insert(bank, indexes).is_some() {
                return Err(wrong("something in it stands twice".to_owned()));
            }
        }
        Ok(Self(banks.into_iter().collect()))
    }

    /// What is quoted where nothing is said: SHA-256 whole, and SHA-384 whole where the bank is active.
    pub fn usual(tpm: &Tpm) -> Result<Self, TpmError> {
        let banks = tpm.banks()?;
        let chosen: Vec<_> = [Bank::Sha256, Bank::Sha384]
            .into_iter()
            .filter_map(|bank| {
                let indexes: Vec<u32> = registers(&banks, bank).into_iter().filter(|i| *i < REGISTERS).collect();
                (!indexes.is_empty()).then_some((bank, indexes))
            })
            .collect();
        if chosen.first().is_none_or(|(bank, _)| *bank != Bank::Sha256) {
            return Err(TpmError::NoBank { what: "active bank `sha256`".to_owned() });
        }
        Ok(Self(chosen))
    }

    /// Refuses what the TPM does not have.
    fn check(&self, tpm: &Tpm) -> Result<(), TpmError> {
        let banks = tpm.banks()?;
        for (bank, wanted) in &self.0 {
            let has = registers(&banks, *bank);
            if has.is_empty() {
                return Err(TpmError::NoBank { what: format!("active bank `{}`", bank.as_str()) });
            }
            if let Some(index) = wanted.iter().find(|index| !has.contains(index)) {
                return Err(TpmError::NoBank { what: format!("register {index} in the bank `{}`", bank.as_str()) });
            }
        }
        Ok(())
    }

    fn on_the_wire(&self) -> Vec<Selected> {
        self.0.iter().map(|(bank, indexes)| (bank.id(), indexes.clone())).collect()
    }
}

/// The registers of a bank among what GetCapability says.
pub fn registers(banks: &[Selected], bank: Bank) -> Vec<u32> {
    banks.iter().filter(|(id, _)| *id == bank.id()).flat_map(|(_, indexes)| indexes.iter().copied()).collect()
}

/// Values by bank and register.
type Values = BTreeMap<(u16, u32), Vec<u8>>;

/// A quote, and the values that it is over.
#[derive(Debug)]
pub struct Quote {
    /// TPMS_ATTEST and TPMT_SIGNATURE.
    pub attested: Attested,
    values: Values,
}

impl Quote {
    /// Quotes the registers with `key` over `data`, until values and quote belong together.
    ///
    /// # Errors
    /// [`TpmError`].
    pub fn take(tpm: &Tpm, key: &Loaded<'_>, data: &[u8; 32], selection: &Selection) -> Result<Self, TpmError> {
        selection.check(tpm)?;
        let wanted = selection.on_the_wire();
        for _ in 0..ATTEMPTS {
            let values = read(tpm, &wanted)?;
            let attested = tpm.quote(key, data, &wanted)?;
            let quoted = answers::quoted(&attested.attest).map_err(|detail| tpm.garbled("Quote", detail))?;
            if quoted.extra_data != data || quoted.selected != wanted {
                let detail = Garbled("the quote is not over what was asked");
                return Err(tpm.garbled("Quote", detail));
            }
            let md = Bank::of(attested.hash).ok_or_else(|| tpm.garbled("Quote", Garbled("its hash is unknown")))?;
            if digest(&wanted, &values, md).is_some_and(|digest| digest == quoted.digest) {
                return Ok(Self { attested, values });
            }
        }
        Err(TpmError::Restless { attempts: ATTEMPTS })
    }

    /// `{"sha256": {"0": "<hex>", …}, …}`.
    pub fn values(&self) -> Value {
        let mut banks = Map::new();
        for ((id, index), value) in &self.values {
            let Some(bank) = Bank::of(*id) else { continue };
            let bank = banks.entry(bank.as_str()).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(bank) = bank {
                bank.insert(index.to_string(), Value::String(hex::encode(value)));
            }
        }
        Value::Object(banks)
    }
}

/// The digest over the values, in the order of the selection.
fn digest(selected: &[Selected], values: &Values, by: Bank) -> Option<Vec<u8>> {
    let mut all = Vec::new();
    for (bank, indexes) in selected {
        for index in indexes {
            all.extend_from_slice(values.get(&(*bank, *index))?);
        }
    }
    hash(by.digest(), &all).ok().map(|digest| digest.to_vec())
}

/// Reads all of these registers; a TPM gives eight at a time.
fn read(tpm: &Tpm, wanted: &[Selected]) -> Result<Values, TpmError> {
    let mut values = Values::new();
    loop {
        let left: Vec<Selected> = wanted
            .iter()
            .map(|(bank, indexes)| {
                (
                    *bank,
                    indexes.iter().copied().filter(|index| !values.contains_key(&(*bank, *index))).collect::<Vec<_>>(),
                )
            })
            .filter(|(_, indexes)| !indexes.is_empty())
            .collect();
        if left.is_empty() {
            return Ok(values);
        }
        let (selected, digests) = tpm.registers(&left)?;
        let garbled = |detail| tpm.garbled("PCR_Read", Garbled(detail));
        let read: Vec<(u16, u32)> =
            selected.iter().flat_map(|(bank, indexes)| indexes.iter().map(|index| (*bank, *index))).collect();
        if read.is_empty() || read.len() != digests.len() {
            return Err(garbled("values and registers are not as many"));
        }
        for (register, value) in read.into_iter().zip(digests) {
            let asked = left.iter().any(|(bank, indexes)| *bank == register.0 && indexes.contains(&register.1));
            let fits = Bank::of(register.0).is_some_and(|bank| bank.size() == value.len());
            if !asked || !fits || values.insert(register, value).is_some() {
                return Err(garbled("a register was not asked for, or its value has another length"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selections_are_read_sorted_and_never_twice() {
        let of = |given: &str| Selection::parse(given).map(|selection| selection.0);
        assert_eq!(of("sha256:7,0").unwrap(), [(Bank::Sha256, vec![0, 7])]);
        let both = of("sha384:1+sha256:all").unwrap();
        assert_eq!(both, [(Bank::Sha256, (0..24).collect()), (Bank::Sha384, vec![1])]);
        for given in ["", "sha256", "sha256:", "md5:1", "sha256:24", "sha256:1,1", "sha256:1+sha256:2", "sha256:-1"] {
            assert_eq!(of(given).unwrap_err().code(), "config-invalid", "{given}");
        }
    }

    #[test]
    fn the_digest_follows_the_order_of_the_selection_and_needs_every_value() {
        let values = Values::from([((0x0b, 0), vec![1; 32]), ((0x0b, 7), vec![2; 32]), ((0x0c, 0), vec![3; 48])]);
        let selected = [(0x0b, vec![0, 7]), (0x0c, vec![0])];
        let whole = [vec![1_u8; 32], vec![2; 32], vec![3; 48]].concat();
        assert_eq!(digest(&selected, &values, Bank::Sha256).unwrap(), openssl::sha::sha256(&whole));
        assert_eq!(digest(&[(0x0b, vec![0, 1])], &values, Bank::Sha256), None);
    }
}
