//! A watch's descriptor in an event loop: never silent while there is something to take, never busy otherwise.

mod support;

use std::time::Duration;

use cfgstore_client::blocking::{self, Mode, Watch};
use cfgstore_client::{Address, ErrorKind, Options, PutOptions, Txn, WatchOptions};
use support::proxy::Proxy;
use support::scripted::Scripted;
use support::{Etcd, PATIENCE, free_port, is_readable, options_for, socket_in, wait_until, worker};

const PLAIN: PutOptions = PutOptions {
    if_revision: None,
    lease: 0,
    comment: String::new(),
};
const MODES: [Mode; 2] = [Mode::NoThread, Mode::BackgroundThread];

/// An event loop: waits for the descriptor, then takes everything without waiting.
fn turn(watch: &mut Watch, taken: &mut Vec<i64>) {
    assert!(
        is_readable(watch.fd().unwrap(), PATIENCE),
        "the descriptor stays silent"
    );
    while let Some(batch) = watch.next(Some(Duration::ZERO)).unwrap() {
        taken.push(batch.revision);
    }
}

/// Runs the loop until the server has confirmed the watch. A background thread needs no loop for that.
fn until_open(watch: &mut Watch) {
    wait_until("the watch is open", || {
        if is_readable(watch.fd().unwrap(), Duration::from_millis(5)) {
            turn(watch, &mut Vec::new());
        }
        watch.position() != 0
    });
}

/// Runs the loop until the descriptor has been silent for a while.
fn until_silent(watch: &mut Watch, taken: &mut Vec<i64>) {
    let mut turns = 0;
    while is_readable(watch.fd().unwrap(), Duration::from_millis(150)) {
        turn(watch, taken);
        turns += 1;
        assert!(turns < 1000, "the descriptor never falls silent");
    }
}

#[test]
fn an_event_loop_sees_every_change() {
    let etcd = Etcd::start();
    for mode in MODES {
        let client = etcd.client(mode);
        let mut watch = client.watch(WatchOptions::prefix("k")).unwrap();
        let mut taken = Vec::new();
        until_open(&mut watch);

        // Other calls of the same client do not swallow what belongs to the watch.
        let mut written = Vec::new();
        for n in 0..300 {
            let key = format!("k{}", n % 5);
            written.push(match n % 3 {
                0 => {
                    client
                        .txn(Txn::new().put(&key, vec![7; n * 20]).put("k", ""))
                        .unwrap()
                        .revision
                }
                _ => client.put(&key, "v", &PLAIN).unwrap(),
            });
            assert_eq!(client.get(&key).unwrap().unwrap().mod_revision, written[n]);
            if n % 7 == 0 {
                turn(&mut watch, &mut taken);
            }
        }
        while taken.len() < written.len() {
            turn(&mut watch, &mut taken);
        }
        assert_eq!(taken, written);
        until_silent(&mut watch, &mut taken);
        assert!(!is_readable(watch.fd().unwrap(), Duration::ZERO));
    }
}

#[test]
fn changes_taken_one_by_one_keep_the_descriptor_readable() {
    let etcd = Etcd::start();
    for mode in MODES {
        let client = etcd.client(mode);
        let revisions: Vec<i64> = (0..20).map(|_| client.put("k", "v", &PLAIN).unwrap()).collect();
        let mut watch = client
            .watch(WatchOptions::key("k").from_revision(revisions[0]))
            .unwrap();
        for revision in revisions {
            // One change per turn: the others are decoded already, and the socket has nothing more.
            let batch = loop {
                assert!(is_readable(watch.fd().unwrap(), PATIENCE));
                if let Some(batch) = watch.next(Some(Duration::ZERO)).unwrap() {
                    break batch;
                }
            };
            assert_eq!(batch.revision, revision);
        }
        until_silent(&mut watch, &mut Vec::new());
    }
}

#[test]
fn answers_larger_than_every_window_do_not_stall() {
    let etcd = Etcd::start();
    for mode in MODES {
        let client = etcd.client(mode);
        let first = (0..24)
            .map(|_| client.put("k", vec![1; 1_200_000], &PLAIN).unwrap())
            .min()
            .unwrap();
        let mut watch = client.watch(WatchOptions::key("k").from_revision(first)).unwrap();
        let mut taken = Vec::new();
        while taken.len() < 24 {
            turn(&mut watch, &mut taken);
        }
    }
}

