//! `keygate tpm enrol` and `keygate tpm show`: the machine's side of trust in its TPM.
//!
//! RFC 9683 section 4.2. Enrolment shows a server that the attestation key stands in the TPM of the endorsement key, once; from then on
//! `--attester tpm` needs nothing more.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::connect::{Listener, ServerArgs, failure};
use super::exit::{Exit, Failure};
use super::output::{Format, Output};
use crate::attester::AttesterError;
use crate::attester::tpm::{self, AkKind, AkSource, EkKind, Enrolment, LogSource};
use crate::client::Connection;

/// Which TPM, and what of it is used.
#[derive(Debug, Clone, Args)]
pub struct TpmArgs {
    /// The TPM: device:PATH, swtpm:host=H,port=P, swtpm:path=SOCKET or mssim:host=H,port=P; default: the kernel's device.
    #[arg(long, value_name = "ADDRESS", env = "TPM2TOOLS_TCTI")]
    tpm: Option<String>,
    /// Folder that keeps the attestation key, as only this TPM loads it [default: keygate/tpm in the user's state folder].
    #[arg(long, value_name = "DIR")]
    tpm_state: Option<PathBuf>,
    /// Kind of the attestation key: ecc (P-256) or rsa (2048).
    #[arg(long, default_value = "ecc", value_parser = ["ecc", "rsa"])]
    tpm_ak: String,
    /// An attestation key that lasts in the TPM under this handle (0x81…), instead of one of ours.
    #[arg(long, value_name = "HANDLE", value_parser = handle)]
    tpm_ak_handle: Option<u32>,
    /// Its certificate and those above, PEM, leaf first.
    #[arg(long, value_name = "FILE", requires = "tpm_ak_handle")]
    tpm_ak_certificate: Option<PathBuf>,
    /// The registers that are quoted, as in sha256:0,1,7+sha384:all [default: all of sha256, and of sha384 where it is active].
    #[arg(long, value_name = "LIST")]
    tpm_pcrs: Option<String>,
    /// The firmware's event log: a file, or none [default: the kernel's].
    #[arg(long, value_name = "FILE|none", value_parser = log)]
    event_log: Option<LogSource>,
    /// The kernel's integrity measurements: a file, or none [default: the kernel's].
    #[arg(long, value_name = "FILE|none", value_parser = log)]
    ima_log: Option<LogSource>,
}

/// Which endorsement key.
#[derive(Debug, Clone, Args)]
struct EkArgs {
    /// Kind of the endorsement key: rsa, ecc or ecc-p384 [default: the first with a certificate].
    #[arg(long, value_parser = ["rsa", "ecc", "ecc-p384"])]
    tpm_ek: Option<String>,
    /// Certificates above the endorsement key's, PEM [default: those in the TPM].
    #[arg(long, value_name = "FILE")]
    tpm_ek_chain: Option<PathBuf>,
    /// Show the endorsement key without its certificate, where the operator vouches for the key itself.
    #[arg(long, conflicts_with = "tpm_ek_chain")]
    tpm_ek_bare: bool,
}

/// Arguments of `keygate tpm`.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true, after_help = "Example:\n  keygate tpm show")]
pub struct TpmCommandArgs {
    #[command(subcommand)]
    command: TpmCommand,
}

#[derive(Debug, Subcommand)]
enum TpmCommand {
    /// Show a server that the attestation key stands in this TPM.
    #[command(
        after_help = "Example:\n  keygate tpm enrol --machine db-1 --server https://kms.example:8443 --ca ca.pem --credential enrol.token"
    )]
    Enrol(EnrolArgs),
    /// Show banks, keys and logs of the TPM.
    #[command(after_help = "Example:\n  keygate tpm show")]
    Show(ShowArgs),
}

#[derive(Debug, Args)]
struct EnrolArgs {
    /// What the server shall call this machine.
    #[arg(long, value_name = "NAME")]
    machine: String,
    #[command(flatten)]
    tpm: TpmArgs,
    #[command(flatten)]
    ek: EkArgs,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Args)]
struct ShowArgs {
    #[command(flatten)]
    tpm: TpmArgs,
    #[command(flatten)]
    ek: EkArgs,
}

impl TpmArgs {
    /// What the attester wants to know.
    pub(super) fn options(&self) -> tpm::Options {
        let folder = self.tpm_state.clone().unwrap_or_else(state_folder);
        let kind = if self.tpm_ak == "rsa" { AkKind::Rsa } else { AkKind::Ecc };
        tpm::Options {
            address: self.tpm.clone().filter(|address| !address.is_empty()),
            ak: match self.tpm_ak_handle {
                Some(handle) => AkSource::Given { handle, certificates: self.tpm_ak_certificate.clone() },
                None => AkSource::Own { kind, folder },
            },
            registers: self.tpm_pcrs.clone(),
            event_log: self.event_log.clone().unwrap_or_default(),
            ima_log: self.ima_log.clone().unwrap_or_default(),
            ..tpm::Options::usual(PathBuf::new())
        }
    }
}

