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

#[cfg(test)]
mod tests {
    use super::super::LoadOptions;
    use super::*;

    fn key(number: u64) -> Bytes {
        format!("{PREFIX}u/0/{number}").into()
    }

    /// Keys 1 to `count`, each written once, at the revision ten above its number.
    fn content(count: u64) -> Content {
        let kv = |number: u64| KeyValue {
            key: key(number),
            version: 1,
            mod_revision: 10 + number as i64,
            ..Default::default()
        };
        (1..=count).map(|number| (key(number), kv(number))).collect()
    }

    fn uniques(fates: &[Fate], content: &Content) -> Vec<String> {
        let shared = Shared::new(&[], LoadOptions::default());
        for (fate, number) in fates.iter().zip(1..) {
            shared.uniques.lock().unwrap().insert(key(number), *fate);
        }
        let mut faults = Vec::new();
        check_uniques(&shared, content, &mut LoadReport::default(), &mut faults);
        faults
    }

    #[test]
    fn writes_are_there_once_or_not_at_all() {
        use Fate::{Acknowledged, Refused, Unknown};
        assert!(uniques(&[Acknowledged(11), Unknown], &content(1)).is_empty());
        assert!(uniques(&[Acknowledged(11), Unknown], &content(2)).is_empty());
        assert!(uniques(&[Refused], &content(0)).is_empty());
        for (fates, content, text) in [
            (vec![Acknowledged(11), Acknowledged(12)], content(1), "is lost"),
            (vec![Acknowledged(12)], content(1), "is at 11"),
            (vec![Refused], content(1), "was refused and is there"),
        ] {
            let faults = uniques(&fates, &content);
            assert!(faults.len() == 1 && faults[0].contains(text), "{faults:?}");
        }
        let mut twice = content(1);
        twice.get_mut(&key(1)).unwrap().version = 2;
        assert!(uniques(&[Unknown], &twice)[0].contains("applied 2 times"));
    }

    #[test]
    fn a_read_goes_back_behind_nothing_that_was_known() {
        let register = Register::default();
        register.issued.store(5, Ordering::SeqCst);
        register.refused.lock().unwrap().insert(4);
        assert_eq!(register.fault(3, 3), None);
        assert_eq!(register.fault(5, 3), None);
        for wrong in [2, 4, 6] {
            assert!(register.fault(wrong, 3).is_some(), "{wrong}");
        }
    }

    fn watched(numbers: &[u64], gaps: &[(i64, i64)], gone: bool) -> Vec<String> {
        let seen = Seen {
            endpoint: "here".to_owned(),
            events: numbers
                .iter()
                .map(|&number| (10 + number as i64, key(number)))
                .collect(),
            gaps: gaps.to_vec(),
            reconnects: 0,
            complete: !gone,
        };
        let mut faults = Vec::new();
        check_watcher(&seen, gone, &content(3), &mut faults);
        faults
    }

    #[test]
    fn a_watcher_misses_only_what_a_notice_names() {
        assert!(watched(&[1, 2, 3], &[], false).is_empty());
        assert!(watched(&[1, 3], &[(12, 13)], false).is_empty());
        assert!(
            watched(&[1, 2], &[], true).is_empty(),
            "it went away before the third"
        );
        assert_eq!(watched(&[1, 3], &[], false).len(), 1);
        assert_eq!(watched(&[1, 3], &[(13, 14)], false).len(), 1);
        assert_eq!(watched(&[1, 2, 2, 3], &[], false).len(), 1);
        assert_eq!(watched(&[2], &[], true).len(), 1, "it missed the first");
        assert_eq!(watched(&[1, 2, 3, 4], &[], false).len(), 1, "there is no fourth");
    }
}
