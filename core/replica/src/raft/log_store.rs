//! openraft's log on top of our write-ahead log, with the newest entries kept in memory.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openraft::entry::RaftEntry;
use openraft::storage::{IOFlushed, RaftLogReader, RaftLogStorage};
use openraft::{LogState, OptionalSend};
use tokio::sync::oneshot;

use crate::raft::codec::{decode_payload, encode_payload};
use crate::raft::types::{
    Entry, LogId, TypeConfig, Vote, from_wal_id, from_wal_vote, new_entry, to_wal_id, to_wal_vote,
};
use crate::wal::format::{BaseState, RawEntry, Record};
use crate::wal::index::next_index;
use crate::wal::writer::Writer;

/// The log. Clones share it.
#[derive(Clone)]
pub(crate) struct LogStore {
    writer: Writer,
    memory: Arc<Mutex<Memory>>,
}

/// What the log is as of the last call, durable or not, and the entries kept in memory.
///
/// Invariants: the cache holds the entries `cache_first..=last` without a gap; every entry before `cache_first` is
/// durable, so it can be read from disk.
struct Memory {
    state: BaseState,
    /// Index of the first entry, when there is one; entries before it were purged, or never existed.
    first: u64,
    /// `state.committed` goes to disk with the next entries: it needs no sync of its own.
    committed_unsaved: bool,
    cache_first: u64,
    cache: VecDeque<Cached>,
    cache_bytes: usize,
    /// Entries before this index are durable.
    durable_next: u64,
    /// Counts truncations, so that the completion of an append from before one is recognized.
    truncations: u64,
    /// Bytes of entries appended since the start.
    appended_bytes: u64,
}

struct Cached {
    entry: Entry,
    size_bytes: usize,
}

/// What a cached entry costs beyond its payload.
const CACHED_ENTRY_BYTES: usize = 128;
/// A read for replication stops after this many bytes; the rest follows with the next read.
const LIMITED_READ_BYTES: usize = 2 << 20;

impl Memory {
    fn next(&self) -> u64 {
        next_index(self.state.last)
    }

    fn push(&mut self, entry: Entry, raw: &RawEntry) {
        let size_bytes = CACHED_ENTRY_BYTES + raw.payload.len();
        self.state.last = Some(raw.log_id);
        self.cache.push_back(Cached { entry, size_bytes });
        self.cache_bytes += size_bytes;
        self.appended_bytes += raw.payload.len() as u64;
    }

    fn pop_front(&mut self) {
        if let Some(cached) = self.cache.pop_front() {
            self.cache_bytes -= cached.size_bytes;
            self.cache_first += 1;
        }
    }
}

