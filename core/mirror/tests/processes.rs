//! Several processes on one mirror: crashes, forks, other users, a full file system.
//!
//! Has a `main` of its own, because it forks: a process with one thread may, a test harness with several may not.

mod support;

use std::fs;
use std::io::{Read, Write, pipe};
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown, symlink};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use cfgstore_mirror::{
    FileKind, PublishError, Publisher, PublisherOptions, ReadError, Reader, RewritePolicy, Snapshot,
};
use support::*;
use tempfile::TempDir;

/// Long enough never to pass on a loaded machine; only a lost wake-up makes a test wait for it.
const BOUND: Duration = Duration::from_secs(60);
const NOBODY: u32 = 65534;

fn main() {
    let cases: [(&str, fn()); 12] = [
        ("a_snapshot_is_never_torn", a_snapshot_is_never_torn),
        ("a_killed_publisher_is_succeeded", a_killed_publisher_is_succeeded),
        ("only_one_publisher_wins", only_one_publisher_wins),
        ("a_lock_ends_with_its_publisher", a_lock_ends_with_its_publisher),
        ("a_reader_survives_fork", a_reader_survives_fork),
        ("a_sleeper_is_woken", a_sleeper_is_woken),
        ("a_wait_ends_at_a_signal", a_wait_ends_at_a_signal),
        ("a_killed_reader_holds_no_memory", a_killed_reader_holds_no_memory),
        (
            "a_full_file_system_keeps_the_last_generation",
            a_full_file_system_keeps_the_last_generation,
        ),
        (
            "copies_leave_room_for_generations",
            copies_leave_room_for_generations,
        ),
        (
            "a_rewrite_that_does_not_fit_is_deferred",
            a_rewrite_that_does_not_fit_is_deferred,
        ),
        (
            "another_user_reads_by_group_only",
            another_user_reads_by_group_only,
        ),
    ];
    let filter = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    let started = Instant::now();
    let (mut passed, mut failed, mut filtered_out) = (0, 0, 0);
    for (name, case) in cases {
        if filter.as_ref().is_some_and(|filter| !name.contains(&**filter)) {
            filtered_out += 1;
            continue;
        }
        let ok = catch_unwind(case).is_ok();
        println!("test {name} ... {}", if ok { "ok" } else { "FAILED" });
        *if ok { &mut passed } else { &mut failed } += 1;
    }
    // As cargo's own harness says it: what runs all tests counts by this line.
    println!(
        "\ntest result: {}. {passed} passed; {failed} failed; 0 ignored; 0 measured; {filtered_out} filtered out; finished in {:.2}s\n",
        if failed == 0 { "ok" } else { "FAILED" },
        started.elapsed().as_secs_f64()
    );
    if failed > 0 {
        std::process::exit(101);
    }
}

struct Child(libc::pid_t);

impl Child {
    /// Runs `work` in a forked process, which ends with it: status 0, or 101 after a panic.
    fn run(work: impl FnOnce()) -> Child {
        // SAFETY: this program has one thread, so the child may do whatever the parent may.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0, "fork");
        if pid > 0 {
            return Child(pid);
        }
        let ok = catch_unwind(AssertUnwindSafe(work)).is_ok();
        // SAFETY: ends this process at once, without the parent's destructors (temporary folders).
        unsafe { libc::_exit(if ok { 0 } else { 101 }) }
    }

    fn signal(&self, signal: i32) {
        // SAFETY: a child that has not been waited for; its number is not used again.
        assert_eq!(unsafe { libc::kill(self.0, signal) }, 0);
    }

