//! Policies that are meant to exhaust: they end within their budget, and soon.
//! Threat model, P22; bad inputs, rows POL-02 to POL-04 and POL-06.

mod generated;

use std::time::{Duration, Instant};

use generated::{Chance, rounds};
use keygate_policies::attestation::{AttestationPolicy, Claim, ClaimSet, ClaimValue, Issuer, Tracing, azure_message};
use keygate_policies::fuel::Fuel;

const STEPS: u64 = 100_000;
const BYTES: u64 = 16 << 20;

/// Rules each of which does much; what they do adds up.
const FUSES: [&str; 22] = [
    "c:[value!=\"none\"] => add(claim=c);",
    "c:[type==\"s\"] => add(type=\"s\", value=AppendString(c.value, c.value));",
    "c:[type==\"n\"] && d:[type==\"n\", value==c.value] => add(claim=d);",
    "c:[value!=0] && d:[value!=c.value] => add(type=\"n\", value=d.value);",
    "c:[type==\"n\"] => add(type=\"sub\", value=IsSubsetOf(c.value, c.value));",
    "c:[type==\"n\"] && ![type==\"n\", value==c.value] => deny();",
    "c:[type==\"n\"] => add(type=\"only\", value=ContainsOnlyValue(c.value, 1));",
    "c:[type==\"list\"] => add(type=\"n\", value=JsonToClaimValue(c.value));",
    "c:[type==\"list\"] => add(type=\"n\", value=JsonToClaimValue(JmesPath(c.value, \"[?@>`1`]\")));",
    "c:[type==\"list\"] => add(type=\"t\", value=JmesPath(c.value, \"[[@,@,@,@],[@,@,@,@]]\"));",
    "c:[type==\"list\"] => add(type=\"t\", value=JmesPath(c.value, \"[*].[@,@][].[@,@][].[@,@][]\"));",
    "c:[type==\"list\"] => add(type=\"t\", value=JmesPath(c.value, \"sort(reverse(sort(@)))\"));",
    "c:[type==\"list\"] => add(type=\"t\", value=JmesPath(c.value, \"map(&[@,@], map(&[@,@], @))\"));",
    "c:[type==\"list\"] => add(type=\"t\", value=JmesPath(c.value, \"sort_by(map(&{k:@}, @), &k)[*].k | sum(@)\"));",
    "c:[type==\"list\"] => add(type=\"t\", value=JmesPath(c.value, \"join(',', map(&to_string(@), @))\"));",
    "c:[type==\"deep\"] => add(type=\"t\", value=JmesPath(c.value, \"a.a.a.a.a.a.a.a.to_string(@)\"));",
    "c:[type==\"log\"] => add(type=\"t\", value=JmesPath(c.value, \"Events[?Pcr==`7`].Data | [?contains(@, 'x')]\"));",
    "c:[type==\"log\"] => add(type=\"t\", value=JmesPath(c.value, \"Events[*].Events[*].Data\"));",
    "c:[type==\"log\"] => add(type=\"s\", value=JmesPath(c.value, \"to_string(to_string(to_string(@)))\"));",
    "c:[type==\"q\"] && d:[type==\"list\"] => add(type=\"t\", value=JmesPath(d.value, AppendString(c.value, \"]\")));",
    "c:[type==\"big\"] && [type==\"big\", value==c.value] => add(type=\"n\", value=1);",
    "c:[valueType==\"Integer\"] => issue(type=\"out\", value=c.value);",
];

fn bomb(chance: &mut Chance) -> String {
    let mut rules = String::new();
    let fuse = |chance: &mut Chance| FUSES[chance.below(FUSES.len() - 1)];
    let same = chance.one_in(2).then(|| fuse(chance));
    for _ in 0..=chance.below(400) {
        rules.push_str(same.unwrap_or_else(|| fuse(chance)));
    }
    let issue = if chance.one_in(2) { FUSES[FUSES.len() - 1].repeat(20) } else { String::new() };
    format!("version=1.2;authorizationrules{{=>permit();{rules}}};issuancerules{{{issue}}};")
}

