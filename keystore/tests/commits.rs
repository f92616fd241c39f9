//! What becomes true in one commit: group commit, challenges, repeats, the epoch.
//!
//! `store-durability.md` section 6.2; properties P25, P42 of `threat-model.md`.

mod scene;

use std::sync::Barrier;

use keygate_keystore::*;
use scene::*;

fn with_key() -> Scene {
    let scene = Scene::new();
    scene.store.change(create_key("k", KeyType::Oct256)).unwrap();
    scene
}

#[test]
fn a_use_takes_at_most_six_statements_and_one_flush() {
    let scene = with_key();
    // The first one also forgets what is old.
    scene.use_once("k", wrap_use()).unwrap();
    let permit = Permit::for_key(&scene.store, "k").spending(1).named("r", 1);
    let before = scene.store.counters();
    scene.store.perform(permit.usage(wrap_use())).unwrap();
    let after = scene.store.counters();
    assert_eq!(after.flushes - before.flushes, 1);
    // Begin, head and commit belong to the group.
    assert!(after.statements - before.statements <= 6 + 3);
    assert_eq!(after.requests - before.requests, 1);
}

#[test]
fn a_use_by_the_rows_of_its_decision_reads_the_store_once() {
    let scene = with_key();
    scene.use_once("k", wrap_use()).unwrap();
    let before = scene.store.counters();
    let look = scene.store.look_version(&provider(), &name("k"), None).unwrap();
    let permit = Permit::of(&look);
    scene.store.perform(permit.usage(wrap_use()).having_read(look.read)).unwrap();
    let after = scene.store.counters();
    assert_eq!(after.reads - before.reads, 1);
    assert_eq!(after.flushes - before.flushes, 1);
    // Begin, rows, record, head, commit.
    assert_eq!(after.statements - before.statements, 5);
}

#[test]
fn rows_of_another_key_version_or_state_are_not_used() {
    let scene = Scene::new();
    scene.store.change(import_secret("a", b"secret of a")).unwrap();
    scene.store.change(import_secret("b", b"secret of b")).unwrap();
    let look = |key: &str| scene.store.look_version(&provider(), &name(key), None).unwrap();
    let release = |permit: Permit, read| {
        let performed = scene.store.perform(permit.usage(Use::Release).having_read(read))?;
        Ok::<_, KeystoreError>(unwrap_with(recipient(), performed.outcome.wrapped.as_ref().unwrap()).unwrap().to_vec())
    };
    assert_eq!(release(Permit::of(&look("a")), look("a").read).unwrap(), b"secret of a");
    // The rows that the order names are read instead.
    assert_eq!(release(Permit::of(&look("a")), look("b").read).unwrap(), b"secret of a");
    let other = |change: fn(&mut Permit)| {
        let mut permit = Permit::of(&look("a"));
        change(&mut permit);
        release(permit, look("a").read).err().map(|e| e.code())
    };
    assert_eq!(other(|_| {}), None);
    assert_eq!(other(|p| p.seen.key_row += 1), Some("conflict"));
    assert_eq!(other(|p| p.seen.version_row += 1), Some("conflict"));
    assert_eq!(other(|p| p.target.version = VersionId::from_bytes([1; 16])), Some("key-not-found"));
    assert_eq!(other(|p| p.target.provider = ProviderId::parse("other").unwrap()), Some("key-not-found"));

    // Read before a change: the commit, which knows the rows as they are, refuses.
    let disabled = AttributeChanges { enabled: Some(false), ..Default::default() };
    let before = look("a");
    scene.store.change(order(Change::SetAttributes { name: name("a"), changes: disabled })).unwrap();
    let requests = scene.store.counters().requests;
    assert_eq!(release(Permit::of(&before), before.read).unwrap_err(), KeystoreError::EpochMoved);
    // It is noticed before the key is opened, without the writer.
    assert_eq!(scene.store.counters().requests, requests);
    // Whoever claims the new epoch for old rows is refused by the commit, which compares the rows themselves.
    let old = look("b");
    scene
        .store
        .change(order(Change::SetAttributes {
            name: name("b"),
            changes: AttributeChanges { enabled: Some(false), ..Default::default() },
        }))
        .unwrap();
    let permit = Permit { seen: Seen { epoch: look("b").epoch, ..Permit::of(&old).seen }, ..Permit::of(&old) };
    assert_eq!(release(permit, old.read).unwrap_err(), KeystoreError::EpochMoved);
}

