//! From the change log to messages.

use std::collections::VecDeque;
use std::sync::Arc;

use cfgstore_notify::{Author, Change, Kind, LOST, MAX_CHANGES, Message, Rule};
use cfgstore_store::{ChangeFilter, KeyRange, LoggedChange, Range, State};

/// Messages of a window.
const MAX_MESSAGES: usize = 256;
/// Bytes of keys and values of a window, beyond which no message is added.
const MAX_BYTES: usize = 4 << 20;

/// The next messages of a rule, from one state.
#[derive(Debug, Default)]
pub(super) struct Window {
    pub messages: VecDeque<Message>,
    /// Revisions at which there was a change that is no longer kept, and that nobody has been told of.
    pub lost: Option<(i64, i64)>,
    /// With the messages, all up to this revision is there.
    pub through: i64,
    /// Whether that is all that the state had.
    pub is_newest: bool,
}

impl Window {
    pub fn forget_through(&mut self, revision: i64) {
        while self
            .messages
            .front()
            .is_some_and(|message| message.revision <= revision)
        {
            self.messages.pop_front();
        }
    }

    /// Whether it says nothing of what comes after a revision.
    pub fn is_exhausted(&self, after: i64) -> bool {
        self.messages.is_empty() && self.lost.is_none() && self.through <= after
    }
}

/// What is looked for.
pub(super) struct Looking {
    pub cluster_id: u64,
    pub rule: Arc<Rule>,
    pub after: i64,
    /// Whether to look at each key for changes that the log has forgotten altogether: it takes time.
    pub search_keys: bool,
}

impl Looking {
    pub fn window(&self, state: &State) -> Window {
        let mut lost = Lost::new(state, &self.rule, self.after);
        if self.search_keys {
            lost.search_keys(state);
        }
        let mut messages = VecDeque::new();
        let (mut bytes, mut is_full) = (0, false);
        let mut building: Option<Message> = None;
        for change in state.logged_changes(filter(&self.rule, self.after + 1, 0), false) {
            lost.look_at(state, change);
            if is_full || !self.rule.matches(change.record.key(), kind(change)) {
                continue;
            }
            let revision = change.record.mod_revision();
            if building
                .as_ref()
                .is_none_or(|message| message.revision != revision)
            {
                messages.extend(building.take());
                if messages.len() >= MAX_MESSAGES || bytes >= MAX_BYTES {
                    is_full = true;
                    continue;
                }
                building = Some(begin(self.cluster_id, &self.rule, change));
            }
            if let Some(message) = &mut building {
                bytes += add(message, &self.rule, state, change);
            }
        }
        messages.extend(building);
        let last = messages
            .back()
            .map_or(self.after, |message: &Message| message.revision);
        Window {
            through: if is_full {
                last
            } else {
                state.revision().max(self.after)
            },
            is_newest: !is_full,
            lost: lost.found,
            messages,
        }
    }
}

/// The messages of a rule for the revisions of a dead letter, oldest first, at most `limit`.
pub(crate) fn messages_between(
    state: &State,
    cluster_id: u64,
    rule: &Rule,
    (from, to): (i64, i64),
    limit: usize,
) -> Vec<Message> {
    let mut messages: Vec<Message> = Vec::new();
    for change in state.logged_changes(filter(rule, from, to), false) {
        if !rule.matches(change.record.key(), kind(change)) {
            continue;
        }
        let revision = change.record.mod_revision();
        if messages.last().is_none_or(|message| message.revision != revision) {
            if messages.len() >= limit {
                break;
            }
            messages.push(begin(cluster_id, rule, change));
        }
        if let Some(message) = messages.last_mut() {
            add(message, rule, state, change);
        }
    }
    messages
}

fn filter(rule: &Rule, from_revision: i64, to_revision: i64) -> ChangeFilter<'_> {
    ChangeFilter {
        from_revision,
        to_revision,
        ..ChangeFilter::of(KeyRange::new(&rule.key, &rule.range_end))
    }
}

fn kind(change: &LoggedChange) -> Kind {
    match change.record.is_tombstone() {
        true => Kind::Delete,
        false => Kind::Put,
    }
}

fn begin(cluster_id: u64, rule: &Rule, change: &LoggedChange) -> Message {
    let caller = &change.commit.caller;
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    Message {
        rule: rule.name.clone(),
        cluster_id,
        revision: change.record.mod_revision(),
        time_unix_ms: change.commit.time_unix_ms,
        author: Author {
            user: text(&caller.user),
            client: text(&caller.client),
            address: text(&caller.address),
        },
        comment: text(&caller.comment),
        changes: Vec::new(),
        more_changes: 0,
    }
}

