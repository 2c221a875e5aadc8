//! Schemas: what values may be.

use std::ffi::{OsStr, OsString};

use cfgstore_client::{BoundSchema, Client, Violations};
use serde_json::{Value, json};

use crate::arguments::SchemaCommand;
use crate::failure::Failure;
use crate::operate::say;
use crate::output::Output;
use crate::value;

pub async fn run(client: &Client, command: SchemaCommand, output: &mut Output) -> Result<(), Failure> {
    match command {
        SchemaCommand::Bind {
            pattern,
            file,
            sealed,
            dry_run,
        } => {
            let schema = BoundSchema {
                schema: match file {
                    Some(file) => read(&file)?.into(),
                    None => Default::default(),
                },
                sealed,
                pattern,
            };
            client.bind_schema(&schema, dry_run).await?;
            let pattern = schema.pattern;
            let text = match dry_run {
                true => format!("{pattern} can be bound: no existing value violates it"),
                false => format!("bound to {pattern}"),
            };
            say(output, text, json!({ "pattern": pattern, "bound": !dry_run }))
        }
        SchemaCommand::Unbind { pattern } => {
            client.unbind_schema(&pattern).await?;
            say(
                output,
                format!("unbound from {pattern}"),
                json!({ "pattern": pattern, "bound": false }),
            )
        }
        SchemaCommand::List => list(&client.schemas().await?, output),
        SchemaCommand::Check { key, file } => {
            let violations = client.check_value(&key, read(&file)?).await?;
            if violations.count > 0 {
                return Err(Failure::schema_violation(told(&violations)));
            }
            say(output, "valid".to_owned(), json!({ "key": key, "valid": true }))
        }
    }
}

fn list(schemas: &[BoundSchema], output: &mut Output) -> Result<(), Failure> {
    if output.is_json() {
        let schema = |schema: &BoundSchema| {
            json!({
                "pattern": schema.pattern,
                "sealed": schema.sealed,
                "schema": serde_json::from_slice::<Value>(&schema.schema).unwrap_or_default(),
            })
        };
        output.json(&json!({ "schemas": schemas.iter().map(schema).collect::<Vec<_>>() }))?;
        return Ok(());
    }
    for schema in schemas {
        let text = match schema.sealed {
            true => "sealed values only".to_owned(),
            false => value::to_line(&schema.schema),
        };
        output.line(&format!("{}\t{text}", schema.pattern))?;
    }
    Ok(())
}

/// One line for each violation.
fn told(violations: &Violations) -> String {
    let mut lines: Vec<String> = violations
        .list
        .iter()
        .map(|violation| {
            let subject = match violation.path.as_str() {
                "" => "the value",
                path => path,
            };
            format!(
                "{subject} {} (schema of {} at {:?})",
                violation.message, violation.pattern, violation.schema_path
            )
        })
        .collect();
    let more = violations.count - violations.list.len() as u64;
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    lines.join("\n")
}

/// The file of that name, or standard input.
fn read(file: &OsStr) -> Result<Vec<u8>, Failure> {
    if file == "-" {
        return value::read(file);
    }
    let mut argument = OsString::from("@");
    argument.push(file);
    value::read(&argument)
}
