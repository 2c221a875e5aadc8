//! A keyring as JSON.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use zeroize::Zeroizing;

use super::{Keyring, MAX_KEYRING_BYTES, MAX_KEYS, MAX_PATTERNS, Secret, is_id};
use crate::pattern::Pattern;

/// A misspelt member is refused: one that is overlooked could leave values in clear.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    primary: String,
    keys: Keys,
    patterns: Vec<String>,
    #[serde(default)]
    require_sealed: bool,
}

struct Keys(BTreeMap<String, Zeroizing<String>>);

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Keys, D::Error> {
        struct KeysVisitor;
        impl<'de> Visitor<'de> for KeysVisitor {
            type Value = Keys;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of keys by their ids")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
                let mut keys = BTreeMap::new();
                while let Some(id) = map.next_key::<String>()? {
                    let text = Zeroizing::new(map.next_value::<String>()?);
                    if keys.len() == MAX_KEYS {
                        return Err(serde::de::Error::custom(format_args!(
                            "more than {MAX_KEYS} keys"
                        )));
                    }
                    if keys.insert(id, text).is_some() {
                        return Err(serde::de::Error::custom("an id stands twice in \"keys\""));
                    }
                }
                Ok(Keys(keys))
            }
        }
        deserializer.deserialize_map(KeysVisitor)
    }
}

/// The error says what is wrong, and holds nothing of the content but ids and patterns.
pub(super) fn read(json: &[u8]) -> Result<Keyring, String> {
    if json.len() > MAX_KEYRING_BYTES {
        return Err(format!("it has more than {MAX_KEYRING_BYTES} bytes, the limit"));
    }
    let document: Document = serde_json::from_slice(json).map_err(|error| describe(&error))?;
    let mut keys = BTreeMap::new();
    for (id, text) in &document.keys.0 {
        if !is_id(id) {
            // Not shown: it could be a secret in the wrong place.
            return Err(format!("an id in \"keys\" is none: {}", super::ID_FORM));
        }
        let secret = Secret::decode(text).ok_or_else(|| format!("key {id:?} is not base64 of 32 bytes"))?;
        keys.insert(id.clone(), secret);
    }
    if !keys.contains_key(&document.primary) {
        if !is_id(&document.primary) {
            return Err(format!("its \"primary\" is no key's id: {}", super::ID_FORM));
        }
        return Err(format!(
            "its primary key {:?} is not among its keys, so nothing can be sealed",
            document.primary
        ));
    }
    if document.patterns.len() > MAX_PATTERNS {
        return Err(format!("it has more than {MAX_PATTERNS} patterns, the limit"));
    }
    let patterns = document.patterns.iter().map(|text| Pattern::parse(text));
    Ok(Keyring {
        primary: document.primary,
        keys,
        patterns: patterns.collect::<Result<_, _>>()?,
        require_sealed: document.require_sealed,
    })
}

/// serde_json's own message may quote what it found, which can be a secret in the wrong place.
fn describe(error: &serde_json::Error) -> String {
    let (line, column) = (error.line(), error.column());
    let form = "expected {\"primary\": ID, \"keys\": {ID: base64 of 32 bytes, …}, \"patterns\": [PATTERN, …]}, and \
                \"require_sealed\": true if wanted";
    let what = match error.classify() {
        serde_json::error::Category::Eof => "the JSON ends too early",
        serde_json::error::Category::Syntax => "it is no JSON",
        _ => {
            let text = error.to_string();
            if text.starts_with("an id stands twice") {
                return "an id stands twice in \"keys\"".to_owned();
            }
            if text.starts_with("more than") {
                return format!("it has more than {MAX_KEYS} keys, the limit");
            }
            "it has another form"
        }
    };
    format!("{what} (line {line}, column {column}); {form}")
}

pub(super) fn write(keyring: &Keyring) -> Zeroizing<String> {
    // Of the final size from the start, so that no shorter copy is left behind when it grows.
    let patterns: usize = keyring
        .patterns
        .iter()
        .map(|pattern| 6 * pattern.as_str().len() + 12)
        .sum();
    let mut text = Zeroizing::new(String::with_capacity(256 + 128 * keyring.keys.len() + patterns));
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    text.push_str(&format!(
        "{{\n  \"primary\": {},\n  \"keys\": {{",
        quoted(&keyring.primary)
    ));
    for (index, (id, secret)) in keyring.keys.iter().enumerate() {
        let comma = if index > 0 { "," } else { "" };
        text.push_str(&format!("{comma}\n    {}: \"", quoted(id)));
        STANDARD.encode_string(&*secret.0, &mut text);
        text.push('"');
    }
    text.push_str("\n  },\n  \"patterns\": [");
    for (index, pattern) in keyring.patterns.iter().enumerate() {
        let comma = if index > 0 { "," } else { "" };
        text.push_str(&format!("{comma}\n    {}", quoted(pattern.as_str())));
    }
    text.push_str(if keyring.patterns.is_empty() { "]" } else { "\n  ]" });
    if keyring.require_sealed {
        text.push_str(",\n  \"require_sealed\": true");
    }
    text.push_str("\n}\n");
    text
}
