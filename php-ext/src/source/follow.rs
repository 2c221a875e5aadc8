//! How reads follow the mirror: opening the one that is in place now, taking its newest snapshot, and waiting for what is not there yet.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cfgstore_client::{Address, AgentStatus, Error, ErrorKind, trust};
use cfgstore_mirror::Reader;

use super::{CHECK_EVERY_MS, LONGEST_QUESTION, Source, View, no_reader, open, silent_ms};
use crate::abi::source::CoreAtLeast;
use crate::abi::types::CORE_SILENT_MS as SILENT_MS;
use crate::error::from_mirror;

/// How often the place is looked at while the mirror has been given up and its successor is not there yet, in milliseconds of the
/// caller's clock.
const CHECK_RETIRED_EVERY_MS: u64 = 10;
/// The mirror shows a write within a millisecond; one that lets a reader wait for so long has a reason.
const FIRST_PATIENCE: Duration = Duration::from_millis(50);
const LAST_PATIENCE: Duration = Duration::from_secs(1);
/// After a failed attempt to bring the agent back, reads go on for so long before the next one.
const REVIVE_PAUSE: Duration = Duration::from_secs(10);

impl Source {
    /// Moves to the newest snapshot, and waits, for `timeout` at most, until that holds `at_least`.
    ///
    /// Once there has been a snapshot, trouble with the mirror or its agent fails no read: the last snapshot stays.
    pub fn advance(&mut self, now_ms: u64, at_least: CoreAtLeast, timeout: Duration) -> Result<View, Error> {
        self.attach(now_ms, timeout)?;
        let seen = self.take_newest(timeout)?;
        let seen = if self.holds(at_least) {
            seen
        } else {
            self.wait_for(at_least, timeout)?
        };
        let reader = self.reader.as_ref().ok_or_else(no_reader)?;
        Ok(View {
            word: reader.generation_ptr(),
            seen,
            number: self.view,
            revision: self.revision(),
            store_id: self.store_id(),
            check_at_ms: self.next_check_ms,
            silent_ms: self.stale_ms,
        })
    }

    /// Sees to it that `reader` is open on the mirror that the path names now.
    fn attach(&mut self, now_ms: u64, timeout: Duration) -> Result<(), Error> {
        let path = self.place.clone();
        if self.reader.is_none() {
            self.reader = Some(self.open_first(&path, timeout)?);
        }
        let Some(reader) = &self.reader else {
            return Err(no_reader());
        };
        let retired = reader.is_retired();
        if !retired && now_ms < self.next_check_ms {
            return Ok(());
        }
        let silent = silent_ms(reader);
        let silent = if reader.is_closed() {
            silent.max(SILENT_MS)
        } else {
            silent
        };
        self.next_check_ms = now_ms
            + if retired {
                CHECK_RETIRED_EVERY_MS
            } else {
                CHECK_EVERY_MS
            };
        self.stale_ms = silent;
        if (retired || (silent >= SILENT_MS && !reader.is_current(&path)))
            && let Err(error) = self.reopen()
        {
            self.trouble = Some(error.message);
        }
        if self.stale_ms >= SILENT_MS {
            self.revive(timeout);
        } else {
            self.agent_trouble = None;
        }
        Ok(())
    }

    /// Opens the mirror that the path names now, in place of the one held.
    fn reopen(&mut self) -> Result<(), Error> {
        let reader = open(&self.place)?;
        self.stale_ms = silent_ms(&reader);
        self.reader = Some(reader);
        Ok(())
    }

    /// Opens the mirror for the first time. If there is none the agent is asked, which starts the embedded store.
    fn open_first(&mut self, path: &Path, timeout: Duration) -> Result<Reader, Error> {
        let missing = match open(path) {
            Ok(reader) => return Ok(reader),
            Err(error) => error,
        };
        // In the place of one that was planted, the agent makes another.
        let planted = trust::check(path).is_err();
        if missing.kind != ErrorKind::NotSynced && !planted {
            return Err(missing);
        }
        let agent = match self.ask_agent(timeout) {
            Err(_) if planted => return Err(missing),
            agent => agent?,
        };
        if let Ok(reader) = open(path) {
            return Ok(reader);
        }
        // The agent behind a socket of another name keeps its mirror elsewhere.
        let told = match agent {
            Some(agent) if !agent.mirror_dir.as_os_str().is_empty() => agent.mirror_dir,
            Some(agent) if !agent.trouble.is_empty() => return Err(agent_says(missing, &agent.trouble)),
            Some(_) | None => return Err(missing),
        };
        let reader = open(&told)?;
        self.place = told;
        Ok(reader)
    }

    fn starts_the_store(&self) -> bool {
        self.options.autostart && matches!(self.options.address, Address::Embedded | Address::Agent(_))
    }

    /// Asks the agent how it is, not the members behind it, which starts one if nothing answers. Where nothing can be started, a read does
    /// not wait long for somebody else to do it.
    fn ask_agent(&mut self, timeout: Duration) -> Result<Option<AgentStatus>, Error> {
        let timeout = if self.starts_the_store() {
            timeout
        } else {
            timeout.min(LONGEST_QUESTION)
        };
        self.client(timeout)?.agent_status()
    }

    /// Starts the embedded store or the agent again when nothing answers on its socket. Reads go on whatever comes of it, and soon: there is
    /// something to read, what is being started goes on without them, and an agent that hangs answers nobody.
    fn revive(&mut self, timeout: Duration) {
        if !self.starts_the_store() {
            return;
        }
        if self.revive_not_before.is_some_and(|time| Instant::now() < time) {
            return;
        }
        self.revive_not_before = Some(Instant::now() + REVIVE_PAUSE);
        match self.ask_agent(timeout.min(LONGEST_QUESTION)) {
            // It answers, but may have trouble with the members.
            Ok(Some(agent)) if !agent.trouble.is_empty() => self.agent_trouble = Some(agent.trouble),
            Ok(_) => self.agent_trouble = None,
            Err(error) => self.agent_trouble = Some(error.message),
        }
    }

