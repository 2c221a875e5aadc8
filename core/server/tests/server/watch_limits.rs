//! Watch under load: slow clients, many watches, limits.

use cfgstore_proto::etcdserverpb as pb;

use crate::common::{TestServer, Watches, put, watch_prefix};

/// Reads events of watch 0 until `last`, and checks that each revision from `first` on came once and in
/// order.
async fn read_all(watches: &mut Watches, first: i64, last: i64) {
    let mut next = first;
    while next <= last {
        let response = watches.next().await;
        assert!(!response.canceled, "{response:?}");
        for event in &response.events {
            assert_eq!(event.kv.as_ref().unwrap().mod_revision, next);
            next += 1;
        }
        assert!(response.header.unwrap().revision >= next - 1);
    }
}

#[tokio::test]
async fn a_slow_watch_loses_nothing() {
    let server = TestServer::start().await;
    // Of its own connection, whose window it fills by not reading.
    let mut slow = Watches::open(server.connect().await).await;
    slow.create(watch_prefix("k")).await;
    let mut fast = server.watches().await;
    fast.create(watch_prefix("k")).await;
    // Far more than the windows (1 MiB) and the queue (1,024 events) hold.
    let value = "x".repeat(2_000);
    let (first, last) = (2, 4_001);
    for round in 0..40 {
        let puts = (0..100).map(|i| {
            let mut kv = server.kv();
            let request = put(&format!("k{round}/{i}"), &value);
            async move { kv.put(request).await }
        });
        futures_util::future::join_all(puts)
            .await
            .into_iter()
            .for_each(|result| drop(result.unwrap()));
        // The fast one is served meanwhile, whatever the slow one does.
        read_all(&mut fast, first + round * 100, first + round * 100 + 99).await;
    }
    read_all(&mut slow, first, last).await;
    // And it has caught up.
    server.put("k", "live").await;
    read_all(&mut slow, last + 1, last + 1).await;
    slow.ask_progress();
    assert_eq!(slow.next().await.header.unwrap().revision, last + 1);
}

#[tokio::test]
async fn a_slow_watch_whose_history_is_compacted_is_told() {
    let server = TestServer::start().await;
    let mut slow = Watches::open(server.connect().await).await;
    slow.create(watch_prefix("k")).await;
    let value = "x".repeat(20_000);
    for i in 0..2_000 {
        server.put(&format!("k{i}"), &value).await;
    }
    server.compact(2_001).await;
    let mut next = 2;
    loop {
        let response = slow.next().await;
        if response.canceled {
            assert_eq!((response.compact_revision, response.events.len()), (2_001, 0));
            break;
        }
        for event in &response.events {
            assert_eq!(
                event.kv.as_ref().unwrap().mod_revision,
                next,
                "no gap before the notice"
            );
            next += 1;
        }
    }
    assert!(next < 2_001);
}

#[tokio::test]
async fn a_revision_larger_than_the_queue_is_sent_whole() {
    let server = TestServer::start().await;
    let mut watches = server.watches().await;
    watches.create(watch_prefix("k")).await;
    for round in 0..20 {
        let puts = (0..100).map(|i| pb::RequestOp {
            request: Some(pb::request_op::Request::RequestPut(put(
                &format!("k{round}/{i}"),
                "v",
            ))),
        });
        server
            .kv()
            .txn(pb::TxnRequest {
                success: puts.collect(),
                ..Default::default()
            })
            .await
            .unwrap();
    }
    let request = pb::DeleteRangeRequest {
        key: "k".into(),
        range_end: "l".into(),
        ..Default::default()
    };
    assert_eq!(
        server
            .kv()
            .delete_range(request)
            .await
            .unwrap()
            .into_inner()
            .deleted,
        2_000
    );
    watches.events(2_000).await;
    let response = watches.next().await;
    assert_eq!((response.events.len(), response.events[0].r#type), (2_000, 1));
    server.put("k", "after").await;
    assert_eq!(watches.events(1).await, ["PUT k=after@23"]);
}

#[tokio::test]
async fn many_watches_of_one_stream_see_what_is_theirs() {
    let server = TestServer::start().await;
    let mut watches = server.watches().await;
    for number in 0..2_000 {
        let key = format!("k/{number:04}/");
        assert_eq!(watches.create(watch_prefix(&key)).await, number);
    }
    for number in [0, 1_999, 777] {
        server.put(&format!("k/{number:04}/x"), "v").await;
        let response = watches.next().await;
        assert_eq!((response.watch_id, response.events.len()), (number, 1));
    }
    watches.assert_quiet().await;
    // All of them at once, and more than the queue holds.
    watches
        .create(pb::WatchCreateRequest {
            key: "\0".into(),
            range_end: "\0".into(),
            ..Default::default()
        })
        .await;
    let txn = |from: i64| pb::TxnRequest {
        success: (from..from + 125)
            .map(|number| pb::RequestOp {
                request: Some(pb::request_op::Request::RequestPut(put(
                    &format!("k/{number:04}/y"),
                    "v",
                ))),
            })
            .collect(),
        ..Default::default()
    };
    for from in (0..2_000).step_by(125) {
        server.kv().txn(txn(from)).await.unwrap();
    }
    let mut seen = vec![0; 2_001];
    let mut total = 0;
    while total < 4_000 {
        let response = watches.next().await;
        seen[response.watch_id as usize] += response.events.len();
        total += response.events.len();
    }
    assert!(seen[..2_000].iter().all(|count| *count == 1));
    assert_eq!(seen[2_000], 2_000);
}

#[tokio::test]
async fn watches_are_limited_on_a_stream_and_on_a_member() {
    let server = TestServer::start_with(|config| {
        config.max_watches_per_stream = 3;
        config.max_watches = 5;
    })
    .await;
    let refused = |response: pb::WatchResponse, text: &str| {
        assert!(response.created && response.canceled && response.watch_id == -1);
        assert!(
            response.cancel_reason.contains(text),
            "{}",
            response.cancel_reason
        );
    };
    let mut first = server.watches().await;
    for _ in 0..3 {
        first.create(watch_prefix("k")).await;
    }
    first.ask(watch_prefix("k"));
    refused(first.next().await, "this stream has 3 watches");
    let mut second = server.watches().await;
    for _ in 0..2 {
        second.create(watch_prefix("k")).await;
    }
    second.ask(watch_prefix("k"));
    refused(second.next().await, "this member serves 5 watches");
    // What was there works, and what ends makes room.
    server.put("k", "v").await;
    first.events(3).await;
    first.cancel(0);
    assert!(first.next().await.canceled);
    second.events(2).await;
    second.create(watch_prefix("k")).await;
    drop(first);
    drop(second);
    let mut third = server.watches().await;
    crate::common::eventually("the streams' watches are gone", async || {
        third.ask(watch_prefix("k"));
        let created = third.next().await;
        if !created.canceled {
            third.cancel(created.watch_id);
            third.next().await;
        }
        !created.canceled
    })
    .await;
}
