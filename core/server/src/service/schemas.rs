//! `cfgstore.v1`'s Schemas service.

use std::sync::Arc;

use bytes::Bytes;
use cfgstore_client::RESERVED_PREFIX;
use cfgstore_proto::cfgstore::v1 as pb;
use cfgstore_proto::cfgstore::v1::schemas_server;
use cfgstore_schema::{MAX_VIOLATIONS, Pattern, Rule, Schema, Schemas, Steps};
use cfgstore_store::{Command, CommandError, Range, SchemaRule, SetSchema, State};
use tonic::{Request, Response, Status};

use crate::context::{Context, PROPOSALS};
use crate::{caller, errors, judge};

pub(super) struct SchemaService(pub Arc<Context>);

impl SchemaService {
    /// Binds, unless existing values violate the schema.
    async fn bind(
        &self,
        caller: cfgstore_store::Caller,
        schema: pb::Schema,
        dry_run: bool,
    ) -> Result<(), Status> {
        let rule = Arc::new(checked(schema).await?);
        for _ in 0..PROPOSALS {
            self.0.linearizable().await?;
            let state = self.0.member.state();
            let checked_revision = state.revision();
            let judged = {
                let rule = rule.clone();
                tokio::task::spawn_blocking(move || judge_existing(&state, &rule))
            };
            judged.await.map_err(|_| errors::stopped())??;
            if dry_run {
                return Ok(());
            }
            let set = Command::SetSchema(SetSchema {
                pattern: Bytes::copy_from_slice(rule.pattern.as_str().as_bytes()),
                schema: Some(SchemaRule {
                    schema: rule.schema.clone(),
                    sealed: rule.sealed,
                }),
                checked_revision,
            });
            match self.0.propose_as_is(self.0.limits(), caller.clone(), set).await? {
                Err(CommandError::ValuesChanged) => {}
                applied => return applied.map(|_| ()).map_err(errors::of_command),
            }
        }
        Err(errors::of_command(CommandError::ValuesChanged))
    }
}

#[tonic::async_trait]
impl schemas_server::Schemas for SchemaService {
    async fn bind(
        &self,
        request: Request<pb::BindSchemaRequest>,
    ) -> Result<Response<pb::BindSchemaResponse>, Status> {
        let caller = caller::of(&request);
        let request = request.into_inner();
        let schema = request.schema.ok_or_else(|| invalid("no schema is given"))?;
        self.bind(caller, schema, request.dry_run).await?;
        Ok(Response::new(pb::BindSchemaResponse {}))
    }

    async fn unbind(
        &self,
        request: Request<pb::UnbindSchemaRequest>,
    ) -> Result<Response<pb::UnbindSchemaResponse>, Status> {
        let caller = caller::of(&request);
        let pattern = pattern(&request.get_ref().pattern)?;
        let unset = Command::SetSchema(SetSchema {
            pattern: Bytes::copy_from_slice(pattern.as_str().as_bytes()),
            schema: None,
            checked_revision: 0,
        });
        self.0.propose(caller, unset).await?;
        Ok(Response::new(pb::UnbindSchemaResponse {}))
    }

    async fn list(
        &self,
        _: Request<pb::ListSchemasRequest>,
    ) -> Result<Response<pb::ListSchemasResponse>, Status> {
        self.0.linearizable().await?;
        let state = self.0.member.state();
        let schemas = state.schemas().map(|(pattern, rule)| pb::Schema {
            pattern: String::from_utf8_lossy(pattern).into_owned(),
            schema: rule.schema.clone(),
            sealed: rule.sealed,
        });
        Ok(Response::new(pb::ListSchemasResponse {
            schemas: schemas.collect(),
        }))
    }

    async fn check(
        &self,
        request: Request<pb::CheckValueRequest>,
    ) -> Result<Response<pb::CheckValueResponse>, Status> {
        let pb::CheckValueRequest { key, value } = request.into_inner();
        if key.is_empty() {
            return Err(errors::empty_key());
        }
        self.0.linearizable().await?;
        let state = self.0.member.state();
        let violations = self.0.judge.check(&state, key, value).await?;
        Ok(Response::new(pb::CheckValueResponse {
            violations: Some(violations),
        }))
    }
}

/// What is to be bound, once it is known to be a schema.
struct Checked {
    pattern: Pattern,
    schema: Bytes,
    sealed: bool,
}

async fn checked(schema: pb::Schema) -> Result<Checked, Status> {
    let pattern = pattern(&schema.pattern)?;
    match (schema.sealed, schema.schema.is_empty()) {
        (true, true) => {}
        (true, false) => {
            return Err(invalid(
                "servers can't check sealed values against a schema; give either a schema or \"sealed\"",
            ));
        }
        (false, true) => {
            return Err(invalid(
                "the schema is empty; to allow every value, unbind the pattern",
            ));
        }
        (false, false) => {
            let text = schema.schema.clone();
            let compiled = tokio::task::spawn_blocking(move || Schema::compile(&text).map(drop));
            let compiled = compiled.await.map_err(|_| errors::stopped())?;
            compiled.map_err(|error| invalid(&error.to_string()))?;
        }
    }
    Ok(Checked {
        pattern,
        schema: schema.schema,
        sealed: schema.sealed,
    })
}

/// Refuses, and names the values, if some under the pattern violate the schema.
fn judge_existing(state: &State, checked: &Checked) -> Result<(), Status> {
    let (key, range_end) = checked.pattern.range();
    let range = Range {
        key: key.into(),
        range_end: range_end.into(),
        ..Range::default()
    };
    let found = state.range(&range).map_err(errors::of_command)?;
    let rule = Rule {
        pattern: checked.pattern.as_str().as_bytes(),
        schema: &checked.schema,
        sealed: checked.sealed,
    };
    let schemas = Schemas::new(std::iter::once(rule), &Schemas::default());
    let mut left = Steps::PER_BIND;
    let mut all = pb::Violations::default();
    let judged = found
        .records
        .iter()
        .filter(|record| !record.key().starts_with(RESERVED_PREFIX));
    for record in judged {
        let mut steps = Steps::new(Steps::PER_WRITE);
        let refusals = schemas.judge(record.key(), record.value(), &mut steps);
        let of_value = judge::violations(record.key(), refusals);
        all.count += of_value.count;
        let room = MAX_VIOLATIONS - all.violations.len();
        all.violations.extend(of_value.violations.into_iter().take(room));
        left = left.saturating_sub(Steps::PER_WRITE - steps.left());
        if left == 0 {
            return Err(Status::resource_exhausted(format!(
                "cfgstore: the {} values under {} take too many steps to judge; bind a simpler schema, or bind to narrower \
                 patterns",
                found.records.len(),
                checked.pattern
            )));
        }
    }
    match all.count {
        0 => Ok(()),
        _ => Err(judge::refusal(all)),
    }
}

fn pattern(text: &str) -> Result<Pattern, Status> {
    Pattern::parse(text).map_err(|error| invalid(&error.to_string()))
}

fn invalid(text: &str) -> Status {
    Status::invalid_argument(format!("cfgstore: {text}"))
}
