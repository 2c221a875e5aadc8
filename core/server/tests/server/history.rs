//! The History service: changes, old revisions, and edits of many keys as one revision.

use bytes::Bytes;
use cfgstore_proto::cfgstore::v1::history_client::HistoryClient;
use cfgstore_proto::cfgstore::v1::{
    ApplyRequest, AtRequest, Change, ChangesRequest, ChangesResponse, Entry, ListRetentionRequest, Retention,
    RollbackRequest, SetRetentionRequest, change,
};
use cfgstore_server::{ListenAddress, Server};
use tonic::transport::Channel;
use tonic::{Code, Request, Streaming};

use crate::common::{TestServer, config_in, prefix_end, put, soon};

fn history(server: &TestServer) -> HistoryClient<Channel> {
    HistoryClient::new(server.channel.clone()).max_decoding_message_size(usize::MAX)
}

/// Every change of the keys with this prefix.
fn of(prefix: &str) -> ChangesRequest {
    ChangesRequest {
        key: prefix.to_owned().into(),
        range_end: prefix_end(prefix),
        ..Default::default()
    }
}

fn entries(entries: &[(&str, &str)]) -> ApplyRequest {
    let entry = |(key, value): &(&str, &str)| Entry {
        key: (*key).to_owned().into(),
        value: (*value).to_owned().into(),
    };
    ApplyRequest {
        entries: entries.iter().map(entry).collect(),
        ..Default::default()
    }
}

fn pruning(prefix: &str, wanted: &[(&str, &str)]) -> ApplyRequest {
    ApplyRequest {
        key: prefix.to_owned().into(),
        range_end: prefix_end(prefix),
        ..entries(wanted)
    }
}

/// As `key=value@revision` or `-key@revision`, with what was before.
fn text(change: &Change) -> String {
    let string = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
    let (key, revision) = (string(&change.key), change.revision);
    let mut text = match change.kind() {
        change::Kind::Put => format!("{key}={}@{revision}", string(&change.value)),
        change::Kind::Delete => format!("-{key}@{revision}"),
    };
    if change.has_previous_value {
        text += &format!(
            " was {}@{}",
            string(&change.previous_value),
            change.previous_revision
        );
    }
    text
}

fn texts(changes: &[Change]) -> Vec<String> {
    changes.iter().map(text).collect()
}

async fn all(mut batches: Streaming<ChangesResponse>) -> Vec<Change> {
    let mut changes = Vec::new();
    while let Some(batch) = soon(batches.message()).await.unwrap() {
        changes.extend(batch.changes);
    }
    changes
}

async fn changes(server: &TestServer, request: ChangesRequest) -> Vec<String> {
    let batches = history(server).changes(request).await.unwrap().into_inner();
    texts(&all(batches).await)
}

async fn at(server: &TestServer, prefix: &str, revision: i64) -> Result<Vec<String>, tonic::Status> {
    let request = AtRequest {
        key: prefix.to_owned().into(),
        range_end: prefix_end(prefix),
        revision,
    };
    let answer = history(server).at(request).await?.into_inner();
    let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
    let key = |key: &cfgstore_proto::cfgstore::v1::KeyAt| {
        format!("{}={}@{}", text(&key.key), text(&key.value), key.mod_revision)
    };
    Ok(answer.keys.iter().map(key).collect())
}

/// The revision it made, and what it changed.
async fn apply(server: &TestServer, request: ApplyRequest) -> Result<(i64, Vec<String>), tonic::Status> {
    let answer = history(server).apply(request).await?.into_inner();
    Ok((answer.header.unwrap().revision, texts(&answer.changes)))
}

/// What is kept of the keys with a prefix.
async fn keep(server: &TestServer, prefix: &str, count: u32) {
    let request = SetRetentionRequest {
        retention: Some(Retention {
            prefix: prefix.to_owned().into(),
            count,
            ..Default::default()
        }),
        remove: false,
    };
    history(server).set_retention(request).await.unwrap();
}

/// a/x 1, a/y 1, a/x 2, -a/y, b 1: the revisions 2 to 6.
async fn some_changes(server: &TestServer) {
    server.put("a/x", "1").await;
    server.put("a/y", "1").await;
    let mut named = Request::new(put("a/x", "2"));
    named
        .metadata_mut()
        .insert("cfgstore-client-name", "ci".parse().unwrap());
    server.kv().put(named).await.unwrap();
    server.delete("a/y").await;
    server.put("b", "1").await;
}

