//! `keygate signing-key`: the keys that sign at the attestation door, listed and rotated. Keygate's contract, section 2.

use clap::{Args, Subcommand};
use serde_json::{Map, Value};

use super::admin::{ChangeArgs, Desk, tell, tell_entry};
use super::connect::ServerArgs;
use super::exit::{Exit, Failure};
use super::output::{Format, Output};

/// Arguments of `keygate signing-key`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Example:\n  keygate signing-key list")]
pub struct SigningKeyArgs {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Clone, Subcommand)]
enum Verb {
    /// The keys in the order they were made.
    #[command(after_help = "Example:\n  keygate signing-key list")]
    List,
    /// Make a successor: published now, signing a while later.
    ///
    /// It signs once clients had time to read it (`signing.publish_seconds`); the one before stays published for as long as its tokens
    /// may live.
    #[command(after_help = "Example:\n  keygate signing-key rotate --reason 'yearly'")]
    Rotate {
        #[command(flatten)]
        change: ChangeArgs,
    },
}

/// Runs `keygate signing-key`.
pub async fn run(args: &SigningKeyArgs, format: Format) -> Result<Exit, Failure> {
    let output = Output::new(format);
    let desk = Desk::open(&args.server)?;
    match &args.verb {
        Verb::List => {
            let (_, told) = desk.get("/signing-keys").await?;
            output.list(&COLUMNS, keys(told.get("keys")));
            Ok(Exit::Done)
        }
        Verb::Rotate { change } => {
            let answer = desk.change("/signing-keys", "/signing-keys/rotate", Map::new(), change).await?;
            if output.is_json() {
                return Ok(tell(&output, &answer, "signing_keys"));
            }
            if change.dry_run {
                output.say("nothing was changed; these keys there are, and one would be published:");
            }
            output.list(&COLUMNS, keys(answer.pointer("/signing_keys/keys")));
            Ok(tell_entry(&output, &answer))
        }
    }
}

const COLUMNS: [(&str, &str); 4] =
    [("state", "/state"), ("created", "/created"), ("signs from", "/signs_from"), ("kid", "/kid")];

fn keys(told: Option<&Value>) -> &[Value] {
    told.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}
