//! YAML that versions 1.1 and 1.2 read alike.

use crate::json;
use crate::number;
use crate::value::Value;

/// A longer name has to be announced by a question mark.
const MAX_NAME: usize = 1000;

pub(crate) fn print(value: &Value) -> String {
    let mut out = String::new();
    if value.is_nested() {
        print_nested(value, 0, &mut out);
    } else {
        print_flat(value, &mut out);
        out.push('\n');
    }
    out
}

/// The lines of an array or object; the caller has written the indent of the first one.
fn print_nested(value: &Value, depth: usize, out: &mut String) {
    match value {
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    indent(depth, out);
                }
                out.push('-');
                if item.is_nested() {
                    out.push(' ');
                    print_nested(item, depth + 1, out);
                } else {
                    print_after(item, out);
                }
            }
        }
        Value::Object(members) => {
            for (i, (name, value)) in members.iter().enumerate() {
                if i > 0 {
                    indent(depth, out);
                }
                let start = out.len();
                print_text(name, out);
                if out.len() - start > MAX_NAME {
                    out.insert_str(start, "? ");
                    out.push('\n');
                    indent(depth, out);
                }
                out.push(':');
                if value.is_nested() {
                    out.push('\n');
                    indent(depth + 1, out);
                    print_nested(value, depth + 1, out);
                } else {
                    print_after(value, out);
                }
            }
        }
        _ => {}
    }
}

fn print_after(value: &Value, out: &mut String) {
    out.push(' ');
    print_flat(value, out);
    out.push('\n');
}

fn print_flat(value: &Value, out: &mut String) {
    match value {
        Value::String(text) => print_text(text, out),
        value => out.push_str(&value.to_json()),
    }
}

fn indent(depth: usize, out: &mut String) {
    out.extend(std::iter::repeat_n("  ", depth));
}

/// Without quotes only what nobody takes for anything else.
fn print_text(text: &str, out: &mut String) {
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '/' | '-' | '@');
    let is_plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '/'))
        && text.chars().all(word)
        && !number::looks_like_one(text)
        && !matches!(
            text.to_ascii_lowercase().as_str(),
            "null" | "true" | "false" | "yes" | "no" | "on" | "off" | "y" | "n"
        );
    if is_plain {
        out.push_str(text);
        return;
    }
    let mut quoted = String::new();
    json::quote(text, &mut quoted);
    for c in quoted.chars() {
        // YAML takes some for the end of a line, and others for nothing that can be printed.
        if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}') {
            out.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            out.push(c);
        }
    }
}
