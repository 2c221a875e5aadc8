//! How much was written, for metrics.

use crate::record::Record;

/// What this process has applied to a state since it was made or loaded. No part of the state: members that hold the same
/// state differ in it, and it begins anew with each start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Puts.
    pub puts: u64,
    /// Bytes of the keys and values put.
    pub put_bytes: u64,
    /// Keys deleted.
    pub deletes: u64,
    /// Records that compactions dropped.
    pub compacted_records: u64,
}

impl Written {
    pub(crate) fn count(&mut self, record: &Record) {
        if record.is_tombstone() {
            self.deletes += 1;
        } else {
            self.puts += 1;
            self.put_bytes += (record.key().len() + record.value().len()) as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Caller, Command, Compact, DeleteRange, Put, Store};

    #[test]
    fn each_write_counts_once() {
        let mut store = Store::new();
        let mut apply = |command| store.apply(0, &Caller::default(), &command).unwrap();
        let put = |key: &'static str| {
            Command::Put(Put {
                key: key.into(),
                value: "value".into(),
                ..Put::default()
            })
        };
        apply(put("a"));
        apply(put("a"));
        apply(put("b"));
        apply(Command::DeleteRange(DeleteRange {
            key: "a".into(),
            range_end: "c".into(),
            ..DeleteRange::default()
        }));
        apply(Command::Compact(Compact { revision: 5 }));
        let expected = Written {
            puts: 3,
            put_bytes: 18,
            deletes: 2,
            compacted_records: 3,
        };
        assert_eq!(store.state().written(), expected);
    }
}
