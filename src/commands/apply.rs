//! `keygate apply`: policies, and rules and options of keys, from files; the difference first. Keygate's contract, section 2.
//!
//! The folder holds `policies/TYPE.policy`, each a policy or a JWS around one, and `keys/NAME.json`, each with rules and options or a
//! bare rule. Either folder may be missing.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Map, Value, json};

use super::admin::{ChangeArgs, Desk, key_name};
use super::connect::ServerArgs;
use super::exit::{Exit, Failure};
use super::output::{Format, Output};
use super::policies::{PolicyFile, show_lines};
use super::policy::{one, type_name};
use super::rule::show_difference;
use super::rules::RuleFile;
use crate::broker::admin::lines;
use crate::broker::admin::rules::difference;

/// Arguments of `keygate apply`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Example:\n  keygate apply -f rules/ --dry-run")]
pub struct ApplyArgs {
    /// The folder: policies/TYPE.policy for a type of attestation, keys/NAME.json with rules and options of the key NAME.
    #[arg(short = 'f', long = "files", value_name = "DIR")]
    files: PathBuf,
    /// Why rules that the linter refuses are set all the same.
    #[arg(long, value_name = "REASON")]
    force: Option<String>,
    #[command(flatten)]
    change: ChangeArgs,
    #[command(flatten)]
    server: ServerArgs,
}

/// A key or a type whose document is to be another one.
struct Step {
    /// `key` or `policy`.
    what: &'static str,
    name: String,
    etag: String,
    body: Map<String, Value>,
    changes: Vec<Value>,
}

impl Step {
    /// The path of the object, and that of the change.
    fn paths(&self) -> (String, String) {
        match self.what {
            "policy" => (format!("/policies/{}", self.name), format!("/policies/{}/set", self.name)),
            _ => (format!("/keys/{}", self.name), format!("/keys/{}/rules/set", self.name)),
        }
    }

    fn show(&self, output: &Output) {
        output.say(&format!("{} {}:", self.what, self.name));
        match self.what {
            "policy" => show_lines(output, &self.changes),
            _ => show_difference(output, &json!({"changes": self.changes})),
        }
    }
}

/// Runs `keygate apply`.
pub async fn run(args: &ApplyArgs, format: Format) -> Result<Exit, Failure> {
    let output = Output::new(format);
    let desk = Desk::open(&args.server)?;
    // Everything is read, checked and compared before anything is changed.
    let mut steps = policies(&desk, args, &output).await?;
    steps.extend(keys(&desk, args).await?);
    if !output.is_json() {
        steps.iter().for_each(|step| step.show(&output));
    }
    let mut told = Vec::new();
    for step in steps {
        let (object, path) = step.paths();
        let change = ChangeArgs { if_match: Some(step.etag), ..args.change.clone() };
        let answer = desk.change(&object, &path, step.body, &change).await?;
        let mut done = json!({
            "changes": step.changes, "entry": answer.pointer("/entry/number"), "dry_run": args.change.dry_run,
        });
        done[step.what] = json!(step.name);
        done[if step.what == "key" { "rule" } else { "number" }] =
            answer.pointer("/key/rule/number").or(answer.pointer("/policy/number")).cloned().unwrap_or_default();
        told.push(done);
    }
    if output.is_json() {
        output.object(&json!({"applied": told, "dry_run": args.change.dry_run}));
    } else {
        output.say(&match (told.len(), args.change.dry_run) {
            (0, _) => "nothing to change".to_owned(),
            (_, true) => format!("{} would change; nothing was changed", counted(&told)),
            (_, false) => format!("changed: {}", counted(&told)),
        });
    }
    Ok(Exit::Done)
}

/// `policies 1, keys 3`.
fn counted(told: &[Value]) -> String {
    let count = |name: &str| told.iter().filter(|done| done.get(name).is_some()).count();
    let parts = [("policies", count("policy")), ("keys", count("key"))];
    parts.iter().filter(|(_, n)| *n > 0).map(|(name, n)| format!("{name} {n}")).collect::<Vec<_>>().join(", ")
}

async fn policies(desk: &Desk, args: &ApplyArgs, output: &Output) -> Result<Vec<Step>, Failure> {
    let mut steps = Vec::new();
    for (stem, path) in files(&args.files, "policies", "policy")? {
        let kind = type_name(&stem).map_err(|known| {
            Failure::usage(
                format!("`{}` is no type of attestation", path.display()),
                format!("name the file after {known}"),
            )
        })?;
        let file = PolicyFile::read(&path)?;
        drop(file.parsed(output)?);
        let now = one(desk, &kind, None).await?;
        let part = |name: &str| now.get(name).and_then(Value::as_str).unwrap_or_default();
        let changes = lines::difference(part("text"), &file.text);
        // A default that is written down as it is becomes nothing of its own.
        if !changes.is_empty() {
            steps.push(Step { what: "policy", name: kind, etag: part("etag").to_owned(), body: file.body(), changes });
        }
    }
    Ok(steps)
}

async fn keys(desk: &Desk, args: &ApplyArgs) -> Result<Vec<Step>, Failure> {
    let mut steps = Vec::new();
    for (stem, path) in files(&args.files, "keys", "json")? {
        let key = key_name(&stem)?;
        let document = RuleFile::read(&path)?.document()?;
        let (etag, told) = desk.get(&format!("/keys/{key}/rules")).await?;
        let before = told.pointer("/rule/document").cloned().unwrap_or(Value::Null);
        let changes = difference(&before, &document);
        if !changes.is_empty() {
            let mut body = Map::from_iter([("rules".to_owned(), document)]);
            body.extend(args.force.iter().map(|force| ("force".to_owned(), json!(force))));
            steps.push(Step { what: "key", name: key, etag: etag.unwrap_or_default(), body, changes });
        }
    }
    Ok(steps)
}

/// What a folder has files for, in the order of the names; one of the two folders may be missing.
fn files(dir: &Path, folder: &str, extension: &str) -> Result<Vec<(String, PathBuf)>, Failure> {
    let help = "a folder with policies/TYPE.policy, keys/NAME.json, or both";
    let place = dir.join(folder);
    let cannot = |e: std::io::Error| Failure::usage(format!("cannot read `{}`: {e}", place.display()), help);
    if !place.exists() && dir.join("keys").exists() != dir.join("policies").exists() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&place).map_err(cannot)? {
        let path = entry.map_err(cannot)?.path();
        if path.extension().is_none_or(|found| found != extension) {
            return Err(Failure::usage(format!("`{}` ends in another way than `.{extension}`", path.display()), help));
        }
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        found.push((stem.to_owned(), path));
    }
    found.sort();
    Ok(found)
}
