//! JSON to rule: whatever the grammar does not know is refused, so that a typo cannot become an always-true node.
//! Secure key release, section 1; bad inputs, row KEY-01.

pub(crate) mod options;

use super::authority::RuleAuthority;
use super::operand::{Operand, Operator};
use super::path::ClaimPath;
use super::rule::{Alternative, Condition, Group, Join, ReleaseRule, Test};
use crate::diagnostic::{Diagnostic, Severity, Span};
use crate::json::{Kind, Member, Node};
use crate::limits::RULE_NESTING;
use crate::nearest::nearest;
use crate::reference::is_reference_name;

/// Collects what is wrong while a document is read; nothing that was found is lost by reading on.
#[derive(Default)]
pub(crate) struct Admission {
    diagnostics: Vec<Diagnostic>,
}

/// More than this says nothing new.
const MOST_DIAGNOSTICS: usize = 100;

impl Admission {
    /// The outcome, unless anything was found.
    pub(crate) fn finish<T>(self, outcome: Option<T>) -> Result<T, Vec<Diagnostic>> {
        match outcome {
            Some(outcome) if self.diagnostics.is_empty() => Ok(outcome),
            _ => Err(self.diagnostics),
        }
    }

    pub(crate) fn refuse(&mut self, diagnostic: Diagnostic) {
        if self.diagnostics.len() < MOST_DIAGNOSTICS {
            self.diagnostics.push(diagnostic);
        }
    }

    /// A rule whose places are named below `at`.
    pub(crate) fn rule(&mut self, node: &Node, at: &str) -> Option<ReleaseRule> {
        let members = self.object(node, at, "a rule")?;
        let (mut version, mut alternatives) = (None, None);
        for member in members {
            let place = below(at, &member.name);
            match member.name.as_str() {
                "version" => version = self.version(&member.value, &place),
                _ if join_of(&member.name) == Some(Join::Any) => {
                    if self.once(alternatives.is_some(), member, at) {
                        alternatives = Some(self.alternatives(&member.value, &below(at, "anyOf")));
                    }
                }
                _ if join_of(&member.name) == Some(Join::All) => self.refuse(
                    invalid(member.name_span, at, "`allOf` cannot join authorities")
                        .symbol(&member.name)
                        .expected(["anyOf"])
                        .help(
                            "put the conditions below one authority: {\"anyOf\": [{\"authority\": …, \"allOf\": […]}]}",
                        ),
                ),
                _ => self.unknown(member, at, &["version", "anyOf"]),
            }
        }
        if !members.iter().any(|member| member.name == "version") {
            let missing = invalid(node.span, at, "rule has no `version`");
            self.refuse(missing.expected(["version"]).help("write \"version\": \"1.0.0\""));
        }
        if alternatives.is_none() {
            let missing = invalid(node.span, at, "rule names no authority");
            self.refuse(missing.expected(["anyOf"]));
        }
        Some(ReleaseRule { version: version?, alternatives: alternatives?? })
    }

    fn version(&mut self, node: &Node, at: &str) -> Option<String> {
        let Some(version) = node.as_text() else {
            self.wrong_type(node, at, "a string", &["\"1.0.0\""]);
            return None;
        };
        let mut parts = version.split('.');
        let major_fits = parts.next() == Some("1");
        let rest: Vec<_> = parts.collect();
        let numeric = |part: &&str| (1..=4).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
        if (major_fits && rest.len() <= 2 && rest.iter().all(numeric)) || version == "0.2" {
            return Some(version.to_owned());
        }
        let unknown = invalid(node.span, at, format!("version `{}` is not known", shown(version)));
        self.refuse(unknown.symbol(version).expected(["1.0.0"]));
        None
    }

    fn alternatives(&mut self, node: &Node, at: &str) -> Option<Vec<Alternative>> {
        let nodes = self.list(node, at, "an authority")?;
        let alternatives: Vec<_> =
            nodes.iter().enumerate().map(|(index, node)| self.alternative(node, &format!("{at}[{index}]"))).collect();
        alternatives.into_iter().collect()
    }

    fn alternative(&mut self, node: &Node, at: &str) -> Option<Alternative> {
        let members = self.object(node, at, "an authority with its conditions")?;
        let (mut authority, mut conditions) = (None, None);
        for member in members {
            match (member.name.as_str(), join_of(&member.name)) {
                ("authority", _) => authority = self.authority(&member.value, &below(at, "authority")),
                (_, Some(join)) => {
                    if self.once(conditions.is_some(), member, at) {
                        conditions = Some(self.group(member, join, at, 1));
                    }
                }
                _ => self.unknown(member, at, &["authority", "allOf", "anyOf"]),
            }
        }
        if !members.iter().any(|member| member.name == "authority") {
            let missing = invalid(node.span, at, "conditions without an `authority`");
            self.refuse(missing.expected(["authority"]));
        }
        if conditions.is_none() {
            let missing = invalid(node.span, at, "an authority without conditions");
            self.refuse(missing.expected(["allOf", "anyOf"]));
        }
        let (written, authority) = authority?;
        Some(Alternative { authority, written, conditions: conditions??, at: at.to_owned(), span: node.span })
    }

