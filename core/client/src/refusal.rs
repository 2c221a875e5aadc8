//! What a failed call means: the one table of etcd's texts, and what each says about a write.

use std::error::Error as _;

use tonic::{Code, Status};

use crate::connection::TransportError;
use crate::error::ErrorKind;
use crate::schemas::Violations;

/// What a failure says about the write that met it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// None, and the same request will be refused again.
    Refused,
    /// None; another attempt, perhaps elsewhere, may succeed.
    NotDone,
    /// It may have been applied, or may yet be.
    Unknown,
}

/// A failed attempt.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub kind: ErrorKind,
    pub effect: Effect,
    /// The server's words, or what broke.
    pub text: String,
    /// The connection is of no more use.
    pub broken: bool,
    /// What is wrong with a value that a schema refuses.
    pub violations: Violations,
}

use Effect::{NotDone, Refused, Unknown};

/// etcd's exact texts. Clients are meant to compare them; each is sent with the code that etcd gives it.
const TEXTS: &[(&str, ErrorKind, Effect)] = &[
    (
        "etcdserver: authentication failed, invalid user ID or password",
        ErrorKind::Denied,
        Refused,
    ),
    (
        "etcdserver: context deadline exceeded",
        ErrorKind::Timeout,
        Unknown,
    ),
    ("etcdserver: corrupt cluster", ErrorKind::Corrupt, Refused),
    ("etcdserver: invalid auth token", ErrorKind::Denied, Refused),
    ("etcdserver: key not found", ErrorKind::NotFound, Refused),
    ("etcdserver: leader changed", ErrorKind::Unavailable, Unknown),
    ("etcdserver: lease already exists", ErrorKind::Conflict, Refused),
    (
        "etcdserver: mvcc: database space exceeded",
        ErrorKind::Exhausted,
        Refused,
    ),
    (
        "etcdserver: mvcc: required revision has been compacted",
        ErrorKind::Compacted,
        Refused,
    ),
    ("etcdserver: no leader", ErrorKind::Unavailable, NotDone),
    ("etcdserver: not capable", ErrorKind::Unavailable, NotDone),
    ("etcdserver: not leader", ErrorKind::Unavailable, NotDone),
    ("etcdserver: permission denied", ErrorKind::Denied, Refused),
    ("etcdserver: request canceled", ErrorKind::Canceled, Unknown),
    ("etcdserver: request is too large", ErrorKind::TooLarge, Refused),
    ("etcdserver: request timed out", ErrorKind::Unavailable, Unknown),
    (
        "etcdserver: request timed out, possibly due to connection lost",
        ErrorKind::Unavailable,
        Unknown,
    ),
    (
        "etcdserver: request timed out, possibly due to previous leader failure",
        ErrorKind::Unavailable,
        Unknown,
    ),
    (
        "etcdserver: request timed out, waiting for the applied index took too long",
        ErrorKind::Unavailable,
        Unknown,
    ),
    (
        "etcdserver: requested lease not found",
        ErrorKind::NotFound,
        Refused,
    ),
    (
        "etcdserver: rpc not supported for learner",
        ErrorKind::Unavailable,
        NotDone,
    ),
    ("etcdserver: server stopped", ErrorKind::Unavailable, Unknown),
    (
        "etcdserver: too many operations in txn request",
        ErrorKind::TooLarge,
        Refused,
    ),
    ("etcdserver: too many requests", ErrorKind::Exhausted, NotDone),
    ("etcdserver: unhealthy cluster", ErrorKind::Unavailable, NotDone),
    ("etcdserver: user name is empty", ErrorKind::Denied, Refused),
];

/// How an agent begins to say that no member was asked, so that a write has certainly no effect.
pub(crate) const NOTHING_SENT: &str = "cfgstore agent: nothing was sent: ";

/// How a member begins to say that a key to be changed has been changed since the revision that the caller named.
pub(crate) const CHANGED_SINCE: &str = "cfgstore: changed since revision ";

/// How a member begins to say that its history does not go back to the revision that the caller named.
const NOT_KEPT: &str = "cfgstore: what was there at revision ";

/// How members begin to say that others were faster, each time they tried: certainly nothing was done.
const OVERTAKEN: [&str; 3] = [
    "cfgstore: the keys were changed by others ",
    "cfgstore: the schemas have changed meanwhile",
    "cfgstore: values under the pattern have changed meanwhile",
];

/// What a server's status means. Texts that are not in the table go by their code.
fn of_server(code: Code, text: &str) -> (ErrorKind, Effect) {
    if let Some((_, kind, effect)) = TEXTS.iter().find(|(known, ..)| *known == text) {
        return (*kind, *effect);
    }
    if text.starts_with(NOTHING_SENT) {
        return (ErrorKind::Unavailable, NotDone);
    }
    if OVERTAKEN.iter().any(|overtaken| text.starts_with(overtaken)) {
        return (ErrorKind::Conflict, Refused);
    }
    if text.starts_with(CHANGED_SINCE) {
        return (ErrorKind::Conflict, Refused);
    }
    if text.starts_with(NOT_KEPT) {
        return (ErrorKind::Compacted, Refused);
    }
    // The transport's own limit on a message, in the words of grpc-go and of tonic.
    if text.contains("message larger than max") || text.contains("message length too large") {
        return (ErrorKind::TooLarge, Refused);
    }
    match code {
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => {
            (ErrorKind::InvalidArgument, Refused)
        }
        Code::NotFound => (ErrorKind::NotFound, Refused),
        Code::AlreadyExists => (ErrorKind::Conflict, Refused),
        Code::PermissionDenied | Code::Unauthenticated => (ErrorKind::Denied, Refused),
        Code::Unimplemented => (ErrorKind::Unsupported, Refused),
        Code::ResourceExhausted => (ErrorKind::Exhausted, Refused),
        Code::Unavailable | Code::Aborted => (ErrorKind::Unavailable, Unknown),
        Code::DeadlineExceeded => (ErrorKind::Timeout, Unknown),
        Code::Cancelled => (ErrorKind::Canceled, Unknown),
        Code::DataLoss => (ErrorKind::Corrupt, Unknown),
        Code::Ok | Code::Unknown | Code::Internal => (ErrorKind::Internal, Unknown),
    }
}

