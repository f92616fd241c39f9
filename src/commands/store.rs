//! `keygate store`: copies and checks of the store, on the machine itself. Keygate's contract, section 2.
//!
//! One process at a time has a store: where the service runs, it is asked for a check or a copy, else the folder's store is opened. A
//! restore is never asked of a service: nothing that comes over the network names a file (threat model P50).

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use keygate_keystore::{BackupReport, JournalVerdict, Keystore, KeystoreError};
use serde_json::json;

use super::admin::Desk;
use super::connect::{ServerArgs, failure};
use super::exit::{Exit, Failure};
use super::local::LocalStore;
use super::output::{Format, Output};
use super::progress::Progress;
use super::time::now;

/// Arguments of `keygate store`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Example:\n  keygate store backup /mnt/backup/keygate-2027-01-31.kgb")]
pub struct StoreArgs {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Clone, Subcommand)]
enum Verb {
    /// Write a sealed copy of the store to a new file. It never contains the root key. Asks the service where it runs.
    #[command(after_help = "Example:\n  keygate store backup /mnt/backup/keygate-2027-01-31.kgb")]
    Backup {
        /// The file that is made.
        file: PathBuf,
        /// Why, for the audit of the service.
        #[arg(long, value_name = "TEXT", default_value = "asked for on the command line")]
        reason: String,
    },
    /// Make the folder's store of a backup, as its next incarnation; there must be none, and the root key must be the same.
    #[command(
        after_help = "Example:\n  keygate store restore /mnt/backup/keygate-2027-01-31.kgb --dir /var/lib/keygate"
    )]
    Restore {
        /// The backup.
        file: PathBuf,
    },
    /// Verify every page, every row and every sealed cell. Asks the service where it runs.
    #[command(after_help = "Example:\n  keygate store check")]
    Check,
}

/// Runs `keygate store`.
pub async fn run(args: &StoreArgs, format: Format) -> Result<Exit, Failure> {
    let output = Output::new(format);
    match &args.verb {
        Verb::Backup { file, reason } if args.server.server.is_some() => {
            copied(&args.server, file, reason, &output).await
        }
        Verb::Backup { file, reason } => {
            let local = LocalStore::of(&args.server.dir())?;
            let store = match Keystore::open(&local.file, &local.root, now()?) {
                Err(KeystoreError::Busy) => return copied(&args.server, file, reason, &output).await,
                opened => opened.map_err(|e| local.failure(&e))?,
            };
            let report = store.backup(file, now()?).map_err(|e| local.failure(&e));
            store.shutdown();
            tell(&output, &report?, file.display());
            Ok(Exit::Done)
        }
        Verb::Restore { file } => {
            let local = LocalStore::of(&args.server.dir())?;
            let report = Keystore::restore(file, &local.file, &local.root, now()?).map_err(|e| local.failure(&e))?;
            tell(&output, &report, local.file.display());
            output.say("challenges, sessions and kept answers of before are worthless now");
            Ok(Exit::Done)
        }
        Verb::Check if args.server.server.is_some() => asked(&args.server, &output).await,
        Verb::Check => {
            let local = LocalStore::of(&args.server.dir())?;
            match Keystore::open(&local.file, &local.root, now()?) {
                Err(KeystoreError::Busy) => asked(&args.server, &output).await,
                opened => checked(&local, opened, &output),
            }
        }
    }
}

fn tell(output: &Output, report: &BackupReport, file: std::path::Display<'_>) {
    output.object(&json!({
        "file": file.to_string(),
        "rows": report.rows,
        "bytes": report.bytes,
        "incarnation": report.incarnation,
        "digest": hex::encode(report.digest),
    }));
}

/// A copy that the service made, in a new file for us alone. What did not come whole is taken away again.
async fn copied(server: &ServerArgs, file: &Path, reason: &str, output: &Output) -> Result<Exit, Failure> {
    let cannot = |e: std::io::Error| {
        Failure::usage(format!("cannot write `{}`: {e}", file.display()), "name a file that does not exist")
    };
    let desk = Desk::open(server)?;
    let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file).map_err(cannot)?;
    let done = desk.download("/store/backup", &json!({"reason": reason}), &mut out).await.map_err(failure);
    match done.and_then(|bytes| out.sync_all().map(|()| bytes).map_err(cannot)) {
        Ok(bytes) => {
            output.object(&json!({"file": file.display().to_string(), "bytes": bytes}));
            Ok(Exit::Done)
        }
        Err(failed) => {
            // The half of a copy is no copy.
            let _ = std::fs::remove_file(file);
            Err(failed)
        }
    }
}

async fn asked(server: &ServerArgs, output: &Output) -> Result<Exit, Failure> {
    let (_, told) = Desk::open(server)?.get("/store/check").await?;
    output.object(&told);
    Ok(Exit::Done)
}

fn checked(local: &LocalStore, opened: Result<Keystore, KeystoreError>, output: &Output) -> Result<Exit, Failure> {
    let mut progress = Progress::new("rows");
    let report = opened.and_then(|store| {
        let report = store.check(&mut |done, all| progress.tick(done, all));
        let journal = store.verify_journal(&mut |done, all| progress.tick(done, all));
        store.shutdown();
        Ok((report?, journal?))
    });
    drop(progress);
    match report {
        Ok((_, JournalVerdict::Broken { seq, what })) => {
            let object = format!("audit entry {seq}: {}", what.as_str());
            output.object(&json!({"verdict": "damaged", "object": object, "code": "store-corrupt"}));
            Ok(Exit::Refused)
        }
        Ok((report, JournalVerdict::Intact { .. })) => {
            output.object(&json!({
                "verdict": "sound",
                "rows": report.rows,
                "sealed": report.sealed,
                "entries": report.entries,
                "digest": hex::encode(report.digest),
            }));
            Ok(Exit::Done)
        }
        Err(KeystoreError::StoreCorrupt { object }) => {
            output.object(&json!({"verdict": "damaged", "object": object, "code": "store-corrupt"}));
            Ok(Exit::Refused)
        }
        Err(other) => Err(local.failure(&other)),
    }
}
