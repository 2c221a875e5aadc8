//! One step of a watch through history.

use cfgstore_proto::mvccpb::Event;
use cfgstore_store::{CommandError, State};

use super::spec::{self, Spec};

/// Revisions with events in one response (etcd's number).
const MAX_REVISIONS: usize = 1_000;
/// Events and bytes of values in one response, unless one revision has more.
const MAX_EVENTS: usize = 1_024;
const MAX_BYTES: usize = 1 << 20;
/// Records looked at in one step.
const MAX_SCANNED: usize = 8_192;

/// What a step came to.
pub(super) enum CatchUp {
    /// These are the watch's events before `next_revision`, where the next step goes on.
    Read { events: Vec<Event>, next_revision: i64 },
    /// What the watch needs next is gone; history begins at `compact_revision`.
    Compacted { compact_revision: i64 },
}

/// Reads on from `next_revision`, in whole revisions, up to the end of history or for about as much as fits
/// into one response.
pub(super) fn catch_up(state: &State, spec: &Spec, next_revision: i64) -> CatchUp {
    let changes = match state.changes(next_revision) {
        Ok(changes) => changes,
        Err(CommandError::Compacted { compact_revision, .. }) => {
            return CatchUp::Compacted { compact_revision };
        }
        // changes() has no other error; stay where we are rather than lose an event.
        Err(_) => {
            return CatchUp::Read {
                events: Vec::new(),
                next_revision,
            };
        }
    };
    let mut events = Vec::new();
    let (mut revisions, mut bytes) = (0, 0);
    let mut revision = next_revision;
    let mut revision_counted = false;
    for (scanned, record) in changes.enumerate() {
        if record.mod_revision() != revision {
            let full = revisions >= MAX_REVISIONS || events.len() >= MAX_EVENTS || bytes >= MAX_BYTES;
            if full || scanned >= MAX_SCANNED {
                return CatchUp::Read {
                    events,
                    next_revision: record.mod_revision(),
                };
            }
            revision = record.mod_revision();
            revision_counted = false;
        }
        if !spec.keys().contains(record.key()) || !spec.wants(&record) {
            continue;
        }
        revisions += usize::from(!std::mem::replace(&mut revision_counted, true));
        bytes += record.value().len();
        events.push(spec::event(state, &record, spec.prev_kv));
    }
    CatchUp::Read {
        events,
        next_revision: next_revision.max(state.revision() + 1),
    }
}
