//! An evaluation for a person: each rule, each condition with the claims that met it, what was made. Keygate's contract, section 7.

use keygate_policies::attestation::{ClaimTrace, ConditionTrace, DenyReason, Evaluation, Outcome, RuleTrace};
use serde_json::{Map, Value};

/// Longest value or condition that is shown, in characters.
const LONGEST: usize = 96;

/// What an evaluation did, line by line.
pub fn lines(evaluation: &Evaluation) -> Vec<String> {
    let mut lines = Vec::new();
    let mut section = None;
    for rule in &evaluation.trace.0 {
        if section != Some(rule.section) {
            section = Some(rule.section);
            lines.push(rule.section.as_str().to_owned());
        }
        lines.extend(rule_lines(rule));
    }
    if let Outcome::Permit { issued, properties } = &evaluation.outcome {
        lines.extend(members("issued", issued));
        lines.extend(members("properties", properties));
    }
    let denied = evaluation.trace.0.iter().find(|rule| rule.fired && rule.action == "deny");
    lines.push(match (reason(&evaluation.outcome), denied) {
        (None, _) => "permit".to_owned(),
        (Some(_), Some(rule)) if evaluation.outcome == Outcome::Deny(DenyReason::Denied) => {
            format!("deny: the rule on line {} denied", rule.line)
        }
        (Some(reason), _) => format!("{}: {reason}", word(&evaluation.outcome)),
    });
    lines
}

/// `permit`, `deny` or `error`.
pub fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Permit { .. } => "permit",
        Outcome::Deny(_) => "deny",
        Outcome::Error(_) => "error",
    }
}

/// Why it is no permit.
pub fn reason(outcome: &Outcome) -> Option<String> {
    match outcome {
        Outcome::Permit { .. } => None,
        Outcome::Deny(DenyReason::Denied) => Some("a rule denied".to_owned()),
        Outcome::Deny(DenyReason::NotPermitted) => Some("no rule permitted".to_owned()),
        Outcome::Error(error) => Some(error.to_string()),
    }
}

fn rule_lines(rule: &RuleTrace) -> Vec<String> {
    let mut lines = vec![format!("  {} line {}: {}", mark(rule.fired), rule.line, rule.action)];
    lines.extend(rule.conditions.iter().flat_map(condition_lines));
    lines.extend(rule.made.iter().map(|claim| format!("      → {} = {}", claim.kind, shown(&claim.value.to_value()))));
    let ignored = rule.ignored.iter();
    lines.extend(ignored.map(|claim| format!("      → {} is a name of the service: left out", claim.kind)));
    if rule.fired
        && rule.fault.is_none()
        && makes_claims(rule.action)
        && rule.made.is_empty()
        && rule.ignored.is_empty()
    {
        lines.push("      → no claim: the value is empty".to_owned());
    }
    lines.extend(rule.fault.iter().map(|fault| format!("      ! {fault}")));
    lines
}

fn makes_claims(action: &str) -> bool {
    !matches!(action, "permit" | "deny")
}

fn condition_lines(condition: &ConditionTrace) -> Vec<String> {
    let mut lines = vec![format!("      {} {}", mark(condition.holds), one_line(&condition.text))];
    lines.extend(condition.claims.iter().map(|claim| format!("          {}", claim_line(claim))));
    match (condition.count.saturating_sub(condition.claims.len()), condition.near.as_deref()) {
        (0, Some([])) => lines.push("          no claim of this type".to_owned()),
        (0, Some(near)) => {
            lines.extend(near.iter().map(|claim| format!("          {} does not fit", claim_line(claim))));
        }
        (0, None) if condition.count == 0 => lines.push("          no claim fits".to_owned()),
        (0, None) => {}
        (more, _) => lines.push(format!("          and {more} more")),
    }
    lines
}

fn claim_line(claim: &ClaimTrace) -> String {
    format!("{} = {} ({})", claim.kind, shown(&claim.value.to_value()), claim.issuer.as_str())
}

fn members(title: &str, members: &Map<String, Value>) -> Vec<String> {
    let heading = (!members.is_empty()).then(|| title.to_owned());
    let rest = members.iter().map(|(kind, value)| format!("  {kind} = {}", shown(value)));
    heading.into_iter().chain(rest).collect()
}

fn mark(holds: bool) -> char {
    if holds { '✓' } else { '✗' }
}

/// A value as JSON writes it, so that `"1"` and `1` are told apart.
fn shown(value: &Value) -> String {
    cut(&value.to_string())
}

/// A text that may have been written over several lines.
fn one_line(text: &str) -> String {
    cut(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keygate_policies::attestation::{AttestationPolicy, ClaimSet, Tracing};
    use keygate_policies::fuel::Fuel;

    const POLICY: &str = r#"version=1.2;
authorizationrules{
  [type=="debug", value==true] => deny();
  s:[type=="svn", issuer=="AttestationService"] &&
    [type=="svn", value>=2] => permit();
  ![type=="role"] => add(type="role", value="none");
};
issuancerules{
  c:[type=="svn"] => issue(type="svn", value=c.value);
  => issue(type="iss", value="me");
};
"#;

    fn told(claims: &str) -> String {
        let policy = AttestationPolicy::parse(POLICY).unwrap();
        let claims = ClaimSet::from_json(claims.as_bytes()).unwrap();
        lines(&policy.evaluate(claims, &mut Fuel::service(), Tracing::On)).join("\n")
    }

    #[test]
    fn each_rule_shows_its_conditions_and_what_it_made() {
        let permitted = told(r#"[{"type": "svn", "value": 3, "issuer": "AttestationService"}]"#);
        let wanted = r#"authorizationrules
  ✗ line 3: deny
      ✗ [type=="debug", value==true]
          no claim of this type
  ✓ line 4: permit
      ✓ s:[type=="svn", issuer=="AttestationService"]
          svn = 3 (AttestationService)
      ✓ [type=="svn", value>=2]
          svn = 3 (AttestationService)
  ✓ line 6: add
      ✓ ![type=="role"]
          no claim of this type
      → role = "none"
issuancerules
  ✓ line 9: issue
      ✓ c:[type=="svn"]
          svn = 3 (AttestationService)
      → svn = 3
  ✓ line 10: issue
      → iss is a name of the service: left out
issued
  svn = 3
permit"#;
        assert_eq!(permitted, wanted);
    }

    #[test]
    fn a_denial_says_why() {
        let denied = told(r#"[{"type": "svn", "value": 3}, {"type": "debug", "value": true}]"#);
        assert!(denied.contains("  ✓ line 3: deny\n"), "{denied}");
        assert!(denied.ends_with("\ndeny: the rule on line 3 denied"), "{denied}");
        let old = told(r#"[{"type": "svn", "value": 1, "issuer": "AttestationService"}]"#);
        let why = "      ✗ [type==\"svn\", value>=2]\n          svn = 1 (AttestationService) does not fit\n";
        assert!(old.contains(why) && old.ends_with("\ndeny: no rule permitted"), "{old}");
        let nobody = told("[]");
        assert!(!nobody.contains("issuancerules") && nobody.ends_with("\ndeny: no rule permitted"), "{nobody}");
    }
}
