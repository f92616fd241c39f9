//! What happens to keys by itself: retention that ends, versions that are due, notices; and what settings may not take back.
//!
//! `keyvault-api.md` sections 2 and 3; properties P39 and P42 of the threat model.

use std::sync::Arc;

use keygate::app::{App, AppError};
use keygate::broker::*;
use keygate::clock::{Clock, SystemClock};
use keygate::settings::Settings;
use keygate_keystore::{
    AttributeChanges, Change, FileRoot, KeyType, KeyView, Keystore, ProviderId, Record, Recovery, RotationPolicy,
};
use keygate_verifier::Anchors;
use serde_json::json;

use super::broker::*;

const DAY: i64 = 86_400;

fn name(text: &str) -> KeyName {
    KeyName::parse(text).unwrap()
}

fn view(house: &House, key: &str) -> Option<KeyView> {
    house.keystore.look(&house.provider, &name(key)).unwrap().key
}

fn versions(house: &House, key: &str) -> usize {
    view(house, key).unwrap().versions.len()
}

fn at(house: &House, seconds: i64) {
    house.clock.set(NOW + seconds);
    house.broker.tick();
}

fn house_of(keys: &[(&str, KeyType)], policy: &str) -> House {
    let house = House::new();
    for (key, key_type) in keys {
        house.key(key, *key_type, json!({}));
        let policy = RotationPolicy::parse(policy).unwrap();
        house.change(Change::SetRotation { name: name(key), policy });
    }
    house
}

/// New versions after forty days that end after sixty; a notice after thirty.
const FULL: &str = r#"{"lifetimeActions":[{"trigger":{"timeAfterCreate":"P40D"},"action":{"type":"Rotate"}},
    {"trigger":{"timeAfterCreate":"P30D"},"action":{"type":"Notify"}}],"attributes":{"expiryTime":"P60D"}}"#;
const ROTATE: &str = r#"{"lifetimeActions":[{"trigger":{"timeAfterCreate":"P40D"},"action":{"type":"Rotate"}}]}"#;

#[test]
fn a_key_gets_its_next_version_when_it_is_due_and_ends_with_it() {
    let house = house_of(&[("k", KeyType::Oct256)], FULL);
    at(&house, 40 * DAY - 1);
    assert_eq!(versions(&house, "k"), 1);
    at(&house, 40 * DAY);
    let after = view(&house, "k").unwrap();
    assert_eq!((after.versions.len(), after.expires), (2, Some(NOW + 100 * DAY)));
    assert_eq!(after.versions[1].created, NOW + 40 * DAY);
    assert!(after.versions.iter().all(|version| version.enabled));
    let record = house.newest("admin");
    assert_eq!(record["operation"], "key.rotate");
    assert_eq!((&record["caller"], &record["key"]), (&json!("rotation-policy"), &json!("k")));
    assert_eq!((&record["decision"], &record["at"]), (&json!("permit"), &json!(NOW + 40 * DAY)));
    assert!(
        record["correlation"].is_string() && record["before_digest"].is_string() && record["after_digest"].is_string()
    );
    at(&house, 40 * DAY + 5);
    assert_eq!(versions(&house, "k"), 2);
    at(&house, 80 * DAY);
    assert_eq!((versions(&house, "k"), view(&house, "k").unwrap().expires), (3, Some(NOW + 140 * DAY)));
}

#[test]
fn without_a_life_the_end_of_the_key_stays() {
    let house = house_of(&[("k", KeyType::Oct256)], ROTATE);
    let changes = AttributeChanges { expires: Some(Some(NOW + 50 * DAY)), ..AttributeChanges::default() };
    house.change(Change::SetAttributes { name: name("k"), changes });
    at(&house, 40 * DAY);
    let after = view(&house, "k").unwrap();
    assert_eq!((after.versions.len(), after.expires), (2, Some(NOW + 50 * DAY)));
}

