//! `/metrics`: etcd's names and types, and that each moves when it should.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::common::{TestServer, eventually, get, put, watch_prefix};
use crate::etcd::Etcd;
use crate::http_client::HttpClient;

/// A page, read with the rigour of Prometheus.
#[derive(Debug)]
struct Page {
    types: BTreeMap<String, String>,
    /// By name with labels, as they are written.
    samples: HashMap<String, f64>,
}

impl Page {
    #[track_caller]
    fn parse(text: &str) -> Page {
        let mut page = Page {
            types: BTreeMap::new(),
            samples: HashMap::new(),
        };
        let (mut helped, mut family) = (BTreeSet::new(), String::new());
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let name = help.split_once(' ').expect(line).0;
                assert!(helped.insert(name.to_owned()), "twice: {line}");
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').expect(line);
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                assert!(helped.contains(name), "before its help: {line}");
                assert_eq!(
                    page.types.insert(name.to_owned(), kind.to_owned()),
                    None,
                    "{line}"
                );
                family = name.to_owned();
            } else {
                let (name, value) = line.rsplit_once(' ').expect(line);
                let bare = name.split('{').next().unwrap();
                assert!(
                    bare.bytes()
                        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'),
                    "{line}"
                );
                let suffix = bare
                    .strip_prefix(&family)
                    .unwrap_or_else(|| panic!("out of its family: {line}"));
                let suffixes: &[&str] = match page.types[&family].as_str() {
                    "histogram" => &["_bucket", "_sum", "_count"],
                    _ => &[""],
                };
                assert!(suffixes.contains(&suffix), "{line}");
                assert!(name.contains('{') == name.ends_with('}'), "{line}");
                let value: f64 = value.parse().expect(line);
                assert_eq!(page.samples.insert(name.to_owned(), value), None, "twice: {line}");
            }
        }
        assert!(text.ends_with('\n'));
        page
    }

    #[track_caller]
    fn of(&self, name: &str) -> f64 {
        *self.samples.get(name).unwrap_or_else(|| panic!("no {name}"))
    }
}

async fn page(http: &mut HttpClient) -> Page {
    let answer = http.get("/metrics").await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, Some("text/plain; version=0.0.4; charset=utf-8"))
    );
    Page::parse(&answer.body)
}

/// What dashboards, alerts and monitoring systems made for etcd look at.
const NAMES: &str = "
    etcd_cluster_version etcd_server_version etcd_server_id etcd_server_go_version
    etcd_server_has_leader etcd_server_is_leader etcd_server_is_learner etcd_server_leader_changes_seen_total
    etcd_server_proposals_failed_total etcd_server_proposals_committed_total etcd_server_proposals_applied_total
    etcd_server_proposals_pending etcd_server_quota_backend_bytes etcd_server_client_requests_total
    etcd_server_health_success etcd_server_health_failures etcd_server_healthcheck etcd_server_healthchecks_total
    etcd_server_slow_apply_total etcd_server_slow_read_indexes_total etcd_server_read_indexes_failed_total
    etcd_server_apply_duration_seconds etcd_server_request_duration_seconds etcd_server_range_duration_seconds
    etcd_server_heartbeat_send_failures_total etcd_server_learner_promote_successes
    etcd_server_snapshot_apply_in_progress_total
    etcd_mvcc_db_total_size_in_bytes etcd_mvcc_db_total_size_in_use_in_bytes etcd_mvcc_put_total
    etcd_mvcc_delete_total etcd_mvcc_range_total etcd_mvcc_txn_total etcd_mvcc_hash_duration_seconds
    etcd_mvcc_hash_rev_duration_seconds etcd_mvcc_db_open_read_transactions
    etcd_debugging_mvcc_keys_total etcd_debugging_mvcc_events_total etcd_debugging_mvcc_pending_events_total
    etcd_debugging_mvcc_slow_watcher_total etcd_debugging_mvcc_watch_stream_total
    etcd_debugging_mvcc_watcher_total etcd_debugging_mvcc_current_revision
    etcd_debugging_mvcc_compact_revision etcd_debugging_mvcc_total_put_size_in_bytes
    etcd_debugging_mvcc_db_compaction_keys_total
    etcd_debugging_mvcc_db_compaction_total_duration_milliseconds
    etcd_debugging_mvcc_db_compaction_pause_duration_milliseconds
    etcd_debugging_lease_granted_total etcd_debugging_lease_revoked_total etcd_debugging_lease_renewed_total
    etcd_disk_wal_fsync_duration_seconds etcd_disk_backend_commit_duration_seconds
    etcd_disk_wal_write_bytes_total etcd_disk_wal_write_duration_seconds
    etcd_disk_backend_snapshot_duration_seconds etcd_disk_backend_defrag_duration_seconds
    etcd_disk_defrag_inflight etcd_snap_db_fsync_duration_seconds etcd_snap_db_save_total_duration_seconds
    etcd_snap_fsync_duration_seconds
    etcd_network_peer_round_trip_time_seconds etcd_network_peer_sent_failures_total
    etcd_network_peer_sent_bytes_total etcd_network_peer_received_bytes_total
    etcd_network_client_grpc_sent_bytes_total etcd_network_client_grpc_received_bytes_total
    etcd_network_active_peers etcd_network_known_peers
    etcd_network_snapshot_send_success etcd_network_snapshot_send_failures
    etcd_network_snapshot_send_inflights_total etcd_network_snapshot_send_total_duration_seconds
    etcd_network_snapshot_receive_success etcd_network_snapshot_receive_failures
    etcd_network_snapshot_receive_inflights_total etcd_network_snapshot_receive_total_duration_seconds
    grpc_server_started_total grpc_server_handled_total grpc_server_msg_received_total
    grpc_server_msg_sent_total
    os_fd_used os_fd_limit process_cpu_seconds_total process_open_fds process_max_fds
    process_resident_memory_bytes process_virtual_memory_bytes process_start_time_seconds
    cfgstore_version cfgstore_mirror_generation cfgstore_mirror_revision cfgstore_mirror_publish_seconds
    cfgstore_mirror_failing cfgstore_snapshots_installed_total";

