//! Watch: what etcd's clients rely on.

use cfgstore_proto::etcdserverpb as pb;
use pb::watch_create_request::FilterType;

use crate::common::{TestServer, prefix_end, put, watch_prefix};

#[tokio::test]
async fn created_comes_first_and_events_follow_in_order() {
    let server = TestServer::start().await;
    let start = server.put("k/0", "before").await;
    let mut watches = server.watches().await;
    watches.ask(watch_prefix("k/"));
    let created = watches.next().await;
    assert!(created.created && created.events.is_empty() && created.watch_id == 0);
    let header = created.header.unwrap();
    assert_eq!(header.revision, start);
    assert!(header.cluster_id != 0 && header.member_id != 0 && header.raft_term != 0);

    server.put("k/1", "a").await;
    server.put("other", "x").await;
    server.put("k/1", "b").await;
    server.delete("k/1").await;
    let events = watches.events(3).await;
    assert_eq!(events, ["PUT k/1=a@3", "PUT k/1=b@5", "DELETE k/1@6"]);
}

#[tokio::test]
async fn history_is_replayed_from_any_revision() {
    let server = TestServer::start().await;
    for value in 1..=5 {
        server.put("k", &value.to_string()).await;
    }
    let mut watches = server.watches().await;
    watches
        .create(pb::WatchCreateRequest {
            start_revision: 4,
            ..watch_prefix("k")
        })
        .await;
    assert_eq!(watches.events(3).await, ["PUT k=3@4", "PUT k=4@5", "PUT k=5@6"]);
    server.put("k", "6").await;
    assert_eq!(watches.events(1).await, ["PUT k=6@7"]);
}

#[tokio::test]
async fn a_future_revision_withholds_what_is_older() {
    let server = TestServer::start().await;
    let mut watches = server.watches().await;
    watches
        .create(pb::WatchCreateRequest {
            start_revision: 4,
            progress_notify: true,
            ..watch_prefix("k")
        })
        .await;
    server.put("k", "2").await;
    server.put("k", "3").await;
    // Not even progress is told before the revision that was asked for.
    watches.ask_progress();
    watches.assert_quiet().await;
    server.put("k", "4").await;
    assert_eq!(watches.events(1).await, ["PUT k=4@4"]);
}

#[tokio::test]
async fn ids_are_given_or_chosen() {
    let server = TestServer::start().await;
    let mut watches = server.watches().await;
    assert_eq!(watches.create(watch_prefix("a")).await, 0);
    let chosen = pb::WatchCreateRequest {
        watch_id: 1,
        ..watch_prefix("b")
    };
    assert_eq!(watches.create(chosen.clone()).await, 1);
    assert_eq!(watches.create(watch_prefix("c")).await, 2);

    watches.ask(chosen.clone());
    let refused = watches.next().await;
    assert!(refused.created && refused.canceled);
    assert_eq!(refused.watch_id, -1);
    assert_eq!(
        refused.cancel_reason,
        "mvcc: duplicate watch ID provided on the WatchStream"
    );

    // Another stream has ids of its own, and a cancelled id is free again.
    assert_eq!(server.watches().await.create(watch_prefix("a")).await, 0);
    watches.cancel(1);
    assert!(watches.next().await.canceled);
    assert_eq!(watches.create(chosen).await, 1);
    server.put("b", "v").await;
    let event = watches.next().await;
    assert_eq!((event.watch_id, event.events.len()), (1, 1));
    watches.assert_quiet().await;
}

