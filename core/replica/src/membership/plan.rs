//! What a change makes of a membership, or why it is refused: etcd's rules, without any I/O.

use std::collections::{BTreeMap, BTreeSet};

use openraft::ChangeMembers;

use super::{Change, Published};
use crate::cluster::MembershipError;
use crate::raft::types::{MemberNode, Membership};

/// What a plan depends on besides the membership.
pub(super) struct Circumstances {
    /// The leader, which plans.
    pub(super) leader: u64,
    pub(super) max_learners: usize,
    pub(super) strict: bool,
    /// Members that the leader has heard from lately, itself among them.
    pub(super) heard: BTreeSet<u64>,
    /// Learners that have caught up with the leader.
    pub(super) ready: BTreeSet<u64>,
}

/// What is to be asked of openraft.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// The membership is like that already.
    Nothing,
    Change(ChangeMembers<u64, MemberNode>),
    /// The leader steps aside.
    MoveLeader(u64),
}

type Planned = Result<Plan, MembershipError>;

/// Plans a change of a membership that is not joint.
pub(super) fn plan(membership: &Membership, change: &Change, now: &Circumstances) -> Planned {
    let view = View::of(membership);
    match change {
        Change::Add {
            id,
            peer_urls,
            learner,
        } => view.add(*id, peer_urls, *learner, now),
        Change::Remove { id } => view.remove(*id, now),
        Change::Update { id, peer_urls } => view.update(*id, peer_urls),
        Change::Promote { id } => view.promote(*id, now),
        Change::Publish(published) => view.publish(published),
        Change::MoveLeader { to } => view.move_leader(*to, now),
    }
}

/// The voters' change that a learner with the mark becomes by being caught up.
pub(super) fn promotion(id: u64, node: &MemberNode) -> ChangeMembers<u64, MemberNode> {
    let node = MemberNode {
        promote_when_ready: false,
        ..node.clone()
    };
    ChangeMembers::Batch(vec![
        ChangeMembers::SetNodes(BTreeMap::from([(id, node)])),
        ChangeMembers::AddVoterIds(BTreeSet::from([id])),
    ])
}

fn majority(members: usize) -> usize {
    members / 2 + 1
}

/// Whether a peer URL is of the form that the transport can use.
pub(super) fn check_urls(urls: &[String]) -> Result<(), MembershipError> {
    let is_valid = |url: &str| {
        let rest = url
            .strip_prefix("http://")
            .or_else(|| url.strip_prefix("https://"));
        let Some((host, port)) = rest.and_then(|rest| rest.rsplit_once(':')) else {
            return false;
        };
        !host.is_empty()
            && !host.contains(['/', '?', '#', '@', ' '])
            && port.parse::<u16>().is_ok_and(|port| port > 0)
    };
    match urls.iter().find(|url| !is_valid(url)) {
        Some(url) => Err(MembershipError::InvalidUrl { url: url.clone() }),
        None if urls.is_empty() => Err(MembershipError::InvalidUrl { url: String::new() }),
        None => Ok(()),
    }
}

struct View<'a> {
    nodes: BTreeMap<u64, &'a MemberNode>,
    voters: BTreeSet<u64>,
}

impl<'a> View<'a> {
    fn of(membership: &'a Membership) -> Self {
        View {
            nodes: membership.nodes().map(|(id, node)| (*id, node)).collect(),
            voters: membership.voter_ids().collect(),
        }
    }

