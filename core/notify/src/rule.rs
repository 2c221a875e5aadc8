//! What an operator sets: which changes are told of, and to whom.

use serde::{Deserialize, Serialize};

/// A rule. [`Rule::check`] says whether it may be set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Names it: letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// With `range_end`, the keys it tells of, as in etcd: an empty `range_end` is this one key, `"\0"` is every key from
    /// `key` on, else the keys of `[key, range_end)`.
    #[serde(with = "base64_bytes")]
    pub key: Vec<u8>,
    /// See `key`.
    #[serde(with = "base64_bytes")]
    pub range_end: Vec<u8>,
    /// The kinds of change it tells of; empty: all.
    pub kinds: Vec<Kind>,
    /// Who is told.
    pub target: Target,
    /// Whether the old and the new value go along. Sealed values never do.
    pub values: bool,
}

/// What happened to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// It was written.
    Put,
    /// It was deleted, or went with its lease.
    Delete,
}

/// Who is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// A POST of JSON.
    Webhook(Webhook),
    /// A POST in the format of Slack's incoming webhooks.
    Slack(Slack),
    /// An e-mail.
    Email(Email),
}

/// A POST of JSON, signed if there is a secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// `http://…` or `https://…`.
    pub url: String,
    /// Where the secret of the signature is found; empty: not signed.
    pub secret: String,
}

/// A POST in the format of Slack's incoming webhooks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slack {
    /// Where the URL is found, as it is a secret; or the URL itself.
    pub url: String,
    /// Empty: the webhook's own.
    pub channel: String,
}

/// An e-mail over SMTP.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Email {
    /// `smtp://HOST:PORT` (not encrypted), `smtp+starttls://…` or `smtps://…`.
    pub server: String,
    /// The sender's address.
    pub from: String,
    /// The addresses it goes to.
    pub to: Vec<String>,
    /// Name at the server; empty: without.
    pub user: String,
    /// Where the password is found.
    pub password: String,
}

impl Target {
    /// The target as it may be shown: of a Slack URL that stands in it, and of a webhook's query, nothing.
    pub fn without_secrets(&self) -> Target {
        let mut shown = self.clone();
        match &mut shown {
            Target::Webhook(webhook) => {
                if let Some(query) = webhook.url.find('?') {
                    webhook.url.truncate(query);
                    webhook.url.push_str("?…");
                }
            }
            Target::Slack(slack) if !crate::validate::is_reference(&slack.url) => {
                let host = url::Url::parse(&slack.url).ok();
                let host = host.as_ref().and_then(url::Url::host_str).unwrap_or_default();
                slack.url = format!("https://{host}/…");
            }
            Target::Slack(_) | Target::Email(_) => {}
        }
        shown
    }
}

impl Rule {
    /// Whether the rule tells of a change of this kind of this key.
    pub fn matches(&self, key: &[u8], kind: Kind) -> bool {
        let within = match self.range_end.as_slice() {
            [] => key == self.key,
            [0] => key >= self.key.as_slice(),
            end => key >= self.key.as_slice() && key < end,
        };
        within && (self.kinds.is_empty() || self.kinds.contains(&kind))
    }

    /// The rule as the cluster keeps it: JSON. [`Rule::check`] bounds its size.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a rule has no map and no number that JSON can't hold")
    }

    /// Reads what [`Rule::to_bytes`] wrote; the error says what is wrong with it.
    pub fn from_bytes(bytes: &[u8]) -> Result<Rule, String> {
        serde_json::from_slice(bytes).map_err(|error| format!("the stored rule can't be read: {error}"))
    }
}

/// Keys are bytes, which JSON has no word for.
mod base64_bytes {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map_err(D::Error::custom)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn rule(target: Target) -> Rule {
        Rule {
            name: "ops".into(),
            key: b"app/".to_vec(),
            range_end: b"app0".to_vec(),
            kinds: Vec::new(),
            target,
            values: false,
        }
    }

    #[test]
    fn ranges_are_those_of_etcd() {
        let mut rule = rule(Target::Webhook(Webhook::default()));
        let matches = |rule: &Rule, key: &str| rule.matches(key.as_bytes(), Kind::Put);
        assert!(matches(&rule, "app/") && matches(&rule, "app/x"));
        assert!(!matches(&rule, "app") && !matches(&rule, "app0"));
        rule.range_end = vec![];
        assert!(matches(&rule, "app/") && !matches(&rule, "app/x"));
        rule.range_end = vec![0];
        assert!(matches(&rule, "app/") && matches(&rule, "zzz") && !matches(&rule, "a"));
    }

    #[test]
    fn kinds_select() {
        let mut rule = rule(Target::Slack(Slack::default()));
        assert!(rule.matches(b"app/x", Kind::Put) && rule.matches(b"app/x", Kind::Delete));
        rule.kinds = vec![Kind::Delete];
        assert!(!rule.matches(b"app/x", Kind::Put) && rule.matches(b"app/x", Kind::Delete));
    }

    #[test]
    fn what_is_stored_is_read_again() {
        let mut rule = rule(Target::Email(Email {
            to: vec!["a@example.com".into()],
            ..Email::default()
        }));
        rule.key = vec![0xff, 0, b'x'];
        assert_eq!(Rule::from_bytes(&rule.to_bytes()).unwrap(), rule);
        Rule::from_bytes(b"{}").unwrap_err();
    }
}
