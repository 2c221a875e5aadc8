//! The one table from what can go wrong to etcd's codes and texts. Clients compare the texts, so they are
//! exact.

use cfgstore_replica::{MembershipError, ProposeError, ReadError};
use cfgstore_store::CommandError;
use tonic::{Code, Status};

use crate::judge;

/// Why the store refused a command or a read.
pub(crate) fn of_command(error: CommandError) -> Status {
    use CommandError as E;
    let (code, text) = match error {
        E::EmptyKey => (Code::InvalidArgument, "etcdserver: key is not provided"),
        E::KeyTooLarge { .. } => (Code::InvalidArgument, REQUEST_TOO_LARGE),
        E::KeyNotFound => (Code::InvalidArgument, "etcdserver: key not found"),
        E::ValueProvided => (Code::InvalidArgument, "etcdserver: value is provided"),
        E::LeaseProvided => (Code::InvalidArgument, "etcdserver: lease is provided"),
        E::LeaseNotFound { .. } => (Code::NotFound, "etcdserver: requested lease not found"),
        E::LeaseExists { .. } => (Code::FailedPrecondition, "etcdserver: lease already exists"),
        E::LeaseTtlTooLarge { .. } => (Code::OutOfRange, "etcdserver: too large lease TTL"),
        E::TooManyOps { .. } | E::TxnTooDeep { .. } => (
            Code::InvalidArgument,
            "etcdserver: too many operations in txn request",
        ),
        E::DuplicateKey => (
            Code::InvalidArgument,
            "etcdserver: duplicate key given in txn request",
        ),
        E::Compacted { .. } => (Code::OutOfRange, COMPACTED),
        E::FutureRevision { .. } => (
            Code::OutOfRange,
            "etcdserver: mvcc: required revision is a future revision",
        ),
        // What etcd has no word for.
        E::NotKept { .. } => return ours(Code::OutOfRange, &error),
        E::SchemaViolation { report } => return judge::refusal_of(report),
        E::SchemasChanged { .. } | E::ValuesChanged => return ours(Code::Aborted, &error),
        E::RuleNotFound { .. } => return ours(Code::NotFound, &error),
        E::TooManyRules { .. } => return ours(Code::ResourceExhausted, &error),
        E::NotJudgeable => return ours(Code::Internal, &error),
        E::NoSpace => return no_space(),
        E::Corrupt => (Code::DataLoss, "etcdserver: corrupt cluster"),
        E::TooManyAlarms { .. } => return too_many_requests(),
        E::InvalidSortOption { .. } => (Code::InvalidArgument, "etcdserver: invalid sort option"),
        // A mistake of this server, not of the client.
        E::NotReadOnly => (Code::Internal, "etcdserver: a transaction with writes was read"),
    };
    Status::new(code, text)
}

fn ours(code: Code, error: &CommandError) -> Status {
    Status::new(code, format!("cfgstore: {error}"))
}

/// Why a command was not committed, or may not have been.
pub(crate) fn of_propose(error: ProposeError) -> Status {
    use ProposeError as E;
    match error {
        E::NoLeader { .. } => no_leader(),
        E::TooManyRequests => too_many_requests(),
        E::TooLarge { .. } => too_large(),
        E::NoSpace => no_space(),
        E::ShuttingDown => stopped(),
        E::Timeout { .. } => timed_out(),
        E::Unavailable { reason } => {
            tracing::warn!(%reason, "the outcome of a write is unknown");
            Status::unavailable("etcdserver: request timed out, possibly due to previous leader failure")
        }
        other => unforeseen(&other),
    }
}

/// Why a read or a lease's renewal could not be confirmed.
pub(crate) fn of_read(error: ReadError) -> Status {
    use ReadError as E;
    match error {
        E::NoLeader { .. } => no_leader(),
        E::TooManyRequests => too_many_requests(),
        E::ShuttingDown => stopped(),
        E::Timeout { .. } => timed_out(),
        E::Unavailable { .. } => Status::unavailable("etcdserver: leader changed"),
        other => unforeseen(&other),
    }
}

