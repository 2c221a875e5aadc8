//! Random histories against an ordered map.

mod support;

use cfgstore_mirror::{Change, Publisher, Reader, RewritePolicy};
use proptest::prelude::*;
use support::*;

#[derive(Clone, Debug)]
enum Step {
    Full(Vec<(Vec<u8>, Vec<u8>)>),
    Changes(Vec<(Vec<u8>, Option<Vec<u8>>)>),
    Reopen,
}

/// Few short keys, so that histories meet the same keys again; prefixes of each other included.
fn key() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => prop::collection::vec(prop::sample::select(&b"ab/"[..]), 0..4),
        1 => prop::collection::vec(any::<u8>(), 0..40),
    ]
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..60)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => prop::collection::vec((key(), value()), 0..30).prop_map(Step::Full),
        6 => prop::collection::vec((key(), prop::option::of(value())), 0..12).prop_map(Step::Changes),
        1 => Just(Step::Reopen),
    ]
}

fn policy() -> impl Strategy<Value = RewritePolicy> {
    prop_oneof![
        Just(RewritePolicy {
            small_bytes: 0,
            max_delta_divisor: 1,
            max_written_factor: 5
        }),
        Just(RewritePolicy {
            small_bytes: 1500,
            max_delta_divisor: 2,
            max_written_factor: 2
        }),
        Just(RewritePolicy::default()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn a_snapshot_equals_the_map(policy in policy(), steps in prop::collection::vec(step(), 1..25)) {
        let dir = shm_dir();
        let mut options = options(dir.path());
        options.rewrite = policy;
        let mut publisher = Publisher::open(options.clone()).unwrap();
        publisher.publish_full(origin(1), []).unwrap();
        let mut reader = Reader::open(publisher.dir()).unwrap();
        let mut model = Model::new();
        let mut held = Vec::new();
        for (step, revision) in steps.iter().zip(2i64..) {
            match step {
                Step::Full(pairs) => {
                    model = pairs.iter().map(|(key, value)| (key.clone(), (value.clone(), revision))).collect();
                    let entries = pairs.iter().map(|(key, value)| entry(key, value, revision));
                    publisher.publish_full(origin(revision), entries).unwrap();
                }
                Step::Changes(changes) => {
                    for (key, value) in changes {
                        match value {
                            Some(value) => model.insert(key.clone(), (value.clone(), revision)),
                            None => model.remove(key),
                        };
                    }
                    let changes = changes.iter().map(|(key, value)| match value {
                        Some(value) => Change::Put(entry(key, value, revision)),
                        None => Change::Delete { key, mod_revision: revision },
                    });
                    publisher.publish_changes(revision, changes).unwrap();
                }
                Step::Reopen => {
                    drop(publisher);
                    publisher = Publisher::open(options.clone()).unwrap();
                }
            }
            let snapshot = reader.snapshot().unwrap();
            assert_same(&snapshot, &model);
            for prefix in [&b""[..], b"a", b"a/", b"b", b"zz", b"\xff"] {
                let listed: Vec<_> = snapshot.iter_prefix(prefix).map(|entry| entry.unwrap().key).collect();
                let expected: Vec<_> = model.keys().filter(|key| key.starts_with(prefix)).collect();
                prop_assert_eq!(listed, expected);
            }
            held.push((snapshot, model.clone()));
        }
        // Whatever was held through all of it still says what it said.
        for (snapshot, model) in &held {
            assert_same(snapshot, model);
        }
    }
}
