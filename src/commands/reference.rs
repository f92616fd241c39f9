//! `keygate reference`: values that rules and policies name, signed and until some day. `docs/reference-values.md`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use keygate_policies::reference::is_reference_name;
use serde_json::{Map, Value, json};

use super::admin::{ChangeArgs, Desk, tell};
use super::connect::{ServerArgs, failure};
use super::exit::{Exit, Failure};
use super::output::{Format, Output};
use super::reference_learn::{self, LearnArgs};
use super::reference_sign::{self, SignArgs};
use super::references::{ReferenceFile, show_changes};
use super::time::moment;

/// Arguments of `keygate reference`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Example:\n  keygate reference list")]
pub struct ReferenceArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Clone, Subcommand)]
enum Verb {
    /// Write what a machine that attests now says of itself into a document for review; nothing comes into force.
    #[command(
        after_help = "Example:\n  keygate reference learn --from live --name fleet --claims tpm.pcrs.sha256.4 --out fleet.json"
    )]
    Learn(Box<LearnArgs>),
    /// Sign a document of reference values.
    #[command(after_help = "Example:\n  keygate reference sign --key build.key --in fleet.json --out fleet.jws")]
    Sign(SignArgs),
    /// Propose signed reference values to a service; nothing of them counts before an approval.
    #[command(after_help = "Example:\n  keygate reference import fleet.jws --reason 'kernel 6.12.9'")]
    Import {
        /// What `keygate reference sign` made; `-` for standard input.
        file: PathBuf,
        #[command(flatten)]
        change: ChangeArgs,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Every name, with what counts and what is proposed.
    #[command(after_help = "Example:\n  keygate reference list")]
    List {
        #[command(flatten)]
        server: ServerArgs,
    },
    /// One name with its values.
    #[command(after_help = "Example:\n  keygate reference show fleet")]
    Show {
        /// The name.
        #[arg(value_parser = name)]
        name: String,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// What an approval would change: values added and removed, and which rules and policies use the name.
    #[command(after_help = "Example:\n  keygate reference review fleet")]
    Review {
        /// The name.
        #[arg(value_parser = name)]
        name: String,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Put the proposal that was reviewed in force, from the next decision on.
    #[command(
        after_help = "Example:\n  keygate reference approve fleet --serial 8 --keep-previous 14d --reason 'kernel 6.12.9'"
    )]
    Approve {
        /// The name.
        #[arg(value_parser = name)]
        name: String,
        /// The serial that was reviewed.
        #[arg(long, value_name = "NUMBER")]
        serial: u64,
        /// Let the values in force count beside the new ones until then, at most 90 days: 2027-01-31T00:00:00Z, or 14d, 12h from now.
        #[arg(long, value_name = "TIME")]
        keep_previous: Option<String>,
        #[command(flatten)]
        change: ChangeArgs,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// End what counts under a name, at once.
    #[command(
        after_help = "Example:\n  keygate reference retire fleet --only previous --reason 'the roll-out is over'"
    )]
    Retire {
        /// The name.
        #[arg(value_parser = name)]
        name: String,
        /// Only the values before those in force, or only the proposal; everything if not said.
        #[arg(long, value_parser = ["previous", "proposed"])]
        only: Option<String>,
        #[command(flatten)]
        change: ChangeArgs,
        #[command(flatten)]
        server: ServerArgs,
    },
}

/// The name of reference values, as it may stand in a path.
pub(super) fn name(text: &str) -> Result<String, String> {
    let form = "1 to 64 of a-z 0-9 _ -, the first a letter or digit";
    if is_reference_name(text) { Ok(text.to_owned()) } else { Err(form.to_owned()) }
}

