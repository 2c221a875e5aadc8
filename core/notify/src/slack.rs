//! A message in the format of Slack's incoming webhooks, which Mattermost and others take too.

use serde_json::json;

use crate::message::Message;
use crate::text;

/// Changes listed; Slack cuts long texts.
const MAX_CHANGES: usize = 20;
const MAX_VALUE_CHARS: usize = 100;

/// The body; `channel` may be empty.
pub(crate) fn body(message: &Message, channel: &str) -> Vec<u8> {
    let mut lines = vec![format!("{}: {}", message.rule, text::title(message))];
    lines.extend(text::lines(message, MAX_CHANGES, MAX_VALUE_CHARS));
    let text = escape(&lines.join("\n"));
    // Without `mrkdwn`, what a key or a comment holds would be set in bold or as a link.
    let mut body = json!({"text": text, "mrkdwn": false});
    if !channel.is_empty() {
        body["channel"] = channel.into();
    }
    body.to_string().into_bytes()
}

/// Slack reads `<…>` as links and mentions; its documentation has these three escaped, and nothing else.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::message::tests::message;

    fn parsed(message: &Message, channel: &str) -> Value {
        serde_json::from_slice(&body(message, channel)).unwrap()
    }

    #[test]
    fn the_text_and_the_channel() {
        let body = parsed(&message(), "#ops");
        assert_eq!(body["channel"], "#ops");
        assert_eq!(
            body["text"],
            "ops: put app/database\n\
             revision 12 by alice at 2026-11-26T13:00:00.123Z\n\
             reason: move to db2\n\
             put app/database: {\"host\":\"db1\"} → {\"host\":\"db2\"}"
        );
        assert!(parsed(&message(), "").get("channel").is_none());
    }

    #[test]
    fn nobody_is_called_by_a_comment() {
        let mut message = message();
        message.comment = "<!channel> a & b".into();
        let body = parsed(&message, "");
        let text = body["text"].as_str().unwrap();
        assert!(text.contains("reason: &lt;!channel&gt; a &amp; b"), "{text}");
    }

    #[test]
    fn many_changes_make_a_short_text() {
        let mut message = message();
        let mut change = message.changes[0].clone();
        change.key = "k".repeat(4000).into();
        change.value = Some("v".repeat(4000).into());
        message.changes = vec![change; 1000];
        let body = parsed(&message, "");
        assert!(body["text"].as_str().unwrap().len() < 20_000);
    }
}
