//! The library against a source that counts, and a disk that is there.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use keygate_verifier::{CollateralId, Endorsements, IntelTee, SignedDocument};

use super::source::BoxFuture;
use super::*;
use crate::clock::StillClock;

const NOW: i64 = 1_800_000_000;

struct Counting {
    fetches: Arc<AtomicUsize>,
    number: Arc<AtomicUsize>,
    fail: bool,
}

impl Source for Counting {
    fn serves(&self, id: &CollateralId) -> bool {
        matches!(id, CollateralId::IntelTcbInfo { .. })
    }
    fn fetch<'a>(&'a self, id: &'a CollateralId) -> BoxFuture<'a, Result<Endorsements, SourceError>> {
        Box::pin(async move {
            self.fetches.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(20)).await;
            if self.fail {
                return Err(SourceError::new(id, "black hole"));
            }
            let number = self.number.load(Ordering::SeqCst);
            let ends = UnixTime::from_secs(NOW + if number < 17 { -1 } else { 86_400 });
            let text = format!(r#"{{"tcbEvaluationDataNumber":{number},"nextUpdate":"{ends}"}}"#);
            let mut held = Endorsements::default();
            held.add_tcb_info(Arc::new(SignedDocument::new(text.into_bytes(), vec![0; 64], Vec::new())));
            Ok(held)
        })
    }
}

fn id(last: u8) -> CollateralId {
    CollateralId::IntelTcbInfo { tee: IntelTee::Tdx, fmspc: [0, 0, 0, 0, 0, last] }
}

fn library(fail: bool, each: u32, cache: Option<PathBuf>) -> (Library, Arc<AtomicUsize>, Arc<AtomicUsize>) {
    let (fetches, number) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(17)));
    let source = Counting { fetches: Arc::clone(&fetches), number: Arc::clone(&number), fail };
    let setup = LibrarySetup {
        offline: Endorsements::default(),
        sources: vec![Box::new(source)],
        cache,
        fetches_per_minute: 1_000,
        fetches_per_source: each,
        clock: Arc::new(StillClock::at(NOW)),
    };
    (Library::new(setup), fetches, number)
}

#[tokio::test]
async fn a_hundred_that_want_the_same_cost_one_fetch() {
    let (library, fetches, _) = library(false, 1_000, None);
    let (library, ids) = (Arc::new(library), [id(1)]);
    let all = (0..100).map(|_| library.fetch(&ids, "10.0.0.0/24"));
    for held in futures_util::future::join_all(all).await {
        assert_eq!(held.unwrap().len(), 1);
    }
    assert_eq!(fetches.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn env_12_a_miss_is_remembered_for_seconds_and_not_for_ever() {
    let (library, fetches, _) = library(true, 1_000, None);
    for _ in 0..10 {
        assert!(library.fetch(&[id(1)], "a").await.is_err());
    }
    assert_eq!(fetches.load(Ordering::SeqCst), 1);
    assert!(MISS_REMEMBERED <= Duration::from_secs(5));
}

#[tokio::test]
async fn a_stranger_spends_its_own_budget_only() {
    let (library, fetches, _) = library(false, 2, None);
    for chip in 0..10 {
        let _ = library.fetch(&[id(chip)], "stranger").await;
    }
    assert_eq!(fetches.load(Ordering::SeqCst), 2);
    assert!(library.fetch(&[id(100)], "neighbour").await.is_ok());
}

#[tokio::test]
async fn sgx_18_a_refresh_never_takes_something_older() {
    let (library, _, number) = library(false, 1_000, None);
    library.fetch(&[id(1)], "a").await.unwrap();
    number.store(16, Ordering::SeqCst);
    assert_eq!(library.refresh().await, 0);
    number.store(18, Ordering::SeqCst);
    assert_eq!(library.refresh().await, 1);
}

#[tokio::test]
async fn env_08_what_was_fetched_once_is_there_after_a_restart_without_a_network() {
    let folder = tempfile::tempdir().unwrap();
    let kept = Some(folder.path().join("kept"));
    let (first, ..) = library(false, 10, kept.clone());
    let fetched = first.fetch(&[id(1)], "a").await.unwrap();
    let (second, fetches, _) = library(true, 10, kept);
    let read = second.fetch(&[id(1)], "a").await.unwrap();
    assert_eq!(fetches.load(Ordering::SeqCst), 0);
    assert_eq!(read.to_archive(), fetched.to_archive());
    assert!(second.fetch(&[id(2)], "a").await.is_err());
}

#[tokio::test]
async fn what_has_ended_is_fetched_anew_after_a_restart_too() {
    let folder = tempfile::tempdir().unwrap();
    let kept = Some(folder.path().join("kept"));
    let (first, _, number) = library(false, 100, kept.clone());
    number.store(16, Ordering::SeqCst);
    let ended = first.fetch(&[id(1)], "a").await.unwrap();
    let (second, fetches, _) = library(false, 100, kept.clone());
    let renewed = second.fetch(&[id(1)], "a").await.unwrap();
    assert_eq!(fetches.load(Ordering::SeqCst), 1);
    assert_ne!(renewed.to_archive(), ended.to_archive());
    second.fetch(&[id(1)], "a").await.unwrap();
    assert_eq!(fetches.load(Ordering::SeqCst), 1, "in force: no fetch");
    let (third, ..) = library(true, 100, kept);
    assert!(third.fetch(&[id(1)], "a").await.is_ok(), "a service that is down takes nothing away");
}
