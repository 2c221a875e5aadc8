//! A folder of files, read.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use cfgstore_documents::{Format, MAX_DOCUMENT_BYTES, Value};

use crate::failure::Failure;

/// Bounds of what one folder holds.
struct Limits {
    files: usize,
    bytes: usize,
    levels: usize,
}

const LIMITS: Limits = Limits {
    files: 10_000,
    bytes: 256 << 20,
    levels: 64,
};

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
    read_within(root, &LIMITS)
}

fn read_within(root: &Path, limits: &Limits) -> Result<Folder, Failure> {
    let real_root = fs::canonicalize(root).map_err(|error| bad(root, &error.to_string()))?;
    if !real_root.is_dir() {
        return Err(bad(root, "not a folder"));
    }
    let mut folder = Folder::default();
    folder.take(
        &Root {
            path: &real_root,
            limits,
        },
        root,
        "",
        0,
    )?;
    Ok(folder)
}

struct Root<'a> {
    /// Without links in it.
    path: &'a Path,
    limits: &'a Limits,
}

impl Folder {
    fn take(&mut self, root: &Root<'_>, path: &Path, key: &str, level: usize) -> Result<(), Failure> {
        if level > root.limits.levels {
            return Err(bad(
                path,
                &format!("nested deeper than {} folders", root.limits.levels),
            ));
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
            if link && !fs::canonicalize(&path).is_ok_and(|real| real.starts_with(root.path)) {
                return Err(bad(&path, "the link leads out of the folder, or nowhere"));
            }
            let meta = fs::metadata(&path).map_err(|error| bad(&path, &error.to_string()))?;
            if meta.is_dir() {
                if link {
                    return Err(bad(&path, "a link to a folder is not followed; copy the folder"));
                }
                self.take(root, &path, &format!("{key}{name}/"), level + 1)?;
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
                    self.add(root.limits, format!("{key}{stem}"), path, format)?;
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, limits: &Limits, key: String, file: PathBuf, format: Format) -> Result<(), Failure> {
        if let Some(other) = self.documents.get(&key) {
            return Err(bad(
                &file,
                &format!(
                    "{} is the key {key:?} too; keep one of them",
                    other.file.display()
                ),
            ));
        }
        if self.documents.len() >= limits.files {
            return Err(bad(
                &file,
                &format!("a folder may have {} documents", limits.files),
            ));
        }
        let bytes = read_file(&file).map_err(|error| bad(&file, &error.to_string()))?;
        self.bytes += bytes.len();
        if self.bytes > limits.bytes {
            return Err(bad(
                &file,
                &format!("the files of a folder may have {} bytes", limits.bytes),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("a")).unwrap();
        for (path, text) in [("a/b.json", "[1]"), ("c.json", "2"), ("d.txt", "none")] {
            fs::write(folder.path().join(path), text).unwrap();
        }
        let read = |files, bytes, levels| read_within(folder.path(), &Limits { files, bytes, levels });
        let found = read(2, 4, 1).unwrap();
        assert_eq!(found.documents.keys().collect::<Vec<_>>(), ["a/b", "c"]);
        assert_eq!(found.skipped.len(), 1);
        for (files, bytes, levels) in [(1, 4, 1), (2, 3, 1), (2, 4, 0)] {
            assert!(read(files, bytes, levels).is_err(), "{files} {bytes} {levels}");
        }
    }
}
