//! The first client that finds no socket starts the store: once, detached, or with a clear error.

use cfgstore_tests::{
    Fpm, FpmOptions, Host, HttpConnection, Process, descriptors, is_root, processes_in_group, wait_until,
};
use std::collections::HashSet;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;

const NOBODY: u32 = 65534;

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

/// A deployed application's first eight requests, one for each worker; then the pool goes, with all its processes.
#[test]
fn many_first_requests_start_one_store_that_outlives_their_pool() {
    let host = Host::new();
    let open_folder = |name: &str| {
        let folder = host.path(name);
        std::fs::create_dir(&folder).expect("folder");
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o777)).expect("chmod");
        folder
    };
    let (gathering, starts) = (open_folder("gathering"), open_folder("starts"));
    // What is started says so first.
    let program = host.path("counted-cfgstored");
    let script = format!(
        "#!/bin/sh\ntouch {}/$$\nexec {} \"$@\"\n",
        starts.display(),
        host.path("cfgstored").display()
    );
    std::fs::write(&program, script).expect("script");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("chmod");
    let fpm = Fpm::start(
        &host,
        &FpmOptions {
            settings: vec![format!("cfgstore.cfgstored={}", program.display())],
            ..FpmOptions::default()
        },
    );
    let workers: HashSet<i32> = fpm.workers().into_iter().collect();
    assert!(host.servers().is_empty(), "nothing has used the store yet");
    let path = format!(
        "/first-use.php?workers={}&folder={}",
        workers.len(),
        gathering.display()
    );
    let answered: HashSet<i32> = std::thread::scope(|scope| {
        let request = || {
            let response = HttpConnection::get_once(fpm.port(), &path);
            let response = response.expect("a request");
            assert_eq!(response.status, 200, "{}", response.body);
            response.body.parse().expect(&response.body)
        };
        let requests: Vec<_> = workers.iter().map(|_| scope.spawn(request)).collect();
        requests
            .into_iter()
            .map(|request| request.join().expect("an answered request"))
            .collect()
    });
    assert_eq!(
        (answered.len(), &answered),
        (8, &workers),
        "each worker answered one"
    );
    let servers = host.servers();
    assert_eq!(servers.len(), 1, "one store: {servers:?}");
    assert_eq!(
        std::fs::read_dir(&starts).expect("folder").count(),
        1,
        "one was ever started"
    );

    let pool = fpm.master().pid();
    assert!(
        processes_in_group(pool).len() > workers.len() && !processes_in_group(pool).contains(&servers[0]),
        "the workers are in the pool's process group, and the store is not"
    );
    fpm.kill();
    wait_until("the pool to be gone", || processes_in_group(pool).is_empty());
    assert_eq!(host.servers(), servers, "the same store serves");
    let client = host.client();
    for worker in workers {
        let value = client.get(format!("first/{worker}")).expect("an answer");
        assert_eq!(value.expect("a key").value.as_ref(), b"true");
    }
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

/// A job of root's that comes first, after a reboot say, starts the application's store as the application would.
#[test]
fn root_starts_the_store_as_the_owner_of_its_folder() {
    assert!(is_root(), "this test needs root");
    let host = Host::new();
    std::fs::create_dir(host.data_dir()).expect("folder");
    std::os::unix::fs::chown(host.data_dir(), Some(NOBODY), Some(NOBODY)).expect("chown");
    host.php_code("(new Cfgstore\\Client())->put('a', 1);");
    let server = host.servers()[0];
    let owner = |path: std::path::PathBuf| std::fs::symlink_metadata(path).expect("file").uid();
    assert_eq!(owner(format!("/proc/{server}").into()), NOBODY);
    let mirror = std::fs::read_link(host.data_dir().join("mirror")).expect("link");
    for folder in [&host.data_dir(), &mirror] {
        for file in std::fs::read_dir(folder).expect("folder").flatten() {
            assert_eq!(owner(file.path()), NOBODY, "{}", file.path().display());
        }
    }
    host.signal_servers(libc::SIGTERM);
    wait_until("its end", || host.servers().is_empty());
    // The application finds nothing in its way.
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "php8.2"])
        .args(host.php_settings())
        .args([
            "-r",
            "$c = new Cfgstore\\Client(); echo $c->get('a'), $c->put('a', 2) > 0 ? ' and writes' : '';",
        ])
        .output()
        .expect("setpriv");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "1 and writes",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
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
    let store = small.join("store");
    let text = message(&host, &[&format!("cfgstore.data_dir={}", store.display())]);
    let unmounted = Command::new("umount").arg("-l").arg(&small).status();
    assert!(unmounted.expect("umount").success());
    assert!(
        text.starts_with("Cfgstore\\Exception\\ExhaustedException: "),
        "{text}"
    );
    let way_out = format!(
        "no space is left on the disk of {}: free some there, or name another data folder",
        store.display()
    );
    assert!(text.contains(&way_out), "{text}");
    wait_until("no store to be left", || host.servers().is_empty());
}
