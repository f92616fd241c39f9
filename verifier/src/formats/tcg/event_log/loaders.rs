//! Boot loaders of Linux: command lines, GRUB's commands, files, sections of unified kernel images, shim's lists.
//!
//! GRUB 2.12, manual section *Measured Boot* (commands in PCR 8, files in PCR 9); systemd, *TPM2 PCR Measurements* (command lines in
//! PCR 12, sections of a unified kernel image in PCR 11); shim, `README.tpm` (PCR 14). A TDX guest has them all in RTMR 2.
//!
//! GRUB's prefix (`grub_cmd: `, `kernel_cmdline: `) is not measured: whoever writes the log may give it to any text. So a text
//! counts as a command line where it says so, *and* where a command that loads a kernel was measured with it. A list is claimed
//! only where every event of its registers shows its text: an event without one may hide any command.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::measured::{Measured, Seen};
use super::{LogKind, Replayed};

/// The most texts, and the most bytes of them, that one claim carries.
const MAX_TEXTS: usize = 256;
const MAX_TEXT: usize = 16 << 10;
/// The most digests in one claim.
const MAX_DIGESTS: usize = 128;

/// GRUB's commands that load a kernel with a command line.
const KERNEL_COMMANDS: [&str; 6] = ["linux ", "linuxefi ", "linux16 ", "kernel ", "multiboot ", "multiboot2 "];

/// Names of sections in a unified kernel image that systemd-stub measures. UAPI.5, section *Measurements*.
const SECTIONS: [&str; 13] = [
    ".linux", ".osrel", ".cmdline", ".initrd", ".ucode", ".splash", ".dtb", ".dtbauto", ".hwids", ".uname", ".sbat",
    ".pcrpkey", ".efifw",
];

/// `kernel_command_lines`, `grub_commands`, `boot_files`, `uki`, `mok`, `systemd_phases`.
pub(super) fn claims(log: &Replayed<'_>, claims: &mut Map<String, Value>) {
    let kind = log.kind();
    let texts = match kind {
        // Command lines of systemd-boot and of the stub stand in PCR 12, which Windows uses for other things.
        LogKind::Tpm => {
            all_texts(log.events.iter().filter(|seen| seen.register == 8 || (seen.register == 12 && !seen.separator)))
        }
        LogKind::Ccel => all_texts(log.in_register(kind.of_pcr(8)).filter(|seen| !is_section(seen))),
    };
    if let Some(texts) = texts.filter(|texts| !texts.is_empty()) {
        let lines = command_lines(&texts);
        let others: Vec<&str> = texts.iter().filter(|text| !text.wide).map(|text| text.text.as_str()).collect();
        set_texts(claims, "kernel_command_lines", &lines);
        if !others.is_empty() {
            set_texts(claims, "grub_commands", &others);
        }
    }
    let files: Vec<&Seen<'_>> = match kind {
        LogKind::Tpm => log.in_register(Some(9)).collect(),
        LogKind::Ccel => log.in_register(Some(3)).filter(|seen| seen.measured == Measured::Unknown).collect(),
    };
    set_digests(claims, "boot_files", &files);
    if kind == LogKind::Tpm {
        set_digests(claims, "mok", &log.in_register(Some(14)).collect::<Vec<_>>());
    }
    if let Some(sections) = sections(log.in_register(kind.of_pcr(11))) {
        claims.insert("uki".into(), json!({ "sections": sections }));
    }
    if !log.tail.phases.is_empty() {
        claims.insert("systemd_phases".into(), json!(log.tail.phases));
    }
}

/// A text that was measured.
struct Text {
    text: String,
    /// It was measured in UTF-16, as loaders that are EFI applications do with command lines.
    wide: bool,
    /// The log calls it a command line.
    labelled: bool,
}

/// The texts of events, or nothing where one of them does not show its text.
fn all_texts<'e, 'a: 'e>(events: impl Iterator<Item = &'e Seen<'a>>) -> Option<Vec<Text>> {
    events
        .map(|seen| {
            let text = seen.measured.text()?;
            let wide = match seen.measured {
                Measured::Bytes(bytes) => matches!(bytes, [first, 0, ..] if *first != 0),
                Measured::Terminated(_) => true,
                Measured::Unknown | Measured::Narrowed(_) => false,
            };
            Some(Text { text, wide, labelled: seen.labelled })
        })
        .collect()
}

/// Command lines in measured order: the wide texts, those that the log calls so, and the arguments of every command that loads a
/// kernel unless they stand among the others.
fn command_lines(texts: &[Text]) -> Vec<&str> {
    let called: BTreeSet<&str> = texts.iter().filter(|text| text.labelled).map(|text| text.text.as_str()).collect();
    texts
        .iter()
        .filter_map(|text| {
            if text.wide || text.labelled {
                return Some(text.text.as_str());
            }
            let arguments = KERNEL_COMMANDS.iter().find_map(|command| text.text.strip_prefix(command))?;
            (!called.contains(arguments)).then_some(arguments)
        })
        .collect()
}

/// The digests of a unified kernel image's sections by their names, from pairs of events: the name, then the content.
///
/// `None` where there are none, where a name stands twice, and where an event is neither of a pair nor known: it may hide a name.
fn sections<'e, 'a: 'e>(mut events: impl Iterator<Item = &'e Seen<'a>>) -> Option<Map<String, Value>> {
    let mut found = Map::new();
    while let Some(seen) = events.next() {
        if !is_section(seen) {
            if seen.measured == Measured::Unknown {
                return None;
            }
            continue;
        }
        let name = seen.measured.text()?;
        let content = events.next()?;
        if found.insert(name.trim_start_matches('.').to_owned(), json!(hex::encode(content.digest))).is_some() {
            return None;
        }
    }
    (!found.is_empty()).then_some(found)
}

/// Whether an event measured the name of a section.
fn is_section(seen: &Seen<'_>) -> bool {
    match seen.measured {
        Measured::Narrowed(_) => seen.measured.text().is_some_and(|name| SECTIONS.contains(&name.as_str())),
        Measured::Bytes(bytes) => {
            bytes.strip_suffix(&[0]).is_some_and(|name| SECTIONS.iter().any(|s| s.as_bytes() == name))
        }
        Measured::Unknown | Measured::Terminated(_) => false,
    }
}

fn set_texts(claims: &mut Map<String, Value>, name: &str, texts: &[&str]) {
    let bytes = texts.iter().fold(0_usize, |sum, text| sum.saturating_add(text.len()));
    if texts.len() <= MAX_TEXTS && bytes <= MAX_TEXT {
        claims.insert(name.into(), json!(texts));
    }
}

fn set_digests(claims: &mut Map<String, Value>, name: &str, events: &[&Seen<'_>]) {
    if !events.is_empty() && events.len() <= MAX_DIGESTS {
        let digests: Vec<String> = events.iter().map(|seen| hex::encode(seen.digest)).collect();
        claims.insert(name.into(), json!(digests));
    }
}
