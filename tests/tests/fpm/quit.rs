//! SIGQUIT: the requests in flight are answered, whole, and the pool ends.

use crate::pair::{Seen, write_first_pair, write_pair};
use cfgstore_tests::{Fpm, FpmOptions, Held, Host, processes_in_group, wait_until};

const WORKERS: usize = 8;

#[test]
fn requests_in_flight_end_well() {
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
    let workers = fpm.workers();
    let held = Held::start(&host, fpm.port(), WORKERS);
    let pool = fpm.master().pid();
    fpm.quit();
    write_pair(&client, 1);
    for response in held.go_on() {
        assert_eq!(Seen::parse(&response).number, 0, "as the request began");
    }
    assert!(fpm.wait().success());
    wait_until("the workers to be gone", || {
        let left = processes_in_group(pool);
        workers.iter().all(|worker| !left.contains(worker))
    });
    assert_eq!(host.servers().len(), 1, "the store goes on");
}
