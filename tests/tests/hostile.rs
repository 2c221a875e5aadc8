//! Another user of the host, in no group of the agent's, who may write where everybody may: reads nothing, changes nothing, and
//! is taken for no agent.

use cfgstore_tests::{Host, Process, is_root, wait_until};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const NOBODY: u32 = 65_534;
/// A group that the host's owner gives its data folder to.
const READERS: u32 = 65_500;

/// A command of the hostile user's, in these groups.
fn nobody(groups: &str, program: impl AsRef<std::ffi::OsStr>) -> Command {
    assert!(is_root(), "this test becomes another user, which needs root");
    let mut command = Command::new("setpriv");
    command.arg("--reuid=65534").arg("--regid=65534");
    if groups.is_empty() {
        command.arg("--clear-groups");
    } else {
        command.arg("--groups").arg(groups);
    }
    command.arg(program);
    command
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// What a PHP program says when it reads the key `a`, or else what is thrown.
fn says(php: &mut Command, call: &str) -> String {
    let code = format!(
        "try {{ $c = new Cfgstore\\Client(timeout: 5); echo json_encode({call}); }} catch (Throwable $e) {{ echo get_class($e), ': ', $e->getMessage(); }}"
    );
    text(&php.arg("-r").arg(code).output().expect("php"))
}

const DENIED: &str = "Cfgstore\\Exception\\AccessDeniedException: ";

/// A folder that everybody may write to, as `/tmp`.
fn open_folder(host: &Host, mode: u32) -> PathBuf {
    let folder = host.path(format!("open-{mode:o}"));
    std::fs::create_dir(&folder).expect("folder");
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(mode)).expect("chmod");
    folder
}

/// The hostile user's own store, with `a` = `"evil"`, in this folder, readable by everybody.
fn evil_store(host: &Host, folder: &Path, arguments: &[&str]) -> Process {
    let mut command = nobody("", host.path("cfgstored"));
    command.arg("--data-dir").arg(folder).args(arguments);
    let server = host.start_cfgstored(&mut command);
    let mut socket = folder.join("cfgstore.sock");
    if let ["--socket", other] = arguments {
        socket = other.into();
    }
    let put = nobody("", host.path("cfgctl"))
        .arg("--endpoints")
        .arg(format!("unix://{}", socket.display()))
        .args(["put", "a", "\"evil\""])
        .output()
        .expect("cfgctl");
    assert!(put.status.success(), "{}", text(&put));
    let mirror = std::fs::read_link(folder.join("mirror")).expect("its mirror");
    for path in [folder, &mirror] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("chmod");
    }
    std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o666)).expect("chmod");
    server
}

fn php_with(host: &Host, settings: &[String]) -> Command {
    let mut php = host.php();
    for setting in settings {
        php.arg("-d").arg(setting);
    }
    php
}

#[test]
fn the_mirror_is_read_with_the_group_alone_and_changed_by_nobody() {
    let host = Host::new();
    host.php_code("(new Cfgstore\\Client())->put('a', 'good');");
    let mirror = std::fs::read_link(host.data_dir().join("mirror")).expect("the mirror");
    // Copies, so that the folder with the build does not decide.
    std::fs::copy(host.built("cfgstore.so"), host.path("cfgstore.so")).expect("copy");
    let extension = format!("extension={}", host.path("cfgstore.so").display());
    let data_dir = format!("cfgstore.data_dir={}", host.data_dir().display());
    let php = |groups: &str| {
        let mut command = nobody(groups, "php8.2");
        command.args(["-d", &extension, "-d", &data_dir, "-d", "cfgstore.autostart=0"]);
        command
    };
    let attempt = |groups: &str, script: &str| {
        let ran = nobody(groups, "sh").arg("-c").arg(script).output().expect("sh");
        assert!(!ran.status.success(), "{script}: {}", text(&ran));
    };
    let (m, d) = (mirror.display(), host.data_dir().display().to_string());
    let changes = [
        format!("echo x > {m}/control"),
        format!("echo x >> {m}/$(ls {m} | grep snap | head -1)"),
        format!("touch {m}/new"),
        format!("rm -f {m}/control && ! ls {m}/control"),
        format!("mv {m} {m}-gone"),
        format!("rm {d}/mirror"),
        format!("rm {d}/cfgstore.sock"),
        format!("mv {d} {d}-gone"),
        format!("touch {d}/new"),
        format!("echo x >> {d}/last.snap"),
    ];

    // In no group.
    for change in &changes {
        attempt("", change);
    }
    for read in [format!("cat {m}/control"), format!("ls {m}"), format!("ls {d}")] {
        attempt("", &read);
    }
    assert!(says(&mut php(""), "$c->get('a')").starts_with(DENIED));
    assert!(says(&mut php(""), "$c->put('a', 'evil')").starts_with(DENIED));

    // In the group, to which the owner gives the folder and the mirror.
    for path in [host.data_dir(), mirror.clone()].iter().chain(&files_of(&mirror)) {
        lchown(path, None, Some(READERS)).expect("chown");
    }
    let group = READERS.to_string();
    assert_eq!(says(&mut php(&group), "$c->get('a')"), "\"good\"");
    for change in &changes {
        attempt(&group, change);
    }
    assert!(
        says(&mut php(&group), "$c->put('a', 'evil')").starts_with(DENIED),
        "the socket is not the group's"
    );
    assert_eq!(host.php_code("echo (new Cfgstore\\Client())->get('a');"), "good");
}

