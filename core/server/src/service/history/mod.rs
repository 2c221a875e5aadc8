//! cfgstore's History service: who changed what, the keys as they were, and making them so again.

mod changes;
mod edit;

use std::sync::Arc;

use bytes::Bytes;
use cfgstore_proto::cfgstore::v1 as pb;
use cfgstore_proto::cfgstore::v1::history_server;
use cfgstore_store::{
    Caller, Command, KeyRange, LoggedChange, MAX_CHANGE_LOG_BYTES, Retention, SetRetention, State,
};
use tokio::sync::watch;
use tonic::{Request, Response, Status};

use crate::context::Context;
use crate::mirror_outlet::{MirrorProgress, wait_until_mirrored};
use crate::{caller, errors};
use changes::ChangeStream;
use edit::{Edit, MAX_ENTRIES};

pub(super) struct HistoryService {
    pub ctx: Arc<Context>,
    /// As in the KV service.
    pub mirror: Option<watch::Receiver<MirrorProgress>>,
}

/// A change as the wire has it.
fn to_wire(state: &State, change: &LoggedChange, keys_only: bool) -> pb::Change {
    let record = &change.record;
    let caller = &change.commit.caller;
    let before = state.change_before(change).map(|before| &before.record);
    let previous = before.filter(|before| !before.is_tombstone());
    let kind = if record.is_tombstone() {
        pb::change::Kind::Delete
    } else {
        pb::change::Kind::Put
    };
    let value = |record: &cfgstore_store::Record| {
        if keys_only {
            Bytes::new()
        } else {
            record.value_bytes()
        }
    };
    pb::Change {
        kind: kind.into(),
        key: record.key_bytes(),
        revision: record.mod_revision(),
        time_unix_ms: change.commit.time_unix_ms,
        author: Some(author(caller)),
        comment: caller.comment.clone().unwrap_or_default(),
        value: value(record),
        version: record.version(),
        previous_revision: change.previous_revision(),
        has_previous_value: previous.is_some(),
        previous_value: previous.map(value).unwrap_or_default(),
    }
}

fn author(caller: &Caller) -> pb::Author {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    pb::Author {
        user: text(&caller.user),
        client: text(&caller.client),
        address: text(&caller.address),
    }
}

impl HistoryService {
    /// Makes the edit, and answers what it changed; again from the start when others were faster. A dry run ends where it would be
    /// proposed, and is refused for what schemas would refuse.
    async fn edit(
        &self,
        caller: Caller,
        dry_run: bool,
        plan: impl Fn(&State) -> Result<Edit, Status>,
    ) -> Result<pb::ApplyResponse, Status> {
        const ATTEMPTS: usize = 10;
        for _ in 0..ATTEMPTS {
            self.ctx.linearizable().await?;
            let state = self.ctx.member.state();
            let edit = plan(&state)?;
            if dry_run {
                self.ctx.judge.allow(&state, edit.command()).await?;
            }
            if dry_run || edit.is_empty() {
                return Ok(edit.into_response(self.ctx.header(state.revision())));
            }
            self.ctx.check_quota(edit.cost_bytes()).await?;
            let done = self
                .ctx
                .propose_within(edit::LIMITS, caller.clone(), edit.command())
                .await?;
            if edit::was_made(&done.outcome)? {
                if let Some(mirror) = &self.mirror {
                    wait_until_mirrored(mirror, done.header.revision).await;
                }
                return Ok(edit.into_response(done.header));
            }
        }
        Err(Status::aborted(format!(
            "cfgstore: the keys were changed by others {ATTEMPTS} times while this was to be done; nothing was done, try again"
        )))
    }
}

#[tonic::async_trait]
impl history_server::History for HistoryService {
    type ChangesStream = ChangeStream;

