//! `keygate enrolment`: machines whose attestation keys count, and endorsement keys that an operator vouches for.

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::admin::{ChangeArgs, Desk, tell};
use super::connect::ServerArgs;
use super::exit::{Exit, Failure};
use super::output::{Format, Output};
use crate::broker::admin::credentials::canonical_name;
use crate::broker::admin::enrolments::EndorsementKey;

/// Arguments of `keygate enrolment`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Example:\n  keygate enrolment remove web-1 --reason 'mainboard replaced'")]
pub struct EnrolmentArgs {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Clone, Subcommand)]
enum Verb {
    /// List enrolled machines, ended records included.
    #[command(after_help = "Example:\n  keygate enrolment list")]
    List,
    /// Show the record of one machine.
    #[command(after_help = "Example:\n  keygate enrolment show web-1")]
    Show {
        /// The machine.
        machine: String,
    },
    /// End the record of a machine: its key opens nothing from the next request on.
    #[command(after_help = "Example:\n  keygate enrolment remove web-1 --reason 'mainboard replaced'")]
    Remove {
        /// The machine.
        machine: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Vouch for an endorsement key that has no certificate.
    #[command(after_help = "Example:\n  keygate enrolment allow-ek 0a1b… --reason 'rack 4, inventory 7'")]
    AllowEk(KeyArgs),
    /// Vouch for it no more; the record that rests on it ends.
    #[command(after_help = "Example:\n  keygate enrolment disallow-ek 0a1b… --reason 'scrapped'")]
    DisallowEk(KeyArgs),
    /// List the endorsement keys that are vouched for.
    #[command(after_help = "Example:\n  keygate enrolment list-eks")]
    ListEks,
}

#[derive(Debug, Clone, Args)]
struct KeyArgs {
    /// SHA-256 of the endorsement key's SubjectPublicKeyInfo in DER, 64 lower-case hex digits.
    ek: String,
    #[command(flatten)]
    change: ChangeArgs,
}

impl KeyArgs {
    fn body(&self) -> Result<Map<String, Value>, Failure> {
        EndorsementKey::parse(&self.ek).map_err(|_| {
            let help = "64 lower-case hex digits: `openssl pkey -pubin -in ek.pem -outform DER | sha256sum`";
            Failure::usage(format!("`{}` is no sha-256 of an endorsement key", self.ek), help)
        })?;
        Ok(Map::from_iter([("ek".to_owned(), json!(self.ek))]))
    }
}

/// The name of a machine, as it may stand in a path.
fn machine_name(text: &str) -> Result<&str, Failure> {
    let help = "1 to 64 of a-z 0-9 . _ -, the first a letter or digit";
    canonical_name(text).map_err(|_| Failure::usage(format!("`{text}` is no name of a machine"), help))
}

/// Runs `keygate enrolment`.
pub async fn run(args: &EnrolmentArgs, format: Format) -> Result<Exit, Failure> {
    let output = Output::new(format);
    let desk = Desk::open(&args.server)?;
    match &args.verb {
        Verb::List => {
            let all = desk.pages("/enrolments", "enrolments").await?;
            let columns = [
                ("machine", "/machine"),
                ("state", "/state"),
                ("anchor", "/anchor"),
                ("owner", "/owner"),
                ("expires", "/expires"),
                ("ak_name", "/ak_name"),
            ];
            output.list(&columns, &all);
            Ok(Exit::Done)
        }
        Verb::Show { machine } => {
            let (etag, mut record) = desk.get(&format!("/enrolments/{}", machine_name(machine)?)).await?;
            record["etag"] = json!(etag.unwrap_or_default().trim_matches('"'));
            output.object(&record);
            Ok(Exit::Done)
        }
        Verb::Remove { machine, change } => {
            let state = format!("/enrolments/{}", machine_name(machine)?);
            let answer = desk.change(&state, &format!("{state}/remove"), Map::new(), change).await?;
            Ok(tell(&output, &answer, "enrolment"))
        }
        Verb::AllowEk(key) => {
            let answer = desk.create("/endorsement-keys/allow", key.body()?, &key.change).await?;
            Ok(tell(&output, &answer, "endorsement_key"))
        }
        Verb::DisallowEk(key) => disallow(&output, &desk, key).await,
        Verb::ListEks => {
            let columns = [("ek", "/ek"), ("at", "/at"), ("author", "/author"), ("reason", "/reason")];
            output.list(&columns, &allowed(&desk).await?);
            Ok(Exit::Done)
        }
    }
}

async fn allowed(desk: &Desk) -> Result<Vec<Value>, Failure> {
    let (_, told) = desk.get("/endorsement-keys").await?;
    Ok(told.get("endorsement_keys").and_then(Value::as_array).cloned().unwrap_or_default())
}

async fn disallow(output: &Output, desk: &Desk, key: &KeyArgs) -> Result<Exit, Failure> {
    let (body, mut change) = (key.body()?, key.change.clone());
    if change.if_match.is_none() {
        let all = allowed(desk).await?;
        let found = all.iter().find(|one| one.get("ek").and_then(Value::as_str) == Some(key.ek.as_str()));
        let etag = found.and_then(|one| one.get("etag")).and_then(Value::as_str);
        change.if_match = Some(etag.unwrap_or("*").to_owned());
    }
    let answer = desk.change("/endorsement-keys", "/endorsement-keys/disallow", body, &change).await?;
    Ok(tell(output, &answer, "endorsement_key"))
}
