//! `[server]`: listeners, TLS, times.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;

use super::SettingsError;

/// Listeners and TLS. TLS is not a choice: there is no plain listener.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerSettings {
    /// The data listener.
    pub bind: SocketAddr,
    /// The admin listener.
    pub admin_bind: SocketAddr,
    /// Certificate chain, PEM.
    pub certificate: PathBuf,
    /// Private key, PEM.
    pub private_key: PathBuf,
    /// CA of client certificates for the admin listener; empty: none.
    pub client_ca: PathBuf,
    /// HTTP threads; 0: one a core.
    pub workers: usize,
    /// Open connections, each listener.
    pub max_connections: usize,
    /// Seconds for the head of a request.
    pub header_seconds: u64,
    /// Seconds for an answer.
    pub request_seconds: u64,
    /// Seconds an idle connection stays.
    pub keep_alive_seconds: u64,
    /// Seconds a drain waits.
    pub drain_seconds: u64,
}

impl ServerSettings {
    /// Checks the section as a whole.
    ///
    /// # Errors
    /// What is wrong, and what to do.
    pub fn check(&self) -> Result<(), SettingsError> {
        if !self.admin_bind.ip().is_loopback() && self.client_ca.as_os_str().is_empty() {
            return Err(SettingsError::new(
                format!("`server.admin_bind` is {}, which others can reach", self.admin_bind),
                "name a CA of client certificates in `server.client_ca`, or bind the admin listener to 127.0.0.1",
            ));
        }
        if self.bind == self.admin_bind && self.bind.port() != 0 {
            return Err(SettingsError::new(
                "the two listeners have one address",
                "give the admin listener another port",
            ));
        }
        for (name, value) in [
            ("header_seconds", self.header_seconds),
            ("request_seconds", self.request_seconds),
            ("keep_alive_seconds", self.keep_alive_seconds),
            ("drain_seconds", self.drain_seconds),
        ] {
            if !(1..=600).contains(&value) {
                return Err(SettingsError::new(format!("`server.{name}` is {value}"), "set it between 1 and 600"));
            }
        }
        if !(16..=1_000_000).contains(&self.max_connections) {
            return Err(SettingsError::new(
                "`server.max_connections` is out of range",
                "set it between 16 and 1000000",
            ));
        }
        Ok(())
    }
}
