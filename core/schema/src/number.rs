//! JSON's numbers, compared and divided by value: `1` and `1.0` are one number.

use std::cmp::Ordering;

use serde_json::Number;

/// The number as an integer, if it is one, however it is written. Beyond 2^127 no double counts as one: it is as far from an
/// exact number as from an integer.
pub(crate) fn integer(number: &Number) -> Option<i128> {
    if let Some(value) = number.as_i64() {
        return Some(value.into());
    }
    if let Some(value) = number.as_u64() {
        return Some(value.into());
    }
    let value = number.as_f64()?;
    (value.fract() == 0.0 && value.abs() < 1.7e38).then_some(value as i128)
}

/// Whether JSON Schema takes it for an integer.
pub(crate) fn is_integer(number: &Number) -> bool {
    number.is_i64() || number.is_u64() || number.as_f64().is_some_and(|value| value.fract() == 0.0)
}

/// A text that equal numbers share.
pub(crate) fn canonical(number: &Number) -> String {
    match integer(number) {
        Some(value) => value.to_string(),
        None => format!("{:e}", double(number)),
    }
}

/// Compares by value.
pub(crate) fn compare(left: &Number, right: &Number) -> Ordering {
    match (integer(left), integer(right)) {
        (Some(left), Some(right)) => left.cmp(&right),
        // A double with a fraction is below 2^53, where rounding the other to a double keeps the order.
        _ => double(left).total_cmp(&double(right)),
    }
}

fn double(number: &Number) -> f64 {
    number.as_f64().unwrap_or(f64::MAX)
}

/// A number as digits and a power of ten: the decimal that was written, not the double nearest to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decimal {
    /// Not divisible by ten, or zero.
    digits: u128,
    exponent: i32,
}

impl Decimal {
    /// The absolute value.
    pub(crate) fn of(number: &Number) -> Decimal {
        let text = if number.is_f64() {
            format!("{:e}", double(number))
        } else {
            number.to_string()
        };
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let mut exponent: i32 = exponent.parse().unwrap_or(0);
        let mut digits: u128 = 0;
        let mut in_fraction = false;
        for byte in mantissa.bytes() {
            match byte {
                b'.' => in_fraction = true,
                b'0'..=b'9' => {
                    digits = digits * 10 + u128::from(byte - b'0');
                    exponent -= i32::from(in_fraction);
                }
                _ => {}
            }
        }
        while digits != 0 && digits.is_multiple_of(10) {
            digits /= 10;
            exponent += 1;
        }
        Decimal { digits, exponent }
    }

    pub(crate) fn is_zero(self) -> bool {
        self.digits == 0
    }

    /// Whether it is a whole number of times `divisor`, which is not zero.
    pub(crate) fn is_multiple_of(self, divisor: Decimal) -> bool {
        if self.digits == 0 {
            return true;
        }
        if self.exponent < divisor.exponent {
            // Its digits would have to be divisible by ten.
            return false;
        }
        // digits * 10^n modulo the divisor's digits, with products that stay within 128 bits.
        let modulus = divisor.digits;
        let mut remainder = self.digits % modulus;
        for _ in divisor.exponent..self.exponent {
            if remainder == 0 {
                break;
            }
            remainder = match remainder.checked_mul(10) {
                Some(product) => product % modulus,
                None => (0..10).fold(0, |sum, _| add_modulo(sum, remainder, modulus)),
            };
        }
        remainder == 0
    }
}

/// `left + right` modulo `modulus`, both below it.
fn add_modulo(left: u128, right: u128, modulus: u128) -> u128 {
    if left >= modulus - right {
        left - (modulus - right)
    } else {
        left + right
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Number {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn multiples_are_of_the_decimals_that_were_written() {
        for (value, divisor, expected) in [
            ("0.0075", "0.0001", true),
            ("0.00751", "0.0001", false),
            ("4.5", "1.5", true),
            ("35", "1.5", false),
            ("0", "3", true),
            ("1e308", "0.5", true),
            ("1e308", "7", false),
            ("12391239123", "1e-8", true),
            ("10", "1e1", true),
            ("5", "10", false),
            ("-6", "3", true),
            ("18446744073709551615", "5", true),
            ("18446744073709551615", "7", false),
            ("1.7e38", "17", true),
            ("7e37", "169999999999999999999999999999999999999", false),
        ] {
            let divides = Decimal::of(&number(value)).is_multiple_of(Decimal::of(&number(divisor)));
            assert_eq!(divides, expected, "{value} by {divisor}");
        }
    }

    #[test]
    fn numbers_compare_by_value() {
        for (left, right, expected) in [
            ("1", "1.0", Ordering::Equal),
            ("-0.0", "0", Ordering::Equal),
            ("9007199254740993", "9007199254740992.0", Ordering::Greater),
            ("18446744073709551615", "-1", Ordering::Greater),
            ("0.5", "1", Ordering::Less),
            ("-0.5", "0", Ordering::Less),
            ("1e300", "18446744073709551615", Ordering::Greater),
            ("-1e300", "0.5", Ordering::Less),
        ] {
            assert_eq!(
                compare(&number(left), &number(right)),
                expected,
                "{left}, {right}"
            );
        }
    }

    #[test]
    fn an_integer_may_be_written_as_a_fraction() {
        assert!(is_integer(&number("1.0")) && is_integer(&number("1e300")) && is_integer(&number("-3")));
        assert!(!is_integer(&number("1.5")));
        assert_eq!(integer(&number("2.0")), Some(2));
        assert_eq!(integer(&number("1e300")), None);
    }
}
