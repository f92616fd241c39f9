//! `keygate attest`, `release` and `unwrap`: the workload's side.
//!
//! Keygate's contract, section 2. Evidence from this machine, a fresh recipient key, a challenge, the receipt checked, unsealed.

use std::io::{IsTerminal as _, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::connect::{Listener, ServerArgs, failure};
use super::exit::{Exit, Failure};
use super::output::{Format, Output};
use super::tpm::TpmArgs;
use crate::attester::{self, Attester};
use crate::client::{Ask, Given, RecipientPlace, Workload};
use crate::clock::{Clock, SystemClock};

/// How evidence is made.
#[derive(Debug, Clone, Args)]
pub struct AttesterArgs {
    /// Where evidence comes from: auto, snp, tdx, sgx, nitro, tpm, software.
    #[arg(long, default_value = "auto")]
    attester: String,
    /// For the software attester: a PEM file with a key and its certificates, made by `keygate software-identity`.
    #[arg(long, value_name = "FILE")]
    software_identity: Option<PathBuf>,
    /// For the software attester: the measurement it claims, 96 hex digits.
    #[arg(long, value_name = "HEX")]
    software_measurement: Option<String>,
    /// Keep the receipt in this new file, for `keygate audit verify --receipt`.
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,
    /// The recipient's key: ec, rsa, or tpm: an RSA key that is made in the TPM and never leaves it.
    #[arg(long, default_value = "ec", value_parser = ["ec", "rsa", "tpm"])]
    recipient: String,
    #[command(flatten)]
    tpm: TpmArgs,
}

/// Arguments of `keygate attest`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  keygate attest --server https://kms.example:8443 --ca ca.pem")]
pub struct AttestArgs {
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    attester: AttesterArgs,
    /// Audience of the token; default: the provider.
    #[arg(long)]
    aud: Option<String>,
}

/// Arguments of `keygate release`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  keygate release db-key --server https://kms.example:8443 --ca ca.pem --out db.key")]
pub struct ReleaseArgs {
    /// Key name.
    key: String,
    /// Key version; default: the newest.
    #[arg(long, default_value = "")]
    version: String,
    /// RSA_AES_KEY_WRAP_256 or JWE; default: by the recipient's type.
    #[arg(long, default_value = "")]
    wrapping: String,
    /// Where the key goes: a new file (mode 0600), or `-` for a pipe; never a terminal.
    #[arg(long, value_name = "FILE|-")]
    out: PathBuf,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    attester: AttesterArgs,
}

/// Arguments of `keygate unwrap`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  keygate unwrap wrap-key --alg A256GCM --in disk.key.wrapped --out disk.key")]
pub struct UnwrapArgs {
    /// Key name.
    key: String,
    /// Key version; default: the one that the ciphertext names.
    #[arg(long, default_value = "")]
    version: String,
    /// A256GCM, A256KWP, RSA-OAEP-256 …
    #[arg(long)]
    alg: String,
    /// The ciphertext, raw bytes, or `-` for standard input.
    #[arg(long = "in", value_name = "FILE|-")]
    input: PathBuf,
    /// Additional authenticated data, as text.
    #[arg(long, default_value = "")]
    aad: String,
    /// Where the plaintext goes: a new file (mode 0600), or `-` for a pipe; never a terminal.
    #[arg(long, value_name = "FILE|-")]
    out: PathBuf,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    attester: AttesterArgs,
}

impl AttesterArgs {
    pub(super) fn choose(&self) -> Result<Box<dyn Attester>, Failure> {
        let options = attester::Options {
            root: PathBuf::from("/"),
            software_identity: self.software_identity.clone(),
            software_measurement: self.software_measurement.clone(),
            software_host: None,
            tpm: self.tpm.options(),
        };
        attester::choose(&self.attester, &options)
            .map_err(|e| Failure::unavailable("attester", e.to_string(), e.help()))
    }
    pub(super) fn recipient(&self) -> RecipientPlace {
        match self.recipient.as_str() {
            "rsa" => RecipientPlace::Rsa,
            "tpm" => RecipientPlace::Hardware,
            _ => RecipientPlace::Ec,
        }
    }
}

fn now() -> Result<i64, Failure> {
    let time = SystemClock::new(0).now();
    time.map(|t| t.secs())
        .map_err(|e| Failure::unavailable("clock-untrusted", e.to_string(), "set the clock of this machine"))
}

/// Runs `keygate attest`.
pub async fn attest(args: &AttestArgs, format: Format) -> Result<Exit, Failure> {
    let connection = args.server.connect(Listener::Data)?;
    let attester = args.attester.choose()?;
    let workload = Workload::new(&connection, attester.as_ref(), args.attester.recipient()).map_err(failure)?;
    let answer = workload.attest(args.aud.as_deref().unwrap_or_default(), now()?).await.map_err(failure)?;
    Output::new(format).object(&answer);
    Ok(Exit::Done)
}

/// Runs `keygate release`.
pub async fn release(args: &ReleaseArgs, format: Format) -> Result<Exit, Failure> {
    refuse_terminal(&args.out)?;
    let ask = Ask {
        operation: "release",
        key: args.key.clone(),
        version: args.version.clone(),
        wrapping: args.wrapping.clone(),
        ..Ask::default()
    };
    use_key(&ask, &args.server, &args.attester, &args.out, format).await
}

/// Runs `keygate unwrap`.
pub async fn unwrap(args: &UnwrapArgs, format: Format) -> Result<Exit, Failure> {
    refuse_terminal(&args.out)?;
    let mut input = Vec::new();
    let read = if args.input == Path::new("-") {
        std::io::stdin().lock().take(1 << 20).read_to_end(&mut input)
    } else {
        std::fs::File::open(&args.input).and_then(|f| f.take(1 << 20).read_to_end(&mut input))
    };
    read.map_err(|e| {
        Failure::usage(format!("cannot read `{}`: {e}", args.input.display()), "name the ciphertext with --in")
    })?;
    let ask = Ask {
        operation: "unwrap",
        key: args.key.clone(),
        version: args.version.clone(),
        alg: args.alg.clone(),
        input,
        aad: args.aad.as_bytes().to_vec(),
        ..Ask::default()
    };
    use_key(&ask, &args.server, &args.attester, &args.out, format).await
}

async fn use_key(
    ask: &Ask,
    server: &ServerArgs,
    attester: &AttesterArgs,
    out: &Path,
    format: Format,
) -> Result<Exit, Failure> {
    let connection = server.connect(Listener::Data)?;
    let chosen = attester.choose()?;
    let workload = Workload::new(&connection, chosen.as_ref(), attester.recipient()).map_err(failure)?;
    let given = workload.use_key(ask, now()?).await.map_err(failure)?;
    if let Some(file) = &attester.receipt {
        write_secret(file, format!("{}\n", given.receipt.compact()).as_bytes())?;
    }
    write_secret(out, &given.secret)?;
    if out == Path::new("-") {
        return Ok(Exit::Done);
    }
    Output::new(format).object(&told(&given, out));
    Ok(Exit::Done)
}

/// What is printed of a key that was given: never the key.
fn told(given: &Given, out: &Path) -> serde_json::Value {
    json!({
        "kid": given.receipt.text("kid"),
        "written": out.display().to_string(),
        "bytes": given.secret.len(),
        "receipt": {
            "entry": given.receipt.entry(),
            "entry_hash": given.receipt.text("entry_hash"),
            "rule_digest": given.receipt.text("rule_digest"),
            "issuer": given.receipt.text("iss"),
        },
        "public": given.answer.get("key"),
    })
}

fn refuse_terminal(out: &Path) -> Result<(), Failure> {
    if out == Path::new("-") && std::io::stdout().is_terminal() {
        return Err(Failure::usage("a key is never written to a terminal", "name a file with --out, or pipe it on"));
    }
    Ok(())
}

/// Writes secret bytes into a new file for us alone, or into a pipe.
pub(super) fn write_secret(out: &Path, secret: &[u8]) -> Result<(), Failure> {
    let cannot = |e: std::io::Error| {
        Failure::usage(
            format!("cannot write `{}`: {e}", out.display()),
            "name a new file in a folder that can be written",
        )
    };
    if out == Path::new("-") {
        let mut pipe = std::io::stdout().lock();
        return pipe.write_all(secret).and_then(|()| pipe.flush()).map_err(cannot);
    }
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(out).map_err(cannot)?;
    file.write_all(secret).and_then(|()| file.sync_all()).map_err(cannot)
}