    fn authority(&mut self, node: &Node, at: &str) -> Option<(String, RuleAuthority)> {
        let Some(written) = node.as_text() else {
            self.wrong_type(node, at, "a string", &["an issuer's https URL", "\"self\""]);
            return None;
        };
        let Some(authority) = RuleAuthority::parse(written) else {
            let message = format!("authority `{}` is no URL of an issuer", shown(written));
            let expected = ["an issuer's https URL", "\"self\""];
            self.refuse(invalid(node.span, at, message).symbol(written).expected(expected));
            return None;
        };
        Some((written.to_owned(), authority))
    }

    fn group(&mut self, member: &Member, join: Join, at: &str, level: usize) -> Option<Group> {
        let at = below(at, join.as_str());
        if level > RULE_NESTING {
            let message = format!("conditions nested deeper than {RULE_NESTING}");
            self.refuse(invalid(member.name_span, &at, message).symbol(&member.name));
            return None;
        }
        let nodes = self.list(&member.value, &at, "a condition")?;
        let conditions: Vec<_> = nodes
            .iter()
            .enumerate()
            .map(|(index, node)| self.condition(node, &format!("{at}[{index}]"), level))
            .collect();
        let conditions = conditions.into_iter().collect::<Option<Vec<_>>>()?;
        Some(Group { join, conditions })
    }

    fn condition(&mut self, node: &Node, at: &str, level: usize) -> Option<Condition> {
        let members = self.object(node, at, "a condition")?;
        if let [member] = members
            && let Some(join) = join_of(&member.name)
        {
            return self.group(member, join, at, level + 1).map(Condition::Group);
        }
        self.test(node, members, at).map(Condition::Test)
    }

    fn test(&mut self, node: &Node, members: &[Member], at: &str) -> Option<Test> {
        if self.is_legacy(node, members, at) {
            return None;
        }
        let (mut path, mut comparison, mut sound) = (None, None, true);
        for member in members {
            let name = member.name.as_str();
            let operator = Operator::ALL.into_iter().find(|operator| operator.as_str() == name);
            let taken = match (name, operator) {
                ("claim" | "claimPointer", _) => {
                    let taken = path.is_some();
                    path = Some((name, self.path(member, at)));
                    taken
                }
                (_, Some(operator)) => {
                    let taken = comparison.is_some();
                    comparison = Some((operator, member));
                    taken
                }
                _ => {
                    self.unknown(member, at, &TEST_MEMBERS);
                    sound = false;
                    continue;
                }
            };
            sound &= self.once(taken, member, at);
        }
        let Some((path_member, path)) = path else {
            let missing = invalid(node.span, at, "condition names no claim");
            self.refuse(missing.expected(["claim", "claimPointer", "allOf", "anyOf"]));
            return None;
        };
        let Some((operator, member)) = comparison else {
            if sound {
                let missing = invalid(node.span, at, "condition has no operator");
                self.refuse(missing.expected(Operator::ALL.map(Operator::as_str)));
            }
            return None;
        };
        if operator == Operator::Contains && path_member == "claim" {
            let message = "`contains` stands beside `claimPointer` only";
            let help = "write the claim as a pointer: names parted by `/`, with one in front";
            self.refuse(invalid(member.name_span, at, message).symbol("contains").help(help));
            return None;
        }
        let operand = self.operand(operator, &member.value, &below(at, operator.as_str()))?;
        let test = Test { path: path?, operator, operand, at: at.to_owned(), span: node.span };
        sound.then_some(test)
    }

    /// The test form of the previews: `{"claim": C, "condition": "equals", "value": V}`.
    fn is_legacy(&mut self, node: &Node, members: &[Member], at: &str) -> bool {
        let has = |name: &str| members.iter().find(|member| member.name == name);
        let (Some(condition), Some(_)) = (has("condition"), has("value")) else {
            return false;
        };
        let operator = condition.value.as_text().unwrap_or("equals");
        let help = format!("write {{\"claim\": …, \"{}\": …}}", shown(operator));
        self.refuse(
            invalid(node.span, at, "`condition` with `value` is the form of the previews")
                .symbol("condition")
                .expected(Operator::ALL.map(Operator::as_str))
                .help(help),
        );
        true
    }

