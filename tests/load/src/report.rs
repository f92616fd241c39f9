//! What is printed: a table on a terminal, JSON in a pipe; every figure beside the floors of its own run.
//!
//! `performance-floor.md` sections 8 and 9: ratios first, absolute figures with the machine they were taken on.

use std::time::Duration;

use serde_json::{Value, json};

use crate::fire::{Outcome, Pace};
use crate::floors::Floors;
use crate::scenario::Scenario;
use crate::system::Machine;

/// One scenario that ran.
pub struct Row {
    /// How requests followed each other.
    pub pace: Pace,
    /// What came of it.
    pub outcome: Outcome,
    /// CPU time that the server took, where its process is known.
    pub cpu: Option<Duration>,
    /// Its resident memory before and after, bytes.
    pub rss: Option<(u64, u64)>,
    /// What was asked.
    pub asked: Scenario,
}

impl Row {
    /// CPU time of the server for each answer.
    pub fn cpu_each(&self) -> Option<Duration> {
        let answers = u32::try_from(self.outcome.answers()).ok().filter(|n| *n > 0)?;
        self.cpu.map(|cpu| cpu / answers)
    }
}

/// A run: floors and rows.
pub struct Report {
    /// Where it ran.
    pub machine: Machine,
    /// Floors of the run.
    pub floors: Floors,
    /// Server CPU of a request to the bare server, where it was measured.
    pub hello: Option<Duration>,
    /// What ran.
    pub rows: Vec<Row>,
}

fn micros(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e7).round() / 10.0
}
fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
fn mebibytes(bytes: u64) -> f64 {
    (bytes as f64 / 1_048_576.0 * 10.0).round() / 10.0
}

impl Report {
    /// Whether any answer was not what its request deserved.
    pub fn has_unexpected(&self) -> bool {
        self.rows.iter().any(|row| row.outcome.unexpected > 0)
    }

    /// The run as JSON.
    pub fn to_json(&self) -> Value {
        json!({
            "machine": {
                "processor": self.machine.processor, "cores": self.machine.cores,
                "openssl": self.machine.openssl, "load_1m": self.machine.load,
            },
            "floors_us": {
                "F_overwrite_4k_fdatasync_p50": micros(self.floors.flush),
                "append_two_frames_fdatasync_p50": micros(self.floors.append),
                "V_p256_verify_cpu": micros(self.floors.p256),
                "p384_verify_cpu": micros(self.floors.p384),
                "rs256_sign_cpu": micros(self.floors.rs256),
                "rs256_verify_cpu": micros(self.floors.rs256_check),
                "oaep_seal_cpu": micros(self.floors.oaep),
                "aes_key_wrap_cpu": micros(self.floors.key_wrap),
                "oaep_open_key_read_cpu": micros(self.floors.oaep_open_fresh),
                "rs256_sign_key_read_cpu": micros(self.floors.rs256_fresh),
                "es256_sign_key_read_cpu": micros(self.floors.es256_fresh),
                "hello_server_cpu": self.hello.map(micros),
            },
            "scenarios": self.rows.iter().map(|row| self.row(row)).collect::<Vec<_>>(),
        })
    }

    fn row(&self, row: &Row) -> Value {
        let outcome = &row.outcome;
        let each = row.cpu_each();
        let over = |floor: Option<Duration>| match (each, floor) {
            (Some(each), Some(floor)) if !floor.is_zero() => Some(rounded(each.as_secs_f64() / floor.as_secs_f64())),
            _ => None,
        };
        let pace = match row.pace {
            Pace::Closed { clients } => json!({"clients": clients}),
            Pace::Open { rate } => json!({"rate": rate}),
        };
        json!({
            "scenario": row.asked.name(),
            "pace": pace,
            "answers": outcome.answers(),
            "seconds": rounded(outcome.elapsed.as_secs_f64()),
            "requests_per_second": rounded(outcome.rate()),
            "served_per_second": rounded(outcome.served_rate()),
            "latency_us": {
                "p50": micros(outcome.percentile(0.5)), "p90": micros(outcome.percentile(0.9)),
                "p99": micros(outcome.percentile(0.99)), "p99.9": micros(outcome.percentile(0.999)),
            },
            "served": outcome.served,
            "refused": outcome.refused,
            "unexpected": outcome.unexpected,
            "checked": outcome.checked,
            "unsent": outcome.unsent,
            "server_cpu_us": each.map(micros),
            "server_cpu_V": over(Some(self.floors.p256)),
            "server_cpu_hello": over(self.hello),
            "server_cpu_floor": over(row.asked.floor(&self.floors)),
            "server_cpu_target": over(self.target(row)),
            "served_per_flush": row.asked.is_durable().then(|| rounded(outcome.served_rate() * self.floors.flush.as_secs_f64())),
            "rss_mib": row.rss.map(|(before, after)| json!([mebibytes(before), mebibytes(after)])),
        })
    }