#[test]
fn disabled_and_deleted_keys_are_left_alone_and_so_is_everything_by_a_node_that_is_not_fit() {
    let house = house_of(&[("off", KeyType::Oct256), ("on", KeyType::Oct256), ("gone", KeyType::Oct256)], ROTATE);
    let changes = AttributeChanges { enabled: Some(false), ..AttributeChanges::default() };
    house.change(Change::SetAttributes { name: name("off"), changes });
    house.clock.set(NOW + 40 * DAY);
    house.change(Change::DeleteKey { name: name("gone") });
    house.broker.stop();
    house.broker.tick();
    assert_eq!(versions(&house, "on"), 1);
    let house = house.reopened("store.db");
    house.broker.tick();
    assert_eq!((versions(&house, "on"), versions(&house, "off")), (2, 1));
    // The order of the test has the time of its beginning: the retention of seven days is over.
    assert!(view(&house, "gone").is_none());
}

#[test]
fn a_tick_does_a_few_and_the_next_ones_do_the_rest() {
    let keys: Vec<String> = (0..5).map(|i| format!("k{i}")).collect();
    let typed: Vec<(&str, KeyType)> = keys.iter().map(|key| (key.as_str(), KeyType::Oct256)).collect();
    let house = house_of(&typed, ROTATE);
    let done = || keys.iter().filter(|key| versions(&house, key) == 2).count();
    at(&house, 40 * DAY);
    assert_eq!(done(), 2);
    house.broker.tick();
    assert_eq!(done(), 4);
    house.broker.tick();
    assert_eq!(done(), 5);
    house.broker.tick();
    assert_eq!(house.records("admin").iter().filter(|record| record["operation"] == "key.rotate").count(), 5);
}

#[test]
fn a_notice_is_one_record_for_each_version_even_after_a_restart() {
    let house = house_of(&[("k", KeyType::Oct256)], FULL);
    at(&house, 30 * DAY - 1);
    assert!(house.records("alarm").is_empty());
    at(&house, 30 * DAY);
    house.broker.tick();
    let alarm = house.newest("alarm");
    assert_eq!((&alarm["operation"], &alarm["caller"]), (&json!("key.rotate"), &json!("rotation-policy")));
    assert_eq!(
        (&alarm["key"], &alarm["version"]),
        (&json!("k"), &json!(view(&house, "k").unwrap().versions[0].id.to_string()))
    );
    assert!(alarm["detail"].as_str().unwrap().contains(&(NOW + 60 * DAY).to_string()));
    assert_eq!(house.records("alarm").len(), 1);
    let house = house.reopened("store.db");
    house.broker.tick();
    assert_eq!(house.records("alarm").len(), 1);
    at(&house, 40 * DAY);
    at(&house, 70 * DAY);
    assert_eq!(house.records("alarm").len(), 2);
}

#[test]
fn a_deleted_key_is_purged_when_its_retention_is_over() {
    let house = House::new();
    for key in ["gone", "back", "kept"] {
        house.key(key, KeyType::Oct256, json!({}));
    }
    house.change(Change::DeleteKey { name: name("gone") });
    house.change(Change::DeleteKey { name: name("back") });
    house.change(Change::RecoverKey { name: name("back") });
    at(&house, 7 * DAY - 1);
    assert!(view(&house, "gone").is_some());
    at(&house, 7 * DAY);
    assert!(view(&house, "gone").is_none());
    assert!(view(&house, "back").is_some() && view(&house, "kept").is_some());
    let record = house.newest("admin");
    assert_eq!((&record["operation"], &record["caller"]), (&json!("key.purge"), &json!("retention")));
    assert_eq!(record["key"], "gone");
}

/// The house's broker again, whose first provider keeps deleted keys otherwise.
#[test]
fn a_start_under_a_clock_that_is_far_ahead_ends_no_key_for_a_day() {
    let house = House::new();
    house.key("gone", KeyType::Oct256, json!({}));
    house.change(Change::DeleteKey { name: name("gone") });
    house.clock.set(NOW + 400 * DAY);
    let house = house.reopened("store.db");
    assert_eq!(house.records("alarm").len(), 1, "the operator is told");
    house.broker.tick();
    at(&house, 401 * DAY - 1);
    assert!(view(&house, "gone").is_some());
    at(&house, 401 * DAY);
    assert!(view(&house, "gone").is_none());
}