/// Why the membership, or the leader, was not changed.
pub(crate) fn of_membership(error: MembershipError) -> Status {
    use MembershipError as E;
    let (code, text) = match error {
        E::NotFound { .. } => (Code::NotFound, "etcdserver: member not found"),
        E::PeerUrlExists { .. } => (Code::FailedPrecondition, "etcdserver: Peer URLs already exists"),
        E::IdExists { .. } => (Code::FailedPrecondition, "etcdserver: member ID already exist"),
        E::InvalidUrl { .. } => (Code::InvalidArgument, "etcdserver: given member URLs are invalid"),
        E::LearnerNotReady { .. } => (
            Code::FailedPrecondition,
            "etcdserver: can only promote a learner member which is in sync with leader",
        ),
        E::NotLearner { .. } => (
            Code::FailedPrecondition,
            "etcdserver: can only promote a learner member",
        ),
        E::TooManyLearners { .. } => (
            Code::FailedPrecondition,
            "etcdserver: too many learner members in cluster",
        ),
        E::NotEnoughStarted => (
            Code::FailedPrecondition,
            "etcdserver: re-configuration failed due to not enough started members",
        ),
        // A second change at once is refused by etcd for the same reason: the first is not settled.
        E::Unhealthy | E::Busy => (Code::Unavailable, "etcdserver: unhealthy cluster"),
        E::BadTransferee { .. } => (Code::FailedPrecondition, "etcdserver: bad leader transferee"),
        E::NoLeader => return no_leader(),
        E::NotLeader => return not_leader(),
        E::ShuttingDown => return stopped(),
        E::Timeout { .. } => return timed_out(),
        other => return unforeseen(&other),
    };
    Status::new(code, text)
}

pub(crate) const COMPACTED: &str = "etcdserver: mvcc: required revision has been compacted";
pub(crate) const DUPLICATE_WATCH_ID: &str = "mvcc: duplicate watch ID provided on the WatchStream";
pub(crate) const EMPTY_WATCH_RANGE: &str = "mvcc: watcher range is empty";
const REQUEST_TOO_LARGE: &str = "etcdserver: request is too large";

pub(crate) fn too_large() -> Status {
    Status::invalid_argument(REQUEST_TOO_LARGE)
}

pub(crate) fn no_space() -> Status {
    Status::resource_exhausted("etcdserver: mvcc: database space exceeded")
}

pub(crate) fn stopped() -> Status {
    Status::unavailable("etcdserver: server stopped")
}

pub(crate) fn empty_key() -> Status {
    of_command(CommandError::EmptyKey)
}

/// The lease under a lock has ended while its holder waited; in the words of etcd's concurrency package.
pub(crate) fn session_expired() -> Status {
    Status::unknown("mutex: session is expired")
}

pub(crate) fn no_leader() -> Status {
    Status::unavailable("etcdserver: no leader")
}

pub(crate) fn lease_not_found(id: i64) -> Status {
    of_command(CommandError::LeaseNotFound { id })
}

pub(crate) fn not_leader() -> Status {
    Status::failed_precondition("etcdserver: not leader")
}

pub(crate) fn not_for_learners() -> Status {
    Status::failed_precondition("etcdserver: rpc not supported for learner")
}

pub(crate) fn timed_out() -> Status {
    Status::unavailable("etcdserver: request timed out")
}

/// As [`timed_out`], when the members that were needed could not be reached.
pub(crate) fn timed_out_unconnected() -> Status {
    Status::unavailable("etcdserver: request timed out, possibly due to connection lost")
}

pub(crate) fn invalid_urls() -> Status {
    of_membership(MembershipError::InvalidUrl { url: String::new() })
}

pub(crate) fn auth_not_enabled() -> Status {
    Status::failed_precondition("etcdserver: authentication is not enabled")
}