    async fn changes(&self, request: Request<pb::ChangesRequest>) -> Result<Response<ChangeStream>, Status> {
        let request = request.into_inner();
        if request.key.is_empty() {
            return Err(errors::empty_key());
        }
        if request.follow && (request.descending || request.limit > 0) {
            return Err(Status::invalid_argument(
                "cfgstore: a stream that follows is neither descending nor limited",
            ));
        }
        self.ctx.linearizable().await?;
        changes::stream(self.ctx.clone(), request).map(Response::new)
    }

    async fn at(&self, request: Request<pb::AtRequest>) -> Result<Response<pb::AtResponse>, Status> {
        let pb::AtRequest {
            key,
            range_end,
            revision,
        } = request.into_inner();
        if key.is_empty() {
            return Err(errors::empty_key());
        }
        self.ctx.linearizable().await?;
        let state = self.ctx.member.state();
        let response = tokio::task::spawn_blocking(move || {
            let records = state.keys_at(KeyRange::new(&key, &range_end), revision)?;
            let key_at = |record: &cfgstore_store::Record| pb::KeyAt {
                key: record.key_bytes(),
                value: record.value_bytes(),
                mod_revision: record.mod_revision(),
                version: record.version(),
            };
            Ok(pb::AtResponse {
                revision: state.revision(),
                keys: records.iter().map(key_at).collect(),
            })
        });
        let response = response.await.map_err(|_| errors::stopped())?;
        response.map(Response::new).map_err(errors::of_command)
    }

    async fn apply(&self, request: Request<pb::ApplyRequest>) -> Result<Response<pb::ApplyResponse>, Status> {
        let caller = caller::of(&request);
        let request = request.into_inner();
        if request.entries.len() > MAX_ENTRIES {
            let text = format!("cfgstore: at most {MAX_ENTRIES} entries can be applied at once");
            return Err(Status::invalid_argument(text));
        }
        let response = self.edit(caller, request.dry_run, |state| edit::apply(state, &request));
        response.await.map(Response::new)
    }

    async fn rollback(
        &self,
        request: Request<pb::RollbackRequest>,
    ) -> Result<Response<pb::ApplyResponse>, Status> {
        let caller = caller::of(&request);
        let request = request.into_inner();
        if request.key.is_empty() {
            return Err(errors::empty_key());
        }
        let response = self.edit(caller, request.dry_run, |state| edit::rollback(state, &request));
        response.await.map(Response::new)
    }

    async fn set_retention(
        &self,
        request: Request<pb::SetRetentionRequest>,
    ) -> Result<Response<pb::SetRetentionResponse>, Status> {
        let caller = caller::of(&request);
        let pb::SetRetentionRequest { retention, remove } = request.into_inner();
        let Some(rule) = retention else {
            return Err(Status::invalid_argument(
                "cfgstore: there is no retention rule in the request",
            ));
        };
        let retention = Retention {
            count: rule.count,
            max_age_secs: rule.max_age_secs,
            floor_revision: 0,
        };
        let command = Command::SetRetention(SetRetention {
            prefix: rule.prefix,
            retention: (!remove).then_some(retention),
        });
        self.ctx.propose(caller, command).await?;
        Ok(Response::new(pb::SetRetentionResponse {}))
    }

    async fn list_retention(
        &self,
        _: Request<pb::ListRetentionRequest>,
    ) -> Result<Response<pb::ListRetentionResponse>, Status> {
        self.ctx.linearizable().await?;
        let state = self.ctx.member.state();
        let rule = |(prefix, rule): (&[u8], &Retention)| pb::Retention {
            prefix: Bytes::copy_from_slice(prefix),
            count: rule.count,
            max_age_secs: rule.max_age_secs,
            floor_revision: rule.floor_revision,
        };
        Ok(Response::new(pb::ListRetentionResponse {
            retention: state.retention().map(rule).collect(),
            changes: state.change_count() as u64,
            size_bytes: state.change_log_bytes(),
            max_size_bytes: MAX_CHANGE_LOG_BYTES,
        }))
    }
}
