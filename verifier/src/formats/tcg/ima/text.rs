//! The list as text: `ascii_runtime_measurements`, one line an entry.
//!
//! Linux, `security/integrity/ima/ima_fs.c`, `ima_ascii_measurements_show`.

use std::borrow::Cow;

use crate::error::VerifyError;

use super::entry::{Entry, Template};
use super::{PART, PCR};

/// Reads every line; the last one must be whole.
pub(super) fn parse<'a>(
    bytes: &'a [u8],
    mut add: impl FnMut(Entry<'a>) -> Result<(), VerifyError>,
) -> Result<(), VerifyError> {
    let Some(lines) = bytes.strip_suffix(b"\n") else {
        return Err(VerifyError::malformed(PART, "the last line does not end"));
    };
    lines.split(|byte| *byte == b'\n').try_for_each(|line| add(one(line)?))
}

fn one(line: &[u8]) -> Result<Entry<'_>, VerifyError> {
    let fault = |what: &'static str| VerifyError::malformed(PART, what);
    let (pcr, rest) = word(line).ok_or_else(|| fault("a line without a register"))?;
    // The kernel writes the number in two columns.
    let pcr = pcr.strip_prefix(b" ").unwrap_or(pcr);
    if std::str::from_utf8(pcr).ok().and_then(|text| text.parse::<u32>().ok()) != Some(PCR) {
        return Err(VerifyError::unsupported(PART, "an entry for a register other than PCR 10"));
    }
    let (sha1, rest) = word(rest).ok_or_else(|| fault("a line without a digest"))?;
    let mut template_hash = [0; 20];
    hex::decode_to_slice(sha1, &mut template_hash)
        .map_err(|_| fault("the digest of an entry is no hex of 20 bytes"))?;
    let (template, rest) = word(rest).ok_or_else(|| fault("a line without a template"))?;
    let template = Template::of(template)?;
    let (digest, rest) = word(rest).ok_or_else(|| fault("a line without a name"))?;
    let (label, digest) = match digest.iter().rposition(|byte| *byte == b':') {
        Some(colon) if template != Template::Ima => digest.split_at(colon.saturating_add(1)),
        None if template == Template::Ima => (&[][..], digest),
        _ => return Err(fault("a digest without its algorithm")),
    };
    let digest = hex::decode(digest).map_err(|_| fault("a digest is no hex"))?;
    let (name, third) = if template.has_third() {
        // An entry without a signature ends in a space.
        let (name, third) = word(rest).unwrap_or((rest, &[]));
        (name, hex::decode(third).map_err(|_| fault("the last field is no hex"))?)
    } else {
        (rest, Vec::new())
    };
    Entry::new(template, template_hash, (label, digest), name, Cow::Owned(third))
}

/// The bytes before the first space, and those behind it.
fn word(line: &[u8]) -> Option<(&[u8], &[u8])> {
    // A register below ten is written with a space before it.
    let from = usize::from(line.starts_with(b" "));
    let space = line.get(from..)?.iter().position(|byte| *byte == b' ')?.checked_add(from)?;
    Some((line.get(..space)?, line.get(space.checked_add(1)?..)?))
}