/// Adds a change to the message of its revision; answers how many bytes of keys and values it has.
fn add(message: &mut Message, rule: &Rule, state: &State, change: &LoggedChange) -> usize {
    if message.changes.len() >= MAX_CHANGES {
        message.more_changes += 1;
        return 0;
    }
    let record = &change.record;
    let is_put = !record.is_tombstone();
    let previous = state
        .change_before(change)
        .filter(|previous| rule.values && !previous.record.is_tombstone());
    let copied = |value: &[u8]| bytes::Bytes::copy_from_slice(value);
    let added = Change {
        kind: kind(change),
        key: copied(record.key()),
        version: if is_put { record.version() } else { 0 },
        previous_revision: change.previous_revision(),
        value: (rule.values && is_put).then(|| copied(record.value())),
        previous_value: previous.map(|previous| copied(previous.record.value())),
    };
    let size = |value: &Option<bytes::Bytes>| value.as_ref().map_or(0, bytes::Bytes::len);
    let bytes = added.key.len() + size(&added.value) + size(&added.previous_value);
    message.changes.push(added);
    bytes
}

/// Finds what the change log has forgotten of what comes after a revision. The log keeps the last changes of each key, so of a
/// key that has any it says how far they go back.
struct Lost<'a> {
    rule: &'a Rule,
    after: i64,
    /// Ranges that are dead letters already.
    told: Vec<(i64, i64)>,
    found: Option<(i64, i64)>,
}

impl<'a> Lost<'a> {
    fn new(state: &State, rule: &'a Rule, after: i64) -> Lost<'a> {
        let known = state.notifications().find(|(name, _)| *name == rule.name);
        let letters = known.iter().flat_map(|(_, known)| &known.dead_letters);
        let told = letters
            .filter(|letter| letter.reason == LOST)
            .map(|letter| (letter.from_revision, letter.to_revision));
        let mut lost = Lost {
            rule,
            after,
            told: told.collect(),
            found: None,
        };
        // A key of which nothing is left was changed at the floor.
        lost.add(state.kept_from(KeyRange::new(&rule.key, &rule.range_end)));
        lost
    }

    fn look_at(&mut self, state: &State, change: &LoggedChange) {
        if change.previous_revision() > self.after && state.change_before(change).is_none() {
            self.add(change.previous_revision());
        }
    }

    /// Looks for keys that are there and have no change in the log, as it keeps no more than so many bytes and for so long.
    fn search_keys(&mut self, state: &State) {
        let range = Range {
            key: bytes::Bytes::copy_from_slice(&self.rule.key),
            range_end: bytes::Bytes::copy_from_slice(&self.rule.range_end),
            min_mod_revision: self.after + 1,
            ..Range::default()
        };
        // A range can't be refused that a rule was allowed to have.
        let Ok(found) = state.range(&range) else {
            return;
        };
        for record in found.records {
            if record.lease() == 0 && state.last_change(record.key()).is_none() {
                self.add(record.mod_revision());
            }
        }
    }

    fn add(&mut self, revision: i64) {
        let is_told = self
            .told
            .iter()
            .any(|(from, to)| (*from..=*to).contains(&revision));
        if revision <= self.after || is_told {
            return;
        }
        let (from, to) = self.found.unwrap_or((revision, revision));
        self.found = Some((from.min(revision), to.max(revision)));
    }
}

#[cfg(test)]
mod tests {
    use cfgstore_notify::{Slack, Target};
    use cfgstore_store::{
        Caller, Command, DeleteRange, NotificationProgress, Put, Retention, SetNotification, SetRetention,
        Store, Txn, TxnOp,
    };

    use super::*;

    struct Fixture {
        store: Store,
        rule: Arc<Rule>,
    }

    impl Fixture {
        /// A store with a rule for `app/`.
        fn new(kinds: &[Kind], values: bool) -> Fixture {
            let rule = Rule {
                name: "ops".into(),
                key: b"app/".to_vec(),
                range_end: b"app0".to_vec(),
                kinds: kinds.to_vec(),
                target: Target::Slack(Slack::default()),
                values,
            };
            let mut fixture = Fixture {
                store: Store::new(),
                rule: Arc::new(rule),
            };
            fixture.apply(Command::SetNotification(SetNotification {
                name: "ops".into(),
                rule: Some(fixture.rule.to_bytes().into()),
            }));
            fixture
        }

        fn apply(&mut self, command: Command) -> i64 {
            let caller = Caller {
                client: Some("test".into()),
                comment: Some("why".into()),
                ..Caller::default()
            };
            self.store.apply(7_000, &caller, &command).unwrap();
            self.store.state().revision()
        }

        fn put(&mut self, key: &str, value: &str) -> i64 {
            self.apply(Command::Put(put(key, value)))
        }

        fn retain(&mut self, count: u32) {
            let retention = Retention {
                count,
                max_age_secs: 0,
                floor_revision: 0,
            };
            self.apply(Command::SetRetention(SetRetention {
                prefix: "app/".into(),
                retention: Some(retention),
            }));
        }

