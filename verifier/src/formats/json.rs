//! A strict reading of JSON objects: one text, one meaning. RFC 8259; bad inputs, rows JWT-30, JWT-31, JWT-45 to JWT-48.
//!
//! Refused: a name twice in one object (escapes read), a NUL in a name, integers outside 64 bits, more than 32 levels, more than
//! 4,096 members and elements, anything before or after the object. UTF-8, lone surrogates and numbers are `serde_json`'s, which
//! is strict about them.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

const MAX_DEPTH: usize = 32;
const MAX_MEMBERS: usize = 4_096;

/// Why a text is no strict JSON object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JsonFault {
    /// Not JSON, or not strictly.
    Malformed,
    /// Too deep or too many.
    TooLarge,
    /// A number that no float holds, such as `1e400`.
    Number,
}

/// Reads one object.
pub(crate) fn object(bytes: &[u8]) -> Result<Map<String, Value>, JsonFault> {
    match value(bytes)? {
        Value::Object(members) => Ok(members),
        _ => Err(JsonFault::Malformed),
    }
}

/// Reads one text of any kind, as strictly.
pub(crate) fn value(bytes: &[u8]) -> Result<Value, JsonFault> {
    let budget = Budget { left: Cell::new(MAX_MEMBERS), spent: Cell::new(false) };
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let read = Strict { budget: &budget, depth: 0 }.deserialize(&mut reader).and_then(|value| {
        reader.end()?;
        Ok(value)
    });
    match read {
        Ok(value) => Ok(value),
        Err(_) if budget.spent.get() => Err(JsonFault::TooLarge),
        Err(error) if error.to_string().starts_with("number out of range") => Err(JsonFault::Number),
        Err(_) => Err(JsonFault::Malformed),
    }
}

/// What is left of the members, and whether a limit was hit.
struct Budget {
    left: Cell<usize>,
    spent: Cell<bool>,
}

impl Budget {
    fn one<E: Error>(&self) -> Result<(), E> {
        match self.left.get().checked_sub(1) {
            Some(left) => {
                self.left.set(left);
                Ok(())
            }
            None => Err(self.exhausted()),
        }
    }

    fn exhausted<E: Error>(&self) -> E {
        self.spent.set(true);
        E::custom("past a limit")
    }
}

#[derive(Clone, Copy)]
struct Strict<'a> {
    budget: &'a Budget,
    depth: usize,
}

impl Strict<'_> {
    fn deeper<E: Error>(self) -> Result<Self, E> {
        let depth = self.depth.saturating_add(1);
        if depth > MAX_DEPTH { Err(self.budget.exhausted()) } else { Ok(Self { depth, ..self }) }
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("json")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, truth: bool) -> Result<Value, E> {
        Ok(Value::Bool(truth))
    }

    fn visit_i64<E: Error>(self, integer: i64) -> Result<Value, E> {
        Ok(Value::from(integer))
    }

    fn visit_u64<E: Error>(self, integer: u64) -> Result<Value, E> {
        Ok(Value::from(integer))
    }

    fn visit_f64<E: Error>(self, float: f64) -> Result<Value, E> {
        // An integer of more than 64 bits arrives here as a float that has lost its last digits.
        const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;
        if float.abs() >= TWO_TO_63 {
            return Err(E::custom("an integer does not fit 64 bits"));
        }
        Number::from_f64(float).map(Value::Number).ok_or_else(|| E::custom("no number"))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Value, E> {
        Ok(Value::String(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let inside = self.deeper()?;
        let mut list = Vec::new();
        while let Some(value) = access.next_element_seed(inside)? {
            self.budget.one()?;
            list.push(value);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let inside = self.deeper()?;
        let mut members = Map::new();
        while let Some(name) = access.next_key::<String>()? {
            self.budget.one()?;
            if name.contains('\0') || members.contains_key(&name) {
                return Err(A::Error::custom("a name stands twice or has a nul"));
            }
            let value = access.next_value_seed(inside)?;
            members.insert(name, value);
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jwt_30_31_48_one_text_has_one_meaning() {
        assert!(object(br#" {"a": {"b": 1}, "c": {"b": 2}} "#).is_ok());
        for bad in [
            r#"{"alg":"x","alg":"x"}"#,
            r#"{"exp":1,"\u0065xp":2}"#,
            r#"{"a":{"b":1,"b":1}}"#,
            r#"{"a":1}{}"#,
            r#"{"a":1} x"#,
            "\u{feff}{}",
            r#"{"a\u0000":1}"#,
            r#"{"a":"\ud800"}"#,
            "[]",
            "1",
            "",
        ] {
            assert_eq!(object(bad.as_bytes()), Err(JsonFault::Malformed), "{bad}");
        }
        assert_eq!(object(b"{\"a\":\"\xc0\xaf\"}"), Err(JsonFault::Malformed), "overlong");
        // Composed and decomposed forms are different names.
        assert_eq!(object("{\"\u{e9}\":1,\"e\u{301}\":2}".as_bytes()).unwrap().len(), 2);
    }

    #[test]
    fn jwt_45_depth_and_count_are_bounded() {
        let nested = |depth: usize| format!("{}{}", "{\"a\":".repeat(depth - 1) + "{", "}".repeat(depth));
        assert!(object(nested(32).as_bytes()).is_ok());
        assert_eq!(object(nested(33).as_bytes()), Err(JsonFault::TooLarge));
        assert_eq!(object(nested(10_000).as_bytes()), Err(JsonFault::TooLarge));
        let many =
            |count: usize| format!("{{{}}}", (0..count).map(|n| format!("\"{n}\":0")).collect::<Vec<_>>().join(","));
        assert!(object(many(4_096).as_bytes()).is_ok());
        assert_eq!(object(many(4_097).as_bytes()), Err(JsonFault::TooLarge));
        let list = format!("{{\"a\":[{}0]}}", "0,".repeat(4_096));
        assert_eq!(object(list.as_bytes()), Err(JsonFault::TooLarge));
    }

    #[test]
    fn jwt_46_47_integers_are_exact_or_refused() {
        let read = |text: &str| object(format!("{{\"svn\":{text}}}").as_bytes()).map(|o| o["svn"].clone());
        assert_eq!(read("9007199254740993"), Ok(Value::from(9_007_199_254_740_993_u64)));
        assert_eq!(read("18446744073709551615"), Ok(Value::from(u64::MAX)));
        assert_eq!(read("-9223372036854775808"), Ok(Value::from(i64::MIN)));
        for large in ["18446744073709551616", "-9223372036854775809", "1e300"] {
            assert_eq!(read(large), Err(JsonFault::Malformed), "{large}");
        }
        assert_eq!(read("1e400"), Err(JsonFault::Number));
        for no_integer in ["-0", "1.0", "1e0"] {
            assert!(read(no_integer).unwrap().as_i64().is_none(), "{no_integer}");
        }
        for no_number in ["01", "NaN", "+1", ".5", "Infinity", "0x1"] {
            assert_eq!(read(no_number), Err(JsonFault::Malformed), "{no_number}");
        }
    }
}
