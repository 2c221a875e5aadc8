//! Which rules may be set. What a rule says is checked before it is replicated, and again by nobody.

use lettre::message::Mailbox;
use thiserror::Error;
use url::{Host, Url};

use crate::email::mailbox;
use crate::rule::{Email, Rule, Slack, Target, Webhook};
use crate::secret::SecretRef;

/// Most rules of a cluster.
pub const MAX_RULES: usize = 100;
/// Longest name of a rule, in bytes.
pub const MAX_NAME_BYTES: usize = 64;
/// Most recipients of an e-mail.
pub const MAX_RECIPIENTS: usize = 50;
/// Longest rule as [`Rule::to_bytes`] writes it.
pub const MAX_RULE_BYTES: usize = 64 * 1024;

const MAX_KEY_BYTES: usize = 4096;
const MAX_URL_BYTES: usize = 2048;
const MAX_TEXT_BYTES: usize = 320;

/// Why a rule may not be set. The text names the part of the rule, and repeats nothing that could be a secret.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the {part} of the notification: {why}")]
pub struct InvalidRule {
    part: &'static str,
    why: String,
}

fn invalid(part: &'static str, why: impl Into<String>) -> InvalidRule {
    InvalidRule {
        part,
        why: why.into(),
    }
}

impl Rule {
    /// Whether it may be set. The target is not asked.
    pub fn check(&self) -> Result<(), InvalidRule> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if self.name.is_empty() || self.name.len() > MAX_NAME_BYTES || !self.name.chars().all(plain) {
            let why = format!("1 to {MAX_NAME_BYTES} letters, digits, '-', '_' and '.' are allowed");
            return Err(invalid("name", why));
        }
        if self.key.len() > MAX_KEY_BYTES || self.range_end.len() > MAX_KEY_BYTES {
            return Err(invalid(
                "range",
                format!("keys have at most {MAX_KEY_BYTES} bytes"),
            ));
        }
        if !matches!(self.range_end.as_slice(), [] | [0]) && self.range_end <= self.key {
            return Err(invalid(
                "range",
                "its end is not after its beginning, so no key is in it",
            ));
        }
        if self.key.is_empty() {
            let why = "no key is empty; all keys are those from \"\\0\" on, with the end \"\\0\"";
            return Err(invalid("range", why));
        }
        match &self.target {
            Target::Webhook(webhook) => check_webhook(webhook)?,
            Target::Slack(slack) => check_slack(slack)?,
            Target::Email(email) => check_email(email)?,
        }
        let size = self.to_bytes().len();
        if size > MAX_RULE_BYTES {
            return Err(invalid(
                "size",
                format!("it is {size} bytes, {MAX_RULE_BYTES} are allowed"),
            ));
        }
        Ok(())
    }
}

fn check_webhook(webhook: &Webhook) -> Result<(), InvalidRule> {
    http_url(&webhook.url).map_err(|why| invalid("URL", why))?;
    if webhook.secret.is_empty() {
        return Ok(());
    }
    SecretRef::parse(&webhook.secret)
        .map(drop)
        .map_err(|why| invalid("secret", why))
}

fn check_slack(slack: &Slack) -> Result<(), InvalidRule> {
    if slack.channel.len() > MAX_TEXT_BYTES || slack.channel.chars().any(char::is_control) {
        return Err(invalid("channel", "it is too long, or has control characters"));
    }
    if is_reference(&slack.url) {
        return SecretRef::parse(&slack.url)
            .map(drop)
            .map_err(|why| invalid("URL", why));
    }
    slack_url(&slack.url).map(drop).map_err(|why| invalid("URL", why))
}

/// Whether this says where something is found, instead of being it.
pub(crate) fn is_reference(text: &str) -> bool {
    text.starts_with("env:") || text.starts_with("file:")
}

/// Slack's URL is a secret, so it goes over TLS, or doesn't leave the host.
pub(crate) fn slack_url(text: &str) -> Result<Url, String> {
    let url = http_url(text)?;
    match url.scheme() == "https" || is_loopback(&url) {
        true => Ok(url),
        false => Err("it is a secret, and http would send it in clear: write https://".to_owned()),
    }
}

