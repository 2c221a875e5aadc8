//! Keys and values against a real etcd.

mod support;

use cfgstore_client::blocking::Mode;
use cfgstore_client::{
    Client, DeleteOptions, ErrorKind, MAX_KEY_BYTES, Options, PutOptions, RESERVED_PREFIX, Range,
    RevisionConflict, Txn, blocking,
};
use support::Etcd;

const PLAIN: PutOptions = PutOptions {
    if_revision: None,
    lease: 0,
    comment: String::new(),
};

fn if_revision(revision: i64) -> PutOptions {
    PutOptions {
        if_revision: Some(revision),
        ..PLAIN
    }
}

fn deleted_at(revision: i64) -> DeleteOptions {
    DeleteOptions {
        if_revision: Some(revision),
        ..DeleteOptions::default()
    }
}

fn with_prefix(etcd: &Etcd, prefix: &str) -> blocking::Client {
    let options = Options {
        prefix: prefix.into(),
        ..etcd.options()
    };
    blocking::Client::new(options, Mode::NoThread).unwrap()
}

#[test]
fn values_come_back_with_their_revisions() {
    let etcd = Etcd::start();
    for mode in [Mode::NoThread, Mode::BackgroundThread] {
        let client = etcd.client(mode);
        let key = format!("{mode:?}");
        assert_eq!(client.get(&key).unwrap(), None);
        let first = client.put(&key, "1", &PLAIN).unwrap();
        let second = client.put(&key, vec![0, 255], &PLAIN).unwrap();
        assert_eq!(second, first + 1);
        let found = client.get(&key).unwrap().unwrap();
        assert_eq!(
            (&found.key[..], &found.value[..]),
            (key.as_bytes(), &[0, 255][..])
        );
        assert_eq!(
            (found.create_revision, found.mod_revision, found.version),
            (first, second, 2)
        );
        let old = client.range(&Range::key(&key).revision(first)).unwrap();
        assert_eq!(old.kvs[0].value, "1");
        let deleted = client.delete(&key, &DeleteOptions::default()).unwrap();
        assert_eq!((deleted.revision, deleted.deleted), (second + 1, true));
        assert!(!client.delete(&key, &DeleteOptions::default()).unwrap().deleted);
        assert_eq!(client.get(&key).unwrap(), None);
    }
}

#[test]
fn a_condition_on_the_revision_is_kept() {
    let etcd = Etcd::start();
    let client = etcd.client(Mode::NoThread);
    let first = client.put("k", "1", &if_revision(0)).unwrap();
    let error = client.put("k", "2", &if_revision(0)).unwrap_err();
    assert_eq!((error.kind, error.maybe_committed), (ErrorKind::Conflict, false));
    assert_eq!(
        error.conflicts,
        [RevisionConflict {
            key: b"k".into(),
            wanted: 0,
            current: first
        }]
    );
    assert!(error.message.contains("\"k\" already exists"), "{error}");
    let second = client.put("k", "2", &if_revision(first)).unwrap();
    let error = client.put("k", "3", &if_revision(first)).unwrap_err();
    assert_eq!(error.conflicts[0].current, second);
    assert_eq!(
        client.delete("k", &deleted_at(first)).unwrap_err().kind,
        ErrorKind::Conflict
    );
    assert!(client.delete("k", &deleted_at(second)).unwrap().deleted);
    let error = client.put("k", "4", &if_revision(second)).unwrap_err();
    assert!(error.message.contains("does not exist"), "{error}");
    assert_eq!(
        client.put("k", "4", &if_revision(-3)).unwrap_err().kind,
        ErrorKind::InvalidArgument
    );
}

#[test]
fn a_transaction_is_all_or_nothing_and_one_revision() {
    let etcd = Etcd::start();
    let client = etcd.client(Mode::NoThread);
    let done = client
        .txn(Txn::new().if_absent("a").put("a", "1").put("b", "1"))
        .unwrap();
    assert!(done.succeeded);
    for key in ["a", "b"] {
        assert_eq!(client.get(key).unwrap().unwrap().mod_revision, done.revision);
    }
    let error = client
        .txn(
            Txn::new()
                .if_revision("a", done.revision)
                .if_exists("c")
                .if_absent("b")
                .put("a", "2"),
        )
        .unwrap_err();
    let found: Vec<_> = error
        .conflicts
        .iter()
        .map(|c| (&c.key[..], c.wanted, c.current))
        .collect();
    assert_eq!(found, [(&b"c"[..], -1, 0), (&b"b"[..], 0, done.revision)]);
    assert_eq!(client.get("a").unwrap().unwrap().value, "1");

    let otherwise = client
        .txn(
            Txn::new()
                .if_exists("c")
                .delete("a")
                .else_put("c", "1")
                .else_delete("b"),
        )
        .unwrap();
    assert!(!otherwise.succeeded);
    assert_eq!(client.get("c").unwrap().unwrap().mod_revision, otherwise.revision);
    assert_eq!(client.get("b").unwrap(), None);

    let twice = client.txn(Txn::new().put("x", "1").put("x", "2")).unwrap_err();
    assert_eq!(
        (twice.kind, twice.maybe_committed),
        (ErrorKind::InvalidArgument, false)
    );
    let many = (0..200).fold(Txn::new(), |txn, n| txn.put(format!("m{n}"), ""));
    assert_eq!(client.txn(many).unwrap_err().kind, ErrorKind::TooLarge);
}

