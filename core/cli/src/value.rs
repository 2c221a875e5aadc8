//! Values: bytes in, and something to look at out.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::RawValue;

use crate::failure::Failure;

/// Far above any server's limit; keeps `put k @/dev/zero` from eating the machine.
const MAX_INPUT_BYTES: u64 = 64 << 20;

/// The value that an argument stands for: itself, `-` for standard input, `@file` for a file.
pub fn read(argument: &OsStr) -> Result<Vec<u8>, Failure> {
    let bytes = argument.as_bytes();
    match bytes.strip_prefix(b"@") {
        _ if bytes == b"-" => read_all(io::stdin().lock(), "standard input"),
        Some(path) => {
            let path = Path::new(OsStr::from_bytes(path));
            let name = path.display().to_string();
            let file = fs::File::open(path).map_err(|error| unreadable(&name, &error))?;
            read_all(file, &name)
        }
        None => Ok(bytes.to_vec()),
    }
}

fn read_all(from: impl Read, name: &str) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    from.take(MAX_INPUT_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| unreadable(name, &error))?;
    if bytes.len() as u64 > MAX_INPUT_BYTES {
        return Err(Failure::invalid(format!(
            "{name} has more than {MAX_INPUT_BYTES} bytes"
        )));
    }
    Ok(bytes)
}

fn unreadable(name: &str, error: &io::Error) -> Failure {
    Failure::invalid(format!("cannot read {name}: {error}"))
}

/// Bytes as a JSON value, and the name of their encoding if they are not JSON themselves.
pub fn to_json(bytes: &[u8]) -> (Box<RawValue>, Option<&'static str>) {
    if let Some(json) = compact_json(bytes).and_then(|text| RawValue::from_string(text).ok()) {
        return (json, None);
    }
    let (text, encoding) = to_text(bytes);
    // A string can always be written as JSON.
    let json = serde_json::value::to_raw_value(text.as_ref()).unwrap_or_else(|_| RawValue::NULL.to_owned());
    (json, Some(encoding))
}

/// Bytes as text, and how: as they are, or in base64.
pub fn to_text(bytes: &[u8]) -> (Cow<'_, str>, &'static str) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (text.into(), "text"),
        Err(_) => (STANDARD.encode(bytes).into(), "base64"),
    }
}

/// On one line: JSON without its white space, any other text escaped.
pub fn to_line(bytes: &[u8]) -> String {
    if let Some(json) = compact_json(bytes) {
        return json;
    }
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(char::is_control) => text.to_owned(),
        Ok(text) => text.escape_debug().to_string(),
        Err(_) => format!("base64:{}", STANDARD.encode(bytes)),
    }
}

/// The same JSON, digit by digit, without the white space between its parts; `None`: it is not JSON.
fn compact_json(bytes: &[u8]) -> Option<String> {
    let json: &RawValue = serde_json::from_slice(bytes).ok()?;
    let (mut in_string, mut escaped) = (false, false);
    let compact = json.get().chars().filter(|&c| {
        let kept = in_string || !c.is_ascii_whitespace();
        match c {
            _ if escaped => escaped = false,
            '\\' if in_string => escaped = true,
            '"' => in_string = !in_string,
            _ => {}
        }
        kept
    });
    Some(compact.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(bytes: &[u8]) -> (String, Option<&'static str>) {
        let (json, encoding) = to_json(bytes);
        (json.get().to_owned(), encoding)
    }

    #[test]
    fn json_keeps_every_digit_and_loses_its_white_space() {
        assert_eq!(shown(b" { \"a b\" :\n 1.10 } "), ("{\"a b\":1.10}".into(), None));
        assert_eq!(
            shown(b"123456789012345678901234567890"),
            ("123456789012345678901234567890".into(), None)
        );
        assert_eq!(shown(br#""a \" b\\" "#), (r#""a \" b\\""#.into(), None));
    }

    #[test]
    fn what_is_not_json_says_so() {
        assert_eq!(
            shown(b"plain \"text\""),
            (r#""plain \"text\"""#.into(), Some("text"))
        );
        assert_eq!(shown(b""), ("\"\"".into(), Some("text")));
        assert_eq!(shown(&[0, 255]), ("\"AP8=\"".into(), Some("base64")));
    }

    #[test]
    fn a_line_is_one_line() {
        assert_eq!(to_line(b"{\n \"a\": 1\n}"), "{\"a\":1}");
        assert_eq!(
            to_line("zwei\nZeilen \u{1b}[31m".as_bytes()),
            "zwei\\nZeilen \\u{1b}[31m"
        );
        assert_eq!(to_line(&[255]), "base64:/w==");
    }
}
