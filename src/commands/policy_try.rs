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

use super::connect::ServerArgs;
use super::exit::{Exit, Failure};
use super::output::Output;
use super::policies::PolicyFile;
use super::policy::type_name;
use super::policy_against;
use super::policy_trace::{self, reason, word};
use super::references::for_a_trial;
use super::verify::{JudgingArgs, genuine};
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
    /// Reference values that are to count in the trial, signed or not. May be given more than once.
    #[arg(long, value_name = "FILE", conflicts_with = "against")]
    reference: Vec<PathBuf>,
    #[command(flatten)]
    judging: JudgingArgs,
    /// What the workload holds and the evidence names by its digest; a JSON object becomes the custom claim `x-ms-runtime`.
    #[arg(long, value_name = "FILE", requires = "evidence")]
    runtime_data: Option<PathBuf>,
    /// For `--against`: which policy is to be another one.
    #[arg(long = "type", id = "kind_of_policy", value_name = "TYPE", value_parser = type_name, conflicts_with_all = ["claims", "evidence"])]
    kind_of_policy: Option<String>,
    /// For `--against`: recorded at this time or later, RFC 3339, or not longer ago than 90d, 12h, 30m, 45s.
    #[arg(long, value_name = "TIME", requires = "against")]
    since: Option<String>,
    #[command(flatten)]
    server: ServerArgs,
}

/// The claims of a trial, and of them what is attested.
type Tried = (ClaimSet, Map<String, Value>);

/// Runs `keygate policy try`.
pub(super) async fn run(args: &TryArgs, output: &Output) -> Result<Exit, Failure> {
    let file = PolicyFile::read(&args.policy)?;
    let policy = file.parsed(output)?;
    let references = for_a_trial(&args.reference, output)?;
    let (mut claims, attested) = match (&args.claims, &args.evidence, &args.kind_of_policy) {
        (Some(path), ..) => claims_of(path, output)?,
        (None, Some(path), _) => match shown(path, &policy, args)? {
            Ok(claims) => claims,
            Err((code, message)) => return Ok(not_asked(output, &code, &message)),
        },
        (None, None, Some(kind)) => {
            return policy_against::run(&policy, kind, args.since.as_deref(), &args.server, output).await;
        }
        (None, None, None) => {
            let help = "name claims with --claims, evidence with --evidence, or --against audit with --type";
            return Err(Failure::usage("there is nothing to try the policy over", help));
        }
    };
    references.add_claims(&mut claims, &attested);
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

/// The claims of a file; beside them, where it is an object, what it takes for attested.
fn claims_of(path: &Path, output: &Output) -> Result<Tried, Failure> {
    let name = path.display().to_string();
    let bytes = read(path)?;
    let attested = match json::parse(&bytes, &Limits::CLAIMS).map(|node| node.to_value()) {
        Ok(Value::Object(attested)) => attested,
        _ => Map::new(),
    };
    ClaimSet::from_json(&bytes).map(|claims| (claims, attested)).map_err(|found| {
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
fn shown(path: &Path, policy: &AttestationPolicy, args: &TryArgs) -> Result<Result<Tried, (String, String)>, Failure> {
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
    let attested = shown.claims();
    Ok(Ok((ClaimSet::from_objects(&attested, &said.into_iter().collect()), attested)))
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
