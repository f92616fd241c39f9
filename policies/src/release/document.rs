//! A key's rules and options in one document, hashed as one.
//! Native API, section 5.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::admit::{self, Admission, below, invalid};

use super::decision::{Asked, Decision, RuleName};
use super::options::Options;
use super::rule::ReleaseRule;
use super::{eval, lint};
use crate::canonical;
use crate::diagnostic::{Diagnostic, Span};
use crate::json::{self, Member, Node};
use crate::limits::Limits;

/// Everything that decides over the use of one key: a rule per operation, and the options.
///
/// The digest is SHA-256 over the RFC 8785 form of `{"rules": …, "options": …}`: rules with their lists spelled in
/// camel case and a bare rule as `default`, options **as given**. Defaults are not filled in before hashing, so that
/// the digest names what an officer wrote and does not move when a later version gains an option.
#[derive(Debug, Clone)]
pub struct KeyRules {
    rules: BTreeMap<RuleName, ReleaseRule>,
    options: Options,
    value: Value,
    digest: [u8; 32],
    option_spans: Vec<(String, Span)>,
    references: Vec<String>,
}

impl KeyRules {
    /// Reads `{"rules": {…}, "options": {…}}`, or a bare rule, which becomes `default`.
    ///
    /// # Errors
    /// Every diagnostic found: `malformed` or `too-large` where it is no JSON, else `rule-invalid`.
    pub fn parse(bytes: &[u8]) -> Result<Self, Vec<Diagnostic>> {
        let node = json::parse(bytes, &Limits::RULES).map_err(|diagnostic| vec![diagnostic])?;
        Self::admit(&node)
    }

    /// The same from a node that was read before, for a document within a request; places keep the request's lines.
    ///
    /// # Errors
    /// As [`KeyRules::parse`], but only `rule-invalid`.
    pub fn admit(node: &Node) -> Result<Self, Vec<Diagnostic>> {
        let mut admission = Admission::default();
        let document = admission.document(node);
        admission.finish(document)
    }

    /// No rule and default options: every operation is refused.
    #[must_use]
    pub fn none() -> Self {
        Self::assemble(BTreeMap::new(), Options::default(), Value::Object(Map::new()))
    }

    /// Whether the operation (`release`, `unwrap`, `generate`, `sign`, `wrap`) may be done for whoever showed this.
    /// One evaluation makes both the verdict and its leaves; every guard and every test of a vouching authority is
    /// looked at, also after the outcome is settled.
    #[must_use]
    pub fn decide(&self, operation: &str, asked: &Asked<'_>) -> Decision {
        eval::decide(self, operation, asked)
    }

    /// The rule for an operation: its own, else `default`. `None` for an operation that has neither, or is none.
    #[must_use]
    pub fn rule(&self, operation: &str) -> Option<(RuleName, &ReleaseRule)> {
        let own = RuleName::of(operation).filter(|name| *name != RuleName::Default)?;
        [own, RuleName::Default].into_iter().find_map(|name| self.rules.get(&name).map(|rule| (name, rule)))
    }

    /// The rules by name, as they stand.
    pub fn rules(&self) -> impl Iterator<Item = (RuleName, &ReleaseRule)> {
        self.rules.iter().map(|(name, rule)| (*name, rule))
    }

    /// The names of the reference values that the rules name, each once.
    #[must_use]
    pub fn references(&self) -> &[String] {
        &self.references
    }

    /// The options, defaults filled in.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// What the linter says: refusals that need to be forced, then warnings.
    #[must_use]
    pub fn lint(&self) -> Vec<Diagnostic> {
        lint::lint(self)
    }

    /// The normalised document, as it is hashed.
    #[must_use]
    pub fn to_value(&self) -> &Value {
        &self.value
    }

    /// The RFC 8785 text of the normalised document: what is stored.
    #[must_use]
    pub fn canonical_text(&self) -> String {
        canonical::text(&self.value)
    }

    /// `rule_digest`: SHA-256 over [`KeyRules::canonical_text`].
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// Where the option stands in the text; nowhere if it was not written.
    pub(crate) fn option_span(&self, option: &str) -> Span {
        let written = self.option_spans.iter().find(|(name, _)| name == option);
        written.map_or_else(Span::default, |(_, span)| *span)
    }

    fn assemble(rules: BTreeMap<RuleName, ReleaseRule>, options: Options, given: Value) -> Self {
        let printed: Map<String, Value> =
            rules.iter().map(|(name, rule)| (name.as_str().to_owned(), rule.to_value())).collect();
        let value = serde_json::json!({"rules": printed, "options": given});
        let digest = canonical::digest(&value);
        let mut assembled = Self { rules, options, value, digest, option_spans: Vec::new(), references: Vec::new() };
        let mut names: Vec<String> = assembled.reference_tests().iter().map(|test| test.name.to_owned()).collect();
        names.sort_unstable();
        names.dedup();
        assembled.references = names;
        assembled
    }
}

impl Admission {
    fn document(&mut self, node: &Node) -> Option<KeyRules> {
        let members = self.object(node, "", "a rule, or rules and options")?;
        let is_document = |member: &Member| matches!(member.name.as_str(), "rules" | "options");
        let (mut rules, mut options) = (BTreeMap::new(), Some(Options::default()));
        let mut given = Value::Object(Map::new());
        let mut option_spans = Vec::new();
        if !members.iter().any(is_document) {
            let rule = self.rule(node, "rules.default")?;
            rules.insert(RuleName::Default, rule);
            return Some(KeyRules::assemble(rules, Options::default(), given));
        }
        for member in members {
            match member.name.as_str() {
                "rules" => rules = self.rules(&member.value).unwrap_or_default(),
                "options" => {
                    options = admit::options::options(self, &member.value);
                    given = member.value.to_value();
                    let written = member.value.as_object().unwrap_or_default();
                    option_spans = written.iter().map(|option| (option.name.clone(), option.value.span)).collect();
                }
                _ => self.unknown(member, "", &["rules", "options"]),
            }
        }
        if node.get("rules").is_none() {
            let missing = invalid(node.span, "", "options without `rules`");
            self.refuse(missing.expected(["rules"]).help("write \"rules\": {} for a key that nobody may use"));
        }
        let rules = KeyRules::assemble(rules, options?, given);
        Some(KeyRules { option_spans, ..rules })
    }

    fn rules(&mut self, node: &Node) -> Option<BTreeMap<RuleName, ReleaseRule>> {
        let members = self.object(node, "rules", "rules by operation")?;
        let mut rules = BTreeMap::new();
        for member in members {
            let Some(name) = RuleName::of(&member.name) else {
                self.unknown(member, "rules", &RuleName::ALL.map(RuleName::as_str));
                continue;
            };
            if let Some(rule) = self.rule(&member.value, &below("rules", &member.name)) {
                rules.insert(name, rule);
            }
        }
        Some(rules)
    }
}
