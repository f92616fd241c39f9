//! What the JSON reader refuses, and where it says the fault is.
//! Bad inputs, rows HTTP-07, HTTP-08 and JWT-46 to JWT-48; RFC 8259.

use keygate_policies::json::{self, Kind, Node};
use keygate_policies::{Diagnostic, Limits};

const LIMITS: Limits = Limits::request(1 << 20);

fn read(text: &str) -> Node {
    json::parse(text.as_bytes(), &LIMITS).unwrap_or_else(|fault| panic!("{text}: {fault}"))
}

fn refused(bytes: &[u8]) -> Diagnostic {
    json::parse(bytes, &LIMITS).expect_err(&String::from_utf8_lossy(bytes))
}

fn code(text: &str) -> &'static str {
    refused(text.as_bytes()).code
}

#[test]
fn http_07_depth_32_is_read_and_33_is_too_large() {
    let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    read(&nested(32));
    assert_eq!(code(&nested(33)), "too-large");
    assert_eq!(code(&"[".repeat(100_000)), "too-large");
    assert_eq!(code(&"{\"a\":".repeat(33)), "too-large");
}

#[test]
fn http_07_4096_members_are_read_and_4097_are_too_large() {
    let object = |count: usize| {
        let members: Vec<String> = (0..count).map(|index| format!("\"m{index}\":0")).collect();
        format!("{{{}}}", members.join(","))
    };
    read(&object(4_096));
    assert_eq!(code(&object(4_097)), "too-large");
    let list = |count: usize| format!("[{}]", vec!["0"; count].join(","));
    read(&list(4_096));
    assert_eq!(code(&list(4_097)), "too-large");
    assert_eq!(code(&format!("[{},{}]", list(2_048), list(2_048))), "too-large");
}

#[test]
fn http_07_long_numbers_names_and_documents_are_too_large() {
    assert_eq!(code(&"9".repeat(1_000_000)), "too-large");
    assert_eq!(code(&format!("1.{}", "9".repeat(64))), "too-large");
    let named = |bytes: usize| format!("{{\"{}\":1}}", "k".repeat(bytes));
    read(&named(1_024));
    assert_eq!(code(&named(1_025)), "too-large");
    assert_eq!(code(&named(65_536)), "too-large");
    let text = |bytes: usize| format!("\"{}\"", "x".repeat(bytes - 2));
    read(&text(1 << 20));
    assert_eq!(code(&text((1 << 20) + 1)), "too-large");
}

