//! What one revision has to say to one rule.

use bytes::Bytes;

use crate::rule::Kind;

/// Most changes that a message holds; of a revision that changed more keys, it says how many more.
pub const MAX_CHANGES: usize = 1000;

/// What is told: all changes of one revision that a rule asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The rule's name.
    pub rule: String,
    /// The cluster's id: revisions of two clusters are never the same thing.
    pub cluster_id: u64,
    /// The revision that made the changes.
    pub revision: i64,
    /// When, in milliseconds since 1970, by the leader's clock.
    pub time_unix_ms: i64,
    /// Who made them.
    pub author: Author,
    /// The reason that he gave; may be empty.
    pub comment: String,
    /// The changes, at most [`MAX_CHANGES`].
    pub changes: Vec<Change>,
    /// How many more there were.
    pub more_changes: u64,
}

/// Who made a change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Author {
    /// The authenticated user; empty: nobody had authenticated.
    pub user: String,
    /// What the client called itself. Not verified.
    pub client: String,
    /// Where the call came from.
    pub address: String,
}

/// One change of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What happened.
    pub kind: Kind,
    /// The key.
    pub key: Bytes,
    /// Number of the key's value: 1 for its creation, 0 for a delete.
    pub version: i64,
    /// Revision of the change before this one of the same key; 0: none.
    pub previous_revision: i64,
    /// The value written, if the rule asks for values and there is one.
    pub value: Option<Bytes>,
    /// The value before, if the rule asks for values, and it is known.
    pub previous_value: Option<Bytes>,
}

impl Message {
    /// Names this message: the same whenever it is sent, whoever sends it, and of no other message.
    pub fn id(&self) -> String {
        format!("{}.{}.{:x}", self.rule, self.revision, self.cluster_id)
    }

    /// How many changes the revision made that the rule asks for.
    pub fn count(&self) -> u64 {
        self.changes.len() as u64 + self.more_changes
    }
}

impl Author {
    /// Who it was, for people.
    pub(crate) fn name(&self) -> String {
        match (self.user.as_str(), self.client.as_str(), self.address.as_str()) {
            ("", "", "") => "somebody".to_owned(),
            ("", "", address) => address.to_owned(),
            ("", client, _) => format!("{client} (not verified)"),
            (user, _, _) => user.to_owned(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn message() -> Message {
        Message {
            rule: "ops".into(),
            cluster_id: 0xabc,
            revision: 12,
            time_unix_ms: 1_795_698_000_123,
            author: Author {
                user: "alice".into(),
                ..Author::default()
            },
            comment: "move to db2".into(),
            changes: vec![Change {
                kind: Kind::Put,
                key: "app/database".into(),
                version: 3,
                previous_revision: 9,
                value: Some(r#"{"host":"db2"}"#.into()),
                previous_value: Some(r#"{"host":"db1"}"#.into()),
            }],
            more_changes: 0,
        }
    }

    #[test]
    fn who_it_was() {
        let author = |user: &str, client: &str, address: &str| Author {
            user: user.into(),
            client: client.into(),
            address: address.into(),
        };
        assert_eq!(author("alice", "ci", "10.0.0.1").name(), "alice");
        assert_eq!(author("", "ci", "10.0.0.1").name(), "ci (not verified)");
        assert_eq!(author("", "", "unix:uid=33").name(), "unix:uid=33");
        assert_eq!(author("", "", "").name(), "somebody");
    }
}
