//! JSON, with the order of members and the digits of numbers kept.

use std::collections::HashSet;

use serde_json::value::RawValue;

use crate::error::ParseError;
use crate::number::Number;
use crate::scanner::{Scanner, is_blank};
use crate::value::{MAX_DEPTH, Value, repeated, too_deep};

pub(crate) fn is_json(text: &str) -> bool {
    serde_json::from_str::<&RawValue>(text).is_ok()
}

pub(crate) fn parse(text: &str) -> Result<Value, ParseError> {
    let mut scanner = Scanner::new(text);
    let value = value(&mut scanner, 0)?;
    skip(&mut scanner);
    match scanner.peek() {
        None => Ok(value),
        Some(_) => Err(scanner.error("not JSON: something follows the value")),
    }
}

fn skip(scanner: &mut Scanner) {
    scanner.take_while(|c| is_blank(c) || c == '\n');
}

/// Kept small, as it nests.
fn value(scanner: &mut Scanner, depth: usize) -> Result<Value, ParseError> {
    skip(scanner);
    if scanner.eat("[") {
        array(scanner, depth)
    } else if scanner.eat("{") {
        object(scanner, depth)
    } else {
        scalar(scanner)
    }
}

fn array(scanner: &mut Scanner, depth: usize) -> Result<Value, ParseError> {
    if depth >= MAX_DEPTH {
        return Err(too_deep(scanner.line()));
    }
    let mut items = Vec::new();
    skip(scanner);
    if scanner.eat("]") {
        return Ok(Value::Array(items));
    }
    loop {
        items.push(value(scanner, depth + 1)?);
        skip(scanner);
        if scanner.eat("]") {
            return Ok(Value::Array(items));
        }
        if !scanner.eat(",") {
            return Err(scanner.error("not JSON: expected , or ]"));
        }
    }
}

fn object(scanner: &mut Scanner, depth: usize) -> Result<Value, ParseError> {
    if depth >= MAX_DEPTH {
        return Err(too_deep(scanner.line()));
    }
    let (mut members, mut seen) = (Vec::new(), HashSet::new());
    skip(scanner);
    if scanner.eat("}") {
        return Ok(Value::Object(members));
    }
    loop {
        skip(scanner);
        let name =
            string(scanner)?.ok_or_else(|| scanner.error("not JSON: expected a name in double quotes"))?;
        if !seen.insert(name.clone()) {
            return Err(repeated(scanner.line(), &name));
        }
        skip(scanner);
        if !scanner.eat(":") {
            return Err(scanner.error("not JSON: expected :"));
        }
        members.push((name, value(scanner, depth + 1)?));
        skip(scanner);
        if scanner.eat("}") {
            return Ok(Value::Object(members));
        }
        if !scanner.eat(",") {
            return Err(scanner.error("not JSON: expected , or }"));
        }
    }
}

fn scalar(scanner: &mut Scanner) -> Result<Value, ParseError> {
    if let Some(text) = string(scanner)? {
        return Ok(Value::String(text));
    }
    let word = scanner.take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    match word {
        "null" => Ok(Value::Null),
        "true" => Ok(Value::Bool(true)),
        "false" => Ok(Value::Bool(false)),
        "" => Err(scanner.error("not JSON: expected a value")),
        _ => Number::of_json(word).map(Value::Number).ok_or_else(|| {
            let why = if is_json(word) {
                "is beyond the range of a 64-bit float; write it as a string"
            } else {
                "is not JSON"
            };
            scanner.error(format!("{word} {why}"))
        }),
    }
}

/// The string that begins here; `None`: none does.
fn string(scanner: &mut Scanner) -> Result<Option<String>, ParseError> {
    let rest = scanner.rest();
    if !rest.starts_with('"') {
        return Ok(None);
    }
    let mut escaped = false;
    let end = rest.bytes().skip(1).position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    });
    let quoted = end
        .map(|end| &rest[..end + 2])
        .ok_or_else(|| scanner.error("not JSON: the string is not closed"))?;
    let text = serde_json::from_str(quoted)
        .map_err(|_| scanner.error("not JSON: a control character or an unknown escape in a string"))?;
    scanner.eat(quoted);
    Ok(Some(text))
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
