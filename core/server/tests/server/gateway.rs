//! The JSON gateway, by itself and next to that of the etcd that Debian ships.

use serde_json::{Value, json};

use crate::common::TestServer;
use crate::http_client::HttpClient;

#[tokio::test]
async fn keys_are_put_got_and_deleted() {
    let server = TestServer::start().await;
    let mut http = HttpClient::connect(&server).await;
    let put = http.post("/v3/kv/put", r#"{"key":"Zm9v","value":"YmFy"}"#).await;
    assert_eq!(
        (put.status, put.header("content-type")),
        (200, Some("application/json"))
    );
    assert!(put.header("content-length").is_some(), "{put:?}");
    let header = put.json()["header"].clone();
    assert_eq!(header["revision"], "2");
    assert!(
        header["cluster_id"].is_string() && header["raft_term"].is_string(),
        "{header}"
    );

    let found = http.post("/v3/kv/range", r#"{"key":"Zm9v"}"#).await.body;
    assert!(
        found.ends_with(
            r#""kvs":[{"key":"Zm9v","create_revision":"2","mod_revision":"2","version":"1","value":"YmFy"}],"count":"1"}"#
        ),
        "{found}"
    );
    let deleted = http
        .post("/v3/kv/deleterange", r#"{"key":"Zm9v","prevKv":true}"#)
        .await
        .json();
    assert_eq!(
        (&deleted["deleted"], &deleted["prev_kvs"][0]["value"]),
        (&json!("1"), &json!("YmFy"))
    );
    let missing = http.post("/v3beta/kv/range", r#"{"key":"Zm9v"}"#).await.json();
    let fields: Vec<_> = missing.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["header"], "what is zero is left out");
}

#[tokio::test]
async fn errors_have_grpcs_code_and_its_http_status() {
    let server = TestServer::start().await;
    let mut http = HttpClient::connect(&server).await;
    for (path, body, status, code, message) in [
        ("/v3/kv/range", "{}", 400, 3, "etcdserver: key is not provided"),
        ("/v3/kv/range", "", 400, 3, "etcdserver: key is not provided"),
        (
            "/v3/kv/range",
            r#"{"key":"Zg==","revision":99}"#,
            400,
            11,
            "etcdserver: mvcc: required revision is a future revision",
        ),
        (
            "/v3/kv/lease/revoke",
            r#"{"ID":"7"}"#,
            404,
            5,
            "etcdserver: requested lease not found",
        ),
    ] {
        let answer = http.post(path, body).await;
        let expected = json!({"error": message, "code": code, "message": message});
        assert_eq!(
            (answer.status, answer.json()),
            (status, expected),
            "{path} {body}"
        );
    }
    for (path, status, code) in [("/v3/kv/range", 400, 3), ("/v3/watch", 500, 2)] {
        for body in ["[]", "{\"key\":", "7"] {
            let answer = http.post(path, body).await;
            assert_eq!(
                (answer.status, &answer.json()["code"]),
                (status, &json!(code)),
                "{path} {body}"
            );
        }
    }
}

#[tokio::test]
async fn bodies_have_a_limit() {
    let server = TestServer::start_with(|config| config.max_request_bytes = 1_000).await;
    let put = |bytes: usize| format!(r#"{{"key":"Zg==","value":"{}"}}"#, "AAAA".repeat(bytes / 3));
    let mut http = HttpClient::connect(&server).await;
    assert_eq!(http.post("/v3/kv/put", &put(900)).await.status, 200);
    // Larger than a request may be, than a message may be, and than is read at all.
    let answer = http.post("/v3/kv/put", &put(3_000)).await;
    assert_eq!(
        (answer.status, &answer.json()["message"]),
        (400, &json!("etcdserver: request is too large"))
    );
    let answer = http.post("/v3/kv/put", &put(600_000)).await;
    assert_eq!((answer.status, &answer.json()["code"]), (429, &json!(8)));
    let answer = http.post("/v3/kv/put", &put(3_000_000)).await;
    assert_eq!((answer.status, &answer.json()["code"]), (413, &json!(8)));
    // The same for a message of a stream, which ends before its end.
    let mut http = HttpClient::connect(&server).await;
    let endless = format!(r#"{{"create_request":{{"key":"{}"#, "A".repeat(3_000_000));
    let answer = http.post("/v3/watch", &endless).await;
    assert_eq!(answer.status, 500);
    assert!(answer.body.contains("--max-request-bytes"), "{}", answer.body);
}

#[tokio::test]
async fn a_watch_streams_lines_until_its_client_leaves() {
    let server = TestServer::start().await;
    let mut http = HttpClient::connect(&server).await;
    let two = r#"{"create_request":{"key":"Zm9v"}} {"createRequest":{"key":"Zm9v","watchId":"7"}}"#;
    let mut lines = http.stream("/v3/watch", two).await;
    assert_eq!(lines.status, 200);
    for id in [Value::Null, json!("7")] {
        let created = lines.next().await.unwrap();
        assert_eq!(
            (&created["result"]["created"], &created["result"]["watch_id"]),
            (&json!(true), &id)
        );
    }
    server.put("foo", "bar").await;
    server.delete("foo").await;
    let mut seen = Vec::new();
    while seen.len() < 4 {
        let line = lines.next().await.unwrap();
        for event in line["result"]["events"].as_array().unwrap() {
            seen.push(event.clone());
        }
    }
    let put = json!({"kv": {"key": "Zm9v", "create_revision": "2", "mod_revision": "2", "version": "1", "value": "YmFy"}});
    let delete = json!({"type": "DELETE", "kv": {"key": "Zm9v", "mod_revision": "3"}});
    for event in [put, delete] {
        assert_eq!(
            seen.iter().filter(|found| **found == event).count(),
            2,
            "{seen:?}"
        );
    }
    drop((http, lines));
    // The server notices, and forgets the watches.
    let mut http = HttpClient::connect(&server).await;
    crate::common::eventually("the watch ends", async || {
        let page = http.get("/metrics").await.body;
        page.contains("\netcd_debugging_mvcc_watcher_total 0\n")
    })
    .await;
}

#[tokio::test]
async fn leases_are_kept_alive_as_long_as_the_requests_last() {
    let server = TestServer::start().await;
    let mut http = HttpClient::connect(&server).await;
    let lease = http.post("/v3/lease/grant", r#"{"TTL":60}"#).await.json()["ID"].clone();
    let twice = format!("{}{}", json!({"ID": lease}), json!({"ID": "1"}));
    let mut lines = http.stream("/v3/lease/keepalive", &twice).await;
    assert_eq!(lines.next().await.unwrap()["result"]["TTL"], "60");
    assert_eq!(lines.next().await.unwrap()["result"].get("TTL"), None);
    assert_eq!(lines.next().await, None);
    let left = http
        .post(
            "/v3/kv/lease/timetolive",
            &json!({"ID": lease, "keys": true}).to_string(),
        )
        .await
        .json();
    assert_eq!(left["grantedTTL"], "60");
}
