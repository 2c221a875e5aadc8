//! Writing a snapshot file.

use std::io::{self, Write};

use cfgstore_store::State;
use cfgstore_store::codec::{self, LeaseView};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::TRAILER_BYTES;
use crate::bolt::write::{Layout, PAGE_BYTES, Pages, Tree};
use crate::content::{
    BUCKET_CHANGES, BUCKET_KEY, BUCKET_LEASE, BUCKET_MEMBERS, BUCKET_META, BUCKET_RULES, EMPTY_BUCKETS,
    KeyValue, META_CONF_STATE, META_CONSISTENT_INDEX, META_FINISHED_COMPACTION, META_SCHEDULED_COMPACTION,
    META_TERM, RULES_REVISION, Revision, SnapshotSource, encode_lease, encode_revision_key,
};

/// A state as etcd's snapshot file, before it is written: its size is known already.
///
/// It holds one version of the state, so the store goes on meanwhile. Both making and writing it take one pass over all
/// records, and memory for a few pages besides a pointer for each record older than the log. Both block: not for a
/// thread that serves others.
pub struct EtcdSnapshot {
    state: State,
    source: SnapshotSource,
    layout: Layout,
}

impl EtcdSnapshot {
    /// Lays the file out.
    pub fn new(state: State, source: SnapshotSource) -> EtcdSnapshot {
        let layout = write_trees(&state, &source, Pages::counted());
        let layout = layout.expect("counting pages does no I/O");
        EtcdSnapshot {
            state,
            source,
            layout,
        }
    }

    /// Size of the database in bytes, without the checksum of [`TRAILER_BYTES`] after it.
    pub fn database_bytes(&self) -> u64 {
        self.layout.pages * PAGE_BYTES as u64
    }

    /// Size of the whole file in bytes.
    pub fn file_bytes(&self) -> u64 {
        self.database_bytes() + TRAILER_BYTES
    }

    /// Writes the whole file: the database, then its SHA-256. Writes are of a page at least, in order.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_to(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut hashed = Hashed {
            out,
            hash: Sha256::new(),
        };
        self.write_database(&mut hashed)?;
        let hash = hashed.hash.finalize();
        out.write_all(&hash)
    }

    /// Writes the database without its checksum.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_database(&self, out: &mut dyn Write) -> io::Result<()> {
        let pages = Pages::written(out, &self.layout)?;
        let written = write_trees(&self.state, &self.source, pages)?;
        assert_eq!(written, self.layout, "the same state has the same pages");
        Ok(())
    }
}

struct Hashed<'a> {
    out: &'a mut dyn Write,
    hash: Sha256,
}

impl Write for Hashed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn write_trees(state: &State, source: &SnapshotSource, mut pages: Pages<'_>) -> io::Result<Layout> {
    let mut buckets: Vec<(&[u8], u64)> = vec![
        (BUCKET_KEY, records(state, &mut pages)?),
        (BUCKET_LEASE, leases(state, &mut pages)?),
        (BUCKET_MEMBERS, small(members(source), &mut pages)?),
        (BUCKET_META, small(meta(state, source), &mut pages)?),
        (BUCKET_RULES, small(rules(state), &mut pages)?),
        (BUCKET_CHANGES, changes(state, &mut pages)?),
    ];
    for name in EMPTY_BUCKETS {
        buckets.push((name, Tree::new().finish(&mut pages)?));
    }
    buckets.sort_unstable();
    pages.finish(&buckets)
}

fn records(state: &State, pages: &mut Pages<'_>) -> io::Result<u64> {
    let mut tree = Tree::new();
    let (mut key, mut value) = (Vec::new(), Vec::new());
    // Records are numbered in the order of their revisions.
    for record in state.records_in_seq_order() {
        key.clear();
        value.clear();
        let revision = Revision {
            main: record.mod_revision(),
            sub: record.sub(),
        };
        encode_revision_key(revision, record.is_tombstone(), &mut key);
        // etcd's tombstones have nothing but the key.
        let kv = if record.is_tombstone() {
            KeyValue {
                key: record.key(),
                ..KeyValue::default()
            }
        } else {
            KeyValue {
                key: record.key(),
                create_revision: record.create_revision(),
                mod_revision: record.mod_revision(),
                version: record.version(),
                value: record.value(),
                lease: record.lease(),
            }
        };
        kv.encode(&mut value);
        tree.push(pages, &key, &value)?;
    }
    tree.finish(pages)
}

