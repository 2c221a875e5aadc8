//! A host that starts while no member answers serves what it has: its last copy, or a seed that was made elsewhere. It says so,
//! and the members take over when they come.

use cfgstore_client::PutOptions;
use cfgstore_tests::{Fpm, FpmOptions, Remote, wait_until};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Reads the key `a` and the status as JSON, or says what is thrown.
const READ: &str = "try { $c = new Cfgstore\\Client(timeout: 20); $a = $c->get('a'); $s = $c->status(); \
     echo json_encode([$a, $s->restored, $s->agentAlive]); } catch (Throwable $e) { echo get_class($e), ': ', $e->getMessage(); }";

fn php(remote: &Remote, code: &str, seed: Option<&Path>) -> String {
    let mut php = remote.php();
    if let Some(seed) = seed {
        php.env("CFGSTORE_SEED", seed);
    }
    let output = php.args(["-r", code]).output().expect("php");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn read(remote: &Remote, seed: Option<&Path>) -> String {
    php(remote, READ, seed)
}

fn write(remote: &Remote, value: u64) {
    let put = remote
        .client()
        .put("a", value.to_string(), &PutOptions::default());
    put.expect("a put");
}

/// The agent ends, and with it all that is in shared memory.
fn reboot(remote: &Remote, signal: i32) {
    remote.host.signal_servers(signal);
    wait_until("the agent's end", || remote.host.servers().is_empty());
    if let Ok(mirror) = std::fs::read_link(remote.agent_dir().join("mirror")) {
        std::fs::remove_dir_all(mirror).expect("the mirror's folder");
    }
}

/// Makes a seed of the member's store, as on a machine that builds a container.
fn save_seed(remote: &Remote, name: &str) -> PathBuf {
    let file = remote.host.path(name);
    let saved = Command::new(remote.host.path("cfgctl"))
        .args(["--endpoints", &remote.url(), "--timeout", "20", "--data-dir"])
        .arg(remote.host.data_dir().join("builder"))
        .args(["mirror", "save"])
        .arg(&file)
        .output()
        .expect("cfgctl");
    assert!(
        saved.status.success(),
        "{}",
        String::from_utf8_lossy(&saved.stderr)
    );
    assert!(String::from_utf8_lossy(&saved.stdout).starts_with("saved revision "));
    // The machine goes, with the agent that was started on it.
    remote.host.signal_servers(libc::SIGKILL);
    wait_until("its end", || remote.host.servers().is_empty());
    if let Ok(agents) = std::fs::read_dir(remote.host.data_dir().join("builder/agents")) {
        for agent in agents.flatten() {
            let mirror = std::fs::read_link(agent.path().join("mirror")).expect("its mirror");
            std::fs::remove_dir_all(mirror).expect("the mirror's folder");
        }
    }
    file
}

#[test]
fn after_a_reboot_the_last_copy_is_served_until_a_member_answers() {
    let mut remote = Remote::start();
    write(&remote, 1);
    assert_eq!(read(&remote, None), "[1,false,true]");
    remote.kill_member();
    reboot(&remote, libc::SIGTERM);

    assert_eq!(read(&remote, None), "[1,true,false]");
    let code = "$c = new Cfgstore\\Client(timeout: 1); echo json_encode([$c->has('b'), $c->get('b', 7), $c->all(), $c->entry('a')->version, \
         isset($c['a']), $c->status()->synced, is_string($c->status()->trouble)]); \
         try { $c->put('a', 2); } catch (Cfgstore\\Exception\\UnavailableException $e) { echo $e->mayHaveHappened() ? '?' : ' not written'; }";
    assert_eq!(
        php(&remote, code, None),
        r#"[false,7,{"a":1},1,true,true,true] not written"#
    );

    remote.start_member();
    write(&remote, 2);
    wait_until("the member to take over", || {
        read(&remote, None) == "[2,false,true]"
    });
    // What was served meanwhile has not become the last copy: it is what the member said.
    remote.kill_member();
    reboot(&remote, libc::SIGTERM);
    assert_eq!(read(&remote, None), "[2,true,false]");
}

/// The one variable that an image sets, also for php-fpm, which clears the environment of its workers.
#[test]
fn a_container_reads_its_seed_until_a_member_answers() {
    let mut remote = Remote::start();
    write(&remote, 1);
    let seed = save_seed(&remote, "seed.snap");
    remote.kill_member();
    let owned = Command::new("chown").arg("www-data:").arg(&seed).status();
    assert!(owned.expect("chown").success());

    let fpm = Fpm::start(
        &remote.host,
        &FpmOptions {
            workers: 2,
            settings: vec![remote.setting()],
            environment: vec![("CFGSTORE_SEED".to_owned(), seed.display().to_string())],
            ..FpmOptions::default()
        },
    );
    assert_eq!(fpm.get("/stored.php").body, "[1,true,false]");
    remote.start_member();
    write(&remote, 2);
    wait_until("the member to take over", || {
        fpm.get("/stored.php").body == "[2,false,true]"
    });
}

#[test]
fn members_and_the_last_copy_count_more_than_a_seed() {
    let mut remote = Remote::start();
    write(&remote, 1);
    let old = save_seed(&remote, "old.snap");
    write(&remote, 2);
    let newer = save_seed(&remote, "newer.snap");
    let other = {
        let other = Remote::start();
        write(&other, 100);
        let seed = save_seed(&other, "other.snap");
        let kept = remote.host.path("other.snap");
        std::fs::copy(seed, &kept).expect("copy");
        kept
    };

    // A seed of another cluster is served, and the members that come are followed all the same.
    remote.kill_member();
    assert_eq!(read(&remote, Some(&other)), "[100,true,false]");
    reboot(&remote, libc::SIGTERM);
    assert_eq!(
        read(&remote, Some(&other)),
        "[100,true,false]",
        "it has not become the last copy"
    );
    remote.start_member();
    wait_until("the member to take over", || {
        read(&remote, None) == "[2,false,true]"
    });

    // From now on there is a last copy, at the revision of `newer`.
    remote.kill_member();
    for (seed, expected) in [(&other, "[2,true,false]"), (&old, "[2,true,false]")] {
        reboot(&remote, libc::SIGTERM);
        assert_eq!(read(&remote, Some(seed)), expected, "{}", seed.display());
    }
    // The same store, later: an image that was built after this host's last copy.
    remote.start_member();
    write(&remote, 3);
    let newest = {
        // On a machine of its own, so that this host's agent does not see the write.
        let last = remote.agent_dir().join("last.snap");
        let kept = std::fs::read(&newer).expect("a copy");
        let newest = save_seed(&remote, "newest.snap");
        std::fs::write(last, kept).expect("the last copy as it was");
        newest
    };
    remote.kill_member();
    reboot(&remote, libc::SIGKILL);
    assert_eq!(read(&remote, Some(&newest)), "[3,true,false]");
}

#[test]
fn a_damaged_seed_is_told_of_and_in_nobodys_way() {
    let mut remote = Remote::start();
    write(&remote, 1);
    let seed = save_seed(&remote, "seed.snap");
    remote.kill_member();
    let bytes = std::fs::read(&seed).expect("the seed");
    std::fs::write(&seed, &bytes[..bytes.len() / 2]).expect("half of it");
    let said = read(&remote, Some(&seed));
    assert!(
        said.starts_with("Cfgstore\\Exception\\NotSyncedException: ")
            && said.contains("the seed cannot be read"),
        "{said}"
    );
    remote.start_member();
    wait_until("the member to be followed", || {
        read(&remote, Some(&seed)) == "[1,false,true]"
    });

    reboot(&remote, libc::SIGKILL);
    let missing = remote.host.path("missing.snap");
    assert_eq!(
        read(&remote, Some(&missing)),
        "[1,false,true]",
        "a member answers"
    );

    let refused = remote
        .host
        .cfgstored_command()
        .arg("--seed")
        .arg(&seed)
        .output()
        .expect("cfgstored");
    assert!(!refused.status.success(), "a member has data of its own");
}
