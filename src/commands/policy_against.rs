//! `keygate policy try --against audit`: a draft over what was attested so far. Keygate's contract, section 3 (*Admin*).
//!
//! Both policies, the one in force and the draft, are evaluated over the attested claims of each record, so that nothing but the policy
//! makes a difference.

use keygate_policies::attestation::{AttestationPolicy, ClaimSet, Outcome, Tracing};
use keygate_policies::fuel::Fuel;
use serde_json::{Map, Value, json};

use super::admin::Desk;
use super::connect::ServerArgs;
use super::exit::{Exit, Failure};
use super::output::Output;
use super::policy::one;
use super::policy_trace::{reason, word};
use super::time::since;
use crate::broker::admin::recorded::{APPRAISALS, Recalled, recall};

/// Which of the recorded decisions would be others, had this policy been in force in the place of the one that is.
///
/// # Errors
/// As any question to a service.
pub async fn run(
    policy: &AttestationPolicy,
    kind: &str,
    from: Option<&str>,
    server: &ServerArgs,
    output: &Output,
) -> Result<Exit, Failure> {
    let desk = Desk::open(server)?;
    let now = one(&desk, kind, None).await?;
    let in_force = now.get("text").and_then(Value::as_str).map(AttestationPolicy::parse).transpose();
    let in_force = in_force
        .map_err(|_| Failure::refused("policy-invalid", format!("the policy in force for {kind} does not parse")))?;
    let from = from.map(since).transpose()?.map(|from| format!("&from={from}")).unwrap_or_default();
    let (mut asked, mut without_claims, mut changes) = (0_u64, 0_u64, Vec::new());
    for recorded in APPRAISALS {
        desk.each_page(&format!("/audit?kind={recorded}{from}"), "entries", |page| {
            for entry in page {
                match recall(&entry, kind) {
                    Recalled::Other => {}
                    Recalled::WithoutClaims => without_claims += 1,
                    Recalled::Claims(claims) => {
                        asked += 1;
                        changes.extend(change(&entry, &claims, in_force.as_ref(), policy));
                    }
                }
            }
        })
        .await?;
    }
    changes.sort_by_key(|change| change.get("entry").and_then(Value::as_u64));
    let told = json!({
        "type": kind, "in_force": now.get("number"), "decisions": asked, "without_claims": without_claims,
        "changed": changes.len(), "changes": changes,
    });
    if output.is_json() {
        output.object(&told);
    } else {
        if !changes.is_empty() {
            let columns = [
                ("entry", "/entry"),
                ("at", "/at"),
                ("kind", "/kind"),
                ("key", "/key"),
                ("before", "/before"),
                ("after", "/after"),
                ("why", "/why"),
            ];
            output.list(&columns, &changes);
        }
        if without_claims > 0 {
            output.say(&format!("left out, for their claims were too many to be recorded: {without_claims}"));
        }
        output.say(&format!("earlier decisions that would be others: {} of {asked}", changes.len()));
    }
    Ok(if changes.is_empty() { Exit::Done } else { Exit::Refused })
}

/// What the two policies say of the same claims, where it differs.
fn change(
    entry: &Value,
    claims: &Map<String, Value>,
    before: Option<&AttestationPolicy>,
    after: &AttestationPolicy,
) -> Option<Value> {
    let judge = |policy: &AttestationPolicy| {
        let claims = ClaimSet::from_objects(claims, &Map::new());
        policy.evaluate(claims, &mut Fuel::service(), Tracing::Off).outcome
    };
    let (was, will) = (before.map(judge), judge(after));
    // Without a policy nothing is attested.
    let (was_word, will_word) = (was.as_ref().map_or("deny", word), word(&will));
    let issued = |outcome: &Outcome| match outcome {
        Outcome::Permit { issued, .. } => issued.clone(),
        Outcome::Deny(_) | Outcome::Error(_) => Map::new(),
    };
    let (issued_before, issued_after) = (was.as_ref().map(issued).unwrap_or_default(), issued(&will));
    if was_word == will_word && issued_before == issued_after {
        return None;
    }
    let why = match was_word == will_word {
        true => "issues other claims".to_owned(),
        false if will.permits() => was.as_ref().and_then(reason).unwrap_or_default(),
        false => reason(&will).unwrap_or_default(),
    };
    Some(json!({
        "entry": entry.get("number"), "at": entry.get("at"), "kind": entry.get("kind"), "key": entry.pointer("/body/key"),
        "before": was_word, "after": will_word, "why": why,
        "issued_before": issued_before, "issued_after": issued_after,
    }))
}
