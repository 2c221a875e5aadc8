//! Watches: order, batches, resumption, compaction.

mod support;

use std::process::Command;
use std::time::{Duration, Instant};

use cfgstore_client::blocking::{self, Mode, Watch};
use cfgstore_client::{
    Address, Change, ChangeBatch, ChangeKind, DeleteOptions, ErrorKind, Options, PutOptions, Txn,
    WatchOptions,
};
use cfgstore_proto::{etcdserverpb as pb, mvccpb};
use support::proxy::Proxy;
use support::scripted::{Scripted, Seen, WatchAnswer};
use support::{Etcd, PATIENCE, options_for, socket_in};

const PLAIN: PutOptions = PutOptions {
    if_revision: None,
    lease: 0,
    comment: String::new(),
};
const MODES: [Mode; 2] = [Mode::NoThread, Mode::BackgroundThread];

fn next(watch: &mut Watch) -> ChangeBatch {
    watch.next(Some(PATIENCE)).unwrap().expect("a change in time")
}

/// Waits until the server has confirmed the watch, so that what is written next is seen.
fn opened(mut watch: Watch) -> Watch {
    let deadline = Instant::now() + PATIENCE;
    while watch.position() == 0 {
        assert!(Instant::now() < deadline, "the watch did not open");
        assert_eq!(watch.next(Some(Duration::from_millis(20))).unwrap(), None);
    }
    watch
}

#[test]
fn changes_come_in_order_one_revision_at_a_time() {
    let etcd = Etcd::start();
    for mode in MODES {
        let client = etcd.client(mode);
        let mut watch = opened(
            client
                .watch(WatchOptions::prefix("app/").with_previous())
                .unwrap(),
        );
        let first = client.put("app/a", "1", &PLAIN).unwrap();
        client.put("other", "", &PLAIN).unwrap();
        let both = client
            .txn(Txn::new().put("app/b", "1").put("app/a", "2"))
            .unwrap()
            .revision;
        let last = client
            .delete("app/a", &DeleteOptions::default())
            .unwrap()
            .revision;

        let batch = next(&mut watch);
        assert_eq!((batch.revision, batch.changes.len()), (first, 1));
        let expected = Change {
            kind: ChangeKind::Put,
            key: "app/a".into(),
            unopened: None,
            value: "1".into(),
            previous: None,
            revision: first,
            version: 1,
            create_revision: first,
            lease: 0,
        };
        assert_eq!(batch.changes[0], expected);
        let batch = next(&mut watch);
        assert_eq!(batch.revision, both);
        let keys: Vec<_> = batch
            .changes
            .iter()
            .map(|change| (&change.key[..], &change.value[..]))
            .collect();
        assert_eq!(keys, [(&b"app/b"[..], &b"1"[..]), (b"app/a", b"2")]);
        assert_eq!(batch.changes[1].previous.as_ref().unwrap().value, "1");
        let batch = next(&mut watch);
        assert_eq!(
            (batch.revision, batch.changes[0].kind),
            (last, ChangeKind::Delete)
        );
        assert_eq!(batch.changes[0].previous.as_ref().unwrap().value, "2");
        assert_eq!(watch.next(Some(Duration::ZERO)).unwrap(), None);

        let mut again = client
            .watch(WatchOptions::key("app/a").from_revision(both))
            .unwrap();
        assert_eq!(next(&mut again).revision, both);
        assert_eq!(next(&mut again).revision, last);
        client.delete("app/b", &DeleteOptions::default()).unwrap();
    }
}

#[test]
fn a_watch_goes_on_after_its_server_was_killed() {
    let mut etcd = Etcd::start();
    for mode in MODES {
        let client = etcd.client(mode);
        let mut watch = opened(client.watch(WatchOptions::prefix("k")).unwrap());
        let (mut written, mut seen) = (Vec::new(), Vec::new());
        for round in 0..3 {
            written.extend((0..5).map(|n| client.put(format!("k{n}"), format!("{round}"), &PLAIN).unwrap()));
            // Some changes are taken before the end, some after.
            seen.extend((0..3).map(|_| next(&mut watch).revision));
            etcd.kill();
            etcd.restart();
        }
        while seen.len() < written.len() {
            seen.push(next(&mut watch).revision);
        }
        assert_eq!(seen, written);
        assert_eq!(watch.next(Some(Duration::ZERO)).unwrap(), None);
    }
}

#[test]
fn cut_connections_lose_and_repeat_nothing() {
    let etcd = Etcd::start();
    let proxy = Proxy::start(etcd.port());
    for mode in MODES {
        let writer = etcd.client(Mode::NoThread);
        let client = blocking::Client::new(options_for(&[proxy.port()]), mode).unwrap();
        let mut watch = opened(client.watch(WatchOptions::prefix("k")).unwrap());
        let writing = std::thread::spawn(move || -> Vec<i64> {
            (0..400)
                .map(|n| writer.put(format!("k{}", n % 7), "", &PLAIN).unwrap())
                .collect()
        });
        let mut seen = Vec::new();
        while seen.len() < 400 {
            if seen.len() % 57 == 3 {
                proxy.cut();
            }
            seen.push(next(&mut watch).revision);
        }
        assert_eq!(seen, writing.join().unwrap());
    }
}

