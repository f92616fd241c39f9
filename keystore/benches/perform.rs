//! What a durable use of a key costs, beside the floor of the disk.
//!
//! `performance-floor.md` sections 6 and 8 (T22, T23, T29); `store-durability.md` D7 and D8. `cargo bench -p keygate-keystore`
//! measures; without `--bench` every case runs once, on small stores. `KEYGATE_FULL=1` looks up in a million keys too, which takes
//! some minutes to make. The last lines set medians beside the floor of the same run.

#[path = "../tests/scene/mod.rs"]
mod scene;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::io::{Seek, Write};
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use criterion::Criterion;
use keygate_keystore::*;
use scene::*;

const FLUSH: &str = "floor/fdatasync";
/// Samples of each case; criterion takes others before them, to warm up.
const SAMPLES: usize = 10;
/// Clients that use a key at once.
const CLIENTS: [usize; 3] = [1, 8, 64];
/// Keys in a store, measured and merely tried.
const SIZES: [(&str, usize, usize); 3] =
    [("lookup/1e3", 1_000, 10), ("lookup/1e5", 100_000, 100), ("lookup/1e6", 1_000_000, 100)];

fn measuring() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}

/// Microseconds of each sample of each case, those of the warm-up first.
#[derive(Default)]
struct Results(RefCell<BTreeMap<String, Vec<f64>>>);

impl Results {
    /// A case; `timed` repeats the work so often and says how long that took.
    fn case(&self, criterion: &mut Criterion, name: &str, mut timed: impl FnMut(u64) -> Duration) {
        criterion.bench_function(name, |bencher| {
            bencher.iter_custom(|times| {
                let taken = timed(times);
                let mut samples = self.0.borrow_mut();
                samples.entry(name.to_owned()).or_default().push(taken.as_secs_f64() * 1e6 / times as f64);
                taken
            });
        });
    }

    fn each(&self, criterion: &mut Criterion, name: &str, mut work: impl FnMut()) {
        self.case(criterion, name, |times| {
            let start = Instant::now();
            (0..times).for_each(|_| work());
            start.elapsed()
        });
    }

    fn median(&self, name: &str) -> Option<f64> {
        let samples = self.0.borrow();
        let samples = samples.get(name)?;
        let mut samples = samples[samples.len().saturating_sub(SAMPLES)..].to_vec();
        samples.sort_by(f64::total_cmp);
        samples.get(samples.len() / 2).copied()
    }

    fn line(&self, name: &str, floor: &str) {
        if let (Some(mine), Some(other)) = (self.median(name), self.median(floor)) {
            println!("{name:<20}{mine:>10.1} us, {:.2} x {floor}", mine / other);
        }
    }
}

/// Overwriting 4 KiB and flushing it: nothing durable is faster on this disk.
struct Floor {
    file: std::fs::File,
    _dir: tempfile::TempDir,
}

impl Floor {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut file = std::fs::File::create(dir.path().join("floor")).unwrap();
        file.write_all(&[0; 4096]).unwrap();
        file.sync_all().unwrap();
        Self { file, _dir: dir }
    }

    fn flushes(&mut self, times: u64) -> Duration {
        let start = Instant::now();
        for _ in 0..times {
            self.file.rewind().unwrap();
            self.file.write_all(&[1; 4096]).unwrap();
            self.file.sync_data().unwrap();
        }
        start.elapsed()
    }
}

/// Reading a row, verifying it, opening both envelopes and parsing the key.
fn open(results: &Results, criterion: &mut Criterion) {
    let scene = Scene::new();
    for key_type in [KeyType::Oct256, KeyType::Rsa2048, KeyType::EcP256, KeyType::EcP384] {
        let kid = key_type.as_str();
        let material = KeyMaterial::generate(key_type).unwrap();
        scene
            .store
            .put_service_key(&provider(), ServicePurpose::Receipt, kid, &[], &material, record("service-key"), NOW)
            .unwrap();
        results.each(criterion, &format!("open/{kid}"), || {
            let opened = scene.store.open_service_key(&provider(), ServicePurpose::Receipt, kid);
            black_box(opened.unwrap());
        });
    }
}

