//! `keygate signing-key`: the keys that sign tokens, listed and rotated. Keygate's contract, section 2.

use clap::{Args, Subcommand};
use serde_json::{Map, Value};

use super::admin::{ChangeArgs, Desk, tell};
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
    /// The keys that sign tokens and receipts, oldest first.
    #[command(after_help = "Example:\n  keygate signing-key list")]
    List,
    /// Make a fresh key that signs tokens from now on; the one before stays published for as long as its tokens may live.
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
            let keys = told.get("signing_keys").and_then(Value::as_array).cloned().unwrap_or_default();
            let columns = [("purpose", "/purpose"), ("state", "/state"), ("created_at", "/created"), ("kid", "/kid")];
            output.list(&columns, &keys);
            Ok(Exit::Done)
        }
        Verb::Rotate { change } => {
            let answer = desk.change("/signing-keys", "/signing-keys/rotate", Map::new(), change).await?;
            Ok(tell(&output, &answer, "signing_key"))
        }
    }
}
