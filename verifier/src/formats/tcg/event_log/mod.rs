//! Event logs: what firmware and boot loaders say they measured, believed as far as the quoted registers bear it out.
//!
//! TCG *PC Client Platform Firmware Profile* 1.06; UEFI 2.10 section 38 (CCEL, the log of a TDX guest). Catalogue of bad inputs,
//! rows TPM-22 to TPM-30; threat model P12.
//!
//! A log is text that anyone may write. Three things make claims of it: every register with events is replayed and equals the
//! quoted one ([`EventLog::check`]); an event's payload is believed where its digest is the digest of that payload and of
//! nothing else is claimed; and lists are whole or absent, since an event that hides its payload hides nothing else. The type of
//! an event is measured by nobody and decides nothing: where two meanings are possible, the one that a rule would refuse is taken.

mod applications;
mod azure;
mod claims;
mod efi;
mod loaders;
mod measured;
mod part;
mod replay;
mod secure_boot;
mod show;
mod windows;
mod wire;

pub use wire::{MAX_EVENTS, MAX_LOG};

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use crate::error::VerifyError;
use crate::formats::tcg::Bank;

use measured::Seen;
use wire::Wire;

/// Whose registers a log explains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogKind {
    /// Platform configuration registers of a TPM, PCR 0 to 23.
    Tpm,
    /// The CC event log of a TDX guest: index 1 to 4 stands for RTMR 0 to 3.
    Ccel,
}

impl LogKind {
    /// The registers that an event may be extended into.
    pub(super) const fn registers(self) -> RangeInclusive<u32> {
        match self {
            Self::Tpm => 0..=23,
            Self::Ccel => 1..=4,
        }
    }

    /// The register that holds what a PC's firmware and loaders measure into a PCR. UEFI 2.10, table 38-4 for TDX.
    pub(super) const fn of_pcr(self, pcr: u32) -> Option<u32> {
        match (self, pcr) {
            (Self::Tpm, _) => Some(pcr),
            (Self::Ccel, 1 | 7) => Some(1),
            (Self::Ccel, 2..=6) => Some(2),
            (Self::Ccel, 8..=15) => Some(3),
            (Self::Ccel, _) => None,
        }
    }

    /// A register's name: `PCR 4`, `RTMR 0`.
    pub(super) fn name(self, register: u32) -> String {
        match self {
            Self::Tpm => format!("PCR {register}"),
            Self::Ccel => format!("RTMR {}", register.saturating_sub(1)),
        }
    }
}

/// Values of one bank's registers, by the index that the log gives them: 0 to 23 for PCRs, 1 to 4 for RTMR 0 to 3.
pub type Registers = BTreeMap<u32, Vec<u8>>;

/// A log that parses. It proves nothing yet.
#[derive(Debug, Clone)]
pub struct EventLog<'a> {
    kind: LogKind,
    wire: Wire<'a>,
}

impl<'a> EventLog<'a> {
    /// Reads a log: crypto-agile, or in the old format with SHA-1 alone; for [`LogKind::Ccel`] with the padding of its table.
    ///
    /// # Errors
    /// `too-large.event-log` beyond [`MAX_LOG`] bytes or [`MAX_EVENTS`] events, `malformed.event-log` for a layout that does not
    /// hold, `malformed.startup-locality`, `unsupported.event-log` for another version of the header.
    pub fn parse(bytes: &'a [u8], kind: LogKind) -> Result<Self, VerifyError> {
        Ok(Self { kind, wire: Wire::parse(bytes, kind)? })
    }

    /// The banks that the log has digests for, the weakest first. Algorithms that are not served are left out.
    pub fn banks(&self) -> Vec<Bank> {
        self.wire.layout.banks()
    }

    /// How many events are extended into registers.
    pub fn len(&self) -> usize {
        self.wire.events.len()
    }

    /// Whether nothing is extended.
    pub fn is_empty(&self) -> bool {
        self.wire.events.is_empty()
    }

    /// What the log's registers hold after every event, by the log alone: for showing, not for believing.
    ///
    /// # Errors
    /// `unsupported.event-log-bank` where the log has no digests for the bank.
    pub fn replay(&self, bank: Bank) -> Result<Registers, VerifyError> {
        replay::registers(self, bank)
    }

    /// Compares the log with what was quoted, and makes it believable.
    ///
    /// Every register with events must be quoted and hold what the replay gives. PCR 0 to 7 (RTMR 0 and 1) without events must
    /// hold their start value; later registers without events are for the operating system and stay unexplained. Firmware closes
    /// its part of each of PCR 0 to 7 with one separator; a register with none, two, or one that reports a fault, is refused.
    ///
    /// # Errors
    /// `unsupported.event-log-bank`, `binding-mismatch.event-log` naming the register, `malformed.event-log-separators`,
    /// `binding-mismatch.event-log-digests` where the banks of one event disagree on its payload.
    pub fn check(self, bank: Bank, quoted: &Registers) -> Result<Replayed<'a>, VerifyError> {
        let tail = replay::compare(&self, bank, quoted)?;
        replay::separators(&self, bank)?;
        let events = measured::of_events(&self, bank)?;
        Ok(Replayed { kind: self.kind, bank, events, tail })
    }
}

/// What the replay found beyond equality.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Tail {
    /// The words that systemd extended into PCR 11 after the log ended, in order.
    phases: Vec<&'static str>,
    /// PCR 17, 18 or 19 started at zero: a dynamic launch took place, since nothing else resets them.
    dynamic_launch: bool,
}

/// A log that the quoted registers bear out. Made by [`EventLog::check`] alone.
#[derive(Debug, Clone)]
pub struct Replayed<'a> {
    kind: LogKind,
    bank: Bank,
    events: Vec<Seen<'a>>,
    tail: Tail,
}

impl<'a> Replayed<'a> {
    /// Whose registers were compared.
    pub fn kind(&self) -> LogKind {
        self.kind
    }

    /// The bank that was compared.
    pub fn bank(&self) -> Bank {
        self.bank
    }

    /// The events of one register, in measured order; none where the kind has no such register.
    fn in_register(&self, register: Option<u32>) -> impl Iterator<Item = &Seen<'a>> {
        self.events.iter().filter(move |seen| Some(seen.register) == register)
    }
}
