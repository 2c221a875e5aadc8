//! Where keys come from.

use std::collections::VecDeque;
use std::path::Path;

use cfgstore_backup::SnapshotFile;
use cfgstore_client::{Client, KeyValue, RESERVED_PREFIX, Range};
use cfgstore_store::{Record, State, prefix_range_end};

use super::source_client;
use crate::arguments::{Connection, Migrate};
use crate::failure::Failure;

/// Keys read at once.
const PAGE_KEYS: u32 = 200;

/// Where keys come from, at one revision.
pub enum Source {
    Server { client: Client, revision: i64 },
    File(Box<State>),
}

impl Source {
    pub async fn open(connection: &Connection, migrate: &Migrate) -> Result<Source, Failure> {
        let from = migrate.from.as_str();
        if from.contains("://") || from.starts_with("unix:") {
            let client = source_client(connection, from)?;
            let now = client
                .range(&Range::prefix(&migrate.prefix).keys_only().limit(1))
                .await?;
            return Ok(Source::Server {
                client,
                revision: now.revision,
            });
        }
        let loaded = SnapshotFile::open(Path::new(from), false)?.load()?;
        Ok(Source::File(Box::new(loaded.store.state())))
    }

    pub fn client(&self) -> Option<&Client> {
        match self {
            Source::Server { client, .. } => Some(client),
            Source::File(_) => None,
        }
    }

    /// The revision that is copied.
    pub fn revision(&self) -> i64 {
        match self {
            Source::Server { revision, .. } => *revision,
            Source::File(state) => state.revision(),
        }
    }

    pub fn pages(&self, prefix: &str) -> Pages {
        match self {
            Source::Server { client, revision } => Pages::of(client.clone(), prefix, *revision),
            Source::File(state) => Pages::from_file((**state).clone(), prefix),
        }
    }
}

/// Keys with a prefix in ascending order, at one revision, a page at a time.
pub struct Pages {
    from: From,
    prefix: Vec<u8>,
    page: VecDeque<KeyValue>,
    last: Option<bytes::Bytes>,
    ended: bool,
}

enum From {
    Server { client: Client, revision: i64 },
    File(Box<State>),
}

impl Pages {
    /// `revision` 0 is that of the first page.
    pub fn of(client: Client, prefix: &str, revision: i64) -> Pages {
        Pages::new(From::Server { client, revision }, prefix)
    }

    fn from_file(state: State, prefix: &str) -> Pages {
        Pages::new(From::File(Box::new(state)), prefix)
    }

    fn new(from: From, prefix: &str) -> Pages {
        Pages {
            from,
            prefix: prefix.into(),
            page: VecDeque::new(),
            last: None,
            ended: false,
        }
    }

    pub async fn next(&mut self) -> Result<Option<KeyValue>, Failure> {
        while self.page.is_empty() && !self.ended {
            let more = self.fetch().await?;
            self.ended = !more;
        }
        Ok(self.page.pop_front())
    }

    async fn fetch(&mut self) -> Result<bool, Failure> {
        let more = match &mut self.from {
            From::Server { client, revision } => {
                let mut range = Range::prefix(&self.prefix).revision(*revision).limit(PAGE_KEYS);
                if let Some(last) = &self.last {
                    range = range.after(last);
                }
                let found = client.range(&range).await?;
                if *revision == 0 {
                    *revision = found.revision;
                }
                self.page = found.kvs.into();
                found.more
            }
            From::File(state) => {
                let key = match &self.last {
                    Some(last) => [last, &b"\0"[..]].concat(),
                    None if self.prefix.is_empty() => b"\0".to_vec(),
                    None => self.prefix.clone(),
                };
                let range = cfgstore_store::Range {
                    key: key.into(),
                    range_end: if self.prefix.is_empty() {
                        "\0".into()
                    } else {
                        prefix_range_end(&self.prefix)
                    },
                    limit: PAGE_KEYS.into(),
                    ..cfgstore_store::Range::default()
                };
                let found = state
                    .range(&range)
                    .map_err(|error| Failure::new(&error.to_string()))?;
                self.page = found.records.iter().map(key_value).collect();
                found.more
            }
        };
        match self.page.back() {
            Some(last) => self.last = Some(last.key.clone()),
            // Nothing but reserved keys, which the client hides: go on after them.
            None => self.last = Some([RESERVED_PREFIX, &[0xff; 8]].concat().into()),
        }
        Ok(more)
    }
}

fn key_value(record: &Record) -> KeyValue {
    KeyValue {
        key: record.key_bytes(),
        value: record.value_bytes(),
        unopened: None,
        create_revision: record.create_revision(),
        mod_revision: record.mod_revision(),
        version: record.version(),
        lease: record.lease(),
    }
}
