//! `[limits]`: what one caller may take.

use serde::Deserialize;

use super::SettingsError;

/// Limits of size, rate and concurrency.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitSettings {
    /// Bytes of a data request.
    pub body_bytes: usize,
    /// Bytes of an admin request.
    pub admin_body_bytes: usize,
    /// Requests a second and source, sustained.
    pub requests_per_second: u32,
    /// Requests of a source at once.
    pub burst: u32,
    /// Evidence verified at once; 0: twice the cores.
    pub verifications: usize,
    /// Evidence waiting.
    pub waiting: usize,
}

impl LimitSettings {
    pub(super) fn check(&self) -> Result<(), SettingsError> {
        let range = |name: &str, value: usize, low: usize, high: usize| {
            if (low..=high).contains(&value) {
                return Ok(());
            }
            Err(SettingsError::new(format!("`limits.{name}` is {value}"), format!("set it between {low} and {high}")))
        };
        range("body_bytes", self.body_bytes, 16_384, 1_048_576)?;
        range("admin_body_bytes", self.admin_body_bytes, 16_384, 1_048_576)?;
        range("requests_per_second", self.requests_per_second as usize, 1, 1_000_000)?;
        range("burst", self.burst as usize, 1, 1_000_000)?;
        range("verifications", self.verifications, 0, 1_024)?;
        range("waiting", self.waiting, 1, 65_536)
    }
}
