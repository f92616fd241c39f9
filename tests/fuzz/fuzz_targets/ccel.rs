//! Any bytes as the CC event log of a TDX guest.
#![no_main]

use keygate_verifier::logs::{EventLog, LogKind};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(log) = EventLog::parse(bytes, LogKind::Ccel) else { return };
    for bank in log.banks() {
        let Ok(quoted) = log.replay(bank) else { continue };
        if let Ok(checked) = log.clone().check(bank, &quoted) {
            let _ = checked.claims();
        }
    }
});
