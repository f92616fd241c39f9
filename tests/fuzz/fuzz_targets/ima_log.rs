//! Any bytes as an IMA list, as text or not: read or refused; what is read replays to a register that bears it out.
#![no_main]

use keygate_verifier::logs::{AllowList, Bank, ImaLog, Registers};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(log) = ImaLog::parse(bytes) else { return };
    let quoted = Registers::from([(10, log.replay(Bank::Sha256))]);
    let files = log.check(Bank::Sha256, &quoted).expect("the whole list is a beginning of itself");
    let _ = (files.claims(), files.files_not_in(&AllowList::default()), files.azure_events(0));
});
