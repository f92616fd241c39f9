//! Any query over any JSON, a line break between them: an answer or a fault, inside the budget, the same one twice.
#![no_main]

use keygate_policies::{fuel::Fuel, jmespath::Expression};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (query, data) = text.split_once('\n').unwrap_or((text, "null"));
    let Ok(data) = serde_json::from_str::<serde_json::Value>(data) else { return };
    let mut fuel = Fuel::service();
    let found = Expression::parse(query).and_then(|query| query.search(&data, &mut fuel));
    let again = Expression::parse(query).and_then(|query| query.search_text(&data, &mut Fuel::service()));
    assert!(found.is_err() || again.is_err() || found.is_ok_and(|found| Ok(found.to_string()) == again));
});
