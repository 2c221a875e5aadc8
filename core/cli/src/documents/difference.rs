//! A key that differs, for machines.

use cfgstore_client::{DifferenceKind, KeyDifference};
use cfgstore_documents::diff;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::value::to_json;

/// For machines. Values stand as they are stored, in their order and with their digits.
#[derive(Serialize)]
pub struct JsonDifference {
    pub change: &'static str,
    pub key: String,
    pub before: Option<Box<RawValue>>,
    pub after: Option<Box<RawValue>>,
    pub paths: Vec<String>,
}

impl JsonDifference {
    pub fn of(difference: &KeyDifference) -> JsonDifference {
        let documents = difference.documents();
        let paths = documents
            .iter()
            .flat_map(|(before, after)| diff(before, after))
            .map(|place| place.path)
            .collect();
        let value = |bytes: &Option<_>| bytes.as_deref().map(|bytes| to_json(bytes).0);
        JsonDifference {
            change: difference.kind().name(),
            key: String::from_utf8_lossy(&difference.key).into_owned(),
            before: value(&difference.before),
            after: value(&difference.after),
            paths,
        }
    }
}

/// How many of each kind.
pub fn counts(differences: &[KeyDifference]) -> String {
    let of = |kind| {
        let of_kind = differences.iter().filter(|difference| difference.kind() == kind);
        format!("{} {}", of_kind.count(), kind.name())
    };
    [
        DifferenceKind::Added,
        DifferenceKind::Changed,
        DifferenceKind::Deleted,
    ]
    .map(of)
    .join(", ")
}
