//! Event logs of any shape: what is read is what was written, and the registers are those of a TPM that extended it.

mod boot;

use boot::{Event, Log, NO_ACTION};
use keygate_verifier::logs::{Bank, EventLog, ImaLog, LogKind, Registers};
use proptest::collection::vec;
use proptest::prelude::*;

fn event(banks: Vec<Bank>) -> impl Strategy<Value = Event> {
    let kinds =
        prop_oneof![Just(NO_ACTION), Just(4), Just(6), Just(0xd), Just(0x8000_0001), Just(0x8000_0003), any::<u32>()];
    (0_u32..24, kinds, vec(any::<u8>(), 0..80), any::<bool>()).prop_map(move |(register, kind, data, shown)| {
        let measured = if shown { data.clone() } else { [&data[..], b"!"].concat() };
        let digests = banks.iter().map(|bank| (*bank, boot::digest(*bank, &[&measured]))).collect();
        Event { register, kind, digests, data }
    })
}

fn log() -> impl Strategy<Value = Log> {
    proptest::sample::subsequence(Bank::ALL.to_vec(), 1..=4).prop_flat_map(|banks| {
        (vec(event(banks.clone()), 0..40), Just(banks)).prop_map(|(events, banks)| Log { banks, events })
    })
}

/// The replay starts PCR 17 to 22 at zero, as after a dynamic launch.
fn expected(log: &Log, bank: Bank) -> Registers {
    let mut registers = Registers::new();
    for event in log.events.iter().filter(|event| event.kind != NO_ACTION) {
        let value = registers.entry(event.register).or_insert_with(|| vec![0; bank.size()]);
        let measured = &event.digests.iter().find(|(of, _)| *of == bank).unwrap().1;
        *value = boot::digest(bank, &[value, measured]);
    }
    registers
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_written_is_read_and_replayed(log in log()) {
        let bytes = log.bytes();
        prop_assert_eq!(&Log::read(&bytes), &log);
        let read = EventLog::parse(&bytes, LogKind::Tpm).unwrap();
        prop_assert_eq!(read.len(), log.events.iter().filter(|event| event.kind != NO_ACTION).count());
        for bank in &log.banks {
            let quoted = read.replay(*bank).unwrap();
            prop_assert_eq!(&quoted, &expected(&log, *bank));
            // A cold start of PCR 17 to 22 is found as well.
            let cold = log.registers(*bank);
            let said = |quoted: &Registers| read.clone().check(*bank, quoted).map(drop).map_err(|refused| refused.full_code());
            prop_assert_eq!(said(&quoted), said(&cold));
            prop_assert!(said(&quoted) != Err("binding-mismatch.event-log".to_owned()));
            for register in quoted.keys() {
                let mut other = quoted.clone();
                other.get_mut(register).unwrap()[0] ^= 1;
                prop_assert_eq!(said(&other), Err("binding-mismatch.event-log".to_owned()));
            }
        }
    }

    #[test]
    fn a_log_cut_off_is_refused_or_shorter(log in log(), cut in any::<proptest::sample::Index>()) {
        let bytes = log.bytes();
        let cut = cut.index(bytes.len());
        if let Ok(read) = EventLog::parse(&bytes[..cut], LogKind::Tpm) {
            prop_assert!(read.len() < log.events.len().max(1));
        }
    }

    #[test]
    fn any_bytes_are_answered(bytes in vec(any::<u8>(), 0..600)) {
        let _ = EventLog::parse(&bytes, LogKind::Tpm);
        let _ = EventLog::parse(&[boot::header(&[(0x000c, 48)]), bytes.clone()].concat(), LogKind::Ccel);
        let _ = ImaLog::parse(&bytes);
        let _ = ImaLog::parse(&[&10_u32.to_le_bytes()[..], &bytes].concat());
    }
}
