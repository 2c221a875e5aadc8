//! What one watch asked for.

use bytes::Bytes;
use cfgstore_proto::etcdserverpb::WatchCreateRequest;
use cfgstore_proto::etcdserverpb::watch_create_request::FilterType;
use cfgstore_proto::mvccpb::event::EventType;
use cfgstore_proto::mvccpb::{Event, KeyValue};
use cfgstore_store::{KeyRange, Record, State};

use crate::convert;

/// What one watch asked for.
#[derive(Debug)]
pub(super) struct Spec {
    key: Bytes,
    range_end: Bytes,
    /// As given: 0 is from now on.
    pub start_revision: i64,
    no_put: bool,
    no_delete: bool,
    pub prev_kv: bool,
    pub fragment: bool,
    pub progress_notify: bool,
}

impl Spec {
    pub fn new(request: &WatchCreateRequest) -> Spec {
        let filtered = |filter: FilterType| request.filters.contains(&(filter as i32));
        // An empty key means the smallest one.
        let key = if request.key.is_empty() {
            &b"\0"[..]
        } else {
            &request.key
        };
        Spec {
            // Copied, since a watch would pin the buffer of its request for as long as it lives.
            key: Bytes::copy_from_slice(key),
            range_end: Bytes::copy_from_slice(&request.range_end),
            start_revision: request.start_revision,
            no_put: filtered(FilterType::Noput),
            no_delete: filtered(FilterType::Nodelete),
            prev_kv: request.prev_kv,
            fragment: request.fragment,
            progress_notify: request.progress_notify,
        }
    }

    pub fn keys(&self) -> KeyRange<'_> {
        KeyRange::new(&self.key, &self.range_end)
    }

    /// Whether the filters let `record` through; its key is not looked at.
    pub fn wants(&self, record: &Record) -> bool {
        if record.is_tombstone() {
            !self.no_delete
        } else {
            !self.no_put
        }
    }
}

/// The event that `record` is on the wire, with what it replaced if `prev_kv`. `state` is one that holds the
/// record.
pub(super) fn event(state: &State, record: &Record, prev_kv: bool) -> Event {
    let prev_kv = if prev_kv {
        state.previous(record).map(convert::key_value)
    } else {
        None
    };
    if record.is_tombstone() {
        let kv = KeyValue {
            key: record.key_bytes(),
            mod_revision: record.mod_revision(),
            ..Default::default()
        };
        return Event {
            r#type: EventType::Delete as i32,
            kv: Some(kv),
            prev_kv,
        };
    }
    Event {
        r#type: EventType::Put as i32,
        kv: Some(convert::key_value(record)),
        prev_kv,
    }
}

/// The revision of an event.
pub(super) fn revision(event: &Event) -> i64 {
    event.kv.as_ref().map_or(0, |kv| kv.mod_revision)
}
