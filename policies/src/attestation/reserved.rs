//! Names that a policy may not issue: the service says them itself, or a relying party would think so.
//! Policy language, section 4.3; claims page, sections 3 and 4; bad inputs, row POL-09.

/// Names as they are: those of RFC 7519 section 4.1, RFC 7800, and what the service says in every token or of some kind.
pub const RESERVED: &[&str] = &[
    "iss",
    "sub",
    "aud",
    "exp",
    "nbf",
    "iat",
    "jti",
    "cnf",
    "nonce",
    "rp_data",
    "ver",
    "policy_hash",
    "policy_signer",
    "maa-policyHash",
    "maa-ehd",
    "aas-ehd",
    "maa-attestationcollateral",
    "eat_profile",
    "intuse",
    "dbgstat",
    "attester_tcb_status",
    "keygate",
    "parts",
    "nitro",
    "software",
    "tpm",
    "cca",
];

/// Beginnings of names: Azure's for claims of evidence, those of trust domains, and that of reference values, which stand in no token.
pub const RESERVED_PREFIXES: &[&str] = &["x-ms-", "tdx_", crate::reference::CLAIM_PREFIX];

/// Names with such a beginning that a policy may issue all the same: judgements of the operator's. The service says
/// `x-ms-compliance-status` itself only where it verified what that needs, and then its word stands.
pub const ISSUABLE: &[&str] = &["x-ms-compliance-status"];

/// Whether an `issue` under that name is ignored.
#[must_use]
pub fn is_reserved(name: &str) -> bool {
    let begins = RESERVED_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) && !ISSUABLE.contains(&name);
    begins || RESERVED.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pol_09_names_of_the_service_are_reserved_and_judgements_are_not() {
        for name in [
            "iss",
            "x-ms-ver",
            "x-ms-sgx-svn",
            "tdx_mrtd",
            "keygate",
            "parts",
            "x-ms-compliance-status2",
            "x-keygate-reference.a.b",
        ] {
            assert!(is_reserved(name), "{name}");
        }
        for name in ["x-ms-compliance-status", "team", "is-debuggable", "X-MS-VER"] {
            assert!(!is_reserved(name), "{name}");
        }
    }
}
