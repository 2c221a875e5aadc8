//! The store as naively as it can be said: one full map per revision, and code that follows the words of the semantics
//! with no thought of cost. Written without a look at the implementation's ways.

use std::collections::{BTreeMap, BTreeSet};

use cfgstore_store::*;

pub type Bytes = Vec<u8>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kv {
    pub key: Bytes,
    pub value: Bytes,
    pub create: i64,
    pub modified: i64,
    pub version: i64,
    pub lease: i64,
}

impl From<&Record> for Kv {
    fn from(record: &Record) -> Kv {
        Kv {
            key: record.key().to_vec(),
            value: record.value().to_vec(),
            create: record.create_revision(),
            modified: record.mod_revision(),
            version: record.version(),
            lease: record.lease(),
        }
    }
}

/// An outcome without records, so that both sides can be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Put {
        revision: i64,
        prev: Option<Kv>,
    },
    DeleteRange {
        revision: i64,
        deleted: i64,
        prev: Vec<Kv>,
    },
    Range {
        revision: i64,
        kvs: Vec<Kv>,
        count: i64,
        more: bool,
    },
    Txn {
        revision: i64,
        succeeded: bool,
        answers: Vec<Answer>,
    },
    Compact,
    LeaseGrant {
        id: i64,
        ttl_secs: i64,
    },
    LeaseRevoke,
    Alarm(Option<Alarm>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub revision: i64,
    pub sub: u32,
    pub key: Bytes,
    /// `None` deletes.
    pub put: Option<Kv>,
    pub prev: Option<Kv>,
}

type Map = BTreeMap<Bytes, Kv>;

pub struct Model {
    /// By revision. Revision 0 never was, and is as empty as revision 1.
    pub at: Vec<Map>,
    pub changes: Vec<Change>,
    pub compact_revision: i64,
    pub leases: BTreeMap<i64, i64>,
    pub alarms: BTreeSet<Alarm>,
}

/// A transaction in progress, or a single write.
struct Work {
    map: Map,
    changes: Vec<Change>,
    revision: i64,
}

pub fn in_range(key: &[u8], start: &[u8], end: &[u8]) -> bool {
    if end.is_empty() {
        key == start
    } else if end == b"\0" {
        key >= start
    } else {
        start <= key && key < end
    }
}

impl Model {
    pub fn new() -> Model {
        Model {
            at: vec![Map::new(); 2],
            changes: Vec::new(),
            compact_revision: -1,
            leases: BTreeMap::new(),
            alarms: BTreeSet::new(),
        }
    }

    pub fn revision(&self) -> i64 {
        self.at.len() as i64 - 1
    }

    pub fn now(&self) -> &Map {
        self.at.last().unwrap()
    }

    pub fn lease_keys(&self, id: i64) -> Vec<Bytes> {
        self.now()
            .values()
            .filter(|kv| kv.lease == id)
            .map(|kv| kv.key.clone())
            .collect()
    }

    fn begin(&self) -> Work {
        Work {
            map: self.now().clone(),
            changes: Vec::new(),
            revision: self.revision(),
        }
    }

    fn end(&mut self, work: Work) {
        if !work.changes.is_empty() {
            self.at.push(work.map);
            self.changes.extend(work.changes);
        }
    }

    fn alarm_forbids(&self, grows: bool) -> Result<(), CommandError> {
        let raised = |kind| self.alarms.iter().any(|alarm| alarm.kind == kind);
        if raised(AlarmKind::Corrupt) {
            Err(CommandError::Corrupt)
        } else if grows && raised(AlarmKind::NoSpace) {
            Err(CommandError::NoSpace)
        } else {
            Ok(())
        }
    }

