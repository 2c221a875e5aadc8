//! The host's shared-memory copy.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cfgstore_client::{Address, Client, Options};
use cfgstore_mirror::{ReadError, Reader, Snapshot};
use serde_json::json;

use crate::arguments::{Connection, MirrorCommand};
use crate::failure::Failure;
use crate::operate::say;
use crate::output::Output;
use crate::seconds;

/// While the copy is being made.
const POLL: Duration = Duration::from_millis(20);

pub async fn run(
    connection: &Connection,
    command: MirrorCommand,
    output: &mut Output,
) -> Result<(), Failure> {
    match command {
        MirrorCommand::Save { file } => save(connection, &file, output).await,
    }
}

async fn save(connection: &Connection, file: &Path, output: &mut Output) -> Result<(), Failure> {
    let copy = newest(connection).await?;
    let target = file.to_path_buf();
    let (revision, keys) = (copy.revision(), copy.len());
    // It waits for the disk, and nothing else is to be done.
    copy.save_to(&target)
        .map_err(|error| Failure::new(&error.to_string()))?;
    say(
        output,
        format!("saved revision {revision}, {keys} keys, to {}", file.display()),
        json!({ "file": file.display().to_string(), "revision": revision, "keys": keys }),
    )
}

/// The host's copy, as a member has confirmed it.
async fn newest(connection: &Connection) -> Result<Arc<Snapshot>, Failure> {
    let client = host_client(connection)?;
    let deadline = Instant::now() + seconds(connection.timeout);
    loop {
        let Some(agent) = client.agent_status().await? else {
            return Err(Failure::invalid(
                "what serves there is no agent of this host, and keeps no copy".to_owned(),
            ));
        };
        let read = read(agent.mirror_dir);
        let why = match read {
            Ok(copy) if !copy.is_restored() => return Ok(copy),
            Ok(_) => "no member has confirmed it".to_owned(),
            Err(ReadError::NotFound { .. } | ReadError::NotPublished { .. }) => {
                "there is none yet".to_owned()
            }
            Err(error) => return Err(Failure::new(&error.to_string())),
        };
        if Instant::now() >= deadline {
            let said = match &agent.trouble[..] {
                "" => String::new(),
                trouble => format!("; its agent says: {trouble}"),
            };
            return Err(Failure::unreachable(format!("this host's copy: {why}{said}")));
        }
        tokio::time::sleep(POLL).await;
    }
}

fn read(dir: PathBuf) -> Result<Arc<Snapshot>, ReadError> {
    if dir.as_os_str().is_empty() {
        return Err(ReadError::NotFound { path: dir });
    }
    Reader::open(&dir)?.snapshot()
}

/// A client of this host's agent, also for members.
fn host_client(connection: &Connection) -> Result<Client, Failure> {
    let address = match Address::parse(&connection.endpoints)? {
        Address::Members(members) => Address::Agent(members),
        other => other,
    };
    Ok(Client::new(Options {
        address,
        data_dir: connection.data_dir.clone(),
        autostart: !connection.no_start,
        call_timeout: seconds(connection.timeout),
        client_name: "cfgctl".to_owned(),
        ..Options::default()
    })?)
}
