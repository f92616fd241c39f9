//! Enrolled attestation keys, endorsement keys that are vouched for, and the clocks of TPMs.
//!
//! Threat model P6, P7, P14; `bad-inputs.md` TPM-09, TPM-15, TPM-17, TPM-20.

mod scene;

use keygate_keystore::*;
use scene::*;

fn ak(number: u8) -> Vec<u8> {
    [&[0, 11][..], &[number; 32]].concat()
}

fn new(machine: &str, ek: u8, number: u8) -> NewEnrolment {
    NewEnrolment {
        machine: machine.to_owned(),
        ak_name: ak(number),
        ak_public: vec![number; 40],
        ek: [ek; 32],
        certificate: Some([ek; 32]),
        anchor: "fleet".to_owned(),
        expires: NOW + 1_000,
    }
}

fn enrol(store: &Keystore, new: NewEnrolment) -> Result<Changed, KeystoreError> {
    store.change(order(Change::Enrol(Box::new(new))))
}

fn remove(store: &Keystore, machine: &str) -> Result<Changed, KeystoreError> {
    store.change(order(Change::RemoveEnrolment { machine: machine.to_owned() }))
}

fn known(store: &Keystore, number: u8) -> KnownKey {
    store.attestation_key(&provider(), &ak(number)).unwrap()
}

fn record_of(store: &Keystore, number: u8) -> Option<Enrolment> {
    known(store, number).enrolment
}

fn at(reset_count: u32, restart_count: u32, clock: u64) -> ClockReading {
    ClockReading { reset_count, restart_count, clock }
}

/// A use by the machine with this key, under the record that is there now.
fn use_by(store: &Keystore, number: u8, clock: ClockReading) -> Result<Performed, KeystoreError> {
    let enrolment = record_of(store, number).map(|record| record.etag);
    store.perform(permit(store).of_machine(Some(Machine { ak_name: ak(number), enrolment, clock })))
}

fn permit(store: &Keystore) -> Authorized {
    Permit::for_key(store, "k").usage(Use::Release)
}

fn scene() -> Scene {
    let scene = Scene::new();
    scene.store.change(import_secret("k", b"secret")).unwrap();
    scene
}

fn code<T>(done: Result<T, KeystoreError>) -> &'static str {
    done.err().map_or("ok", |error| error.code())
}

#[test]
fn a_record_is_found_by_its_key_and_its_machine_and_outlives_the_process() {
    let scene = scene();
    let entries = scene.store.status().entries;
    let done = enrol(&scene.store, new("web-1", 1, 1)).unwrap();
    assert_eq!(scene.store.status().entries, entries + 1);
    let found = record_of(&scene.store, 1).unwrap();
    assert_eq!((found.machine.as_str(), found.owner.as_str(), found.enrolled), ("web-1", "alice", NOW));
    assert_eq!((found.ek, found.certificate, found.expires), ([1; 32], Some([1; 32]), NOW + 1_000));
    assert_eq!((found.ak_public.clone(), found.etag.clone()), (vec![1; 40], done.etag));
    assert_eq!(record_of(&scene.store, 2), None);
    let scene = scene.close().reopen();
    assert_eq!(record_of(&scene.store, 1), Some(found.clone()));
    assert_eq!(scene.store.enrolment(&provider(), "web-1").unwrap(), Some(found));
    let other = ProviderId::parse("other").unwrap();
    assert_eq!(scene.store.attestation_key(&other, &ak(1)).unwrap(), KnownKey::default());
}

#[test]
fn records_are_listed_in_the_order_of_their_machines() {
    let scene = scene();
    for (number, machine) in [(1, "c"), (2, "a"), (3, "b")] {
        enrol(&scene.store, new(machine, number, number)).unwrap();
    }
    let list = |after: Option<&str>, limit| {
        let found = scene.store.enrolments(&provider(), after, limit).unwrap();
        found.into_iter().map(|record| record.machine).collect::<Vec<_>>()
    };
    assert_eq!(list(None, 2), ["a", "b"]);
    assert_eq!(list(Some("b"), 2), ["c"]);
}

