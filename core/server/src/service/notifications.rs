//! Who is told when keys change: `cfgstore.v1.Notifications`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cfgstore_notify::{Email, Failure, Kind, Rule, Slack, Target, Webhook};
use cfgstore_proto::cfgstore::v1 as pb;
use cfgstore_proto::cfgstore::v1::change::Kind as WireKind;
use cfgstore_proto::cfgstore::v1::notification::Target as WireTarget;
use cfgstore_proto::cfgstore::v1::notifications_server;
use cfgstore_store::{Caller, Command, DeadLetter, NotificationProgress, NotificationRule, SetNotification};
use tokio::time::Instant;
use tonic::{Request, Response, Status};

use crate::context::Context;
use crate::{caller, notify};

/// How long one call goes on to send dead letters; what is left is for the next. An attempt takes no longer either.
const RETRY_FOR: Duration = Duration::from_secs(3);
/// Most messages of one dead letter.
const MAX_MESSAGES_PER_LETTER: usize = 1_000;

pub(super) struct Notifications(pub Arc<Context>);

#[tonic::async_trait]
impl notifications_server::Notifications for Notifications {
    async fn set(
        &self,
        request: Request<pb::SetNotificationRequest>,
    ) -> Result<Response<pb::SetNotificationResponse>, Status> {
        let caller = caller::of(&request);
        let rule = request.into_inner().notification;
        let rule = from_wire(rule.unwrap_or_default())?;
        rule.check()
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        let command = Command::SetNotification(SetNotification {
            name: rule.name.clone(),
            rule: Some(rule.to_bytes().into()),
        });
        self.0.propose(caller, command).await?;
        Ok(Response::new(pb::SetNotificationResponse {}))
    }

    async fn remove(
        &self,
        request: Request<pb::RemoveNotificationRequest>,
    ) -> Result<Response<pb::RemoveNotificationResponse>, Status> {
        let caller = caller::of(&request);
        let name = request.into_inner().name;
        let command = Command::SetNotification(SetNotification { name, rule: None });
        self.0.propose(caller, command).await?;
        Ok(Response::new(pb::RemoveNotificationResponse {}))
    }

    async fn list(
        &self,
        _: Request<pb::ListNotificationsRequest>,
    ) -> Result<Response<pb::ListNotificationsResponse>, Status> {
        self.0.linearizable().await?;
        let state = self.0.member.state();
        let notifications = state.notifications().map(|(name, known)| {
            let stats = self.0.notifier.stats.of(name);
            let (notification, unreadable) = match Rule::from_bytes(&known.rule) {
                Ok(rule) => (to_wire(rule), None),
                Err(reason) => (
                    pb::Notification {
                        name: name.to_owned(),
                        ..pb::Notification::default()
                    },
                    Some(reason),
                ),
            };
            pb::NotificationStatus {
                notification: Some(notification),
                done_through_revision: known.done_through_revision,
                dead_letters: known.dead_letters.len() as u64,
                trouble: unreadable.or(stats.trouble).unwrap_or_default(),
            }
        });
        let notifications = notifications.collect();
        Ok(Response::new(pb::ListNotificationsResponse { notifications }))
    }

    async fn dead_letters(
        &self,
        request: Request<pb::DeadLettersRequest>,
    ) -> Result<Response<pb::DeadLettersResponse>, Status> {
        self.0.linearizable().await?;
        let wanted = request.into_inner().name;
        if !wanted.is_empty() {
            self.find(&wanted)?;
        }
        let state = self.0.member.state();
        let mut dead_letters = Vec::new();
        for (name, known) in state.notifications() {
            if !wanted.is_empty() && name != wanted {
                continue;
            }
            dead_letters.extend(known.dead_letters.iter().map(|letter| pb::DeadLetter {
                name: name.to_owned(),
                from_revision: letter.from_revision,
                to_revision: letter.to_revision,
                reason: letter.reason.clone(),
                time_unix_ms: letter.time_unix_ms,
                id: letter.id,
            }));
        }
        dead_letters.sort_by_key(|letter| letter.time_unix_ms);
        Ok(Response::new(pb::DeadLettersResponse { dead_letters }))
    }

    /// Whichever member is asked sends, as it is nothing that has to be in order with what the leader sends.
    async fn retry_dead_letters(
        &self,
        request: Request<pb::RetryDeadLettersRequest>,
    ) -> Result<Response<pb::RetryDeadLettersResponse>, Status> {
        let caller = caller::of(&request);
        let request = request.into_inner();
        self.0.linearizable().await?;
        let known = self.find(&request.name)?;
        let wanted = |letter: &&DeadLetter| request.ids.is_empty() || request.ids.contains(&letter.id);
        let letters: Vec<DeadLetter> = known.dead_letters.iter().filter(wanted).cloned().collect();
        if request.only_forget {
            let ids = letters.iter().map(|letter| letter.id).collect();
            self.forget(&caller, &request.name, ids).await?;
            return self.retried(&request.name, 0);
        }
        let rule = Rule::from_bytes(&known.rule).map_err(Status::failed_precondition)?;
        let until = Instant::now() + RETRY_FOR;
        let mut delivered = Vec::new();
        for letter in letters {
            match self.resend(&rule, &letter, until).await {
                Ok(true) => delivered.push(letter.id),
                // Nothing is left of it to be sent.
                Ok(false) => {}
                Err(failure) => {
                    tracing::info!(rule = %rule.name, %failure, "a dead letter could not be delivered");
                    break;
                }
            }
        }
        let count = delivered.len() as u64;
        if count > 0 {
            self.forget(&caller, &request.name, delivered).await?;
        }
        self.retried(&request.name, count)
    }
}

