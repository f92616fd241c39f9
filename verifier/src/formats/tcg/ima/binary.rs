//! The list in bytes: `binary_runtime_measurements`. All numbers are little-endian.
//!
//! Linux, `security/integrity/ima/ima_fs.c`, `ima_measurements_show`.

use std::borrow::Cow;

use crate::error::VerifyError;
use crate::formats::bytes::Reader;

use super::entry::{Entry, Template};
use super::{MAX_LOG, PART, PCR};

/// Reads every entry.
pub(super) fn parse<'a>(
    bytes: &'a [u8],
    mut add: impl FnMut(Entry<'a>) -> Result<(), VerifyError>,
) -> Result<(), VerifyError> {
    let mut reader = Reader::new(bytes, PART);
    while !reader.rest().is_empty() {
        add(one(&mut reader)?)?;
    }
    Ok(())
}

fn one<'a>(reader: &mut Reader<'a>) -> Result<Entry<'a>, VerifyError> {
    if reader.u32_le("pcr")? != PCR {
        return Err(VerifyError::unsupported(PART, "an entry for a register other than PCR 10"));
    }
    let sha1 = *reader.array::<20>("template digest")?;
    let template = Template::of(sized(reader, "template name")?)?;
    if template == Template::Ima {
        let digest = reader.array::<20>("digest")?.to_vec();
        let name = sized(reader, "name")?;
        return Entry::new(template, sha1, (&[], digest), name, Cow::Borrowed(&[]));
    }
    let mut fields = Reader::new(sized(reader, "template data")?, PART);
    let digest = sized(&mut fields, "digest")?;
    let Some(end) = digest.windows(2).position(|pair| pair == b":\0") else {
        return Err(VerifyError::malformed(PART, "a digest without its algorithm"));
    };
    let (label, rest) = digest.split_at(end.saturating_add(1));
    let name = sized(&mut fields, "name")?;
    let Some(name) = name.strip_suffix(&[0]) else {
        return Err(VerifyError::malformed(PART, "a name without its end"));
    };
    let third = if template.has_third() { sized(&mut fields, "signature or buffer")? } else { &[] };
    fields.finish()?;
    let digest = rest.strip_prefix(&[0]).unwrap_or(rest).to_vec();
    Entry::new(template, sha1, (label, digest), name, Cow::Borrowed(third))
}

/// A length and as many bytes.
fn sized<'a>(reader: &mut Reader<'a>, field: &str) -> Result<&'a [u8], VerifyError> {
    let length = usize::try_from(reader.u32_le(field)?).unwrap_or(usize::MAX);
    if length > MAX_LOG {
        return Err(VerifyError::too_large(PART, format!("`{field}` of {length} bytes is announced")));
    }
    reader.take(length, field)
}