/// Reads a URL to post to. The error repeats none of it.
pub(crate) fn http_url(text: &str) -> Result<Url, String> {
    let url = parse_url(text)?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("it must begin with http:// or https://".to_owned());
    }
    if url.host().is_none() {
        return Err("it names no host".to_owned());
    }
    Ok(url)
}

fn parse_url(text: &str) -> Result<Url, String> {
    if text.len() > MAX_URL_BYTES {
        return Err(format!("it has more than {MAX_URL_BYTES} bytes"));
    }
    let url = Url::parse(text).map_err(|error| format!("it can't be read: {error}"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a name or password in a URL would be kept in clear: leave it out".to_owned());
    }
    if url.fragment().is_some() {
        return Err("a fragment (#…) is not sent: leave it out".to_owned());
    }
    Ok(url)
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// How an SMTP server is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encryption {
    None,
    StartTls,
    Tls,
}

/// An SMTP server's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SmtpServer {
    pub encryption: Encryption,
    pub host: String,
    pub port: u16,
    pub is_loopback: bool,
}

/// Reads an SMTP server's address.
pub(crate) fn smtp_server(text: &str) -> Result<SmtpServer, String> {
    let (scheme, rest) = text.split_once("://").unwrap_or_default();
    let (encryption, port) = match scheme {
        "smtp" => (Encryption::None, 25),
        "smtp+starttls" => (Encryption::StartTls, 587),
        "smtps" => (Encryption::Tls, 465),
        _ => return Err("it must begin with smtp://, smtp+starttls:// or smtps://".to_owned()),
    };
    // Of the schemes that `url` knows, one whose hosts it reads with care.
    let url = parse_url(&format!("https://{rest}"))?;
    if url.path() != "/" || url.query().is_some() {
        return Err("write only the host and the port, as in smtps://mail.example.com:465".to_owned());
    }
    let host = url.host_str().ok_or("it names no host")?;
    let port = match url.port() {
        Some(port) => port,
        // 443 is what `url` leaves out, as it is https' own.
        None if rest.trim_end_matches('/').ends_with(":443") => 443,
        None => port,
    };
    Ok(SmtpServer {
        encryption,
        host: host.trim_matches(['[', ']']).to_owned(),
        port,
        is_loopback: is_loopback(&url),
    })
}

