//! Servers that die, hang or refuse, before and in the middle of calls.

mod support;

use std::time::{Duration, Instant};

use cfgstore_client::blocking::{self, Mode};
use cfgstore_client::{Address, DeleteOptions, ErrorKind, LockOptions, Options, PutOptions, WatchOptions};
use support::proxy::Proxy;
use support::{Etcd, PATIENCE, free_port, options_for, wait_until};

const PLAIN: PutOptions = PutOptions {
    if_revision: None,
    lease: 0,
    comment: String::new(),
};

fn client(options: Options) -> blocking::Client {
    blocking::Client::new(options, Mode::NoThread).unwrap()
}

fn within(timeout_ms: u64, options: Options) -> Options {
    Options {
        call_timeout: Duration::from_millis(timeout_ms),
        ..options
    }
}

#[test]
fn a_dead_endpoint_is_skipped() {
    let etcd = Etcd::start();
    let client = client(options_for(&[free_port(), free_port(), etcd.port()]));
    client.put("k", "v", &PLAIN).unwrap();
    assert_eq!(client.get("k").unwrap().unwrap().value, "v");
}

#[test]
fn nobody_there_is_certain_and_named() {
    let (one, two) = (free_port(), free_port());
    let client = client(within(300, options_for(&[one, two])));
    let began = Instant::now();
    let error = client.put("k", "v", &PLAIN).unwrap_err();
    assert_eq!(
        (error.kind, error.maybe_committed, error.retryable()),
        (ErrorKind::Unavailable, false, true)
    );
    for part in [
        format!(":{one}"),
        format!(":{two}"),
        "refused".to_owned(),
        "members running".to_owned(),
    ] {
        assert!(error.message.contains(&part), "{error}");
    }
    assert!(
        began.elapsed() >= Duration::from_millis(100),
        "it was not tried again"
    );
}

/// Each member ends once, in turn, with everything that a client can have open.
#[test]
fn what_a_client_has_open_survives_the_end_of_any_member() {
    let mut etcd = Etcd::start();
    let client = blocking::Client::new(within(10_000, etcd.options()), Mode::BackgroundThread).unwrap();
    let first = client.put("k", "before", &PLAIN).unwrap();
    let mut watch = client
        .watch(WatchOptions::prefix("k").from_revision(first))
        .unwrap();
    let ttl = LockOptions {
        ttl: Duration::from_secs(60),
        ..LockOptions::default()
    };
    let mut lock = client.lock("l", &ttl).unwrap();
    let mut seen = vec![watch.next(Some(PATIENCE)).unwrap().unwrap().revision];
    for round in 0..etcd.ports().len() {
        let lost = etcd.lose(round);
        let key = format!("k{round}");
        // Whether a write that is cut off was made is for the caller to find out: here by asking for the key.
        wait_until("a write with a member less", || {
            let written = client.put(&key, "v", &if_absent());
            written.is_ok() || client.get(&key).is_ok_and(|found| found.is_some())
        });
        let written = client.get(&key).unwrap().unwrap().mod_revision;
        wait_until("the same of a deletion", || {
            let options = DeleteOptions {
                if_revision: Some(written),
                ..DeleteOptions::default()
            };
            let deleted = client.delete(&key, &options);
            deleted.is_ok() || client.get(&key).is_ok_and(|found| found.is_none())
        });
        while seen.len() < 3 + 2 * round {
            match watch.next(Some(PATIENCE)) {
                Ok(batch) => seen.push(batch.expect("a change in time").revision),
                Err(error) => assert_eq!(error.kind, ErrorKind::Unavailable, "{error}"),
            }
        }
        lock.check().unwrap();
        etcd.bring_back(lost);
    }
    // The lock is a key, too, of which the watch sees nothing.
    let of_keys = |revision: &i64| *revision != lock.token();
    let expected: Vec<i64> = (first..).filter(of_keys).take(seen.len()).collect();
    assert_eq!(seen, expected, "each change once, in order");
    lock.release().unwrap();
}

fn if_absent() -> PutOptions {
    PutOptions {
        if_revision: Some(0),
        ..PLAIN
    }
}

#[test]
fn a_write_waits_for_a_server_that_comes_back() {
    let mut etcd = Etcd::start();
    let client = client(within(20_000, etcd.options()));
    let first = client.put("k", "1", &PLAIN).unwrap();
    etcd.kill();
    let writing = {
        let client = client.clone();
        std::thread::spawn(move || client.put("k", "2", &PLAIN))
    };
    etcd.restart();
    assert_eq!(writing.join().unwrap().unwrap(), first + 1);
}