#[test]
fn tpm_17_a_name_and_a_key_are_one_machines_and_the_old_record_stays() {
    let scene = scene();
    let store = &scene.store;
    enrol(store, new("web-1", 1, 1)).unwrap();
    let before = record_of(store, 1);
    for (again, told) in [(new("web-1", 2, 2), "machine"), (new("web-2", 1, 2), "key"), (new("web-2", 2, 1), "key")] {
        let asked = store.may_enrol(&provider(), &again.machine, &again.ek, &again.ak_name);
        assert_eq!(code(asked), "conflict", "{told}");
        assert_eq!(code(enrol(store, again)), "conflict", "{told}");
        assert_eq!(record_of(store, 1), before);
    }
    // The same machine and the same endorsement key: the new key counts, the old one does not.
    enrol(store, new("web-1", 1, 3)).unwrap();
    assert_eq!((record_of(store, 1), record_of(store, 3).unwrap().machine.as_str()), (None, "web-1"));
    enrol(store, new("web-2", 2, 1)).unwrap();
    store.check(&mut |_, _| {}).unwrap();
}

#[test]
fn what_no_enrolment_can_be_is_refused() {
    let scene = scene();
    let odd = |change: fn(&mut NewEnrolment)| {
        let mut new = new("web-1", 1, 1);
        change(&mut new);
        code(enrol(&scene.store, new))
    };
    assert_eq!(odd(|new| new.machine = String::new()), "malformed");
    assert_eq!(odd(|new| new.machine = "Web".to_owned()), "malformed");
    assert_eq!(odd(|new| new.machine = "a".repeat(65)), "malformed");
    assert_eq!(odd(|new| new.expires = NOW), "malformed");
    assert_eq!(odd(|new| new.anchor = String::new()), "malformed");
    assert_eq!(odd(|new| new.ak_name = Vec::new()), "malformed");
    assert_eq!(odd(|new| new.ak_name = vec![0; 67]), "too-large");
    assert_eq!(odd(|new| new.ak_public = vec![0; 4_097]), "too-large");
    assert_eq!(odd(|new| new.machine = "a".repeat(64)), "ok");
}

#[test]
fn a_removed_record_counts_no_more_and_moves_the_epoch() {
    let scene = scene();
    let store = &scene.store;
    enrol(store, new("web-1", 1, 1)).unwrap();
    use_by(store, 1, at(1, 1, 50)).unwrap();
    let decided = permit(store);
    let enrolment = record_of(store, 1).map(|record| record.etag);
    let decided =
        decided.of_machine(Some(Machine { ak_name: ak(1), enrolment: enrolment.clone(), clock: at(1, 1, 60) }));
    let wrong = ChangeOrder { if_match: IfMatch::Version("x-1".to_owned()), ..order(removal()) };
    assert_eq!(store.change(wrong).unwrap_err(), KeystoreError::PreconditionFailed);
    remove(store, "web-1").unwrap();
    assert_eq!(store.perform(decided).err(), Some(KeystoreError::EpochMoved));
    // Decided after the removal, on a record that was read before it.
    let stale = permit(store).of_machine(Some(Machine { ak_name: ak(1), enrolment, clock: at(1, 1, 60) }));
    assert_eq!(store.perform(stale).err(), Some(KeystoreError::NotEnrolled));
    assert_eq!(known(store, 1), KnownKey::default(), "its clock is forgotten too");
    assert_eq!(code(remove(store, "web-1")), "not-found");
}

fn removal() -> Change {
    Change::RemoveEnrolment { machine: "web-1".to_owned() }
}

#[test]
fn a_record_that_ended_or_was_replaced_is_refused_in_the_commit() {
    let scene = scene();
    let store = &scene.store;
    enrol(store, new("web-1", 1, 1)).unwrap();
    let enrolment = record_of(store, 1).map(|record| record.etag);
    let machine = Machine { ak_name: ak(1), enrolment, clock: at(1, 1, 1) };
    let late = |now| {
        let permit = Permit { now, ..Permit::for_key(store, "k") }.usage(Use::Release);
        store.perform(permit.of_machine(Some(machine.clone())))
    };
    assert_eq!(code(late(NOW + 999)), "ok");
    assert_eq!(late(NOW + 1_000).err(), Some(KeystoreError::NotEnrolled));
    enrol(store, new("web-1", 1, 1)).unwrap();
    assert_eq!(late(NOW).err(), Some(KeystoreError::NotEnrolled), "the record is another one");
}

