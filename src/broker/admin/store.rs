//! The store as operators see it: its state, a full check, a sealed copy, and figures.
//!
//! `native-api.md` section 2 (`keygate store`), threat model P50: nothing that comes over the network names a file. A copy is written
//! beside the store under a name of ours, loses that name before anybody reads it, and goes out as the answer; a restore is a
//! command on the machine itself.

use std::fs::File;
use std::path::{Path, PathBuf};

use keygate_keystore::JournalVerdict;
use serde_json::{Value, json};

use super::{Desk, Reason, Refusal};
use crate::broker::Broker;
use crate::broker::challenge::draw;
use crate::broker::error::{Code, Fault};
use crate::telemetry;

impl Desk<'_> {
    /// State of the store.
    ///
    /// # Errors
    /// None of its own.
    pub fn store_status(&self) -> Result<Value, Refusal> {
        let status = self.broker.keystore.status();
        let counters = self.broker.keystore.counters();
        Ok(json!({
            "store": hex::encode(status.store_id),
            "incarnation": status.incarnation,
            "epoch": status.epoch,
            "entries": status.entries,
            "newest_time": status.newest_time,
            "failed": status.failed,
            "rollback": status.rollback,
            "flushes": counters.flushes,
            "requests": counters.requests,
            "fitness": self.broker.fitness().word(),
        }))
    }

    /// Verifies every page, row and sealed cell of the store that is open, and the whole journal.
    ///
    /// # Errors
    /// `store-corrupt`.
    pub fn store_check(&self) -> Result<Value, Refusal> {
        let report = self.broker.keystore.check(&mut |_, _| {})?;
        if let JournalVerdict::Broken { seq, what } = self.broker.keystore.verify_journal(&mut |_, _| {})? {
            let place = format!("audit entry {seq}: {}", what.as_str());
            return Err(Fault::new(Code::StoreCorrupt, "").because(place).into());
        }
        Ok(json!({
            "verdict": "sound",
            "rows": report.rows,
            "sealed": report.sealed,
            "entries": report.entries,
            "digest": hex::encode(report.digest),
        }))
    }

    /// A sealed copy of the whole store as of one moment, verified before it is sealed. It holds no root key.
    ///
    /// # Errors
    /// `store-corrupt`, or there is no room for it beside the store.
    pub fn store_backup(&self, reason: &Reason) -> Result<SealedCopy, Refusal> {
        let unfit = |why: std::io::Error| {
            Fault::new(Code::DependencyUnavailable, "no room for a copy").because(why.to_string())
        };
        let _alone = self.broker.pace.copying();
        let folder = self.broker.keystore.path().parent().unwrap_or(Path::new(".")).to_path_buf();
        let scratch = Scratch(folder.join(format!(".copy-{}", hex::encode(draw::<8>()?))));
        let report = self.broker.keystore.backup(&scratch.0, self.now)?;
        let file = File::open(&scratch.0).map_err(unfit)?;
        drop(scratch);
        self.note(reason)?;
        Ok(SealedCopy { file, bytes: report.bytes })
    }
}

/// A sealed copy of the whole store: a file without a name, gone when it is closed.
pub struct SealedCopy {
    /// From its beginning.
    pub file: File,
    /// Its length.
    pub bytes: u64,
}

/// The name that a copy has while it is written; taken away whatever happens.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is not there any more need not be removed.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Broker {
    /// Brings the gauges of the store up to date, for whoever reads metrics next.
    pub fn measure(&self) {
        let status = self.keystore.status();
        telemetry::store(status.entries, status.epoch, status.failed);
    }
}
