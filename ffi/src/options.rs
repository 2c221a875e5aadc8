//! How a store is opened.

use std::ffi::{OsStr, c_char};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cfgstore_client::seal::Source;
use cfgstore_client::{LiveKeyring, MAX_KEY_BYTES, Options, Result};

use crate::boundary::{bytes, invalid, text};

/// Whether to start cfgstored when the address is the embedded store, or an agent, and nothing answers.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum cfgstore_autostart_t {
    /// As CFGSTORE_AUTOSTART_ON.
    CFGSTORE_AUTOSTART_DEFAULT = 0,
    /// Start it, once, however many processes race for it; it outlives them.
    CFGSTORE_AUTOSTART_ON = 1,
    /// Fail with CFGSTORE_UNAVAILABLE.
    CFGSTORE_AUTOSTART_OFF = 2,
}

/// Settings of cfgstore_open(). Begin with CFGSTORE_OPTIONS_INIT and set what differs; a field that is zero asks for
/// its default. Strings are copied by cfgstore_open().
#[repr(C)]
#[derive(Clone, Copy)]
pub struct cfgstore_options_t {
    /// sizeof(cfgstore_options_t).
    pub size: usize,
    /// Whom to talk to, UTF-8:
    /// - empty, the default: the embedded store of this host, reached by its socket in the data folder, and started
    ///   there when nothing answers;
    /// - "unix:///run/cfgstore/cfgstore.sock": the agent or member behind that socket;
    /// - "http://a:2379,http://b:2379": those members of a cluster, of cfgstore or of etcd. The scheme and the port
    ///   2379 may be left out. A call that one of them does not answer is made to another, where that is safe. This
    ///   process keeps its locks alive itself, so one that it leaves behind when it is killed is held until its time to
    ///   live is over;
    /// - "agent:http://a:2379,http://b:2379": the same members, through one agent for all processes of this host, which
    ///   is cfgstored, in a folder of its own below the data folder. It is started there when nothing answers, as the
    ///   embedded store is. It keeps locks alive, and frees one at once when the process that took it ends;
    /// - "embedded:/dir": a member that runs inside this process, on threads of its own, with its files in that
    ///   folder (an absolute path), which is created if need be. The stores that a process opens on one folder
    ///   share one member, which ends when the last of them, with their watches and locks, is closed. Meanwhile other
    ///   processes may reach it at "unix:///dir/cfgstore.sock". It ends the process (abort) if its log can no longer be
    ///   written, since nobody knows then what is on disk. To delete such a store, delete the folder and, in shared memory,
    ///   what its link "mirror" leads to.
    pub address: *const c_char,
    /// Its length in bytes.
    pub address_length: usize,
    /// Put before every key, taken off the keys in results; for example "/shop/prod/". Default: empty.
    pub prefix: *const c_char,
    /// Its length in bytes.
    pub prefix_length: usize,
    /// Data folder of the embedded store, and of agents that this program starts. Default: $CFGSTORE_DATA_DIR; else
    /// /var/lib/cfgstore if it exists or the user is root; else $XDG_DATA_HOME/cfgstore; else $HOME/.local/share/cfgstore.
    pub data_dir: *const c_char,
    /// Its length in bytes.
    pub data_dir_length: usize,
    /// The cfgstored binary to start. Default: $CFGSTORE_CFGSTORED; else the one beside this library or this
    /// program, or in the folder above it, or in bin there; else the one in $PATH.
    pub cfgstored: *const c_char,
    /// Its length in bytes.
    pub cfgstored_length: usize,
    /// Name that this program states to servers, unverified, for logs and history: at most 128 bytes of visible
    /// ASCII; anything else is replaced. UTF-8. Default: empty.
    pub client_name: *const c_char,
    /// Its length in bytes.
    pub client_name_length: usize,
    /// Bound of one whole call, connecting and retries included. Default: 5000.
    pub call_timeout_ms: i64,
    /// Bound of one attempt to connect to one address. Default: 1000.
    pub connect_timeout_ms: i64,
    /// Bound of waiting for a cfgstored that is being started; call_timeout_ms also holds. Default: 10000.
    pub start_timeout_ms: i64,
    /// A cfgstore_autostart_t.
    pub autostart: i32,
    /// Zero.
    pub reserved: i32,
    /// Seals values under its patterns before they leave this process, and opens sealed ones: a file's path, "env:NAME" of an
    /// environment variable that holds the keyring, or "command:PROGRAM ARGUMENT…" of a program that prints it, run without a
    /// shell. A file must give no right to other users. It is read when it is first needed, and again when it has changed; while
    /// it cannot be read, writes and reads of sealed values fail with CFGSTORE_SEALED. Default: none, which sees sealed values
    /// as they are stored.
    pub keyring: *const c_char,
    /// Its length in bytes.
    pub keyring_length: usize,
}

