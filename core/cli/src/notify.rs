//! `cfgctl notify`.

use cfgstore_client::{
    ChangeKind, Client, DeadLetter, NotificationRule, NotificationStatus, NotificationTarget as Target,
};
use serde_json::{Value, json};

use crate::arguments::{NotifyCommand, SetNotify};
use crate::failure::Failure;
use crate::operate::say;
use crate::output::Output;
use crate::value::to_line;

pub async fn run(client: &Client, command: NotifyCommand, output: &mut Output) -> Result<(), Failure> {
    match command {
        NotifyCommand::Set(set) => {
            let rule = rule(*set);
            client.set_notification(&rule).await?;
            let text = format!("notification {} set", rule.name);
            say(output, text, json!({ "name": rule.name, "set": true }))
        }
        NotifyCommand::Remove { name } => {
            client.remove_notification(&name).await?;
            let text = format!("notification {name} removed");
            say(output, text, json!({ "name": name, "removed": true }))
        }
        NotifyCommand::List => {
            let rules = client.notifications().await?;
            if output.is_json() {
                let rules: Vec<Value> = rules.iter().map(rule_json).collect();
                output.json(&json!({ "notifications": rules }))?;
                return Ok(());
            }
            for rule in &rules {
                output.line(&rule_line(rule))?;
            }
            Ok(())
        }
        NotifyCommand::DeadLetters { name } => {
            for letter in client.dead_letters(&name).await? {
                say(output, letter_line(&letter), letter_json(&letter))?;
            }
            Ok(())
        }
        NotifyCommand::Retry { name, ids, forget } => retry(client, &name, &ids, forget, output).await,
    }
}

fn rule(set: SetNotify) -> NotificationRule {
    let target = match (set.target.webhook, set.target.slack) {
        (Some(url), _) => Target::Webhook {
            url,
            secret: set.secret,
        },
        (_, Some(url)) => Target::Slack {
            url,
            channel: set.channel,
        },
        _ => Target::Email {
            server: set.target.smtp.unwrap_or_default(),
            from: set.from.unwrap_or_default(),
            to: set.to,
            user: set.user,
            password: set.password,
        },
    };
    NotificationRule {
        name: set.name,
        prefix: set.prefix.into_bytes(),
        kinds: set.kinds,
        target,
        values: set.values,
    }
}

/// As often as some of them are delivered: one call goes on for some seconds only.
async fn retry(
    client: &Client,
    name: &str,
    ids: &[u64],
    forget: bool,
    output: &mut Output,
) -> Result<(), Failure> {
    let mut total = 0;
    loop {
        let (delivered, left) = client.retry_dead_letters(name, ids, forget).await?;
        total += delivered;
        if delivered == 0 || left == 0 || !ids.is_empty() {
            let text = format!("{total} delivered, {left} dead letters left");
            return say(output, text, json!({ "delivered": total, "left": left }));
        }
    }
}

fn words(target: &Target) -> String {
    match target {
        Target::Webhook { url, secret } if secret.is_empty() => format!("webhook {url}, not signed"),
        Target::Webhook { url, secret } => format!("webhook {url}, signed with {secret}"),
        Target::Slack { url, channel } => format!("slack {url} {channel}").trim_end().to_owned(),
        Target::Email { server, to, .. } => format!("e-mail to {} by {server}", to.join(", ")),
    }
}

fn kinds(kinds: &[ChangeKind]) -> Vec<&'static str> {
    let word = |kind: &ChangeKind| match kind {
        ChangeKind::Put => "put",
        ChangeKind::Delete => "delete",
    };
    kinds.iter().map(word).collect()
}

fn rule_line(status: &NotificationStatus) -> String {
    let what = match &status.rule {
        Some(rule) => format!("prefix {:?} to {}", to_line(&rule.prefix), words(&rule.target)),
        None => "set by a newer version".to_owned(),
    };
    let mut line = format!(
        "{}: {what}; done through revision {}, {} dead letters",
        status.name, status.done_through_revision, status.dead_letters
    );
    if !status.trouble.is_empty() {
        line += &format!("; in trouble: {}", status.trouble);
    }
    line
}

fn rule_json(status: &NotificationStatus) -> Value {
    let mut json = json!({
        "name": status.name,
        "done_through_revision": status.done_through_revision,
        "dead_letters": status.dead_letters,
        "trouble": status.trouble,
    });
    if let Some(rule) = &status.rule {
        json["prefix"] = to_line(&rule.prefix).into();
        json["kinds"] = kinds(&rule.kinds).into();
        json["values"] = rule.values.into();
        json["target"] = rule.target.to_json();
    }
    json
}

fn letter_line(letter: &DeadLetter) -> String {
    let DeadLetter {
        name,
        from_revision,
        to_revision,
        reason,
        id,
        ..
    } = letter;
    let revisions = match from_revision == to_revision {
        true => format!("revision {from_revision}"),
        false => format!("revisions {from_revision} to {to_revision}"),
    };
    format!("{name} {id}: {revisions}: {reason}")
}

fn letter_json(letter: &DeadLetter) -> Value {
    json!({
        "name": letter.name,
        "id": letter.id,
        "from_revision": letter.from_revision,
        "to_revision": letter.to_revision,
        "reason": letter.reason,
        "time_unix_ms": letter.time_unix_ms,
    })
}
