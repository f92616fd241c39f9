//! What a query costs beside the same search written by hand, and beside the crate `jmespath`.
//! Performance floor, policies. `floor/*` is the bare work, `peer/*` the crate; bombs show what the whole budget takes.

#![allow(missing_docs)]

use std::hint::black_box;

use criterion::Criterion;
use keygate_policies::fuel::Fuel;
use keygate_policies::jmespath::Expression;
use serde_json::{Value, json};

/// The shape of a TPM 1.2 policy's query over the events of a boot.
const FILTER: &str = "Events[?EventTypeString == 'EV_EFI_VARIABLE_DRIVER_CONFIG' && ProcessedData.VariableGuid == \
                      '8BE4DF61-93CA-11D2-AA0D-00E098032B8C'] | [?ProcessedData.UnicodeName == 'SecureBoot'] | \
                      length(@) == `1` && @[0].PcrIndex == `7` && @[0].ProcessedData.VariableData == 'AQ'";

fn events(count: usize) -> Value {
    let event = |index: usize| {
        json!({
            "EventTypeString": if index.is_multiple_of(3) { "EV_EFI_VARIABLE_DRIVER_CONFIG" } else { "EV_IPL" },
            "PcrIndex": 7,
            "ProcessedData": {
                "VariableGuid": "8BE4DF61-93CA-11D2-AA0D-00E098032B8C",
                "UnicodeName": if index == 0 { "SecureBoot" } else { "PK" },
                "VariableData": "AQ",
            },
            "Digests": {"SHA256": "ab".repeat(32)},
        })
    };
    json!({"Events": (0..count).map(event).collect::<Value>()})
}

/// The same search by hand.
fn handwritten(data: &Value) -> Option<bool> {
    let mut found = data.get("Events")?.as_array()?.iter().filter(|event| {
        let processed = |name: &str| event.get("ProcessedData").and_then(|data| data.get(name)?.as_str());
        event.get("EventTypeString").and_then(Value::as_str) == Some("EV_EFI_VARIABLE_DRIVER_CONFIG")
            && processed("VariableGuid") == Some("8BE4DF61-93CA-11D2-AA0D-00E098032B8C")
            && processed("UnicodeName") == Some("SecureBoot")
    });
    let only = found.next().filter(|_| found.next().is_none())?;
    Some(only.get("PcrIndex")?.as_u64()? == 7 && only.get("ProcessedData")?.get("VariableData")?.as_str()? == "AQ")
}

fn parsed(text: &str) -> Expression {
    Expression::parse(text).unwrap_or_else(|fault| {
        eprintln!("a query of the benchmark does not parse: {fault}");
        std::process::exit(1)
    })
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let query = parsed(FILTER);
    for count in [10, 200] {
        let data = events(count);
        assert_eq!(handwritten(&data), Some(true));
        assert_eq!(query.search(&data, &mut Fuel::service()), Ok(Value::Bool(true)));
        criterion.bench_function(&format!("floor/handwritten_events_{count}"), |bench| {
            bench.iter(|| handwritten(black_box(&data)));
        });
        criterion.bench_function(&format!("evaluate/jmespath_events_{count}"), |bench| {
            bench.iter(|| query.search(black_box(&data), &mut Fuel::service()));
        });
        let peer = jmespath::compile(FILTER).ok().zip(jmespath::Variable::try_from(&data).ok());
        if let Some((peer, variable)) = peer {
            let variable = jmespath::Rcvar::new(variable);
            criterion.bench_function(&format!("peer/jmespath_crate_events_{count}"), |bench| {
                bench.iter(|| peer.search(black_box(&variable)));
            });
        }
    }
    criterion.bench_function("compile/jmespath_events", |bench| bench.iter(|| Expression::parse(black_box(FILTER))));
    criterion.bench_function("peer/jmespath_crate_compile", |bench| {
        bench.iter(|| jmespath::compile(black_box(FILTER)).is_ok())
    });

    let numbers: Value = (0..1_000).map(|index| json!(index)).collect();
    for (name, text) in [
        ("loop", "map(&map(&map(&abs(@), [@,@,@,@,@,@,@,@,@,@]), [@,@,@,@,@,@,@,@,@,@]), @)"),
        ("filter", "[?`[0,1,2,3,4,5,6,7,8,9]`[?`[0,1,2,3,4,5,6,7,8,9]`[?`[0,1,2,3,4,5,6,7,8,9]`[?@]]]]"),
        ("doubling", "[@,@][]|[@,@][]|[@,@][]|[@,@][]|[@,@][]|[@,@][]|[@,@][]|[@,@][]|[@,@][]"),
        ("text", "to_string([@,@])|to_string([@,@])|to_string([@,@])|to_string([@,@])|to_string([@,@])"),
    ] {
        let bomb = parsed(text);
        criterion.bench_function(&format!("evaluate/jmespath_bomb_{name}"), |bench| {
            bench.iter(|| bomb.search(black_box(&numbers), &mut Fuel::service()).is_err());
        });
    }
    criterion.final_summary();
}