/// Size of the struct in its first version.
pub(crate) const FIRST_SIZE: usize = 120;

/// Longest path, name or address.
const MAX_TEXT_BYTES: usize = 16 * 1024;

/// What was asked for: the address, and the rest in the client's words.
pub(crate) struct Opening<'a> {
    pub address: &'a str,
    pub options: Options,
}

impl Opening<'_> {
    pub fn of(given: Option<&cfgstore_options_t>) -> Result<Opening<'_>> {
        let mut options = Options::default();
        let Some(given) = given else {
            return Ok(Opening { address: "", options });
        };
        let address = text(
            given.address,
            given.address_length,
            MAX_TEXT_BYTES,
            "options->address",
        )?;
        options.prefix = bytes(
            given.prefix.cast(),
            given.prefix_length,
            MAX_KEY_BYTES,
            "options->prefix",
        )?
        .to_vec();
        options.data_dir = path(given.data_dir, given.data_dir_length, "options->data_dir")?;
        options.cfgstored = path(given.cfgstored, given.cfgstored_length, "options->cfgstored")?;
        let name = text(
            given.client_name,
            given.client_name_length,
            MAX_TEXT_BYTES,
            "options->client_name",
        )?;
        options.client_name = name.to_owned();
        options.keyring = keyring(given)?;
        set_duration(
            &mut options.call_timeout,
            given.call_timeout_ms,
            "options->call_timeout_ms",
        )?;
        set_duration(
            &mut options.connect_timeout,
            given.connect_timeout_ms,
            "options->connect_timeout_ms",
        )?;
        set_duration(
            &mut options.start_timeout,
            given.start_timeout_ms,
            "options->start_timeout_ms",
        )?;
        options.autostart = match given.autostart {
            0 | 1 => true,
            2 => false,
            other => {
                return Err(invalid(format!(
                    "options->autostart is {other}, no cfgstore_autostart_t"
                )));
            }
        };
        if given.reserved != 0 {
            return Err(invalid(format!(
                "options->reserved is {}, it must be 0",
                given.reserved
            )));
        }
        Ok(Opening { address, options })
    }
}

fn path(pointer: *const c_char, length: usize, name: &str) -> Result<Option<PathBuf>> {
    let bytes = bytes(pointer.cast(), length, MAX_TEXT_BYTES, name)?;
    if bytes.contains(&0) {
        return Err(invalid(format!("{name} has a NUL inside")));
    }
    Ok((!bytes.is_empty()).then(|| OsStr::from_bytes(bytes).into()))
}

fn keyring(given: &cfgstore_options_t) -> Result<Option<Arc<LiveKeyring>>> {
    let Some(place) = path(given.keyring, given.keyring_length, "options->keyring")? else {
        return Ok(None);
    };
    let source = Source::parse(place.as_os_str()).map_err(|error| invalid(error.to_string()))?;
    Ok(Some(Arc::new(LiveKeyring::new(source))))
}

fn set_duration(duration: &mut Duration, millis: i64, name: &str) -> Result<()> {
    if millis != 0 {
        *duration = milliseconds(millis).ok_or_else(|| invalid(format!("{name} is {millis}, below 0")))?;
    }
    Ok(())
}

/// `None` if it is negative.
pub(crate) fn milliseconds(millis: i64) -> Option<Duration> {
    u64::try_from(millis).ok().map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_version_has_its_size() {
        assert_eq!(std::mem::offset_of!(cfgstore_options_t, keyring), FIRST_SIZE);
    }
}
