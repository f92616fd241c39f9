//! What is only unwise about a policy: it is taken, and told.
//! Policy language, sections 3, 4.3 and 9 (examples 10 and 14); bad inputs, rows POL-09 and POL-13.

use crate::diagnostic::{Diagnostic, Severity, Span};
use crate::nearest::nearest;

use super::ast::{Action, Condition, Expr, Made, Operator, Policy, Rule, Section, Verb};
use super::claims::{ClaimValue, Issuer, Property};
use super::reserved::is_reserved;
use super::strings::is_unseen;

const RESERVED_NAME: &str = "policy-warning.reserved-name";
const ISSUER_UNTESTED: &str = "policy-warning.issuer-untested";
const PERMITS_ALL: &str = "policy-warning.permits-all";
const NEVER_PERMITS: &str = "policy-warning.never-permits";
const ABSENCE_PASSES: &str = "policy-warning.absence-passes";
const NEVER_MEETS: &str = "policy-warning.never-meets";
const ALIAS_ISSUED: &str = "policy-warning.alias-issued";
const UNSEEN: &str = "policy-warning.unseen-characters";

/// Every finding, in the order of the text.
pub(super) fn policy(text: &str, policy: &Policy) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    unseen(text, &mut found);
    whole(policy, &mut found);
    for section in Section::ALL {
        for rule in policy.rules(section) {
            self::rule(section, rule, &mut found);
        }
    }
    found.sort_by_key(|finding| finding.span.start);
    found
}

fn warning(code: &'static str, span: Span, section: Section, part: &str, message: impl Into<String>) -> Diagnostic {
    let path = format!("policy > {}{part}", section.segment());
    Diagnostic::new(code, Severity::Warning, span, message).at(&path)
}

fn unseen(text: &str, found: &mut Vec<Diagnostic>) {
    let (mut line, mut column) = (1, 1);
    for (start, character) in text.char_indices() {
        if is_unseen(character) {
            let code = u32::from(character);
            let span = Span { start, end: start + character.len_utf8(), line, column };
            let message = format!("character U+{code:04X} cannot be seen, or changes how the text around it looks");
            found.push(
                Diagnostic::new(UNSEEN, Severity::Warning, span, message)
                    .symbol(&character.escape_unicode().to_string())
                    .at("policy")
                    .help("leave it out, or write it as an escape within a string"),
            );
            return;
        }
        (line, column) = if character == '\n' { (line + 1, 1) } else { (line, column + 1) };
    }
}

/// What only the authorization rules together show.
fn whole(policy: &Policy, found: &mut Vec<Diagnostic>) {
    let section = Section::Authorization;
    let rules = policy.rules(section);
    let permits = || rules.iter().filter(|rule| rule.action == Action::Permit);
    let denies = || rules.iter().filter(|rule| rule.action == Action::Deny);
    let always = permits().find(|rule| rule.conditions.is_empty());
    let never = denies().find(|rule| rule.conditions.is_empty());
    if permits().next().is_none() {
        let message = "no rule permits, so that every attestation is denied";
        found.push(warning(NEVER_PERMITS, Span::default(), section, "", message));
    } else if let Some(deny) = never {
        let message = "a rule denies always, so that every attestation is denied";
        found.push(warning(NEVER_PERMITS, deny.span, section, " > rule", message));
    }
    let Some(always) = always else { return };
    if denies().next().is_none() {
        found.push(
            warning(PERMITS_ALL, always.span, section, " > rule", "any genuine attester is permitted")
                .help("test a measurement here, or have relying parties look at the claims"),
        );
    }
    for deny in denies() {
        let tests_value = |condition: &Condition| {
            !condition.negated && condition.tests.iter().any(|test| test.property == Property::Value)
        };
        if !deny.conditions.is_empty() && deny.conditions.iter().all(tests_value) {
            found.push(
                warning(ABSENCE_PASSES, deny.span, section, " > rule", "an attester without the claim is permitted")
                    .help("permit where the claim has the right value, in place of denying the wrong one"),
            );
        }
    }
}

fn rule(section: Section, rule: &Rule, found: &mut Vec<Diagnostic>) {
    for condition in &rule.conditions {
        never_meets(section, condition, found);
        let names_type = condition.tests.iter().any(|test| test.property == Property::Type);
        let names_issuer = condition.tests.iter().any(|test| test.property == Property::Issuer);
        if rule.action == Action::Permit && !condition.negated && names_type && !names_issuer {
            let message = "a claim that the client states itself meets this condition too";
            found.push(
                warning(ISSUER_UNTESTED, condition.span, section, " > rule > condition", message)
                    .help("add `issuer==\"AttestationService\"`"),
            );
        }
    }
    let Action::Make(verb, Made::New { kind, .. }) = &rule.action else { return };
    let Expr::Literal(ClaimValue::Text(name)) = &kind.node else { return };
    if *verb == Verb::Issue && is_reserved(name) {
        let message =
            format!("'{}' is the service's own: what is issued under it is ignored", super::lexer::shown(name));
        found.push(
            warning(RESERVED_NAME, kind.span, section, " > rule > action", message)
                .symbol(name)
                .help("issue it under a name of your own"),
        );
    }
    if name.starts_with('$') {
        let message = "an alias stands for a claim in conditions only: this makes a claim of that very name";
        found.push(warning(ALIAS_ISSUED, kind.span, section, " > rule > action", message).symbol(name));
    }
}

/// Issuers and value types are few and known: another word never equals them.
fn never_meets(section: Section, condition: &Condition, found: &mut Vec<Diagnostic>) {
    let issuers = Issuer::ALL.map(Issuer::as_str);
    let value_types = ["String", "Integer", "Boolean"];
    for test in &condition.tests {
        let known = match test.property {
            Property::Issuer => &issuers,
            Property::ValueType => &value_types,
            Property::Type | Property::Value => continue,
        };
        let Expr::Literal(ClaimValue::Text(written)) = &test.operand.node else { continue };
        if test.operator.node.orders() || known.contains(&written.as_str()) {
            continue;
        }
        let always = if test.operator.node == Operator::Equal { "no claim" } else { "every claim" };
        let message =
            format!("{always} meets this test: there is no {} '{}'", test.property, super::lexer::shown(written));
        let finding = warning(NEVER_MEETS, test.operand.span, section, " > rule > condition", message).symbol(written);
        found.push(match nearest(written, known) {
            Some(name) => finding.help(format!("write `{name}`")),
            None => finding.help(format!("write one of {}", known.join(", "))),
        });
    }
}
