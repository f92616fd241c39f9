//! String literals: read, and written back.
//! Policy language, section 2.1 (STRING); bad inputs, row POL-13.

/// What is wrong with a string literal.
pub(super) struct Flaw {
    /// Offset of the flaw from the opening quote.
    pub(super) at: usize,
    /// Bytes that are wrong.
    pub(super) bytes: usize,
    /// Whether the place to show is the flaw; otherwise it is the opening quote.
    pub(super) within: bool,
    pub(super) help: &'static str,
}

const UNENDED: &str = "end the string with `\"` on the line where it begins";
const ESCAPES: &str =
    "escapes are `\\\"`, `\\\\`, `\\/`, `\\n`, `\\r`, `\\t` and `\\uXXXX`; write `\\\\` for one backslash";

/// Reads the literal at the start of `rest`, which begins with a quote: its text, and its length with both quotes.
pub(super) fn read(rest: &str) -> Result<(String, usize), Flaw> {
    let mut out = String::new();
    let mut at = 1;
    loop {
        let ahead = rest.get(at..).unwrap_or_default();
        let plain = ahead.find(|c: char| c == '"' || c == '\\' || (c < ' ' && c != '\t')).unwrap_or(ahead.len());
        out.push_str(ahead.get(..plain).unwrap_or_default());
        at += plain;
        match ahead.as_bytes().get(plain) {
            Some(b'"') => return Ok((out, at + 1)),
            Some(b'\\') => {
                let (character, length) = escape(rest.get(at..).unwrap_or_default(), at)?;
                out.push(character);
                at += length;
            }
            None | Some(b'\n' | b'\r') => {
                return Err(Flaw { at, bytes: at, within: false, help: UNENDED });
            }
            Some(_) => {
                let help = "control characters are written as escapes, `\\u0000`";
                return Err(Flaw { at, bytes: 1, within: true, help });
            }
        }
    }
}

/// The escape at the start of `rest`, and its length.
fn escape(rest: &str, at: usize) -> Result<(char, usize), Flaw> {
    let character = match rest.as_bytes().get(1) {
        Some(b'"') => '"',
        Some(b'\\') => '\\',
        Some(b'/') => '/',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => return unicode(rest, at),
        _ => {
            let bytes = rest.chars().take(2).map(char::len_utf8).sum();
            return Err(Flaw { at, bytes, within: true, help: ESCAPES });
        }
    };
    Ok((character, 2))
}

fn unicode(rest: &str, at: usize) -> Result<(char, usize), Flaw> {
    let four = |from: usize| {
        let digits = rest.get(from..from + 4)?;
        let hexadecimal = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        hexadecimal.then(|| u32::from_str_radix(digits, 16).ok()).flatten()
    };
    let Some(first) = four(2) else {
        return Err(Flaw { at, bytes: 2, within: true, help: "`\\u` needs four hexadecimal digits" });
    };
    if let Some(character) = char::from_u32(first) {
        return Ok((character, 6));
    }
    let low = if rest.get(6..8) == Some("\\u") { four(8) } else { None };
    let pair = low.filter(|low| (0xDC00..0xE000).contains(low) && (0xD800..0xDC00).contains(&first));
    pair.and_then(|low| char::from_u32(0x1_0000 + ((first - 0xD800) << 10) + (low - 0xDC00)))
        .map(|character| (character, 12))
        .ok_or(Flaw { at, bytes: 6, within: true, help: "half of a surrogate pair stands alone" })
}

/// Writes a literal that [`read`] reads back. What cannot be seen is escaped, so that a print shows it.
pub(super) fn write(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            other if other.is_control() || is_unseen(other) => {
                let mut units = [0; 2];
                for unit in other.encode_utf16(&mut units) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

/// Characters that change how the text around them looks, or have no look of their own: marks and overrides of
/// direction, joiners, blanks of no or odd width, line separators, tags.
pub(super) fn is_unseen(character: char) -> bool {
    matches!(
        u32::from(character),
        0x00A0 | 0x00AD | 0x034F | 0x061C | 0x115F | 0x1160 | 0x17B4 | 0x17B5 | 0x180E | 0x2000..=0x200F
            | 0x2028..=0x202F | 0x205F..=0x206F | 0x3000 | 0x3164 | 0xFE00..=0xFE0F | 0xFEFF | 0xFFA0 | 0xFFF9..=0xFFFB
            | 0xE0000..=0xE0FFF
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        for text in ["", "plain", "\"\\/", "\u{0}\u{1f}\n\r\t\u{7f}\u{85}", "\u{202e}\u{1f600}\u{e0041}\u{feff}é"] {
            let mut written = String::new();
            write(&mut written, text);
            let (read, length) = read(&written).unwrap_or_else(|_| panic!("{written}"));
            assert_eq!((read.as_str(), length), (text, written.len()));
            assert!(!written.chars().any(is_unseen), "{written}");
        }
    }

    #[test]
    fn what_is_no_literal_is_refused_at_its_place() {
        for (written, at, help) in [
            (r#""abc"#, 4, "end the string"),
            ("\"a\nb\"", 2, "end the string"),
            (r#""a\qb""#, 2, "escapes are"),
            (r#""\u12""#, 1, "four hexadecimal"),
            (r#""\ud800x""#, 1, "surrogate"),
            (r#""\udc00\ud800""#, 1, "surrogate"),
            ("\"a\u{0}\"", 2, "control"),
            (r#""\"#, 1, "escapes are"),
        ] {
            let flaw = read(written).err().unwrap_or_else(|| panic!("{written}"));
            assert_eq!(flaw.at, at, "{written}");
            assert!(flaw.help.contains(help), "{written}: {}", flaw.help);
        }
    }
}
