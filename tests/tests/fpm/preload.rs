//! opcache.preload: the master, or a child of it that is another user, reads before any worker is forked.

use cfgstore_client::PutOptions;
use cfgstore_tests::{Fpm, FpmOptions, Host, children, mappings, sockets, wait_until};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;

const WORKERS: usize = 4;
const VALUE: &str = r#"{"list":[1,2,3],"text":"some longer text"}"#;

/// A pool of users that are not root, which preloads as `user`, in a child of root's master; and what the preload script said.
fn preload_as(host: &Host, user: &str) -> (Fpm, String) {
    preload(host, &format!("opcache.preload_user={user}"), false)
}

fn preload(host: &Host, user: &str, unprivileged_master: bool) -> (Fpm, String) {
    let said = host.path("preload.said");
    std::fs::write(&said, "").expect("file");
    std::fs::set_permissions(&said, std::fs::Permissions::from_mode(0o666)).expect("chmod");
    let fpm = Fpm::start(
        host,
        &FpmOptions {
            workers: WORKERS,
            settings: vec![
                "opcache.enable=1".into(),
                format!(
                    "opcache.preload={}",
                    host.path("fpm/scripts/preload.php").display()
                ),
                user.into(),
            ],
            unprivileged_master,
            ..FpmOptions::default()
        },
    );
    (fpm, std::fs::read_to_string(said).expect("file"))
}

/// Every worker reads, and sees what changes.
fn pool_goes_on(host: &Host, fpm: &Fpm) {
    for _ in 0..4 * WORKERS {
        let response = fpm.get("/preloaded.php");
        assert_eq!((response.status, response.body.as_str()), (200, VALUE));
        assert_eq!(fpm.get("/put-get.php").status, 200);
    }
    host.client()
        .put("preload", "\"changed\"", &PutOptions::default())
        .expect("a write");
    for _ in 0..4 * WORKERS {
        assert_eq!(fpm.get("/preloaded.php").body, "\"changed\"");
    }
    assert_eq!(host.servers().len(), 1, "one store");
    let owner = |path| std::fs::metadata(path).expect("file").uid();
    assert_ne!(owner(host.data_dir()), 0, "the folder is the pool's");
    assert_eq!(owner(host.socket()), owner(host.data_dir()));
    assert_eq!(owner(host.data_dir().join("mirror")), owner(host.data_dir()));
    let mirror = std::fs::read_link(host.data_dir().join("mirror")).expect("link");
    let mirror = mirror.display().to_string();
    assert_eq!(
        mappings(fpm.master().pid(), &mirror),
        0,
        "the master keeps nothing"
    );
    assert!(
        children(fpm.master().pid())
            .iter()
            .any(|&worker| mappings(worker, &mirror) > 0)
    );
}

#[test]
fn preloading_as_the_pools_user_starts_the_store_for_it() {
    let host = Host::new();
    let (fpm, said) = preload_as(&host, "www-data");
    assert!(said.starts_with("read [33,"), "{said}");
    assert_eq!(said.matches(VALUE).count(), 4, "{said}");
    pool_goes_on(&host, &fpm);
}

#[test]
fn preloading_as_root_starts_nothing_and_says_so() {
    let host = Host::new();
    let (fpm, said) = preload_as(&host, "root");
    assert!(
        said.starts_with("Cfgstore\\Exception\\UnavailableException: ")
            && said.ends_with(
                "; a preload script that runs as root starts nothing: name the pool's user in opcache.preload_user, or start cfgstored first"
            ),
        "{said}"
    );
    assert!(host.servers().is_empty());
    assert_eq!(fpm.get("/put-get.php").status, 200, "the first request starts it");
    let owner = std::fs::metadata(host.socket()).expect("socket").uid();
    assert_ne!(owner, 0);
}

#[test]
fn preloading_as_root_reads_what_is_there_and_hands_nothing_on() {
    preloads_beside_a_store_and_hands_nothing_on("opcache.preload_user=root", false, "read [0,");
}

#[test]
fn a_master_that_is_not_root_preloads_by_itself_and_hands_nothing_on() {
    preloads_beside_a_store_and_hands_nothing_on("opcache.preload_user=", true, "read [33,");
}

fn preloads_beside_a_store_and_hands_nothing_on(user: &str, unprivileged_master: bool, says: &str) {
    let host = Host::new();
    std::fs::create_dir(host.data_dir()).expect("folder");
    std::os::unix::fs::chown(host.data_dir(), Some(33), Some(33)).expect("chown");
    let server = host.start_cfgstored(host.cfgstored_command().uid(33).gid(33));
    let sockets_before = sockets(server.pid());
    let (fpm, said) = preload(&host, user, unprivileged_master);
    assert!(said.starts_with(says), "{said}");
    wait_until("its connections to be gone", || {
        sockets(server.pid()) == sockets_before
    });
    pool_goes_on(&host, &fpm);
}
