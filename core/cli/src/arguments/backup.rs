//! Snapshots, and moving in.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub enum SnapshotCommand {
    /// Save everything to a file, in etcd's format
    Save {
        /// The file; it must not exist
        file: PathBuf,
    },
    /// Print what a snapshot file holds
    Status {
        /// The file
        file: PathBuf,
        /// Also a file without a checksum, such as one from etcd's data folder
        #[arg(long)]
        skip_hash_check: bool,
    },
    /// Make the data folder (--data-dir) of a member of a new cluster from a snapshot file
    ///
    /// Each member of the new cluster is made so, from the same file, with the same --initial-cluster and its own
    /// --name. Then start cfgstored with the same settings. Without --initial-cluster, the new cluster is a store of its
    /// own, such as the embedded one.
    Restore(Restore),
}

#[derive(Debug, Args)]
pub struct Restore {
    /// The file, from cfgstore or from etcd
    pub file: PathBuf,
    /// Name of the member
    #[arg(long, default_value = "default")]
    pub name: String,
    /// All first members: name=http://host:port, separated by commas
    #[arg(long, value_name = "MEMBERS")]
    pub initial_cluster: Option<String>,
    /// Tells the new cluster from others that were given the same addresses
    #[arg(long, default_value = "etcd-cluster", value_name = "TOKEN")]
    pub initial_cluster_token: String,
    /// Where other members reach this one [default: as --initial-cluster says]
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "URLS",
        requires = "initial_cluster"
    )]
    pub initial_advertise_peer_urls: Vec<String>,
    /// Also a file without a checksum, such as one from etcd's data folder
    #[arg(long)]
    pub skip_hash_check: bool,
}

#[derive(Debug, Args)]
pub struct Migrate {
    /// Where from: http://host:port[,…] of an etcd or cfgstore, or a snapshot file
    #[arg(long, value_name = "SOURCE")]
    pub from: String,
    /// Only keys that begin so [default: all]
    #[arg(long, default_value = "", hide_default_value = true)]
    pub prefix: String,
    /// Write nothing, only print what would be written
    #[arg(long)]
    pub dry_run: bool,
    /// Also where there are such keys already; keys that are only there are kept
    #[arg(long)]
    pub force: bool,
    /// Go on copying changes until this program is ended, and keep leases alive for as long as they live there
    #[arg(long)]
    pub follow: bool,
}
