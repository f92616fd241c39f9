//! Rule texts bent at random: whatever comes, an answer and no panic.
//! Bad inputs, row X (release rule); threat model, P22. 200,000 mutations with `KEYGATE_FULL=1`, else a tenth.

use keygate_policies::Severity;
use keygate_policies::release::{Asked, Authority, FreshnessShown, KeyRules};
use serde_json::{Value, json};

/// Marsaglia's xorshift: the same mutations on every machine.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit.max(1) as u64).unwrap()
    }
}

const SEEDS: [&str; 4] = [
    r#"{"version":"1.0.0","anyOf":[{"authority":"https://attest.example/","allOf":[{"claim":"a.b","equals":"x"},
        {"anyOf":[{"claim":"svn","greaterOrEquals":8},{"claimPointer":"/list","contains":"y"}]}]}]}"#,
    r#"{"rules":{"default":{"version":"1.0.0","anyOf":[{"authority":"self","anyOf":[{"claim":"svn","exists":true}]}]}},
        "options":{"freshness":"session","session_seconds":60,"anchors":["vendor"],"tcb":{"accept":["OutOfDate"],
        "advisories":["INTEL-SA-1"]},"debug":true,"wrappings":["JWE"],"explain":"attested","clear":"token"}}"#,
    r#"{"rules":{"sign":{"version":"1.0","anyof":[{"authority":"https://a.example:8443/p","ALLOF":[{"claim":"svn","less":"10"}]}]}}}"#,
    r#"{"version":"0.2","anyOf":[{"authority":"self","allOf":[{"claim":"x-ms-sgx-mrsigner","equals":"AB\u00e9\ud83d\ude00"}]}]}"#,
];

const PIECES: [&str; 24] = [
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "\\u0000",
    "\\ud800",
    "null",
    "true",
    "-0",
    "1e999",
    "1.5",
    "01",
    "\u{feff}",
    "\"anyOf\":[]",
    "\"claim\":\"\"",
    "\"equals\":",
    "self",
    "..",
    "\u{0}",
    "99999999999999999999",
];

fn bent(chance: &mut Chance) -> Vec<u8> {
    let mut bytes = SEEDS[chance.below(SEEDS.len())].as_bytes().to_vec();
    for _ in 0..=chance.below(4) {
        let at = chance.below(bytes.len() + 1);
        let to = (at + chance.below(24)).min(bytes.len());
        match chance.below(6) {
            0 if at < bytes.len() => bytes[at] = u8::try_from(chance.below(256)).unwrap(),
            1 => drop(bytes.splice(at..to, [])),
            2 => {
                let piece = bytes[at..to].to_vec();
                let there = chance.below(bytes.len() + 1);
                drop(bytes.splice(there..there, piece));
            }
            3 => bytes.truncate(at),
            _ => drop(bytes.splice(at..at, PIECES[chance.below(PIECES.len())].bytes())),
        }
    }
    bytes
}

#[test]
fn bent_rules_never_panic_and_what_parses_prints_and_decides() {
    let rounds = if std::env::var_os("KEYGATE_FULL").is_some() { 200_000 } else { 20_000 };
    let claims = json!({"a": {"b": "x"}, "svn": 9, "list": ["y"], "keygate": {"anchor": "vendor", "debug": false}});
    let claims = claims.as_object().unwrap();
    let mut chance = Chance(0x9E37_79B9_7F4A_7C15);
    let (mut parsed, mut refused) = (0, 0);
    for _ in 0..rounds {
        let bytes = bent(&mut chance);
        match KeyRules::parse(&bytes) {
            Ok(rules) => {
                parsed += 1;
                let again = KeyRules::parse(rules.canonical_text().as_bytes()).expect("the print parses");
                assert_eq!(again.digest(), rules.digest());
                let authority = Authority { issuer: "https://attest.example", own: chance.below(2) == 0 };
                let asked = Asked {
                    authority,
                    claims,
                    wrapping: "JWE",
                    freshness: FreshnessShown::Once,
                    references: keygate_policies::reference::References::none(),
                };
                let decision = rules.decide("release", &asked);
                assert_eq!(decision.permit, decision.code.is_none());
                assert!(rules.lint().iter().all(|finding| finding.severity < Severity::Error));
                assert!(serde_json::to_value(&decision).is_ok_and(|value| matches!(value, Value::Object(_))));
            }
            Err(found) => {
                refused += 1;
                assert!(!found.is_empty());
                assert!(found.iter().all(|fault| fault.severity == Severity::Error && fault.line > 0), "{found:?}");
                assert!(found.iter().all(|fault| fault.span.start <= fault.span.end && fault.span.end <= bytes.len()));
            }
        }
    }
    assert!(parsed > rounds / 100 && refused > rounds / 2, "{parsed} parsed, {refused} refused");
}
