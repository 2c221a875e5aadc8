//! `cfgctl snapshot`: everything in one file, and a new cluster from it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use cfgstore_backup::SnapshotFile;
use cfgstore_client::Client;
use cfgstore_replica::{Bootstrap, InitialMember, MemberConfig};
use serde_json::json;

use crate::arguments::{Connection, Restore, SnapshotCommand};
use crate::connect_running;
use crate::failure::Failure;
use crate::operate::say;
use crate::output::{Output, human_bytes};

pub async fn run(
    connection: &Connection,
    command: SnapshotCommand,
    output: &mut Output,
) -> Result<(), Failure> {
    match command {
        SnapshotCommand::Save { file } => {
            save(&connect_running(connection)?, &file).await?;
            let text = format!("Snapshot saved at {}", file.display());
            say(output, text, json!({ "saved": file.display().to_string() }))
        }
        SnapshotCommand::Status {
            file,
            skip_hash_check,
        } => status(&file, skip_hash_check, output),
        SnapshotCommand::Restore(restore) => {
            let data_dir = connection.data_dir.as_deref();
            let data_dir = data_dir.ok_or_else(|| {
                Failure::invalid("--data-dir is missing: it names the folder to make".to_owned())
            })?;
            self::restore(&restore, data_dir, output)
        }
    }
}

fn io_failure<'a>(action: &'a str, path: &'a Path) -> impl Fn(io::Error) -> Failure + 'a {
    move |error| Failure::new(&format!("cannot {action} {}: {error}", path.display()))
}

/// Written beside its place, checked, made durable, and only then given its name.
async fn save(client: &Client, path: &Path) -> Result<(), Failure> {
    let exists = || {
        Failure::invalid(format!(
            "{} exists already; choose another name, or remove it",
            path.display()
        ))
    };
    if fs::symlink_metadata(path).is_ok() {
        return Err(exists());
    }
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let written = async {
        receive(client, &part).await?;
        SnapshotFile::open(&part, false)?;
        // Unlike a rename, a link does not replace what has come there meanwhile.
        match fs::hard_link(&part, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(exists()),
            linked => linked
                .and_then(|()| fs::remove_file(&part))
                // Not every file system has links.
                .or_else(|_| fs::rename(&part, path))
                .map_err(io_failure("name", path)),
        }
    };
    let written = written.await;
    if written.is_err() {
        let _ = fs::remove_file(&part);
        return written;
    }
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(io_failure("sync", folder))
}

async fn receive(client: &Client, part: &Path) -> Result<(), Failure> {
    let mut snapshot = client.snapshot().await?;
    // It holds everything: for its owner only.
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(part)
        .map_err(io_failure("create", part))?;
    while let Some(chunk) = snapshot.next().await? {
        file.write_all(&chunk).map_err(io_failure("write", part))?;
    }
    file.sync_all().map_err(io_failure("sync", part))
}

fn status(path: &Path, skip_hash_check: bool, output: &mut Output) -> Result<(), Failure> {
    let status = SnapshotFile::open(path, skip_hash_check)?.status()?;
    let text = format!(
        "{:x}, {}, {}, {}",
        status.hash,
        status.revision,
        status.total_keys,
        human_bytes(status.total_bytes)
    );
    let json = json!({
        "hash": status.hash,
        "revision": status.revision,
        "total_keys": status.total_keys,
        "total_size_bytes": status.total_bytes,
    });
    say(output, text, json)
}

fn restore(restore: &Restore, data_dir: &Path, output: &mut Output) -> Result<(), Failure> {
    let mut config = MemberConfig::new(data_dir);
    config.name = restore.name.clone();
    if let Some(list) = &restore.initial_cluster {
        let members = initial_cluster(list)?;
        let own = members.iter().find(|member| member.name == restore.name);
        config.peer_urls = if restore.initial_advertise_peer_urls.is_empty() {
            own.map(|member| member.peer_urls.clone()).unwrap_or_default()
        } else {
            restore
                .initial_advertise_peer_urls
                .iter()
                .map(|url| trimmed(url))
                .collect()
        };
        config.bootstrap = Bootstrap::New {
            members,
            token: restore.initial_cluster_token.clone(),
        };
    }
    let loaded = SnapshotFile::open(&restore.file, restore.skip_hash_check)?.load()?;
    let member = cfgstore_replica::restore(&config, &loaded.store)
        .map_err(|error| Failure::invalid(error.to_string()))?;
    let state = loaded.store.state();
    let text = format!(
        "Restored {} to {}: {} keys at revision {}, as member {:x} of cluster {:x}",
        restore.file.display(),
        data_dir.display(),
        state.key_count(),
        state.revision(),
        member.member_id,
        member.cluster_id
    );
    let json = json!({
        "data_dir": data_dir.display().to_string(),
        "keys": state.key_count(),
        "leases": state.leases().count(),
        "revision": state.revision(),
        "member_id": format!("{:x}", member.member_id),
        "cluster_id": format!("{:x}", member.cluster_id),
    });
    say(output, text, json)
}

fn trimmed(url: &str) -> String {
    url.trim().trim_end_matches('/').to_owned()
}

/// `name=url,…`; a member with several URLs is named several times.
fn initial_cluster(list: &str) -> Result<Vec<InitialMember>, Failure> {
    let mut members: Vec<InitialMember> = Vec::new();
    for item in list.split(',').map(str::trim).filter(|item| !item.is_empty()) {
        let url = item.split_once('=').filter(|(_, url)| url.starts_with("http://"));
        let Some((name, url)) = url else {
            return Err(Failure::invalid(format!(
                "--initial-cluster has {item:?}, which is not of the form name=http://host:port"
            )));
        };
        let url = trimmed(url);
        InitialMember::add(&mut members, name, url);
    }
    Ok(members)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_listed_by_name() {
        let members = initial_cluster("a=http://x:1/, b=http://y:1,a=http://z:1").unwrap();
        assert_eq!(members.len(), 2);
        assert_eq!(members[0].peer_urls, ["http://x:1", "http://z:1"]);
        for bad in ["a", "a=", "a=x:1", "=https://x:1"] {
            assert!(initial_cluster(bad).is_err(), "{bad}");
        }
    }
}
