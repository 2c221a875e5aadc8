//! Which change each value of a document comes from.

use std::collections::HashMap;

use cfgstore_documents::{Value, leaves};

use crate::client::Client;
use crate::error::{Error, ErrorKind, Result};
use crate::history::{HistoryChange, HistoryQuery};
use crate::keyspace::printable;
use crate::kv::Range;
use crate::watch::ChangeKind;

/// A document and where its values come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blame {
    /// The changes of the key that are kept, the newest first.
    pub changes: Vec<HistoryChange>,
    /// The leaves of the document as it is now, in its order.
    pub leaves: Vec<BlamedLeaf>,
}

/// A value in a document that is no array or object with something in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlamedLeaf {
    /// Where it is: names joined by dots, as PHP's extension reads them; empty: the document itself.
    pub path: String,
    /// The value.
    pub value: Value,
    /// The change in [`Blame::changes`] that it comes from; `None`: that is no longer kept, or can't be opened.
    pub change: Option<usize>,
}

impl Blame {
    /// The change that a leaf comes from.
    pub fn change_of(&self, leaf: &BlamedLeaf) -> Option<&HistoryChange> {
        self.changes.get(leaf.change?)
    }
}

impl Client {
    /// Says of each value of a key's document which change it comes from. Items of lists are told apart by their number. Fails with
    /// [`ErrorKind::NotFound`] if the key does not exist, with [`ErrorKind::Compacted`] if no history of it is kept, with
    /// [`ErrorKind::InvalidArgument`] if its value is no document, and with [`ErrorKind::Sealed`] if it can't be opened.
    pub async fn blame(&self, key: impl AsRef<[u8]>) -> Result<Blame> {
        let key = key.as_ref();
        let query = HistoryQuery {
            newest_first: true,
            ..HistoryQuery::of(Range::key(key))
        };
        let changes = self.history(&query).await?;
        let newest = match changes.first() {
            Some(newest) if newest.kind == ChangeKind::Put => newest,
            None if self.get(key).await?.is_some() => {
                let message = format!(
                    "no history is kept of {}: a retention rule says so, or it is a lease's",
                    printable(key)
                );
                return Err(Error::new(ErrorKind::Compacted, message));
            }
            _ => {
                let message = format!("key {} does not exist", printable(key));
                return Err(Error::new(ErrorKind::NotFound, message));
            }
        };
        if let Some(error) = &newest.unopened {
            return Err(Error::clone(error));
        }
        let document = Value::of_stored(&newest.value).map_err(|error| {
            Error::invalid(format!(
                "the value of {} is no document: {error}; see its history instead",
                printable(key)
            ))
        })?;
        let leaves = blame(&document, &changes);
        Ok(Blame { changes, leaves })
    }
}

/// Goes back from the newest change: a leaf comes from the change before which it was not there, or was another.
fn blame(document: &Value, changes: &[HistoryChange]) -> Vec<BlamedLeaf> {
    let mut blamed: Vec<BlamedLeaf> = leaves(document)
        .into_iter()
        .map(|(path, leaf)| BlamedLeaf {
            path,
            value: leaf.clone(),
            change: None,
        })
        .collect();
    let mut open: Vec<usize> = (0..blamed.len()).collect();
    for (number, change) in changes.iter().enumerate() {
        let is_creation = change.version == 1;
        let Some(before) = change.previous_value.as_deref().filter(|_| !is_creation) else {
            if is_creation {
                for &at in &open {
                    blamed[at].change = Some(number);
                }
            }
            break;
        };
        let before = Value::of_stored(before).ok();
        let before: HashMap<String, &Value> = before.iter().flat_map(leaves).collect();
        open.retain(|&at| {
            let leaf = &mut blamed[at];
            let stays = before.get(&leaf.path) == Some(&&leaf.value);
            if !stays {
                leaf.change = Some(number);
            }
            stays
        });
    }
    blamed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Author;

    /// The changes by which a key became these values, one after the other, without the first `forgotten` of them.
    fn history(values: &[&'static str], forgotten: usize) -> Vec<HistoryChange> {
        let change = |number: usize| HistoryChange {
            kind: ChangeKind::Put,
            key: "k".into(),
            revision: number as i64 + 2,
            time_unix_ms: 0,
            author: Author::default(),
            comment: String::new(),
            value: values[number].into(),
            unopened: None,
            version: number as i64 + 1,
            previous_revision: number as i64 + 1,
            previous_value: (number > forgotten).then(|| values[number - 1].into()),
        };
        (forgotten..values.len()).rev().map(change).collect()
    }

    fn told(values: &[&'static str], forgotten: usize) -> Vec<String> {
        let changes = history(values, forgotten);
        let document = Value::of_stored(values.last().unwrap().as_bytes()).unwrap();
        let told = |leaf: &BlamedLeaf| {
            let revision = leaf.change.map_or(0, |change| changes[change].revision);
            format!("{} {}", revision, leaf.path)
        };
        blame(&document, &changes).iter().map(told).collect()
    }

    #[test]
    fn a_leaf_comes_from_the_change_that_made_it() {
        let values = [
            r#"{"host": "db1", "port": 1}"#,
            r#"{"host": "db2", "port": 1}"#,
            r#"{"port": 1, "host": "db2", "pool": [8]}"#,
        ];
        assert_eq!(told(&values, 0), ["2 port", "3 host", "4 pool.0"]);
        assert_eq!(told(&values, 1), ["0 port", "0 host", "4 pool.0"]);
        assert_eq!(told(&["not JSON", "1"], 0), ["3 "]);
    }
}
