//! The canonical text of a JSON value, and its digest.
//! RFC 8785; native API, section 5 (`rule_digest`). One difference, on purpose: integers beyond 2^53 are written in full.

use std::cmp::Ordering;
use std::fmt::Write as _;

use serde_json::{Map, Number, Value};
use sha2::{Digest, Sha256};

/// The RFC 8785 text: no spaces, members sorted by the UTF-16 units of their names, shortest numbers.
///
/// Integers that fit i64 or u64 are written in full even beyond 2^53, where the RFC would round them; two different
/// integers thus never share a text.
///
/// ```
/// use serde_json::json;
/// let text = keygate_policies::canonical::text(&json!({"b": 1e21, "a": [true, "\u{20ac}\n"]}));
/// assert_eq!(text, "{\"a\":[true,\"\u{20ac}\\n\"],\"b\":1e+21}");
/// ```
#[must_use]
pub fn text(value: &Value) -> String {
    let mut out = String::new();
    write_value(&mut out, value);
    out
}

/// The same of an object's members.
#[must_use]
pub fn object_text(members: &Map<String, Value>) -> String {
    let mut out = String::new();
    write_object(&mut out, members);
    out
}

/// SHA-256 over [`text`].
#[must_use]
pub fn digest(value: &Value) -> [u8; 32] {
    Sha256::digest(text(value).as_bytes()).into()
}

/// SHA-256 over [`object_text`].
#[must_use]
pub fn object_digest(members: &Map<String, Value>) -> [u8; 32] {
    Sha256::digest(object_text(members).as_bytes()).into()
}

fn write_value(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => write_number(out, number),
        Value::String(string) => write_string(out, string),
        Value::Array(elements) => {
            out.push('[');
            for (index, element) in elements.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_value(out, element);
            }
            out.push(']');
        }
        Value::Object(members) => write_object(out, members),
    }
}

fn write_object(out: &mut String, members: &Map<String, Value>) {
    let mut sorted: Vec<(&String, &Value)> = members.iter().collect();
    sorted.sort_unstable_by(|(left, _), (right, _)| in_order(left, right));
    out.push('{');
    for (index, (name, value)) in sorted.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_string(out, name);
        out.push(':');
        write_value(out, value);
    }
    out.push('}');
}

/// By UTF-16 units, which of ASCII are its bytes. No name stands twice.
fn in_order(left: &str, right: &str) -> Ordering {
    if left.is_ascii() && right.is_ascii() {
        return left.cmp(right);
    }
    left.encode_utf16().cmp(right.encode_utf16())
}

