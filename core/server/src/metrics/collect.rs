//! Every metric: etcd's names, and where each value comes from.

use std::sync::atomic::Ordering::Relaxed;

use cfgstore_replica::{Histogram, MemberStats, MemberStatus, PeerStats, TransferStats};
use cfgstore_store::State;
use tonic::Code;

use super::calls::{CODE_NAMES, Counts};
use super::notifications;
use super::page::Page;
use super::process::Process;
use crate::context::Context;
use crate::http::{Check, Kind};
use crate::service::ETCD_API_VERSION;

const KV: &str = "/etcdserverpb.KV/";
const MAINTENANCE: &str = "/etcdserverpb.Maintenance/";

/// The page, in Prometheus' text format.
pub(crate) fn page(ctx: &Context) -> String {
    let (status, stats) = (ctx.member.status(), ctx.member.stats());
    let mut page = Page::default();
    server(&mut page, ctx, &status, &stats);
    requests(&mut page, ctx);
    store(&mut page, ctx, &ctx.member.state(), &status);
    watches(&mut page, ctx);
    disk(&mut page, ctx, &status, &stats);
    network(&mut page, ctx, &status, &stats);
    health(&mut page, ctx);
    mirror(&mut page, ctx);
    notifications::write(&mut page, ctx);
    calls(&mut page, ctx);
    process(&mut page);
    page.into_text()
}

fn server(page: &mut Page, ctx: &Context, status: &MemberStatus, stats: &MemberStats) {
    let id = format!("{:x}", status.member_id);
    let minor = ETCD_API_VERSION
        .rsplit_once('.')
        .map_or(ETCD_API_VERSION, |(minor, _)| minor);
    page.fact(
        "etcd_server_version",
        "Version of etcd that is spoken.",
        "server_version",
        ETCD_API_VERSION,
    );
    page.fact(
        "etcd_cluster_version",
        "Version that all members speak.",
        "cluster_version",
        minor,
    );
    page.fact("etcd_server_id", "Id of this member.", "server_id", &id);
    page.fact(
        "etcd_server_go_version",
        "Not written in Go.",
        "server_go_version",
        "none",
    );
    page.fact(
        "cfgstore_version",
        "Version of cfgstored.",
        "version",
        env!("CARGO_PKG_VERSION"),
    );
    let mut flag = |name, help, on: bool| page.gauge(name, help, u8::from(on));
    flag(
        "etcd_server_has_leader",
        "Whether this member knows a leader.",
        status.leader_id.is_some(),
    );
    flag(
        "etcd_server_is_leader",
        "Whether this member leads.",
        status.is_leader,
    );
    flag(
        "etcd_server_is_learner",
        "Whether this member has no vote.",
        status.is_learner,
    );
    let mut counter = |name, help, value: u64| page.counter(name, help, value);
    counter(
        "etcd_server_leader_changes_seen_total",
        "Changes of the leader seen.",
        stats.leader_changes,
    );
    counter(
        "etcd_server_proposals_failed_total",
        "Proposals that failed.",
        stats.proposals_failed,
    );
    counter(
        "etcd_server_slow_apply_total",
        "Entries that took long to apply.",
        stats.slow_applies,
    );
    counter(
        "etcd_server_slow_read_indexes_total",
        "Confirmations of leadership that took long.",
        stats.read_indexes_slow,
    );
    counter(
        "etcd_server_read_indexes_failed_total",
        "Confirmations of leadership that failed.",
        stats.read_indexes_failed,
    );
    counter(
        "etcd_server_heartbeat_send_failures_total",
        "Heartbeats that could not be sent.",
        stats.heartbeat_send_failures,
    );
    counter(
        "etcd_server_learner_promote_successes",
        "Learners promoted while this member led.",
        stats.learner_promotions,
    );
    counter(
        "etcd_debugging_lease_granted_total",
        "Leases granted.",
        stats.leases_granted,
    );
    counter(
        "etcd_debugging_lease_revoked_total",
        "Leases revoked or expired.",
        stats.leases_revoked,
    );
    counter(
        "etcd_debugging_lease_renewed_total",
        "Leases renewed by the leader.",
        stats.leases_renewed,
    );
    // Gauges in etcd, too, whatever their names say.
    let mut gauge = |name, help, value: u64| page.gauge(name, help, value);
    gauge(
        "etcd_server_proposals_committed_total",
        "Index of the last entry committed.",
        status.committed_index,
    );
    gauge(
        "etcd_server_proposals_applied_total",
        "Index of the last entry applied.",
        status.applied_index,
    );
    gauge(
        "etcd_server_proposals_pending",
        "Proposals under way.",
        stats.proposals_pending,
    );
    gauge(
        "etcd_server_quota_backend_bytes",
        "Size of the data above which puts are refused.",
        ctx.config.quota_backend_bytes,
    );
    gauge(
        "etcd_server_snapshot_apply_in_progress_total",
        "Snapshots being installed.",
        stats.snapshot_installs_in_progress,
    );
    // etcd does not count those that are done.
    page.counter(
        "cfgstore_snapshots_installed_total",
        "Snapshots of a leader that took the place of this member's state.",
        stats.snapshots_installed,
    );
    let labels = [("version", "v3"), ("op", "Entry"), ("success", "true")];
    page.family(
        "etcd_server_apply_duration_seconds",
        "histogram",
        "How long it takes to apply an entry.",
    );
    page.histogram_sample("etcd_server_apply_duration_seconds", &labels, &stats.apply);
}

