//! From digests to registers, and the comparison with the quote.
//!
//! TCG *Trusted Platform Module Library*, part 1, section 17; *PC Client Platform Firmware Profile* 1.06, sections 3.3.3
//! (separators) and 10.4.5.3 (locality of startup).

use std::collections::BTreeSet;

use crate::error::VerifyError;
use crate::formats::tcg::Bank;

use super::wire::{Event, PART};
use super::{EventLog, LogKind, Registers, Tail};

/// The part at fault where separators are wrong.
const SEPARATORS: &str = "event-log-separators";

/// EV_S_CRTM_CONTENTS.
const EV_S_CRTM_CONTENTS: u32 = 0x0000_0007;
/// EV_EFI_VARIABLE_BOOT and EV_EFI_VARIABLE_BOOT2.
const BOOT_VARIABLES: [u32; 2] = [0x8000_0002, 0x8000_000c];

/// The register that systemd extends with the phases of the boot, systemd-pcrphase(8).
const PHASES: u32 = 11;
/// What it extends, in the order of a boot. Each sequence is a way to begin; any prefix of it may have been reached.
const PHASE_WORDS: [&[&str]; 2] = [&["enter-initrd", "leave-initrd", "sysinit", "ready"], &["sysinit", "ready"]];

/// The digest of an event in `bank`, or the refusal of a log that has none.
pub(super) fn digest<'a>(log: &EventLog<'a>, event: &Event<'a>, bank: Bank) -> Result<&'a [u8], VerifyError> {
    log.wire.layout.digest(event, bank).ok_or_else(|| {
        VerifyError::unsupported("event-log-bank", format!("the event log has no {} digests", bank.as_str()))
    })
}

/// A register before the first event. `launched`: PCR 17 to 22 after a dynamic launch.
fn start(log: &EventLog<'_>, bank: Bank, register: u32, launched: bool) -> Vec<u8> {
    let fill = if log.kind == LogKind::Tpm && (17..=22).contains(&register) && !launched { 0xff } else { 0 };
    let mut value = vec![fill; bank.size()];
    if let (0, LogKind::Tpm, Some(locality), Some(last)) = (register, log.kind, log.wire.locality, value.last_mut()) {
        *last = locality;
    }
    value
}

/// The log's registers after every event; PCR 17 to 22 as after a dynamic launch where `launched`.
fn folded(log: &EventLog<'_>, bank: Bank, launched: bool) -> Result<Registers, VerifyError> {
    if !log.banks().contains(&bank) {
        return Err(VerifyError::unsupported(
            "event-log-bank",
            format!("the event log has no {} digests", bank.as_str()),
        ));
    }
    let mut registers = Registers::new();
    for event in &log.wire.events {
        let measured = digest(log, event, bank)?;
        let value = registers.entry(event.register).or_insert_with(|| start(log, bank, event.register, launched));
        *value = bank.extend(value, measured);
    }
    Ok(registers)
}

/// The registers by the log alone: as after a dynamic launch, since nothing else explains events in PCR 17 to 22.
pub(super) fn registers(log: &EventLog<'_>, bank: Bank) -> Result<Registers, VerifyError> {
    folded(log, bank, true)
}

/// Compares the replay with the quoted registers.
pub(super) fn compare(log: &EventLog<'_>, bank: Bank, quoted: &Registers) -> Result<Tail, VerifyError> {
    let replayed = folded(log, bank, true)?;
    let mut tail = Tail::default();
    let mut cold = None;
    for (&register, value) in &replayed {
        let name = log.kind.name(register);
        let Some(held) = quoted.get(&register) else {
            return Err(VerifyError::binding(PART, format!("the log has events for {name}, which is not quoted")));
        };
        let dynamic = log.kind == LogKind::Tpm && (17..=22).contains(&register);
        if held == value {
            // PCR 20 to 22 are reset by whoever reaches locality 2: PC Client Platform TPM Profile, attributes of PCRs.
            tail.dynamic_launch |= dynamic && register < 20;
            continue;
        }
        let phased = log.kind == LogKind::Tpm && register == PHASES;
        if let Some(phases) = phases(bank, value, held).filter(|_| phased) {
            tail.phases = phases;
            continue;
        }
        if dynamic {
            let cold = match &mut cold {
                Some(cold) => cold,
                none => none.insert(folded(log, bank, false)?),
            };
            if cold.get(&register) == Some(held) {
                continue;
            }
        }
        return Err(VerifyError::binding(PART, format!("the replay of the log does not give the quoted {name}")));
    }
    let explained = match log.kind {
        LogKind::Tpm => 0..=7,
        LogKind::Ccel => 1..=2,
    };
    for (&register, held) in quoted.range(explained) {
        if !replayed.contains_key(&register) && *held != start(log, bank, register, false) {
            let name = log.kind.name(register);
            return Err(VerifyError::binding(PART, format!("{name} was extended, and the log has no event for it")));
        }
    }
    Ok(tail)
}

