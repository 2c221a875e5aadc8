//! Takes a message to its target: one attempt.

use std::fmt;
use std::time::Duration;

use crate::email;
use crate::failure::Failure;
use crate::http::{self, Tls};
use crate::message::Message;
use crate::rule::{Email, Rule, Slack, Target, Webhook};
use crate::secret::{SecretRef, Secrets};
use crate::validate::{http_url, is_reference, slack_url, smtp_server};
use crate::webhook::{DELIVERY_HEADER, SIGNATURE_HEADER, signature};
use crate::{slack, smtp, webhook};

/// The longest time that an attempt takes, from the name's look-up to the answer. Mail servers answer slowly on purpose, so they
/// have three times as long.
pub const SEND_TIMEOUT: Duration = Duration::from_secs(10);

/// Sends messages, with the secrets of this member.
pub struct Sender {
    secrets: Secrets,
    tls: Tls,
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

impl Sender {
    /// Sends with these secrets.
    pub fn new(secrets: Secrets) -> Sender {
        Sender {
            secrets,
            tls: Tls::default(),
        }
    }

    /// Makes one attempt; it has succeeded when the target has said so. Needs a tokio runtime with time and I/O. Dropped midway,
    /// the message may have arrived or not.
    pub async fn send(&self, rule: &Rule, message: &Message, now_unix_ms: i64) -> Result<(), Failure> {
        match &rule.target {
            Target::Webhook(webhook) => {
                bounded(SEND_TIMEOUT, self.webhook(webhook, message, now_unix_ms)).await
            }
            Target::Slack(slack) => bounded(SEND_TIMEOUT, self.slack(slack, message)).await,
            Target::Email(email) => bounded(3 * SEND_TIMEOUT, self.email(email, message, now_unix_ms)).await,
        }
    }

    async fn webhook(&self, target: &Webhook, message: &Message, now_unix_ms: i64) -> Result<(), Failure> {
        let url = http_url(&target.url).map_err(Failure::permanent)?;
        let body = webhook::body(message);
        let mut headers = vec![(DELIVERY_HEADER, message.id())];
        if !target.secret.is_empty() {
            let secret = self.secret(&target.secret)?;
            headers.push((
                SIGNATURE_HEADER,
                signature(&secret, now_unix_ms.div_euclid(1000), &body),
            ));
        }
        http::post(&self.tls, &url, &headers, body).await
    }

    async fn slack(&self, target: &Slack, message: &Message) -> Result<(), Failure> {
        let url = match is_reference(&target.url) {
            true => {
                let url = slack_url(&self.secret(&target.url)?);
                // Not permanent: it is put right where it is found, not in the rule.
                url.map_err(|why| Failure::transient(format!("the URL at {}: {why}", target.url)))?
            }
            false => slack_url(&target.url).map_err(Failure::permanent)?,
        };
        http::post(&self.tls, &url, &[], slack::body(message, &target.channel)).await
    }

    async fn email(&self, target: &Email, message: &Message, now_unix_ms: i64) -> Result<(), Failure> {
        let server = smtp_server(&target.server).map_err(Failure::permanent)?;
        let email = email::email(message, target, now_unix_ms).map_err(Failure::permanent)?;
        let password = match target.user.is_empty() {
            true => None,
            false => Some(self.secret(&target.password)?),
        };
        let login = password
            .as_deref()
            .map(|password| (target.user.as_str(), password));
        smtp::send(&server, login, email, SEND_TIMEOUT).await
    }

    /// A secret that can't be had is the member's trouble, not the message's: it is tried again.
    fn secret(&self, reference: &str) -> Result<String, Failure> {
        let reference = SecretRef::parse(reference).map_err(Failure::transient)?;
        self.secrets.resolve(&reference).map_err(Failure::transient)
    }
}

async fn bounded(
    timeout: Duration,
    attempt: impl Future<Output = Result<(), Failure>>,
) -> Result<(), Failure> {
    match tokio::time::timeout(timeout, attempt).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Failure::transient(format!(
            "no answer within {} s",
            timeout.as_secs()
        ))),
    }
}
