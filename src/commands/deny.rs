//! `keygate deny`: machines, measurements and issuers' keys that open nothing. Keygate's contract, section 2.

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::admin::{ChangeArgs, Desk, tell};
use super::connect::ServerArgs;
use super::exit::{Exit, Failure};
use super::output::{Format, Output};

/// Arguments of `keygate deny`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Example:\n  keygate deny add platform 0a1b…  --reason 'lost machine'")]
pub struct DenyArgs {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Clone, Subcommand)]
enum Verb {
    /// Deny something from the next request on.
    #[command(after_help = "Example:\n  keygate deny add measurement 0a1b… --reason 'CVE in this build'")]
    Add(EntryArgs),
    /// Show the list.
    #[command(after_help = "Example:\n  keygate deny list")]
    List,
    /// Deny it no more.
    #[command(after_help = "Example:\n  keygate deny remove platform snp-chip:0a1b… --reason 'found again'")]
    Remove(EntryArgs),
}

#[derive(Debug, Clone, Args)]
struct EntryArgs {
    /// What sort of thing.
    #[arg(value_parser = ["platform", "measurement", "issuer-key"])]
    kind: String,
    /// A measurement in lower-case hex; a platform with its sort, such as `snp-chip:HEX` or `intel-ppid:HEX`; the thumbprint of an
    /// issuer's key in base64url.
    value: String,
    #[command(flatten)]
    change: ChangeArgs,
}

impl EntryArgs {
    fn body(&self) -> Map<String, Value> {
        Map::from_iter([("kind".to_owned(), json!(self.kind)), ("value".to_owned(), json!(self.value))])
    }
}

/// Runs `keygate deny`.
pub async fn run(args: &DenyArgs, format: Format) -> Result<Exit, Failure> {
    let output = Output::new(format);
    let desk = Desk::open(&args.server)?;
    match &args.verb {
        Verb::List => {
            let (_, told) = desk.get("/deny").await?;
            let denied = told.get("denied").and_then(Value::as_array).cloned().unwrap_or_default();
            let columns =
                [("kind", "/kind"), ("value", "/value"), ("at", "/at"), ("author", "/author"), ("reason", "/reason")];
            output.list(&columns, &denied);
            Ok(Exit::Done)
        }
        Verb::Add(entry) => {
            let answer = desk.create("/deny/add", entry.body(), &entry.change).await?;
            Ok(tell(&output, &answer, "denied"))
        }
        Verb::Remove(entry) => {
            let mut change = entry.change.clone();
            if change.if_match.is_none() {
                let (_, told) = desk.get("/deny").await?;
                let all = told.get("denied").and_then(Value::as_array).cloned().unwrap_or_default();
                let is =
                    |found: &Value, name: &str, wanted: &str| found.get(name).and_then(Value::as_str) == Some(wanted);
                let found = all.iter().find(|one| is(one, "kind", &entry.kind) && is(one, "value", &entry.value));
                let etag = found.and_then(|one| one.get("etag")).and_then(Value::as_str);
                change.if_match = Some(etag.unwrap_or("*").to_owned());
            }
            let answer = desk.change("/deny", "/deny/remove", entry.body(), &change).await?;
            Ok(tell(&output, &answer, "denied"))
        }
    }
}
