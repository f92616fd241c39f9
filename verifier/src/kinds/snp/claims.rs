//! The claims of a report under Azure's names, and under names of the same sort where Azure has none.
//!
//! Claims page, sections 4.2 and 4.6. Levels without a prefix are the reported ones: those that the certificate repeats.

use serde_json::{Map, Value, json};

use super::levels::Tcbs;
use super::wire::{Firmware, Report};
use crate::endorsements::{AmdProduct, AmdTcb};

const PREFIX: &str = "x-ms-sevsnpvm-";

/// Bits of the guest policy; the version of the report from which each has a meaning.
const POLICY: &[(u32, u32, &str)] = &[
    (2, 16, "smt-allowed"),
    (2, 18, "migration-allowed"),
    (2, 19, "is-debuggable"),
    (2, 20, "single-socket"),
    (2, 21, "cxl-allowed"),
    (2, 22, "aes-256-xts"),
    (2, 23, "rapl-disabled-by-policy"),
    (2, 24, "ciphertext-hiding-by-policy"),
    (5, 25, "page-swap-disabled"),
];

/// Bits of the platform information, likewise.
const PLATFORM: &[(u32, u32, &str)] = &[
    (2, 0, "smt-enabled"),
    (2, 1, "tsme-enabled"),
    (2, 2, "ecc-enabled"),
    (2, 3, "rapl-disabled"),
    (2, 4, "ciphertext-hiding-enabled"),
    (3, 5, "alias-check-complete"),
    (5, 7, "tio-enabled"),
];

/// All claims of the report, its levels read in the layout of its product.
pub(super) fn of_report(report: &Report<'_>, tcbs: &Tcbs) -> Map<String, Value> {
    let mut claims = Map::new();
    claims.insert("x-ms-attestation-type".to_owned(), json!("sevsnpvm"));
    let mut add = |name: &str, value: Value| drop(claims.insert(format!("{PREFIX}{name}"), value));
    add("report-version", json!(report.version));
    add("guestsvn", json!(report.guest_svn));
    add("vmpl", json!(report.vmpl));
    add("familyId", hexed(report.family_id));
    add("imageId", hexed(report.image_id));
    add("launchmeasurement", hexed(report.measurement));
    add("reportdata", hexed(report.report_data));
    add("hostdata", hexed(report.host_data));
    add("reportid", hexed(report.report_id));
    add("reportid-ma", hexed(report.report_id_ma));
    add("chipid", hexed(report.chip_id));
    add("idkeydigest", hexed(report.id_key_digest));
    // The field counts only where the firmware says so; it may hold anything otherwise (bad inputs, SNP-19).
    let author: &[u8] = if report.author_key_enabled() { report.author_key_digest } else { &[0; 48] };
    add("authorkeydigest", hexed(author));
    add("author-key-en", json!(report.author_key_enabled()));
    add("mask-chip-key", json!(report.chip_key_masked()));
    let signing_key = match report.signing_key() {
        0 => "vcek",
        1 => "vlek",
        7 => "none",
        _ => "reserved",
    };
    add("signing-key", json!(signing_key));
    add("policy", json!(format!("{:016x}", report.policy)));
    add("platform-info", json!(format!("{:016x}", report.platform_info)));
    for (bits, table) in [(report.policy, POLICY), (report.platform_info, PLATFORM)] {
        for (_, bit, name) in table.iter().filter(|(since, ..)| report.version >= *since) {
            add(name, json!((bits >> bit) & 1 == 1));
        }
    }
    add("current-version", version(report.current_version));
    add("committed-version", version(report.committed_version));
    if let Some(cpuid) = report.cpuid {
        add("cpuid-family", json!(cpuid.family));
        add("cpuid-model", json!(cpuid.model));
        add("cpuid-stepping", json!(cpuid.stepping));
    }
    if let Some((launch, current)) = report.mitigations {
        add("launch-mit-vector", json!(format!("{launch:016x}")));
        add("current-mit-vector", json!(format!("{current:016x}")));
    }
    for (prefix, tcb) in
        [("", tcbs.reported), ("committed-", tcbs.committed), ("current-", tcbs.current), ("launch-", tcbs.launch)]
    {
        for (name, level) in levels(tcb) {
            add(&format!("{prefix}{name}-svn"), json!(level));
        }
    }
    claims
}

/// The product line that CPUID or the certificate names.
pub(super) fn add_product(claims: &mut Map<String, Value>, product: AmdProduct) {
    claims.insert(format!("{PREFIX}product"), json!(product.as_str()));
}

/// The provider for which a VLEK was made.
pub(super) fn add_provider(claims: &mut Map<String, Value>, name: &str) {
    claims.insert(format!("{PREFIX}csp-id"), json!(name));
}

fn levels(tcb: AmdTcb) -> impl Iterator<Item = (&'static str, u8)> {
    let fmc = tcb.fmc.map(|level| ("fmc", level));
    let others = [("bootloader", tcb.bootloader), ("tee", tcb.tee), ("snpfw", tcb.snp), ("microcode", tcb.microcode)];
    fmc.into_iter().chain(others)
}

fn version(firmware: Firmware) -> Value {
    json!(format!("{}.{}.{}", firmware.major, firmware.minor, firmware.build))
}

fn hexed(bytes: &[u8]) -> Value {
    json!(hex::encode(bytes))
}