impl Notifications {
    fn find(&self, name: &str) -> Result<NotificationRule, Status> {
        let state = self.0.member.state();
        let found = state.notifications().find(|(known, _)| *known == name);
        let missing = || Status::not_found(format!("there is no notification rule {name:?}"));
        found.map(|(_, rule)| rule.clone()).ok_or_else(missing)
    }

    fn retried(&self, name: &str, delivered: u64) -> Result<Response<pb::RetryDeadLettersResponse>, Status> {
        let left = self.find(name)?.dead_letters.len() as u64;
        Ok(Response::new(pb::RetryDeadLettersResponse { delivered, left }))
    }

    async fn forget(&self, caller: &Caller, name: &str, forget: Vec<u64>) -> Result<(), Status> {
        let command = Command::NotificationProgress(NotificationProgress {
            name: name.to_owned(),
            forget,
            ..NotificationProgress::default()
        });
        self.0.propose(caller.clone(), command).await.map(drop)
    }

    /// Sends all of a dead letter that the history still has. Answers whether there was anything.
    async fn resend(&self, rule: &Rule, letter: &DeadLetter, until: Instant) -> Result<bool, Failure> {
        let revisions = (letter.from_revision, letter.to_revision);
        let state = self.0.member.state();
        let messages = notify::messages_between(
            &state,
            self.0.cluster_id,
            rule,
            revisions,
            MAX_MESSAGES_PER_LETTER,
        );
        let was_lost = letter.reason == cfgstore_notify::LOST;
        if messages.is_empty() || was_lost {
            return Ok(false);
        }
        for message in &messages {
            let attempt = self.0.notifier.sender.send(rule, message, notify::now_unix_ms());
            match tokio::time::timeout_at(until, attempt).await {
                Ok(outcome) => outcome?,
                Err(_) => return Err(Failure::transient("the time for one call is over")),
            }
        }
        Ok(true)
    }
}

fn from_wire(wire: pb::Notification) -> Result<Rule, Status> {
    let kind = |number: i32| match WireKind::try_from(number) {
        Ok(WireKind::Put) => Ok(Kind::Put),
        Ok(WireKind::Delete) => Ok(Kind::Delete),
        Err(_) => Err(Status::invalid_argument(format!(
            "the kinds of the notification: {number} is none"
        ))),
    };
    let mut kinds = wire.kinds.into_iter().map(kind).collect::<Result<Vec<_>, _>>()?;
    kinds.sort_by_key(|kind| *kind == Kind::Delete);
    kinds.dedup();
    let target = match wire.target {
        Some(WireTarget::Webhook(webhook)) => Target::Webhook(Webhook {
            url: webhook.url,
            secret: webhook.secret,
        }),
        Some(WireTarget::Slack(slack)) => Target::Slack(Slack {
            url: slack.url,
            channel: slack.channel,
        }),
        Some(WireTarget::Email(email)) => Target::Email(Email {
            server: email.server,
            from: email.from,
            to: email.to,
            user: email.user,
            password: email.password,
        }),
        None => {
            return Err(Status::invalid_argument(
                "the target of the notification: there is none; give a webhook, Slack or e-mail",
            ));
        }
    };
    Ok(Rule {
        name: wire.name,
        key: wire.key.to_vec(),
        range_end: wire.range_end.to_vec(),
        kinds,
        target,
        values: wire.values,
    })
}

/// The rule for who lists it. A URL of Slack's that stands in the rule itself is a secret, of which only the host is told.
fn to_wire(rule: Rule) -> pb::Notification {
    let kind = |kind: &Kind| match kind {
        Kind::Put => WireKind::Put.into(),
        Kind::Delete => WireKind::Delete.into(),
    };
    let shown = rule.target.without_secrets();
    let target = match shown {
        Target::Webhook(Webhook { url, secret }) => WireTarget::Webhook(pb::Webhook { url, secret }),
        Target::Slack(Slack { url, channel }) => WireTarget::Slack(pb::Slack { url, channel }),
        Target::Email(email) => WireTarget::Email(pb::Email {
            server: email.server,
            from: email.from,
            to: email.to,
            user: email.user,
            password: email.password,
        }),
    };
    pb::Notification {
        name: rule.name,
        key: Bytes::from(rule.key),
        range_end: Bytes::from(rule.range_end),
        kinds: rule.kinds.iter().map(kind).collect(),
        target: Some(target),
        values: rule.values,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_comes_back_as_it_was_set_but_for_its_secrets() {
        let mut wire = pb::Notification {
            name: "ops".into(),
            key: "a".into(),
            range_end: "b".into(),
            kinds: vec![1, 0, 1],
            target: Some(WireTarget::Slack(pb::Slack {
                url: "https://hooks.slack.com/services/T/B/SECRET".into(),
                channel: "#ops".into(),
            })),
            values: true,
        };
        let back = to_wire(from_wire(wire.clone()).unwrap());
        assert_eq!(back.kinds, [0, 1]);
        let Some(WireTarget::Slack(slack)) = &back.target else {
            panic!("{back:?}");
        };
        assert_eq!(slack.url, "https://hooks.slack.com/…");
        wire.kinds = vec![7];
        assert_eq!(
            from_wire(wire.clone()).unwrap_err().code(),
            tonic::Code::InvalidArgument
        );
        (wire.kinds, wire.target) = (vec![], None);
        assert!(from_wire(wire).unwrap_err().message().contains("target"));
    }
}
