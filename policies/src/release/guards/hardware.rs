//! Safe defaults for what the hardware says of itself.
//! Threat model, P9; bad inputs, rows SNP-06 and SNP-17; claims, sections 4.2, 4.3 and 4.6.

use serde_json::{Value, json};

use super::{Guard, Part};

/// SNP_REPORT.VMPL, AMD 56860.
const VMPL: &str = "x-ms-sevsnpvm-vmpl";
const MIGRATION: &str = "x-ms-sevsnpvm-migration-allowed";
const CHIP: &str = "x-ms-sevsnpvm-chipid";
const SIGNING_KEY: &str = "x-ms-sevsnpvm-signing-key";
const SERVICE_TD: &str = "tdx_mrservicetd";
/// Stands in the same report body as the service TD, so that its presence tells that the other must be there.
const SECOND_SVN: &str = "tdx_tee_tcb_svn2";

/// Azure nests the hardware's claims of a guest here.
const NESTED: &str = "x-ms-isolation-tee";

/// The refusals common to every place where these claims are used are `policy-denied`.
const CODE: &str = "policy-denied";

pub(super) fn examine(part: &Part<'_>) -> Vec<Guard> {
    let mut guards = below(part, &[]);
    guards.extend(below(part, &[NESTED]));
    guards
}

fn below(part: &Part<'_>, prefix: &[&str]) -> Vec<Guard> {
    let claim = |name| part.find(&[prefix, &[name]].concat());
    // our own appraisal always states these of an SNP report, so that their absence is a fault and no answer
    let is_snp = part.own && prefix.is_empty() && part.kind() == Some("snp");
    let mut guards = Vec::new();
    let mut guard = |name, operator, expected, holds| {
        guards.push(part.guard(&[prefix, &[name]].concat(), CODE, operator, expected, holds));
    };
    if is_snp || claim(VMPL).is_some() {
        let zero = claim(VMPL).is_some_and(|vmpl| *vmpl == json!(0) || *vmpl == json!("0"));
        guard(VMPL, "equals", json!(0), zero);
    }
    if is_snp || claim(MIGRATION).is_some() {
        let none = claim(MIGRATION).is_some_and(|allowed| *allowed == json!(false) || *allowed == json!("false"));
        guard(MIGRATION, "equals", json!(false), none);
    }
    if is_snp || claim(CHIP).is_some() || claim(SIGNING_KEY).is_some() {
        let nameless_by_design = claim(SIGNING_KEY) == Some(&json!("vlek"));
        let named = claim(CHIP).and_then(Value::as_str).is_some_and(|chip| !is_zero(chip));
        guard(CHIP, "notEquals", json!("all zero under a vcek"), named || nameless_by_design);
    }
    if claim(SERVICE_TD).is_some() || claim(SECOND_SVN).is_some() {
        let none = claim(SERVICE_TD).and_then(Value::as_str).is_some_and(is_zero);
        guard(SERVICE_TD, "equals", json!("all zero"), none);
    }
    guards
}

/// Hexadecimal zeros and nothing else.
fn is_zero(hex: &str) -> bool {
    hex.bytes().all(|byte| byte == b'0')
}