    pub fn apply(&mut self, command: &Command) -> Result<Answer, CommandError> {
        match command {
            Command::Put(put) => {
                static_put(put)?;
                self.alarm_forbids(true)?;
                self.dynamic_put(put)?;
                let mut work = self.begin();
                let answer = work.put(put);
                self.end(work);
                Ok(answer)
            }
            Command::DeleteRange(delete) => {
                not_empty(&delete.key)?;
                self.alarm_forbids(false)?;
                let mut work = self.begin();
                let answer = work.delete_range(delete);
                self.end(work);
                Ok(answer)
            }
            Command::Txn(txn) => {
                static_txn(txn)?;
                if may_write_twice(txn) {
                    return Err(CommandError::DuplicateKey);
                }
                self.alarm_forbids(txn_puts(txn))?;
                self.dynamic_txn(txn)?;
                let mut work = self.begin();
                let answer = self.run_txn(&mut work, txn);
                self.end(work);
                Ok(answer)
            }
            Command::Compact(compact) => {
                self.alarm_forbids(false)?;
                let requested = compact.revision;
                if requested <= self.compact_revision {
                    let compact_revision = self.compact_revision;
                    return Err(CommandError::Compacted {
                        requested,
                        compact_revision,
                    });
                }
                if requested > self.revision() {
                    return Err(CommandError::FutureRevision {
                        requested,
                        revision: self.revision(),
                    });
                }
                self.compact_revision = requested;
                Ok(Answer::Compact)
            }
            Command::LeaseGrant(grant) => {
                let LeaseGrant { id, ttl_secs } = *grant;
                if id == 0 {
                    return Err(CommandError::LeaseNotFound { id });
                }
                if ttl_secs > 9_000_000_000 {
                    return Err(CommandError::LeaseTtlTooLarge {
                        ttl_secs,
                        limit_secs: 9_000_000_000,
                    });
                }
                self.alarm_forbids(true)?;
                if self.leases.contains_key(&id) {
                    return Err(CommandError::LeaseExists { id });
                }
                let ttl_secs = ttl_secs.max(1);
                self.leases.insert(id, ttl_secs);
                Ok(Answer::LeaseGrant { id, ttl_secs })
            }
            Command::LeaseRevoke(revoke) => {
                self.alarm_forbids(false)?;
                let id = revoke.id;
                if !self.leases.contains_key(&id) {
                    return Err(CommandError::LeaseNotFound { id });
                }
                let mut work = self.begin();
                for key in self.lease_keys(id) {
                    work.delete(&key);
                }
                self.end(work);
                self.leases.remove(&id);
                Ok(Answer::LeaseRevoke)
            }
            Command::Alarm(AlarmChange { alarm, raised: true }) => {
                self.alarms.insert(*alarm);
                Ok(Answer::Alarm(Some(*alarm)))
            }
            Command::Alarm(AlarmChange { alarm, raised: false }) => {
                Ok(Answer::Alarm(self.alarms.remove(alarm).then_some(*alarm)))
            }
            _ => unreachable!("no rules are generated"),
        }
    }

    fn dynamic_put(&self, put: &Put) -> Result<(), CommandError> {
        if put.lease != 0 && !self.leases.contains_key(&put.lease) {
            return Err(CommandError::LeaseNotFound { id: put.lease });
        }
        if (put.ignore_lease || put.ignore_value) && !self.now().contains_key(put.key.as_ref()) {
            return Err(CommandError::KeyNotFound);
        }
        Ok(())
    }

