//! Random histories, on the store and on a naive model of it, compared after every command. `PROPTEST_CASES` sets the
//! number of histories.

mod change_log;
mod generate;
mod model;

use std::collections::BTreeSet;

use bytes::Bytes;
use cfgstore_store::*;
use model::{Answer, Change, Kv, Model};
use proptest::collection::vec;
use proptest::prelude::*;

fn config(cases: u32) -> ProptestConfig {
    let default = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    if std::env::var_os("PROPTEST_CASES").is_some() {
        default
    } else {
        ProptestConfig { cases, ..default }
    }
}

#[derive(Clone, Debug)]
struct Step {
    command: Command,
    /// Reads compared after the command.
    range: Range,
    read_txn: Txn,
    events_from: i64,
    watched: (Bytes, Bytes),
    /// Whether to go on with a store rebuilt from its encoding.
    reload: bool,
}

fn step() -> impl Strategy<Value = Step> {
    (
        generate::command(),
        generate::range(),
        generate::txn(),
        0..=i64::from(u16::MAX),
        (generate::key(), generate::range_end()),
        proptest::bool::weighted(0.1),
    )
        .prop_map(|(command, range, read_txn, events_from, watched, reload)| Step {
            command,
            range,
            read_txn,
            events_from,
            watched,
            reload,
        })
}

fn kvs(records: &[Record]) -> Vec<Kv> {
    records.iter().map(Kv::from).collect()
}

fn range_answer(outcome: &RangeOutcome) -> Answer {
    let RangeOutcome {
        revision,
        ref records,
        count,
        more,
    } = *outcome;
    Answer::Range {
        revision,
        kvs: kvs(records),
        count,
        more,
    }
}

fn put_answer(outcome: &PutOutcome) -> Answer {
    Answer::Put {
        revision: outcome.revision,
        prev: outcome.prev.as_ref().map(Kv::from),
    }
}

fn delete_answer(outcome: &DeleteRangeOutcome) -> Answer {
    let DeleteRangeOutcome {
        revision,
        deleted,
        ref prev,
    } = *outcome;
    Answer::DeleteRange {
        revision,
        deleted,
        prev: kvs(prev),
    }
}

fn txn_answer(outcome: &TxnOutcome) -> Answer {
    let answer = |op: &TxnOpOutcome| match op {
        TxnOpOutcome::Range(range) => range_answer(range),
        TxnOpOutcome::Put(put) => put_answer(put),
        TxnOpOutcome::DeleteRange(delete) => delete_answer(delete),
        TxnOpOutcome::Txn(txn) => txn_answer(txn),
    };
    Answer::Txn {
        revision: outcome.revision,
        succeeded: outcome.succeeded,
        answers: outcome.responses.iter().map(answer).collect(),
    }
}

fn answer(outcome: &Outcome) -> Answer {
    match outcome {
        Outcome::Put(put) => put_answer(put),
        Outcome::DeleteRange(delete) => delete_answer(delete),
        Outcome::Txn(txn) => txn_answer(txn),
        Outcome::Compact => Answer::Compact,
        &Outcome::LeaseGrant { id, ttl_secs } => Answer::LeaseGrant { id, ttl_secs },
        Outcome::LeaseRevoke => Answer::LeaseRevoke,
        &Outcome::Alarm(alarm) => Answer::Alarm(alarm),
        Outcome::Rules => unreachable!("no rules are generated"),
    }
}

