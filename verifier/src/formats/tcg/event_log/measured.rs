//! Which bytes an event measured: those whose digest stands in the event, or unknown ones.
//!
//! TCG *PC Client Platform Firmware Profile* 1.06, section 10.4 and table 27 (what each type measures); boot loaders measure in
//! their own ways, each named below. A statement "these bytes were measured here" is true of whatever bytes have the digest, so
//! the declared type may decide what is tried first, and nothing else.

use crate::error::VerifyError;
use crate::formats::tcg::Bank;

use super::EventLog;
use super::efi::utf16;
use super::replay::{Separators, digest};
use super::wire::Event;

/// EV_IPL: boot loaders.
const EV_IPL: u32 = 0x0000_000d;
/// EV_EFI_VARIABLE_BOOT.
const EV_EFI_VARIABLE_BOOT: u32 = 0x8000_0002;
/// EV_EFI_VARIABLE_AUTHORITY.
const EV_EFI_VARIABLE_AUTHORITY: u32 = 0x8000_00e0;
/// Types whose digest is that of an image or a table which the log does not carry: EV_EFI_BOOT_SERVICES_APPLICATION,
/// EV_EFI_BOOT_SERVICES_DRIVER, EV_EFI_RUNTIME_SERVICES_DRIVER, EV_EFI_PLATFORM_FIRMWARE_BLOB, EV_EFI_HANDOFF_TABLES and the
/// second forms of the last two.
const ELSEWHERE: [u32; 7] = [0x8000_0003, 0x8000_0004, 0x8000_0005, 0x8000_0008, 0x8000_0009, 0x8000_000a, 0x8000_000b];

/// What GRUB writes before the text it measured: GRUB 2.06 `grub_tpm_measure`, and the older patches of distributions.
const GRUB_PREFIXES: [&[u8]; 5] =
    [b"grub_cmd: ", b"kernel_cmdline: ", b"module_cmdline: ", b"grub_cmd ", b"grub_kernel_cmdline "];

/// Those of them that say command line.
const COMMAND_LINES: [&[u8]; 2] = [b"kernel_cmdline: ", b"grub_kernel_cmdline "];

/// The bytes that an event measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Measured<'a> {
    /// Not in the log, or not in a way that is known. The digest is all there is.
    Unknown,
    /// These bytes.
    Bytes(&'a [u8]),
    /// These bytes and one zero byte, which the log cut off (systemd-boot before version 248).
    Terminated(&'a [u8]),
    /// This UTF-16 text in one byte a character: systemd-stub describes a section by the name that it measured in ASCII.
    Narrowed(&'a [u8]),
}

impl<'a> Measured<'a> {
    /// The bytes, where the log carries them as they were measured.
    pub fn bytes(self) -> Option<&'a [u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The text that was measured, in UTF-8 or UTF-16, without the zero at its end. `None` where it is no text or not known.
    pub fn text(self) -> Option<String> {
        match self {
            Self::Unknown => None,
            Self::Bytes(bytes) if is_wide(bytes) => utf16(bytes),
            Self::Bytes(bytes) => {
                let text = std::str::from_utf8(bytes).ok()?;
                let text = text.strip_suffix('\0').unwrap_or(text);
                (!text.contains('\0')).then(|| text.to_owned())
            }
            Self::Terminated(bytes) => {
                utf16(bytes.strip_suffix(&[0]).filter(|b| b.len().is_multiple_of(2)).unwrap_or(bytes))
            }
            Self::Narrowed(wide) => utf16(wide),
        }
    }

    /// The digest of these bytes in a bank.
    fn digest(self, bank: Bank) -> Option<Vec<u8>> {
        match self {
            Self::Unknown => None,
            Self::Bytes(bytes) => Some(bank.digest(&[bytes])),
            Self::Terminated(bytes) => Some(bank.digest(&[bytes, &[0]])),
            Self::Narrowed(wide) => {
                let narrow: Vec<u8> = wide.iter().copied().step_by(2).collect();
                Some(bank.digest(&[&narrow]))
            }
        }
    }
}

/// One event of a log that was compared.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen<'a> {
    pub register: u32,
    /// The declared type: a hint, never a fact.
    pub declared: u32,
    /// The digest in the compared bank.
    pub digest: &'a [u8],
    pub measured: Measured<'a>,
    /// The digest is that of a separator.
    pub separator: bool,
    /// The log calls it a kernel's command line: a hint, never a fact.
    pub labelled: bool,
}

/// What each event of the log measured.
pub(super) fn of_events<'a>(log: &EventLog<'a>, bank: Bank) -> Result<Vec<Seen<'a>>, VerifyError> {
    let separators = Separators::new(bank);
    let others: Vec<Bank> = log.banks().into_iter().filter(|other| *other != bank).collect();
    let mut found = Vec::with_capacity(log.wire.events.len());
    for event in &log.wire.events {
        let held = digest(log, event, bank)?;
        let measured = of_event(event, bank, held);
        for other in &others {
            let theirs = digest(log, event, *other)?;
            if measured.digest(*other).is_some_and(|computed| computed != theirs) {
                let name = log.kind.name(event.register);
                return Err(VerifyError::binding(
                    "event-log-digests",
                    format!("an event of {name} measures its payload in one bank and something else in another"),
                ));
            }
        }
        found.push(Seen {
            register: event.register,
            declared: event.declared,
            digest: held,
            measured,
            separator: separators.is_fine(held),
            labelled: COMMAND_LINES.iter().any(|label| event.data.starts_with(label)),
        });
    }
    Ok(found)
}

