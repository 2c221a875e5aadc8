//! The command line, and its help.

mod backup;
mod documents;
mod history;
mod keyring;
mod notify;
mod operate;
mod schema;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub use backup::{Migrate, Restore, SnapshotCommand};
pub use documents::{Apply, DocumentsCommand, Export};
pub use history::{Diff, History, HistoryCommand, Keys, Log, RetentionCommand, Rollback};
pub use keyring::KeyringCommand;
pub use notify::{NotifyCommand, SetNotify};
pub use operate::{AlarmCommand, EndpointCommand, LeaseCommand, MemberCommand, OperateCommand};
pub use schema::SchemaCommand;

const EXAMPLES: &str = "\
Examples:
  cfgctl put database '{\"host\": \"db1\"}'         write a value; it prints the new revision
  cfgctl get database                             print it
  cfgctl get --prefix feature/                    print every key that begins so
  cfgctl watch --prefix '' --json                 print every change as it happens, one JSON object a line
  cfgctl apply -f config/ --prefix /shop/ --dry-run
                                                  show what a folder of files would change
  cfgctl rollback --prefix /shop/ --to 41 --comment 'bad limits'
                                                  make keys what they were at a revision
  cfgctl lock deploy --wait 30 -- ./deploy.sh     run a program while no other holds the lock
  cfgctl notify set ops --webhook https://ops.example.com/hook --secret env:CFGSTORE_SECRET_OPS --prefix app/
  cfgctl --endpoints http://a:2379,http://b:2379 status
  cfgctl --keyring keys.json keys new --pattern '/shop/prod/secret/*'
  cfgctl --endpoints http://a:2379 snapshot save backup.db
  cfgctl --endpoints http://a:2379 mirror save seed.snap
  cfgctl --endpoints http://a:2379 migrate --from http://etcd:2379

Without --endpoints it talks to the embedded store of this host, and starts it if it is not running, as the PHP \
extension does.

Exit codes:
  0  done                                  4  not at the revision asked for
  1  the key does not exist                5  not allowed
  2  the request makes no sense            6  it may or may not have been written: look before you repeat it
  3  no server reached, or no answer       7  the lock was not obtained, or was lost
  10 anything else
`diff`, `apply --dry-run` and `rollback --dry-run` end with 1 when something differs.
`lock` with a command ends with the command's own exit code (128 + the signal, if one ended it).";

/// Reads and changes a cfgstore (or an etcd).
#[derive(Debug, Parser)]
#[command(name = "cfgctl", version, after_help = EXAMPLES, max_term_width = 110)]
pub struct Arguments {
    #[command(flatten)]
    pub connection: Connection,
    /// Print JSON, for machines
    ///
    /// A value that is JSON stands as it is; any other text is a string, with "encoding": "text"; anything else is
    /// base64, with "encoding": "base64".
    #[arg(long, global = true)]
    pub json: bool,
    #[command(subcommand)]
    pub command: Command,
}

/// Whom to talk to.
#[derive(Clone, Debug, Args)]
pub struct Connection {
    /// Members or a socket: http://host:port[,…] or unix:///path [default: the embedded store of this host]
    #[arg(
        long,
        visible_alias = "endpoint",
        env = "CFGSTORE_ENDPOINTS",
        default_value = "",
        global = true
    )]
    #[arg(hide_default_value = true, value_name = "ADDRESS")]
    pub endpoints: String,
    /// Data folder of the embedded store, or to restore to [default: $CFGSTORE_DATA_DIR, else as `cfgstored` chooses it]
    #[arg(long, global = true, value_name = "FOLDER")]
    pub data_dir: Option<PathBuf>,
    /// Seal and open values with this keyring: a file, env:NAME or command:PROGRAM ARGUMENT… [default: none]
    #[arg(
        long,
        env = "CFGSTORE_KEYRING",
        hide_env_values = true,
        global = true,
        value_name = "PLACE"
    )]
    pub keyring: Option<OsString>,
    /// Do not start the embedded store when it is not running (`status` never does)
    #[arg(long, global = true)]
    pub no_start: bool,
    /// Longest that one call may take, in seconds
    #[arg(long, global = true, default_value = "5", value_parser = positive_seconds, value_name = "SECONDS")]
    pub timeout: f64,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    #[command(flatten)]
    Keys(KeysCommand),
    #[command(flatten)]
    Documents(DocumentsCommand),
    #[command(flatten)]
    History(HistoryCommand),
    /// Keyrings, and the values that are sealed with them
    #[command(subcommand, name = "keys")]
    Keyring(KeyringCommand),
    /// Print what the server says of itself
    Status,
    /// Save everything to a file, or make a new cluster from one
    #[command(subcommand)]
    Snapshot(SnapshotCommand),
    /// Copy keys and leases from an etcd, or from a snapshot file, to the server
    ///
    /// Revisions are not kept: each copied key gets a new one. Copying again is harmless; only what differs is written.
    Migrate(Migrate),
    /// The shared-memory copy that a host's programs read
    #[command(subcommand)]
    Mirror(MirrorCommand),
    /// Have a webhook, Slack or people told when keys change
    #[command(subcommand)]
    Notify(NotifyCommand),
    /// Say what values may be: JSON Schemas bound to keys
    #[command(subcommand)]
    Schema(SchemaCommand),
    #[command(flatten)]
    Operate(OperateCommand),
}

