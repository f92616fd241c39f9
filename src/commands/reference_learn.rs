//! `keygate reference learn`: what a machine says of itself becomes a document for review. `docs/reference-values.md`.
//!
//! Claims come of evidence that was verified, by a service or here, and of no other: what is learnt of a machine in debug mode, or of
//! none, is nothing. The document is unsigned and counts for nothing until somebody signs it, and somebody approves it.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use keygate_policies::reference::ReferenceDocument;
use keygate_policies::release::claim_at;
use keygate_policies::{Limits, json as strict};
use serde_json::{Map, Value, json};

use super::admin::Desk;
use super::connect::{Listener, ServerArgs, failure};
use super::exit::{Exit, Failure};
use super::output::Output;
use super::reference::name;
use super::references::{read, show_changes};
use super::time::now;
use super::verify::{JudgingArgs, MAX_EVIDENCE, genuine};
use super::workload::AttesterArgs;
use crate::broker::admin::references::difference;
use crate::client::Workload;

/// Arguments of `keygate reference learn`.
#[derive(Debug, Clone, Args)]
pub struct LearnArgs {
    /// `live`: this machine attests now. Or a file: evidence, which is verified here, or what `keygate attest` or `keygate verify` said.
    #[arg(long, value_name = "live|FILE")]
    from: String,
    /// The name of the reference values.
    #[arg(long, value_parser = name)]
    name: String,
    /// The claims to learn, as rules name them: dotted paths, or JSON pointers that begin with `/`.
    #[arg(long, value_name = "CLAIM,…", value_delimiter = ',', required = true)]
    claims: Vec<String>,
    /// Keep the values in force at the service beside the learnt ones.
    #[arg(long)]
    merge: bool,
    /// The serial; default: the next one at the service, or 1 where none is reached.
    #[arg(long, value_name = "NUMBER")]
    serial: Option<u64>,
    /// For how many days the values are to be good, at most 731.
    #[arg(long, default_value_t = 180, value_parser = clap::value_parser!(i64).range(1..=731))]
    days: i64,
    /// Words for whoever reviews it.
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// The document: a new file.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    attester: AttesterArgs,
    #[command(flatten)]
    judging: JudgingArgs,
    #[command(flatten)]
    server: ServerArgs,
}

/// Runs `keygate reference learn`.
pub async fn run(args: &LearnArgs, output: &Output) -> Result<Exit, Failure> {
    let claims = verified_claims(args).await?;
    if claims.get("keygate").and_then(|keygate| keygate.get("debug")) == Some(&json!(true)) {
        return Err(Failure::refused("debug-rejected", "a machine in debug mode says nothing that may be learnt")
            .with_help("attest a machine that runs as the others shall"));
    }
    let mut values = BTreeMap::new();
    for path in &args.claims {
        values.insert(path.clone(), learnt(path, &claims)?);
    }
    let learnt = json!(values);
    let standing = standing(args).await?;
    let before = standing.as_ref().and_then(|told| told.pointer("/in_force/values")).and_then(Value::as_object);
    if args.merge {
        for (claim, old) in before.into_iter().flatten() {
            let kept: &mut Vec<Value> = values.entry(claim.clone()).or_default();
            let missing: Vec<Value> =
                old.as_array().into_iter().flatten().filter(|value| !kept.contains(value)).cloned().collect();
            kept.extend(missing);
        }
    }
    let highest = standing.as_ref().and_then(|told| told.get("highest_serial")).and_then(Value::as_u64);
    let issued = now()?;
    let mut document = json!({
        "name": args.name, "serial": args.serial.unwrap_or(highest.unwrap_or(0) + 1), "iat": issued,
        "exp": issued + args.days * 86_400, "values": values,
    });
    if let Some(note) = &args.note {
        document["note"] = json!(note);
    }
    let read_back = |document: &Value| ReferenceDocument::parse(document.to_string().as_bytes());
    let parsed = read_back(&document).map_err(|found| {
        let what = found.first().map(ToString::to_string).unwrap_or_default();
        Failure::usage(
            format!("what was learnt makes no reference values: {what}"),
            "choose other claims with --claims",
        )
    })?;
    let old = before.map(|values| {
        let mut old = document.clone();
        old["values"] = json!(values);
        old
    });
    let old = old.and_then(|old| read_back(&old).ok());
    let changes = difference(old.as_ref(), Some(&parsed));
    write(&args.out, &document)?;
    if output.is_json() {
        output.object(&json!({
            "written": args.out.display().to_string(), "learnt": learnt, "changes": changes, "document": document,
        }));
        return Ok(Exit::Done);
    }
    let rows: Vec<Value> =
        args.claims.iter().map(|claim| json!({"claim": claim, "value": learnt.get(claim)})).collect();
    output.list(&[("claim", "/claim"), ("value", "/value")], &rows);
    output.say("");
    output.say(match old.is_some() {
        true => "against the values in force:",
        false => "there are no values in force to compare with:",
    });
    show_changes(output, &changes);
    output.say("");
    output.say(&format!("written to {}, unsigned: it counts for nothing yet", args.out.display()));
    output.say(&format!(
        "to sign it: keygate reference sign --key KEY.pem --in {} --out {}.jws",
        args.out.display(),
        args.name
    ));
    Ok(Exit::Done)
}

