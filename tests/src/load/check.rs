//! Whether the promises were kept, from what the clients know and what is in the store at the end.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use cfgstore_proto::mvccpb::KeyValue;

use super::LoadReport;
use super::shared::{END, Fate, PREFIX, Register, Shared};
use super::watcher::Seen;
use crate::cluster::Calls;

/// More faults than these are only counted.
const SHOWN: usize = 10;

type Content = BTreeMap<Bytes, KeyValue>;

/// # Panics
/// With the first faults, when there are any.
pub(super) fn check(shared: &Shared, seen: &[Seen]) -> LoadReport {
    let mut faults = shared.faults();
    let content = read_all(shared, &mut faults);
    let mut report = LoadReport {
        acknowledged: shared.acknowledged.load(Ordering::Relaxed),
        reads: shared.reads.load(Ordering::Relaxed),
        failed_reads: shared.failed_reads.load(Ordering::Relaxed),
        ..LoadReport::default()
    };
    check_uniques(shared, &content, &mut report, &mut faults);
    check_registers(shared, &content, &mut faults);
    for seen in seen {
        let gone = shared.lock_gone().contains(&seen.endpoint);
        check_watcher(seen, gone, &content, &mut faults);
        report.events += seen.events.len() as u64;
        report.notices += seen.gaps.len() as u64;
        report.reconnects += seen.reconnects;
    }
    assert!(
        faults.is_empty(),
        "{} promises broken, the first: {:#?}\n{report:?}",
        faults.len(),
        &faults[..faults.len().min(SHOWN)]
    );
    report
}

/// The keys of the load at the end, which all members must agree on.
fn read_all(shared: &Shared, faults: &mut Vec<String>) -> Content {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("runtime");
    let mut first: Option<(String, Content)> = None;
    for endpoint in shared.endpoints() {
        let read = runtime.block_on(async {
            let calls = Calls::new(&endpoint, Duration::from_secs(20));
            calls.prefix(PREFIX).await
        });
        let content: Content = match read {
            Ok(read) => read.kvs.into_iter().map(|kv| (kv.key.clone(), kv)).collect(),
            Err(error) => {
                faults.push(format!("{endpoint} does not answer at the end: {error}"));
                continue;
            }
        };
        match &first {
            None => first = Some((endpoint, content)),
            Some((other, expected)) if *expected != content => {
                let differs = expected
                    .keys()
                    .chain(content.keys())
                    .find(|&key| expected.get(key) != content.get(key));
                faults.push(format!(
                    "{other} and {endpoint} hold different things at {differs:?}"
                ));
            }
            Some(_) => {}
        }
    }
    first.map(|(_, content)| content).unwrap_or_default()
}

fn check_uniques(shared: &Shared, content: &Content, report: &mut LoadReport, faults: &mut Vec<String>) {
    for (key, fate) in shared.uniques.lock().expect("no panic").iter() {
        let found = content.get(key);
        if let Some(kv) = found
            && kv.version != 1
        {
            faults.push(format!(
                "{key:?} was written once and applied {} times",
                kv.version
            ));
        }
        match (fate, found) {
            (Fate::Acknowledged(revision), None) => {
                faults.push(format!("{key:?}, acknowledged at revision {revision}, is lost"));
            }
            (Fate::Acknowledged(revision), Some(kv)) if kv.mod_revision != *revision => faults.push(format!(
                "{key:?}, acknowledged at revision {revision}, is at {}",
                kv.mod_revision
            )),
            (Fate::Refused, Some(kv)) => {
                faults.push(format!(
                    "{key:?} was refused and is there, at {}",
                    kv.mod_revision
                ));
            }
            _ => {}
        }
        match fate {
            Fate::Acknowledged(_) => {}
            Fate::Refused => report.refused += 1,
            Fate::Unknown => report.unknown += 1,
        }
    }
}

fn check_registers(shared: &Shared, content: &Content, faults: &mut Vec<String>) {
    for (number, register) in shared.registers.iter().enumerate() {
        let found = content.get(&Register::key(number));
        let Some(value) = found.and_then(|kv| Register::parse(&kv.value)) else {
            faults.push(format!("register {number} is lost"));
            continue;
        };
        if let Some(fault) = register.fault(value, register.floor.load(Ordering::SeqCst)) {
            faults.push(format!("register {number} at the end: {fault}"));
        }
    }
}

/// All that is there must have been seen, and nothing that isn't: keys are never deleted.
fn check_watcher(seen: &Seen, gone: bool, content: &Content, faults: &mut Vec<String>) {
    let mut fault = |what: String| faults.push(format!("watcher at {}: {what}", seen.endpoint));
    if !seen.complete && !gone {
        fault(format!("did not see the end; its last: {:?}", seen.events.last()));
        return;
    }
    let reached = seen.events.last().map_or(0, |(revision, _)| *revision);
    let noticed = |revision: i64| seen.gaps.iter().any(|&(from, to)| (from..to).contains(&revision));
    let mut times: BTreeMap<&Bytes, i64> = BTreeMap::new();
    for (revision, key) in &seen.events {
        *times.entry(key).or_default() += 1;
        match content.get(key) {
            None => fault(format!("saw {key:?} at {revision}, which is not there")),
            Some(kv) if *revision > kv.mod_revision => {
                fault(format!(
                    "saw {key:?} at {revision}, after its last change at {}",
                    kv.mod_revision
                ));
            }
            Some(_) => {}
        }
    }
    for (key, kv) in content {
        if key == END.as_bytes() || (gone && kv.mod_revision > reached) {
            continue;
        }
        let count = times.get(key).copied().unwrap_or(0);
        if count > kv.version {
            fault(format!(
                "saw {key:?} {count} times, and it changed {} times",
                kv.version
            ));
        } else if count == kv.version || (count > 0 && !seen.gaps.is_empty()) {
            // With a notice, earlier changes of a register may be among what it named.
        } else if !noticed(kv.mod_revision) {
            fault(format!(
                "saw {key:?} {count} times, and it changed {} times",
                kv.version
            ));
        }
    }
}
