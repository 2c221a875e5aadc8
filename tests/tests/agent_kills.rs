//! An agent is killed again and again under php-fpm's load: no read fails, no change is lost, no lock stays taken.

use cfgstore_client::{LockOptions, PutOptions};
use cfgstore_tests::{Fpm, FpmOptions, HttpConnection, Process, Remote, wait_until};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

const KILLS: usize = 100;
/// One in so many is asked to end, as a service manager does.
const ASKED_ONE_IN: usize = 10;
const WORKERS: usize = 4;
const LOCKS: u64 = 7;

struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_hundred_ends_of_the_agent_are_seen_by_nobody() {
    let remote = Remote::start();
    let member = remote.client();
    let put = |n: u64| {
        member
            .put("counter", n.to_string(), &PutOptions::default())
            .expect("a put")
    };
    let first = put(0);
    let fpm = Fpm::start(
        &remote.host,
        &FpmOptions {
            workers: WORKERS,
            settings: vec![remote.setting()],
            ..FpmOptions::default()
        },
    );
    assert_eq!(fpm.get("/guarded.php?n=1").body, "0");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/php/watcher.php");
    // As the workers' user, like any worker of the application: it may have to start the agent.
    let mut watcher = std::process::Command::new("setpriv");
    watcher
        .args(["--reuid=www-data", "--regid=www-data", "--clear-groups"])
        .arg("php8.2")
        .args(remote.host.php_settings())
        .args(["-d", &remote.setting(), "-r"])
        .arg(
            std::fs::read_to_string(script)
                .expect("script")
                .trim_start_matches("<?php"),
        )
        .arg("--")
        .arg(first.to_string());
    let watcher = Process::spawn(&mut watcher);
    watcher.line_with("ready");

    let (stop, served, written) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let mut sees = 0;
    std::thread::scope(|scope| {
        let _stop_all = StopAtEnd(&stop);
        let writer = scope.spawn(|| {
            let client = remote.client();
            while !stop.load(Ordering::Relaxed) {
                let n = written.load(Ordering::Relaxed) + 1;
                client
                    .put("counter", n.to_string(), &PutOptions::default())
                    .expect("the member stays");
                written.store(n, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        let load: Vec<_> = (0..WORKERS)
            .map(|_| scope.spawn(|| request_until(&fpm, &served, &stop)))
            .collect();
        assert_eq!(watcher.line().as_deref(), Some("sees 0"));
        let mut see_next = || {
            sees += 1;
            assert_eq!(
                watcher.line(),
                Some(format!("sees {sees}")),
                "no gap, and nothing twice"
            );
            sees
        };
        for kill in 1..=KILLS {
            let agents = remote.host.servers();
            assert!(agents.len() <= 1, "one agent: {agents:?}");
            remote.host.signal_servers(if kill % ASKED_ONE_IN == 0 {
                libc::SIGTERM
            } else {
                libc::SIGKILL
            });
            wait_until("its end", || {
                !agents.iter().any(|pid| remote.host.servers().contains(pid))
            });
            // What is written from here on comes through the next agent.
            let goal = written.load(Ordering::Relaxed) + 5;
            while see_next() < goal {}
            let failed = load.iter().any(|thread| thread.is_finished()) || writer.is_finished();
            assert!(!failed, "the load goes on after kill {kill}");
        }
        stop.store(true, Ordering::Relaxed);
        writer.join().expect("the writer");
        for thread in load {
            thread.join().expect("no failed read");
        }
        let last = written.load(Ordering::Relaxed);
        while sees < last {
            sees += 1;
            assert_eq!(
                watcher.line(),
                Some(format!("sees {sees}")),
                "no gap, and nothing twice"
            );
        }
    });
    // The sooner the better, but no clock is asked here.
    watcher.signal(libc::SIGTERM);
    assert_eq!(watcher.line().as_deref(), Some("told to end"));
    assert_eq!(watcher.line(), None, "no change comes twice");

    // Whatever became of their holders: each can be had, which its time to live bounds.
    let client = remote.agent_client();
    let options = LockOptions {
        ttl: Duration::from_secs(2),
        wait: Duration::from_secs(20),
    };
    for n in 0..LOCKS {
        let mut lock = client.lock(format!("job/{n}"), &options).expect("a free lock");
        lock.release().expect("it is held");
    }
    // The member's keys of every kind.
    wait_until("no lock's key to be left", || remote.member_keys() == ["counter"]);
    println!(
        "{KILLS} ends of the agent: {} requests, {} changes, each seen once",
        served.load(Ordering::Relaxed),
        written.load(Ordering::Relaxed)
    );
}

fn request_until(fpm: &Fpm, served: &AtomicU64, stop: &AtomicBool) {
    let mut connection = HttpConnection::open(fpm.port()).expect("connect");
    while !stop.load(Ordering::Relaxed) {
        let n = served.fetch_add(1, Ordering::Relaxed);
        let response = connection.get(&format!("/guarded.php?n={n}")).expect("request");
        assert_eq!(response.status, 200, "request {n}: {}", response.body);
        assert!(
            response.body.parse::<u64>().is_ok(),
            "request {n}: {}",
            response.body
        );
        std::thread::sleep(Duration::from_millis(1));
    }
}
