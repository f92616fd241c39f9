//! Policies made by chance: always well formed, of every construct, over a small world of claims so that rules meet them.
//! The same seed makes the same policies.

#![allow(dead_code)] // each test file takes what it needs

use keygate_policies::attestation::{Claim, ClaimSet, ClaimValue, Issuer};

/// xorshift64: enough chance for a test.
pub struct Chance(pub u64);

impl Chance {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n as u64).unwrap()
    }

    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
}

/// How many rounds: all of them in a release build or where `KEYGATE_FULL` is set.
pub fn rounds(sample: usize, full: usize) -> usize {
    let all = std::env::var_os("KEYGATE_FULL").is_some() || !cfg!(debug_assertions);
    if all { full } else { sample }
}

pub const TYPES: [&str; 8] = ["a", "b", "c d", "x-ms-sgx-svn", "$svn", "events", "pcrs", "\\u00e9\\\"\\\\"];
const TEXTS: [&str; 9] = [
    "",
    "a",
    "b",
    "A",
    "\\n\\t\\r\\/",
    "\\ud83d\\ude00 \u{e9} //",
    "{\\\"a\\\":[1,{\\\"b\\\":null}]}",
    "[1,2]",
    "null",
];
const QUERIES: [&str; 6] = ["a", "a[0]", "@", "a[?b==`null`]", "keys(@)", "[a, 'x']"];

/// What may stand in a generated policy.
#[derive(Clone, Copy)]
pub struct Kind {
    /// `!`, `!=`, `deny` and functions, none of which is monotone.
    pub contrary: bool,
}

/// A policy in pieces, so that a test can put another one between them.
#[derive(Clone)]
pub struct Pieces {
    pub version: usize,
    pub configuration: Option<Vec<String>>,
    pub authorization: Vec<String>,
    pub issuance: Option<Vec<String>>,
}

impl Pieces {
    pub fn text(&self, chance: &mut Chance) -> String {
        let mut out = format!("{}version{}=1.{}{};", space(chance), space(chance), self.version, space(chance));
        let sections = [
            ("configurationrules", self.configuration.as_ref()),
            ("authorizationrules", Some(&self.authorization)),
            ("issuancerules", self.issuance.as_ref()),
        ];
        for (name, rules) in sections.into_iter().filter_map(|(name, rules)| Some((name, rules?))) {
            let name = if chance.one_in(8) { name.to_uppercase() } else { name.to_owned() };
            out.push_str(&format!("{}{name}{}{{", space(chance), space(chance)));
            for rule in rules {
                out.push_str(&space(chance));
                out.push_str(rule);
            }
            out.push_str(&format!("{}}}{};", space(chance), space(chance)));
        }
        out.push_str(&space(chance));
        out
    }
}

fn space(chance: &mut Chance) -> String {
    chance.pick(&["", "", " ", "\n", "\r\n  ", "\t", " // why; \"\n"]).to_owned()
}

pub fn pieces(chance: &mut Chance, kind: Kind) -> Pieces {
    let version = if kind.contrary { chance.below(3) } else { 2 };
    let configuration = (version > 0 && chance.one_in(3)).then(|| {
        let all = [
            "=> issueproperty(type=\"required_pcr_mask\", value=15);",
            "=> issueproperty(value=\"azuredefault\",type=\"x-ms-sgx-tcbidentifier\");",
            "=>issueproperty ( type = \"require_valid_aik_cert\" , value = false ) ;",
        ];
        all.iter().filter(|_| chance.one_in(2)).map(|rule| (*rule).to_owned()).collect()
    });
    let authorization = (0..chance.below(5)).map(|_| rule(chance, kind, version, true)).collect();
    let issuance =
        (!chance.one_in(4)).then(|| (0..chance.below(5)).map(|_| rule(chance, kind, version, false)).collect());
    Pieces { version, configuration, authorization, issuance }
}

