//! Forked children: both sides go on, and nothing of the parent's is touched or kept alive.

mod support;

use std::io::Read;

use cfgstore_client::blocking::{self, Mode, Watch};
use cfgstore_client::{Address, ErrorKind, LockOptions, Options, PutOptions, WatchOptions};
use cfgstore_proto::cfgstore::v1::Acquired;
use cfgstore_proto::cfgstore::v1::hold_response::Response;
use support::scripted::{Scripted, Seen};
use support::{Etcd, PATIENCE, options_for, socket_in, wait_until, worker};

const PLAIN: PutOptions = PutOptions {
    if_revision: None,
    lease: 0,
    comment: String::new(),
};

fn mode_of(name: &str) -> Mode {
    if name == "thread" {
        Mode::BackgroundThread
    } else {
        Mode::NoThread
    }
}

/// Runs `child` in a forked child and returns whether it ended well.
fn in_child(child: impl FnOnce()) -> bool {
    // SAFETY: the child only runs `child` and leaves without unwinding or running exit handlers.
    match unsafe { libc::fork() } {
        0 => {
            let well = std::panic::catch_unwind(std::panic::AssertUnwindSafe(child)).is_ok();
            // SAFETY: ends this process at once.
            unsafe { libc::_exit(i32::from(!well)) }
        }
        process => {
            let mut status = 0;
            // SAFETY: waits for the child just made; `status` is writable.
            assert_eq!(unsafe { libc::waitpid(process, &mut status, 0) }, process);
            status == 0
        }
    }
}

#[test]
fn parent_and_children_each_have_their_own_connections() {
    let Some(arguments) = worker::role() else {
        let etcd = Etcd::start();
        for mode in ["none", "thread"] {
            worker::run(
                "parent_and_children_each_have_their_own_connections",
                &[&etcd.port().to_string(), mode],
            );
        }
        return;
    };
    let client = blocking::Client::new(
        options_for(&[arguments[0].parse().unwrap()]),
        mode_of(&arguments[1]),
    )
    .unwrap();
    let mut client = Some(client);
    let key = &arguments[1];
    let first = client.as_ref().unwrap().put(key, "parent", &PLAIN).unwrap();
    let options = WatchOptions::key(key).from_revision(first);
    let mut watch = Some(client.as_ref().unwrap().watch(options).unwrap());
    let next = |watch: &mut Option<Watch>| watch.as_mut().unwrap().next(Some(PATIENCE)).unwrap().unwrap();
    assert_eq!(next(&mut watch).revision, first);

    for round in 0..3 {
        let well = in_child(|| {
            // The very same handles.
            let value = format!("child {round}");
            let written = client.as_ref().unwrap().put(key, value.clone(), &PLAIN).unwrap();
            let seen = next(&mut watch);
            assert_eq!(
                (seen.revision, &seen.changes[0].value[..]),
                (written, value.as_bytes())
            );
            // A grandchild, of a process that is a child itself.
            assert!(in_child(|| {
                assert_eq!(client.as_ref().unwrap().get(key).unwrap().unwrap().value, value);
            }));
            // Dropping what was inherited must not hurt the parent.
            drop((watch.take(), client.take()));
        });
        assert!(well);
        let seen = next(&mut watch);
        assert_eq!(seen.changes[0].value, format!("child {round}"));
        assert_eq!(
            client.as_ref().unwrap().get(key).unwrap().unwrap().mod_revision,
            seen.revision
        );
    }

    // A child that never touches the client, and one that drops it unused.
    assert!(in_child(|| {}));
    assert!(in_child(|| drop((watch.take(), client.take()))));
    let written = client.as_ref().unwrap().put(key, "end", &PLAIN).unwrap();
    assert_eq!(next(&mut watch).revision, written);
}

#[test]
fn a_child_neither_frees_nor_keeps_its_parents_lock() {
    let Some(arguments) = worker::role() else {
        for mode in ["none", "thread"] {
            let folder = tempfile::tempdir().unwrap();
            let agent = Scripted::start(&socket_in(&folder));
            agent.on_lock(Response::Acquired(Acquired {
                key: "k".into(),
                token: 1,
                lease: 1,
            }));
            let path = agent.path().to_str().unwrap();
            let mut holder = worker::start("a_child_neither_frees_nor_keeps_its_parents_lock", &[path, mode]);
            let said = read_until(holder.stdout.as_mut().unwrap(), "child ready");
            assert!(said.contains("child ready"), "{said}");
            assert_eq!(agent.seen().len(), 1, "the child has not ended the lock");
            // The parent dies without a word, the child lives on with what it inherited.
            holder.kill().unwrap();
            wait_until("the agent sees the end", || {
                agent.seen().last() == Some(&Seen::Gone)
            });
            // The child reads this end, and ends too.
            drop(holder.stdin.take());
            holder.wait().unwrap();
        }
        return;
    };
    let options = Options {
        address: Address::Unix(arguments[0].clone().into()),
        ..Options::default()
    };
    let client = blocking::Client::new(options, mode_of(&arguments[1])).unwrap();
    let mut lock = Some(client.lock("l", &LockOptions::default()).unwrap());
    in_child(|| {
        let mut inherited = lock.take().unwrap();
        assert!(!inherited.is_held());
        assert_eq!(inherited.release().unwrap_err().kind, ErrorKind::LockLost);
        drop(inherited);
        println!("child ready");
        let _ = std::io::stdin().read(&mut [0]);
    });
}

fn read_until(from: &mut impl Read, end: &str) -> String {
    let mut said = String::new();
    let mut byte = [0];
    while !said.contains(end) && from.read(&mut byte).unwrap() == 1 {
        said.push(byte[0].into());
    }
    said
}
