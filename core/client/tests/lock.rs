//! Locks, with leases on a real etcd and with an agent that does as it is told.

mod support;

use std::time::{Duration, Instant};

use cfgstore_client::blocking::{self, Mode};
use cfgstore_client::{Address, ErrorKind, LockOptions, Options, Range};
use cfgstore_proto::cfgstore::v1::hold_response::Response;
use cfgstore_proto::cfgstore::v1::{Acquired, Lost, TimedOut};
use support::scripted::{Scripted, Seen};
use support::{Etcd, PATIENCE, socket_in, wait_until};

const MODES: [Mode; 2] = [Mode::NoThread, Mode::BackgroundThread];

fn waiting(wait: Duration) -> LockOptions {
    LockOptions {
        wait,
        ..LockOptions::default()
    }
}

// ---- leases on etcd ----

#[test]
fn one_holder_at_a_time_and_growing_tokens() {
    let etcd = Etcd::start();
    let client = etcd.client(Mode::BackgroundThread);
    let other = etcd.client(Mode::BackgroundThread);
    let mut first = client.lock("deploy", &waiting(Duration::ZERO)).unwrap();
    assert!(first.is_held());
    assert!(first.key().starts_with(b"/_cfgstore/lock/deploy/"));

    let error = other.lock("deploy", &waiting(Duration::ZERO)).unwrap_err();
    assert_eq!(
        (error.kind, error.maybe_committed),
        (ErrorKind::Timeout, false),
        "{error}"
    );
    let began = Instant::now();
    let error = other
        .lock("deploy", &waiting(Duration::from_millis(300)))
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Timeout, "{error}");
    assert!(began.elapsed() >= Duration::from_millis(300));
    assert!(other.lock("another", &waiting(Duration::ZERO)).unwrap().is_held());

    let next = std::thread::spawn(move || other.lock("deploy", &waiting(PATIENCE)).unwrap());
    let queued = Range::prefix("/_cfgstore/lock/deploy/");
    wait_until("the second waits", || client.range(&queued).unwrap().count == 2);
    first.release().unwrap();
    let mut next = next.join().unwrap();
    assert!(next.token() > first.token());
    assert!(next.is_held() && !first.is_held());
    first.release().unwrap();
    assert_eq!(first.check().unwrap_err().kind, ErrorKind::LockLost);
}

#[test]
fn a_dropped_lock_is_free_and_leaves_nothing_behind() {
    let etcd = Etcd::start();
    let client = etcd.client(Mode::BackgroundThread);
    let all = Range::prefix("/_cfgstore/");
    for _ in 0..3 {
        drop(client.lock("l", &waiting(Duration::ZERO)).unwrap());
        wait_until("the key is gone", || client.range(&all).unwrap().count == 0);
    }
    let held = client.lock("l", &waiting(Duration::ZERO)).unwrap();
    assert!(client.lock("l", &waiting(Duration::from_millis(50))).is_err());
    assert_eq!(client.range(&all).unwrap().count, 1);
    drop(held);
}

#[test]
fn a_lock_that_outlives_its_client_is_free_when_it_is_dropped() {
    let etcd = Etcd::start();
    let other = etcd.client(Mode::BackgroundThread);
    let client = etcd.client(Mode::BackgroundThread);
    let mut held = client.lock("l", &waiting(Duration::ZERO)).unwrap();
    drop(client);
    assert!(held.is_held());
    drop(held);
    assert!(other.lock("l", &waiting(Duration::ZERO)).unwrap().is_held());
}

#[test]
fn a_lock_outlives_its_ttl_while_it_is_kept_and_is_lost_when_its_lease_is() {
    let etcd = Etcd::start();
    let client = etcd.client(Mode::BackgroundThread);
    let options = LockOptions {
        ttl: Duration::from_secs(1),
        wait: Duration::ZERO,
    };
    let mut lock = client.lock("l", &options).unwrap();
    let held_until = Instant::now() + Duration::from_millis(2500);
    wait_until("its first time to live has passed", || {
        assert!(lock.is_held());
        Instant::now() > held_until
    });
    let key = client.range(&Range::prefix("/_cfgstore/")).unwrap().kvs.remove(0);
    revoke(&etcd, key.lease);
    wait_until("the loss is noticed", || !lock.is_held());
    let error = lock.check().unwrap_err();
    assert_eq!(error.kind, ErrorKind::LockLost);
    assert!(error.message.contains("\"l\""), "{error}");
    assert_eq!(lock.release().unwrap_err().kind, ErrorKind::LockLost);
}

fn revoke(etcd: &Etcd, lease: i64) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let options = etcd.options();
    runtime
        .block_on(async { cfgstore_client::Client::new(options)?.lease_revoke(lease).await })
        .unwrap();
}