#[test]
fn many_at_once_share_flushes_and_each_is_acknowledged_once() {
    let scene = with_key();
    let permits: Vec<Authorized> =
        (0..64).map(|i| Permit::for_key(&scene.store, "k").spending(i).usage(wrap_use())).collect();
    let before = scene.store.counters();
    // The writer is kept busy while all of them queue up behind it.
    let gate = Barrier::new(65);
    let mut seqs = std::thread::scope(|scope| {
        let users: Vec<_> = permits
            .into_iter()
            .map(|permit| {
                let (store, gate) = (&scene.store, &gate);
                scope.spawn(move || {
                    gate.wait();
                    store.perform(permit).unwrap().entry.seq
                })
            })
            .collect();
        gate.wait();
        let seqs: Vec<u64> = users.into_iter().map(|u| u.join().unwrap()).collect();
        seqs
    });
    let after = scene.store.counters();
    seqs.sort_unstable();
    assert_eq!(seqs, (2..66).collect::<Vec<u64>>());
    let flushes = after.flushes - before.flushes;
    assert!(flushes < 64, "{flushes} flushes for 64 uses");
    assert!(matches!(scene.store.verify_journal(&mut |_, _| {}).unwrap(), JournalVerdict::Intact { entries: 65, .. }));
}

#[test]
fn sixty_four_replays_of_one_challenge_give_one_success() {
    let scene = with_key();
    let gate = Barrier::new(64);
    let results: Vec<_> = std::thread::scope(|scope| {
        let users: Vec<_> = (0..64)
            .map(|_| {
                let permit = Permit::for_key(&scene.store, "k").spending(7);
                let (store, gate) = (&scene.store, &gate);
                scope.spawn(move || {
                    gate.wait();
                    store.perform(permit.usage(wrap_use())).map(|p| p.entry.seq)
                })
            })
            .collect();
        users.into_iter().map(|u| u.join().unwrap()).collect()
    });
    assert_eq!(results.iter().filter(|r| r.is_ok()).count(), 1);
    for refused in results.into_iter().filter_map(Result::err) {
        assert_eq!(refused, KeystoreError::ChallengeSpent);
    }
    assert!(scene.store.challenge_spent(&[7; 32]).unwrap());
    assert!(!scene.store.challenge_spent(&[8; 32]).unwrap());
    // A refusal undid nothing and recorded nothing: one change, one use.
    assert_eq!(scene.store.head().unwrap().seq, 2);
}

#[test]
fn a_challenge_stays_spent_after_a_restart_and_when_it_is_forgotten() {
    let scene = with_key();
    let spend = |scene: &Scene| {
        let permit = Permit::for_key(&scene.store, "k").spending(7);
        scene.store.perform(permit.usage(wrap_use())).map(|_| ())
    };
    spend(&scene).unwrap();
    let scene = scene.close().reopen();
    assert_eq!(spend(&scene), Err(KeystoreError::ChallengeSpent));
    // Its end and the grace are over: the row goes, the challenge stays useless.
    let mut late = record("event");
    late.at = NOW + 300 + 301;
    scene.store.record(late).unwrap();
    assert!(!scene.store.challenge_spent(&[7; 32]).unwrap());
    assert_eq!(spend(&scene), Err(KeystoreError::ChallengeSpent));
    scene.store.check(&mut |_, _| {}).unwrap();
}

#[test]
fn key_17_a_repeat_gets_the_same_answer_and_another_body_a_conflict() {
    let scene = Scene::new();
    scene.store.change(import_secret("k", b"secret")).unwrap();
    let once = |body| {
        let permit = Permit::for_key(&scene.store, "k").spending(7).named("request", body);
        scene.store.perform(permit.usage(Use::Release))
    };
    let first = once(1).unwrap();
    let flushes = scene.store.counters().flushes;
    let second = once(1).unwrap();
    assert!(!first.repeat && second.repeat);
    assert_eq!(first.outcome, second.outcome);
    assert_eq!(first.entry, second.entry);
    assert_eq!(once(2).err().unwrap().code(), "conflict");
    assert_eq!(scene.store.counters().flushes, flushes);
    assert_eq!(scene.store.head().unwrap().seq, 2);

    let asked = |key: &str, body: u8, now: i64| scene.store.repeat(&provider(), key, &[body; 32], now).unwrap();
    let Repeated::Answer(answer) = asked("request", 1, NOW) else { panic!("the answer is kept") };
    let outcome: Outcome = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(outcome, first.outcome);
    assert_eq!(asked("request", 2, NOW), Repeated::OtherBody);
    assert_eq!(asked("another", 1, NOW), Repeated::New);
    assert_eq!(asked("request", 1, NOW + 300), Repeated::New);
    let other = ProviderId::parse("other").unwrap();
    let elsewhere = scene.store.repeat(&other, "request", &[1; 32], NOW);
    assert_eq!(elsewhere.unwrap(), Repeated::New);
}

