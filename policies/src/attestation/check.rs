//! What the form of a rule does not show: identifiers, operands, properties, queries.
//! Policy language, sections 2, 4.2, 4.3 and 4.4. Everything that can be known before an evaluation is known here.

use crate::diagnostic::Diagnostic;
use crate::jmespath::Expression;
use crate::nearest::nearest;

use super::ast::{Action, Condition, Expr, Made, Placed, Rule, Section, Test, Verb};
use super::claims::{ClaimValue, Property};
use super::configuration;
use super::fault::meaningless;
use super::functions::Function;

type Found = Result<(), (&'static str, Diagnostic)>;

const CONDITION: &str = "rule > condition";
const ACTION: &str = "rule > action";

/// Checks a rule; `before` are those above it in its section. A fault says in which part of the rule it is.
pub(super) fn rule(section: Section, before: &[Rule], rule: &Rule) -> Found {
    if section == Section::Configuration {
        return configuration_rule(before, rule).map(drop);
    }
    let mut bound: Vec<&str> = Vec::new();
    for condition in &rule.conditions {
        self::condition(condition, &bound).map_err(|fault| (CONDITION, fault))?;
        if let Some(name) = &condition.binds {
            if bound.contains(&name.node.as_str()) {
                let fault = meaningless(name.span, &name.node, format!("identifier '{}' is bound twice", name.node))
                    .help("name each condition of a rule differently");
                return Err((CONDITION, fault));
            }
            bound.push(&name.node);
        }
    }
    let Action::Make(verb, made) = &rule.action else { return Ok(()) };
    action(*verb, made, &bound).map_err(|fault| (ACTION, fault))
}

/// Configuration is read before there is evidence: a rule names a property and its value, nothing else.
fn configuration_rule(before: &[Rule], rule: &Rule) -> Found {
    if let Some(condition) = rule.conditions.first() {
        let fault = meaningless(condition.span, "[", "condition in configurationrules")
            .help("write `=> issueproperty(…);`: no claims exist yet where configuration is read");
        return Err((CONDITION, fault));
    }
    let Action::Make(_, Made::New { kind, value }) = &rule.action else {
        let fault = meaningless(rule.span, "claim", "unbound identifier in configurationrules")
            .help("write `issueproperty(type=\"…\", value=…)`");
        return Err((ACTION, fault));
    };
    let (Expr::Literal(name), Expr::Literal(_)) = (&kind.node, &value.node) else {
        let span = if matches!(kind.node, Expr::Literal(_)) { value.span } else { kind.span };
        let fault = meaningless(span, "", "a configuration property is a literal")
            .help("write name and value as they are, without references or functions");
        return Err((ACTION, fault));
    };
    property(Section::Configuration, kind, value).map_err(|fault| (ACTION, fault))?;
    let twice = before.iter().any(|other| {
        let Action::Make(_, Made::New { kind, .. }) = &other.action else { return false };
        matches!(&kind.node, Expr::Literal(other) if other == name)
    });
    if twice {
        let fault = meaningless(kind.span, &shown(name), format!("property '{}' is set twice", shown(name)))
            .help("keep one of the two rules");
        return Err((ACTION, fault));
    }
    Ok(())
}

fn condition(condition: &Condition, bound: &[&str]) -> Result<(), Diagnostic> {
    for test in &condition.tests {
        expression(&test.operand, bound)?;
        comparison(test)?;
    }
    Ok(())
}

/// An order needs integers; `type`, `valueType` and `issuer` are strings and have none.
fn comparison(test: &Test) -> Result<(), Diagnostic> {
    let operator = test.operator.node;
    let fault =
        |message: String, help: &str| Err(meaningless(test.operator.span, operator.as_str(), message).help(help));
    if operator.orders() && test.property != Property::Value {
        let message = format!("operator '{}' does not compare '{}'", operator.as_str(), test.property);
        return fault(message, "write `==` or `!=`: only values that are integers have an order");
    }
    let Expr::Literal(literal) = &test.operand.node else { return Ok(()) };
    match literal {
        ClaimValue::Integer(_) | ClaimValue::Boolean(_) if test.property != Property::Value => {
            let message = format!("'{}' is never {}", test.property, literal.value_type().to_lowercase());
            Err(meaningless(test.operand.span, &shown(literal), message).help("write a string"))
        }
        ClaimValue::Text(_) | ClaimValue::Boolean(_) if operator.orders() => {
            let message = format!("operator '{}' does not compare a {}", operator.as_str(), literal.value_type());
            fault(message, "write `==` or `!=`: only integers have an order")
        }
        _ => Ok(()),
    }
}

fn action(verb: Verb, made: &Made, bound: &[&str]) -> Result<(), Diagnostic> {
    let (kind, value) = match made {
        Made::Copy(name) => return identifier(name, bound),
        Made::New { kind, value } => (kind, value),
    };
    expression(kind, bound)?;
    expression(value, bound)?;
    match &kind.node {
        Expr::Literal(ClaimValue::Text(text)) if text.is_empty() => {
            return Err(meaningless(kind.span, "\"\"", "type of a claim is empty").help("name the claim"));
        }
        Expr::Literal(ClaimValue::Text(_)) | Expr::Reference(..) | Expr::Call(..) => {}
        Expr::Literal(other) => {
            let message = format!("type of a claim is a string, not {}", other.value_type());
            return Err(meaningless(kind.span, &shown(other), message).help("write the type in double quotes"));
        }
    }
    let steers = verb == Verb::IssueProperty && matches!(kind.node, Expr::Literal(_));
    if steers {
        property(Section::Issuance, kind, value)?;
    }
    Ok(())
}

/// A property written out: known in its section, and of its type where the value is written out too.
fn property(section: Section, kind: &Placed<Expr>, value: &Placed<Expr>) -> Result<(), Diagnostic> {
    let Expr::Literal(name) = &kind.node else { return Ok(()) };
    let written = shown(name);
    let known = if let ClaimValue::Text(name) = name { configuration::named(section, name) } else { None };
    let Some(known) = known else {
        let names: Vec<&str> = configuration::names(section).collect();
        let message = format!("unknown property '{written}' in {}", section.as_str());
        let fault = meaningless(kind.span, &format!("\"{written}\""), message)
            .expected(names.iter().map(|name| format!("`{name}`")));
        return Err(match nearest(&written, &names) {
            Some(name) => fault.help(format!("write `{name}`")),
            None => fault.help(format!("properties here are {}", names.join(", "))),
        });
    };
    match &value.node {
        Expr::Literal(literal) if !known.takes(literal) => {
            let message = format!("property '{written}' is {}", known.form);
            Err(meaningless(value.span, &shown(literal), message))
        }
        _ => Ok(()),
    }
}

fn expression(expr: &Placed<Expr>, bound: &[&str]) -> Result<(), Diagnostic> {
    match &expr.node {
        Expr::Literal(_) => Ok(()),
        Expr::Reference(name, _) => identifier(name, bound),
        Expr::Call(function, arguments) => {
            for argument in arguments {
                expression(argument, bound)?;
            }
            match (function, arguments.as_slice()) {
                (Function::JmesPath, [_, query]) => self::query(query),
                _ => Ok(()),
            }
        }
    }
}

/// A query written out is read now, so that an evaluation reads none.
fn query(query: &Placed<Expr>) -> Result<(), Diagnostic> {
    let Expr::Literal(ClaimValue::Text(text)) = &query.node else { return Ok(()) };
    if text.is_empty() {
        return Err(meaningless(query.span, "\"\"", "query is empty").help("write `@` for the whole text"));
    }
    match Expression::parse(text) {
        Ok(_) => Ok(()),
        Err(fault) => Err(meaningless(query.span, text, format!("query does not parse: {fault}"))),
    }
}

fn identifier(name: &Placed<String>, bound: &[&str]) -> Result<(), Diagnostic> {
    if bound.contains(&name.node.as_str()) {
        return Ok(());
    }
    let fault = meaningless(name.span, &name.node, format!("unbound identifier '{}'", name.node));
    Err(match nearest(&name.node, bound) {
        Some(near) => fault.help(format!("write `{near}`")),
        None => fault.help(format!("bind it in an earlier condition of the rule: `{}:[type==\"…\"]`", name.node)),
    })
}

fn shown(value: &ClaimValue) -> String {
    match value {
        ClaimValue::Boolean(truth) => truth.to_string(),
        ClaimValue::Integer(integer) => integer.to_string(),
        ClaimValue::Text(text) => super::lexer::shown(text),
    }
}
