//! Beside `dcap-qvl`: whatever both accept has the same status and advisories; what it accepts, we accept; and where only we
//! accept, it is for a reason that is known.
//!
//! Known: it refuses by its own rules a TD without SEPT_VE_DISABLE or one that may migrate, and reads no TCB info of version 2.

mod dcap;
#[path = "dcap/peer.rs"]
mod peer;
mod support;

use keygate_verifier::{Anchors, Binding, Endorsements, Evidence, Genuine, Options, Outcome, UnixTime, Verifier};
use support::Case;

struct Pair {
    ours: Result<Genuine, String>,
    theirs: Result<dcap_qvl::verify::VerifiedReport, String>,
}

fn judge(ours: &Verifier, case: &Case, quote: &[u8], collateral: &[u8], now: UnixTime) -> Pair {
    let root = support::vector("evidence/roots/intel/sgx-root-ca.der");
    let seconds = u64::try_from(now.secs()).expect("after 1970");
    Pair {
        ours: dcap::judge(ours, dcap::kind(&case.kind), quote, &dcap::held(collateral), now),
        theirs: peer::judge(&peer::verifier(&root), quote, &peer::collateral(collateral), seconds),
    }
}

/// Why it alone refuses, from its text.
fn known(why: &str) -> bool {
    ["SEPT_VE_DISABLE", "TD migration", "Failed to decode TcbInfo"].iter().any(|known| why.contains(known))
}

fn compare(name: &str, pair: &Pair) -> bool {
    match (&pair.ours, &pair.theirs) {
        (Ok(ours), Ok(theirs)) => {
            let tcb = ours.tcb().expect("a verdict");
            assert_eq!(tcb.status.as_str(), theirs.status, "{name}");
            assert_eq!(tcb.qe_status.as_str(), theirs.qe_status.status.to_string(), "{name}");
            let mut advisories = theirs.advisory_ids.clone();
            advisories.sort_unstable();
            advisories.dedup();
            assert_eq!(tcb.advisories, advisories, "{name}");
            let ppid = format!("intel-ppid:{}", hex::encode(&theirs.ppid));
            assert!(ours.platforms().contains(&ppid), "{name}: {:?}", ours.platforms());
            true
        }
        (Ok(_), Err(why)) => {
            assert!(known(why), "{name}: only dcap-qvl refuses: {why}");
            false
        }
        (Err(code), Ok(_)) => panic!("{name}: only we refuse: {code}"),
        (Err(_), Err(_)) => false,
    }
}

#[test]
fn both_verifiers_agree_on_every_sample() {
    let cases = support::cases(&["sgx", "tdx"]);
    let ours = dcap::vendor();
    let mut both = 0;
    for case in cases.iter().filter(|c| c.files.contains_key("collateral")) {
        let now = case.at().expect("a date");
        let pair = judge(&ours, case, &case.file("evidence"), &case.file("collateral"), now);
        both += usize::from(compare(&case.id, &pair));
    }
    assert!(cases.is_empty() || both > 35, "only {both} samples are accepted by both");
}

#[test]
fn both_verifiers_agree_on_every_collateral_of_the_same_platform() {
    let cases = support::cases(&["sgx", "tdx"]);
    let ours = dcap::vendor();
    let sets: Vec<(Vec<u8>, UnixTime)> = cases
        .iter()
        .filter(|c| c.verifies() && c.files.contains_key("collateral"))
        .map(|c| (c.file("collateral"), c.at().expect("a date")))
        .collect();
    for case in cases.iter().filter(|c| c.verifies()) {
        for (collateral, now) in sets.iter().step_by(if support::full() { 1 } else { 9 }) {
            compare(&case.id, &judge(&ours, case, &case.file("evidence"), collateral, *now));
        }
    }
}

#[test]
fn mutations_of_quotes_are_accepted_by_neither() {
    let Some(case) = support::case("tdx-v5-90c06f000000-d21a11db-b") else { return };
    let (quote, collateral) = (case.file("evidence"), case.file("collateral"));
    let root = support::vector("evidence/roots/intel/sgx-root-ca.der");
    let (theirs, parsed) = (peer::verifier(&root), peer::collateral(&collateral));
    let now = case.at().expect("a date");
    let seconds = u64::try_from(now.secs()).expect("after 1970");
    let ours = Verifier::new(Anchors::vendor().expect("roots"));
    let held: Endorsements = dcap::held(&collateral);
    let mut random = support::Rng::new(0xd1ff);
    let count = support::mutations(200, 10_000);
    for round in 0..count {
        let mutated = random.mutated(&quote);
        let evidence = Evidence { kind: dcap::kind("tdx"), bytes: &mutated };
        let verdict = ours.verify(&evidence, &Binding::Unbound, &held, &Options::show_all(), now);
        let accepted = matches!(verdict, Ok(Outcome::Verified(_)));
        let accepted_there = peer::judge(&theirs, &mutated, &parsed, seconds).is_ok();
        assert!(!accepted || accepted_there, "round {round}: only we accept");
    }
    support::tried("mutations of a quote beside dcap-qvl", count);
}
