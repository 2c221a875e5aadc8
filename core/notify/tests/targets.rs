//! What arrives at the targets, and what failures are made of their answers.

#[allow(dead_code, reason = "a part is used here")]
#[path = "../../../tests/src/sink.rs"]
mod sink;

use std::time::Duration;

use cfgstore_notify::{
    Author, Change, DELIVERY_HEADER, Email, Failure, Kind, Message, Rule, SIGNATURE_HEADER, Secrets, Sender,
    Slack, Target, Webhook, signature,
};
use sink::{HttpSink, SmtpSink};

const NOW_MS: i64 = 1_795_698_000_123;
const SECRET: &str = "correct-horse-battery-staple";

fn rule(target: Target) -> Rule {
    Rule {
        name: "ops".into(),
        key: b"app/".to_vec(),
        range_end: b"app0".to_vec(),
        kinds: Vec::new(),
        target,
        values: true,
    }
}

fn webhook(url: String, secret: &str) -> Rule {
    let secret = secret.to_owned();
    rule(Target::Webhook(Webhook { url, secret }))
}

fn email(server: String, user: &str) -> Rule {
    rule(Target::Email(Email {
        server,
        from: "cfgstore@example.com".into(),
        to: vec!["a@example.com".into(), "b@example.com".into()],
        user: user.into(),
        password: match user {
            "" => String::new(),
            _ => "file:secret".into(),
        },
    }))
}

fn message() -> Message {
    Message {
        rule: "ops".into(),
        cluster_id: 7,
        revision: 12,
        time_unix_ms: NOW_MS,
        author: Author::default(),
        comment: String::new(),
        changes: vec![Change {
            kind: Kind::Put,
            key: "app/x".into(),
            version: 1,
            previous_revision: 0,
            value: Some("1".into()),
            previous_value: None,
        }],
        more_changes: 0,
    }
}

/// Sends the message by `rule`, which is a good one, with a folder in which `file:secret` is [`SECRET`].
fn send(rule: &Rule) -> Result<(), Failure> {
    rule.check().unwrap();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("secret"), SECRET).unwrap();
    let sender = Sender::new(Secrets::new(dir.path()));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let outcome = runtime.block_on(sender.send(rule, &message(), NOW_MS));
    if let Err(failure) = &outcome {
        assert!(!failure.reason.contains(SECRET), "{failure}");
    }
    outcome
}

#[test]
fn a_webhook_is_signed_and_names_its_delivery() {
    let sink = HttpSink::start();
    send(&webhook(sink.url("/hook?x=1"), "file:secret")).unwrap();
    let posted = sink.next();
    assert_eq!(posted.path, "/hook?x=1");
    let header = |name: &str| posted.header(&name.to_ascii_lowercase()).unwrap();
    assert_eq!(header("content-type"), "application/json");
    assert_eq!(header("host"), format!("127.0.0.1:{}", sink.port()));
    assert_eq!(header(DELIVERY_HEADER), "ops.12.7");
    assert_eq!(
        header(SIGNATURE_HEADER),
        signature(SECRET, NOW_MS / 1000, &posted.body)
    );
    let body: serde_json::Value = serde_json::from_slice(&posted.body).unwrap();
    assert_eq!(body["changes"][0]["value"], 1);

    send(&webhook(sink.url("/"), "")).unwrap();
    assert_eq!(sink.next().header("cfgstore-signature"), None);
}

#[test]
fn slack_is_told_at_a_url_that_only_the_member_knows() {
    let sink = HttpSink::start();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("url"), sink.url("/services/SECRET")).unwrap();
    let rule = rule(Target::Slack(Slack {
        url: "file:url".into(),
        channel: "#ops".into(),
    }));
    let sender = Sender::new(Secrets::new(dir.path()));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(sender.send(&rule, &message(), NOW_MS)).unwrap();
    let posted = sink.next();
    assert_eq!(posted.path, "/services/SECRET");
    let body: serde_json::Value = serde_json::from_slice(&posted.body).unwrap();
    assert_eq!(body["channel"], "#ops");
    // Nobody listens there any more.
    drop(sink);
    let failure = runtime
        .block_on(sender.send(&rule, &message(), NOW_MS))
        .unwrap_err();
    assert!(
        !failure.permanent && failure.reason.contains("127.0.0.1"),
        "{failure}"
    );
    assert!(!failure.reason.contains("SECRET"), "{failure}");
}

