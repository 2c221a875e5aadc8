//! Asking other members what cluster they are, before this one is a member itself.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use cfgstore_proto::cfgstore::peer::v1 as pb;
use cfgstore_proto::cfgstore::peer::v1::join_client::JoinClient;
use futures_util::future::join_all;
use tonic::transport::Endpoint;

use crate::MemberConfig;
use crate::cluster::InitialMember;
use crate::raft::types::MemberNode;

/// How long one member is given to answer.
const LIMIT: Duration = Duration::from_secs(1);

/// What a member says of its cluster.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) cluster_id: u64,
    /// Empty when it knows of none itself.
    pub(super) members: BTreeMap<u64, MemberNode>,
    /// How much of the log it has seen.
    pub(super) applied_index: u64,
}

/// A peer URL, and what came back from there.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) url: String,
    pub(super) answer: Result<Answer, String>,
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.answer {
            Ok(answer) if answer.members.is_empty() => write!(f, "{} knows no members itself", self.url),
            Ok(answer) => write!(f, "{} belongs to cluster {:016x}", self.url, answer.cluster_id),
            Err(error) => write!(f, "{}: {error}", self.url),
        }
    }
}

/// Asks all of these members but this one, all at once.
pub(super) async fn all(config: &MemberConfig, members: &[InitialMember]) -> Vec<Asked> {
    let urls = members
        .iter()
        .filter(|member| member.name != config.name)
        .flat_map(|member| &member.peer_urls)
        .filter(|url| !config.peer_urls.contains(url));
    join_all(urls.map(|url| one(config, url))).await
}

async fn one(config: &MemberConfig, url: &str) -> Asked {
    #[cfg(test)]
    let reached = config.reach.get(url).cloned().unwrap_or_else(|| url.to_owned());
    #[cfg(not(test))]
    let reached = {
        let _ = config;
        url.to_owned()
    };
    let answer = match tokio::time::timeout(LIMIT, ask(reached)).await {
        Ok(answer) => answer,
        Err(_) => Err(format!("no answer within {LIMIT:?}")),
    };
    Asked {
        url: url.to_owned(),
        answer,
    }
}

async fn ask(url: String) -> Result<Answer, String> {
    let endpoint = Endpoint::from_shared(url).map_err(|error| error.to_string())?;
    let channel = endpoint.connect().await.map_err(|error| {
        // tonic's own text says no more than "transport error".
        std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string)
    })?;
    let response = JoinClient::new(channel).cluster(pb::ClusterRequest {}).await;
    let response = response
        .map_err(|status| status.message().to_owned())?
        .into_inner();
    let member = |member: pb::Member| {
        let node = MemberNode {
            name: member.name,
            peer_urls: member.peer_urls,
            client_urls: member.client_urls,
            life: member.life,
            promote_when_ready: false,
        };
        (member.id, node)
    };
    Ok(Answer {
        cluster_id: response.cluster_id,
        members: response.members.into_iter().map(member).collect(),
        applied_index: response.applied_index,
    })
}