    fn branch<'a>(&self, txn: &'a Txn) -> (bool, &'a [TxnOp]) {
        if txn.compare.iter().all(|compare| self.holds(compare)) {
            (true, &txn.success)
        } else {
            (false, &txn.failure)
        }
    }

    fn dynamic_txn(&self, txn: &Txn) -> Result<(), CommandError> {
        for op in self.branch(txn).1 {
            match op {
                TxnOp::Range(range) => self.readable(range.revision)?,
                TxnOp::Put(put) => self.dynamic_put(put)?,
                TxnOp::DeleteRange(_) => {}
                TxnOp::Txn(nested) => self.dynamic_txn(nested)?,
            }
        }
        Ok(())
    }

    fn run_txn(&self, work: &mut Work, txn: &Txn) -> Answer {
        let (succeeded, ops) = self.branch(txn);
        let mut answers = Vec::new();
        for op in ops {
            answers.push(match op {
                TxnOp::Range(range) => self.range_of(&work.map, work.now(), range),
                TxnOp::Put(put) => work.put(put),
                TxnOp::DeleteRange(delete) => work.delete_range(delete),
                TxnOp::Txn(nested) => self.run_txn(work, nested),
            });
        }
        Answer::Txn {
            revision: work.now(),
            succeeded,
            answers,
        }
    }

    fn holds(&self, compare: &Compare) -> bool {
        let in_it = |kv: &&Kv| in_range(&kv.key, &compare.key, &compare.range_end);
        let kvs: Vec<&Kv> = self.now().values().filter(in_it).collect();
        let missing = Kv {
            key: vec![],
            value: vec![],
            create: 0,
            modified: 0,
            version: 0,
            lease: 0,
        };
        if kvs.is_empty() {
            return !matches!(compare.target, CompareTarget::Value(_)) && kv_holds(compare, &missing);
        }
        kvs.into_iter().all(|kv| kv_holds(compare, kv))
    }

    fn readable(&self, requested: i64) -> Result<(), CommandError> {
        if requested > self.revision() {
            return Err(CommandError::FutureRevision {
                requested,
                revision: self.revision(),
            });
        }
        if requested > 0 && requested < self.compact_revision {
            return Err(CommandError::Compacted {
                requested,
                compact_revision: self.compact_revision,
            });
        }
        Ok(())
    }

    pub fn range(&self, range: &Range) -> Result<Answer, CommandError> {
        not_empty(&range.key)?;
        self.readable(range.revision)?;
        Ok(self.range_of(self.now(), self.revision(), range))
    }

    /// A range on `map`, which is what stands at `revision`, the newest there is.
    fn range_of(&self, map: &Map, revision: i64, range: &Range) -> Answer {
        let old = range.revision > 0 && range.revision < revision;
        let map = if old {
            &self.at[range.revision as usize]
        } else {
            map
        };
        let mut kvs: Vec<Kv> = map.values().cloned().collect();
        kvs.retain(|kv| in_range(&kv.key, &range.key, &range.range_end));
        let count = kvs.len() as i64;
        if range.count_only {
            return Answer::Range {
                revision,
                kvs: vec![],
                count,
                more: false,
            };
        }
        let before_filters = kvs.len();
        let Range {
            min_mod_revision,
            max_mod_revision,
            min_create_revision,
            max_create_revision,
            ..
        } = *range;
        kvs.retain(|kv| min_mod_revision == 0 || kv.modified >= min_mod_revision);
        kvs.retain(|kv| max_mod_revision == 0 || kv.modified <= max_mod_revision);
        kvs.retain(|kv| min_create_revision == 0 || kv.create >= min_create_revision);
        kvs.retain(|kv| max_create_revision == 0 || kv.create <= max_create_revision);
        let any_filter = [
            min_mod_revision,
            max_mod_revision,
            min_create_revision,
            max_create_revision,
        ] != [0; 4];
        assert!(any_filter || before_filters == kvs.len());
        // etcd reads limit + 1 keys and sorts those, if neither an order nor a filter is given.
        if range.limit > 0 && range.sort_order == SortOrder::None && !any_filter {
            kvs.truncate(range.limit as usize + 1);
        }
        match range.sort_target {
            SortTarget::Key => {}
            SortTarget::Version => kvs.sort_by_key(|kv| kv.version),
            SortTarget::Create => kvs.sort_by_key(|kv| kv.create),
            SortTarget::Mod => kvs.sort_by_key(|kv| kv.modified),
            SortTarget::Value => kvs.sort_by_key(|kv| kv.value.clone()),
        }
        if range.sort_order == SortOrder::Descend {
            // Equal ones stay in key order.
            let mut by_key = kvs.clone();
            by_key.sort_by(|a, b| a.key.cmp(&b.key));
            by_key.sort_by(|a, b| match range.sort_target {
                SortTarget::Key => b.key.cmp(&a.key),
                SortTarget::Version => b.version.cmp(&a.version),
                SortTarget::Create => b.create.cmp(&a.create),
                SortTarget::Mod => b.modified.cmp(&a.modified),
                SortTarget::Value => b.value.cmp(&a.value),
            });
            kvs = by_key;
        }
        let more = range.limit > 0 && kvs.len() as i64 > range.limit;
        if more {
            kvs.truncate(range.limit as usize);
        }
        Answer::Range {
            revision,
            kvs,
            count,
            more,
        }
    }

    pub fn events(&self, from: i64) -> Result<Vec<Change>, CommandError> {
        if from < self.compact_revision {
            return Err(CommandError::Compacted {
                requested: from,
                compact_revision: self.compact_revision,
            });
        }
        let mut changes: Vec<Change> = self
            .changes
            .iter()
            .filter(|c| c.revision >= from)
            .cloned()
            .collect();
        for change in &mut changes {
            let before = change.revision - 1;
            change.prev = if before < self.compact_revision {
                None
            } else {
                self.at[before as usize].get(&change.key).cloned()
            };
        }
        Ok(changes)
    }

    /// (revision, sub) of every record that must be kept: those that a watch from the compact revision sees, and those
    /// that a read at it or later sees.
    pub fn kept(&self) -> BTreeSet<(i64, u32)> {
        let from = self.compact_revision.max(1);
        let watched = self
            .changes
            .iter()
            .filter(|c| c.revision >= from)
            .map(|c| (c.revision, c.sub));
        let seen = (from..=self.revision()).flat_map(|revision| self.at[revision as usize].values());
        let find = |kv: &Kv| {
            let change = self.changes.iter().find(|c| c.put.as_ref() == Some(kv)).unwrap();
            (change.revision, change.sub)
        };
        watched.chain(seen.map(find)).collect()
    }
}