/// What etcd counts where it handles requests, from the counts of calls.
fn requests(page: &mut Page, ctx: &Context) {
    let calls = &ctx.metrics.calls;
    let name = "etcd_server_client_requests_total";
    page.family(name, "counter", "Calls by clients, of one message or as streams.");
    for (kind, unary) in [("unary", true), ("stream", false)] {
        let started: u64 = calls
            .methods()
            .iter()
            .filter(|counts| counts.is_unary() == unary)
            .map(Counts::started)
            .sum();
        // What a client calls its version is not looked at.
        page.sample(
            name,
            &[("type", kind), ("client_api_version", "unknown")],
            started,
        );
    }
    let name = "etcd_server_request_duration_seconds";
    page.family(name, "histogram", "How long requests of keys take.");
    for (kind, method) in [
        ("range", "Range"),
        ("put", "Put"),
        ("delete_range", "DeleteRange"),
        ("txn", "Txn"),
    ] {
        for (label, success) in [("true", true), ("false", false)] {
            let durations = durations(ctx, KV, method, success);
            page.histogram_sample(name, &[("type", kind), ("success", label)], &durations);
        }
    }
    let name = "etcd_server_range_duration_seconds";
    page.family(name, "histogram", "How long ranges take.");
    page.histogram_sample(name, &[("success", "true")], &durations(ctx, KV, "Range", true));
    page.histogram_sample(name, &[("success", "false")], &durations(ctx, KV, "Range", false));
}

fn store(page: &mut Page, ctx: &Context, state: &State, status: &MemberStatus) {
    let ok = |method: &str| {
        let counts = ctx.metrics.calls.of(&format!("{KV}{method}"));
        counts.map_or(0, |counts| counts.handled(Code::Ok))
    };
    let written = state.written();
    let mut counter = |name, help, value: u64| page.counter(name, help, value);
    counter(
        "etcd_mvcc_put_total",
        "Puts applied by this member since it started.",
        written.puts,
    );
    counter(
        "etcd_mvcc_delete_total",
        "Keys deleted by this member since it started.",
        written.deletes,
    );
    counter(
        "etcd_mvcc_range_total",
        "Ranges answered by this member.",
        ok("Range"),
    );
    counter(
        "etcd_mvcc_txn_total",
        "Transactions answered by this member.",
        ok("Txn"),
    );
    counter(
        "etcd_debugging_mvcc_db_compaction_keys_total",
        "Records dropped by compactions since this member started.",
        written.compacted_records,
    );
    let mut gauge = |name, help, value: i64| page.gauge(name, help, value);
    let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    gauge(
        "etcd_mvcc_db_total_size_in_bytes",
        "Size of the files.",
        number(status.db_size_bytes),
    );
    gauge(
        "etcd_mvcc_db_total_size_in_use_in_bytes",
        "Size of the data kept.",
        number(status.db_size_in_use_bytes),
    );
    gauge(
        "etcd_mvcc_db_open_read_transactions",
        "Reads never hold up anything here: always 0.",
        0,
    );
    gauge(
        "etcd_debugging_mvcc_keys_total",
        "Keys there are.",
        number(state.key_count() as u64),
    );
    gauge(
        "etcd_debugging_mvcc_total_put_size_in_bytes",
        "Size of the keys and values put since this member started.",
        number(written.put_bytes),
    );
    gauge(
        "etcd_debugging_mvcc_current_revision",
        "The revision.",
        state.revision(),
    );
    gauge(
        "etcd_debugging_mvcc_compact_revision",
        "The revision compacted to, -1 if none.",
        state.compact_revision(),
    );
    for (name, method) in [
        ("etcd_mvcc_hash_duration_seconds", "Hash"),
        ("etcd_mvcc_hash_rev_duration_seconds", "HashKV"),
    ] {
        page.histogram(
            name,
            "How long it takes to hash the data.",
            &durations(ctx, MAINTENANCE, method, true),
        );
    }
    let compaction = in_milliseconds(durations(ctx, KV, "Compact", true));
    let name = "etcd_debugging_mvcc_db_compaction_total_duration_milliseconds";
    page.histogram(
        name,
        "How long compactions took that clients asked for.",
        &compaction,
    );
    let name = "etcd_debugging_mvcc_db_compaction_pause_duration_milliseconds";
    page.histogram(
        name,
        "How long compactions hold up others: they do not.",
        &in_milliseconds(none()),
    );
}

