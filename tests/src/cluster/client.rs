//! Calls to one member alone, with no retry and no other member tried: what is tested is the member.

use std::time::Duration;

use bytes::Bytes;
use cfgstore_proto::etcdserverpb as pb;
use cfgstore_proto::mvccpb::KeyValue;
use pb::compare::{CompareResult, CompareTarget, TargetUnion};
use pb::request_op::Request;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

/// Longer than a member may take to answer that it cannot: twice five seconds and two election timeouts, since a
/// linearizable read may wait for the end of the round before its own.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);

/// Asynchronous calls over one connection, made again when it breaks.
#[derive(Debug, Clone)]
pub struct Calls {
    channel: Channel,
    timeout: Duration,
}

/// What a read answered.
#[derive(Debug, Clone)]
pub struct Read {
    /// The revision of the store when it was read.
    pub revision: i64,
    /// The keys found, in order.
    pub kvs: Vec<KeyValue>,
    /// More keys follow.
    pub more: bool,
}

impl Calls {
    /// Of the member at `url`; nothing is connected yet. No call takes longer than `timeout`.
    ///
    /// # Panics
    /// When `url` is none.
    pub fn new(url: &str, timeout: Duration) -> Calls {
        let endpoint = Endpoint::from_shared(url.to_owned()).expect("a URL");
        Calls {
            channel: endpoint.connect_timeout(Duration::from_secs(1)).connect_lazy(),
            timeout,
        }
    }

    /// Its connection.
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    async fn within<T>(
        &self,
        call: impl Future<Output = Result<tonic::Response<T>, Status>>,
    ) -> Result<T, Status> {
        match tokio::time::timeout(self.timeout, call).await {
            Ok(answer) => answer.map(tonic::Response::into_inner),
            Err(_) => Err(Status::deadline_exceeded("the test's own deadline passed")),
        }
    }

    /// Writes; answers the revision.
    pub async fn put(&self, key: Bytes, value: Bytes) -> Result<i64, Status> {
        let request = pb::PutRequest {
            key,
            value,
            ..Default::default()
        };
        let mut kv = pb::kv_client::KvClient::new(self.channel());
        let answer = self.within(kv.put(request)).await?;
        Ok(answer.header.unwrap_or_default().revision)
    }

    /// Writes `value` if the one that is there is smaller, byte by byte. Answers whether it did.
    pub async fn put_if_greater(&self, key: Bytes, value: Bytes) -> Result<bool, Status> {
        let compare = pb::Compare {
            result: CompareResult::Less.into(),
            target: CompareTarget::Value.into(),
            key: key.clone(),
            target_union: Some(TargetUnion::Value(value.clone())),
            ..Default::default()
        };
        let put = pb::PutRequest {
            key,
            value,
            ..Default::default()
        };
        let request = pb::TxnRequest {
            compare: vec![compare],
            success: vec![pb::RequestOp {
                request: Some(Request::RequestPut(put)),
            }],
            ..Default::default()
        };
        let mut kv = pb::kv_client::KvClient::new(self.channel());
        Ok(self.within(kv.txn(request)).await?.succeeded)
    }

    /// Reads one key.
    pub async fn get(&self, key: Bytes, serializable: bool) -> Result<Read, Status> {
        let request = pb::RangeRequest {
            key,
            serializable,
            ..Default::default()
        };
        self.range(request).await
    }

    /// Reads.
    pub async fn range(&self, request: pb::RangeRequest) -> Result<Read, Status> {
        let mut kv = pb::kv_client::KvClient::new(self.channel()).max_decoding_message_size(64 << 20);
        let answer = self.within(kv.range(request)).await?;
        Ok(Read {
            revision: answer.header.unwrap_or_default().revision,
            kvs: answer.kvs,
            more: answer.more,
        })
    }

    /// All keys with this prefix, page by page, as of one revision.
    pub async fn prefix(&self, prefix: &str) -> Result<Read, Status> {
        let mut request = pb::RangeRequest {
            key: Bytes::copy_from_slice(prefix.as_bytes()),
            range_end: prefix_end(prefix),
            limit: 2_000,
            ..Default::default()
        };
        let mut whole = self.range(request.clone()).await?;
        while whole.more {
            let last = whole.kvs.last().expect("more follows the last").key.as_ref();
            request.key = [last, b"\0"].concat().into();
            request.revision = whole.revision;
            let page = self.range(request.clone()).await?;
            whole.kvs.extend(page.kvs);
            whole.more = page.more;
        }
        Ok(whole)
    }
}

