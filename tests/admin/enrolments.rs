//! Enrolled machines and endorsement keys that are vouched for, over the admin door. Threat model P14, P45, P46; TPM-15.

use keygate::broker::admin::Role;
use keygate_keystore::{Change, NewEnrolment};
use serde_json::{Value, json};

use super::broker::NOW;
use super::office::{Ask, Office};

fn enrol(office: &Office, machine: &str, number: u8, expires: i64) {
    office.house.change(Change::Enrol(Box::new(NewEnrolment {
        machine: machine.to_owned(),
        ak_name: [&[0, 11][..], &[number; 32]].concat(),
        ak_public: vec![number; 40],
        ek: [number; 32],
        certificate: Some([0xcc; 32]),
        anchor: "fleet".to_owned(),
        expires,
    })));
}

fn remove(machine: &str) -> Ask {
    Ask::post(&format!("/admin/v1/enrolments/{machine}/remove"), json!({"reason": "scrapped"}))
}

#[actix_web::test]
async fn machines_are_listed_page_by_page_and_shown_with_their_state() {
    let office = Office::staffed().await;
    for (number, machine) in [(1, "b"), (2, "a"), (3, "c")] {
        enrol(&office, machine, number, NOW + 100 * i64::from(number));
    }
    let list = async |path: &str| {
        let reply = office.by(Role::Auditor, Ask::get(path)).await.ok();
        let all = reply.body["enrolments"].as_array().unwrap().clone();
        let names: Vec<_> = all.iter().map(|record| record["machine"].as_str().unwrap().to_owned()).collect();
        (names, reply.body["next"].clone())
    };
    assert_eq!(list("/admin/v1/enrolments").await, (vec!["a".into(), "b".into(), "c".into()], Value::Null));
    assert_eq!(list("/admin/v1/enrolments?limit=2").await, (vec!["a".into(), "b".into()], json!("b")));
    assert_eq!(list("/admin/v1/enrolments?limit=2&after=b").await, (vec!["c".into()], Value::Null));
    office.house.clock.advance(100);
    let shown = office.by(Role::TrustOfficer, Ask::get("/admin/v1/enrolments/b")).await.ok();
    assert!(shown.etag.is_some());
    assert_eq!(
        shown.body,
        json!({
            "machine": "b", "ak_name": format!("000b{}", "01".repeat(32)), "ek": "01".repeat(32),
            "ek_certificate": "cc".repeat(32), "anchor": "fleet", "owner": "test", "enrolled": NOW,
            "expires": NOW + 100, "state": "expired", "clock": null,
        })
    );
    let live = office.by(Role::Auditor, Ask::get("/admin/v1/enrolments/a")).await.ok();
    assert_eq!(live.body["state"], "live");
    office.by(Role::Auditor, Ask::get("/admin/v1/enrolments/x")).await.is(404, "not-found");
}

#[actix_web::test]
async fn a_record_is_removed_in_the_state_that_was_seen_and_that_is_recorded() {
    let office = Office::staffed().await;
    enrol(&office, "web-1", 1, NOW + 100);
    let etag = office.by(Role::Auditor, Ask::get("/admin/v1/enrolments/web-1")).await.ok().etag.unwrap();
    office.by(Role::TrustOfficer, remove("web-1")).await.is(428, "precondition-required");
    office.by(Role::Auditor, remove("web-1").on(&etag)).await.is(403, "forbidden");
    office.by(Role::MachineEnroller, remove("web-1").on(&etag)).await.is(403, "forbidden");
    let mut trial = remove("web-1").on(&etag);
    trial.path.push_str("?dry_run=true");
    let tried = office.by(Role::TrustOfficer, trial).await.ok();
    assert_eq!(
        (tried.body["dry_run"].as_bool(), tried.body["before"]["machine"].as_str()),
        (Some(true), Some("web-1"))
    );
    enrol(&office, "web-1", 1, NOW + 200);
    office.by(Role::TrustOfficer, remove("web-1").on(&etag)).await.is(409, "conflict");
    office.by(Role::TrustOfficer, remove("web-1").on("*")).await.ok();
    let record = office.house.newest("admin");
    assert_eq!((record["operation"].as_str(), record["object"].as_str()), (Some("enrolment.remove"), Some("web-1")));
    assert_eq!((record["reason"].as_str(), record["caller"].as_str()), (Some("scrapped"), Some("trust-officer")));
    office.by(Role::TrustOfficer, remove("web-1").on("*")).await.is(404, "not-found");
    assert_eq!(office.by(Role::Auditor, Ask::get("/admin/v1/enrolments")).await.ok().body["enrolments"], json!([]));
}

#[actix_web::test]
async fn tpm_15_endorsement_keys_are_vouched_for_by_a_trust_officer() {
    let office = Office::staffed().await;
    let ek = "0a".repeat(32);
    let ask = |verb: &str, ek: &str| {
        Ask::post(&format!("/admin/v1/endorsement-keys/{verb}"), json!({"ek": ek, "reason": "rack 4"}))
    };
    office.by(Role::Auditor, ask("allow", &ek)).await.is(403, "forbidden");
    for odd in ["", "0A", &"0A".repeat(32), &"0a".repeat(31)] {
        office.by(Role::TrustOfficer, ask("allow", odd)).await.is(400, "malformed");
    }
    let allowed = office.by(Role::TrustOfficer, ask("allow", &ek)).await;
    assert_eq!((allowed.status, &allowed.body["endorsement_key"]["ek"]), (201, &json!(ek)));
    office.by(Role::TrustOfficer, ask("allow", &ek)).await.is(409, "conflict");
    let list = office.by(Role::Auditor, Ask::get("/admin/v1/endorsement-keys")).await.ok().body;
    let entry = &list["endorsement_keys"][0];
    assert_eq!(
        (&entry["ek"], &entry["author"], &entry["reason"]),
        (&json!(ek), &json!("trust-officer"), &json!("rack 4"))
    );
    office.by(Role::TrustOfficer, ask("disallow", &ek)).await.is(428, "precondition-required");
    office.by(Role::TrustOfficer, ask("disallow", &ek).on(entry["etag"].as_str().unwrap())).await.is(400, "malformed");
    let etag = format!("\"{}\"", entry["etag"].as_str().unwrap());
    office.by(Role::TrustOfficer, ask("disallow", &ek).on(&etag)).await.ok();
    office.by(Role::TrustOfficer, ask("disallow", &ek).on("*")).await.is(404, "not-found");
    assert_eq!(office.house.newest("admin")["operation"], "endorsement-key.disallow");
}