fn watches(page: &mut Page, ctx: &Context) {
    let counts = ctx.hub.counts();
    let streams = ctx
        .metrics
        .calls
        .of("/etcdserverpb.Watch/Watch")
        .map_or(0, Counts::open);
    page.counter(
        "etcd_debugging_mvcc_events_total",
        "Events handed to watches that were up to date.",
        counts.events,
    );
    let mut gauge = |name, help, value: u64| page.gauge(name, help, value);
    gauge(
        "etcd_debugging_mvcc_watcher_total",
        "Watches there are.",
        counts.watches as u64,
    );
    gauge(
        "etcd_debugging_mvcc_slow_watcher_total",
        "Watches that are behind.",
        counts.behind as u64,
    );
    gauge(
        "etcd_debugging_mvcc_watch_stream_total",
        "Streams of watches there are.",
        streams,
    );
    gauge(
        "etcd_debugging_mvcc_pending_events_total",
        "Events that wait between store and watches: none do.",
        0,
    );
}

fn disk(page: &mut Page, ctx: &Context, status: &MemberStatus, stats: &MemberStats) {
    let mut histogram = |name, help, histogram: &Histogram| page.histogram(name, help, histogram);
    histogram(
        "etcd_disk_wal_fsync_duration_seconds",
        "How long it takes to sync the log.",
        &stats.wal_fsync,
    );
    histogram(
        "etcd_disk_backend_commit_duration_seconds",
        "How long it takes to write a checkpoint.",
        &stats.backend_commit,
    );
    for name in [
        "etcd_disk_backend_snapshot_duration_seconds",
        "etcd_snap_db_save_total_duration_seconds",
        "etcd_snap_db_fsync_duration_seconds",
        "etcd_snap_fsync_duration_seconds",
    ] {
        histogram(
            name,
            "How long it takes to write a snapshot file, with its sync.",
            &stats.snapshot_save,
        );
    }
    // The log is written and synced in one step, which is timed as the sync.
    histogram(
        "etcd_disk_wal_write_duration_seconds",
        "Timed together with the sync of the log.",
        &none(),
    );
    histogram(
        "etcd_disk_backend_defrag_duration_seconds",
        "How long Defragment takes.",
        &durations(ctx, MAINTENANCE, "Defragment", true),
    );
    let defragment = ctx.metrics.calls.of(&format!("{MAINTENANCE}Defragment"));
    page.gauge(
        "etcd_disk_defrag_inflight",
        "Whether Defragment is under way.",
        u8::from(defragment.is_some_and(|counts| counts.open() > 0)),
    );
    page.gauge(
        "etcd_disk_wal_write_bytes_total",
        "Bytes written to the log.",
        status.log_bytes_written,
    );
}

