//! In whose shape a request is refused that reaches no door: its path tells.
//!
//! `maa-rest-api.md` section 8; `keyvault-api.md` section 4; `bad-inputs.md` section 0.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;

use super::Side;
use crate::doors::{keyvault, maa, problem};

/// The dialect of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Problem documents.
    Native,
    /// Azure Attestation's errors.
    Azure,
    /// Key Vault's errors.
    KeyVault,
}

impl Dialect {
    /// The dialect of a path behind the prefix of its provider.
    pub(super) fn of(side: Side, path: &str) -> Self {
        match side {
            Side::Data if maa::owns(path) => Self::Azure,
            Side::Data if keyvault::owns(path) => Self::KeyVault,
            Side::Data | Side::Admin => Self::Native,
        }
    }

    /// A refusal by form.
    pub(super) fn refuse(self, status: StatusCode, code: &str, what: &str) -> HttpResponse {
        match self {
            Self::Native => problem::answer(status, code, what),
            Self::Azure => maa::answer(status, what),
            Self::KeyVault => keyvault::answer(status, what),
        }
    }
}

/// A path behind the longest of the prefixes under which it stands, whoever's they are.
pub(super) fn behind<'p>(path: &'p str, prefixes: &[String]) -> &'p str {
    let below = |prefix: &String| path.strip_prefix(prefix.as_str()).filter(|rest| rest.starts_with('/'));
    prefixes.iter().filter_map(below).min_by_key(|rest| rest.len()).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_behind_the_prefix_tells() {
        let prefixes = [String::new(), "/tenant-a".to_owned()];
        for (path, dialect) in [
            ("/attest/SgxEnclave", Dialect::Azure),
            ("/attest", Dialect::Azure),
            ("/tenant-a/policies/Tpm:reset", Dialect::Azure),
            ("/tenant-a/certificates:add", Dialect::Azure),
            ("/certs", Dialect::Azure),
            ("/certs/../v1", Dialect::Azure),
            ("/.well-known/openid-configuration", Dialect::Azure),
            ("/.well-known/keygate", Dialect::Native),
            ("/tenant-b/certs", Dialect::Native),
            ("/tenant-a", Dialect::Native),
            ("/attestx", Dialect::Native),
            ("/v1/attestations", Dialect::Native),
            ("//attest", Dialect::Native),
            ("/keys/k//release", Dialect::KeyVault),
            ("/tenant-a/deletedkeys", Dialect::KeyVault),
            ("/rng", Dialect::KeyVault),
            ("/keysx", Dialect::Native),
        ] {
            assert_eq!(Dialect::of(Side::Data, behind(path, &prefixes)), dialect, "{path}");
            assert_eq!(Dialect::of(Side::Admin, behind(path, &prefixes)), Dialect::Native, "{path}");
        }
    }
}