pub(crate) fn too_many_requests() -> Status {
    Status::resource_exhausted("etcdserver: too many requests")
}

/// An error this table does not know, from a newer replica. It may hide a committed write, as Unavailable
/// says.
fn unforeseen(error: &dyn std::error::Error) -> Status {
    tracing::error!(%error, "an error without a place in the table of etcd's texts");
    Status::unavailable(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_codes_are_those_of_etcd() {
        for (error, code, text) in [
            (
                CommandError::EmptyKey,
                Code::InvalidArgument,
                "etcdserver: key is not provided",
            ),
            (
                CommandError::LeaseNotFound { id: 1 },
                Code::NotFound,
                "etcdserver: requested lease not found",
            ),
            (
                CommandError::LeaseExists { id: 1 },
                Code::FailedPrecondition,
                "etcdserver: lease already exists",
            ),
            (
                CommandError::NoSpace,
                Code::ResourceExhausted,
                "etcdserver: mvcc: database space exceeded",
            ),
            (
                CommandError::Corrupt,
                Code::DataLoss,
                "etcdserver: corrupt cluster",
            ),
            (
                CommandError::TxnTooDeep { limit: 1 },
                Code::InvalidArgument,
                "etcdserver: too many operations in txn request",
            ),
            (
                CommandError::Compacted {
                    requested: 1,
                    compact_revision: 2,
                },
                Code::OutOfRange,
                "etcdserver: mvcc: required revision has been compacted",
            ),
        ] {
            let status = of_command(error);
            assert_eq!((status.code(), status.message()), (code, text));
        }
        for (error, code, text) in [
            (
                MembershipError::NotFound { id: 1 },
                Code::NotFound,
                "etcdserver: member not found",
            ),
            (
                MembershipError::PeerUrlExists {
                    url: String::new(),
                    id: 1,
                },
                Code::FailedPrecondition,
                "etcdserver: Peer URLs already exists",
            ),
            (
                MembershipError::IdExists { id: 1 },
                Code::FailedPrecondition,
                "etcdserver: member ID already exist",
            ),
            (
                MembershipError::InvalidUrl { url: String::new() },
                Code::InvalidArgument,
                "etcdserver: given member URLs are invalid",
            ),
            (
                MembershipError::LearnerNotReady { id: 1 },
                Code::FailedPrecondition,
                "etcdserver: can only promote a learner member which is in sync with leader",
            ),
            (
                MembershipError::NotLearner { id: 1 },
                Code::FailedPrecondition,
                "etcdserver: can only promote a learner member",
            ),
            (
                MembershipError::TooManyLearners { limit: 1 },
                Code::FailedPrecondition,
                "etcdserver: too many learner members in cluster",
            ),
            (
                MembershipError::NotEnoughStarted,
                Code::FailedPrecondition,
                "etcdserver: re-configuration failed due to not enough started members",
            ),
            (
                MembershipError::Unhealthy,
                Code::Unavailable,
                "etcdserver: unhealthy cluster",
            ),
            (
                MembershipError::BadTransferee { id: 1 },
                Code::FailedPrecondition,
                "etcdserver: bad leader transferee",
            ),
            (
                MembershipError::NoLeader,
                Code::Unavailable,
                "etcdserver: no leader",
            ),
            (
                MembershipError::Timeout { timeout_ms: 1 },
                Code::Unavailable,
                "etcdserver: request timed out",
            ),
        ] {
            let status = of_membership(error);
            assert_eq!((status.code(), status.message()), (code, text));
        }
        let status = of_propose(ProposeError::TooManyRequests);
        assert_eq!(
            (status.code(), status.message()),
            (Code::ResourceExhausted, "etcdserver: too many requests")
        );
        let status = of_read(ReadError::NoLeader { leader_id: None });
        assert_eq!(
            (status.code(), status.message()),
            (Code::Unavailable, "etcdserver: no leader")
        );
    }
}