fn network(page: &mut Page, ctx: &Context, status: &MemberStatus, stats: &MemberStats) {
    let traffic = &ctx.metrics.traffic;
    let help = "Bytes on connections of gRPC with clients.";
    page.counter(
        "etcd_network_client_grpc_sent_bytes_total",
        help,
        traffic.sent.load(Relaxed),
    );
    page.counter(
        "etcd_network_client_grpc_received_bytes_total",
        help,
        traffic.received.load(Relaxed),
    );
    let local = format!("{:x}", status.member_id);
    let peers: Vec<_> = stats
        .peers
        .iter()
        .map(|peer| (format!("{:x}", peer.id), peer))
        .collect();
    let mut family = |name, kind, help| page.family(name, kind, help);
    // A member on its own has no peers, and yet the names.
    family(
        "etcd_network_active_peers",
        "gauge",
        "Whether a peer answered lately.",
    );
    peers.iter().for_each(|(id, peer)| {
        page.sample(
            "etcd_network_active_peers",
            &[("Local", &local), ("Remote", id)],
            u8::from(peer.active),
        );
    });
    page.family("etcd_network_known_peers", "gauge", "Peers that are known.");
    peers.iter().for_each(|(id, _)| {
        page.sample(
            "etcd_network_known_peers",
            &[("Local", &local), ("Remote", id)],
            1,
        )
    });
    for (name, help, label, value) in [
        (
            "etcd_network_peer_sent_bytes_total",
            "Bytes sent to a peer.",
            "To",
            (|peer| peer.sent_bytes) as fn(&PeerStats) -> u64,
        ),
        (
            "etcd_network_peer_received_bytes_total",
            "Bytes received from a peer.",
            "From",
            |peer| peer.received_bytes,
        ),
        (
            "etcd_network_peer_sent_failures_total",
            "Calls of a peer that failed.",
            "To",
            |peer| peer.sent_failures,
        ),
    ] {
        page.family(name, "counter", help);
        peers
            .iter()
            .for_each(|(id, peer)| page.sample(name, &[(label, id)], value(peer)));
    }
    let name = "etcd_network_peer_round_trip_time_seconds";
    page.family(name, "histogram", "How long a peer takes to answer.");
    peers
        .iter()
        .for_each(|(id, peer)| page.histogram_sample(name, &[("To", id)], &peer.round_trip));
    transfers(page, "send", "To", &peers, |peer| &peer.snapshots_sent);
    transfers(page, "receive", "From", &peers, |peer| &peer.snapshots_received);
}

/// Snapshots that went one way between this member and its peers, by etcd's names.
fn transfers(
    page: &mut Page,
    way: &str,
    label: &str,
    peers: &[(String, &PeerStats)],
    stats: fn(&PeerStats) -> &TransferStats,
) {
    let mut family = |what, kind, which, count: fn(&TransferStats) -> u64| {
        let name = format!("etcd_network_snapshot_{way}_{what}");
        page.family(&name, kind, &format!("Transfers of snapshots {which}."));
        for (id, peer) in peers {
            page.sample(&name, &[(label, id)], count(stats(peer)));
        }
    };
    family("success", "counter", "that went well", |stats| stats.succeeded);
    family("failures", "counter", "that failed", |stats| stats.failed);
    family("inflights_total", "gauge", "that are under way", |stats| {
        stats.in_progress
    });
    let name = format!("etcd_network_snapshot_{way}_total_duration_seconds");
    page.family(&name, "histogram", "How long transfers of snapshots took.");
    for (id, peer) in peers {
        page.histogram_sample(&name, &[(label, id)], &stats(peer).took);
    }
}

fn health(page: &mut Page, ctx: &Context) {
    let health = &ctx.metrics.health;
    page.counter(
        "etcd_server_health_success",
        "Answers of /health that were true.",
        health.successes.load(Relaxed),
    );
    page.counter(
        "etcd_server_health_failures",
        "Answers of /health that were false.",
        health.failures.load(Relaxed),
    );
    let checks = || {
        Kind::ALL
            .into_iter()
            .flat_map(|kind| kind.checks().iter().map(move |check| (kind, *check)))
    };
    let counts = |kind: Kind, check: Check| &health.checks[kind as usize][check as usize];
    let name = "etcd_server_healthcheck";
    page.family(name, "gauge", "Whether a check succeeded when it was last made.");
    for (kind, check) in checks() {
        let last = counts(kind, check).last.load(Relaxed);
        page.sample(name, &[("type", kind.name()), ("name", check.name())], last);
    }
    let name = "etcd_server_healthchecks_total";
    page.family(name, "counter", "Checks made.");
    for (kind, check) in checks() {
        let counts = counts(kind, check);
        for (status, count) in [("success", &counts.successes), ("error", &counts.errors)] {
            let labels = [("type", kind.name()), ("name", check.name()), ("status", status)];
            page.sample(name, &labels, count.load(Relaxed));
        }
    }
}

