//! Who is told when keys change.

use bytes::Bytes;
use cfgstore_proto::cfgstore::v1 as pb;
use cfgstore_proto::cfgstore::v1::notification::Target as WireTarget;
use cfgstore_proto::cfgstore::v1::notifications_client::NotificationsClient;

use crate::call::{Call, attempt};
use crate::client::Client;
use crate::error::Result;
use crate::notification_target::NotificationTarget;
use crate::watch::ChangeKind;

/// A rule: which changes are told of, and to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotificationRule {
    /// Names it: letters, digits, `-`, `_` and `.`, at most 64.
    pub name: String,
    /// The keys begin with this; empty: every key. Below the client's prefix.
    pub prefix: Vec<u8>,
    /// The kinds of change; empty: all.
    pub kinds: Vec<ChangeKind>,
    /// Who is told.
    pub target: NotificationTarget,
    /// Whether the old and the new value go along. Sealed values never do.
    pub values: bool,
}

/// A rule, and how far it has got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotificationStatus {
    /// The rule; `None` if it was set by a newer version, and can't be read.
    pub rule: Option<NotificationRule>,
    /// Its name.
    pub name: String,
    /// Every change up to this revision has been delivered or has become a dead letter.
    pub done_through_revision: i64,
    /// How many dead letters there are.
    pub dead_letters: u64,
    /// Why the last attempt failed; empty: it did not, or the member that answers does not lead and so does not know.
    pub trouble: String,
}

/// What could not be delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The rule.
    pub name: String,
    /// First revision that it would have told of.
    pub from_revision: i64,
    /// Last revision that it would have told of.
    pub to_revision: i64,
    /// Why it could not be delivered.
    pub reason: String,
    /// When it was given up, in milliseconds since 1970.
    pub time_unix_ms: i64,
    /// Names it among those of its rule.
    pub id: u64,
}

impl Client {
    /// Sets a rule, or replaces it. A new one begins with the next change; a replaced one goes on where it was.
    pub async fn set_notification(&self, rule: &NotificationRule) -> Result<()> {
        let span = self.keyspace().below(&rule.prefix)?;
        let request = pb::SetNotificationRequest {
            notification: Some(to_wire(rule, span.key, span.range_end)),
        };
        let call = Call::write("setting the notification", rule.name.as_bytes());
        self.call(call, attempt!(NotificationsClient, set, request))
            .await?;
        Ok(())
    }

    /// Removes a rule. What was not sent never will be.
    pub async fn remove_notification(&self, name: &str) -> Result<()> {
        let request = pb::RemoveNotificationRequest {
            name: name.to_owned(),
        };
        let call = Call::write("removing the notification", name.as_bytes());
        self.call(call, attempt!(NotificationsClient, remove, request))
            .await?;
        Ok(())
    }

    /// The rules of the whole cluster, in order of their names; secrets that stand in a URL are left out.
    pub async fn notifications(&self) -> Result<Vec<NotificationStatus>> {
        let request = pb::ListNotificationsRequest {};
        let call = Call::read("listing the notifications", b"");
        let answer = self
            .call(call, attempt!(NotificationsClient, list, request))
            .await?;
        let status = |status: pb::NotificationStatus| {
            let wire = status.notification.unwrap_or_default();
            NotificationStatus {
                name: wire.name.clone(),
                rule: from_wire(wire),
                done_through_revision: status.done_through_revision,
                dead_letters: status.dead_letters,
                trouble: status.trouble,
            }
        };
        Ok(answer.notifications.into_iter().map(status).collect())
    }

    /// What could not be delivered of a rule, or, if `name` is empty, of all, oldest first.
    pub async fn dead_letters(&self, name: &str) -> Result<Vec<DeadLetter>> {
        let request = pb::DeadLettersRequest {
            name: name.to_owned(),
        };
        let call = Call::read("listing the dead letters", name.as_bytes());
        let answer = self
            .call(call, attempt!(NotificationsClient, dead_letters, request))
            .await?;
        let letter = |letter: pb::DeadLetter| DeadLetter {
            name: letter.name,
            from_revision: letter.from_revision,
            to_revision: letter.to_revision,
            reason: letter.reason,
            time_unix_ms: letter.time_unix_ms,
            id: letter.id,
        };
        Ok(answer.dead_letters.into_iter().map(letter).collect())
    }

    /// Sends dead letters of a rule once more, for some seconds, and forgets what was delivered; or, with `only_forget`, only
    /// forgets them. No `ids`: all of them. Answers how many were delivered, and how many dead letters the rule has then.
    pub async fn retry_dead_letters(&self, name: &str, ids: &[u64], only_forget: bool) -> Result<(u64, u64)> {
        let request = pb::RetryDeadLettersRequest {
            name: name.to_owned(),
            ids: ids.to_vec(),
            only_forget,
        };
        let call = Call::write("retrying the dead letters", name.as_bytes());
        let answer = self
            .call(call, attempt!(NotificationsClient, retry_dead_letters, request))
            .await?;
        Ok((answer.delivered, answer.left))
    }
}

fn to_wire(rule: &NotificationRule, key: Bytes, range_end: Bytes) -> pb::Notification {
    let kind = |kind: &ChangeKind| match kind {
        ChangeKind::Put => pb::change::Kind::Put.into(),
        ChangeKind::Delete => pb::change::Kind::Delete.into(),
    };
    let target = match rule.target.clone() {
        NotificationTarget::Webhook { url, secret } => WireTarget::Webhook(pb::Webhook { url, secret }),
        NotificationTarget::Slack { url, channel } => WireTarget::Slack(pb::Slack { url, channel }),
        NotificationTarget::Email {
            server,
            from,
            to,
            user,
            password,
        } => WireTarget::Email(pb::Email {
            server,
            from,
            to,
            user,
            password,
        }),
    };
    pb::Notification {
        name: rule.name.clone(),
        key,
        range_end,
        kinds: rule.kinds.iter().map(kind).collect(),
        target: Some(target),
        values: rule.values,
    }
}

fn from_wire(wire: pb::Notification) -> Option<NotificationRule> {
    let kind = |number: i32| match pb::change::Kind::try_from(number) {
        Ok(pb::change::Kind::Delete) => ChangeKind::Delete,
        _ => ChangeKind::Put,
    };
    let target = match wire.target? {
        WireTarget::Webhook(pb::Webhook { url, secret }) => NotificationTarget::Webhook { url, secret },
        WireTarget::Slack(pb::Slack { url, channel }) => NotificationTarget::Slack { url, channel },
        WireTarget::Email(email) => NotificationTarget::Email {
            server: email.server,
            from: email.from,
            to: email.to,
            user: email.user,
            password: email.password,
        },
    };
    Some(NotificationRule {
        name: wire.name,
        // All keys begin at "\0", which is what every key of the store begins with, in order.
        prefix: if wire.key == b"\0"[..] {
            Vec::new()
        } else {
            wire.key.to_vec()
        },
        kinds: wire.kinds.into_iter().map(kind).collect(),
        target,
        values: wire.values,
    })
}
