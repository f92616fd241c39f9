//! Where event logs become claims: the one seam between this kind and `formats::tcg`.
//!
//! A log is believed as far as the quoted registers bear it out, in every strong bank that both have: a log whose banks tell
//! different stories is refused. SHA-1 bears out nothing.

use serde_json::{Map, Value};

use super::wire::Document;
use crate::error::VerifyError;
use crate::formats::tcg::event_log::{EventLog, LogKind};
use crate::formats::tcg::ima::ImaLog;
use crate::formats::tcg::{Bank, PcrValues};

/// What the logs of a document say, as far as they replay to the values that were quoted: `boot` and `ima`, each where its log came.
///
/// # Errors
/// Those of the logs; `unsupported.event-log-bank` where log and quote have no strong bank in common.
pub(super) fn boot_claims(document: &Document) -> Result<Map<String, Value>, VerifyError> {
    log_claims(&document.pcrs, document.event_log.as_deref(), document.ima_log.as_deref())
}

/// The same for whoever holds registers that a quote vouched for.
pub(in crate::kinds) fn log_claims(
    quoted: &PcrValues,
    event_log: Option<&[u8]>,
    ima_log: Option<&[u8]>,
) -> Result<Map<String, Value>, VerifyError> {
    let mut claims = Map::new();
    if let Some(bytes) = event_log {
        let log = EventLog::parse(bytes, LogKind::Tpm)?;
        let has = log.banks();
        let mut boot = None;
        // The weakest first, so that the strongest has the word.
        for (bank, registers) in strong(quoted).filter(|(bank, _)| has.contains(bank)) {
            boot = Some(log.clone().check(bank, registers)?.claims()?);
        }
        claims.insert("boot".into(), boot.ok_or_else(no_bank)?.into());
    }
    if let Some(bytes) = ima_log {
        let log = ImaLog::parse(bytes)?;
        let mut ima = None;
        for (bank, registers) in strong(quoted) {
            ima = Some(log.clone().check(bank, registers)?.claims());
        }
        claims.insert("ima".into(), ima.ok_or_else(no_bank)?.into());
    }
    Ok(claims)
}

/// Why a machine whose logs say this is not one for production, if it is not: threat model, P4. Where no log came, nobody knows, and a
/// rule decides.
pub(in crate::kinds) fn not_production(claims: &Map<String, Value>) -> Option<(&'static str, &'static str)> {
    let boot = claims.get("boot")?;
    let says = |path: &[&str], value: bool| {
        path.iter().try_fold(boot, |at, name| at.get(name)).and_then(Value::as_bool) == Some(value)
    };
    if says(&["secure_boot"], false) {
        return Some(("secure-boot", "the firmware measured that Secure Boot is off: anything may have been started"));
    }
    let debuggers = ["boot_debugging", "kernel_debug", "hypervisor_debug"];
    let debugged = debuggers.iter().any(|name| says(&["windows", name], true));
    debugged.then_some(("boot-debug", "a debugger was allowed to attach while the machine started"))
}

fn strong(quoted: &PcrValues) -> impl Iterator<Item = (Bank, &std::collections::BTreeMap<u32, Vec<u8>>)> {
    quoted.iter().filter(|(bank, _)| bank.is_strong()).map(|(bank, registers)| (*bank, registers))
}

fn no_bank() -> VerifyError {
    VerifyError::unsupported("event-log-bank", "log and quote have no bank of sha256 or stronger in common")
}
