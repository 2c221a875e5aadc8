//! One store, every way in: PHP, cfgctl and a stock etcdctl read and write the same configuration.

use cfgstore_tests::{Host, Port, Process};
use std::process::Command;

#[test]
fn what_one_writes_the_others_read() {
    let host = Host::new();
    host.php_code(r#"(new Cfgstore\Client())->put('database', ['host' => 'db1', 'port' => 5432]);"#);
    assert_eq!(
        host.cfgctl(&["get", "database"]).trim(),
        r#"{"host":"db1","port":5432}"#
    );
    assert_eq!(
        host.etcdctl(&["get", "database", "--print-value-only"]).trim(),
        r#"{"host":"db1","port":5432}"#
    );

    host.etcdctl(&["put", "database", r#"{"host": "db2"}"#]);
    assert_eq!(
        host.php_code(r#"echo (new Cfgstore\Client())->get('database')['host'];"#),
        "db2"
    );
    host.cfgctl(&["put", "plain", "not JSON"]);
    assert_eq!(
        host.php_code(r#"echo (new Cfgstore\Client())->get('plain');"#),
        "not JSON"
    );
    host.etcdctl(&["del", "plain"]);
    assert_eq!(
        host.php_code(r#"var_export((new Cfgstore\Client())->has('plain'));"#),
        "false"
    );
}

#[test]
fn a_watch_in_php_sees_every_change_of_others_in_order() {
    let host = Host::new();
    host.php_code(r#"(new Cfgstore\Client())->put('app/start', 0);"#);
    let code = r#"
        $config = new Cfgstore\Client();
        $changes = $config->watch('app/', fromRevision: $config->revision() + 1);
        echo "ready\n";
        foreach ($changes as $change) {
            echo $change->type->value, ' ', $change->key, ' ', json_encode($change->value), "\n";
            if ($change->key === 'app/end') break;
        }"#;
    let watcher = Process::spawn(host.php().args(["-r", code]));
    watcher.line_with("ready");
    host.cfgctl(&["put", "app/a", "1"]);
    host.etcdctl(&["put", "app/b", "two"]);
    host.cfgctl(&["put", "other", "0"]);
    host.etcdctl(&["del", "app/a"]);
    host.php_code(r#"(new Cfgstore\Client())->put('app/end', null);"#);
    let mut seen = Vec::new();
    while let Some(line) = watcher.line() {
        seen.push(line);
    }
    assert_eq!(
        seen,
        [
            "put app/a 1",
            r#"put app/b "two""#,
            "delete app/a null",
            "put app/end null"
        ]
    );
    assert!(watcher.wait().success());
}

#[test]
fn a_lock_is_freed_when_its_holder_is_killed() {
    let host = Host::new();
    let hold = r#"
        $lock = (new Cfgstore\Client())->lock('job', ttl: 60.0, wait: 20.0);
        echo "token {$lock->token}\n";
        fgets(STDIN);"#;
    let holder = |name: &str| {
        Process::spawn(
            host.php()
                .args(["-r", hold, name])
                .stdin(std::process::Stdio::piped()),
        )
    };
    let token = |process: &Process| -> i64 {
        process
            .line_with("token ")
            .trim_start_matches("token ")
            .parse()
            .expect("a token")
    };
    let first = holder("first");
    let first_token = token(&first);
    let refused = host.php_code(
        r#"try { (new Cfgstore\Client())->lock('job', ttl: 5.0, wait: 0.0); echo 'held twice'; }
           catch (Cfgstore\Exception\TimeoutException $e) { echo 'refused'; }"#,
    );
    assert_eq!(refused, "refused");
    let second = holder("second");
    first.kill(); // its lease has a minute to live: only the closed connection can free the lock at once
    assert!(token(&second) > first_token, "the fencing token grows");
}

#[test]
fn cfgctl_runs_a_command_under_a_lock() {
    let host = Host::new();
    let printed = host.cfgctl(&["lock", "job", "--", "sh", "-c", "echo held"]);
    assert!(printed.contains("held"), "{printed}");
    let status = Command::new(host.path("cfgctl"))
        .env("CFGSTORE_DATA_DIR", host.data_dir())
        .args(["lock", "job", "--", "sh", "-c", "exit 7"])
        .status()
        .expect("cfgctl");
    assert_eq!(status.code(), Some(7), "the command's own exit code");
}

#[test]
fn a_member_of_a_cluster_serves_php_on_its_host_from_the_first_read_on() {
    let host = Host::new();
    let (client, peer) = (Port::free(), Port::free());
    let url = |port: &Port| format!("http://127.0.0.1:{}", port.number());
    let _server = host.cfgstored(&[
        "--listen-client-urls",
        &url(&client),
        "--listen-peer-urls",
        &url(&peer),
        "--initial-cluster",
        &format!("default={}", url(&peer)),
    ]);
    host.etcdctl(&["put", "theme", r#""dark""#]);
    let mirror = host.data_dir().join("mirror");
    assert!(!mirror.exists(), "nobody has read yet");
    let read = r#"echo (new Cfgstore\Client())->get('theme');"#;
    assert_eq!(host.php_code(read), "dark");
    assert!(mirror.exists());
    host.etcdctl(&["put", "theme", r#""light""#]);
    assert_eq!(host.php_code(read), "light");
}
