//! Where the files of one host are.

use std::path::{Path, PathBuf};

use crate::address::MemberAddress;

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

/// Where below `data_dir` the agent for exactly these members has its files: `agents/` and 16 hexadecimal digits, a
/// hash of the members' addresses, whatever their order. So programs that name the same members share one agent.
pub fn agent_folder(data_dir: &Path, members: &[MemberAddress]) -> PathBuf {
    let mut names: Vec<String> = members
        .iter()
        .map(|member| member.authority().to_ascii_lowercase())
        .collect();
    names.sort_unstable();
    names.dedup();
    // FNV-1a: the name must be the same in every version and language.
    let hash = names
        .join(",")
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
    data_dir.join("agents").join(format!("{hash:016x}"))
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

    #[test]
    fn an_agents_folder_is_named_by_its_members_in_any_order() {
        let folder = |text: &str| match crate::Address::parse(text).unwrap() {
            crate::Address::Agent(members) => agent_folder(Path::new("/d"), &members),
            other => panic!("{other:?}"),
        };
        assert_eq!(folder("agent:a:1"), Path::new("/d/agents/e661e41904a09e69"));
        assert_eq!(folder("agent:http://a:1,b"), folder("agent:B:2379, A:1/,b"));
        assert_ne!(folder("agent:a:1"), folder("agent:a:1,b"));
    }

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
