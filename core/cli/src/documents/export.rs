//! `cfgctl export`.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use cfgstore_client::{Client, Range};
use cfgstore_documents::{Format, Value};
use serde_json::json;

use super::names::Names;
use crate::arguments::Export;
use crate::failure::Failure;
use crate::operate::say;
use crate::output::Output;
use crate::value::to_line;

pub async fn run(client: &Client, arguments: &Export, output: &mut Output) -> Result<ExitCode, Failure> {
    let folder = &arguments.folder;
    check_folder(folder, arguments.force)?;
    let range = Range::prefix(&arguments.prefix).revision(arguments.revision.unwrap_or(0));
    let found = client.range(&range).await?;
    let format = Format::from(arguments.format);
    let mut names = Names::default();
    let mut files = Vec::new();
    // Before anything is written.
    for kv in &found.kvs {
        let bad =
            |what: String| Failure::invalid(format!("key {:?} can't be exported: {what}", to_line(&kv.key)));
        let path = names
            .file_of(&kv.key[arguments.prefix.len()..], format)
            .map_err(bad)?;
        let value = Value::of_stored(&kv.value).map_err(|error| bad(error.to_string()))?;
        files.push((
            path,
            format.print(&value).map_err(|error| bad(error.to_string()))?,
        ));
    }
    fs::create_dir_all(folder).map_err(|error| unwritable(folder, &error))?;
    for (path, text) in &files {
        write(folder, path, text).map_err(|error| unwritable(&folder.join(path), &error))?;
    }
    let revision = arguments.revision.unwrap_or(found.revision);
    let text = format!(
        "{} files in {} at revision {revision}",
        files.len(),
        folder.display()
    );
    say(
        output,
        text,
        json!({ "files": files.len(), "revision": revision }),
    )?;
    Ok(ExitCode::SUCCESS)
}

fn check_folder(folder: &Path, force: bool) -> Result<(), Failure> {
    let is_empty = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Err(error) => return Err(unwritable(folder, &error)),
        Ok(mut entries) => entries.next().is_none(),
    };
    if is_empty || force {
        return Ok(());
    }
    Err(Failure::invalid(format!(
        "{} holds something: name a new folder, or give --force to replace files in it",
        folder.display()
    )))
}

/// Through no link, so that nothing outside of the folder is written; a file is there as a whole or not at all.
fn write(root: &Path, path: &str, text: &str) -> io::Result<()> {
    let mut folder = root.to_owned();
    let (folders, name) = path
        .rsplit_once('/')
        .map_or((None, path), |(folders, name)| (Some(folders), name));
    for part in folders.into_iter().flat_map(|folders| folders.split('/')) {
        folder.push(part);
        match fs::create_dir(&folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ if fs::symlink_metadata(&folder)?.is_dir() => {}
            _ => return Err(io::Error::other(format!("{} is no folder", folder.display()))),
        }
    }
    let temporary = folder.join(format!(".cfgctl-{}", std::process::id()));
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&temporary)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .and_then(|()| fs::rename(&temporary, folder.join(name)));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::invalid(format!("cannot write {}: {error}", path.display()))
}
