//! Any bytes as an event log: read or refused, and where they are read, what they replay to bears them out or not, without a panic.
#![no_main]

use keygate_verifier::logs::{EventLog, LogKind};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(log) = EventLog::parse(bytes, LogKind::Tpm) else { return };
    for bank in log.banks() {
        let Ok(quoted) = log.replay(bank) else { continue };
        let Ok(checked) = log.clone().check(bank, &quoted) else { continue };
        let _ = (checked.claims(), checked.azure_events(0), checked.azure_flags());
    }
});
