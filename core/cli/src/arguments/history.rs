//! Arguments of the commands about the history of keys.

use clap::{Args, Subcommand};

use crate::time::{Since, Time, max_age, since, time};

#[derive(Debug, Subcommand)]
pub enum HistoryCommand {
    /// Print the changes of a key, the newest first: when, by whom, why, and what
    ///
    /// A name that a client has only stated is marked as unverified.
    History(History),
    /// Print the changes of all keys, the oldest first
    Log(Log),
    /// Print what differs between two revisions; ends with 1 if that is anything, and with 0 if not
    Diff(Diff),
    /// Print which change each value of a document comes from
    Blame {
        /// The key
        key: String,
    },
    /// Make keys what they were at a revision, as one new revision
    Rollback(Rollback),
    /// How much history is kept
    #[command(subcommand)]
    Retention(RetentionCommand),
}

/// One key or many.
#[derive(Debug, Args)]
pub struct Keys {
    /// The key; with --prefix the beginning of keys
    pub key: String,
    /// Every key that begins with KEY
    #[arg(long)]
    pub prefix: bool,
}

#[derive(Debug, Args)]
pub struct History {
    #[command(flatten)]
    pub keys: Keys,
    /// Only by this user, or by a client that calls itself so
    #[arg(long, default_value = "", hide_default_value = true, value_name = "NAME")]
    pub author: String,
    /// Only since then: a revision, 2026-01-31, 2026-01-31T12:00:00Z, or an age such as 90m, 12h, 7d
    #[arg(long, value_name = "TIME|REVISION", value_parser = since)]
    pub since: Option<Since>,
    /// At most so many changes [default: all that are kept]
    #[arg(long, value_name = "CHANGES", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,
}

#[derive(Debug, Args)]
pub struct Log {
    /// Only of keys that begin so
    #[arg(long, default_value = "", hide_default_value = true, value_name = "PREFIX")]
    pub prefix: String,
    /// Only by this user, or by a client that calls itself so
    #[arg(long, default_value = "", hide_default_value = true, value_name = "NAME")]
    pub author: String,
    /// Not before: 2026-01-31, 2026-01-31T12:00:00Z, or an age such as 90m, 12h, 7d
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub from: Option<Time>,
    /// Not after
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub to: Option<Time>,
    /// Go on with changes as they are made, until it is ended
    #[arg(long, conflicts_with = "to")]
    pub follow: bool,
}

#[derive(Debug, Args)]
pub struct Diff {
    #[command(flatten)]
    pub keys: Keys,
    /// The earlier revision
    #[arg(value_name = "FROM", value_parser = clap::value_parser!(i64).range(1..))]
    pub from: i64,
    /// The later revision [default: now]
    #[arg(value_name = "TO", value_parser = clap::value_parser!(i64).range(1..))]
    pub to: Option<i64>,
}

#[derive(Debug, Args)]
pub struct Rollback {
    #[command(flatten)]
    pub keys: Keys,
    /// The revision that it was as it is to be
    #[arg(long, value_name = "REVISION", value_parser = clap::value_parser!(i64).range(1..))]
    pub to: i64,
    /// Only show what would be changed; ends with 1 if that is anything, and with 0 if not
    #[arg(long)]
    pub dry_run: bool,
    /// Why, for the history of the keys
    #[arg(long, default_value = "", hide_default_value = true, value_name = "TEXT")]
    pub comment: String,
}

#[derive(Debug, Subcommand)]
pub enum RetentionCommand {
    /// Print the rules
    List,
    /// Say how much is kept of the keys that begin with a prefix; what is beyond that is forgotten at once
    Set {
        /// The prefix; empty: every key. Of several that fit a key, the longest counts
        prefix: String,
        /// Most changes kept of one key; 0: none
        #[arg(long, value_name = "CHANGES")]
        count: u32,
        /// Longest that a change is kept, such as 90d, 12h, 30m, 45s [default: no bound]
        #[arg(long, value_name = "AGE", value_parser = max_age)]
        max_age: Option<u64>,
    },
    /// Remove the rule of a prefix; of the empty one, it becomes the default again
    Remove {
        /// The prefix
        prefix: String,
    },
}
