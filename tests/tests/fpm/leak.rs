//! A worker for each request leaves nothing behind, neither in the pool nor in the store.

use crate::pair::write_first_pair;
use cfgstore_tests::{
    Fpm, FpmOptions, Host, descriptors, mappings, processes_in_group, processes_matching, sockets, wait_until,
};
use std::path::Path;

const WORKERS: usize = 4;
const REQUESTS: usize = 1000;
/// One request in so many writes: it makes a connection, and a generation of the mirror.
const WRITES_ONE_IN: usize = 10;
/// What may come and go by itself: the store prepares its log's next file in the background, the mirror's generation is one file or
/// two. A leak would be one for each write or each request.
const FEW: usize = 10;

/// What 1,000 workers could leave behind.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Counts {
    /// The pool's processes, zombies included.
    pool_processes: usize,
    master_descriptors: usize,
    master_mappings: usize,
    store_descriptors: usize,
    store_sockets: usize,
    /// Files of the mirror that the store maps, with a name or without.
    store_mappings: usize,
    /// Files in the mirror's folder.
    mirror_files: usize,
}

impl Counts {
    fn of(fpm: &Fpm, store: i32, mirror: &Path) -> Counts {
        let master = fpm.master().pid();
        let named = mirror.display().to_string();
        Counts {
            pool_processes: processes_in_group(master).len(),
            master_descriptors: descriptors(master),
            master_mappings: mappings(master, &named),
            store_descriptors: descriptors(store),
            store_sockets: sockets(store),
            store_mappings: mappings(store, &named),
            mirror_files: std::fs::read_dir(mirror).expect("mirror folder").count(),
        }
    }

    fn is_no_more_than(&self, before: &Counts) -> bool {
        self.pool_processes <= before.pool_processes
            && self.master_descriptors <= before.master_descriptors
            && self.master_mappings <= before.master_mappings
            && self.store_descriptors <= before.store_descriptors + FEW
            && self.store_sockets <= before.store_sockets
            && self.store_mappings <= before.store_mappings + FEW
            && self.mirror_files <= before.mirror_files + FEW
    }
}

#[test]
fn a_worker_per_request_leaks_nothing() {
    const {
        assert!(
            REQUESTS / WRITES_ONE_IN > 3 * FEW,
            "a leak is told from what comes and goes"
        )
    };
    let host = Host::new();
    let fpm = Fpm::start(
        &host,
        &FpmOptions {
            workers: WORKERS,
            max_requests: 1,
            ..FpmOptions::default()
        },
    );
    assert_eq!(fpm.get("/put-get.php").status, 200);
    write_first_pair(&host.client(), &fpm);
    let store = host.servers()[0];
    let mirror = std::fs::read_link(host.data_dir().join("mirror")).expect("the mirror's link");
    let counts = || Counts::of(&fpm, store, &mirror);
    // Lets the first workers go, then counts; the store's side of a closed connection is gone a moment later.
    for _ in 0..20 {
        assert_eq!(fpm.get("/put-get.php").status, 200);
    }
    let mut before = counts();
    wait_until("the counts to settle", || {
        // One look, since a worker may go between two.
        let now = counts();
        let settled = now == before && now.pool_processes == 1 + WORKERS;
        before = now;
        settled
    });
    assert!(
        before.store_mappings > 0 && before.mirror_files > 0 && before.store_sockets > 0,
        "they count something: {before:?}"
    );
    for n in 0..REQUESTS {
        let path = if n % WRITES_ONE_IN == 0 {
            "/put-get.php"
        } else {
            "/pair.php"
        };
        let response = fpm.get(path);
        assert_eq!(response.status, 200, "{}", response.body);
    }
    wait_until("all counts to be as before", || {
        let after = counts();
        println!("before {before:?}, after {after:?}");
        after.is_no_more_than(&before)
    });
    let data_dir = host.data_dir().display().to_string();
    assert_eq!(
        processes_matching(&data_dir),
        [store],
        "only cfgstored knows the data folder"
    );
}
