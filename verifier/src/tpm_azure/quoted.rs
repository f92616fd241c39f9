//! A state of the machine as its quote bears it out. TPM and VBS attestation protocol, section 3, checks 6 to 8.

use super::payload::State;
use crate::error::VerifyError;
use crate::formats::tcg::{Bank, PcrValues};
use crate::formats::tpm::{Attest, ClockInfo, QuoteFacts, Signature, verify_quote};
use crate::memo::Memo;

/// Banks in the order in which they are taken to replay a log.
const PREFERRED: [Bank; 3] = [Bank::Sha256, Bank::Sha384, Bank::Sha512];
/// Registers of a TPM on a PC.
const REGISTERS: u32 = 24;

/// What the quote says.
#[derive(Debug)]
pub(super) struct Quoted<'a> {
    /// The registers that were quoted.
    pub pcrs: &'a PcrValues,
    /// Clock and counters.
    pub clock: ClockInfo,
    /// The vendor's number of the firmware, shifted like the counters.
    pub firmware_version: u64,
}

impl<'a> Quoted<'a> {
    /// Checks a quote by the attestation key of its state: magic, type, qualifying data, selection, digest, signature. `None`: it
    /// answers nothing.
    ///
    /// # Errors
    /// As [`Attest::parse`], [`Signature::parse`] and [`verify_quote`]; `unsupported.tpm-signature` for one over SHA-1.
    pub fn check(state: &'a State, qualifying_data: Option<&[u8]>, memo: &Memo) -> Result<Self, VerifyError> {
        let attest = Attest::parse(&state.quote)?;
        let signature = Signature::parse(&state.signature)?;
        if !signature.hash.is_strong() {
            return Err(VerifyError::unsupported("tpm-signature", "the quote is signed over sha1"));
        }
        let facts = QuoteFacts {
            attest: &attest,
            signature: &signature,
            pcrs: &state.pcrs,
            key: &state.aik.key,
            qualifying_data,
        };
        verify_quote(&facts, memo)?;
        Ok(Self { pcrs: &state.pcrs, clock: attest.clock, firmware_version: attest.firmware_version })
    }

    /// The bank whose registers count: stronger than SHA-1, SHA-256 before others, with every register of the mask.
    ///
    /// # Errors
    /// `unsupported.pcr-bank`: SHA-1 alone; `binding-mismatch.required-pcrs`: a register of the mask was not quoted.
    pub fn bank(&self, mask: u32) -> Result<Bank, VerifyError> {
        let strong: Vec<Bank> = PREFERRED.into_iter().filter(|bank| self.pcrs.contains_key(bank)).collect();
        if strong.is_empty() {
            return Err(VerifyError::unsupported("pcr-bank", "no bank stronger than sha1 was quoted"));
        }
        let has = |bank: Bank, index: u32| self.pcrs.get(&bank).is_some_and(|bank| bank.contains_key(&index));
        let wanted = |index: &u32| mask >> index & 1 == 1;
        let whole = |bank: &Bank| (0..REGISTERS).filter(wanted).all(|index| has(*bank, index));
        strong.into_iter().find(whole).ok_or_else(|| {
            let detail = "the policy requires registers that no bank stronger than sha1 was quoted with";
            VerifyError::binding("required-pcrs", detail)
        })
    }
}

/// Holds the state before a sleep against the state now: of the same TPM since the same reset, and earlier (check 10).
///
/// # Errors
/// `binding-mismatch.boot-attestation`: another key; `freshness-failed.reset-count`, `freshness-failed.clock`.
pub(super) fn before(boot: (&State, &Quoted<'_>), current: (&State, &Quoted<'_>)) -> Result<(), VerifyError> {
    if boot.0.aik.key.digest() != current.0.aik.key.digest() {
        return Err(VerifyError::binding("boot-attestation", "the two states are of two attestation keys"));
    }
    let (then, now) = (boot.1.clock, current.1.clock);
    if then.reset_count != now.reset_count {
        return Err(VerifyError::freshness("reset-count", "the machine was reset between its two states"));
    }
    // The counter of resumes is shifted by a constant: gone back is what is less by its wrapping difference.
    if now.restart_count.wrapping_sub(then.restart_count) > u32::MAX / 2 || then.clock > now.clock {
        return Err(VerifyError::freshness("clock", "the state before the sleep is younger than the state after it"));
    }
    Ok(())
}
