//! What this node is fit for.
//!
//! `architecture.md` section 11 *Fitness*; `bad-inputs.md` section 0. Asked before every use, shown by the health page.

use keygate_keystore::Keystore;
use keygate_verifier::UnixTime;

use super::error::{Code, Fault};
use crate::clock::Clock;

/// Fitness of a node. Anything but `Ready` releases nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fitness {
    /// Fit to release.
    Ready,
    /// A commit or a flush failed once: nothing is served any more.
    StoreFailed,
    /// The time cannot be believed; why.
    ClockUntrusted(String),
    /// On its way out.
    Stopping,
}

impl Fitness {
    /// `ready`, `stopping`, or the stable code of what is wrong.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::StoreFailed => Code::AuditUnavailable.as_str(),
            Self::ClockUntrusted(_) => Code::ClockUntrusted.as_str(),
            Self::Stopping => "stopping",
        }
    }
}

impl std::fmt::Display for Fitness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ready => f.write_str("fit to release"),
            Self::StoreFailed => f.write_str("a commit or a flush of the store failed"),
            Self::ClockUntrusted(why) => f.write_str(why),
            Self::Stopping => f.write_str("the node is stopping"),
        }
    }
}

pub(crate) fn fitness(keystore: &Keystore, clock: &dyn Clock, stopping: bool) -> Fitness {
    if stopping {
        return Fitness::Stopping;
    }
    if keystore.status().failed {
        return Fitness::StoreFailed;
    }
    match clock.now() {
        Ok(_) => Fitness::Ready,
        Err(why) => Fitness::ClockUntrusted(why.to_string()),
    }
}

/// The time, where the node is fit to release and sign.
pub(crate) fn fit(keystore: &Keystore, clock: &dyn Clock, stopping: bool) -> Result<UnixTime, Fault> {
    if stopping {
        return Err(Fault::new(Code::Overloaded, "").because("the node is stopping"));
    }
    if keystore.status().failed {
        return Err(Fault::new(Code::AuditUnavailable, "").because("the store failed"));
    }
    Ok(clock.now()?)
}