#[test]
fn http_08_duplicate_members_are_malformed_also_behind_escapes() {
    for text in [
        r#"{"a":1,"a":1}"#,
        r#"{"a":1,"\u0061":2}"#,
        r#"{"\ud83d\ude00":1,"😀":2}"#,
        r#"{"x":{"y":1,"z":2,"y":3}}"#,
        r#"[{"":1,"":2}]"#,
    ] {
        assert_eq!(code(text), "malformed", "{text}");
    }
    read(r#"{"a":{"a":1},"A":1}"#);
    let fault = refused(b"{\n  \"one\": 1,\n  \"one\": 2\n}");
    assert_eq!((fault.line, fault.column, fault.symbol.as_str()), (3, 3, "one"));
}

#[test]
fn jwt_46_integers_are_exact_within_64_bits() {
    for integer in [0, 9_007_199_254_740_993, i128::from(u64::MAX), i128::from(i64::MIN), -1] {
        let node = read(&integer.to_string());
        assert_eq!(node.as_integer(), Some(integer));
        assert_eq!(node.to_value().to_string(), integer.to_string());
    }
    for beyond in ["18446744073709551616", "-9223372036854775809", "99999999999999999999999999999999999999999"] {
        assert_eq!(code(beyond), "malformed", "{beyond}");
    }
}

#[test]
fn jwt_47_only_canonical_integers_are_integers() {
    for float in ["-0", "1.0", "1e0", "1E+0", "-0.0", "10e-1", "0e0"] {
        assert!(matches!(read(float).kind, Kind::Float(_)), "{float}");
    }
    for bad in ["01", "-01", "+1", "00", "1.", ".5", "1e", "1e+", "-", "0x1", "NaN", "Infinity", "-Infinity", "1e999"] {
        assert_eq!(code(bad), "malformed", "{bad}");
    }
}

#[test]
fn jwt_48_bad_text_is_malformed() {
    for bytes in [
        &b"\"\xff\""[..],
        b"\"\xc0\xaf\"",
        b"\"\xed\xa0\x80\"",
        b"\"\xf5\x80\x80\x80\"",
        b"\"\xe2\x82\"",
        b"\xef\xbb\xbf{}",
        b"\"\x00\"",
        b"\"\x1f\"",
        b"{\"\\u0000\":1}",
        br#""\ud800""#,
        br#""\udc00""#,
        br#""\ud800\ud800""#,
        br#""\ud800x""#,
        br#""\udc00\ud800""#,
        br#""\u12g4""#,
        br#""\u+123""#,
        br#""\u12"#,
        br#""\x41""#,
        br#""\"#,
        br#"""#,
        b"'a'",
    ] {
        assert_eq!(refused(bytes).code, "malformed", "{}", String::from_utf8_lossy(bytes));
    }
    assert!(refused(b"\xef\xbb\xbf{}").message.contains("byte order mark"));
    assert_eq!(read(r#""\ud83d\ude00\u0000\/""#).as_text(), Some("😀\0/"));
}

#[test]
fn jwt_48_composed_and_decomposed_names_are_two_names() {
    let node = read("{\"caf\u{e9}\":1,\"cafe\u{301}\":2}");
    assert_eq!(node.get("caf\u{e9}").and_then(Node::as_integer), Some(1));
    assert_eq!(node.get("cafe\u{301}").and_then(Node::as_integer), Some(2));
}

#[test]
fn trailing_and_missing_bytes_are_malformed() {
    for text in [
        "",
        " ",
        "{} {}",
        "{}x",
        "[1,]",
        "{\"a\":1,}",
        "[1 2]",
        "{\"a\" 1}",
        "{a:1}",
        "{1:1}",
        "tru",
        "nul",
        "[",
        "{",
        "{\"a\"",
        "{\"a\":",
        "[1",
        "//x\n1",
        "[,1]",
        "\u{a0}1",
        "1\0",
        "TRUE",
    ] {
        assert_eq!(code(text), "malformed", "{text:?}");
    }
    read(" \t\r\n[ 1 , true , { } , [ ] , null ] \n");
}

#[test]
fn a_fault_names_its_place() {
    for (text, line, column, expected) in [
        ("{\"a\": tru}", 1, 7, "a value"),
        ("[\n 1,\n 2 3\n]", 3, 4, "`,`"),
        ("[\"\u{e9}\u{20ac}😀\" x]", 1, 8, "`,`"),
        ("{\"a\": 1", 1, 8, "`}`"),
        ("1 2", 1, 3, "end of text"),
    ] {
        let fault = refused(text.as_bytes());
        assert_eq!((fault.line, fault.column), (line, column), "{text}: {fault}");
        assert!(fault.expected.iter().any(|piece| piece == expected), "{text}: {fault:?}");
    }
    let fault = refused(b"[1,\n \"\xff\"]");
    assert_eq!((fault.line, fault.column), (2, 3));
}

#[test]
fn spans_are_the_bytes_of_the_value() {
    let text = "{\n  \"k\u{e9}y\": [10, {\"x\": \"y\"}],\n  \"b\": -7 }";
    let node = read(text);
    let piece = |node: &Node| text[node.span.start..node.span.end].to_owned();
    let list = node.get("k\u{e9}y").unwrap();
    assert_eq!(piece(list), "[10, {\"x\": \"y\"}]");
    assert_eq!(piece(&list.as_list().unwrap()[1]), "{\"x\": \"y\"}");
    let last = node.get("b").unwrap();
    assert_eq!((piece(last).as_str(), last.span.line, last.span.column), ("-7", 3, 8));
    assert_eq!(&text[node.as_object().unwrap()[0].name_span.start..][..6], "\"k\u{e9}y\"");
}
