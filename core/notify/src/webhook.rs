//! A webhook's body, and its signature. docs/notifications.md is the receiver's side of it.

use hmac::{Hmac, Mac};
use serde::Serialize;
use serde_json::value::RawValue;
use sha2::Sha256;

use crate::message::{Change, Message};
use crate::rule::Kind;
use crate::sealed::Told;
use crate::time::rfc3339;

/// The header that holds the signature.
pub const SIGNATURE_HEADER: &str = "Cfgstore-Signature";

/// The header that holds [`Message::id`].
pub const DELIVERY_HEADER: &str = "Cfgstore-Delivery";

/// Longest body. One that would be longer goes without values, and says so; then with fewer changes.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;

#[derive(Serialize)]
struct Body<'a> {
    format: u32,
    delivery: String,
    rule: &'a str,
    cluster: String,
    revision: i64,
    time: String,
    time_unix_ms: i64,
    author: AuthorBody<'a>,
    comment: &'a str,
    changes: Vec<ChangeBody<'a>>,
    more_changes: u64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    values_too_large: bool,
}

#[derive(Serialize)]
struct AuthorBody<'a> {
    user: &'a str,
    client: &'a str,
    address: &'a str,
}

#[derive(Serialize)]
struct ChangeBody<'a> {
    kind: Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_base64: Option<String>,
    version: i64,
    previous_revision: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_value: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_value_base64: Option<String>,
}

/// The body for a message. One that would be longer than [`MAX_BODY_BYTES`] goes without values, and if need be without some of the
/// changes; but one is always there.
pub(crate) fn body(message: &Message) -> Vec<u8> {
    let mut told = message.changes.as_slice();
    // Nothing gets shorter by being written: what is too long as it is need not be tried.
    let bytes = |value: &Option<bytes::Bytes>| value.as_ref().map_or(0, bytes::Bytes::len);
    let values_bytes = |change: &Change| bytes(&change.value) + bytes(&change.previous_value);
    let values = told.iter().map(values_bytes).sum::<usize>() <= MAX_BODY_BYTES;
    while told.iter().map(|change| change.key.len()).sum::<usize>() > MAX_BODY_BYTES {
        told = &told[..told.len() / 2];
    }
    let mut body = write(message, told, values);
    if values && body.len() > MAX_BODY_BYTES {
        body = write(message, told, false);
    }
    while body.len() > MAX_BODY_BYTES && told.len() > 1 {
        told = &told[..told.len() / 2];
        body = write(message, told, false);
    }
    body
}

fn write(message: &Message, told: &[Change], values: bool) -> Vec<u8> {
    let body = Body {
        format: 1,
        delivery: message.id(),
        rule: &message.rule,
        cluster: format!("{:x}", message.cluster_id),
        revision: message.revision,
        time: rfc3339(message.time_unix_ms),
        time_unix_ms: message.time_unix_ms,
        author: AuthorBody {
            user: &message.author.user,
            client: &message.author.client,
            address: &message.author.address,
        },
        comment: &message.comment,
        changes: told.iter().map(|change| change_body(change, values)).collect(),
        more_changes: message.count() - told.len() as u64,
        values_too_large: !values,
    };
    serde_json::to_vec(&body).expect("strings, numbers and JSON that was parsed can be written")
}

fn change_body(change: &Change, values: bool) -> ChangeBody<'_> {
    let (key, key_base64) = match std::str::from_utf8(&change.key) {
        Ok(key) => (Some(key), None),
        Err(_) => (None, Some(Told::base64(&change.key))),
    };
    let told = |value: &Option<bytes::Bytes>| match value.as_ref().filter(|_| values).map(|v| Told::of(v)) {
        None => (None, None),
        Some(Told::Json(raw)) => (Some(raw), None),
        Some(Told::Base64(text)) => (None, Some(text)),
    };
    let (value, value_base64) = told(&change.value);
    let (previous_value, previous_value_base64) = told(&change.previous_value);
    ChangeBody {
        kind: change.kind,
        key,
        key_base64,
        version: change.version,
        previous_revision: change.previous_revision,
        value,
        value_base64,
        previous_value,
        previous_value_base64,
    }
}

/// The value of [`SIGNATURE_HEADER`]: `t=SECONDS,v1=HEX`, where HEX is the HMAC-SHA256, under `secret`, of the seconds since 1970
/// in decimal, a dot, and the body. So a receiver can tell both that the body is ours and that it is fresh.
pub fn signature(secret: &str, unix_secs: i64, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(unix_secs.to_string().as_bytes());
    mac.update(b".");
    mac.update(body);
    let hex: String = mac
        .finalize()
        .into_bytes()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("t={unix_secs},v1={hex}")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::message::tests::message;

    fn parsed(message: &Message) -> Value {
        serde_json::from_slice(&body(message)).unwrap()
    }

    #[test]
    fn a_known_signature() {
        // printf '1795698000.{"a":1}' | openssl dgst -sha256 -hmac s3cret
        assert_eq!(
            signature("s3cret", 1_795_698_000, br#"{"a":1}"#),
            "t=1795698000,v1=62b30f4b734604650694f65155ffcba5e8313e91d49fb0c59ed06ffb5033faae"
        );
    }

    #[test]
    fn the_documented_body() {
        assert_eq!(
            parsed(&message()),
            json!({
                "format": 1,
                "delivery": "ops.12.abc",
                "rule": "ops",
                "cluster": "abc",
                "revision": 12,
                "time": "2026-11-26T13:00:00.123Z",
                "time_unix_ms": 1_795_698_000_123_i64,
                "author": {"user": "alice", "client": "", "address": ""},
                "comment": "move to db2",
                "changes": [{
                    "kind": "put",
                    "key": "app/database",
                    "version": 3,
                    "previous_revision": 9,
                    "value": {"host": "db2"},
                    "previous_value": {"host": "db1"},
                }],
                "more_changes": 0,
            })
        );
    }

    #[test]
    fn bytes_that_are_no_text_go_as_base64() {
        let mut message = message();
        message.changes[0].key = vec![0xff].into();
        message.changes[0].value = Some(vec![0xfe].into());
        message.changes[0].previous_value = None;
        let change = &parsed(&message)["changes"][0];
        assert_eq!(change["key_base64"], "/w==");
        assert_eq!(change["value_base64"], "/g==");
        for absent in ["key", "value", "previous_value", "previous_value_base64"] {
            assert!(change.get(absent).is_none(), "{absent}");
        }
    }

    #[test]
    fn values_that_are_too_large_stay_behind() {
        let mut message = message();
        message.changes[0].value = Some("x".repeat(MAX_BODY_BYTES).into());
        assert!(body(&message).len() < 1000);
        let told = parsed(&message);
        assert_eq!(told["values_too_large"], true);
        assert!(told["changes"][0].get("value").is_none());
        // Nor do keys make it longer.
        message.changes[0].key = "k".repeat(60_000).into();
        message.changes = vec![message.changes[0].clone(); 1000];
        message.more_changes = 5;
        assert!(body(&message).len() <= MAX_BODY_BYTES);
        let told = parsed(&message);
        let listed = told["changes"].as_array().unwrap().len() as u64;
        assert!(listed > 1, "{listed}");
        assert_eq!(told["more_changes"].as_u64().unwrap() + listed, 1005);
    }
}
