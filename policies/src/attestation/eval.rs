//! Rules over claims, top to bottom: configuration, authorization, issuance.
//! Policy language, section 4; threat model, P21 and P22.
//!
//! One pass decides, spends and writes the trace. Every claim that a condition looks at is a step, so that what was traced
//! costs the same as what was not. The operand of a test is worked out once per condition, before claims are looked at.

use serde_json::Value;
use serde_json::map::{Entry, Map};

use super::ast::{Operator, Policy, Section, Verb};
use super::calls::{Item, Purse, Scene, equal};
use super::claim_json::Texts;
use super::claims::{Claim, ClaimSet, ClaimValue, Issuer, Mark, Scalar};
use super::configuration::{self, Configuration};
use super::names::Index;
use super::outcome::{DenyReason, EvalError, EvalFault, Evaluation, Outcome};
use super::program::{Action, Condition, Expr, Program, Rule, Test};
use super::reserved::is_reserved;
use super::trace::{Recorder, Tracing, Tried};
use crate::fuel::Fuel;
use crate::limits::ISSUED_BYTES;

/// What an evaluation reads of a policy.
pub(super) struct Reading<'p> {
    pub(super) source: &'p str,
    pub(super) policy: &'p Policy,
    pub(super) program: &'p Program,
    pub(super) configuration: &'p Configuration,
}

/// Evaluates a policy over the claims that came in.
pub(super) fn evaluate(reading: &Reading<'_>, incoming: ClaimSet, fuel: &mut Fuel, tracing: Tracing) -> Evaluation {
    let (steps, bytes) = (fuel.steps_spent(), fuel.bytes_spent());
    let mut machine = Machine {
        program: reading.program,
        index: Index::new(reading.program.names.len(), incoming.len() + 16),
        claims: incoming.claims,
        slots: vec![Vec::new(); reading.program.slots],
        made: Vec::new(),
        outgoing: Vec::with_capacity(reading.program.rules(Section::Issuance).len()),
        properties: Vec::new(),
        purse: Purse { fuel, texts: Texts::default() },
        permit: false,
        deny: false,
    };
    let mut recorder = Recorder::new(reading.source, tracing);
    let outcome = machine.run(reading, &mut recorder).unwrap_or_else(Outcome::Error);
    let fuel = machine.purse.fuel;
    Evaluation {
        outcome,
        trace: recorder.finish(),
        steps: fuel.steps_spent() - steps,
        bytes: fuel.bytes_spent() - bytes,
    }
}

struct Machine<'p, 'f> {
    program: &'p Program,
    /// The incoming set; it grows.
    claims: Vec<Claim>,
    /// Claims by the number of their type, as far as a condition names it.
    index: Index,
    /// Claims that met each condition of the rule now tried.
    slots: Vec<Vec<u32>>,
    /// What the action now done makes.
    made: Vec<Claim>,
    outgoing: Vec<u32>,
    properties: Vec<u32>,
    purse: Purse<'f>,
    permit: bool,
    deny: bool,
}