#[tokio::test]
async fn changes_are_selected_and_outlive_compaction() {
    let server = TestServer::start().await;
    some_changes(&server).await;
    server.compact(6).await;
    let whole = ["a/x=1@2", "a/y=1@3", "a/x=2@4 was 1@2", "-a/y@5 was 1@3"];
    assert_eq!(changes(&server, of("a/")).await, whole);
    let mut reversed = whole;
    reversed.reverse();
    let descending = ChangesRequest {
        descending: true,
        ..of("a/")
    };
    assert_eq!(changes(&server, descending.clone()).await, reversed);
    let limited = ChangesRequest {
        limit: 2,
        ..descending
    };
    assert_eq!(changes(&server, limited).await, reversed[..2]);
    let between = ChangesRequest {
        from_revision: 3,
        to_revision: 4,
        ..of("a/")
    };
    assert_eq!(changes(&server, between).await, whole[1..3]);
    let author = ChangesRequest {
        author: "ci".to_owned(),
        ..of("a/")
    };
    assert_eq!(changes(&server, author.clone()).await, whole[2..3]);
    let keys_only = ChangesRequest {
        keys_only: true,
        ..author
    };
    assert_eq!(changes(&server, keys_only).await, ["a/x=@4 was @2"]);
    let one = ChangesRequest {
        range_end: Bytes::new(),
        ..of("a/x")
    };
    assert_eq!(changes(&server, one).await, ["a/x=1@2", "a/x=2@4 was 1@2"]);

    // Times are those of the changes.
    let nothing = ChangesRequest::default();
    let batches = history(&server).changes(nothing).await;
    assert_eq!(batches.unwrap_err().code(), Code::InvalidArgument);
    let found = all(history(&server).changes(of("a/")).await.unwrap().into_inner()).await;
    let (first, last) = (found[0].time_unix_ms, found[3].time_unix_ms);
    assert!(first > 0 && found.is_sorted_by_key(|change| change.time_unix_ms));
    for (from, to, count) in [(first, last, 4), (last + 1, 0, 0), (0, first - 1, 0)] {
        let timed = ChangesRequest {
            from_time_unix_ms: from,
            to_time_unix_ms: to,
            ..of("a/")
        };
        assert_eq!(changes(&server, timed).await.len(), count, "{from} {to}");
    }
}

#[tokio::test]
async fn a_follower_gets_each_revision_once_and_whole() {
    let server = TestServer::start().await;
    let follow = ChangesRequest {
        follow: true,
        ..of("k/")
    };
    let limited = ChangesRequest {
        limit: 1,
        ..follow.clone()
    };
    let refused = history(&server).changes(limited).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);

    let mut stream = history(&server)
        .changes(follow.clone())
        .await
        .unwrap()
        .into_inner();
    let keys: Vec<String> = (0..300).map(|i| format!("k/{i:03}")).collect();
    for value in ["1", "2"] {
        let many: Vec<(&str, &str)> = keys.iter().map(|key| (&key[..], value)).collect();
        apply(&server, entries(&many)).await.unwrap();
        for i in 0..20 {
            server.put(&format!("k/one/{i}"), value).await;
            server.put("other", value).await;
        }
    }
    let is_whole = |batches: &[ChangesResponse]| {
        let mut upto = 0;
        for batch in batches {
            let revisions = || batch.changes.iter().map(|change| change.revision);
            assert!(revisions().is_sorted() && revisions().min() > Some(upto));
            upto = revisions().max().unwrap();
            assert!(batch.revision >= upto);
        }
        batches.iter().map(|batch| batch.changes.len()).sum::<usize>() == 640
    };
    let mut live = Vec::new();
    while !is_whole(&live) {
        live.push(soon(stream.message()).await.unwrap().unwrap());
    }
    // A late one gets the same; one message may hold many revisions.
    let mut late = history(&server)
        .changes(ChangesRequest {
            from_revision: 2,
            ..follow.clone()
        })
        .await
        .unwrap()
        .into_inner();
    let mut found = Vec::new();
    while !is_whole(&found) {
        found.push(soon(late.message()).await.unwrap().unwrap());
    }
    assert!(found.len() > 1 && found.len() < 40, "{}", found.len());
    let flat = |batches: Vec<ChangesResponse>| -> Vec<Change> {
        batches.into_iter().flat_map(|batch| batch.changes).collect()
    };
    assert_eq!(flat(found), flat(live));

    // What is no longer kept can't be followed.
    keep(&server, "k/", 1).await;
    let gone = history(&server)
        .changes(ChangesRequest {
            from_revision: 2,
            ..follow
        })
        .await
        .unwrap_err();
    assert_eq!(gone.code(), Code::OutOfRange);
    assert!(gone.message().contains("no longer kept"), "{}", gone.message());
}