#[test]
fn parallel_repeats_all_get_the_one_answer() {
    let scene = Scene::new();
    scene.store.change(import_secret("k", b"secret")).unwrap();
    let gate = Barrier::new(16);
    let done: Vec<Performed> = std::thread::scope(|scope| {
        let users: Vec<_> = (0..16)
            .map(|_| {
                let permit = Permit::for_key(&scene.store, "k").spending(7).named("request", 1);
                let (store, gate) = (&scene.store, &gate);
                scope.spawn(move || {
                    gate.wait();
                    store.perform(permit.usage(Use::Release)).unwrap()
                })
            })
            .collect();
        users.into_iter().map(|u| u.join().unwrap()).collect()
    });
    assert_eq!(done.iter().filter(|p| !p.repeat).count(), 1);
    assert!(done.iter().all(|p| p.outcome == done[0].outcome));
    assert_eq!(scene.store.head().unwrap().seq, 2);
}

#[test]
fn a_repeated_change_is_done_once() {
    let scene = Scene::new();
    let once = |body: u8| {
        let mut order = create_key("k", KeyType::Oct256);
        order.repeat = Some(RepeatKey { key: "request".to_owned(), body_digest: [body; 32], until: NOW + 86_400 });
        scene.store.change(order)
    };
    let first = once(1).unwrap();
    let second = once(1).unwrap();
    assert!(!first.repeat && second.repeat);
    assert_eq!(first.etag, second.etag);
    assert_eq!(first.entry, second.entry);
    assert_eq!(first.key, second.key);
    assert_eq!(once(2).unwrap_err().code(), "conflict");
    assert_eq!(scene.store.head().unwrap().seq, 1);
}

#[test]
fn key_18_the_first_answer_outlives_a_restart() {
    let scene = Scene::new();
    scene.store.change(import_secret("k", b"secret")).unwrap();
    let once = |scene: &Scene| {
        let permit = Permit::for_key(&scene.store, "k").spending(7).named("request", 1);
        scene.store.perform(permit.usage(Use::Release)).unwrap()
    };
    let first = once(&scene);
    let scene = scene.close().reopen();
    let again = once(&scene);
    assert!(again.repeat);
    assert_eq!(first.outcome, again.outcome);
    assert_eq!(first.entry, again.entry);
}

#[test]
fn key_19_of_two_parallel_creates_one_wins() {
    let scene = Scene::new();
    let gate = Barrier::new(8);
    let made: Vec<_> = std::thread::scope(|scope| {
        let authors: Vec<_> = (0..8)
            .map(|_| {
                let (store, gate) = (&scene.store, &gate);
                scope.spawn(move || {
                    gate.wait();
                    store.change(create_key("k", KeyType::Oct256))
                })
            })
            .collect();
        authors.into_iter().map(|a| a.join().unwrap()).collect()
    });
    assert_eq!(made.iter().filter(|m| m.is_ok()).count(), 1);
    for refused in made.into_iter().filter_map(Result::err) {
        assert_eq!(refused.code(), "conflict");
    }
    assert_eq!(scene.store.head().unwrap().seq, 1);
}

#[test]
fn whatever_changes_after_the_decision_stops_the_use() {
    let scene = with_key();
    scene.store.change(create_key("other", KeyType::Oct256)).unwrap();
    let k = || name("k");
    let attributes = |changes| Change::SetAttributes { name: k(), changes };
    let token = "a token of some length".to_owned();
    let changes = [
        Change::SetRules { name: k(), rules: rule("rule two"), immutable: false },
        attributes(AttributeChanges { tags: Some([("a".to_owned(), "b".to_owned())].into()), ..Default::default() }),
        Change::NewVersion { name: k(), material: NewMaterial::Generate, update: KeyUpdate::default(), enabled: true },
        Change::AddDeny { kind: "platform".to_owned(), value: "chip".to_owned() },
        Change::RemoveDeny { kind: "platform".to_owned(), value: "chip".to_owned() },
        Change::SetPolicy { kind: "attest".to_owned(), document: "policy".to_owned(), digest: [1; 32] },
        Change::CreateCredential {
            name: "ci".to_owned(),
            roles: Vec::new(),
            key_pattern: None,
            expires: None,
            token: token.into(),
        },
        Change::RevokeCredential { name: "ci".to_owned() },
        Change::DeleteKey { name: name("other") },
        Change::RecoverKey { name: name("other") },
    ];
    for change in changes {
        let permit = Permit::for_key(&scene.store, "k");
        scene.store.change(order(change)).unwrap();
        let refused = scene.store.perform(permit.usage(wrap_use())).err();
        assert_eq!(refused, Some(KeystoreError::EpochMoved));
        assert!(scene.use_once("k", wrap_use()).is_ok());
    }
    // Records and uses alone leave decisions standing.
    let permit = Permit::for_key(&scene.store, "k");
    scene.store.record(record("event")).unwrap();
    scene.use_once("k", wrap_use()).unwrap();
    assert!(scene.store.perform(permit.usage(wrap_use())).is_ok());
}

