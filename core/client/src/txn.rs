//! Transactions: conditions, then one of two lists of writes, in one revision.

use bytes::Bytes;
use cfgstore_proto::etcdserverpb as pb;
use cfgstore_proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use cfgstore_proto::etcdserverpb::request_op::Request;
use cfgstore_proto::etcdserverpb::response_op::Response;

use crate::client::revision;
use crate::error::{Error, ErrorKind, Result, RevisionConflict};
use crate::keyspace::{Keyspace, printable};
use crate::lock::lost;

/// A transaction under construction. Without conditions it always writes.
#[derive(Debug, Clone, Default)]
pub struct Txn {
    conditions: Vec<Condition>,
    then: Vec<Write>,
    otherwise: Vec<Write>,
    comment: String,
}

#[derive(Debug, Clone)]
struct Condition {
    key: Vec<u8>,
    /// As [`RevisionConflict::wanted`]; of a lock, its token.
    wanted: i64,
    /// The key is a lock's, as it is, and not below the client's prefix.
    is_lock: bool,
}

const MUST_EXIST: i64 = -1;

#[derive(Debug, Clone)]
enum Write {
    Put { key: Vec<u8>, value: Bytes, lease: i64 },
    Delete { key: Vec<u8> },
}

/// What a transaction did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TxnOutcome {
    /// Revision of the store afterwards; the transaction's own if it changed something.
    pub revision: i64,
    /// Whether the conditions held; false: the other branch was written.
    pub succeeded: bool,
}

impl Txn {
    /// An empty transaction.
    pub fn new() -> Txn {
        Txn::default()
    }

    /// Why; see [`PutOptions::comment`](crate::PutOptions::comment).
    pub fn comment(mut self, comment: &str) -> Txn {
        comment.clone_into(&mut self.comment);
        self
    }

    pub(crate) fn reason(&self) -> &str {
        &self.comment
    }

    /// Only if the key's last change was in this revision; 0: only if it does not exist.
    pub fn if_revision(mut self, key: impl AsRef<[u8]>, revision: i64) -> Txn {
        self.conditions.push(Condition {
            key: key.as_ref().to_vec(),
            wanted: revision,
            is_lock: false,
        });
        self
    }

    /// Only if a lock is still held, of which these are [`Lock::key`](crate::Lock::key) and
    /// [`Lock::token`](crate::Lock::token). If it is not, the transaction ends in [`ErrorKind::LockLost`].
    pub fn if_held(mut self, key: impl AsRef<[u8]>, token: i64) -> Txn {
        self.conditions.push(Condition {
            key: key.as_ref().to_vec(),
            wanted: token,
            is_lock: true,
        });
        self
    }

    /// Only if the key exists.
    pub fn if_exists(self, key: impl AsRef<[u8]>) -> Txn {
        self.if_revision(key, MUST_EXIST)
    }

    /// Only if the key does not exist.
    pub fn if_absent(self, key: impl AsRef<[u8]>) -> Txn {
        self.if_revision(key, 0)
    }

    /// Writes a value.
    pub fn put(self, key: impl AsRef<[u8]>, value: impl Into<Bytes>) -> Txn {
        self.put_with_lease(key, value, 0)
    }

    /// Writes a value that dies with a lease; 0: none.
    pub fn put_with_lease(mut self, key: impl AsRef<[u8]>, value: impl Into<Bytes>, lease: i64) -> Txn {
        self.then.push(Write::Put {
            key: key.as_ref().to_vec(),
            value: value.into(),
            lease,
        });
        self
    }

    /// Deletes a key, if it exists.
    pub fn delete(mut self, key: impl AsRef<[u8]>) -> Txn {
        self.then.push(Write::Delete {
            key: key.as_ref().to_vec(),
        });
        self
    }

    /// Writes a value if a condition does not hold, instead of failing.
    pub fn else_put(mut self, key: impl AsRef<[u8]>, value: impl Into<Bytes>) -> Txn {
        self.otherwise.push(Write::Put {
            key: key.as_ref().to_vec(),
            value: value.into(),
            lease: 0,
        });
        self
    }

    /// Deletes a key if a condition does not hold, instead of failing.
    pub fn else_delete(mut self, key: impl AsRef<[u8]>) -> Txn {
        self.otherwise.push(Write::Delete {
            key: key.as_ref().to_vec(),
        });
        self
    }