fn mirror(page: &mut Page, ctx: &Context) {
    let Some(mirror) = ctx.metrics.mirror.get() else {
        return;
    };
    let progress = *mirror.borrow();
    page.gauge(
        "cfgstore_mirror_generation",
        "Generation of the host's mirror.",
        progress.generation,
    );
    page.gauge(
        "cfgstore_mirror_revision",
        "Revision that the host's mirror holds.",
        progress.revision,
    );
    page.gauge(
        "cfgstore_mirror_failing",
        "Whether the mirror cannot be published.",
        u8::from(progress.failing),
    );
    let secs = progress.last_publish.as_secs_f64();
    page.gauge(
        "cfgstore_mirror_publish_seconds",
        "How long it took to publish the mirror last.",
        secs,
    );
}

/// Calls, under the names of go-grpc-prometheus.
fn calls(page: &mut Page, ctx: &Context) {
    let methods = ctx.metrics.calls.methods();
    let labels = |counts: &Counts| {
        [
            ("grpc_type", counts.kind()),
            ("grpc_service", counts.service()),
            ("grpc_method", counts.method()),
        ]
        .map(|(name, value)| (name, value.to_owned()))
    };
    for (name, help, value) in [
        (
            "grpc_server_started_total",
            "Calls started.",
            Counts::started as fn(&Counts) -> u64,
        ),
        (
            "grpc_server_msg_received_total",
            "Messages received.",
            Counts::received,
        ),
        ("grpc_server_msg_sent_total", "Messages sent.", Counts::sent),
    ] {
        page.family(name, "counter", help);
        for counts in methods {
            let labels = labels(counts);
            page.sample(
                name,
                &labels.each_ref().map(|(name, value)| (*name, value.as_str())),
                value(counts),
            );
        }
    }
    let name = "grpc_server_handled_total";
    page.family(name, "counter", "Calls ended, by their outcome.");
    for counts in methods {
        let labels = labels(counts);
        for (code, text) in CODE_NAMES.into_iter().enumerate() {
            let [kind, service, method] = labels.each_ref().map(|(name, value)| (*name, value.as_str()));
            let labels = [kind, service, method, ("grpc_code", text)];
            page.sample(name, &labels, counts.handled(Code::from_i32(code as i32)));
        }
    }
    if ctx.config.extensive_metrics {
        let name = "grpc_server_handling_seconds";
        page.family(name, "histogram", "How long calls take that are no streams.");
        for counts in methods.iter().filter(|counts| counts.is_unary()) {
            let labels = labels(counts);
            let all = sum(counts.durations(true), &counts.durations(false));
            page.histogram_sample(
                name,
                &labels.each_ref().map(|(name, value)| (*name, value.as_str())),
                &all,
            );
        }
    }
}

fn process(page: &mut Page) {
    let process = Process::now();
    page.counter("process_cpu_seconds_total", "Time on a CPU.", process.cpu_secs);
    page.gauge("process_open_fds", "Files open.", process.open_fds);
    page.gauge("process_max_fds", "Files that may be open.", process.max_fds);
    page.gauge(
        "process_resident_memory_bytes",
        "Memory in use.",
        process.resident_bytes,
    );
    page.gauge(
        "process_virtual_memory_bytes",
        "Memory mapped.",
        process.virtual_bytes,
    );
    page.gauge(
        "process_start_time_seconds",
        "When the process started, in seconds since 1970.",
        process.start_unix_secs,
    );
    page.gauge("os_fd_used", "Files open.", process.open_fds);
    page.gauge("os_fd_limit", "Files that may be open.", process.max_fds);
}

fn durations(ctx: &Context, service: &str, method: &str, success: bool) -> Histogram {
    let counts = ctx.metrics.calls.of(&format!("{service}{method}"));
    counts.map(|counts| counts.durations(success)).unwrap_or_default()
}

/// No observation.
fn none() -> Histogram {
    Histogram::default()
}

fn sum(mut histogram: Histogram, other: &Histogram) -> Histogram {
    for (count, more) in histogram.counts.iter_mut().zip(&other.counts) {
        *count += more;
    }
    histogram.sum_secs += other.sum_secs;
    histogram
}

/// The same times in milliseconds, in buckets of their own.
fn in_milliseconds(histogram: Histogram) -> Histogram {
    Histogram {
        bounds_secs: &super::calls::BOUNDS_MILLIS,
        sum_secs: histogram.sum_secs * 1_000.0,
        ..histogram
    }
}