/// The phases that were extended after the log's last event, where they explain the quoted value.
fn phases(bank: Bank, replayed: &[u8], quoted: &[u8]) -> Option<Vec<&'static str>> {
    PHASE_WORDS.iter().find_map(|words| {
        let mut value = replayed.to_vec();
        let reached = words.iter().position(|word| {
            value = bank.extend(&value, &bank.digest(&[word.as_bytes()]));
            value == quoted
        })?;
        Some(words.get(..=reached)?.to_vec())
    })
}

/// What a separator measures, and what it reports.
pub(super) struct Separators {
    /// Digests of four zero bytes and of four bytes ff: the firmware hands over.
    fine: [Vec<u8>; 2],
    /// Digest of the number 1: the firmware failed.
    fault: Vec<u8>,
}

impl Separators {
    pub fn new(bank: Bank) -> Self {
        Self {
            fine: [bank.digest(&[&[0; 4]]), bank.digest(&[&[0xff; 4]])],
            fault: bank.digest(&[&1_u32.to_le_bytes()]),
        }
    }

    /// Whether a digest is that of a separator, whatever type its event claims.
    pub fn is_fine(&self, digest: &[u8]) -> bool {
        self.fine.iter().any(|fine| fine == digest)
    }
}

/// Looks for the separators of firmware's registers, by their digests: the type is measured by nobody.
///
/// Two coincidences are known and let through, neither in a register that says what ran: firmware that measures four zero bytes as
/// contents of the S-CRTM into PCR 0, and a boot order of two entries, 1 and 0, measured without its name, which is the number 1.
///
/// PCR 0 to 7 with events have one each. RTMR 0 stands for PCR 1 and 7 and has one or two, RTMR 1 stands for PCR 2 to 6 and has
/// five at most.
pub(super) fn separators(log: &EventLog<'_>, bank: Bank) -> Result<(), VerifyError> {
    let known = Separators::new(bank);
    let mut counts = [0_usize; 8];
    let mut present = BTreeSet::new();
    for event in &log.wire.events {
        let Some(count) = usize::try_from(event.register).ok().and_then(|register| counts.get_mut(register)) else {
            continue;
        };
        present.insert(event.register);
        let digest = digest(log, event, bank)?;
        let order = Some(event.register) == log.kind.of_pcr(1) && BOOT_VARIABLES.contains(&event.declared);
        if digest == known.fault && !order {
            let name = log.kind.name(event.register);
            return Err(VerifyError::malformed(SEPARATORS, format!("the firmware reports a fault in {name}")));
        }
        let contents = log.kind == LogKind::Tpm && event.register == 0 && event.declared == EV_S_CRTM_CONTENTS;
        if known.is_fine(digest) && !contents {
            *count = count.saturating_add(1);
        }
    }
    for register in present {
        let allowed = match (log.kind, register) {
            (LogKind::Tpm, _) => 1..=1,
            (LogKind::Ccel, 1) => 1..=2,
            (LogKind::Ccel, 2) => 0..=5,
            (LogKind::Ccel, _) => 0..=0,
        };
        let count = usize::try_from(register).ok().and_then(|register| counts.get(register)).copied().unwrap_or(0);
        if !allowed.contains(&count) {
            let name = log.kind.name(register);
            return Err(VerifyError::malformed(SEPARATORS, format!("{name} has {count} separators")));
        }
    }
    Ok(())
}
