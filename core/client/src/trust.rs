//! Whether what stands at a path was put there by somebody who may decide for this process.
//!
//! Where only an owner and a group may write, whoever stands there was let in by them. Where everybody may write (`/tmp`,
//! `/dev/shm`), any user could have come first: what stands there counts only if it is root's, this user's, or belongs to
//! the owner of a link, itself in such a safe place, that led there.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use tokio::net::UnixStream;

use crate::sys;

const WRITABLE_BY_EVERYBODY: u32 = 0o002;
/// As the kernel bounds it.
const MAX_LINKS: usize = 40;

/// Something that any user of the host could have put there, and that is neither root's nor this user's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planted {
    /// What it is.
    pub path: PathBuf,
    /// Whose it is.
    pub owner: u32,
}

impl fmt::Display for Planted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} belongs to user {} and is in a folder that everybody may write to, so that anybody could have put it there: \
             use a folder that only its owner may write to",
            self.path.display(),
            self.owner
        )
    }
}

impl std::error::Error for Planted {}

impl From<Planted> for io::Error {
    fn from(planted: Planted) -> io::Error {
        io::Error::new(io::ErrorKind::PermissionDenied, planted)
    }
}

/// Refuses a path on which something was planted, links included. What is not there, or can't be looked at, is no
/// failure: whoever uses the path finds out.
///
/// # Errors
/// [`Planted`].
pub fn check(path: &Path) -> Result<(), Planted> {
    Walk::new(path).run()
}

/// Connects to a unix socket, and sees to it that whoever answers was not planted.
pub(crate) async fn connect(path: &Path) -> io::Result<UnixStream> {
    let stream = UnixStream::connect(path).await?;
    check(path)?;
    // The socket may have changed since it was connected to; who listens there has not.
    let folder = path.parent().unwrap_or(Path::new("/"));
    if std::fs::metadata(folder).is_ok_and(|folder| is_open(&folder)) {
        let owner = stream.peer_cred()?.uid();
        if ![0, sys::effective_user_id()].contains(&owner) {
            let path = path.to_path_buf();
            return Err(Planted { path, owner }.into());
        }
    }
    Ok(stream)
}

fn is_open(folder: &std::fs::Metadata) -> bool {
    folder.mode() & WRITABLE_BY_EVERYBODY != 0
}

/// A walk along a path as the kernel does it, one component after another.
struct Walk {
    /// Where it is; no link.
    at: PathBuf,
    /// What is still to go, the next last.
    rest: Vec<OsString>,
    /// The owner of the last link in a safe place.
    guide: Option<u32>,
    links: usize,
}

impl Walk {
    fn new(path: &Path) -> Walk {
        let mut walk = Walk {
            at: PathBuf::from("/"),
            rest: Vec::new(),
            guide: None,
            links: 0,
        };
        walk.turn(&std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf()));
        walk
    }

    /// Puts another path before what is still to go.
    fn turn(&mut self, path: &Path) {
        if path.is_absolute() {
            self.at = PathBuf::from("/");
        }
        for component in path.components().rev() {
            match component {
                Component::Normal(name) => self.rest.push(name.to_owned()),
                Component::ParentDir => self.rest.push("..".into()),
                Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
            }
        }
    }

    fn run(mut self) -> Result<(), Planted> {
        while let Some(name) = self.rest.pop() {
            if name == ".." {
                self.at.pop();
                continue;
            }
            let path = self.at.join(name);
            let (Ok(folder), Ok(found)) = (std::fs::metadata(&self.at), std::fs::symlink_metadata(&path))
            else {
                return Ok(());
            };
            let (open, owner) = (is_open(&folder), found.uid());
            if open && ![Some(0), Some(sys::effective_user_id()), self.guide].contains(&Some(owner)) {
                return Err(Planted { path, owner });
            }
            if !found.is_symlink() {
                self.at = path;
                continue;
            }
            self.links += 1;
            let Ok(target) = std::fs::read_link(&path) else {
                return Ok(());
            };
            if self.links > MAX_LINKS {
                return Ok(());
            }
            if !open {
                self.guide = Some(owner);
            }
            self.turn(&target);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    use super::*;

    const OTHER: u32 = 65_534;
    const GUEST: u32 = 65_533;

    /// A folder with a safe part and one that everybody may write to.
    fn folders() -> tempfile::TempDir {
        let temp = tempfile::tempdir().unwrap();
        for (name, mode) in [("safe", 0o755), ("open", 0o1777)] {
            let path = temp.path().join(name);
            std::fs::create_dir(&path).unwrap();
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        }
        temp
    }

    fn folder_of(path: &Path, owner: u32) {
        std::fs::create_dir(path).unwrap();
        chown(path, Some(owner), None).unwrap();
    }

    fn link_of(target: &Path, path: &Path, owner: u32) {
        symlink(target, path).unwrap();
        std::os::unix::fs::lchown(path, Some(owner), None).unwrap();
    }

    #[test]
    fn what_is_planted_is_refused_and_what_was_let_in_is_not() {
        let temp = folders();
        let (safe, open) = (temp.path().join("safe"), temp.path().join("open"));
        for (path, owner) in [(&safe, OTHER), (&open, 0)] {
            let folder = path.join("store");
            folder_of(&folder, owner);
            assert_eq!(check(&folder.join("cfgstore.sock")), Ok(()), "not there yet");
        }
        let planted = open.join("planted");
        folder_of(&planted, OTHER);
        let refused = Planted {
            path: planted.clone(),
            owner: OTHER,
        };
        assert_eq!(check(&planted), Err(refused.clone()));
        assert_eq!(check(&planted.join("not/there")), Err(refused.clone()));
        assert_eq!(check(&safe.join("../open/planted")), Err(refused));
    }

    #[test]
    fn a_link_vouches_for_its_owners_folders_alone() {
        let temp = folders();
        let (safe, open) = (temp.path().join("safe"), temp.path().join("open"));
        let (others, guests) = (open.join("others"), open.join("guests"));
        folder_of(&others, OTHER);
        folder_of(&guests, GUEST);

        // As an agent's mirror: its link, in its data folder, to its folder in shared memory.
        link_of(&others, &safe.join("mirror"), OTHER);
        assert_eq!(check(&safe.join("mirror/control")), Ok(()));
        // Its name is taken by another user, after a reboot.
        for (name, owner) in [("of-other", OTHER), ("of-root", 0)] {
            link_of(&guests, &safe.join(name), owner);
            let refused = check(&safe.join(name)).unwrap_err();
            assert_eq!((refused.path, refused.owner), (guests.clone(), GUEST), "{name}");
        }
        // Nobody vouches for a link that is itself planted, though it leads to a safe place.
        link_of(&safe, &open.join("link"), OTHER);
        let refused = check(&open.join("link")).unwrap_err();
        assert_eq!((refused.path, refused.owner), (open.join("link"), OTHER));
        link_of(&open.join("round"), &open.join("round"), 0);
        assert_eq!(check(&open.join("round")), Ok(()), "the kernel will say so");
    }

    #[tokio::test]
    async fn whoever_listens_in_an_open_folder_must_be_root_or_this_user() {
        let temp = folders();
        let path = temp.path().join("open/s");
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        connect(&path).await.unwrap();
        std::os::unix::fs::lchown(&path, Some(OTHER), None).unwrap();
        let error = connect(&path).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        assert!(error.get_ref().unwrap().is::<Planted>(), "{error}");
    }
}
