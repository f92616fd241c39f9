//! `keygate policy try`: a policy over claims, over evidence, or over what was recorded in a service. Keygate's contract, sections 3
//! (*Admin*) and 7.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use keygate_policies::attestation::{AttestationPolicy, ClaimSet, Evaluation, Outcome, Tracing};
use keygate_policies::fuel::Fuel;
use keygate_policies::{Limits, json};
use keygate_verifier::{AZURE_DEFAULT, Baseline, EvidenceKind};
use openssl::sha::sha256;
use serde_json::{Map, Value, json};

use super::admin::Desk;
use super::connect::ServerArgs;
use super::exit::{Exit, Failure};
use super::output::Output;
use super::policies::PolicyFile;
use super::policy::{one, type_name};
use super::policy_trace::{self, reason, word};
use super::time::since;
use super::verify::{JudgingArgs, genuine};
use crate::broker::admin::recorded::{Recalled, recall};
use crate::result::attestation_result::RUNTIME;

/// Arguments of `keygate policy try`.
#[derive(Debug, Clone, Args)]
pub struct TryArgs {
    /// A policy, or a JWS around one.
    policy: PathBuf,
    /// Claims: a list of `{"type", "value", "issuer"?, "valueType"?}`, or an object; `-` for standard input.
    #[arg(long, value_name = "FILE|-", group = "over")]
    claims: Option<PathBuf>,
    /// Evidence, `-` for standard input. It must be genuine; patch level and debug bit are for the policy to judge.
    #[arg(long, value_name = "FILE|-", group = "over")]
    evidence: Option<PathBuf>,
    /// What was attested in a service so far: which decisions would be others than under the policy in force.
    #[arg(long, value_name = "audit", value_parser = ["audit"], group = "over", requires = "kind_of_policy")]
    against: Option<String>,
    #[command(flatten)]
    judging: JudgingArgs,
    /// What the workload holds and the evidence names by its digest; a JSON object becomes the custom claim `x-ms-runtime`.
    #[arg(long, value_name = "FILE", requires = "evidence")]
    runtime_data: Option<PathBuf>,
    /// For `--against`: which policy is to be another one.
    #[arg(long = "type", id = "kind_of_policy", value_name = "TYPE", value_parser = type_name)]
    kind_of_policy: Option<String>,
    /// For `--against`: recorded at this time or later, RFC 3339, or not longer ago than 90d, 12h, 30m, 45s.
    #[arg(long, value_name = "TIME", requires = "against")]
    since: Option<String>,
    #[command(flatten)]
    server: ServerArgs,
}

/// Runs `keygate policy try`.
pub(super) async fn run(args: &TryArgs, output: &Output) -> Result<Exit, Failure> {
    let file = PolicyFile::read(&args.policy)?;
    let policy = file.parsed(output)?;
    let claims = match (&args.claims, &args.evidence, &args.kind_of_policy) {
        (Some(path), ..) => claims_of(path, output)?,
        (None, Some(path), _) => match shown(path, &policy, args)? {
            Ok(claims) => claims,
            Err((code, message)) => return Ok(not_asked(output, &code, &message)),
        },
        (None, None, Some(kind)) => return against(&policy, kind, args, output).await,
        (None, None, None) => {
            let help = "name claims with --claims, evidence with --evidence, or --against audit with --type";
            return Err(Failure::usage("there is nothing to try the policy over", help));
        }
    };
    let evaluation = policy.evaluate(claims, &mut Fuel::service(), Tracing::On);
    if output.is_json() {
        output.object(&told(&evaluation));
    } else {
        policy_trace::lines(&evaluation).iter().for_each(|line| output.say(line));
    }
    Ok(if evaluation.outcome.permits() { Exit::Done } else { Exit::Refused })
}

/// The shape of the contract, section 7.
fn told(evaluation: &Evaluation) -> Value {
    let (issued, properties) = match &evaluation.outcome {
        Outcome::Permit { issued, properties } => (issued.clone(), properties.clone()),
        Outcome::Deny(_) | Outcome::Error(_) => (Map::new(), Map::new()),
    };
    let mut told = json!({"decision": word(&evaluation.outcome)});
    if let Some(code) = evaluation.outcome.code() {
        told["code"] = json!(code);
        told["message"] = json!(reason(&evaluation.outcome));
    }
    told["issued"] = Value::Object(issued);
    told["properties"] = Value::Object(properties);
    told["trace"] = json!(evaluation.trace);
    told
}