    /// What a request may cost over kept TLS.
    fn target(&self, row: &Row) -> Option<Duration> {
        let target = row.asked.target(&self.floors)?;
        Some(target.cryptography + self.hello? * target.hellos)
    }

    /// The run for a person.
    pub fn to_table(&self) -> String {
        let mut out = format!(
            "{}, {} cores, {}, load {}\n\
             F (4 KiB overwrite + fdatasync) {:.0} us   append + fdatasync {:.0} us   V (P-256 check) {:.1} us   hello {}\n\n",
            self.machine.processor,
            self.machine.cores,
            self.machine.openssl,
            self.machine.load,
            micros(self.floors.flush),
            micros(self.floors.append),
            micros(self.floors.p256),
            self.hello.map_or("-".to_owned(), |h| format!("{:.0} us", micros(h))),
        );
        out.push_str("scenario           pace       req/s   p50 ms   p90 ms   p99 ms p99.9 ms  CPU us   CPU V  /floor /target  /flush  RSS MiB\n");
        for row in &self.rows {
            out.push_str(&self.line(row));
        }
        out.push_str(
            "\nCPU: of the server, for each request. /flush: served in the time of one F. /floor: CPU over the\n\
                       cryptography that no design can leave out; /target: CPU over what docs/benchmarks.md allows.\n",
        );
        out
    }

    fn line(&self, row: &Row) -> String {
        let outcome = &row.outcome;
        let pace = match row.pace {
            Pace::Closed { clients } => format!("{clients} clients"),
            Pace::Open { rate } => format!("{rate}/s"),
        };
        let ms = |share: f64| outcome.percentile(share).as_secs_f64() * 1e3;
        let dash = || "-".to_owned();
        let each = row.cpu_each();
        let over = |floor: Option<Duration>| {
            let ratio = each.zip(floor).map(|(each, floor)| each.as_secs_f64() / floor.as_secs_f64());
            ratio.map_or_else(dash, |ratio| format!("{ratio:.2}"))
        };
        let mut line = format!(
            "{:<18} {:<10} {:>6.0} {:>8.2} {:>8.2} {:>8.2} {:>8.2} {:>7} {:>7} {:>7} {:>7} {:>7} {:>8}\n",
            row.asked.name(),
            pace,
            outcome.rate(),
            ms(0.5),
            ms(0.9),
            ms(0.99),
            ms(0.999),
            each.map_or_else(dash, |c| format!("{:.0}", micros(c))),
            over(Some(self.floors.p256)),
            over(row.asked.floor(&self.floors)),
            over(self.target(row)),
            if row.asked.is_durable() {
                format!("{:.2}", outcome.served_rate() * self.floors.flush.as_secs_f64())
            } else {
                dash()
            },
            row.rss.map_or_else(dash, |(_, after)| format!("{:.1}", mebibytes(after))),
        );
        for (code, count) in &outcome.refused {
            line.push_str(&format!("  refused {code:<30} {count:>8}\n"));
        }
        if outcome.unexpected > 0 || outcome.unsent > 0 {
            line.push_str(&format!("  UNEXPECTED {}, not sent {}\n", outcome.unexpected, outcome.unsent));
        }
        line
    }
}
