//! A key that differs, with its stored bytes before and after.

use std::io;

use cfgstore_documents::{Value, diff};
use serde::Serialize;
use serde_json::value::RawValue;

use super::show::Style;
use crate::output::Output;
use crate::value::to_json;

/// `None`: the key is not there.
pub struct KeyDifference<'a> {
    pub key: &'a [u8],
    pub before: Option<&'a [u8]>,
    pub after: Option<&'a [u8]>,
}

impl KeyDifference<'_> {
    fn kind(&self) -> &'static str {
        match (self.before, self.after) {
            (None, _) => "added",
            (_, Some(_)) => "changed",
            (_, None) => "deleted",
        }
    }

    fn documents(&self) -> Option<(Value, Value)> {
        Some((
            Value::of_stored(self.before?).ok()?,
            Value::of_stored(self.after?).ok()?,
        ))
    }

    /// Whether both are the same document, however written.
    pub fn is_none(&self) -> bool {
        self.before == self.after || self.documents().is_some_and(|(before, after)| before == after)
    }

    pub fn show(&self, style: &Style, output: &mut Output) -> io::Result<()> {
        style.change(output, self.key, self.before, self.after)
    }

    pub fn json(&self) -> JsonDifference {
        let documents = self.documents();
        let paths = documents
            .iter()
            .flat_map(|(before, after)| diff(before, after))
            .map(|difference| difference.path)
            .collect();
        let value = |bytes: Option<&[u8]>| bytes.map(|bytes| to_json(bytes).0);
        JsonDifference {
            change: self.kind(),
            key: String::from_utf8_lossy(self.key).into_owned(),
            before: value(self.before),
            after: value(self.after),
            paths,
        }
    }
}

/// For machines. Values stand as they are stored, in their order and with their digits.
#[derive(Serialize)]
pub struct JsonDifference {
    pub change: &'static str,
    pub key: String,
    pub before: Option<Box<RawValue>>,
    pub after: Option<Box<RawValue>>,
    pub paths: Vec<String>,
}

/// How many of each kind.
pub fn counts(differences: &[KeyDifference]) -> String {
    let of = |kind| {
        differences
            .iter()
            .filter(|difference| difference.kind() == kind)
            .count()
    };
    format!(
        "{} added, {} changed, {} deleted",
        of("added"),
        of("changed"),
        of("deleted")
    )
}