    /// Whether it has neither conditions nor writes.
    pub fn is_empty(&self) -> bool {
        self.conditions.is_empty() && !self.writes()
    }

    pub(crate) fn writes(&self) -> bool {
        !(self.then.is_empty() && self.otherwise.is_empty())
    }

    pub(crate) fn to_wire(&self, keyspace: &Keyspace) -> Result<pb::TxnRequest> {
        let mut request = pb::TxnRequest::default();
        for condition in &self.conditions {
            request.compare.push(condition.to_wire(keyspace)?);
        }
        for write in &self.then {
            request.success.push(write.to_wire(keyspace)?);
        }
        for write in &self.otherwise {
            request.failure.push(write.to_wire(keyspace)?);
        }
        if self.otherwise.is_empty() {
            // Reads the revisions found in the same moment, for the error.
            for compare in &request.compare {
                let read = pb::RangeRequest {
                    key: compare.key.clone(),
                    keys_only: true,
                    ..Default::default()
                };
                request.failure.push(pb::RequestOp {
                    request: Some(Request::RequestRange(read)),
                });
            }
        }
        Ok(request)
    }

    pub(crate) fn outcome(&self, answer: pb::TxnResponse) -> Result<TxnOutcome> {
        if answer.succeeded || !self.otherwise.is_empty() {
            return Ok(TxnOutcome {
                revision: revision(answer.header),
                succeeded: answer.succeeded,
            });
        }
        if answer.responses.len() != self.conditions.len() {
            let message = "the server's answer to a transaction lacks parts of it; is it an etcd v3 server?";
            return Err(Error::new(ErrorKind::Internal, message));
        }
        let mut conflicts = Vec::new();
        for (condition, response) in self.conditions.iter().zip(answer.responses) {
            let found = match &response.response {
                Some(Response::ResponseRange(found)) => found.kvs.first(),
                _ => None,
            };
            if condition.is_lock {
                if found.is_none_or(|kv| kv.create_revision != condition.wanted) {
                    return Err(lost(&printable(&condition.key), "its key is gone"));
                }
                continue;
            }
            let current = found.map_or(0, |kv| kv.mod_revision);
            let holds = if condition.wanted == MUST_EXIST {
                current != 0
            } else {
                current == condition.wanted
            };
            if !holds {
                let (key, wanted) = (condition.key.clone(), condition.wanted);
                conflicts.push(RevisionConflict { key, wanted, current });
            }
        }
        Err(Error::conflict(conflicts))
    }
}

impl Condition {
    fn to_wire(&self, keyspace: &Keyspace) -> Result<pb::Compare> {
        if self.is_lock {
            return Ok(pb::Compare {
                result: CompareResult::Equal.into(),
                target: CompareTarget::Create.into(),
                key: Bytes::copy_from_slice(&self.key),
                target_union: Some(TargetUnion::CreateRevision(self.wanted)),
                ..Default::default()
            });
        }
        let (result, revision) = match self.wanted {
            MUST_EXIST => (CompareResult::Greater, 0),
            wanted if wanted < 0 => {
                return Err(Error::invalid(format!(
                    "revision {wanted} is negative; revisions begin at 1"
                )));
            }
            wanted => (CompareResult::Equal, wanted),
        };
        Ok(pb::Compare {
            result: result.into(),
            target: CompareTarget::Mod.into(),
            key: keyspace.key(&self.key)?,
            target_union: Some(TargetUnion::ModRevision(revision)),
            ..Default::default()
        })
    }
}

impl Write {
    fn to_wire(&self, keyspace: &Keyspace) -> Result<pb::RequestOp> {
        let request = match self {
            Write::Put { key, value, lease } => {
                let key = keyspace.key(key)?;
                Request::RequestPut(pb::PutRequest {
                    value: keyspace.seal(&key, value.clone())?,
                    key,
                    lease: *lease,
                    ..Default::default()
                })
            }
            Write::Delete { key } => Request::RequestDeleteRange(pb::DeleteRangeRequest {
                key: keyspace.key(key)?,
                ..Default::default()
            }),
        };
        Ok(pb::RequestOp {
            request: Some(request),
        })
    }
}
