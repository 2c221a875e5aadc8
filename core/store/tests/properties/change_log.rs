//! The change log against a naive one: the whole store at each revision ever made.

use std::collections::BTreeMap;

use bytes::Bytes;
use cfgstore_store::*;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::{config, generate, reload};

/// A key's value and whether a lease held it.
type Keys = BTreeMap<Vec<u8>, (Vec<u8>, i64)>;

fn everything() -> Range {
    Range {
        key: "\0".into(),
        range_end: "\0".into(),
        ..Range::default()
    }
}

fn keys(state: &State) -> Keys {
    let records = state.range(&everything()).unwrap().records;
    let entry = |record: &Record| (record.key().to_vec(), (record.value().to_vec(), record.lease()));
    records.iter().map(entry).collect()
}

#[derive(Clone, Debug)]
enum Step {
    Command(Command),
    Retention(Bytes, Option<Retention>),
    Reload,
}

fn retention() -> impl Strategy<Value = Step> {
    let rule = (0..4u32, 0..3u64).prop_map(|(count, max_age_secs)| Retention {
        count,
        max_age_secs,
        floor_revision: 0,
    });
    (generate::key(), proptest::option::of(rule), any::<bool>())
        .prop_map(|(key, rule, all)| Step::Retention(if all { Bytes::new() } else { key }, rule))
}

fn step(with_retention: bool) -> impl Strategy<Value = Step> {
    let weight = u32::from(with_retention);
    prop_oneof![
        30 => generate::command().prop_filter("alarms stop everything", |command| !matches!(command, Command::Alarm(_))).prop_map(Step::Command),
        3 * weight => retention(),
        2 => Just(Step::Reload),
    ]
}

/// Runs a history. `check` sees the state and the keys at each revision, by revision - 1.
fn run(steps: Vec<Step>, mut check: impl FnMut(&State, &[Keys])) {
    let mut store = Store::new();
    let mut at = vec![Keys::new()];
    for (number, step) in steps.into_iter().enumerate() {
        match step {
            Step::Command(mut command) => {
                generate::resolve_command(&mut command, store.state().revision());
                let caller = Caller {
                    client: Some(format!("client {}", number % 3)),
                    ..Caller::default()
                };
                let _ = store.apply(number as i64 * 700, &caller, &command);
                let state = store.state();
                if state.revision() as usize > at.len() {
                    at.push(keys(&state));
                }
            }
            Step::Retention(prefix, retention) => {
                let command = Command::SetRetention(SetRetention { prefix, retention });
                if store.apply(0, &Caller::default(), &command).is_ok() {
                    compare_counts(&store.state());
                }
            }
            Step::Reload => {
                let before = store.state();
                store = reload(&before);
                let after = store.state();
                let all = |state: &State| -> Vec<LoggedChange> {
                    state
                        .logged_changes(ChangeFilter::of(KeyRange::From(b"\0")), false)
                        .cloned()
                        .collect()
                };
                assert_eq!(all(&before), all(&after));
                assert!(before.retention().eq(after.retention()));
                assert_eq!(before.change_log_bytes(), after.change_log_bytes());
            }
        }
        let state = store.state();
        assert_eq!(state.revision() as usize, at.len());
        check(&state, &at);
    }
}

