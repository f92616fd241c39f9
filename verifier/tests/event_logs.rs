//! Event logs of real machines: what their registers hold, what is believed of them, and what is refused.
//!
//! Manifest entries of kind `eventlog` and `ccel`, the logs of `tpm-quote`, and the table of `trustee/MANIFEST.md`, section ccel.

mod support;

use keygate_verifier::logs::{Bank, EventLog, LogKind, Registers};
use serde_json::Value;
use support::{cases, unhex, vector, vectors_root};

/// Values of one bank from an object of the manifest.
fn registers(values: &Value) -> Registers {
    values
        .as_object()
        .expect("an object of registers")
        .iter()
        .map(|(index, value)| (index.parse().expect("a number"), unhex(value.as_str().expect("hex"))))
        .collect()
}

/// What a check says: `believed` or the full code.
fn verdict(bytes: &[u8], kind: LogKind, bank: Bank, quoted: &Registers) -> String {
    let checked = EventLog::parse(bytes, kind).and_then(|log| log.check(bank, quoted));
    match checked.and_then(|log| log.claims()) {
        Ok(_) => "believed".into(),
        Err(refused) => refused.full_code(),
    }
}

/// Old virtual firmware of one cloud closed PCR 7 alone: such a log replays, and is refused.
const WITHOUT_SEPARATORS: [&str; 2] = ["log-sb_cert", "tpm-gcp-windows-sha1"];

#[test]
fn every_log_of_the_manifest_gives_its_registers_and_its_verdict() {
    let mut rows = 0;
    for case in cases(&["eventlog", "ccel"]) {
        let bytes = case.file("evidence");
        let kind = if case.kind == "ccel" { LogKind::Ccel } else { LogKind::Tpm };
        let log = EventLog::parse(&bytes, kind).unwrap_or_else(|e| panic!("{}: {e}", case.id));
        let banks = case.claims()["registers"].as_object().unwrap();
        assert_eq!(log.banks().len(), banks.len(), "{}", case.id);
        for (bank, expected) in banks {
            let bank = Bank::parse(bank).unwrap();
            let expected = registers(expected);
            assert_eq!(log.replay(bank).unwrap(), expected, "{} {}", case.id, bank.as_str());
            let said = verdict(&bytes, kind, bank, &expected);
            let wanted =
                if WITHOUT_SEPARATORS.contains(&&*case.id) { "malformed.event-log-separators" } else { "believed" };
            println!("{:44} {:7} {:3} events  {said}", case.id, bank.as_str(), log.len());
            assert_eq!(said, wanted, "{}", case.id);
            // The twin: one bit of one register.
            for register in expected.keys() {
                let mut other = expected.clone();
                other.get_mut(register).unwrap()[0] ^= 1;
                assert_eq!(verdict(&bytes, kind, bank, &other), "binding-mismatch.event-log", "{} {register}", case.id);
                other.remove(register);
                assert_eq!(verdict(&bytes, kind, bank, &other), "binding-mismatch.event-log", "{} {register}", case.id);
            }
            rows += 1;
        }
    }
    assert!(rows >= 35 || vectors_root().is_none(), "{rows} rows");
}

#[test]
fn logs_beside_real_quotes_are_held_against_their_registers() {
    for case in cases(&["tpm-quote"]).into_iter().filter(|case| case.files.contains_key("eventlog")) {
        let bytes = case.file("eventlog");
        let (bank, values) = case.claims()["pcrs"].as_object().unwrap().iter().next().unwrap();
        let (bank, quoted) = (Bank::parse(bank).unwrap(), registers(values));
        let log = EventLog::parse(&bytes, LogKind::Tpm).unwrap();
        let replayed = log.replay(bank).unwrap();
        let equal: Vec<u32> = case.claims()["eventlog_replay_equals_pcrs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|index| u32::try_from(index.as_u64().unwrap()).unwrap())
            .collect();
        assert_eq!(replayed.keys().copied().collect::<Vec<_>>(), equal, "{}", case.id);
        assert!(equal.iter().all(|index| replayed[index] == quoted[index]), "{}", case.id);
        let wanted =
            if WITHOUT_SEPARATORS.contains(&&*case.id) { "malformed.event-log-separators" } else { "believed" };
        println!("{:44} {:7} {:3} events  {wanted}", case.id, bank.as_str(), log.len());
        assert_eq!(verdict(&bytes, LogKind::Tpm, bank, &quoted), wanted, "{}", case.id);
    }
}

/// `trustee/MANIFEST.md`, section ccel: RTMR 0 to 3 of logs with the padding of their tables.
#[test]
fn padded_tables_of_tdx_guests_give_the_published_registers() {
    if vectors_root().is_none() {
        support::skipped("the table of trustee's logs", 6);
        return;
    }
    let manifest = String::from_utf8(vector("trustee/MANIFEST.md")).unwrap();
    let mut rows = 0;
    for line in manifest.lines().filter(|line| line.starts_with("| CCEL_data")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(|cell| cell.trim().trim_matches('`')).collect();
        let bytes = vector(&format!("trustee/ccel/{}", cells[0]));
        let quoted: Registers = (1..=4)
            .zip(&cells[1..5])
            .map(|(index, value)| (index, if *value == "0" { vec![0; 48] } else { unhex(value) }))
            .collect();
        let log = EventLog::parse(&bytes, LogKind::Ccel).unwrap();
        for (index, value) in log.replay(Bank::Sha384).unwrap() {
            assert_eq!(value, quoted[&index], "{} {index}", cells[0]);
        }
        assert_eq!(verdict(&bytes, LogKind::Ccel, Bank::Sha384, &quoted), "believed", "{}", cells[0]);
        println!("{:44} sha384  {:3} events  believed", cells[0], log.len());
        // The padding is of one byte; another one inside is no padding.
        let mut other = bytes.clone();
        let last = other.len() - 1;
        other[last] ^= 0x55;
        assert!(EventLog::parse(&other, LogKind::Ccel).is_err(), "{}", cells[0]);
        rows += 1;
    }
    assert_eq!(rows, 5);
    // The log of an attestation agent, which extends RTMR 3: eight bytes of padding, and the registers of the manifest's entry.
    let bytes = vector("trustee/ccel/CCEL_AAEL_alibabacloud");
    let trimmed = vector("evidence/eventlog/ccel-aael-alibabacloud.bin");
    assert_eq!(bytes.len(), trimmed.len() + 8);
    let replay = |bytes: &[u8]| EventLog::parse(bytes, LogKind::Ccel).unwrap().replay(Bank::Sha384).unwrap();
    assert_eq!(replay(&bytes), replay(&trimmed));
    assert_eq!(verdict(&bytes, LogKind::Ccel, Bank::Sha384, &replay(&bytes)), "believed");
    // SM3 alone: nothing that is served can be replayed.
    let bytes = vector("trustee/ccel/CCEL_data_csv");
    let log = EventLog::parse(&bytes, LogKind::Ccel).unwrap();
    assert!(log.banks().is_empty());
    assert_eq!(log.replay(Bank::Sha384).unwrap_err().full_code(), "unsupported.event-log-bank");
}