/// Time that `uses` uses by `clients` at once take, all of them on the disk.
fn durable(scene: &Scene, clients: usize, uses: u64) -> Duration {
    let left = AtomicUsize::new(usize::try_from(uses).unwrap());
    let gate = Barrier::new(clients + 1);
    std::thread::scope(|scope| {
        for _ in 0..clients {
            scope.spawn(|| {
                gate.wait();
                while left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok() {
                    let permit = Permit::for_key(&scene.store, "k");
                    black_box(scene.store.perform(permit.usage(wrap_use())).unwrap());
                }
            });
        }
        gate.wait();
        Instant::now()
    })
    .elapsed()
}

fn perform(results: &Results, criterion: &mut Criterion, floor: &mut Floor) {
    let scene = Scene::new();
    scene.store.change(create_key("k", KeyType::Oct256)).unwrap();
    results.case(criterion, FLUSH, |times| floor.flushes(times));
    for clients in CLIENTS {
        results.case(criterion, &format!("perform/durable_{clients}"), |uses| durable(&scene, clients, uses));
    }
    if measuring() {
        turns(&scene, floor);
    }
}

/// Flushes and durable uses by turns, as a disk is another one from minute to minute: medians of the ratios of each round.
fn turns(scene: &Scene, floor: &mut Floor) {
    let mut rounds: Vec<[f64; 4]> = Vec::new();
    for _ in 0..15 {
        let each = |taken: Duration, times: u64| taken.as_secs_f64() * 1e6 / times as f64;
        let flush = each(floor.flushes(64), 64);
        let [one, eight, many] = CLIENTS.map(|clients| {
            let uses = 32 * clients as u64;
            each(durable(scene, clients, uses), uses)
        });
        rounds.push([flush, one, eight, many]);
    }
    let median = |figure: &dyn Fn(&[f64; 4]) -> f64| {
        let mut all: Vec<f64> = rounds.iter().map(figure).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    println!("\nby turns: F {:.0} us, one durable use alone {:.2} F", median(&|r| r[0]), median(&|r| r[1] / r[0]));
    for (place, clients) in [(2, 8), (3, 64)] {
        let (often, flush) = (median(&|r| r[1] / r[place]), median(&|r| r[place] / r[0]));
        println!("{clients} clients: {often:.1} times as many a second as one, {flush:.3} F each");
    }
}

/// Makes `count` keys, many at once so that they share flushes.
fn filled(count: usize) -> Scene {
    let scene = Scene::new();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    if number >= count {
                        return;
                    }
                    scene.store.change(create_key(&format!("key-{number}"), KeyType::Oct256)).unwrap();
                }
            });
        }
    });
    scene
}

/// A key with its rule and versions out of many.
fn lookup(results: &Results, criterion: &mut Criterion) {
    for (name, size, small) in SIZES {
        if size > 100_000 && std::env::var_os("KEYGATE_FULL").is_none() {
            continue;
        }
        let size = if measuring() { size } else { small };
        let began = Instant::now();
        let scene = filled(size);
        if measuring() {
            println!("{size} keys made in {:.1} s", began.elapsed().as_secs_f64());
        }
        let mut number = 0;
        results.each(criterion, name, || {
            number = (number + 7919) % size;
            black_box(scene.view(&format!("key-{number}")));
        });
    }
}

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(SAMPLES)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    let results = Results::default();
    open(&results, &mut criterion);
    perform(&results, &mut criterion, &mut Floor::new());
    lookup(&results, &mut criterion);
    criterion.final_summary();
    if measuring() {
        println!();
        for (name, ..) in SIZES {
            results.line(name, "lookup/1e3");
        }
    }
}
