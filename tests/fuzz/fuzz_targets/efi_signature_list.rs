//! Any bytes as the signature lists of db, as firmware measured them into PCR 7.
#![no_main]

use keygate_verifier::logs::{Bank, EventLog, LogKind};
use libfuzzer_sys::fuzz_target;

const SECURITY: [u8; 16] =
    [0xcb, 0xb2, 0x19, 0xd7, 0x3a, 0x3d, 0x96, 0x45, 0xa3, 0xbc, 0xda, 0xd0, 0x0e, 0x67, 0x65, 0x6f];

fn event(bytes: &mut Vec<u8>, kind: u32, data: &[u8]) {
    bytes.extend(7_u32.to_le_bytes());
    bytes.extend(kind.to_le_bytes());
    bytes.extend(Bank::Sha1.digest(&[data]));
    bytes.extend((data.len() as u32).to_le_bytes());
    bytes.extend(data);
}

fuzz_target!(|bytes: &[u8]| {
    let mut variable = SECURITY.to_vec();
    variable.extend(2_u64.to_le_bytes());
    variable.extend((bytes.len() as u64).to_le_bytes());
    variable.extend(b"d\0b\0");
    variable.extend(bytes);
    let mut log = Vec::new();
    event(&mut log, 0x8000_0001, &variable);
    event(&mut log, 4, &[0; 4]);
    let log = EventLog::parse(&log, LogKind::Tpm).expect("a log");
    let quoted = log.replay(Bank::Sha1).expect("a bank");
    let _ = log.check(Bank::Sha1, &quoted).expect("its own registers").claims();
});
