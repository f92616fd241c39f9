//! What holds for every query and all data: no panic, one answer, and a budget that decides nothing but whether there is one.
//! Threat model, P22.

use keygate_policies::fuel::Fuel;
use keygate_policies::jmespath::{DEPTH, Expression, Fault, QUERY_BYTES};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::maker::Maker;

fn generated() -> impl Strategy<Value = (String, Value)> {
    (any::<u64>(), 1..5_usize).prop_map(|(seed, depth)| {
        let mut maker = Maker::new(seed);
        (maker.query(depth), maker.value(3))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn pol_02_any_text_is_a_query_or_a_fault_with_its_place(text in "\\PC{0,60}") {
        match Expression::parse(&text) {
            Ok(query) => drop(query.search(&json!({"a": [1]}), &mut Fuel::service())),
            Err(fault) => prop_assert!(fault.offset().is_none_or(|offset| offset <= text.len()), "{}", fault),
        }
    }

    #[test]
    fn pol_02_any_marks_are_a_query_or_a_fault(text in "[a-b0-9\\[\\](){}.,:?*&|!<>=@'\"`\\\\ -]{0,40}") {
        if let Ok(query) = Expression::parse(&text) {
            let _ = query.search(&json!({"a": [{"b": 1}, {"b": "x"}], "b": null}), &mut Fuel::service());
        }
    }

    #[test]
    fn p22_the_answer_does_not_depend_on_what_is_left((query, data) in generated(), spare in 0..1_000_u64) {
        let Ok(query) = Expression::parse(&query) else { return Ok(()) };
        let mut ample = Fuel::new(10_000_000, 1 << 30);
        let found = query.search(&data, &mut ample);
        let (steps, bytes) = (ample.steps_spent(), ample.bytes_spent());
        let again = query.search(&data, &mut Fuel::new(steps + spare, bytes + spare));
        prop_assert_eq!(&found, &again);
        let scarce = query.search(&data, &mut Fuel::new(steps - 1, bytes));
        prop_assert!(matches!(scarce, Err(Fault::Exhausted(_))), "{:?}", scarce);
        if bytes > 0 {
            let scarce = query.search(&data, &mut Fuel::new(steps, bytes - 1));
            prop_assert!(matches!(scarce, Err(Fault::Exhausted(_))), "{:?}", scarce);
        }
    }

    #[test]
    fn p22_the_text_of_an_answer_is_the_answer((query, data) in generated()) {
        let Ok(query) = Expression::parse(&query) else { return Ok(()) };
        let value = query.search(&data, &mut Fuel::service());
        let text = query.search_text(&data, &mut Fuel::service());
        prop_assert_eq!(value.map(|value| value.to_string()), text);
    }

    #[test]
    fn p22_every_value_passes_through_unchanged(seed in any::<u64>()) {
        let data = Maker::new(seed).value(4);
        for query in ["@", "[@] | [0]", "{a: @}.a", "not_null(@)", "@ | @"] {
            let found = Expression::parse(query).unwrap().search(&data, &mut Fuel::service());
            prop_assert_eq!(found.as_ref(), Ok(&data));
        }
        let literal = format!("`{}`", data.to_string().replace('`', "\\`"));
        let found = Expression::parse(&literal).unwrap().search(&Value::Null, &mut Fuel::service());
        prop_assert_eq!(found, Ok(data));
    }

    #[test]
    fn pol_02_the_bounds_are_those_that_are_published(count in 1..80_usize) {
        let deep = format!("{}a{}", "[".repeat(count), "]".repeat(count));
        prop_assert_eq!(Expression::parse(&deep).is_ok(), count < DEPTH);
        let long = format!("a{}", " ".repeat(QUERY_BYTES - 40 + count));
        prop_assert_eq!(Expression::parse(&long).is_ok(), long.len() <= QUERY_BYTES);
    }
}
