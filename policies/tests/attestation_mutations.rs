//! Policies bent by chance: they are refused with a place and a reason or taken as what they say, and nothing panics.
//! Bad inputs, rows POL-02, POL-14 and POL-17.

mod generated;

use generated::{Chance, Kind, claims, pieces, rounds};
use keygate_policies::Severity;
use keygate_policies::attestation::{AttestationPolicy, ClaimSet, Tracing, azure_message, default_text};
use keygate_policies::fuel::Fuel;

const PIECES: [&str; 30] = [
    "{",
    "}",
    "[",
    "]",
    "(",
    ")",
    ";",
    ":",
    ",",
    ".",
    "=",
    "==",
    "=>",
    "!",
    "!=",
    "&&",
    "\"",
    "\\",
    "\\u00",
    "//",
    "\r",
    "\u{feff}",
    "\u{201c}",
    "\u{202e}",
    "\0",
    "1.5",
    "-",
    "99999999999999999999",
    "issue",
    "JmesPath(",
];

fn bent(chance: &mut Chance, seed: &str) -> String {
    let mut bytes = seed.as_bytes().to_vec();
    for _ in 0..=chance.below(3) {
        let at = chance.below(bytes.len() + 1);
        let to = (at + chance.below(16)).min(bytes.len());
        match chance.below(6) {
            0 if at < bytes.len() => bytes[at] = u8::try_from(chance.below(128)).unwrap(),
            1 => drop(bytes.splice(at..to, [])),
            2 => {
                let piece = bytes[at..to].to_vec();
                let there = chance.below(bytes.len() + 1);
                drop(bytes.splice(there..there, piece));
            }
            3 => bytes.truncate(at),
            _ => drop(bytes.splice(at..at, chance.pick(&PIECES).bytes())),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn judged(text: &str, claims: &ClaimSet) -> bool {
    match AttestationPolicy::parse(text) {
        Ok(policy) => {
            let again = AttestationPolicy::parse(&policy.print()).unwrap_or_else(|found| panic!("{text}\n{found:#?}"));
            assert!(again == policy, "{text}");
            assert!(policy.warnings().iter().all(|warning| warning.severity == Severity::Warning));
            let evaluation = policy.evaluate(claims.clone(), &mut Fuel::service(), Tracing::On);
            assert_eq!(evaluation.outcome.permits(), evaluation.outcome.code().is_none());
            assert!(serde_json::to_string(&evaluation.trace).is_ok());
            true
        }
        Err(found) => {
            let [fault] = found.as_slice() else { panic!("{text}\n{found:#?}") };
            assert_eq!(fault.severity, Severity::Error);
            assert!(fault.line > 0 && fault.column > 0 && fault.rule.starts_with("policy"), "{text}\n{fault:#?}");
            assert!(fault.span.start <= fault.span.end && fault.span.end <= text.len(), "{text}\n{fault:#?}");
            assert!(text.is_char_boundary(fault.span.start) && text.is_char_boundary(fault.span.end), "{fault:#?}");
            let before = &text[..fault.span.start];
            let crlf = before.matches("\r\n").count()
                + usize::from(before.ends_with('\r') && text[before.len()..].starts_with('\n'));
            assert_eq!(fault.line, 1 + before.matches(['\r', '\n']).count() - crlf, "{text:?}\n{fault:#?}");
            assert_eq!(azure_message(fault).lines().count(), 5, "{fault:#?}");
            assert!(matches!(fault.code, "policy-invalid" | "too-large"));
            false
        }
    }
}

#[test]
fn bent_policies_never_panic() {
    let mut chance = Chance(0xC2B2_AE3D_27D4_EB4F);
    let (mut taken, mut refused) = (0, 0);
    for _ in 0..rounds(6_000, 200_000) {
        let seed = pieces(&mut chance, Kind { contrary: true }).text(&mut chance);
        let text = bent(&mut chance, &seed);
        let claims = claims(&mut chance);
        if judged(&text, &claims) { taken += 1 } else { refused += 1 }
    }
    assert!(taken > 100 && refused > 1_000, "{taken} taken, {refused} refused");
}

#[test]
fn pol_17_no_part_of_a_policy_is_a_policy() {
    for kind in ["SgxEnclave", "SevSnpVm"] {
        let text = default_text(kind).unwrap();
        let whole = text.trim_end();
        let authorized = whole.find("issuancerules").unwrap();
        for end in 0..whole.len() {
            let part = &whole[..end];
            let parses = part.trim_end().ends_with("};") && end <= authorized && part.contains("permit();");
            assert_eq!(judged(part, &ClaimSet::new()), parses && part.matches("};").count() >= 1, "{part}");
        }
        assert!(judged(whole, &ClaimSet::new()));
    }
}

#[test]
fn bytes_of_any_sort_are_no_policy() {
    let mut chance = Chance(0x1656_67B1_9E37_79F9);
    for _ in 0..rounds(2_000, 50_000) {
        let bytes: Vec<u8> = (0..chance.below(80)).map(|_| u8::try_from(chance.below(256)).unwrap()).collect();
        assert!(!judged(&String::from_utf8_lossy(&bytes), &ClaimSet::new()));
    }
}
