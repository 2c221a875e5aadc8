//! Descriptors that a forked child inherits from a server in its parent.
//!
//! A child that keeps them keeps the parent's locks on its files when the parent ends or dies, and a socket on
//! which nobody answers. So it closes them, and nothing else of the program's.

use std::fs;
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};

use cfgstore_client::host::HostPaths;

use crate::sys;

/// Where the descriptors of one server lead.
#[derive(Debug)]
pub(crate) struct Inherited {
    /// Folders and files of which this process has nothing open but through the server.
    files: Vec<PathBuf>,
    /// The folder of the host's socket, which is bound under a name that is not its last.
    socket_dir: PathBuf,
}

impl Inherited {
    /// Those of a server with this data folder and mirror, both as the server knows them.
    pub fn of(data_dir: &Path, socket: &Path, mirror_dir: Option<&Path>) -> Inherited {
        let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let data_dir = real(data_dir);
        let mut files = vec![HostPaths::new(&data_dir).lock()];
        files.extend(mirror_dir.map(real));
        files.extend(["wal", "checkpoint", "snapshot"].map(|part| data_dir.join(part)));
        Inherited {
            files,
            socket_dir: socket.parent().unwrap_or(socket).to_owned(),
        }
    }

    /// Closes them, in a child.
    pub fn close(&self) {
        let Ok(open) = fs::read_dir("/proc/self/fd") else {
            return;
        };
        // All of them before the first is closed, for the folder's own descriptor is one.
        let open: Vec<RawFd> = open
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .collect();
        for fd in open.into_iter().filter(|fd| self.has(*fd)) {
            sys::close(fd);
        }
    }

    fn has(&self, fd: RawFd) -> bool {
        let Ok(target) = fs::read_link(format!("/proc/self/fd/{fd}")) else {
            return false;
        };
        if target.to_string_lossy().starts_with("socket:") {
            return sys::bound_path(fd).is_some_and(|path| path.parent() == Some(&self.socket_dir));
        }
        self.files.iter().any(|ours| target.starts_with(ours))
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::*;

    #[test]
    fn the_servers_descriptors_are_told_from_others() {
        let temp = tempfile::tempdir().unwrap();
        let (data, mirror) = (temp.path().join("data"), temp.path().join("mirror"));
        for folder in [&data, &data.join("wal"), &mirror] {
            fs::create_dir(folder).unwrap();
        }
        let socket = data.join("cfgstore.sock");
        let inherited = Inherited::of(&data, &socket, Some(&mirror));

        let files = ["data/lock", "data/wal/1", "mirror/control"];
        let ours = files.map(|name| fs::File::create(temp.path().join(name)).unwrap());
        let others =
            ["data/other", "elsewhere"].map(|name| fs::File::create(temp.path().join(name)).unwrap());
        let listener = UnixListener::bind(data.join(".hidden")).unwrap();
        let client = UnixStream::connect(data.join(".hidden")).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        let elsewhere = UnixListener::bind(temp.path().join("s")).unwrap();
        let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();

        let ours = ours.iter().map(AsRawFd::as_raw_fd);
        for fd in ours.chain([listener.as_raw_fd(), accepted.as_raw_fd()]) {
            assert!(
                inherited.has(fd),
                "{:?}",
                fs::read_link(format!("/proc/self/fd/{fd}"))
            );
        }
        let others = others.iter().map(AsRawFd::as_raw_fd);
        for fd in others.chain([client.as_raw_fd(), elsewhere.as_raw_fd(), tcp.as_raw_fd(), 0, -1]) {
            assert!(
                !inherited.has(fd),
                "{:?}",
                fs::read_link(format!("/proc/self/fd/{fd}"))
            );
        }
    }
}
