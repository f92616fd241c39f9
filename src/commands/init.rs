//! `keygate init`: a folder with everything that a service needs. Keygate's contract, section 2.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use clap::Args;
use keygate_keystore::{FileRoot, Keystore};
use serde_json::json;

use super::connect::DEFAULT_DIR;
use super::exit::{Exit, Failure, complain};
use super::output::{Format, Output};
use crate::app::{App, AppError};
use crate::clock::{Clock, SystemClock};
use crate::settings::Settings;

/// Names under which the machine itself reaches the service.
const LOOPBACK: &[&str] = &["localhost", "127.0.0.1", "::1"];
/// How long the first admin's credential is good at most.
const FIRST_ADMIN_SECONDS: i64 = 7 * 86_400;

/// Arguments of `keygate init`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Example:\n  keygate init --dir /var/lib/keygate --host kms.example --root-key /etc/keygate/root.key"
)]
pub struct InitArgs {
    /// The folder that is made; it must not exist [default: ./keygate-data].
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// A host name under which workloads reach the service. May be given more than once.
    #[arg(long, value_name = "NAME")]
    pub host: Vec<String>,
    /// Keep the root key in this file, on another volume, instead of in the folder.
    #[arg(long, value_name = "FILE")]
    pub root_key: Option<PathBuf>,
}

/// Runs `keygate init`.
pub fn run(args: &InitArgs, format: Format) -> Result<Exit, Failure> {
    let dir = args.dir.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_DIR));
    make(&dir, &args.host, args.root_key.as_deref())?;
    let output = Output::new(format);
    if output.is_json() {
        if args.root_key.is_none() {
            complain(&copy_warning(&dir));
        }
        output.object(&json!({
            "dir": dir.display().to_string(),
            "config": dir.join("keygate.toml").display().to_string(),
            "ca": dir.join("tls/ca.pem").display().to_string(),
            "admin_credential": dir.join("admin.token").display().to_string(),
        }));
        return Ok(Exit::Done);
    }
    let shown = dir.display();
    output.say(&format!("made {shown}: store, root key, CA, TLS certificate, first admin credential"));
    if args.root_key.is_none() {
        output.say(&copy_warning(&dir));
    }
    output.say("");
    output.say("next:");
    output.say(&format!("  keygate serve --config {shown}/keygate.toml"));
    output.say(&format!("  keygate key create db-key --type oct-256 --exportable --rule rule.json --dir {shown}"));
    output.say(&format!("  give workloads {shown}/tls/ca.pem: it is their only pin"));
    output.say(&format!("  make another admin within 7 days; {shown}/admin.token ends with that"));
    Ok(Exit::Done)
}

/// What is said when the root key lies beside the store.
pub(super) fn copy_warning(dir: &Path) -> String {
    format!("note: a copy of {} is a copy of every key; keep the root key elsewhere with --root-key", dir.display())
}

/// Makes the folder and everything in it.
pub(super) fn make(dir: &Path, hosts: &[String], root_key: Option<&Path>) -> Result<(), Failure> {
    if fs::symlink_metadata(dir).is_ok() {
        let what = format!("`{}` exists already", dir.display());
        return Err(Failure::usage(what, "name a folder that does not exist: nothing is ever overwritten"));
    }
    let cannot = |e: std::io::Error| {
        Failure::unavailable("store-failed", format!("cannot write `{}`: {e}", dir.display()), "choose another folder")
    };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir.join("tls")).map_err(cannot)?;
    let root = root_key.map_or_else(|| dir.join("root.key"), Path::to_path_buf);
    let keystore_error = |e: keygate_keystore::KeystoreError| {
        Failure::unavailable(e.code(), e.to_string(), "remove the folder and try again")
    };
    FileRoot::create(&root).map_err(keystore_error)?;
    let mut all: Vec<String> = hosts.iter().map(|h| h.to_ascii_lowercase()).collect();
    all.extend(LOOPBACK.iter().map(|h| (*h).to_owned()).filter(|h| !hosts.contains(h)));
    let named = root_key.map(|p| fs::canonicalize(p).unwrap_or_else(|_| p.to_path_buf()));
    write(&dir.join("keygate.toml"), configuration(&all, named.as_deref()).as_bytes(), 0o600).map_err(cannot)?;

    let now = SystemClock::new(0)
        .now()
        .map_err(|e| Failure::unavailable("clock-untrusted", e.to_string(), "set the clock"))?
        .secs();
    let settings = Settings::read(&dir.join("keygate.toml"), &[])?;
    let store = settings.path(&settings.store.file);
    let made =
        Keystore::create(&store, &FileRoot::new(&root), settings.store.retention_days, now).map_err(keystore_error)?;
    made.shutdown();
    drop(made);
    let app = App::open(settings).map_err(from_app)?;
    let broken =
        |e: crate::broker::Fault| Failure::unavailable(e.code.as_str(), e.inner, "remove the folder and try again");
    let provider = keygate_keystore::ProviderId::parse("default").map_err(keystore_error)?;
    let ca = app.broker.ca_pem(&provider).map_err(broken)?;
    let server = app.broker.server_certificate(&provider, &all).map_err(broken)?;
    let token = app.broker.first_admin(&provider, FIRST_ADMIN_SECONDS).map_err(broken)?;
    app.keystore.shutdown();
    write(&dir.join("tls/ca.pem"), ca.as_bytes(), 0o644).map_err(cannot)?;
    write(&dir.join("tls/server.pem"), &server.chain_pem, 0o644).map_err(cannot)?;
    write(&dir.join("tls/server.key"), &server.key_pem, 0o600).map_err(cannot)?;
    write(&dir.join("admin.token"), format!("{}\n", token.as_str()).as_bytes(), 0o600).map_err(cannot)
}

/// How a service that cannot be put together ends a command.
pub(super) fn from_app(error: AppError) -> Failure {
    match error {
        AppError::Config(e) => e.into(),
        AppError::Store(code, what, help) => Failure::unavailable(code, what, help),
    }
}

fn configuration(hosts: &[String], root_key: Option<&Path>) -> String {
    let list = hosts.iter().map(|h| format!("\"{h}\"")).collect::<Vec<_>>().join(", ");
    let root = match root_key {
        Some(path) => format!("[root_key]\nfile = \"{}\"\n\n", path.display()),
        None => String::new(),
    };
    format!(
        "# Keygate's settings. Everything that is not here has its default: `keygate serve --print-config`.\n\n\
         {root}[[providers]]\nid = \"default\"\nhosts = [{list}]\n"
    )
}

fn write(path: &Path, bytes: &[u8], mode: u32) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