/// The claims of evidence that was verified.
async fn verified_claims(args: &LearnArgs) -> Result<Map<String, Value>, Failure> {
    if args.from == "live" {
        let connection = args.server.connect(Listener::Data)?;
        let attester = args.attester.choose()?;
        let workload = Workload::new(&connection, attester.as_ref(), args.attester.recipient()).map_err(failure)?;
        let answer = workload.attest("", now()?).await.map_err(failure)?;
        return claims_of(&answer, "the service's answer");
    }
    let path = Path::new(&args.from);
    let help = "name evidence, what `keygate attest` or `keygate verify` said, or `live`";
    let bytes = read(path, MAX_EVIDENCE, help)?;
    let limits = Limits { bytes: MAX_EVIDENCE as usize, ..Limits::CLAIMS };
    if let Ok(told) = strict::parse(&bytes, &limits).map(|node| node.to_value())
        && told.get("claims").is_some_and(Value::is_object)
    {
        let verdict = told.get("verdict").and_then(Value::as_str);
        if verdict.is_some_and(|verdict| verdict != "verified") || verdict.is_none() && told.get("token").is_none() {
            return Err(Failure::refused(
                "malformed",
                format!("`{}` says of no evidence that it was verified", args.from),
            )
            .with_help("give what `keygate verify` said of evidence that it accepts"));
        }
        return claims_of(&told, &args.from);
    }
    match genuine(path, &args.judging, None)? {
        Ok(genuine) => Ok(genuine.claims()),
        Err(why) => {
            Err(Failure::refused(&why.full_code(), format!("the evidence in `{}` is refused: {why}", args.from))
                .with_help("`keygate verify` says more; nothing is learnt of what is not genuine"))
        }
    }
}

fn claims_of(told: &Value, from: &str) -> Result<Map<String, Value>, Failure> {
    told.get("claims").and_then(Value::as_object).cloned().ok_or_else(|| {
        Failure::refused("malformed", format!("{from} has no claims")).with_help("see what `keygate attest` says")
    })
}

/// The values of one claim.
fn learnt(path: &str, claims: &Map<String, Value>) -> Result<Vec<Value>, Failure> {
    let usage = |what: String| Failure::usage(what, "`keygate attest` or `keygate verify` shows the claims there are");
    let found = claim_at(path, claims).map_err(|why| usage(format!("`{path}` is no path of a claim: {why}")))?;
    let values = match found {
        None => return Err(usage(format!("the machine says nothing of `{path}`"))),
        Some(Value::Array(elements)) => elements.clone(),
        Some(other) => vec![other.clone()],
    };
    let mut kept: Vec<Value> = Vec::new();
    for value in values {
        let fits = match &value {
            Value::String(_) | Value::Bool(_) => true,
            Value::Number(number) => number.is_i64() || number.is_u64(),
            _ => false,
        };
        if !fits {
            return Err(usage(format!("`{path}` is no text, integer or truth value, nor a list of such")));
        }
        if !kept.contains(&value) {
            kept.push(value);
        }
    }
    Ok(kept)
}

/// What stands under the name at the service; none where there is nothing, or no service is reached and none is needed.
async fn standing(args: &LearnArgs) -> Result<Option<Value>, Failure> {
    let desk = match Desk::open(&args.server) {
        Ok(desk) => desk,
        Err(why) if args.merge => return Err(why),
        Err(_) => return Ok(None),
    };
    match desk.try_get(&format!("/references/{}", args.name)).await {
        Ok((_, told)) => Ok(told.get("reference").cloned()),
        Err(absent) if absent.code == "not-found" || !args.merge => Ok(None),
        Err(other) => Err(failure(other)),
    }
}

fn write(out: &Path, document: &Value) -> Result<(), Failure> {
    let cannot = |e: std::io::Error| {
        Failure::usage(
            format!("cannot write `{}`: {e}", out.display()),
            "name a new file in a folder that can be written",
        )
    };
    let text = serde_json::to_string_pretty(document).unwrap_or_default();
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(out).map_err(cannot)?;
    writeln!(file, "{text}").map_err(cannot)
}