pub fn rule(chance: &mut Chance, kind: Kind, version: usize, authorization: bool) -> String {
    let mut bound = Vec::new();
    let conditions: Vec<String> = (0..chance.below(4)).map(|_| condition(chance, kind, version, &mut bound)).collect();
    let action = match (authorization, chance.below(6)) {
        (true, 0..=2) => "permit()".to_owned(),
        (true, 3) if kind.contrary => "deny()".to_owned(),
        (false, 0) if kind.contrary => {
            let value = if chance.one_in(2) { "60" } else { "1440" };
            format!("issueproperty(type=\"report_validity_in_minutes\", value={value})")
        }
        (_, what) => {
            let verb = if authorization || what == 4 { "add" } else { "issue" };
            match bound.last() {
                Some(name) if chance.one_in(3) => format!("{verb}(claim={}{name})", space(chance)),
                _ => {
                    let value = expression(chance, kind, version, &bound, 0);
                    format!("{verb}(type=\"{}\",{}value={value})", chance.pick(&TYPES), space(chance))
                }
            }
        }
    };
    format!("{}{}=>{}{action}{};", conditions.join(" && "), space(chance), space(chance), space(chance))
}

fn condition(chance: &mut Chance, kind: Kind, version: usize, bound: &mut Vec<String>) -> String {
    let before = bound.clone();
    let name = match chance.below(5) {
        0 if kind.contrary && version == 2 => "!".to_owned(),
        1 | 2 => String::new(),
        _ => {
            let name = format!("{}{}", chance.pick(&["c", "_x", "type", "permit", "Z9_"]), bound.len());
            bound.push(name.clone());
            format!("{name}{}:", space(chance))
        }
    };
    let mut tests = vec![format!("type=={}\"{}\"", space(chance), chance.pick(&TYPES))];
    if chance.one_in(6) {
        tests.clear();
    }
    for _ in 0..chance.below(3) {
        tests.push(test(chance, kind, version, &before));
    }
    if tests.is_empty() {
        tests.push("value==1".to_owned());
    }
    format!("{name}[{}]", tests.join(","))
}

fn test(chance: &mut Chance, kind: Kind, version: usize, bound: &[String]) -> String {
    let equality = if kind.contrary { chance.pick(&["==", "!="]) } else { "==" };
    match chance.below(6) {
        0 => {
            format!("issuer{equality}\"{}\"", chance.pick(&["AttestationService", "CustomClaim", "AttestationPolicy"]))
        }
        1 => format!("valueType {equality} \"{}\"", chance.pick(&["String", "Integer", "Boolean"])),
        2 => {
            let order = chance.pick(&["<", "<=", ">", ">="]);
            format!("value{order}{}", chance.pick(&["0", "-1", "3", "9223372036854775807"]))
        }
        _ => format!("value{equality}{}", expression(chance, kind, version, bound, 0)),
    }
}

pub fn expression(chance: &mut Chance, kind: Kind, version: usize, bound: &[String], depth: usize) -> String {
    let call = kind.contrary && version == 2 && depth < 4;
    match chance.below(if call { 10 } else { 6 }) {
        0 | 1 if !bound.is_empty() => {
            let property = chance.pick(&["value", "value", "type", "issuer", "valueType"]);
            format!("{}.{property}", bound[chance.below(bound.len())])
        }
        0..=2 => format!("\"{}\"", chance.pick(&TEXTS)),
        3 | 4 => chance.pick(&["0", "1", "2", "-7", "9223372036854775807", "-9223372036854775808"]).to_owned(),
        5 => chance.pick(&["true", "false"]).to_owned(),
        _ => {
            let mut inner = || expression(chance, kind, version, bound, depth + 1);
            let (one, other) = (inner(), inner());
            match chance.below(6) {
                0 => format!("JmesPath({one},\"{}\")", chance.pick(&QUERIES)),
                1 => format!("JsonToClaimValue ( {one} )"),
                2 => format!("IsSubsetOf({one}, {other})"),
                3 => format!("AppendString({one},{other})"),
                4 => format!("NegateBool({one})"),
                _ => format!("ContainsOnlyValue({one}, {other})"),
            }
        }
    }
}

/// A few claims of the same small world.
pub fn claims(chance: &mut Chance) -> ClaimSet {
    let types = ["a", "b", "c d", "x-ms-sgx-svn", "events", "pcrs", "\u{e9}\"\\"];
    (0..chance.below(10))
        .map(|_| {
            let kind = chance.pick(&types);
            let value = match chance.below(4) {
                0 => ClaimValue::Boolean(chance.one_in(2)),
                1 => ClaimValue::Integer(i64::try_from(chance.below(4)).unwrap() - 1),
                _ => ClaimValue::Text(chance.pick(&["", "a", "b", "{\"a\":[1,{\"b\":null}]}", "[1,2]"]).to_owned()),
            };
            let issuer = if chance.one_in(3) { Issuer::CustomClaim } else { Issuer::AttestationService };
            Claim::new(kind, value, issuer)
        })
        .collect()
}