/// What `keys_at` should say of every key, and of those from the middle of them on.
fn compare_keys_at(state: &State, at: &[Keys], may_be_forgotten: bool) {
    let starts = [
        b"\0".to_vec(),
        at.last().unwrap().keys().nth(1).cloned().unwrap_or(b"b".to_vec()),
    ];
    for start in &starts {
        for (index, expected) in at.iter().enumerate() {
            let revision = index as i64 + 1;
            match state.keys_at(KeyRange::From(start), revision) {
                Ok(found) => {
                    let found: Vec<_> = found
                        .iter()
                        .map(|record| (record.key(), record.value()))
                        .collect();
                    let expected: Vec<_> = expected
                        .range(start.clone()..)
                        .filter(|(_, (_, lease))| *lease == 0)
                        .map(|(key, (value, _))| (key.as_slice(), value.as_slice()))
                        .collect();
                    assert_eq!(found, expected, "at revision {revision} of {}", at.len());
                }
                Err(CommandError::NotKept { requested, kept_from }) => {
                    assert!(may_be_forgotten, "revision {revision} of {}", at.len());
                    assert_eq!(requested, revision);
                    assert!(kept_from > revision && kept_from <= state.revision());
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
    let future = state.keys_at(KeyRange::From(b"\0"), state.revision() + 1);
    assert!(matches!(future, Err(CommandError::FutureRevision { .. })));
}

/// Right after a rule has been set, no key has more changes than its rule counts.
fn compare_counts(state: &State) {
    let mut counts: BTreeMap<&[u8], u32> = BTreeMap::new();
    for change in state.logged_changes(ChangeFilter::of(KeyRange::From(b"\0")), false) {
        *counts.entry(change.record.key()).or_default() += 1;
    }
    for (key, count) in counts {
        let rules = state.retention().filter(|(prefix, _)| key.starts_with(prefix));
        let (_, rule) = rules.max_by_key(|(prefix, _)| prefix.len()).unwrap();
        assert!(count <= rule.count, "{} has {count}", key.escape_ascii());
    }
}

/// The changes that made the `at` from each other, of keys that no lease brought into being: all of them, in order.
fn compare_changes(state: &State, at: &[Keys]) {
    let mut logged: BTreeMap<&[u8], Vec<&LoggedChange>> = BTreeMap::new();
    let mut last = (0, 0);
    for change in state.logged_changes(ChangeFilter::of(KeyRange::From(b"\0")), false) {
        let record = &change.record;
        let place = (record.mod_revision(), record.sub());
        assert!(place > last, "changes are in order");
        last = place;
        logged.entry(record.key()).or_default().push(change);
        // What it wrote is what was there then.
        let now = at[record.mod_revision() as usize - 1].get(record.key());
        assert_eq!(
            now.map(|(value, _)| value.as_slice()),
            (!record.is_tombstone()).then(|| record.value())
        );
    }
    for (key, changes) in logged {
        for pair in changes.windows(2) {
            assert_eq!(
                pair[1].previous_revision(),
                pair[0].record.mod_revision(),
                "no change between is missing"
            );
            assert_eq!(state.change_before(pair[1]), Some(pair[0]));
        }
        let newest = changes.last().unwrap();
        assert_eq!(state.last_change(key), Some(*newest));
        let now = at.last().unwrap().get(key).map(|(value, _)| value.as_slice());
        assert_eq!(
            now,
            (!newest.record.is_tombstone()).then(|| newest.record.value()),
            "the newest is there"
        );
        let single = state.logged_changes(ChangeFilter::of(KeyRange::Single(key)), true);
        assert!(single.eq(changes.iter().rev().copied()));
    }
}

proptest! {
    #![proptest_config(config(60))]

    #[test]
    fn with_nothing_forgotten_every_revision_can_be_read(steps in vec(step(false), 1..60)) {
        run(steps, |state, at| {
            compare_keys_at(state, at, false);
            compare_changes(state, at);
        });
    }

    #[test]
    fn what_is_forgotten_is_never_made_up(steps in vec(step(true), 1..60)) {
        run(steps, |state, at| {
            compare_keys_at(state, at, true);
            compare_changes(state, at);
        });
    }
}

fn put(key: &str, value: &str) -> Command {
    Command::Put(Put {
        key: Bytes::copy_from_slice(key.as_bytes()),
        value: Bytes::copy_from_slice(value.as_bytes()),
        ..Put::default()
    })
}

#[test]
fn all_changes_together_are_bounded() {
    let mut store = Store::new();
    let value = "v".repeat(1 << 20);
    for number in 0..100 {
        store
            .apply(0, &Caller::default(), &put(&format!("k{number}"), &value))
            .unwrap();
        assert!(store.state().change_log_bytes() <= MAX_CHANGE_LOG_BYTES);
    }
    let state = store.state();
    assert_eq!(state.change_count(), 63, "those of the last 64 MiB");
    // The newest are kept; of the others the value is known, but not how it came to be.
    assert!(state.last_change(b"k99").is_some());
    assert_eq!(state.last_change(b"k0"), None);
    let at = state.keys_at(KeyRange::Single(b"k0"), 2).unwrap();
    assert_eq!(at[0].value(), value.as_bytes());
}

#[test]
fn what_the_rule_does_not_count_is_forgotten_on_the_way() {
    let mut store = Store::new();
    let retention = Some(Retention {
        count: 5,
        max_age_secs: 0,
        floor_revision: 0,
    });
    let prefix = Bytes::new();
    store
        .apply(
            0,
            &Caller::default(),
            &Command::SetRetention(SetRetention { prefix, retention }),
        )
        .unwrap();
    for number in 0..10_000 {
        store
            .apply(0, &Caller::default(), &put(&format!("k{}", number % 100), "v"))
            .unwrap();
        assert!(
            store.state().change_count() <= 2_000,
            "{}",
            store.state().change_count()
        );
    }
    assert!(store.state().change_count() >= 500);
    let retention = Some(Retention {
        count: 5,
        max_age_secs: 10,
        floor_revision: 0,
    });
    let prefix = Bytes::new();
    store
        .apply(
            0,
            &Caller::default(),
            &Command::SetRetention(SetRetention { prefix, retention }),
        )
        .unwrap();
    assert_eq!(store.state().change_count(), 500);
    for number in 0..1_000 {
        store
            .apply(11_000, &Caller::default(), &put(&format!("z{number}"), "v"))
            .unwrap();
    }
    let kept = store
        .state()
        .logged_changes(ChangeFilter::of(KeyRange::Between(b"k", b"l")), false)
        .count();
    assert_eq!(kept, 0, "older than ten seconds");
    assert_eq!(
        store
            .state()
            .keys_at(KeyRange::Single(b"k7"), 9_999)
            .unwrap()
            .len(),
        1,
        "its value is known still"
    );
}

#[test]
fn queries_select_by_time_author_and_revision() {
    let mut store = Store::new();
    let caller = |user: Option<&str>, client: &str| Caller {
        user: user.map(str::to_owned),
        client: Some(client.to_owned()),
        comment: Some("why".to_owned()),
        ..Caller::default()
    };
    for (time, user, client) in [(10, None, "a"), (20, Some("root"), "a"), (5, None, "b")] {
        store
            .apply(time, &caller(user, client), &put("k", client))
            .unwrap();
    }
    let state = store.state();
    let revisions = |filter: ChangeFilter<'_>| -> Vec<i64> {
        state
            .logged_changes(filter, false)
            .map(|change| change.record.mod_revision())
            .collect()
    };
    let all = ChangeFilter::of(KeyRange::From(b"\0"));
    assert_eq!(revisions(all), [2, 3, 4]);
    assert_eq!(
        revisions(ChangeFilter { author: "a", ..all }),
        [2],
        "the user counts before the client's name"
    );
    assert_eq!(
        revisions(ChangeFilter {
            author: "root",
            ..all
        }),
        [3]
    );
    assert_eq!(
        revisions(ChangeFilter {
            from_time_unix_ms: 11,
            ..all
        }),
        [3, 4],
        "time does not go back"
    );
    assert_eq!(
        revisions(ChangeFilter {
            to_time_unix_ms: 19,
            ..all
        }),
        [2]
    );
    assert_eq!(
        revisions(ChangeFilter {
            from_revision: 3,
            to_revision: 3,
            ..all
        }),
        [3]
    );
    assert_eq!(
        revisions(ChangeFilter {
            from_revision: 4,
            to_revision: 3,
            ..all
        }),
        []
    );
    assert_eq!(
        state.last_change(b"k").unwrap().commit.caller.comment.as_deref(),
        Some("why")
    );
}

#[test]
fn of_a_single_key_the_newest_changes_that_its_rule_counts_are_kept() {
    let mut store = Store::new();
    let caller = Caller::default();
    let retention = Retention {
        count: 2,
        max_age_secs: 0,
        floor_revision: 0,
    };
    let set = Command::SetRetention(SetRetention {
        prefix: Bytes::new(),
        retention: Some(retention),
    });
    store.apply(0, &caller, &set).unwrap();
    for made in 1..=20 {
        store.apply(0, &caller, &put("a", "1")).unwrap();
        let state = store.state();
        let newest: Vec<i64> = state
            .logged_changes(ChangeFilter::of(KeyRange::Single(b"a")), true)
            .take(2)
            .map(|change| change.record.mod_revision())
            .collect();
        let revision = state.revision();
        let expected: Vec<i64> = [revision, revision - 1].into_iter().take(made).collect();
        assert_eq!(newest, expected);
    }
}
