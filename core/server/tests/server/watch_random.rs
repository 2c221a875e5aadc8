//! Random writes, random watches, clients that read now fast and now slowly: each watch must see what a plain list says.

use std::collections::HashMap;
use std::time::Duration;

use cfgstore_proto::etcdserverpb as pb;
use cfgstore_proto::etcdserverpb::watch_create_request::FilterType;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::common::{TestServer, Watches, put, text};

/// One change, as the writer made it.
struct Change {
    revision: i64,
    key: String,
    text: String,
}

/// One watch, as it was asked for.
struct Asked {
    request: pb::WatchCreateRequest,
    /// The revision the created response showed.
    created_at: i64,
    seen: Vec<String>,
}

impl Asked {
    fn wants(&self, change: &Change) -> bool {
        let start = match self.request.start_revision {
            0 => self.created_at + 1,
            revision => revision,
        };
        let key = change.key.as_bytes();
        let in_range = match &self.request.range_end[..] {
            b"" => key == &self.request.key[..],
            b"\0" => key >= &self.request.key[..],
            end => key >= &self.request.key[..] && key < end,
        };
        let filter = if change.text.starts_with("PUT") {
            FilterType::Noput
        } else {
            FilterType::Nodelete
        };
        change.revision >= start && in_range && !self.request.filters.contains(&(filter as i32))
    }
}

fn key(rng: &mut StdRng) -> String {
    format!("k{}/{}", rng.random_range(0..3), rng.random_range(0..5))
}

/// Writes something, and lists what it did.
async fn write(server: &TestServer, rng: &mut StdRng, changes: &mut Vec<Change>) {
    let value = "x".repeat(rng.random_range(0..12_000));
    if rng.random_range(0..4) == 0 {
        let key = key(rng);
        let request = pb::DeleteRangeRequest {
            key: key.clone().into(),
            ..Default::default()
        };
        let response = server.kv().delete_range(request).await.unwrap().into_inner();
        if response.deleted == 1 {
            let revision = response.header.unwrap().revision;
            changes.push(Change {
                revision,
                text: format!("DELETE {key}@{revision}"),
                key,
            });
        }
        return;
    }
    let mut keys: Vec<String> = (0..rng.random_range(1..4)).map(|_| key(rng)).collect();
    keys.sort();
    keys.dedup();
    let puts = keys.iter().map(|key| pb::RequestOp {
        request: Some(pb::request_op::Request::RequestPut(put(key, &value))),
    });
    let txn = pb::TxnRequest {
        success: puts.collect(),
        ..Default::default()
    };
    let revision = server
        .kv()
        .txn(txn)
        .await
        .unwrap()
        .into_inner()
        .header
        .unwrap()
        .revision;
    for key in keys {
        changes.push(Change {
            revision,
            text: format!("PUT {key}={value}@{revision}"),
            key,
        });
    }
}

fn request(rng: &mut StdRng, revision: i64) -> pb::WatchCreateRequest {
    let key = key(rng);
    let (key, range_end) = match rng.random_range(0..4) {
        0 => (key, ""),
        1 => (key[..2].to_owned(), "k9"),
        2 => (key, "\0"),
        _ => ("\0".to_owned(), "\0"),
    };
    pb::WatchCreateRequest {
        key: key.into(),
        range_end: range_end.into(),
        start_revision: match rng.random_range(0..3) {
            0 => 0,
            1 => rng.random_range(1..=revision),
            _ => rng.random_range(revision..revision + 20),
        },
        filters: match rng.random_range(0..6) {
            0 => vec![FilterType::Noput as i32],
            1 => vec![FilterType::Nodelete as i32],
            _ => Vec::new(),
        },
        ..Default::default()
    }
}

/// Reads until everything up to `revision` is delivered, and keeps what came.
async fn read(
    watches: &mut Watches,
    asked: &mut HashMap<i64, Asked>,
    mut requests: Vec<pb::WatchCreateRequest>,
    revision: i64,
) {
    requests.reverse();
    watches.ask_progress();
    loop {
        let response = watches.next().await;
        assert!(!response.canceled, "{response:?}");
        let reached = response.header.as_ref().unwrap().revision;
        if response.created {
            let request = requests.pop().unwrap();
            asked.insert(
                response.watch_id,
                Asked {
                    request,
                    created_at: reached,
                    seen: Vec::new(),
                },
            );
        } else if response.watch_id == -1 {
            if reached >= revision {
                return;
            }
        } else {
            let last = response.events.last().unwrap().kv.as_ref().unwrap().mod_revision;
            assert!(last <= reached, "a header promises what is not delivered");
            asked
                .get_mut(&response.watch_id)
                .unwrap()
                .seen
                .extend(response.events.iter().map(text));
            // Silently dropped while a watch is behind, so asked for again.
            watches.ask_progress();
        }
    }
}

async fn run(seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let server = TestServer::start().await;
    let mut changes = Vec::new();
    // Several streams; a slow one's requests and responses wait until the very end.
    let mut streams = Vec::new();
    for _ in 0..4 {
        streams.push((
            Watches::open(server.connect().await).await,
            HashMap::new(),
            Vec::new(),
        ));
    }
    let mut revision = 1;
    for step in 0..500 {
        write(&server, &mut rng, &mut changes).await;
        revision = changes.last().map_or(1, |change: &Change| change.revision);
        if step < 450 && rng.random_range(0..10) == 0 {
            let at = rng.random_range(0..streams.len());
            let request = request(&mut rng, revision);
            streams[at].0.ask(request.clone());
            streams[at].2.push(request);
        }
        // The first stream is always slow, the second nearly always fast.
        let at = rng.random_range(1..streams.len());
        if step < 450 && rng.random_range(0..20) == 0 {
            let (watches, asked, requests) = &mut streams[at];
            // What is there already; not all there may be.
            while let Ok(Ok(Some(response))) =
                tokio::time::timeout(Duration::from_millis(1), watches.responses.message()).await
            {
                if response.created {
                    let request = requests.remove(0);
                    let created_at = response.header.unwrap().revision;
                    asked.insert(
                        response.watch_id,
                        Asked {
                            request,
                            created_at,
                            seen: Vec::new(),
                        },
                    );
                } else {
                    let seen: &mut Asked = asked.get_mut(&response.watch_id).unwrap();
                    seen.seen.extend(response.events.iter().map(text));
                }
            }
        }
    }
    for (watches, asked, requests) in &mut streams {
        if asked.is_empty() && requests.is_empty() {
            continue;
        }
        read(watches, asked, std::mem::take(requests), revision).await;
        for watch in asked.values() {
            let expected: Vec<_> = changes
                .iter()
                .filter(|change| watch.wants(change))
                .map(|change| &change.text)
                .collect();
            let cut = |texts: &[&String]| {
                texts
                    .iter()
                    .map(|text| text.replace("xxxxxxxxxx", ""))
                    .collect::<Vec<_>>()
            };
            let seen: Vec<_> = watch.seen.iter().collect();
            assert!(
                seen == expected,
                "seed {seed}, {:?}\nsaw {:#?}\nnot {:#?}",
                watch.request,
                cut(&seen),
                cut(&expected)
            );
        }
    }
}

#[tokio::test]
async fn every_watch_sees_every_event_once_in_order() {
    for seed in 0..6 {
        run(seed).await;
    }
}
