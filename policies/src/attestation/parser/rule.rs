//! One rule: conditions, arrow, action; and the expressions in it.
//! Policy language, section 2.

use crate::diagnostic::{Diagnostic, Span};
use crate::limits::POLICY_NESTING;

use super::super::ast::{Action, Condition, Expr, Made, Operator, Placed, Rule, Section, Test, Verb, Version};
use super::super::claims::{ClaimValue, Property};
use super::super::fault::{Expected, Manner, meaningless, too_large};
use super::super::functions::Function;
use super::super::lexer::{Kind, Token};
use super::super::mend;
use super::{Parser, Read};

impl<'a> Parser<'a> {
    pub(super) fn rule(&mut self, section: Section) -> Read<Rule> {
        let begins = self.current.span;
        let mut conditions = Vec::new();
        if !self.current.is("=>") {
            loop {
                conditions.push(self.condition(conditions.is_empty())?);
                self.part = Some("rule");
                if !self.current.is("&&") {
                    break;
                }
                self.take()?;
            }
        }
        if !self.current.is("=>") {
            return Err(self.unexpected(&[Expected::Sign("&&"), Expected::Sign("=>")]));
        }
        self.take()?;
        let action = self.action(section)?;
        self.part = Some("rule");
        let end = self.expect(";")?.span.end;
        Ok(Rule { conditions, action, span: Span { end, ..begins } })
    }

    fn condition(&mut self, first: bool) -> Read<Condition> {
        let begins = self.current.span;
        let negations = self.version == Version::V1_2;
        let negated = negations && self.current.is("!");
        if negated {
            self.part = Some("rule > condition");
            self.take()?;
        }
        let mut binds = None;
        if self.current.kind == Kind::Word && !negated {
            self.part = Some("rule > condition");
            binds = Some(self.identifier(&[Expected::Identifier])?);
            self.expect(":")?;
        }
        if !self.current.is("[") {
            let mut expected = vec![Expected::Sign("[")];
            if binds.is_none() && !negated {
                expected.insert(0, Expected::Identifier);
                if negations {
                    expected.push(Expected::Sign("!"));
                }
                if first {
                    expected.extend([Expected::Sign("=>"), Expected::Sign("}")]);
                }
            }
            return Err(self.unexpected(&expected));
        }
        self.part = Some("rule > condition");
        self.take()?;
        let mut tests = vec![self.test()?];
        while self.current.is(",") {
            self.take()?;
            tests.push(self.test()?);
        }
        if !self.current.is("]") {
            return Err(self.unexpected(&[Expected::Sign(","), Expected::Sign("]")]));
        }
        let end = self.take()?.span.end;
        Ok(Condition { negated, binds, tests, span: Span { end, ..begins } })
    }

    fn test(&mut self) -> Read<Test> {
        let property = self.property()?;
        let operator = Operator::ALL.into_iter().find(|operator| self.current.is(operator.as_str()));
        let Some(operator) = operator else {
            return Err(self.fault(Manner::Mismatched, &Operator::ALL.map(|one| Expected::Sign(one.as_str()))));
        };
        let operator = Placed::new(operator, self.take()?.span);
        let operand = self.expression(1)?;
        Ok(Test { property, operator, operand })
    }

    fn property(&mut self) -> Read<Property> {
        let named = Property::ALL.into_iter().find(|property| self.current.is_word(property.as_str()));
        let Some(property) = named else {
            return Err(self.fault(Manner::Mismatched, &Property::ALL.map(|one| Expected::Sign(one.as_str()))));
        };
        self.take()?;
        Ok(property)
    }

    fn identifier(&mut self, expected: &[Expected]) -> Read<Placed<String>> {
        if self.current.kind != Kind::Word || matches!(self.current.text, "true" | "false") {
            return Err(self.fault(Manner::Mismatched, expected));
        }
        let token = self.take()?;
        Ok(Placed::new(token.text.to_owned(), token.span))
    }

    fn expression(&mut self, depth: usize) -> Read<Placed<Expr>> {
        let begins = self.current.span;
        if depth > POLICY_NESTING {
            let message = format!("functions nested deeper than {POLICY_NESTING}");
            return Err(too_large(begins, self.current.text, message).at(&self.path()));
        }
        let literal = match &self.current.kind {
            Kind::Text(text) => Some(ClaimValue::Text(text.clone())),
            Kind::Integer(integer) => Some(ClaimValue::Integer(*integer)),
            Kind::Word if self.current.text == "true" => Some(ClaimValue::Boolean(true)),
            Kind::Word if self.current.text == "false" => Some(ClaimValue::Boolean(false)),
            _ => None,
        };
        if let Some(value) = literal {
            self.take()?;
            return Ok(Placed::new(Expr::Literal(value), begins));
        }
        if self.current.kind != Kind::Word {
            return Err(self.no_expression());
        }
        match self.ahead() {
            Some(next) if next.is(".") => self.reference(begins),
            Some(next) if next.is("(") => self.call(depth, begins),
            Some(_) => Err(self.no_expression()),
            None => {
                // What stands behind the word cannot be read at all: that is the fault.
                let word = self.take()?;
                Err(meaningless(word.span, word.text, "no viable alternative").at(&self.path()))
            }
        }
    }