fn tinder(chance: &mut Chance) -> ClaimSet {
    let size = [1, 30, 300, 3_000][chance.below(4)];
    let list: Vec<String> = (0..size * 3).map(|_| chance.below(1_000).to_string()).collect();
    let event = |n: usize| format!("{{\"Pcr\":{},\"Data\":\"{}\"}}", n % 24, "x".repeat(n % 64));
    let log = format!("{{\"Events\":[{}]}}", (0..size * 4).map(event).collect::<Vec<_>>().join(","));
    let texts = [
        ("s", "seed".to_owned()),
        ("list", format!("[{}]", list.join(","))),
        ("deep", format!("{}1{}", "{\"a\":".repeat(60), "}".repeat(60))),
        ("log", log),
        ("q", format!("{}@{}", "[".repeat(20), "]".repeat(19))),
        ("big", "y".repeat(size * 100)),
        ("big", "y".repeat(size * 100)),
    ];
    let texts = texts.into_iter().map(|(kind, text)| (kind, ClaimValue::Text(text)));
    let numbers = (0..size).map(|n| ("n", ClaimValue::Integer(i64::try_from(n).unwrap())));
    texts.chain(numbers).map(|(kind, value)| Claim::new(kind, value, Issuer::CustomClaim)).collect()
}

/// Five thousand in a release build.
#[test]
fn pol_04_bombs_end_within_their_budget_and_soon() {
    let mut chance = Chance(0x0BAD_CAFE_0BAD_CAFE);
    let (mut exhausted, mut worst, mut total) = (0, Duration::ZERO, Duration::ZERO);
    let all = rounds(80, 5_000);
    for _ in 0..all {
        let text = bomb(&mut chance);
        let policy = AttestationPolicy::parse(&text).unwrap_or_else(|found| panic!("{text}: {found:?}"));
        let claims = tinder(&mut chance);
        let mut fuel = Fuel::service();
        let start = Instant::now();
        let evaluation = policy.evaluate(claims, &mut fuel, Tracing::Off);
        let took = start.elapsed();
        worst = worst.max(took);
        total += took;
        assert!(fuel.steps_spent() <= STEPS && fuel.bytes_spent() <= BYTES);
        exhausted += usize::from(evaluation.outcome.code() == Some("budget-exceeded"));
    }
    println!("{all} bombs, {exhausted} cut off; worst {worst:?}, {:?} on average", total / u32::try_from(all).unwrap());
    assert!(exhausted > all / 4, "{exhausted} of {all}");
    assert!(cfg!(debug_assertions) || worst < Duration::from_millis(500), "{worst:?}");
}

/// Many tests in one bracket, each against every claim: a test that is cheap is not free.
#[test]
fn pol_04_every_test_of_a_bracket_is_paid_for() {
    for test in [",value<9", ",value!=JsonToClaimValue(\"null\")"] {
        let many = test.repeat(56_000 / test.len());
        let grown = "c:[type==\"n\"]=>add(claim=c);".repeat(14);
        let rules = format!("=>permit();=>add(type=\"n\",value=1);{grown}[type==\"n\"{many}]=>permit();");
        let policy = AttestationPolicy::parse(&format!("version=1.2;authorizationrules{{{rules}}};")).unwrap();
        let evaluation = policy.evaluate(ClaimSet::new(), &mut Fuel::service(), Tracing::Off);
        assert_eq!(evaluation.outcome.code(), Some("budget-exceeded"), "{test}: {} steps", evaluation.steps);
    }
}

#[test]
fn pol_04_a_trace_of_a_bomb_is_bounded() {
    let mut chance = Chance(0x5EED_5EED_5EED_5EED);
    for _ in 0..rounds(10, 200) {
        let policy = AttestationPolicy::parse(&bomb(&mut chance)).unwrap();
        let claims = tinder(&mut chance);
        let traced = policy.evaluate(claims.clone(), &mut Fuel::service(), Tracing::On);
        let plain = policy.evaluate(claims, &mut Fuel::service(), Tracing::Off);
        assert_eq!((traced.outcome, traced.steps), (plain.outcome, plain.steps));
        let bytes = serde_json::to_string(&traced.trace).unwrap().len();
        assert!(bytes < 2 << 20, "{bytes}");
    }
}

fn refusal(text: &str) -> (&'static str, String) {
    let start = Instant::now();
    let found = AttestationPolicy::parse(text).unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(2));
    assert_eq!(azure_message(&found[0]).lines().count(), 5);
    (found[0].code, found[0].message.clone())
}