    /// Until the kernel says that the child sleeps: there is no event for that.
    fn wait_until_asleep(&self) {
        for _ in 0..60_000 {
            let stat = fs::read_to_string(format!("/proc/{}/stat", self.0)).unwrap();
            if stat
                .rsplit_once(')')
                .is_some_and(|(_, rest)| rest.trim_start().starts_with('S'))
            {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        panic!("the child never slept");
    }

    fn wait(self) -> i32 {
        let mut status = 0;
        // SAFETY: writes the status of our own child.
        assert_eq!(unsafe { libc::waitpid(self.0, &raw mut status, 0) }, self.0);
        std::mem::forget(self);
        status
    }

    fn join(self) {
        let status = self.wait();
        assert_eq!(status, 0, "the child process failed");
    }

    fn kill(self) {
        self.signal(libc::SIGKILL);
        let status = self.wait();
        assert!(
            libc::WIFSIGNALED(status),
            "it had ended before it was killed: {status:#x}"
        );
    }
}

/// A failing test leaves no process behind.
impl Drop for Child {
    fn drop(&mut self) {
        self.signal(libc::SIGKILL);
        let mut status = 0;
        // SAFETY: as in wait().
        unsafe { libc::waitpid(self.0, &raw mut status, 0) };
    }
}

/// A test that passed without what it tests would hide that.
fn need_root(what: &str) {
    // SAFETY: cannot fail.
    assert!(unsafe { libc::geteuid() == 0 }, "{what} needs root");
}

/// In a child process: a tmpfs of that size over `dir`, seen by this process only, gone with it.
fn private_tmpfs(dir: &Path, size_bytes: u64) {
    let path = std::ffi::CString::new(dir.as_os_str().as_encoded_bytes()).unwrap();
    let options = std::ffi::CString::new(format!("size={size_bytes},mode=755")).unwrap();
    // SAFETY: all strings end with NUL and outlive the calls.
    unsafe {
        assert_eq!(libc::unshare(libc::CLONE_NEWNS), 0, "unshare");
        let private = libc::MS_REC | libc::MS_PRIVATE;
        let root = c"/".as_ptr();
        assert_eq!(
            libc::mount(
                c"none".as_ptr(),
                root,
                std::ptr::null(),
                private,
                std::ptr::null()
            ),
            0
        );
        let tmpfs = c"tmpfs".as_ptr();
        assert_eq!(
            libc::mount(tmpfs, path.as_ptr(), tmpfs, 0, options.as_ptr().cast()),
            0,
            "mount"
        );
    }
}

fn free_bytes(dir: &Path) -> u64 {
    let path = std::ffi::CString::new(dir.as_os_str().as_encoded_bytes()).unwrap();
    // SAFETY: `stat` is plain old data, written by the call; the path ends with NUL.
    unsafe {
        let mut stat: libc::statvfs = std::mem::zeroed();
        assert_eq!(libc::statvfs(path.as_ptr(), &raw mut stat), 0);
        stat.f_bfree * stat.f_frsize
    }
}

/// Runs a test that needs a file system of its own in a child that has one.
fn with_private_tmpfs(size_bytes: u64, work: impl FnOnce(&Path)) {
    need_root("mounting a small tmpfs");
    let dir = shm_dir();
    Child::run(|| {
        private_tmpfs(dir.path(), size_bytes);
        work(dir.path());
    })
    .join();
}

// ---------------------------------------------------------------------------------------------------------------------

const KEYS: usize = 40;

fn numbered_keys() -> Vec<String> {
    (0..KEYS).map(|i| format!("pair/{i:03}")).collect()
}

/// All values of one generation are the same number, in a length that depends on it.
fn number_value(number: i64) -> String {
    format!("{number}:{}", "v".repeat((number % 97) as usize * 3))
}

/// Checks one snapshot in all ways of reading and returns its number.
fn check_numbers(snapshot: &Snapshot, keys: &[String]) -> i64 {
    let expected = number_value(snapshot.revision());
    for key in keys {
        assert_eq!(value_of(snapshot, key), Some(&*expected));
    }
    assert_eq!(snapshot.iter_prefix(b"pair/").count(), KEYS);
    for entry in snapshot.iter_prefix(b"pair/") {
        assert_eq!(entry.unwrap().value, expected.as_bytes());
    }
    snapshot.revision()
}

fn number_changes<'a>(keys: &'a [String], value: &'a str, number: i64) -> Vec<cfgstore_mirror::Change<'a>> {
    keys.iter().map(|key| put(key, value, number)).collect()
}

/// Beside the numbered keys there is enough else that changes go into deltas, and bases come now and then.
fn numbered_options(dir: &Path) -> PublisherOptions {
    let mut options = options(dir);
    options.rewrite = RewritePolicy {
        small_bytes: 0,
        max_delta_divisor: 2,
        max_written_factor: 3,
    };
    options
}

fn publish_numbers_full(publisher: &mut Publisher, keys: &[String], number: i64) {
    let value = number_value(number);
    let ballast = vec![7; 60_000];
    let entries = keys
        .iter()
        .map(|key| entry(key.as_bytes(), value.as_bytes(), number));
    let entries = entries.chain([entry(b"ballast", &ballast, 1)]);
    publisher.publish_full(origin(number), entries).unwrap();
}

fn a_snapshot_is_never_torn() {
    const LAST: i64 = 5_000;
    let dir = shm_dir();
    let keys = numbered_keys();
    let mut publisher = Publisher::open(numbered_options(dir.path())).unwrap();
    publish_numbers_full(&mut publisher, &keys, 1);
    let path = publisher.dir().to_path_buf();
    let readers: Vec<Child> = (0..4)
        .map(|which| {
            let (path, keys) = (&path, &keys);
            Child::run(move || {
                let mut reader = Reader::open(path).unwrap();
                let (mut generation, mut number, mut seen) = (0, 0, 0);
                while number < LAST {
                    if which % 2 == 0 {
                        assert!(reader.wait(generation, BOUND), "woken after {generation}");
                    }
                    let snapshot = reader.snapshot().unwrap();
                    assert!(snapshot.generation() >= generation, "generations never go back");
                    if snapshot.generation() > generation {
                        generation = snapshot.generation();
                        seen += 1;
                        let now = check_numbers(&snapshot, keys);
                        assert!(now > number, "{now} after {number}");
                        number = now;
                    }
                }
                assert!(seen > 10, "a reader that saw {seen} generations tested nothing");
            })
        })
        .collect();
    let (mut bases, mut deltas) = (0, 0);
    for number in 2..=LAST {
        if number % 500 == 0 {
            publish_numbers_full(&mut publisher, &keys, number);
            continue;
        }
        let value = number_value(number);
        match publisher
            .publish_changes(number, number_changes(&keys, &value, number))
            .unwrap()
            .kind
        {
            FileKind::Base => bases += 1,
            FileKind::Delta => deltas += 1,
        }
    }
    assert!(bases > 100 && deltas > 1000, "{bases} bases, {deltas} deltas");
    for reader in readers {
        reader.join();
    }
}

fn a_killed_publisher_is_succeeded() {
    let dir = shm_dir();
    let keys = numbered_keys();
    let options = numbered_options(dir.path());
    let path = dir.path().join("m");
    publish_numbers_full(&mut Publisher::open(options.clone()).unwrap(), &keys, 1);
    let mut reader = Reader::open(&path).unwrap();
    let mut generation = reader.generation();
    for round in 0..40 {
        let child = Child::run(|| {
            let mut publisher = Publisher::open(options.clone()).unwrap();
            let current = publisher.current().expect("the last generation is whole");
            let mut number = check_numbers(current, &keys);
            loop {
                number += 1;
                let value = number_value(number);
                publisher
                    .publish_changes(number, number_changes(&keys, &value, number))
                    .unwrap();
            }
        });
        // Killed at some step of some publish: each round after another count of generations.
        for _ in 0..=round % 7 {
            assert!(reader.wait(generation, BOUND), "the successor publishes");
            let snapshot = reader.snapshot().unwrap();
            assert!(snapshot.generation() > generation, "generations never go back");
            generation = snapshot.generation();
            check_numbers(&snapshot, &keys);
        }
        child.kill();
        let snapshot = Reader::open(&path).unwrap().snapshot().unwrap();
        check_numbers(&snapshot, &keys);
        generation = reader.snapshot().unwrap().generation();
        assert_eq!(generation, snapshot.generation());
        assert!(!reader.is_retired() && reader.is_current(&path));
    }
    let publisher = Publisher::open(options).unwrap();
    assert!(publisher.found_damage().is_none());
    let left = files(&path);
    assert!(
        left.len() <= 4,
        "control, lock, a base and a delta, no copies, but not {left:?}"
    );
}

fn only_one_publisher_wins() {
    let dir = shm_dir();
    for _ in 0..20 {
        let (mut tried_rx, tried_tx) = pipe().unwrap();
        let (go_rx, go_tx) = pipe().unwrap();
        let children: Vec<Child> = (0..4)
            .map(|_| {
                Child::run(|| {
                    let mut tried = tried_tx.try_clone().unwrap();
                    let publisher = match Publisher::open(options(dir.path())) {
                        Ok(publisher) => {
                            tried.write_all(b"W").unwrap();
                            Some(publisher)
                        }
                        Err(PublishError::Locked { .. }) => {
                            tried.write_all(b"L").unwrap();
                            None
                        }
                        Err(other) => panic!("{other}"),
                    };
                    // Holds on until the parent has heard all.
                    let mut go = go_rx.try_clone().unwrap();
                    let _ = go.read(&mut [0]).unwrap();
                    drop(publisher);
                })
            })
            .collect();
        let mut answers = [0; 4];
        tried_rx.read_exact(&mut answers).unwrap();
        assert_eq!(
            answers.iter().filter(|answer| **answer == b'W').count(),
            1,
            "{answers:?}"
        );
        (&go_tx).write_all(&[0; 4]).unwrap();
        children.into_iter().for_each(Child::join);
    }
}

/// A child that somebody forked and that has not come to its exec yet holds the publisher's descriptors.
fn a_lock_ends_with_its_publisher() {
    let dir = shm_dir();
    let publisher = open(dir.path());
    let (mut go_rx, go_tx) = pipe().unwrap();
    let child = Child::run(|| {
        let _ = go_rx.read(&mut [0]).unwrap();
    });
    drop(publisher);
    open(dir.path());
    (&go_tx).write_all(&[0]).unwrap();
    child.join();
}

fn a_reader_survives_fork() {
    let dir = shm_dir();
    let mut publisher = open(dir.path());
    publisher.publish_full(origin(2), [entry(b"a", b"1", 2)]).unwrap();
    let mut reader = Some(Reader::open(publisher.dir()).unwrap());
    let mut held = Some(reader.as_mut().unwrap().snapshot().unwrap());
    let (mut ready_rx, mut ready_tx) = pipe().unwrap();
    let child = Child::run(|| {
        let (mut reader, held) = (reader.take().unwrap(), held.take().unwrap());
        assert_eq!(value_of(&held, "a"), Some("1"));
        ready_tx.write_all(b"r").unwrap();
        assert!(reader.wait(1, BOUND));
        assert_eq!(value_of(&reader.snapshot().unwrap(), "a"), Some("2"));
        assert_eq!(value_of(&held, "a"), Some("1"));
        // Unmaps the child's view only.
        drop((reader, held));
    });
    ready_rx.read_exact(&mut [0]).unwrap();
    publisher.publish_changes(3, [put("a", "2", 3)]).unwrap();
    child.join();
    let (mut reader, held) = (
        reader.expect("the child took its own"),
        held.expect("the child took its own"),
    );
    assert_eq!(value_of(&held, "a"), Some("1"));
    assert_eq!(value_of(&reader.snapshot().unwrap(), "a"), Some("2"));
    publisher.publish_changes(4, [put("a", "3", 4)]).unwrap();
    assert_eq!(value_of(&reader.snapshot().unwrap(), "a"), Some("3"));
}

/// By a generation and by the retirement, each after it has gone to sleep.
fn a_sleeper_is_woken() {
    let dir = shm_dir();
    let mut publisher = open(dir.path());
    let reader = Reader::open(publisher.dir()).unwrap();
    let (mut woken_rx, mut woken_tx) = pipe().unwrap();
    let child = Child::run(|| {
        for generation in 0..2 {
            let started = Instant::now();
            assert!(reader.wait(generation, BOUND));
            // At its bound, a wait looks at the word once more: the answer would be right, and late.
            assert!(started.elapsed() < BOUND, "it slept on");
            woken_tx.write_all(b"w").unwrap();
        }
        assert!(reader.is_retired());
    });
    child.wait_until_asleep();
    publisher.publish_full(origin(2), []).unwrap();
    // The other end in this process would keep the pipe open if the child failed.
    drop(woken_tx);
    woken_rx.read_exact(&mut [0]).unwrap();
    child.wait_until_asleep();
    publisher.retire();
    child.join();
}

fn a_wait_ends_at_a_signal() {
    extern "C" fn handler(_: i32) {}
    let dir = shm_dir();
    let publisher = open(dir.path());
    let reader = Reader::open(publisher.dir()).unwrap();
    let (mut ready_rx, mut ready_tx) = pipe().unwrap();
    let (mut done_rx, mut done_tx) = pipe().unwrap();
    let child = Child::run(|| {
        // SAFETY: the handler does nothing. Without SA_RESTART, as PHP installs its own.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = handler as *const () as usize;
            libc::sigaction(libc::SIGUSR1, &raw const action, std::ptr::null_mut());
        }
        ready_tx.write_all(b"r").unwrap();
        assert!(!reader.wait(0, BOUND * 10));
        done_tx.write_all(b"d").unwrap();
    });
    drop(done_tx);
    ready_rx.read_exact(&mut [0]).unwrap();
    // The signal may come before the sleep begins, so it is sent until it was heard.
    let mut poll = libc::pollfd {
        fd: std::os::fd::AsRawFd::as_raw_fd(&done_rx),
        events: libc::POLLIN,
        revents: 0,
    };
    let mut heard = false;
    for _ in 0..6000 {
        child.signal(libc::SIGUSR1);
        // SAFETY: one open descriptor.
        if unsafe { libc::poll(&raw mut poll, 1, 10) } == 1 {
            heard = true;
            break;
        }
    }
    assert!(heard, "the wait went on");
    done_rx.read_exact(&mut [0]).unwrap();
    child.join();
}

fn a_killed_reader_holds_no_memory() {
    with_private_tmpfs(64 << 20, |dir| {
        let mut publisher = open(dir);
        let big = vec![1; 16 << 20];
        publisher.publish_full(origin(2), [entry(b"a", &big, 2)]).unwrap();
        let empty_but_for_one = free_bytes(dir);
        let (mut ready_rx, mut ready_tx) = pipe().unwrap();
        let child = Child::run(|| {
            let held = Reader::open(publisher.dir()).unwrap().snapshot().unwrap();
            ready_tx.write_all(b"r").unwrap();
            assert_eq!(held.get(b"a").unwrap().unwrap().value, big);
            // Until it is killed.
            loop {
                std::thread::park();
            }
        });
        ready_rx.read_exact(&mut [0]).unwrap();
        for revision in 3..6 {
            publisher.publish_full(origin(revision), []).unwrap();
        }
        // The file has no name any more, yet the reader has it.
        assert!(files(publisher.dir()).iter().all(|name| name != "1.snap"));
        assert!(free_bytes(dir) < empty_but_for_one + (8 << 20));
        // The publisher has let go of it, so with the reader it goes.
        child.kill();
        assert!(free_bytes(dir) > empty_but_for_one + (15 << 20));
    });
}

fn no_space<T: std::fmt::Debug>(result: Result<T, PublishError>) {
    assert!(matches!(result, Err(PublishError::NoSpace { .. })), "{result:?}");
}

fn a_full_file_system_keeps_the_last_generation() {
    with_private_tmpfs(1 << 20, |dir| {
        let filler = dir.join("filler");
        let fill = || {
            let mut file = fs::File::create(&filler).unwrap();
            while file.write_all(&[0; 4096]).is_ok() {}
            assert_eq!(free_bytes(dir), 0);
        };
        // Not even room for the control page.
        fill();
        no_space(Publisher::open(options(dir)));
        assert!(matches!(
            Reader::open(&dir.join("m")),
            Err(ReadError::NotFound { .. })
        ));
        fs::remove_file(&filler).unwrap();

        let mut publisher = open(dir);
        let value = "x".repeat(10_000);
        publisher
            .publish_full(origin(2), [entry(b"a", value.as_bytes(), 2)])
            .unwrap();
        let mut reader = Reader::open(publisher.dir()).unwrap();
        fill();
        no_space(publisher.publish_changes(3, [put("b", &value, 3)]));
        no_space(publisher.publish_full(origin(3), [entry(b"b", &[0; 1], 3)]));
        assert_eq!(
            files(publisher.dir()),
            ["1.snap", "control", "lock"],
            "nothing half-written is left"
        );
        publisher.heartbeat(7).unwrap();
        assert_eq!(
            reader.heartbeat_boot_ms(),
            7,
            "a full file system is no dead publisher"
        );
        let held = reader.snapshot().unwrap();
        assert_eq!((held.generation(), value_of(&held, "a")), (1, Some(&*value)));
        // A publisher that starts now takes over what is there.
        drop(publisher);
        let mut publisher = open(dir);
        assert_eq!(publisher.current().unwrap().revision(), 2);
        assert_eq!(
            files(publisher.dir()),
            ["1.snap", "control", "lock"],
            "nothing half-written is left"
        );

        fs::remove_file(&filler).unwrap();
        assert_eq!(
            publisher
                .publish_changes(3, [put("b", "2", 3)])
                .unwrap()
                .generation,
            2
        );
        assert_eq!(reader.snapshot().unwrap().len(), 2);
        // Larger than the whole file system: refused before it is filled, so that nobody else suffers.
        let free = free_bytes(dir);
        no_space(publisher.publish_changes(4, [put("big", &"x".repeat(2 << 20), 4)]));
        assert_eq!(free_bytes(dir), free);
        assert_eq!(value_of(&held, "a"), Some(&*value));
    });
}

fn copies_leave_room_for_generations() {
    with_private_tmpfs(3 << 20, |dir| {
        let mut publisher = open(dir);
        let has_arena = |publisher: &Publisher| files(publisher.dir()).contains(&"recent.1".to_owned());
        let mut reader = Reader::open(publisher.dir()).unwrap();
        publisher.publish_full(origin(2), []).unwrap();
        // There is room for an arena, but it would be more than an eighth of that.
        let filler = dir.join("filler");
        fs::write(&filler, vec![0; 1500 << 10]).unwrap();
        publisher.publish_changes(3, [put("a", "1", 3)]).unwrap();
        assert!(!has_arena(&publisher));
        assert_eq!(value_of(&reader.snapshot().unwrap(), "a"), Some("1"));
        fs::remove_file(&filler).unwrap();
        publisher.publish_changes(4, []).unwrap();
        assert!(has_arena(&publisher));
        // Its memory is there already, so that a file system that is full later does no harm.
        let arena = fs::metadata(publisher.dir().join("recent.1")).unwrap();
        assert_eq!((arena.len(), arena.blocks() * 512), (256 << 10, 256 << 10));
    });
}

fn a_rewrite_that_does_not_fit_is_deferred() {
    with_private_tmpfs(1 << 20, |dir| {
        let mut publisher = open(dir);
        let big = "x".repeat(600_000);
        publisher
            .publish_full(origin(2), [entry(b"big", big.as_bytes(), 2)])
            .unwrap();
        let mut reader = Reader::open(publisher.dir()).unwrap();
        let value = "y".repeat(90_000);
        let published = publisher.publish_changes(3, [put("a", &value, 3)]).unwrap();
        assert_eq!(
            (published.kind, published.rewrite_deferred),
            (FileKind::Delta, true)
        );
        assert_eq!(value_of(&reader.snapshot().unwrap(), "a"), Some(&*value));
        // Once less is there, the next change makes the base that was due.
        publisher
            .publish_changes(4, [put("a", "", 4), put("big", "small", 4)])
            .unwrap();
        publisher.publish_changes(5, [put("a", "new", 5)]).unwrap();
        let snapshot = reader.snapshot().unwrap();
        assert_eq!(
            (value_of(&snapshot, "big"), value_of(&snapshot, "a")),
            (Some("small"), Some("new"))
        );
    });
}

/// In a child process: becomes a user without any rights but the given group's.
fn become_nobody(gid: u32) {
    // SAFETY: plain calls; an empty list of further groups.
    unsafe {
        assert_eq!(libc::setgroups(0, std::ptr::null()), 0);
        assert_eq!(libc::setresgid(gid, gid, gid), 0);
        assert_eq!(libc::setresuid(NOBODY, NOBODY, NOBODY), 0);
    }
}

fn open_to_all(dir: &TempDir) {
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
}

fn another_user_reads_by_group_only() {
    need_root("becoming another user");
    const GROUP: u32 = 54321;
    let dir = shm_dir();
    open_to_all(&dir);
    let mut options = options(dir.path());
    options.gid = Some(GROUP);
    let mut publisher = Publisher::open(options.clone()).unwrap();
    publisher.publish_full(origin(2), [entry(b"a", b"1", 2)]).unwrap();
    let path = publisher.dir().to_path_buf();
    // A link that nobody made leads to root's folder: nobody's choice, not root's.
    let link = dir.path().join("link");
    symlink(&path, &link).unwrap();
    assert_eq!(Reader::open(&link).unwrap().snapshot().unwrap().len(), 1);
    lchown(&link, Some(NOBODY), Some(NOBODY)).unwrap();
    assert!(matches!(Reader::open(&link), Err(ReadError::Untrusted { .. })));

    Child::run(|| {
        become_nobody(NOBODY);
        assert!(matches!(Reader::open(&path), Err(ReadError::Denied { .. })));
        assert!(matches!(
            Publisher::open(options.clone()),
            Err(PublishError::Denied { .. })
        ));
    })
    .join();
    let (mut ready_rx, mut ready_tx) = pipe().unwrap();
    let child = Child::run(|| {
        become_nobody(GROUP);
        let mut reader = Reader::open(&path).unwrap();
        assert_eq!(value_of(&reader.snapshot().unwrap(), "a"), Some("1"));
        for name in ["1.snap", "control", "lock"] {
            assert!(
                fs::OpenOptions::new().write(true).open(path.join(name)).is_err(),
                "{name}"
            );
            assert!(fs::remove_file(path.join(name)).is_err(), "{name}");
        }
        assert!(
            fs::File::open(path.join("lock")).is_err(),
            "a flock would keep publishers out"
        );
        assert!(fs::write(path.join("2.snap"), b"mine").is_err());
        assert!(matches!(
            Publisher::open(options.clone()),
            Err(PublishError::Unusable { .. })
        ));
        // Waiting needs no right to write.
        ready_tx.write_all(b"r").unwrap();
        assert!(reader.wait(1, BOUND));
        assert_eq!(value_of(&reader.snapshot().unwrap(), "a"), Some("2"));
    });
    ready_rx.read_exact(&mut [0]).unwrap();
    publisher.publish_changes(3, [put("a", "2", 3)]).unwrap();
    child.join();
    // Nor may it write where copies are, which it reads: the copy is all that there is.
    publisher.publish_changes(4, [put("a", "3", 4)]).unwrap();
    let file = path.join("3.snap");
    fs::rename(&file, dir.path().join("aside")).unwrap();
    Child::run(|| {
        become_nobody(GROUP);
        let mut reader = Reader::open(&path).unwrap();
        assert_eq!(value_of(&reader.snapshot().unwrap(), "a"), Some("3"));
        let arena = path.join("recent.1");
        assert!(fs::OpenOptions::new().write(true).open(&arena).is_err());
        assert!(fs::remove_file(&arena).is_err());
    })
    .join();
    fs::rename(dir.path().join("aside"), &file).unwrap();

    // A file of another owner in a folder that was open to others for a while.
    lchown(&file, Some(NOBODY), None).unwrap();
    lchown(path.join("recent.1"), Some(NOBODY), None).unwrap();
    let untrusted = Reader::open(&path).unwrap().snapshot();
    assert!(
        matches!(untrusted, Err(ReadError::Untrusted { .. })),
        "{untrusted:?}"
    );
    // A folder of another owner is not taken over.
    drop(publisher);
    lchown(&path, Some(NOBODY), None).unwrap();
    assert!(matches!(
        Publisher::open(options),
        Err(PublishError::Unusable { .. })
    ));
}
