//! Spans of time as ISO 8601 writes them, reckoned in the calendar of UTC.
//!
//! ISO 8601-1 section 5.5.2.2: `P90D`, `P1Y6M`, `P4W`, `P1DT12H`. Months end where the shorter one ends.

use std::fmt;

use crate::error::KeystoreError;

const DAY: i64 = 86_400;
/// Most months and most days of a span: a hundred years of each.
const MOST_MONTHS: u32 = 1_200;
const MOST_DAYS: u32 = 36_525;

/// A span of time, longer than nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Period {
    months: u32,
    days: u32,
    seconds: u32,
}

impl Period {
    /// Reads the form of ISO 8601 with whole numbers; nothing, fractions, signs, units twice or out of order
    /// and more than a hundred years are `malformed`.
    pub fn parse(text: &str) -> Result<Self, KeystoreError> {
        read(text).ok_or(KeystoreError::Malformed("not a span of time in the form of iso 8601"))
    }

    /// The moment so long after another, unix seconds.
    pub fn after(&self, from: i64) -> i64 {
        self.shifted(from, 1)
    }

    /// The moment so long before another, unix seconds.
    pub fn before(&self, from: i64) -> i64 {
        self.shifted(from, -1)
    }

    fn shifted(&self, from: i64, sign: i64) -> i64 {
        let (day, of_day) = (from.div_euclid(DAY), from.rem_euclid(DAY));
        let (year, month, date) = civil(day);
        let months = year.saturating_mul(12).saturating_add(month - 1).saturating_add(sign * i64::from(self.months));
        let (year, month) = (months.div_euclid(12), months.rem_euclid(12) + 1);
        let day = days_of(year, month, date.min(last_of(year, month)));
        let day = day.saturating_add(sign * i64::from(self.days));
        day.saturating_mul(DAY).saturating_add(of_day).saturating_add(sign * i64::from(self.seconds))
    }

    /// The fewest seconds it can be.
    pub(super) fn least(&self) -> i64 {
        (i64::from(self.months) * 28 + i64::from(self.days)) * DAY + i64::from(self.seconds)
    }

    /// The most seconds it can be.
    pub(super) fn most(&self) -> i64 {
        (i64::from(self.months) * 31 + i64::from(self.days)) * DAY + i64::from(self.seconds)
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("P")?;
        for (number, unit) in [(self.months / 12, 'Y'), (self.months % 12, 'M'), (self.days, 'D')] {
            if number > 0 {
                write!(f, "{number}{unit}")?;
            }
        }
        if self.seconds > 0 {
            f.write_str("T")?;
        }
        for (number, unit) in [(self.seconds / 3600, 'H'), (self.seconds / 60 % 60, 'M'), (self.seconds % 60, 'S')] {
            if number > 0 {
                write!(f, "{number}{unit}")?;
            }
        }
        Ok(())
    }
}

fn read(text: &str) -> Option<Period> {
    let (dates, times) = match text.strip_prefix('P')?.split_once('T') {
        Some((_, "")) => return None,
        Some((dates, times)) => (dates, times),
        None => (text.strip_prefix('P')?, ""),
    };
    let mut period = Period { months: 0, days: 0, seconds: 0 };
    for (number, unit) in numbers(dates, "YMWD")? {
        match unit {
            'Y' => period.months = number.checked_mul(12)?,
            'M' => period.months = period.months.checked_add(number)?,
            'W' => period.days = number.checked_mul(7)?,
            _ => period.days = period.days.checked_add(number)?,
        }
    }
    for (number, unit) in numbers(times, "HMS")? {
        let seconds = match unit {
            'H' => number.checked_mul(3_600)?,
            'M' => number.checked_mul(60)?,
            _ => number,
        };
        period.seconds = period.seconds.checked_add(seconds)?;
    }
    let long = period.months > MOST_MONTHS || period.days > MOST_DAYS;
    (!long && period.least() > 0).then_some(period)
}

/// Numbers with their units, each unit once and in this order.
fn numbers(text: &str, units: &str) -> Option<Vec<(u32, char)>> {
    let mut found = Vec::new();
    let mut left = units;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if !(1..=9).contains(&digits) {
            return None;
        }
        let (number, behind) = rest.split_at_checked(digits)?;
        let unit = behind.chars().next()?;
        let (_, later) = left.split_once(unit)?;
        found.push((number.parse().ok()?, unit));
        left = later;
        rest = behind.strip_prefix(unit)?;
    }
    Some(found)
}

/// Year, month and day of month of a day since 1970, in the Gregorian calendar.
fn civil(day: i64) -> (i64, i64, i64) {
    // years begin in March here, so that the odd day is the last
    let shifted = day.saturating_add(719_468);
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let date = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, date)
}

/// The day since 1970 of a date.
fn days_of(year: i64, month: i64, date: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let from_march = (month + 9) % 12;
    let of_year = (153 * from_march + 2) / 5 + date - 1;
    let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
    era.saturating_mul(146_097).saturating_add(of_era).saturating_sub(719_468)
}

fn last_of(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.rem_euclid(4) == 0 && (year.rem_euclid(100) != 0 || year.rem_euclid(400) == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_and_written() {
        for (text, written) in [
            ("P90D", "P90D"),
            ("P18M", "P1Y6M"),
            ("P1Y6M", "P1Y6M"),
            ("P4W", "P28D"),
            ("P2Y", "P2Y"),
            ("P1DT12H", "P1DT12H"),
            ("PT90S", "PT1M30S"),
            ("P99Y", "P99Y"),
        ] {
            let period = Period::parse(text).unwrap();
            assert_eq!(period.to_string(), written);
            assert_eq!(Period::parse(written).unwrap(), period);
        }
        for text in [
            "",
            "P",
            "PT",
            "P0D",
            "90D",
            "P-1D",
            "P1.5D",
            "P1D1Y",
            "P1D1D",
            "P1DT",
            "p1d",
            "P1H",
            "PT1D",
            "P1",
            "P D",
            "P9999999999D",
            "P101Y",
            "P40000D",
            "P1é",
            "PT99999999H",
        ] {
            assert_eq!(Period::parse(text).map_err(|e| e.code()), Err("malformed"), "{text}");
        }
    }

    #[test]
    fn months_are_those_of_the_calendar() {
        let after = |text: &str, from| Period::parse(text).unwrap().after(from);
        let before = |text: &str, from| Period::parse(text).unwrap().before(from);
        // 2024-01-31T12:00:00Z, and the end of February of a leap year and of another
        assert_eq!(after("P1M", 1_706_702_400), 1_709_208_000);
        assert_eq!(after("P13M", 1_706_702_400), 1_740_744_000);
        assert_eq!(before("P1M", 1_711_886_400), 1_709_208_000);
        assert_eq!(after("P1Y", 0), 31_536_000);
        assert_eq!(before("P1Y", 0), -31_536_000);
        assert_eq!(after("P1DT1S", 5), 86_406);
        assert!(after("P99Y", i64::MAX) > 0 && before("P99Y", i64::MIN) < 0);
    }

    #[test]
    fn every_day_of_eight_centuries_is_its_own() {
        for day in -146_097..146_097 {
            let (year, month, date) = civil(day);
            assert_eq!(days_of(year, month, date), day);
            assert!((1..=last_of(year, month)).contains(&date));
        }
    }
}
