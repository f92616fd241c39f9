//! What replaying a log costs, beside the hashes that no design can leave out. Performance floors, section 4 (event log) and T6.
//!
//! Floor of an event of 100 bytes: one SHA-256 over its payload, one over register and digest. Floor of an IMA entry: the same two over
//! its fields. Result lines are `name, µs, ratio to its floor`; both are measured in the same run and the best round counts.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Instant;

use criterion::Criterion;
use keygate_verifier::logs::{Bank, EventLog, ImaLog, LogKind, Registers};
use openssl::sha::{Sha256, sha256};

#[derive(Default)]
struct Results(RefCell<BTreeMap<String, f64>>);

impl Results {
    fn case(&self, c: &mut Criterion, name: &str, timed: impl Fn()) {
        c.bench_function(name, |bench| {
            bench.iter_custom(|rounds| {
                let start = Instant::now();
                for _ in 0..rounds {
                    timed();
                }
                let total = start.elapsed();
                let micros = total.as_secs_f64() * 1e6 / rounds as f64;
                let mut best = self.0.borrow_mut();
                best.entry(name.to_owned()).and_modify(|known| *known = known.min(micros)).or_insert(micros);
                total
            });
        });
    }

    fn line(&self, name: &str, floor: &str) {
        let best = self.0.borrow();
        if let (Some(micros), Some(floor)) = (best.get(name), best.get(floor)) {
            println!("{name}, {micros:.1}, {:.3}", micros / floor);
        }
    }
}

/// A payload of 100 bytes: a command of GRUB.
fn payload(number: usize) -> String {
    format!("set entry_{number:08}={}", "x".repeat(81))
}

/// Events of firmware that closes its registers, then commands in PCR 8.
fn log(events: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let put = |bytes: &mut Vec<u8>, number: u32| bytes.extend(number.to_le_bytes());
    let mut header = b"Spec ID Event03\0\0\0\0\0\0\x02\0\x02".to_vec();
    put(&mut header, 1);
    header.extend([0x0b, 0, 32, 0, 0]);
    [0, 3].into_iter().for_each(|number| put(&mut bytes, number));
    bytes.extend([0; 20]);
    put(&mut bytes, header.len() as u32);
    bytes.extend(header);
    let event = |bytes: &mut Vec<u8>, register: u32, kind: u32, measured: &[u8], data: &[u8]| {
        [register, kind, 1].into_iter().for_each(|number| put(bytes, number));
        bytes.extend([0x0b, 0]);
        bytes.extend(sha256(measured));
        put(bytes, data.len() as u32);
        bytes.extend(data);
    };
    for register in 0..8 {
        event(&mut bytes, register, 4, &[0; 4], &[0; 4]);
    }
    for number in 8..events {
        let text = payload(number);
        event(&mut bytes, 8, 0xd, text.as_bytes(), format!("grub_cmd: {text}\0").as_bytes());
    }
    bytes
}

fn list(entries: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for number in 0..entries {
        let path = format!("/usr/lib/x86_64-linux-gnu/libexample-{number:06}.so.1");
        let line = format!("10 {} ima-ng sha256:{} {path}\n", "1".repeat(40), "2".repeat(64));
        bytes.extend(line.bytes());
    }
    bytes
}

/// The bare hashes: `fields` bytes and an extend, `count` times.
fn bare(count: usize, fields: usize) {
    let data = vec![0x5a; fields];
    let mut register = [0; 32];
    for _ in 0..count {
        // The one-shot call looks its algorithm up each time, which is no part of a floor.
        let mut hash = Sha256::new();
        hash.update(black_box(&data));
        let digest = hash.finish();
        let mut hash = Sha256::new();
        hash.update(&register);
        hash.update(&digest);
        register = hash.finish();
    }
    black_box(register);
}

fn main() {
    let results = Results::default();
    let mut c = Criterion::default().configure_from_args();
    for events in [100, 1_000, 10_000] {
        let bytes = log(events);
        let quoted = EventLog::parse(&bytes, LogKind::Tpm).unwrap().replay(Bank::Sha256).unwrap();
        let (floor, check, claims) =
            (format!("floor/{events}_events"), format!("check/{events}_events"), format!("claims/{events}_events"));
        results.case(&mut c, &floor, || bare(events, 100));
        results.case(&mut c, &check, || {
            black_box(EventLog::parse(&bytes, LogKind::Tpm).unwrap().check(Bank::Sha256, &quoted).unwrap());
        });
        results.case(&mut c, &claims, || {
            let log = EventLog::parse(&bytes, LogKind::Tpm).unwrap().check(Bank::Sha256, &quoted).unwrap();
            black_box(log.claims().unwrap());
        });
    }
    let bytes = list(10_000);
    let quoted = Registers::from([(10, ImaLog::parse(&bytes).unwrap().replay(Bank::Sha256))]);
    // Fields: 4 + 8 + 32 bytes of digest, 4 and the name with its zero byte.
    results.case(&mut c, "floor/10000_ima_entries", || bare(10_000, 4 + 40 + 4 + 50));
    results.case(&mut c, "check/10000_ima_entries", || {
        black_box(ImaLog::parse(&bytes).unwrap().check(Bank::Sha256, &quoted).unwrap());
    });
    c.final_summary();
    for events in [100, 1_000, 10_000] {
        let floor = format!("floor/{events}_events");
        for case in ["floor", "check", "claims"] {
            results.line(&format!("{case}/{events}_events"), &floor);
        }
    }
    for case in ["floor", "check"] {
        results.line(&format!("{case}/10000_ima_entries"), "floor/10000_ima_entries");
    }
}
