//! Every option that opens a key further than its default says so.
//! Native API, sections 2 (`rule check`) and 5.

use crate::diagnostic::{Diagnostic, Severity};
use crate::release::document::KeyRules;
use crate::release::options::{Clear, Explain, Freshness, Options, TcbStatus};

pub(super) fn lint(rules: &KeyRules) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let mut warn = |code, option: &str, symbol: &str, message: String| {
        let warning = Diagnostic::new(code, Severity::Warning, rules.option_span(option), message);
        found.push(warning.at(&format!("options.{option}")).symbol(symbol));
    };
    if rules.rules().next().is_none() {
        let message = "no operation has a rule, so nobody may use the key".to_owned();
        warn("rule-warning.no-rule", "", "", message);
    }
    let Options { freshness, session_seconds, anchors, tcb, debug, wrappings: _, explain, clear } = rules.options();
    let usual = Options::default();
    let word = freshness.as_str();
    match freshness {
        Freshness::Once => {}
        Freshness::Session => {
            let message = format!("one attestation opens the key for {session_seconds} s, not for one request");
            warn(LOOSE, "freshness", word, message);
        }
        Freshness::Issuer => {
            let message = "a foreign token opens the key for as long as its issuer says, bound to no request of ours";
            warn(LOOSE, "freshness", word, message.to_owned());
        }
    }
    if *session_seconds > usual.session_seconds {
        let message = format!("sessions last {session_seconds} s instead of {}", usual.session_seconds);
        warn(LOOSE, "session_seconds", &session_seconds.to_string(), message);
    }
    for anchor in anchors.iter().filter(|anchor| !usual.anchors.contains(anchor)) {
        let message = match anchor.as_str() {
            "software" => "software evidence proves nothing about hardware: for trials only".to_owned(),
            _ => format!("evidence under the anchor `{anchor}` counts beside the vendor's or instead of it"),
        };
        warn(LOOSE, "anchors", anchor, message);
    }
    for status in tcb.accept.iter().filter(|status| **status != TcbStatus::UpToDate) {
        let message = format!("platforms with TCB status `{}` are accepted", status.as_str());
        warn(LOOSE, "tcb", status.as_str(), message);
    }
    for advisory in &tcb.advisories {
        warn(LOOSE, "tcb", advisory, format!("platforms open to `{advisory}` are accepted"));
    }
    if *debug {
        warn(LOOSE, "debug", "true", "the host can read a debug workload, and with it the key".to_owned());
    }
    if *explain == Explain::Attested {
        let message = "whoever shows genuine evidence learns that the key exists and what it asks for".to_owned();
        warn(LOOSE, "explain", explain.as_str(), message);
    }
    match clear {
        Clear::Never => {}
        Clear::Credential => {
            let message = "dialect doors answer in the clear to an attested caller with a credential".to_owned();
            warn(LOOSE, "clear", clear.as_str(), message);
        }
        Clear::Token => {
            let message = "whoever steals an attestation token can use the key until that token ends".to_owned();
            warn("rule-warning.clear-token", "clear", clear.as_str(), message);
        }
    }
    found
}

const LOOSE: &str = "rule-warning.loosened-option";