fn not_asked(output: &Output, code: &str, message: &str) -> Exit {
    if output.is_json() {
        output.object(&json!({
            "decision": "error", "code": code, "message": message, "issued": {}, "properties": {}, "trace": [],
        }));
    } else {
        output.say(&format!("error: {message} ({code}); the policy was not asked"));
    }
    Exit::Refused
}

fn claims_of(path: &Path, output: &Output) -> Result<ClaimSet, Failure> {
    let name = path.display().to_string();
    let bytes = read(path)?;
    ClaimSet::from_json(&bytes).map_err(|found| {
        if output.is_json() {
            output.object(&json!({"valid": false, "diagnostics": found}));
        }
        super::places::show(&name, &String::from_utf8_lossy(&bytes), &found);
        Failure::usage(
            format!("`{name}` holds no claims"),
            "write a list of {\"type\", \"value\", \"issuer\"?, \"valueType\"?}, or an object of claims",
        )
    })
}

/// The claims of evidence, or why the policy is not asked: it is not genuine, does not hold the run-time data, or is below the TCB
/// baseline that the policy's configuration demands.
fn shown(
    path: &Path,
    policy: &AttestationPolicy,
    args: &TryArgs,
) -> Result<Result<ClaimSet, (String, String)>, Failure> {
    let held = args.runtime_data.as_deref().map(read).transpose()?;
    let shown = match genuine(path, &args.judging, held.as_deref().map(sha256))? {
        Ok(shown) => shown,
        Err(why) => return Ok(Err((why.full_code(), why.to_string()))),
    };
    if let (Some(wanted), Some(tcb)) = (policy.configuration().sgx_tcb_identifier(), shown.tcb())
        && shown.kind() == EvidenceKind::Sgx
        && wanted != AZURE_DEFAULT
    {
        match Baseline::find(wanted) {
            None => return Ok(Err(("policy-error".into(), format!("`{wanted}` is no TCB baseline")))),
            Some(baseline) if !baseline.is_met_by(tcb) => {
                return Ok(Err(("tcb-rejected".into(), format!("the platform is below the baseline `{wanted}`"))));
            }
            Some(_) => {}
        }
    }
    // Other bytes than those of an object are held all the same, and stand under no claim.
    let said = held.as_deref().and_then(|bytes| json::parse(bytes, &Limits::CLAIMS).ok()).map(|node| node.to_value());
    let said = said.filter(Value::is_object).map(|said| (RUNTIME.to_owned(), said));
    Ok(Ok(ClaimSet::from_objects(&shown.claims(), &said.into_iter().collect())))
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let cannot = |e: std::io::Error| {
        Failure::usage(format!("cannot read `{}`: {e}", path.display()), "name a file that can be read")
    };
    let most = Limits::CLAIMS.bytes as u64 + 1;
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        std::io::stdin().lock().take(most).read_to_end(&mut bytes).map_err(cannot)?;
    } else {
        std::fs::File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes)).map_err(cannot)?;
    }
    Ok(bytes)
}

/// Which of the recorded decisions would be others, had this policy been in force in the place of the one that is.
async fn against(policy: &AttestationPolicy, kind: &str, args: &TryArgs, output: &Output) -> Result<Exit, Failure> {
    let desk = Desk::open(&args.server)?;
    let now = one(&desk, kind, None).await?;
    let in_force = now.get("text").and_then(Value::as_str).map(AttestationPolicy::parse).transpose();
    let in_force = in_force
        .map_err(|_| Failure::refused("policy-invalid", format!("the policy in force for {kind} does not parse")))?;
    let from = args.since.as_deref().map(since).transpose()?;
    let path = from.map_or_else(|| "/audit".to_owned(), |from| format!("/audit?from={from}"));
    let (mut asked, mut without_claims, mut changes) = (0_u64, 0_u64, Vec::new());
    desk.each_page(&path, "entries", |page| {
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
