//! What a server says of itself.

use pyo3::prelude::*;

/// What a server says of itself. The agent's attributes are None when the server is not the agent of this host.
#[pyclass(frozen, module = "cfgstore")]
pub(crate) struct Status {
    status: cfgstore_client::Status,
}

impl Status {
    pub fn new(status: cfgstore_client::Status) -> Status {
        Status { status }
    }
}

#[pymethods]
impl Status {
    /// Where it was reached.
    #[getter]
    fn endpoint(&self) -> &str {
        &self.status.endpoint
    }

    /// The version of etcd's interface that it reports.
    #[getter]
    fn version(&self) -> &str {
        &self.status.version
    }

    /// Its member id.
    #[getter]
    fn member_id(&self) -> u64 {
        self.status.member_id
    }

    /// The leader's member id; 0: none is known.
    #[getter]
    fn leader_id(&self) -> u64 {
        self.status.leader_id
    }

    /// Revision of its store.
    #[getter]
    fn revision(&self) -> i64 {
        self.status.revision
    }

    /// Raft term.
    #[getter]
    fn term(&self) -> u64 {
        self.status.term
    }

    /// Size of its stored data.
    #[getter]
    fn db_size_bytes(&self) -> i64 {
        self.status.db_size_bytes
    }

    /// The agent's version of cfgstore.
    #[getter]
    fn agent_version(&self) -> Option<&str> {
        self.status.agent.as_ref().map(|agent| agent.version.as_str())
    }

    /// The agent's process id.
    #[getter]
    fn agent_pid(&self) -> Option<u32> {
        self.status.agent.as_ref().map(|agent| agent.pid)
    }

    /// The agent's data folder.
    #[getter]
    fn data_dir(&self) -> Option<std::ffi::OsString> {
        self.status
            .agent
            .as_ref()
            .map(|agent| agent.data_dir.clone().into_os_string())
    }

    /// Folder of the shared-memory mirror.
    #[getter]
    fn mirror_dir(&self) -> Option<std::ffi::OsString> {
        self.status
            .agent
            .as_ref()
            .map(|agent| agent.mirror_dir.clone().into_os_string())
    }

    /// Revision that the mirror holds; 0: none yet.
    #[getter]
    fn mirror_revision(&self) -> Option<i64> {
        self.status.agent.as_ref().map(|agent| agent.mirror_revision)
    }

    fn __repr__(&self) -> String {
        format!(
            "<cfgstore.Status of {} at revision {}>",
            self.status.endpoint, self.status.revision
        )
    }
}
