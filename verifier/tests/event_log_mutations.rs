//! Real logs, changed: none panics, and none that still fits its quote says anything it did not say before. Nothing takes memory
//! without measure.
//!
//! `KEYGATE_FULL=1` tries a million.
#![allow(unsafe_code, reason = "an allocator that counts")]

mod boot;
mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use boot::{EVENT_TAG, Log, header, old_event, put, tagged};
use keygate_verifier::logs::{AllowList, Bank, EventLog, ImaLog, LogKind, MAX_EVENTS, MAX_LOG, Registers};
use serde_json::{Map, Value};
use support::{Rng, cases, mutations, tried, vector, vectors_root};

/// Counts what is held, and the most that ever was.
struct Counting;
static HELD: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is the system allocator's, with the same arguments.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let held = HELD.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        MOST.fetch_max(held, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// One test at a time measures.
static ALONE: Mutex<()> = Mutex::new(());

/// The most bytes that were held at once while `work` ran, beside those before.
fn most(work: impl FnOnce()) -> usize {
    let before = HELD.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    work();
    MOST.load(Ordering::Relaxed).saturating_sub(before)
}

const LIMIT: usize = 64 << 20;

/// A real log with its registers and what is believed of it.
struct Real {
    name: String,
    kind: LogKind,
    bank: Bank,
    bytes: Vec<u8>,
    quoted: Registers,
    believed: Map<String, Value>,
}

fn read(bytes: &[u8], kind: LogKind, bank: Bank, quoted: &Registers) -> Option<Map<String, Value>> {
    let log = EventLog::parse(bytes, kind).ok()?.check(bank, quoted).ok()?;
    if kind == LogKind::Tpm {
        let _ = (log.azure_events(0), log.azure_flags());
    }
    log.claims().ok()
}

fn real() -> Vec<Real> {
    let mut found = Vec::new();
    for case in cases(&["eventlog", "ccel"]) {
        let bytes = case.file("evidence");
        let kind = if case.kind == "ccel" { LogKind::Ccel } else { LogKind::Tpm };
        let log = EventLog::parse(&bytes, kind).unwrap();
        let bank = *log.banks().last().unwrap();
        let quoted = log.replay(bank).unwrap();
        if let Some(believed) = read(&bytes, kind, bank, &quoted) {
            found.push(Real { name: case.id, kind, bank, bytes, quoted, believed });
        }
    }
    if vectors_root().is_some() {
        // Windows, with the separators that its firmware left out.
        let mut log = Log::read_old(&vector("evidence/tpm/tpm-gcp-windows-sha1/eventlog.bin"));
        for register in [0, 4, 5] {
            log.measure(register, boot::SEPARATOR, &[0; 4]);
        }
        let (bytes, quoted) = (log.bytes(), log.registers(Bank::Sha1));
        let believed = log.claims(Bank::Sha1).unwrap();
        found.push(Real { name: "windows".into(), kind: LogKind::Tpm, bank: Bank::Sha1, bytes, quoted, believed });
    }
    found
}

/// Whether the elements of `fewer` stand in `more` in the same order.
fn in_order(fewer: &Value, more: &Value) -> bool {
    let (Some(fewer), Some(more)) = (fewer.as_array(), more.as_array()) else { return false };
    let mut more = more.iter();
    fewer.iter().all(|element| more.any(|other| other == element))
}

/// Nothing new is said: a claim is as it was or missing; lists of images and files may only grow, for what is not shown counts as one;
/// a text may be called a command line beside those that are.
fn says_nothing_new(name: &str, believed: &Map<String, Value>, said: &Map<String, Value>) {
    for (claim, value) in said {
        let before = believed.get(claim);
        let fine = match claim.as_str() {
            "applications" | "boot_files" | "applications_before_separator" => {
                before.is_none_or(|before| in_order(before, value))
            }
            "application_count" => value.as_u64() >= before.and_then(Value::as_u64),
            "kernel_command_lines" => before.is_some_and(|before| in_order(before, value)),
            "grub_commands" => before.is_some(),
            "secure_boot_variables" => {
                let before = before.and_then(Value::as_object).unwrap();
                value.as_object().unwrap().iter().all(|(name, value)| before.get(name) == Some(value))
            }
            _ => before == Some(value),
        };
        assert!(fine, "{name}: `{claim}` is {value}, and was {before:?}");
    }
}

