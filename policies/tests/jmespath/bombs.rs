//! Queries made to explode: each ends inside the service's budget, soon. Bad inputs, rows POL-02 and POL-04.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use keygate_policies::fuel::{Exhausted, Fuel};
use keygate_policies::jmespath::{DEPTH, Expression, Fault, QUERY_BYTES};
use serde_json::{Value, json};

use crate::maker::Maker;

/// Stages that may follow each other for ever: each takes what each of its family gives.
const LISTS: [&str; 12] = [
    "[@,@][]",
    "[@,@]",
    "map(&[@,@], @)",
    "map(&to_string(@), @)",
    "[*].[@,@]",
    "[*].[@,@][]",
    "[?to_string(@) != 'x']",
    "sort_by(@, &to_string(@))",
    "reverse(@)",
    "[@, @[0]]",
    "[::2]",
    "[to_string(@), to_string(@)]",
];
const TEXTS: [&str; 6] = [
    "join('', [@,@])",
    "to_string([@,@])",
    "join(@, [@,@])",
    "reverse(@)",
    "to_string({a: @, b: @})",
    "join(',', map(&to_string(@), [@,@,@]))",
];
const OBJECTS: [&str; 5] =
    ["{a: @, b: @}", "merge(@, {a: @})", "merge({a: @}, {b: @}, @)", "{a: values(@), b: keys(@)}", "{a: *, b: *.*}"];
/// What looks at the whole of a value.
const ENDS: [&str; 8] = [
    "@",
    "to_string(@) | length(@)",
    "[@,@] | @[0] == @[1]",
    "[[@],[@]] | @[0] == @[1]",
    "contains([@], @)",
    "to_string([to_string(@), @])",
    "[0]",
    "length(@)",
];

fn stages(maker: &mut Maker) -> (String, Value) {
    let numbers: Value = (0..maker.below(40)).map(|index| json!(index)).collect();
    let (family, data): (&[&str], Value) = match maker.below(3) {
        0 => (&LISTS, numbers),
        1 => (&TEXTS, json!("seed \"of\" \\ a string")),
        _ => (&OBJECTS, json!({"a": numbers, "c": "text"})),
    };
    // a few kinds of stages each, so that every one of them gets to repeat
    let kinds: Vec<&str> = (0..=maker.below(2)).map(|_| maker.pick(family)).collect();
    let count = 1 + maker.below(60);
    let mut parts: Vec<&str> = (0..count).map(|_| maker.pick(&kinds)).collect();
    parts.push(maker.pick(&ENDS));
    (parts.join("|"), data)
}

/// Loops within loops over literals of the query or over the data.
fn loops(maker: &mut Maker) -> (String, Value) {
    let size = [3, 10, 100, 1_000][maker.below(4)];
    let list: Value = (0..size).map(|index| json!(format!("v{index}"))).collect();
    let literal = format!("`{list}`");
    let mut query = maker.pick(&["@", "to_string(@)", "'aaaaaaaaaaaaaaaaaaaaaaab'"]).to_owned();
    for _ in 0..1 + maker.below(8) {
        let over =
            if query.len() + 2 * literal.len() < QUERY_BYTES / 2 { literal.as_str() } else { "[@,@,@,@,@,@,@,@]" };
        query = match maker.below(7) {
            0 => format!("{over}[?{query}]"),
            1 => format!("map(&{query}, {over})"),
            2 => format!("sort_by({over}, &to_string({query}))"),
            3 => format!("max_by({over}, &length(to_string({query})))"),
            4 => format!("{over}[*].[{query}, {query}]"),
            5 => format!("join('', map(&to_string({query}), {over}))"),
            _ => format!("{over}[?contains({over}, to_string({query}))]"),
        };
    }
    (query, list)
}

/// Long texts and names, looked at again and again.
fn long(maker: &mut Maker) -> (String, Value) {
    let text = "a".repeat(1 + maker.below(6_000));
    let texts: Value = (0..100).map(|index| json!(format!("{text}{index}"))).collect();
    let query = match maker.below(9) {
        0 => format!("[?contains(@, '{text}b')]"),
        1 => format!("[?@ == '{text}']"),
        2 => format!("map(&{text}, @)"),
        3 => "sort(@)".to_owned(),
        4 => "join(',', @) | to_string([@]) | to_string([@])".to_owned(),
        5 => format!("map(&starts_with(@, '{text}'), @)"),
        6 => "map(&reverse(@), @) | map(&length(@), @)".to_owned(),
        7 => format!("map(&equals_ignore_case(@, '{text}1'), @)"),
        _ => "map(&to_number(@), @)".to_owned(),
    };
    (query, texts)
}

