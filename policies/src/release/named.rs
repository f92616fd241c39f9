//! Which reference values a key's rules name, and what is unwise about it.
//! `docs/reference-values.md`; bad inputs, row KEY-02 (a rule that nobody can meet is told at once).

use super::document::KeyRules;
use super::operand::{Operand, Operator};
use super::rule::Test;
use crate::diagnostic::{Diagnostic, Severity};
use crate::reference::{ReferenceDocument, is_reference_name};

/// A test of a rule against reference values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReferenceTest<'r> {
    /// Their name.
    pub name: &'r str,
    /// The claim: a dotted path or a JSON pointer.
    pub claim: &'r str,
    /// Place in the document.
    pub at: &'r str,
}

impl KeyRules {
    /// Every test against reference values, in the order of the document.
    #[must_use]
    pub fn reference_tests(&self) -> Vec<ReferenceTest<'_>> {
        self.named().into_iter().map(|(_, test)| test).collect()
    }

    /// Warnings for names under which nothing counts, and for claims that the values of a name say nothing of. `known` gives the
    /// documents that are in force under a name.
    #[must_use]
    pub fn lint_references<'d>(&self, known: &dyn Fn(&str) -> Vec<&'d ReferenceDocument>) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        for (test, ReferenceTest { name, claim, at }) in self.named() {
            let documents = known(name);
            let warn = |code, message: String, help: &str| {
                let warning = Diagnostic::new(code, Severity::Warning, test.span, message);
                warning.at(at).symbol(name).help(help)
            };
            if documents.is_empty() {
                let message = format!("no reference values `{name}` are in force, so the test cannot hold");
                let help = "import and approve them, or mend the name: `keygate reference list` shows those there are";
                found.push(warn("rule-warning.unknown-reference", message, help));
            } else if documents.iter().all(|document| document.values(claim).is_none()) {
                let message = format!("the reference values `{name}` say nothing of `{}`", shown(claim));
                let help = "write the claim exactly as the reference values do: `keygate reference show NAME`";
                found.push(warn("rule-warning.reference-without-claim", message, help));
            }
        }
        found
    }

    fn named(&self) -> Vec<(&Test, ReferenceTest<'_>)> {
        let alternatives = self.rules().flat_map(|(_, rule)| &rule.alternatives);
        let tests = alternatives.flat_map(|alternative| alternative.conditions.tests());
        let named = tests.filter_map(|test| match (test.operator, &test.operand) {
            (Operator::Reference, Operand::Text(name)) if is_reference_name(name) => {
                Some((test, ReferenceTest { name, claim: test.path.as_str(), at: &test.at }))
            }
            _ => None,
        });
        named.collect()
    }
}

fn shown(written: &str) -> String {
    written.chars().take(64).flat_map(char::escape_default).collect()
}
