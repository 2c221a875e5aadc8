//! Schemas: no client gets a value past one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cfgstore_client::{Apply, BoundSchema, Client, DeleteOptions, Error, ErrorKind, PutOptions, Range, Txn};
use cfgstore_proto::cfgstore::v1 as pb;
use cfgstore_proto::cfgstore::v1::schemas_client::SchemasClient;
use prost::Message;
use tonic::Code;

use crate::common::{TestServer, get, put as put_request};
use crate::http_client::HttpClient;
use crate::members::{Host, Member, Road, put};

const DATABASE: &str = r#"{"type": "object", "required": ["host", "password"], "properties": {
    "host": {"type": "string"}, "password": {"type": "string", "minLength": 8}}}"#;
const GOOD: &str = r#"{"host": "db1", "password": "correct horse"}"#;

async fn value(client: &Client, key: &str) -> Option<String> {
    let found = client.get(key).await.unwrap()?;
    Some(String::from_utf8(found.value.to_vec()).unwrap())
}

fn schema(pattern: &str, schema: &str) -> BoundSchema {
    BoundSchema {
        pattern: pattern.to_owned(),
        schema: schema.to_owned().into(),
        sealed: false,
    }
}

async fn bind(client: &Client, pattern: &str, text: &str) {
    client.bind_schema(&schema(pattern, text), false).await.unwrap();
}

async fn try_put(client: &Client, key: &str, value: &str) -> Result<i64, Error> {
    client.put(key, value.to_owned(), &PutOptions::default()).await
}

/// What the violations say: key, path and message.
fn told(error: &Error) -> Vec<(String, String, String)> {
    assert_eq!(error.kind, ErrorKind::SchemaViolation, "{error}");
    assert!(!error.retryable() && !error.maybe_committed);
    let told = error.violations.list.iter().map(|violation| {
        let key = String::from_utf8(violation.key.to_vec()).unwrap();
        (key, violation.path.clone(), violation.message.clone())
    });
    told.collect()
}

fn of(key: &str, path: &str, message: &str) -> (String, String, String) {
    (key.to_owned(), path.to_owned(), message.to_owned())
}

#[tokio::test]
async fn a_put_that_violates_is_refused_with_the_path_of_each_violation() {
    let member = Member::cfgstored();
    let client = member.client();
    bind(&client, "/shop/*", DATABASE).await;
    let error = try_put(&client, "/shop/db", r#"{"host": 1}"#).await.unwrap_err();
    assert_eq!(
        told(&error),
        [
            of("/shop/db", "/password", "is required"),
            of("/shop/db", "/host", "must be a string, but is a number"),
        ]
    );
    let text = "cfgstore: /shop/db: /password is required (schema of /shop/*); /shop/db: /host must be a string, but is a \
                number (schema of /shop/*)";
    assert!(error.message.contains(text), "{error}");
    assert_eq!(client.get("/shop/db").await.unwrap(), None);

    put(&client, "/shop/db", GOOD).await;
    put(&client, "/other", "not JSON").await;
    let error = try_put(&client, "/shop/db", "not JSON").await.unwrap_err();
    assert!(told(&error)[0].2.starts_with("can't be read as JSON"), "{error}");
    assert_eq!(value(&client, "/shop/db").await.as_deref(), Some(GOOD));

    let violations = client.check_value("/shop/db", "{}").await.unwrap();
    assert_eq!(violations.count, 2);
    assert!(
        client
            .check_value("/shop/db", GOOD)
            .await
            .unwrap()
            .list
            .is_empty()
    );

    client.unbind_schema("/shop/*").await.unwrap();
    put(&client, "/shop/db", "{}").await;
    let error = client.unbind_schema("/shop/*").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound, "{error}");
}

