//! A folder of files, read.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use cfgstore_documents::{Format, MAX_DOCUMENT_BYTES, Value};

use crate::failure::Failure;

/// Bounds of what one folder holds.
const MAX_FILES: usize = 10_000;
const MAX_BYTES: usize = 256 << 20;
const MAX_LEVELS: usize = 64;

/// What a folder says.
#[derive(Debug, Default)]
pub struct Folder {
    /// The documents by their keys.
    pub documents: BTreeMap<String, Document>,
    /// Files of other names, which say nothing.
    pub skipped: Vec<PathBuf>,
    bytes: usize,
}

#[derive(Debug)]
pub struct Document {
    pub file: PathBuf,
    pub value: Value,
}

pub fn read(root: &Path) -> Result<Folder, Failure> {
    let real_root = fs::canonicalize(root).map_err(|error| bad(root, &error.to_string()))?;
    if !real_root.is_dir() {
        return Err(bad(root, "not a folder"));
    }
    let mut folder = Folder::default();
    folder.take(&real_root, root, "", 0)?;
    Ok(folder)
}

impl Folder {
    fn take(&mut self, real_root: &Path, path: &Path, key: &str, level: usize) -> Result<(), Failure> {
        if level > MAX_LEVELS {
            return Err(bad(path, &format!("nested deeper than {MAX_LEVELS} folders")));
        }
        let failed = |error: std::io::Error| bad(path, &error.to_string());
        let mut entries = fs::read_dir(path)
            .map_err(failed)?
            .collect::<Result<Vec<_>, _>>()
            .map_err(failed)?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            let name = entry.file_name();
            let Some(name) = name.to_str() else {
                return Err(bad(&path, "the name is not UTF-8"));
            };
            if name.starts_with('.') && name != ".env" {
                continue;
            }
            let link = entry.file_type().map_err(failed)?.is_symlink();
            if link && !fs::canonicalize(&path).is_ok_and(|real| real.starts_with(real_root)) {
                return Err(bad(&path, "the link leads out of the folder, or nowhere"));
            }
            let meta = fs::metadata(&path).map_err(|error| bad(&path, &error.to_string()))?;
            if meta.is_dir() {
                if link {
                    return Err(bad(&path, "a link to a folder is not followed; copy the folder"));
                }
                self.take(real_root, &path, &format!("{key}{name}/"), level + 1)?;
                continue;
            }
            let format = name
                .rsplit_once('.')
                .and_then(|(stem, extension)| Some((stem, Format::of_extension(extension)?)));
            match format {
                _ if !meta.is_file() => return Err(bad(&path, "neither a file nor a folder")),
                None => self.skipped.push(path),
                Some((stem, format)) => {
                    let stem = if stem.is_empty() { "env" } else { stem };
                    self.add(format!("{key}{stem}"), path, format)?;
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, key: String, file: PathBuf, format: Format) -> Result<(), Failure> {
        if let Some(other) = self.documents.get(&key) {
            return Err(bad(
                &file,
                &format!(
                    "{} is the key {key:?} too; keep one of them",
                    other.file.display()
                ),
            ));
        }
        if self.documents.len() >= MAX_FILES {
            return Err(bad(&file, &format!("a folder may have {MAX_FILES} files")));
        }
        let bytes = read_file(&file).map_err(|error| bad(&file, &error.to_string()))?;
        self.bytes += bytes.len();
        if self.bytes > MAX_BYTES {
            return Err(bad(
                &file,
                &format!("the files of a folder may have {MAX_BYTES} bytes"),
            ));
        }
        let value = format
            .parse(&bytes)
            .map_err(|error| bad(&file, &error.to_string()))?;
        self.documents.insert(key, Document { file, value });
        Ok(())
    }
}

/// One byte more than a document may have is enough for it to be refused.
fn read_file(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(MAX_DOCUMENT_BYTES as u64 + 1)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn bad(path: &Path, what: &str) -> Failure {
    Failure::invalid(format!("{}: {what}", path.display()))
}
