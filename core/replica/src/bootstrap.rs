//! How a member without data comes by its ids and its first membership.

use std::collections::{BTreeMap, BTreeSet};

use sha1::{Digest, Sha1};

use crate::MemberConfig;
use crate::cluster::{Bootstrap, InitialMember};
use crate::error::{BootstrapError, OpenError};
use crate::identity::{Identity, random_u64};
use crate::raft::types::MemberNode;
use crate::wal::log::Owner;

/// The members of a cluster that does not exist yet, by their ids. Every one of them computes the same.
pub(crate) struct InitialCluster {
    pub(crate) cluster_id: u64,
    pub(crate) members: BTreeMap<u64, MemberNode>,
    /// Which of them this one is.
    pub(crate) member_id: u64,
}

/// The first 8 bytes of a SHA-1, most significant first: how etcd makes ids.
fn id_of(parts: impl Iterator<Item = impl AsRef<[u8]>>) -> u64 {
    let mut hash = Sha1::new();
    parts.for_each(|part| hash.update(part));
    let digest = hash.finalize();
    digest
        .iter()
        .take(8)
        .fold(0, |id, byte| id << 8 | u64::from(*byte))
}

/// The id etcd gives to one of a cluster's first members.
fn member_id(peer_urls: &[String], token: &str) -> u64 {
    let sorted: BTreeSet<&str> = peer_urls.iter().map(String::as_str).collect();
    id_of(sorted.into_iter().chain([token]))
}

/// The id etcd gives to a cluster with these first members.
fn cluster_id(members: impl Iterator<Item = u64>) -> u64 {
    let sorted: BTreeSet<u64> = members.collect();
    id_of(sorted.into_iter().map(u64::to_be_bytes))
}

impl InitialCluster {
    /// Computes ids, and finds this member by its name; its peer URLs must be those in the list.
    pub(crate) fn new(
        config: &MemberConfig,
        members: &[InitialMember],
        token: &str,
    ) -> Result<InitialCluster, BootstrapError> {
        check_list(members)?;
        let this = find(config, members)?;
        let ids = members
            .iter()
            .map(|member| member_id(&member.peer_urls, token))
            .collect::<Vec<_>>();
        let member_id = members
            .iter()
            .zip(&ids)
            .find_map(|(member, id)| (member.name == this.name).then_some(*id))
            .unwrap_or_default();
        let node = |member: &InitialMember| MemberNode {
            name: member.name.clone(),
            peer_urls: member.peer_urls.clone(),
            ..MemberNode::default()
        };
        Ok(InitialCluster {
            cluster_id: cluster_id(ids.iter().copied()),
            member_id,
            members: ids.into_iter().zip(members.iter().map(node)).collect(),
        })
    }
}

/// Names and URLs occur once each, and nobody is without.
fn check_list(members: &[InitialMember]) -> Result<(), BootstrapError> {
    let (mut names, mut urls) = (BTreeSet::new(), BTreeSet::new());
    for member in members {
        if member.name.is_empty() || member.peer_urls.is_empty() {
            return Err(BootstrapError::Incomplete {
                name: member.name.clone(),
            });
        }
        if !names.insert(&member.name) {
            return Err(BootstrapError::DuplicateName {
                name: member.name.clone(),
            });
        }
        for url in &member.peer_urls {
            if !urls.insert(url) {
                return Err(BootstrapError::DuplicateUrl { url: url.clone() });
            }
        }
    }
    Ok(())
}

/// This member in the list.
fn find<'a>(
    config: &MemberConfig,
    members: &'a [InitialMember],
) -> Result<&'a InitialMember, BootstrapError> {
    let Some(this) = members.iter().find(|member| member.name == config.name) else {
        return Err(BootstrapError::NotListed {
            name: config.name.clone(),
            listed: members.iter().map(|member| member.name.clone()).collect(),
        });
    };
    let set = |urls: &'a [String]| urls.iter().collect::<BTreeSet<_>>();
    let own: BTreeSet<&String> = config.peer_urls.iter().collect();
    if set(&this.peer_urls) == own {
        Ok(this)
    } else {
        Err(BootstrapError::PeerUrlsDiffer {
            name: config.name.clone(),
            listed: this.peer_urls.clone(),
            own: config.peer_urls.clone(),
        })
    }
}

fn draw(owner: impl FnOnce() -> std::io::Result<Owner>) -> Result<Identity, OpenError> {
    let draw = || {
        Ok(Identity {
            owner: owner()?,
            life: random_u64()?,
        })
    };
    draw().map_err(|source| OpenError::Io {
        action: "draw random numbers from",
        path: "/dev/urandom".into(),
        source,
    })
}