/// The first form whose digest is the event's.
fn of_event<'a>(event: &Event<'a>, bank: Bank, digest: &[u8]) -> Measured<'a> {
    candidates(event)
        .into_iter()
        .flatten()
        .find(|candidate| candidate.digest(bank).as_deref() == Some(digest))
        .unwrap_or(Measured::Unknown)
}

/// What is tried, at most three forms, the likeliest first.
fn candidates<'a>(event: &Event<'a>) -> [Option<Measured<'a>>; 3] {
    let data = event.data;
    let whole = Some(Measured::Bytes(data));
    match event.declared {
        EV_IPL => match GRUB_PREFIXES.iter().find_map(|prefix| data.strip_prefix(*prefix)) {
            Some(text) => [Some(Measured::Bytes(until_nul(text))), Some(Measured::Bytes(through_nul(text))), whole],
            None if is_wide(data) => {
                [whole, Some(Measured::Terminated(data)), is_ascii_wide(data).then_some(Measured::Narrowed(data))]
            }
            None => [whole, Some(Measured::Bytes(until_nul(data))), None],
        },
        EV_EFI_VARIABLE_BOOT | EV_EFI_VARIABLE_AUTHORITY => [whole, variable_data(data).map(Measured::Bytes), None],
        declared if ELSEWHERE.contains(&declared) => [None, None, None],
        _ => [whole, None, None],
    }
}

/// The bytes before the first zero byte.
fn until_nul(text: &[u8]) -> &[u8] {
    text.split(|byte| *byte == 0).next().unwrap_or(text)
}

/// The bytes up to the first zero byte, with it: older patches measure it, and some log one byte more.
fn through_nul(text: &[u8]) -> &[u8] {
    text.split_inclusive(|byte| *byte == 0).next().unwrap_or(text)
}

/// Text of two bytes a character, as far as its beginning shows.
fn is_wide(data: &[u8]) -> bool {
    matches!(data, [first, 0, ..] if *first != 0)
}

/// UTF-16 with nothing but ASCII.
fn is_ascii_wide(data: &[u8]) -> bool {
    data.len().is_multiple_of(2) && data.chunks_exact(2).all(|pair| matches!(pair, [low, 0] if low.is_ascii()))
}

/// The value in UEFI_VARIABLE_DATA: some firmware measures it without the name.
fn variable_data(data: &[u8]) -> Option<&[u8]> {
    let (lengths, rest) = data.get(16..)?.split_at_checked(16)?;
    let (name, value) = lengths.split_at_checked(8)?;
    let name = u64::from_le_bytes(name.try_into().ok()?);
    let value = u64::from_le_bytes(value.try_into().ok()?);
    let from = usize::try_from(name).ok()?.checked_mul(2)?;
    let to = from.checked_add(usize::try_from(value).ok()?)?;
    (to == rest.len()).then(|| rest.get(from..to)).flatten()
}
