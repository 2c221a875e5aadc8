//! The keywords that look at a value without its parts.

use std::cmp::Ordering;

use serde_json::{Number, Value};

use super::{Judge, Judgement, Path, Stop};
use crate::json::canonical;
use crate::message;
use crate::node::{Keyword, OneOf, Types};
use crate::number::{self, Decimal};

/// Steps for making a value comparable.
const COMPARISON: u64 = 12;

impl Judge<'_, '_> {
    pub(super) fn scalar(
        &mut self,
        keyword: &Keyword,
        pointer: &str,
        value: &Value,
        path: &Path<'_>,
    ) -> Judgement {
        match (keyword, value) {
            (Keyword::Never, _) => Ok(self.violates(path, pointer, "", || "is not allowed".to_owned())),
            (Keyword::Type(types), value) => {
                let told = || message::types(*types, value);
                Ok(types.meets(types_of(value)) || self.violates(path, pointer, "type", told))
            }
            (Keyword::Enum(allowed), value) => {
                let told = || format!("must be one of {}", allowed.told);
                Ok(self.is_one_of(allowed, value)? || self.violates(path, pointer, "enum", told))
            }
            (Keyword::Const(allowed), value) => {
                let told = || format!("must be {}", allowed.told);
                Ok(self.is_one_of(allowed, value)? || self.violates(path, pointer, "const", told))
            }
            (keyword, Value::Number(number)) => Ok(self.number(keyword, pointer, number, path)),
            (keyword, Value::String(text)) => self.string(keyword, pointer, text, path),
            _ => Ok(true),
        }
    }

    fn is_one_of(&mut self, allowed: &OneOf, value: &Value) -> Judgement {
        self.pay_for(value)?;
        Ok(allowed.allowed.contains(&canonical(value)))
    }

    /// Takes the steps for looking at all of `value`.
    pub(super) fn pay_for(&mut self, value: &Value) -> Result<(), Stop> {
        match value {
            Value::String(text) => self.steps.take(COMPARISON + text.len() as u64 / 16)?,
            Value::Array(items) => {
                self.steps.take(COMPARISON)?;
                for item in items {
                    self.pay_for(item)?;
                }
            }
            Value::Object(members) => {
                self.steps.take(COMPARISON)?;
                for (name, member) in members {
                    self.steps.take(COMPARISON + name.len() as u64 / 16)?;
                    self.pay_for(member)?;
                }
            }
            _ => self.steps.take(COMPARISON)?,
        }
        Ok(())
    }

    fn number(&mut self, keyword: &Keyword, pointer: &str, number: &Number, path: &Path<'_>) -> bool {
        let (name, holds, wants, limit) = match keyword {
            Keyword::MultipleOf(divisor, told) => {
                let holds = Decimal::of(number).is_multiple_of(*divisor);
                ("multipleOf", holds, "a multiple of", told)
            }
            Keyword::Maximum(limit) => {
                let holds = number::compare(number, limit) != Ordering::Greater;
                ("maximum", holds, "at most", limit)
            }
            Keyword::ExclusiveMaximum(limit) => {
                let holds = number::compare(number, limit) == Ordering::Less;
                ("exclusiveMaximum", holds, "less than", limit)
            }
            Keyword::Minimum(limit) => {
                let holds = number::compare(number, limit) != Ordering::Less;
                ("minimum", holds, "at least", limit)
            }
            Keyword::ExclusiveMinimum(limit) => {
                let holds = number::compare(number, limit) == Ordering::Greater;
                ("exclusiveMinimum", holds, "more than", limit)
            }
            _ => return true,
        };
        holds || self.violates(path, pointer, name, || format!("must be {wants} {limit}"))
    }

    fn string(&mut self, keyword: &Keyword, pointer: &str, text: &str, path: &Path<'_>) -> Judgement {
        match keyword {
            Keyword::MaxLength(limit) => {
                let holds = self.length(text)? <= *limit;
                let told = || {
                    let limit = message::count(*limit, "character", "characters");
                    format!("must have at most {limit}")
                };
                Ok(holds || self.violates(path, pointer, "maxLength", told))
            }
            Keyword::MinLength(limit) => {
                let holds = self.length(text)? >= *limit;
                let told = || {
                    let limit = message::count(*limit, "character", "characters");
                    format!("must have at least {limit}")
                };
                Ok(holds || self.violates(path, pointer, "minLength", told))
            }
            Keyword::Pattern(regex) => {
                self.steps.take(regex.steps(text))?;
                let told = || {
                    format!(
                        "must match the regular expression {}",
                        message::clip(&regex.source)
                    )
                };
                Ok(regex.is_match(text) || self.violates(path, pointer, "pattern", told))
            }
            _ => Ok(true),
        }
    }

    fn length(&mut self, text: &str) -> Result<u64, Stop> {
        self.steps.take(text.len() as u64 / 64)?;
        Ok(text.chars().count() as u64)
    }
}

/// The types that `value` is of.
fn types_of(value: &Value) -> Types {
    let named = |name| Types::named(name).unwrap_or_default();
    match value {
        Value::Number(number) if number::is_integer(number) => named("integer").with(named("number")),
        value => named(message::type_name(value)),
    }
}
