//! What an operator does to a cluster: members, alarms, space, leadership.

use cfgstore_client::{Alarm, Client, Member, Members};
use serde_json::{Value, json};

use crate::arguments::{AlarmCommand, Connection, MemberCommand, OperateCommand};
use crate::endpoints::{self, Failures};
use crate::failure::Failure;
use crate::output::Output;
use crate::{connect_running, endpoint, lease};

pub async fn run(
    connection: &Connection,
    command: OperateCommand,
    output: &mut Output,
) -> Result<(), Failure> {
    match command {
        OperateCommand::Member(command) => member(&connect_running(connection)?, command, output).await,
        OperateCommand::Endpoint(command) => endpoint::run(connection, command, output).await,
        OperateCommand::Alarm(command) => {
            let client = connect_running(connection)?;
            let alarms = match command {
                AlarmCommand::List => client.alarms().await?,
                AlarmCommand::Disarm => client.disarm_alarms().await?,
            };
            print_alarms(&alarms, output)
        }
        OperateCommand::Lease(command) => lease::run(&connect_running(connection)?, command, output).await,
        OperateCommand::Defrag { cluster } => defragment(connection, cluster, output).await,
        OperateCommand::Compaction { revision, physical } => {
            connect_running(connection)?.compact(revision, physical).await?;
            say(
                output,
                format!("compacted revision {revision}"),
                json!({ "compacted": revision }),
            )
        }
        OperateCommand::MoveLeader { id } => move_leader(connection, id, output).await,
    }
}

/// A line for people, or an object for machines.
pub fn say(output: &mut Output, text: String, json: Value) -> Result<(), Failure> {
    if output.is_json() {
        output.json(&json)?;
    } else {
        output.line(&text)?;
    }
    Ok(())
}

fn member_json(member: &Member) -> Value {
    json!({
        "id": format!("{:x}", member.id),
        "status": status(member),
        "name": member.name,
        "peer_urls": member.peer_urls,
        "client_urls": member.client_urls,
        "is_learner": member.is_learner,
    })
}

fn members_json(members: &Members) -> Value {
    json!({
        "cluster_id": format!("{:x}", members.cluster_id),
        "members": members.members.iter().map(member_json).collect::<Vec<_>>(),
    })
}

/// A member tells its name when it starts.
fn status(member: &Member) -> &'static str {
    if member.name.is_empty() {
        "unstarted"
    } else {
        "started"
    }
}

async fn member(client: &Client, command: MemberCommand, output: &mut Output) -> Result<(), Failure> {
    let (id, done, members) = match command {
        MemberCommand::List => return print_members(&client.members().await?, output),
        MemberCommand::Add {
            name,
            peer_urls,
            learner,
        } => {
            let (id, members) = client.add_member(peer_urls.clone(), learner).await?;
            return print_added(client, id, &name, &peer_urls, members, output).await;
        }
        MemberCommand::Remove { id } => (id, "removed from", client.remove_member(id).await?),
        MemberCommand::Update { id, peer_urls } => {
            (id, "updated in", client.update_member(id, peer_urls).await?)
        }
        MemberCommand::Promote { id } => (id, "promoted in", client.promote_member(id).await?),
    };
    let text = format!("Member {id:16x} {done} cluster {:16x}", members.cluster_id);
    say(output, text, members_json(&members))
}

fn print_members(members: &Members, output: &mut Output) -> Result<(), Failure> {
    if output.is_json() {
        output.json(&members_json(members))?;
        return Ok(());
    }
    for member in &members.members {
        output.line(&format!(
            "{:x}, {}, {}, {}, {}, {}",
            member.id,
            status(member),
            member.name,
            member.peer_urls.join(","),
            member.client_urls.join(","),
            member.is_learner
        ))?;
    }
    Ok(())
}

/// With the settings that the new member is to be started with.
async fn print_added(
    client: &Client,
    id: u64,
    name: &str,
    peer_urls: &[String],
    mut members: Members,
    output: &mut Output,
) -> Result<(), Failure> {
    if members.members.is_empty() {
        // Old servers do not send them along.
        members = client.members().await?;
    }
    let cluster: Vec<String> = members
        .members
        .iter()
        .flat_map(|member| {
            let name = if member.id == id { name } else { &member.name };
            member.peer_urls.iter().map(move |url| format!("{name}={url}"))
        })
        .collect();
    let settings = [
        ("ETCD_NAME", name.to_owned()),
        ("ETCD_INITIAL_CLUSTER", cluster.join(",")),
        ("ETCD_INITIAL_ADVERTISE_PEER_URLS", peer_urls.join(",")),
        ("ETCD_INITIAL_CLUSTER_STATE", "existing".to_owned()),
    ];
    if output.is_json() {
        let mut json = members_json(&members);
        json["added"] = format!("{id:x}").into();
        json["environment"] = settings
            .iter()
            .map(|(name, value)| ((*name).to_owned(), json!(value)))
            .collect();
        output.json(&json)?;
        return Ok(());
    }
    output.line(&format!(
        "Member {id:16x} added to cluster {:16x}\n",
        members.cluster_id
    ))?;
    for (name, value) in settings {
        output.line(&format!("{name}={value:?}"))?;
    }
    Ok(())
}

fn print_alarms(alarms: &[Alarm], output: &mut Output) -> Result<(), Failure> {
    if output.is_json() {
        let alarms: Vec<Value> = alarms
            .iter()
            .map(|alarm| json!({ "member_id": format!("{:x}", alarm.member_id), "alarm": alarm.kind }))
            .collect();
        output.json(&alarms)?;
        return Ok(());
    }
    for alarm in alarms {
        output.line(&format!("memberID:{} alarm:{}", alarm.member_id, alarm.kind))?;
    }
    Ok(())
}

async fn defragment(connection: &Connection, cluster: bool, output: &mut Output) -> Result<(), Failure> {
    let mut failures = Failures::new();
    // One after the other: an etcd serves nothing meanwhile.
    for endpoint in endpoints::all(connection, cluster).await? {
        match endpoint.client.defragment().await {
            Ok(()) => {
                let text = format!("Finished defragmenting etcd member[{}]", endpoint.name);
                say(
                    output,
                    text,
                    json!({ "endpoint": endpoint.name, "defragmented": true }),
                )?;
            }
            Err(error) => failures.add(error.into(), output),
        }
    }
    failures.result()
}

/// Only the leader itself takes the call, so it is looked for among --endpoints, then among all members.
async fn move_leader(connection: &Connection, target: u64, output: &mut Output) -> Result<(), Failure> {
    let mut endpoints = endpoints::all(connection, false).await?;
    let mut asked_members = false;
    loop {
        for endpoint in &endpoints {
            let Ok(status) = endpoint.client.member_status().await else {
                continue;
            };
            if status.leader_id == status.member_id {
                endpoint.client.move_leader(target).await?;
                let text = format!("Leadership transferred from {:x} to {target:x}", status.member_id);
                let json = json!({ "from": format!("{:x}", status.member_id), "to": format!("{target:x}") });
                return say(output, text, json);
            }
        }
        if asked_members {
            return Err(Failure::unreachable(
                "none of the members that answer is the leader; try again once one is elected".to_owned(),
            ));
        }
        asked_members = true;
        endpoints = endpoints::all(connection, true).await?;
    }
}
