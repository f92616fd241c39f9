//! `keygate software-identity`: an identity for the software attester, for machines without hardware.
//!
//! Evidence made with it proves who holds the file and nothing about a machine. A server believes it only where an operator added
//! its root as an anchor, and a key opens to it only where its option `anchors` names that anchor.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::exit::{Exit, Failure};
use super::output::{Format, Output};
use crate::attester::SoftwareIdentity;
use crate::clock::{Clock, SystemClock};
use crate::result::certificate;

/// Arguments of `keygate software-identity`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  keygate software-identity --out lab --name build-1")]
pub struct IdentityArgs {
    /// The folder that is made: identity.pem (secret) and root.pem (the anchor).
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// A name for the attester.
    #[arg(long, default_value = "lab")]
    name: String,
    /// How many days it is good for.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(i64).range(1..=365))]
    days: i64,
}

/// Runs the command.
pub fn run(args: &IdentityArgs, format: Format) -> Result<Exit, Failure> {
    let (identity, root) = make(&args.out, &args.name, args.days)?;
    let output = Output::new(format);
    if output.is_json() {
        output.object(&json!({"identity": identity.display().to_string(), "root": root.display().to_string()}));
        return Ok(Exit::Done);
    }
    output.say(&format!("made {} (secret) and {} (the anchor)", identity.display(), root.display()));
    output.say("");
    output.say("to trust it, add to the server's keygate.toml:");
    output.say("  [[trust_anchors]]");
    output.say(&format!("  name = \"{}\"", args.name));
    output.say("  kind = \"software\"");
    output.say("  purpose = \"attestation\"");
    output.say(&format!("  file = \"{}\"", root.display()));
    Ok(Exit::Done)
}

/// Makes identity and root in a new folder.
pub(super) fn make(folder: &std::path::Path, name: &str, days: i64) -> Result<(PathBuf, PathBuf), Failure> {
    let cannot = |what: String| Failure::usage(what, "name a folder that does not exist");
    std::fs::create_dir(folder).map_err(|e| cannot(format!("cannot make `{}`: {e}", folder.display())))?;
    let now = SystemClock::new(0)
        .now()
        .map_err(|e| Failure::unavailable("clock-untrusted", e.to_string(), "set the clock"))?;
    let attester = |e: crate::attester::AttesterError| Failure::unavailable("attester", e.to_string(), e.help());
    let (identity, root) = SoftwareIdentity::make(name, now.secs(), days.saturating_mul(86_400)).map_err(attester)?;
    let (identity_file, root_file) = (folder.join("identity.pem"), folder.join("root.pem"));
    identity.write(&identity_file).map_err(attester)?;
    let pem = certificate::pem(&root).map_err(|e| cannot(e.to_string()))?;
    std::fs::write(&root_file, pem).map_err(|e| cannot(format!("cannot write `{}`: {e}", root_file.display())))?;
    Ok((identity_file, root_file))
}