#[tokio::test]
async fn impossible_watches_are_created_and_cancelled_at_once() {
    let server = TestServer::start().await;
    let mut watches = server.watches().await;
    let negative = pb::WatchCreateRequest {
        start_revision: -1,
        ..watch_prefix("k")
    };
    let empty = pb::WatchCreateRequest {
        key: "b".into(),
        range_end: "a".into(),
        ..Default::default()
    };
    let same = pb::WatchCreateRequest {
        key: "b".into(),
        range_end: "b".into(),
        ..Default::default()
    };
    for (request, reason) in [
        (negative, "etcdserver: mvcc: required revision has been compacted"),
        (empty, "mvcc: watcher range is empty"),
        (same, "mvcc: watcher range is empty"),
    ] {
        watches.ask(request);
        let response = watches.next().await;
        assert!(response.created && response.canceled);
        assert_eq!((response.watch_id, &response.cancel_reason[..]), (-1, reason));
        assert_eq!(
            (response.compact_revision, response.header.unwrap().revision),
            (0, 1)
        );
    }
}

#[tokio::test]
async fn every_shape_of_range_is_watched() {
    let server = TestServer::start().await;
    let mut watches = server.watches().await;
    let request = |key: &'static str, range_end: &'static str| pb::WatchCreateRequest {
        key: key.into(),
        range_end: range_end.into(),
        ..Default::default()
    };
    watches.create(request("b", "")).await;
    watches.create(request("b", "d")).await;
    watches.create(request("b", "\0")).await;
    watches.create(request("\0", "\0")).await;
    watches.create(request("", "\0")).await;
    for (key, expected) in [
        ("a", vec![3, 4]),
        ("b", vec![0, 1, 2, 3, 4]),
        ("c", vec![1, 2, 3, 4]),
        ("z", vec![2, 3, 4]),
    ] {
        server.put(key, "v").await;
        let mut ids = Vec::new();
        for _ in &expected {
            ids.push(watches.next().await.watch_id);
        }
        ids.sort_unstable();
        assert_eq!(ids, expected, "{key}");
        watches.assert_quiet().await;
    }
}

#[tokio::test]
async fn the_events_of_a_revision_come_together() {
    let server = TestServer::start().await;
    let mut live = server.watches().await;
    live.create(watch_prefix("k")).await;
    let puts = (0..100).map(|i| pb::RequestOp {
        request: Some(pb::request_op::Request::RequestPut(put(
            &format!("k{i:03}"),
            &"x".repeat(10_000),
        ))),
    });
    let txn = pb::TxnRequest {
        success: puts.collect(),
        ..Default::default()
    };
    server.kv().txn(txn.clone()).await.unwrap();
    server.kv().txn(txn).await.unwrap();
    let mut replayed = server.watches().await;
    replayed
        .create(pb::WatchCreateRequest {
            start_revision: 2,
            ..watch_prefix("k")
        })
        .await;
    for watches in [&mut live, &mut replayed] {
        let mut revisions = Vec::new();
        while revisions.len() < 2 {
            let response = watches.next().await;
            assert!(!response.fragment);
            for events in response
                .events
                .chunk_by(|a, b| a.kv.as_ref().unwrap().mod_revision == b.kv.as_ref().unwrap().mod_revision)
            {
                assert_eq!(events.len(), 100);
                revisions.push(events[0].kv.as_ref().unwrap().mod_revision);
            }
        }
        assert_eq!(revisions, [2, 3]);
    }
}

#[tokio::test]
async fn a_large_revision_is_sent_in_fragments_if_allowed() {
    let server = TestServer::start_with(|config| config.max_request_bytes = 300_000).await;
    let limit = 300_000 + 512 * 1024;
    let lease = server.grant(60).await;
    for i in 0..20 {
        let request = pb::PutRequest {
            lease,
            ..put(&format!("k{i:03}"), &"x".repeat(100_000))
        };
        server.kv().put(request).await.unwrap();
    }
    // Two megabytes go in one revision.
    server
        .leases()
        .lease_revoke(pb::LeaseRevokeRequest { id: lease })
        .await
        .unwrap();
    let request = |fragment| pb::WatchCreateRequest {
        start_revision: 22,
        prev_kv: true,
        fragment,
        ..watch_prefix("k")
    };
    let mut watches = server.watches().await;
    watches.create(request(false)).await;
    let whole = watches.next().await;
    assert_eq!((whole.events.len(), whole.fragment), (20, false));

    let mut watches = server.watches().await;
    watches.create(request(true)).await;
    let mut events = Vec::new();
    loop {
        let piece = watches.next().await;
        assert!(prost::Message::encoded_len(&piece) <= limit);
        assert_eq!(piece.watch_id, 0);
        events.extend(piece.events);
        if !piece.fragment {
            break;
        }
        assert!(events.len() < 20);
    }
    assert_eq!(events, whole.events);
}