/// RFC 8785, section 3.2.2.2: the two-character escapes where there is one, `\u00xx` for other controls, all else as is.
fn write_string(out: &mut String, string: &str) {
    out.reserve(string.len() + 2);
    out.push('"');
    let mut rest = string;
    while let Some(at) = rest.bytes().position(|byte| matches!(byte, b'"' | b'\\') || byte < b' ') {
        let (plain, from) = rest.split_at_checked(at).unwrap_or((rest, ""));
        out.push_str(plain);
        let mut characters = from.chars();
        match characters.next() {
            Some('"') => out.push_str("\\\""),
            Some('\\') => out.push_str("\\\\"),
            Some('\u{8}') => out.push_str("\\b"),
            Some('\u{c}') => out.push_str("\\f"),
            Some('\n') => out.push_str("\\n"),
            Some('\r') => out.push_str("\\r"),
            Some('\t') => out.push_str("\\t"),
            Some(control) => {
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            None => {}
        }
        rest = characters.as_str();
    }
    out.push_str(rest);
    out.push('"');
}

fn write_number(out: &mut String, number: &Number) {
    if number.is_i64() || number.is_u64() {
        let _ = write!(out, "{number}");
    } else if let Some(float) = number.as_f64() {
        write_float(out, float);
    } else {
        let _ = write!(out, "{number}");
    }
}

/// ECMAScript's Number::toString (ECMA-262, section 6.1.6.1.20), which RFC 8785 section 3.2.2.3 names.
fn write_float(out: &mut String, float: f64) {
    if float == 0.0 {
        out.push('0');
        return;
    }
    if float < 0.0 {
        out.push('-');
    }
    let shortest = shortest(float.abs());
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    let digits: String = mantissa.chars().filter(|c| *c != '.').collect();
    let count = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    let point = exponent.parse::<i32>().unwrap_or(0) + 1;
    let (head, tail) = digits.split_at_checked(usize::try_from(point).unwrap_or(0)).unwrap_or((&digits, ""));
    if (count..=21).contains(&point) {
        out.push_str(&digits);
        (count..point).for_each(|_| out.push('0'));
    } else if (1..=21).contains(&point) {
        let _ = write!(out, "{head}.{tail}");
    } else if (-5..=0).contains(&point) {
        out.push_str("0.");
        (point..0).for_each(|_| out.push('0'));
        out.push_str(&digits);
    } else {
        let (first, rest) = digits.split_at_checked(1).unwrap_or((&digits, ""));
        out.push_str(first);
        if !rest.is_empty() {
            let _ = write!(out, ".{rest}");
        }
        let _ = write!(out, "e{:+}", point - 1);
    }
}

/// The fewest digits that read back as the same number, and among several of that length the closest, an even last
/// digit breaking the tie.
fn shortest(float: f64) -> String {
    let fewest = format!("{float:e}");
    let digits = fewest.bytes().take_while(|byte| *byte != b'e').filter(u8::is_ascii_digit).count();
    let closest = format!("{float:.*e}", digits.saturating_sub(1));
    if closest.parse() == Ok(float) { closest } else { fewest }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(source: &str) -> String {
        let node = crate::json::parse(source.as_bytes(), &crate::Limits::CLAIMS).unwrap();
        text(&node.to_value())
    }

    #[test]
    fn rfc_8785_section_3_2_2_sample() {
        let source = r#"{
            "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
            "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
            "literals": [null, true, false]
        }"#;
        let want = "{\"literals\":[null,true,false],\"numbers\":[333333333.3333333,1e+30,4.5,0.002,1e-27],\
                    \"string\":\"\u{20ac}$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}";
        assert_eq!(canonical(source), want);
    }

    #[test]
    fn rfc_8785_section_3_2_3_sorting() {
        let source = r#"{"\u20ac": "Euro Sign", "\r": "Carriage Return", "\ufb33": "Hebrew Letter Dalet With Dagesh",
            "1": "One", "\ud83d\ude00": "Emoji: Grinning Face", "\u0080": "Control",
            "\u00f6": "Latin Small Letter O With Diaeresis"}"#;
        let order: Vec<_> = ["Carriage", "One", "Control", "Latin", "Euro", "Emoji", "Hebrew"]
            .iter()
            .map(|word| canonical(source).find(word).unwrap())
            .collect();
        assert!(order.is_sorted(), "{order:?}");
    }

    #[test]
    fn rfc_8785_appendix_b_numbers() {
        for (bits, want) in [
            (0x0000_0000_0000_0000_u64, "0"),
            (0x8000_0000_0000_0000, "0"),
            (0x0000_0000_0000_0001, "5e-324"),
            (0x8000_0000_0000_0001, "-5e-324"),
            (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"),
            (0xffef_ffff_ffff_ffff, "-1.7976931348623157e+308"),
            (0x4340_0000_0000_0000, "9007199254740992"),
            (0xc340_0000_0000_0000, "-9007199254740992"),
            (0x4430_0000_0000_0000, "295147905179352830000"),
            (0x44b5_2d02_c7e1_4af5, "9.999999999999997e+22"),
            (0x44b5_2d02_c7e1_4af6, "1e+23"),
            (0x44b5_2d02_c7e1_4af7, "1.0000000000000001e+23"),
            (0x444b_1ae4_d6e2_ef4e, "999999999999999700000"),
            (0x444b_1ae4_d6e2_ef4f, "999999999999999900000"),
            (0x444b_1ae4_d6e2_ef50, "1e+21"),
            (0x3eb0_c6f7_a0b5_ed8c, "9.999999999999997e-7"),
            (0x3eb0_c6f7_a0b5_ed8d, "0.000001"),
            (0x41b3_de43_5555_5553, "333333333.3333332"),
            (0x41b3_de43_5555_5554, "333333333.33333325"),
            (0x41b3_de43_5555_5555, "333333333.3333333"),
            (0x41b3_de43_5555_5556, "333333333.3333334"),
            (0x41b3_de43_5555_5557, "333333333.33333343"),
            (0xbecb_f647_612f_3696, "-0.0000033333333333333333"),
            (0x4314_3ff3_c1cb_0959, "1424953923781206.2"),
        ] {
            assert_eq!(text(&Value::from(f64::from_bits(bits))), want);
        }
    }

    #[test]
    fn jwt_46_integers_beyond_two_to_the_53_are_written_in_full() {
        assert_eq!(canonical("[9007199254740993]"), "[9007199254740993]");
        assert_eq!(canonical("[18446744073709551615]"), "[18446744073709551615]");
        assert_eq!(canonical("[-9223372036854775808]"), "[-9223372036854775808]");
    }

    #[test]
    fn a_digest_does_not_know_the_order_of_members() {
        let one = serde_json::json!({"a": 1, "b": [2]});
        let other = serde_json::json!({"b": [2], "a": 1});
        assert_eq!(digest(&one), digest(&other));
        assert_ne!(digest(&one), digest(&serde_json::json!({"a": 1, "b": [3]})));
    }
}