/// The end of the range of all keys with this prefix, which must not end in 0xff.
pub fn prefix_end(prefix: &str) -> Bytes {
    let mut end = prefix.as_bytes().to_vec();
    *end.last_mut().expect("a prefix") += 1;
    end.into()
}

/// The same calls, and those on the cluster, for tests that wait for each.
#[derive(Debug)]
pub struct MemberClient {
    // Before the runtime, which its connection runs on.
    calls: Calls,
    runtime: tokio::runtime::Runtime,
}

impl MemberClient {
    /// Of the member at `url`.
    pub fn new(url: &str) -> MemberClient {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("runtime");
        let calls = {
            let _entered = runtime.enter();
            Calls::new(url, CALL_TIMEOUT)
        };
        MemberClient { calls, runtime }
    }

    /// Writes; answers the revision.
    pub fn put(&self, key: &[u8], value: &[u8]) -> Result<i64, Status> {
        let (key, value) = (Bytes::copy_from_slice(key), Bytes::copy_from_slice(value));
        self.runtime.block_on(self.calls.put(key, value))
    }

    /// Reads one key.
    pub fn get(&self, key: &[u8], serializable: bool) -> Result<Read, Status> {
        let key = Bytes::copy_from_slice(key);
        self.runtime.block_on(self.calls.get(key, serializable))
    }

    /// The value of a key, by a linearizable read.
    pub fn value(&self, key: &[u8]) -> Result<Option<Bytes>, Status> {
        Ok(self.get(key, false)?.kvs.pop().map(|kv| kv.value))
    }

    /// All keys with this prefix, as of one revision.
    pub fn prefix(&self, prefix: &str) -> Result<Read, Status> {
        self.runtime.block_on(self.calls.prefix(prefix))
    }

    /// What the member says of itself.
    pub fn status(&self) -> Result<pb::StatusResponse, Status> {
        let mut maintenance = pb::maintenance_client::MaintenanceClient::new(self.calls.channel());
        let call = maintenance.status(pb::StatusRequest::default());
        self.runtime.block_on(self.calls.within(call))
    }

    /// Makes another member lead, by its id; the member called must lead.
    pub fn move_leader(&self, target_id: u64) -> Result<(), Status> {
        let mut maintenance = pb::maintenance_client::MaintenanceClient::new(self.calls.channel());
        let request = pb::MoveLeaderRequest { target_id };
        let call = maintenance.move_leader(request);
        self.runtime.block_on(self.calls.within(call)).map(|_| ())
    }

    /// Drops the history before `revision`.
    pub fn compact(&self, revision: i64) -> Result<(), Status> {
        let mut kv = pb::kv_client::KvClient::new(self.calls.channel());
        let request = pb::CompactionRequest {
            revision,
            physical: false,
        };
        let call = kv.compact(request);
        self.runtime.block_on(self.calls.within(call)).map(|_| ())
    }

    /// The members the cluster has.
    pub fn members(&self) -> Result<Vec<pb::Member>, Status> {
        let mut cluster = pb::cluster_client::ClusterClient::new(self.calls.channel());
        let call = cluster.member_list(pb::MemberListRequest::default());
        Ok(self.runtime.block_on(self.calls.within(call))?.members)
    }

    /// Adds a member; that it is there already counts as done. Answers its id, 0 in that case.
    pub fn member_add(&self, peer_url: &str, learner: bool) -> Result<u64, Status> {
        let mut cluster = pb::cluster_client::ClusterClient::new(self.calls.channel());
        let request = pb::MemberAddRequest {
            peer_ur_ls: vec![peer_url.to_owned()],
            is_learner: learner,
        };
        let call = cluster.member_add(request);
        match self.runtime.block_on(self.calls.within(call)) {
            Ok(answer) => Ok(answer.member.unwrap_or_default().id),
            // From an earlier try whose answer was lost.
            Err(error) if error.message() == "etcdserver: Peer URLs already exists" => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Removes a member; that it is gone already counts as done.
    pub fn member_remove(&self, id: u64) -> Result<(), Status> {
        let mut cluster = pb::cluster_client::ClusterClient::new(self.calls.channel());
        let call = cluster.member_remove(pb::MemberRemoveRequest { id });
        match self.runtime.block_on(self.calls.within(call)) {
            Ok(_) => Ok(()),
            Err(error) if error.code() == Code::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Makes a learner a voter.
    pub fn member_promote(&self, id: u64) -> Result<(), Status> {
        let mut cluster = pb::cluster_client::ClusterClient::new(self.calls.channel());
        let call = cluster.member_promote(pb::MemberPromoteRequest { id });
        self.runtime.block_on(self.calls.within(call)).map(|_| ())
    }
}
