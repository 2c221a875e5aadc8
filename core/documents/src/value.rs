//! What a document holds.

use std::fmt::Write;

use crate::error::ParseError;
use crate::json;
use crate::number::Number;

/// Largest file, and largest document once everything in it is written out.
pub const MAX_DOCUMENT_BYTES: usize = 16 << 20;

/// Deepest nesting of arrays and objects, which is that of PHP's extension.
pub const MAX_DEPTH: usize = 512;

/// A JSON value. Members keep their order, and no two have one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number, with its digits.
    Number(Number),
    /// A text.
    String(String),
    /// A list.
    Array(Vec<Value>),
    /// Names and their values.
    Object(Vec<(String, Value)>),
}

impl Value {
    /// What stored bytes stand for, as PHP reads them: JSON, or else a text. `Err`: neither, or JSON that a document can't hold
    /// (two members of one name, nested too deep).
    pub fn of_stored(bytes: &[u8]) -> Result<Value, ParseError> {
        let text = std::str::from_utf8(bytes)
            .map_err(|_| ParseError::new(0, "neither JSON nor text: bytes that are not UTF-8"))?;
        if json::is_json(text) {
            json::parse(text)
        } else {
            Ok(Value::String(text.to_owned()))
        }
    }

    /// As JSON on one line: what is stored.
    pub fn to_json(&self) -> String {
        let mut out = String::new();
        self.write_json(&mut out);
        out
    }

    fn write_json(&self, out: &mut String) {
        match self {
            Value::Null => out.push_str("null"),
            Value::Bool(value) => {
                let _ = write!(out, "{value}");
            }
            Value::Number(number) => out.push_str(number.as_str()),
            Value::String(text) => json::quote(text, out),
            Value::Array(items) => {
                out.push('[');
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    item.write_json(out);
                }
                out.push(']');
            }
            Value::Object(members) => {
                out.push('{');
                for (i, (name, value)) in members.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    json::quote(name, out);
                    out.push(':');
                    value.write_json(out);
                }
                out.push('}');
            }
        }
    }

    /// Whether it is a sealed value: an object whose one member is `$sealed`. Nothing looks into one.
    pub fn is_sealed(&self) -> bool {
        matches!(self, Value::Object(members) if members.len() == 1 && members[0].0 == "$sealed")
    }

    /// Whether it is an array or object with something in it.
    pub(crate) fn is_nested(&self) -> bool {
        match self {
            Value::Array(items) => !items.is_empty(),
            Value::Object(members) => !members.is_empty(),
            _ => false,
        }
    }

    /// Size in bytes, about as JSON.
    pub(crate) fn size_bytes(&self) -> usize {
        match self {
            Value::Null | Value::Bool(_) => 5,
            Value::Number(number) => number.as_str().len() + 1,
            Value::String(text) => text.len() + 3,
            Value::Array(items) => 3 + items.iter().map(Value::size_bytes).sum::<usize>(),
            Value::Object(members) => {
                let member = |(name, value): &(String, Value)| name.len() + 4 + value.size_bytes();
                3 + members.iter().map(member).sum::<usize>()
            }
        }
    }

    /// Levels of arrays and objects.
    pub(crate) fn depth(&self) -> usize {
        match self {
            Value::Array(items) => 1 + items.iter().map(Value::depth).max().unwrap_or(0),
            Value::Object(members) => 1 + members.iter().map(|(_, value)| value.depth()).max().unwrap_or(0),
            _ => 0,
        }
    }

    /// A list if the names are 0, 1, 2… in order, as in PHP, else an object.
    pub(crate) fn of_pairs(pairs: Vec<(String, Value)>) -> Value {
        if pairs
            .iter()
            .enumerate()
            .all(|(i, (name, _))| *name == i.to_string())
        {
            Value::Array(pairs.into_iter().map(|(_, value)| value).collect())
        } else {
            Value::Object(pairs)
        }
    }
}

/// A name as it stands in a path: `.` and `\` are escaped, as PHP's extension reads them.
pub(crate) fn join_path(path: &str, name: &str) -> String {
    let name = name.replace('\\', "\\\\").replace('.', "\\.");
    if path.is_empty() {
        name
    } else {
        format!("{path}.{name}")
    }
}

pub(crate) fn too_deep(line: usize) -> ParseError {
    ParseError::new(line, format!("nested deeper than {MAX_DEPTH} levels"))
}

pub(crate) fn repeated(line: usize, name: &str) -> ParseError {
    ParseError::new(line, format!("the name {name:?} is there twice"))
}

/// The integer that PHP makes of a key.
pub(crate) fn as_index(name: &str) -> Option<i64> {
    name.parse::<i64>().ok().filter(|index| index.to_string() == name)
}
