//! Numbers, with every digit that was written.

/// A number as JSON writes it, digit by digit: `1.10` stays `1.10`, and an integer may have any length. What a reader makes
/// of it is the reader's: PHP has 64-bit integers and floats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Number(String);

impl Number {
    /// `None`: JSON has no such number, or it is beyond a 64-bit float (1e999).
    pub fn of_json(text: &str) -> Option<Number> {
        let (mantissa, exponent) = match text.find(['e', 'E']) {
            Some(at) => (&text[..at], Some(&text[at + 1..])),
            None => (text, None),
        };
        let unsigned = mantissa.strip_prefix('-').unwrap_or(mantissa);
        let (whole, fraction) = match unsigned.split_once('.') {
            Some((whole, fraction)) => (whole, Some(fraction)),
            None => (unsigned, None),
        };
        let exponent = exponent.map(|exponent| exponent.strip_prefix(['+', '-']).unwrap_or(exponent));
        let is_json = digits(whole)
            && (whole == "0" || !whole.starts_with('0'))
            && fraction.is_none_or(digits)
            && exponent.is_none_or(digits);
        let fits = || text.parse::<f64>().is_ok_and(f64::is_finite);
        (is_json && fits()).then(|| Number(text.to_owned()))
    }

    /// As [`Number::of_json`], of what other formats allow besides: a plus sign, `.5` and `5.`. No zeros before other digits:
    /// formats do not agree on what they mean.
    pub(crate) fn of_decimal(text: &str) -> Option<Number> {
        let unsigned = text.strip_prefix('+').unwrap_or(text);
        if unsigned.len() < text.len() && unsigned.starts_with('-') {
            return None;
        }
        let (sign, unsigned) = match unsigned.strip_prefix('-') {
            Some(unsigned) => ("-", unsigned),
            None => ("", unsigned),
        };
        let (mantissa, exponent) = unsigned.split_at(unsigned.find(['e', 'E']).unwrap_or(unsigned.len()));
        let mantissa = match mantissa.split_once('.') {
            Some(("", "")) => return None,
            Some(("", fraction)) => format!("0.{fraction}"),
            Some((whole, "")) => format!("{whole}.0"),
            _ => mantissa.to_owned(),
        };
        Number::of_json(&format!("{sign}{mantissa}{exponent}"))
    }

    /// An integer in another base; `None`: beyond 64 bits with sign.
    pub(crate) fn of_digits(negative: bool, digits: &str, base: u32) -> Option<Number> {
        let value = i128::from_str_radix(digits, base).ok()?;
        let value = i64::try_from(if negative { -value } else { value }).ok()?;
        Some(Number(value.to_string()))
    }

    /// An index or a count.
    pub(crate) fn as_integer(&self) -> Option<i64> {
        self.0.parse().ok()
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether somebody could take a text for a number.
pub(crate) fn looks_like_one(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let body = unsigned.strip_prefix('.').unwrap_or(unsigned);
    body.starts_with(|c: char| c.is_ascii_digit())
        && body
            .chars()
            .all(|c| c.is_ascii_hexdigit() || matches!(c, '.' | '_' | '+' | '-' | 'x' | 'X' | 'o' | 'O'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_numbers_keep_their_digits() {
        for good in [
            "0",
            "-0",
            "10",
            "1.10",
            "1e5",
            "1E+5",
            "-1.5e-7",
            "123456789012345678901234567890",
        ] {
            assert_eq!(Number::of_json(good).unwrap().as_str(), good);
        }
        for bad in [
            "", "-", "01", "+1", ".5", "5.", "1e", "1e+", "0x1", "1_0", "1e999", "-1e999", "NaN", "1.2.3",
            "--1",
        ] {
            assert_eq!(Number::of_json(bad), None, "{bad}");
        }
    }

    #[test]
    fn other_notations_become_jsons() {
        for (text, json) in [
            ("+5", "5"),
            (".5", "0.5"),
            ("-.5e3", "-0.5e3"),
            ("5.", "5.0"),
            ("5.e2", "5.0e2"),
        ] {
            assert_eq!(Number::of_decimal(text).unwrap().as_str(), json);
        }
        for bad in [".", "+-5", "010", "-010", "00.5", "", "+", "1e999"] {
            assert_eq!(Number::of_decimal(bad), None, "{bad}");
        }
        assert_eq!(
            Number::of_digits(true, "8000000000000000", 16).unwrap().as_str(),
            "-9223372036854775808"
        );
        assert_eq!(Number::of_digits(false, "8000000000000000", 16), None);
    }
}
