//! The log's threads: ordering, group commit, a full disk, a failing disk, the end.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use super::test_support::{Model, SEGMENT_BYTES, entry, open, place};
use crate::disk::sim::SimDisk;
use crate::fatal::FatalHook;
use crate::wal::format::Record;
use crate::wal::janitor::Janitor;
use crate::wal::log::{Spare, SpareSource};
use crate::wal::writer::{WalStats, Writer};

const WAIT: Duration = Duration::from_secs(20);

fn start(disk: &SimDisk) -> (Writer, Arc<Mutex<Vec<String>>>) {
    let (log, _) = open(disk).unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let fatal = FatalHook::new({
        let seen = seen.clone();
        move |message| seen.lock().unwrap().push(message.to_owned())
    });
    (
        Writer::start(log, std::sync::Arc::default(), fatal).unwrap(),
        seen,
    )
}

fn submit(writer: &Writer, record: Record) -> mpsc::Receiver<io::Result<()>> {
    let (sender, receiver) = mpsc::channel();
    writer.submit(
        vec![record],
        Some(Box::new(move |result| sender.send(result).unwrap())),
    );
    receiver
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < WAIT, "waited in vain until {what}");
        std::thread::yield_now();
    }
}

#[test]
fn what_queues_during_a_sync_shares_the_next_one() {
    let disk = SimDisk::default();
    let (writer, _) = start(&disk);
    // The first callback holds the writer while the others queue.
    let (release, held) = mpsc::channel::<()>();
    let first_is_done = Arc::new(AtomicBool::new(false));
    let done = {
        let first_is_done = first_is_done.clone();
        move |result: io::Result<()>| {
            result.unwrap();
            first_is_done.store(true, Relaxed);
            held.recv().unwrap();
        }
    };
    writer.submit(vec![entry(0, b"first")], Some(Box::new(done)));
    wait_until("the first is written", || first_is_done.load(Relaxed));
    let waiting: Vec<_> = (1..=50)
        .map(|index| submit(&writer, entry(index, b"more")))
        .collect();
    release.send(()).unwrap();
    for receiver in waiting {
        receiver.recv_timeout(WAIT).unwrap().unwrap();
    }
    assert_eq!(writer.stats().frames.load(Relaxed), 2);
    writer.close();
    assert_eq!(Model::of(&open(&disk.kill()).unwrap().0).entries.len(), 51);
}

#[test]
fn a_full_disk_is_waited_for_and_nothing_is_lost() {
    let disk = SimDisk::default();
    let (writer, fatal) = start(&disk);
    // The first segment and one spare.
    wait_until("the spare is there", || disk.used() == 2 * SEGMENT_BYTES as usize);
    disk.set_capacity(Some(2 * SEGMENT_BYTES as usize));
    let large = vec![1; 3000];
    let mut index = 0;
    while !writer.stats().no_space.load(Relaxed) {
        submit(&writer, entry(index, &large))
            .recv_timeout(WAIT)
            .unwrap()
            .unwrap();
        index += 1;
        if writer.stats().remaining.load(Relaxed) < 4096 && disk.used() == 2 * SEGMENT_BYTES as usize {
            wait_until("the full disk is noticed", || {
                writer.stats().no_space.load(Relaxed) || disk.has_spare()
            });
        }
    }
    // Go on until the segment is full; the next write has to wait.
    while writer.stats().remaining.load(Relaxed) >= 3584 {
        submit(&writer, entry(index, &large))
            .recv_timeout(WAIT)
            .unwrap()
            .unwrap();
        index += 1;
    }
    let stuck = submit(&writer, entry(index, &large));
    assert!(stuck.recv_timeout(Duration::from_millis(50)).is_err());
    disk.set_capacity(None);
    stuck.recv_timeout(WAIT).unwrap().unwrap();
    wait_until("space is noticed", || !writer.stats().no_space.load(Relaxed));
    assert!(fatal.lock().unwrap().is_empty());
    writer.close();
    assert_eq!(
        Model::of(&open(&disk.kill()).unwrap().0).entries.len() as u64,
        index + 1
    );
}

