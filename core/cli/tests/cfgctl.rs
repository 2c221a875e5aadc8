//! `cfgctl` as its users run it, against each server it is for: a member of cfgstore, the embedded default, and Debian's etcd.

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use support::*;

/// Makes a test of each case for each server.
macro_rules! on_each_server {
    ($($case:ident)*) => {
        on_each_server!(etcd: $($case)*);
        on_each_server!(cfgstored: $($case)*);
        on_each_server!(embedded: $($case)*);
    };
    ($server:ident: $($case:ident)*) => {
        mod $server {
            $(#[test]
            fn $case() {
                super::$case(&super::Server::$server());
            })*
        }
    };
}

on_each_server! {
    values_go_in_and_come_out_byte_by_byte
    machines_get_json
    status_says_who_serves_what
    each_failure_has_its_exit_code
    a_watch_prints_as_it_happens_and_ends_as_told
    a_reader_that_leaves_is_no_failure
    a_program_runs_under_a_lock
    a_program_ends_with_its_lock
    a_lock_without_a_program_is_held_until_the_input_ends
}

fn values_go_in_and_come_out_byte_by_byte(server: &Server) {
    assert_eq!(server.ok(&["put", "a", "{\"x\": 1.10}"]), "revision 2\n");
    assert_eq!(server.ok(&["get", "a"]), "{\"x\": 1.10}\n");
    assert!(
        server
            .with_input(&["put", "b", "-"], b"\0\xff\n")
            .status
            .success()
    );
    assert_eq!(server.run(&["get", "b"]).stdout, b"\0\xff\n\n");
    let file = server.folder.path().join("value");
    fs::write(&file, "from a file").unwrap();
    server.ok(&["put", "c", &format!("@{}", file.display())]);
    assert_eq!(server.ok(&["get", "c"]), "from a file\n");
    server.ok(&["put", "d", "-5"]);
    assert_eq!(
        server.ok(&["get", "--prefix", ""]),
        "a\t{\"x\":1.10}\nb\tbase64:AP8K\nc\tfrom a file\nd\t-5\n"
    );
    assert_eq!(
        server.ok(&["get", "--prefix", "", "--keys-only", "--limit", "2"]),
        "a\nb\n"
    );
    server.ok(&["put", "a", "2"]);
    assert_eq!(server.ok(&["get", "a", "--rev", "2"]), "{\"x\": 1.10}\n");
    assert_eq!(server.ok(&["del", "a"]), "revision 7\n");
}

fn machines_get_json(server: &Server) {
    assert_eq!(
        server.ok(&["put", "a", "{\"x\": [1, 12345678901234567890123]}", "--json"]),
        "{\"revision\":2}\n"
    );
    assert_eq!(
        server.ok(&["--json", "get", "a"]),
        "{\"key\":\"a\",\"value\":{\"x\":[1,12345678901234567890123]},\"revision\":2,\"create_revision\":2,\
         \"version\":1,\"lease\":0}\n"
    );
    server.ok(&["put", "b", "no json"]);
    server.with_input(&["put", "c", "-"], b"\xff");
    let all = json(&server.ok(&["get", "--prefix", "", "--json"]));
    assert_eq!(
        (&all["revision"], &all["count"], &all["more"]),
        (&4.into(), &3.into(), &false.into())
    );
    assert_eq!(
        (&all["keys"][1]["value"], &all["keys"][1]["encoding"]),
        (&"no json".into(), &"text".into())
    );
    assert_eq!(
        (&all["keys"][2]["value"], &all["keys"][2]["encoding"]),
        (&"/w==".into(), &"base64".into())
    );
    let only = json(&server.ok(&["get", "--prefix", "", "--json", "--keys-only", "--limit", "1"]));
    assert_eq!(
        (&only["more"], only["keys"][0].get("value")),
        (&true.into(), None)
    );
    let status = json(&server.ok(&["status", "--json"]));
    assert_eq!(
        (&status["revision"], &status["leader_id"]),
        (&4.into(), &status["member_id"])
    );
    let (code, said) = server.fails(&["get", "none", "--json"]);
    assert_eq!((code, &json(&said)["error"]), (1, &"NotFound".into()));
    assert_eq!(server.ok(&["del", "a", "--json"]), "{\"revision\":5}\n");
}

