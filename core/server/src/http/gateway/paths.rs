//! etcd's paths, and the method that each stands for.

use std::collections::HashMap;

use prost_reflect::DescriptorPool;
use tonic::codegen::http::uri::PathAndQuery;

use super::Call;

/// Path below `/v3/`, service, method.
const PATHS: [(&str, &str, &str); 51] = [
    ("kv/range", "etcdserverpb.KV", "Range"),
    ("kv/put", "etcdserverpb.KV", "Put"),
    ("kv/deleterange", "etcdserverpb.KV", "DeleteRange"),
    ("kv/txn", "etcdserverpb.KV", "Txn"),
    ("kv/compaction", "etcdserverpb.KV", "Compact"),
    ("watch", "etcdserverpb.Watch", "Watch"),
    ("lease/grant", "etcdserverpb.Lease", "LeaseGrant"),
    ("lease/revoke", "etcdserverpb.Lease", "LeaseRevoke"),
    ("lease/keepalive", "etcdserverpb.Lease", "LeaseKeepAlive"),
    ("lease/timetolive", "etcdserverpb.Lease", "LeaseTimeToLive"),
    ("lease/leases", "etcdserverpb.Lease", "LeaseLeases"),
    ("kv/lease/revoke", "etcdserverpb.Lease", "LeaseRevoke"),
    ("kv/lease/timetolive", "etcdserverpb.Lease", "LeaseTimeToLive"),
    ("kv/lease/leases", "etcdserverpb.Lease", "LeaseLeases"),
    ("cluster/member/add", "etcdserverpb.Cluster", "MemberAdd"),
    ("cluster/member/remove", "etcdserverpb.Cluster", "MemberRemove"),
    ("cluster/member/update", "etcdserverpb.Cluster", "MemberUpdate"),
    ("cluster/member/list", "etcdserverpb.Cluster", "MemberList"),
    ("cluster/member/promote", "etcdserverpb.Cluster", "MemberPromote"),
    ("maintenance/alarm", "etcdserverpb.Maintenance", "Alarm"),
    ("maintenance/status", "etcdserverpb.Maintenance", "Status"),
    ("maintenance/defragment", "etcdserverpb.Maintenance", "Defragment"),
    ("maintenance/hash", "etcdserverpb.Maintenance", "Hash"),
    ("maintenance/hashkv", "etcdserverpb.Maintenance", "HashKV"),
    ("maintenance/snapshot", "etcdserverpb.Maintenance", "Snapshot"),
    (
        "maintenance/transfer-leadership",
        "etcdserverpb.Maintenance",
        "MoveLeader",
    ),
    ("maintenance/downgrade", "etcdserverpb.Maintenance", "Downgrade"),
    ("auth/enable", "etcdserverpb.Auth", "AuthEnable"),
    ("auth/disable", "etcdserverpb.Auth", "AuthDisable"),
    ("auth/status", "etcdserverpb.Auth", "AuthStatus"),
    ("auth/authenticate", "etcdserverpb.Auth", "Authenticate"),
    ("auth/user/add", "etcdserverpb.Auth", "UserAdd"),
    ("auth/user/get", "etcdserverpb.Auth", "UserGet"),
    ("auth/user/list", "etcdserverpb.Auth", "UserList"),
    ("auth/user/delete", "etcdserverpb.Auth", "UserDelete"),
    ("auth/user/changepw", "etcdserverpb.Auth", "UserChangePassword"),
    ("auth/user/grant", "etcdserverpb.Auth", "UserGrantRole"),
    ("auth/user/revoke", "etcdserverpb.Auth", "UserRevokeRole"),
    ("auth/role/add", "etcdserverpb.Auth", "RoleAdd"),
    ("auth/role/get", "etcdserverpb.Auth", "RoleGet"),
    ("auth/role/list", "etcdserverpb.Auth", "RoleList"),
    ("auth/role/delete", "etcdserverpb.Auth", "RoleDelete"),
    ("auth/role/grant", "etcdserverpb.Auth", "RoleGrantPermission"),
    ("auth/role/revoke", "etcdserverpb.Auth", "RoleRevokePermission"),
    ("lock/lock", "v3lockpb.Lock", "Lock"),
    ("lock/unlock", "v3lockpb.Lock", "Unlock"),
    ("election/campaign", "v3electionpb.Election", "Campaign"),
    ("election/proclaim", "v3electionpb.Election", "Proclaim"),
    ("election/leader", "v3electionpb.Election", "Leader"),
    ("election/observe", "v3electionpb.Election", "Observe"),
    ("election/resign", "v3electionpb.Election", "Resign"),
];

/// What the `.proto` files say.
pub(super) fn descriptors() -> DescriptorPool {
    DescriptorPool::decode(cfgstore_proto::FILE_DESCRIPTOR_SET).expect("the build wrote the descriptors")
}

/// What each path, with its `/v3/`, stands for.
pub(super) fn calls() -> HashMap<String, Call> {
    let pool = descriptors();
    let call = |service: &str, method: &str| {
        let path = format!("/{service}/{method}");
        let service = pool.get_service_by_name(service)?;
        let method = service.methods().find(|found| found.name() == method)?;
        let path = PathAndQuery::try_from(path).ok()?;
        Some(Call { method, path })
    };
    let entry = |&(path, service, method): &(&str, &str, &str)| {
        let call = call(service, method).expect("each path stands for a method that there is");
        (format!("/v3/{path}"), call)
    };
    PATHS.iter().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_method_of_etcd_has_a_path_but_the_one_that_has_none_there() {
        let reached: BTreeSet<String> = calls().values().map(|call| call.path.to_string()).collect();
        let missing: Vec<String> = descriptors()
            .services()
            .filter(|service| {
                let name = service.full_name();
                !name.starts_with("cfgstore.") && !name.starts_with("grpc.")
            })
            .flat_map(|service| {
                let name = service.full_name().to_owned();
                service
                    .methods()
                    .map(|method| format!("/{name}/{}", method.name()))
                    .collect::<Vec<_>>()
            })
            .filter(|path| !reached.contains(path))
            .collect();
        assert_eq!(missing, ["/etcdserverpb.KV/RangeStream"]);
        assert_eq!(calls().len(), PATHS.len());
    }
}