#[test]
fn a_watch_of_lost_history_says_so() {
    let etcd = Etcd::start();
    for mode in MODES {
        let client = etcd.client(mode);
        let revision = (0..5)
            .map(|_| client.put("k", "", &PLAIN).unwrap())
            .max()
            .unwrap();
        compact(&etcd, revision);
        let mut watch = client.watch(WatchOptions::key("k").from_revision(1)).unwrap();
        for _ in 0..2 {
            let error = watch.next(Some(PATIENCE)).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Compacted);
            assert!(error.message.contains(&format!("before {revision}")), "{error}");
        }
    }
}

fn compact(etcd: &Etcd, revision: i64) {
    let done = Command::new("etcdctl")
        .env("ETCDCTL_API", "3")
        .args([
            "--endpoints",
            &format!("127.0.0.1:{}", etcd.port()),
            "compact",
            &revision.to_string(),
        ])
        .output()
        .unwrap();
    assert!(done.status.success(), "{done:?}");
}

#[test]
fn an_unreachable_server_is_an_error_and_then_tried_again() {
    let port = support::free_port();
    for mode in MODES {
        let options = Options {
            call_timeout: Duration::from_millis(200),
            ..options_for(&[port])
        };
        let client = blocking::Client::new(options, mode).unwrap();
        let mut watch = client.watch(WatchOptions::key("k")).unwrap();
        for _ in 0..2 {
            let error = watch.next(Some(PATIENCE)).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Unavailable);
            assert!(error.message.contains(&port.to_string()), "{error}");
        }
    }
}

#[test]
fn bad_watches_are_refused_at_once() {
    let client = blocking::Client::new(options_for(&[1]), Mode::NoThread).unwrap();
    for options in [WatchOptions::key(""), WatchOptions::key("k").from_revision(-1)] {
        assert_eq!(
            client.watch(options).unwrap_err().kind,
            ErrorKind::InvalidArgument
        );
    }
}

// ---- against a server that does as it is told ----

fn header(revision: i64) -> Option<pb::ResponseHeader> {
    Some(pb::ResponseHeader {
        revision,
        ..Default::default()
    })
}

fn created(revision: i64) -> WatchAnswer {
    Ok(pb::WatchResponse {
        header: header(revision),
        created: true,
        ..Default::default()
    })
}

fn progress(revision: i64) -> WatchAnswer {
    Ok(pb::WatchResponse {
        header: header(revision),
        ..Default::default()
    })
}

fn events(changes: &[(&str, i64)]) -> WatchAnswer {
    let event = |&(key, mod_revision): &(&str, i64)| mvccpb::Event {
        kv: Some(mvccpb::KeyValue {
            key: key.to_owned().into(),
            mod_revision,
            ..Default::default()
        }),
        ..Default::default()
    };
    let events: Vec<_> = changes.iter().map(event).collect();
    Ok(pb::WatchResponse {
        header: header(changes.last().unwrap().1),
        events,
        ..Default::default()
    })
}

fn canceled(reason: &str) -> WatchAnswer {
    Ok(pb::WatchResponse {
        canceled: true,
        cancel_reason: reason.to_owned(),
        ..Default::default()
    })
}

fn on_scripted(server: &Scripted, mode: Mode, options: WatchOptions) -> Watch {
    let options_of_client = Options {
        address: Address::Unix(server.path().to_owned()),
        ..Options::default()
    };
    blocking::Client::new(options_of_client, mode)
        .unwrap()
        .watch(options)
        .unwrap()
}

fn revisions(watch: &mut Watch, count: usize) -> Vec<(i64, usize)> {
    (0..count)
        .map(|_| next(watch))
        .map(|batch| (batch.revision, batch.changes.len()))
        .collect()
}

#[test]
fn a_watch_is_over_when_another_store_takes_the_place_of_the_one_it_watched() {
    let of = |cluster_id, answer: WatchAnswer| {
        answer.map(|mut answer| {
            answer.header.as_mut().unwrap().cluster_id = cluster_id;
            answer
        })
    };
    for mode in MODES {
        let folder = tempfile::tempdir().unwrap();
        let server = Scripted::start(&socket_in(&folder));
        server.on_watch(vec![of(7, created(20)), of(7, events(&[("a", 22)]))]);
        server.on_watch(vec![of(7, created(22))]);
        server.on_watch(vec![of(8, created(2)), of(8, events(&[("a", 23)]))]);
        let mut watch = on_scripted(&server, mode, WatchOptions::prefix("").from_revision(21));
        assert_eq!(next(&mut watch).revision, 22);
        for _ in 0..2 {
            let error = watch.next(Some(PATIENCE)).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Compacted, "{error}");
            assert!(error.message.contains("another store"), "{error}");
        }
    }
}

