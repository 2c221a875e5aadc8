//! JSON to a message's bytes and back.

use prost::Message;
use prost_reflect::{DeserializeOptions, DynamicMessage, MessageDescriptor, SerializeOptions};
use tonic::Status;
use tonic::codegen::Bytes;

/// Messages that are larger are turned into JSON on a thread of their own, so that other calls go on meanwhile.
const INLINE_BYTES: usize = 256 * 1024;

/// The message that `json` describes; nothing at all describes an empty one. Names of fields may be written as in the
/// `.proto` file or in camel case; unknown ones, and what follows the first value, are ignored, as etcd does.
pub(super) fn encode(kind: MessageDescriptor, json: &[u8]) -> Result<Bytes, String> {
    if json.iter().all(u8::is_ascii_whitespace) {
        return Ok(Bytes::new());
    }
    let mut json = serde_json::Deserializer::from_slice(json);
    let options = DeserializeOptions::new().deny_unknown_fields(false);
    DynamicMessage::deserialize_with_options(kind, &mut json, &options)
        .map(|message| message.encode_to_vec().into())
        .map_err(|error| format!("the request is not the JSON that was expected: {error}"))
}

/// The JSON of a message.
pub(super) fn decode(kind: MessageDescriptor, message: Bytes) -> Result<String, Status> {
    let failed = |error: String| Status::internal(format!("the answer cannot be written as JSON: {error}"));
    let message = DynamicMessage::decode(kind, message).map_err(|error| failed(error.to_string()))?;
    let options = SerializeOptions::new()
        .use_proto_field_name(true)
        .skip_default_fields(true)
        .stringify_64_bit_integers(true);
    let mut json = Vec::new();
    message
        .serialize_with_options(&mut serde_json::Serializer::new(&mut json), &options)
        .map_err(|error| failed(error.to_string()))?;
    String::from_utf8(json).map_err(|error| failed(error.to_string()))
}

/// The same, off this thread if the message is large.
pub(super) async fn decode_off_thread(kind: MessageDescriptor, message: Bytes) -> Result<String, Status> {
    if message.len() <= INLINE_BYTES {
        return decode(kind, message);
    }
    tokio::task::spawn_blocking(move || decode(kind, message))
        .await
        .map_err(|_| crate::errors::stopped())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::gateway::paths;
    use cfgstore_proto::etcdserverpb as pb;

    fn message(name: &str) -> MessageDescriptor {
        paths::descriptors().get_message_by_name(name).unwrap()
    }

    #[track_caller]
    fn range(json: &str) -> pb::RangeRequest {
        let bytes = encode(message("etcdserverpb.RangeRequest"), json.as_bytes()).unwrap();
        pb::RangeRequest::decode(bytes).unwrap()
    }

    #[test]
    fn requests_are_read_leniently() {
        let expected = pb::RangeRequest {
            key: (&b"\xff\xef\xbe"[..]).into(),
            limit: 7,
            sort_order: 2,
            keys_only: true,
            ..Default::default()
        };
        for json in [
            r#"{"key":"/+++","limit":"7","sort_order":"DESCEND","keys_only":true}"#,
            r#"{"key":"_---","limit":7,"sortOrder":"DESCEND","keysOnly":true,"range_end":null}"#,
            r#" {"key":"/+++","limit":7,"sort_order":2,"keys_only":true,"bogus":{"a":[1]}} trailing"#,
        ] {
            assert_eq!(range(json), expected, "{json}");
        }
        assert_eq!(range(r#"{"key":"Zg"}"#).key, "f");
        assert_eq!(range(""), pb::RangeRequest::default());
        assert_eq!(range(" \n{}"), pb::RangeRequest::default());
    }

    #[test]
    fn malformed_requests_are_refused() {
        let deep = format!("{}{}", "{\"success\":[{\"request_txn\":".repeat(100_000), "1");
        for json in [
            "[]",
            "7",
            "{",
            "{\"key\":5}",
            "{\"key\":\"Z\"}",
            "{\"limit\":1.5}",
            "{\"limit\":\"x\"}",
            "\u{fffd}",
            "null",
        ] {
            encode(message("etcdserverpb.RangeRequest"), json.as_bytes()).expect_err(json);
        }
        encode(message("etcdserverpb.TxnRequest"), deep.as_bytes()).expect_err("a stack is not endless");
    }

    #[test]
    fn answers_have_the_shape_of_etcds() {
        let response = pb::TxnResponse {
            header: Some(pb::ResponseHeader {
                cluster_id: u64::MAX,
                member_id: 1,
                revision: -1,
                raft_term: 0,
            }),
            succeeded: true,
            responses: vec![pb::ResponseOp {
                response: Some(pb::response_op::Response::ResponseDeleteRange(
                    pb::DeleteRangeResponse::default(),
                )),
            }],
        };
        let json = decode(
            message("etcdserverpb.TxnResponse"),
            response.encode_to_vec().into(),
        )
        .unwrap();
        assert_eq!(
            json,
            r#"{"header":{"cluster_id":"18446744073709551615","member_id":"1","revision":"-1"},"succeeded":true,"responses":[{"response_delete_range":{}}]}"#
        );
        let alarm = pb::AlarmMember {
            member_id: 3,
            alarm: 1,
        };
        let json = decode(message("etcdserverpb.AlarmMember"), alarm.encode_to_vec().into()).unwrap();
        assert_eq!(json, r#"{"memberID":"3","alarm":"NOSPACE"}"#);
        let hash = pb::HashResponse {
            header: None,
            hash: 7,
        };
        let json = decode(message("etcdserverpb.HashResponse"), hash.encode_to_vec().into()).unwrap();
        assert_eq!(json, r#"{"hash":7}"#);
    }
}
