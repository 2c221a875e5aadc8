//! The stored form of a sealed value: `{"$sealed":"v1.<key id>.<nonce>.<ciphertext and tag>"}`.
//!
//! It is JSON, since that is what clients take values for. White space between its parts is allowed, so that it survives a
//! program which prints JSON in its own way.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::error::SealError;
use crate::printable;

/// Bytes of a nonce.
pub(crate) const NONCE_BYTES: usize = 24;
/// Bytes by which a ciphertext is longer than what was sealed.
pub(crate) const TAG_BYTES: usize = 16;

const VERSION: &str = "v1";
const MEMBER: &[u8] = b"\"$sealed\"";

/// The parts of an envelope.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Envelope<'a> {
    pub id: &'a str,
    pub nonce: [u8; NONCE_BYTES],
    pub ciphertext: Vec<u8>,
}

/// What is authenticated with a value besides itself.
pub(crate) fn associated_data(id: &str, key: &[u8]) -> Vec<u8> {
    // No dot is in an id, so this can be read in one way only.
    [VERSION.as_bytes(), b".", id.as_bytes(), b".", key].concat()
}

pub(crate) fn write(id: &str, nonce: &[u8; NONCE_BYTES], ciphertext: &[u8]) -> Vec<u8> {
    let mut text = format!("{{\"$sealed\":\"{VERSION}.{id}.");
    URL_SAFE_NO_PAD.encode_string(nonce, &mut text);
    text.push('.');
    URL_SAFE_NO_PAD.encode_string(ciphertext, &mut text);
    text.push_str("\"}");
    text.into_bytes()
}

/// Whether a value says of itself that it is sealed. It may still be damaged.
pub fn is_envelope(value: &[u8]) -> bool {
    content(value).is_some()
}

/// The id of the key that a value is sealed with; `None` if it is not sealed, or too damaged to tell.
pub fn key_id_of(value: &[u8]) -> Option<&str> {
    let mut parts = std::str::from_utf8(content(value)?).ok()?.split('.');
    let id = parts.nth(1)?;
    parts.next().map(|_| id)
}

/// What follows the quote that opens the string; `None` if this is no envelope.
fn content(value: &[u8]) -> Option<&[u8]> {
    let rest = value.trim_ascii_start().strip_prefix(b"{")?;
    let rest = rest.trim_ascii_start().strip_prefix(MEMBER)?;
    let rest = rest.trim_ascii_start().strip_prefix(b":")?;
    let rest = rest.trim_ascii_start().strip_prefix(b"\"")?;
    // A program's own document may well have a member of this name.
    (rest.first() == Some(&b'v') && rest.get(1).is_none_or(u8::is_ascii_digit)).then_some(rest)
}

/// Takes a value apart; `None` if it is no envelope.
pub(crate) fn read<'a>(key: &[u8], value: &'a [u8]) -> Option<Result<Envelope<'a>, SealError>> {
    content(value).map(|content| parse(key, content))
}

fn parse<'a>(key: &[u8], content: &'a [u8]) -> Result<Envelope<'a>, SealError> {
    let truncated = || SealError::Truncated { key: printable(key) };
    let malformed = |problem| SealError::Malformed {
        key: printable(key),
        problem,
    };
    let end = content.iter().position(|&byte| byte == b'"');
    let text = std::str::from_utf8(&content[..end.unwrap_or(content.len())])
        .map_err(|_| malformed("it holds bytes that are no text"))?;
    let mut parts = text.splitn(4, '.');
    let version = parts.next().unwrap_or_default();
    if version != VERSION && (end.is_some() || parts.clone().next().is_some()) {
        return Err(SealError::UnknownFormat {
            key: printable(key),
            version: version.chars().take(16).collect(),
        });
    }
    let end = end.ok_or_else(truncated)?;
    match content[end + 1..].trim_ascii() {
        b"}" => {}
        b"" => return Err(truncated()),
        _ => return Err(malformed("something follows the sealed text")),
    }
    let (Some(id), Some(nonce), Some(ciphertext)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(truncated());
    };
    let decode = |part: &str| {
        URL_SAFE_NO_PAD
            .decode(part)
            .map_err(|_| malformed("a part of it is not base64url"))
    };
    let nonce = decode(nonce)?
        .try_into()
        .map_err(|_| malformed("its nonce has not 24 bytes"))?;
    let ciphertext = decode(ciphertext)?;
    if ciphertext.len() < TAG_BYTES {
        return Err(truncated());
    }
    Ok(Envelope {
        id,
        nonce,
        ciphertext,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read() {
        let written = write("2026-11", &[7; NONCE_BYTES], &[9; TAG_BYTES]);
        let text = std::str::from_utf8(&written).unwrap();
        assert_eq!(
            text,
            "{\"$sealed\":\"v1.2026-11.BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH.CQkJCQkJCQkJCQkJCQkJCQ\"}"
        );
        assert!(serde_json::from_str::<serde_json::Value>(text).is_ok());
        let read = read(b"k", &written).unwrap().unwrap();
        assert_eq!((read.id, read.nonce), ("2026-11", [7; NONCE_BYTES]));
        assert_eq!(read.ciphertext, [9; TAG_BYTES]);
        assert_eq!(key_id_of(&written), Some("2026-11"));
        assert_eq!(associated_data("2026-11", b"/a.b"), b"v1.2026-11./a.b");
    }

    #[test]
    fn white_space_between_the_parts_is_no_matter() {
        let written = String::from_utf8(write("a", &[7; NONCE_BYTES], &[9; TAG_BYTES])).unwrap();
        let spread = format!(
            " {}\n",
            written
                .replace(':', " :\n\t")
                .replace('{', "{ ")
                .replace('}', "\r\n}")
        );
        assert!(read(b"k", spread.as_bytes()).unwrap().is_ok());
    }

    #[test]
    fn other_documents_are_no_envelopes() {
        for value in [
            "",
            "{",
            "null",
            "{\"$sealed\":1}",
            "{\"$sealed\":\"hello\"}",
            "{\"$sealed\":\"very\"}",
            "{\"sealed\":\"v1.a\"}",
            "[\"$sealed\"]",
            "\"{\\\"$sealed\\\":\\\"v1.\"",
        ] {
            assert!(!is_envelope(value.as_bytes()), "{value}");
            assert_eq!(key_id_of(value.as_bytes()), None);
        }
    }

    #[test]
    fn damage_is_told_apart() {
        let good = String::from_utf8(write("a", &[7; NONCE_BYTES], &[9; TAG_BYTES])).unwrap();
        let of = |text: &str| read(b"k", text.as_bytes()).unwrap().unwrap_err();
        assert!(
            matches!(of(&good.replace("v1", "v2")), SealError::UnknownFormat { version, .. } if version == "v2")
        );
        assert!(matches!(of(&good[..good.len() - 1]), SealError::Truncated { .. }));
        assert!(matches!(
            of("{\"$sealed\":\"v1.a\"}"),
            SealError::Truncated { .. }
        ));
        assert!(matches!(
            of(&good.replace('}', ",\"x\":1}")),
            SealError::Malformed { .. }
        ));
        assert!(matches!(
            of(&good.replace("BwcH", "Bw+H")),
            SealError::Malformed { .. }
        ));
    }
}
