//! How a member without data comes by its ids and its first membership.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sha1::{Digest, Sha1};
use tokio::time::Instant;

use crate::MemberConfig;
use crate::cluster::{Bootstrap, InitialMember};
use crate::error::{BootstrapError, OpenError};
use crate::identity::{Identity, random_u64};
use crate::raft::types::MemberNode;
use crate::wal::log::Owner;

mod ask;

use ask::{Answer, Asked};

/// How long an existing cluster is looked for.
const JOIN_TIMEOUT: Duration = Duration::from_secs(60);
/// For how long after the first answer this member may still be unknown: not all members learn at once that it was
/// added.
const UNKNOWN_FOR: Duration = Duration::from_secs(5);
/// Pause between two rounds of asking.
const ASK_AGAIN: Duration = Duration::from_millis(200);

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

fn draw(since: u64, owner: impl FnOnce() -> std::io::Result<Owner>) -> Result<Identity, OpenError> {
    let draw = || {
        Ok(Identity {
            owner: owner()?,
            life: random_u64()?,
            since: Some(since),
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
        Bootstrap::Alone => draw(0, || {
            Ok(Owner {
                cluster_id: random_u64()?,
                member_id: random_u64()?,
            })
        }),
        Bootstrap::New { members, token } => {
            let cluster = InitialCluster::new(config, members, token)?;
            let asked = ask::all(config, members).await;
            check_not_running(config, &cluster, None, &asked)?;
            draw(0, || {
                Ok(Owner {
                    cluster_id: cluster.cluster_id,
                    member_id: cluster.member_id,
                })
            })
        }
        Bootstrap::Existing { members } => {
            check_list(members)?;
            find(config, members)?;
            let (owner, since) = join(config, members).await?;
            draw(since, || Ok(owner))
        }
    }
}

/// A new cluster that runs already, and knows this member to have started, has lost nothing; this member has.
fn check_not_running(
    config: &MemberConfig,
    cluster: &InitialCluster,
    life: Option<u64>,
    asked: &[Asked],
) -> Result<(), BootstrapError> {
    let answers = asked.iter().filter_map(|asked| asked.answer.as_ref().ok());
    for answer in
        answers.filter(|answer| answer.cluster_id == cluster.cluster_id && !answer.members.is_empty())
    {
        match answer.members.get(&cluster.member_id) {
            None => {
                return Err(BootstrapError::NotAdded {
                    cluster_id: cluster.cluster_id,
                    name: config.name.clone(),
                    peer_urls: config.peer_urls.clone(),
                });
            }
            Some(known) if known.life != 0 && Some(known.life) != life => {
                return Err(BootstrapError::AlreadyBootstrapped {
                    member_id: cluster.member_id,
                    name: config.name.clone(),
                });
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// Asks the members of an existing cluster who this one is, until one knows; and what that one had applied.
async fn join(config: &MemberConfig, members: &[InitialMember]) -> Result<(Owner, u64), BootstrapError> {
    let started = Instant::now();
    let mut first_answer = None;
    loop {
        let asked = ask::all(config, members).await;
        let newest = asked
            .iter()
            .filter_map(|asked| asked.answer.as_ref().ok())
            .filter(|answer| !answer.members.is_empty())
            .max_by_key(|answer| answer.applied_index);
        match newest.map(|answer| Ok((find_in(config, answer)?, answer.applied_index))) {
            Some(Err(BootstrapError::NotAdded { .. }))
                if first_answer.get_or_insert_with(Instant::now).elapsed() < UNKNOWN_FOR => {}
            Some(found) => return found,
            None if started.elapsed() >= JOIN_TIMEOUT => {
                return Err(BootstrapError::NoAnswer {
                    waited_ms: JOIN_TIMEOUT.as_millis() as u64,
                    answers: asked.iter().map(ToString::to_string).collect(),
                });
            }
            None => {}
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
}

/// This member in a cluster's answer: by its peer URLs, among those that have not started yet.
fn find_in(config: &MemberConfig, answer: &Answer) -> Result<Owner, BootstrapError> {
    let own: BTreeSet<&String> = config.peer_urls.iter().collect();
    let found = answer
        .members
        .iter()
        .find(|(_, node)| node.peer_urls.iter().collect::<BTreeSet<_>>() == own);
    match found {
        None => Err(BootstrapError::NotAdded {
            cluster_id: answer.cluster_id,
            name: config.name.clone(),
            peer_urls: config.peer_urls.clone(),
        }),
        Some((id, node)) if node.life != 0 => Err(BootstrapError::AlreadyBootstrapped {
            member_id: *id,
            name: config.name.clone(),
        }),
        Some((id, _)) => Ok(Owner {
            cluster_id: answer.cluster_id,
            member_id: *id,
        }),
    }
}

/// The membership with which a member begins that has no log yet; `None` when others bring it in. `asked_already` says
/// that the identity was made a moment ago, with the others asked.
pub(crate) async fn first_members(
    config: &MemberConfig,
    identity: Identity,
    asked_already: bool,
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
            if computed != identity.owner {
                let error = BootstrapError::OtherFolder {
                    folder_cluster: identity.owner.cluster_id,
                    folder_member: identity.owner.member_id,
                    cluster_id: computed.cluster_id,
                    member_id: computed.member_id,
                };
                return Err(error.into());
            }
            if !asked_already {
                let asked = ask::all(config, members).await;
                check_not_running(config, &cluster, Some(identity.life), &asked)?;
            }
            Ok(Some(cluster.members))
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

    fn answer(cluster_id: u64, members: impl IntoIterator<Item = (u64, MemberNode)>) -> Answer {
        Answer {
            cluster_id,
            members: members.into_iter().collect(),
            applied_index: 7,
        }
    }

    fn asked(answer: Answer) -> [Asked; 1] {
        [Asked {
            url: "http://b:1".to_owned(),
            answer: Ok(answer),
        }]
    }

    #[test]
    fn a_first_member_that_lost_its_folder_is_refused() {
        let list = [member("a", &["http://a:1"]), member("b", &["http://b:1"])];
        let config = config("a", &["http://a:1"]);
        let cluster = InitialCluster::new(&config, &list, "t").unwrap();
        let known = |life| {
            let node = MemberNode {
                life,
                ..MemberNode::default()
            };
            asked(answer(cluster.cluster_id, [(cluster.member_id, node)]))
        };
        let check = |life, asked: &[Asked]| check_not_running(&config, &cluster, life, asked);
        assert_eq!(check(None, &known(0)), Ok(()));
        assert_eq!(check(Some(5), &known(5)), Ok(()));
        for life in [None, Some(6)] {
            assert!(matches!(
                check(life, &known(5)),
                Err(BootstrapError::AlreadyBootstrapped { .. })
            ));
        }
        let removed = asked(answer(cluster.cluster_id, [(1, MemberNode::default())]));
        assert!(matches!(
            check(None, &removed),
            Err(BootstrapError::NotAdded { .. })
        ));
        let other_cluster = asked(answer(1, [(1, MemberNode::default())]));
        assert_eq!(check(None, &other_cluster), Ok(()));
        assert_eq!(check(None, &asked(answer(cluster.cluster_id, []))), Ok(()));
    }

    #[test]
    fn who_joins_is_found_by_its_peer_urls_and_must_be_new() {
        let config = config("c", &["http://c:1", "http://c:2"]);
        let node = |urls: &[&str], life| MemberNode {
            peer_urls: member("x", urls).peer_urls,
            life,
            ..MemberNode::default()
        };
        let found = |nodes: [(u64, MemberNode); 1]| find_in(&config, &answer(3, nodes));
        assert_eq!(
            found([(9, node(&["http://c:2", "http://c:1"], 0))]),
            Ok(Owner {
                cluster_id: 3,
                member_id: 9
            })
        );
        assert!(matches!(
            found([(9, node(&["http://c:2", "http://c:1"], 4))]),
            Err(BootstrapError::AlreadyBootstrapped { member_id: 9, .. })
        ));
        let error = found([(9, node(&["http://c:1"], 0))]).unwrap_err();
        assert!(error.to_string().contains("cfgctl member add c"), "{error}");
    }
}