#[test]
fn tpm_09_a_clock_never_goes_back_even_after_a_restart_and_a_restore() {
    let scene = scene();
    enrol(&scene.store, new("web-1", 1, 1)).unwrap();
    use_by(&scene.store, 1, at(7, 2, 1_000)).unwrap();
    let back = |store: &Keystore| {
        for (reading, what) in [
            (at(7, 2, 999), WentBack::Clock),
            (at(7, 1, 5_000), WentBack::RestartCount),
            (at(6, 9, 5_000), WentBack::ResetCount),
        ] {
            assert_eq!(use_by(store, 1, reading).err(), Some(KeystoreError::WentBack(what)));
        }
        assert_eq!(known(store, 1).clock, Some(at(7, 2, 1_000)), "a refused use changes nothing");
    };
    back(&scene.store);
    let scene = scene.close().reopen();
    back(&scene.store);
    let (copy, restored) = (scene.dir.path().join("copy"), scene.dir.path().join("restored"));
    let digest = scene.store.backup(&copy, NOW).unwrap().digest;
    assert_eq!(Keystore::restore(&copy, &restored, &scene.root(), NOW).unwrap().digest, digest);
    let store = Keystore::open(&restored, &scene.root(), NOW).unwrap();
    back(&store);
    assert_eq!(record_of(&store, 1), record_of(&scene.store, 1));
    for forward in [at(7, 2, 1_000), at(7, 2, 1_001), at(7, 3, 0), at(8, 0, 0)] {
        use_by(&store, 1, forward).unwrap();
    }
    store.check(&mut |_, _| {}).unwrap();
}

#[test]
fn keys_without_a_record_have_a_clock_too() {
    let scene = scene();
    use_by(&scene.store, 9, at(1, 1, 10)).unwrap();
    assert_eq!(use_by(&scene.store, 9, at(1, 1, 9)).err(), Some(KeystoreError::WentBack(WentBack::Clock)));
    use_by(&scene.store, 8, at(1, 1, 1)).unwrap();
    assert_eq!(known(&scene.store, 9), KnownKey { enrolment: None, clock: Some(at(1, 1, 10)) });
}

#[test]
fn attestations_hold_record_and_clock_against_the_store_too() {
    let scene = scene();
    let store = &scene.store;
    enrol(store, new("web-1", 1, 1)).unwrap();
    let enrolment = record_of(store, 1).map(|record| record.etag);
    let attested = |jti: &str, clock| {
        let machine = Some(Machine { ak_name: ak(1), enrolment: enrolment.clone(), clock });
        let (spend, record) = (Spend::Nothing, record("attestation"));
        let (jti, answer) = (jti.to_owned(), Vec::new());
        let order = AttestOrder { spend, jti, jti_until: NOW + 60, record, repeat: None, machine, answer, now: NOW };
        store.attested(order).map(drop)
    };
    attested("one", at(1, 1, 10)).unwrap();
    assert_eq!(attested("two", at(1, 1, 9)).err(), Some(KeystoreError::WentBack(WentBack::Clock)));
    assert_eq!(store.session("two").unwrap(), None);
    attested("two", at(1, 2, 1)).unwrap();
    remove(store, "web-1").unwrap();
    assert_eq!(attested("three", at(1, 3, 1)).err(), Some(KeystoreError::NotEnrolled));
}

#[test]
fn tpm_15_an_allowed_endorsement_key_vouches_until_it_is_taken_back() {
    let scene = scene();
    let store = &scene.store;
    let resting = || NewEnrolment { anchor: ALLOWED_EK.to_owned(), certificate: None, ..new("web-1", 1, 1) };
    assert_eq!(enrol(store, resting()).err(), Some(KeystoreError::NotEnrolled));
    let allow = || store.change(order(Change::AllowEk { ek: [1; 32] }));
    allow().unwrap();
    assert_eq!(code(allow()), "conflict");
    assert!(
        store.is_allowed_ek(&provider(), &[1; 32]).unwrap() && !store.is_allowed_ek(&provider(), &[2; 32]).unwrap()
    );
    let listed = store.allowed_eks(&provider()).unwrap();
    assert_eq!((listed.len(), listed[0].ek, listed[0].reason.as_str()), (1, [1; 32], "because"));
    enrol(store, resting()).unwrap();
    enrol(store, new("web-2", 2, 2)).unwrap();
    use_by(store, 1, at(1, 1, 1)).unwrap();
    let disallow = || store.change(order(Change::DisallowEk { ek: [1; 32] }));
    disallow().unwrap();
    assert_eq!(code(disallow()), "not-found");
    assert_eq!(known(store, 1), KnownKey::default());
    assert!(record_of(store, 2).is_some());
    // Of a key that a certificate vouches for, the record does not rest on the list.
    store.change(order(Change::AllowEk { ek: [2; 32] })).unwrap();
    store.change(order(Change::DisallowEk { ek: [2; 32] })).unwrap();
    assert!(record_of(store, 2).is_some());
    store.check(&mut |_, _| {}).unwrap();
}
