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
    "nitro",
    "software",
    "tpm",
    "cca",
];

/// Beginnings of names: Azure's for claims of evidence, and those of trust domains.
pub const RESERVED_PREFIXES: &[&str] = &["x-ms-", "tdx_"];

/// Whether an `issue` under that name is ignored.
#[must_use]
pub fn is_reserved(name: &str) -> bool {
    RESERVED_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) || RESERVED.contains(&name)
}
