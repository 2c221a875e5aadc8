//! Workers that fork in their requests: no side hangs, none harms the other.

use crate::pair::{Seen, StopAtEnd, write_first_pair, write_pairs_until};
use cfgstore_tests::{Fpm, FpmOptions, Host, HttpConnection, processes_in_group, wait_until};
use std::sync::atomic::{AtomicBool, Ordering};

const WORKERS: usize = 4;
const FORKS: usize = 40;

#[test]
fn workers_fork_under_load() {
    let host = Host::new();
    let fpm = Fpm::start(
        &host,
        &FpmOptions {
            workers: WORKERS + 1,
            settings: vec!["ffi.enable=1".into()],
            ..FpmOptions::default()
        },
    );
    assert_eq!(fpm.get("/put-get.php").status, 200);
    let client = host.client();
    write_first_pair(&client, &fpm);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _stop = StopAtEnd(&stop);
        let writer = scope.spawn(|| write_pairs_until(&client, &stop));
        let reader = scope.spawn(|| {
            let mut connection = HttpConnection::open(fpm.port()).expect("connect");
            while !stop.load(Ordering::Relaxed) {
                Seen::parse(&connection.get("/pair.php").expect("request"));
            }
        });
        let forking: Vec<_> = (0..WORKERS)
            .map(|n| {
                let fpm = &fpm;
                let path = if n % 2 == 0 {
                    "/fork.php?how=exit"
                } else {
                    "/fork.php?how=_exit"
                };
                scope.spawn(move || {
                    for _ in 0..FORKS / WORKERS {
                        let response = fpm.get(path);
                        assert_eq!((response.status, response.body.as_str()), (200, ""));
                    }
                })
            })
            .collect();
        for forks in forking {
            forks.join().expect("no failed request");
        }
        stop.store(true, Ordering::Relaxed);
        reader.join().expect("consistent reads");
        writer.join().expect("the load of writes");
    });
    wait_until("no child to be left", || {
        processes_in_group(fpm.master().pid()).len() == 1 + WORKERS + 1
    });
    assert_eq!(host.servers().len(), 1, "one store all along");
}
