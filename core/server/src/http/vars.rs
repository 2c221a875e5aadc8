//! What the process says about itself: version, variables, metrics.

use serde_json::json;
use tonic::body::Body;
use tonic::codegen::http::{Response, StatusCode};

use super::response;
use crate::context::Context;
use crate::service::ETCD_API_VERSION;

/// The body of `/version`.
pub(super) fn version() -> String {
    json!({
        "etcdserver": ETCD_API_VERSION,
        "etcdcluster": ETCD_API_VERSION,
        "storage": ETCD_API_VERSION,
    })
    .to_string()
}

/// The body of `/debug/vars`.
pub(super) fn debug(ctx: &Context) -> String {
    let status = ctx.member.status();
    json!({
        "cfgstore.version": env!("CARGO_PKG_VERSION"),
        "raft.status": {
            "id": format!("{:x}", status.member_id),
            "lead": format!("{:x}", status.leader_id.unwrap_or(0)),
            "term": status.term,
            "commit": status.committed_index,
            "applied": status.applied_index,
        },
    })
    .to_string()
}

/// The answer to `/metrics`.
pub(super) fn metrics(ctx: &Context) -> Response<Body> {
    let page = crate::metrics::page(ctx);
    response::with_type(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", page)
}
