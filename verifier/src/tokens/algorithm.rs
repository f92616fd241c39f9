//! The signature algorithms of a JWS. RFC 7518 section 3.1 and RFC 8037 section 3.1: only those with a public key.

use crate::signatures::Algorithm;

/// A signature algorithm, spelled as in `alg`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JwsAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    RS256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    RS384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    RS512,
    /// RSASSA-PSS with SHA-256, salt 32.
    PS256,
    /// RSASSA-PSS with SHA-384, salt 48.
    PS384,
    /// RSASSA-PSS with SHA-512, salt 64.
    PS512,
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// ECDSA on P-384 with SHA-384.
    ES384,
    /// ECDSA on P-521 with SHA-512.
    ES512,
    /// Ed25519. The name stands for Ed448 too, which is not read.
    EdDSA,
}

impl JwsAlgorithm {
    /// Those of RFC 7518.
    pub const RFC_7518: [Self; 9] = [
        Self::RS256,
        Self::RS384,
        Self::RS512,
        Self::PS256,
        Self::PS384,
        Self::PS512,
        Self::ES256,
        Self::ES384,
        Self::ES512,
    ];

    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::RS256,
        Self::RS384,
        Self::RS512,
        Self::PS256,
        Self::PS384,
        Self::PS512,
        Self::ES256,
        Self::ES384,
        Self::ES512,
        Self::EdDSA,
    ];

    /// The name as it stands in `alg`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RS256 => "RS256",
            Self::RS384 => "RS384",
            Self::RS512 => "RS512",
            Self::PS256 => "PS256",
            Self::PS384 => "PS384",
            Self::PS512 => "PS512",
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::ES512 => "ES512",
            Self::EdDSA => "EdDSA",
        }
    }

    /// Reads a name, byte for byte. `None` for anything else: `none`, `rs256`, `HS256`, a name with a space behind it.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == name)
    }

    /// The check behind it.
    pub(super) const fn check(self) -> Algorithm {
        match self {
            Self::RS256 => Algorithm::Pkcs1Sha256,
            Self::RS384 => Algorithm::Pkcs1Sha384,
            Self::RS512 => Algorithm::Pkcs1Sha512,
            Self::PS256 => Algorithm::PssSha256,
            Self::PS384 => Algorithm::PssSha384,
            Self::PS512 => Algorithm::PssSha512,
            Self::ES256 => Algorithm::P256Raw,
            Self::ES384 => Algorithm::P384Raw,
            Self::ES512 => Algorithm::P521Raw,
            Self::EdDSA => Algorithm::Ed25519,
        }
    }
}

impl std::fmt::Display for JwsAlgorithm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
