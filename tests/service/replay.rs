//! Real requests of Azure's clients, replayed: our token beside the one that Azure gave, member by member.
//!
//! `maa-tokens-and-claims.md` sections 1 to 4. Every difference stands in `replay-differences.toml` with its reason; a difference that
//! is not there fails, and so does one that is there and is none any more.
//!
//! SGX and Open Enclave are replayed on 1 February 2025, inside the window of the collateral that is held for their platform; the
//! SEV-SNP sample at the time of its token.

#[path = "../vectors/mod.rs"]
#[allow(dead_code)] // only the folder is of use here
mod vectors;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use actix_web::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keygate_keystore::Change;
use keygate_verifier::{Anchors, Endorsements};
use openssl::sha::sha256;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::azure::Held;
use super::broker::*;
use super::maa_door;

/// 1 February 2025.
const REPLAYED: i64 = 1_738_368_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    difference: Vec<Difference>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Difference {
    /// `header` or `body`, a dot, and the member.
    place: String,
    /// `value`: other here and there; `ours`: only ours has it; `theirs`: only theirs has it.
    sort: String,
    /// Of which tokens: a part of their names; all, where there is none.
    of: Option<String>,
    reason: String,
}

/// Header and body of a token, as a flat list of places.
fn places(token: &str) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    for (part, name) in token.split('.').zip(["header", "body"]) {
        let members: Map<String, Value> = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
        found.extend(members.into_iter().map(|(member, value)| (format!("{name}.{member}"), value)));
    }
    found
}

fn differences(ours: &str, theirs: &str) -> Vec<(String, &'static str)> {
    let (ours, theirs) = (places(ours), places(theirs));
    let all: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
    let compared = all.into_iter().filter_map(|place| match (ours.get(place), theirs.get(place)) {
        (Some(one), Some(other)) if one == other => None,
        (Some(_), Some(_)) => Some((place.clone(), "value")),
        (Some(_), None) => Some((place.clone(), "ours")),
        (None, _) => Some((place.clone(), "theirs")),
    });
    compared.collect()
}

/// The collateral that is held for a platform and in force at a time.
fn collateral(root: &std::path::Path) -> Endorsements {
    let mut held = Endorsements::default();
    for name in ["sgx-00906ed50000-2025-01-21-182bc0e9.json", "sgx-00906ed50000-2025-01-21-c3e4d12f.json"] {
        let file = root.join("evidence/dcap-collateral").join(name);
        held.add_file(&std::fs::read(file).unwrap()).unwrap();
    }
    held
}

fn house(at: i64, held: Endorsements) -> House {
    House::begun(at, Arc::new(Held(held)), |anchors| *anchors = Anchors::vendor().unwrap())
}

/// Sets the policy that an instance had, as it was uploaded there.
fn set_recorded(house: &House, python: &std::path::Path, instance: &str, kind: &str) {
    let shown = std::fs::read_to_string(python.join(format!("policy-get_policy-{instance}-{kind}-GET.response.jwt")));
    let document = places(shown.unwrap().trim())["body.x-ms-policy"].as_str().unwrap().to_owned();
    let text = URL_SAFE_NO_PAD.decode(places(&document)["body.AttestationPolicy"].as_str().unwrap()).unwrap();
    house.change(Change::SetPolicy { kind: kind.into(), digest: sha256(&text), document });
}

async fn replayed(house: &House, path: &str, body: &str) -> String {
    let told = maa_door::send(house, maa_door::request(&Method::POST, path, body)).await;
    assert_eq!(told.status, 200, "{path}: {}", told.body);
    told.body["token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn recorded_requests_get_the_recorded_claims() {
    let Some(root) = vectors::root() else { return };
    let python = root.join("maa-sdk/python");
    let text = |name: &str| std::fs::read_to_string(python.join(name)).unwrap().trim().to_owned();
    let enclave_house = house(REPLAYED, collateral(&root));
    let mut pairs = Vec::new();
    for (kind, path) in [("sgx_enclave", "SgxEnclave"), ("open_enclave", "OpenEnclave")] {
        for data in ["binary", "json", "json-draft"] {
            let Ok(request) = std::fs::read_to_string(python.join(format!("request-{kind}-aad-{data}.json"))) else {
                continue;
            };
            // The bodies that the three instances were sent are the same.
            for instance in ["aad", "iso", "shared"] {
                set_recorded(&enclave_house, &python, instance, path);
                let path = format!("/attest/{path}?api-version=2020-10-01");
                let ours = replayed(&enclave_house, &path, &request).await;
                let name = format!("token-{kind}-{instance}-{data}.jwt");
                pairs.push((ours, text(&name), name));
            }
        }
    }
    assert_eq!(pairs.len(), 15);
    let samples = root.join("maa-sdk/samples");
    let theirs = std::fs::read_to_string(samples.join("sevsnp-token.jwt")).unwrap().trim().to_owned();
    let issued = places(&theirs)["body.iat"].as_i64().unwrap();
    let snp_house = house(issued, Endorsements::default());
    let request = std::fs::read_to_string(samples.join("sevsnp-request.json")).unwrap();
    let ours = replayed(&snp_house, "/attest/SevSnpVm?api-version=2022-08-01", &request).await;
    pairs.push((ours, theirs, "sevsnp-token.jwt".to_owned()));

    let known: File = toml::from_str(include_str!("replay-differences.toml")).unwrap();
    let (mut unknown, mut met) = (Vec::new(), BTreeSet::new());
    for (ours, theirs, name) in &pairs {
        for (place, sort) in differences(ours, theirs) {
            let listed = known.difference.iter().position(|one| {
                one.place == place && one.sort == sort && one.of.as_ref().is_none_or(|part| name.contains(part))
            });
            match listed {
                Some(index) => drop(met.insert(index)),
                None => {
                    let shown = |token: &str| places(token).get(&place).map(Value::to_string).unwrap_or_default();
                    unknown.push(format!("{name}: {place} ({sort}): ours {} theirs {}", shown(ours), shown(theirs)));
                }
            }
        }
    }
    assert!(unknown.is_empty(), "not in replay-differences.toml:\n{}", unknown.join("\n"));
    let gone: Vec<&str> = (0..known.difference.len())
        .filter(|index| !met.contains(index))
        .map(|index| known.difference[index].place.as_str())
        .collect();
    assert!(gone.is_empty(), "listed and none any more: {gone:?}");
    assert!(known.difference.iter().all(|one| one.reason.len() > 10));
    println!("{} tokens compared; {} differences, all listed", pairs.len(), known.difference.len());
}

/// The doubter is tested too: a claim that changes is a difference.
#[test]
fn a_changed_claim_is_a_difference() {
    let token = |body: Value| {
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.", part(json!({"alg": "none"})), part(body))
    };
    let found = differences(&token(json!({"a": 1, "b": 2, "c": 3})), &token(json!({"a": 1, "b": 3, "d": 4})));
    let found: Vec<_> = found.iter().map(|(place, sort)| (place.as_str(), *sort)).collect();
    assert_eq!(found, [("body.b", "value"), ("body.c", "ours"), ("body.d", "theirs")]);
}