impl EkArgs {
    fn complete(&self, options: tpm::Options) -> tpm::Options {
        let kind = EkKind::ALL.into_iter().find(|kind| Some(kind.as_str()) == self.tpm_ek.as_deref());
        tpm::Options { ek: kind, ek_chain: self.tpm_ek_chain.clone(), ek_bare: self.tpm_ek_bare, ..options }
    }
}

/// `$XDG_STATE_HOME/keygate/tpm`, `~/.local/state/keygate/tpm`, or the system's where there is no home. XDG Base Directory
/// Specification.
fn state_folder() -> PathBuf {
    let folder = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = folder("XDG_STATE_HOME").or_else(|| folder("HOME").map(|home| home.join(".local/state")));
    state.unwrap_or_else(|| PathBuf::from("/var/lib")).join("keygate/tpm")
}

/// A handle that lasts: TPM_HT_PERSISTENT.
fn handle(given: &str) -> Result<u32, String> {
    let digits = given.strip_prefix("0x").unwrap_or(given);
    let parsed = u32::from_str_radix(digits, 16).ok().filter(|handle| handle >> 24 == 0x81);
    parsed.ok_or_else(|| "a handle from 0x81000000 to 0x81ffffff is wanted".to_owned())
}

fn log(given: &str) -> Result<LogSource, String> {
    Ok(if given == "none" { LogSource::None } else { LogSource::File(PathBuf::from(given)) })
}

fn attester(error: AttesterError) -> Failure {
    Failure::unavailable("attester", error.to_string(), error.help())
}

/// Runs `keygate tpm`.
pub async fn run(args: &TpmCommandArgs, format: Format) -> Result<Exit, Failure> {
    match &args.command {
        TpmCommand::Enrol(args) => enrol(args, format).await,
        TpmCommand::Show(args) => show(args, format),
    }
}

fn show(args: &ShowArgs, format: Format) -> Result<Exit, Failure> {
    let options = args.ek.complete(args.tpm.options());
    let shown = tpm::show(&PathBuf::from("/"), &options).map_err(attester)?;
    Output::new(format).object(&shown);
    Ok(Exit::Done)
}

async fn enrol(args: &EnrolArgs, format: Format) -> Result<Exit, Failure> {
    let connection = args.server.connect(Listener::Data)?;
    let options = args.ek.complete(args.tpm.options());
    let enrolment = Enrolment::begin(&PathBuf::from("/"), &options).map_err(attester)?;
    let mut done = enrolled(&connection, &enrolment, &enrolment.request(&args.machine)).await?;
    if let Value::Object(members) = &mut done {
        members.insert("attestation_key".to_owned(), json!(enrolment.ak_standing()));
    }
    Output::new(format).object(&done);
    Ok(Exit::Done)
}

/// Both steps of an enrolment; what the server answers to the second.
///
/// # Errors
/// The server's refusal, a TPM that does not open the secret, or `answer-not-authentic`.
pub(super) async fn enrolled(
    connection: &Connection,
    enrolment: &Enrolment,
    request: &Value,
) -> Result<Value, Failure> {
    let asked = connection.post("/v1/enrolments", request, None).await.map_err(failure)?;
    let text = |name: &str| asked.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let bytes = |name: &str| {
        let decoded = URL_SAFE_NO_PAD.decode(text(name)).ok().filter(|bytes| !bytes.is_empty());
        decoded.ok_or_else(|| not_authentic(&format!("the answer has no `{name}`")))
    };
    let id = text("id");
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) {
        return Err(not_authentic("the answer has no `id`"));
    }
    let opened = enrolment.activate(&bytes("credential_blob")?, &bytes("secret")?).map_err(attester)?;
    let body = json!({"secret": URL_SAFE_NO_PAD.encode(opened.as_slice())});
    let done = connection.post(&format!("/v1/enrolments/{id}/activation"), &body, None).await.map_err(failure)?;
    if done.get("ak_name").and_then(Value::as_str) != Some(enrolment.ak_name().as_str()) {
        return Err(not_authentic("the server enrolled another attestation key"));
    }
    Ok(done)
}

fn not_authentic(what: &str) -> Failure {
    Failure::refused("answer-not-authentic", what).with_help("ask the operator which version the server has")
}
