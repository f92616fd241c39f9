//! Logs held against the registers that were quoted, and what they say then. TPM and VBS attestation protocol, section 3, check 9, and
//! section 5.
//!
//! The logs of a state are one log in parts. What was measured into a register that was not quoted counts for nothing and is left out:
//! the policy's mask says which must be quoted.

use serde_json::{Map, Value};

use super::payload::{LogKind, State};
use super::quoted::Quoted;
use crate::error::VerifyError;
use crate::formats::tcg::Bank;
use crate::formats::tcg::event_log::{EventLog, LogKind as Format, Registers, Replayed};
use crate::formats::tcg::ima::ImaLog;

const PART: &str = "event-log";
/// The register that Linux extends with what it runs.
const IMA_REGISTER: u32 = 10;

/// What the logs of a state say.
#[derive(Debug)]
pub(super) struct Explained {
    /// The bank that was compared.
    pub bank: Bank,
    /// `{"Events": […]}`.
    pub events: String,
    /// The verdicts for policies of versions 1.0 and 1.1.
    pub verdicts: Map<String, Value>,
}

/// Replays the logs of states, one after the other, to the registers that were quoted, in every bank that both have.
///
/// # Errors
/// `binding-mismatch.event-log`: the registers hold something else, or there is no log; as [`EventLog::parse`] and
/// [`EventLog::check`].
pub(super) fn explain(states: &[&State], quoted: &Quoted<'_>, bank: Bank) -> Result<Explained, VerifyError> {
    let mut whole: Option<EventLog<'_>> = None;
    for log in states.iter().flat_map(|state| &state.logs) {
        if log.kind == LogKind::Ima {
            continue;
        }
        let part = EventLog::parse(&log.bytes, Format::Tpm)?;
        whole = Some(match whole {
            None => part,
            Some(before) => before.followed_by(part)?,
        });
    }
    let whole = whole.ok_or_else(|| VerifyError::binding(PART, "no log explains the registers"))?;
    let known = whole.banks();
    for (other, registers) in quoted.pcrs.iter().filter(|(other, _)| **other != bank && known.contains(other)) {
        replayed(whole.clone(), *other, registers)?;
    }
    let registers = quoted.pcrs.get(&bank);
    let registers = registers.ok_or_else(|| VerifyError::unsupported("pcr-bank", "the bank was not quoted"))?;
    let replayed = replayed(whole, bank, registers)?;
    let mut events = replayed.azure_events(0)?;
    if let Some(list) = events.get_mut("Events").and_then(Value::as_array_mut) {
        for log in states.iter().flat_map(|state| &state.logs).filter(|log| log.kind == LogKind::Ima) {
            let told = measured_files(&log.bytes, bank, registers, list.len())?;
            list.extend(told);
        }
    }
    Ok(Explained { bank, events: events.to_string(), verdicts: replayed.azure_flags()? })
}

/// What Linux measured, as far as the register that was quoted bears it out; nothing where it was not quoted.
fn measured_files(bytes: &[u8], bank: Bank, quoted: &Registers, before: usize) -> Result<Vec<Value>, VerifyError> {
    let log = ImaLog::parse(bytes)?;
    if !quoted.contains_key(&IMA_REGISTER) {
        return Ok(Vec::new());
    }
    let files = log.check(bank, quoted)?;
    if files.claims().get("padded_sha1") == Some(&Value::Bool(true)) {
        return Err(VerifyError::unsupported("ima-log", "the list is extended by digests of sha1 in every bank"));
    }
    Ok(files.azure_events(u64::try_from(before).unwrap_or(u64::MAX)))
}

fn replayed<'a>(log: EventLog<'a>, bank: Bank, quoted: &Registers) -> Result<Replayed<'a>, VerifyError> {
    log.in_registers(|register| quoted.contains_key(&register)).check(bank, quoted)
}

/// The same for the state now: by its own logs, or where those only go on, behind the logs of the state before the sleep (check 10).
///
/// # Errors
/// As [`explain`].
pub(super) fn explain_after(
    earlier: Option<&State>,
    current: &State,
    quoted: &Quoted<'_>,
    bank: Bank,
) -> Result<Explained, VerifyError> {
    match (explain(&[current], quoted, bank), earlier) {
        (Err(why), Some(earlier)) => explain(&[earlier, current], quoted, bank).map_err(|_| why),
        (told, _) => told,
    }
}
