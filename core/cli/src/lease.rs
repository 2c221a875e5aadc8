//! `cfgctl lease`.

use std::time::Duration;

use cfgstore_client::Client;
use serde_json::json;

use crate::arguments::LeaseCommand;
use crate::failure::Failure;
use crate::operate::say;
use crate::output::Output;
use crate::value::{to_line, to_text};

pub async fn run(client: &Client, command: LeaseCommand, output: &mut Output) -> Result<(), Failure> {
    match command {
        LeaseCommand::Grant { ttl } => {
            let (id, ttl) = client.lease_grant_as(0, Duration::from_secs(ttl)).await?;
            let ttl = ttl.as_secs();
            say(
                output,
                format!("lease {id:016x} granted with TTL({ttl}s)"),
                json!({ "lease": hex(id), "ttl": ttl }),
            )
        }
        LeaseCommand::Revoke { id } => {
            if client.lease_time(id, false).await?.is_none() {
                return Err(Failure::no_lease(format!("lease {id:016x} does not exist")));
            }
            client.lease_revoke(id).await?;
            say(
                output,
                format!("lease {id:016x} revoked"),
                json!({ "lease": hex(id), "revoked": true }),
            )
        }
        LeaseCommand::Timetolive { id, keys } => time_to_live(client, id, keys, output).await,
        LeaseCommand::List => {
            let leases = client.leases().await?;
            if output.is_json() {
                output.json(&json!({ "leases": leases.into_iter().map(hex).collect::<Vec<_>>() }))?;
                return Ok(());
            }
            output.line(&format!("found {} leases", leases.len()))?;
            for id in leases {
                output.line(&format!("{id:016x}"))?;
            }
            Ok(())
        }
        LeaseCommand::KeepAlive { id, once } => keep_alive(client, id, once, output).await,
    }
}

fn hex(id: i64) -> String {
    format!("{id:016x}")
}

async fn time_to_live(client: &Client, id: i64, keys: bool, output: &mut Output) -> Result<(), Failure> {
    let Some(mut lease) = client.lease_time(id, keys).await? else {
        return say(
            output,
            format!("lease {id:016x} already expired"),
            json!({ "lease": hex(id), "expired": true }),
        );
    };
    lease.keys.sort_unstable();
    let (granted, remaining) = (lease.granted.as_secs(), lease.remaining.as_secs());
    let mut text = format!("lease {id:016x} granted with TTL({granted}s), remaining({remaining}s)");
    let mut json = json!({ "lease": hex(id), "granted_ttl": granted, "remaining_ttl": remaining });
    if keys {
        let names: Vec<String> = lease.keys.iter().map(|key| to_line(key)).collect();
        text += &format!(", attached keys([{}])", names.join(" "));
        json["keys"] = lease.keys.iter().map(|key| to_text(key).0).collect();
    }
    say(output, text, json)
}

async fn keep_alive(client: &Client, id: i64, once: bool, output: &mut Output) -> Result<(), Failure> {
    loop {
        let Some(ttl) = client.lease_renew(id).await? else {
            return Err(Failure::no_lease(format!("lease {id:016x} expired or revoked.")));
        };
        let seconds = ttl.as_secs();
        say(
            output,
            format!("lease {id:016x} keepalived with TTL({seconds})"),
            json!({ "lease": hex(id), "ttl": seconds }),
        )?;
        if once {
            return Ok(());
        }
        tokio::time::sleep(ttl / 3).await;
    }
}
