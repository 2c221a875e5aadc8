//! What differs between two revisions, key by key.

use std::collections::BTreeMap;

use bytes::Bytes;
use cfgstore_documents::Value;

use crate::client::Client;
use crate::error::{Error, Result};
use crate::history::KeyAt;
use crate::keyspace::Keyspace;
use crate::kv::Range;

/// A key that differs, with its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyDifference {
    /// The key, below the client's prefix.
    pub key: Bytes,
    /// Its value before, opened if it was sealed; `None`: it was not there.
    pub before: Option<Bytes>,
    /// Its value after, opened if it was sealed; `None`: it was not there.
    pub after: Option<Bytes>,
    /// Why a sealed one of the values could not be opened; then it stands as it is stored. `None`: there is nothing wrong.
    pub unopened: Option<Box<Error>>,
}

/// What became of a key, or of a place in its document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DifferenceKind {
    /// It was not there before.
    Added,
    /// It is another.
    Changed,
    /// It is no longer there.
    Deleted,
}

impl DifferenceKind {
    /// Of something that was there `before`, and is there `after`.
    pub fn of<T>(before: Option<T>, after: Option<T>) -> DifferenceKind {
        match (before, after) {
            (None, _) => DifferenceKind::Added,
            (_, Some(_)) => DifferenceKind::Changed,
            (_, None) => DifferenceKind::Deleted,
        }
    }

    /// In one word.
    pub fn name(self) -> &'static str {
        match self {
            DifferenceKind::Added => "added",
            DifferenceKind::Changed => "changed",
            DifferenceKind::Deleted => "deleted",
        }
    }
}

impl KeyDifference {
    /// Of stored values.
    pub(crate) fn opened(
        keyspace: &Keyspace,
        key: Bytes,
        before: Option<Bytes>,
        after: Option<Bytes>,
    ) -> KeyDifference {
        let mut unopened = None;
        let mut open = |value: Option<Bytes>| {
            let (value, error) = keyspace.open(&key, value?);
            unopened = unopened.take().or(error);
            Some(value)
        };
        let (before, after) = (open(before), open(after));
        KeyDifference {
            key: keyspace.strip(key),
            before,
            after,
            unopened,
        }
    }

    /// What became of the key.
    pub fn kind(&self) -> DifferenceKind {
        DifferenceKind::of(self.before.as_ref(), self.after.as_ref())
    }

    /// The documents before and after; `None`: there are not two. [`diff`](cfgstore_documents::diff()) compares them.
    pub fn documents(&self) -> Option<(Value, Value)> {
        let document = |value: &Option<Bytes>| Value::of_stored(value.as_deref()?).ok();
        Some((document(&self.before)?, document(&self.after)?))
    }

    /// Whether nothing differs but how the same document is written.
    pub fn is_none(&self) -> bool {
        self.before == self.after || self.documents().is_some_and(|(before, after)| before == after)
    }
}

/// What differs between two revisions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diff {
    /// The later revision, which may have been left open.
    pub to: i64,
    /// The keys that differ, in order.
    pub keys: Vec<KeyDifference>,
}

impl Client {
    /// What differs in a range between two revisions; `to`: `None` is now. Another way to write the same document is no
    /// difference. Fails as [`Client::keys_at`].
    pub async fn diff(&self, range: &Range, from: i64, to: Option<i64>) -> Result<Diff> {
        let to = match to {
            Some(to) => to,
            None => self.revision().await?,
        };
        let before = self.keys_at(range, from).await?;
        let after = self.keys_at(range, to).await?;
        let keys = differences(before, after);
        Ok(Diff { to, keys })
    }
}

fn differences(before: Vec<KeyAt>, after: Vec<KeyAt>) -> Vec<KeyDifference> {
    let mut keys: BTreeMap<Bytes, (Option<KeyAt>, Option<KeyAt>)> = BTreeMap::new();
    for at in before {
        let key = at.key.clone();
        keys.entry(key).or_default().0 = Some(at);
    }
    for at in after {
        let key = at.key.clone();
        keys.entry(key).or_default().1 = Some(at);
    }
    let each = keys.into_iter().map(|(key, (before, after))| {
        let unopened = |at: &Option<KeyAt>| at.as_ref()?.unopened.clone();
        KeyDifference {
            key,
            unopened: unopened(&before).or_else(|| unopened(&after)),
            before: before.map(|at| at.value),
            after: after.map(|at| at.value),
        }
    });
    each.filter(|difference| !difference.is_none()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(keys: &[(&'static str, &'static str)]) -> Vec<KeyAt> {
        let key_at = |&(key, value): &(&'static str, &'static str)| KeyAt {
            key: key.into(),
            value: value.into(),
            unopened: None,
            mod_revision: 2,
            version: 1,
        };
        keys.iter().map(key_at).collect()
    }

    #[test]
    fn keys_are_put_side_by_side() {
        let before = at(&[("a", "1"), ("same", "{\"x\": 1}"), ("z", "gone")]);
        let after = at(&[("a", "2"), ("b", "null"), ("same", "{\"x\":1}")]);
        let told: Vec<_> = differences(before, after)
            .iter()
            .map(|difference| (difference.key.clone(), difference.kind()))
            .collect();
        let key = Bytes::from_static;
        assert_eq!(
            told,
            [
                (key(b"a"), DifferenceKind::Changed),
                (key(b"b"), DifferenceKind::Added),
                (key(b"z"), DifferenceKind::Deleted)
            ]
        );
    }
}
