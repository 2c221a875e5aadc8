//! A store that nobody looks after: its history is bounded, and never in the way of a write.

use cfgstore_proto::etcdserverpb as pb;
use cfgstore_server::AutoCompaction;
use tonic::Code;

use crate::common::{TestServer, Watches, assert_status, get, put, watch_prefix};

const QUOTA: usize = 200_000;
/// One of these fits beside the live ones and a little history.
const VALUE_BYTES: usize = 10_000;

async fn start() -> TestServer {
    TestServer::start_with(|config| {
        config.max_request_bytes = QUOTA;
        config.quota_backend_bytes = QUOTA as u64;
    })
    .await
}

fn value(round: usize) -> String {
    format!("{round:0>VALUE_BYTES$}")
}

async fn alarms(server: &TestServer) -> usize {
    let all = pb::AlarmRequest::default();
    let answer = server.maintenance().alarm(all).await.unwrap();
    answer.into_inner().alarms.len()
}

/// What a watch from `start_revision` is told first, after that it was made.
async fn first_word(watches: &mut Watches, start_revision: i64) -> pb::WatchResponse {
    let request = pb::WatchCreateRequest {
        start_revision,
        ..watch_prefix("k")
    };
    watches.create(request).await;
    watches.next().await
}

#[tokio::test]
async fn a_store_is_overwritten_for_ever() {
    let server = start().await;
    let first = server.put("k0", &value(0)).await;
    let mut watching = server.watches().await;
    watching.create(watch_prefix("k")).await;
    // Five live keys, ten times the quota.
    const ROUNDS: usize = 10 * QUOTA / VALUE_BYTES;
    let mut last = first;
    for round in 1..=ROUNDS {
        last = server.put(&format!("k{}", round % 5), &value(round)).await;
        // One that keeps up is told of everything, and of no compaction.
        let event = watching.events(1).await;
        assert_eq!(event, [format!("PUT k{}={}@{last}", round % 5, value(round))]);
    }
    assert_eq!(alarms(&server).await, 0);
    assert_eq!(server.get("k0").await.unwrap(), value(ROUNDS));

    // One that asks for what is forgotten is told so, and where history begins.
    let mut late = server.watches().await;
    let told = first_word(&mut late, first).await;
    assert!(told.canceled && told.events.is_empty(), "{told:?}");
    let begins = told.compact_revision;
    assert!(first < begins && begins < last, "{told:?}");
    let told = first_word(&mut late, begins).await;
    assert_eq!(told.events.len() as i64, last - begins + 1);

    let old = pb::RangeRequest {
        revision: first,
        ..get("k0")
    };
    assert_status(
        server.kv().range(old).await,
        Code::OutOfRange,
        "etcdserver: mvcc: required revision has been compacted",
    );
}

#[tokio::test]
async fn live_data_that_nearly_fills_the_quota_is_overwritten_too() {
    let server = start().await;
    for round in 0..200 {
        server.put(&format!("k{:02}", round % 17), &value(round)).await;
    }
    // At once, as many clients do.
    let writes: Vec<_> = (0..50)
        .map(|round| {
            let mut kv = server.kv();
            tokio::spawn(async move { kv.put(put(&format!("k{:02}", round % 17), &value(round))).await })
        })
        .collect();
    for write in writes {
        write.await.unwrap().unwrap();
    }
    assert_eq!(alarms(&server).await, 0);

    // What does not fit is refused, as ever.
    let large = put("l", &"x".repeat(QUOTA / 2));
    assert_status(
        server.kv().put(large).await,
        Code::ResourceExhausted,
        "etcdserver: mvcc: database space exceeded",
    );
    assert_eq!(alarms(&server).await, 1);
}

#[tokio::test]
async fn where_history_is_kept_for_ever_it_counts() {
    let server = TestServer::start_with(|config| {
        config.max_request_bytes = QUOTA;
        config.quota_backend_bytes = QUOTA as u64;
        config.auto_compaction = AutoCompaction::Off;
    })
    .await;
    let mut refused = None;
    for round in 0..QUOTA / VALUE_BYTES + 1 {
        if let Err(status) = server.kv().put(put("k", &value(round))).await {
            refused = Some(status);
        }
    }
    assert_eq!(refused.unwrap().code(), Code::ResourceExhausted);
}