#[test]
fn what_was_over_before_a_start_ends_at_once() {
    let house = House::new();
    house.key("gone", KeyType::Oct256, json!({}));
    house.change(Change::DeleteKey { name: name("gone") });
    // Something happens after the retention, and is in the store.
    house.clock.set(NOW + 7 * DAY + 5);
    let record =
        Record { provider: house.provider.clone(), at: NOW + 7 * DAY + 5, kind: "admin".into(), body: "{}".into() };
    house.keystore.record(record).unwrap();
    let house = house.reopened("store.db");
    house.broker.tick();
    let seen = house.keystore.status().seen_before >= NOW + 7 * DAY;
    assert_eq!(view(&house, "gone").is_none(), seen, "as far as the store has seen time");
}

fn opened(house: &House, days: u32, purge_protection: bool) -> Result<Arc<Broker>, Fault> {
    let mut parts =
        parts(&house.keystore, &house.clock, Arc::new(NoEndorser), Arc::default(), Anchors::none(), Limits::default());
    parts.providers[0].recovery_days = days;
    parts.providers[0].purge_protection = purge_protection;
    Broker::open(parts)
}

fn changes_of_recovery(house: &House) -> usize {
    house.records("admin").iter().filter(|record| record["operation"] == "provider.recovery").count()
}

#[test]
fn protection_that_was_on_is_not_taken_back_by_settings() {
    let house = House::new();
    let record = house.records("admin").into_iter().find(|record| record["operation"] == "provider.recovery").unwrap();
    assert_eq!((&record["caller"], &record["object"]), (&json!("settings"), &json!("default")));
    assert_eq!(record["detail"], "CustomizedRecoverable");
    let before = changes_of_recovery(&house);
    for (days, protected) in [(7, false), (90, false)] {
        let fault = opened(&house, days, protected).err().unwrap();
        assert_eq!(fault.code, Code::ConfigInvalid);
        assert!(fault.inner.contains("`default`") && fault.inner.contains("never taken back"), "{}", fault.inner);
    }
    assert_eq!(changes_of_recovery(&house), before);
    opened(&house, 7, true).unwrap();
    assert_eq!(changes_of_recovery(&house), before);
    let broker = opened(&house, 90, true).unwrap();
    assert_eq!(changes_of_recovery(&house), before + 1);
    let provider = broker.provider(&house.provider).unwrap();
    assert_eq!((provider.recoverable_days(), provider.recovery_level()), (90, "Recoverable"));
    let fault = opened(&house, 89, true).err().unwrap();
    assert_eq!(fault.code, Code::ConfigInvalid);
    assert!(fault.inner.contains("recovery_days = 90"), "{}", fault.inner);
    assert_eq!(house.keystore.recovery(&house.provider), Ok(Recovery::new(90, true).unwrap()));
    assert_eq!(opened(&house, 6, true).err().unwrap().code, Code::ConfigInvalid);
}

#[test]
fn a_start_with_less_protection_than_before_is_a_wrong_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let root = FileRoot::create(&dir.path().join("root.key")).unwrap();
    let now = SystemClock::new(0).now().unwrap().secs();
    Keystore::create(&dir.path().join("keygate.db"), &root, 90, now).unwrap().shutdown();
    let start = |text: &str| {
        let settings = Settings::from_text(text, "keygate.toml", dir.path().to_owned(), &[]).unwrap();
        App::open(settings).map(|app| {
            let provider = app.broker.provider(&ProviderId::parse("default").unwrap()).unwrap();
            let found = (provider.recoverable_days(), provider.recovery_level());
            app.keystore.shutdown();
            found
        })
    };
    let provider = |more: &str| format!("[[providers]]\nid = \"default\"\nhosts = [\"kms.example\"]\n{more}");
    assert_eq!(start("").ok(), Some((90, "Recoverable+Purgeable")));
    // The store's words are for providers that do not say otherwise.
    let store = "[store]\nretention_days = 30\npurge_protection = true\n";
    let own = format!("{store}{}", provider("recovery_days = 7\npurge_protection = false\n"));
    assert_eq!(start(&own).ok(), Some((7, "CustomizedRecoverable+Purgeable")));
    assert_eq!(start(&format!("{store}{}", provider(""))).ok(), Some((30, "CustomizedRecoverable")));
    let Err(AppError::Config(refused)) = start(&own) else { panic!("protection was taken back") };
    assert!(refused.to_string().contains("purge protection is never taken back"), "{refused}");
    assert_eq!(refused.code(), "config-invalid");
    assert_eq!(start(&provider("recovery_days = 90\npurge_protection = true\n")).ok(), Some((90, "Recoverable")));
}
