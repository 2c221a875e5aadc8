//! Messages in words, for people.

use crate::message::{Change, Message};
use crate::rule::Kind;
use crate::sealed::Told;
use crate::time::rfc3339;

/// `text` on one line: without control characters, nor those that turn the direction of writing; and cut to `max_chars`.
pub(crate) fn one_line(text: &str, max_chars: usize) -> String {
    let tame = |c: char| match c {
        c if c.is_control() => ' ',
        '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => ' ',
        c => c,
    };
    let mut characters = text.trim_end().chars().map(tame);
    let mut line: String = characters.by_ref().take(max_chars).collect();
    if characters.next().is_some() {
        line.push('…');
    }
    line
}

/// What happened, in a few words: `put app/database`, or `5 changes`.
pub(crate) fn title(message: &Message) -> String {
    match (message.changes.as_slice(), message.count()) {
        ([change], 1) => format!("{} {}", verb(change), key(change, 200)),
        (_, count) => format!("{count} changes"),
    }
}

/// The message: who, when and why, and a line for each change, of at most `max_changes` of them, with values cut to
/// `max_value_chars`.
pub(crate) fn lines(message: &Message, max_changes: usize, max_value_chars: usize) -> Vec<String> {
    let mut lines = vec![format!(
        "revision {} by {} at {}",
        message.revision,
        one_line(&message.author.name(), 200),
        rfc3339(message.time_unix_ms)
    )];
    if !message.comment.is_empty() {
        lines.push(format!("reason: {}", one_line(&message.comment, 500)));
    }
    let told = message.changes.iter().take(max_changes);
    let more = message.count() - told.len() as u64;
    lines.extend(told.map(|change| change_line(change, max_value_chars)));
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    lines
}

fn change_line(change: &Change, max_value_chars: usize) -> String {
    let value = |value: &Option<bytes::Bytes>| {
        value
            .as_ref()
            .map(|value| one_line(Told::of(value).line(), max_value_chars))
    };
    let what = format!("{} {}", verb(change), key(change, 500));
    match (value(&change.previous_value), value(&change.value)) {
        (None, None) => what,
        (None, Some(new)) => format!("{what}: {new}"),
        (Some(old), None) => format!("{what}, was: {old}"),
        (Some(old), Some(new)) => format!("{what}: {old} → {new}"),
    }
}

fn verb(change: &Change) -> &'static str {
    match (change.kind, change.version) {
        (Kind::Put, 1) => "create",
        (Kind::Put, _) => "put",
        (Kind::Delete, _) => "delete",
    }
}

fn key(change: &Change, max_chars: usize) -> String {
    one_line(&String::from_utf8_lossy(&change.key), max_chars)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::tests::message;

    #[test]
    fn a_message_in_words() {
        let mut message = message();
        assert_eq!(title(&message), "put app/database");
        assert_eq!(
            lines(&message, 10, 100),
            [
                "revision 12 by alice at 2026-11-26T13:00:00.123Z",
                "reason: move to db2",
                r#"put app/database: {"host":"db1"} → {"host":"db2"}"#,
            ]
        );
        message.comment.clear();
        message.changes[0].previous_value = None;
        message.changes[0].version = 1;
        assert_eq!(lines(&message, 10, 8)[1], r#"create app/database: {"host":…"#);
        message.changes[0].kind = Kind::Delete;
        message.changes[0].value = None;
        assert_eq!(lines(&message, 10, 8)[1], "delete app/database");
        message.more_changes = 4;
        assert_eq!(title(&message), "5 changes");
        assert_eq!(lines(&message, 10, 8)[2], "and 4 more");
        assert_eq!(lines(&message, 0, 8)[1], "and 5 more");
    }

    #[test]
    fn nobody_writes_a_line_of_his_own() {
        let mut message = message();
        message.changes[0].key = "x\r\nSubject: y".into();
        message.comment = "a\nb\u{202e}c".into();
        message.author.user = "eve\nrevision 99".into();
        for line in lines(&message, 10, 100).into_iter().chain([title(&message)]) {
            assert!(!line.contains(['\r', '\n', '\u{202e}']), "{line:?}");
        }
    }
}
