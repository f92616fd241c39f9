//! What we chose where the specification leaves room, and the words of every fault.

use keygate_policies::fuel::{Exhausted, Fuel};
use keygate_policies::jmespath::{Expression, Fault};
use serde_json::{Value, json};

fn search(query: &str, data: &Value) -> Result<Value, Fault> {
    Expression::parse(query)?.search(data, &mut Fuel::service())
}

fn text(query: &str, data: &str) -> String {
    let data: Value = serde_json::from_str(data).unwrap();
    let found = Expression::parse(query).and_then(|query| query.search_text(&data, &mut Fuel::service()));
    found.unwrap_or_else(|fault| fault.kind().to_owned())
}

#[test]
fn members_keep_the_order_of_the_data() {
    let data = r#"{"z": 1, "a": {"y": 2, "b": 3}, "m": [4]}"#;
    for (query, want) in [
        ("@", r#"{"z":1,"a":{"y":2,"b":3},"m":[4]}"#),
        ("*", r#"[1,{"y":2,"b":3},[4]]"#),
        ("keys(@)", r#"["z","a","m"]"#),
        ("values(a)", "[2,3]"),
        ("{b: z, a: m}", r#"{"b":1,"a":[4]}"#),
        ("{b: z, a: m, b: a.y}", r#"{"b":2,"a":[4]}"#),
        ("merge(a, {x: `0`, y: `9`})", r#"{"y":9,"b":3,"x":0}"#),
        ("to_string(a)", r#""{\"y\":2,\"b\":3}""#),
        ("a == `{\"b\": 3, \"y\": 2}`", "true"),
    ] {
        assert_eq!(text(query, data), want, "{query}");
    }
}

#[test]
fn jwt_46_integers_of_64_bits_are_exact() {
    let data = r#"{"a": 9007199254740993, "b": 9007199254740992, "u": 18446744073709551615,
        "i": -9223372036854775808, "f": 9007199254740992.0, "g": 1.8446744073709552e19}"#;
    for (query, want) in [
        ("a", "9007199254740993"),
        ("[u, i]", "[18446744073709551615,-9223372036854775808]"),
        ("a == b", "false"),
        ("a > b", "true"),
        ("a == f", "false"),
        ("b == f", "true"),
        ("a > f", "true"),
        ("f < a", "true"),
        ("u == g", "false"),
        ("u < g", "true"),
        ("`1` == `1.0`", "true"),
        ("a == `9007199254740993`", "true"),
        ("a == `9007199254740992`", "false"),
        ("to_string(u)", r#""18446744073709551615""#),
        ("to_number('18446744073709551615') == u", "true"),
        ("to_number('18446744073709551616')", "null"),
        ("sum([a, `1`])", "9007199254740994"),
        ("sum([u, i])", "9223372036854775807"),
        ("sum([u, `1`])", "invalid-value"),
        ("sum([`1e308`, `1e308`])", "invalid-value"),
        ("avg([a, a])", "9007199254740993"),
        ("abs(i)", "9223372036854775808"),
        ("ceil(a)", "9007199254740993"),
        ("max([b, a, b])", "9007199254740993"),
        ("sort([a, b, u, i])", "[-9223372036854775808,9007199254740992,9007199254740993,18446744073709551615]"),
        ("contains([b], a)", "false"),
        ("[f] | length([?@ == `9007199254740993`])", "0"),
    ] {
        assert_eq!(text(query, data), want, "{query}");
    }
}

#[test]
fn whole_results_are_integers() {
    for (query, want) in [
        ("ceil(`1.2`)", "2"),
        ("floor(`-1.2`)", "-2"),
        ("ceil(`-0.5`)", "0"),
        ("floor(`1e300`)", "1e+300"),
        ("sum([`0.5`, `0.5`])", "1"),
        ("avg([`1`, `2`])", "1.5"),
        ("avg([`1`, `3`])", "2"),
        ("avg(`[]`)", "null"),
        ("sum(`[]`)", "0"),
        ("abs(`-1.5`)", "1.5"),
        ("to_string(floor(`2.9`))", "\"2\""),
        ("to_number('1.50')", "1.5"),
        ("`1.0`", "1.0"),
    ] {
        assert_eq!(text(query, "{}"), want, "{query}");
    }
}

#[test]
fn to_number_takes_json_numbers_only() {
    for (given, want) in [
        ("12", "12"),
        ("-3", "-3"),
        ("1e2", "100.0"),
        ("", "null"),
        (" 1", "null"),
        ("1 ", "null"),
        ("+1", "null"),
        ("01", "null"),
        ("1.", "null"),
        (".5", "null"),
        ("0x10", "null"),
        ("1_000", "null"),
        ("NaN", "null"),
        ("1e999", "null"),
        ("true", "null"),
        ("[1]", "null"),
    ] {
        assert_eq!(text(&format!("to_number('{given}')"), "null"), want, "{given}");
    }
}

#[test]
fn equals_ignore_case_folds_ascii_and_nothing_else() {
    for (left, right, want) in [
        ("Windows\\WDBOOT.sys", "windows\\wdboot.SYS", "true"),
        ("a", "b", "false"),
        ("a", "aa", "false"),
        ("", "", "true"),
        ("\u{212a}", "k", "false"),
        ("\u{e9}", "\u{c9}", "false"),
        ("\u{df}", "ss", "false"),
    ] {
        assert_eq!(text(&format!("equals_ignore_case('{left}', '{right}')"), "null"), want, "{left} {right}");
    }
    let fault = search("equals_ignore_case(@, 'a')", &Value::Null).unwrap_err();
    assert_eq!(fault.kind(), "invalid-type");
}

#[test]
fn pol_07_values_of_different_types_are_unequal_and_have_no_order() {
    for query in ["'1' == `1`", "`true` == 'true'", "`null` == `false`", "`[]` == `{}`", "'' == `null`"] {
        assert_eq!(text(query, "null"), "false", "{query}");
    }
    for query in ["'1' < `2`", "'a' < 'b'", "`true` > `false`", "`[1]` >= `[1]`", "`null` <= `null`"] {
        assert_eq!(text(query, "null"), "null", "{query}");
    }
}

#[test]
fn literals_and_strings_are_read_strictly() {
    for (query, want) in [
        (r"'a\'b'", r#""a'b""#),
        (r"'a\\b'", r#""a\\\\b""#),
        (r"'\n'", r#""\\n""#),
        (r"`\`\``", "syntax"),
        (r#"`"\`"`"#, r#""`""#),
        (r#"` "a" `"#, r#""a""#),
        (r#""a\u0062""#, "7"),
        (r#""\ud800""#, "syntax"),
        (r#"`{"a": 1, "a": 2}`"#, "syntax"),
        ("`18446744073709551616`", "syntax"),
        ("`foo`", "syntax"),
        ("``", "syntax"),
        ("`1", "syntax"),
        ("'a", "syntax"),
        ("\"a", "syntax"),
        ("[9223372036854775808]", "syntax"),
        ("[9223372036854775807]", "null"),
        ("[-9223372036854775808:9223372036854775807:-1]", "null"),
    ] {
        assert_eq!(text(query, r#"{"ab": 7}"#), want, "{query}");
    }
}

#[test]
fn projections_reach_to_the_end_of_the_chain() {
    let data = r#"{"foo": {"x": {"b": {"c": [1]}}, "y": {"b": {"c": [2]}}}}"#;
    for (query, want) in [
        ("foo.*.b.c", "[[1],[2]]"),
        ("foo.*.b.c[0]", "[1,2]"),
        ("foo.*.b.c | [0]", "[1]"),
        ("foo.*.b.c[]", "[1,2]"),
        ("(foo.*.b).c", "null"),
        ("foo.*.b.c.d", "[]"),
        ("!foo.x", "null"),
        ("!(foo.x)", "false"),
    ] {
        assert_eq!(text(query, data), want, "{query}");
    }
}

#[test]
fn slices_are_those_of_python() {
    for (slice, want) in [
        ("[:]", "[0,1,2,3,4]"),
        ("[::-1]", "[4,3,2,1,0]"),
        ("[-2:]", "[3,4]"),
        ("[-2::-1]", "[3,2,1,0]"),
        ("[100:-100:-2]", "[4,2,0]"),
        ("[-100:100:2]", "[0,2,4]"),
        ("[3:1]", "[]"),
        ("[1:3:-1]", "[]"),
        ("[:1:-1]", "[4,3,2]"),
        ("[::9223372036854775807]", "[0]"),
        ("[::-9223372036854775808]", "[4]"),
    ] {
        assert_eq!(text(slice, "[0,1,2,3,4]"), want, "{slice}");
        assert_eq!(text(slice, "\"01234\""), "null", "{slice}");
    }
}

/// Every kind of fault with its words, and its twin that has none.
#[test]
fn faults_say_what_and_where() {
    for (query, want, twin) in [
        ("a.", "found the end where an identifier, `*`, `[` or `{` is expected at offset 2 of the query", "a.b"),
        ("a b", "found `b` where an operator or the end is expected at offset 2 of the query", "a.b"),
        ("a = b", "`=` alone means nothing; equality is `==` at offset 2 of the query", "a == b"),
        ("a # b", "unexpected character `#` at offset 2 of the query", "a | b"),
        ("f(a)", "unknown function `f` at offset 0 of the query", "type(a)"),
        ("a && length()", "function `length` takes 1 argument, not 0, at offset 5 of the query", "a && length('')"),
        (
            "contains('a')",
            "function `contains` takes 2 arguments, not 1, at offset 0 of the query",
            "contains('a', 'a')",
        ),
        ("merge()", "function `merge` takes 1 argument or more, not 0, at offset 0 of the query", "merge({a: a})"),
        (
            "length(`1`)",
            "function `length` takes an array, an object or a string as argument 1, not number, at offset 0 of the query",
            "length('1')",
        ),
        (
            "sum(['1'])",
            "function `sum` takes an array of numbers as argument 1, not string, at offset 0 of the query",
            "sum([`1`])",
        ),
        (
            "map(a, [a])",
            "function `map` takes an expression as argument 1, not null, at offset 0 of the query",
            "map(&a, [a])",
        ),
        (
            "type(&a)",
            "function `type` takes a value as argument 1, not expression, at offset 0 of the query",
            "type(a)",
        ),
        (
            "sort_by(`[1, 2]`, &to_string(@) && @[0])",
            "function `sort_by` takes an expression that gives only numbers or only strings as argument 2, not null, \
             at offset 0 of the query",
            "sort_by(`[1, 2]`, &to_string(@))",
        ),
        ("[::0]", "a slice has a step of zero at offset 1 of the query", "[::1]"),
        ("&a", "found `&` where an expression is expected at offset 0 of the query", "a"),
        ("\"length\"(a)", "the name of a function has no quotes at offset 0 of the query", "length('a')"),
    ] {
        assert_eq!(search(query, &json!({})).unwrap_err().to_string(), want, "{query}");
        assert!(search(twin, &json!({})).is_ok(), "{twin}: {:?}", search(twin, &json!({})));
    }
}

#[test]
fn faults_have_stable_kinds() {
    for (query, kind) in [
        ("a.", "syntax"),
        ("f(a)", "unknown-function"),
        ("length()", "invalid-arity"),
        ("length(`1`)", "invalid-type"),
        ("[::0]", "invalid-value"),
        (&"(".repeat(40), "too-large"),
        (&" ".repeat(20_000), "too-large"),
    ] {
        assert_eq!(search(query, &Value::Null).unwrap_err().kind(), kind);
    }
    let query = Expression::parse("[@, @]").unwrap();
    let spent = query.search(&Value::Bool(true), &mut Fuel::new(2, 1_000)).unwrap_err();
    assert_eq!((spent.kind(), spent.offset()), ("budget-exceeded", None));
    assert_eq!(spent, Fault::Exhausted(Exhausted::Steps));
}

#[test]
fn a_query_that_only_looks_copies_nothing_but_its_result() {
    let mut fuel = Fuel::service();
    let data = json!({"a": {"b": ["x".repeat(1_000_000), 7]}});
    assert_eq!(Expression::parse("a.b[1]").unwrap().search(&data, &mut fuel), Ok(json!(7)));
    assert_eq!(fuel.bytes_spent(), 0);
    let mut fuel = Fuel::service();
    assert_eq!(Expression::parse("length(a.b)").unwrap().search(&data, &mut fuel), Ok(json!(2)));
    assert!(fuel.bytes_spent() < 200, "{}", fuel.bytes_spent());
}

#[test]
fn a_metered_parse_is_paid_for() {
    let query = format!("a == '{}'", "x".repeat(10_000));
    let mut fuel = Fuel::service();
    assert!(Expression::parse_metered(&query, &mut fuel).is_ok());
    assert!(fuel.steps_spent() > 2_500 && fuel.bytes_spent() > 160_000);
    let fault = Expression::parse_metered(&query, &mut Fuel::new(2_500, 1 << 20)).unwrap_err();
    assert_eq!(fault, Fault::Exhausted(Exhausted::Steps));
}
