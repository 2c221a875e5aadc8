//! The first client that finds no socket starts the store: once, detached, or with a clear error.

use cfgstore_tests::{Host, Process, descriptors, is_root, wait_until};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

#[test]
fn many_first_processes_start_one_store() {
    let host = Host::new();
    let racers: Vec<Process> = (0..24)
        .map(|n| {
            let code = format!("(new Cfgstore\\Client())->put('racer/{n}', {n}); echo 'done';");
            Process::spawn(host.php().arg("-r").arg(code))
        })
        .collect();
    for racer in racers {
        assert!(racer.wait().success());
    }
    assert_eq!(host.servers().len(), 1);
    let listed = host.php_code("echo count((new Cfgstore\\Client())->all('racer/'));");
    assert_eq!(listed, "24");
}

#[test]
fn the_store_outlives_its_starter_and_inherits_nothing() {
    let host = Host::new();
    // Descriptor 200 stands for php-fpm's listening socket: it must not live on in the store.
    let script = format!("exec 200<>{}; exec \"$@\"", host.path("inherited").display());
    let status = Command::new("bash")
        .args(["-c", &script, "bash", "php8.2"])
        .args(host.php_settings())
        .args(["-r", "(new Cfgstore\\Client())->put('a', 1);"])
        .status();
    assert!(status.expect("php").success());
    let server = host.servers()[0];
    let inherited = host.path("inherited");
    let open = std::fs::read_dir(format!("/proc/{server}/fd"))
        .expect("fd")
        .flatten();
    for descriptor in open {
        assert_ne!(
            std::fs::read_link(descriptor.path()).unwrap_or_default(),
            inherited,
            "an inherited descriptor"
        );
    }
    assert!(descriptors(server) > 0);
    let stat = std::fs::read_to_string(format!("/proc/{server}/stat")).expect("stat");
    let session: i32 = stat
        .rsplit(')')
        .next()
        .and_then(|rest| rest.split_whitespace().nth(3)?.parse().ok())
        .expect("session");
    assert_eq!(session, session_leader(server), "a session of its own");
    assert_eq!(host.php_code("echo (new Cfgstore\\Client())->get('a');"), "1");
}

fn session_leader(pid: i32) -> i32 {
    // SAFETY: getsid has no memory effects.
    let session = unsafe { libc::getsid(pid) };
    // SAFETY: as above.
    assert_ne!(session, unsafe { libc::getsid(0) }, "the test's own session");
    session
}

/// What a PHP user reads when the first use cannot start the store.
fn message(host: &Host, settings: &[&str]) -> String {
    let code = "try { (new Cfgstore\\Client())->put('a', 1); echo 'written'; } \
                catch (Cfgstore\\Exception\\ExceptionInterface $e) { echo get_class($e), ': ', $e->getMessage(); }";
    let mut command = host.php();
    for setting in settings {
        command.args(["-d", setting]);
    }
    let output = command.args(["-r", code]).output().expect("php");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_missing_program_is_named() {
    let host = Host::new();
    let missing = host.path("nowhere/cfgstored");
    let text = message(&host, &[&format!("cfgstore.cfgstored={}", missing.display())]);
    assert!(
        text.starts_with("Cfgstore\\Exception\\UnavailableException"),
        "{text}"
    );
    assert!(text.contains(&missing.display().to_string()), "{text}");
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let host = Host::new();
    std::fs::write(host.path("store"), "a file where the folder should be").expect("file");
    let text = message(&host, &[]);
    assert!(text.contains(&host.data_dir().display().to_string()), "{text}");
    assert!(text.starts_with("Cfgstore\\Exception\\"), "{text}");
}

#[test]
fn autostart_off_starts_nothing() {
    let host = Host::new();
    let text = message(&host, &["cfgstore.autostart=0"]);
    assert!(
        text.starts_with("Cfgstore\\Exception\\UnavailableException"),
        "{text}"
    );
    assert!(host.servers().is_empty());
}

#[test]
fn no_rights_on_the_socket_is_said() {
    assert!(is_root(), "this test drops rights and needs root to begin with");
    let host = Host::new();
    let server = host.cfgstored(&[]);
    std::fs::set_permissions(host.socket(), std::fs::Permissions::from_mode(0o600)).expect("chmod");
    let code = "try { (new Cfgstore\\Client())->put('a', 1); echo 'written'; } \
                catch (Cfgstore\\Exception\\ExceptionInterface $e) { echo get_class($e), ': ', $e->getMessage(); }";
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "php8.2"])
        .args(host.php_settings())
        .args(["-r", code])
        .output()
        .expect("setpriv");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.starts_with("Cfgstore\\Exception\\AccessDeniedException"),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    server.signal(libc::SIGTERM);
    assert!(server.wait().success());
}

#[test]
fn a_full_disk_is_said() {
    assert!(is_root(), "this test mounts a small file system and needs root");
    let host = Host::new();
    let small = host.path("small");
    std::fs::create_dir(&small).expect("folder");
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"])
        .arg(&small)
        .status();
    assert!(mounted.expect("mount").success());
    let text = message(&host, &[&format!("cfgstore.data_dir={}/store", small.display())]);
    let unmounted = Command::new("umount").arg("-l").arg(&small).status();
    assert!(unmounted.expect("umount").success());
    assert!(text.starts_with("Cfgstore\\Exception\\"), "{text}");
    assert!(text.contains("No space left") || text.contains("space"), "{text}");
    wait_until("no store to be left", || host.servers().is_empty());
}
