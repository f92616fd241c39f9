//! `keygate policy`: attestation policies, checked and tried offline, and their versions in a service. Keygate's contract, sections 2
//! and 7.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::admin::{ChangeArgs, Desk};
use super::connect::ServerArgs;
use super::exit::{Exit, Failure};
use super::output::{Format, Output};
use super::policies::{PolicyFile, show_lines};
use super::policy_try::{self, TryArgs};
use crate::broker::AttestationType;
use crate::broker::admin::lines::difference;
use crate::broker::admin::policies::policy_type;

/// Arguments of `keygate policy`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Example:\n  keygate policy check sgx.policy")]
pub struct PolicyArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Clone, Subcommand)]
enum Verb {
    /// Check a policy: what is wrong and where, what is unwise.
    #[command(after_help = "Example:\n  keygate policy check sgx.policy")]
    Check {
        /// A policy, or a JWS around one; `-` for standard input.
        file: PathBuf,
    },
    /// Try a policy over claims or evidence, offline, or over what was recorded in a service; shows each rule.
    #[command(after_help = "Example:\n  keygate policy try sgx.policy --claims claims.json")]
    Try(TryArgs),
    /// What is in force for a type.
    #[command(after_help = "Example:\n  keygate policy get SgxEnclave --text > sgx.policy")]
    Get {
        /// SgxEnclave, OpenEnclave, SevSnpVm, TdxVm, AzureGuest, Nitro, TpmMachine, Software or Tpm; without it all of them, without their texts.
        #[arg(value_name = "TYPE", value_parser = type_name)]
        kind: Option<String>,
        /// Another version than the one in force.
        #[arg(long, value_name = "NUMBER", requires = "kind")]
        number: Option<u64>,
        /// Only the text, byte for byte.
        #[arg(long, requires = "kind")]
        text: bool,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Set a policy, in force from the next attestation on.
    #[command(after_help = "Example:\n  keygate policy set SgxEnclave sgx.policy --reason 'debug enclaves no more'")]
    Set {
        /// SgxEnclave, OpenEnclave, SevSnpVm, TdxVm, AzureGuest, Nitro, TpmMachine, Software or Tpm.
        #[arg(value_name = "TYPE", value_parser = type_name)]
        kind: String,
        /// A policy, or a JWS around one; `-` for standard input.
        file: PathBuf,
        #[command(flatten)]
        change: ChangeArgs,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Take a type back to its default, as a further version.
    #[command(after_help = "Example:\n  keygate policy reset SgxEnclave --reason 'the default will do'")]
    Reset {
        /// SgxEnclave, OpenEnclave, SevSnpVm, TdxVm, AzureGuest, Nitro, TpmMachine, Software or Tpm.
        #[arg(value_name = "TYPE", value_parser = type_name)]
        kind: String,
        /// A signed order, a JWS with an empty payload: isolated providers need one.
        #[arg(long, value_name = "FILE")]
        jws: Option<PathBuf>,
        #[command(flatten)]
        change: ChangeArgs,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Every version of a policy, oldest first.
    #[command(after_help = "Example:\n  keygate policy history SgxEnclave")]
    History {
        /// SgxEnclave, OpenEnclave, SevSnpVm, TdxVm, AzureGuest, Nitro, TpmMachine, Software or Tpm.
        #[arg(value_name = "TYPE", value_parser = type_name)]
        kind: String,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// What differs, line by line: between two versions, or between what is in force and a file.
    #[command(after_help = "Example:\n  keygate policy diff SgxEnclave sgx.policy")]
    Diff {
        /// SgxEnclave, OpenEnclave, SevSnpVm, TdxVm, AzureGuest, Nitro, TpmMachine, Software or Tpm.
        #[arg(value_name = "TYPE", value_parser = type_name)]
        kind: String,
        /// A file, against what is in force; without it two versions.
        #[arg(conflicts_with_all = ["from", "to"])]
        file: Option<PathBuf>,
        /// The older version; 0 is the default. Without numbers the last two.
        #[arg(long, value_name = "NUMBER")]
        from: Option<u64>,
        /// The newer version.
        #[arg(long, value_name = "NUMBER")]
        to: Option<u64>,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Set an earlier version again, as a further version.
    #[command(after_help = "Example:\n  keygate policy restore SgxEnclave 2 --reason 'back to the policy of May'")]
    Restore {
        /// SgxEnclave, OpenEnclave, SevSnpVm, TdxVm, AzureGuest, Nitro, TpmMachine, Software or Tpm.
        #[arg(value_name = "TYPE", value_parser = type_name)]
        kind: String,
        /// The version.
        number: u64,
        #[command(flatten)]
        change: ChangeArgs,
        #[command(flatten)]
        server: ServerArgs,
    },
}

/// The name of a type in its one form.
pub(super) fn type_name(text: &str) -> Result<String, String> {
    policy_type(text).map(|kind| kind.as_str().to_owned()).map_err(|_| {
        let known: Vec<_> =
            AttestationType::ALL.iter().filter(|kind| kind.has_policy()).map(|kind| kind.as_str()).collect();
        format!("one of {}", known.join(", "))
    })
}

/// Runs `keygate policy`.
pub async fn run(args: &PolicyArgs, format: Format) -> Result<Exit, Failure> {
    let output = Output::new(format);
    match &args.verb {
        Verb::Check { file } => check(file, &output),
        Verb::Try(wanted) => policy_try::run(wanted, &output).await,
        Verb::Get { kind: None, server, .. } => {
            let (_, told) = Desk::open(server)?.get("/policies").await?;
            output.list(&COLUMNS, list_of(&told, "policies"));
            Ok(Exit::Done)
        }
        Verb::Get { kind: Some(kind), number, text, server } => {
            let policy = one(&Desk::open(server)?, kind, *number).await?;
            show_policy(&output, &policy, *text)
        }
        Verb::Set { kind, file, change, server } => {
            let file = PolicyFile::read(file)?;
            drop(file.parsed(&Output::new(Format::Table))?);
            send(&output, server, kind, "set", file.body(), change).await
        }
        Verb::Reset { kind, jws, change, server } => {
            let mut body = Map::new();
            if let Some(path) = jws {
                let order = std::fs::read_to_string(path).map_err(|e| {
                    Failure::usage(format!("cannot read `{}`: {e}", path.display()), "name a JWS with an empty payload")
                })?;
                body.insert("jws".to_owned(), json!(order.trim()));
            }
            send(&output, server, kind, "reset", body, change).await
        }
        Verb::History { kind, server } => {
            let (_, told) = Desk::open(server)?.get(&format!("/policies/{kind}/history")).await?;
            let columns = [
                ("number", "/number"),
                ("state", "/state"),
                ("at", "/at"),
                ("author", "/author"),
                ("reason", "/reason"),
                ("digest", "/digest"),
            ];
            let versions = list_of(&told, "versions");
            match versions {
                [] if !output.is_json() => output.say(&format!("{kind} was never set: its default is in force")),
                versions => output.list(&columns, versions),
            }
            Ok(Exit::Done)
        }
        Verb::Diff { kind, file: Some(file), server, .. } => {
            let file = PolicyFile::read(file)?;
            let policy = one(&Desk::open(server)?, kind, None).await?;
            let text = policy.get("text").and_then(Value::as_str).unwrap_or_default();
            let lines = difference(text, &file.text);
            let told = json!({"type": kind, "from": policy.get("number"), "to": file.name, "lines": lines});
            Ok(show_difference(&output, &told))
        }
        Verb::Diff { kind, file: None, from, to, server } => {
            let mut query = Vec::new();
            query.extend(from.map(|number| format!("from={number}")));
            query.extend(to.map(|number| format!("to={number}")));
            let path = format!("/policies/{kind}/diff?{}", query.join("&"));
            let (_, told) = Desk::open(server)?.get(path.trim_end_matches('?')).await?;
            Ok(show_difference(&output, &told))
        }
        Verb::Restore { kind, number, change, server } => {
            let body = Map::from_iter([("number".to_owned(), json!(number))]);
            send(&output, server, kind, "restore", body, change).await
        }
    }
}

const COLUMNS: [(&str, &str); 6] = [
    ("type", "/type"),
    ("number", "/number"),
    ("state", "/state"),
    ("signed", "/signed"),
    ("at", "/at"),
    ("digest", "/digest"),
];

fn list_of<'v>(told: &'v Value, name: &str) -> &'v [Value] {
    told.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// The version in force, or another one.
pub(super) async fn one(desk: &Desk, kind: &str, number: Option<u64>) -> Result<Value, Failure> {
    let Some(number) = number else {
        let (etag, mut told) = desk.get(&format!("/policies/{kind}")).await?;
        let mut policy = told.get_mut("policy").map(Value::take).unwrap_or_default();
        policy["etag"] = json!(etag.unwrap_or_default().trim_matches('"'));
        return Ok(policy);
    };
    let (_, told) = desk.get(&format!("/policies/{kind}/history")).await?;
    let found = list_of(&told, "versions").iter().find(|version| version.get("number") == Some(&json!(number)));
    found.cloned().ok_or_else(|| {
        Failure::refused("not-found", format!("{kind} has no version {number}"))
            .with_help("`keygate policy history` lists the versions")
    })
}

fn show_policy(output: &Output, policy: &Value, text_alone: bool) -> Result<Exit, Failure> {
    let text = policy.get("text").and_then(Value::as_str);
    if text_alone {
        let text = text.ok_or_else(|| {
            Failure::refused("not-found", "nothing is set, and there is no default")
                .with_help("`keygate policy set` sets one")
        })?;
        // A reader that went away ends the output, not the command.
        let _ = std::io::Write::write_all(&mut std::io::stdout().lock(), text.as_bytes());
        return Ok(Exit::Done);
    }
    if output.is_json() {
        output.object(policy);
        return Ok(Exit::Done);
    }
    output.object(&in_short(policy));
    if let Some(text) = text {
        output.say("");
        output.say(text.trim_end());
    }
    Ok(Exit::Done)
}

/// A policy without its text.
fn in_short(policy: &Value) -> Value {
    let mut short = policy.clone();
    if let Some(members) = short.as_object_mut() {
        members.retain(|name, _| name != "text" && name != "jws");
    }
    short
}

async fn send(
    output: &Output,
    server: &ServerArgs,
    kind: &str,
    verb: &str,
    body: Map<String, Value>,
    change: &ChangeArgs,
) -> Result<Exit, Failure> {
    let path = format!("/policies/{kind}");
    let mut answer = Desk::open(server)?.change(&path, &format!("{path}/{verb}"), body, change).await?;
    if !output.is_json() {
        let short = in_short(answer.get("policy").unwrap_or(&Value::Null));
        answer["policy"] = short;
    }
    Ok(super::admin::tell(output, &answer, "policy"))
}

fn show_difference(output: &Output, told: &Value) -> Exit {
    if output.is_json() {
        output.object(told);
        return Exit::Done;
    }
    match list_of(told, "lines") {
        [] => output.say("no difference"),
        lines => show_lines(output, lines),
    }
    Exit::Done
}

/// 0: it may be set. 2: it does not parse.
fn check(file: &Path, output: &Output) -> Result<Exit, Failure> {
    let file = PolicyFile::read(file)?;
    let (found, valid) = match file.parse() {
        Ok(policy) => (policy.warnings().to_vec(), true),
        Err(found) => (found, false),
    };
    if output.is_json() {
        output.object(&json!({"valid": valid, "diagnostics": found}));
    } else {
        file.show(&found);
        match (valid, found.len()) {
            (true, 0) => output.say(&format!("{} is sound", file.name)),
            (true, warnings) => output.say(&format!("{} may be set; warnings: {warnings}", file.name)),
            (false, _) => {}
        }
    }
    match valid {
        true => Ok(Exit::Done),
        false => Err(file.failure(&found)),
    }
}