#[tokio::test]
async fn stock_calls_are_refused_in_etcds_way() {
    let server = TestServer::start().await;
    let mut schemas = SchemasClient::new(server.channel.clone());
    let request = pb::BindSchemaRequest {
        schema: Some(pb::Schema {
            pattern: "db".into(),
            schema: DATABASE.into(),
            sealed: false,
        }),
        dry_run: false,
    };
    schemas.bind(request).await.unwrap();
    let status = server.kv().put(put_request("db", "{}")).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert!(
        status.message().starts_with("cfgstore: db: /host is required"),
        "{status}"
    );
    let details = status.metadata().get_bin("cfgstore-violations-bin").unwrap();
    let details = pb::Violations::decode(details.to_bytes().unwrap()).unwrap();
    assert_eq!(
        (details.count, details.violations[1].path.as_str()),
        (2, "/password")
    );
    // The JSON gateway too ("db", "{}").
    let mut gateway = HttpClient::connect(&server).await;
    let answer = gateway
        .post("/v3/kv/put", r#"{"key": "ZGI=", "value": "e30="}"#)
        .await;
    assert_eq!(answer.status, 400);
    assert!(answer.body.contains("/host is required"), "{}", answer.body);
    assert!(
        server
            .kv()
            .range(get("db"))
            .await
            .unwrap()
            .into_inner()
            .kvs
            .is_empty()
    );
}

#[tokio::test]
async fn a_transaction_with_one_bad_value_changes_nothing() {
    let member = Member::cfgstored();
    let client = member.client();
    bind(&client, "n/*", r#"{"type": "integer"}"#).await;
    let revision = put(&client, "n/a", "1").await;
    let txn = Txn::new()
        .put("n/a", "2")
        .put("free", "x")
        .put("n/b", "\"two\"")
        .delete("n/c");
    let error = client.txn(txn).await.unwrap_err();
    assert_eq!(
        told(&error),
        [of("n/b", "", "must be an integer, but is a string")]
    );
    assert_eq!(value(&client, "n/a").await.as_deref(), Some("1"));
    assert_eq!(client.range(&Range::prefix("")).await.unwrap().revision, revision);
}

#[tokio::test]
async fn apply_and_rollback_are_refused_also_in_a_dry_run() {
    let member = Member::cfgstored();
    let client = member.client();
    let then = put(&client, "n/a", "\"one\"").await;
    put(&client, "n/a", "1").await;
    bind(&client, "n/*", r#"{"type": "integer"}"#).await;
    let bad = [of("n/a", "", "must be an integer, but is a string")];
    for dry_run in [true, false] {
        let error = client
            .rollback(&Range::key("n/a"), then, dry_run, "")
            .await
            .unwrap_err();
        assert_eq!(told(&error), bad);
        let apply = Apply {
            entries: vec![(b"n/a".to_vec(), "\"two\"".into())],
            dry_run,
            ..Apply::default()
        };
        assert_eq!(told(&client.apply(&apply).await.unwrap_err()), bad);
    }
    assert_eq!(value(&client, "n/a").await.as_deref(), Some("1"));
}

#[tokio::test]
async fn a_bad_value_in_a_branch_that_is_not_taken_is_no_obstacle() {
    let member = Member::cfgstored();
    let client = member.client();
    bind(&client, "n/*", r#"{"type": "integer"}"#).await;
    let txn = || Txn::new().if_absent("n/a").put("n/a", "1").else_put("n/a", "bad");
    client.txn(txn()).await.unwrap();
    assert_eq!(value(&client, "n/a").await.as_deref(), Some("1"));
    // Now the other branch is taken.
    let error = client.txn(txn()).await.unwrap_err();
    assert_eq!(told(&error)[0].0, "n/a");
    assert_eq!(value(&client, "n/a").await.as_deref(), Some("1"));
}

#[tokio::test]
async fn binding_says_which_existing_values_violate() {
    let member = Member::cfgstored();
    let client = member.client();
    for (key, value) in [
        ("n/a", "1"),
        ("n/b", "\"two\""),
        ("n/c", "3.5"),
        ("o", "x"),
        ("/_cfgstore/x", ""),
    ] {
        put(&client, key, value).await;
    }
    let integers = schema("n/*", r#"{"type": "integer"}"#);
    for dry_run in [true, false] {
        let error = client.bind_schema(&integers, dry_run).await.unwrap_err();
        assert_eq!(
            told(&error),
            [
                of("n/b", "", "must be an integer, but is a string"),
                of("n/c", "", "must be an integer, but has a fraction"),
            ]
        );
    }
    assert_eq!(client.schemas().await.unwrap(), []);
    put(&client, "n/b", "2").await;
    client.delete("n/c", &DeleteOptions::default()).await.unwrap();
    client.bind_schema(&integers, true).await.unwrap();
    assert_eq!(client.schemas().await.unwrap(), []);
    client.bind_schema(&integers, false).await.unwrap();
    assert_eq!(client.schemas().await.unwrap(), [integers]);
    // Keys of cfgstore itself are nobody's to judge, so locks go on under a schema of all keys.
    client.delete("o", &DeleteOptions::default()).await.unwrap();
    bind(&client, "*", r#"{"type": "integer"}"#).await;
    put(&client, "/_cfgstore/x", "").await;
    assert_eq!(
        try_put(&client, "o", "x").await.unwrap_err().kind,
        ErrorKind::SchemaViolation
    );
}

#[tokio::test]
async fn what_is_no_schema_is_refused_with_the_place() {
    let member = Member::cfgstored();
    let client = member.client();
    for (pattern, text, expected) in [
        ("a/*/b", "{}", "not its last character"),
        ("", "{}", "the pattern is empty"),
        ("a", "", "the schema is empty"),
        ("a", "{", "can't be read"),
        (
            "a",
            r#"{"properties": {"x": {"type": "int"}}}"#,
            "at \"/properties/x/type\"",
        ),
        ("a", r##"{"$ref": "#"}"##, "without end"),
        ("a", r#"{"$ref": "http://127.0.0.1:1/x"}"#, "nothing is fetched"),
    ] {
        let error = client
            .bind_schema(&schema(pattern, text), false)
            .await
            .unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidArgument, "{error}");
        assert!(error.message.contains(expected), "{error}");
    }
    let both = BoundSchema {
        sealed: true,
        ..schema("a", "{}")
    };
    assert_eq!(
        client.bind_schema(&both, false).await.unwrap_err().kind,
        ErrorKind::InvalidArgument
    );
}

#[tokio::test]
async fn under_a_sealed_rule_only_sealed_values_may_be_put() {
    let member = Member::cfgstored();
    let client = member.client();
    let sealed = BoundSchema {
        sealed: true,
        ..schema("secret/*", "")
    };
    client.bind_schema(&sealed, false).await.unwrap();
    put(&client, "secret/a", r#"{"$sealed": "v1.k.abc"}"#).await;
    let error = try_put(&client, "secret/a", "\"plain\"").await.unwrap_err();
    assert!(told(&error)[0].2.starts_with("must be sealed"), "{error}");
    assert!(!error.message.contains("plain"));
}

/// Writers put good and bad values all the time, while a schema is bound and unbound: while it is bound, nothing bad is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_bad_value_slips_in_while_a_schema_is_bound() {
    let member = Member::cfgstored();
    let integers = schema("n/*", r#"{"type": "integer"}"#);
    let ended = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let (client, ended) = (member.client(), ended.clone());
            tokio::spawn(async move {
                let mut refused = 0;
                for round in 0_u64.. {
                    if ended.load(Ordering::Relaxed) {
                        break;
                    }
                    let key = format!("n/{writer}");
                    let value = if round % 4 == 0 { "bad" } else { "1" };
                    match try_put(&client, &key, value).await {
                        Ok(_) => {}
                        Err(error) => {
                            assert_eq!(told(&error)[0].0, key);
                            assert_eq!(value, "bad");
                            refused += 1;
                        }
                    }
                }
                refused
            })
        })
        .collect();
    let client = member.client();
    let mut bound = 0;
    while bound < 3 {
        match client.bind_schema(&integers, false).await {
            Ok(()) => {}
            // Existing values are bad, or change all the time.
            Err(error) => {
                assert!(
                    matches!(error.kind, ErrorKind::SchemaViolation | ErrorKind::Unavailable),
                    "{error}"
                );
                continue;
            }
        }
        bound += 1;
        for _ in 0..10 {
            for kv in client.range(&Range::prefix("n/")).await.unwrap().kvs {
                assert_eq!(&kv.value[..], b"1", "while the schema is bound");
            }
        }
        client.unbind_schema("n/*").await.unwrap();
    }
    ended.store(true, Ordering::Relaxed);
    let mut refused = 0;
    for writer in writers {
        refused += writer.await.unwrap();
    }
    assert!(refused > 0, "the writers wrote while the schema was bound");
}

#[tokio::test]
async fn schemas_outlive_a_restart() {
    let mut member = Member::cfgstored();
    bind(&member.client(), "n/*", r#"{"type": "integer"}"#).await;
    member.stop();
    member.restart();
    let client = member.client();
    let error = try_put(&client, "n/a", "bad").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::SchemaViolation, "{error}");
    put(&client, "n/a", "1").await;
}

#[tokio::test]
async fn an_agent_passes_all_of_it_on() {
    let member = Member::cfgstored();
    let host = Host::start(&[&Road::to(member.address()).await]).await;
    let client = host.client();
    bind(&client, "n/*", r#"{"type": "integer"}"#).await;
    assert_eq!(client.schemas().await.unwrap().len(), 1);
    let error = try_put(&client, "n/a", "\"bad\"").await.unwrap_err();
    assert_eq!(
        told(&error),
        [of("n/a", "", "must be an integer, but is a string")]
    );
    assert_eq!(client.check_value("n/a", "1.5").await.unwrap().count, 1);
    client.unbind_schema("n/*").await.unwrap();
    put(&client, "n/a", "\"bad\"").await;
}

/// A value that takes long to judge keeps nobody else waiting for long, and is judged all the same.
#[tokio::test]
async fn large_values_and_costly_schemas_have_a_clear_outcome() {
    let member = Member::cfgstored();
    let client = member.client();
    bind(&client, "n/*", r#"{"items": {"type": "integer"}}"#).await;
    let large = format!("[{}]", vec!["1"; 50_000].join(","));
    put(&client, "n/a", &large).await;
    let error = try_put(&client, "n/a", &large.replacen("1]", "\"x\"]", 1))
        .await
        .unwrap_err();
    assert_eq!(told(&error)[0].1, "/49999");

    let doubling = r##"{"allOf": [{"items": {"$ref": "#"}}, {"items": {"$ref": "#"}}]}"##;
    bind(&client, "bomb", doubling).await;
    let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
    let error = try_put(&client, "bomb", &deep).await.unwrap_err();
    assert!(told(&error)[0].2.contains("too many steps"), "{error}");
}
