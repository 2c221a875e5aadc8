//! What a server says of itself.

use std::ffi::c_char;
use std::os::unix::ffi::OsStringExt;

use cfgstore_client::Status;

use crate::boundary::{handle, out, reading, take, unfailing};
use crate::error::cfgstore_error_t;
use crate::status::cfgstore_status_t;
use crate::store::cfgstore_t;

/// What the server behind a store says of itself. Its strings are never NULL, not NUL-terminated, and live as long
/// as it does. Free it with cfgstore_info_free().
#[repr(C)]
pub struct cfgstore_info_t {
    /// Where it was reached.
    pub endpoint: *const c_char,
    /// Its length in bytes.
    pub endpoint_length: usize,
    /// The version of etcd's interface that it reports.
    pub version: *const c_char,
    /// Its length in bytes.
    pub version_length: usize,
    /// Its member id.
    pub member_id: u64,
    /// The leader's member id; 0: none is known.
    pub leader_id: u64,
    /// Revision of its store.
    pub revision: i64,
    /// Raft term.
    pub term: u64,
    /// Size of its stored data.
    pub db_size_bytes: i64,
    /// Whether it is the agent of this host; what follows is empty or 0 if not.
    pub is_agent: bool,
    /// The agent's process id.
    pub agent_pid: u32,
    /// Version of cfgstore.
    pub agent_version: *const c_char,
    /// Its length in bytes.
    pub agent_version_length: usize,
    /// The agent's data folder.
    pub data_dir: *const c_char,
    /// Its length in bytes.
    pub data_dir_length: usize,
    /// Folder of the shared-memory mirror.
    pub mirror_dir: *const c_char,
    /// Its length in bytes.
    pub mirror_dir_length: usize,
    /// Revision that the mirror holds; 0: none yet.
    pub mirror_revision: i64,
    /// What the strings point into; not for the caller.
    owned: Option<Box<cfgstore_info_strings_t>>,
}

/// Not for the caller.
pub struct cfgstore_info_strings_t {
    _strings: [Vec<u8>; 5],
}

impl cfgstore_info_t {
    fn of(status: Status) -> cfgstore_info_t {
        let is_agent = status.agent.is_some();
        let agent = status.agent.unwrap_or_default();
        let strings = [
            status.endpoint.into_bytes(),
            status.version.into_bytes(),
            agent.version.into_bytes(),
            agent.data_dir.into_os_string().into_vec(),
            agent.mirror_dir.into_os_string().into_vec(),
        ];
        // A `Vec` does not move its content when it is moved, so the pointers hold.
        let [endpoint, version, agent_version, data_dir, mirror_dir] = strings
            .each_ref()
            .map(|string| (string.as_ptr().cast(), string.len()));
        cfgstore_info_t {
            endpoint: endpoint.0,
            endpoint_length: endpoint.1,
            version: version.0,
            version_length: version.1,
            member_id: status.member_id,
            leader_id: status.leader_id,
            revision: status.revision,
            term: status.term,
            db_size_bytes: status.db_size_bytes,
            is_agent,
            agent_pid: agent.pid,
            agent_version: agent_version.0,
            agent_version_length: agent_version.1,
            data_dir: data_dir.0,
            data_dir_length: data_dir.1,
            mirror_dir: mirror_dir.0,
            mirror_dir_length: mirror_dir.1,
            mirror_revision: agent.mirror_revision,
            owned: Some(Box::new(cfgstore_info_strings_t { _strings: strings })),
        }
    }
}

/// Asks the server behind a store what it is, and whether it answers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_server_info(
    store: *const cfgstore_t,
    info: *mut *mut cfgstore_info_t,
    error: *mut cfgstore_error_t,
) -> cfgstore_status_t {
    reading(error, || {
        let info = out(info, "info")?;
        let store = handle(store, "store")?;
        info.give(cfgstore_info_t::of(store.client().status()?));
        Ok(())
    })
}

/// Frees what cfgstore_server_info() handed out. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_info_free(info: *mut cfgstore_info_t) {
    unfailing((), || drop(take(info)));
}
