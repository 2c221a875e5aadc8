//! One revision per request; a write is read back; every worker sees the last value within 50 ms of its write.
//!
//! Nothing that delays the measuring side counts against the bound: a write's clock is read after its answer came, and a request's
//! before its first read.

use crate::pair::{Seen, StopAtEnd, Write, write_first_pair, write_pair, write_pairs_until};
use cfgstore_client::blocking::{Client, Mode};
use cfgstore_client::{Address, Options};
use cfgstore_tests::{Fpm, FpmOptions, Host, HttpConnection, Port, mappings, wait_until};
use serde_json::Value;
use std::collections::HashSet;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const STALE_AT_MOST_NS: i64 = 50_000_000;
const WORKERS: usize = 8;
/// A reader maps one generation, of which a base and a delta are files, while it opens the next.
const MIRROR_MAPPINGS_AT_MOST: usize = 8;

/// Over the host's socket, a write is answered when the mirror holds it.
#[test]
fn requests_under_load_see_one_revision_each_and_it_is_fresh() {
    let host = Host::new();
    let fpm = Fpm::start(&host, &FpmOptions::default());
    assert_eq!(
        fpm.get("/put-get.php").status,
        200,
        "the first request starts the store"
    );
    see_what_is_written(&host, &fpm, &host.client());
}

/// Over TCP it is answered at once, as for writers on other hosts: what is measured is the way to the mirror.
#[test]
fn what_is_written_over_tcp_is_fresh_too() {
    let host = Host::new();
    let fpm = Fpm::start(&host, &FpmOptions::default());
    let port = Port::free();
    let url = format!("http://127.0.0.1:{}", port.number());
    // As the user of the workers, whose data folder it is.
    let owner = std::fs::metadata(host.data_dir()).expect("data folder");
    let server = host.start_cfgstored(
        host.cfgstored_command()
            .args(["--listen-client-urls", &url])
            .uid(owner.uid())
            .gid(owner.gid()),
    );
    let options = Options {
        address: Address::parse(&url).expect("address"),
        ..Options::default()
    };
    let client = Client::new(options, Mode::NoThread).expect("client");
    see_what_is_written(&host, &fpm, &client);
    assert_eq!(
        host.servers(),
        [server.pid()],
        "the workers started no store of their own"
    );
}

fn see_what_is_written(host: &Host, fpm: &Fpm, client: &Client) {
    let mut written = vec![write_first_pair(client, fpm)];
    let (stop_writing, stop) = (AtomicBool::new(false), AtomicBool::new(false));
    let seen: Mutex<Vec<Seen>> = Mutex::default();
    std::thread::scope(|scope| {
        let _stop_all = (StopAtEnd(&stop_writing), StopAtEnd(&stop));
        let writer = scope.spawn(|| write_pairs_until(client, &stop_writing));
        let mut load: Vec<_> = (0..WORKERS)
            .map(|n| {
                let path = if n % 2 == 0 { "/pair.php" } else { "/pair.php?slow" };
                let (seen, stop) = (&seen, &stop);
                scope.spawn(move || read_pairs(fpm, path, seen, stop))
            })
            .collect();
        load.push(scope.spawn(|| write_and_read_back(fpm, &stop)));
        let a_part_has_ended = || load.iter().any(|thread| thread.is_finished());

        let until = Instant::now() + load_time();
        while Instant::now() < until && !writer.is_finished() && !a_part_has_ended() {
            std::thread::sleep(Duration::from_millis(50));
        }
        stop_writing.store(true, Ordering::Relaxed);
        written.extend(writer.join().expect("the load of writes"));
        // The load of reads goes on until each worker has shown the last value.
        let seen_before = seen.lock().expect("lock").len();
        let last = write_pair(client, written.len() as i64);
        written.push(last);
        let workers: HashSet<i32> = fpm.workers().into_iter().collect();
        assert_eq!(workers.len(), WORKERS);
        wait_until("every worker to show the last value", || {
            let seen = seen.lock().expect("lock");
            let showing = seen[seen_before..]
                .iter()
                .filter(|seen| seen.number == last.number);
            showing.map(|seen| seen.worker).collect::<HashSet<_>>() == workers || a_part_has_ended()
        });
        stop.store(true, Ordering::Relaxed);
        for thread in load {
            thread.join().expect("consistent reads");
        }
    });

    let seen = seen.into_inner().expect("lock");
    let worst_ns = seen.iter().map(|seen| stale_ns(seen, &written)).max();
    println!(
        "{} requests, {} transactions; the stalest read missed a write of {:.2} ms before",
        seen.len(),
        written.len(),
        worst_ns.unwrap_or(0) as f64 / 1e6
    );
    let mirror = std::fs::read_link(host.data_dir().join("mirror")).expect("the mirror's link");
    for worker in fpm.workers() {
        let mapped = mappings(worker, &mirror.display().to_string());
        assert!(
            (1..=MIRROR_MAPPINGS_AT_MOST).contains(&mapped),
            "worker {worker} maps {mapped} files of the mirror"
        );
    }
}

/// How long the first write that this request missed had been acknowledged; 0 if it missed none.
///
/// # Panics
/// When that is over the bound.
fn stale_ns(seen: &Seen, written: &[Write]) -> i64 {
    let missed = written.partition_point(|write| write.number <= seen.number);
    let Some(write) = written.get(missed) else {
        return 0;
    };
    let stale_ns = seen.at_ns - write.acknowledged_ns;
    assert!(
        stale_ns <= STALE_AT_MOST_NS,
        "worker {} saw {}, {} ms after {} was written",
        seen.worker,
        seen.number,
        stale_ns / 1_000_000,
        write.number
    );
    stale_ns.max(0)
}

fn read_pairs(fpm: &Fpm, path: &str, seen: &Mutex<Vec<Seen>>, stop: &AtomicBool) {
    let mut connection = HttpConnection::open(fpm.port()).expect("connect");
    while !stop.load(Ordering::Relaxed) {
        let one = Seen::parse(&connection.get(path).expect("request"));
        seen.lock().expect("lock").push(one);
    }
}

fn write_and_read_back(fpm: &Fpm, stop: &AtomicBool) {
    let mut connection = HttpConnection::open(fpm.port()).expect("connect");
    while !stop.load(Ordering::Relaxed) {
        let response = connection.get("/put-get.php").expect("request");
        assert_eq!(response.status, 200, "{}", response.body);
        let answer: Value = serde_json::from_str(&response.body).expect(&response.body);
        assert_eq!(
            answer["wrote"], answer["read"],
            "a request did not read its own write: {answer}"
        );
        assert_eq!(answer["moved"], true, "{answer}");
    }
}

/// 30 seconds of load; more under `make soak`.
fn load_time() -> Duration {
    let seconds = std::env::var("CFGSTORE_LOAD_SECONDS")
        .ok()
        .and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(30))
}