        fn look(&self, after: i64, search_keys: bool) -> Window {
            let looking = Looking {
                cluster_id: 7,
                rule: self.rule.clone(),
                after,
                search_keys,
            };
            looking.window(&self.store.state())
        }
    }

    fn put(key: &str, value: &str) -> Put {
        Put {
            key: key.to_owned().into(),
            value: value.to_owned().into(),
            ..Put::default()
        }
    }

    fn revisions(window: &Window) -> Vec<i64> {
        window.messages.iter().map(|message| message.revision).collect()
    }

    #[test]
    fn a_revision_is_one_message_of_what_the_rule_asks_for() {
        let mut fixture = Fixture::new(&[], true);
        let first = fixture.put("app/a", "1");
        fixture.put("other", "1");
        let ops = ["app/a", "app/b", "z"].map(|key| TxnOp::Put(put(key, "2")));
        let second = fixture.apply(Command::Txn(Txn {
            success: ops.to_vec(),
            ..Txn::default()
        }));
        let last = fixture.put("other", "2");
        let window = fixture.look(1, true);
        assert_eq!(revisions(&window), [first, second]);
        assert_eq!(
            (window.through, window.is_newest, window.lost),
            (last, true, None)
        );
        let message = &window.messages[1];
        assert_eq!((message.time_unix_ms, message.comment.as_str()), (7_000, "why"));
        assert_eq!(message.author.client, "test");
        let told: Vec<_> = message
            .changes
            .iter()
            .map(|change| {
                (
                    change.key.as_ref(),
                    change.previous_value.as_deref(),
                    change.version,
                )
            })
            .collect();
        assert_eq!(
            told,
            [(&b"app/a"[..], Some(&b"1"[..]), 2), (&b"app/b"[..], None, 1)]
        );
        assert_eq!(revisions(&fixture.look(first, true)), [second]);
        assert!(fixture.look(last, true).messages.is_empty());
    }

    #[test]
    fn kinds_and_values_are_told_only_if_asked_for() {
        let mut fixture = Fixture::new(&[Kind::Delete], false);
        fixture.put("app/a", "1");
        let deleted = fixture.apply(Command::DeleteRange(DeleteRange {
            key: "app/a".into(),
            ..DeleteRange::default()
        }));
        let window = fixture.look(1, true);
        assert_eq!(revisions(&window), [deleted]);
        let change = &window.messages[0].changes[0];
        assert_eq!((change.kind, change.version), (Kind::Delete, 0));
        assert_eq!((&change.value, &change.previous_value), (&None, &None));
    }

    #[test]
    fn a_window_is_bounded_and_the_next_goes_on() {
        let mut fixture = Fixture::new(&[], false);
        let last = (0..600)
            .map(|n| fixture.put(&format!("app/{n}"), "1"))
            .last()
            .unwrap();
        let mut after = 1;
        let mut seen = Vec::new();
        loop {
            let window = fixture.look(after, false);
            assert!(window.messages.len() <= MAX_MESSAGES);
            seen.extend(revisions(&window));
            after = window.through;
            if window.is_newest {
                break;
            }
        }
        assert_eq!(after, last);
        assert_eq!(seen, (2..=last).collect::<Vec<_>>());

        let mut fixture = Fixture::new(&[], true);
        for n in 0..6 {
            fixture.put(&format!("app/{n}"), &"x".repeat(1 << 20));
        }
        assert_eq!(fixture.look(1, false).messages.len(), 4);
    }

    #[test]
    fn what_the_log_has_forgotten_is_lost_unless_it_was_told() {
        let mut fixture = Fixture::new(&[], false);
        fixture.retain(2);
        let made: Vec<i64> = (0..20).map(|n| fixture.put("app/a", &n.to_string())).collect();
        // The last ones are kept; of those before, the log knows the last one only.
        let window = fixture.look(1, false);
        let kept = window.messages.len();
        assert!((2..10).contains(&kept), "{kept}");
        let missing = made[made.len() - kept - 1];
        assert_eq!(window.lost, Some((missing, missing)));
        assert_eq!(revisions(&window), &made[made.len() - kept..]);
        // Told before it was forgotten.
        assert_eq!(fixture.look(missing, false).lost, None);
        // Told as lost.
        fixture.apply(Command::NotificationProgress(NotificationProgress {
            name: "ops".into(),
            dead_letters: vec![cfgstore_store::DeadLetter {
                from_revision: missing,
                to_revision: missing,
                reason: LOST.to_owned(),
                ..Default::default()
            }],
            ..NotificationProgress::default()
        }));
        assert_eq!(fixture.look(1, false).lost, None);
    }

    #[test]
    fn a_key_without_history_is_found_by_looking_at_the_keys() {
        let mut fixture = Fixture::new(&[], false);
        fixture.retain(0);
        let revision = fixture.put("app/a", "1");
        let window = fixture.look(1, true);
        assert_eq!(window.lost, Some((revision, revision)));
        assert_eq!(fixture.look(revision, true).lost, None);
    }
}
