//! `keygate credential`: bearer tokens with roles. Keygate's contract, section 2.

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::admin::{ChangeArgs, Desk, tell};
use super::connect::ServerArgs;
use super::exit::{Exit, Failure};
use super::output::{Format, Output};
use super::time::moment;
use crate::broker::admin::Role;
use crate::broker::admin::credentials::canonical_name;

/// Arguments of `keygate credential`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Example:\n  keygate credential create ops-1 --role operator --expires 90d")]
pub struct CredentialArgs {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Clone, Subcommand)]
enum Verb {
    /// Make a credential; its token is printed once.
    #[command(after_help = "Example:\n  keygate credential create app-1 --role key-user --key 'db-*' --expires 90d")]
    Create(CreateArgs),
    /// List credentials, ended ones included; never a token.
    #[command(after_help = "Example:\n  keygate credential list")]
    List,
    /// End a credential at once and for ever.
    #[command(after_help = "Example:\n  keygate credential revoke ops-1 --reason 'left the team'")]
    Revoke {
        /// Its name.
        name: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
}

#[derive(Debug, Clone, Args)]
struct CreateArgs {
    /// Its name: a-z 0-9 . _ -
    name: String,
    /// What it may do. May be given more than once; `admin` goes with no other.
    #[arg(long, value_name = "ROLE", required = true)]
    role: Vec<String>,
    /// Another provider of this node; only for admins of the first.
    #[arg(long, value_name = "PROVIDER")]
    provider: Option<String>,
    /// Only for keys whose names fit; `*` stands for any text.
    #[arg(long, value_name = "PATTERN")]
    key: Option<String>,
    /// Its end: RFC 3339, or from now such as 90d.
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,
    #[command(flatten)]
    change: ChangeArgs,
}

/// Runs `keygate credential`.
pub async fn run(args: &CredentialArgs, format: Format) -> Result<Exit, Failure> {
    let output = Output::new(format);
    match &args.verb {
        Verb::List => {
            let all = Desk::open(&args.server)?.pages("/credentials", "credentials").await?;
            let columns = [
                ("name", "/name"),
                ("roles", "/roles"),
                ("keys", "/key_pattern"),
                ("state", "/state"),
                ("expires", "/expires"),
            ];
            output.list(&columns, &all);
            Ok(Exit::Done)
        }
        Verb::Create(new) => create(&args.server, new, &output).await,
        Verb::Revoke { name, change } => {
            let path = format!("/credentials/{}", named(name)?);
            let answer = Desk::open(&args.server)?.change(&path, &format!("{path}/revoke"), Map::new(), change).await?;
            Ok(tell(&output, &answer, "credential"))
        }
    }
}

fn named(name: &str) -> Result<&str, Failure> {
    canonical_name(name).map_err(|fault| Failure::usage(format!("`{name}` is no name of a credential"), fault.part))
}

async fn create(server: &ServerArgs, new: &CreateArgs, output: &Output) -> Result<Exit, Failure> {
    let name = named(&new.name)?;
    if let Some(odd) = new.role.iter().find(|role| Role::parse(role).is_none()) {
        let all: Vec<_> = Role::ALL.iter().map(|role| role.as_str()).collect();
        return Err(Failure::usage(format!("`{odd}` is no role"), format!("one of {}", all.join(", "))));
    }
    let mut body = Map::from_iter([("roles".to_owned(), json!(new.role))]);
    for (member, text) in [("key_pattern", &new.key), ("provider", &new.provider)] {
        if let Some(text) = text {
            body.insert(member.to_owned(), json!(text));
        }
    }
    if let Some(text) = &new.expires {
        body.insert("expires".to_owned(), json!(moment(text)?));
    }
    let answer = Desk::open(server)?.create(&format!("/credentials/{name}/create"), body, &new.change).await?;
    if new.change.dry_run {
        return Ok(tell(output, &answer, "credential"));
    }
    let told = |member: &str| answer.pointer(&format!("/credential/{member}")).cloned().unwrap_or(Value::Null);
    let token = told("token");
    if token.is_null() {
        let what = format!("`{name}` was made, but the answer with its token was lost");
        return Err(Failure::refused("conflict", what).with_help("revoke it and make another: a token is told once"));
    }
    if output.is_json() {
        output.object(&json!({"name": told("name"), "token": token, "roles": told("roles")}));
    } else {
        output.object(&json!({"name": told("name"), "roles": told("roles"), "token": token}));
        output.say("the token is shown this once; keep it in a file that only its owner can read");
    }
    Ok(Exit::Done)
}