fn kv_holds(compare: &Compare, kv: &Kv) -> bool {
    let ordering = match &compare.target {
        CompareTarget::Version(operand) => kv.version.cmp(operand),
        CompareTarget::Create(operand) => kv.create.cmp(operand),
        CompareTarget::Mod(operand) => kv.modified.cmp(operand),
        CompareTarget::Lease(operand) => kv.lease.cmp(operand),
        CompareTarget::Value(operand) => kv.value.as_slice().cmp(operand),
    };
    use std::cmp::Ordering::*;
    match compare.result {
        CompareResult::Equal => ordering == Equal,
        CompareResult::Greater => ordering == Greater,
        CompareResult::Less => ordering == Less,
        CompareResult::NotEqual => ordering == Less || ordering == Greater,
    }
}

impl Work {
    /// The revision as it is now: the next one from the first change on.
    fn now(&self) -> i64 {
        if self.changes.is_empty() {
            self.revision
        } else {
            self.revision + 1
        }
    }

    fn change(&mut self, key: &[u8], put: Option<Kv>) {
        let sub = self.changes.len() as u32;
        let change = Change {
            revision: self.revision + 1,
            sub,
            key: key.to_vec(),
            put,
            prev: None,
        };
        self.changes.push(change);
    }

    fn put(&mut self, put: &Put) -> Answer {
        let prev = self.map.get(put.key.as_ref()).cloned();
        let next = self.revision + 1;
        let kv = Kv {
            key: put.key.to_vec(),
            value: if put.ignore_value {
                prev.clone().unwrap().value
            } else {
                put.value.to_vec()
            },
            create: prev.as_ref().map_or(next, |kv| kv.create),
            modified: next,
            version: prev.as_ref().map_or(0, |kv| kv.version) + 1,
            lease: if put.ignore_lease {
                prev.clone().unwrap().lease
            } else {
                put.lease
            },
        };
        self.map.insert(put.key.to_vec(), kv.clone());
        self.change(&put.key, Some(kv));
        Answer::Put {
            revision: self.now(),
            prev: if put.prev_kv { prev } else { None },
        }
    }