#[test]
fn a_lock_is_lost_when_its_server_stays_away() {
    let mut etcd = Etcd::start();
    let client = etcd.client(Mode::BackgroundThread);
    let options = LockOptions {
        ttl: Duration::from_secs(2),
        wait: Duration::ZERO,
    };
    let mut lock = client.lock("l", &options).unwrap();
    etcd.kill();
    wait_until("its time to live has passed", || !lock.is_held());
}

#[test]
fn without_a_thread_a_lease_cannot_be_kept() {
    let etcd = Etcd::start();
    let error = etcd
        .client(Mode::NoThread)
        .lock("l", &LockOptions::default())
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unsupported);
    assert!(error.message.contains("agent"), "{error}");
}

#[test]
fn bad_locks_are_refused() {
    let etcd = Etcd::start();
    let client = etcd.client(Mode::BackgroundThread);
    let error = client.lock("", &LockOptions::default()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::InvalidArgument);
    let error = client
        .lock(
            "l",
            &LockOptions {
                ttl: Duration::ZERO,
                wait: Duration::ZERO,
            },
        )
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::InvalidArgument);
}

// ---- with an agent ----

fn acquired(token: i64) -> Response {
    Response::Acquired(Acquired {
        key: "/_cfgstore/lock/l/1".into(),
        token,
        lease: 1,
    })
}

fn on_agent(agent: &Scripted, mode: Mode) -> blocking::Client {
    let address = Address::Unix(agent.path().to_owned());
    blocking::Client::new(
        Options {
            address,
            prefix: b"p/".into(),
            ..Options::default()
        },
        mode,
    )
    .unwrap()
}

#[test]
fn an_agent_holds_the_lock_until_it_is_released() {
    for mode in MODES {
        let folder = tempfile::tempdir().unwrap();
        let agent = Scripted::start(&socket_in(&folder));
        agent.on_lock(acquired(7));
        let options = LockOptions {
            ttl: Duration::from_micros(2_500_001),
            wait: Duration::from_secs(3),
        };
        let mut lock = on_agent(&agent, mode).lock("l", &options).unwrap();
        assert_eq!((lock.token(), lock.key()), (7, &b"/_cfgstore/lock/l/1"[..]));
        let Seen::Acquire(asked) = &agent.seen()[0] else {
            panic!()
        };
        assert_eq!(
            (&asked.name[..], asked.ttl_ms, asked.wait_ms),
            (&b"/_cfgstore/lock/p/l"[..], 2501, 3000)
        );
        assert!(lock.is_held());
        lock.release().unwrap();
        assert!(!lock.is_held());
        lock.release().unwrap();
        wait_until("the stream ends", || {
            agent.seen()[1..] == [Seen::Release, Seen::Gone]
        });
    }
}

#[test]
fn a_dropped_lock_ends_its_connection_at_once() {
    for mode in MODES {
        let folder = tempfile::tempdir().unwrap();
        let agent = Scripted::start(&socket_in(&folder));
        let client = on_agent(&agent, mode);
        agent.on_lock(acquired(7));
        drop(client.lock("l", &LockOptions::default()).unwrap());
        wait_until("the stream ends", || agent.seen()[1..] == [Seen::Gone]);
    }
}

#[test]
fn an_agent_that_says_lost_or_dies_is_believed() {
    for mode in MODES {
        let folder = tempfile::tempdir().unwrap();
        let agent = Scripted::start(&socket_in(&folder));
        let client = on_agent(&agent, mode);
        agent.on_lock(acquired(7));
        agent.on_lock(acquired(8));
        let mut told = client.lock("l", &LockOptions::default()).unwrap();
        agent.push_to_lock(Response::Lost(Lost {
            reason: "the lease was revoked".into(),
        }));
        wait_until("the word arrives", || !told.is_held());
        assert!(
            told.check()
                .unwrap_err()
                .message
                .contains("the lease was revoked")
        );
        assert_eq!(told.release().unwrap_err().kind, ErrorKind::LockLost);

        let mut orphaned = client.lock("l", &LockOptions::default()).unwrap();
        assert!(orphaned.is_held());
        drop(agent);
        wait_until("the end arrives", || !orphaned.is_held());
        assert_eq!(orphaned.release().unwrap_err().kind, ErrorKind::LockLost);
    }
}

#[test]
fn a_wait_in_vain_is_a_timeout() {
    for mode in MODES {
        let folder = tempfile::tempdir().unwrap();
        let agent = Scripted::start(&socket_in(&folder));
        agent.on_lock(Response::TimedOut(TimedOut {}));
        let error = on_agent(&agent, mode)
            .lock("l", &LockOptions::default())
            .unwrap_err();
        assert_eq!(error.kind, ErrorKind::Timeout);
        assert!(error.message.contains("held by another"), "{error}");
    }
}
