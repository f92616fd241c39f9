//! A point in time, handed in and never read.
//!
//! Seconds since 1970-01-01T00:00:00Z without leap seconds, as POSIX counts them.

use std::fmt;

use ::time::OffsetDateTime;
use ::time::format_description::well_known::Rfc3339;

/// Seconds since the Unix epoch, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixTime(i64);

impl UnixTime {
    /// The far end of time, for what never expires.
    pub const FOREVER: UnixTime = UnixTime(i64::MAX);

    /// A time from seconds since the epoch.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs)
    }

    /// Seconds since the epoch.
    pub const fn secs(self) -> i64 {
        self.0
    }

    /// This time moved by `secs`, held at the ends of the range.
    #[must_use]
    pub const fn plus(self, secs: i64) -> Self {
        Self(self.0.saturating_add(secs))
    }

    /// Reads RFC 3339 text such as `2025-07-04T10:28:44Z`. `None` for anything else.
    pub fn from_rfc3339(text: &str) -> Option<Self> {
        OffsetDateTime::parse(text, &Rfc3339).ok().map(|t| Self(t.unix_timestamp()))
    }
}

impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match OffsetDateTime::from_unix_timestamp(self.0).ok().and_then(|t| t.format(&Rfc3339).ok()) {
            Some(text) => f.write_str(&text),
            None if *self == Self::FOREVER => f.write_str("never"),
            None => write!(f, "@{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_prints_the_same_instant() {
        let t = UnixTime::from_rfc3339("2025-07-04T10:28:44Z").unwrap();
        assert_eq!(t.to_string(), "2025-07-04T10:28:44Z");
        assert_eq!(UnixTime::from_rfc3339("2025-07-04"), None);
        assert_eq!(UnixTime::FOREVER.plus(5), UnixTime::FOREVER);
    }
}
