//! What a durable use of a key costs, beside the floor of the disk.
//!
//! `performance-floor.md` section 6; `store-durability.md` D7 and D8. `cargo bench -p keygate-keystore`
//! measures; without `--bench` every case runs once, on small stores.

#[path = "../tests/scene/mod.rs"]
mod scene;

use std::hint::black_box;
use std::io::{Seek, Write};
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use keygate_keystore::*;
use scene::*;

fn measuring() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}

/// Overwriting 4 KiB and flushing it: nothing durable is faster on this disk.
fn floor(criterion: &mut Criterion) {
    let dir = tempfile::tempdir().unwrap();
    let mut file = std::fs::File::create(dir.path().join("floor")).unwrap();
    file.write_all(&[0; 4096]).unwrap();
    file.sync_all().unwrap();
    criterion.bench_function("floor/fdatasync", |bencher| {
        bencher.iter(|| {
            file.rewind().unwrap();
            file.write_all(&[1; 4096]).unwrap();
            file.sync_data().unwrap();
        });
    });
}

/// Reading a row, verifying it, opening both envelopes and parsing the key.
fn open(criterion: &mut Criterion) {
    let scene = Scene::new();
    let mut group = criterion.benchmark_group("open");
    for key_type in [KeyType::Oct256, KeyType::Rsa2048, KeyType::EcP256, KeyType::EcP384] {
        let kid = key_type.as_str();
        let material = KeyMaterial::generate(key_type).unwrap();
        scene
            .store
            .put_service_key(&provider(), ServicePurpose::Receipt, kid, &[], &material, record("service-key"), NOW)
            .unwrap();
        group.bench_function(kid, |bencher| {
            bencher.iter(|| {
                let opened = scene.store.open_service_key(&provider(), ServicePurpose::Receipt, kid);
                black_box(opened.unwrap());
            });
        });
    }
    group.finish();
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

fn perform(criterion: &mut Criterion) {
    let scene = Scene::new();
    scene.store.change(create_key("k", KeyType::Oct256)).unwrap();
    let mut group = criterion.benchmark_group("perform");
    group.throughput(Throughput::Elements(1));
    for clients in [1, 8, 64] {
        group.bench_function(format!("durable_{clients}"), |bencher| {
            bencher.iter_custom(|uses| durable(&scene, clients, uses));
        });
    }
    group.finish();
}

/// A key with its rule and versions out of many.
fn lookup(criterion: &mut Criterion) {
    let sizes = if measuring() { [1_000, 100_000] } else { [10, 100] };
    let mut group = criterion.benchmark_group("lookup");
    for size in sizes {
        let scene = Scene::new();
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..64 {
                scope.spawn(|| {
                    loop {
                        let number = next.fetch_add(1, Ordering::SeqCst);
                        if number >= size {
                            return;
                        }
                        let key = format!("key-{number}");
                        scene.store.change(create_key(&key, KeyType::Oct256)).unwrap();
                    }
                });
            }
        });
        let mut number = 0;
        group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
            bencher.iter(|| {
                number = (number + 7919) % size;
                black_box(scene.view(&format!("key-{number}")));
            });
        });
    }
    group.finish();
}

criterion_group!(benches, floor, open, perform, lookup);
criterion_main!(benches);
