//! Guards that come from a key's options. No rule steps over them.
//! Native API, section 5; bad inputs, rows SGX-17, SGX-26, SNP-15, NIT-07 and KEY-07.

use serde_json::{Value, json};

use super::{Guard, Part};
use crate::release::decision::{Asked, FreshnessShown, Leaf, LeafKind, Observed};
use crate::release::options::{Freshness, Options, TcbStatus, Wrappings};

/// All of them, in the order in which codes are told.
pub(super) fn examine(options: &Options, operation: &str, asked: &Asked<'_>, parts: &[Part<'_>]) -> Vec<Guard> {
    let mut guards = vec![freshness(options, asked.freshness)];
    guards.extend(parts.iter().filter_map(|part| anchor(options, part)));
    guards.extend(parts.iter().filter_map(|part| debug(options, part)));
    guards.extend(parts.iter().flat_map(|part| tcb(options, part)));
    guards.extend(wrapping(options, operation, asked.wrapping));
    guards
}

fn freshness(options: &Options, shown: FreshnessShown) -> Guard {
    let wanted = options.freshness;
    let within = u64::from(options.session_seconds);
    let holds = match shown {
        FreshnessShown::Once => true,
        FreshnessShown::Session { age } => wanted >= Freshness::Session && age <= within,
        FreshnessShown::IssuerOnly => wanted >= Freshness::Issuer,
    };
    let expected = match wanted {
        Freshness::Once => "once".to_owned(),
        Freshness::Session | Freshness::Issuer => {
            format!("{}, sessions within {within} s", wanted.as_str())
        }
    };
    let observed = match shown {
        FreshnessShown::Once => "once".to_owned(),
        FreshnessShown::Session { age } => format!("session of {age} s"),
        FreshnessShown::IssuerOnly => "issuer".to_owned(),
    };
    request_guard("freshness", "atLeast", "freshness-failed", json!(expected), json!(observed), holds)
        .at("options.freshness")
}

/// Our own appraisal always names an anchor; a foreign token is trusted through its issuer, and judged here only where
/// it was given an anchor.
fn anchor(options: &Options, part: &Part<'_>) -> Option<Guard> {
    let names = ["keygate", "anchor"];
    let anchor = part.find(&names);
    if anchor.is_none() && !part.own {
        return None;
    }
    let holds =
        anchor.and_then(Value::as_str).is_some_and(|anchor| options.anchors.iter().any(|accepted| accepted == anchor));
    let guard = part.guard(&names, anchor, "chain-untrusted", "oneOf", json!(options.anchors), holds);
    Some(guard.at("options.anchors"))
}

/// Missing debug information counts as debug.
fn debug(options: &Options, part: &Part<'_>) -> Option<Guard> {
    if options.debug {
        return None;
    }
    let names = ["keygate", "debug"];
    let debug = part.find(&names);
    let holds = debug == Some(&Value::Bool(false));
    let guard = part.guard(&names, debug, "debug-rejected", "equals", json!(false), holds);
    Some(guard.at("options.debug"))
}

/// The status has to be accepted, and unless it is `UpToDate` every advisory too. Kinds without TCB levels have no
/// such claims and no such guard; SGX and TDX always have them. Foreign tokens may carry a status of the platform.
fn tcb(options: &Options, part: &Part<'_>) -> Vec<Guard> {
    let status_names: &[&str] = match part.find(&["keygate", "tcb"]) {
        Some(_) => &["keygate", "tcb", "status"],
        None if part.own && matches!(part.kind(), Some("sgx" | "tdx")) => &["keygate", "tcb", "status"],
        None if part.find(&["keygate", "platform", "tcb_status"]).is_some() => &["keygate", "platform", "tcb_status"],
        None => return Vec::new(),
    };
    let accepted = options.tcb.accept.iter().map(|status| status.as_str());
    let claim = part.find(status_names);
    let status = claim.and_then(Value::as_str);
    let holds = status.is_some_and(|status| accepted.clone().any(|accepted| accepted == status));
    let expected = json!(accepted.collect::<Vec<_>>());
    let mut guards =
        vec![part.guard(status_names, claim, "tcb-rejected", "oneOf", expected, holds).at("options.tcb.accept")];
    let names = ["keygate", "tcb", "advisories"];
    let has_advisories = status_names.get(1) == Some(&"tcb");
    if has_advisories && status != Some(TcbStatus::UpToDate.as_str()) {
        let known = |advisory: &Value| {
            let name = advisory.as_str();
            name.is_some_and(|name| options.tcb.advisories.iter().any(|accepted| accepted == name))
        };
        let claim = part.find(&names);
        let holds = claim.and_then(Value::as_array).is_some_and(|advisories| advisories.iter().all(known));
        let expected = json!(options.tcb.advisories);
        guards.push(part.guard(&names, claim, "tcb-rejected", "within", expected, holds).at("options.tcb.advisories"));
    }
    guards
}

/// A ciphertext under the key itself (`wrap`) is not sealed to anybody, all other answers are.
fn wrapping(options: &Options, operation: &str, wrapping: &str) -> Option<Guard> {
    let Wrappings::Only(names) = &options.wrappings else {
        return None;
    };
    if operation == "wrap" {
        return None;
    }
    let holds = options.wrappings.allow(wrapping);
    let guard = request_guard("wrapping", "oneOf", "operation-not-allowed", json!(names), json!(wrapping), holds);
    Some(guard.at("options.wrappings"))
}

/// A guard on the request instead of a claim.
fn request_guard(
    path: &str,
    operator: &'static str,
    code: &'static str,
    expected: Value,
    observed: Value,
    holds: bool,
) -> Guard {
    let leaf = Leaf {
        path: path.to_owned(),
        operator,
        expected,
        observed: Observed::Value(observed),
        reason: None,
        serial: None,
        result: holds,
        kind: LeafKind::Guard,
        at: String::new(),
    };
    Guard { leaf, code, names: Vec::new() }
}

impl Guard {
    fn at(mut self, at: &str) -> Self {
        at.clone_into(&mut self.leaf.at);
        self
    }
}