#[test]
fn key_08_a_use_that_raced_with_a_revocation_never_comes_after_it() {
    let scene = with_key();
    let set = |enabled| {
        order(Change::SetAttributes {
            name: name("k"),
            changes: AttributeChanges { enabled: Some(enabled), ..Default::default() },
        })
    };
    for round in 0..20 {
        let permits: Vec<_> = (0..8).map(|_| Permit::for_key(&scene.store, "k").usage(wrap_use())).collect();
        let gate = Barrier::new(9);
        let (revoked, uses) = std::thread::scope(|scope| {
            let users: Vec<_> = permits
                .into_iter()
                .map(|permit| {
                    let (store, gate) = (&scene.store, &gate);
                    scope.spawn(move || {
                        gate.wait();
                        store.perform(permit).map(|p| p.entry.seq)
                    })
                })
                .collect();
            gate.wait();
            let revoked = scene.store.change(set(false)).unwrap().entry.unwrap().seq;
            let uses: Vec<_> = users.into_iter().map(|u| u.join().unwrap()).collect();
            (revoked, uses)
        });
        for done in uses {
            match done {
                Ok(seq) => assert!(seq < revoked, "round {round}"),
                Err(e) => assert_eq!(e.code(), "conflict"),
            }
        }
        scene.store.change(set(true)).unwrap();
    }
}

#[test]
fn a_decision_about_another_state_of_the_rows_is_refused() {
    let scene = with_key();
    let code = |change: fn(&mut Permit)| {
        let mut permit = Permit::for_key(&scene.store, "k");
        change(&mut permit);
        scene.store.perform(permit.usage(wrap_use())).err().map(|e| e.code())
    };
    assert_eq!(code(|_| {}), None);
    assert_eq!(code(|p| p.seen.key_row += 1), Some("conflict"));
    assert_eq!(code(|p| p.seen.version_row += 1), Some("conflict"));
    let requests = scene.store.counters().requests;
    assert_eq!(code(|p| p.seen.epoch.0 += 1), Some("conflict"));
    // It is noticed before the key is opened, without the writer.
    assert_eq!(scene.store.counters().requests, requests);
    assert_eq!(code(|p| p.target.version = VersionId::from_bytes([1; 16])), Some("key-not-found"));
    assert_eq!(code(|p| p.target.name = name("absent")), Some("key-not-found"));
}

#[test]
fn secrets_never_leave_unsealed_and_ciphertext_has_no_recipient() {
    let scene = with_key();
    let perform = |usage, sealing| {
        let permit = Permit::for_key(&scene.store, "k");
        let order =
            Authorized::assertion(permit.target, usage, sealing, permit.seen, Spend::Nothing, record("use"), None, NOW);
        scene.store.perform(order).err().unwrap().code()
    };
    assert_eq!(perform(Use::Release, Sealing::NotSealed), "operation-not-allowed");
    let sealed = Sealing::For { recipient: recipient().recipient().clone(), wrapping: Wrapping::Jwe };
    assert_eq!(perform(wrap_use(), sealed), "operation-not-allowed");
    assert_eq!(scene.store.head().unwrap().seq, 1);
}

#[test]
fn attestations_spend_their_challenge_and_are_remembered() {
    let scene = Scene::new();
    let attest = |challenge: u8, jti: &str| {
        scene.store.attested(AttestOrder {
            spend: Spend::Challenge { digest: [challenge; 32], until: NOW + 300 },
            jti: jti.to_owned(),
            jti_until: NOW + 600,
            record: record("attested"),
            repeat: Some(RepeatKey { key: jti.to_owned(), body_digest: [1; 32], until: NOW + 300 }),
            machine: None,
            answer: b"the token".to_vec(),
            now: NOW,
        })
    };
    let entry = attest(1, "first").unwrap();
    assert_eq!(scene.store.session("first").unwrap(), Some(NOW));
    assert_eq!(scene.store.session("second").unwrap(), None);
    assert_eq!(attest(1, "second"), Err(KeystoreError::ChallengeSpent));
    assert_eq!(scene.store.session("second").unwrap(), None);
    assert_eq!(attest(2, "first").unwrap_err().code(), "conflict");
    assert!(!scene.store.challenge_spent(&[2; 32]).unwrap());
    let kept = scene.store.repeat(&provider(), "first", &[1; 32], NOW);
    let answer = StoredAnswer { body: b"the token".to_vec(), entry };
    assert_eq!(kept.unwrap(), Repeated::Answer(answer));
}

#[test]
fn a_store_that_was_shut_down_refuses_to_write() {
    let scene = with_key();
    scene.store.shutdown();
    let refused = scene.store.record(record("event")).unwrap_err();
    assert_eq!(refused.code(), "sealed");
}
