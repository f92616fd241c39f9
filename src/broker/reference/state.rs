//! What the store has under a name: the object that is proposed, the one in force, the one before it for as long as it may count.
//!
//! One document, replaced as a whole by each change as a further version, so that an approval is one commit and every state that ever
//! was can be shown. Threat model P24, P35; kept among the policies of a provider, in every backup.

use keygate_keystore::PolicyVersion;
use serde::{Deserialize, Serialize};

use crate::broker::error::{Code, Fault};

/// Documents of reference values are kept under this prefix and their name.
pub(crate) const PREFIX: &str = "Reference:";

/// The kind of document under which a name is kept.
pub(crate) fn kind_of(name: &str) -> String {
    format!("{PREFIX}{name}")
}

/// A signed object and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Object {
    /// As it came.
    pub(crate) jws: String,
    /// Its serial.
    pub(crate) serial: u64,
    /// Who imported it.
    pub(crate) imported_by: String,
    /// Unix seconds.
    pub(crate) imported_at: i64,
    /// Who approved it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) approved_by: Option<String>,
    /// Unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) approved_at: Option<i64>,
    /// Of the one before the one in force: until when it counts beside it, unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) until: Option<i64>,
}

/// Everything under a name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct State {
    /// The highest serial that was ever imported: a serial is used once.
    pub(crate) highest: u64,
    /// Waits for an approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) proposed: Option<Object>,
    /// Counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) in_force: Option<Object>,
    /// Counts beside it for a while.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) previous: Option<Object>,
}

impl State {
    pub(crate) fn read(version: &PolicyVersion) -> Result<Self, Fault> {
        let damaged = || Fault::new(Code::StoreCorrupt, "").because("stored reference values do not parse");
        if openssl::sha::sha256(version.document.as_bytes()) != version.digest {
            return Err(damaged());
        }
        serde_json::from_str(&version.document).map_err(|_| damaged())
    }

    pub(crate) fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}
