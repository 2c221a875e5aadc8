//! Making a range of keys what it is to be, as one revision: a transaction that runs only if nobody else was faster.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use bytes::Bytes;
use cfgstore_proto::cfgstore::v1 as pb;
use cfgstore_proto::etcdserverpb::ResponseHeader;
use cfgstore_store::{
    CheckLimits, Command, Compare, CompareResult, CompareTarget, DeleteRange, KeyRange, Outcome, Put, Record,
    State, Txn, TxnOp,
};
use tonic::Status;

use crate::errors;

/// Most entries applied at once.
pub(super) const MAX_ENTRIES: usize = 10_000;

/// A change of every entry, with every entry and the range compared.
pub(super) const LIMITS: CheckLimits = CheckLimits {
    max_txn_ops: 4 * MAX_ENTRIES,
};

/// What is to be changed, and what it was planned on.
pub(super) struct Edit {
    compare: Vec<Compare>,
    ops: Vec<TxnOp>,
    changes: Vec<pb::Change>,
    cost_bytes: usize,
}

/// As one put in the KV service.
const PUT_COST_BYTES: usize = 256;

impl Edit {
    fn new() -> Edit {
        Edit {
            compare: Vec::new(),
            ops: Vec::new(),
            changes: Vec::new(),
            cost_bytes: 0,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    pub fn cost_bytes(&self) -> usize {
        self.cost_bytes
    }

    pub fn command(&self) -> Command {
        Command::Txn(Txn {
            compare: self.compare.clone(),
            success: self.ops.clone(),
            failure: Vec::new(),
        })
    }

    pub fn into_response(self, header: ResponseHeader) -> pb::ApplyResponse {
        pb::ApplyResponse {
            header: Some(header),
            changes: self.changes,
        }
    }

    /// That the key is as it was looked at: 0 is not there.
    fn expect(&mut self, key: &Bytes, mod_revision: i64) {
        self.compare.push(Compare {
            key: key.clone(),
            range_end: Bytes::new(),
            result: CompareResult::Equal,
            target: CompareTarget::Mod(mod_revision),
        });
    }

    /// That no key of the range was put after `revision`.
    fn expect_nothing_new(&mut self, key: &Bytes, range_end: &Bytes, revision: i64) {
        self.compare.push(Compare {
            key: key.clone(),
            range_end: range_end.clone(),
            result: CompareResult::Less,
            target: CompareTarget::Mod(revision + 1),
        });
    }

    fn put(&mut self, key: &Bytes, value: &Bytes, present: Option<&Record>) {
        self.expect(key, present.map_or(0, Record::mod_revision));
        if present.is_some_and(|present| present.value() == value.as_ref() && present.lease() == 0) {
            return;
        }
        self.cost_bytes += PUT_COST_BYTES + key.len() + value.len();
        self.ops.push(TxnOp::Put(Put {
            key: key.clone(),
            value: value.clone(),
            ..Put::default()
        }));
        self.changes.push(pb::Change {
            kind: pb::change::Kind::Put.into(),
            key: key.clone(),
            value: value.clone(),
            version: present.map_or(0, Record::version) + 1,
            ..before(present)
        });
    }

    fn delete(&mut self, present: &Record) {
        let key = present.key_bytes();
        self.expect(&key, present.mod_revision());
        self.ops.push(TxnOp::DeleteRange(DeleteRange {
            key: key.clone(),
            ..DeleteRange::default()
        }));
        self.changes.push(pb::Change {
            kind: pb::change::Kind::Delete.into(),
            key,
            ..before(Some(present))
        });
    }
}

fn before(present: Option<&Record>) -> pb::Change {
    pb::Change {
        previous_revision: present.map_or(0, Record::mod_revision),
        has_previous_value: present.is_some(),
        previous_value: present.map(Record::value_bytes).unwrap_or_default(),
        ..pb::Change::default()
    }
}

/// Whether the transaction found everything as it was planned on.
pub(super) fn was_made(outcome: &Outcome) -> Result<bool, Status> {
    match outcome {
        Outcome::Txn(outcome) => Ok(outcome.succeeded),
        other => Err(crate::service::mismatch(other)),
    }
}

/// The keys of a range that are there and no lease's, by key.
fn configuration(state: &State, key: &[u8], range_end: &[u8]) -> BTreeMap<Bytes, Record> {
    let mut found = BTreeMap::new();
    state.each_key(KeyRange::new(key, range_end), |record| {
        if record.lease() == 0 {
            found.insert(record.key_bytes(), record.clone());
        }
        ControlFlow::Continue(())
    });
    found
}

pub(super) fn apply(state: &State, request: &pb::ApplyRequest) -> Result<Edit, Status> {
    let mut wanted = BTreeMap::new();
    let range = (!request.key.is_empty()).then(|| KeyRange::new(&request.key, &request.range_end));
    for entry in &request.entries {
        let name = || entry.key.escape_ascii();
        if entry.key.is_empty() {
            return Err(errors::empty_key());
        }
        if range.is_some_and(|range| !range.contains(&entry.key)) {
            let text = format!(
                "cfgstore: the entry {} is not within the range that is to be applied",
                name()
            );
            return Err(Status::invalid_argument(text));
        }
        if wanted.insert(entry.key.clone(), &entry.value).is_some() {
            return Err(Status::invalid_argument(format!(
                "cfgstore: there are two entries for {}",
                name()
            )));
        }
    }
    let mut edit = Edit::new();
    if range.is_some() {
        edit.expect_nothing_new(&request.key, &request.range_end, state.revision());
        for (key, present) in configuration(state, &request.key, &request.range_end) {
            if !wanted.contains_key(&key) {
                edit.delete(&present);
            }
        }
    }
    for (key, value) in wanted {
        edit.put(&key, value, state.get(&key));
    }
    let since = request.if_unchanged_since;
    if since > 0
        && let Some(newer) = edit
            .changes
            .iter()
            .find(|change| change.previous_revision > since)
    {
        return Err(Status::failed_precondition(format!(
            "cfgstore: changed since revision {since}: {} was, at revision {}; nothing was applied, look at the change and \
             apply again",
            newer.key.escape_ascii(),
            newer.previous_revision
        )));
    }
    edit.changes.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    Ok(edit)
}

pub(super) fn rollback(state: &State, request: &pb::RollbackRequest) -> Result<Edit, Status> {
    let keys = KeyRange::new(&request.key, &request.range_end);
    let then = state
        .keys_at(keys, request.revision)
        .map_err(errors::of_command)?;
    if then.len() > MAX_ENTRIES {
        let text = format!("cfgstore: at most {MAX_ENTRIES} keys can be rolled back at once");
        return Err(Status::invalid_argument(text));
    }
    let mut now = configuration(state, &request.key, &request.range_end);
    let mut edit = Edit::new();
    edit.expect_nothing_new(&request.key, &request.range_end, state.revision());
    for record in &then {
        let key = record.key_bytes();
        let present = now.remove(&key);
        edit.put(&key, &record.value_bytes(), present.as_ref());
    }
    now.values().for_each(|surplus| edit.delete(surplus));
    edit.changes.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    Ok(edit)
}

#[cfg(test)]
mod tests {
    use cfgstore_store::{Caller, Store};
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;

    type Keys = BTreeMap<Bytes, Bytes>;

    const PREFIX: (&str, &str) = ("app/", "app0");

    #[derive(Clone, Debug)]
    enum Step {
        Put(usize, u8),
        Delete(usize),
        /// To this one of the revisions that there were.
        Rollback(Index),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..6usize, 0..3u8).prop_map(|(key, value)| Step::Put(key, value)),
            2 => (0..6usize).prop_map(Step::Delete),
            1 => any::<Index>().prop_map(Step::Rollback),
        ]
    }