#[test]
fn pol_02_depth_is_refused_without_a_stack() {
    let deep = |open: &str, close: &str, times: usize| {
        let (open, close) = (open.repeat(times), close.repeat(times));
        format!("version=1.2;authorizationrules{{=>add(type=\"a\",value={open}1{close});}};")
    };
    assert_eq!(refusal(&deep("NegateBool(", ")", 5_000)).0, "too-large");
    assert_eq!(refusal(&deep("NegateBool(", ")", 32)).0, "too-large");
    assert!(AttestationPolicy::parse(&deep("NegateBool(", ")", 31)).is_ok());
    assert_eq!(refusal(&deep("NegateBool(", ")", 100_000)).0, "too-large", "by its length");
    assert_eq!(refusal(&deep("(", ")", 10_000)).0, "policy-invalid", "there are no brackets of that sort");
    assert_eq!(refusal(&format!("version=1.2;authorizationrules{{{}", "!".repeat(60_000))).0, "policy-invalid");
    assert_eq!(refusal(&format!("version=1.2;authorizationrules{{{}", "[".repeat(60_000))).0, "policy-invalid");
    let query = "[".repeat(10_000);
    let policy = format!("version=1.2;authorizationrules{{=>add(type=\"a\",value=JmesPath(\"{{}}\",\"{query}\"));}};");
    let (code, message) = refusal(&policy);
    assert!(code == "policy-invalid" && message.contains("deeper than 32"), "{message}");
}

#[test]
fn pol_03_a_text_of_64_kib_is_read_and_no_longer_one() {
    let rule = "=>permit();";
    let filled = |bytes: usize| {
        let head = "version=1.0;authorizationrules{";
        let rules = rule.repeat((bytes - head.len() - 2) / rule.len());
        let text = format!("{head}{rules}}};");
        format!("{text}{}", " ".repeat(bytes - text.len()))
    };
    let policy = AttestationPolicy::parse(&filled(64 << 10)).unwrap();
    let evaluation = policy.evaluate(ClaimSet::new(), &mut Fuel::service(), Tracing::On);
    assert!(evaluation.outcome.permits() && evaluation.trace.0.len() > 5_000);
    assert_eq!(refusal(&filled((64 << 10) + 1)), ("too-large", "policy is 65537 bytes, at most 65536".to_owned()));
    assert_eq!(refusal(&filled(10 << 20)).0, "too-large");
    assert_eq!(refusal(&format!("version=1.0;authorizationrules{{{}:[", "a".repeat(1 << 20))).0, "too-large");
    let long = format!("version=1.0;authorizationrules{{{}:[type==\"x\"]=>permit();}};", "a".repeat(60_000));
    assert!(AttestationPolicy::parse(&long).is_ok(), "an identifier may be as long as the text allows");
}

#[test]
fn pol_03_what_is_issued_is_bounded() {
    let text = "version=1.0;authorizationrules{=>permit();};issuancerules{c:[type==\"t\"]=>issue(claim=c);};";
    let policy = AttestationPolicy::parse(text).unwrap();
    let issued = |bytes: usize| {
        let claim = Claim::new("t", ClaimValue::Text("x".repeat(bytes)), Issuer::AttestationService);
        policy.evaluate([claim].into_iter().collect(), &mut Fuel::service(), Tracing::Off).outcome.code()
    };
    assert_eq!(issued(60 << 10), None);
    assert_eq!(issued(64 << 10), Some("budget-exceeded"));
}

#[test]
fn pol_06_integers_have_an_end_and_no_arithmetic_passes_it() {
    let first = "version=1.2;authorizationrules{=>permit();};issuancerules{c:[type==\"j\"]=>issue(type=\"k\",value=";
    let evaluated = |value: &str, json: &str| {
        let policy = AttestationPolicy::parse(&format!("{first}{value});}};")).unwrap();
        let claim = Claim::new("j", ClaimValue::Text(json.to_owned()), Issuer::AttestationService);
        policy.evaluate([claim].into_iter().collect(), &mut Fuel::service(), Tracing::Off).outcome.code()
    };
    let query = |query: &str| format!("JsonToClaimValue(JmesPath(c.value, \"{query}\"))");
    assert_eq!(evaluated(&query("abs(@)"), "-9223372036854775808"), Some("policy-error"));
    assert_eq!(evaluated(&query("abs(@)"), "-9223372036854775807"), None);
    assert_eq!(evaluated(&query("sum(@)"), "[9223372036854775807,1]"), Some("policy-error"));
    assert_eq!(evaluated(&query("sum(@)"), "[9223372036854775806,1]"), None);
    assert_eq!(evaluated(&query("avg(@)"), "[]"), None, "nothing has no mean: null, no claim");
    let (code, message) = refusal(&format!("{first}{});}};", query("[::0]")));
    assert!(code == "policy-invalid" && message.contains("step of zero"), "{message}");
}
