//! What each rule did, written down by the evaluation that decides.
//! Native API, section 7 (`policy try`); policy language, section 4.
//!
//! A trace is bounded: a condition shows its first [`TRACED_CLAIMS`] claims and counts the others, long texts are cut, and
//! after [`TRACE_BYTES`] no further claim is shown.

use serde::{Serialize, Serializer};

use super::ast::{Rule, Section};
use super::claims::{Claim, ClaimValue, Issuer};
use super::names::Index;
use super::outcome::EvalFault;
use crate::limits::{OBSERVED_CHARS, TRACE_BYTES, TRACED_CLAIMS};

/// Whether an evaluation writes down what it does. Its outcome, its steps and its bytes are the same either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tracing {
    /// Write a trace.
    On,
    /// Write none.
    Off,
}

/// The rules that were tried, in order, up to the fault if there was one.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Trace(pub Vec<RuleTrace>);

/// What one rule did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RuleTrace {
    /// Its section.
    pub section: Section,
    /// Its number within the section, from 0.
    pub index: usize,
    /// The line where it begins.
    pub line: usize,
    /// The rule as written, cut where it is long.
    pub text: String,
    /// Whether its action ran.
    pub fired: bool,
    /// Conditions in order, up to the first that does not hold.
    pub conditions: Vec<ConditionTrace>,
    /// `permit`, `deny`, `add`, `issue` or `issueproperty`.
    pub action: &'static str,
    /// Claims that the action made.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub made: Vec<ClaimTrace>,
    /// Claims that the action would have issued under names which are the service's own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ignored: Vec<ClaimTrace>,
    /// Why the evaluation ended here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// What one condition met.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ConditionTrace {
    /// The condition as written, cut where it is long.
    pub text: String,
    /// Whether it holds; one with `!` holds where no claim fits.
    pub holds: bool,
    /// How many claims fit.
    pub count: usize,
    /// The first of them.
    pub claims: Vec<ClaimTrace>,
    /// Where none fits and the type is written out: the claims of that type there were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub near: Option<Vec<ClaimTrace>>,
}

/// A claim that fitted or was made.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClaimTrace {
    /// Its number in the incoming set, from 0; none where it never came in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<usize>,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its value, cut where it is long.
    pub value: ClaimValue,
    /// Who says it.
    #[serde(serialize_with = "issuer")]
    pub issuer: Issuer,
}

fn issuer<S: Serializer>(issuer: &Issuer, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(issuer.as_str())
}

/// What became of one condition.
pub(super) struct Tried<'t> {
    /// Its number in the rule.
    pub(super) number: usize,
    pub(super) holds: bool,
    /// The claims that fit.
    pub(super) found: &'t [u32],
    /// The number of the type that it writes out, where it does, and the claims by it.
    pub(super) kind: Option<(&'t Index, usize)>,
    pub(super) claims: &'t [Claim],
}

/// Writes a trace, or does nothing.
pub(super) struct Recorder<'s> {
    source: &'s str,
    on: bool,
    spent: usize,
    rules: Vec<RuleTrace>,
}

impl<'s> Recorder<'s> {
    pub(super) const fn new(source: &'s str, tracing: Tracing) -> Self {
        Self { source, on: matches!(tracing, Tracing::On), spent: 0, rules: Vec::new() }
    }

    pub(super) fn finish(self) -> Trace {
        Trace(self.rules)
    }

    pub(super) fn rule(&mut self, section: Section, index: usize, rule: &Rule) {
        if !self.on {
            return;
        }
        self.rules.push(RuleTrace {
            section,
            index,
            line: rule.span.line,
            text: cut(self.source.get(rule.span.start..rule.span.end).unwrap_or_default()),
            fired: false,
            conditions: Vec::new(),
            action: rule.action.as_str(),
            made: Vec::new(),
            ignored: Vec::new(),
            fault: None,
        });
    }

    /// A condition of the rule now tried.
    pub(super) fn condition(&mut self, rule: &Rule, tried: &Tried<'_>) {
        if !self.on {
            return;
        }
        let span = rule.conditions.get(tried.number).map(|condition| condition.span).unwrap_or_default();
        let text = cut(self.source.get(span.start..span.end).unwrap_or_default());
        let claims = self.first(tried.found.iter().copied(), tried.claims);
        let near = tried.kind.filter(|_| tried.found.is_empty());
        let near = near.map(|(index, number)| self.first(index.of(number), tried.claims));
        let condition = ConditionTrace { text, holds: tried.holds, count: tried.found.len(), claims, near };
        if let Some(rule) = self.rules.last_mut() {
            rule.conditions.push(condition);
        }
    }

    fn first(&mut self, indices: impl Iterator<Item = u32>, claims: &[Claim]) -> Vec<ClaimTrace> {
        let first = indices.take(TRACED_CLAIMS);
        first
            .filter_map(|index| {
                let index = usize::try_from(index).ok()?;
                self.claim(Some(index), claims.get(index)?)
            })
            .collect()
    }

    pub(super) fn fired(&mut self) {
        if let Some(rule) = self.rules.last_mut() {
            rule.fired = true;
        }
    }

    pub(super) fn made(&mut self, index: usize, claim: &Claim) {
        let full = self.rules.last().is_none_or(|rule| rule.made.len() >= TRACED_CLAIMS);
        if let (false, Some(shown)) = (full, self.claim(Some(index), claim))
            && let Some(rule) = self.rules.last_mut()
        {
            rule.made.push(shown);
        }
    }

    pub(super) fn ignored(&mut self, claim: &Claim) {
        let full = self.rules.last().is_none_or(|rule| rule.ignored.len() >= TRACED_CLAIMS);
        if let (false, Some(shown)) = (full, self.claim(None, claim))
            && let Some(rule) = self.rules.last_mut()
        {
            rule.ignored.push(shown);
        }
    }

    pub(super) fn fault(&mut self, fault: &EvalFault) {
        if let Some(rule) = self.rules.last_mut() {
            rule.fault = Some(fault.to_string());
        }
    }

    fn claim(&mut self, index: Option<usize>, claim: &Claim) -> Option<ClaimTrace> {
        if !self.on || self.spent > TRACE_BYTES {
            return None;
        }
        let value = match &claim.value {
            ClaimValue::Text(text) => ClaimValue::Text(cut(text)),
            other => other.clone(),
        };
        let shown = ClaimTrace { index, kind: cut(&claim.kind), value, issuer: claim.issuer };
        let text = if let ClaimValue::Text(text) = &shown.value { text.len() } else { 0 };
        self.spent += size_of::<ClaimTrace>() + shown.kind.len() + text;
        Some(shown)
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(OBSERVED_CHARS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
