//! The gRPC services, one file each.

mod agent;
mod auth;
mod cluster;
mod election;
mod gate;
mod health;
mod history;
mod kv;
mod lease;
mod lock;
mod maintenance;
mod notifications;
mod observe;
mod range_stream;
mod schemas;
mod snapshot;

use std::sync::Arc;

use cfgstore_proto::cfgstore::v1::agent_server::AgentServer;
use cfgstore_proto::cfgstore::v1::history_server::HistoryServer;
use cfgstore_proto::cfgstore::v1::notifications_server::NotificationsServer;
use cfgstore_proto::cfgstore::v1::schemas_server::SchemasServer;
use cfgstore_proto::etcdserverpb::auth_server::AuthServer;
use cfgstore_proto::etcdserverpb::cluster_server::ClusterServer;
use cfgstore_proto::etcdserverpb::kv_server::KvServer;
use cfgstore_proto::etcdserverpb::lease_server::LeaseServer;
use cfgstore_proto::etcdserverpb::maintenance_server::MaintenanceServer;
use cfgstore_proto::etcdserverpb::watch_server::WatchServer;
use cfgstore_proto::grpc::health::v1::health_server::HealthServer;
use cfgstore_proto::v3electionpb::election_server::ElectionServer;
use cfgstore_proto::v3lockpb::lock_server::LockServer;
use tonic::service::Routes;

pub(crate) use kv::mismatch;
pub(crate) use maintenance::ETCD_API_VERSION;

use crate::context::Context;
use crate::mirror_feed::Mirror;
use crate::watch::WatchService;

/// Every service of this server, for clients of this host (`local`) or for others. What is not among them answers
/// Unimplemented.
pub(crate) fn routes(ctx: &Arc<Context>, mirror: &Mirror, local: bool) -> Routes {
    let limit = ctx.config.max_wire_bytes();
    let kv = kv::Kv {
        ctx: ctx.clone(),
        mirror: local.then(|| mirror.progress().clone()),
    };
    let history = history::HistoryService {
        ctx: ctx.clone(),
        mirror: kv.mirror.clone(),
    };
    let agent = agent::AgentService {
        ctx: ctx.clone(),
        mirror: mirror.clone(),
        local,
    };
    let mut routes = Routes::builder();
    routes
        .add_service(KvServer::new(kv).max_decoding_message_size(limit))
        .add_service(WatchServer::new(WatchService(ctx.clone())).max_decoding_message_size(limit))
        .add_service(LeaseServer::new(lease::Leases(ctx.clone())).max_decoding_message_size(limit))
        .add_service(LockServer::new(lock::Locks(ctx.clone())).max_decoding_message_size(limit))
        .add_service(
            MaintenanceServer::new(maintenance::Maintenance(ctx.clone())).max_decoding_message_size(limit),
        )
        .add_service(ClusterServer::new(cluster::Cluster(ctx.clone())).max_decoding_message_size(limit))
        .add_service(ElectionServer::new(election::Elections(ctx.clone())).max_decoding_message_size(limit))
        .add_service(HistoryServer::new(history).max_decoding_message_size(limit))
        .add_service(AuthServer::new(auth::Auth(ctx.clone())).max_decoding_message_size(limit))
        .add_service(
            NotificationsServer::new(notifications::Notifications(ctx.clone()))
                .max_decoding_message_size(limit),
        )
        .add_service(HealthServer::new(health::Health(ctx.clone())))
        .add_service(SchemasServer::new(schemas::SchemaService(ctx.clone())).max_decoding_message_size(limit))
        .add_service(AgentServer::new(agent).max_decoding_message_size(limit));
    routes
        .routes()
        .into_axum_router()
        .layer(gate::GateLayer(ctx.clone()))
        .into()
}