impl LogStore {
    /// The log as recovered.
    pub(crate) fn new(writer: Writer, state: BaseState) -> Self {
        let next = next_index(state.last);
        let memory = Memory {
            state,
            first: writer.index().lock().first(),
            committed_unsaved: false,
            cache_first: next,
            cache: VecDeque::new(),
            cache_bytes: 0,
            durable_next: next,
            truncations: 0,
            appended_bytes: 0,
        };
        Self {
            writer,
            memory: Arc::new(Mutex::new(memory)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Memory> {
        // Nothing panics halfway through a change of it.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread and the files below.
    pub(crate) fn writer(&self) -> &Writer {
        &self.writer
    }

    /// Bytes of entries appended since the start.
    pub(crate) fn appended_bytes(&self) -> u64 {
        self.lock().appended_bytes
    }

    /// Drops entries up to `applied` from memory, the oldest first, as far as more than `keep_bytes` are held. What is
    /// not durable, or not yet applied, stays.
    pub(crate) fn trim(&self, applied: u64, keep_bytes: usize) {
        let mut memory = self.lock();
        while memory.cache_bytes > keep_bytes
            && memory.cache_first <= applied
            && memory.cache_first < memory.durable_next
        {
            memory.pop_front();
        }
    }

    #[cfg(test)]
    pub(crate) fn cached_entries(&self) -> usize {
        self.lock().cache.len()
    }

    /// The entries `start..end`, as far as the log has them; with a limit, only the first of them.
    async fn read(&self, start: u64, end: u64, limit_bytes: usize) -> io::Result<Vec<Entry>> {
        let (start, disk_end, mut cached) = {
            let memory = self.lock();
            let start = start.max(memory.first).max(next_index(memory.state.purged));
            let end = end.min(memory.next());
            if start >= end {
                return Ok(Vec::new());
            }
            let disk_end = end.min(memory.cache_first).max(start);
            let skip = (start.max(memory.cache_first) - memory.cache_first) as usize;
            let take = (end - disk_end) as usize;
            let mut size = 0;
            let cached: Vec<Entry> = memory
                .cache
                .iter()
                .skip(skip)
                .take(take)
                .take_while(|cached| {
                    let fits = size < limit_bytes;
                    size += cached.size_bytes;
                    fits
                })
                .map(|cached| cached.entry.clone())
                .collect();
            (start, disk_end, cached)
        };
        if start >= disk_end {
            return Ok(cached);
        }
        let index = self.writer.index().clone();
        let limited = limit_bytes != usize::MAX;
        let from_disk = tokio::task::spawn_blocking(move || {
            let raw = if limited {
                index.read_some(start, disk_end)
            } else {
                index.read(start, disk_end)
            };
            raw?.into_iter()
                .map(decode_entry)
                .collect::<io::Result<Vec<Entry>>>()
        });
        let mut entries = from_disk.await.map_err(io::Error::other)??;
        if entries.len() as u64 == disk_end - start {
            entries.append(&mut cached);
        }
        Ok(entries)
    }

    async fn submit_and_wait(&self, records: Vec<Record>) -> io::Result<()> {
        let (sender, receiver) = oneshot::channel();
        let done = move |result| {
            // The caller may have gone; the write has happened all the same.
            let _ = sender.send(result);
        };
        self.writer.submit(records, Some(Box::new(done)));
        receiver
            .await
            .unwrap_or_else(|_| Err(io::Error::other("the log writer is gone")))
    }
}

fn decode_entry(raw: RawEntry) -> io::Result<Entry> {
    let payload = decode_payload(raw.kind, raw.payload).map_err(|error| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("log entry {}: {error}", raw.log_id.index),
        )
    })?;
    Ok(new_entry(raw.log_id, payload))
}

fn encode_entry(entry: &Entry) -> RawEntry {
    let (kind, payload) = encode_payload(&entry.payload);
    RawEntry {
        log_id: to_wal_id(&entry.log_id),
        kind,
        payload,
    }
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> io::Result<Vec<Entry>> {
        let start = match range.start_bound() {
            Bound::Included(start) => *start,
            Bound::Excluded(start) => start.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(end) => end.saturating_add(1),
            Bound::Excluded(end) => *end,
            Bound::Unbounded => u64::MAX,
        };
        self.read(start, end, usize::MAX).await
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        self.read(start, end, LIMITED_READ_BYTES).await
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(self.lock().state.vote.map(from_wal_vote))
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<TypeConfig>> {
        let memory = self.lock();
        Ok(LogState {
            last_purged_log_id: memory.state.purged.map(from_wal_id),
            last_log_id: memory.state.last.map(from_wal_id),
        })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        let vote = to_wal_vote(vote);
        self.submit_and_wait(vec![Record::Vote(vote)]).await?;
        self.lock().state.vote = Some(vote);
        Ok(())
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        let mut memory = self.lock();
        memory.state.committed = committed.as_ref().map(to_wal_id);
        memory.committed_unsaved = memory.state.committed.is_some();
        Ok(())
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        Ok(self.lock().state.committed.map(from_wal_id))
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let (records, truncations, next) = {
            let mut memory = self.lock();
            let mut records = Vec::new();
            if memory.committed_unsaved {
                records.extend(memory.state.committed.map(Record::Committed));
                memory.committed_unsaved = false;
            }
            for entry in entries {
                let raw = encode_entry(&entry);
                if memory.state.last.is_none() {
                    // An empty log may start anywhere.
                    memory.first = entry.index();
                    memory.cache_first = entry.index();
                } else if entry.index() != memory.next() {
                    let message = format!(
                        "entry {} does not follow the log, which continues at {}",
                        entry.index(),
                        memory.next()
                    );
                    return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
                }
                memory.push(entry, &raw);
                records.push(Record::Entry(raw));
            }
            (records, memory.truncations, memory.next())
        };
        let memory = self.memory.clone();
        let done = move |result: io::Result<()>| {
            if result.is_ok() {
                let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
                if memory.truncations == truncations {
                    memory.durable_next = memory.durable_next.max(next);
                }
            }
            callback.io_completed(result);
        };
        self.writer.submit(records, Some(Box::new(done)));
        Ok(())
    }

    async fn truncate_after(&mut self, last_log_id: Option<LogId>) -> io::Result<()> {
        let after = last_log_id.as_ref().map(to_wal_id);
        {
            let mut memory = self.lock();
            let next = next_index(after);
            if next >= memory.next() {
                return Ok(());
            }
            if next <= memory.cache_first {
                memory.cache.clear();
                memory.cache_bytes = 0;
                memory.cache_first = next;
            }
            while memory.cache_first + memory.cache.len() as u64 > next
                && let Some(cached) = memory.cache.pop_back()
            {
                memory.cache_bytes -= cached.size_bytes;
            }
            memory.state.last = after;
            memory.durable_next = memory.durable_next.min(next);
            memory.truncations += 1;
        }
        // Other records are ordered behind it, but a snapshot that contradicts what is truncated is not: a start that found
        // both could not go on.
        self.submit_and_wait(vec![Record::TruncateAfter(after)]).await
    }

    async fn purge(&mut self, log_id: LogId) -> io::Result<()> {
        let upto = to_wal_id(&log_id);
        {
            let mut memory = self.lock();
            if next_index(Some(upto)) <= next_index(memory.state.purged) {
                return Ok(());
            }
            memory.state.purged = Some(upto);
            while memory.cache_first <= upto.index && !memory.cache.is_empty() {
                memory.pop_front();
            }
            if memory.next() <= upto.index {
                memory.state.last = Some(upto);
            }
            memory.cache_first = memory.cache_first.max(upto.index + 1);
            memory.durable_next = memory.durable_next.max(upto.index + 1);
        }
        self.writer.submit(vec![Record::Purge(upto)], None);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use openraft::EntryPayload;
    use openraft::storage::RaftLogStorageExt;

    use super::*;
    use crate::disk::sim::SimDisk;
    use crate::fatal::FatalHook;
    use crate::raft::types::from_wal_id;
    use crate::wal::format::LogId as WalId;
    use crate::wal::log::{Owner, Place};
    use crate::wal::recover;

    fn open() -> LogStore {
        let owner = Owner {
            cluster_id: 1,
            member_id: 2,
        };
        let disk = Arc::new(SimDisk::default());
        let (log, _) = recover::open(Place {
            disk,
            dir: "/wal".into(),
            owner,
            segment_size_bytes: 64 << 10,
        })
        .unwrap();
        let state = log.state;
        LogStore::new(
            Writer::start(log, Arc::default(), FatalHook::new(|message| panic!("{message}"))).unwrap(),
            state,
        )
    }

    fn blank(index: u64, term: u64) -> Entry {
        new_entry(
            WalId {
                term,
                leader: 2,
                index,
            },
            EntryPayload::Blank,
        )
    }

    async fn indexes(log: &mut LogStore) -> Vec<(u64, u64)> {
        let entries = log.try_get_log_entries(..).await.unwrap();
        entries
            .iter()
            .map(|entry| (entry.index(), entry.log_id.leader_id.term))
            .collect()
    }

    #[tokio::test]
    async fn trimmed_entries_are_read_from_disk() {
        let mut log = open();
        log.blocking_append((0..100).map(|index| blank(index, 1)))
            .await
            .unwrap();
        log.trim(59, 0);
        assert_eq!(log.cached_entries(), 40);
        let expected: Vec<_> = (0..100).map(|index| (index, 1)).collect();
        assert_eq!(indexes(&mut log).await, expected);
        log.trim(99, 10 * CACHED_ENTRY_BYTES);
        assert_eq!(log.cached_entries(), 10);
        assert_eq!(log.limited_get_log_entries(95, 100).await.unwrap().len(), 5);
        assert!(!log.limited_get_log_entries(0, 100).await.unwrap().is_empty());
        log.writer().close();
    }

    #[tokio::test]
    async fn truncation_reaches_behind_what_is_cached() {
        let mut log = open();
        log.blocking_append((0..50).map(|index| blank(index, 1)))
            .await
            .unwrap();
        log.trim(39, 0);
        log.truncate_after(Some(from_wal_id(WalId {
            term: 1,
            leader: 2,
            index: 19,
        })))
        .await
        .unwrap();
        log.blocking_append((20..30).map(|index| blank(index, 2)))
            .await
            .unwrap();
        log.trim(25, 0);
        let expected: Vec<_> = (0..20)
            .map(|index| (index, 1))
            .chain((20..30).map(|index| (index, 2)))
            .collect();
        assert_eq!(indexes(&mut log).await, expected);
        assert!(
            log.append([blank(40, 2)], IOFlushed::noop()).await.is_err(),
            "a hole"
        );
        log.writer().close();
    }

    #[tokio::test]
    async fn purging_beyond_the_end_moves_the_log_there() {
        let mut log = open();
        log.blocking_append((0..10).map(|index| blank(index, 1)))
            .await
            .unwrap();
        log.purge(from_wal_id(WalId {
            term: 3,
            leader: 2,
            index: 99,
        }))
        .await
        .unwrap();
        assert_eq!(indexes(&mut log).await, []);
        assert_eq!(log.get_log_state().await.unwrap().last_log_id.unwrap().index, 99);
        log.blocking_append([blank(100, 3)]).await.unwrap();
        assert_eq!(indexes(&mut log).await, [(100, 3)]);
        log.trim(100, 0);
        assert_eq!(indexes(&mut log).await, [(100, 3)]);
        log.writer().close();
    }
}
