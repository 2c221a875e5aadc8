//! What differs between two revisions, and what a rollback would change.

use bytes::Bytes;
use cfgstore_client::documents::{Value, diff};
use cfgstore_client::{Error, KeyDifference};

use super::history::{range, revision_argument};
use super::lent::Lent;
use super::source::CoreSource;
use super::types::{CoreBytes, CoreError, guard};

/// A place at which a key differs: in its document, or the value as a whole.
struct Place {
    key: Bytes,
    path: String,
    before: Option<Bytes>,
    after: Option<Bytes>,
    unopened: Option<Box<Error>>,
}

/// One place that differs. Pointers are valid as `cfgstore_core_history` says.
#[repr(C)]
pub struct CoreDifference {
    /// The whole key.
    pub key: CoreBytes,
    /// Where in its document; empty: the value as a whole.
    pub path: CoreBytes,
    /// Whether there was something before.
    pub has_before: bool,
    /// What.
    pub before: CoreBytes,
    /// Whether there is something after.
    pub has_after: bool,
    /// What.
    pub after: CoreBytes,
    /// Why a sealed value could not be opened; empty: nothing is wrong. Else there are no values.
    pub unopened: CoreBytes,
}

impl CoreDifference {
    fn of(place: &Place) -> CoreDifference {
        let bytes = |value: &Option<Bytes>| value.as_deref().map_or(CoreBytes::empty(), CoreBytes::of);
        CoreDifference {
            key: CoreBytes::of(&place.key),
            path: CoreBytes::of(place.path.as_bytes()),
            has_before: place.before.is_some(),
            before: bytes(&place.before),
            has_after: place.after.is_some(),
            after: bytes(&place.after),
            unopened: match &place.unopened {
                Some(error) => CoreBytes::of(error.message.as_bytes()),
                None => CoreBytes::empty(),
            },
        }
    }
}

/// Places and how C sees them.
fn differences(keys: Vec<KeyDifference>) -> Lent<CoreDifference, Place> {
    Lent::of(keys.into_iter().flat_map(places).collect(), CoreDifference::of)
}

/// The places at which a key differs, at least one.
fn places(difference: KeyDifference) -> Vec<Place> {
    let json = |value: Option<&Value>| value.map(|value| value.to_json().into());
    let documents = match difference.unopened {
        Some(_) => None,
        None => difference.documents(),
    };
    let within: Vec<Place> = documents
        .iter()
        .flat_map(|(before, after)| diff(before, after))
        .map(|place| Place {
            key: difference.key.clone(),
            before: json(place.before),
            after: json(place.after),
            path: place.path,
            unopened: None,
        })
        .collect();
    // Another way to write the same document is no difference of documents, but a rollback makes it.
    if !within.is_empty() {
        return within;
    }
    vec![Place {
        key: difference.key,
        path: String::new(),
        before: difference.before,
        after: difference.after,
        unopened: difference.unopened,
    }]
}

/// What differs in a key, or with `is_prefix` in all keys that begin with it, between two revisions; `to` 0: now.
///
/// `list` and `count` describe memory that is valid as `cfgstore_core_history` says.
///
/// # Safety
/// As the module says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_core_diff(
    source: *mut CoreSource,
    timeout_secs: f64,
    prefix: CoreBytes,
    key: CoreBytes,
    is_prefix: bool,
    from: i64,
    to: i64,
    list: *mut *const CoreDifference,
    count: *mut usize,
    error: *mut CoreError,
) -> bool {
    let compare = || {
        // SAFETY: the caller holds the handle and lends the rest.
        let (source, prefix, key, list, count) =
            unsafe { (&mut *source, prefix.get(), key.get(), &mut *list, &mut *count) };
        let from = revision_argument(from)?;
        let to = match to {
            0 => None,
            to => Some(revision_argument(to)?),
        };
        let range = range(prefix, key, is_prefix)?;
        let found = source.client(timeout_secs)?.diff(&range, from, to)?;
        differences(found.keys).lend(source, list, count);
        Ok(())
    };
    // SAFETY: the caller lends `error`.
    unsafe { guard(error, compare) }.is_some()
}

/// What `cfgstore_core_rollback` would change, or why it would be refused. `list` and `count` as in `cfgstore_core_diff`.
///
/// # Safety
/// As the module says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_core_preview_rollback(
    source: *mut CoreSource,
    timeout_secs: f64,
    prefix: CoreBytes,
    key: CoreBytes,
    is_prefix: bool,
    to_revision: i64,
    list: *mut *const CoreDifference,
    count: *mut usize,
    error: *mut CoreError,
) -> bool {
    let preview = || {
        // SAFETY: the caller holds the handle and lends the rest.
        let (source, prefix, key, list, count) =
            unsafe { (&mut *source, prefix.get(), key.get(), &mut *list, &mut *count) };
        let revision = revision_argument(to_revision)?;
        let range = range(prefix, key, is_prefix)?;
        let applied = source
            .client(timeout_secs)?
            .rollback(&range, revision, true, "")?;
        differences(applied.changes).lend(source, list, count);
        Ok(())
    };
    // SAFETY: the caller lends `error`.
    unsafe { guard(error, preview) }.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(before: Option<&'static str>, after: Option<&'static str>) -> Vec<String> {
        let difference = KeyDifference {
            key: "k".into(),
            before: before.map(Into::into),
            after: after.map(Into::into),
            unopened: None,
        };
        let text = |value: &Option<Bytes>| match value {
            Some(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            None => "-".to_owned(),
        };
        places(difference)
            .iter()
            .map(|place| format!("{}: {} {}", place.path, text(&place.before), text(&place.after)))
            .collect()
    }

    #[test]
    fn a_key_differs_in_places_or_as_a_whole() {
        let places = told(
            Some(r#"{"a": 1, "b": {"c": 2}}"#),
            Some(r#"{"b": {"c": 3}, "d": 4}"#),
        );
        assert_eq!(places, ["a: 1 -", "b.c: 2 3", "d: - 4"]);
        assert_eq!(told(None, Some("[1]")), [": - [1]"]);
        assert_eq!(told(Some("1"), None), [": 1 -"]);
        // The same document, written otherwise.
        assert_eq!(told(Some("[1, 2]"), Some("[1,2]")), [": [1, 2] [1,2]"]);
    }
}
