//! A message as an e-mail.

use std::time::{Duration, SystemTime};

use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MessageBuilder};

use crate::message::Message;
use crate::rule::Email;
use crate::text;

const MAX_CHANGES: usize = 200;
const MAX_VALUE_CHARS: usize = 500;

/// The e-mail; `now` is its date. The error says what is wrong with the rule's addresses.
pub(crate) fn email(message: &Message, rule: &Email, now_unix_ms: i64) -> Result<lettre::Message, String> {
    let mut lines = text::lines(message, MAX_CHANGES, MAX_VALUE_CHARS);
    lines.push(String::new());
    lines.push(format!("Sent by cfgstore for the rule {}.", message.rule));
    headers(message, rule, now_unix_ms)?
        .header(ContentType::TEXT_PLAIN)
        .body(lines.join("\r\n"))
        .map_err(|error| format!("the e-mail can't be made: {error}"))
}

fn headers(message: &Message, rule: &Email, now_unix_ms: i64) -> Result<MessageBuilder, String> {
    let now = Duration::from_millis(now_unix_ms.max(0).unsigned_abs());
    // So that nobody's out-of-office note comes back (RFC 3834).
    let automatic = HeaderValue::new(
        HeaderName::new_from_ascii_str("Auto-Submitted"),
        "auto-generated".to_owned(),
    );
    let mut builder = lettre::Message::builder()
        .from(mailbox(&rule.from)?)
        .subject(format!("[cfgstore] {}: {}", message.rule, text::title(message)))
        .message_id(Some(format!("<{}@cfgstore>", message.id())))
        .date(SystemTime::UNIX_EPOCH + now)
        .raw_header(automatic);
    for to in &rule.to {
        builder = builder.to(mailbox(to)?);
    }
    Ok(builder)
}

/// An address, with or without a name: `Ops <ops@example.com>`.
pub(crate) fn mailbox(text: &str) -> Result<Mailbox, String> {
    text.parse()
        .map_err(|error| format!("{text:?} is not an e-mail address: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::tests::message;

    fn written(message: &Message) -> String {
        let rule = Email {
            from: "cfgstore <cfgstore@example.com>".into(),
            to: vec!["a@example.com".into(), "b@example.com".into()],
            ..Email::default()
        };
        let email = email(message, &rule, 1_795_698_060_000).unwrap();
        String::from_utf8(email.formatted()).unwrap()
    }

    #[test]
    fn headers_and_text() {
        let email = written(&message());
        for line in [
            "From: cfgstore <cfgstore@example.com>\r\n",
            "To: a@example.com, b@example.com\r\n",
            "Subject: [cfgstore] ops: put app/database\r\n",
            "Message-ID: <ops.12.abc@cfgstore>\r\n",
            "Date: Thu, 26 Nov 2026 13:01:00 +0000\r\n",
            "Auto-Submitted: auto-generated\r\n",
            "reason: move to db2\r\n",
        ] {
            assert!(email.contains(line), "{line:?} is missing in:\n{email}");
        }
    }

    #[test]
    fn nobody_writes_a_header_of_his_own() {
        let mut message = message();
        message.changes[0].key = "x\r\nBcc: eve@example.com\r\n\r\nhello ü".into();
        let email = written(&message);
        let head = email.split("\r\n\r\n").next().unwrap();
        assert!(!head.lines().any(|line| line.starts_with("Bcc")), "{head}");
        assert!(head.contains("Subject: [cfgstore] ops: put x"), "{head}");
        assert!(head.is_ascii());
    }
}