/// Whatever the grammar gives, over data that repeats itself.
fn wild(maker: &mut Maker) -> (String, Value) {
    let depth = 3 + maker.below(4);
    let query = maker.query(depth);
    let parts: Vec<Value> = (0..200).map(|_| maker.value(2)).collect();
    (query, json!({"a": parts, "b": parts, "c": {"a": parts, "d": "text"}}))
}

#[derive(Default)]
struct Seen {
    outcomes: BTreeMap<&'static str, u64>,
    worst: Duration,
    total: Duration,
    worst_query: String,
}

impl Seen {
    fn run(&mut self, query: &str, data: &Value) {
        let mut fuel = Fuel::service();
        let begin = Instant::now();
        let found = Expression::parse_metered(query, &mut fuel).and_then(|query| query.search(data, &mut fuel));
        let took = begin.elapsed();
        self.total += took;
        assert!(fuel.steps_spent() <= 100_000 && fuel.bytes_spent() <= 16 * 1_024 * 1_024);
        *self.outcomes.entry(found.as_ref().map_or_else(Fault::kind, |_| "value")).or_default() += 1;
        if took > self.worst {
            self.worst = took;
            self.worst_query = query.chars().take(120).collect();
        }
    }
}

#[test]
fn pol_04_two_thousand_bombs_end_inside_the_budget() {
    type Family = fn(&mut Maker) -> (String, Value);
    const FAMILIES: [(&str, Family, u64); 4] =
        [("stages", stages, 250), ("loops", loops, 250), ("long", long, 300), ("wild", wild, 1_300)];
    let explode = |(name, make, count): &(&str, Family, u64)| {
        let mut seen = Seen::default();
        for seed in 0..*count {
            let (query, data) = make(&mut Maker::new(seed));
            seen.run(&query, &data);
        }
        println!("{name}: {:?}, all {:?}, worst {:?}: {}", seen.outcomes, seen.total, seen.worst, seen.worst_query);
        seen
    };
    let all: Vec<Seen> = std::thread::scope(|scope| {
        let running: Vec<_> = FAMILIES.iter().map(|family| scope.spawn(move || explode(family))).collect();
        running.into_iter().map(|running| running.join().unwrap()).collect()
    });
    let count = |outcome: &str| all.iter().filter_map(|seen| seen.outcomes.get(outcome)).sum::<u64>();
    assert!(count("budget-exceeded") > 200 && count("value") > 500);
    // about 10 ms each where it is optimised; this is a bound for a busy machine without
    assert!(all.iter().all(|seen| seen.worst < Duration::from_secs(5)));
}

/// What takes the crate `jmespath` seconds and gigabytes.
#[test]
fn pol_04_doubling_is_out_of_budget_and_its_short_twin_is_not() {
    for (stage, data) in [
        ("join('', [@,@])", json!("abcdefgh")),
        ("to_string([@,@])", json!("a")),
        ("[@,@][]", json!([0, 1])),
        ("[@,@]", json!(1)),
        ("map(&[@,@], @)[]", json!([1])),
        ("{a: @, b: @}", json!(1)),
    ] {
        let run = |count: usize| {
            let query = Expression::parse(&vec![stage; count].join("|")).unwrap();
            query.search(&data, &mut Fuel::service())
        };
        assert!(run(4).is_ok(), "{stage}");
        assert!(matches!(run(24), Err(Fault::Exhausted(_))), "{stage}: {:?}", run(24));
    }
}

#[test]
fn pol_04_what_is_shared_is_paid_for_by_whoever_walks_it() {
    let shared = vec!["[@,@]"; 24].join("|");
    for (end, fits) in [("length(@)", true), ("[0][0] | type(@)", true), ("to_string(@)", false), ("@ == @", false)] {
        let query = Expression::parse(&format!("{shared}|{end}")).unwrap();
        let mut fuel = Fuel::service();
        let found = query.search(&json!(1), &mut fuel);
        assert_eq!(found.is_ok(), fits, "{end}: {found:?}");
        assert!(fits || matches!(found, Err(Fault::Exhausted(_))), "{end}: {found:?}");
        assert!(!fits || fuel.steps_spent() < 200);
    }
}