#[tokio::test]
async fn keys_are_as_they_were_before_and_after_compaction() {
    let server = TestServer::start().await;
    some_changes(&server).await;
    for compacted in [false, true] {
        if compacted {
            server.compact(6).await;
        }
        assert_eq!(at(&server, "a/", 2).await.unwrap(), ["a/x=1@2"]);
        assert_eq!(at(&server, "a/", 4).await.unwrap(), ["a/x=2@4", "a/y=1@3"]);
        assert_eq!(at(&server, "a/", 6).await.unwrap(), ["a/x=2@4"]);
        assert_eq!(at(&server, "a/", 7).await.unwrap_err().code(), Code::OutOfRange);
    }
    // A rule takes effect at once: of a/x only the last change is left.
    keep(&server, "a/", 1).await;
    assert_eq!(
        changes(&server, of("a/x")).await,
        ["a/x=2@4"],
        "its value before is gone too"
    );
    let gone = at(&server, "a/", 2).await.unwrap_err();
    assert_eq!(gone.code(), Code::OutOfRange);
    assert!(
        gone.message().contains("at revision 2 is no longer kept"),
        "{}",
        gone.message()
    );
    let rules = history(&server)
        .list_retention(ListRetentionRequest {})
        .await
        .unwrap()
        .into_inner();
    let rule = rules.retention.iter().find(|rule| rule.prefix == "a/").unwrap();
    assert_eq!(rule.count, 1);
    assert!(rules.changes > 0 && rules.size_bytes <= rules.max_size_bytes);
}

#[tokio::test]
async fn apply_makes_a_range_what_it_is_to_be() {
    let server = TestServer::start().await;
    some_changes(&server).await;
    let wanted = pruning("a/", &[("a/z", "1"), ("a/w", "1")]);
    let dry = ApplyRequest {
        dry_run: true,
        ..wanted.clone()
    };
    let planned = ["a/w=1@0", "-a/x@0 was 2@4", "a/z=1@0"]
        .map(str::to_owned)
        .to_vec();
    assert_eq!(apply(&server, dry).await.unwrap(), (6, planned.clone()));
    assert_eq!(apply(&server, wanted.clone()).await.unwrap(), (7, planned));
    assert_eq!(at(&server, "a/", 7).await.unwrap(), ["a/w=1@7", "a/z=1@7"]);
    assert_eq!(server.get("b").await.as_deref(), Some("1"));
    // Nothing is left to be changed, and no revision made.
    assert_eq!(apply(&server, wanted).await.unwrap(), (7, vec![]));

    server.put("a/z", "9").await;
    let since = ApplyRequest {
        if_unchanged_since: 7,
        ..entries(&[("a/w", "1"), ("a/z", "2")])
    };
    let refused = apply(&server, since).await.unwrap_err();
    assert_eq!(
        (refused.code(), refused.message()),
        (
            Code::FailedPrecondition,
            "cfgstore: changed since revision 7: a/z was, at revision 8; nothing was applied, look at the change and apply again"
        )
    );
    let many: Vec<String> = (0..10_001).map(|i| format!("a/{i}")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|key| (&key[..], "")).collect();
    for (request, why) in [
        (entries(&[("k", "1"), ("k", "1")]), "two entries for k"),
        (pruning("a/", &[("b", "1")]), "b is not within the range"),
        (entries(&[("", "1")]), "key is not provided"),
        (entries(&many), "at most 10000 entries"),
    ] {
        let refused = apply(&server, request).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{why}");
        assert!(refused.message().contains(why), "{why}: {}", refused.message());
    }
    assert_eq!(apply(&server, entries(&many[1..])).await.unwrap().0, 9);
}

