//! HTTP and gRPC on one port: health, version, and what hostile clients send.

use std::time::Duration;

use hyper::{Method, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use cfgstore_server::ListenAddress;

use crate::common::{TestServer, eventually, get, put, soon};
use crate::http_client::{HttpClient, authority, raw};

#[tokio::test]
async fn a_healthy_member_says_so() {
    let server = TestServer::start().await;
    let mut http = HttpClient::connect(&server).await;
    let health = http.get("/health").await;
    assert_eq!(
        (health.status, health.body.as_str()),
        (200, r#"{"health":"true","reason":""}"#)
    );
    for path in [
        "/livez",
        "/readyz",
        "/livez/serializable_read",
        "/readyz/non_learner",
    ] {
        let answer = http.get(path).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "ok\n"), "{path}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    }
    let verbose = http
        .get("/readyz?verbose&exclude=data_corruption&exclude=no_such")
        .await;
    assert_eq!(
        verbose.body,
        "[+]serializable_read ok\n[+]linearizable_read ok\n[+]non_learner ok\nok\n"
    );
    assert_eq!(http.get("/livez/linearizable_read").await.status, 404);
    let version = http.get("/version").await;
    assert_eq!(
        (version.body.as_str(), version.header("content-type")),
        (
            r#"{"etcdserver":"3.6.0","etcdcluster":"3.6.0","storage":"3.6.0"}"#,
            Some("application/json")
        )
    );
    assert!(http.get("/debug/vars").await.json()["raft.status"]["term"].is_u64());
}

#[tokio::test]
async fn an_alarm_makes_a_member_unhealthy() {
    use cfgstore_proto::etcdserverpb::{AlarmRequest, AlarmType, alarm_request::AlarmAction};
    let server = TestServer::start().await;
    let mut http = HttpClient::connect(&server).await;
    let raise = |alarm: AlarmType| AlarmRequest {
        action: AlarmAction::Activate.into(),
        member_id: 7,
        alarm: alarm.into(),
    };
    server
        .maintenance()
        .alarm(raise(AlarmType::Nospace))
        .await
        .unwrap();
    let health = http.get("/health").await;
    assert_eq!(
        (health.status, health.body.as_str()),
        (503, "{\"health\":\"false\",\"reason\":\"ALARM NOSPACE\"}\n")
    );
    assert_eq!(http.get("/health?exclude=NOSPACE").await.status, 200);
    assert_eq!(http.get("/readyz").await.status, 200);

    server
        .maintenance()
        .alarm(raise(AlarmType::Corrupt))
        .await
        .unwrap();
    assert_eq!(
        http.get("/health?exclude=NOSPACE").await.json()["reason"],
        "ALARM CORRUPT"
    );
    let ready = http.get("/readyz").await;
    assert_eq!(ready.status, 503);
    assert!(
        ready
            .body
            .starts_with("[-]data_corruption failed: alarm activated: CORRUPT\n[+]serializable_read ok\n"),
        "{}",
        ready.body
    );
    assert_eq!(http.get("/livez").await.status, 200);
}

#[tokio::test]
async fn methods_and_paths_that_are_not_there_are_refused_as_etcd_does() {
    let server = TestServer::start().await;
    let mut http = HttpClient::connect(&server).await;
    for path in ["/health", "/livez", "/readyz/serializable_read", "/version"] {
        let answer = http.post(path, "").await;
        assert_eq!(
            (answer.status, answer.header("allow")),
            (405, Some("GET")),
            "{path}"
        );
        assert_eq!(answer.body, "Method Not Allowed\n");
    }
    for (method, path, status, body) in [
        (Method::GET, "/", 404, "404 page not found\n"),
        (Method::GET, "/v2/keys", 404, "404 page not found\n"),
        (Method::POST, "/v3/kv/nope", 404, "Not Found\n"),
        (Method::GET, "/v3/kv/range", 405, "Method Not Allowed\n"),
        (Method::OPTIONS, "/v3/kv/range", 200, ""),
    ] {
        let answer = http.method(method.clone(), path).await;
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (status, body),
            "{method} {path}"
        );
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    }
}

#[tokio::test]
async fn origins_and_hosts_can_be_restricted() {
    let server = TestServer::start_with(|config| {
        config.cors = vec!["http://ours.example".to_owned()];
        config.host_whitelist = vec!["127.0.0.1".to_owned()];
    })
    .await;
    let mut http = HttpClient::connect(&server).await;
    let ours = Request::get("/health").header("origin", "http://ours.example");
    let answer = http.ask(ours, "").await;
    assert_eq!(
        answer.header("access-control-allow-origin"),
        Some("http://ours.example")
    );
    let theirs = Request::get("/health").header("origin", "http://evil.example");
    assert_eq!(
        http.ask(theirs, "").await.header("access-control-allow-origin"),
        None
    );
    let answer = raw(
        &server,
        b"GET /health HTTP/1.0\r\nHost: evil.example:2379\r\n\r\n",
    )
    .await;
    assert!(answer.starts_with("HTTP/1.0 421 "), "{answer}");
}

#[tokio::test]
async fn grpc_and_http_share_the_port_and_the_socket() {
    let server = TestServer::start().await;
    let mut http = HttpClient::connect(&server).await;
    let mut kv = server.kv();
    let grpc = async {
        for n in 0..100 {
            kv.put(put("k", &n.to_string())).await.unwrap();
        }
    };
    let asking = async {
        for _ in 0..100 {
            assert_eq!(http.get("/health").await.status, 200);
        }
    };
    soon(async { tokio::join!(grpc, asking) }).await;
    assert_eq!(server.get("k").await.unwrap(), "99");

    let mut socket = tokio::net::UnixStream::connect(server.server.socket())
        .await
        .unwrap();
    socket.write_all(b"GET /health HTTP/1.0\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    soon(socket.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.ends_with(r#"{"health":"true","reason":""}"#), "{answer}");
}

#[tokio::test]
async fn http_is_served_over_http2_too_and_unknown_services_are_refused_in_grpcs_way() {
    let server = TestServer::start().await;
    let mut channel = server.channel.clone();
    let mut ask = async |request: hyper::http::request::Builder| {
        use tower::{Service, ServiceExt};
        let request = request.body(tonic::body::Body::empty()).unwrap();
        let response = soon(async { channel.ready().await.unwrap().call(request).await })
            .await
            .unwrap();
        let (head, body) = response.into_parts();
        let body = soon(http_body_util::BodyExt::collect(body))
            .await
            .unwrap()
            .to_bytes();
        (head, String::from_utf8(body.to_vec()).unwrap())
    };
    let (head, body) = ask(Request::get("/health")).await;
    assert_eq!(
        (head.status.as_u16(), body.as_str()),
        (200, r#"{"health":"true","reason":""}"#)
    );
    let (head, _) = ask(Request::get("/metrics")).await;
    assert_eq!(head.status, 200);
    let (head, _) = ask(Request::post("/no.Such/Method").header("content-type", "application/grpc")).await;
    assert_eq!(
        (head.status.as_u16(), &head.headers["grpc-status"]),
        (200, &"12".parse().unwrap())
    );
}

#[tokio::test]
async fn requests_may_follow_each_other_without_waiting() {
    let server = TestServer::start().await;
    let body = r#"{"key":"YQ==","value":"MQ=="}"#;
    let one = format!(
        "POST /v3/kv/put HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let last = "GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let answer = raw(&server, format!("{}{last}", one.repeat(20)).as_bytes()).await;
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 21, "{answer}");
    let found = server.kv().range(get("a")).await.unwrap().into_inner();
    assert_eq!(found.kvs[0].version, 20);
}

#[tokio::test]
async fn malformed_requests_end_in_an_error_and_harm_nobody() {
    let server = TestServer::start().await;
    let large_header = format!(
        "GET /health HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
        "x".repeat(100_000)
    );
    for (request, answer) in [
        (&b"nonsense\r\n\r\n"[..], "HTTP/1.1 400 "),
        (b"\0\0\0\0", "HTTP/1.1 400 "),
        (b"GET /health HTTP/1.1\r\nHost a\r\n\r\n", "HTTP/1.1 400 "),
        (
            b"POST /v3/kv/put HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 400 ",
        ),
        (
            b"POST /v3/kv/put HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            "HTTP/1.1 400 ",
        ),
        (large_header.as_bytes(), "HTTP/1.1 431 "),
        // HTTP/2 is begun, and not gone on with as it should be.
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nGET / HTTP/1.1\r\n\r\n", ""),
    ] {
        let found = raw(&server, request).await;
        assert!(
            found.starts_with(answer),
            "{}: {found}",
            String::from_utf8_lossy(&request[..request.len().min(60)])
        );
    }
    assert_eq!(
        HttpClient::connect(&server).await.get("/health").await.status,
        200
    );
}

#[tokio::test]
async fn a_client_that_says_nothing_keeps_nobody_waiting() {
    let server = TestServer::start().await;
    let address = authority(&server.server.urls()[0]).to_owned();
    let mut silent = Vec::new();
    for begin in [&b""[..], b"P", b"PRI * HTTP", b"GET /health HTTP/1.1\r\nHost"] {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        stream.write_all(begin).await.unwrap();
        silent.push(stream);
    }
    assert_eq!(
        HttpClient::connect(&server).await.get("/health").await.status,
        200
    );
    // They do not hold up the end, either.
    tokio::task::spawn_blocking(|| server.server.shutdown())
        .await
        .unwrap();
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_a_place() {
    let server = TestServer::start_with(|config| config.max_connections = 2).await;
    // One is the test server's own.
    let mut first = HttpClient::connect(&server).await;
    assert_eq!(first.get("/health").await.status, 200);
    let mut third = HttpClient::connect(&server).await;
    let waiting = third.get("/health");
    tokio::pin!(waiting);
    // The host's socket has places of its own, so whoever is there is served meanwhile.
    let mut local = cfgstore_proto::etcdserverpb::kv_client::KvClient::new(server.connect_socket().await);
    tokio::select! {
        biased;
        answer = &mut waiting => panic!("there was no place: {answer:?}"),
        range = local.range(get("k")) => drop(range.unwrap()),
    }
    drop(first);
    assert_eq!(soon(waiting).await.status, 200);
}

#[tokio::test]
async fn http_can_have_sockets_of_its_own() {
    let any = || vec![ListenAddress::parse("http://127.0.0.1:0").unwrap()];
    let server = TestServer::start_with(|config| {
        config.listen_http = any();
        config.listen_metrics = any();
    })
    .await;
    // gRPC alone.
    server.put("k", "v").await;
    assert_eq!(raw(&server, b"GET /health HTTP/1.0\r\n\r\n").await, "");

    let mut http = HttpClient::connect_to(&server.server.http_urls()[0]).await;
    let found = http.post("/v3/kv/range", r#"{"key":"aw=="}"#).await.json();
    assert_eq!(found["kvs"][0]["value"], "dg==");

    let mut metrics = HttpClient::connect_to(&server.server.metrics_urls()[0]).await;
    assert_eq!(metrics.get("/health").await.status, 200);
    assert_eq!(metrics.get("/metrics").await.status, 200);
    assert_eq!(metrics.get("/version").await.status, 404);
    assert_eq!(metrics.post("/v3/kv/range", "{}").await.status, 404);
}

#[tokio::test]
async fn requests_under_way_are_answered_when_the_server_ends() {
    let server = TestServer::start_with(|config| config.shutdown_grace = Duration::from_secs(20)).await;
    let mut watching = HttpClient::connect(&server).await;
    let mut lines = watching
        .stream("/v3/watch", r#"{"create_request":{"key":"aw=="}}"#)
        .await;
    assert_eq!(lines.next().await.unwrap()["result"]["created"], true);
    let socket = server.server.socket().to_owned();
    let ending = tokio::task::spawn_blocking(|| server.server.shutdown());
    let last = lines.next().await.unwrap();
    assert_eq!(last["error"]["message"], "etcdserver: server stopped");
    assert_eq!(lines.next().await, None);
    soon(ending).await.unwrap();
    eventually("the socket's file is gone", async || !socket.exists()).await;
}