/// Everything that can be seen of a state without asking for something in particular.
fn compare_state(state: &State, model: &Model) {
    assert_eq!(state.revision(), model.revision());
    assert_eq!(state.compact_revision(), model.compact_revision);
    let all = Range {
        key: "\0".into(),
        range_end: "\0".into(),
        ..Range::default()
    };
    assert_eq!(
        range_answer(&state.range(&all).unwrap()),
        model.range(&all).unwrap()
    );

    let leases: Vec<_> = state.leases().map(|lease| (lease.id, lease.ttl_secs)).collect();
    assert_eq!(leases, model.leases.clone().into_iter().collect::<Vec<_>>());
    for lease in state.leases() {
        let keys: Vec<_> = lease.keys().map(|key| key.as_bytes().to_vec()).collect();
        assert_eq!(keys, model.lease_keys(lease.id));
        assert_eq!(keys.len(), lease.key_count());
    }

    let alarms: Vec<_> = model.alarms.iter().copied().collect();
    assert_eq!(state.alarms(), alarms);

    // Exactly the records that some read or watch can still see are kept, and counted.
    let kept: Vec<Record> = state.records_in_seq_order().collect();
    let places: BTreeSet<_> = kept
        .iter()
        .map(|record| (record.mod_revision(), record.sub()))
        .collect();
    assert_eq!(places, model.kept());
    assert!(kept.is_sorted_by(|a, b| a.seq() < b.seq()));
    assert_eq!(state.record_count(), kept.len() as u64);
    let keys: BTreeSet<&[u8]> = kept.iter().map(Record::key).collect();
    let size = kept
        .iter()
        .map(|record| 100 + record.value().len())
        .sum::<usize>()
        + keys.iter().map(|key| 48 + key.len()).sum::<usize>()
        + 128 * leases.len();
    assert_eq!(state.size_bytes(), size as u64);
    let live: usize = state
        .range(&all)
        .unwrap()
        .records
        .iter()
        .map(|record| 100 + record.value().len() + 48 + record.key().len())
        .sum();
    assert_eq!(state.history_bytes(), (size - live - 128 * leases.len()) as u64);
    assert!(
        kept.iter()
            .all(|record| state.is_kept(record.key(), record.seq()))
    );
    let forgotten = (1..state.next_seq()).filter(|seq| kept.iter().all(|record| record.seq() != *seq));
    assert!(
        forgotten
            .into_iter()
            .all(|seq| keys.iter().all(|key| !state.is_kept(key, seq)))
    );
}

fn reload(state: &State) -> Store {
    let mut loader = StateLoader::new(StateHeader::of(state)).unwrap();
    let mut bytes = Vec::new();
    for lease in state.leases() {
        bytes.clear();
        codec::encode_lease(lease, &mut bytes);
        loader.lease(codec::decode_lease(&bytes).unwrap()).unwrap();
    }
    for alarm in state.alarms() {
        loader.alarm(*alarm).unwrap();
    }
    codec::encode_rules(state, |item| loader.rule(codec::decode_rule(item).unwrap())).unwrap();
    for record in state.records_in_seq_order() {
        bytes.clear();
        codec::encode_record(&record, &mut bytes);
        loader.record(codec::decode_record(&bytes).unwrap()).unwrap();
    }
    for change in state.all_logged_changes() {
        bytes.clear();
        codec::encode_change(change, &mut bytes);
        loader.change(codec::decode_change(&bytes).unwrap()).unwrap();
    }
    loader.finish().unwrap()
}

fn compare_events(state: &State, model: &Model, from: i64, watched: &(Bytes, Bytes)) {
    let change = |event: Event| Change {
        revision: event.record.mod_revision(),
        sub: event.record.sub(),
        key: event.record.key().to_vec(),
        put: (!event.record.is_tombstone()).then(|| Kv::from(&event.record)),
        prev: event.prev.as_ref().map(Kv::from),
    };
    let expected = model.events(from);
    let events = state
        .events(from)
        .map(|events| events.map(change).collect::<Vec<_>>());
    assert_eq!(events, expected);
    let Ok(mut expected) = expected else { return };
    let (key, end) = watched;
    expected.retain(|change| model::in_range(&change.key, key, end));
    let within = state
        .events(from)
        .unwrap()
        .within(KeyRange::new(key, end))
        .map(change)
        .collect::<Vec<_>>();
    assert_eq!(within, expected);
    let records: Vec<_> = state
        .changes(from)
        .unwrap()
        .within(KeyRange::new(key, end))
        .collect();
    let places = |place: fn(&Change) -> (i64, u32)| expected.iter().map(place).collect::<Vec<_>>();
    assert_eq!(
        records
            .iter()
            .map(|record| (record.mod_revision(), record.sub()))
            .collect::<Vec<_>>(),
        places(|change| (change.revision, change.sub))
    );
}

