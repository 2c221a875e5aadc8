//! The Python module `cfgstore`, thin over the blocking client with a background thread.
//!
//! What its functions do is written for Python's `help()`; `cfgstore.pyi` has the types, and a test compares the two.
//! Every call that waits lets other Python threads run meanwhile.

mod argument;
mod client;
mod errors;
mod held;
mod lock;
mod status;
mod transaction;
mod value;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use cfgstore_client::seal::Source;
use cfgstore_client::{LiveKeyring, Options};
use cfgstore_server::embedded::{self, Store};
use pyo3::prelude::*;

use crate::argument::{Key, Seconds};
use crate::client::{Client, Entry};
use crate::errors::{IntoPython, invalid};

/// Opens a store: one client, to be kept for the life of the program and shared by its threads.
///
/// address: whom to talk to. "" is the embedded store of this host, started when nothing answers; "unix:///path" is
/// the agent or member behind that socket; "http://a:2379,http://b:2379" are members of a cluster, of cfgstore or of
/// etcd: this process keeps its locks alive itself, so one that it leaves behind when it is killed is held until its ttl
/// is over; "agent:http://a:2379,http://b:2379" are the same members through one agent for all processes of this host,
/// started when nothing answers, which frees a lock at once when the process that took it ends; "embedded:/dir" is a member inside this process, with its files in that folder, which ends when the last
/// client, watch and lock on it is closed. prefix: put before every key, taken off keys in results. data_dir: folder
/// of the embedded store, and of agents that are started. cfgstored: the binary to start. client_name: stated to servers, unverified, for logs.
/// call_timeout: bound of one whole call; connect_timeout: of one attempt to connect; start_timeout: of the
/// start of an embedded store; all in seconds. keyring: seals values under its patterns and opens sealed ones: a file's path, "env:NAME" or
/// "command:PROGRAM ARGUMENT…"; a value that can't be opened is Sealed.
///
/// Connects to nothing yet, except that "embedded:" waits until its member serves.
#[pyfunction]
#[pyo3(signature = (
    address="", *, prefix=Key::default(), data_dir=None, cfgstored=None, autostart=true, client_name="",
    call_timeout=Seconds(Duration::from_secs(5)), connect_timeout=Seconds(Duration::from_secs(1)),
    start_timeout=Seconds(Duration::from_secs(10)), keyring=None,
), text_signature = "(address='', *, prefix='', data_dir=None, cfgstored=None, autostart=True, client_name='', \
    call_timeout=5.0, connect_timeout=1.0, start_timeout=10.0, keyring=None)")]
#[allow(clippy::too_many_arguments, reason = "keyword arguments of Python")]
fn open(
    py: Python<'_>,
    address: &str,
    prefix: Key,
    data_dir: Option<std::path::PathBuf>,
    cfgstored: Option<std::path::PathBuf>,
    autostart: bool,
    client_name: &str,
    call_timeout: Seconds,
    connect_timeout: Seconds,
    start_timeout: Seconds,
    keyring: Option<std::path::PathBuf>,
) -> PyResult<Client> {
    let keyring = keyring.map(|place| Source::parse(place.as_os_str())).transpose();
    let keyring = keyring.map_err(|error| invalid(py, error))?;
    let options = Options {
        prefix: prefix.0,
        data_dir,
        cfgstored,
        autostart,
        client_name: client_name.to_owned(),
        call_timeout: call_timeout.0,
        connect_timeout: connect_timeout.0,
        start_timeout: start_timeout.0,
        keyring: keyring.map(|source| Arc::new(LiveKeyring::new(source))),
        ..Options::default()
    };
    let store = py.detach(|| Store::open(address, options)).into_python(py)?;
    Ok(Client::new(store))
}

/// Ends the members that run in this process, as atexit calls it: a store nobody closed ends in order too.
#[pyfunction]
fn _end_members(py: Python<'_>) {
    py.detach(embedded::end_all);
}

/// Configuration that is the same on every machine: get, put, watch, lock.
///
/// ```python
/// import cfgstore
/// with cfgstore.open() as config:
///     config.put("database", {"host": "db1"})
///     config.get("database")["host"]
/// ```
///
/// Values are JSON: put() encodes, get() decodes. Bytes that are not JSON, written by another client, come back as str
/// if they are UTF-8 and as bytes if not; get_bytes() and put_bytes() go round all that. Keys are str, or bytes; a key
/// that is not UTF-8 comes back with surrogate escapes, as file names do.
///
/// Every failure is a cfgstore.Error, of the class that says what to do; see retryable and maybe_committed there.
///
/// Threads may share everything here. After os.fork(), the child may go on with what it inherited: a client
/// connects anew, a watch goes on from where it was, a lock stays with the parent (LockLost in the child), and a member
/// inside the parent ("embedded:") is reached as long as the parent lives.
#[pymodule]
fn cfgstore(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add("__version__", cfgstore_client::VERSION)?;
    module.add_function(wrap_pyfunction!(open, module)?)?;
    errors::add_to(module)?;
    module.add_class::<Client>()?;
    module.add_class::<Entry>()?;
    module.add_class::<status::Status>()?;
    module.add_class::<watch::Watch>()?;
    module.add_class::<watch::Change>()?;
    module.add_class::<lock::Lock>()?;
    module.add_class::<transaction::Transaction>()?;
    py.import("atexit")?
        .call_method1("register", (wrap_pyfunction!(_end_members, module)?,))?;
    Ok(())
}
