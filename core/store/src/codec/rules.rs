//! The formats of callers, logged changes, and of everything else that is state but neither record, lease nor alarm;
//! tables in the parent module.

use bytes::Bytes;

use super::input::{DecodeError, Input};
use super::record::{RecordView, decode_record, encode_record};
use super::{FORMAT_VERSION, flags, put_bytes, put_i64};
use crate::change_log::{ChangeLogNumbers, LoggedChange, Retention};
use crate::command::Caller;
use crate::rules::{DeadLetter, NotificationRule, SchemaRule};
use crate::state::State;

const RULE_NUMBERS: u8 = 1;
const RULE_RETENTION: u8 = 2;
const RULE_SCHEMA: u8 = 3;
const RULE_NOTIFICATION: u8 = 4;

pub(super) fn put_caller(caller: &Caller, out: &mut Vec<u8>) {
    let texts = [&caller.user, &caller.client, &caller.address, &caller.comment];
    out.push(flags(texts.map(Option::is_some)));
    for text in texts.into_iter().flatten() {
        put_bytes(out, text.as_bytes());
    }
}

pub(super) fn put_dead_letter(letter: &DeadLetter, out: &mut Vec<u8>) {
    out.extend_from_slice(&letter.id.to_le_bytes());
    for number in [letter.from_revision, letter.to_revision, letter.time_unix_ms] {
        put_i64(out, number);
    }
    put_bytes(out, letter.reason.as_bytes());
}

impl Input<'_> {
    pub(super) fn caller(&mut self) -> Result<Caller, DecodeError> {
        let [user, client, address, comment] = self.flags()?;
        let mut text = |is_given: bool| {
            if is_given {
                self.string().map(Some)
            } else {
                Ok(None)
            }
        };
        Ok(Caller {
            user: text(user)?,
            client: text(client)?,
            address: text(address)?,
            comment: text(comment)?,
        })
    }

    pub(super) fn dead_letter(&mut self) -> Result<DeadLetter, DecodeError> {
        Ok(DeadLetter {
            id: self.u64()?,
            from_revision: self.i64()?,
            to_revision: self.i64()?,
            time_unix_ms: self.i64()?,
            reason: self.string()?,
        })
    }
}

/// A decoded change of the change log; its record still borrows from the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeView<'a> {
    /// The record.
    pub record: RecordView<'a>,
    /// When it was made, in milliseconds since 1970.
    pub time_unix_ms: i64,
    /// By whom and why.
    pub caller: Caller,
    /// Revision and sub-revision of its key's change before; zeros if there was none.
    pub previous: (i64, u32),
    /// Numbers the changes of its key.
    pub ordinal: u32,
}

/// Appends a change of the change log to `out`.
pub fn encode_change(change: &LoggedChange, out: &mut Vec<u8>) {
    out.push(FORMAT_VERSION);
    put_i64(out, change.commit.time_unix_ms);
    put_i64(out, change.previous.0);
    out.extend_from_slice(&change.previous.1.to_le_bytes());
    out.extend_from_slice(&change.ordinal.to_le_bytes());
    put_caller(&change.commit.caller, out);
    encode_record(&change.record, out);
}

/// Decodes exactly one change of the change log.
///
/// # Errors
/// [`DecodeError`] if `input` is anything else.
pub fn decode_change(input: &[u8]) -> Result<ChangeView<'_>, DecodeError> {
    let mut fields = Input::new(input);
    fields.version()?;
    let time_unix_ms = fields.i64()?;
    let previous = (fields.i64()?, fields.u32()?);
    let ordinal = fields.u32()?;
    let caller = fields.caller()?;
    let offset = fields.offset();
    let record = decode_record(&input[offset..]).map_err(|error| DecodeError {
        offset: error.offset + offset,
        ..error
    })?;
    Ok(ChangeView {
        record,
        time_unix_ms,
        caller,
        previous,
        ordinal,
    })
}