    /// Why nothing was ever published: what the agent says about its members, if it can be asked.
    fn never_published(&mut self, mut error: Error) -> Error {
        if error.kind == ErrorKind::NotSynced
            && let Ok(Some(agent)) = self.ask_agent(LONGEST_QUESTION)
            && !agent.trouble.is_empty()
        {
            error = agent_says(error, &agent.trouble);
        }
        error
    }

    /// Takes the newest snapshot; gives the generation word as it was before.
    pub(super) fn take_newest(&mut self, timeout: Duration) -> Result<u64, Error> {
        let mut seen = self.word()?;
        if self.snapshot.is_none() {
            self.wait_for_first(timeout)?;
            seen = self.word()?;
        }
        let reader = self.reader.as_mut().ok_or_else(no_reader)?;
        match reader.snapshot() {
            Ok(newest) => {
                self.trouble = None;
                if !self
                    .snapshot
                    .as_ref()
                    .is_some_and(|held| Arc::ptr_eq(held, &newest))
                {
                    self.snapshot = Some(newest);
                    self.view += 1;
                }
            }
            Err(error) if self.snapshot.is_some() => self.trouble = Some(error.to_string()),
            Err(error) => {
                let error = from_mirror(&error);
                return Err(self.never_published(error));
            }
        }
        Ok(seen)
    }

    /// Waits, bounded, for a first generation: a publisher that has just started may not have published yet, and one whose mirror
    /// was removed before it did makes another.
    fn wait_for_first(&mut self, timeout: Duration) -> Result<(), Error> {
        let deadline = Instant::now() + timeout;
        loop {
            let reader = self.reader.as_ref().ok_or_else(no_reader)?;
            let left = deadline.saturating_duration_since(Instant::now());
            if reader.generation() > 0 || left.is_zero() {
                return Ok(());
            }
            if !reader.is_retired() && reader.is_current(&self.place) {
                // Ends early when a signal was handled, which is no reason to give up.
                reader.wait(0, left.min(LAST_PATIENCE));
                continue;
            }
            match self.reopen() {
                Err(error) if error.kind != ErrorKind::NotSynced => return Err(error),
                // Its successor is not there yet, or this one is it.
                _ => std::thread::sleep(left.min(Duration::from_millis(CHECK_RETIRED_EVERY_MS))),
            }
        }
    }

    /// Waits, bounded, until the mirror shows a revision that is committed.
    fn wait_for(&mut self, at_least: CoreAtLeast, timeout: Duration) -> Result<u64, Error> {
        let deadline = Instant::now() + timeout;
        let mut patience = FIRST_PATIENCE;
        let mut agent_trouble = String::new();
        loop {
            let seen = self.take_newest(timeout)?;
            if self.holds(at_least) {
                return Ok(seen);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(self.never_shown(at_least, timeout, &agent_trouble));
            }
            if self.moves_on(seen, left.min(patience)) {
                continue;
            }
            // The agent may have died between the commit and the publish: asking it brings the embedded store back.
            match self.ask_agent(timeout) {
                Ok(agent) => agent_trouble = agent.map_or_else(String::new, |agent| agent.trouble),
                Err(error) => {
                    self.trouble = Some(error.message);
                    std::thread::sleep(left.min(patience));
                }
            }
            patience = (patience * 2).min(LAST_PATIENCE);
            self.next_check_ms = 0;
            self.attach(0, timeout)?;
            // Somebody waits: no time to find out by its silence that the mirror has been replaced.
            if self
                .reader
                .as_ref()
                .is_some_and(|reader| !reader.is_current(&self.place))
                && let Err(error) = self.reopen()
            {
                self.trouble = Some(error.message);
            }
            // Its successor is not there yet, and nothing wakes who waits for that.
            if self.reader.as_ref().is_some_and(Reader::is_retired) {
                std::thread::sleep(left.min(Duration::from_millis(CHECK_RETIRED_EVERY_MS)));
            }
        }
    }

    /// Waits until the generation word is another than `seen`: what was published since that was loaded is not slept through.
    /// `false`: it was not in this time, or the mirror has been given up.
    pub(super) fn moves_on(&self, seen: u64, limit: Duration) -> bool {
        self.reader
            .as_ref()
            .is_some_and(|reader| !reader.is_retired() && reader.wait(seen >> 1, limit))
    }

    fn holds(&self, at_least: CoreAtLeast) -> bool {
        at_least.is_held_by(self.store_id(), self.revision())
    }

    fn never_shown(&self, at_least: CoreAtLeast, timeout: Duration, agent_trouble: &str) -> Error {
        let shown = if self.store_id() == at_least.replaced_store_id {
            "still shows the store that was there before".to_owned()
        } else {
            format!("is still at revision {}", self.revision())
        };
        let mut error = Error::new(
            ErrorKind::Timeout,
            format!(
                "the write is committed at revision {}, but this host's mirror {shown} after {} s: read again later, or \
                 look at the agent's log",
                at_least.revision,
                timeout.as_secs_f64(),
            ),
        );
        error.maybe_committed = true;
        if agent_trouble.is_empty() {
            error
        } else {
            agent_says(error, agent_trouble)
        }
    }

    fn word(&self) -> Result<u64, Error> {
        self.reader
            .as_ref()
            .map(Reader::generation_word)
            .ok_or_else(no_reader)
    }
}

fn agent_says(mut error: Error, trouble: &str) -> Error {
    error.message = format!("{}; its agent says: {trouble}", error.message);
    error
}
