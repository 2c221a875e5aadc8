//! What is said of values and schemas, cut to a length that fits on a line.

use serde_json::Value;

use crate::node::Types;

const MAX_QUOTED_BYTES: usize = 200;

/// `text`, cut if it is long.
pub(crate) fn clip(text: &str) -> String {
    clip_to(text, MAX_QUOTED_BYTES)
}

pub(crate) fn clip_to(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let mut end = limit;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &text[..end])
}

/// The type, with its article.
pub(crate) fn with_article(name: &str) -> String {
    match name {
        "null" => "null".to_owned(),
        "integer" | "array" | "object" => format!("an {name}"),
        name => format!("a {name}"),
    }
}

pub(crate) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

pub(crate) fn types(types: Types, value: &Value) -> String {
    let names: Vec<String> = types.names().map(with_article).collect();
    let is = match (types.names().collect::<Vec<_>>().as_slice(), value) {
        (["integer"], Value::Number(_)) => "has a fraction".to_owned(),
        _ => format!("is {}", with_article(type_name(value))),
    };
    format!("must be {}, but {is}", names.join(" or "))
}

/// "1 item", "2 items".
pub(crate) fn count(number: u64, unit: &str, units: &str) -> String {
    format!("{number} {}", if number == 1 { unit } else { units })
}