/// One item of what a state holds beside keys, leases, alarms and changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleItem {
    /// The numbers of change log and schemas. A state without them knows nothing of what was before it.
    Numbers {
        /// Those of the change log.
        change_log: ChangeLogNumbers,
        /// [`State::schema_revision`].
        schema_revision: i64,
    },
    /// A retention rule.
    Retention {
        /// Its prefix.
        prefix: Bytes,
        /// What it says.
        rule: Retention,
    },
    /// A schema.
    Schema {
        /// Its pattern.
        pattern: Bytes,
        /// What it says.
        rule: SchemaRule,
    },
    /// A notification rule.
    Notification {
        /// Its name.
        name: String,
        /// What it says, and how far it has got.
        rule: NotificationRule,
    },
}

/// Calls `each` with every item's encoding: the numbers first, then the rules by kind and name.
///
/// # Errors
/// Those of `each`, with the first of which it ends.
pub fn encode_rules<E>(state: &State, mut each: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
    let mut out = Vec::new();
    let mut item = |kind: u8, fill: &dyn Fn(&mut Vec<u8>)| {
        out.clear();
        out.extend_from_slice(&[FORMAT_VERSION, kind]);
        fill(&mut out);
        each(&out)
    };
    item(RULE_NUMBERS, &|out| {
        let numbers = state.change_log.numbers();
        put_i64(out, numbers.time_unix_ms);
        put_i64(out, numbers.swept.0);
        out.extend_from_slice(&numbers.swept.1.to_le_bytes());
        out.extend_from_slice(&numbers.surplus.to_le_bytes());
        put_i64(out, state.schema_revision());
    })?;
    for (prefix, rule) in state.retention() {
        item(RULE_RETENTION, &|out| {
            out.extend_from_slice(&rule.count.to_le_bytes());
            out.extend_from_slice(&rule.max_age_secs.to_le_bytes());
            put_i64(out, rule.floor_revision);
            put_bytes(out, prefix);
        })?;
    }
    for (pattern, rule) in state.schemas() {
        item(RULE_SCHEMA, &|out| {
            out.push(flags([rule.sealed]));
            put_bytes(out, pattern);
            put_bytes(out, &rule.schema);
        })?;
    }
    for (name, rule) in state.notifications() {
        item(RULE_NOTIFICATION, &|out| {
            put_bytes(out, name.as_bytes());
            put_bytes(out, &rule.rule);
            put_i64(out, rule.done_through_revision);
            out.extend_from_slice(&rule.next_dead_letter.to_le_bytes());
            out.extend_from_slice(&(rule.dead_letters.len() as u32).to_le_bytes());
            rule.dead_letters
                .iter()
                .for_each(|letter| put_dead_letter(letter, out));
        })?;
    }
    Ok(())
}

/// Decodes exactly one item.
///
/// # Errors
/// [`DecodeError`] if `input` is anything else.
pub fn decode_rule(input: &[u8]) -> Result<RuleItem, DecodeError> {
    let mut input = Input::new(input);
    input.version()?;
    let item = match input.u8()? {
        RULE_NUMBERS => RuleItem::Numbers {
            change_log: ChangeLogNumbers {
                time_unix_ms: input.i64()?,
                swept: (input.i64()?, input.u32()?),
                surplus: input.u64()?,
            },
            schema_revision: input.i64()?,
        },
        RULE_RETENTION => {
            let rule = Retention {
                count: input.u32()?,
                max_age_secs: input.u64()?,
                floor_revision: input.i64()?,
            };
            let prefix = Bytes::copy_from_slice(input.bytes()?);
            RuleItem::Retention { prefix, rule }
        }
        RULE_SCHEMA => {
            let [sealed] = input.flags()?;
            let pattern = Bytes::copy_from_slice(input.bytes()?);
            let schema = Bytes::copy_from_slice(input.bytes()?);
            let rule = SchemaRule { schema, sealed };
            RuleItem::Schema { pattern, rule }
        }
        RULE_NOTIFICATION => {
            let name = input.string()?;
            let mut rule = NotificationRule {
                rule: Bytes::copy_from_slice(input.bytes()?),
                done_through_revision: input.i64()?,
                next_dead_letter: input.u64()?,
                dead_letters: Vec::new(),
            };
            for _ in 0..input.u32()? {
                rule.dead_letters.push(input.dead_letter()?);
            }
            RuleItem::Notification { name, rule }
        }
        found => {
            let reason = super::DecodeReason::UnknownNumber { of: "rule", found };
            return input.fail(input.offset() - 1, reason);
        }
    };
    input.end()?;
    Ok(item)
}
