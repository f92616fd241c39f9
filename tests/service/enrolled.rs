//! Enrolled machines at use: the record and the clock of a key. Threat model P6, P7; `bad-inputs.md` TPM-09, TPM-19, TPM-20.

use keygate::broker::*;
use keygate_keystore::{Change, FileRoot, Keystore};
use keygate_verifier::AnchorPurpose;
use serde_json::json;

use super::broker::*;
use super::enrolment::{Fleet, is, refused};
use super::machine::Machine;

#[tokio::test]
async fn a_record_outlives_a_restart_and_a_restore() {
    let (fleet, machine) = (Fleet::new(), Machine::new());
    fleet.enrol(&machine, "web-1").await.unwrap();
    let fleet = fleet.reopened("store.db");
    assert_eq!(fleet.ask(&machine).await, None);
    let (backup, root) =
        (fleet.house.dir.path().join("backup"), FileRoot::new(fleet.house.dir.path().join("root.key")));
    fleet.house.keystore.backup(&backup, NOW).unwrap();
    Keystore::restore(&backup, &fleet.house.dir.path().join("restored.db"), &root, NOW).unwrap();
    let fleet = fleet.reopened("restored.db");
    assert_eq!(fleet.ask(&machine).await, None);
    assert_eq!(fleet.ask(&Machine::new()).await, is(Code::ChainUntrusted, "attestation-key"));
}

#[tokio::test]
async fn a_record_is_over_with_the_anchor_that_vouched_and_a_session_of_it_too() {
    let (fleet, machine) = (Fleet::new(), Machine::new());
    fleet.key("session", json!({"freshness": "session"}));
    fleet.enrol(&machine, "web-1").await.unwrap();
    let token = fleet.token(&machine).await.unwrap();
    // An anchor of that name for attestation vouches for no endorsement key.
    let root = fleet.maker.root();
    let fleet = fleet.reopened_with("store.db", |anchors| {
        anchors.add_for("fleet", EvidenceKind::Tpm, AnchorPurpose::Attestation, &root).unwrap();
    });
    let by_token = |fleet: &Fleet| {
        let request = fleet.workload.release_by_token(&fleet.house, "session", &token);
        let broker = std::sync::Arc::clone(&fleet.house.broker);
        async move { refused(broker.use_key(request).await) }
    };
    assert_eq!(fleet.ask(&machine).await, is(Code::ChainUntrusted, "attestation-key"));
    assert_eq!(by_token(&fleet).await, is(Code::ChainUntrusted, "enrolment"));
    // What was recorded is there still, for an operator who takes the anchor back.
    let fleet = fleet.reopened("store.db");
    assert_eq!((fleet.ask(&machine).await, by_token(&fleet).await), (None, None));
}

#[tokio::test]
async fn a_record_is_over_with_its_time_and_a_session_of_it_too() {
    let (fleet, machine) = (Fleet::new(), Machine::new());
    fleet.key("session", json!({"freshness": "session"}));
    fleet.enrol(&machine, "web-1").await.unwrap();
    let end = NOW + 365 * 86_400;
    fleet.house.clock.set(end - 60);
    assert_eq!(fleet.ask(&machine).await, None);
    let token = fleet.token(&machine).await.unwrap();
    let by_token = || fleet.house.broker.use_key(fleet.workload.release_by_token(&fleet.house, "session", &token));
    assert_eq!(refused(by_token().await), None);
    fleet.house.clock.set(end);
    assert_eq!(fleet.ask(&machine).await, is(Code::ChainUntrusted, "attestation-key"));
    assert!(by_token().await.is_err());
    // Enrolled again, it counts again.
    fleet.enrol(&machine, "web-1").await.unwrap();
    assert_eq!(fleet.ask(&machine).await, None);
}

