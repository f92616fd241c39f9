//! `keygate audit`: the journal, read, verified, exported. Keygate's contract, section 2.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use keygate_keystore::{Keystore, ProviderId};
use keygate_verifier::UnixTime;
use serde_json::{Value, json};

use super::admin::Desk;
use super::connect::{ServerArgs, failure};
use super::exit::{Exit, Failure};
use super::local::LocalStore;
use super::output::{Format, Output};
use super::progress::Progress;
use super::time::moment;
use crate::broker::admin::audit::verdict;
use crate::broker::admin::papers::{self, Paper};

/// Arguments of `keygate audit`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Example:\n  keygate audit list --key db-key --decision deny")]
pub struct AuditArgs {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Clone, Subcommand)]
enum Verb {
    /// List entries in their order.
    #[command(after_help = "Example:\n  keygate audit list --key db-key --decision deny --from 2027-01-01T00:00:00Z")]
    List(ListArgs),
    /// Show one entry, by its number or by the correlation id of an answer.
    #[command(after_help = "Example:\n  keygate audit show 3f0c6a52-8f0e-4f3a-9a51-0d1b7e5f2c11")]
    Show {
        /// Number or correlation id.
        entry: String,
    },
    /// Find change, removal, reordering, insertion and truncation; hold published heads and kept receipts against the journal.
    #[command(after_help = "Example:\n  keygate audit verify --head head.jws --receipt release.receipt")]
    Verify(VerifyArgs),
    /// Write every entry, one JSON object a line.
    #[command(after_help = "Example:\n  keygate audit export --format jsonl > audit.jsonl")]
    Export(ListArgs),
}

#[derive(Debug, Clone, Args)]
struct ListArgs {
    /// About this key.
    #[arg(long, value_name = "NAME")]
    key: Option<String>,
    /// At this time or later: RFC 3339.
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Before this time: RFC 3339.
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// How it was decided.
    #[arg(long, value_parser = ["permit", "deny"])]
    decision: Option<String>,
    /// Of this kind, such as key.use, admin, strangers.
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
}

#[derive(Debug, Clone, Args)]
struct VerifyArgs {
    /// A published head that was kept (`GET /v1/audit/head`). One or more.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    head: Vec<PathBuf>,
    /// A receipt that a workload kept. One or more.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    receipt: Vec<PathBuf>,
    /// Read the folder's store instead of asking the service, which must be stopped.
    #[arg(long)]
    offline: bool,
    /// Whose heads and receipts.
    #[arg(long, value_name = "PROVIDER", default_value = "default")]
    provider: String,
}

impl ListArgs {
    fn path(&self) -> Result<String, Failure> {
        let mut query = Vec::new();
        for (name, text) in [("from", &self.from), ("to", &self.to)] {
            if let Some(text) = text {
                query.push(format!("{name}={}", moment(text)?));
            }
        }
        for (name, text) in [("key", &self.key), ("decision", &self.decision), ("kind", &self.kind)] {
            if let Some(text) = text {
                let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
                if !plain {
                    return Err(Failure::usage(format!("`{text}` is no {name}"), "letters, digits, `.`, `_` and `-`"));
                }
                query.push(format!("{name}={text}"));
            }
        }
        Ok(match query.is_empty() {
            true => "/audit".to_owned(),
            false => format!("/audit?{}", query.join("&")),
        })
    }
}

const COLUMNS: [(&str, &str); 6] = [
    ("number", "/number"),
    ("at", "/when"),
    ("what", "/what"),
    ("about", "/about"),
    ("caller", "/caller"),
    ("outcome", "/outcome"),
];

/// An entry in few and narrow columns: a time that breaks between day and hour, what was done, how it ended.
fn in_short(entry: &Value) -> Value {
    let text = |path: &str| entry.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let both = |first: &str, second: &str| format!("{first} {second}").trim().to_owned();
    let when = entry.get("at").and_then(Value::as_i64).map(|at| UnixTime::from_secs(at).to_string().replace('T', " "));
    let what = match (text("/kind"), text("/body/operation")) {
        ("admin", operation) if !operation.is_empty() => operation.to_owned(),
        (kind, operation) => both(kind, operation),
    };
    let outcome = both(text("/body/decision"), text("/body/code"));
    let about = if text("/body/key").is_empty() { text("/body/object") } else { text("/body/key") };
    json!({
        "number": entry.get("number"), "when": when, "what": what, "about": about, "caller": text("/body/caller"),
        "outcome": outcome,
    })
}

