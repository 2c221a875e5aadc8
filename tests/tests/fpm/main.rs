//! What an application sees in php-fpm behind nginx, under load and while everything around it changes.

use cfgstore_client::Txn;
use cfgstore_client::blocking::Client;
use cfgstore_tests::{
    Fpm, FpmOptions, Host, HttpConnection, descriptors, mappings, monotonic_ns, processes_matching,
    wait_until,
};
use serde_json::Value;
use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const STALE_AT_MOST_NS: i64 = 50_000_000;

fn number(answer: &Value, field: &str) -> i64 {
    answer[field]
        .as_i64()
        .unwrap_or_else(|| panic!("no number {field:?} in {answer}"))
}

fn write_pair(client: &Client, n: u64) -> i64 {
    let value = n.to_string();
    let txn = Txn::new().put("pair/a", value.clone()).put("pair/b", value);
    client.txn(txn).expect("transaction").revision
}

/// One revision per request; a write is read back; every worker sees the last value within 50 ms of its write.
#[test]
fn requests_under_load_see_one_revision_each_and_it_is_fresh() {
    let host = Host::new();
    let fpm = Fpm::start(&host, &FpmOptions::default());
    assert_eq!(
        fpm.get("/put-get.php").status,
        200,
        "the first request starts the store"
    );
    let client = host.client();
    write_pair(&client, 0);
    wait_until("the pair to be on the page", || {
        fpm.get("/pair.php").status == 200
    });

    let stop = AtomicBool::new(false);
    // (when acknowledged, number), in order
    let written: Mutex<Vec<(i64, i64)>> = Mutex::new(vec![(monotonic_ns(), 0)]);
    let requests = AtomicU64::new(0);
    let mut observed: Vec<(i64, i64, i64)> = Vec::new(); // (clock at the first read, number, worker)
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let started = Instant::now();
            for n in 1.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                write_pair(&client, n);
                written.lock().expect("lock").push((monotonic_ns(), n as i64));
                // the load: 100 changes a second
                std::thread::sleep((Duration::from_millis(10) * n as u32).saturating_sub(started.elapsed()));
            }
        });
        let readers: Vec<_> = (0..8)
            .map(|reader| {
                let (requests, port, stop) = (&requests, fpm.port(), &stop);
                scope.spawn(move || {
                    let mut connection = HttpConnection::open(port).expect("connect");
                    let mut seen = Vec::new();
                    let path = if reader % 2 == 0 {
                        "/pair.php"
                    } else {
                        "/pair.php?slow"
                    };
                    while !stop.load(Ordering::Relaxed) {
                        let response = connection.get(path).expect("request");
                        assert_eq!(response.status, 200, "{}", response.body);
                        let answer: Value = serde_json::from_str(&response.body).expect(&response.body);
                        assert_eq!(
                            answer["a"], answer["b"],
                            "one request saw two revisions: {answer}"
                        );
                        seen.push((
                            number(&answer, "at"),
                            number(&answer, "a"),
                            number(&answer, "pid"),
                        ));
                        requests.fetch_add(1, Ordering::Relaxed);
                    }
                    seen
                })
            })
            .collect();
        let own = scope.spawn(|| {
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
        });
        let until = Instant::now() + load_time();
        while Instant::now() < until
            && !own.is_finished()
            && readers.iter().all(|reader| !reader.is_finished())
        {
            std::thread::sleep(Duration::from_millis(50));
        }
        stop.store(true, Ordering::Relaxed);
        own.join().expect("writes read back");
        for reader in readers {
            observed.extend(reader.join().expect("consistent reads"));
        }
    });

    let written = written.into_inner().expect("lock");
    let workers: HashSet<i64> = observed.iter().map(|&(_, _, pid)| pid).collect();
    assert_eq!(workers.len(), 8, "every worker answered");
    let mut worst = 0;
    for &(at, seen, pid) in &observed {
        // the first write this request missed, if there is one
        let missed = written.partition_point(|&(_, n)| n <= seen);
        if let Some(&(acknowledged, n)) = written.get(missed) {
            worst = worst.max(at - acknowledged);
            assert!(
                at - acknowledged <= STALE_AT_MOST_NS,
                "worker {pid} saw {seen}, {} ms after {n} was written",
                (at - acknowledged) / 1_000_000
            );
        }
    }
    println!(
        "{} requests by {} workers, {} transactions; the stalest read missed a write of {:.2} ms before",
        requests.load(Ordering::Relaxed),
        workers.len(),
        written.len(),
        worst.max(0) as f64 / 1e6
    );
    assert!(written.len() > 100, "the writer got to write");
}

