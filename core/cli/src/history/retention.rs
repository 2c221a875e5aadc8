//! `cfgctl retention`: how much history is kept.

use bytes::Bytes;
use cfgstore_client::{Client, Retention};
use serde_json::json;

use crate::arguments::RetentionCommand;
use crate::failure::Failure;
use crate::operate::say;
use crate::output::Output;
use crate::time::age_text;
use crate::value::{to_line, to_text};

pub async fn run(client: &Client, command: RetentionCommand, output: &mut Output) -> Result<(), Failure> {
    match command {
        RetentionCommand::List => print(&client.retention().await?, output),
        RetentionCommand::Set {
            prefix,
            count,
            max_age,
        } => {
            let rule = Retention {
                prefix: Bytes::from(prefix),
                count,
                max_age_secs: max_age.unwrap_or(0),
            };
            client.set_retention(&rule).await?;
            say(output, text(&rule), to_json(&rule))
        }
        RetentionCommand::Remove { prefix } => {
            client.remove_retention(&prefix).await?;
            say(
                output,
                format!("removed the rule of {prefix:?}"),
                json!({ "removed": prefix }),
            )
        }
    }
}

fn print(rules: &[Retention], output: &mut Output) -> Result<(), Failure> {
    if output.is_json() {
        output.json(&rules.iter().map(to_json).collect::<Vec<_>>())?;
        return Ok(());
    }
    for rule in rules {
        output.line(&text(rule))?;
    }
    Ok(())
}

fn text(rule: &Retention) -> String {
    let keys = match &rule.prefix[..] {
        b"" => "every key".to_owned(),
        prefix => to_line(prefix),
    };
    match (rule.count, rule.max_age_secs) {
        (0, _) => format!("{keys}: no history"),
        (count, 0) => format!("{keys}: {count} changes of each key"),
        (count, secs) => format!("{keys}: {count} changes of each key, for {}", age_text(secs)),
    }
}

fn to_json(rule: &Retention) -> serde_json::Value {
    json!({ "prefix": to_text(&rule.prefix).0, "count": rule.count, "max_age_secs": rule.max_age_secs })
}
