//! Locks of php-fpm's requests: free when the request ends, however it does, and their tokens always grow.

use cfgstore_client::LockOptions;
use cfgstore_client::blocking::Client;
use cfgstore_tests::{Cluster, Fpm, FpmOptions, Host, HttpConnection, Kind, Remote, wait_until};
use std::time::Duration;

/// As the issue of a killed worker's lock is put: within a second.
const FREED_WITHIN: Duration = Duration::from_secs(1);

/// Takes the lock of `lock.php` and gives it back; the token. Its time to live is a minute, so whoever gets it within `wait` gets it because it
/// was freed.
fn take(client: &Client, wait: Duration) -> i64 {
    let options = LockOptions {
        ttl: Duration::from_secs(60),
        wait,
    };
    let mut lock = client.lock("job", &options).expect("the lock is free");
    let token = lock.token();
    lock.release().expect("it is held");
    token
}

#[test]
fn a_requests_lock_ends_with_the_request() {
    let remote = Remote::start();
    let fpm = Fpm::start(
        &remote.host,
        &FpmOptions {
            workers: 2,
            settings: vec![
                remote.setting(),
                "display_errors=1".to_owned(),
                "html_errors=0".to_owned(),
            ],
            ..FpmOptions::default()
        },
    );
    assert_eq!(fpm.get("/lock.php?end=end").status, 200);
    let client = remote.agent_client();
    let mut last = 0;
    for end in ["end", "release", "exit", "exception", "fatal"] {
        let before = fpm.workers();
        let response = fpm.get(&format!("/lock.php?end={end}"));
        let token: i64 = response
            .body
            .lines()
            .next()
            .and_then(|line| line.parse().ok())
            .unwrap_or_else(|| panic!("{end}: {response:?}"));
        assert!(token > last, "{end}: {token} after {last}");
        // Before the next request begins: the worker's process has not ended.
        last = take(&client, FREED_WITHIN);
        assert!(last > token, "{end}: {last} after {token}");
        assert_eq!(fpm.workers(), before, "{end}");
        let said = match end {
            "release" => "free",
            "exception" => "Uncaught Exception",
            "fatal" => "Allowed memory size",
            other => other,
        };
        assert!(response.body.contains(said), "{end}: {response:?}");
    }
}

#[test]
fn a_killed_workers_lock_is_free_within_a_second() {
    let remote = Remote::start();
    let fpm = Fpm::start(
        &remote.host,
        &FpmOptions {
            workers: 2,
            settings: vec![remote.setting()],
            ..FpmOptions::default()
        },
    );
    assert_eq!(fpm.get("/lock.php?end=end").status, 200);
    let client = remote.agent_client();
    let folder = remote.host.path("held");
    std::fs::create_dir(&folder).expect("folder");
    std::fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o777)).expect("chmod");
    for round in 0..5 {
        let file = folder.join(round.to_string());
        let path = format!("/lock.php?end=wait&file={}", file.display());
        std::thread::scope(|scope| {
            let request = scope.spawn(|| HttpConnection::get_once(fpm.port(), &path));
            let held = || std::fs::read_to_string(&file).unwrap_or_default();
            wait_until("the worker to hold the lock", || held().ends_with('\n'));
            let held = held();
            let (pid, token) = held.trim().split_once(' ').expect("a pid and a token");
            let short = LockOptions {
                ttl: Duration::from_secs(60),
                wait: Duration::ZERO,
            };
            client.lock("job", &short).expect_err("the worker has it");
            // SAFETY: kill has no memory effects; the pid is a worker's of this test's own pool.
            unsafe { libc::kill(pid.parse().expect("a pid"), libc::SIGKILL) };
            wait_until("its end", || {
                !fpm.workers().contains(&pid.parse().expect("a pid"))
            });
            // The clock runs at the agent: it refuses a wait that has taken longer.
            assert!(take(&client, FREED_WITHIN) > token.parse().expect("a token"));
            let _ = request.join().expect("the request's thread");
        });
    }
}

/// Over restarts of the agent, of the store, and changes of the members.
#[test]
fn tokens_grow_whatever_restarts() {
    let mut cluster = Cluster::start(3, Kind::under_test());
    let host = Host::new();
    let token = |cluster: &Cluster| -> i64 {
        let mut php = host.php();
        php.args([
            "-d",
            &format!("cfgstore.endpoints={}", cluster.endpoints().join(",")),
        ]);
        let code = "for ($end = hrtime(true) + 30e9;;) { try { \
             $lock = (new Cfgstore\\Client(timeout: 20))->lock('job', ttl: 2.0, wait: 20.0); $lock->release(); exit(\"$lock->token\"); \
             } catch (Cfgstore\\Exception\\ExceptionInterface $e) { if (hrtime(true) > $end) throw $e; usleep(50000); } }";
        let output = php.args(["-r", code]).output().expect("php");
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        printed
            .trim()
            .parse()
            .unwrap_or_else(|_| panic!("no token: {printed}"))
    };
    let mut tokens = vec![("at first", token(&cluster))];
    for _ in 0..20 {
        tokens.push(("again", token(&cluster)));
    }
    host.signal_servers(libc::SIGKILL);
    wait_until("the agent's end", || host.servers().is_empty());
    tokens.push(("after the agent's end", token(&cluster)));
    let leader = cluster.leader();
    cluster.kill(leader);
    tokens.push(("without the leader", token(&cluster)));
    cluster.start_member(leader);
    cluster.add();
    tokens.push(("with a fourth member", token(&cluster)));
    let removed = cluster.leader();
    cluster.remove(removed);
    tokens.push(("without a removed one", token(&cluster)));
    for index in cluster.running() {
        cluster.kill(index);
    }
    for index in cluster.present() {
        cluster.start_member(index);
    }
    tokens.push(("after the store's restart", token(&cluster)));
    assert!(
        tokens.is_sorted_by(|earlier, later| earlier.1 < later.1),
        "they grow: {tokens:?}"
    );
}

/// With the lock's holder, and not when somebody else would have it.
#[test]
fn an_agents_end_frees_no_lock_that_its_holder_thinks_it_has() {
    let remote = Remote::start();
    let code = "$lock = (new Cfgstore\\Client(timeout: 20))->lock('job', ttl: 4.0, wait: 20.0); echo \"held\\n\"; \
         while ($lock->isHeld()) { usleep(1000); } echo \"lost\\n\"; \
         try { $lock->release(); echo \"released\\n\"; } catch (Cfgstore\\Exception\\LockLostException) { echo \"an exception\\n\"; }";
    for signal in [libc::SIGKILL, libc::SIGTERM, libc::SIGSTOP] {
        let holder = cfgstore_tests::Process::spawn(remote.php().args(["-r", code]));
        assert_eq!(holder.line().as_deref(), Some("held"));
        let agents = remote.host.servers();
        remote.host.signal_servers(signal);
        assert_eq!(holder.line().as_deref(), Some("lost"), "signal {signal}");
        if signal == libc::SIGSTOP {
            // Its lease ends with its time to live, which the hanging agent can't hear of.
            wait_until("the lock to be free", || remote.member_keys().is_empty());
            remote.host.signal_servers(libc::SIGCONT);
        }
        assert_eq!(holder.line().as_deref(), Some("an exception"), "signal {signal}");
        holder.wait();
        remote.host.signal_servers(libc::SIGKILL);
        wait_until("the agent's end", || {
            !agents.iter().any(|pid| remote.host.servers().contains(pid))
        });
    }
}
