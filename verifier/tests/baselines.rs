//! TCB baselines against every real SGX quote that verifies.

mod dcap;
mod support;

use std::collections::BTreeMap;

use keygate_verifier::{meets_baseline, tcb_baselines};

/// Status, date of the level and number of the collateral, and the highest baseline that is met.
const HIGHEST: &[(&str, &str, u32, &str)] = &[
    ("SWHardeningNeeded", "2024-03-13T00:00:00Z", 17, "15"),
    ("ConfigurationAndSWHardeningNeeded", "2024-03-13T00:00:00Z", 17, "15"),
    // Not out of date by what was known in 2022: that says nothing of later recoveries.
    ("SWHardeningNeeded", "2021-11-10T00:00:00Z", 12, "12"),
    ("OutOfDate", "2023-08-09T00:00:00Z", 17, "15"),
    ("OutOfDate", "2023-02-15T00:00:00Z", 17, "15"),
    ("OutOfDate", "2022-08-10T00:00:00Z", 17, "13"),
    ("OutOfDate", "2021-11-10T00:00:00Z", 17, "12"),
    ("OutOfDate", "2020-11-11T00:00:00Z", 17, "10"),
];

#[test]
fn real_quotes_meet_the_baselines_up_to_their_own_and_none_above() {
    let mut seen = BTreeMap::new();
    for case in support::cases(&["sgx"]).iter().filter(|c| c.verifies() && c.expected["scope"] == "full") {
        let held = dcap::held(&case.file("collateral"));
        let at = case.at().expect("a time");
        let genuine =
            dcap::judge(&dcap::vendor(), dcap::kind("sgx"), &case.file("evidence"), &held, at).expect("genuine");
        let tcb = genuine.tcb().expect("a verdict");
        let row = HIGHEST.iter().find(|(status, date, number, _)| {
            (*status, *date, *number) == (tcb.status.as_str(), tcb.date.as_str(), tcb.evaluation_number)
        });
        let (.., highest) = row.unwrap_or_else(|| panic!("{}: {tcb:?}", case.id));
        let mut above = false;
        for baseline in tcb_baselines() {
            let met = meets_baseline(tcb, baseline.identifier, baseline).expect("a baseline");
            assert_eq!(met, !above, "{}: {} for {tcb:?}", case.id, baseline.identifier);
            assert_eq!(meets_baseline(tcb, "azuredefault", baseline), Ok(met), "{}", case.id);
            above |= baseline.identifier == *highest;
        }
        *seen.entry(*highest).or_insert(0) += 1;
    }
    assert!(seen.is_empty() || seen == BTreeMap::from([("10", 2), ("12", 5), ("13", 1), ("15", 13)]), "{seen:?}");
}