fn leases(state: &State, pages: &mut Pages<'_>) -> io::Result<u64> {
    let mut leases: Vec<LeaseView> = state.leases().map(LeaseView::of).collect();
    // As their bytes are ordered, in which a negative id comes last.
    leases.sort_unstable_by_key(|lease| lease.id as u64);
    let mut tree = Tree::new();
    let mut value = Vec::new();
    for lease in leases {
        value.clear();
        encode_lease(lease, &mut value);
        tree.push(pages, &lease.id.to_be_bytes(), &value)?;
    }
    tree.finish(pages)
}

fn changes(state: &State, pages: &mut Pages<'_>) -> io::Result<u64> {
    let mut tree = Tree::new();
    let mut value = Vec::new();
    for change in state.all_logged_changes() {
        value.clear();
        codec::encode_change(change, &mut value);
        let revision = change.record.mod_revision().to_be_bytes();
        let key = [&revision[..], &change.record.sub().to_be_bytes()].concat();
        tree.push(pages, &key, &value)?;
    }
    tree.finish(pages)
}

fn rules(state: &State) -> Entries {
    let mut entries = vec![(RULES_REVISION.to_vec(), state.revision().to_be_bytes().to_vec())];
    let _: Result<(), std::convert::Infallible> = codec::encode_rules(state, |item| {
        let number = entries.len() as u32;
        entries.push((number.to_be_bytes().to_vec(), item.to_vec()));
        Ok(())
    });
    entries
}

type Entries = Vec<(Vec<u8>, Vec<u8>)>;

fn small(mut entries: Entries, pages: &mut Pages<'_>) -> io::Result<u64> {
    entries.sort_unstable();
    let mut tree = Tree::new();
    for (key, value) in &entries {
        tree.push(pages, key, value)?;
    }
    tree.finish(pages)
}

fn meta(state: &State, source: &SnapshotSource) -> Entries {
    let of_kind = |is_learner| {
        let members = source
            .members
            .iter()
            .filter(move |member| member.is_learner == is_learner);
        members.map(|member| member.id).collect::<Vec<u64>>()
    };
    let mut conf_state = json!({ "voters": of_kind(false), "auto_leave": false });
    if source.members.iter().any(|member| member.is_learner) {
        conf_state["learners"] = of_kind(true).into();
    }
    let mut entries = vec![
        (
            META_CONSISTENT_INDEX.to_vec(),
            source.applied_index.to_be_bytes().to_vec(),
        ),
        (META_TERM.to_vec(), source.term.to_be_bytes().to_vec()),
        (META_CONF_STATE.to_vec(), conf_state.to_string().into_bytes()),
    ];
    if state.compact_revision() > 0 {
        for name in [META_SCHEDULED_COMPACTION, META_FINISHED_COMPACTION] {
            let mut revision = Vec::new();
            let main = state.compact_revision();
            encode_revision_key(Revision { main, sub: 0 }, false, &mut revision);
            entries.push((name.to_vec(), revision));
        }
    }
    entries
}

fn members(source: &SnapshotSource) -> Entries {
    let member = |member: &crate::MemberEntry| {
        let mut value = json!({ "id": member.id, "peerURLs": member.peer_urls, "name": member.name });
        if !member.client_urls.is_empty() {
            value["clientURLs"] = json!(member.client_urls);
        }
        if member.is_learner {
            value["isLearner"] = true.into();
        }
        (
            format!("{:x}", member.id).into_bytes(),
            value.to_string().into_bytes(),
        )
    };
    source.members.iter().map(member).collect()
}