#[test]
fn answers_make_failures() {
    for (answer, permanent, retry_after) in [
        ("500 Oops", false, None),
        ("503 Busy\r\nRetry-After: 7", false, Some(Duration::from_secs(7))),
        (
            "429 Slowly\r\nRetry-After: 7",
            false,
            Some(Duration::from_secs(7)),
        ),
        ("404 Gone", true, None),
        ("302 Elsewhere\r\nLocation: http://127.0.0.1:1/", true, None),
    ] {
        let sink = HttpSink::answering(0, |_| answer.to_owned());
        let failure = send(&webhook(sink.url("/SECRET-PATH"), "")).unwrap_err();
        assert_eq!((failure.permanent, failure.retry_after), (permanent, retry_after));
        assert!(failure.reason.contains(&answer[..3]), "{failure}");
        assert!(!failure.reason.contains("SECRET-PATH"), "{failure}");
        // One request: no redirect was followed.
        sink.next();
        assert!(sink.try_next().is_none());
    }
}

#[test]
fn what_is_no_http_server_is_not_quoted() {
    let sink = SmtpSink::start();
    let url = sink.url().replace("smtp://", "http://");
    let failure = send(&webhook(url, "")).unwrap_err();
    assert!(
        !failure.permanent && !failure.reason.contains("sink"),
        "{failure}"
    );
}

#[test]
fn a_server_that_speaks_no_tls_is_told_nothing() {
    let sink = SmtpSink::start();
    let url = sink.url().replace("smtp://", "https://");
    let failure = send(&webhook(url, "")).unwrap_err();
    assert!(
        !failure.permanent && failure.reason.contains("TLS failed"),
        "{failure}"
    );
}

#[test]
fn a_secret_that_is_not_there_is_told_by_its_name() {
    let sink = HttpSink::start();
    let failure = send(&webhook(sink.url("/"), "file:absent")).unwrap_err();
    assert!(
        !failure.permanent && failure.reason.contains("file:absent"),
        "{failure}"
    );
    let failure = send(&webhook(sink.url("/"), "env:CFGSTORE_SECRET_NEVER_SET")).unwrap_err();
    assert!(
        failure.reason.contains("CFGSTORE_SECRET_NEVER_SET is not set"),
        "{failure}"
    );
    assert!(sink.try_next().is_none());
}

#[test]
fn an_email_goes_to_all_its_recipients() {
    let sink = SmtpSink::start();
    send(&email(sink.url(), "")).unwrap();
    let mail = sink.next();
    assert!(mail.from.contains("cfgstore@example.com"), "{mail:?}");
    assert_eq!(mail.to, ["TO:<a@example.com>", "TO:<b@example.com>"]);
    assert_eq!(mail.auth, "");
    for line in ["Message-ID: <ops.12.7@cfgstore>", "create app/x: 1"] {
        assert!(mail.data.contains(line), "{}", mail.data);
    }

    send(&email(sink.url(), "me")).unwrap();
    // printf '\0me\0correct-horse-battery-staple' | base64
    assert_eq!(
        sink.next().auth,
        "PLAIN AG1lAGNvcnJlY3QtaG9yc2UtYmF0dGVyeS1zdGFwbGU="
    );
}

#[test]
fn a_mail_server_refuses_for_now_or_for_good() {
    for (verb, answer, permanent) in [
        ("RCPT", "550 no such user", true),
        ("RCPT", "451 come back later", false),
        ("AUTH", "535 bad password correct-horse-battery-staple", true),
        ("MAIL", "421 busy", false),
    ] {
        let refuse = move |line: &str| line.starts_with(verb).then(|| answer.to_owned());
        let sink = SmtpSink::refusing(refuse);
        let failure = send(&email(sink.url(), "me")).unwrap_err();
        assert_eq!(failure.permanent, permanent, "{failure}");
        assert!(failure.reason.contains(&answer[..3]), "{failure}");
    }
}

#[test]
fn starttls_is_demanded_where_the_rule_does() {
    let sink = SmtpSink::start();
    let server = sink.url().replace("smtp://", "smtp+starttls://");
    let failure = send(&email(server, "me")).unwrap_err();
    assert!(!failure.permanent, "{failure}");
}
