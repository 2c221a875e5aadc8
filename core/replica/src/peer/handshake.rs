//! Who talks to whom: the metadata that comes with every call between members, and its check.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use tonic::metadata::{Ascii, MetadataMap, MetadataValue};
use tonic::{Request, Status};

use crate::identity::Identity;
use crate::raft::state_machine::Published;

const PROTOCOL: &str = "cfgstore-peer-protocol";
const CLUSTER: &str = "cfgstore-cluster-id";
const FROM: &str = "cfgstore-from";
const LIFE: &str = "cfgstore-from-life";
const TO: &str = "cfgstore-to";
/// Of a refusal: which check failed.
const REFUSAL: &str = "cfgstore-refusal";
/// Of a refusal of a member that the refusing one doesn't know: index of the membership by which it judged.
const MEMBERSHIP_INDEX: &str = "cfgstore-membership-index";

const PROTOCOL_VERSION: &str = "2";
/// Distinct refusals that are logged; more are not, so that nobody can fill the memory with them.
const LOGGED_REFUSALS: usize = 64;

/// The id of the member that a checked call comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct From(pub(crate) u64);

/// Why other members will have nothing to do with this one, for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It was removed from the cluster.
    Removed,
    /// Its data folder is not the one with which it joined.
    AnotherLife(String),
}

/// A request that says who sends it, and to whom.
pub(crate) fn request<T>(identity: &Identity, to: u64, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let metadata = request.metadata_mut();
    metadata.insert(PROTOCOL, MetadataValue::from_static(PROTOCOL_VERSION));
    metadata.insert(CLUSTER, hex(identity.owner.cluster_id));
    metadata.insert(FROM, hex(identity.owner.member_id));
    metadata.insert(LIFE, hex(identity.life));
    metadata.insert(TO, hex(to));
    request
}

fn hex(number: u64) -> MetadataValue<Ascii> {
    MetadataValue::try_from(format!("{number:016x}")).expect("hexadecimal digits are ASCII")
}

fn number(metadata: &MetadataMap, key: &'static str) -> Option<u64> {
    u64::from_str_radix(metadata.get(key)?.to_str().ok()?, 16).ok()
}

/// Whether a refusal of this member is for good; `own_membership_index` is that of the newest membership this member
/// knows, which names it. One who judges by an older membership may just not have learnt of this member yet.
pub(crate) fn refused(status: &Status, own_membership_index: Option<u64>) -> Option<Refused> {
    let metadata = status.metadata();
    match metadata.get(REFUSAL)?.to_str().ok()? {
        "life" => Some(Refused::AnotherLife(status.message().to_owned())),
        "member" => {
            let judged_by = number(metadata, MEMBERSHIP_INDEX)?;
            (judged_by > own_membership_index?).then_some(Refused::Removed)
        }
        _ => None,
    }
}

/// Checks calls of other members.
pub(crate) struct Gate {
    identity: Identity,
    published: Published,
    logged: Mutex<HashSet<String>>,
}

impl Gate {
    pub(crate) fn new(identity: Identity, published: Published) -> Self {
        Self {
            identity,
            published,
            logged: Mutex::default(),
        }
    }

    /// Lets a call pass, with [`From`] in its extensions, or refuses it.
    pub(crate) fn check(&self, mut request: Request<()>) -> Result<Request<()>, Status> {
        match self.caller(request.metadata()) {
            Ok(from) => {
                request.extensions_mut().insert(from);
                Ok(request)
            }
            Err(status) => {
                self.log(status.message());
                Err(status)
            }
        }
    }

    fn caller(&self, metadata: &MetadataMap) -> Result<From, Status> {
        let own = &self.identity.owner;
        let protocol = metadata.get(PROTOCOL).and_then(|value| value.to_str().ok());
        if protocol != Some(PROTOCOL_VERSION) {
            let text = format!(
                "peer protocol mismatch: the caller speaks version {}, this member speaks {PROTOCOL_VERSION}; run versions \
                 of cfgstore that fit together",
                protocol.unwrap_or("none")
            );
            return Err(refuse("protocol", text));
        }
        let field = |key| {
            number(metadata, key)
                .ok_or_else(|| refuse("protocol", format!("the call has no valid metadata {key}")))
        };
        let (cluster, from, life, to) = (field(CLUSTER)?, field(FROM)?, field(LIFE)?, field(TO)?);
        if cluster != own.cluster_id {
            let text = format!(
                "cluster ID mismatch: the caller belongs to cluster {cluster:016x}, this member to {:016x}",
                own.cluster_id
            );
            return Err(refuse("cluster", text));
        }
        if to != own.member_id {
            let text = format!(
                "member ID mismatch: the caller looks for member {to:016x}, this is {:016x}; check the peer URLs",
                own.member_id
            );
            return Err(refuse("to", text));
        }
        let membership = self.published.position().membership;
        let Some(judged_by) = membership.log_id().as_ref().map(|log_id| log_id.index) else {
            // A new member knows nobody yet.
            return Ok(From(from));
        };
        let Some(node) = membership.membership().get_node(&from) else {
            let text = format!("member {from:016x} is not in cluster {cluster:016x}");
            let mut status = refuse("member", text);
            status.metadata_mut().insert(MEMBERSHIP_INDEX, hex(judged_by));
            return Err(status);
        };
        let recorded = node.life;
        if recorded != 0 && recorded != life {
            let text = format!(
                "member {from:016x} joined with data folder {recorded:016x}, the caller has {life:016x}: a member that lost its \
                 data must be removed and added anew, since it may have forgotten its votes"
            );
            return Err(refuse("life", text));
        }
        Ok(From(from))
    }

