//! Who is told when keys change, and how JSON says it.

use serde_json::{Map, Value, json};

use crate::error::{Error, ErrorKind, Result};

/// Who is told. Secrets are references: `env:NAME` or `file:PATH`, which the members look up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotificationTarget {
    /// A POST of JSON.
    Webhook {
        /// Where to.
        url: String,
        /// Where the secret of the signature is found; empty: not signed.
        secret: String,
    },
    /// A POST in the format of Slack's incoming webhooks.
    Slack {
        /// Where the URL is found, or the URL.
        url: String,
        /// Empty: the webhook's own.
        channel: String,
    },
    /// An e-mail.
    Email {
        /// `smtp://HOST:PORT`, `smtp+starttls://…` or `smtps://…`.
        server: String,
        /// The sender's address.
        from: String,
        /// The recipients' addresses.
        to: Vec<String>,
        /// Name at the server; empty: without.
        user: String,
        /// Where the password is found.
        password: String,
    },
}

impl NotificationTarget {
    /// As JSON: `{"webhook": {"url", "secret"}}`, `{"slack": {"url", "channel"}}` or
    /// `{"email": {"server", "from", "to", "user", "password"}}`.
    pub fn to_json(&self) -> Value {
        match self {
            NotificationTarget::Webhook { url, secret } => {
                json!({ "webhook": { "url": url, "secret": secret } })
            }
            NotificationTarget::Slack { url, channel } => {
                json!({ "slack": { "url": url, "channel": channel } })
            }
            NotificationTarget::Email {
                server,
                from,
                to,
                user,
                password,
            } => {
                json!({ "email": { "server": server, "from": from, "to": to, "user": user, "password": password } })
            }
        }
    }

    /// Reads what [`NotificationTarget::to_json`] writes; `secret`, `channel`, `user` and `password` may be missing. Whether
    /// what the members say is right, as of a URL, is not checked here, but by the cluster.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`], which names the member that is wrong, and repeats no value.
    pub fn from_json(json: &Value) -> Result<NotificationTarget> {
        let mut kinds = json.as_object().into_iter().flatten();
        let (Some((kind, members)), None) = (kinds.next(), kinds.next()) else {
            return Err(refused("give one of webhook, slack and email"));
        };
        let Some(object) = members.as_object() else {
            return Err(refused(&format!("{kind} is not an object")));
        };
        let members = Members { kind, object };
        match kind.as_str() {
            "webhook" => {
                members.only(&["url", "secret"])?;
                Ok(NotificationTarget::Webhook {
                    url: members.text("url")?,
                    secret: members.text_or_empty("secret")?,
                })
            }
            "slack" => {
                members.only(&["url", "channel"])?;
                Ok(NotificationTarget::Slack {
                    url: members.text("url")?,
                    channel: members.text_or_empty("channel")?,
                })
            }
            "email" => {
                members.only(&["server", "from", "to", "user", "password"])?;
                Ok(NotificationTarget::Email {
                    server: members.text("server")?,
                    from: members.text("from")?,
                    to: members.texts("to")?,
                    user: members.text_or_empty("user")?,
                    password: members.text_or_empty("password")?,
                })
            }
            other => Err(refused(&format!("{other:?} is none of webhook, slack and email"))),
        }
    }
}

/// The members of a target of one kind.
struct Members<'a> {
    kind: &'a str,
    object: &'a Map<String, Value>,
}

impl Members<'_> {
    fn only(&self, known: &[&str]) -> Result<()> {
        match self.object.keys().find(|name| !known.contains(&name.as_str())) {
            Some(name) => {
                let known = known.join(", ");
                Err(refused(&format!("{} has no {name:?}, but {known}", self.kind)))
            }
            None => Ok(()),
        }
    }

    fn text(&self, name: &str) -> Result<String> {
        match self.object.get(name) {
            Some(Value::String(text)) => Ok(text.clone()),
            Some(_) => Err(self.refused(name, "is not a string")),
            None => Err(self.refused(name, "is missing")),
        }
    }

    fn text_or_empty(&self, name: &str) -> Result<String> {
        match self.object.contains_key(name) {
            true => self.text(name),
            false => Ok(String::new()),
        }
    }

    fn texts(&self, name: &str) -> Result<Vec<String>> {
        let Some(value) = self.object.get(name) else {
            return Err(self.refused(name, "is missing"));
        };
        let items = value.as_array().map(|items| items.iter().map(Value::as_str));
        let texts: Option<Vec<String>> =
            items.and_then(|items| items.map(|item| item.map(str::to_owned)).collect());
        texts.ok_or_else(|| self.refused(name, "is not a list of strings"))
    }

    fn refused(&self, name: &str, why: &str) -> Error {
        refused(&format!("{}.{name} {why}", self.kind))
    }
}

fn refused(why: &str) -> Error {
    let message = format!("the target of the notification: {why}");
    Error::new(ErrorKind::InvalidArgument, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(json: &Value) -> String {
        let error = NotificationTarget::from_json(json).unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidArgument);
        error.message["the target of the notification: ".len()..].to_owned()
    }

    #[test]
    fn json_says_the_same() {
        let text = |text: &str| text.to_owned();
        let targets = [
            NotificationTarget::Webhook {
                url: text("http://a"),
                secret: text("env:B"),
            },
            NotificationTarget::Slack {
                url: text("file:a"),
                channel: text("#b"),
            },
            NotificationTarget::Email {
                server: text("smtp://a"),
                from: text("b"),
                to: vec![text("c"), text("d")],
                user: text("e"),
                password: text("env:F"),
            },
        ];
        for target in targets {
            assert_eq!(NotificationTarget::from_json(&target.to_json()).unwrap(), target);
        }
        let short = json!({ "email": { "server": "a", "from": "b", "to": [] } });
        let read = NotificationTarget::from_json(&short).unwrap();
        assert_eq!(read.to_json()["email"]["password"], "");
    }

    #[test]
    fn what_is_no_target_is_refused_by_name() {
        let none = "give one of webhook, slack and email";
        assert_eq!(refusal(&json!([])), none);
        assert_eq!(refusal(&json!({ "webhook": {}, "slack": {} })), none);
        assert_eq!(
            refusal(&json!({ "pager": {} })),
            r#""pager" is none of webhook, slack and email"#
        );
        assert_eq!(
            refusal(&json!({ "webhook": "http://a" })),
            "webhook is not an object"
        );
        assert_eq!(refusal(&json!({ "webhook": {} })), "webhook.url is missing");
        assert_eq!(
            refusal(&json!({ "slack": { "url": 1 } })),
            "slack.url is not a string"
        );
        assert_eq!(
            refusal(&json!({ "webhook": { "url": "a", "sekret": "hunter2" } })),
            r#"webhook has no "sekret", but url, secret"#
        );
        let to = |to: Value| refusal(&json!({ "email": { "server": "a", "from": "b", "to": to } }));
        assert_eq!(to(json!("c")), "email.to is not a list of strings");
        assert_eq!(to(json!(["c", 1])), "email.to is not a list of strings");
    }
}