#[test]
fn a_watch_resumes_where_each_kind_of_answer_left_it() {
    for mode in MODES {
        let folder = tempfile::tempdir().unwrap();
        let server = Scripted::start(&socket_in(&folder));
        // Created, and cut before any event: nothing after revision 10 may be missed.
        server.on_watch(vec![created(10)]);
        // Two revisions in one answer.
        server.on_watch(vec![created(15), events(&[("a", 12), ("b", 12), ("a", 13)])]);
        // A progress report moves on without events.
        server.on_watch(vec![created(20), progress(20)]);
        // A member without a leader ends it.
        server.on_watch(vec![
            created(20),
            canceled("rpc error: code = Unavailable desc = etcdserver: no leader"),
        ]);
        // A server that starts too early repeats itself, also within one revision.
        server.on_watch(vec![
            created(22),
            events(&[("a", 19), ("a", 20), ("a", 21), ("b", 21)]),
        ]);
        server.on_watch(vec![
            created(22),
            Err(tonic::Status::unavailable("etcdserver: server stopped")),
        ]);
        server.on_watch(vec![created(23), events(&[("a", 22)])]);
        let mut watch = on_scripted(&server, mode, WatchOptions::prefix(""));
        assert_eq!(revisions(&mut watch, 4), [(12, 2), (13, 1), (21, 2), (22, 1)]);
        let from: Vec<i64> = [0, 11, 14, 21, 21, 22, 22].into();
        assert_eq!(
            server.seen(),
            from.into_iter().map(Seen::Watch).collect::<Vec<_>>()
        );
        assert_eq!(watch.position(), 23);
    }
}

#[test]
fn a_refused_watch_is_over() {
    let reasons = [
        ("etcdserver: permission denied", ErrorKind::Denied),
        ("mvcc: watcher range is empty", ErrorKind::InvalidArgument),
        ("", ErrorKind::InvalidArgument),
    ];
    for (mode, (reason, kind)) in MODES
        .into_iter()
        .flat_map(|mode| reasons.map(|reason| (mode, reason)))
    {
        let folder = tempfile::tempdir().unwrap();
        let server = Scripted::start(&socket_in(&folder));
        server.on_watch(vec![created(1), canceled(reason)]);
        let mut watch = on_scripted(&server, mode, WatchOptions::prefix(""));
        let kinds: Vec<ErrorKind> = (0..2)
            .map(|_| watch.next(Some(PATIENCE)).unwrap_err().kind)
            .collect();
        assert_eq!(kinds, [kind, kind]);
        assert_eq!(server.seen().len(), 1);
    }
}

#[test]
fn reserved_keys_are_hidden_and_a_future_start_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let server = Scripted::start(&socket_in(&folder));
    server.on_watch(vec![created(5), progress(6)]);
    server.on_watch(vec![
        created(8),
        events(&[("/_cfgstore/lock/x", 100)]),
        events(&[("/_cfgstore/lock/x", 101), ("a", 101)]),
    ]);
    let mut watch = on_scripted(
        &server,
        Mode::NoThread,
        WatchOptions::prefix("").from_revision(100),
    );
    assert_eq!(revisions(&mut watch, 1), [(101, 1)]);
    assert_eq!(server.seen(), [Seen::Watch(100), Seen::Watch(100)]);
}

#[test]
fn a_slow_reader_makes_the_server_wait_and_misses_nothing() {
    for mode in MODES {
        let folder = tempfile::tempdir().unwrap();
        let server = Scripted::start(&socket_in(&folder));
        let many: Vec<WatchAnswer> = std::iter::once(created(1))
            .chain((2..5000).map(|revision| events(&[("k", revision)])))
            .collect();
        server.on_watch(many);
        let mut watch = on_scripted(&server, mode, WatchOptions::prefix(""));
        for revision in 2..5000 {
            assert_eq!(next(&mut watch).revision, revision);
        }
    }
}

#[test]
fn an_abandoned_wait_loses_nothing() {
    let etcd = Etcd::start();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let client = cfgstore_client::Client::new(etcd.options()).unwrap();
        let mut watch = client.watch(WatchOptions::prefix("k").from_revision(1)).unwrap();
        let (mut written, mut seen) = (Vec::new(), Vec::new());
        for n in 0..100 {
            written.push(client.put(format!("k{n}"), "", &PLAIN).await.unwrap());
            // Mostly too short, sometimes in the middle of an arrival.
            let wait = Duration::from_micros(50 * (n % 7));
            if let Ok(batch) = tokio::time::timeout(wait, watch.next()).await {
                seen.push(batch.unwrap().revision);
            }
        }
        while seen.len() < written.len() {
            seen.push(
                tokio::time::timeout(PATIENCE, watch.next())
                    .await
                    .unwrap()
                    .unwrap()
                    .revision,
            );
        }
        assert_eq!(seen, written);
    });
}
