//! Numbers: integers exact, everything else kept apart from them.
//! RFC 8259, section 6; bad inputs, rows JWT-46 and JWT-47.

use super::Kind;
use super::reader::Reader;
use crate::diagnostic::Diagnostic;

/// Reads the number at the cursor, which stands on a minus or a digit.
pub(super) fn read(reader: &mut Reader<'_>) -> Result<Kind, Diagnostic> {
    let start = reader.at();
    if reader.peek() == Some(b'-') {
        reader.advance(1);
    }
    let whole = digits(reader);
    if whole.is_empty() {
        return Err(reader.fault(start, "minus without digits"));
    }
    if whole.len() > 1 && whole.starts_with('0') {
        return Err(reader.fault(start, "number with a leading zero"));
    }
    let mut integer = true;
    if reader.peek() == Some(b'.') {
        integer = false;
        reader.advance(1);
        if digits(reader).is_empty() {
            return Err(reader.fault(start, "decimal point without digits after it"));
        }
    }
    if matches!(reader.peek(), Some(b'e' | b'E')) {
        integer = false;
        reader.advance(1);
        if matches!(reader.peek(), Some(b'+' | b'-')) {
            reader.advance(1);
        }
        if digits(reader).is_empty() {
            return Err(reader.fault(start, "exponent without digits"));
        }
    }
    let most = reader.limits().number_bytes;
    if reader.at() - start > most {
        return Err(reader.excess(start, format!("number longer than {most} bytes")));
    }
    let written = reader.slice(start, reader.at());
    if integer && written != "-0" {
        return match written.parse::<i128>() {
            Ok(value) if (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&value) => Ok(Kind::Integer(value)),
            _ => Err(reader.fault(start, "integer does not fit 64 bits")),
        };
    }
    match written.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(Kind::Float(value)),
        _ => Err(reader.fault(start, "number is out of range")),
    }
}

fn digits<'a>(reader: &mut Reader<'a>) -> &'a str {
    let rest = reader.rest();
    let count = rest.bytes().take_while(u8::is_ascii_digit).count();
    reader.advance(count);
    rest.get(..count).unwrap_or_default()
}
