//! What to write instead: the proposal behind a fault.
//! Policy language, sections 2 and 8. Habits of other languages, and of documented samples that never parsed.

use crate::nearest::nearest;

use super::ast::{Section, Version};
use super::claims::Property;
use super::fault::Expected;
use super::functions::Function;
use super::lexer::{Kind, Token};

const ONLY_1_2: &str = "exist in version 1.2 only: write `version=1.2;`";

/// For a character that begins no token. `rest` begins with it.
pub(super) fn of_character(rest: &str, at_start: bool) -> String {
    let first = rest.chars().next().unwrap_or_default();
    let text = match first {
        '\u{feff}' if at_start => "save the text without a byte order mark",
        '\u{201c}' | '\u{201d}' | '\u{201e}' | '\u{ff02}' => "write straight quotes `\"`",
        '\'' | '\u{2018}' | '\u{2019}' | '`' => "write strings in double quotes `\"`",
        '\u{a0}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{3000}' => "write an ordinary space",
        '\u{2026}' => "an ellipsis is no rule: write the text out",
        '|' => "there is no or: write a rule for each alternative",
        '&' => "write `&&`",
        '#' => "comments begin with `//`",
        '/' if rest.starts_with("/*") => "comments begin with `//` on every line",
        '/' => "comments begin with `//`",
        '=' => "write `==`",
        '!' => "write `!=`",
        '-' if rest.starts_with("->") => "write `=>`",
        '-' | '+' => "there is no arithmetic; a negative integer has no blank behind its minus",
        '*' => "there are no patterns: values are compared whole",
        '$' => "write an alias as a string: `type==\"$svn\"`",
        other if other.is_ascii() => "this character stands in strings and comments only",
        _ => "identifiers are ASCII; other characters stand in strings and comments only",
    };
    text.to_owned()
}

/// For a token that does not fit where one of `expected` could stand.
pub(super) fn of_token(
    found: &Token<'_>,
    expected: &[Expected],
    version: Version,
    section: Option<Section>,
) -> Option<String> {
    let could = |sign: &str| expected.iter().any(|one| matches!(one, Expected::Sign(mine) if *mine == sign));
    if found.is("=") && could("==") {
        return Some("write `==`: a condition compares, `=` gives a value in an action".to_owned());
    }
    if found.is("==") && could("=") {
        return Some("write `=`: an action gives a value, `==` compares in a condition".to_owned());
    }
    if could("==") && found.kind == Kind::Word {
        return Some("write an operator: `==`, `!=`, `<`, `<=`, `>` or `>=`".to_owned());
    }
    if (found.is(">=") || found.is(":") || found.is(">")) && could("=>") {
        return Some("write `=>` before the action".to_owned());
    }
    if could("=>") && matches!(found.text, "permit" | "deny" | "add" | "issue" | "issueproperty") {
        return Some("write `=>` before the action".to_owned());
    }
    if found.is("&&") && could("]") {
        return Some("write `,` between the tests of a condition; `&&` joins conditions: `[…] && […]`".to_owned());
    }
    if found.kind == Kind::End && could("}") {
        return Some("end the section with `};`".to_owned());
    }
    if found.is("!") && could("[") && version < Version::V1_2 {
        return Some(format!("negated conditions {ONLY_1_2}"));
    }
    if found.kind == Kind::Word
        && let Some(help) = of_word(found.text, expected, &could, version, section)
    {
        return Some(help);
    }
    if expected.contains(&Expected::Text) {
        return of_expression(found, version);
    }
    if expected.contains(&Expected::Version) {
        return Some("write the version as `1.0`, `1.1` or `1.2`, without quotes".to_owned());
    }
    if could("1.2") {
        return Some("versions are 1.0, 1.1 and 1.2".to_owned());
    }
    match expected {
        [Expected::Sign(";")] => {
            Some("write `;` after the version, after every rule and after the `}` of a section".to_owned())
        }
        [Expected::Sign("version")] => {
            Some("a policy begins with `version=1.0;`, `version=1.1;` or `version=1.2;`".to_owned())
        }
        [.., Expected::End] => Some("a policy ends after its sections, each of which stands once".to_owned()),
        _ if could("authorizationrules") => {
            Some("`authorizationrules{…};` is required, also where it is empty".to_owned())
        }
        _ if could("type") && could("issuer") => {
            Some("a condition tests `type`, `value`, `valueType` or `issuer`".to_owned())
        }
        _ => None,
    }
}