#[test]
fn a_prefix_is_put_on_and_taken_off() {
    let etcd = Etcd::start();
    let (all, shop) = (with_prefix(&etcd, ""), with_prefix(&etcd, "/shop/"));
    for key in ["b", "a", "x/1", "x/2"] {
        shop.put(key, key, &PLAIN).unwrap();
    }
    all.put("/shop0", "", &PLAIN).unwrap();
    all.put([RESERVED_PREFIX, b"lock/x"].concat(), "", &PLAIN)
        .unwrap();
    let keys = |client: &blocking::Client, range: Range| -> Vec<String> {
        let found = client.range(&range).unwrap();
        assert_eq!(found.count, found.kvs.len() as i64);
        found
            .kvs
            .into_iter()
            .map(|kv| String::from_utf8(kv.key.to_vec()).unwrap())
            .collect()
    };
    assert_eq!(keys(&shop, Range::prefix("")), ["a", "b", "x/1", "x/2"]);
    assert_eq!(keys(&shop, Range::prefix("x/").keys_only()), ["x/1", "x/2"]);
    assert_eq!(
        keys(&all, Range::prefix("")),
        ["/shop/a", "/shop/b", "/shop/x/1", "/shop/x/2", "/shop0"]
    );
    assert_eq!(keys(&all, Range::prefix(RESERVED_PREFIX)), ["/_cfgstore/lock/x"]);
    let cut = shop.range(&Range::prefix("").limit(3)).unwrap();
    assert_eq!((cut.kvs.len(), cut.count, cut.more), (3, 4, true));
}

#[test]
fn bad_requests_are_refused_and_certainly_not_done() {
    let etcd = Etcd::start();
    let client = etcd.client(Mode::NoThread);
    let refused = |error: cfgstore_client::Error, kind| {
        assert_eq!((error.kind, error.maybe_committed), (kind, false), "{error}");
    };
    refused(
        client.put("", "", &PLAIN).unwrap_err(),
        ErrorKind::InvalidArgument,
    );
    refused(client.get("").unwrap_err(), ErrorKind::InvalidArgument);
    refused(
        client.get(vec![b'k'; MAX_KEY_BYTES + 1]).unwrap_err(),
        ErrorKind::TooLarge,
    );
    refused(
        client.put("k", vec![0; 2 << 20], &PLAIN).unwrap_err(),
        ErrorKind::TooLarge,
    );
    refused(
        client.put("k", vec![0; 8 << 20], &PLAIN).unwrap_err(),
        ErrorKind::TooLarge,
    );
    refused(
        client
            .put("k", "", &PutOptions { lease: 77, ..PLAIN })
            .unwrap_err(),
        ErrorKind::NotFound,
    );
    refused(
        client.range(&Range::key("k").revision(99)).unwrap_err(),
        ErrorKind::InvalidArgument,
    );
    assert_eq!(client.get("k").unwrap(), None);
    let large = vec![7; 1_400_000];
    client.put("large", large.clone(), &PLAIN).unwrap();
    assert_eq!(client.get("large").unwrap().unwrap().value, large);
}

#[test]
fn an_answer_of_many_megabytes_comes_whole() {
    let etcd = Etcd::start();
    let client = etcd.client(Mode::NoThread);
    for n in 0..12 {
        client.put(format!("k{n:02}"), vec![n; 1 << 20], &PLAIN).unwrap();
    }
    let found = client.range(&Range::prefix("k")).unwrap();
    assert_eq!(found.kvs.len(), 12);
    assert!(
        found
            .kvs
            .iter()
            .enumerate()
            .all(|(n, kv)| kv.value.iter().all(|&byte| usize::from(byte) == n))
    );
}

#[test]
fn keys_die_with_their_lease() {
    let etcd = Etcd::start();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let client = Client::new(etcd.options()).unwrap();
        let lease = client
            .lease_grant(std::time::Duration::from_secs(60))
            .await
            .unwrap();
        client
            .put("k", "v", &PutOptions { lease, ..PLAIN })
            .await
            .unwrap();
        assert_eq!(client.get("k").await.unwrap().unwrap().lease, lease);
        client.lease_revoke(lease).await.unwrap();
        assert_eq!(client.get("k").await.unwrap(), None);
        client.lease_revoke(lease).await.unwrap();
    });
}

#[test]
fn a_server_says_what_it_is() {
    let etcd = Etcd::start();
    let status = etcd.client(Mode::NoThread).status().unwrap();
    assert!(status.version.starts_with("3."), "{status:?}");
    let urls: Vec<String> = etcd
        .ports()
        .iter()
        .map(|port| format!("http://127.0.0.1:{port}"))
        .collect();
    assert!(urls.contains(&status.endpoint), "{status:?}");
    assert_eq!(status.agent, None);
    assert_ne!(status.leader_id, 0);
    assert!(urls.len() > 1 || status.leader_id == status.member_id);
}

#[test]
fn a_blocking_call_inside_a_runtime_is_refused() {
    let etcd = Etcd::start();
    let client = etcd.client(Mode::BackgroundThread);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let error = runtime.block_on(async { client.get("k") }).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unsupported);
}

#[test]
fn threads_share_a_client() {
    let etcd = Etcd::start();
    for mode in [Mode::NoThread, Mode::BackgroundThread] {
        let client = etcd.client(mode);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let client = &client;
                scope.spawn(move || {
                    for n in 0..25 {
                        let key = format!("{mode:?}/{thread}/{n}");
                        client.put(&key, key.clone(), &PLAIN).unwrap();
                        assert_eq!(client.get(&key).unwrap().unwrap().value, key);
                    }
                });
            }
        });
        assert_eq!(
            client.range(&Range::prefix(format!("{mode:?}/"))).unwrap().count,
            100
        );
    }
}
