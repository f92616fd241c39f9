//! Strings: escapes read, surrogates paired, control characters refused.
//! RFC 8259, section 7.

use super::reader::Reader;
use crate::diagnostic::Diagnostic;

/// Reads the string at the cursor, which stands on its opening quote.
pub(super) fn read(reader: &mut Reader<'_>) -> Result<String, Diagnostic> {
    reader.advance(1);
    let mut out = String::new();
    loop {
        let rest = reader.rest();
        let plain = rest.find(|c: char| c == '"' || c == '\\' || c < ' ').unwrap_or(rest.len());
        out.push_str(rest.get(..plain).unwrap_or_default());
        reader.advance(plain);
        match reader.peek() {
            Some(b'"') => {
                reader.advance(1);
                return Ok(out);
            }
            Some(b'\\') => out.push(escape(reader)?),
            Some(_) => {
                let at = reader.at();
                return Err(reader.fault(at, "control character within a string"));
            }
            None => {
                let at = reader.at();
                return Err(reader.fault(at, "string does not end"));
            }
        }
    }
}

/// Reads one escape, for a pair of surrogates both halves.
fn escape(reader: &mut Reader<'_>) -> Result<char, Diagnostic> {
    let start = reader.at();
    reader.advance(1);
    let letter = reader.peek();
    reader.advance(usize::from(letter.is_some_and(|byte| byte.is_ascii())));
    let character = match letter {
        Some(b'"') => '"',
        Some(b'\\') => '\\',
        Some(b'/') => '/',
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => return unicode(reader, start),
        _ => return Err(reader.fault(start, "unknown escape")),
    };
    Ok(character)
}

fn unicode(reader: &mut Reader<'_>, start: usize) -> Result<char, Diagnostic> {
    let Some(first) = four_hex(reader) else {
        return Err(reader.fault(start, "`\\u` needs four hexadecimal digits"));
    };
    if let Some(character) = char::from_u32(first) {
        return Ok(character);
    }
    let second = if (0xD800..0xDC00).contains(&first) && reader.rest().starts_with("\\u") {
        reader.advance(2);
        four_hex(reader).filter(|low| (0xDC00..0xE000).contains(low))
    } else {
        None
    };
    second
        .and_then(|low| char::from_u32(0x1_0000 + ((first - 0xD800) << 10) + (low - 0xDC00)))
        .ok_or_else(|| reader.fault(start, "half of a surrogate pair stands alone"))
}

fn four_hex(reader: &mut Reader<'_>) -> Option<u32> {
    let digits = reader.rest().get(..4)?;
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    reader.advance(4);
    u32::from_str_radix(digits, 16).ok()
}
