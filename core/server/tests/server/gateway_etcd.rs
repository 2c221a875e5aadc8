//! The JSON gateway next to that of Debian's etcd (3.4): the same requests get the same answers, byte by byte.

use serde_json::Value;

use crate::common::TestServer;
use crate::etcd::Etcd;
use crate::http_client::{Answer, HttpClient};

/// In this order on a fresh store.
const REQUESTS: &[(&str, &str)] = &[
    ("/v3/kv/put", r#"{"key":"Zm9v","value":"YmFy"}"#),
    ("/v3/kv/put", r#"{"key":"Zm9v","value":"YmF6","prev_kv":true}"#),
    ("/v3/kv/put", r#"{"key":"Zm9w","prevKv":true}"#),
    ("/v3/kv/range", r#"{"key":"Zm9v"}"#),
    ("/v3/kv/range", r#"{"key":"Zm9v"} and what follows"#),
    ("/v3beta/kv/range", r#"{"key":"Zm9v","no_such_field":{"a":[1]}}"#),
    (
        "/v3/kv/range",
        r#"{"key":"Zg==","range_end":"Zw==","sort_order":"DESCEND","limit":"1"}"#,
    ),
    (
        "/v3/kv/range",
        r#"{"key":"Zg==","rangeEnd":"Zw==","sortOrder":"DESCEND","sortTarget":"MOD","keysOnly":true}"#,
    ),
    (
        "/v3/kv/range",
        r#"{"key":"Zg==","range_end":"Zw==","count_only":true}"#,
    ),
    ("/v3/kv/range", r#"{"key":"bWlzc2luZw=="}"#),
    ("/v3/kv/range", r#"{"key":"Zm9v","revision":2}"#),
    ("/v3/kv/range", r#"{"key":"Zm9v","revision":"2"}"#),
    ("/v3/kv/range", r#"{"key":"Zm9v","revision":"99"}"#),
    ("/v3/kv/range", "{}"),
    ("/v3/kv/range", ""),
    (
        "/v3/kv/txn",
        r#"{"compare":[{"key":"Zm9v","target":"VERSION","version":"2"}],"success":[{"request_put":{"key":"YQ==","value":"Yg=="}},{"requestRange":{"key":"YQ=="}},{"request_delete_range":{"key":"eA=="}}]}"#,
    ),
    (
        "/v3/kv/txn",
        r#"{"compare":[{"result":"GREATER","key":"Zm9v","target":"VALUE","value":"eg=="}],"failure":[{"request_range":{"key":"YQ=="}}]}"#,
    ),
    (
        "/v3/kv/txn",
        r#"{"success":[{"request_put":{"key":"YQ=="}},{"request_put":{"key":"YQ=="}}]}"#,
    ),
    ("/v3/kv/txn", "{}"),
    ("/v3/kv/deleterange", r#"{"key":"Zm9v","prev_kv":true}"#),
    ("/v3/kv/deleterange", r#"{"key":"Zm9v"}"#),
    ("/v3/kv/compaction", r#"{"revision":"3"}"#),
    ("/v3/kv/compaction", r#"{"revision":"3"}"#),
    ("/v3/kv/compaction", r#"{"revision":"100"}"#),
    ("/v3/kv/range", r#"{"key":"Zm9v","revision":"2"}"#),
    ("/v3/lease/grant", r#"{"TTL":"100","ID":"7"}"#),
    ("/v3/lease/grant", r#"{"TTL":"100","ID":"7"}"#),
    ("/v3/kv/put", r#"{"key":"bA==","value":"MQ==","lease":"7"}"#),
    ("/v3/kv/range", r#"{"key":"bA=="}"#),
    ("/v3/lease/keepalive", r#"{"ID":"7"}"#),
    ("/v3/lease/keepalive", r#"{"ID":"8"}{"ID":"7"}"#),
    ("/v3/lease/timetolive", r#"{"ID":"9"}"#),
    ("/v3/kv/lease/timetolive", r#"{"ID":"9"}"#),
    ("/v3/lease/leases", "{}"),
    ("/v3/kv/lease/leases", ""),
    ("/v3/lock/lock", r#"{"name":"bG9jaw==","lease":"7"}"#),
    ("/v3/election/leader", r#"{"name":"bG9jaw=="}"#),
    ("/v3/lock/unlock", r#"{"key":"bG9jay83"}"#),
    ("/v3/election/leader", r#"{"name":"bG9jaw=="}"#),
    ("/v3/election/resign", "{}"),
    ("/v3/lease/revoke", r#"{"ID":"7"}"#),
    ("/v3/kv/lease/revoke", r#"{"ID":"7"}"#),
    ("/v3/maintenance/alarm", r#"{"action":"GET"}"#),
    (
        "/v3/maintenance/alarm",
        r#"{"action":"ACTIVATE","memberID":"5","alarm":"NOSPACE"}"#,
    ),
    ("/v3/kv/put", r#"{"key":"Zm9v"}"#),
    (
        "/v3/maintenance/alarm",
        r#"{"action":"DEACTIVATE","memberID":"5","alarm":"NOSPACE"}"#,
    ),
    ("/v3/maintenance/defragment", "{}"),
    ("/v3/auth/authenticate", r#"{"name":"a","password":"b"}"#),
    ("/v3/auth/role/list", "{}"),
    ("/v3/kv/nope", "{}"),
    ("/v3/", "{}"),
    ("/v4/kv/range", "{}"),
];

/// What differs from one member to the next.
fn normalized(text: &str) -> String {
    let mut text = text.to_owned();
    for field in ["cluster_id", "member_id", "raft_term"] {
        let begin = format!("\"{field}\":\"");
        while let Some(at) = text.find(&begin) {
            let end = at + begin.len() + text[at + begin.len()..].find('"').unwrap();
            text.replace_range(at..=end, &format!("<{field}>"));
        }
    }
    text
}

/// An error of 3.4 has the same fields in another order, and FailedPrecondition has another status there.
fn comparable(path: &str, mut answer: Answer) -> (u16, Option<String>, String) {
    if answer.status == 412 {
        answer.status = 400;
    }
    let kind = answer.header("content-type").map(str::to_owned);
    let body = match serde_json::from_str::<Value>(&answer.body) {
        Ok(Value::Object(mut error)) if error.contains_key("error") => {
            error.sort_keys();
            Value::Object(error).to_string()
        }
        // Only from 3.5 on have alarms a header.
        Ok(Value::Object(mut answer)) if path.ends_with("/alarm") => {
            answer.remove("header");
            Value::Object(answer).to_string()
        }
        _ => answer.body,
    };
    (answer.status, kind, normalized(&body))
}

#[tokio::test]
async fn the_same_requests_get_the_same_answers() {
    let etcd = Etcd::start_with_gateway().await;
    let server = TestServer::start().await;
    let mut ours = HttpClient::connect(&server).await;
    let mut theirs = HttpClient::connect_to(&etcd.url).await;
    let mut differing = Vec::new();
    for (path, body) in REQUESTS {
        let (found, expected) = (ours.post(path, body).await, theirs.post(path, body).await);
        let (found, expected) = (comparable(path, found), comparable(path, expected));
        if found != expected {
            differing.push(format!(
                "{path} {body}\n  ours:   {found:?}\n  theirs: {expected:?}"
            ));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
    for path in ["/v3/kv/range", "/v3/nope", "/nope", "/"] {
        let (found, expected) = (ours.get(path).await, theirs.get(path).await);
        assert_eq!(comparable(path, found), comparable(path, expected), "{path}");
    }
    for name in [
        "access-control-allow-origin",
        "access-control-allow-headers",
        "access-control-allow-methods",
    ] {
        let (found, expected) = (ours.get("/health").await, theirs.get("/health").await);
        assert_eq!(found.header(name), expected.header(name), "{name}");
    }
}

#[tokio::test]
async fn the_same_watches_see_the_same_lines() {
    let etcd = Etcd::start_with_gateway().await;
    let server = TestServer::start().await;
    let mut seen = Vec::new();
    for mut http in [
        HttpClient::connect(&server).await,
        HttpClient::connect_to(&etcd.url).await,
    ] {
        for (path, body) in &REQUESTS[..3] {
            http.post(path, body).await;
        }
        http.post("/v3/kv/deleterange", r#"{"key":"Zm9v"}"#).await;
        http.post("/v3/kv/compaction", r#"{"revision":"2"}"#).await;
        let requests =
            r#"{"create_request":{"key":"Zg==","range_end":"Zw==","start_revision":"2","prev_kv":true}}"#;
        let mut lines = http.stream("/v3/watch", requests).await;
        let mut text = Vec::new();
        for _ in 0..2 {
            text.push(normalized(&lines.next().await.unwrap().to_string()));
        }
        drop(lines);
        seen.push(text);
    }
    assert_eq!(seen[0], seen[1]);
}
