//! Rules that are part of the state though they are no keys: schemas, and who is notified.
//!
//! What a schema or a notification says is opaque here: whoever proposes judges values, and whoever leads sends.

use std::sync::Arc;

use bytes::Bytes;

use crate::command::NotificationProgress;
use crate::error::CommandError;
use crate::key::prefix_range_end;
use crate::map::Map;

/// The most schemas.
pub const MAX_SCHEMAS: usize = 10_000;

/// The most that the patterns and texts of all schemas may take together, in bytes.
pub const MAX_SCHEMA_BYTES: u64 = 16 << 20;

/// The most notification rules.
pub const MAX_NOTIFICATIONS: usize = 100;

/// The longest text of one notification rule, in bytes.
pub const MAX_NOTIFICATION_BYTES: usize = 64 << 10;

/// The most dead letters kept of one rule; the oldest are forgotten for new ones.
pub const MAX_DEAD_LETTERS: usize = 1_000;

/// The longest reason kept of a dead letter, in bytes.
pub const MAX_REASON_BYTES: usize = 500;

/// What values under a pattern may be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SchemaRule {
    /// The JSON Schema; empty allows every value.
    pub schema: Bytes,
    /// Whether only sealed values are allowed.
    pub sealed: bool,
}

/// Changes that could not be delivered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeadLetter {
    /// Names it among those of its rule.
    pub id: u64,
    /// The first revision that was to be told of.
    pub from_revision: i64,
    /// The last one.
    pub to_revision: i64,
    /// Why it could not be. Cut off at [`MAX_REASON_BYTES`].
    pub reason: String,
    /// When it was given up, in milliseconds since 1970.
    pub time_unix_ms: i64,
}

/// A notification rule, and how far it has got.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NotificationRule {
    /// What it says.
    pub rule: Bytes,
    /// Every change up to this revision was delivered or is a dead letter.
    pub done_through_revision: i64,
    /// What could not be delivered, oldest first.
    pub dead_letters: Vec<DeadLetter>,
    /// The id of the next one.
    pub next_dead_letter: u64,
}

/// All of them. A clone is O(1).
#[derive(Clone, Default)]
pub(crate) struct Rules {
    schemas: Map<Bytes, SchemaRule>,
    schema_bytes: u64,
    /// Grows with each change of a schema.
    schema_revision: i64,
    notifications: Map<String, Arc<NotificationRule>>,
}

/// The keys a pattern names, as etcd's `(key, range_end)`.
pub fn pattern_range(pattern: &[u8]) -> (Bytes, Bytes) {
    match pattern.strip_suffix(b"*") {
        None => (Bytes::copy_from_slice(pattern), Bytes::new()),
        Some(b"") => (Bytes::from_static(b"\0"), Bytes::from_static(b"\0")),
        Some(prefix) => (Bytes::copy_from_slice(prefix), prefix_range_end(prefix)),
    }
}

impl Rules {
    pub fn schema_revision(&self) -> i64 {
        self.schema_revision
    }

    pub fn schemas(&self) -> impl Iterator<Item = (&Bytes, &SchemaRule)> {
        self.schemas.iter()
    }

    pub fn schema(&self, pattern: &[u8]) -> Option<&SchemaRule> {
        self.schemas.get(pattern)
    }

    pub fn set_schema(&mut self, pattern: &Bytes, rule: Option<&SchemaRule>) -> Result<(), CommandError> {
        let cost = |rule: &SchemaRule| (pattern.len() + rule.schema.len()) as u64;
        let before = self.schemas.get(pattern).map_or(0, cost);
        match rule {
            Some(rule) => {
                let kind = "schemas";
                if before == 0 && self.schemas.len() >= MAX_SCHEMAS {
                    let limit = MAX_SCHEMAS as u64;
                    return Err(CommandError::TooManyRules { kind, limit });
                }
                let bytes = self.schema_bytes - before + cost(rule);
                if bytes > MAX_SCHEMA_BYTES {
                    let kind = "bytes of schemas";
                    return Err(CommandError::TooManyRules {
                        kind,
                        limit: MAX_SCHEMA_BYTES,
                    });
                }
                self.schema_bytes = bytes;
                // Copied: a slice of a network buffer would keep all of it alive.
                let rule = SchemaRule {
                    schema: Bytes::copy_from_slice(&rule.schema),
                    sealed: rule.sealed,
                };
                self.schemas.insert(Bytes::copy_from_slice(pattern), rule);
            }
            None => {
                if self.schemas.remove(pattern).is_none() {
                    return Err(not_found("schema", pattern));
                }
                self.schema_bytes -= before;
            }
        }
        self.schema_revision += 1;
        Ok(())
    }

    pub fn set_schema_revision(&mut self, schema_revision: i64) {
        self.schema_revision = schema_revision;
    }

    pub fn notifications(&self) -> impl Iterator<Item = (&str, &NotificationRule)> {
        self.notifications
            .iter()
            .map(|(name, rule)| (name.as_str(), &**rule))
    }

    pub fn set_notification(
        &mut self,
        name: &str,
        rule: Option<&Bytes>,
        revision: i64,
    ) -> Result<(), CommandError> {
        let Some(rule) = rule else {
            return match self.notifications.remove(name) {
                Some(_) => Ok(()),
                None => Err(not_found("notification rule", name.as_bytes())),
            };
        };
        let kind = "notification rules";
        if rule.len() > MAX_NOTIFICATION_BYTES || name.len() > MAX_NOTIFICATION_BYTES {
            let kind = "bytes of a notification rule";
            return Err(CommandError::TooManyRules {
                kind,
                limit: MAX_NOTIFICATION_BYTES as u64,
            });
        }
        let rule = Bytes::copy_from_slice(rule);
        if let Some(present) = self.notifications.get_mut(name) {
            Arc::make_mut(present).rule = rule;
            return Ok(());
        }
        if self.notifications.len() >= MAX_NOTIFICATIONS {
            return Err(CommandError::TooManyRules {
                kind,
                limit: MAX_NOTIFICATIONS as u64,
            });
        }
        self.load_notification(
            name,
            NotificationRule {
                rule,
                done_through_revision: revision,
                ..NotificationRule::default()
            },
        );
        Ok(())
    }

    pub fn load_notification(&mut self, name: &str, rule: NotificationRule) {
        self.notifications.insert(name.to_owned(), Arc::new(rule));
    }

    pub fn notification_progress(
        &mut self,
        progress: &NotificationProgress,
        revision: i64,
    ) -> Result<(), CommandError> {
        let name = progress.name.as_str();
        let Some(rule) = self.notifications.get_mut(name) else {
            return Err(not_found("notification rule", name.as_bytes()));
        };
        let rule = Arc::make_mut(rule);
        let done = progress.done_through_revision.min(revision);
        rule.done_through_revision = rule.done_through_revision.max(done);
        rule.dead_letters
            .retain(|letter| !progress.forget.contains(&letter.id));
        for letter in &progress.dead_letters {
            let mut letter = letter.clone();
            letter.id = rule.next_dead_letter;
            while letter.reason.len() > MAX_REASON_BYTES {
                letter.reason.pop();
            }
            rule.next_dead_letter += 1;
            rule.dead_letters.push(letter);
        }
        let surplus = rule.dead_letters.len().saturating_sub(MAX_DEAD_LETTERS);
        rule.dead_letters.drain(..surplus);
        Ok(())
    }
}

pub(crate) fn not_found(kind: &'static str, name: &[u8]) -> CommandError {
    CommandError::RuleNotFound {
        kind,
        name: String::from_utf8_lossy(name).into_owned(),
    }
}
