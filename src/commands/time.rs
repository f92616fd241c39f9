//! Times on the command line: RFC 3339, or how long from now. Keygate's contract, section 2.

use keygate_verifier::UnixTime;

use super::exit::Failure;
use crate::clock::{Clock as _, SystemClock};

/// The time of this machine, unix seconds.
///
/// # Errors
/// The clock cannot be believed.
pub fn now() -> Result<i64, Failure> {
    let time = SystemClock::new(0).now();
    let time =
        time.map_err(|e| Failure::unavailable("clock-untrusted", e.to_string(), "set the clock of this machine"))?;
    Ok(time.secs())
}

/// Reads `2027-01-31T00:00:00Z`, or a duration such as `90d`, `12h`, `30m`, `45s`, counted from now.
///
/// # Errors
/// Usage.
pub fn moment(text: &str) -> Result<i64, Failure> {
    if let Some(time) = UnixTime::from_rfc3339(text) {
        return Ok(time.secs());
    }
    let seconds = duration(text).ok_or_else(|| {
        Failure::usage(
            format!("`{text}` is no time"),
            "write 2027-01-31T00:00:00Z, or how long from now: 90d, 12h, 30m, 45s",
        )
    })?;
    Ok(now()?.saturating_add(seconds))
}

/// Reads a time as [`moment`] does, a duration counted back from now.
///
/// # Errors
/// Usage.
pub fn since(text: &str) -> Result<i64, Failure> {
    match duration(text) {
        Some(seconds) => Ok(now()?.saturating_sub(seconds)),
        None => moment(text),
    }
}

fn duration(text: &str) -> Option<i64> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    let plain = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    number.parse::<i64>().ok().filter(|_| plain)?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_number_and_a_unit() {
        assert_eq!(duration("90d"), Some(90 * 86_400));
        assert_eq!(duration("45s"), Some(45));
        for odd in ["", "d", "9", "-1d", "+1d", "1.5h", "1w", "1\u{e4}"] {
            assert_eq!(duration(odd), None, "{odd}");
        }
        assert_eq!(moment("2027-01-31T00:00:00Z").ok(), Some(1_801_353_600));
    }
}