fn check_email(email: &Email) -> Result<(), InvalidRule> {
    let server = smtp_server(&email.server).map_err(|why| invalid("server", why))?;
    let address = |part, text: &str| -> Result<Mailbox, InvalidRule> {
        if text.len() > MAX_TEXT_BYTES {
            return Err(invalid(
                part,
                format!("an address has more than {MAX_TEXT_BYTES} bytes"),
            ));
        }
        mailbox(text).map_err(|why| invalid(part, why))
    };
    address("sender", &email.from)?;
    if email.to.is_empty() || email.to.len() > MAX_RECIPIENTS {
        let why = format!("there are {}, 1 to {MAX_RECIPIENTS} are allowed", email.to.len());
        return Err(invalid("recipients", why));
    }
    for to in &email.to {
        address("recipients", to)?;
    }
    if email.user.is_empty() != email.password.is_empty() {
        return Err(invalid("password", "a name and a password belong together"));
    }
    if email.user.is_empty() {
        return Ok(());
    }
    if email.user.len() > MAX_TEXT_BYTES || email.user.chars().any(char::is_control) {
        return Err(invalid("user", "it is too long, or has control characters"));
    }
    if server.encryption == Encryption::None && !server.is_loopback {
        let why = "smtp:// would send the password in clear: write smtp+starttls:// or smtps://";
        return Err(invalid("server", why));
    }
    SecretRef::parse(&email.password)
        .map(drop)
        .map_err(|why| invalid("password", why))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::tests::rule;

    fn webhook(url: &str, secret: &str) -> Rule {
        rule(Target::Webhook(Webhook {
            url: url.into(),
            secret: secret.into(),
        }))
    }

    fn slack(url: &str) -> Rule {
        rule(Target::Slack(Slack {
            url: url.into(),
            channel: String::new(),
        }))
    }

    fn email(change: impl FnOnce(&mut Email)) -> Rule {
        let mut email = Email {
            server: "smtps://mail.example.com".into(),
            from: "cfgstore <cfgstore@example.com>".into(),
            to: vec!["ops@example.com".into()],
            user: "cfgstore".into(),
            password: "env:CFGSTORE_SECRET_SMTP".into(),
        };
        change(&mut email);
        rule(Target::Email(email))
    }

    #[track_caller]
    fn refused(rule: Rule, part: &str) {
        let text = rule.check().unwrap_err().to_string();
        assert!(text.starts_with(&format!("the {part} of")), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }

    #[test]
    fn good_rules() {
        for rule in [
            webhook("https://example.com/hook?x=1", "env:CFGSTORE_SECRET_HOOK"),
            webhook("http://[::1]:8080/", ""),
            slack("https://hooks.slack.com/services/T/B/x"),
            slack("http://127.0.0.1:8080/"),
            slack("file:slack"),
            email(|_| {}),
            email(|e| e.server = "smtp+starttls://mail.example.com:2525".into()),
            email(|e| e.server = "smtp://localhost:25".into()),
            email(|e| {
                e.server = "smtp://mail.example.com".into();
                e.user.clear();
                e.password.clear();
            }),
        ] {
            assert_eq!(rule.check(), Ok(()), "{rule:?}");
        }
    }

    #[test]
    fn bad_names_and_ranges() {
        let with = |change: fn(&mut Rule)| {
            let mut rule = webhook("https://example.com/", "");
            change(&mut rule);
            rule
        };
        refused(with(|r| r.name.clear()), "name");
        refused(with(|r| r.name = "a/b".into()), "name");
        refused(with(|r| r.name = "x".repeat(65)), "name");
        refused(with(|r| r.range_end = r.key.clone()), "range");
        refused(with(|r| r.key = vec![b'a'; 5000]), "range");
        refused(with(|r| (r.key, r.range_end) = (vec![], vec![0])), "range");
    }

    #[test]
    fn bad_targets() {
        for url in [
            "",
            "example.com",
            "ftp://example.com/",
            "file:///etc/passwd",
            "http://",
            "https://user:hunter2@example.com/",
            "https://example.com/#hunter2",
        ] {
            refused(webhook(url, ""), "URL");
        }
        refused(
            webhook(&format!("https://example.com/{}", "x".repeat(2048)), ""),
            "URL",
        );
        refused(webhook("https://example.com/", "hunter2"), "secret");
        refused(slack("http://hooks.slack.com/hunter2"), "URL");
        refused(slack("file:/etc/passwd"), "URL");
        refused(slack("env:PATH"), "URL");
        refused(email(|e| e.server = "mail.example.com".into()), "server");
        refused(
            email(|e| e.server = "smtps://u:hunter2@mail.example.com".into()),
            "server",
        );
        refused(
            email(|e| e.server = "smtps://mail.example.com/x".into()),
            "server",
        );
        refused(email(|e| e.server = "smtp://mail.example.com".into()), "server");
        refused(email(|e| e.from = "nobody".into()), "sender");
        refused(email(|e| e.to = vec![]), "recipients");
        refused(
            email(|e| e.to = vec!["a@b.example\r\nBcc: c".into()]),
            "recipients",
        );
        refused(email(|e| e.to = vec!["a@example.com".into(); 51]), "recipients");
        refused(email(|e| e.password.clear()), "password");
        refused(email(|e| e.password = "hunter2".into()), "password");
    }

    #[test]
    fn smtp_servers() {
        let server = |text: &str| {
            let server = smtp_server(text).unwrap();
            (server.encryption, server.host, server.port)
        };
        assert_eq!(server("smtp://a"), (Encryption::None, "a".into(), 25));
        assert_eq!(
            server("smtp+starttls://a"),
            (Encryption::StartTls, "a".into(), 587)
        );
        assert_eq!(server("smtps://a"), (Encryption::Tls, "a".into(), 465));
        assert_eq!(server("smtps://a:443"), (Encryption::Tls, "a".into(), 443));
        assert_eq!(server("smtps://[::1]:4"), (Encryption::Tls, "::1".into(), 4));
    }
}
