//! etcd's Cluster service: who the members are, and changes of that. In its headers etcd leaves the revision out.

use std::sync::Arc;

use cfgstore_proto::etcdserverpb as pb;
use cfgstore_proto::etcdserverpb::cluster_server;
use cfgstore_replica::MemberInfo;
use tonic::codegen::http::Uri;
use tonic::{Request, Response, Status};

use crate::context::Context;
use crate::errors;

pub(super) struct Cluster(pub Arc<Context>);

impl Cluster {
    fn members(&self) -> Vec<pb::Member> {
        self.0
            .member
            .members()
            .into_iter()
            .map(|info| self.member(info))
            .collect()
    }

    fn member(&self, info: MemberInfo) -> pb::Member {
        let own = info.id == self.0.member_id;
        pb::Member {
            id: info.id,
            name: info.name,
            peer_ur_ls: info.peer_urls,
            // What this member serves on it knows before the others are told.
            client_ur_ls: if own && info.client_urls.is_empty() {
                self.0.config.client_urls()
            } else {
                info.client_urls
            },
            is_learner: info.is_learner,
        }
    }

    fn header(&self) -> Option<pb::ResponseHeader> {
        Some(self.0.header(0))
    }
}

/// Peer URLs as etcd takes them: scheme, host and port, and nothing else; sorted.
fn peer_urls(mut urls: Vec<String>) -> Result<Vec<String>, Status> {
    if urls.is_empty() || !urls.iter().all(|url| is_peer_url(url)) {
        return Err(errors::invalid_urls());
    }
    urls.sort();
    Ok(urls)
}

fn is_peer_url(url: &str) -> bool {
    let Ok(uri) = url.parse::<Uri>() else {
        return false;
    };
    let has_scheme = matches!(uri.scheme_str(), Some("http" | "https"));
    let has_port = uri.port_u16().is_some() && uri.host().is_some_and(|host| !host.is_empty());
    let no_user = uri
        .authority()
        .is_some_and(|authority| !authority.as_str().contains('@'));
    // The parser adds the slash, which etcd would take for a path.
    has_scheme && has_port && no_user && uri.path() == "/" && !url.ends_with('/') && uri.query().is_none()
}

#[tonic::async_trait]
impl cluster_server::Cluster for Cluster {
    async fn member_list(
        &self,
        request: Request<pb::MemberListRequest>,
    ) -> Result<Response<pb::MemberListResponse>, Status> {
        if request.into_inner().linearizable {
            self.0.linearizable().await?;
        }
        Ok(Response::new(pb::MemberListResponse {
            header: self.header(),
            members: self.members(),
        }))
    }

    async fn member_add(
        &self,
        request: Request<pb::MemberAddRequest>,
    ) -> Result<Response<pb::MemberAddResponse>, Status> {
        let request = request.into_inner();
        let urls = peer_urls(request.peer_ur_ls)?;
        let added = self
            .0
            .member
            .add_member(urls, request.is_learner)
            .await
            .map_err(errors::of_membership)?;
        Ok(Response::new(pb::MemberAddResponse {
            header: self.header(),
            member: Some(self.member(added)),
            members: self.members(),
        }))
    }

    async fn member_remove(
        &self,
        request: Request<pb::MemberRemoveRequest>,
    ) -> Result<Response<pb::MemberRemoveResponse>, Status> {
        self.0
            .member
            .remove_member(request.into_inner().id)
            .await
            .map_err(errors::of_membership)?;
        Ok(Response::new(pb::MemberRemoveResponse {
            header: self.header(),
            members: self.members(),
        }))
    }

    async fn member_update(
        &self,
        request: Request<pb::MemberUpdateRequest>,
    ) -> Result<Response<pb::MemberUpdateResponse>, Status> {
        let request = request.into_inner();
        let urls = peer_urls(request.peer_ur_ls)?;
        self.0
            .member
            .update_member(request.id, urls)
            .await
            .map_err(errors::of_membership)?;
        Ok(Response::new(pb::MemberUpdateResponse {
            header: self.header(),
            members: self.members(),
        }))
    }

    async fn member_promote(
        &self,
        request: Request<pb::MemberPromoteRequest>,
    ) -> Result<Response<pb::MemberPromoteResponse>, Status> {
        self.0
            .member
            .promote_member(request.into_inner().id)
            .await
            .map_err(errors::of_membership)?;
        Ok(Response::new(pb::MemberPromoteResponse {
            header: self.header(),
            members: self.members(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_url_is_scheme_host_and_port() {
        let accepted = ["http://b:2380", "https://10.0.0.1:2380", "http://[::1]:2380"];
        let urls = peer_urls(accepted.map(str::to_owned).to_vec()).unwrap();
        assert!(urls.is_sorted() && urls.len() == 3);
        for refused in [
            "",
            "b:2380",
            "http://b",
            "http://:2380",
            "ftp://b:2380",
            "http://b:2380/",
            "http://b:2380/path",
            "http://b:2380?x=1",
            "http://user@b:2380",
            "http://b:port",
        ] {
            let status = peer_urls(vec!["http://a:1".into(), refused.into()]).unwrap_err();
            assert_eq!(
                status.message(),
                "etcdserver: given member URLs are invalid",
                "{refused}"
            );
        }
        peer_urls(Vec::new()).unwrap_err();
    }
}
