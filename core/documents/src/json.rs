//! JSON, with the order of members and the digits of numbers kept.

use std::collections::HashSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::error::ParseError;
use crate::number::Number;
use crate::value::{MAX_DEPTH, Value, repeated, too_deep};

pub(crate) fn is_json(text: &str) -> bool {
    serde_json::from_str::<&RawValue>(text).is_ok()
}

pub(crate) fn parse(text: &str) -> Result<Value, ParseError> {
    let raw: &RawValue = serde_json::from_str(text).map_err(|error| of_serde(&error))?;
    value(raw.get(), 0)
}

/// `text` is known to be JSON: each level is cut into its parts, unread.
fn value(text: &str, depth: usize) -> Result<Value, ParseError> {
    let first = text.as_bytes().first();
    if matches!(first, Some(b'[' | b'{')) && depth >= MAX_DEPTH {
        return Err(too_deep(0));
    }
    match first {
        Some(b'n') => Ok(Value::Null),
        Some(b't') => Ok(Value::Bool(true)),
        Some(b'f') => Ok(Value::Bool(false)),
        Some(b'"') => Ok(Value::String(part(text)?)),
        Some(b'[') => {
            let items: Vec<&RawValue> = part(text)?;
            let items = items.into_iter().map(|item| value(item.get(), depth + 1));
            Ok(Value::Array(items.collect::<Result<_, _>>()?))
        }
        Some(b'{') => {
            let Members(raw) = part(text)?;
            let mut seen = HashSet::new();
            if let Some((name, _)) = raw.iter().find(|(name, _)| !seen.insert(name.as_str())) {
                return Err(repeated(0, name));
            }
            let members = raw
                .into_iter()
                .map(|(name, raw)| Ok((name, value(raw.get(), depth + 1)?)));
            Ok(Value::Object(members.collect::<Result<_, _>>()?))
        }
        _ => Number::of_json(text).map(Value::Number).ok_or_else(|| {
            ParseError::new(
                0,
                format!("{text} is beyond the range of a 64-bit float; write it as a string"),
            )
        }),
    }
}

fn part<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, ParseError> {
    // The line would be that of the part.
    serde_json::from_str(text).map_err(|error| ParseError {
        line: 0,
        ..of_serde(&error)
    })
}

fn of_serde(error: &serde_json::Error) -> ParseError {
    let message = error.to_string();
    let message = message
        .rsplit_once(" at line ")
        .map_or(message.as_str(), |(message, _)| message);
    ParseError::new(error.line(), format!("not JSON: {message}"))
}

/// The members of an object, with those of one name.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

/// A JSON string.
pub(crate) fn quote(text: &str, out: &mut String) {
    out.push_str(&serde_json::Value::from(text).to_string());
}

pub(crate) fn print(value: &Value) -> String {
    let mut out = String::new();
    print_value(value, 0, &mut out);
    out.push('\n');
    out
}

fn print_value(value: &Value, depth: usize, out: &mut String) {
    let indent = |depth: usize, out: &mut String| {
        out.push('\n');
        out.extend(std::iter::repeat_n("    ", depth));
    };
    match value {
        Value::Array(items) if !items.is_empty() => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                indent(depth + 1, out);
                print_value(item, depth + 1, out);
            }
            indent(depth, out);
            out.push(']');
        }
        Value::Object(members) if !members.is_empty() => {
            out.push('{');
            for (i, (name, value)) in members.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                indent(depth + 1, out);
                quote(name, out);
                out.push_str(": ");
                print_value(value, depth + 1, out);
            }
            indent(depth, out);
            out.push('}');
        }
        plain => out.push_str(&plain.to_json()),
    }
}