/// Runs `keygate audit`.
pub async fn run(args: &AuditArgs, format: Format) -> Result<Exit, Failure> {
    let output = Output::new(format);
    match &args.verb {
        Verb::List(list) => {
            let entries = Desk::open(&args.server)?.pages(&list.path()?, "entries").await?;
            if output.is_json() {
                output.list(&[], &entries);
            } else {
                output.list(&COLUMNS, &entries.iter().map(in_short).collect::<Vec<_>>());
            }
            Ok(Exit::Done)
        }
        Verb::Show { entry } => {
            let plain = entry.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit());
            let entry = entry.strip_prefix("urn:uuid:").filter(|_| !plain).unwrap_or(entry);
            if !entry.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit()) {
                let what = format!("`{entry}` is neither a number nor a correlation id");
                return Err(Failure::usage(what, "an answer names its correlation id as `instance`"));
            }
            let (_, told) = Desk::open(&args.server)?.get(&format!("/audit/{entry}")).await?;
            output.object(&told);
            Ok(Exit::Done)
        }
        Verb::Verify(verify) => verified(&args.server, verify, &output).await,
        Verb::Export(list) => {
            let lines = Output::new(Format::Jsonl);
            Desk::open(&args.server)?.each_page(&list.path()?, "entries", |page| lines.list(&[], &page)).await?;
            Ok(Exit::Done)
        }
    }
}

async fn verified(server: &ServerArgs, verify: &VerifyArgs, output: &Output) -> Result<Exit, Failure> {
    let (heads, receipts) = (read_papers(&verify.head)?, read_papers(&verify.receipt)?);
    let told = if verify.offline {
        offline(&server.dir(), &verify.provider, &heads, &receipts)?
    } else {
        let asked = Desk::open(server)?.ask("/audit/verify", &json!({"heads": heads, "receipts": receipts})).await;
        match asked {
            // Without a service the folder's store can be read.
            Err(error) if error.code == "unreachable" && server.server.is_none() => {
                offline(&server.dir(), &verify.provider, &heads, &receipts)?
            }
            other => other.map_err(failure)?,
        }
    };
    let intact = told.get("verdict").and_then(Value::as_str) == Some("intact");
    let papers = told.get("papers").and_then(Value::as_array).cloned().unwrap_or_default();
    let hold = papers.iter().all(|paper| paper.get("holds").and_then(Value::as_bool) == Some(true));
    if output.is_json() {
        output.object(&told);
    } else {
        let part = |name: &str| told.get(name).map(Value::to_string).unwrap_or_default();
        output.say(&match intact {
            true => format!("intact: {} entries", part("entries")),
            false => format!("broken at entry {}: {}", part("entry"), part("what").trim_matches('"')),
        });
        let columns = [("paper", "/paper"), ("entry", "/entry"), ("holds", "/holds"), ("what", "/what")];
        if !papers.is_empty() {
            output.list(&columns, &papers);
        }
    }
    Ok(if intact && hold { Exit::Done } else { Exit::Refused })
}

/// The same verdict from the store itself, even from one that can no longer be opened.
fn offline(dir: &Path, provider: &str, heads: &[String], receipts: &[String]) -> Result<Value, Failure> {
    let local = LocalStore::of(dir)?;
    let mut progress = Progress::new("entries");
    let found = Keystore::verify_journal_of(&local.file, &local.root, &mut |done, all| progress.tick(done, all));
    drop(progress);
    let found = found.map_err(|e| local.failure(&e))?;
    let mut told = verdict(&found);
    told["papers"] = json!([]);
    // Papers are held against a journal that is whole; of a broken one the place is told.
    if heads.is_empty() && receipts.is_empty() || told["verdict"] != "intact" {
        return Ok(told);
    }
    let provider = ProviderId::parse(provider)
        .map_err(|_| Failure::usage(format!("`{provider}` is no provider"), "name one with --provider"))?;
    let store = local.open()?;
    let all = heads.iter().map(|text| Paper::Head(text)).chain(receipts.iter().map(|text| Paper::Receipt(text)));
    let papers = papers::hold(&store, &provider, all).map_err(|e| local.failure(&e));
    store.shutdown();
    told["papers"] = json!(papers?);
    Ok(told)
}

/// Compact JWS out of files: a file holds one, or a JSON answer with the member `receipt`.
fn read_papers(files: &[PathBuf]) -> Result<Vec<String>, Failure> {
    let read = |file: &PathBuf| {
        let cannot = |e: std::io::Error| {
            Failure::usage(format!("cannot read `{}`: {e}", file.display()), "name a file with a head or a receipt")
        };
        let text = std::fs::read_to_string(file).map_err(cannot)?;
        let answer: Option<Value> = serde_json::from_str(&text).ok();
        let receipt = answer.as_ref().and_then(|answer| answer.get("receipt")).and_then(Value::as_str);
        Ok(receipt.unwrap_or(text.trim()).to_owned())
    };
    files.iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_told_in_a_line() {
        let told = in_short(&json!({"number": 7, "at": 1_795_791_076, "kind": "key.use", "body": {
            "operation": "release", "decision": "deny", "code": "rule-not-satisfied", "key": "db-key",
        }}));
        let part = |name: &str| told[name].as_str().unwrap_or_default().to_owned();
        assert_eq!(part("when"), "2026-11-27 14:51:16Z");
        assert_eq!(
            (part("what"), part("outcome")),
            ("key.use release".to_owned(), "deny rule-not-satisfied".to_owned())
        );
        let admin = in_short(&json!({"number": 8, "kind": "admin", "body": {
            "operation": "policy.set", "decision": "permit", "object": "TdxVm",
        }}));
        assert_eq!(
            (&admin["what"], &admin["about"], &admin["outcome"]),
            (&json!("policy.set"), &json!("TdxVm"), &json!("permit"))
        );
    }
}