fn status_says_who_serves_what(server: &Server) {
    server.ok(&["put", "a", "1"]);
    let said = server.ok(&["status"]);
    let first = format!("endpoint   {}\nmember     ", server.endpoint);
    assert!(said.starts_with(&first), "{said}");
    assert!(said.contains("\nleader     this member (term "), "{said}");
    assert!(said.contains("\nrevision   2\n"), "{said}");
    // Only the socket of a host is an agent's.
    let is_host = server.endpoint.starts_with("unix:");
    assert_eq!(said.contains("\nagent      cfgstored "), is_host, "{said}");
    let status = json(&server.ok(&["status", "--json"]));
    assert_eq!(status["endpoint"], *server.endpoint);
    let data_dir = server.folder.path().join("store");
    assert_eq!(
        status["agent"]["data_dir"].as_str(),
        is_host.then_some(data_dir.to_str().unwrap())
    );
}

fn each_failure_has_its_exit_code(server: &Server) {
    server.ok(&["put", "k", "1"]);
    let (code, said) = server.fails(&["get", "none"]);
    assert_eq!(
        (code, said.as_str()),
        (1, "cfgctl: key \"none\" does not exist\n")
    );
    assert_eq!(server.fails(&["del", "none"]).0, 1);
    assert_eq!(server.fails(&["get", ""]).0, 2);
    assert_eq!(server.fails(&["get"]).0, 2);
    assert_eq!(server.fails(&["put", "k", "@/nonexistent"]).0, 2);
    assert_eq!(server.fails(&["put", "k", "1", "--if-revision", "0"]).0, 2);
    assert_eq!(server.fails(&["--endpoints", "ftp://x", "get", "k"]).0, 2);
    assert_eq!(server.fails(&["get", "k", "--timeout", "-1"]).0, 2);
    let (code, said) = server.fails(&["put", "k", "2", "--if-absent"]);
    assert_eq!(code, 4);
    assert!(said.contains("already exists (revision 2)"), "{said}");
    assert_eq!(server.fails(&["del", "k", "--if-revision", "9"]).0, 4);
    assert_eq!(
        server.ok(&["put", "k", "2", "--if-revision", "2"]),
        "revision 3\n"
    );
    let (code, said) = server.fails(&[
        "--endpoints",
        "http://127.0.0.1:1",
        "--timeout",
        "0.3",
        "get",
        "k",
    ]);
    assert_eq!(code, 3);
    assert!(
        said.contains("cannot reach cfgstored at http://127.0.0.1:1"),
        "{said}"
    );
}

#[test]
fn status_and_no_start_start_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let fake = folder.path().join("cfgstored");
    fs::write(&fake, "#!/bin/sh\necho started >> \"$2/starts\"\n").unwrap();
    fs::set_permissions(&fake, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_cfgctl"))
            .args(["--timeout", "0.3", "--data-dir"])
            .arg(folder.path())
            .args(arguments)
            .env("CFGSTORE_CFGSTORED", &fake)
            .env_remove("CFGSTORE_ENDPOINTS")
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(3), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(run(&["status"]).contains("start cfgstored"));
    run(&["get", "k", "--no-start"]);
    assert!(!folder.path().join("starts").exists());
    assert!(run(&["get", "k"]).contains("did not start"));
    assert!(folder.path().join("starts").exists());
}

fn a_watch_prints_as_it_happens_and_ends_as_told(server: &Server) {
    server.ok(&["put", "app/a", "{ \"v\": 1 }"]);
    let (mut watch, mut output) =
        server.start_reading(&["watch", "--prefix", "app/", "--from-revision", "2"]);
    assert_eq!(line(&mut output), "2 put app/a {\"v\":1}");
    server.ok(&["put", "app/b", "two\nlines"]);
    assert_eq!(line(&mut output), "3 put app/b two\\nlines");
    server.ok(&["del", "app/a"]);
    assert_eq!(line(&mut output), "4 delete app/a");
    signal("-TERM", &watch);
    assert!(!watch.wait().unwrap().success());

    let seen = server.ok(&[
        "watch",
        "app/a",
        "--from-revision",
        "1",
        "--max-changes",
        "2",
        "--json",
    ]);
    let changes: Vec<_> = seen.lines().map(json).collect();
    assert_eq!(
        (&changes[0]["change"], &changes[0]["value"]["v"]),
        (&"put".into(), &1.into())
    );
    assert_eq!(
        (&changes[1]["change"], &changes[1]["revision"]),
        (&"delete".into(), &4.into())
    );
    assert_eq!(changes[1].get("value"), None);
}