fn of_word(
    word: &str,
    expected: &[Expected],
    could: &dyn Fn(&str) -> bool,
    version: Version,
    section: Option<Section>,
) -> Option<String> {
    if could("authorizationrules") && word.eq_ignore_ascii_case("configurationrules") && version == Version::V1_0 {
        return Some("`configurationrules` exists since version 1.1: write `version=1.1;`".to_owned());
    }
    if could("authorizationrules") && word.eq_ignore_ascii_case("issuancerules") {
        return Some("`authorizationrules{…};` is required and stands before `issuancerules`".to_owned());
    }
    let is_section = Section::ALL.iter().any(|section| word.eq_ignore_ascii_case(section.as_str()));
    if is_section && expected.contains(&Expected::End) {
        return Some(
            "sections stand once each, in the order configurationrules, authorizationrules, issuancerules".to_owned(),
        );
    }
    if is_section && could("version") {
        return Some("a policy begins with `version=1.0;`, `version=1.1;` or `version=1.2;`".to_owned());
    }
    if could("add") || could("issueproperty") {
        return of_verb(word, expected, section);
    }
    if could("type") && could("issuer") {
        let names = Property::ALL.map(Property::as_str);
        return nearest(word, &names).map(|name| format!("write `{name}`"));
    }
    let signs: Vec<&str> = expected
        .iter()
        .filter_map(|one| match one {
            Expected::Sign(sign) if sign.len() > 3 => Some(*sign),
            _ => None,
        })
        .collect();
    if expected.contains(&Expected::Text) {
        return None;
    }
    nearest(word, &signs).map(|name| format!("write `{name}`"))
}

fn of_verb(word: &str, expected: &[Expected], section: Option<Section>) -> Option<String> {
    let help = match (word.to_ascii_lowercase().as_str(), section?) {
        ("issue", Section::Authorization) => {
            "use `add`, which later rules see, or move the rule to `issuancerules`, which the token shows"
        }
        ("issueproperty", Section::Authorization) => "move the rule to `configurationrules` or `issuancerules`",
        ("permit" | "deny", Section::Issuance | Section::Configuration) => {
            "move the rule to `authorizationrules`: only they permit and deny"
        }
        ("issue" | "add", Section::Configuration) => "`configurationrules` take `issueproperty` only",
        _ => {
            let names: Vec<&str> = expected
                .iter()
                .filter_map(|one| if let Expected::Sign(sign) = one { Some(*sign) } else { None })
                .collect();
            return nearest(word, &names).map(|name| format!("write `{name}`"));
        }
    };
    Some(help.to_owned())
}

fn of_expression(found: &Token<'_>, version: Version) -> Option<String> {
    let help = match &found.kind {
        Kind::Version => "claims hold no fractions: write an integer or a string".to_owned(),
        Kind::Word => {
            let names = Function::ALL.map(Function::as_str);
            match nearest(found.text, &names) {
                Some(name) if version < Version::V1_2 => format!("functions such as `{name}` {ONLY_1_2}"),
                Some(name) => format!("write `{name}`"),
                None if matches!(found.text.to_ascii_lowercase().as_str(), "true" | "false") => {
                    "write `true` or `false` in lower case".to_owned()
                }
                None => format!("write a string as `\"{}\"`, a claim's value as `{}.value`", found.text, found.text),
            }
        }
        _ => "write a string in double quotes, an integer, `true`, `false`, or `c.value` of a claim bound as `c`"
            .to_owned(),
    };
    Some(help)
}

/// For what stands in the brackets of an action where an assignment belongs.
pub(super) fn of_assignment(found: &Token<'_>) -> Option<String> {
    let help = match &found.kind {
        Kind::Text(_) => format!("write `type={}`", super::lexer::shown(found.text)),
        Kind::Word if matches!(found.text, "issuer" | "valueType") => {
            "leave it out: the issuer of what a policy makes is always `AttestationPolicy`, its valueType that of the value"
                .to_owned()
        }
        Kind::Word if matches!(found.text, "type" | "value" | "claim") => "each stands once, `claim` by itself".to_owned(),
        _ => return None,
    };
    Some(help)
}