#[test]
fn pol_04_the_budget_is_charged_before_the_bytes_are_made() {
    let query = Expression::parse("join('', [@,@,@,@])").unwrap();
    let text = json!("x".repeat(5 * 1_024 * 1_024));
    let mut fuel = Fuel::new(10_000_000, 16 * 1_024 * 1_024);
    assert_eq!(query.search(&text, &mut fuel), Err(Fault::Exhausted(Exhausted::Bytes)));
    assert_eq!(query.search(&text, &mut Fuel::service()), Err(Fault::Exhausted(Exhausted::Steps)));
    let fits = query.search(&json!("x".repeat(1_024 * 1_024)), &mut Fuel::service());
    assert_eq!(fits.map(|text| text.as_str().map(str::len)), Ok(Some(4 * 1_024 * 1_024)));
}

/// Every way to nest, far deeper and longer than allowed, and as deep as allowed.
#[test]
fn pol_02_nesting_of_any_kind_is_refused_without_a_stack() {
    let nest = |open: &str, close: &str, count: usize| format!("{}a{}", open.repeat(count), close.repeat(count));
    for (open, close) in [
        ("(", ")"),
        ("[", "]"),
        ("!", ""),
        ("{a: ", "}"),
        ("a[?", "]"),
        ("length(", ")"),
        ("map(&", ", a)"),
        ("a[*].", ""),
        ("*.", ""),
        ("a.[", "]"),
        ("a == (", ")"),
        ("a || (b && (", "))"),
        ("", "[]"),
        ("", "[*]"),
        ("", "[?a]"),
        ("", " == a"),
    ] {
        let deep = nest(open, close, 1_000);
        let refused = Expression::parse(&deep).map(|_| ());
        assert!(matches!(refused, Err(Fault::TooDeep { .. })), "{open} {close}: {refused:?}");
        assert_eq!(refused.unwrap_err().kind(), "too-large");
        let long = nest(open, close, 100_000);
        let refused = Expression::parse(&long).map(|_| ());
        assert_eq!(refused.unwrap_err(), Fault::TooLarge { bytes: long.len() });
        let twin = nest(open, close, 6);
        assert!(Expression::parse(&twin).is_ok(), "{twin}");
    }
    assert!(Expression::parse(&nest("(", ")", DEPTH - 1)).is_ok());
    assert!(matches!(Expression::parse(&nest("(", ")", DEPTH)), Err(Fault::TooDeep { offset: 32 })));
}

#[test]
fn pol_02_chains_are_as_long_as_the_text_allows() {
    for (first, more) in [("a", ".a"), ("a", " || a"), ("a", " && a"), ("@", "|@"), ("a", "[0]"), ("[a", ", a")] {
        let closing = if first == "[a" { "]" } else { "" };
        let count = (QUERY_BYTES - 3) / more.len();
        let chain = format!("{first}{}{closing}", more.repeat(count));
        let query = Expression::parse(&chain).unwrap_or_else(|fault| panic!("{more}: {fault}"));
        assert!(query.search(&json!({"a": false}), &mut Fuel::service()).is_ok(), "{more}");
        assert!(Expression::parse(&format!("{chain}{}", " ".repeat(QUERY_BYTES))).is_err());
    }
}

#[test]
fn pol_02_a_query_puts_no_more_than_its_depth_around_the_data() {
    let wrap = |count: usize| Expression::parse(&vec!["[@]"; count].join("|")).unwrap();
    assert!(wrap(DEPTH).search(&json!(1), &mut Fuel::service()).is_ok());
    assert_eq!(wrap(DEPTH + 1).search(&json!(1), &mut Fuel::service()), Err(Fault::Nested));
    let mut deep = json!(1);
    for _ in 0..1_000 {
        deep = json!([deep]);
    }
    for query in ["@", "to_string(@)", "[@,@] | @[0] == @[1]"] {
        let query = Expression::parse(query).unwrap();
        assert_eq!(query.search(&deep, &mut Fuel::service()), Err(Fault::Nested));
    }
}
