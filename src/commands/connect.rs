//! Which server a command talks to: `--dir D`, or `--server URL --ca FILE --credential FILE`, each of which overrides `--dir`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;

use super::exit::Failure;
use crate::client::{ClientError, Connection};
use crate::settings::Settings;

/// The folder that commands look into unless told otherwise.
pub const DEFAULT_DIR: &str = "keygate-data";

/// Where the server is and how we show who we are.
#[derive(Debug, Clone, Args)]
pub struct ServerArgs {
    /// Folder that `keygate init` made: address, CA and credential come from there [default: ./keygate-data].
    #[arg(long, global = true, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Address of the server, https://HOST[:PORT][/PREFIX].
    #[arg(long, global = true, value_name = "URL")]
    pub server: Option<String>,
    /// The CA that is pinned, PEM.
    #[arg(long, global = true, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// A file that holds a credential (`kg_…`).
    #[arg(long, global = true, value_name = "FILE")]
    pub credential: Option<PathBuf>,
}

/// Which of the two listeners.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listener {
    /// Workloads.
    Data,
    /// Operators.
    Admin,
}

impl ServerArgs {
    pub(super) fn dir(&self) -> PathBuf {
        self.dir.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_DIR))
    }

    /// A connection to the listener.
    ///
    /// # Errors
    /// Usage: neither a folder nor an address; a file that cannot be read.
    pub fn connect(&self, listener: Listener) -> Result<Connection, Failure> {
        let help = "run `keygate init` first, or give --server, --ca and --credential";
        let dir = self.dir();
        let url = match &self.server {
            Some(url) => url.clone(),
            None => {
                let environment: Vec<_> = std::env::vars().collect();
                let settings = Settings::read(&dir.join("keygate.toml"), &environment)?;
                address(&settings, listener)
            }
        };
        let ca = self.ca.clone().unwrap_or_else(|| dir.join("tls/ca.pem"));
        let ca = std::fs::read(&ca)
            .map_err(|e| Failure::usage(format!("cannot read the CA `{}`: {e}", ca.display()), help))?;
        let credential = match (&self.credential, listener) {
            (Some(file), _) => Some(read_token(file)?),
            (None, Listener::Admin) => Some(read_token(&dir.join("admin.token"))?),
            (None, Listener::Data) => None,
        };
        Connection::new(&url, &ca, credential).map_err(failure)
    }
}

/// `https://localhost:PORT` for a listener that this machine reaches by loopback, else the first host of the first provider.
fn address(settings: &Settings, listener: Listener) -> String {
    let bind: SocketAddr = match listener {
        Listener::Data => settings.server.bind,
        Listener::Admin => settings.server.admin_bind,
    };
    let local = bind.ip().is_loopback() || bind.ip().is_unspecified();
    let first = settings.providers.first();
    let host = match first.and_then(|p| p.hosts.first()) {
        Some(host) if !local => host.clone(),
        _ => "localhost".to_owned(),
    };
    let prefix = first.map(|p| p.prefix.clone()).unwrap_or_default();
    format!("https://{host}:{}{prefix}", bind.port())
}

fn read_token(file: &Path) -> Result<String, Failure> {
    let text = std::fs::read_to_string(file).map_err(|e| {
        Failure::usage(
            format!("cannot read the credential `{}`: {e}", file.display()),
            "name one with --credential, or the folder with --dir",
        )
    })?;
    Ok(text.trim().to_owned())
}

/// A client's error as a command's end: refusals 1, usage 2, what cannot be reached 3.
pub fn failure(error: ClientError) -> Failure {
    let what = error.to_string();
    match error.code.as_str() {
        "usage" => Failure::usage(what, "see --help"),
        "unreachable" => {
            Failure::unavailable("unreachable", what, "check that the server runs and that --server and --ca are right")
        }
        "attester" => Failure::unavailable("attester", what, ""),
        code if error.unavailable => {
            Failure::unavailable(code, what, "try again later; `readyz` tells what is missing")
        }
        code => Failure::refused(code, what).with_help(advice(code)),
    }
}

/// What to do about a refusal. The long form stands in docs/errors.md.
pub fn advice(code: &str) -> &'static str {
    match code.split('.').next().unwrap_or_default() {
        "not-released" => {
            "ask an operator to look the correlation id up: `keygate audit show ID` says which leaf failed"
        }
        "freshness-failed" => "take a new challenge and attest again",
        "binding-mismatch" => {
            "the evidence must be made for this request, host and recipient: check --server against the provider's hosts"
        }
        "collateral-unavailable" => {
            "send endorsements with the request, or give the server an offline folder or a service"
        }
        "chain-untrusted" => "the evidence hangs on no trust anchor of the server's: see [[trust_anchors]]",
        "auth-required" | "token-invalid" => "name a live credential with --credential",
        "forbidden" => "ask an admin for the role that this needs",
        "answer-not-authentic" => "the answer is not from the provider whose CA is pinned: nothing of it was used",
        "key-not-found" => "see `keygate key list` for the names there are",
        "not-found" => {
            "`list` or `history` of the same command shows what there is; where nothing is found at all, is --server the admin listener?"
        }
        "operation-not-allowed" => {
            "of a key, its type, operations or exportable flag say no: see `keygate key show`; of a policy, the provider's trust_model: send a signed policy"
        }
        "malformed" | "unsupported" | "too-large" => "mend what was sent: see the code in docs/errors.md",
        "rule-invalid" => "mend the rule, or say why it must be with --force",
        "policy-invalid" => "mend the policy: `keygate policy check FILE` shows where",
        "reference-invalid" => "mend, sign and import again: docs/reference-values.md says what each word means",
        "crypto-failed" => "ciphertext, key version or aad do not belong together",
        "conflict" => "read the newest state and try again",
        _ => "",
    }
}
