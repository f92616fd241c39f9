//! What is admitted but unwise: refusals that need to be forced with a reason, and warnings.
//! Bad inputs, rows KEY-02, SGX-28, SNP-21 and NIT-16; native API, section 2 (`rule check`); threat model, section 5.

mod claims;
mod options;
mod samples;

use claims::Says;

use super::document::KeyRules;
use super::operand::{Operand, Operator};
use super::rule::{Alternative, Condition, Group, Join, Test};
use crate::diagnostic::{Diagnostic, Severity};

/// Refusals first, then warnings, each in the order of the document.
pub(crate) fn lint(rules: &KeyRules) -> Vec<Diagnostic> {
    let mut found = options::lint(rules);
    for (name, rule) in rules.rules() {
        let whole = format!("rules.{}", name.as_str());
        for alternative in &rule.alternatives {
            let at = if alternative.at.is_empty() { &whole } else { &alternative.at };
            found.extend(identity(alternative, at));
            found.extend(parts(alternative, at));
            for test in alternative.conditions.tests() {
                found.extend(operand(test));
            }
        }
    }
    found.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    found
}

/// Who gets the key: what the tests of one authority say about the workload and its owner.
fn identity(alternative: &Alternative, at: &str) -> Option<Diagnostic> {
    let tests = alternative.conditions.tests();
    let refusal = |code, message: &str, help: &str| {
        let finding = Diagnostic::new(code, Severity::Refusal, alternative.span, message);
        Some(finding.at(at).symbol(&alternative.written).help(help))
    };
    let said: Vec<Says> = tests.iter().map(|test| says(test)).collect();
    let any = |wanted: Says| said.contains(&wanted);
    if said.iter().all(|says| *says == Says::Nothing) {
        return refusal(
            "rule-invalid.no-workload",
            "no claim under this authority names a workload: whoever gets any token there gets the key",
            "test a measurement, a signer with product and svn, or host data",
        );
    }
    let pinned = any(Says::Measurement) || any(Says::Owner);
    if !pinned && any(Says::Signer) && !(any(Says::Product) && tests.iter().any(|test| is_svn_floor(test))) {
        return refusal(
            "rule-invalid.signer-alone",
            "a signer without product id and svn floor accepts everything that signer ever signed",
            "add `x-ms-sgx-product-id` with `equals` and `x-ms-sgx-svn` with `greaterOrEquals`",
        );
    }
    if !pinned && !any(Says::Signer) && !any(Says::Other) && any(Says::Family) {
        return refusal(
            "rule-invalid.family-alone",
            "family and image id are chosen by the host unless an id block signs them",
            "add the launch measurement, or the digest of the id or author key",
        );
    }
    let warning = |code, message: &str, help: &str| {
        let finding = Diagnostic::new(code, Severity::Warning, alternative.span, message);
        Some(finding.at(at).symbol(&alternative.written).help(help))
    };
    if !always(&alternative.conditions, &|test| says(test) != Says::Nothing) {
        return warning(
            "rule-warning.way-around",
            "one branch of an `anyOf` is met without any claim that names a workload",
            "move the test of the workload out of the `anyOf`",
        );
    }
    let pins = |test: &Test| matches!(says(test), Says::Measurement | Says::Signer | Says::Owner);
    if !always(&alternative.conditions, &pins) {
        return warning(
            "rule-warning.unpinned",
            "pins neither the workload nor its owner",
            "test a measurement, a signer with product and svn, host data, a config id or the digest of an id key",
        );
    }
    None
}

/// Parts of a composite of which something is tested, and not who signed it. Whoever asks chooses what stands at which place.
fn parts(alternative: &Alternative, at: &str) -> Vec<Diagnostic> {
    let tests = alternative.conditions.tests();
    let mut places: Vec<&str> = tests.iter().filter_map(|test| place(test)).collect();
    places.sort_unstable();
    places.dedup();
    places.retain(|at| !always(&alternative.conditions, &|test| names_signer(test, at)));
    let warning = |place: &str| {
        let message = format!("any configured issuer may have signed what stands under `parts.{place}`");
        let finding = Diagnostic::new("rule-warning.part-of-anybody", Severity::Warning, alternative.span, message);
        let help = format!(
            "add a test of `parts.{place}.keygate.issuer`, or of `parts.{place}.keygate.kind` for raw evidence"
        );
        finding.at(at).symbol(&alternative.written).help(help)
    };
    places.into_iter().map(warning).collect()
}

/// The place of the part that a test looks at.
fn place(test: &Test) -> Option<&str> {
    match test.path.names() {
        [first, place, _, ..] if first == "parts" => Some(place),
        _ => None,
    }
}

/// Whether a test says who signed the part at `at`.
fn names_signer(test: &Test, at: &str) -> bool {
    let [_, place, keygate, name] = test.path.names() else { return false };
    let any_token = matches!(&test.operand, Operand::Text(kind) if kind == "token");
    let told = keygate == "keygate" && (name == "issuer" || name == "kind" && !any_token);
    told && place == at && self::place(test).is_some() && test.operator == Operator::Equals
}

/// What a test that holds says of the workload. Only a positive comparison names anything.
fn says(test: &Test) -> Says {
    match test.operator {
        Operator::Equals | Operator::Contains | Operator::Reference => claims::says(&test.path),
        _ => Says::Nothing,
    }
}

/// Whether every way of meeting the conditions passes a test that `names`.
fn always(group: &Group, names: &dyn Fn(&Test) -> bool) -> bool {
    let mut each = group.conditions.iter().map(|condition| match condition {
        Condition::Test(test) => names(test),
        Condition::Group(inner) => always(inner, names),
    });
    match group.join {
        Join::All => each.any(|named| named),
        Join::Any => each.all(|named| named),
    }
}

fn is_svn_floor(test: &Test) -> bool {
    let floor =
        matches!(test.operator, Operator::Equals | Operator::Greater | Operator::GreaterOrEquals | Operator::Reference);
    floor && claims::is_sgx_svn(&test.path)
}

/// What is odd about one operand.
fn operand(test: &Test) -> Vec<Diagnostic> {
    let Operand::Text(text) = &test.operand else { return Vec::new() };
    // The name of reference values is no value of the claim.
    if test.operator == Operator::Reference {
        return Vec::new();
    }
    let warning =
        |code, message: String| Diagnostic::new(code, Severity::Warning, test.span, message).at(&test.at).symbol(text);
    let mut found = Vec::new();
    if samples::is_hex(text) && text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        let lower = text.to_ascii_lowercase();
        let message = "hexadecimal claims are written in lower case, and the comparison heeds case";
        found.push(warning("rule-warning.hex-case", message.to_owned()).help(format!("write `{lower}`")));
    }
    if let Some(digits) = claims::hex_digits(&test.path)
        && (text.len() != digits || !samples::is_hex(text))
    {
        let message = format!("this claim is {digits} hexadecimal digits, so the test can never hold");
        found.push(warning("rule-warning.hex-length", message));
    }
    if let Some(what) = samples::known(text) {
        found.push(warning("rule-warning.sample-digest", format!("the value is {what}")));
    }
    found
}