#[test]
fn a_restart_between_two_writes_is_not_noticed() {
    let mut etcd = Etcd::start();
    let client = client(within(10_000, etcd.options()));
    for n in 0..5 {
        // The connection of the write before is dead: that must be known before this one is sent on it.
        client.put("k", format!("{n}"), &PLAIN).unwrap();
        etcd.kill();
        etcd.restart();
    }
    assert_eq!(client.get("k").unwrap().unwrap().version, 5);
}

#[test]
fn a_write_cut_in_the_middle_may_have_happened_and_is_not_repeated() {
    let etcd = Etcd::start();
    let direct = client(etcd.options());
    for mode in [Mode::NoThread, Mode::BackgroundThread] {
        let proxy = Proxy::start(etcd.port());
        let client = blocking::Client::new(options_for(&[proxy.port()]), mode).unwrap();
        let before = client.put("k", "before", &PLAIN).unwrap();
        proxy.hold_answers(true);
        let writing = {
            let client = client.clone();
            std::thread::spawn(move || client.put("k", "cut", &PLAIN))
        };
        wait_until("the write has arrived", || {
            direct.get("k").unwrap().unwrap().mod_revision > before
        });
        proxy.cut();
        let error = writing.join().unwrap().unwrap_err();
        assert_eq!(
            (error.kind, error.maybe_committed),
            (ErrorKind::Unavailable, true),
            "{error}"
        );
        assert!(!error.retryable());
        assert!(error.message.contains("may have happened"), "{error}");
        assert_eq!(direct.get("k").unwrap().unwrap().mod_revision, before + 1);

        // The client is of use again.
        proxy.hold_answers(false);
        assert_eq!(client.put("k", "after", &PLAIN).unwrap(), before + 2);
    }
}

#[test]
fn a_write_without_an_answer_times_out_as_unknown_and_a_read_as_known() {
    let etcd = Etcd::start();
    let proxy = Proxy::start(etcd.port());
    let client = client(within(300, options_for(&[proxy.port()])));
    client.put("k", "1", &PLAIN).unwrap();
    proxy.hold_answers(true);
    let error = client.put("k", "2", &PLAIN).unwrap_err();
    assert_eq!(
        (error.kind, error.maybe_committed),
        (ErrorKind::Timeout, true),
        "{error}"
    );
    let error = client.get("k").unwrap_err();
    assert_eq!(
        (error.kind, error.maybe_committed),
        (ErrorKind::Timeout, false),
        "{error}"
    );
    proxy.hold_answers(false);
    assert_eq!(client.get("k").unwrap().unwrap().value, "2");
}

#[test]
fn a_read_leaves_a_member_that_hangs() {
    let etcd = Etcd::start();
    let proxy = Proxy::start(etcd.port());
    let client = client(within(2_000, options_for(&[proxy.port(), etcd.port()])));
    client.put("k", "v", &PLAIN).unwrap();
    proxy.hold_answers(true);
    assert_eq!(client.get("k").unwrap().unwrap().value, "v");
    // And stays away from it: a write is attempted once.
    client.put("k", "w", &PLAIN).unwrap();
}

#[test]
fn a_read_survives_cut_connections() {
    let etcd = Etcd::start();
    let proxy = Proxy::start(etcd.port());
    let client = client(options_for(&[proxy.port()]));
    client.put("k", "v", &PLAIN).unwrap();
    for _ in 0..20 {
        proxy.cut();
        assert_eq!(client.get("k").unwrap().unwrap().value, "v");
    }
}

#[test]
fn a_socket_path_that_cannot_be_is_refused_at_once() {
    let long = format!("/tmp/{}", "x".repeat(200));
    let options = Options {
        address: Address::Unix(long.into()),
        ..Options::default()
    };
    let error = client(options).get("k").unwrap_err();
    assert_eq!(error.kind, ErrorKind::InvalidArgument, "{error}");
}

#[test]
fn a_server_that_is_none_is_named() {
    // Accepts and closes at once.
    let proxy = Proxy::start(free_port());
    proxy.refuse(true);
    let client = client(within(300, options_for(&[proxy.port()])));
    let error = client.get("k").unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
    assert!(error.message.contains(&proxy.port().to_string()), "{error}");
    assert!(proxy.accepted() > 1);
}