/// What there is to do with a host's copy.
#[derive(Debug, Subcommand)]
pub enum MirrorCommand {
    /// Save it to a file, the seed of another host
    ///
    /// A host that is given the file (`cfgstored --endpoints … --seed FILE`, or $CFGSTORE_SEED) reads from it until a member
    /// answers for the first time. Members are reached through an agent of this host, which is started, and goes on. The
    /// file holds every key, has mode 0640, and replaces an older one in one step.
    Save {
        /// The file
        file: PathBuf,
    },
}

/// What applications do.
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Print the value of a key, or of every key of a prefix
    Get {
        /// The key; with --prefix the beginning of keys, which may be empty
        key: String,
        /// Every key that begins with KEY
        #[arg(long)]
        prefix: bool,
        /// As it was at this revision [default: now]
        #[arg(long, value_name = "REVISION", value_parser = clap::value_parser!(i64).range(1..))]
        rev: Option<i64>,
        /// At most so many keys [default: all]
        #[arg(long, requires = "prefix", value_name = "KEYS", value_parser = clap::value_parser!(u32).range(1..))]
        limit: Option<u32>,
        /// Without the values
        #[arg(long)]
        keys_only: bool,
    },
    /// Write a key, and print the new revision
    ///
    /// Values are bytes, kept as they are. By convention they are JSON; text that is not JSON reaches PHP as a
    /// string.
    Put {
        /// The key
        key: String,
        /// The value; - reads it from standard input, @FILE from a file
        #[arg(allow_hyphen_values = true)]
        value: OsString,
        /// Only if the key's last change was in this revision
        #[arg(long, value_name = "REVISION", value_parser = clap::value_parser!(i64).range(1..))]
        if_revision: Option<i64>,
        /// Only if the key does not exist
        #[arg(long, conflicts_with = "if_revision")]
        if_absent: bool,
        /// Why, for the history of the key
        #[arg(long, default_value = "", hide_default_value = true, value_name = "TEXT")]
        comment: String,
    },
    /// Delete a key, and print the new revision
    Del {
        /// The key
        key: String,
        /// Only if the key's last change was in this revision
        #[arg(long, value_name = "REVISION", value_parser = clap::value_parser!(i64).range(1..))]
        if_revision: Option<i64>,
        /// Why, for the history of the key
        #[arg(long, default_value = "", hide_default_value = true, value_name = "TEXT")]
        comment: String,
    },
    /// Print every change of a key, or of every key of a prefix, as it happens
    ///
    /// It reconnects by itself, without a gap or a repetition. To go on after it was ended, start it again with
    /// --from-revision and the revision after the last one it printed.
    Watch {
        /// The key; with --prefix the beginning of keys, which may be empty
        key: String,
        /// Every key that begins with KEY
        #[arg(long)]
        prefix: bool,
        /// Begin with the changes of this revision, even if it is past [default: with the next change]
        #[arg(long, value_name = "REVISION", value_parser = clap::value_parser!(i64).range(1..))]
        from_revision: Option<i64>,
        /// End after so many changes [default: never]
        #[arg(long, value_name = "CHANGES", value_parser = clap::value_parser!(u64).range(1..))]
        max_changes: Option<u64>,
    },
    /// Hold a lock while a program runs
    ///
    /// The program finds the fencing token in $CFGSTORE_LOCK_TOKEN: a number that grows with every holder, for
    /// what the lock protects to refuse an earlier one. If the lock is lost, the program gets SIGTERM. Without a
    /// program, the lock is held until standard input ends.
    Lock {
        /// The lock
        name: String,
        /// How long the lock outlives a holder that dies without a word, in seconds
        #[arg(long, default_value = "10", value_parser = positive_seconds, value_name = "SECONDS")]
        ttl: f64,
        /// How long to wait while another has it, in seconds; 0: not at all
        #[arg(long, default_value = "0", value_parser = seconds, value_name = "SECONDS")]
        wait: f64,
        /// The program and its arguments
        #[arg(last = true)]
        command: Vec<OsString>,
    },
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if seconds.is_finite() && seconds >= 0.0 => Ok(seconds),
        _ => Err("expected a number of seconds".to_owned()),
    }
}

fn positive_seconds(text: &str) -> Result<f64, String> {
    seconds(text).and_then(|seconds| {
        if seconds > 0.0 {
            Ok(seconds)
        } else {
            Err("expected more than zero seconds".to_owned())
        }
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn bad_times_are_refused() {
        assert_eq!(seconds("0"), Ok(0.0));
        for bad in ["-1", "nan", "inf", "1s", ""] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
        assert!(positive_seconds("0").is_err());
    }
}