#[tokio::test]
async fn filters_and_previous_values() {
    let server = TestServer::start().await;
    let mut watches = server.watches().await;
    let filtered = |filter: FilterType| pb::WatchCreateRequest {
        filters: vec![filter as i32],
        ..watch_prefix("k")
    };
    let deletes = watches.create(filtered(FilterType::Noput)).await;
    let puts = watches.create(filtered(FilterType::Nodelete)).await;
    let with_prev = watches
        .create(pb::WatchCreateRequest {
            prev_kv: true,
            ..watch_prefix("k")
        })
        .await;
    server.put("k", "1").await;
    server.put("k", "2").await;
    server.delete("k").await;
    server.put("k", "3").await;
    let mut seen = std::collections::HashMap::<i64, Vec<String>>::new();
    for _ in 0..8 {
        let response = watches.next().await;
        seen.entry(response.watch_id)
            .or_default()
            .extend(response.events.iter().map(crate::common::text));
    }
    assert_eq!(seen[&deletes], ["DELETE k@4"]);
    assert_eq!(seen[&puts], ["PUT k=1@2", "PUT k=2@3", "PUT k=3@5"]);
    assert_eq!(
        seen[&with_prev],
        [
            "PUT k=1@2",
            "PUT k=2@3 was 1@2",
            "DELETE k@4 was 2@3",
            "PUT k=3@5"
        ]
    );
    watches.assert_quiet().await;
}

#[tokio::test]
async fn a_delete_event_has_key_and_revision_only() {
    let server = TestServer::start().await;
    let lease = server.grant(60).await;
    server
        .kv()
        .put(pb::PutRequest {
            lease,
            ..put("k", "v")
        })
        .await
        .unwrap();
    server.delete("k").await;
    let mut watches = server.watches().await;
    watches
        .create(pb::WatchCreateRequest {
            start_revision: 3,
            ..watch_prefix("k")
        })
        .await;
    let kv = watches.next().await.events[0].kv.clone().unwrap();
    let expected = cfgstore_proto::mvccpb::KeyValue {
        key: "k".into(),
        mod_revision: 3,
        ..Default::default()
    };
    assert_eq!(kv, expected);
}

#[tokio::test]
async fn a_cancelled_watch_is_silent() {
    let server = TestServer::start().await;
    let mut watches = server.watches().await;
    let watch_id = watches.create(watch_prefix("k")).await;
    watches.cancel(99);
    watches.assert_quiet().await;
    server.put("k", "1").await;
    assert_eq!(watches.events(1).await.len(), 1);
    watches.cancel(watch_id);
    let cancelled = watches.next().await;
    assert!(cancelled.canceled && !cancelled.created);
    assert_eq!(
        (
            cancelled.watch_id,
            &cancelled.cancel_reason[..],
            cancelled.compact_revision
        ),
        (watch_id, "", 0)
    );
    assert_eq!(cancelled.header.unwrap().revision, 2);
    server.put("k", "2").await;
    watches.cancel(watch_id);
    watches.assert_quiet().await;
}