    fn path(&mut self, member: &Member, at: &str) -> Option<ClaimPath> {
        let at = below(at, &member.name);
        let Some(written) = member.value.as_text() else {
            self.wrong_type(&member.value, &at, "a string", &["a claim's path"]);
            return None;
        };
        let path = match member.name.as_str() {
            "claim" => ClaimPath::dotted(written),
            _ => ClaimPath::pointer(written),
        };
        path.map_err(|message| {
            self.refuse(invalid(member.value.span, &at, message).symbol(written));
        })
        .ok()
    }

    fn operand(&mut self, operator: Operator, node: &Node, at: &str) -> Option<Operand> {
        let operand = match &node.kind {
            Kind::Text(text) => Operand::Text(text.clone()),
            Kind::Integer(integer) => Operand::Integer(*integer),
            Kind::Bool(truth) => Operand::Bool(*truth),
            _ => {
                self.wrong_type(node, at, "a string, an integer or a truth value", &[]);
                return None;
            }
        };
        if operator == Operator::Reference {
            let is_name = |operand: &Operand| matches!(operand, Operand::Text(name) if is_reference_name(name));
            if !is_name(&operand) {
                self.wrong_type(node, at, "the name of reference values", &["1 to 64 of a-z 0-9 _ -"]);
                return None;
            }
        }
        if operator == Operator::Exists && !matches!(operand, Operand::Bool(_)) {
            self.wrong_type(node, at, "true or false", &["true", "false"]);
            return None;
        }
        if operator.is_relational() && !operand.is_decimal() {
            self.wrong_type(node, at, "an integer, or the text of one", &["an integer"]);
            return None;
        }
        Some(operand)
    }

    pub(crate) fn object<'n>(&mut self, node: &'n Node, at: &str, what: &str) -> Option<&'n [Member]> {
        let members = node.as_object();
        if members.is_none() {
            self.wrong_type(node, at, &format!("{what}, an object"), &["{"]);
        }
        members
    }

    pub(crate) fn list<'n>(&mut self, node: &'n Node, at: &str, of: &str) -> Option<&'n [Node]> {
        match node.as_list() {
            Some([]) => {
                let message = "list is empty, and an empty list would hold for everybody or nobody";
                self.refuse(invalid(node.span, at, message).symbol("[]").expected([of]));
                None
            }
            Some(nodes) => Some(nodes),
            None => {
                self.wrong_type(node, at, "a list", &["["]);
                None
            }
        }
    }

    pub(crate) fn wrong_type(&mut self, node: &Node, at: &str, wanted: &str, expected: &[&str]) {
        let message = format!("{} where {wanted} is needed", node.describe());
        self.refuse(invalid(node.span, at, message).expected(expected.iter().copied()));
    }

    pub(crate) fn unknown(&mut self, member: &Member, at: &str, known: &[&str]) {
        let message = format!("unknown member `{}`", shown(&member.name));
        let mut diagnostic =
            invalid(member.name_span, at, message).symbol(&member.name).expected(known.iter().copied());
        if let Some(near) = nearest(&member.name, known) {
            diagnostic = diagnostic.help(format!("did you mean `{near}`"));
        }
        self.refuse(diagnostic);
    }

    /// False, with a diagnostic, where the grammar allows one of a kind and this is the second.
    fn once(&mut self, taken: bool, member: &Member, at: &str) -> bool {
        if taken {
            let message = format!("`{}` is one too many", shown(&member.name));
            let help = "one condition has one claim and one operator; one authority has one list";
            self.refuse(invalid(member.name_span, at, message).symbol(&member.name).help(help));
        }
        !taken
    }
}

const TEST_MEMBERS: [&str; 11] = [
    "claim",
    "claimPointer",
    "equals",
    "notEquals",
    "less",
    "lessOrEquals",
    "greater",
    "greaterOrEquals",
    "exists",
    "contains",
    "reference",
];

/// Key Vault's grammar prints `anyof`, its tools write `anyOf`: the case of these two does not matter.
fn join_of(name: &str) -> Option<Join> {
    [Join::All, Join::Any].into_iter().find(|join| name.eq_ignore_ascii_case(join.as_str()))
}

pub(crate) fn below(at: &str, name: &str) -> String {
    if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") }
}

pub(crate) fn shown(written: &str) -> String {
    written.chars().take(64).flat_map(char::escape_default).collect()
}

pub(crate) fn invalid(span: Span, at: &str, message: impl Into<String>) -> Diagnostic {
    Diagnostic::new("rule-invalid", Severity::Error, span, message).at(at)
}
