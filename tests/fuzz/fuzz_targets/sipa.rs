//! Any bytes as tagged events of Windows that were measured into PCR 12.
#![no_main]

use keygate_verifier::logs::{Bank, EventLog, LogKind};
use libfuzzer_sys::fuzz_target;

/// A log in the old format with events for one register, whose data are what they measured.
fn log(register: u32, events: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for data in events {
        bytes.extend(register.to_le_bytes());
        bytes.extend(6_u32.to_le_bytes());
        bytes.extend(Bank::Sha1.digest(&[data]));
        bytes.extend((data.len() as u32).to_le_bytes());
        bytes.extend(*data);
    }
    bytes
}

fuzz_target!(|bytes: &[u8]| {
    let log = [log(12, &[bytes, b"WBCL"]), log(13, &[bytes, b"WBCL"]), log(14, &[b"WBCL"])].concat();
    let log = EventLog::parse(&log, LogKind::Tpm).expect("a log");
    let quoted = log.replay(Bank::Sha1).expect("a bank");
    let checked = log.check(Bank::Sha1, &quoted).expect("its own registers");
    let _ = (checked.claims(), checked.azure_events(0), checked.azure_flags());
});
