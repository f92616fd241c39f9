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
    let mut guards = Vec::new();
    // our own appraisal always states these of an SNP report, so that their absence is a fault and no answer
    let is_snp = part.own && part.kind() == Some("snp");
    examine_object(part, is_snp, &mut guards);
    if let Some(Value::Object(claims)) = part.claims.get(NESTED) {
        let mut prefix = part.prefix.clone();
        prefix.push(NESTED.to_owned());
        examine_object(&Part { prefix, claims, own: part.own }, false, &mut guards);
    }
    guards
}

fn examine_object(part: &Part<'_>, is_snp: bool, guards: &mut Vec<Guard>) {
    let claim = |name: &str| part.claims.get(name);
    let mut guard = |name, claim: Option<&Value>, operator, expected, holds| {
        guards.push(part.guard(&[name], claim, CODE, operator, expected, holds));
    };
    let vmpl = claim(VMPL);
    if is_snp || vmpl.is_some() {
        let zero = vmpl.is_some_and(|vmpl| *vmpl == 0 || *vmpl == "0");
        guard(VMPL, vmpl, "equals", json!(0), zero);
    }
    let migration = claim(MIGRATION);
    if is_snp || migration.is_some() {
        let none = migration.is_some_and(|allowed| *allowed == false || *allowed == "false");
        guard(MIGRATION, migration, "equals", json!(false), none);
    }
    let (chip, signing_key) = (claim(CHIP), claim(SIGNING_KEY));
    if is_snp || chip.is_some() || signing_key.is_some() {
        let nameless_by_design = signing_key.is_some_and(|key| *key == "vlek");
        let named = chip.and_then(Value::as_str).is_some_and(|chip| !is_zero(chip));
        guard(CHIP, chip, "notEquals", json!("all zero under a vcek"), named || nameless_by_design);
    }
    let service_td = claim(SERVICE_TD);
    if service_td.is_some() || claim(SECOND_SVN).is_some() {
        let none = service_td.and_then(Value::as_str).is_some_and(is_zero);
        guard(SERVICE_TD, service_td, "equals", json!("all zero"), none);
    }
}

/// Hexadecimal zeros and nothing else.
fn is_zero(hex: &str) -> bool {
    hex.bytes().all(|byte| byte == b'0')
}
