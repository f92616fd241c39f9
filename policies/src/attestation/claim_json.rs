//! JSON texts that stand in claims: read under fuel, each once.
//! Policy language, section 5; threat model, P22; bad inputs, row POL-04.
//!
//! A member that stands twice is refused, so that a query and whatever else reads the text see the same.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::fuel::{Exhausted, Fuel};
use crate::limits::CLAIM_JSON_DEPTH;

/// What one node is charged beside the bytes of its text.
const NODE_BYTES: u64 = 48;
/// Nodes for one step.
const NODES_A_STEP: u64 = 8;

/// Why a text gives no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// It is no JSON at all.
    Syntax,
    /// It is JSON that is not read.
    Refused(&'static str),
    Exhausted(Exhausted),
}

/// Values of claims that were read before, by the number of the claim.
#[derive(Debug, Default)]
pub(super) struct Texts {
    read: HashMap<u32, Arc<Value>>,
}

impl Texts {
    /// The value of the claim of that number, whose text this is.
    pub(super) fn of_claim(&mut self, claim: u32, text: &str, fuel: &mut Fuel) -> Result<Arc<Value>, Unreadable> {
        if let Some(value) = self.read.get(&claim) {
            return Ok(Arc::clone(value));
        }
        let value = Arc::new(read(text, fuel)?);
        self.read.insert(claim, Arc::clone(&value));
        Ok(value)
    }
}

/// Reads a text.
pub(super) fn read(text: &str, fuel: &mut Fuel) -> Result<Value, Unreadable> {
    let mut charged = Charged { fuel, nodes: 0, fault: None };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = Seed { charged: &mut charged, depth: 0 }.deserialize(&mut deserializer);
    match (value, deserializer.end()) {
        (Ok(value), Ok(())) => Ok(value),
        _ => Err(charged.fault.unwrap_or(Unreadable::Syntax)),
    }
}

struct Charged<'f> {
    fuel: &'f mut Fuel,
    nodes: u64,
    fault: Option<Unreadable>,
}

impl Charged<'_> {
    fn node<E: Error>(&mut self, text: usize) -> Result<(), E> {
        self.nodes += 1;
        let step = u64::from(self.nodes.is_multiple_of(NODES_A_STEP));
        let paid = self.fuel.step(step).and_then(|()| self.fuel.bytes(NODE_BYTES + text as u64));
        paid.map_err(|exhausted| self.refuse(Unreadable::Exhausted(exhausted)))
    }

    fn refuse<E: Error>(&mut self, fault: Unreadable) -> E {
        self.fault = Some(fault);
        E::custom("refused")
    }
}

struct Seed<'c, 'f> {
    charged: &'c mut Charged<'f>,
    depth: usize,
}

impl Seed<'_, '_> {
    fn deeper<E: Error>(&mut self) -> Result<usize, E> {
        self.charged.node(0)?;
        let depth = self.depth + 1;
        if depth > CLAIM_JSON_DEPTH {
            return Err(self.charged.refuse(Unreadable::Refused("nested too deep")));
        }
        Ok(depth)
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_, '_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_, '_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        self.charged.node(0)?;
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, truth: bool) -> Result<Value, E> {
        self.charged.node(0)?;
        Ok(Value::Bool(truth))
    }

    fn visit_i64<E: Error>(self, integer: i64) -> Result<Value, E> {
        self.charged.node(0)?;
        Ok(Value::from(integer))
    }

    fn visit_u64<E: Error>(self, integer: u64) -> Result<Value, E> {
        self.charged.node(0)?;
        Ok(Value::from(integer))
    }

    fn visit_f64<E: Error>(self, float: f64) -> Result<Value, E> {
        self.charged.node(0)?;
        match Number::from_f64(float) {
            Some(number) => Ok(Value::Number(number)),
            None => Err(self.charged.refuse(Unreadable::Refused("number out of range"))),
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        self.charged.node(text.len())?;
        Ok(Value::String(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<Value, A::Error> {
        let depth = self.deeper()?;
        let mut list = Vec::new();
        while let Some(element) = elements.next_element_seed(Seed { charged: &mut *self.charged, depth })? {
            list.push(element);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<Value, A::Error> {
        let depth = self.deeper()?;
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            self.charged.node(name.len())?;
            let value = members.next_value_seed(Seed { charged: &mut *self.charged, depth })?;
            if object.insert(name, value).is_some() {
                return Err(self.charged.refuse(Unreadable::Refused("a member stands twice")));
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Result<Value, Unreadable> {
        read(text, &mut Fuel::service())
    }

    #[test]
    fn what_is_read_is_what_everybody_reads() {
        for text in ["null", "true", "-7", "18446744073709551615", "1.5", r#""a\u0041""#, r#"{"a":[1,{"b":null}]}"#] {
            assert_eq!(value(text), Ok(serde_json::from_str(text).unwrap()), "{text}");
        }
    }

    #[test]
    fn faults_are_told_apart() {
        assert_eq!(value("{"), Err(Unreadable::Syntax));
        assert_eq!(value("1 2"), Err(Unreadable::Syntax));
        assert_eq!(value(""), Err(Unreadable::Syntax));
        assert_eq!(value(r#"{"a":1,"\u0061":2}"#), Err(Unreadable::Refused("a member stands twice")));
        assert_eq!(value(&"[".repeat(100)), Err(Unreadable::Refused("nested too deep")));
        let list = format!("[{}1]", "1,".repeat(1_000_000));
        assert_eq!(value(&list), Err(Unreadable::Exhausted(Exhausted::Bytes)));
        assert_eq!(read(&list, &mut Fuel::new(1_000, u64::MAX)), Err(Unreadable::Exhausted(Exhausted::Steps)));
        let texts = format!("[\"{}\"]", "a".repeat(17 << 20));
        assert_eq!(value(&texts), Err(Unreadable::Exhausted(Exhausted::Bytes)));
    }
}