    fn no_expression(&self) -> Diagnostic {
        let mut expected = vec![Expected::Text, Expected::Integer, Expected::Sign("true"), Expected::Sign("false")];
        expected.push(Expected::Identifier);
        if self.version == Version::V1_2 {
            expected.extend(Function::ALL.map(|function| Expected::Sign(function.as_str())));
        }
        self.fault(Manner::NoViable, &expected)
    }

    fn reference(&mut self, begins: Span) -> Read<Placed<Expr>> {
        let identifier = self.identifier(&[Expected::Identifier])?;
        self.take()?;
        let end = self.current.span.end;
        let property = self.property()?;
        Ok(Placed::new(Expr::Reference(identifier, property), Span { end, ..begins }))
    }

    fn call(&mut self, depth: usize, begins: Span) -> Read<Placed<Expr>> {
        let known = Function::named(self.current.text).filter(|_| self.version == Version::V1_2);
        let Some(function) = known else {
            return Err(self.no_expression());
        };
        self.take()?;
        self.take()?;
        let mut arguments = Vec::new();
        while !self.current.is(")") {
            arguments.push(self.expression(depth + 1)?);
            if self.current.is(",") && arguments.len() < function.arity() {
                self.take()?;
                continue;
            }
            if !self.current.is(")") {
                let next = if arguments.len() < function.arity() { "," } else { ")" };
                return Err(self.unexpected(&[Expected::Sign(next)]).help(format!("write `{}`", function.form())));
            }
        }
        if arguments.len() < function.arity() {
            return Err(self
                .fault(Manner::Mismatched, &[Expected::Sign(",")])
                .help(format!("write `{}`", function.form())));
        }
        let end = self.take()?.span.end;
        Ok(Placed::new(Expr::Call(function, arguments), Span { end, ..begins }))
    }

    fn action(&mut self, section: Section) -> Read<Action> {
        self.part = Some("rule > action");
        let allowed: &[&'static str] = match section {
            Section::Configuration => &["issueproperty"],
            Section::Authorization => &["permit", "deny", "add"],
            Section::Issuance => &["add", "issue", "issueproperty"],
        };
        if !allowed.iter().any(|verb| self.current.is_word(verb)) {
            let expected: Vec<Expected> = allowed.iter().map(|verb| Expected::Sign(verb)).collect();
            return Err(self.fault(Manner::Mismatched, &expected));
        }
        let verb = self.take()?;
        self.expect("(")?;
        let action = match verb.text {
            "permit" => Action::Permit,
            "deny" => Action::Deny,
            "add" => Action::Make(Verb::Add, self.made(&verb)?),
            "issue" => Action::Make(Verb::Issue, self.made(&verb)?),
            _ => Action::Make(Verb::IssueProperty, self.made(&verb)?),
        };
        self.expect(")")?;
        Ok(action)
    }

    fn made(&mut self, verb: &Token<'_>) -> Read<Made> {
        if self.current.is_word("claim") {
            self.take()?;
            self.expect("=")?;
            return Ok(Made::Copy(self.identifier(&[Expected::Identifier])?));
        }
        let (mut kind, mut value) = (None, None);
        loop {
            let name = self.current.clone();
            let wanted = match (&kind, &value, name.text) {
                (None, _, "type") => &mut kind,
                (_, None, "value") => &mut value,
                _ => return Err(self.no_assignment(kind.is_some(), value.is_some())),
            };
            self.take()?;
            self.expect("=")?;
            *wanted = Some(self.expression(1)?);
            if !self.current.is(",") {
                break;
            }
            self.take()?;
        }
        match (kind, value) {
            (Some(kind), Some(value)) => Ok(Made::New { kind, value }),
            (kind, _) if self.current.is(")") => {
                let (lacking, other) = if kind.is_some() { ("value", "type") } else { ("type", "value") };
                let help = format!("`{}` needs `{other}` and `{lacking}`", verb.text);
                Err(self.fault(Manner::Mismatched, &[Expected::Sign(",")]).help(help))
            }
            _ => Err(self.unexpected(&[Expected::Sign(","), Expected::Sign(")")])),
        }
    }

    fn no_assignment(&self, kind: bool, value: bool) -> Diagnostic {
        let mut expected = Vec::new();
        if !kind && !value {
            expected.push(Expected::Sign("claim"));
        }
        if !kind {
            expected.push(Expected::Sign("type"));
        }
        if !value {
            expected.push(Expected::Sign("value"));
        }
        if expected.is_empty() {
            expected.push(Expected::Sign(")"));
        }
        let fault = self.fault(Manner::Mismatched, &expected);
        match mend::of_assignment(&self.current) {
            Some(help) => fault.help(help),
            None => fault,
        }
    }
}
