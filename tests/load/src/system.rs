//! What the system says of a process and of itself, read from `/proc`.

use std::fs;
use std::process::Command;
use std::time::Duration;

use crate::Fallible;

/// Ticks of the accounting clock in a second.
fn ticks_per_second() -> u64 {
    let said = Command::new("getconf").arg("CLK_TCK").output().ok();
    said.and_then(|o| String::from_utf8(o.stdout).ok()).and_then(|t| t.trim().parse().ok()).unwrap_or(100)
}

/// CPU time of a process so far, all its threads, user and system.
pub fn cpu_of(pid: u32) -> Fallible<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name stands in parentheses and may hold anything.
    let rest = stat.rsplit_once(')').map(|(_, rest)| rest).ok_or("a process without a name")?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let field = |n: usize| fields.get(n).and_then(|f| f.parse::<u64>().ok()).ok_or("a process without times");
    Ok(Duration::from_secs_f64((field(11)? + field(12)?) as f64 / ticks_per_second() as f64))
}

/// Resident memory of a process, in bytes.
pub fn rss_of(pid: u32) -> Fallible<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).ok_or("a process without VmRSS")?;
    let kib: u64 = line.split_whitespace().next().and_then(|n| n.parse().ok()).ok_or("VmRSS is no number")?;
    Ok(kib * 1024)
}

/// CPU time of this thread so far, or `None` where the kernel does not keep it.
pub fn cpu_of_thread() -> Option<Duration> {
    let text = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

/// The machine a figure was taken on.
pub struct Machine {
    /// Name of the processor.
    pub processor: String,
    /// Cores this process may use.
    pub cores: usize,
    /// The OpenSSL that is linked.
    pub openssl: &'static str,
    /// Load average of the last minute.
    pub load: String,
}

impl Machine {
    /// This one, now.
    pub fn here() -> Self {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let name = text("/proc/cpuinfo").lines().find_map(|l| l.strip_prefix("model name").map(str::to_owned));
        Self {
            processor: name
                .map(|n| n.trim_start_matches([' ', '\t', ':']).to_owned())
                .unwrap_or_else(|| "unknown".to_owned()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            openssl: openssl::version::version(),
            load: text("/proc/loadavg").split_whitespace().next().unwrap_or("?").to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_times_and_memory() {
        let own = std::process::id();
        assert!(cpu_of(own).unwrap() < Duration::from_secs(3600));
        assert!(rss_of(own).unwrap() > 1 << 20);
        assert!(cpu_of(u32::MAX).is_err());
    }
}
