//! JSON to options: every member typed, every name known.
//! Native API, section 5; bad inputs, row SGX-17.

use super::{Admission, below, invalid, shown};
use crate::json::Node;
use crate::release::options::{Clear, Explain, Freshness, Options, Tcb, TcbStatus, Wrappings};

const NAMES: [&str; 8] = ["freshness", "session_seconds", "anchors", "tcb", "debug", "wrappings", "explain", "clear"];

/// Names of anchors and advisories are short and printable.
const MOST_NAME_BYTES: usize = 64;

pub(crate) fn options(admission: &mut Admission, node: &Node) -> Option<Options> {
    let members = admission.object(node, "options", "options")?;
    let mut options = Options::default();
    for member in members {
        let (value, at) = (&member.value, below("options", &member.name));
        match member.name.as_str() {
            "freshness" => {
                let known = Freshness::ALL.map(|word| (word.as_str(), word));
                options.freshness = admission.word(value, &at, &known)?;
            }
            "session_seconds" => options.session_seconds = admission.seconds(value, &at)?,
            "anchors" => options.anchors = admission.names(value, &at, "the name of a trust anchor", false)?,
            "tcb" => options.tcb = admission.tcb(value, &at)?,
            "debug" => options.debug = admission.truth(value, &at)?,
            "wrappings" => options.wrappings = admission.wrappings(value, &at)?,
            "explain" => {
                let known = Explain::ALL.map(|word| (word.as_str(), word));
                options.explain = admission.word(value, &at, &known)?;
            }
            "clear" => {
                let known = Clear::ALL.map(|word| (word.as_str(), word));
                options.clear = admission.word(value, &at, &known)?;
            }
            _ => admission.unknown(member, "options", &NAMES),
        }
    }
    Some(options)
}

impl Admission {
    fn word<W: Copy>(&mut self, node: &Node, at: &str, known: &[(&'static str, W)]) -> Option<W> {
        let names = known.iter().map(|(name, _)| *name);
        let Some(written) = node.as_text() else {
            let names: Vec<_> = names.collect();
            self.wrong_type(node, at, "a string", &names);
            return None;
        };
        if let Some((_, word)) = known.iter().find(|(name, _)| *name == written) {
            return Some(*word);
        }
        let message = format!("`{}` is not known here", shown(written));
        self.refuse(invalid(node.span, at, message).symbol(written).expected(names));
        None
    }

    fn truth(&mut self, node: &Node, at: &str) -> Option<bool> {
        let truth = node.as_bool();
        if truth.is_none() {
            self.wrong_type(node, at, "true or false", &["true", "false"]);
        }
        truth
    }

    fn seconds(&mut self, node: &Node, at: &str) -> Option<u32> {
        let Some(integer) = node.as_integer() else {
            self.wrong_type(node, at, "an integer", &["60 to 3600"]);
            return None;
        };
        let seconds = u32::try_from(integer).ok().filter(|seconds| (60..=3_600).contains(seconds));
        if seconds.is_none() {
            let message = format!("`{integer}` seconds is out of range");
            let diagnostic = invalid(node.span, at, message).symbol(&integer.to_string());
            self.refuse(diagnostic.expected(["60 to 3600"]));
        }
        seconds
    }

    /// A list of printable names, none twice. Only advisories may be an empty list.
    fn names(&mut self, node: &Node, at: &str, of: &str, may_be_empty: bool) -> Option<Vec<String>> {
        if may_be_empty && node.as_list().is_some_and(<[_]>::is_empty) {
            return Some(Vec::new());
        }
        let mut names: Vec<String> = Vec::new();
        for (index, node) in self.list(node, at, of)?.iter().enumerate() {
            let at = format!("{at}[{index}]");
            let Some(name) = node.as_text() else {
                self.wrong_type(node, &at, "a string", &[of]);
                return None;
            };
            let printable = name.bytes().all(|byte| byte.is_ascii_graphic());
            if name.is_empty() || name.len() > MOST_NAME_BYTES || !printable {
                let message = format!("`{}` is no name of 1 to 64 printable characters", shown(name));
                self.refuse(invalid(node.span, &at, message).symbol(name).expected([of]));
                return None;
            }
            if names.iter().any(|other| other == name) {
                self.refuse(invalid(node.span, &at, format!("`{name}` stands twice")).symbol(name));
                return None;
            }
            names.push(name.to_owned());
        }
        Some(names)
    }

    fn wrappings(&mut self, node: &Node, at: &str) -> Option<Wrappings> {
        let names = self.names(node, at, "a wrapping", false)?;
        for name in &names {
            if !Wrappings::NAMES.contains(&name.as_str()) {
                let message = format!("wrapping `{}` is not known", shown(name));
                let diagnostic = invalid(node.span, at, message).symbol(name);
                self.refuse(diagnostic.expected(Wrappings::NAMES));
                return None;
            }
        }
        Some(Wrappings::Only(names))
    }

    fn tcb(&mut self, node: &Node, at: &str) -> Option<Tcb> {
        let mut tcb = Tcb::default();
        for member in self.object(node, at, "statuses and advisories")? {
            let (value, at) = (&member.value, below(at, &member.name));
            match member.name.as_str() {
                "accept" => tcb.accept = self.statuses(value, &at)?,
                "advisories" => tcb.advisories = self.names(value, &at, "an advisory", true)?,
                _ => self.unknown(member, "options.tcb", &["accept", "advisories"]),
            }
        }
        Some(tcb)
    }

    fn statuses(&mut self, node: &Node, at: &str) -> Option<Vec<TcbStatus>> {
        let known = TcbStatus::ALL.map(|status| (status.as_str(), status));
        let mut statuses = Vec::new();
        for (index, node) in self.list(node, at, "a TCB status")?.iter().enumerate() {
            let at = format!("{at}[{index}]");
            if node.as_text() == Some("Revoked") {
                let message = "a revoked platform is never accepted";
                let diagnostic = invalid(node.span, &at, message).symbol("Revoked");
                self.refuse(diagnostic.expected(known.map(|(name, _)| name)));
                return None;
            }
            let status = self.word(node, &at, &known)?;
            if statuses.contains(&status) {
                let message = format!("`{}` stands twice", status.as_str());
                self.refuse(invalid(node.span, &at, message).symbol(status.as_str()));
                return None;
            }
            statuses.push(status);
        }
        Some(statuses)
    }
}