/// Runs reads only, on both.
fn compare_read_txn(state: &State, model: &mut Model, txn: &Txn) {
    if !txn.is_read_only() {
        assert_eq!(state.read_txn(txn), Err(CommandError::NotReadOnly));
        return;
    }
    // Alarms forbid no read.
    let alarms = std::mem::take(&mut model.alarms);
    let expected = model.apply(&Command::Txn(txn.clone()));
    model.alarms = alarms;
    assert_eq!(state.read_txn(txn).map(|outcome| txn_answer(&outcome)), expected);
}

fn without_writes(txn: &mut Txn) {
    for ops in [&mut txn.success, &mut txn.failure] {
        ops.retain_mut(|op| match op {
            TxnOp::Txn(nested) => {
                without_writes(nested);
                true
            }
            op => matches!(op, TxnOp::Range(_)),
        });
    }
}

fn run(steps: Vec<Step>) {
    let mut store = Store::new();
    let mut model = Model::new();
    let caller = Caller::default();
    for Step {
        mut command,
        mut range,
        mut read_txn,
        events_from,
        watched,
        reload: reloads,
    } in steps
    {
        let current = model.revision();
        generate::resolve_command(&mut command, current);
        generate::resolve_range(&mut range, current);
        generate::resolve_txn(&mut read_txn, current);

        // A reader that holds the state of before keeps seeing just that.
        let before = store.state();
        let seen_before = before.range(&range);
        let outcome = store.apply(0, &caller, &command).map(|outcome| answer(&outcome));
        assert_eq!(outcome, model.apply(&command), "{command:?}");
        assert_eq!(before.range(&range), seen_before);
        if outcome.is_err() {
            assert!(
                store
                    .state()
                    .records_in_seq_order()
                    .eq(before.records_in_seq_order())
            );
        }

        let state = store.state();
        compare_state(&state, &model);
        assert_eq!(
            state.range(&range).map(|outcome| range_answer(&outcome)),
            model.range(&range),
            "{range:?}"
        );
        compare_read_txn(&state, &mut model, &read_txn);
        without_writes(&mut read_txn);
        compare_read_txn(&state, &mut model, &read_txn);
        compare_events(&state, &model, generate::resolve(events_from, current), &watched);
        if reloads {
            store = reload(&state);
            assert!(
                store
                    .state()
                    .records_in_seq_order()
                    .eq(state.records_in_seq_order())
            );
            compare_state(&store.state(), &model);
        }
    }
    // At the end, every key at every readable revision.
    let state = store.state();
    for revision in model.compact_revision.max(1)..=model.revision() {
        let all = Range {
            key: "\0".into(),
            range_end: "\0".into(),
            revision,
            ..Range::default()
        };
        assert_eq!(
            range_answer(&state.range(&all).unwrap()),
            model.range(&all).unwrap()
        );
        for (key, kv) in &model.at[revision as usize] {
            assert_eq!(
                state.get_at(key, revision).unwrap().map(Kv::from).as_ref(),
                Some(kv)
            );
        }
    }
}

proptest! {
    #![proptest_config(config(250))]

    #[test]
    fn random_histories_agree_with_the_model(steps in vec(step(), 1..80)) {
        run(steps);
    }

    #[test]
    fn the_static_check_refuses_nothing_that_applies(mut command in generate::command()) {
        generate::resolve_command(&mut command, 1);
        let checked = check(&command, &CheckLimits { max_txn_ops: 128 });
        if let Err(error) = checked {
            prop_assert_eq!(Store::new().apply(0, &Caller::default(), &command), Err(error));
        }
    }
}
