//! Values as they may be told: JSON as JSON, other text as a string, and never what is sealed.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value, json};

/// The one member of a sealed value, which holds `v1.KEY_ID.NONCE.CIPHERTEXT`.
const SEALED: &str = "$sealed";

/// A value as it goes into a message.
#[derive(Debug)]
pub enum Told {
    /// JSON, to the letter as it was written, or text that is not JSON as a string.
    Json(Box<RawValue>),
    /// Neither JSON nor text: in base64.
    Base64(String),
}

impl Told {
    /// What may be told of `value`.
    pub fn of(value: &[u8]) -> Told {
        let Ok(text) = std::str::from_utf8(value) else {
            return Told::Base64(Told::base64(value));
        };
        // What nests too deeply to be looked into is told as text too: few could read it as JSON.
        let (Ok(mut parsed), Ok(raw)) = (
            serde_json::from_str::<Value>(text),
            serde_json::from_str::<Box<RawValue>>(text),
        ) else {
            let text = if text.contains(SEALED) { "(sealed)" } else { text };
            return Told::Json(raw_string(text));
        };
        // Parsed only to look into it: what is handed on is the text, with numbers as they were written.
        Told::Json(match hide_sealed(&mut parsed) {
            true => to_raw_value(&parsed).expect("a parsed value can be written"),
            false => raw,
        })
    }

    /// Bytes that are no text, as they go into a message.
    pub fn base64(bytes: &[u8]) -> String {
        STANDARD.encode(bytes)
    }

    /// The value on one line, for people.
    pub fn line(&self) -> &str {
        match self {
            Told::Json(raw) => raw.get(),
            Told::Base64(_) => "(binary)",
        }
    }
}

fn raw_string(text: &str) -> Box<RawValue> {
    to_raw_value(text).expect("a string can be written as JSON")
}

/// Puts a mark in the place of everything sealed; answers whether there was anything. The parser bounds the depth.
fn hide_sealed(value: &mut Value) -> bool {
    match value {
        Value::Object(members) => match sealed_by(members) {
            Some(key_id) => {
                let mut mark = json!({"sealed": true});
                if let Some(key_id) = key_id {
                    mark["key_id"] = key_id;
                }
                *value = mark;
                true
            }
            None => members
                .values_mut()
                .fold(false, |any, member| hide_sealed(member) | any),
        },
        Value::Array(elements) => elements
            .iter_mut()
            .fold(false, |any, element| hide_sealed(element) | any),
        _ => false,
    }
}

/// Whether an object is sealed, and the id of the key if it says so.
fn sealed_by(members: &Map<String, Value>) -> Option<Option<Value>> {
    let inner = (members.len() == 1).then(|| members.get(SEALED)).flatten()?;
    let mut parts = inner.as_str().unwrap_or_default().split('.');
    let key_id = parts.nth(1).filter(|_| parts.next().is_some());
    Some(key_id.map(Value::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(value: &[u8]) -> String {
        match Told::of(value) {
            Told::Json(raw) => raw.get().to_owned(),
            Told::Base64(text) => format!("base64 {text}"),
        }
    }

    #[test]
    fn json_goes_along_to_the_letter() {
        for text in [
            r#"{ "n": 123456789012345678901234567890.10 }"#,
            "7",
            "null",
            r#""x""#,
        ] {
            assert_eq!(told(text.as_bytes()), text);
        }
        assert_eq!(told(b"plain \"text\""), r#""plain \"text\"""#);
        assert_eq!(told(b""), r#""""#);
        assert_eq!(told(&[0xff, 0]), "base64 /wA=");
    }

    #[test]
    fn what_is_sealed_is_not_told() {
        let sealed = r#"{"$sealed":"v1.k1.NONCE.CIPHERTEXT"}"#;
        assert_eq!(told(sealed.as_bytes()), r#"{"sealed":true,"key_id":"k1"}"#);
        assert_eq!(told(br#"{"$sealed":"CIPHERTEXT"}"#), r#"{"sealed":true}"#);
        assert_eq!(told(br#"{"\u0024sealed":"CIPHERTEXT"}"#), r#"{"sealed":true}"#);
        let nested = format!(r#"{{"host":"db","password":[1,{sealed}]}}"#);
        assert_eq!(
            told(nested.as_bytes()),
            r#"{"host":"db","password":[1,{"sealed":true,"key_id":"k1"}]}"#
        );
        // Cut short.
        assert_eq!(told(br#"{"$sealed":"v1.k1.NONCE.CIPHER"#), r#""(sealed)""#);
        // Two members: not an envelope.
        let other = r#"{"$sealed":1,"x":2}"#;
        assert_eq!(told(other.as_bytes()), other);
    }

    #[test]
    fn depth_beyond_all_measure_is_told_as_text_and_still_not_what_is_sealed() {
        let deep = |inner: &str| format!("{}{inner}{}", "[".repeat(500), "]".repeat(500));
        assert!(told(deep("1").as_bytes()).starts_with("\"[[["));
        let sealed = told(deep(r#"{"$sealed":"CIPHERTEXT"}"#).as_bytes());
        assert!(!sealed.contains("CIPHERTEXT"), "{sealed}");
    }
}
