//! A policy written out in one way: section names in lower case, a rule a line, type before value, no comments.
//! Policy language, section 2. What is printed parses to the same policy.

use std::fmt::Write as _;

use super::ast::{Action, Condition, Expr, Made, Policy, Rule, Section};
use super::claims::ClaimValue;
use super::strings;

/// The canonical text.
pub(super) fn policy(policy: &Policy) -> String {
    let mut out = format!("version={};\n", policy.version.as_str());
    for section in Section::ALL {
        let present = match section {
            Section::Configuration => policy.configuration.is_some(),
            Section::Authorization => true,
            Section::Issuance => policy.issuance.is_some(),
        };
        if present {
            self::section(&mut out, section, policy.rules(section));
        }
    }
    out
}

fn section(out: &mut String, section: Section, rules: &[Rule]) {
    out.push_str(section.as_str());
    out.push_str(" {\n");
    for rule in rules {
        out.push_str("    ");
        self::rule(out, rule);
        out.push('\n');
    }
    out.push_str("};\n");
}

fn rule(out: &mut String, rule: &Rule) {
    for (index, condition) in rule.conditions.iter().enumerate() {
        if index > 0 {
            out.push_str("&& ");
        }
        self::condition(out, condition);
        out.push(' ');
    }
    out.push_str("=> ");
    out.push_str(rule.action.as_str());
    out.push('(');
    match &rule.action {
        Action::Permit | Action::Deny => {}
        Action::Make(_, Made::Copy(name)) => {
            let _ = write!(out, "claim={}", name.node);
        }
        Action::Make(_, Made::New { kind, value }) => {
            out.push_str("type=");
            expression(out, &kind.node);
            out.push_str(", value=");
            expression(out, &value.node);
        }
    }
    out.push_str(");");
}

fn condition(out: &mut String, condition: &Condition) {
    if condition.negated {
        out.push('!');
    }
    if let Some(name) = &condition.binds {
        let _ = write!(out, "{}:", name.node);
    }
    out.push('[');
    for (index, test) in condition.tests.iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        let _ = write!(out, "{}{}", test.property, test.operator.node.as_str());
        expression(out, &test.operand.node);
    }
    out.push(']');
}

fn expression(out: &mut String, expr: &Expr) {
    match expr {
        Expr::Literal(ClaimValue::Boolean(truth)) => {
            let _ = write!(out, "{truth}");
        }
        Expr::Literal(ClaimValue::Integer(integer)) => {
            let _ = write!(out, "{integer}");
        }
        Expr::Literal(ClaimValue::Text(text)) => strings::write(out, text),
        Expr::Reference(name, property) => {
            let _ = write!(out, "{}.{property}", name.node);
        }
        Expr::Call(function, arguments) => {
            out.push_str(function.as_str());
            out.push('(');
            for (index, argument) in arguments.iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                expression(out, &argument.node);
            }
            out.push(')');
        }
    }
}