impl<'p> Machine<'p, '_> {
    fn run(&mut self, reading: &Reading<'p>, recorder: &mut Recorder<'_>) -> Result<Outcome, EvalError> {
        let whole = |section, fault| EvalError { section, rule: 0, line: 0, fault };
        for claim in &self.claims {
            self.index.add(self.program.names.number(&claim.kind));
        }
        self.configure(reading.configuration).map_err(|fault| whole(Section::Configuration, fault))?;
        self.section(Section::Authorization, reading, recorder)?;
        if self.deny {
            return Ok(Outcome::Deny(DenyReason::Denied));
        }
        if !self.permit {
            return Ok(Outcome::Deny(DenyReason::NotPermitted));
        }
        self.section(Section::Issuance, reading, recorder)?;
        let (outgoing, properties) = (std::mem::take(&mut self.outgoing), std::mem::take(&mut self.properties));
        let issued = self.members(&outgoing).map_err(|fault| whole(Section::Issuance, fault))?;
        let properties = self.members(&properties).map_err(|fault| whole(Section::Issuance, fault))?;
        Ok(Outcome::Permit { issued, properties })
    }

    fn configure(&mut self, configuration: &Configuration) -> Result<(), EvalFault> {
        for (name, value) in &configuration.values {
            let claim =
                Claim { kind: name.clone(), value: value.clone(), issuer: Issuer::AttestationPolicy, mark: Mark::Free };
            let index = self.take_in(claim)?;
            self.properties.push(index);
        }
        Ok(())
    }

    fn section(
        &mut self,
        section: Section,
        reading: &Reading<'p>,
        recorder: &mut Recorder<'_>,
    ) -> Result<(), EvalError> {
        let rules = self.program.rules(section).iter().zip(reading.policy.rules(section));
        for (number, (rule, written)) in rules.enumerate() {
            recorder.rule(section, number, written);
            let tried = self.rule(rule, |tried| recorder.condition(written, tried));
            let done = match tried {
                Ok(false) => Ok(()),
                Ok(true) => {
                    recorder.fired();
                    self.act(&rule.action, recorder)
                }
                Err(fault) => Err(fault),
            };
            if let Err(fault) = done {
                recorder.fault(&fault);
                return Err(EvalError { section, rule: number, line: written.span.line, fault });
            }
        }
        Ok(())
    }

    /// Whether every condition holds; `note` is told of each that was tried.
    fn rule(&mut self, rule: &'p Rule, mut note: impl FnMut(&Tried<'_>)) -> Result<bool, EvalFault> {
        self.purse.fuel.step(1)?;
        for (number, condition) in rule.conditions.iter().enumerate() {
            let mut found = self.slots.get_mut(number).map(std::mem::take).unwrap_or_default();
            found.clear();
            self.condition(condition, &mut found)?;
            let holds = found.is_empty() == condition.negated;
            let kind = condition.kind.map(|kind| (&self.index, kind));
            note(&Tried { number, holds, found: &found, kind, claims: &self.claims });
            if let Some(slot) = self.slots.get_mut(number) {
                *slot = found;
            }
            if !holds {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The claims that meet every test of a condition.
    fn condition(&mut self, condition: &'p Condition, found: &mut Vec<u32>) -> Result<(), EvalFault> {
        let scene = Scene { claims: &self.claims, slots: &self.slots };
        let mut operands: Vec<Vec<Item<'_>>> = Vec::new();
        if condition.computes {
            for test in &condition.tests {
                operands.push(match &test.operand {
                    Expr::Literal(_) => Vec::new(),
                    computed => scene.set(computed, &mut self.purse)?,
                });
            }
        }
        let mut look = |index: u32, claim: &Claim| -> Result<(), EvalFault> {
            self.purse.fuel.step(1)?;
            for (number, test) in condition.tests.iter().enumerate() {
                let operand = operands.get(number).map(Vec::as_slice).unwrap_or_default();
                if !holds(test, claim, operand, self.purse.fuel)? {
                    return Ok(());
                }
            }
            found.push(index);
            Ok(())
        };
        match condition.kind {
            Some(number) => {
                for index in self.index.of(number) {
                    if let Some(claim) = scene.claim(index) {
                        look(index, claim)?;
                    }
                }
            }
            None => {
                for (index, claim) in (0_u32..).zip(&self.claims) {
                    look(index, claim)?;
                }
            }
        }
        Ok(())
    }

    fn act(&mut self, action: &'p Action, recorder: &mut Recorder<'_>) -> Result<(), EvalFault> {
        let mut made = std::mem::take(&mut self.made);
        let (verb, reserved) = match action {
            Action::Permit => {
                self.permit = true;
                return Ok(());
            }
            Action::Deny => {
                self.deny = true;
                return Ok(());
            }
            Action::Copy(verb, slot) => {
                self.copies(*slot, &mut made)?;
                (*verb, None)
            }
            Action::New { verb, kind, value, reserved } => {
                self.new_claims(kind, value, &mut made)?;
                (*verb, *reserved)
            }
        };
        for claim in made.drain(..) {
            if verb != Verb::Add && claim.mark == Mark::Registers {
                return Err(EvalFault::ReadOnly);
            }
            match verb {
                Verb::Issue if reserved.unwrap_or_else(|| is_reserved(&claim.kind)) => {
                    recorder.ignored(&claim);
                    continue;
                }
                Verb::IssueProperty if !self.is_new_property(&claim)? => continue,
                _ => {}
            }
            let index = self.take_in(claim)?;
            match verb {
                Verb::Add => {}
                Verb::Issue => self.outgoing.push(index),
                Verb::IssueProperty => self.properties.push(index),
            }
            let place = usize::try_from(index).unwrap_or(usize::MAX);
            if let Some(claim) = self.claims.get(place) {
                recorder.made(place, claim);
            }
        }
        self.made = made;
        Ok(())
    }

    /// Copies of the claims that met a condition, as the policy's own.
    fn copies(&mut self, slot: usize, copies: &mut Vec<Claim>) -> Result<(), EvalFault> {
        let scene = Scene { claims: &self.claims, slots: &self.slots };
        let found = self.slots.get(slot).map(Vec::as_slice).unwrap_or_default();
        for claim in found.iter().filter_map(|index| scene.claim(*index)) {
            pay(claim, self.purse.fuel)?;
            copies.push(Claim { issuer: Issuer::AttestationPolicy, ..claim.clone() });
        }
        Ok(())
    }

    fn new_claims(&mut self, kind: &'p Expr, value: &'p Expr, made: &mut Vec<Claim>) -> Result<(), EvalFault> {
        let scene = Scene { claims: &self.claims, slots: &self.slots };
        let kind = scene.one(kind, "type", "set", &mut self.purse).map_err(|fault| match fault {
            EvalFault::Function { function: "type", .. } => EvalFault::Kind("type of a new claim is not one string"),
            other => other,
        })?;
        let name = match kind.scalar {
            Scalar::Text(name) if !name.is_empty() => name,
            _ => return Err(EvalFault::Kind("type of a new claim is not one string that says something")),
        };
        let mut make = |item: Item<'_>, fuel: &mut Fuel| -> Result<(), EvalFault> {
            let weight = name.len() + if let Scalar::Text(text) = &item.scalar { text.len() } else { 0 };
            fuel.step(1)?;
            fuel.bytes((size_of::<Claim>() + weight) as u64)?;
            made.push(Claim {
                kind: name.clone().into_owned(),
                value: item.scalar.into_value(),
                issuer: Issuer::AttestationPolicy,
                mark: item.mark.max(kind.mark),
            });
            Ok(())
        };
        if let Some(item) = scene.plain(value, &mut self.purse)? {
            return make(item, self.purse.fuel);
        }
        for item in scene.set(value, &mut self.purse)? {
            make(item, self.purse.fuel)?;
        }
        Ok(())
    }

    /// False where the property has that value already.
    fn is_new_property(&mut self, claim: &Claim) -> Result<bool, EvalFault> {
        match configuration::named(Section::Issuance, &claim.kind) {
            None => return Err(EvalFault::Property("unknown property")),
            Some(known) if !known.takes(&claim.value) => {
                return Err(EvalFault::Property("property has another type or lies out of range"));
            }
            Some(_) => {}
        }
        let scene = Scene { claims: &self.claims, slots: &self.slots };
        let before = self.properties.iter().filter_map(|index| scene.claim(*index)).find(|set| set.kind == claim.kind);
        match before {
            None => Ok(true),
            Some(set) if set.value == claim.value => Ok(false),
            Some(_) => Err(EvalFault::Property("property is set to two different values")),
        }
    }

    /// Adds a claim to the incoming set; its number there.
    fn take_in(&mut self, claim: Claim) -> Result<u32, EvalFault> {
        self.purse.fuel.step(1)?;
        let index = u32::try_from(self.claims.len()).unwrap_or(u32::MAX);
        self.index.add(self.program.names.number(&claim.kind));
        self.claims.push(claim);
        Ok(index)
    }

    /// Claims as members of a token: a scalar, or a list where a type has several. They are taken out of the set, which is not
    /// looked at any more.
    fn members(&mut self, indexes: &[u32]) -> Result<Map<String, Value>, EvalFault> {
        let mut members = Map::with_capacity(indexes.len());
        let mut bytes = 0;
        for index in indexes {
            let Some(claim) = usize::try_from(*index).ok().and_then(|index| self.claims.get_mut(index)) else {
                continue;
            };
            bytes += claim.kind.len() + if let ClaimValue::Text(text) = &claim.value { text.len() } else { 8 };
            if bytes > ISSUED_BYTES {
                return Err(EvalFault::IssuedTooMuch);
            }
            let value = match &mut claim.value {
                ClaimValue::Text(text) => Value::String(std::mem::take(text)),
                other => other.to_value(),
            };
            match members.entry(std::mem::take(&mut claim.kind)) {
                Entry::Vacant(free) => drop(free.insert(value)),
                Entry::Occupied(mut taken) => match taken.get_mut() {
                    Value::Array(several) => several.push(value),
                    one => *one = Value::Array(vec![one.take(), value]),
                },
            }
        }
        Ok(members)
    }
}

fn pay(claim: &Claim, fuel: &mut Fuel) -> Result<(), EvalFault> {
    fuel.step(1)?;
    fuel.bytes(claim.weight())?;
    Ok(())
}

/// One test against one claim. A set stands for any of its members; `!=` says that the value is none of them.
fn holds(test: &Test, claim: &Claim, operand: &[Item<'_>], fuel: &mut Fuel) -> Result<bool, EvalFault> {
    let mine = claim.scalar(test.property);
    if let Expr::Literal(literal) = &test.operand {
        return compares(test.operator, &mine, &literal.scalar(), fuel);
    }
    if operand.is_empty() {
        fuel.step(1)?;
    }
    let (wanted, operator) = match test.operator {
        Operator::NotEqual => (false, Operator::Equal),
        other => (true, other),
    };
    for member in operand {
        if compares(operator, &mine, &member.scalar, fuel)? {
            return Ok(wanted);
        }
    }
    Ok(!wanted)
}

/// A comparison is a step at least, whatever is compared.
fn compares(operator: Operator, mine: &Scalar<'_>, other: &Scalar<'_>, fuel: &mut Fuel) -> Result<bool, EvalFault> {
    if operator.orders() {
        fuel.step(1)?;
    }
    let ordered = match (mine, other) {
        (Scalar::Integer(mine), Scalar::Integer(other)) => Some(mine.cmp(other)),
        _ => None,
    };
    Ok(match operator {
        Operator::Equal => equal(mine, other, fuel)?,
        Operator::NotEqual => !equal(mine, other, fuel)?,
        Operator::Less => ordered.is_some_and(std::cmp::Ordering::is_lt),
        Operator::LessOrEqual => ordered.is_some_and(std::cmp::Ordering::is_le),
        Operator::Greater => ordered.is_some_and(std::cmp::Ordering::is_gt),
        Operator::GreaterOrEqual => ordered.is_some_and(std::cmp::Ordering::is_ge),
    })
}
