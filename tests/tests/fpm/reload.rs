//! SIGUSR2: all workers are replaced in mid-load.

use crate::pair::{Seen, StopAtEnd, write_first_pair, write_pairs_until};
use cfgstore_tests::{Fpm, FpmOptions, Host, HttpConnection, wait_until};
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

const WORKERS: usize = 8;
const RELOADS: usize = 5;
const ANSWERS_BETWEEN_RELOADS: u64 = 200;

#[test]
fn a_reload_under_load_fails_no_request() {
    let host = Host::new();
    let fpm = Fpm::start(
        &host,
        &FpmOptions {
            workers: WORKERS,
            ..FpmOptions::default()
        },
    );
    assert_eq!(fpm.get("/put-get.php").status, 200);
    let client = host.client();
    write_first_pair(&client, &fpm);
    let answered = AtomicU64::new(0);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _stop_all = StopAtEnd(&stop);
        let writer = scope.spawn(|| write_pairs_until(&client, &stop));
        let readers: Vec<_> = (0..WORKERS)
            .map(|_| {
                scope.spawn(|| {
                    let mut connection = HttpConnection::open(fpm.port()).expect("connect");
                    while !stop.load(Ordering::Relaxed) {
                        Seen::parse(&connection.get("/pair.php?slow").expect("request"));
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        let a_part_has_ended = || writer.is_finished() || readers.iter().any(|reader| reader.is_finished());
        for _ in 0..RELOADS {
            let before: HashSet<i32> = fpm.workers().into_iter().collect();
            let answered_before = answered.load(Ordering::Relaxed);
            fpm.master().signal(libc::SIGUSR2);
            wait_until("new workers, and answers from them", || {
                let now = fpm.workers();
                let replaced = now.len() == WORKERS && now.iter().all(|pid| !before.contains(pid));
                let answers = answered.load(Ordering::Relaxed) - answered_before;
                (replaced && answers > ANSWERS_BETWEEN_RELOADS) || a_part_has_ended()
            });
        }
        stop.store(true, Ordering::Relaxed);
        for reader in readers {
            reader.join().expect("no failed request");
        }
        let written = writer.join().expect("the load of writes");
        println!(
            "{RELOADS} reloads, {} requests, {} transactions",
            answered.load(Ordering::Relaxed),
            written.len()
        );
    });
    assert_eq!(host.servers().len(), 1, "one store all along");
}
