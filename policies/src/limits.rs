//! How much text the crate is willing to read: bytes, depth, members, names, numbers.
//! Bad inputs, rows HTTP-07 and X (release rule); threat model, P22.

/// Upper bounds of one JSON document. Reading stops at the first bound that is passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the whole document.
    pub bytes: usize,
    /// Nested objects and lists; a scalar at the top has depth 0.
    pub depth: usize,
    /// Object members and list elements of the whole document, counted together.
    pub members: usize,
    /// Bytes of one member name, after its escapes are read.
    pub name_bytes: usize,
    /// Bytes of one number as written.
    pub number_bytes: usize,
}

impl Limits {
    /// A request body: depth 32, 4,096 members, as many bytes as the caller says.
    #[must_use]
    pub const fn request(bytes: usize) -> Self {
        Self { bytes, depth: 32, members: 4_096, name_bytes: 1_024, number_bytes: 64 }
    }

    /// A key's rules and options: 256 KiB, and room for 16 nested lists of conditions, two brackets each.
    pub const RULES: Self = Self { bytes: 256 * 1_024, depth: 48, members: 4_096, name_bytes: 1_024, number_bytes: 64 };

    /// A claims object handed in for a trial: 1 MiB.
    pub const CLAIMS: Self = Self::request(1_024 * 1_024);
}

/// Lists within lists of one rule, the list of an authority counted as the first.
pub const RULE_NESTING: usize = 16;

/// Names in one dotted claim path, or reference tokens in one pointer.
pub const PATH_NAMES: usize = 32;

/// Characters of an observed text that a decision records; the rest is cut and marked by `…`.
pub const OBSERVED_CHARS: usize = 512;

/// Elements of an observed list that a decision records in full; a longer list is described by its length.
pub const OBSERVED_ELEMENTS: usize = 16;

/// Bytes of an attestation policy's text.
pub const POLICY_BYTES: usize = 64 * 1_024;

/// Function calls within function calls of an attestation policy.
pub const POLICY_NESTING: usize = 32;

/// Bytes of everything one attestation policy issues.
pub const ISSUED_BYTES: usize = 64 * 1_024;

/// Nested objects and lists of a JSON text that a policy looks into.
pub const CLAIM_JSON_DEPTH: usize = 64;

/// Claims that the trace of one condition shows in full; the others are counted.
pub const TRACED_CLAIMS: usize = 16;

/// Bytes after which the trace of an evaluation shows no further claims.
pub const TRACE_BYTES: usize = 512 * 1_024;
