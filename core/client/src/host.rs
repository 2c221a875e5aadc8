//! Where the files of one host are.

use std::path::{Path, PathBuf};

/// The data folder used when nothing names another.
///
/// In this order: `$CFGSTORE_DATA_DIR`; `/var/lib/cfgstore` if it exists or the user is root;
/// `$XDG_DATA_HOME/cfgstore`; `$HOME/.local/share/cfgstore`; `/var/lib/cfgstore`. Empty variables and relative
/// paths in the XDG variables count as unset.
pub fn default_data_dir() -> PathBuf {
    resolve_data_dir(
        |name| {
            std::env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        },
        Path::new(SYSTEM_DATA_DIR).exists() || crate::sys::effective_user_id() == 0,
    )
}

const SYSTEM_DATA_DIR: &str = "/var/lib/cfgstore";

fn resolve_data_dir(variable: impl Fn(&str) -> Option<PathBuf>, use_system: bool) -> PathBuf {
    if let Some(dir) = variable("CFGSTORE_DATA_DIR") {
        return dir;
    }
    if use_system {
        return SYSTEM_DATA_DIR.into();
    }
    let absolute = |name| variable(name).filter(|path| path.is_absolute());
    if let Some(dir) = absolute("XDG_DATA_HOME") {
        return dir.join("cfgstore");
    }
    if let Some(home) = absolute("HOME") {
        return home.join(".local/share/cfgstore");
    }
    SYSTEM_DATA_DIR.into()
}

/// The files in the data folder of one host. Nothing here touches the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPaths {
    data_dir: PathBuf,
}

impl HostPaths {
    /// The files below `data_dir`.
    pub fn new(data_dir: impl Into<PathBuf>) -> HostPaths {
        HostPaths {
            data_dir: data_dir.into(),
        }
    }

    /// The folder itself.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Unix socket on which `cfgstored` serves this host.
    pub fn socket(&self) -> PathBuf {
        self.data_dir.join("cfgstore.sock")
    }

    /// Locked by the one `cfgstored` that owns the folder, for as long as it lives.
    pub fn lock(&self) -> PathBuf {
        self.data_dir.join("lock")
    }

    /// Locked by the one process that is starting `cfgstored`.
    pub fn autostart_lock(&self) -> PathBuf {
        self.data_dir.join("autostart.lock")
    }

    /// Symbolic link to the folder of the shared-memory mirror.
    pub fn mirror_link(&self) -> PathBuf {
        self.data_dir.join("mirror")
    }

    /// What an autostarted `cfgstored` writes on stderr.
    pub fn log(&self) -> PathBuf {
        self.data_dir.join("cfgstored.log")
    }

    /// The mirror's last copy on a real disk.
    pub fn last_copy(&self) -> PathBuf {
        self.data_dir.join("last.snap")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(variables: &[(&str, &str)], use_system: bool) -> PathBuf {
        let lookup = |name: &str| {
            variables
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| PathBuf::from(value))
        };
        resolve_data_dir(lookup, use_system)
    }

    #[test]
    fn the_data_folder_is_found_in_the_documented_order() {
        let all = [
            ("CFGSTORE_DATA_DIR", "/d"),
            ("XDG_DATA_HOME", "/x"),
            ("HOME", "/h"),
        ];
        assert_eq!(resolve(&all, true), Path::new("/d"));
        assert_eq!(resolve(&all[1..], true), Path::new("/var/lib/cfgstore"));
        assert_eq!(resolve(&all[1..], false), Path::new("/x/cfgstore"));
        assert_eq!(resolve(&all[2..], false), Path::new("/h/.local/share/cfgstore"));
        assert_eq!(
            resolve(&[("XDG_DATA_HOME", "relative")], false),
            Path::new("/var/lib/cfgstore")
        );
    }
}
