//! Times as people write and read them: RFC 3339 in UTC, dates, and ages.

use std::time::{SystemTime, UNIX_EPOCH};

const DAY_SECS: i64 = 86_400;

/// Milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time(pub i64);

/// Where a query begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    Revision(i64),
    Time(Time),
}

/// As the argument of `--since`.
pub fn since(text: &str) -> Result<Since, String> {
    match text.parse::<i64>() {
        Ok(revision) if revision > 0 => Ok(Since::Revision(revision)),
        Ok(_) => Err("revisions begin at 1".to_owned()),
        Err(_) => time(text).map(Since::Time),
    }
}

/// A date, a date with a time, or how long ago.
pub fn time(text: &str) -> Result<Time, String> {
    let ago = |secs: u64| now().saturating_sub_unsigned(secs.saturating_mul(1000));
    match age(text) {
        Some(secs) => Some(Time(ago(secs))),
        None => rfc3339(text).map(Time),
    }
    .ok_or_else(|| "expected 2026-01-31, 2026-01-31T12:00:00Z, or an age such as 90m, 12h, 7d".to_owned())
}

fn now() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}

/// The date in UTC, as 2026-11-30.
pub fn today() -> String {
    date(now())
}

fn date(unix_ms: i64) -> String {
    let mut time = utc(unix_ms);
    time.truncate(time.find('T').unwrap_or(time.len()));
    time
}

/// As the argument of `--max-age`, in seconds.
pub fn max_age(text: &str) -> Result<u64, String> {
    age(text)
        .filter(|secs| *secs > 0)
        .ok_or_else(|| "expected an age such as 90d, 12h, 30m, 45s".to_owned())
}

fn age(text: &str) -> Option<u64> {
    let unit = match text.chars().last()? {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return None,
    };
    let number = &text[..text.len() - 1];
    let digits = number.bytes().all(|byte| byte.is_ascii_digit());
    number.parse::<u64>().ok().filter(|_| digits)?.checked_mul(unit)
}

/// An age in the largest unit that says it exactly.
pub fn age_text(secs: u64) -> String {
    for (unit, name) in [(86_400, 'd'), (3600, 'h'), (60, 'm')] {
        if secs > 0 && secs.is_multiple_of(unit) {
            return format!("{}{name}", secs / unit);
        }
    }
    format!("{secs}s")
}

fn rfc3339(text: &str) -> Option<i64> {
    let (date, time) = match text.split_once(['T', 't', ' ']) {
        Some((date, time)) => (date, Some(time)),
        None => (text, None),
    };
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    if !(1..=12).contains(&month) || day < 1 || day > days_of_month(year, month) {
        return None;
    }
    let midnight = days_before(year, month) + day - 1;
    let Some(time) = time else {
        return Some(midnight * DAY_SECS * 1000);
    };
    let (clock, offset) = match time.strip_suffix(['Z', 'z']) {
        Some(clock) => (clock, 0),
        None => {
            let (clock, offset) = time.split_at_checked(time.len().checked_sub(6)?)?;
            let sign = match offset.bytes().next()? {
                b'+' => 1,
                b'-' => -1,
                _ => return None,
            };
            let [hours, minutes] = numbers(&offset[1..], ':', [2, 2])?;
            (clock, sign * (hours * 3600 + minutes * 60))
        }
    };
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let [hours, minutes, secs] = numbers(clock, ':', [2, 2, 2])?;
    if hours > 23 || minutes > 59 || secs > 59 {
        return None;
    }
    let millis: i64 = format!("{fraction:0<3}")[..3].parse().ok()?;
    Some((midnight * DAY_SECS + hours * 3600 + minutes * 60 + secs - offset) * 1000 + millis)
}

/// As many numbers as there are widths, each of as many digits.
fn numbers<const N: usize>(text: &str, separator: char, widths: [usize; N]) -> Option<[i64; N]> {
    let mut parts = text.split(separator);
    let mut found = [0; N];
    for (number, width) in found.iter_mut().zip(widths) {
        let part = parts.next().filter(|part| part.len() == width)?;
        *number = part
            .bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| part.parse().ok())??;
    }
    parts.next().is_none().then_some(found)
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_of_month(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970 to the first of a month.
fn days_before(year: i64, month: i64) -> i64 {
    let before = year - 1;
    let leap_days = before.div_euclid(4) - before.div_euclid(100) + before.div_euclid(400);
    // From the year 1 to 1970 they are 719,162.
    let to_year = before * 365 + leap_days - 719_162;
    to_year + (1..month).map(|month| days_of_month(year, month)).sum::<i64>()
}

/// Milliseconds since 1970, as RFC 3339 in UTC, to the second.
pub fn utc(unix_ms: i64) -> String {
    let secs = unix_ms.div_euclid(1000);
    let (days, of_day) = (secs.div_euclid(DAY_SECS), secs.rem_euclid(DAY_SECS));
    // 146,097 days are 400 years; the guess is at most one year off.
    let mut year = 1970 + days * 400 / 146_097;
    while days_before(year, 1) > days {
        year -= 1;
    }
    while days_before(year + 1, 1) <= days {
        year += 1;
    }
    let month = (2..=12)
        .take_while(|month| days_before(year, *month) <= days)
        .last()
        .unwrap_or(1);
    let day = days - days_before(year, month) + 1;
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_they_are_written() {
        for (text, secs) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1969-12-31T23:59:59Z", -1),
            ("2000-02-29T12:34:56Z", 951_827_696),
            ("2026-11-26T14:41:59Z", 1_795_704_119),
            ("2100-03-01T00:00:00Z", 4_107_542_400),
            ("9999-12-31T23:59:59Z", 253_402_300_799),
        ] {
            assert_eq!(
                (utc(secs * 1000), rfc3339(text)),
                (text.to_owned(), Some(secs * 1000))
            );
        }
        assert_eq!(rfc3339("2026-11-26"), rfc3339("2026-11-26T00:00:00Z"));
        assert_eq!(
            rfc3339("2026-11-26T14:41:59.25+01:30"),
            Some((1_795_704_119 - 5400) * 1000 + 250)
        );
        for bad in [
            "",
            "2026",
            "2026-13-01",
            "2026-02-29",
            "2026-01-01T",
            "2026-01-01T12:00",
            "2026-01-01T24:00:00Z",
            "2026-01-01T12:00:00",
            "2026-01-01T12:00:00.Z",
            "+026-01-01",
            "2026-01-01T12:00:00+1:00",
            "2026-01-01Té",
        ] {
            assert_eq!(rfc3339(bad), None, "{bad}");
        }
    }

    #[test]
    fn days_are_dates() {
        for (day, expected) in [
            (0, "1970-01-01"),
            (11_016, "2000-02-29"),
            (11_017, "2000-03-01"),
            (20_787, "2026-11-30"),
            (20_819, "2027-01-01"),
        ] {
            assert_eq!(date(day * DAY_SECS * 1000), expected, "{day}");
        }
    }

    #[test]
    fn ages_have_a_unit() {
        assert_eq!(max_age("90d"), Ok(90 * 86_400));
        for bad in [
            "",
            "d",
            "0d",
            "-1d",
            "+1d",
            "1w",
            "1",
            "99999999999999999999s",
            "1é",
        ] {
            assert!(max_age(bad).is_err(), "{bad}");
        }
        for text in ["90d", "36h", "90m", "45s"] {
            assert_eq!(age_text(age(text).unwrap()), text);
        }
        assert_eq!(since("12"), Ok(Since::Revision(12)));
        assert!(since("0").is_err() && since("-3").is_err());
    }
}
