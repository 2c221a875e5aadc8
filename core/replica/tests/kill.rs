//! `kill -9` at random moments under load: everything acknowledged is there afterwards.

mod support;

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command as Process, Stdio};
use std::time::{Duration, Instant};

use cfgstore_replica::Member;
use cfgstore_store::{Command, Compact};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use support::{apply, copy, dump, put, small};

const DIR: &str = "CFGSTORE_TEST_KILL_DIR";
const WRITERS: u64 = 16;

/// The process that is killed: started by the test below, it tells of each acknowledged write on its standard output.
/// In an ordinary run of the tests it does nothing.
#[tokio::test]
async fn child() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let member = Member::open(small(Path::new(&dir))).await.unwrap();
    say(&format!("open {}", member.state().revision()));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| tokio::spawn(write(member.clone(), writer)))
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
}

async fn write(member: Member, writer: u64) {
    let key = format!("writer/{writer}");
    let next = |value: &[u8]| std::str::from_utf8(value).unwrap().parse::<u64>().unwrap() + 1;
    let mut n = member
        .state()
        .get(key.as_bytes())
        .map_or(0, |record| next(record.value()));
    loop {
        let revision = apply(&member, put(&key, n.to_string())).await;
        say(&format!("ack {writer} {n} {revision}"));
        if n % 50 == writer {
            // Others may have compacted further already; that changes nothing.
            let compact = Command::Compact(Compact {
                revision: revision - 20,
            });
            let _ = member.propose(Default::default(), compact).await.unwrap();
        }
        if n % 30 == writer {
            apply(&member, put(format!("large/{writer}"), vec![b'x'; 5000])).await;
        }
        n += 1;
    }
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // One write for a line: the pipe keeps it whole. When the other end is gone, so is the reason to go on.
    if out
        .write_all(format!("@{line}\n").as_bytes())
        .and_then(|()| out.flush())
        .is_err()
    {
        std::process::exit(1);
    }
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_by_kills_under_load() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut rng = StdRng::seed_from_u64(7);
    let mut acknowledged: HashMap<u64, u64> = HashMap::new();
    let mut last_revision = 1;
    for round in 0..20 {
        let mut child = Process::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture"])
            .env(DIR, &data)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut events = lines
            .by_ref()
            .map_while(Result::ok)
            .filter_map(|line| Some(line.split_once('@')?.1.to_owned()));
        // The killer's clock starts when the member serves; sometimes it strikes before.
        let early = round % 5 == 4;
        if !early {
            let opened = events.next().unwrap();
            let revision: i64 = opened.strip_prefix("open ").unwrap().parse().unwrap();
            assert!(
                revision >= last_revision,
                "round {round}: {revision} after {last_revision}"
            );
        }
        let pid = child.id();
        let delay = Duration::from_micros(rng.random_range(if early { 0..40_000 } else { 5_000..250_000 }));
        let killer = std::thread::spawn(move || {
            std::thread::sleep(delay);
            // SAFETY: kill takes numbers only; the child has not been waited for yet, so the id is still its own.
            assert_eq!(unsafe { libc::kill(pid as i32, libc::SIGKILL) }, 0);
        });
        for event in events {
            let mut words = event.split(' ');
            match words.next().unwrap() {
                "ack" => {
                    let mut number = || words.next().unwrap().parse::<u64>().unwrap();
                    let (writer, n, revision) = (number(), number(), number() as i64);
                    acknowledged.insert(writer, n);
                    last_revision = last_revision.max(revision);
                }
                "open" => {}
                other => panic!("{other}"),
            }
        }
        killer.join().unwrap();
        child.wait().unwrap();

        let without_checkpoint = dir.path().join("without");
        if round % 4 == 2 {
            copy(&data, &without_checkpoint);
            let _ = std::fs::remove_dir_all(without_checkpoint.join("checkpoint"));
        }
        let started = Instant::now();
        let member = Member::open(small(&data))
            .await
            .unwrap_or_else(|error| panic!("round {round}: {error}"));
        let state = member.state();
        assert!(
            state.revision() >= last_revision,
            "round {round}: {} after {last_revision}",
            state.revision()
        );
        for (writer, n) in &acknowledged {
            let record = state.get(format!("writer/{writer}").as_bytes()).unwrap();
            let found: u64 = std::str::from_utf8(record.value()).unwrap().parse().unwrap();
            assert!(
                found >= *n,
                "round {round}: writer {writer} was told of {n}, found is {found}"
            );
        }
        last_revision = state.revision();
        println!(
            "round {round}: revision {last_revision}, opened in {:?}",
            started.elapsed()
        );
        if without_checkpoint.exists() {
            // Snapshot and log alone must lead to the same.
            let other = Member::open(small(&without_checkpoint)).await.unwrap();
            assert!(
                dump(&other.state()) == dump(&state),
                "round {round}: checkpoint and log disagree"
            );
            other.shutdown().await.unwrap();
            std::fs::remove_dir_all(&without_checkpoint).unwrap();
        }
        member.shutdown().await.unwrap();
    }
    assert!(
        last_revision > 500,
        "the writers hardly wrote anything: {last_revision}"
    );
}
