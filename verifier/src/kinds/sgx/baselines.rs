//! TCB baselines: the recoveries of Intel's TCB that an operator may demand of an SGX platform.
//!
//! Microsoft Azure Attestation, *Custom TCB baseline enforcement*. A baseline is one TCB recovery of Intel: the number that
//! Intel gave it (`tcbEvaluationDataNumber`) and its date. A platform meets it in one of two ways: judged by TCB info of that
//! number or a later one it is not out of date, so it has everything that the recovery asks for; or the level that it was
//! found on dates from that recovery or a later one, whatever became of the level since.

use std::fmt;

use crate::time::UnixTime;
use crate::verified::{Tcb, TcbStatus};

/// One TCB recovery that can be demanded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Baseline {
    /// The name of the baseline: its number in decimal.
    pub identifier: &'static str,
    /// Intel's `tcbEvaluationDataNumber` of this recovery.
    pub evaluation_number: u32,
    /// The day of the recovery, as in `2023-02-14`.
    pub recovery_date: &'static str,
    /// The least version of Intel's platform software on Linux; `None`: not published.
    pub minimum_psw_linux: Option<&'static str>,
    /// The same on Windows.
    pub minimum_psw_windows: Option<&'static str>,
}

/// The word for the baseline that the operator demands where nobody asks for another.
pub const AZURE_DEFAULT: &str = "azuredefault";

static BASELINES: [Baseline; 6] = [
    baseline("10", 10, "2020-11-11", Some("2.9"), Some("2.7.101.2")),
    baseline("11", 11, "2021-06-09", Some("2.13.3"), Some("2.13.100.2")),
    baseline("12", 12, "2021-11-10", Some("2.13.3"), Some("2.13.100.2")),
    baseline("13", 13, "2022-08-09", Some("2.17"), Some("2.16")),
    baseline("14", 14, "2022-11-08", None, None),
    baseline("15", 15, "2023-02-14", None, None),
];

const fn baseline(
    identifier: &'static str,
    evaluation_number: u32,
    recovery_date: &'static str,
    minimum_psw_linux: Option<&'static str>,
    minimum_psw_windows: Option<&'static str>,
) -> Baseline {
    Baseline { identifier, evaluation_number, recovery_date, minimum_psw_linux, minimum_psw_windows }
}

/// Every baseline, the oldest first.
pub fn tcb_baselines() -> &'static [Baseline] {
    &BASELINES
}

/// No baseline has this name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownBaseline(String);

impl fmt::Display for UnknownBaseline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known: Vec<_> = BASELINES.iter().map(|b| b.identifier).collect();
        write!(f, "no tcb baseline is called `{}`; known are `{AZURE_DEFAULT}` and {}", self.0, known.join(", "))
    }
}

impl std::error::Error for UnknownBaseline {}

/// Whether a platform meets the baseline with this name; `azuredefault` stands for `default`.
///
/// # Errors
/// A name that is neither `azuredefault` nor that of a baseline, compared exactly.
///
/// ```
/// use keygate_verifier::{Tcb, TcbStatus, meets_baseline, tcb_baselines};
///
/// let tcb = Tcb {
///     status: TcbStatus::OutOfDate,
///     qe_status: TcbStatus::UpToDate,
///     module_status: None,
///     date: "2022-08-10T00:00:00Z".to_owned(),
///     evaluation_number: 17,
///     advisories: vec![],
/// };
/// let default = &tcb_baselines()[1];
/// assert_eq!(meets_baseline(&tcb, "13", default), Ok(true));
/// assert_eq!(meets_baseline(&tcb, "14", default), Ok(false));
/// assert_eq!(meets_baseline(&tcb, "azuredefault", default), Ok(true));
/// assert!(meets_baseline(&tcb, "9", default).is_err());
/// ```
pub fn meets_baseline(tcb: &Tcb, identifier: &str, default: &Baseline) -> Result<bool, UnknownBaseline> {
    let demanded = match identifier {
        AZURE_DEFAULT => default,
        other => Baseline::find(other).ok_or_else(|| UnknownBaseline(other.to_owned()))?,
    };
    Ok(demanded.is_met_by(tcb))
}