#[tokio::test]
async fn a_rollback_is_one_new_revision() {
    let server = TestServer::start().await;
    some_changes(&server).await;
    server.put("a/new", "1").await;
    let request = RollbackRequest {
        key: "a/".into(),
        range_end: prefix_end("a/"),
        revision: 3,
        dry_run: true,
    };
    let planned = ["-a/new@0 was 1@7", "a/x=1@0 was 2@4", "a/y=1@0"];
    for (dry_run, revision) in [(true, 7), (false, 8)] {
        let request = RollbackRequest {
            dry_run,
            ..request.clone()
        };
        let answer = history(&server).rollback(request).await.unwrap().into_inner();
        assert_eq!(
            (answer.header.unwrap().revision, texts(&answer.changes)),
            (revision, planned.map(str::to_owned).to_vec())
        );
    }
    assert_eq!(at(&server, "a/", 8).await.unwrap(), ["a/x=1@8", "a/y=1@8"]);
    assert_eq!(server.get("b").await.as_deref(), Some("1"));
    let future = RollbackRequest {
        revision: 9,
        ..request
    };
    assert_eq!(
        history(&server).rollback(future).await.unwrap_err().code(),
        Code::OutOfRange
    );
}

#[tokio::test]
async fn two_applies_at_once_never_mix() {
    let server = TestServer::start().await;
    let keys: Vec<String> = (0..50).map(|i| format!("k/{i:02}")).collect();
    let apply_as = |name: &'static str| {
        let mut history = history(&server);
        let keys = keys.clone();
        tokio::spawn(async move {
            for round in 0..10 {
                let value = format!("{name}{round}");
                let mut wanted: Vec<(&str, &str)> = keys.iter().map(|key| (&key[..], &value[..])).collect();
                let own = format!("k/{name}");
                wanted.push((&own, &value));
                // Each prunes the other's own key; giving up is no mixing.
                match history.apply(pruning("k/", &wanted)).await {
                    Ok(_) => {}
                    Err(status) => assert_eq!(status.code(), Code::Aborted, "{status}"),
                }
            }
        })
    };
    let both = [apply_as("x"), apply_as("y")];
    for one in both {
        soon(one).await.unwrap();
    }
    let last = server.put("end", "").await - 1;
    assert!(last > 2);
    for revision in 2..=last {
        let found = at(&server, "k/", revision).await.unwrap();
        let values: Vec<&str> = found
            .iter()
            .map(|key| key.split_once('=').unwrap().1.split_once('@').unwrap().0)
            .collect();
        let own = format!("k/{}=", &values[0][..1]);
        assert!(
            values.len() == 51
                && values.iter().all(|value| *value == values[0])
                && found[50].starts_with(&own),
            "{revision}: {found:?}"
        );
    }
}

#[tokio::test]
async fn who_and_why_arrive() {
    let server = TestServer::start().await;
    let with = |channel: Channel| async move {
        let mut request = Request::new(entries(&[("k", "1")]));
        let metadata = request.metadata_mut();
        metadata.insert("cfgstore-comment", "100%25 gr%C3%B6%C3%9Fer".parse().unwrap());
        metadata.insert("cfgstore-client-name", "deploy".parse().unwrap());
        HistoryClient::new(channel).apply(request).await.unwrap();
    };
    with(server.connect_socket().await).await;
    server.delete("k").await;
    with(server.connect().await).await;
    let found = all(history(&server).changes(of("k")).await.unwrap().into_inner()).await;
    let author = |i: usize| found[i].author.clone().unwrap();
    for i in [0, 2] {
        assert_eq!(
            (&found[i].comment[..], &author(i).client[..], &author(i).user[..]),
            ("100% größer", "deploy", "")
        );
    }
    // This process is both ends, and its files are its user's.
    let uid = std::os::unix::fs::MetadataExt::uid(&server.dir.path().metadata().unwrap());
    assert_eq!(author(0).address, format!("unix:uid={uid}"));
    let tcp: std::net::SocketAddr = author(2).address.parse().unwrap();
    assert!(tcp.ip().is_loopback() && tcp.port() > 0);
    assert_eq!((&found[1].comment[..], &author(1).client[..]), ("", ""));
}

#[tokio::test]
async fn history_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config_in(&dir);
    config.listen = vec![ListenAddress::parse("http://127.0.0.1:0").unwrap()];
    let mut before = None;
    for _ in 0..2 {
        let server = Server::start(config.clone()).await.unwrap();
        let mut history = HistoryClient::connect(server.urls()[0].clone()).await.unwrap();
        if before.is_none() {
            for value in ["1", "2"] {
                history
                    .apply(entries(&[("k/a", value), ("k/b", value)]))
                    .await
                    .unwrap();
            }
        }
        let found = all(history.changes(of("k/")).await.unwrap().into_inner()).await;
        assert_eq!(found.len(), 4);
        assert_eq!(*before.get_or_insert(found.clone()), found);
        drop(history);
        server.shutdown().await;
    }
}