#[test]
fn closing_while_the_disk_is_full_fails_what_waits() {
    let disk = SimDisk::default();
    let (writer, fatal) = start(&disk);
    wait_until("the spare is there", || disk.used() == 2 * SEGMENT_BYTES as usize);
    disk.set_capacity(Some(2 * SEGMENT_BYTES as usize));
    let mut index = 0;
    let stuck = loop {
        let receiver = submit(&writer, entry(index, &[1; 3000]));
        match receiver.recv_timeout(Duration::from_millis(300)) {
            Ok(result) => result.unwrap(),
            Err(_) => break receiver,
        }
        index += 1;
    };
    writer.close();
    assert_eq!(
        stuck.recv_timeout(WAIT).unwrap().unwrap_err().kind(),
        io::ErrorKind::Other
    );
    assert!(fatal.lock().unwrap().is_empty());
    let late = submit(&writer, entry(index, b"late"));
    assert_eq!(
        late.recv_timeout(WAIT).unwrap().unwrap_err().kind(),
        io::ErrorKind::NotConnected
    );
    assert_eq!(
        Model::of(&open(&disk.kill()).unwrap().0).entries.len() as u64,
        index
    );
}

#[test]
fn a_failed_write_or_sync_is_fatal_and_final() {
    for operation in [1, 2] {
        let disk = SimDisk::default();
        let (writer, fatal) = start(&disk);
        submit(&writer, entry(0, b"good"))
            .recv_timeout(WAIT)
            .unwrap()
            .unwrap();
        wait_until("the spare is there", || disk.has_spare());
        disk.fail_at(disk.operations() + operation);
        assert!(
            submit(&writer, entry(1, b"bad"))
                .recv_timeout(WAIT)
                .unwrap()
                .is_err()
        );
        wait_until("the hook is called", || !fatal.lock().unwrap().is_empty());
        assert!(
            fatal.lock().unwrap()[0].contains("simulated I/O error"),
            "{fatal:?}"
        );
        wait_until("it is final", || {
            submit(&writer, entry(1, b"retry"))
                .recv_timeout(WAIT)
                .unwrap()
                .is_err()
        });
        writer.close();
    }
}

#[test]
fn segments_are_removed_behind_a_purge_also_after_a_failure() {
    let disk = SimDisk::default();
    let (writer, _) = start(&disk);
    for index in 0..100 {
        submit(&writer, entry(index, &[1; 500]))
            .recv_timeout(WAIT)
            .unwrap()
            .unwrap();
    }
    assert!(writer.index().lock().file_count() > 5);
    submit(&writer, Record::Purge(super::test_support::id(98)))
        .recv_timeout(WAIT)
        .unwrap()
        .unwrap();
    // The active one and the spare.
    wait_until("the segments are gone", || {
        disk.used() == 2 * SEGMENT_BYTES as usize
    });
    writer.close();
    assert_eq!(Model::of(&open(&disk.kill()).unwrap().0).entries.len(), 1);
}

/// The next file is prepared as soon as one is taken, and must not get in the way of it.
#[test]
fn a_file_taken_is_not_touched_while_the_next_is_prepared() {
    let disk = SimDisk::default();
    let (mut log, _) = open(&disk).unwrap();
    let stats = Arc::new(WalStats::default());
    let janitor = Janitor::start(place(&disk), stats, Vec::new(), FatalHook::default()).unwrap();
    let first = (&janitor).take(SEGMENT_BYTES).unwrap();
    let second = (&janitor).take(SEGMENT_BYTES).unwrap();
    let large = (&janitor).take(2 * SEGMENT_BYTES).unwrap();
    janitor.close();
    janitor.join();
    struct Given(Vec<Spare>);
    impl SpareSource for Given {
        fn take(&mut self, _: u64) -> io::Result<Spare> {
            Ok(self.0.remove(0))
        }
    }
    let mut given = Given(vec![first, second, large]);
    for index in 0..10 {
        log.commit(&[entry(index, &[1; 3000])], &mut given).unwrap();
    }
    assert_eq!(Model::of(&open(&disk.kill()).unwrap().0).entries.len(), 10);
}
