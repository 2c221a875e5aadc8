//! `cfgctl endpoint`: what each endpoint says.

use std::time::Instant;

use cfgstore_client::{Client, MemberStatus, Range};
use serde_json::json;

use crate::arguments::{Connection, EndpointCommand};
use crate::endpoints::{self, Endpoint, Failures};
use crate::failure::Failure;
use crate::output::{Output, human_bytes};

pub async fn run(
    connection: &Connection,
    command: EndpointCommand,
    output: &mut Output,
) -> Result<(), Failure> {
    let (EndpointCommand::Status { cluster }
    | EndpointCommand::Health { cluster }
    | EndpointCommand::Hashkv { cluster, .. }) = command;
    let mut failures = Failures::new();
    for endpoint in endpoints::all(connection, cluster).await? {
        let answered = match command {
            EndpointCommand::Status { .. } => status(&endpoint, output).await,
            EndpointCommand::Health { .. } => health(&endpoint, output).await,
            EndpointCommand::Hashkv { rev, .. } => hash(&endpoint, rev, output).await,
        };
        if let Err(failure) = answered {
            failures.add(failure, output);
        }
    }
    failures.result()
}

async fn status(endpoint: &Endpoint, output: &mut Output) -> Result<(), Failure> {
    let status: MemberStatus = endpoint.client.member_status().await?;
    let is_leader = status.leader_id == status.member_id;
    if output.is_json() {
        output.json(&json!({
            "endpoint": endpoint.name,
            "cluster_id": format!("{:x}", status.cluster_id),
            "member_id": format!("{:x}", status.member_id),
            "leader_id": format!("{:x}", status.leader_id),
            "version": status.version,
            "revision": status.revision,
            "db_size_bytes": status.db_size_bytes,
            "db_size_in_use_bytes": status.db_size_in_use_bytes,
            "is_leader": is_leader,
            "is_learner": status.is_learner,
            "raft_term": status.raft_term,
            "raft_index": status.raft_index,
            "raft_applied_index": status.raft_applied_index,
            "errors": status.errors,
        }))?;
    } else {
        output.line(&format!(
            "{}, {:x}, {}, {}, {is_leader}, {}, {}, {}, {}, {}",
            endpoint.name,
            status.member_id,
            status.version,
            human_bytes(status.db_size_bytes.unsigned_abs()),
            status.is_learner,
            status.raft_term,
            status.raft_index,
            status.raft_applied_index,
            status.errors.join("; "),
        ))?;
    }
    Ok(())
}

async fn health(endpoint: &Endpoint, output: &mut Output) -> Result<(), Failure> {
    let began = Instant::now();
    let answered = check(&endpoint.client).await;
    let took = began.elapsed();
    if output.is_json() {
        output.json(&json!({
            "endpoint": endpoint.name,
            "health": answered.is_ok(),
            "took_ms": took.as_secs_f64() * 1000.0,
            "error": answered.as_ref().err(),
        }))?;
    }
    match answered {
        Ok(()) if output.is_json() => Ok(()),
        Ok(()) => Ok(output.line(&format!(
            "{} is healthy: successfully committed proposal: took = {took:?}",
            endpoint.name
        ))?),
        Err(why) => Err(Failure::unreachable(format!(
            "{} is unhealthy: {why}",
            endpoint.name
        ))),
    }
}

/// A read that the cluster must agree on, and no alarm.
async fn check(client: &Client) -> Result<(), String> {
    let read = client.range(&Range::key("health").keys_only()).await;
    read.map_err(|error| format!("failed to commit proposal: {}", error.message))?;
    let alarms = client
        .alarms()
        .await
        .map_err(|error| format!("unable to fetch the alarm list: {}", error.message))?;
    match alarms.first() {
        None => Ok(()),
        Some(_) => {
            let kinds: Vec<&str> = alarms.iter().map(|alarm| alarm.kind).collect();
            Err(format!("active alarm(s): {}", kinds.join(", ")))
        }
    }
}

async fn hash(endpoint: &Endpoint, revision: i64, output: &mut Output) -> Result<(), Failure> {
    let hash = endpoint.client.kv_hash(revision).await?;
    if output.is_json() {
        output.json(&json!({
            "endpoint": endpoint.name,
            "hash": hash.hash,
            "compact_revision": hash.compact_revision,
            "hash_revision": hash.hash_revision,
        }))?;
    } else {
        output.line(&format!("{}, {}", endpoint.name, hash.hash))?;
    }
    Ok(())
}