#[tokio::test]
async fn tpm_20_a_removed_record_counts_no_more_with_the_next_use_of_evidence_and_of_sessions() {
    let (fleet, machine) = (Fleet::new(), Machine::new());
    fleet.key("session", json!({"freshness": "session"}));
    fleet.enrol(&machine, "web-1").await.unwrap();
    let token = fleet.token(&machine).await.unwrap();
    let by_token = || fleet.house.broker.use_key(fleet.workload.release_by_token(&fleet.house, "session", &token));
    assert_eq!((fleet.ask(&machine).await, refused(by_token().await)), (None, None));
    fleet.house.change(Change::RemoveEnrolment { machine: "web-1".to_owned() });
    assert_eq!(fleet.ask(&machine).await, is(Code::ChainUntrusted, "attestation-key"));
    assert_eq!(refused(by_token().await), is(Code::ChainUntrusted, "enrolment"));
    assert_eq!(fleet.token(&machine).await.unwrap_err().code, Code::ChainUntrusted);
    fleet.enrol(&machine, "web-1").await.unwrap();
    assert_eq!((fleet.ask(&machine).await, refused(by_token().await)), (None, None));
}

#[tokio::test]
async fn tpm_19_a_record_that_cannot_be_read_is_no_record() {
    let (fleet, machine) = (Fleet::new(), Machine::new());
    fleet.enrol(&machine, "web-1").await.unwrap();
    assert_eq!(fleet.ask(&machine).await, None);
    let file = rusqlite::Connection::open(fleet.house.dir.path().join("store.db")).unwrap();
    file.execute_batch("UPDATE enrolments SET expires = expires + 1").unwrap();
    assert_eq!(fleet.ask(&machine).await.map(|(code, _)| code), Some(Code::StoreCorrupt));
    file.execute_batch("UPDATE enrolments SET expires = expires - 1").unwrap();
    assert_eq!(fleet.ask(&machine).await, None);
}

#[tokio::test]
async fn tpm_09_a_tpm_that_says_an_older_time_is_refused_after_a_restart_too() {
    let (fleet, mut machine) = (Fleet::new(), Machine::new());
    fleet.enrol(&machine, "web-1").await.unwrap();
    assert_eq!(fleet.clock_of(&machine), None);
    assert_eq!(fleet.ask(&machine).await, None);
    let seen = fleet.clock_of(&machine);
    let (clock, restarts, resets) = (machine.clock, machine.restart_count, machine.reset_count);
    let older = [
        (clock - 1, restarts, resets, "clock"),
        (clock + 9, restarts - 1, resets, "restart-count"),
        (clock + 9, restarts + 9, resets - 1, "reset-count"),
    ];
    let fleet = {
        for (clock, restarts, resets, part) in older {
            (machine.clock, machine.restart_count, machine.reset_count) = (clock, restarts, resets);
            assert_eq!(fleet.ask(&machine).await, is(Code::FreshnessFailed, part));
            assert_eq!(fleet.token(&machine).await.unwrap_err().code, Code::FreshnessFailed, "{part}");
        }
        assert_eq!(fleet.clock_of(&machine), seen, "a refused use changes nothing");
        fleet.reopened("store.db")
    };
    for (clock, restarts, resets, part) in older {
        (machine.clock, machine.restart_count, machine.reset_count) = (clock, restarts, resets);
        assert_eq!(fleet.ask(&machine).await, is(Code::FreshnessFailed, part), "after a restart");
    }
    for (clock, restarts, resets) in
        [(clock, restarts, resets), (clock + 1, restarts, resets), (0, restarts + 1, resets), (0, 0, resets + 1)]
    {
        (machine.clock, machine.restart_count, machine.reset_count) = (clock, restarts, resets);
        assert_eq!(fleet.ask(&machine).await, None);
    }
    // A cleared TPM begins anew: an operator ends the record, and it is enrolled again.
    (machine.clock, machine.restart_count, machine.reset_count) = (0, 0, 0);
    assert_eq!(fleet.ask(&machine).await, is(Code::FreshnessFailed, "reset-count"));
}

#[tokio::test]
async fn a_use_that_is_denied_moves_no_clock() {
    let (fleet, mut machine) = (Fleet::new(), Machine::new());
    fleet.enrol(&machine, "web-1").await.unwrap();
    machine.pcr = [1; 32];
    assert_eq!(fleet.ask(&machine).await.map(|(code, _)| code), Some(Code::NotReleased));
    assert_eq!(fleet.clock_of(&machine), None);
    machine.pcr = [0x7a; 32];
    machine.clock -= 1;
    assert_eq!(fleet.ask(&machine).await, None);
    // A token moves it, as a release does.
    machine.clock += 5;
    fleet.token(&machine).await.unwrap();
    assert_eq!(fleet.clock_of(&machine).map(|seen| seen.clock), Some(machine.clock));
}