    /// Two of six are not below the prefix.
    fn key(index: usize) -> Bytes {
        let folder = ["app", "app", "app", "app", "other", "ap"][index];
        format!("{folder}/{index}").into()
    }

    fn keys(state: &State) -> Keys {
        let all = configuration(state, b"\0", b"\0");
        all.into_iter()
            .map(|(key, record)| (key, record.value_bytes()))
            .collect()
    }

    fn below_prefix(keys: &Keys) -> Keys {
        let range = KeyRange::new(PREFIX.0.as_bytes(), PREFIX.1.as_bytes());
        let below = keys.iter().filter(|(key, _)| range.contains(key));
        below.map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    proptest! {
        #[test]
        fn a_rollback_makes_the_prefix_what_it_was_and_nothing_else_different(steps in vec(step(), 1..60)) {
            let mut store = Store::new();
            // By revision - 1.
            let mut at = vec![Keys::new()];
            for (number, step) in steps.into_iter().enumerate() {
                let before = keys(&store.state());
                let mut wanted = None;
                let command = match step {
                    Step::Put(index, value) => Command::Put(Put {
                        key: key(index),
                        value: vec![value].into(),
                        ..Put::default()
                    }),
                    Step::Delete(index) => Command::DeleteRange(DeleteRange {
                        key: key(index),
                        ..DeleteRange::default()
                    }),
                    Step::Rollback(index) => {
                        let revision = index.index(at.len());
                        let request = pb::RollbackRequest {
                            key: PREFIX.0.into(),
                            range_end: PREFIX.1.into(),
                            revision: revision as i64 + 1,
                            ..pb::RollbackRequest::default()
                        };
                        let edit = rollback(&store.state(), &request).unwrap();
                        let mut result = before.clone();
                        result.retain(|key, _| !below_prefix(&before).contains_key(key));
                        result.extend(below_prefix(&at[revision]));
                        prop_assert_eq!(edit.is_empty(), result == before);
                        wanted = Some(result);
                        edit.command()
                    }
                };
                store.apply(number as i64, &Caller::default(), &command).unwrap();
                let state = store.state();
                if let Some(wanted) = wanted {
                    prop_assert_eq!(&keys(&state), &wanted);
                    prop_assert!(state.revision() <= at.len() as i64 + 1, "one revision");
                }
                if state.revision() as usize > at.len() {
                    at.push(keys(&state));
                }
            }
        }
    }
}
