//! A parsed rule back to JSON: what is hashed, stored and shown.
//! Native API, section 5 (`rule_digest`); parsing the print gives the same rule.

use serde_json::{Map, Value, json};

use super::operand::Operand;
use super::path::ClaimPath;
use super::rule::{Condition, Group, ReleaseRule};

pub(crate) fn rule(rule: &ReleaseRule) -> Value {
    let alternatives = rule.alternatives.iter().map(|alternative| {
        let mut members = Map::new();
        members.insert("authority".to_owned(), json!(alternative.written));
        insert_group(&mut members, &alternative.conditions);
        Value::Object(members)
    });
    json!({"version": rule.version, "anyOf": alternatives.collect::<Vec<_>>()})
}

fn insert_group(members: &mut Map<String, Value>, group: &Group) {
    let conditions = group.conditions.iter().map(condition).collect();
    members.insert(group.join.as_str().to_owned(), Value::Array(conditions));
}

fn condition(condition: &Condition) -> Value {
    let mut members = Map::new();
    match condition {
        Condition::Group(group) => insert_group(&mut members, group),
        Condition::Test(test) => {
            let member = match test.path {
                ClaimPath::Dotted(_) => "claim",
                ClaimPath::Pointer(_) => "claimPointer",
            };
            members.insert(member.to_owned(), json!(test.path.as_str()));
            members.insert(test.operator.as_str().to_owned(), operand(&test.operand));
        }
    }
    Value::Object(members)
}

/// The operand as a JSON value, integers exact.
pub(crate) fn operand(operand: &Operand) -> Value {
    match operand {
        Operand::Text(text) => Value::String(text.clone()),
        Operand::Bool(truth) => Value::Bool(*truth),
        Operand::Integer(integer) => crate::json::integer_value(*integer),
    }
}