impl Failure {
    pub fn of(status: &Status) -> Failure {
        // A status with a source was made on this side, from a broken transport; a server's has none.
        let Some(source) = status.source() else {
            if let Some(violations) = Violations::of_status(status) {
                return Failure {
                    kind: ErrorKind::SchemaViolation,
                    effect: Refused,
                    text: status.message().to_owned(),
                    broken: false,
                    violations,
                };
            }
            let (kind, effect) = of_server(status.code(), status.message());
            return Failure {
                kind,
                effect,
                text: status.message().to_owned(),
                broken: false,
                violations: Violations::default(),
            };
        };
        if let Some(error) = source.downcast_ref::<TransportError>() {
            return Failure::of_transport(error);
        }
        let text = format!("the connection broke: {}", root_cause(source));
        Failure {
            kind: ErrorKind::Unavailable,
            effect: Unknown,
            text,
            broken: true,
            violations: Violations::default(),
        }
    }

    pub fn of_transport(error: &TransportError) -> Failure {
        Failure {
            kind: ErrorKind::Unavailable,
            effect: if error.sent { Unknown } else { NotDone },
            text: error.to_string(),
            broken: true,
            violations: Violations::default(),
        }
    }

    /// Whether another attempt at a read may succeed.
    pub fn read_may_succeed_elsewhere(&self) -> bool {
        self.effect != Refused && self.kind != ErrorKind::Canceled && self.kind != ErrorKind::Internal
    }

    /// What a reason in a watch's cancellation means: etcd sends the text, sometimes inside gRPC's own words.
    pub fn of_watch_reason(reason: &str) -> Failure {
        let text = reason.rsplit_once("desc = ").map_or(reason, |(_, text)| text);
        let (kind, effect) = TEXTS
            .iter()
            .find(|(known, ..)| *known == text)
            .map_or((ErrorKind::InvalidArgument, Refused), |(_, kind, effect)| {
                (*kind, *effect)
            });
        Failure {
            kind,
            effect,
            text: text.to_owned(),
            broken: false,
            violations: Violations::default(),
        }
    }
}

/// What a user can do about it, to follow the server's words.
pub(crate) fn advice(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Compacted => "; that history is gone: read the current state and go on from there",
        ErrorKind::Denied => "; ask an administrator for the right",
        ErrorKind::TooLarge => "; store less under one key, or change fewer keys at once",
        ErrorKind::Exhausted => "; free space or wait, then try again",
        ErrorKind::Unsupported => {
            "; the server does not offer this: an etcd has none of the calls that cfgstore adds, and an old one lacks some of \
             etcd's; ask members of cfgstored, or a newer etcd"
        }
        ErrorKind::Corrupt => "; the cluster needs its operator",
        ErrorKind::SchemaViolation => "; nothing was written: correct the value, or change the schema first",
        _ => "",
    }
}

pub(crate) fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_has_each_text_once() {
        for pair in TEXTS.windows(2) {
            assert!(pair[0].0 < pair[1].0, "{} before {}", pair[0].0, pair[1].0);
        }
    }

    #[test]
    fn a_servers_refusal_is_certain_and_its_timeout_is_not() {
        let of = |code, text: &str| {
            let failure = Failure::of(&Status::new(code, text));
            (failure.kind, failure.effect)
        };
        assert_eq!(
            of(Code::InvalidArgument, "etcdserver: key is not provided"),
            (ErrorKind::InvalidArgument, Refused)
        );
        assert_eq!(
            of(Code::Unavailable, "etcdserver: no leader"),
            (ErrorKind::Unavailable, NotDone)
        );
        assert_eq!(
            of(Code::Unavailable, "etcdserver: request timed out"),
            (ErrorKind::Unavailable, Unknown)
        );
        assert_eq!(
            of(Code::Unavailable, "a text of tomorrow"),
            (ErrorKind::Unavailable, Unknown)
        );
        assert_eq!(
            of(
                Code::FailedPrecondition,
                "cfgstore: changed since revision 7: key \"a\""
            ),
            (ErrorKind::Conflict, Refused)
        );
        assert_eq!(
            of(
                Code::OutOfRange,
                "cfgstore: what was there at revision 3 is no longer kept; the history is whole from revision 7 on"
            ),
            (ErrorKind::Compacted, Refused)
        );
        let larger = "grpc: received message larger than max (2100000 vs. 2097152)";
        assert_eq!(
            of(Code::ResourceExhausted, larger),
            (ErrorKind::TooLarge, Refused)
        );
    }

    #[test]
    fn a_watch_reason_is_found_inside_grpcs_words() {
        let failure = Failure::of_watch_reason(
            "rpc error: code = PermissionDenied desc = etcdserver: permission denied",
        );
        assert_eq!((failure.kind, failure.effect), (ErrorKind::Denied, Refused));
        assert_eq!(Failure::of_watch_reason("etcdserver: no leader").effect, NotDone);
    }

    #[test]
    fn what_broke_on_this_side_says_whether_it_was_sent() {
        let broken = |sent| {
            let error = TransportError {
                sent,
                cause: "x".into(),
            };
            Failure::of(&Status::from_error(Box::new(error))).effect
        };
        assert_eq!(broken(true), Unknown);
        assert_eq!(broken(false), NotDone);
    }
}
