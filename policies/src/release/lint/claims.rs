//! What the known claims say of a workload, and how long their hexadecimal values are.
//! Claims, section 4; native API, section 2 (`rule check`); secure key release, section 7.

use crate::release::path::ClaimPath;

/// What a claim says when it equals something. A claim that is not known here is taken to name a workload, since other
/// issuers have names of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Says {
    /// Nothing of the workload: platform, state, time, or what anybody can write.
    Nothing,
    /// Its code.
    Measurement,
    /// Who signed it; needs product and svn.
    Signer,
    /// Which product of that signer.
    Product,
    /// A name that the host may choose.
    Family,
    /// Whose it is.
    Owner,
    /// Something else.
    Other,
}

pub(super) fn says(path: &ClaimPath) -> Says {
    let names = path.names();
    let Some(last) = names.last() else { return Says::Nothing };
    if let Some(says) = below(names) {
        return says;
    }
    if is_register(names) {
        return Says::Measurement;
    }
    if let Some((_, says)) = KNOWN.iter().find(|(name, _)| name == last) {
        return *says;
    }
    let generic = NOTHING.contains(&last.as_str()) || NOTHING_BEFORE.iter().any(|prefix| last.starts_with(prefix));
    if generic { Says::Nothing } else { Says::Other }
}

/// What the place alone decides, whatever the claim is called there.
fn below(names: &[String]) -> Option<Says> {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    match names.as_slice() {
        // what the workload wrote itself counts for nothing (threat model, P20)
        ["x-ms-runtime" | "cnf", ..] | ["parts", _, "x-ms-runtime", ..] => Some(Says::Nothing),
        // of what we concluded, and of foreign tokens normalised, only these are about the workload
        ["keygate", "tee", "measurement", ..] => Some(Says::Measurement),
        ["keygate", "workload" | "instance", ..] => None,
        ["keygate", ..] | ["parts", _, "keygate", ..] => Some(Says::Nothing),
        [.., "x-ms-sgx-collateral", _] => Some(Says::Nothing),
        _ => None,
    }
}

pub(super) fn is_sgx_svn(path: &ClaimPath) -> bool {
    path.names().last().is_some_and(|last| matches!(last.as_str(), "x-ms-sgx-svn" | "svn" | "sgx_isvsvn"))
}

/// Digits of the claim's hexadecimal value, where it has a fixed number.
pub(super) fn hex_digits(path: &ClaimPath) -> Option<usize> {
    let names = path.names();
    let last = names.last()?;
    match last.as_str() {
        "x-ms-sgx-mrenclave" | "x-ms-sgx-mrsigner" | "x-ms-sevsnpvm-hostdata" | "x-ms-sevsnpvm-reportid" => Some(64),
        "x-ms-sevsnpvm-launchmeasurement" | "x-ms-sevsnpvm-idkeydigest" | "x-ms-sevsnpvm-authorkeydigest" => Some(96),
        "x-ms-sevsnpvm-familyId" | "x-ms-sevsnpvm-imageId" => Some(32),
        "tdx_mrtd" | "tdx_rtmr0" | "tdx_rtmr1" | "tdx_rtmr2" | "tdx_rtmr3" | "tdx_mrseam" | "tdx_mrsignerseam"
        | "tdx_mrconfigid" | "tdx_mrowner" | "tdx_mrownerconfig" | "tdx_mrservicetd" => Some(96),
        _ if names.iter().any(|name| name == "nitro") && is_register(names) => Some(96),
        _ => None,
    }
}

/// `nitro.pcrs.0`, `tpm.pcrs.sha256.7`, also below `parts.i`.
fn is_register(names: &[String]) -> bool {
    let index = names.last().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    index && names.iter().any(|name| name == "pcrs")
}

const KNOWN: [(&str, Says); 31] = [
    ("x-ms-sgx-mrenclave", Says::Measurement),
    ("sgx-mrenclave", Says::Measurement),
    ("sgx_mrenclave", Says::Measurement),
    ("x-ms-sevsnpvm-launchmeasurement", Says::Measurement),
    ("tdx_mrtd", Says::Measurement),
    ("tdx_rtmr0", Says::Measurement),
    ("tdx_rtmr1", Says::Measurement),
    ("tdx_rtmr2", Says::Measurement),
    ("tdx_rtmr3", Says::Measurement),
    ("measurement", Says::Measurement),
    ("image_digest", Says::Measurement),
    ("x-ms-sgx-mrsigner", Says::Signer),
    ("sgx-mrsigner", Says::Signer),
    ("sgx_mrsigner", Says::Signer),
    ("x-ms-sgx-product-id", Says::Product),
    ("product-id", Says::Product),
    ("sgx_isvprodid", Says::Product),
    ("x-ms-sevsnpvm-familyId", Says::Family),
    ("x-ms-sevsnpvm-imageId", Says::Family),
    ("x-ms-sgx-isv-family-id", Says::Family),
    ("x-ms-sgx-isv-extended-product-id", Says::Family),
    ("x-ms-sevsnpvm-hostdata", Says::Owner),
    ("x-ms-sevsnpvm-idkeydigest", Says::Owner),
    ("x-ms-sevsnpvm-authorkeydigest", Says::Owner),
    ("x-ms-sgx-config-id", Says::Owner),
    ("tdx_mrconfigid", Says::Owner),
    ("tdx_mrowner", Says::Owner),
    ("tdx_mrownerconfig", Says::Owner),
    ("vmUniqueId", Says::Owner),
    ("x-ms-azurevm-vmid", Says::Owner),
    ("module_id", Says::Owner),
];

/// State of the platform or of the token, the same for every workload on it.
const NOTHING: [&str; 36] = [
    "attester_tcb_status",
    "aud",
    "dbgstat",
    "eat_profile",
    "exp",
    "hwmodel",
    "iat",
    "intuse",
    "is-debuggable",
    "iss",
    "jti",
    "nbf",
    "nonce",
    "secboot",
    "secure-boot",
    "secureboot",
    "svn",
    "swname",
    "tdx_mrseam",
    "tdx_mrservicetd",
    "tdx_mrsignerseam",
    "tdx_report_data",
    "tdx_seam_attributes",
    "tdx_seamsvn",
    "tdx_tee_tcb_svn",
    "tdx_tee_tcb_svn2",
    "tdx_xfam",
    "tee",
    "timestamp",
    "tpm-enabled",
    "console-enabled",
    "x-ms-attestation-type",
    "x-ms-compliance-status",
    "x-ms-policy-hash",
    "x-ms-policy-signer",
    "x-ms-ver",
];

/// The rest of these families is state of the platform too.
const NOTHING_BEFORE: [&str; 4] = ["x-ms-sgx-", "x-ms-sevsnpvm-", "x-ms-azurevm-", "tdx_td_attributes"];
