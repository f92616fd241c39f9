//! The store as operators see it: its state, a full check, and figures. Copies are made on the machine itself.
//!
//! `native-api.md` section 2 (`keygate store`), threat model P50: nothing that comes over the network names a file, so backups and
//! restores are commands on the directory, not requests. `docs/operations.md` says how.

use serde_json::{Value, json};

use super::{Desk, Refusal};
use crate::broker::Broker;
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

    /// Verifies every page, row and sealed cell of the store that is open.
    ///
    /// # Errors
    /// `store-corrupt`.
    pub fn store_check(&self) -> Result<Value, Refusal> {
        let report = self.broker.keystore.check(&mut |_, _| {})?;
        Ok(json!({
            "verdict": "sound",
            "rows": report.rows,
            "sealed": report.sealed,
            "entries": report.entries,
            "digest": hex::encode(report.digest),
        }))
    }
}

impl Broker {
    /// Brings the gauges of the store up to date, for whoever reads metrics next.
    pub fn measure(&self) {
        let status = self.keystore.status();
        telemetry::store(status.entries, status.epoch, status.failed);
    }
}
