//! The bytes of an event log: a header, then one event after the other.
//!
//! TCG *PC Client Platform Firmware Profile* 1.06, section 10.2 (TCG_PCClientPCREvent, TCG_PCR_EVENT2, TCG_EfiSpecIdEvent);
//! UEFI 2.10 section 38.4 (CC event log, the same layout). All numbers are little-endian. Nothing is copied: events borrow from
//! the log, and the list of them is the only allocation.

use crate::error::VerifyError;
use crate::formats::bytes::Reader;
use crate::formats::tcg::Bank;

use super::LogKind;

/// The part at fault in refusals of this file.
pub(super) const PART: &str = "event-log";

/// The longest log that is read, in bytes.
pub const MAX_LOG: usize = 4 << 20;
/// The most events that are read. Measured logs have some hundreds.
pub const MAX_EVENTS: usize = 32_768;
/// The most hash algorithms that a header may list.
const MAX_ALGORITHMS: usize = 8;
/// The longest digest of any algorithm, in bytes.
const MAX_DIGEST: u16 = 64;

/// EV_NO_ACTION: information beside the measurements, extended into nothing.
pub(super) const EV_NO_ACTION: u32 = 0x0000_0003;

/// One hash algorithm of the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Algorithm {
    /// TPM_ALG_ID.
    id: u16,
    /// Length of its digests in bytes.
    size: u16,
}

/// How the digests of every event of one log lie: the algorithms of its header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    /// As the header lists them; SHA-1 alone for a log in the old format.
    algorithms: Vec<Algorithm>,
    /// The old format: one SHA-1 digest without its algorithm.
    bare: bool,
}

/// One measured event, as it stands in the log.
#[derive(Debug, Clone, Copy)]
pub(super) struct Event<'a> {
    /// The register: a PCR, or index 1 to 4 for RTMR 0 to 3.
    pub register: u32,
    /// The declared type. Nothing measures it: it is a hint where to look, never a fact.
    pub declared: u32,
    /// The digests, as laid out in the log.
    digests: &'a [u8],
    /// The event's data.
    pub data: &'a [u8],
}

/// A parsed log.
#[derive(Debug, Clone)]
pub(super) struct Wire<'a> {
    pub layout: Layout,
    /// What is extended into registers, in the log's order; EV_NO_ACTION is left out.
    pub events: Vec<Event<'a>>,
    /// The locality of TPM2_Startup, where the log says it.
    pub locality: Option<u8>,
}

impl Layout {
    /// The banks that can be replayed, the weakest first.
    pub fn banks(&self) -> Vec<Bank> {
        Bank::ALL.iter().copied().filter(|bank| self.algorithms.iter().any(|a| a.id == bank.id())).collect()
    }

    /// The digest of an event in a bank that the header lists.
    pub fn digest<'a>(&self, event: &Event<'a>, bank: Bank) -> Option<&'a [u8]> {
        if self.bare {
            return (bank == Bank::Sha1).then_some(event.digests);
        }
        let mut rest = event.digests;
        while let Some((id, after)) = rest.split_first_chunk::<2>() {
            let id = u16::from_le_bytes(*id);
            let size = usize::from(self.algorithms.iter().find(|a| a.id == id)?.size);
            let (digest, after) = after.split_at_checked(size)?;
            if id == bank.id() {
                return Some(digest);
            }
            rest = after;
        }
        None
    }

    /// Reads the header's event data. PC Client Platform Firmware Profile, section 10.4.5.1.
    fn of_header(data: &[u8]) -> Result<Self, VerifyError> {
        let mut reader = Reader::new(data, PART);
        reader.take(16, "signature")?;
        reader.u32_le("platformClass")?;
        let version = reader.array::<2>("specVersion")?;
        if *version != [0, 2] {
            return Err(VerifyError::unsupported(PART, "the header is of a version other than 2.0"));
        }
        reader.take(2, "specErrata, uintnSize")?;
        let count = usize::try_from(reader.u32_le("numberOfAlgorithms")?).unwrap_or(usize::MAX);
        if count == 0 || count > MAX_ALGORITHMS {
            return Err(VerifyError::malformed(PART, format!("the header lists {count} hash algorithms")));
        }
        let mut algorithms: Vec<Algorithm> = Vec::with_capacity(count);
        for _ in 0..count {
            let id = reader.u16_le("algorithmId")?;
            let size = reader.u16_le("digestSize")?;
            if size == 0 || size > MAX_DIGEST {
                return Err(VerifyError::malformed(PART, format!("digests of {size} bytes are announced")));
            }
            if Bank::from_id(id).is_some_and(|bank| bank.size() != usize::from(size)) {
                return Err(VerifyError::malformed(
                    PART,
                    format!("algorithm {id:#06x} has no digests of {size} bytes"),
                ));
            }
            if algorithms.iter().any(|a| a.id == id) {
                return Err(VerifyError::malformed(PART, format!("the header lists algorithm {id:#06x} twice")));
            }
            algorithms.push(Algorithm { id, size });
        }
        let [vendor] = *reader.array::<1>("vendorInfoSize")?;
        reader.take(usize::from(vendor), "vendorInfo")?;
        reader.finish()?;
        Ok(Self { algorithms, bare: false })
    }

    /// Reads the digests of one event: each algorithm of the header once, in any order.
    fn take<'a>(&self, reader: &mut Reader<'a>) -> Result<&'a [u8], VerifyError> {
        if self.bare {
            return reader.take(Bank::Sha1.size(), "digest");
        }
        let count = reader.u32_le("digestCount")?;
        if usize::try_from(count) != Ok(self.algorithms.len()) {
            return Err(VerifyError::malformed(
                PART,
                format!("an event has {count} digests, the header lists {}", self.algorithms.len()),
            ));
        }
        let whole = reader.rest();
        let (mut length, mut seen) = (0_usize, 0_u8);
        for _ in 0..count {
            let id = reader.u16_le("hashAlg")?;
            let Some((place, algorithm)) = self.algorithms.iter().enumerate().find(|(_, a)| a.id == id) else {
                return Err(VerifyError::malformed(PART, format!("the header does not list algorithm {id:#06x}")));
            };
            let mark = 1_u8.checked_shl(u32::try_from(place).unwrap_or(u32::MAX)).unwrap_or(0);
            if seen & mark != 0 {
                return Err(VerifyError::malformed(PART, format!("an event has two digests of algorithm {id:#06x}")));
            }
            seen |= mark;
            let size = usize::from(algorithm.size);
            reader.take(size, "digest")?;
            length = length.saturating_add(size).saturating_add(2);
        }
        whole.get(..length).ok_or_else(|| VerifyError::malformed(PART, "digests end early"))
    }
}