fn a_reader_that_leaves_is_no_failure(server: &Server) {
    for n in 0..3 {
        server.with_input(&["put", "k", "-"], &vec![b'x'; 200_000 + n]);
    }
    let (mut watch, output) = server.start_reading(&["watch", "k", "--from-revision", "1"]);
    drop(output);
    assert!(watch.wait().unwrap().success());
}

fn a_program_runs_under_a_lock(server: &Server) {
    let script = "echo $CFGSTORE_LOCK_TOKEN $CFGSTORE_LOCK_KEY; read x; exit 7";
    let (mut first, mut output) = server.start_reading(&["lock", "deploy", "--", "sh", "-c", script]);
    let said = line(&mut output);
    let (token, key) = said.split_once(' ').unwrap();
    assert!(key.starts_with("/_cfgstore/lock/deploy/"), "{key}");

    let (code, said) = server.fails(&["lock", "deploy", "--", "echo", "never"]);
    assert_eq!(code, 7);
    assert!(said.contains("held by another"), "{said}");
    let (mut second, mut waiting) = server.start_reading(&[
        "lock",
        "deploy",
        "--wait",
        "20",
        "--",
        "sh",
        "-c",
        "echo $CFGSTORE_LOCK_TOKEN",
    ]);
    drop(first.stdin.take());
    assert_eq!(first.wait().unwrap().code(), Some(7));
    let next: i64 = line(&mut waiting).parse().unwrap();
    assert!(next > token.parse().unwrap());
    assert!(second.wait().unwrap().success());
    assert_eq!(server.fails(&["lock", "deploy", "--", "/nonexistent"]).0, 2);
    assert_eq!(
        server
            .fails(&["lock", "deploy", "--", "sh", "-c", "kill -9 $$"])
            .0,
        137
    );
}

fn a_program_ends_with_its_lock(server: &Server) {
    let flag = server.folder.path().join("ended");
    let script = format!(
        "trap 'touch {}; exit 0' TERM; echo ready; while :; do sleep 0.05; done",
        flag.display()
    );
    // The lock is lost: its lease is revoked, as an operator would.
    let (mut holder, mut output) =
        server.start_reading(&["lock", "l", "--ttl", "1", "--", "sh", "-c", &script]);
    assert_eq!(line(&mut output), "ready");
    let key = json(&server.ok(&["get", "--prefix", "/_cfgstore/", "--json"]))["keys"][0].clone();
    let revoked = Command::new("etcdctl")
        .env("ETCDCTL_API", "3")
        .args([
            "--endpoints",
            &server.endpoint,
            "lease",
            "revoke",
            &format!("{:x}", key["lease"].as_i64().unwrap()),
        ])
        .output()
        .unwrap();
    assert!(revoked.status.success(), "{revoked:?}");
    assert_eq!(holder.wait().unwrap().code(), Some(7));
    assert!(flag.exists());

    // SIGTERM reaches the program, and frees the lock after it.
    fs::remove_file(&flag).unwrap();
    let (mut holder, mut output) = server.start_reading(&["lock", "l", "--", "sh", "-c", &script]);
    assert_eq!(line(&mut output), "ready");
    signal("-TERM", &holder);
    assert_eq!(holder.wait().unwrap().code(), Some(0));
    assert!(flag.exists());

    // Even SIGKILL does not leave the program running without its lock.
    fs::remove_file(&flag).unwrap();
    let (mut holder, mut output) =
        server.start_reading(&["lock", "l", "--wait", "15", "--", "sh", "-c", &script]);
    assert_eq!(line(&mut output), "ready");
    holder.kill().unwrap();
    holder.wait().unwrap();
    wait_until("the program has ended", || Path::new(&flag).exists());
}

fn a_lock_without_a_program_is_held_until_the_input_ends(server: &Server) {
    let (mut holder, mut output) = server.start_reading(&["lock", "l"]);
    assert!(line(&mut output).starts_with("held: token "));
    assert_eq!(server.fails(&["lock", "l", "--", "true"]).0, 7);
    drop(holder.stdin.take());
    assert!(holder.wait().unwrap().success());
    server.ok(&["lock", "l", "--", "true"]);

    let (mut holder, mut output) = server.start_reading(&["lock", "l", "--json"]);
    let held = json(&line(&mut output));
    assert!(
        held["key"].as_str().unwrap().starts_with("/_cfgstore/lock/l/"),
        "{held}"
    );
    assert!(held["token"].as_i64().unwrap() > 1, "{held}");
    drop(holder.stdin.take());
    assert!(holder.wait().unwrap().success());
}