impl Baseline {
    /// The baseline with this name, compared exactly.
    pub fn find(identifier: &str) -> Option<&'static Self> {
        BASELINES.iter().find(|b| b.identifier == identifier)
    }

    /// Whether a platform with this verdict meets the baseline. One that is revoked meets none.
    pub fn is_met_by(&self, tcb: &Tcb) -> bool {
        match tcb.status {
            TcbStatus::Revoked => false,
            TcbStatus::OutOfDate | TcbStatus::OutOfDateConfigurationNeeded => self.dates_from(&tcb.date),
            _ => tcb.evaluation_number >= self.evaluation_number || self.dates_from(&tcb.date),
        }
    }

    /// Whether a level's date is the recovery's or later; a date that cannot be read is not.
    fn dates_from(&self, level: &str) -> bool {
        let recovery = UnixTime::from_rfc3339(&format!("{}T00:00:00Z", self.recovery_date));
        match (UnixTime::from_rfc3339(level), recovery) {
            (Some(level), Some(recovery)) => level >= recovery,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcb(status: TcbStatus, evaluation_number: u32, date: &str) -> Tcb {
        let (qe_status, module_status) = (TcbStatus::UpToDate, None);
        Tcb { status, qe_status, module_status, date: date.to_owned(), evaluation_number, advisories: Vec::new() }
    }

    fn met(tcb: &Tcb) -> Vec<&'static str> {
        tcb_baselines().iter().filter(|b| b.is_met_by(tcb)).map(|b| b.identifier).collect()
    }

    #[test]
    fn the_table_is_in_order_and_its_dates_are_dates() {
        let keys: Vec<_> = tcb_baselines().iter().map(|b| (b.evaluation_number, b.recovery_date)).collect();
        assert!(keys.is_sorted());
        for baseline in tcb_baselines() {
            assert_eq!(baseline.identifier, baseline.evaluation_number.to_string());
            assert!(UnixTime::from_rfc3339(&format!("{}T00:00:00Z", baseline.recovery_date)).is_some());
            assert_eq!(Baseline::find(baseline.identifier), Some(baseline));
        }
    }

    #[test]
    fn the_number_counts_where_the_platform_is_not_out_of_date() {
        let old = "2018-01-04T00:00:00Z";
        for status in TcbStatus::ALL {
            let expected: &[_] = match status {
                TcbStatus::OutOfDate | TcbStatus::OutOfDateConfigurationNeeded | TcbStatus::Revoked => &[],
                _ => &["10", "11", "12"],
            };
            assert_eq!(met(&tcb(*status, 12, old)), expected, "{status}");
        }
        assert_eq!(met(&tcb(TcbStatus::UpToDate, 9, old)), [""; 0]);
    }

    #[test]
    fn the_date_counts_unless_the_platform_is_revoked() {
        let date = "2022-08-09T00:00:00Z";
        assert_eq!(met(&tcb(TcbStatus::OutOfDate, 17, date)), ["10", "11", "12", "13"]);
        assert_eq!(met(&tcb(TcbStatus::OutOfDate, 17, "2022-08-08T23:59:59Z")), ["10", "11", "12"]);
        assert_eq!(met(&tcb(TcbStatus::Revoked, 17, date)), [""; 0]);
        assert_eq!(met(&tcb(TcbStatus::OutOfDate, 17, "2022-08-09")), [""; 0], "no date with a time");
    }

    #[test]
    fn the_default_is_the_operators_and_an_unknown_name_is_an_error() {
        let tcb = tcb(TcbStatus::OutOfDate, 17, "2021-06-09T00:00:00Z");
        let [ten, eleven, twelve, ..] = &BASELINES;
        assert_eq!(meets_baseline(&tcb, AZURE_DEFAULT, eleven), Ok(true));
        assert_eq!(meets_baseline(&tcb, AZURE_DEFAULT, twelve), Ok(false));
        assert_eq!(meets_baseline(&tcb, "12", ten), Ok(false));
        for unknown in ["", "9", "16", "011", "10 ", "AzureDefault", "UpToDate"] {
            let why = meets_baseline(&tcb, unknown, ten).unwrap_err();
            assert!(why.to_string().contains(&format!("`{unknown}`")), "{why}");
        }
    }
}