    fn delete(&mut self, key: &[u8]) {
        self.map.remove(key).unwrap();
        self.change(key, None);
    }

    fn delete_range(&mut self, delete: &DeleteRange) -> Answer {
        let in_it = |kv: &&Kv| in_range(&kv.key, &delete.key, &delete.range_end);
        let doomed: Vec<Kv> = self.map.values().filter(in_it).cloned().collect();
        for kv in &doomed {
            self.delete(&kv.key);
        }
        let deleted = doomed.len() as i64;
        let prev = if delete.prev_kv { doomed } else { vec![] };
        Answer::DeleteRange {
            revision: self.now(),
            deleted,
            prev,
        }
    }
}

fn not_empty(key: &[u8]) -> Result<(), CommandError> {
    if key.is_empty() {
        Err(CommandError::EmptyKey)
    } else {
        Ok(())
    }
}

fn static_put(put: &Put) -> Result<(), CommandError> {
    not_empty(&put.key)?;
    if put.key.len() > 65536 {
        return Err(CommandError::KeyTooLarge {
            size_bytes: put.key.len(),
            limit_bytes: 65536,
        });
    }
    if put.ignore_value && !put.value.is_empty() {
        return Err(CommandError::ValueProvided);
    }
    if put.ignore_lease && put.lease != 0 {
        return Err(CommandError::LeaseProvided);
    }
    Ok(())
}

fn static_txn(txn: &Txn) -> Result<(), CommandError> {
    for compare in &txn.compare {
        not_empty(&compare.key)?;
    }
    for op in txn.success.iter().chain(&txn.failure) {
        match op {
            TxnOp::Range(range) => not_empty(&range.key)?,
            TxnOp::Put(put) => static_put(put)?,
            TxnOp::DeleteRange(delete) => not_empty(&delete.key)?,
            TxnOp::Txn(nested) => static_txn(nested)?,
        }
    }
    Ok(())
}

/// The flat lists of writes that some choice of branches runs.
fn paths(ops: &[TxnOp]) -> Vec<Vec<&TxnOp>> {
    let mut all: Vec<Vec<&TxnOp>> = vec![vec![]];
    for op in ops {
        let tails = match op {
            TxnOp::Range(_) => vec![vec![]],
            TxnOp::Put(_) | TxnOp::DeleteRange(_) => vec![vec![op]],
            TxnOp::Txn(txn) => [paths(&txn.success), paths(&txn.failure)].concat(),
        };
        all = all
            .iter()
            .flat_map(|head| tails.iter().map(|tail| [head.clone(), tail.clone()].concat()))
            .collect();
    }
    all
}

fn may_write_twice(txn: &Txn) -> bool {
    let clash = |a: &TxnOp, b: &TxnOp| match (a, b) {
        (TxnOp::Put(a), TxnOp::Put(b)) => a.key == b.key,
        (TxnOp::Put(put), TxnOp::DeleteRange(del)) | (TxnOp::DeleteRange(del), TxnOp::Put(put)) => {
            in_range(&put.key, &del.key, &del.range_end)
        }
        _ => false,
    };
    [paths(&txn.success), paths(&txn.failure)]
        .concat()
        .iter()
        .any(|path| (0..path.len()).any(|i| (i + 1..path.len()).any(|j| clash(path[i], path[j]))))
}

fn txn_puts(txn: &Txn) -> bool {
    txn.success.iter().chain(&txn.failure).any(|op| match op {
        TxnOp::Put(_) => true,
        TxnOp::Txn(nested) => txn_puts(nested),
        _ => false,
    })
}
