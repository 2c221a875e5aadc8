//! Apache with mod_php: graceful restarts load and initialise the module once more in one process, under load.

use cfgstore_client::blocking::Client;
use cfgstore_client::{PutOptions, Txn};
use cfgstore_tests::{Apache, Held, Host, processes_in_group, wait_until};
use serde_json::Value;
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

const WORKERS: usize = 4;
const RESTARTS: usize = 3;
const ANSWERS_BETWEEN_RESTARTS: u64 = 40;
const CHANGES_BETWEEN_RESTARTS: u64 = 20;

fn write_pair(client: &Client, number: u64) {
    let value = number.to_string();
    let txn = Txn::new().put("pair/a", value.clone()).put("pair/b", value);
    client.txn(txn).expect("transaction");
}

/// The number that a request saw in both keys.
fn seen(apache: &Apache, path: &str) -> u64 {
    let response = apache.get(path);
    assert_eq!(response.status, 200, "{}", response.body);
    let answer: Value = serde_json::from_str(&response.body).expect(&response.body);
    assert_eq!(answer["a"], answer["b"], "one request saw two revisions");
    answer["a"].as_u64().expect(&response.body)
}

#[test]
fn graceful_restarts_under_load_and_a_graceful_stop() {
    let host = Host::new();
    let apache = Apache::start(&host, WORKERS);
    let settings = apache.get("/info.php").body;
    assert_eq!(settings, "apache2handler: immutable values, reads see request");
    assert_eq!(
        apache.get("/put-get.php").status,
        200,
        "the first use starts the store"
    );
    let client = host.client();
    write_pair(&client, 0);
    let document =
        r#"{"n":0,"list":[0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19],"map":{"a":{"b":"deep 0"}}}"#;
    client
        .put("document", document, &PutOptions::default())
        .expect("a write");
    let (answered, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let written = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let stop_at_end = StopAtEnd(&stop);
        let writer = scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                write_pair(&client, written.load(Ordering::Relaxed) + 1);
                written.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        let readers: Vec<_> = ["/pair.php", "/pair.php?slow", "/put-get.php", "/values.php"]
            .map(|path| {
                let (apache, stop, answered, written) = (&apache, &stop, &answered, &written);
                scope.spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        let before = written.load(Ordering::Relaxed);
                        if path.starts_with("/pair") {
                            assert!(seen(apache, path) >= before, "an old value");
                        } else {
                            let response = apache.get(path);
                            assert_eq!(response.status, 200, "{}", response.body);
                        }
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .into_iter()
            .collect();
        let a_part_has_ended = || writer.is_finished() || readers.iter().any(|reader| reader.is_finished());
        for _ in 0..RESTARTS {
            let before: HashSet<i32> = apache.workers().into_iter().collect();
            apache.parent().signal(libc::SIGUSR1);
            wait_until("new workers", || {
                let now = apache.workers();
                (now.len() == WORKERS && now.iter().all(|pid| !before.contains(pid))) || a_part_has_ended()
            });
            let (answered_before, written_before) =
                (answered.load(Ordering::Relaxed), written.load(Ordering::Relaxed));
            wait_until("answers from them, and changes", || {
                (answered.load(Ordering::Relaxed) - answered_before > ANSWERS_BETWEEN_RESTARTS
                    && written.load(Ordering::Relaxed) - written_before > CHANGES_BETWEEN_RESTARTS)
                    || a_part_has_ended()
            });
        }
        drop(stop_at_end);
        for reader in readers {
            reader.join().expect("no failed request");
        }
        writer.join().expect("no failed write");
    });
    println!(
        "{RESTARTS} restarts, {} requests, {} changes",
        answered.into_inner(),
        written.load(Ordering::Relaxed)
    );
    assert_eq!(host.servers().len(), 1, "one store all along");

    let last = written.into_inner();
    let held = Held::start(&host, apache.port(), WORKERS);
    let parent = apache.parent().pid();
    apache.parent().signal(libc::SIGWINCH);
    write_pair(&client, last + 1);
    for response in held.go_on() {
        assert_eq!(response.status, 200, "{}", response.body);
        let answer: Value = serde_json::from_str(&response.body).expect(&response.body);
        assert_eq!((&answer["a"], &answer["b"]), (&last.into(), &last.into()));
    }
    assert!(apache.wait().success());
    wait_until("the workers to be gone", || processes_in_group(parent).is_empty());
    assert_eq!(host.servers().len(), 1, "the store goes on");
}

/// Ends the load when it is dropped: a test that fails must not wait for threads that go on.
struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
