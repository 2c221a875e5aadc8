//! A PHP file that returns a literal.

use crate::value::Value;

pub(crate) fn print(value: &Value) -> String {
    let mut out = String::from("<?php\n\nreturn ");
    print_value(value, 0, &mut out);
    out.push_str(";\n");
    out
}

fn print_value(value: &Value, depth: usize, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => out.push_str(number.as_str()),
        Value::String(text) => print_string(text, out),
        Value::Array(items) => print_items(items.iter().map(|item| (None, item)), depth, out),
        Value::Object(members) => {
            // As an array alone it would be a list.
            if matches!(Value::of_pairs(members.clone()), Value::Array(_)) {
                out.push_str("(object) ");
            }
            print_items(
                members.iter().map(|(name, value)| (Some(name), value)),
                depth,
                out,
            );
        }
    }
}

fn print_items<'a>(
    items: impl ExactSizeIterator<Item = (Option<&'a String>, &'a Value)>,
    depth: usize,
    out: &mut String,
) {
    if items.len() == 0 {
        out.push_str("[]");
        return;
    }
    out.push_str("[\n");
    for (name, value) in items {
        out.extend(std::iter::repeat_n("    ", depth + 1));
        if let Some(name) = name {
            print_string(name, out);
            out.push_str(" => ");
        }
        print_value(value, depth + 1, out);
        out.push_str(",\n");
    }
    out.extend(std::iter::repeat_n("    ", depth));
    out.push(']');
}

/// In single quotes; with control characters in double quotes, where they are seen.
fn print_string(text: &str, out: &mut String) {
    if !text.contains(char::is_control) {
        out.push('\'');
        out.push_str(&text.replace('\\', "\\\\").replace('\'', "\\'"));
        out.push('\'');
        return;
    }
    out.push('"');
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '"' | '\\' | '$' => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}
