//! Guards: what a key refuses whatever its rule says, judged in the same evaluation and shown in the same trace.
//! Threat model, P9 (hardware); native API, section 5 (options).
//!
//! Two families. **Options** bind always: freshness, anchor, debug, TCB, wrapping. **Hardware** guards are safe defaults
//! for what a rule's author may not have thought of: VMPL other than 0, a migration agent, a masked chip id under a
//! VCEK, a service TD. Each of these steps aside for a test of the rule on that very claim, if the test holds and
//! belongs to the authority that decides.

mod hardware;
mod options;

use serde_json::{Map, Value};

use super::decision::{Asked, Leaf, LeafKind};
use super::eval::observed;
use super::options::Options;
use super::rule::Test;

/// All guards of one request, before it is known which of them the rule takes over.
pub(crate) struct Guards {
    options: Vec<Guard>,
    hardware: Vec<Guard>,
}

/// One guard: its leaf, the code of its denial, and, if it failed, the names of the claim it looks at.
struct Guard {
    leaf: Leaf,
    code: &'static str,
    names: Vec<String>,
}

/// Leaves of all guards, and of each family the code of the first that failed.
pub(crate) struct Settled {
    pub(crate) leaves: Vec<Leaf>,
    pub(crate) options: Option<&'static str>,
    pub(crate) hardware: Option<&'static str>,
}

/// Looks at everything that is guarded, in the order in which codes are told.
pub(crate) fn examine(options: &Options, operation: &str, asked: &Asked<'_>) -> Guards {
    let parts = parts(asked);
    Guards {
        options: options::examine(options, operation, asked, &parts),
        hardware: parts.iter().flat_map(|part| hardware::examine(part)).collect(),
    }
}

impl Guards {
    /// Whether every hardware guard holds or is left to one of `tests`, all of which hold.
    pub(crate) fn hardware_holds<'t>(&self, tests: impl Iterator<Item = &'t Test>) -> bool {
        let tests: Vec<_> = tests.collect();
        self.hardware.iter().all(|guard| guard.leaf.result || guard.is_left_to(&tests))
    }

    /// The leaves as the decision shows them, guards that are left to the rule marked as such.
    pub(crate) fn settle(self, tests: &[&Test]) -> Settled {
        let Self { options, mut hardware } = self;
        for guard in &mut hardware {
            if !guard.leaf.result && guard.is_left_to(tests) {
                guard.leaf.result = true;
                guard.leaf.operator = "leftToRule";
            }
        }
        let failed = |guards: &[Guard]| guards.iter().find(|guard| !guard.leaf.result).map(|guard| guard.code);
        let codes = (failed(&options), failed(&hardware));
        let leaves = options.into_iter().chain(hardware).map(|guard| guard.leaf).collect();
        Settled { leaves, options: codes.0, hardware: codes.1 }
    }
}

impl Guard {
    fn is_left_to(&self, tests: &[&Test]) -> bool {
        tests.iter().any(|test| test.path.names() == self.names)
    }
}

/// The claims of one piece of evidence: the payload itself, or a part of a composite.
struct Part<'c> {
    prefix: Vec<String>,
    claims: &'c Map<String, Value>,
    own: bool,
}

/// The payload, and of a composite each of its parts, but not once more the one that leads and stands on top. A part that is the token
/// of another verifier says so; every other one is of our own appraisal.
fn parts<'c>(asked: &Asked<'c>) -> Vec<Part<'c>> {
    let own = asked.authority.own;
    let mut parts = vec![Part { prefix: Vec::new(), claims: asked.claims, own }];
    let lead = parts.first().and_then(|top| top.find(&["keygate", "lead"])).and_then(Value::as_u64);
    let named: Vec<(String, &Value)> = match asked.claims.get("parts") {
        Some(Value::Object(members)) => members.iter().map(|(name, value)| (name.clone(), value)).collect(),
        Some(Value::Array(elements)) => {
            elements.iter().enumerate().map(|(index, value)| (index.to_string(), value)).collect()
        }
        _ => Vec::new(),
    };
    for (name, value) in named {
        if lead.is_some_and(|lead| name == lead.to_string()) {
            continue;
        }
        if let Value::Object(claims) = value {
            let mut part = Part { prefix: vec!["parts".to_owned(), name], claims, own };
            part.own &= part.kind() != Some("token");
            parts.push(part);
        }
    }
    parts
}

impl<'c> Part<'c> {
    /// The claim below this part, if it is there.
    fn find(&self, names: &[&str]) -> Option<&'c Value> {
        let (first, rest) = names.split_first()?;
        rest.iter().try_fold(self.claims.get(*first)?, |value, name| value.get(*name))
    }

    fn kind(&self) -> Option<&'c str> {
        self.find(&["keygate", "kind"])?.as_str()
    }

    /// A guard on the claim of these names: what stands there, what was expected, and whether it holds.
    fn guard(
        &self,
        names: &[&str],
        claim: Option<&Value>,
        code: &'static str,
        operator: &'static str,
        expected: Value,
        holds: bool,
    ) -> Guard {
        let full = || self.prefix.iter().map(String::as_str).chain(names.iter().copied());
        let mut path = String::with_capacity(40);
        for (index, name) in full().enumerate() {
            path.push_str(if index > 0 { "." } else { "" });
            path.push_str(name);
        }
        let leaf = Leaf {
            path,
            operator,
            expected,
            observed: observed(claim),
            result: holds,
            reason: None,
            serial: None,
            kind: LeafKind::Guard,
            at: String::new(),
        };
        // only a guard that fails can be left to the rule
        let names = if holds { Vec::new() } else { full().map(str::to_owned).collect() };
        Guard { leaf, code, names }
    }
}
