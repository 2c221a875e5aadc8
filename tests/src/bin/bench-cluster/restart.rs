//! How long a member with many keys takes from its start to its first linearizable read.

use std::time::{Duration, Instant};

use bytes::Bytes;
use cfgstore_proto::etcdserverpb as pb;
use cfgstore_tests::{Calls, Cluster};
use pb::request_op::Request;

/// Puts in one transaction: etcd's limit is 128.
const BATCH: u64 = 100;
/// Transactions under way at once.
const LANES: u64 = 8;

/// Writes `keys` keys of 256 bytes each.
pub async fn fill(url: &str, keys: u64) -> Result<(), tonic::Status> {
    let mut lanes = tokio::task::JoinSet::new();
    for lane in 0..LANES {
        let calls = Calls::new(url, Duration::from_secs(60));
        lanes.spawn(async move {
            let mut kv = pb::kv_client::KvClient::new(calls.channel());
            for batch in (lane..keys / BATCH).step_by(LANES as usize) {
                let puts = (batch * BATCH..(batch + 1) * BATCH).map(|number| pb::RequestOp {
                    request: Some(Request::RequestPut(pb::PutRequest {
                        key: format!("many/{number:012}").into(),
                        value: Bytes::from_static(&[b'v'; 256]),
                        ..Default::default()
                    })),
                });
                let request = pb::TxnRequest {
                    success: puts.collect(),
                    ..Default::default()
                };
                kv.txn(request).await?;
            }
            Ok::<(), tonic::Status>(())
        });
    }
    while let Some(ended) = lanes.join_next().await {
        ended.expect("a lane")?;
    }
    Ok(())
}

/// Ends the one member in order, starts it, and returns the time until it answered.
pub fn time(cluster: &mut Cluster, runtime: &tokio::runtime::Runtime) -> Duration {
    cluster.stop(0);
    let begun = Instant::now();
    cluster.start_member(0);
    let url = cluster.member(0).client_url().to_owned();
    runtime.block_on(async {
        loop {
            let calls = Calls::new(&url, Duration::from_secs(60));
            match calls.get(Bytes::from_static(b"many/000000000000"), false).await {
                Ok(read) => {
                    assert_eq!(read.kvs.len(), 1, "the keys are gone");
                    return begun.elapsed();
                }
                Err(error) => {
                    assert!(
                        begun.elapsed() < Duration::from_secs(120),
                        "no answer in two minutes: {error}"
                    );
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            }
        }
    })
}
