use std::time::Duration;

use cfgstore_client::ErrorKind;
use cfgstore_mirror::{Origin, Publisher, PublisherOptions, boot_ms};
use tempfile::TempDir;

use super::{Settings, Source};
use crate::abi::source::CoreAtLeast;

const ANY: CoreAtLeast = CoreAtLeast {
    revision: 0,
    store_id: 0,
    replaced_store_id: 0,
};
/// Longer than any machine takes; nothing here waits for so long.
const LONG: Duration = Duration::from_secs(60);

/// A mirror, and a source that reads it and has no agent to ask.
fn mirror() -> (TempDir, Publisher, Source) {
    let dir = tempfile::tempdir().unwrap();
    let publisher = publisher(&dir);
    let mut source = Source::new(Settings {
        endpoints: format!("unix://{}", dir.path().join("no-agent.sock").display()),
        data_dir: None,
        mirror_dir: Some(dir.path().join("mirror")),
        cfgstored: None,
        seed: None,
        keyring: None,
        client_name: "test".to_owned(),
        autostart: false,
    })
    .unwrap();
    source.peek();
    assert!(source.reader.is_some());
    (dir, publisher, source)
}

fn publisher(dir: &TempDir) -> Publisher {
    Publisher::open(PublisherOptions::folder(dir.path().join("mirror"))).unwrap()
}

fn publish(publisher: &mut Publisher, source_id: u64, revision: i64) {
    let origin = Origin {
        source_id,
        revision,
        restored: false,
    };
    publisher.publish_full(origin, []).unwrap();
}

#[test]
fn a_mirror_that_was_retired_before_its_first_generation_is_left() {
    let (dir, first, mut source) = mirror();
    first.retire();
    let error = source.take_newest(Duration::ZERO).unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotSynced);
    let mut second = publisher(&dir);
    publish(&mut second, 1, 2);
    source.take_newest(LONG).unwrap();
    assert_eq!(source.revision(), 2);
}

#[cfg(target_os = "linux")]
#[test]
fn a_signal_does_not_end_the_wait_for_the_first_generation() {
    use std::os::unix::thread::JoinHandleExt;
    use std::sync::atomic::{AtomicU32, Ordering};

    static HANDLED: AtomicU32 = AtomicU32::new(0);
    extern "C" fn handle(_: libc::c_int) {
        HANDLED.fetch_add(1, Ordering::Relaxed);
    }
    // SAFETY: the handler only counts, and nothing else in this program uses the signal.
    unsafe { libc::signal(libc::SIGUSR1, handle as *const () as libc::sighandler_t) };

    let (_dir, mut publisher, mut source) = mirror();
    let (say, hear) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        // SAFETY: a plain system call.
        say.send(unsafe { libc::gettid() }).unwrap();
        source.take_newest(LONG).map(|_| source.revision())
    });
    let stat = format!("/proc/self/task/{}/stat", hear.recv().unwrap());
    let is_asleep = || std::fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") S "));
    for round in 1..=3 {
        while !is_asleep() && !reader.is_finished() {
            std::thread::yield_now();
        }
        // SAFETY: the thread has not been joined.
        unsafe { libc::pthread_kill(reader.as_pthread_t(), libc::SIGUSR1) };
        while HANDLED.load(Ordering::Relaxed) < round && !reader.is_finished() {
            std::thread::yield_now();
        }
    }
    publish(&mut publisher, 1, 2);
    assert_eq!(reader.join().unwrap().unwrap(), 2);
}

#[test]
fn what_was_published_before_a_wait_ends_it() {
    let (_dir, mut publisher, mut source) = mirror();
    publish(&mut publisher, 1, 2);
    let seen = source.take_newest(LONG).unwrap();
    assert!(!source.moves_on(seen, Duration::ZERO));
    publish(&mut publisher, 1, 3);
    assert!(source.moves_on(seen, Duration::ZERO));
}

#[test]
fn the_publisher_is_heard_where_it_publishes_now() {
    let (dir, mut first, source) = mirror();
    first.heartbeat(boot_ms() - 10_000).unwrap();
    assert!(source.heard().silent_ms >= 10_000);
    first.heartbeat(boot_ms()).unwrap();
    assert!(source.heard().silent_ms < 10_000);
    // The folder goes behind its back, and it begins another.
    first.heartbeat(boot_ms() - 10_000).unwrap();
    std::fs::remove_dir_all(first.dir()).unwrap();
    let mut second = publisher(&dir);
    assert!((10_000..u64::MAX).contains(&source.heard().silent_ms));
    second.heartbeat(boot_ms()).unwrap();
    assert!(source.heard().silent_ms < 10_000);
    assert_eq!(source.heard().publisher_pid, std::process::id());
    second.heartbeat(boot_ms() - 10_000).unwrap();
    assert!(source.heard().silent_ms >= 10_000);
}

#[test]
fn a_revision_counts_for_its_own_store() {
    let (dir, mut old, mut source) = mirror();
    publish(&mut old, 1, 20);
    source.advance(0, ANY, LONG).unwrap();
    let of_old = CoreAtLeast {
        revision: 20,
        store_id: 1,
        ..ANY
    };
    let of_new = CoreAtLeast {
        revision: 2,
        store_id: 2,
        replaced_store_id: 1,
    };
    assert_eq!(source.advance(0, of_old, Duration::ZERO).unwrap().store_id, 1);
    // Written to a new store, while the mirror still shows the old one, whose revision is the higher one.
    let error = source.advance(0, of_new, Duration::ZERO).err().unwrap();
    assert_eq!(error.kind, ErrorKind::Timeout);
    assert!(
        error.message.contains("the store that was there before"),
        "{error}"
    );

    old.retire();
    let mut new = publisher(&dir);
    publish(&mut new, 2, 1);
    assert_eq!(source.advance(0, of_old, Duration::ZERO).unwrap().revision, 1);
    assert!(source.advance(0, of_new, Duration::ZERO).is_err());
    publish(&mut new, 2, 2);
    assert_eq!(source.advance(0, of_new, LONG).unwrap().revision, 2);
    // And that one is replaced in its turn.
    publish(&mut new, 3, 1);
    assert_eq!(source.advance(0, of_new, Duration::ZERO).unwrap().store_id, 3);
}

#[test]
fn without_a_store_a_revision_is_of_the_one_shown() {
    let revision = CoreAtLeast { revision: 5, ..ANY };
    assert!(!revision.is_held_by(7, 4));
    assert!(revision.is_held_by(7, 5));
}
