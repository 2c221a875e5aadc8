//! The leases of copied keys.

use std::collections::HashMap;
use std::time::Duration;

use cfgstore_client::{Client, ErrorKind};
use tokio::time::{Instant, sleep_until};

use super::source::Source;
use crate::arguments::Migrate;
use crate::failure::Failure;

/// Leases of copied keys are kept alive at least so often while changes are followed.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Makes a lease at the target for each that a key needs, with the same id where that is free.
pub struct Leases<'a> {
    source: &'a Source,
    target: Client,
    dry_run: bool,
    follow: bool,
    prefix: String,
    /// From the source's id to the target's.
    made: HashMap<i64, i64>,
    renamed: u64,
    /// A third of the shortest time to live.
    pause: Duration,
    next: Instant,
}

impl<'a> Leases<'a> {
    pub fn new(source: &'a Source, target: &Client, migrate: &Migrate) -> Leases<'a> {
        Leases {
            source,
            target: target.clone(),
            dry_run: migrate.dry_run,
            follow: migrate.follow,
            prefix: migrate.prefix.clone(),
            made: HashMap::new(),
            renamed: 0,
            pause: LONGEST_PAUSE,
            next: Instant::now() + LONGEST_PAUSE,
        }
    }

    /// Leases that keys were attached to.
    pub fn count(&self) -> u64 {
        self.made.len() as u64
    }

    /// Leases that could not keep their id.
    pub fn renamed(&self) -> u64 {
        self.renamed
    }

    /// The target's lease for a key with this one at the source; 0 for none. `None`: it has ended, and so has the key.
    pub async fn for_key(&mut self, id: i64) -> Result<Option<i64>, Failure> {
        if id == 0 {
            return Ok(Some(0));
        }
        if let Some(made) = self.made.get(&id) {
            return Ok(Some(*made));
        }
        let Some(ttl) = self.ttl(id).await? else {
            return Ok(None);
        };
        let made = if self.dry_run {
            id
        } else {
            self.make(id, ttl).await?
        };
        self.made.insert(id, made);
        Ok(Some(made))
    }

    /// How long it is to live: what is left of it, or, as it is kept alive when changes are followed, all of it. A file
    /// does not say what was left.
    async fn ttl(&self, id: i64) -> Result<Option<Duration>, Failure> {
        match self.source {
            Source::Server { client, .. } => {
                let lease = client.lease_time(id, false).await?;
                Ok(lease.map(|lease| {
                    if self.follow {
                        lease.granted
                    } else {
                        lease.remaining
                    }
                }))
            }
            Source::File(state) => {
                let lease = state.lease(id);
                Ok(lease.map(|lease| Duration::from_secs(lease.ttl_secs.unsigned_abs())))
            }
        }
    }

    async fn make(&mut self, id: i64, ttl: Duration) -> Result<i64, Failure> {
        let ttl = ttl.max(Duration::from_secs(1));
        let made = match self.target.lease_grant_as(id, ttl).await {
            Ok((id, granted)) => {
                self.note_ttl(granted);
                return Ok(id);
            }
            Err(error) if error.kind == ErrorKind::Conflict => self.is_of_an_earlier_run(id).await?,
            Err(error) => return Err(error.into()),
        };
        if let Some(remaining) = made {
            self.note_ttl(remaining);
            return Ok(id);
        }
        let (other, granted) = self.target.lease_grant_as(0, ttl).await?;
        self.note_ttl(granted);
        self.renamed += 1;
        Ok(other)
    }

    /// A lease with this id that holds nothing but keys of this prefix was made by an earlier run; what it lives for.
    async fn is_of_an_earlier_run(&self, id: i64) -> Result<Option<Duration>, Failure> {
        let lease = self.target.lease_time(id, true).await?;
        let ours = lease.filter(|lease| {
            let keys = &lease.keys;
            !keys.is_empty() && keys.iter().all(|key| key.starts_with(self.prefix.as_bytes()))
        });
        Ok(ours.map(|lease| lease.granted))
    }

    fn note_ttl(&mut self, ttl: Duration) {
        self.pause = self.pause.min(ttl / 3);
        self.next = self.next.min(Instant::now() + self.pause);
    }

    /// Until leases are to be kept alive.
    pub async fn wait(&self) {
        sleep_until(self.next).await;
    }

    /// Renews each lease that still lives at the source. One that does not is left to end, and its keys with it.
    pub async fn keep_alive(&mut self) -> Result<(), Failure> {
        self.next = Instant::now() + self.pause;
        let Source::Server { client, .. } = self.source else {
            return Ok(());
        };
        let mut ended = Vec::new();
        for (&id, &made) in &self.made {
            if client.lease_time(id, false).await?.is_none() {
                ended.push(id);
            } else {
                self.target.lease_renew(made).await?;
            }
        }
        for id in ended {
            self.made.remove(&id);
        }
        Ok(())
    }
}
