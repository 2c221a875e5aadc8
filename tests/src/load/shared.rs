//! What the clients of one load share: where to send it, and what they know for the check.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;

use super::LoadOptions;

/// All keys of a load begin so.
pub(super) const PREFIX: &str = "load/";
/// Written last.
pub(super) const END: &str = "load/~end";

/// What is known of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Done, at this revision.
    Acknowledged(i64),
    /// Certainly not done.
    Refused,
    Unknown,
}

/// One register, as its writer and its readers know it.
#[derive(Debug, Default)]
pub(super) struct Register {
    /// The last number that its writer sent.
    pub issued: AtomicU64,
    /// The greatest number that was acknowledged, or that a read has answered.
    pub floor: AtomicU64,
    pub refused: Mutex<HashSet<u64>>,
}

impl Register {
    pub fn key(number: usize) -> Bytes {
        format!("{PREFIX}r/{number}").into()
    }

    pub fn value(value: u64) -> Bytes {
        format!("{value:016}").into()
    }

    pub fn parse(value: &[u8]) -> Option<u64> {
        std::str::from_utf8(value).ok()?.parse().ok()
    }

    /// What makes `value`, read when `floor` was known at its begin, wrong.
    pub fn fault(&self, value: u64, floor: u64) -> Option<String> {
        let issued = self.issued.load(Ordering::SeqCst);
        if value < floor {
            Some(format!("read {value} after {floor} was acknowledged or read"))
        } else if value > issued {
            Some(format!("read {value}, and nothing above {issued} was written"))
        } else if self.refused.lock().expect("no panic").contains(&value) {
            Some(format!("read {value}, whose write was refused"))
        } else {
            None
        }
    }
}

#[derive(Debug)]
pub(super) struct Shared {
    pub options: LoadOptions,
    endpoints: Mutex<Vec<String>>,
    /// Grows with each change of the endpoints.
    pub endpoints_version: AtomicU64,
    /// One per writer.
    pub registers: Vec<Register>,
    /// The unique keys.
    pub uniques: Mutex<BTreeMap<Bytes, Fate>>,
    /// The revision before the first event.
    pub start_revision: AtomicI64,
    pub acknowledged: AtomicU64,
    pub reads: AtomicU64,
    pub failed_reads: AtomicU64,
    /// Faults seen on the way.
    faults: Mutex<Vec<String>>,
    last_failure: Mutex<String>,
    /// Members whose watcher need not see the end.
    gone: Mutex<HashSet<String>>,
    /// The last event was written.
    pub ended: AtomicBool,
    pub abandoned: AtomicBool,
}

impl Shared {
    pub fn new(endpoints: &[String], options: LoadOptions) -> Shared {
        Shared {
            options,
            endpoints: Mutex::new(endpoints.to_vec()),
            endpoints_version: AtomicU64::new(0),
            registers: (0..options.writers).map(|_| Register::default()).collect(),
            uniques: Mutex::default(),
            start_revision: AtomicI64::new(0),
            acknowledged: AtomicU64::new(0),
            reads: AtomicU64::new(0),
            failed_reads: AtomicU64::new(0),
            faults: Mutex::default(),
            last_failure: Mutex::default(),
            gone: Mutex::default(),
            ended: AtomicBool::new(false),
            abandoned: AtomicBool::new(false),
        }
    }

    pub fn endpoints(&self) -> Vec<String> {
        self.endpoints.lock().expect("no panic").clone()
    }

    pub fn set_endpoints(&self, endpoints: &[String]) {
        *self.endpoints.lock().expect("no panic") = endpoints.to_vec();
        self.endpoints_version.fetch_add(1, Ordering::Relaxed);
    }

    pub fn lock_gone(&self) -> MutexGuard<'_, HashSet<String>> {
        self.gone.lock().expect("no panic")
    }

    pub fn fault(&self, fault: String) {
        self.faults.lock().expect("no panic").push(fault);
    }

    pub fn faults(&self) -> Vec<String> {
        self.faults.lock().expect("no panic").clone()
    }

    pub fn failed(&self, what: &str, endpoint: &str, error: &tonic::Status) {
        *self.last_failure.lock().expect("no panic") = format!("{what} at {endpoint}: {error}");
    }

    pub fn last_failure(&self) -> String {
        self.last_failure.lock().expect("no panic").clone()
    }

    pub async fn pause(&self) {
        tokio::time::sleep(self.options.pause).await;
    }
}

/// The bound of one read at one member; then another is asked.
pub(super) const READ_TIMEOUT: Duration = Duration::from_secs(2);
/// The bound of one write: longer than a member takes to say that it can't.
pub(super) const WRITE_TIMEOUT: Duration = Duration::from_secs(9);
