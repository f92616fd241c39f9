//! `keygate apply`: rules and options of keys from files, the difference first. Keygate's contract, section 2.
//!
//! The folder holds `keys/NAME.json`, each with rules and options or a bare rule.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Map, Value, json};

use super::admin::{ChangeArgs, Desk, key_name};
use super::connect::ServerArgs;
use super::exit::{Exit, Failure};
use super::output::{Format, Output};
use super::rule::show_difference;
use super::rules::RuleFile;
use crate::broker::admin::rules::difference;

/// Arguments of `keygate apply`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Example:\n  keygate apply -f rules/ --dry-run")]
pub struct ApplyArgs {
    /// The folder: keys/NAME.json with rules and options of the key NAME.
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

/// A key whose rules are to be others.
struct Step {
    key: String,
    etag: String,
    document: Value,
    changes: Vec<Value>,
}

/// Runs `keygate apply`.
pub async fn run(args: &ApplyArgs, format: Format) -> Result<Exit, Failure> {
    let output = Output::new(format);
    let desk = Desk::open(&args.server)?;
    let mut steps = Vec::new();
    // Everything is read, checked and compared before anything is changed.
    for (key, file) in files(&args.files)? {
        let document = RuleFile::read(&file)?.document()?;
        let (etag, told) = desk.get(&format!("/keys/{key}/rules")).await?;
        let before = told.pointer("/rule/document").cloned().unwrap_or(Value::Null);
        let changes = difference(&before, &document);
        if !changes.is_empty() {
            steps.push(Step { key, etag: etag.unwrap_or_default(), document, changes });
        }
    }
    let mut told = Vec::new();
    for step in &steps {
        output.say(&format!("{}:", step.key));
        if !output.is_json() {
            show_difference(&output, &json!({"changes": step.changes}));
        }
    }
    for step in steps {
        let mut body = Map::from_iter([("rules".to_owned(), step.document)]);
        if let Some(force) = &args.force {
            body.insert("force".to_owned(), json!(force));
        }
        let change = ChangeArgs { if_match: Some(step.etag), ..args.change.clone() };
        let path = format!("/keys/{}", step.key);
        let answer = desk.change(&path, &format!("{path}/rules/set"), body, &change).await?;
        told.push(json!({
            "key": step.key,
            "changes": step.changes,
            "rule": answer.pointer("/key/rule/number"),
            "entry": answer.pointer("/entry/number"),
            "dry_run": args.change.dry_run,
        }));
    }
    if output.is_json() {
        output.object(&json!({"applied": told, "dry_run": args.change.dry_run}));
    } else {
        output.say(&match (told.len(), args.change.dry_run) {
            (0, _) => "nothing to change".to_owned(),
            (keys, true) => format!("keys that would change: {keys}; nothing was changed"),
            (keys, false) => format!("keys changed: {keys}"),
        });
    }
    Ok(Exit::Done)
}

/// The keys that the folder has files for, in the order of their names.
fn files(dir: &Path) -> Result<Vec<(String, PathBuf)>, Failure> {
    let keys = dir.join("keys");
    let help = "a folder with keys/NAME.json";
    let cannot = |e: std::io::Error| Failure::usage(format!("cannot read `{}`: {e}", keys.display()), help);
    if dir.join("policies").exists() {
        let what = format!("`{}` has policies, which are not applied from files yet", dir.display());
        return Err(Failure::usage(what, "take the folder `policies` out"));
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&keys).map_err(cannot)? {
        let path = entry.map_err(cannot)?.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            return Err(Failure::usage(format!("`{}` is no rule file", path.display()), help));
        }
        let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        found.push((key_name(name)?, path));
    }
    found.sort();
    Ok(found)
}