impl<'a> Wire<'a> {
    /// Reads a log.
    pub fn parse(bytes: &'a [u8], kind: LogKind) -> Result<Self, VerifyError> {
        if bytes.len() > MAX_LOG {
            return Err(VerifyError::too_large(PART, format!("a log of {} bytes; {MAX_LOG} are read", bytes.len())));
        }
        let mut reader = Reader::new(bytes, PART);
        let bare = Layout { algorithms: vec![Algorithm { id: Bank::Sha1.id(), size: 20 }], bare: true };
        let mut events = Gathered { kind, events: Vec::new(), count: 0, locality: None, started: false };
        let first = one(&mut reader, &bare)?;
        let layout = if first.declared == EV_NO_ACTION && first.data.starts_with(b"Spec ID Event03\0") {
            Layout::of_header(first.data)?
        } else {
            if kind == LogKind::Ccel {
                return Err(VerifyError::malformed(PART, "a CC event log begins with `Spec ID Event03`"));
            }
            events.add(first)?;
            bare
        };
        while !reader.rest().is_empty() {
            if kind == LogKind::Ccel && is_padding(reader.rest()) {
                break;
            }
            events.add(one(&mut reader, &layout)?)?;
        }
        Ok(Self { layout, events: events.events, locality: events.locality })
    }
}

/// What follows the last event in the table that the firmware laid out: zeros, or the ones of erased memory.
fn is_padding(rest: &[u8]) -> bool {
    let all = |byte: u8| rest.iter().all(|b| *b == byte);
    match rest.first() {
        Some(0xff) => all(0xff),
        Some(0) => all(0),
        _ => false,
    }
}

/// Reads one event.
fn one<'a>(reader: &mut Reader<'a>, layout: &Layout) -> Result<Event<'a>, VerifyError> {
    let register = reader.u32_le("pcrIndex")?;
    let declared = reader.u32_le("eventType")?;
    let digests = layout.take(reader)?;
    let size = usize::try_from(reader.u32_le("eventSize")?).unwrap_or(usize::MAX);
    if size > MAX_LOG {
        return Err(VerifyError::too_large(PART, format!("an event of {size} bytes is announced")));
    }
    let data = reader.take(size, "event")?;
    Ok(Event { register, declared, digests, data })
}

/// The events so far.
struct Gathered<'a> {
    kind: LogKind,
    events: Vec<Event<'a>>,
    /// With those that extend nothing.
    count: usize,
    locality: Option<u8>,
    /// PCR 0 has been extended.
    started: bool,
}

impl<'a> Gathered<'a> {
    fn add(&mut self, event: Event<'a>) -> Result<(), VerifyError> {
        self.count = self.count.saturating_add(1);
        if self.count > MAX_EVENTS {
            return Err(VerifyError::too_large(PART, format!("more than {MAX_EVENTS} events")));
        }
        if event.declared == EV_NO_ACTION {
            return self.note(&event);
        }
        if !self.kind.registers().contains(&event.register) {
            return Err(VerifyError::malformed(PART, format!("an event for register {}", event.register)));
        }
        self.started |= event.register == 0;
        self.events.push(event);
        Ok(())
    }

    /// EV_NO_ACTION: only the locality of TPM2_Startup matters. PC Client Platform Firmware Profile, section 10.4.5.3.
    fn note(&mut self, event: &Event<'a>) -> Result<(), VerifyError> {
        let Some(locality) = event.data.strip_prefix(b"StartupLocality\0") else { return Ok(()) };
        let fault = |why: &'static str| Err(VerifyError::malformed("startup-locality", why));
        let (LogKind::Tpm, 0) = (self.kind, event.register) else {
            return fault("the locality of startup concerns PCR 0 alone");
        };
        if self.started {
            return fault("the locality of startup stands behind the first measurement of PCR 0");
        }
        if self.locality.is_some() {
            return fault("the locality of startup stands twice");
        }
        match locality {
            [locality @ (0 | 3 | 4)] => {
                self.locality = Some(*locality);
                Ok(())
            }
            _ => fault("TPM2_Startup comes from locality 0 or 3, or 4 after H-CRTM"),
        }
    }
}
