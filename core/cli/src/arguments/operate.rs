//! What an operator does: in etcdctl's words.

use clap::Subcommand;

/// An id as etcdctl and this program print it.
fn member_id(text: &str) -> Result<u64, String> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    u64::from_str_radix(digits, 16)
        .ok()
        .filter(|id| *id != 0)
        .ok_or_else(|| "expected an id in hexadecimal, as `member list` prints it".to_owned())
}

/// Lease ids are signed on the wire, and printed as if they were not.
fn lease_id(text: &str) -> Result<i64, String> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    u64::from_str_radix(digits, 16)
        .ok()
        .filter(|id| *id != 0)
        .map(|id| id as i64)
        .ok_or_else(|| "expected an id in hexadecimal, as `lease list` prints it".to_owned())
}

#[derive(Debug, Subcommand)]
pub enum MemberCommand {
    /// Print the members
    List,
    /// Add a member, and print the settings to start it with
    Add {
        /// The name it will have
        name: String,
        /// Where other members will reach it
        #[arg(long, required = true, value_delimiter = ',', value_name = "URLS")]
        peer_urls: Vec<String>,
        /// Without a vote, until it is promoted
        #[arg(long)]
        learner: bool,
    },
    /// Remove a member
    Remove {
        /// The member
        #[arg(value_parser = member_id)]
        id: u64,
    },
    /// Change where other members reach a member
    Update {
        /// The member
        #[arg(value_parser = member_id)]
        id: u64,
        /// Where other members will reach it
        #[arg(long, required = true, value_delimiter = ',', value_name = "URLS")]
        peer_urls: Vec<String>,
    },
    /// Give a learner a vote
    Promote {
        /// The learner
        #[arg(value_parser = member_id)]
        id: u64,
    },
}

#[derive(Debug, Subcommand)]
pub enum EndpointCommand {
    /// Print what each endpoint says of itself
    Status {
        /// Every member of the cluster, not only those of --endpoints
        #[arg(long)]
        cluster: bool,
    },
    /// Ask each endpoint for a read that needs the cluster's agreement
    Health {
        /// Every member of the cluster, not only those of --endpoints
        #[arg(long)]
        cluster: bool,
    },
    /// Print the hash of each endpoint's keys; equal on all members that hold the same
    Hashkv {
        /// Every member of the cluster, not only those of --endpoints
        #[arg(long)]
        cluster: bool,
        /// Up to this revision [default: each endpoint's current one]
        #[arg(long, default_value = "0", hide_default_value = true, value_name = "REVISION")]
        #[arg(value_parser = clap::value_parser!(i64).range(0..))]
        rev: i64,
    },
}

#[derive(Debug, Subcommand)]
pub enum AlarmCommand {
    /// Print the alarms that are raised
    List,
    /// End all alarms, and print those it ended
    Disarm,
}

#[derive(Debug, Subcommand)]
pub enum LeaseCommand {
    /// Make a lease
    Grant {
        /// How long it lives without a keep-alive, in seconds
        #[arg(value_parser = clap::value_parser!(u64).range(1..))]
        ttl: u64,
    },
    /// End a lease; the keys attached to it are deleted
    Revoke {
        /// The lease
        #[arg(value_parser = lease_id)]
        id: i64,
    },
    /// Print what is left of a lease
    Timetolive {
        /// The lease
        #[arg(value_parser = lease_id)]
        id: i64,
        /// With the keys attached to it
        #[arg(long)]
        keys: bool,
    },
    /// Print all leases
    List,
    /// Keep a lease alive until this program is ended
    KeepAlive {
        /// The lease
        #[arg(value_parser = lease_id)]
        id: i64,
        /// Once only
        #[arg(long)]
        once: bool,
    },
}

/// The commands of an operator that have no subcommands are here too, so that the list of all commands stays readable.
#[derive(Debug, Subcommand)]
pub enum OperateCommand {
    /// Show or change the members of the cluster
    #[command(subcommand)]
    Member(MemberCommand),
    /// Ask endpoints about themselves
    #[command(subcommand)]
    Endpoint(EndpointCommand),
    /// Show or end alarms
    #[command(subcommand)]
    Alarm(AlarmCommand),
    /// Make, show and end leases
    #[command(subcommand)]
    Lease(LeaseCommand),
    /// Have endpoints give unused space back
    Defrag {
        /// Every member of the cluster, not only those of --endpoints
        #[arg(long)]
        cluster: bool,
    },
    /// Forget what was before a revision
    Compaction {
        /// It becomes the oldest that can be read
        #[arg(value_parser = clap::value_parser!(i64).range(1..))]
        revision: i64,
        /// Wait until the space is free to be used again
        #[arg(long)]
        physical: bool,
    },
    /// Make another member the leader
    MoveLeader {
        /// The member
        #[arg(value_parser = member_id)]
        id: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_hexadecimal() {
        assert_eq!(member_id("8e9e05c52164694d"), Ok(0x8e9e_05c5_2164_694d));
        assert_eq!(lease_id("fffffffffffffffb"), Ok(-5));
        for bad in ["", "0", "x", "10000000000000000", "-1"] {
            assert!(member_id(bad).is_err() && lease_id(bad).is_err(), "{bad}");
        }
    }
}
