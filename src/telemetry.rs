//! Logs and metrics, and the one place that says what either may carry.
//!
//! `threat-model.md` P44, `bad-inputs.md` AUD-06 and ENV-13: no member of a request stands in a log line or a metric. What
//! may stand there are the arguments of the functions below: stable codes, names of operations, counts, durations, and
//! the correlation id under which the audit has the rest.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Requests answered, by `operation` and `code` (`ok` or a stable code).
pub const REQUESTS: &str = "keygate_requests_total";
/// Time to an answer, by `operation`.
pub const REQUEST_SECONDS: &str = "keygate_request_seconds";
/// Refusals of callers whose evidence did not hold, by `code`.
pub const STRANGERS: &str = "keygate_strangers_refused_total";
/// Verifications under way.
pub const POOL_BUSY: &str = "keygate_verifications_busy";
/// Log lines dropped because nobody read them.
pub const LINES_DROPPED: &str = "keygate_log_lines_dropped_total";
/// Rounds in which the store moved between decision and use.
pub const DECIDED_AGAIN: &str = "keygate_decided_again_total";

/// Changes by operators, by `action`.
pub const CHANGES: &str = "keygate_admin_changes_total";
/// Entries of the journal.
pub const JOURNAL_ENTRIES: &str = "keygate_journal_entries";
/// The epoch of the store: moves with every change.
pub const STORE_EPOCH: &str = "keygate_store_epoch";
/// 1 after a commit or flush failed.
pub const STORE_FAILED: &str = "keygate_store_failed";
/// Alarms: what an operator must look at.
pub const ALARMS: &str = "keygate_alarms_total";

/// Lines that may wait for a slow reader of standard error.
const LINES_WAITING: usize = 4_096;

/// Where metrics are gathered.
static FIGURES: OnceLock<PrometheusHandle> = OnceLock::new();

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// A subscriber is installed already, or the filter is not understood.
#[derive(Debug, thiserror::Error)]
#[error("logging cannot start: {0}")]
pub struct TelemetryError(String);

/// Starts logging to standard error and gathering metrics. `filter` as in `RUST_LOG`: `info`, `keygate=debug,warn`.
///
/// # Errors
/// A filter that does not parse, or a second start.
pub fn start(format: Format, filter: &str) -> Result<(), TelemetryError> {
    let filter = EnvFilter::try_new(filter).map_err(|e| TelemetryError(e.to_string()))?;
    let lines = Lines::to(io::stderr());
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(lines).with_target(false);
    let started = match format {
        Format::Text => builder.with_ansi(false).try_init(),
        Format::Json => builder.json().try_init(),
    };
    started.map_err(|e| TelemetryError(e.to_string()))?;
    let figures = PrometheusBuilder::new().install_recorder().map_err(|e| TelemetryError(e.to_string()))?;
    // Set once: a second start has failed above.
    let _ = FIGURES.set(figures);
    Ok(())
}

/// Every metric in the text format of Prometheus; none before [`start`].
pub fn figures() -> Option<String> {
    let figures = FIGURES.get()?;
    figures.run_upkeep();
    Some(figures.render())
}

/// Adds up the samples of histograms, which wait one by one until somebody does: also where no one asks for the metrics.
pub fn tend() {
    if let Some(figures) = FIGURES.get() {
        figures.run_upkeep();
    }
}

/// A request was answered. `code` is `ok` or a stable code.
pub fn answered(operation: &'static str, code: &'static str, correlation: &str, took: Duration) {
    metrics::counter!(REQUESTS, "operation" => operation, "code" => code).increment(1);
    metrics::histogram!(REQUEST_SECONDS, "operation" => operation).record(took.as_secs_f64());
    tracing::info!(
        operation,
        code,
        correlation,
        micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        "answered"
    );
}

/// A caller was refused before its evidence held.
pub fn stranger(code: &'static str) {
    metrics::counter!(STRANGERS, "code" => code).increment(1);
}

/// Verifications under way, after one began or ended.
pub fn pool_busy(busy: usize) {
    metrics::gauge!(POOL_BUSY).set(u32::try_from(busy).unwrap_or(u32::MAX));
}

/// The store moved between decision and use.
pub fn decided_again() {
    metrics::counter!(DECIDED_AGAIN).increment(1);
}

/// An operator changed something.
pub fn changed(action: &'static str) {
    metrics::counter!(CHANGES, "action" => action).increment(1);
}

/// State of the store.
pub fn store(entries: u64, epoch: u64, failed: bool) {
    #[allow(clippy::cast_precision_loss)] // a gauge is a float; counts stay exact up to 2^53
    let gauge = |count: u64| count as f64;
    metrics::gauge!(JOURNAL_ENTRIES).set(gauge(entries));
    metrics::gauge!(STORE_EPOCH).set(gauge(epoch));
    metrics::gauge!(STORE_FAILED).set(gauge(u64::from(failed)));
}

/// Something that an operator must look at.
pub fn alarm(what: &'static str) {
    metrics::counter!(ALARMS).increment(1);
    tracing::warn!(what, "alarm");
}

/// Something went wrong inside. `what` is ours, never a caller's text.
pub fn fault(what: &'static str, code: &'static str, correlation: &str) {
    tracing::error!(what, code, correlation, "fault");
}

/// A writer that never waits: lines go to a thread of their own, and are counted and dropped when it does not keep up.
#[derive(Clone)]
struct Lines {
    queue: SyncSender<Vec<u8>>,
    dropped: Arc<AtomicU64>,
}

impl Lines {
    fn to(mut out: impl Write + Send + 'static) -> Self {
        let (queue, waiting) = sync_channel::<Vec<u8>>(LINES_WAITING);
        // Without a thread lines are dropped and counted, nothing else changes.
        let writer = std::thread::Builder::new().name("log".into());
        drop(writer.spawn(move || {
            for line in waiting {
                if out.write_all(&line).and_then(|()| out.flush()).is_err() {
                    break;
                }
            }
        }));
        Self { queue, dropped: Arc::default() }
    }
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = self.queue.try_send(line.to_vec()) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            metrics::counter!(LINES_DROPPED).increment(1);
        }
        Ok(line.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;
    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Stuck;
    impl Write for Stuck {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            loop {
                std::thread::park();
            }
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn env_13_a_reader_that_hangs_costs_lines_not_time() {
        let mut lines = Lines::to(Stuck);
        for _ in 0..LINES_WAITING + 100 {
            lines.write_all(b"line\n").unwrap();
        }
        assert!(lines.dropped.load(Ordering::Relaxed) >= 99);
    }
}
