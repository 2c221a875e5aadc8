//! Starting `cfgstored`, with a stand-in that shows how it was started.

mod support;

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use cfgstore_client::blocking::{Client, Mode};
use cfgstore_client::host::HostPaths;
use cfgstore_client::{Error, ErrorKind, Options, WatchOptions, autostart};
use support::{wait_until, worker};
use tempfile::TempDir;

/// A data folder whose processes end with it.
struct Host {
    folder: TempDir,
}

impl Host {
    fn new() -> Host {
        Host {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn behaves(self, how: &str) -> Host {
        fs::write(self.path().join("fake"), how).unwrap();
        self
    }

    fn options(&self) -> Options {
        Options {
            data_dir: Some(self.path().to_owned()),
            cfgstored: Some(fake_cfgstored()),
            ..Options::default()
        }
    }

    /// What each started process wrote about itself.
    fn starts(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path().join("starts")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Waits until a process that never serves has taken the folder.
    fn until_taken(&self) {
        let end = std::time::Instant::now() + Duration::from_secs(30);
        while !self.path().join("taken").exists() {
            assert!(std::time::Instant::now() < end, "nobody takes the folder");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn is_served(&self) -> bool {
        std::os::unix::net::UnixStream::connect(HostPaths::new(self.path()).socket()).is_ok()
    }

    fn stop_all(&self) {
        for start in self.starts() {
            let pid = start
                .rsplit_once("\"pid\": ")
                .unwrap()
                .1
                .trim_end_matches('}')
                .to_owned();
            let _ = Command::new("kill").args(["-9", &pid]).output();
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.stop_all();
    }
}

fn fake_cfgstored() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/fake_cfgstored.py")
}

/// Returns once something serves.
fn start(options: &Options) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(autostart::ensure(options))
}

#[test]
fn the_first_use_starts_it_and_the_next_ones_find_it() {
    let host = Host::new();
    start(&host.options()).unwrap();
    assert!(host.is_served());
    start(&host.options()).unwrap();
    assert_eq!(host.starts().len(), 1);
    // It ends; the next use starts another.
    host.stop_all();
    wait_until("it is gone", || !host.is_served());
    start(&host.options()).unwrap();
    assert_eq!(host.starts().len(), 2);
}

#[test]
fn it_is_a_process_of_its_own() {
    // As php-fpm has: listening sockets and files that are inherited unless somebody closes them.
    let Some(arguments) = worker::role() else {
        let host = Host::new();
        let mirror = host.path().join("mirror-dir");
        worker::run(
            "it_is_a_process_of_its_own",
            &[host.path().to_str().unwrap(), mirror.to_str().unwrap()],
        );
        let start = &host.starts()[0];
        assert!(start.contains("\"descriptors\": [0, 1, 2, 3, "), "{start}");
        assert!(!start.contains(", 77"), "{start}");
        assert!(start.contains("\"cwd\": \"/\""), "{start}");
        assert!(start.contains("\"blocked\": []"), "{start}");
        assert!(start.contains("\"usr1\": true"), "{start}");
        assert!(
            start.contains(&format!("\"--mirror-dir\": \"{}\"", mirror.display())),
            "{start}"
        );
        // The starter has ended, and it lives on.
        assert!(host.is_served());
        return;
    };
    // SAFETY: plain calls on numbers and on a valid set.
    unsafe {
        let file = File::open("/dev/null").unwrap();
        assert_eq!(libc::dup2(file.as_raw_fd(), 77), 77);
        libc::signal(libc::SIGUSR1, libc::SIG_IGN);
        let mut set = std::mem::zeroed();
        libc::sigaddset(&mut set, libc::SIGTERM);
        libc::sigprocmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
    }
    // A relative folder means the same to both.
    let data_dir = Path::new(&arguments[0]);
    std::env::set_current_dir(data_dir.parent().unwrap()).unwrap();
    let options = Options {
        data_dir: Some(data_dir.file_name().unwrap().into()),
        mirror_dir: Some(arguments[1].clone().into()),
        cfgstored: Some(fake_cfgstored()),
        ..Options::default()
    };
    start(&options).unwrap();
    let mut status = 0;
    // SAFETY: `status` is writable.
    let child = unsafe { libc::waitpid(-1, &mut status, libc::WNOHANG) };
    assert_eq!(child, -1, "no child is left, alive or dead");
}

#[test]
fn of_twenty_processes_one_starts_it() {
    let Some(arguments) = worker::role() else {
        for how in ["serves", "slow"] {
            let host = Host::new().behaves(how);
            let mut workers: Vec<_> = (0..20)
                .map(|_| {
                    worker::start(
                        "of_twenty_processes_one_starts_it",
                        &[host.path().to_str().unwrap()],
                    )
                })
                .collect();
            // All together.
            for worker in &mut workers {
                drop(worker.stdin.take());
            }
            for worker in workers {
                let ended = worker.wait_with_output().unwrap();
                assert!(
                    ended.status.success(),
                    "{}",
                    String::from_utf8_lossy(&ended.stdout)
                );
            }
            assert_eq!(host.starts().len(), 1, "{:?}", host.starts());
        }
        return;
    };
    let _ = std::io::Read::read(&mut std::io::stdin(), &mut [0]);
    let options = Options {
        data_dir: Some(arguments[0].clone().into()),
        cfgstored: Some(fake_cfgstored()),
        ..Options::default()
    };
    start(&options).unwrap();
}

#[test]
fn a_second_one_that_is_refused_waits_for_the_first() {
    // Somebody else started it a moment ago, without the lock for starting.
    let host = Host::new().behaves("slow");
    let mut first = Command::new(fake_cfgstored())
        .arg("--data-dir")
        .arg(host.path())
        .spawn()
        .unwrap();
    wait_until("it has the folder", || {
        host.path().join("lock").exists() && host.starts().len() == 1
    });
    start(&host.options()).unwrap();
    assert!(host.is_served());
    first.kill().unwrap();
    first.wait().unwrap();
}

#[test]
fn a_watch_of_a_store_that_starts_slowly_is_not_over() {
    let host = Host::new().behaves("slow");
    let options = Options {
        call_timeout: Duration::from_millis(100),
        ..host.options()
    };
    let client = Client::new(options, Mode::BackgroundThread).unwrap();
    let mut watch = client.watch(WatchOptions::prefix("").from_revision(1)).unwrap();
    // A timeout would say that no change came in time.
    let error = watch.next(None).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
}

#[test]
fn a_binary_that_is_not_there_is_named() {
    let host = Host::new();
    let error = start(&Options {
        cfgstored: Some("/nonexistent/cfgstored".into()),
        ..host.options()
    })
    .unwrap_err();
    assert_eq!(
        (error.kind, error.maybe_committed),
        (ErrorKind::Unavailable, false)
    );
    assert!(error.message.contains("/nonexistent/cfgstored"), "{error}");
    assert!(error.message.contains("CFGSTORE_CFGSTORED"), "{error}");
    assert_eq!(fs::read_dir(host.path()).unwrap().count(), 0, "nothing was made");
}

#[test]
fn a_start_that_fails_says_why_and_is_not_repeated_at_once() {
    let host = Host::new().behaves("fails");
    fs::write(HostPaths::new(host.path()).log(), "a line of an earlier start\n").unwrap();
    let client = Client::new(host.options(), Mode::NoThread).unwrap();
    for _ in 0..3 {
        let error = client.get("k").unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unavailable);
        assert!(
            error.message.contains("the log is damaged at offset 17"),
            "{error}"
        );
        assert!(error.message.contains("cfgstored.log"), "{error}");
        assert!(!error.message.contains("earlier start"), "{error}");
    }
    assert_eq!(host.starts().len(), 1);
}

#[test]
fn a_start_that_takes_too_long_is_a_timeout() {
    let host = Host::new().behaves("silent");
    let options = Options {
        start_timeout: Duration::from_millis(400),
        ..host.options()
    };
    let told = || {
        let error = start(&options).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Timeout, "{error}");
        assert!(
            error.message.contains("does not serve yet") && error.message.contains("cfgstored.log"),
            "{error}"
        );
        error.message
    };
    assert!(told().starts_with("cfgstored was started and"));
    host.until_taken();
    // What is started next finds the folder taken, and may be slower to say so than the start is patient.
    wait_until("another one is told of", || {
        told().starts_with("another cfgstored has the data folder")
    });
}

#[test]
fn a_program_that_is_no_cfgstored_is_shown() {
    let host = Host::new();
    let error = start(&Options {
        cfgstored: Some("/bin/echo".into()),
        ..host.options()
    })
    .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(error.message.contains("--data-dir"), "{error}");
    let script = host.path().join("garbage");
    File::create(&script)
        .unwrap()
        .write_all(b"\x7fELF nonsense")
        .unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let error = start(&Options {
        cfgstored: Some(script),
        ..host.options()
    })
    .unwrap_err();
    assert!(error.message.contains("garbage"), "{error}");
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let host = Host::new();
    let file = host.path().join("file");
    fs::write(&file, "").unwrap();
    let error = start(&Options {
        data_dir: Some(file.join("below")),
        ..host.options()
    })
    .unwrap_err();
    assert!(error.message.contains("cannot create the data folder"), "{error}");

    // A link into nowhere that even root cannot write through.
    let folder = host.path().join("d");
    fs::create_dir(&folder).unwrap();
    symlink("/proc/nowhere/autostart.lock", folder.join("autostart.lock")).unwrap();
    let error = start(&Options {
        data_dir: Some(folder),
        ..host.options()
    })
    .unwrap_err();
    assert!(error.message.contains("autostart.lock"), "{error}");
}

#[test]
fn without_rights_it_is_denied() {
    let Some(arguments) = worker::role() else {
        let host = Host::new();
        fs::set_permissions(host.path(), fs::Permissions::from_mode(0o755)).unwrap();
        return worker::run("without_rights_it_is_denied", &[host.path().to_str().unwrap()]);
    };
    // SAFETY: plain calls; root becomes nobody, anybody else stays who they are.
    if unsafe { libc::geteuid() } == 0 {
        // SAFETY: as above.
        assert_eq!(unsafe { libc::setresuid(65534, 65534, 65534) }, 0);
    }
    let own = Path::new(&arguments[0]).metadata().unwrap();
    // SAFETY: takes nothing.
    let is_mine = std::os::unix::fs::MetadataExt::uid(&own) == unsafe { libc::geteuid() };
    for data_dir in [arguments[0].as_str(), "/sys/cfgstore"]
        .into_iter()
        .skip(usize::from(is_mine))
    {
        let options = Options {
            data_dir: Some(data_dir.into()),
            cfgstored: Some("/bin/true".into()),
            ..Options::default()
        };
        let error = start(&options).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Denied, "{error}");
        assert!(
            error.message.contains(data_dir) && error.message.contains("user"),
            "{error}"
        );
    }
}

#[test]
fn switched_off_it_starts_nothing() {
    let host = Host::new();
    let options = Options {
        autostart: false,
        call_timeout: Duration::from_millis(200),
        ..host.options()
    };
    let error = Client::new(options, Mode::NoThread)
        .unwrap()
        .get("k")
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(error.message.contains("turn autostart on"), "{error}");
    assert!(host.starts().is_empty());
}

#[test]
fn a_full_disk_is_said_to_be_full() {
    // A file system of its own needs root; elsewhere the log says so, as cfgstored's would.
    let host = Host::new();
    let script = host.path().join("full");
    fs::write(
        &script,
        "#!/bin/sh\necho 'cannot write wal: No space left on device (os error 28)' >&2\nexit 1\n",
    )
    .unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let error = start(&Options {
        cfgstored: Some(script),
        ..host.options()
    })
    .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Exhausted, "{error}");
    assert!(error.message.contains("no space is left"), "{error}");
}
