//! What goes to the server and what becomes of its answers, when a range is made what it is to be.

mod support;

use std::pin::Pin;
use std::sync::{Arc, Mutex};

use cfgstore_client::{Address, Applied, Apply, Client, ErrorKind, KeyDifference, Options};
use cfgstore_proto::cfgstore::v1 as pb;
use cfgstore_proto::cfgstore::v1::history_server::{History, HistoryServer};
use cfgstore_proto::etcdserverpb::ResponseHeader;
use support::socket_in;
use tokio::net::UnixListener;
use tokio_stream::Stream;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::{Code, Request, Response, Status};

type Seen = Arc<Mutex<Vec<(pb::ApplyRequest, Option<String>)>>>;

/// Answers each call with this, and keeps what it was asked.
struct Answering {
    answer: Result<pb::ApplyResponse, Status>,
    seen: Seen,
}

#[tonic::async_trait]
impl History for Answering {
    async fn apply(&self, request: Request<pb::ApplyRequest>) -> Result<Response<pb::ApplyResponse>, Status> {
        let comment = request
            .metadata()
            .get("cfgstore-comment")
            .map(|comment| comment.to_str().unwrap().to_owned());
        self.seen.lock().unwrap().push((request.into_inner(), comment));
        self.answer.clone().map(Response::new)
    }

    type ChangesStream = Pin<Box<dyn Stream<Item = Result<pb::ChangesResponse, Status>> + Send>>;

    async fn changes(&self, _: Request<pb::ChangesRequest>) -> Result<Response<Self::ChangesStream>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn at(&self, _: Request<pb::AtRequest>) -> Result<Response<pb::AtResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn rollback(&self, _: Request<pb::RollbackRequest>) -> Result<Response<pb::ApplyResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn set_retention(
        &self,
        _: Request<pb::SetRetentionRequest>,
    ) -> Result<Response<pb::SetRetentionResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn list_retention(
        &self,
        _: Request<pb::ListRetentionRequest>,
    ) -> Result<Response<pb::ListRetentionResponse>, Status> {
        Err(Status::unimplemented(""))
    }
}

/// A client with the prefix `/shop/` of a server that answers so, and what the server saw.
fn client_of(folder: &tempfile::TempDir, answer: Result<pb::ApplyResponse, Status>) -> (Client, Seen) {
    let path = socket_in(folder);
    let seen = Seen::default();
    let server = HistoryServer::new(Answering {
        answer,
        seen: seen.clone(),
    });
    let listener = UnixListenerStream::new(UnixListener::bind(&path).unwrap());
    tokio::spawn(
        tonic::transport::Server::builder()
            .add_service(server)
            .serve_with_incoming(listener),
    );
    let client = Client::new(Options {
        address: Address::parse(&format!("unix://{}", path.display())).unwrap(),
        prefix: b"/shop/".to_vec(),
        autostart: false,
        ..Options::default()
    });
    (client.unwrap(), seen)
}

fn everything() -> Apply {
    Apply {
        entries: vec![(b"app/a".to_vec(), "1".into())],
        prune: Some(b"app/".to_vec()),
        dry_run: false,
        if_unchanged_since: 7,
        comment: "größer".to_owned(),
    }
}

#[tokio::test]
async fn keys_go_below_the_prefix_and_come_back_without_it() {
    let folder = tempfile::tempdir().unwrap();
    let change = |kind: pb::change::Kind, key: &'static str, value: &'static str| pb::Change {
        kind: kind.into(),
        key: key.into(),
        value: value.into(),
        ..Default::default()
    };
    let answer = pb::ApplyResponse {
        header: Some(ResponseHeader {
            revision: 9,
            ..Default::default()
        }),
        changes: vec![
            change(pb::change::Kind::Put, "/shop/app/a", ""),
            change(pb::change::Kind::Delete, "/shop/app/b", ""),
        ],
    };
    let (client, seen) = client_of(&folder, Ok(answer));
    let applied = client.apply(&everything()).await.unwrap();
    let expected = [("app/a", Some("")), ("app/b", None)].map(|(key, value)| KeyDifference {
        key: key.into(),
        before: None,
        after: value.map(Into::into),
        unopened: None,
    });
    assert_eq!(
        applied,
        Applied {
            revision: 9,
            changes: expected.to_vec(),
        }
    );
    client.apply(&Apply::default()).await.unwrap();
    let wire = pb::ApplyRequest {
        entries: vec![pb::Entry {
            key: "/shop/app/a".into(),
            value: "1".into(),
        }],
        key: "/shop/app/".into(),
        range_end: "/shop/app0".into(),
        dry_run: false,
        if_unchanged_since: 7,
    };
    let seen = seen.lock().unwrap();
    assert_eq!(seen[0], (wire, Some("gr%C3%B6%C3%9Fer".to_owned())));
    assert_eq!(seen[1], (pb::ApplyRequest::default(), None));
}

#[tokio::test]
async fn each_failure_has_its_kind() {
    for (code, text, kind, unsure) in [
        (
            Code::FailedPrecondition,
            "cfgstore: changed since revision 7: key \"/shop/app/a\"",
            ErrorKind::Conflict,
            false,
        ),
        (
            Code::FailedPrecondition,
            "cfgstore: a value violates its schema",
            ErrorKind::InvalidArgument,
            false,
        ),
        // What an etcd says.
        (
            Code::Unimplemented,
            "unknown service cfgstore.v1.History",
            ErrorKind::Unsupported,
            false,
        ),
        (Code::DeadlineExceeded, "", ErrorKind::Timeout, true),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (client, _) = client_of(&folder, Err(Status::new(code, text)));
        let error = client.apply(&everything()).await.unwrap_err();
        assert_eq!((error.kind, error.maybe_committed), (kind, unsure), "{error}");
    }
}