#[tokio::test]
async fn compacted_history_cancels_the_watch() {
    let server = TestServer::start().await;
    for value in 1..=5 {
        server.put("k", &value.to_string()).await;
    }
    server.compact(5).await;
    let mut watches = server.watches().await;
    let watch_id = watches
        .create(pb::WatchCreateRequest {
            start_revision: 4,
            ..watch_prefix("k")
        })
        .await;
    let cancelled = watches.next().await;
    assert!(cancelled.canceled && !cancelled.created && cancelled.events.is_empty());
    assert_eq!(
        (
            cancelled.watch_id,
            cancelled.compact_revision,
            &cancelled.cancel_reason[..]
        ),
        (watch_id, 5, "")
    );
    let header = cancelled.header.unwrap();
    assert_eq!(header.revision, 0);
    assert_ne!(header.member_id, 0);

    // The compact revision itself is still there.
    watches
        .create(pb::WatchCreateRequest {
            start_revision: 5,
            ..watch_prefix("k")
        })
        .await;
    assert_eq!(watches.events(2).await, ["PUT k=4@5", "PUT k=5@6"]);
    // And a watch that is up to date does not notice.
    let revision = server.put("k", "6").await;
    server.compact(revision).await;
    server.put("k", "7").await;
    assert_eq!(watches.events(2).await, ["PUT k=6@7", "PUT k=7@8"]);
}

#[tokio::test]
async fn a_tombstone_at_the_compact_revision_is_seen() {
    let server = TestServer::start().await;
    server.put("k", "1").await;
    let deleted = server.delete("k").await;
    server.put("other", "x").await;
    server.compact(deleted).await;
    let mut watches = server.watches().await;
    watches
        .create(pb::WatchCreateRequest {
            start_revision: deleted,
            ..watch_prefix("k")
        })
        .await;
    assert_eq!(watches.events(1).await, [format!("DELETE k@{deleted}")]);
}

#[tokio::test]
async fn progress_is_told_when_asked_for_and_all_is_delivered() {
    let server = TestServer::start().await;
    let mut watches = server.watches().await;
    // Without a watch there is nothing to tell.
    watches.ask_progress();
    watches.assert_quiet().await;
    watches.create(watch_prefix("k")).await;
    watches.create(watch_prefix("l")).await;
    let revision = server.put("other", "v").await;
    watches.ask_progress();
    let progress = watches.next().await;
    assert!(!progress.created && !progress.canceled && progress.events.is_empty());
    assert_eq!(
        (progress.watch_id, progress.header.unwrap().revision),
        (-1, revision)
    );
    let revision = server.put("k", "v").await;
    watches.ask_progress();
    assert_eq!(watches.events(1).await.len(), 1);
    assert_eq!(watches.next().await.header.unwrap().revision, revision);
}

#[tokio::test]
async fn quiet_watches_are_told_their_progress_now_and_then() {
    let interval = std::time::Duration::from_millis(100);
    let server = TestServer::start_with(|config| config.watch_progress_notify_interval = interval).await;
    let mut watches = server.watches().await;
    watches.create(watch_prefix("not asked for")).await;
    let watch_id = watches
        .create(pb::WatchCreateRequest {
            progress_notify: true,
            ..watch_prefix("k")
        })
        .await;
    let revision = server.put("other", "v").await;
    loop {
        let progress = watches.next().await;
        assert!(progress.events.is_empty());
        assert_eq!(progress.watch_id, watch_id);
        if progress.header.unwrap().revision == revision {
            break;
        }
    }
}

#[tokio::test]
async fn a_half_closed_stream_goes_on() {
    let server = TestServer::start().await;
    let requests = tokio_stream::iter([pb::WatchRequest {
        request_union: Some(pb::watch_request::RequestUnion::CreateRequest(
            pb::WatchCreateRequest {
                key: "k".into(),
                range_end: prefix_end("k"),
                ..Default::default()
            },
        )),
    }]);
    let mut client = pb::watch_client::WatchClient::new(server.channel.clone());
    let mut responses = client.watch(requests).await.unwrap().into_inner();
    assert!(responses.message().await.unwrap().unwrap().created);
    server.put("k", "v").await;
    assert_eq!(
        crate::common::soon(responses.message())
            .await
            .unwrap()
            .unwrap()
            .events
            .len(),
        1
    );
}
