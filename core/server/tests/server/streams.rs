//! What comes in pieces: RangeStream and Snapshot.

use cfgstore_backup::SnapshotFile;
use cfgstore_proto::etcdserverpb as pb;
use tonic::{Code, Status};

use crate::common::{TestServer, assert_status, get, prefix, put};

async fn pieces(server: &TestServer, request: pb::RangeRequest) -> Result<Vec<pb::RangeResponse>, Status> {
    let mut stream = server.kv().range_stream(request).await?.into_inner();
    let mut pieces = Vec::new();
    while let Some(piece) = stream.message().await? {
        pieces.push(piece.range_response.unwrap());
    }
    Ok(pieces)
}

/// What the pieces say together.
fn joined(pieces: Vec<pb::RangeResponse>) -> pb::RangeResponse {
    let mut whole = pb::RangeResponse::default();
    let last = pieces.len() - 1;
    for (at, piece) in pieces.into_iter().enumerate() {
        assert_eq!(piece.header.is_some(), at == last, "only the last has a header");
        assert!(at == last || (piece.count == 0 && !piece.more && !piece.kvs.is_empty()));
        whole.kvs.extend(piece.kvs);
        (whole.header, whole.more, whole.count) = (piece.header, piece.more, piece.count);
    }
    whole
}

#[tokio::test]
async fn a_range_in_pieces_is_the_range() {
    let server = TestServer::start_with(|config| config.max_request_bytes = 4_000).await;
    for number in 0..100 {
        server.put(&format!("k/{number:03}"), &"v".repeat(200)).await;
    }
    for request in [
        prefix("k/"),
        prefix("none/"),
        get("k/007"),
        pb::RangeRequest {
            limit: 15,
            ..prefix("k/")
        },
        pb::RangeRequest {
            keys_only: true,
            sort_order: 1,
            ..prefix("k/")
        },
        pb::RangeRequest {
            count_only: true,
            ..prefix("k/")
        },
        pb::RangeRequest {
            revision: 40,
            serializable: true,
            ..prefix("k/")
        },
    ] {
        let whole = server.kv().range(request.clone()).await.unwrap().into_inner();
        let pieces = pieces(&server, request.clone()).await.unwrap();
        if request.count_only {
            assert_eq!(pieces.len(), 1);
        } else if whole.kvs.len() > 10 {
            assert_eq!(pieces[0].kvs.len(), 10, "the first is small");
        }
        assert_eq!(joined(pieces), whole);
    }
    let all = pieces(&server, prefix("k/")).await.unwrap();
    assert!((5..20).contains(&all.len()), "{} pieces", all.len());
}

#[tokio::test]
async fn a_range_that_cannot_be_streamed_is_refused() {
    let server = TestServer::start().await;
    assert_status(
        pieces(&server, pb::RangeRequest::default()).await,
        Code::InvalidArgument,
        "etcdserver: key is not provided",
    );
    let future = pb::RangeRequest {
        revision: 9,
        ..get("k")
    };
    assert_status(
        pieces(&server, future).await,
        Code::OutOfRange,
        "etcdserver: mvcc: required revision is a future revision",
    );
    for request in [
        pb::RangeRequest {
            sort_order: 2,
            ..prefix("k")
        },
        pb::RangeRequest {
            sort_target: 3,
            ..prefix("k")
        },
        pb::RangeRequest {
            min_mod_revision: 1,
            ..prefix("k")
        },
    ] {
        let status = pieces(&server, request).await.unwrap_err();
        assert_eq!(status.code(), Code::Unimplemented);
    }
}

#[tokio::test]
async fn a_snapshot_is_etcds_database_in_pieces_and_its_hash() {
    let server = TestServer::start().await;
    let lease = server.grant(600).await;
    let leased = pb::PutRequest {
        lease,
        ..put("leased", "v")
    };
    server.kv().put(leased).await.unwrap();
    for number in 0..20 {
        server.put(&format!("k/{number}"), &"v".repeat(10_000)).await;
    }
    let revision = server.delete("k/3").await;

    let stream = server.maintenance().snapshot(pb::SnapshotRequest {}).await;
    let mut stream = stream.unwrap().into_inner();
    let mut responses = Vec::new();
    while let Some(response) = stream.message().await.unwrap() {
        responses.push(response);
    }
    assert!(responses.iter().all(|response| response.version == "3.6.0"));
    let (hash, database) = responses.split_last().unwrap();
    assert_eq!((hash.blob.len(), hash.remaining_bytes), (32, 0));
    let size: usize = database.iter().map(|piece| piece.blob.len()).sum();
    assert_eq!(size % 512, 0);
    let mut sent = 0;
    for (at, piece) in database.iter().enumerate() {
        sent += piece.blob.len();
        assert_eq!(piece.remaining_bytes, (size - sent) as u64);
        assert!(piece.blob.len() == 32 * 1024 || at == database.len() - 1);
    }

    let file = server.dir.path().join("snapshot.db");
    let bytes: Vec<u8> = responses
        .iter()
        .flat_map(|response| response.blob.to_vec())
        .collect();
    std::fs::write(&file, bytes).unwrap();
    // Opening checks the hash.
    let snapshot = SnapshotFile::open(&file, false).unwrap();
    assert_eq!(snapshot.status().unwrap().revision, revision);
    let state = snapshot.load().unwrap().store.state();
    assert_eq!((state.revision(), state.key_count()), (revision, 20));
    assert_eq!(state.get(b"leased").unwrap().lease(), lease);
}