/// Who a member is whose folder is empty.
pub(crate) async fn identity(config: &MemberConfig) -> Result<Identity, OpenError> {
    match &config.bootstrap {
        Bootstrap::Alone => draw(|| {
            Ok(Owner {
                cluster_id: random_u64()?,
                member_id: random_u64()?,
            })
        }),
        Bootstrap::New { members, token } => {
            let cluster = InitialCluster::new(config, members, token)?;
            draw(|| {
                Ok(Owner {
                    cluster_id: cluster.cluster_id,
                    member_id: cluster.member_id,
                })
            })
        }
        Bootstrap::Existing { .. } => Err(OpenError::Raft("joining is not there yet".to_owned())),
    }
}

/// The membership with which a member begins that has no log yet; `None` when others bring it in.
pub(crate) async fn first_members(
    config: &MemberConfig,
    identity: Identity,
) -> Result<Option<BTreeMap<u64, MemberNode>>, OpenError> {
    match &config.bootstrap {
        Bootstrap::Alone => {
            let node = MemberNode {
                name: config.name.clone(),
                peer_urls: config.peer_urls.clone(),
                client_urls: config.client_urls.clone(),
                life: identity.life,
                ..MemberNode::default()
            };
            Ok(Some(BTreeMap::from([(identity.owner.member_id, node)])))
        }
        Bootstrap::New { members, token } => {
            let cluster = InitialCluster::new(config, members, token)?;
            let computed = Owner {
                cluster_id: cluster.cluster_id,
                member_id: cluster.member_id,
            };
            if computed == identity.owner {
                return Ok(Some(cluster.members));
            }
            Err(BootstrapError::OtherFolder {
                folder_cluster: identity.owner.cluster_id,
                folder_member: identity.owner.member_id,
                cluster_id: computed.cluster_id,
                member_id: computed.member_id,
            }
            .into())
        }
        Bootstrap::Existing { .. } => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, urls: &[&str]) -> InitialMember {
        InitialMember {
            name: name.to_owned(),
            peer_urls: urls.iter().map(|url| (*url).to_owned()).collect(),
        }
    }

    fn config(name: &str, urls: &[&str]) -> MemberConfig {
        let mut config = MemberConfig::new("unused");
        config.name = name.to_owned();
        config.peer_urls = member(name, urls).peer_urls;
        config
    }

    #[test]
    fn ids_are_those_of_etcd() {
        // From etcd's own test of them.
        assert_eq!(
            member_id(&["http://10.0.0.8:2379".to_owned()], ""),
            14_544_069_596_553_697_298
        );
        let urls = |urls: &[&str]| member("x", urls).peer_urls;
        assert_eq!(
            member_id(&urls(&["http://b:1", "http://a:1"]), "t"),
            member_id(&urls(&["http://a:1", "http://b:1"]), "t")
        );
    }

    #[test]
    fn all_members_compute_the_same_cluster() {
        let list = [
            member("a", &["http://a:2380"]),
            member("b", &["http://b:2380", "http://b2:2380"]),
        ];
        let a = InitialCluster::new(&config("a", &["http://a:2380"]), &list, "t").unwrap();
        let reversed = [list[1].clone(), list[0].clone()];
        let b_config = config("b", &["http://b2:2380", "http://b:2380"]);
        let b = InitialCluster::new(&b_config, &reversed, "t").unwrap();
        assert_eq!((a.cluster_id, &a.members), (b.cluster_id, &b.members));
        assert_ne!(a.member_id, b.member_id);
        let other = InitialCluster::new(&config("a", &["http://a:2380"]), &list, "u").unwrap();
        assert_ne!(other.cluster_id, a.cluster_id);
    }

    #[test]
    fn contradictions_are_named() {
        let list = [member("a", &["http://a:1"]), member("b", &["http://b:1"])];
        let refused = |config: &MemberConfig, list: &[InitialMember]| {
            InitialCluster::new(config, list, "t")
                .err()
                .map(|error| error.to_string())
                .unwrap_or_default()
        };
        assert!(refused(&config("c", &["http://a:1"]), &list).contains("a, b"));
        assert!(refused(&config("a", &["http://x:1"]), &list).contains("http://x:1"));
        let twice = [list[0].clone(), member("a", &["http://c:1"])];
        assert!(refused(&config("a", &["http://a:1"]), &twice).contains("more than once"));
        let same_url = [list[0].clone(), member("b", &["http://a:1"])];
        assert!(refused(&config("a", &["http://a:1"]), &same_url).contains("http://a:1"));
        let nowhere = [list[0].clone(), member("b", &[])];
        assert!(refused(&config("a", &["http://a:1"]), &nowhere).contains("no peer URL"));
    }
}