/// Runs `keygate reference`.
pub async fn run(args: &ReferenceArgs, format: Format) -> Result<Exit, Failure> {
    let output = Output::new(format);
    match &args.verb {
        Verb::Learn(wanted) => reference_learn::run(wanted, &output).await,
        Verb::Sign(wanted) => reference_sign::run(wanted, &output),
        Verb::Import { file, change, server } => import(file, change, server, &output).await,
        Verb::List { server } => {
            let (_, told) = Desk::open(server)?.get("/references").await?;
            let columns = [
                ("name", "/name"),
                ("state", "/state"),
                ("serial", "/in_force/serial"),
                ("expires", "/in_force/until"),
                ("previous", "/previous/serial"),
                ("proposed", "/proposed/serial"),
                ("signer", "/in_force/signer"),
            ];
            output.list(&columns, told.get("references").and_then(Value::as_array).map_or(&[], Vec::as_slice));
            Ok(Exit::Done)
        }
        Verb::Show { name, server } => {
            let (_, told) = Desk::open(server)?.get(&format!("/references/{name}")).await?;
            output.object(told.get("reference").unwrap_or(&Value::Null));
            Ok(Exit::Done)
        }
        Verb::Review { name, server } => review(name, server, &output).await,
        Verb::Approve { name, serial, keep_previous, change, server } => {
            let mut body = Map::from_iter([("serial".to_owned(), json!(serial))]);
            if let Some(until) = keep_previous {
                body.insert("keep_previous".to_owned(), json!(moment(until)?));
            }
            let path = format!("/references/{name}");
            let answer = Desk::open(server)?.change(&path, &format!("{path}/approve"), body, change).await?;
            Ok(tell(&output, &without_texts(&answer), "reference"))
        }
        Verb::Retire { name, only, change, server } => {
            let body = only.iter().map(|what| ("what".to_owned(), json!(what))).collect();
            let path = format!("/references/{name}");
            let answer = Desk::open(server)?.change(&path, &format!("{path}/retire"), body, change).await?;
            Ok(tell(&output, &without_texts(&answer), "reference"))
        }
    }
}

async fn import(
    file: &std::path::Path,
    change: &ChangeArgs,
    server: &ServerArgs,
    output: &Output,
) -> Result<Exit, Failure> {
    let file = ReferenceFile::read(file)?;
    let document = file.parsed(&Output::new(Format::Table))?;
    let body = Map::from_iter([("jws".to_owned(), json!(file.signed()?))]);
    let desk = Desk::open(server)?;
    let state = format!("/references/{}", document.name());
    let path = format!("{state}/import");
    let answer = match desk.try_get(&state).await {
        Err(absent) if absent.code == "not-found" => desk.create(&path, body, change).await?,
        Err(other) => return Err(failure(other)),
        Ok(_) => desk.change(&state, &path, body, change).await?,
    };
    let done = tell(output, &without_texts(&answer), "reference");
    output.say(&format!("nothing counts yet: look at it with `keygate reference review {}`", document.name()));
    Ok(done)
}

async fn review(name: &str, server: &ServerArgs, output: &Output) -> Result<Exit, Failure> {
    let (_, told) = Desk::open(server)?.get(&format!("/references/{name}/review")).await?;
    if output.is_json() {
        output.object(&told);
        return Ok(Exit::Done);
    }
    let text = |path: &str| told.pointer(path).map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned));
    let serial = text("/proposed/serial").unwrap_or_default();
    let signer = text("/proposed/signer").unwrap_or_else(|| "nobody that counts".to_owned());
    let against = told.pointer("/in_force/serial").map_or("nothing in force".to_owned(), |old| format!("serial {old}"));
    output.say(&format!("{name}: serial {serial}, signed by {signer}, against {against}"));
    if let Some(note) = told.pointer("/proposed/note").and_then(Value::as_str) {
        output.say(&format!("note: {note}"));
    }
    output.say("");
    show_changes(output, told.get("changes").and_then(Value::as_array).map_or(&[], Vec::as_slice));
    output.say("");
    let keys = told.pointer("/used_by/keys").and_then(Value::as_array).cloned().unwrap_or_default();
    match keys.is_empty() {
        true => output.say("no key's rules name it"),
        false => output.list(&[("key", "/key"), ("claims held against it", "/claims")], &keys),
    }
    let policies: Vec<&str> = told
        .pointer("/used_by/policies")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    if !policies.is_empty() {
        output.say(&format!("attestation policies: {}", policies.join(", ")));
    }
    match told.get("unfit").and_then(Value::as_str) {
        Some(why) => output.say(&format!("cannot be approved: {why}")),
        None => output.say(&format!("to put it in force: keygate reference approve {name} --serial {serial}")),
    }
    Ok(Exit::Done)
}

/// An answer without the signed texts, which are for programs and long.
fn without_texts(answer: &Value) -> Value {
    let mut answer = answer.clone();
    for place in ["in_force", "previous", "proposed"] {
        if let Some(object) = answer.pointer_mut(&format!("/reference/{place}")).and_then(Value::as_object_mut) {
            object.remove("jws");
            object.remove("values");
        }
    }
    answer
}