#[tokio::test]
async fn every_name_is_there_and_nothing_else() {
    let server = TestServer::start().await;
    let page = page(&mut HttpClient::connect(&server).await).await;
    let expected: BTreeSet<&str> = NAMES.split_whitespace().collect();
    let found: BTreeSet<&str> = page.types.keys().map(String::as_str).collect();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn extensive_metrics_are_asked_for() {
    let server = TestServer::start_with(|config| config.extensive_metrics = true).await;
    server.put("k", "v").await;
    let page = page(&mut HttpClient::connect(&server).await).await;
    let labels = r#"grpc_type="unary",grpc_service="etcdserverpb.KV",grpc_method="Put""#;
    assert_eq!(
        page.of(&format!("grpc_server_handling_seconds_count{{{labels}}}")),
        1.0
    );
    assert_eq!(
        page.of(&format!(
            "grpc_server_handling_seconds_bucket{{{labels},le=\"+Inf\"}}"
        )),
        1.0
    );
}

#[tokio::test]
async fn names_that_the_real_etcd_has_too_have_its_types() {
    let etcd = Etcd::start().await;
    let server = TestServer::start().await;
    let ours = page(&mut HttpClient::connect(&server).await).await;
    let theirs = HttpClient::connect_to(&etcd.url).await.get("/metrics").await.body;
    let types = theirs
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let shared: Vec<_> = types.filter(|(name, _)| ours.types.contains_key(*name)).collect();
    assert!(shared.len() > 60, "{shared:?}");
    for (name, kind) in shared {
        assert_eq!(ours.types[name], kind, "{name}");
    }
}

#[tokio::test]
async fn each_moves_when_it_should() {
    let server = TestServer::start().await;
    let mut http = HttpClient::connect(&server).await;
    let before = page(&mut http).await;

    let mut kv = server.kv();
    for n in 0..3 {
        kv.put(put(&format!("k{n}"), "value")).await.unwrap();
    }
    server.delete("k0").await;
    kv.range(get("k1")).await.unwrap();
    kv.range(get("")).await.unwrap_err();
    kv.txn(cfgstore_proto::etcdserverpb::TxnRequest::default())
        .await
        .unwrap();
    let lease = server.grant(60).await;
    server
        .leases()
        .lease_revoke(cfgstore_proto::etcdserverpb::LeaseRevokeRequest { id: lease })
        .await
        .unwrap();
    server.compact(5).await;
    http.get("/health").await;
    http.get("/readyz").await;
    let mut watches = server.watches().await;
    watches.create(watch_prefix("k")).await;
    watches.create(watch_prefix("k")).await;
    server.put("k9", "v").await;
    watches.events(2).await;

    let after = page(&mut http).await;
    let moved = |name: &str| after.of(name) - before.of(name);
    for (name, by) in [
        ("etcd_mvcc_put_total", 4.0),
        ("etcd_mvcc_delete_total", 1.0),
        ("etcd_mvcc_range_total", 1.0),
        ("etcd_mvcc_txn_total", 1.0),
        ("etcd_debugging_mvcc_keys_total", 3.0),
        ("etcd_debugging_mvcc_current_revision", 5.0),
        ("etcd_debugging_mvcc_compact_revision", 6.0),
        ("etcd_debugging_mvcc_total_put_size_in_bytes", 24.0),
        ("etcd_debugging_mvcc_events_total", 2.0),
        ("etcd_debugging_mvcc_watcher_total", 2.0),
        ("etcd_debugging_mvcc_watch_stream_total", 1.0),
        ("etcd_debugging_lease_granted_total", 1.0),
        ("etcd_debugging_lease_revoked_total", 1.0),
        ("etcd_debugging_mvcc_db_compaction_keys_total", 1.0),
        (
            "etcd_debugging_mvcc_db_compaction_total_duration_milliseconds_count",
            1.0,
        ),
        ("etcd_server_health_success", 1.0),
        (
            "etcd_server_healthchecks_total{type=\"readyz\",name=\"linearizable_read\",status=\"success\"}",
            1.0,
        ),
        (
            "etcd_server_healthcheck{type=\"readyz\",name=\"non_learner\"}",
            1.0,
        ),
        (
            "etcd_server_request_duration_seconds_count{type=\"put\",success=\"true\"}",
            4.0,
        ),
        ("etcd_server_range_duration_seconds_count{success=\"false\"}", 1.0),
        (
            "etcd_server_client_requests_total{type=\"stream\",client_api_version=\"unknown\"}",
            1.0,
        ),
    ] {
        assert_eq!(moved(name), by, "{name}");
    }
    for name in [
        "etcd_server_proposals_committed_total",
        "etcd_server_proposals_applied_total",
        "etcd_disk_wal_fsync_duration_seconds_count",
        "etcd_disk_wal_write_bytes_total",
        "etcd_server_apply_duration_seconds_count{version=\"v3\",op=\"Entry\",success=\"true\"}",
        "etcd_mvcc_db_total_size_in_use_in_bytes",
        "etcd_network_client_grpc_sent_bytes_total",
        "etcd_network_client_grpc_received_bytes_total",
        "process_cpu_seconds_total",
    ] {
        assert!(moved(name) > 0.0 || name == "process_cpu_seconds_total", "{name}");
    }
    let call = |name: &str, kind: &str, service: &str, method: &str, more: &str| {
        moved(&format!(
            "{name}{{grpc_type=\"{kind}\",grpc_service=\"etcdserverpb.{service}\",grpc_method=\"{method}\"{more}}}"
        ))
    };
    assert_eq!(call("grpc_server_started_total", "unary", "KV", "Range", ""), 2.0);
    assert_eq!(
        call(
            "grpc_server_handled_total",
            "unary",
            "KV",
            "Range",
            ",grpc_code=\"OK\""
        ),
        1.0
    );
    let refused = ",grpc_code=\"InvalidArgument\"";
    assert_eq!(
        call("grpc_server_handled_total", "unary", "KV", "Range", refused),
        1.0
    );
    assert_eq!(
        call("grpc_server_msg_sent_total", "unary", "KV", "Range", ""),
        1.0
    );
    assert_eq!(
        call(
            "grpc_server_msg_received_total",
            "bidi_stream",
            "Watch",
            "Watch",
            ""
        ),
        2.0
    );
    assert_eq!(
        call("grpc_server_msg_sent_total", "bidi_stream", "Watch", "Watch", ""),
        4.0
    );

    drop(watches);
    eventually("the stream counts as ended", async || {
        let page = page(&mut http).await;
        page.of("etcd_debugging_mvcc_watch_stream_total") == 0.0
            && page.of("etcd_debugging_mvcc_watcher_total") == 0.0
    })
    .await;
    eventually("the mirror has caught up", async || {
        page(&mut http).await.of("cfgstore_mirror_revision") == 6.0
    })
    .await;
}
