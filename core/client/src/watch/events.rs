//! From the wire's events to changes.

use bytes::Bytes;
use cfgstore_proto::mvccpb;
use cfgstore_proto::mvccpb::event::EventType;

use super::{Change, ChangeKind};
use crate::keyspace::{Keyspace, Span};
use crate::kv::KeyValue;

/// Each event with its revision, in order; `None` for one that the watch hides or cannot read.
pub(super) fn changes<'a>(
    events: Vec<mvccpb::Event>,
    keyspace: &'a Keyspace,
    span: &'a Span,
) -> impl Iterator<Item = (i64, Option<Change>)> + 'a {
    events.into_iter().filter_map(move |event| {
        let kind = match event.r#type() {
            EventType::Put => ChangeKind::Put,
            EventType::Delete => ChangeKind::Delete,
        };
        let kv = event.kv?;
        let revision = kv.mod_revision;
        if !span.wants(&kv.key) {
            return Some((revision, None));
        }
        let is_put = kind == ChangeKind::Put;
        let (value, unopened) = if is_put {
            keyspace.open(&kv.key, kv.value)
        } else {
            (Bytes::new(), None)
        };
        let change = Change {
            kind,
            key: keyspace.strip(kv.key),
            value,
            unopened,
            previous: event
                .prev_kv
                .map(|previous| KeyValue::from_wire(previous, keyspace)),
            revision,
            version: if is_put { kv.version } else { 0 },
            create_revision: if is_put { kv.create_revision } else { 0 },
            lease: if is_put { kv.lease } else { 0 },
        };
        Some((revision, Some(change)))
    })
}
