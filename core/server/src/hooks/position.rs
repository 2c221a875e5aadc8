//! How far a hook has got, in a file of the data folder.

use std::hash::Hasher;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::Hook;

/// Everything of this cluster up to this revision has been told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub cluster_id: u64,
    pub revision: i64,
}

/// The file of a hook: named for prefix and command, so that another hook begins anew.
pub(super) fn path(data_dir: &Path, hook: &Hook) -> PathBuf {
    let mut bytes = hook.prefix.clone().into_bytes();
    for part in &hook.command {
        bytes.push(0);
        bytes.extend(part.as_bytes());
    }
    let mut hash = Fnv(0xcbf2_9ce4_8422_2325);
    hash.write(&bytes);
    data_dir
        .join("hooks")
        .join(format!("{:016x}.json", hash.finish()))
}

/// FNV-1a: the standard library's hash may differ from one version to the next.
struct Fnv(u64);

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

/// `None` if there is none that can be read.
pub(super) fn load(path: &Path) -> Option<Position> {
    let text = std::fs::read(path).ok()?;
    let json: Value = serde_json::from_slice(&text).ok()?;
    Some(Position {
        cluster_id: json["cluster_id"].as_u64()?,
        revision: json["revision"].as_i64()?,
    })
}

/// If it can't be saved, changes are told again after a restart.
pub(super) fn save(path: &Path, position: &Position) {
    let text = json!({ "cluster_id": position.cluster_id, "revision": position.revision }).to_string();
    let written = path.with_extension("new");
    let saved = path
        .parent()
        .map_or(Ok(()), std::fs::create_dir_all)
        .and_then(|()| std::fs::write(&written, text))
        .and_then(|()| std::fs::rename(&written, path));
    if let Err(error) = saved {
        tracing::warn!(path = %path.display(), %error, "on-change: the position could not be saved");
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_hook_has_a_position_that_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let file = |text: &str| path(dir.path(), &Hook::parse(text, Duration::ZERO).unwrap());
        let (one, other) = (file("a=x y"), file("a=x"));
        assert_ne!(one, other);
        assert_eq!(load(&one), None);
        let position = Position {
            cluster_id: u64::MAX,
            revision: 7,
        };
        save(&one, &position);
        assert_eq!(load(&one), Some(position));
        assert_eq!(load(&other), None);
        std::fs::write(&one, "{").unwrap();
        assert_eq!(load(&one), None);
    }
}