#[test]
fn an_event_loop_brings_a_cut_watch_back() {
    let etcd = Etcd::start();
    let proxy = Proxy::start(etcd.port());
    for mode in MODES {
        let writer = etcd.client(Mode::NoThread);
        let client = blocking::Client::new(options_for(&[free_port(), proxy.port()]), mode).unwrap();
        let mut watch = client.watch(WatchOptions::key("k")).unwrap();
        let (mut taken, mut written) = (Vec::new(), Vec::new());
        until_open(&mut watch);
        for _ in 0..10 {
            proxy.cut();
            written.push(writer.put("k", "v", &PLAIN).unwrap());
            while taken.len() < written.len() {
                turn(&mut watch, &mut taken);
            }
        }
        assert_eq!(taken, written);
    }
}

#[test]
fn a_watch_that_is_over_falls_silent() {
    for mode in MODES {
        let folder = tempfile::tempdir().unwrap();
        let server = Scripted::start(&socket_in(&folder));
        server.on_watch(vec![Ok(cfgstore_proto::etcdserverpb::WatchResponse {
            canceled: true,
            compact_revision: 5,
            ..Default::default()
        })]);
        let options = Options {
            address: Address::Unix(server.path().to_owned()),
            ..Options::default()
        };
        let client = blocking::Client::new(options, mode).unwrap();
        let mut watch = client.watch(WatchOptions::prefix("")).unwrap();
        let error = loop {
            assert!(is_readable(watch.fd().unwrap(), PATIENCE));
            if let Err(error) = watch.next(Some(Duration::ZERO)) {
                break error;
            }
        };
        assert_eq!(error.kind, ErrorKind::Compacted);
        wait_until("it is silent", || {
            !is_readable(watch.fd().unwrap(), Duration::from_millis(50))
        });
        assert_eq!(
            watch.next(Some(Duration::ZERO)).unwrap_err().kind,
            ErrorKind::Compacted
        );
    }
}

#[test]
fn the_end_of_a_watch_is_seen_by_the_server() {
    let etcd = Etcd::start();
    let proxy = Proxy::start(etcd.port());
    for mode in MODES {
        let client = blocking::Client::new(options_for(&[proxy.port()]), mode).unwrap();
        for _ in 0..3 {
            let mut watch = client.watch(WatchOptions::prefix("")).unwrap();
            until_open(&mut watch);
        }
        wait_until("the connections are closed", || proxy.open() == 0);
    }
}

// ---- alone in a process ----

fn count(folder: &str) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

#[test]
fn without_a_thread_means_without_a_thread() {
    let Some(arguments) = worker::role() else {
        let etcd = Etcd::start();
        return worker::run(
            "without_a_thread_means_without_a_thread",
            &[&etcd.port().to_string()],
        );
    };
    let threads = count("/proc/self/task");
    // A name instead of an address: looking it up must not start a thread either.
    let address = Address::parse(&format!("http://localhost:{}", arguments[0])).unwrap();
    let client = blocking::Client::new(
        Options {
            address,
            ..Options::default()
        },
        Mode::NoThread,
    )
    .unwrap();
    let mut watch = client.watch(WatchOptions::prefix("")).unwrap();
    client.put("k", "v", &PLAIN).unwrap();
    client.get("k").unwrap();
    assert!(watch.next(Some(Duration::from_millis(100))).unwrap().is_none());
    client.put("k", "v", &PLAIN).unwrap();
    assert!(watch.next(Some(PATIENCE)).unwrap().is_some());
    assert_eq!(count("/proc/self/task"), threads);
}

#[test]
fn closed_clients_and_watches_leave_no_descriptor_and_no_thread() {
    let Some(arguments) = worker::role() else {
        let etcd = Etcd::start();
        return worker::run(
            "closed_clients_and_watches_leave_no_descriptor_and_no_thread",
            &[&etcd.port().to_string()],
        );
    };
    let port = arguments[0].parse().unwrap();
    for mode in MODES {
        let once = || {
            let client = blocking::Client::new(options_for(&[port]), mode).unwrap();
            let mut watch = client.watch(WatchOptions::prefix("").from_revision(1)).unwrap();
            client.put("k", "v", &PLAIN).unwrap();
            watch.next(Some(PATIENCE)).unwrap().unwrap();
        };
        once();
        let before = (count("/proc/self/fd"), count("/proc/self/task"));
        for _ in 0..8 {
            once();
        }
        // A thread that was joined is listed for a moment longer.
        wait_until("nothing more is open or runs", || {
            count("/proc/self/fd") <= before.0 && count("/proc/self/task") <= before.1
        });
    }
}