/// 30 seconds of load; more under `make soak`.
fn load_time() -> Duration {
    let seconds = std::env::var("CFGSTORE_LOAD_SECONDS")
        .ok()
        .and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(30))
}

#[test]
fn a_reload_under_load_fails_no_request() {
    let host = Host::new();
    let fpm = Fpm::start(
        &host,
        &FpmOptions {
            workers: 4,
            ..FpmOptions::default()
        },
    );
    assert_eq!(fpm.get("/put-get.php").status, 200);
    let client = host.client();
    write_pair(&client, 0);
    let answered = AtomicU64::new(0);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut connection = HttpConnection::open(fpm.port()).expect("connect");
                    let mut n = 1;
                    while !stop.load(Ordering::Relaxed) {
                        let response = connection.get("/pair.php?slow").expect("request");
                        assert_eq!(response.status, 200, "{}", response.body);
                        answered.fetch_add(1, Ordering::Relaxed);
                        n += 1;
                        if n % 50 == 0 {
                            write_pair(&client, n);
                        }
                    }
                })
            })
            .collect();
        for _ in 0..5 {
            let before: HashSet<i32> = fpm.workers().into_iter().collect();
            let answered_before = answered.load(Ordering::Relaxed);
            fpm.master().signal(libc::SIGUSR2);
            wait_until("new workers, and answers from them", || {
                let now = fpm.workers();
                let replaced = now.len() == 4 && now.iter().all(|pid| !before.contains(pid));
                (replaced && answered.load(Ordering::Relaxed) > answered_before + 100)
                    || readers.iter().any(|reader| reader.is_finished())
            });
        }
        stop.store(true, Ordering::Relaxed);
        for reader in readers {
            reader.join().expect("no failed request");
        }
    });
    assert_eq!(host.servers().len(), 1, "one store all along");
}

#[test]
fn a_worker_per_request_leaks_nothing() {
    let host = Host::new();
    let fpm = Fpm::start(
        &host,
        &FpmOptions {
            workers: 4,
            max_requests: 1,
            ..FpmOptions::default()
        },
    );
    assert_eq!(fpm.get("/put-get.php").status, 200);
    let client = host.client();
    write_pair(&client, 0);
    let server = host.servers()[0];
    let data_dir = host.data_dir().display().to_string();
    let counts = || {
        (
            descriptors(fpm.master().pid()),
            mappings(fpm.master().pid(), "cfgstore-"),
            descriptors(server),
        )
    };
    // Lets the first workers go, then counts; the server's side of a closed connection is gone a moment later.
    for _ in 0..20 {
        assert_eq!(fpm.get("/put-get.php").status, 200);
    }
    let mut before = counts();
    wait_until("the count to settle", || {
        let settled = before == counts();
        before = counts();
        settled
    });
    for n in 0..1000 {
        let path = if n % 10 == 0 { "/put-get.php" } else { "/pair.php" };
        let response = fpm.get(path);
        assert_eq!(response.status, 200, "{}", response.body);
    }
    wait_until("the workers of old requests to be gone", || {
        fpm.workers().len() == 4
    });
    assert_eq!(
        processes_matching(&data_dir).len(),
        1,
        "only cfgstored knows the data folder"
    );
    // The store itself may have opened a file meanwhile: it prepares its log's next one in the background. A leak would be
    // a descriptor for each connection, of which every tenth request made one.
    let few = before.2 + 10;
    let mut after = counts();
    wait_until("descriptors and mappings to be as before", || {
        after = counts();
        after.0 <= before.0 && after.1 <= before.1 && after.2 <= few
    });
    println!(
        "descriptors of the master, mappings of the master, descriptors of cfgstored: before {before:?}, after {after:?}"
    );
}