#[test]
fn mutations_of_real_logs_say_nothing_new() {
    let _alone = ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let real = real();
    if real.is_empty() {
        return;
    }
    let (mut rng, count) = (Rng::new(0x7c6), mutations(14_000, 700_000));
    let mut believed = 0;
    let peak = most(|| {
        for turn in 0..count {
            let case = &real[turn % real.len()];
            let mutated = if turn % 3 == 0 { rng.mutated(&case.bytes) } else { in_place(&mut rng, &case.bytes) };
            if let Some(said) = read(&mutated, case.kind, case.bank, &case.quoted) {
                says_nothing_new(&case.name, &case.believed, &said);
                believed += 1;
            }
        }
    });
    assert!(peak < LIMIT, "{peak} bytes");
    assert!(believed > count / 100, "{believed} of {count} still fit their quote: the test must see such logs");
    tried("mutations of event logs", count);
}

/// One to three bytes set, so that lengths mostly hold.
fn in_place(rng: &mut Rng, bytes: &[u8]) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    for _ in 0..=rng.below(2) {
        let at = rng.below(changed.len());
        changed[at] = rng.bits() as u8;
    }
    changed
}

#[test]
fn mutations_of_ima_lists_say_nothing_new() {
    let _alone = ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let Some(case) = cases(&["ima-log"]).into_iter().next() else { return };
    let whole = case.file("evidence");
    let end = whole.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(59).unwrap().0;
    let bytes = &whole[..=end];
    let banks = [Bank::Sha1, Bank::Sha256];
    let quoted = banks.map(|bank| Registers::from([(10, ImaLog::parse(bytes).unwrap().replay(bank))]));
    let (mut rng, count) = (Rng::new(0x1a3), mutations(6_000, 300_000));
    let claims = |bytes: &[u8], turn: usize| {
        let files = ImaLog::parse(bytes).ok()?.check(banks[turn % 2], &quoted[turn % 2]).ok()?;
        let _ = files.azure_events(0);
        Some((files.claims(), files.files_not_in(&AllowList::default())))
    };
    let believed = [claims(bytes, 0).unwrap(), claims(bytes, 1).unwrap()];
    let peak = most(|| {
        for turn in 0..count {
            if let Some(said) = claims(&rng.mutated(bytes), turn) {
                // What was added behind the quoted beginning is counted and no more.
                let (mut said, list) = said;
                said.insert("entries_not_quoted".into(), 0.into());
                assert_eq!((said, list), believed[turn % 2]);
            }
        }
    });
    assert!(peak < LIMIT, "{peak} bytes");
    tried("mutations of IMA lists", count);
}

#[test]
fn the_largest_logs_take_less_than_64_mebibytes() {
    let _alone = ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let whole = |bytes: &[u8], bank: Bank| {
        let peak = most(|| {
            let log = EventLog::parse(bytes, LogKind::Tpm).unwrap();
            let quoted = log.replay(bank).unwrap();
            let log = log.check(bank, &quoted).unwrap();
            let _ = (log.claims(), log.azure_flags());
            let _ = log.azure_events(0);
        });
        assert!(peak < LIMIT, "{peak} bytes for a log of {}", bytes.len());
    };
    // As many events as there may be.
    whole(&old_event(8, 0xd, [1; 20], b"grub_cmd: true\0").repeat(MAX_EVENTS), Bank::Sha1);
    // One event as long as there may be: tagged events of no length, and texts.
    for data in [tagged(0x4001_0001, &tagged(0x0007_0001, &[]).repeat(16_000)), vec![b'x'; MAX_LOG - 1_000]] {
        let mut log = Log::new(&[Bank::Sha256]);
        log.measure(12, EVENT_TAG, &data);
        log.measure(8, 0xd, b"linux /vmlinuz");
        for register in [12, 13, 14] {
            log.measure(register, boot::SEPARATOR, b"WBCL");
        }
        whole(&log.bytes(), Bank::Sha256);
    }
    // What announces more than it has.
    let mut huge = header(&[(0x000b, 32)]);
    put(&mut huge, &[0, 4, u32::MAX]);
    let peak = most(|| drop(EventLog::parse(&huge, LogKind::Tpm).unwrap_err()));
    assert!(peak < 4_096, "{peak}");
    // A list of as many entries as there may be.
    let line = format!("10 {} ima-ng sha256:{} /b\n", "1".repeat(40), "2".repeat(64));
    let list = line.repeat(131_072).into_bytes();
    let peak = most(|| {
        let log = ImaLog::parse(&list).unwrap();
        let value = log.replay(Bank::Sha256);
        let files = log.check(Bank::Sha256, &Registers::from([(10, value)])).unwrap();
        let _ = (files.claims(), files.files_not_in(&AllowList::default()));
    });
    assert!(peak < LIMIT, "{peak} bytes for a list of {}", list.len());
}
