//! `[collateral]`: where endorsements come from.

use std::path::PathBuf;

use serde::Deserialize;

use super::SettingsError;

/// Endorsements from the world, or from a folder.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CollateralSettings {
    /// Offline folder; empty: none.
    pub directory: PathBuf,
    /// Cache folder; empty: memory only.
    pub cache: PathBuf,
    /// Whether anything is fetched.
    pub online: bool,
    /// Intel PCS or PCCS.
    pub intel_pcs: String,
    /// AMD KDS.
    pub amd_kds: String,
    /// Seconds between background refreshes.
    pub refresh_seconds: u64,
    /// Seconds one fetch may take.
    pub fetch_seconds: u64,
    /// Fetches on a miss, in all, a minute.
    pub fetches_per_minute: u32,
    /// Fetches on a miss for one source, a minute.
    pub fetches_per_source: u32,
    /// Whether SEV-SNP key use demands AMD's revocation list.
    pub require_amd_crl: bool,
}

impl CollateralSettings {
    pub(super) fn check(&self) -> Result<(), SettingsError> {
        for (name, url) in [("intel_pcs", &self.intel_pcs), ("amd_kds", &self.amd_kds)] {
            let local = url.strip_prefix("http://").is_some_and(|rest| {
                let host = rest.split(['/', ':']).next().unwrap_or_default();
                host == "localhost" || host == "127.0.0.1"
            });
            if !url.starts_with("https://") && !local {
                return Err(SettingsError::new(
                    format!("`collateral.{name}` is `{url}`"),
                    "give an https address; plain http is for this machine alone",
                ));
            }
        }
        if !(1..=60).contains(&self.fetch_seconds) {
            return Err(SettingsError::new("`collateral.fetch_seconds` is out of range", "set it between 1 and 60"));
        }
        if !(60..=86_400).contains(&self.refresh_seconds) {
            return Err(SettingsError::new(
                "`collateral.refresh_seconds` is out of range",
                "set it between 60 and 86400",
            ));
        }
        if self.fetches_per_minute == 0 || self.fetches_per_source == 0 {
            return Err(SettingsError::new(
                "a fetch budget of zero allows nothing",
                "set `collateral.online = false` instead",
            ));
        }
        Ok(())
    }
}