    fn node(&self, id: u64) -> Result<&'a MemberNode, MembershipError> {
        self.nodes
            .get(&id)
            .copied()
            .ok_or(MembershipError::NotFound { id })
    }

    fn is_learner(&self, id: u64) -> bool {
        !self.voters.contains(&id) && self.nodes.get(&id).is_some_and(|node| !node.promote_when_ready)
    }

    /// Members that vote, or will when they have caught up: etcd's voting members.
    fn voting(&self) -> impl Iterator<Item = (u64, &'a MemberNode)> {
        self.nodes
            .iter()
            .filter(|(id, _)| !self.is_learner(**id))
            .map(|(id, node)| (*id, *node))
    }

    fn check_free(&self, urls: &[String], except: u64) -> Result<(), MembershipError> {
        check_urls(urls)?;
        for (id, node) in self.nodes.iter().filter(|(id, _)| **id != except) {
            if let Some(url) = urls.iter().find(|url| node.peer_urls.contains(url)) {
                return Err(MembershipError::PeerUrlExists {
                    url: url.clone(),
                    id: *id,
                });
            }
        }
        Ok(())
    }

    fn add(&self, id: u64, peer_urls: &[String], learner: bool, now: &Circumstances) -> Planned {
        if let Some(node) = self.nodes.get(&id) {
            // Asked a second time, since the first answer was lost.
            return if node.peer_urls == peer_urls {
                Ok(Plan::Nothing)
            } else {
                Err(MembershipError::IdExists { id })
            };
        }
        self.check_free(peer_urls, id)?;
        let learners = self.nodes.keys().filter(|id| self.is_learner(**id)).count();
        if learner && learners >= now.max_learners {
            return Err(MembershipError::TooManyLearners {
                limit: now.max_learners,
            });
        }
        if now.strict {
            let voting = self.voting().count() + 1;
            let started = self.voting().filter(|(_, node)| node.life != 0).count();
            // A group of one may always get a second member, though it then waits for it.
            if !learner && started < majority(voting) && !(started == 1 && voting == 2) {
                return Err(MembershipError::NotEnoughStarted);
            }
            // One more member raises the number that a majority needs, so none of those there are may be missing.
            if !self.voting().all(|(id, _)| now.heard.contains(&id)) {
                return Err(MembershipError::Unhealthy);
            }
        }
        let node = MemberNode {
            peer_urls: peer_urls.to_vec(),
            promote_when_ready: !learner,
            ..MemberNode::default()
        };
        Ok(Plan::Change(ChangeMembers::AddNodes(BTreeMap::from([(
            id, node,
        )]))))
    }

    fn remove(&self, id: u64, now: &Circumstances) -> Planned {
        self.node(id)?;
        if self.voters.len() == 1 && self.voters.contains(&id) {
            // Nobody would be left to decide anything.
            return Err(MembershipError::NotEnoughStarted);
        }
        if now.strict && !self.is_learner(id) {
            let rest = self.voting().filter(|(other, _)| *other != id);
            let (voting, started) = rest.fold((0, 0), |(voting, started), (_, node)| {
                (voting + 1, started + usize::from(node.life != 0))
            });
            if started < majority(voting) {
                return Err(MembershipError::NotEnoughStarted);
            }
            let is_enough = |members: BTreeSet<u64>| {
                let heard = members.iter().filter(|other| now.heard.contains(other));
                heard.count() >= majority(members.len())
            };
            let without =
                |members: &mut dyn Iterator<Item = u64>| members.filter(|other| *other != id).collect();
            // One that is down already is no loss. etcd counts all voting members; those that have a vote already must be
            // enough on their own.
            let is_safe = is_enough(without(&mut self.voting().map(|(id, _)| id)))
                && is_enough(without(&mut self.voters.iter().copied()));
            if now.heard.contains(&id) && !is_safe {
                return Err(MembershipError::Unhealthy);
            }
        }
        let ids = BTreeSet::from([id]);
        Ok(Plan::Change(if self.voters.contains(&id) {
            ChangeMembers::RemoveVoters(ids)
        } else {
            ChangeMembers::RemoveNodes(ids)
        }))
    }

    fn set(id: u64, old: &MemberNode, node: MemberNode) -> Plan {
        if *old == node {
            return Plan::Nothing;
        }
        Plan::Change(ChangeMembers::SetNodes(BTreeMap::from([(id, node)])))
    }

    fn update(&self, id: u64, peer_urls: &[String]) -> Planned {
        let old = self.node(id)?;
        self.check_free(peer_urls, id)?;
        let node = MemberNode {
            peer_urls: peer_urls.to_vec(),
            ..old.clone()
        };
        Ok(Self::set(id, old, node))
    }

    fn promote(&self, id: u64, now: &Circumstances) -> Planned {
        let node = self.node(id)?;
        if !self.is_learner(id) {
            return Err(MembershipError::NotLearner { id });
        }
        if !now.ready.contains(&id) {
            return Err(MembershipError::LearnerNotReady { id });
        }
        if now.strict {
            // The learner counts, and has started: it has caught up.
            let voting = self.voting().count() + 1;
            let started = 1 + self.voting().filter(|(_, node)| node.life != 0).count();
            if started < majority(voting) {
                return Err(MembershipError::NotEnoughStarted);
            }
        }
        Ok(Plan::Change(promotion(id, node)))
    }

    fn publish(&self, published: &Published) -> Planned {
        let old = self.node(published.id)?;
        Ok(Self::set(published.id, old, published.merged(old)))
    }

    fn move_leader(&self, to: Option<u64>, now: &Circumstances) -> Planned {
        let can_lead = |id: u64| self.voters.contains(&id) && now.heard.contains(&id);
        match to {
            Some(to) if to == now.leader => Ok(Plan::Nothing),
            Some(to) if can_lead(to) => Ok(Plan::MoveLeader(to)),
            Some(to) => Err(MembershipError::BadTransferee { id: to }),
            None => self
                .voters
                .iter()
                .copied()
                .find(|id| *id != now.leader && can_lead(*id))
                .map(Plan::MoveLeader)
                .ok_or(MembershipError::BadTransferee { id: 0 }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "http://10.0.0.9:2380";

    fn node(id: u64, life: u64) -> MemberNode {
        MemberNode {
            name: format!("m{id}"),
            peer_urls: vec![format!("http://10.0.0.{id}:2380")],
            life,
            ..MemberNode::default()
        }
    }

    /// Started voters 1 to `voters`.
    fn cluster(voters: u64) -> Membership {
        with(voters, [])
    }

    fn with(voters: u64, others: impl IntoIterator<Item = (u64, MemberNode)>) -> Membership {
        let ids: BTreeSet<u64> = (1..=voters).collect();
        let nodes: BTreeMap<u64, MemberNode> =
            ids.iter().map(|id| (*id, node(*id, 7))).chain(others).collect();
        Membership::new(vec![ids], nodes).unwrap()
    }

    fn pending(id: u64, life: u64) -> (u64, MemberNode) {
        let node = MemberNode {
            promote_when_ready: true,
            ..node(id, life)
        };
        (id, node)
    }

    fn now(heard: impl IntoIterator<Item = u64>) -> Circumstances {
        Circumstances {
            leader: 1,
            max_learners: 1,
            strict: true,
            heard: heard.into_iter().collect(),
            ready: BTreeSet::new(),
        }
    }

    fn add(learner: bool) -> Change {
        Change::Add {
            id: 9,
            peer_urls: vec![URL.to_owned()],
            learner,
        }
    }

    #[test]
    fn a_voter_is_added_as_a_learner_with_a_mark() {
        let Plan::Change(ChangeMembers::AddNodes(nodes)) = plan(&cluster(1), &add(false), &now([1])).unwrap()
        else {
            panic!()
        };
        assert!(nodes[&9].promote_when_ready);
        assert_eq!(nodes[&9].life, 0);
        // Asked again, with the answer lost.
        let added = with(1, [(9, nodes[&9].clone())]);
        assert_eq!(plan(&added, &add(false), &now([1])), Ok(Plan::Nothing));
    }

    #[test]
    fn urls_must_be_valid_and_free() {
        let change = |url: &str| Change::Add {
            id: 9,
            peer_urls: vec![url.to_owned()],
            learner: false,
        };
        for url in [
            "",
            "10.0.0.9:2380",
            "http://:2380",
            "http://a",
            "http://a:0",
            "http://a:1/x",
            "ftp://a:1",
        ] {
            assert!(
                matches!(
                    plan(&cluster(1), &change(url), &now([1])),
                    Err(MembershipError::InvalidUrl { .. })
                ),
                "{url}"
            );
        }
        assert_eq!(
            plan(&cluster(3), &change("http://10.0.0.2:2380"), &now([1, 2, 3])),
            Err(MembershipError::PeerUrlExists {
                url: "http://10.0.0.2:2380".to_owned(),
                id: 2
            })
        );
        let update = |id, url: &str| Change::Update {
            id,
            peer_urls: vec![url.to_owned()],
        };
        assert!(matches!(
            plan(&cluster(3), &update(2, "http://10.0.0.3:2380"), &now([1])),
            Err(MembershipError::PeerUrlExists { id: 3, .. })
        ));
        assert_eq!(
            plan(&cluster(3), &update(2, "http://10.0.0.2:2380"), &now([1])),
            Ok(Plan::Nothing)
        );
        assert_eq!(
            plan(&cluster(3), &update(5, URL), &now([1])),
            Err(MembershipError::NotFound { id: 5 })
        );
    }

    #[test]
    fn growth_waits_for_members_to_start() {
        // 1 → 2 is always allowed; 2 → 3 only once the second has started.
        assert!(plan(&cluster(1), &add(false), &now([1])).is_ok());
        assert_eq!(
            plan(&with(1, [pending(2, 0)]), &add(false), &now([1])),
            Err(MembershipError::NotEnoughStarted)
        );
        assert!(plan(&with(1, [pending(2, 7)]), &add(false), &now([1, 2])).is_ok());
        let lenient = Circumstances {
            strict: false,
            ..now([1])
        };
        assert!(plan(&with(1, [pending(2, 0)]), &add(false), &lenient).is_ok());
    }

    #[test]
    fn a_member_is_added_only_while_all_that_vote_answer() {
        for learner in [false, true] {
            for heard in [vec![1], vec![1, 2], vec![1, 2, 9]] {
                assert_eq!(
                    plan(&cluster(3), &add(learner), &now(heard)),
                    Err(MembershipError::Unhealthy)
                );
            }
            assert!(plan(&cluster(3), &add(learner), &now([1, 2, 3])).is_ok());
        }
        // One that was added as a voter counts, whether it has its vote yet or not; a learner does not.
        let started = with(3, [pending(4, 7)]);
        assert_eq!(
            plan(&started, &add(false), &now([1, 2, 3])),
            Err(MembershipError::Unhealthy)
        );
        assert!(plan(&started, &add(false), &now([1, 2, 3, 4])).is_ok());
        let learner = with(3, [(4, node(4, 7))]);
        assert!(plan(&learner, &add(false), &now([1, 2, 3])).is_ok());
        let lenient = Circumstances {
            strict: false,
            ..now([1])
        };
        assert!(plan(&cluster(3), &add(false), &lenient).is_ok());
    }

    #[test]
    fn a_member_is_removed_only_while_enough_others_answer() {
        let remove = |id| Change::Remove { id };
        // Of 1, 2, 3 the third is down: removing it is fine, removing the second would leave one of two.
        assert!(plan(&cluster(3), &remove(3), &now([1, 2])).is_ok());
        assert_eq!(
            plan(&cluster(3), &remove(2), &now([1, 2])),
            Err(MembershipError::Unhealthy)
        );
        // A fourth is about to vote, but does not yet.
        let growing = with(3, [pending(4, 7)]);
        assert_eq!(
            plan(&growing, &remove(2), &now([1, 2, 4])),
            Err(MembershipError::Unhealthy)
        );
        assert!(plan(&growing, &remove(2), &now([1, 2, 3])).is_ok());
        assert_eq!(
            plan(
                &with(3, [pending(4, 7), pending(5, 7)]),
                &remove(2),
                &now([1, 2, 3])
            ),
            Err(MembershipError::Unhealthy)
        );
        // A learner is never missed.
        assert!(plan(&with(3, [(4, node(4, 7))]), &remove(4), &now([1, 4])).is_ok());
    }

    #[test]
    fn what_is_removed_decides_how() {
        let remove = |id| Change::Remove { id };
        let all = now([1, 2, 3]);
        assert_eq!(
            plan(&cluster(3), &remove(2), &all),
            Ok(Plan::Change(ChangeMembers::RemoveVoters(BTreeSet::from([2]))))
        );
        assert_eq!(
            plan(&with(3, [(4, node(4, 7))]), &remove(4), &all),
            Ok(Plan::Change(ChangeMembers::RemoveNodes(BTreeSet::from([4]))))
        );
        assert_eq!(
            plan(&cluster(3), &remove(8), &all),
            Err(MembershipError::NotFound { id: 8 })
        );
        let lenient = Circumstances {
            strict: false,
            ..now([1])
        };
        assert_eq!(
            plan(&cluster(1), &remove(1), &lenient),
            Err(MembershipError::NotEnoughStarted)
        );
    }

    #[test]
    fn only_real_learners_count_as_learners() {
        assert!(plan(&with(3, [pending(4, 7)]), &add(true), &now([1, 2, 3, 4])).is_ok());
        assert_eq!(
            plan(&with(3, [(4, node(4, 7))]), &add(true), &now([1, 2])),
            Err(MembershipError::TooManyLearners { limit: 1 })
        );
        let promote = |id| Change::Promote { id };
        let membership = with(3, [(4, node(4, 7)), pending(5, 7)]);
        assert_eq!(
            plan(&membership, &promote(4), &now([1, 2])),
            Err(MembershipError::LearnerNotReady { id: 4 })
        );
        for voter in [1, 5] {
            assert_eq!(
                plan(&membership, &promote(voter), &now([1, 2])),
                Err(MembershipError::NotLearner { id: voter })
            );
        }
        let ready = Circumstances {
            ready: BTreeSet::from([4]),
            ..now([1, 2])
        };
        assert!(matches!(
            plan(&membership, &promote(4), &ready),
            Ok(Plan::Change(ChangeMembers::Batch(_)))
        ));
    }

    #[test]
    fn only_a_voter_that_answers_is_given_the_lead() {
        let membership = with(3, [(4, node(4, 7))]);
        let to = |id| plan(&membership, &Change::MoveLeader { to: id }, &now([1, 2, 4]));
        assert_eq!(to(Some(2)), Ok(Plan::MoveLeader(2)));
        assert_eq!(to(Some(1)), Ok(Plan::Nothing));
        for bad in [3, 4, 9] {
            assert_eq!(to(Some(bad)), Err(MembershipError::BadTransferee { id: bad }));
        }
        assert_eq!(to(None), Ok(Plan::MoveLeader(2)));
    }

    #[test]
    fn a_member_tells_its_peer_urls_only_where_there_are_none() {
        let published = Published {
            id: 2,
            name: "new".to_owned(),
            client_urls: vec!["http://c:2379".to_owned()],
            life: 8,
            peer_urls: vec!["http://other:1".to_owned()],
        };
        let Plan::Change(ChangeMembers::SetNodes(nodes)) =
            plan(&cluster(3), &Change::Publish(published.clone()), &now([1])).unwrap()
        else {
            panic!()
        };
        assert_eq!(nodes[&2].peer_urls, ["http://10.0.0.2:2380"]);
        assert_eq!((nodes[&2].name.as_str(), nodes[&2].life), ("new", 8));
        let again = with(1, [(2, nodes[&2].clone())]);
        assert_eq!(
            plan(&again, &Change::Publish(published), &now([1])),
            Ok(Plan::Nothing)
        );
    }
}