    fn log(&self, text: &str) {
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        if logged.len() < LOGGED_REFUSALS && logged.insert(text.to_owned()) {
            tracing::warn!("refused a call of another member: {text}");
        }
    }
}

fn refuse(check: &'static str, text: String) -> Status {
    let mut status = Status::failed_precondition(text);
    status
        .metadata_mut()
        .insert(REFUSAL, MetadataValue::from_static(check));
    status
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::position::Position;
    use crate::raft::types::{MemberNode, Membership, StoredMembership, from_wal_id};
    use crate::wal::format::LogId;
    use crate::wal::log::Owner;

    fn identity(cluster_id: u64, member_id: u64, life: u64) -> Identity {
        Identity {
            owner: Owner {
                cluster_id,
                member_id,
            },
            life,
            since: Some(0),
        }
    }

    /// Member 1 of cluster 9, which knows of member 2 with life 22 by entry 5.
    fn gate() -> Gate {
        let log_id = LogId {
            term: 1,
            leader: 1,
            index: 5,
        };
        let node = |life| MemberNode {
            life,
            ..MemberNode::default()
        };
        let nodes = BTreeMap::from([(1, node(11)), (2, node(22)), (3, node(0))]);
        let membership = Membership::new(vec![BTreeSet::from([1, 2, 3])], nodes).unwrap();
        let position = Position {
            log_id: Some(log_id),
            membership: std::sync::Arc::new(StoredMembership::new(Some(from_wal_id(log_id)), membership)),
            state: std::sync::Arc::new(cfgstore_store::Store::new().state()),
        };
        Gate::new(identity(9, 1, 11), Published::new(position))
    }

    fn refusal(from: Identity, to: u64) -> Status {
        gate().check(request(&from, to, ())).unwrap_err()
    }

    #[test]
    fn those_who_belong_pass() {
        let passed = gate().check(request(&identity(9, 2, 22), 1, ())).unwrap();
        assert_eq!(passed.extensions().get::<From>().unwrap().0, 2);
        // Its life is not recorded yet.
        gate().check(request(&identity(9, 3, 33), 1, ())).unwrap();
    }

    #[test]
    fn refusals_name_both_sides() {
        let other_cluster = refusal(identity(8, 2, 22), 1);
        assert_eq!(
            other_cluster.message(),
            "cluster ID mismatch: the caller belongs to cluster 0000000000000008, this member to 0000000000000009"
        );
        assert_eq!(other_cluster.code(), tonic::Code::FailedPrecondition);
        let other_member = refusal(identity(9, 2, 22), 4);
        assert!(
            other_member
                .message()
                .contains("0000000000000004, this is 0000000000000001")
        );
        let nobody = gate().check(Request::new(())).unwrap_err();
        assert!(nobody.message().contains("speaks version none"));
        for status in [other_cluster, other_member, nobody] {
            assert_eq!(refused(&status, Some(1)), None, "not for good");
        }
    }

    #[test]
    fn a_member_with_another_folder_learns_that_it_is_not_the_one_it_was() {
        let status = refusal(identity(9, 2, 23), 1);
        assert!(
            status
                .message()
                .contains("folder 0000000000000016, the caller has 0000000000000017")
        );
        assert!(matches!(refused(&status, None), Some(Refused::AnotherLife(_))));
    }

    #[test]
    fn only_who_knows_more_can_say_that_a_member_was_removed() {
        let status = refusal(identity(9, 4, 44), 1);
        assert!(status.message().contains("0000000000000004 is not in cluster"));
        assert_eq!(refused(&status, Some(4)), Some(Refused::Removed));
        // The other one judges by a membership that is older than the one which names the caller.
        assert_eq!(refused(&status, Some(5)), None);
        assert_eq!(refused(&status, None), None);
    }

    #[test]
    fn each_refusal_is_logged_once_and_not_without_limit() {
        let gate = gate();
        for cluster in 0..1000 {
            for _ in 0..2 {
                assert!(
                    gate.check(request(&identity(1000 + cluster, 2, 22), 1, ()))
                        .is_err()
                );
            }
        }
        assert_eq!(gate.logged.lock().unwrap().len(), LOGGED_REFUSALS);
    }
}