fn files_of(folder: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder).expect("folder").flatten();
    files.map(|file| file.path()).collect()
}

#[test]
fn a_planted_data_folder_is_not_used() {
    let host = Host::new();
    let open = open_folder(&host, 0o1777);
    let folder = open.join("store");
    let evil = evil_store(&host, &folder, &[]);
    let setting = [format!("cfgstore.data_dir={}", folder.display())];
    let refused = |call: &str| {
        let said = says(&mut php_with(&host, &setting), call);
        assert!(
            said.starts_with(DENIED) && said.contains("everybody may write to"),
            "{call}: {said}"
        );
    };
    let calls = [
        "$c->get('a')",
        "$c->put('a', 1)",
        "$c->lock('a')->token",
        "$c->watch('a')->current()",
    ];
    calls.into_iter().for_each(refused);
    // Through a link of the same user's, to a place that is safe by itself.
    let safe = host.path("safe");
    std::fs::create_dir(&safe).expect("folder");
    let link = open.join("link");
    std::os::unix::fs::symlink(&safe, &link).expect("link");
    lchown(&link, Some(NOBODY), None).expect("chown");
    let said = says(
        &mut php_with(&host, &[format!("cfgstore.data_dir={}", link.display())]),
        "$c->put('a', 1)",
    );
    assert!(said.starts_with(DENIED), "{said}");

    // Nobody answers there any more: nothing is started in it, by PHP or by hand.
    evil.kill();
    calls.into_iter().for_each(refused);
    let started = Command::new(host.path("cfgstored"))
        .arg("--data-dir")
        .arg(&folder)
        .output()
        .expect("cfgstored");
    assert!(
        !started.status.success() && text(&started).contains("is not trusted"),
        "{}",
        text(&started)
    );
    assert_eq!(
        std::fs::metadata(folder.join("lock"))
            .expect("the lock file")
            .uid(),
        NOBODY
    );
}

#[test]
fn a_planted_socket_is_not_spoken_to() {
    let host = Host::new();
    for mode in [0o1777, 0o777] {
        let open = open_folder(&host, mode);
        let socket = open.join("agent.sock");
        let folder = host.path(format!("evil-{mode:o}"));
        std::fs::create_dir(&folder).expect("folder");
        chown(&folder, Some(NOBODY), Some(NOBODY)).expect("chown");
        let _evil = evil_store(&host, &folder, &["--socket", &socket.display().to_string()]);
        let setting = [format!("cfgstore.endpoints=unix://{}", socket.display())];
        let refused = |why: &str| {
            let said = says(&mut php_with(&host, &setting), "$c->put('a', 'secret')");
            assert!(
                said.starts_with(DENIED) && said.contains("user 65534"),
                "{why}: {said}"
            );
        };
        refused("the socket is the other user's");
        // Whoever owns the name, it is the other user's process that listens.
        lchown(&socket, Some(0), Some(0)).expect("chown");
        refused("the process that listens is the other user's");
    }
}

#[test]
fn a_mirror_whose_name_is_taken_is_not_read() {
    let host = Host::new();
    host.php_code("(new Cfgstore\\Client())->put('a', 'good');");
    let mirror = std::fs::read_link(host.data_dir().join("mirror")).expect("the mirror");
    // A reboot: shared memory is empty, the link is there, and its name was to be seen before.
    host.signal_servers(libc::SIGKILL);
    wait_until("its end", || host.servers().is_empty());
    std::fs::remove_dir_all(&mirror).expect("the mirror's folder");
    let folder = host.path("evil");
    std::fs::create_dir(&folder).expect("folder");
    chown(&folder, Some(NOBODY), Some(NOBODY)).expect("chown");
    let evil = evil_store(&host, &folder, &[]);
    let theirs = std::fs::read_link(folder.join("mirror")).expect("its mirror");
    let planted = nobody("", "cp")
        .arg("-r")
        .arg(&theirs)
        .arg(&mirror)
        .output()
        .expect("cp");
    assert!(planted.status.success(), "{}", text(&planted));
    assert_eq!(std::fs::metadata(&mirror).expect("planted").uid(), NOBODY);

    let alone = ["cfgstore.autostart=0".to_owned()];
    let said = says(&mut php_with(&host, &alone), "$c->get('a')");
    assert!(said.starts_with(DENIED), "{said}");
    // Named by a setting, it is no better.
    let named = [
        format!("cfgstore.mirror_dir={}", mirror.display()),
        alone[0].clone(),
    ];
    let said = says(&mut php_with(&host, &named), "$c->get('a')");
    assert!(
        said.starts_with(DENIED) && said.contains("everybody may write to"),
        "{said}"
    );
    // The store makes another one.
    assert_eq!(host.php_code("echo (new Cfgstore\\Client())->get('a');"), "good");
    assert_ne!(
        std::fs::read_link(host.data_dir().join("mirror")).expect("another"),
        mirror
    );
    evil.kill();
    for folder in [&mirror, &theirs] {
        std::fs::remove_dir_all(folder).expect("cleared");
    }
}
