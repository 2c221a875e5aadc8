//! JSON, read strictly, and compared as JSON Schema does.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::message::clip;
use crate::number;

/// Reads one JSON value; `Err` says what is wrong without quoting any string or number of the value.
///
/// Two members of one name are refused, as programs differ in which of them they take; so are numbers that no double holds,
/// and, by serde_json, what is nested deeper than 128 levels.
pub(crate) fn parse(bytes: &[u8]) -> Result<Value, String> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let parsed = Strict::deserialize(&mut deserializer).and_then(|value| {
        deserializer.end()?;
        Ok(value)
    });
    parsed
        .map(|Strict(value)| value)
        .map_err(|error| error.to_string())
}

/// How many arrays and objects enclose the innermost value, itself included.
pub(crate) fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// A text that two values share exactly if JSON Schema takes them for equal: `1` and `1.0` do, objects in whatever order.
pub(crate) fn canonical(value: &Value) -> String {
    let mut text = String::new();
    write_canonical(value, &mut text);
    text
}

fn write_canonical(value: &Value, text: &mut String) {
    match value {
        Value::Number(number) => text.push_str(&number::canonical(number)),
        Value::Array(items) => {
            text.push('[');
            for item in items {
                write_canonical(item, text);
                text.push(',');
            }
            text.push(']');
        }
        Value::Object(members) => {
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_unstable_by_key(|(name, _)| *name);
            text.push('{');
            for (name, value) in sorted {
                text.push_str(&Value::String(name.clone()).to_string());
                text.push(':');
                write_canonical(value, text);
                text.push(',');
            }
            text.push('}');
        }
        scalar => text.push_str(&scalar.to_string()),
    }
}

/// A JSON Pointer's token for a member's name.
pub(crate) fn escape_token(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Strict, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Strict)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("a number is out of range"))?;
        Ok(Value::Number(number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let Strict(value) = members.next_value()?;
            if object.contains_key(&name) {
                let name = clip(&name);
                return Err(A::Error::custom(format!("an object has two members {name:?}")));
            }
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ambiguous_or_no_json_is_refused() {
        let fault = |text: &str| parse(text.as_bytes()).unwrap_err();
        assert_eq!(
            fault(r#"{"a": 1, "a": 2}"#),
            r#"an object has two members "a" at line 1 column 16"#
        );
        assert!(fault("secret").contains("line 1 column 1"));
        assert!(!fault(r#""secret"#).contains("secret"));
        assert!(fault("1e999").contains("out of range"));
        assert!(fault("1 2").contains("trailing"));
        assert!(fault("").contains("EOF"));
        assert!(parse(b"\"\xff\"").is_err());
        assert!(fault(&"[".repeat(1_000_000)).contains("recursion limit"));
    }

    #[test]
    fn equal_values_have_one_canonical_text() {
        let canonical = |text: &str| canonical(&parse(text.as_bytes()).unwrap());
        assert_eq!(
            canonical("[1, {\"a\": 0, \"b\": 2}]"),
            canonical("[1.0, {\"b\": 2e0, \"a\": -0.0}]")
        );
        assert_ne!(canonical("\"1\""), canonical("1"));
        assert_ne!(canonical("0"), canonical("false"));
        assert_ne!(canonical("[\"a,b\"]"), canonical("[\"a\",\"b\"]"));
        assert_ne!(canonical("9007199254740993"), canonical("9007199254740992"));
        assert_eq!(
            canonical("18446744073709551616"),
            canonical("18446744073709551616.0")
        );
    }
}
