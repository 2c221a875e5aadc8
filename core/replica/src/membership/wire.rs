//! Changes of the membership, and why they were refused, as messages between members.

use cfgstore_proto::cfgstore::peer::v1 as pb;
use cfgstore_proto::cfgstore::peer::v1::change_membership_request as request;

use super::lead::Made;
use super::{Change, Published};
use crate::cluster::MembershipError;

pub(crate) fn from_change(change: &Change) -> pb::ChangeMembershipRequest {
    let change = match change.clone() {
        Change::Add {
            id,
            peer_urls,
            learner,
        } => request::Change::Add(pb::AddMember {
            id,
            peer_urls,
            learner,
        }),
        Change::Remove { id } => request::Change::Remove(id),
        Change::Update { id, peer_urls } => request::Change::Update(pb::UpdateMember { id, peer_urls }),
        Change::Promote { id } => request::Change::Promote(id),
        Change::Publish(published) => request::Change::Publish(pb::Publish {
            id: published.id,
            name: published.name,
            client_urls: published.client_urls,
            life: published.life,
            peer_urls: published.peer_urls,
        }),
        Change::MoveLeader { to } => request::Change::MoveLeader(to.unwrap_or(0)),
    };
    pb::ChangeMembershipRequest { change: Some(change) }
}

/// `None` for a change of a newer version.
pub(crate) fn to_change(request: pb::ChangeMembershipRequest) -> Option<Change> {
    Some(match request.change? {
        request::Change::Add(add) => Change::Add {
            id: add.id,
            peer_urls: add.peer_urls,
            learner: add.learner,
        },
        request::Change::Remove(id) => Change::Remove { id },
        request::Change::Update(update) => Change::Update {
            id: update.id,
            peer_urls: update.peer_urls,
        },
        request::Change::Promote(id) => Change::Promote { id },
        request::Change::Publish(publish) => Change::Publish(Published {
            id: publish.id,
            name: publish.name,
            client_urls: publish.client_urls,
            life: publish.life,
            peer_urls: publish.peer_urls,
        }),
        request::Change::MoveLeader(to) => Change::MoveLeader {
            to: (to != 0).then_some(to),
        },
    })
}

pub(crate) fn from_made(made: &Made) -> pb::ChangeMembershipResponse {
    let error = match made {
        Ok(index) => {
            return pb::ChangeMembershipResponse {
                index: *index,
                ..pb::ChangeMembershipResponse::default()
            };
        }
        Err(error) => error,
    };
    let hex = |id: &u64| format!("{id:016x}");
    let (refusal, detail) = match error {
        MembershipError::NotFound { id } => ("NotFound", hex(id)),
        MembershipError::PeerUrlExists { url, id } => ("PeerUrlExists", format!("{} {url}", hex(id))),
        MembershipError::IdExists { id } => ("IdExists", hex(id)),
        MembershipError::InvalidUrl { url } => ("InvalidUrl", url.clone()),
        MembershipError::LearnerNotReady { id } => ("LearnerNotReady", hex(id)),
        MembershipError::NotLearner { id } => ("NotLearner", hex(id)),
        MembershipError::TooManyLearners { limit } => ("TooManyLearners", limit.to_string()),
        MembershipError::NotEnoughStarted => ("NotEnoughStarted", String::new()),
        MembershipError::Unhealthy => ("Unhealthy", String::new()),
        MembershipError::BadTransferee { id } => ("BadTransferee", hex(id)),
        MembershipError::NoLeader => ("NoLeader", String::new()),
        MembershipError::NotLeader => ("NotLeader", String::new()),
        MembershipError::ShuttingDown => ("ShuttingDown", String::new()),
        MembershipError::Busy => ("Busy", String::new()),
        MembershipError::Timeout { timeout_ms } => ("Timeout", timeout_ms.to_string()),
    };
    pb::ChangeMembershipResponse {
        index: 0,
        refusal: refusal.to_owned(),
        detail,
    }
}

/// An answer that a newer version gives counts as one that may come true yet.
pub(crate) fn to_made(response: pb::ChangeMembershipResponse) -> Made {
    let pb::ChangeMembershipResponse {
        index,
        refusal,
        detail,
    } = response;
    let id = || u64::from_str_radix(detail.get(..16).unwrap_or(&detail), 16).unwrap_or(0);
    Err(match refusal.as_str() {
        "" => return Ok(index),
        "NotFound" => MembershipError::NotFound { id: id() },
        "PeerUrlExists" => MembershipError::PeerUrlExists {
            url: detail.get(17..).unwrap_or_default().to_owned(),
            id: id(),
        },
        "IdExists" => MembershipError::IdExists { id: id() },
        "InvalidUrl" => MembershipError::InvalidUrl { url: detail },
        "LearnerNotReady" => MembershipError::LearnerNotReady { id: id() },
        "NotLearner" => MembershipError::NotLearner { id: id() },
        "TooManyLearners" => MembershipError::TooManyLearners {
            limit: detail.parse().unwrap_or(0),
        },
        "NotEnoughStarted" => MembershipError::NotEnoughStarted,
        "Unhealthy" => MembershipError::Unhealthy,
        "BadTransferee" => MembershipError::BadTransferee { id: id() },
        "NoLeader" => MembershipError::NoLeader,
        "NotLeader" => MembershipError::NotLeader,
        "ShuttingDown" => MembershipError::ShuttingDown,
        "Busy" => MembershipError::Busy,
        _ => MembershipError::Timeout {
            timeout_ms: detail.parse().unwrap_or(0),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_and_refusals_arrive_as_they_were_sent() {
        let urls = vec!["http://a:1".to_owned(), "http://b:2".to_owned()];
        for change in [
            Change::Add {
                id: 7,
                peer_urls: urls.clone(),
                learner: true,
            },
            Change::Remove { id: u64::MAX },
            Change::Update {
                id: 8,
                peer_urls: urls.clone(),
            },
            Change::Promote { id: 9 },
            Change::Publish(Published {
                id: 1,
                name: "n".to_owned(),
                client_urls: urls.clone(),
                life: 5,
                peer_urls: urls.clone(),
            }),
            Change::MoveLeader { to: Some(4) },
            Change::MoveLeader { to: None },
        ] {
            assert_eq!(to_change(from_change(&change)), Some(change));
        }
        let id = 0xabcd_0123_4567_89ef;
        for made in [
            Ok(17),
            Err(MembershipError::NotFound { id }),
            Err(MembershipError::PeerUrlExists {
                url: urls[0].clone(),
                id,
            }),
            Err(MembershipError::IdExists { id }),
            Err(MembershipError::InvalidUrl {
                url: "x y".to_owned(),
            }),
            Err(MembershipError::LearnerNotReady { id }),
            Err(MembershipError::NotLearner { id }),
            Err(MembershipError::TooManyLearners { limit: 3 }),
            Err(MembershipError::NotEnoughStarted),
            Err(MembershipError::Unhealthy),
            Err(MembershipError::BadTransferee { id }),
            Err(MembershipError::NoLeader),
            Err(MembershipError::NotLeader),
            Err(MembershipError::ShuttingDown),
            Err(MembershipError::Busy),
            Err(MembershipError::Timeout { timeout_ms: 7000 }),
        ] {
            assert_eq!(to_made(from_made(&made)), made);
        }
    }
}
