//! What an operator asks, in etcdctl's words: the same question to the same etcd gets the same answer from both.

#[allow(dead_code, reason = "a part is used here")]
#[path = "../../../tests/src/sink.rs"]
mod sink;
mod support;

use sink::HttpSink;
use support::*;

#[test]
fn members_are_listed_added_updated_and_removed() {
    let etcd = Server::etcd();
    assert_eq!(etcd.ok(&["member", "list"]), etcd.etcdctl(&["member", "list"]));
    let listed = json(&etcd.ok(&["member", "list", "--json"]));
    let id = listed["members"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(listed["members"][0]["status"], "started");

    let (first, second) = (free_url(), free_url());
    let updated = etcd.ok(&["member", "update", &id, "--peer-urls", &first]);
    assert!(
        updated.starts_with(&format!("Member {id:>16} updated in cluster ")),
        "{updated}"
    );
    assert!(etcd.etcdctl(&["member", "list"]).contains(&first));

    let added = etcd.ok(&["member", "add", "n", "--peer-urls", &second, "--learner"]);
    let (sentence, settings) = added.split_once("\n\n").unwrap();
    let words: Vec<&str> = sentence.split_whitespace().collect();
    assert_eq!(words[2..5], ["added", "to", "cluster"]);
    let learner = words[1];
    assert_eq!(
        settings,
        format!(
            "ETCD_NAME=\"n\"\nETCD_INITIAL_CLUSTER=\"{}\"\nETCD_INITIAL_ADVERTISE_PEER_URLS=\"{second}\"\n\
             ETCD_INITIAL_CLUSTER_STATE=\"existing\"\n",
            if settings.contains(&format!("\"m={first},n={second}\"")) {
                format!("m={first},n={second}")
            } else {
                format!("n={second},m={first}")
            }
        )
    );
    assert_eq!(etcd.ok(&["member", "list"]), etcd.etcdctl(&["member", "list"]));
    let (code, message) = etcd.fails(&["member", "promote", learner]);
    assert_eq!(code, 2);
    assert!(message.contains("in sync with leader"), "{message}");

    let removed = etcd.ok(&["member", "remove", learner]);
    assert!(
        removed.starts_with(&format!("Member {learner:>16} removed from cluster ")),
        "{removed}"
    );
    assert_eq!(
        json(&etcd.ok(&["member", "list", "--json"]))["members"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let (code, message) = etcd.fails(&["member", "remove", learner]);
    assert!(
        code == 1 && message.contains("member not found"),
        "{code} {message}"
    );
    assert_eq!(etcd.fails(&["member", "remove", "m"]).0, 2);
}

#[test]
fn endpoints_say_how_they_are() {
    let etcd = Server::etcd();
    etcd.ok(&["put", "k", "v"]);
    for arguments in [
        &["endpoint", "status"][..],
        &["endpoint", "hashkv"],
        &["endpoint", "status", "--cluster"],
    ] {
        assert_eq!(
            etcd.ok(arguments).trim_end(),
            etcd.etcdctl(arguments).trim_end(),
            "{arguments:?}"
        );
    }
    let health = etcd.ok(&["endpoint", "health"]);
    let expected = format!(
        "{} is healthy: successfully committed proposal: took = ",
        etcd.endpoint
    );
    assert!(health.starts_with(&expected), "{health}");
    let status = json(&etcd.ok(&["endpoint", "status", "--json"]));
    assert_eq!(
        (&status["revision"], &status["is_leader"]),
        (&2.into(), &true.into())
    );

    // One that does not answer is named, the others are asked all the same.
    let both = format!("{},{}", free_url(), etcd.endpoint);
    let output = etcd.run(&["--endpoints", &both, "--timeout", "0.5", "endpoint", "health"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8(output.stdout).unwrap().starts_with(&expected));
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("is unhealthy: failed to commit proposal")
    );
}

#[test]
fn alarms_are_shown_and_ended() {
    let etcd = Server::etcd();
    assert_eq!(etcd.ok(&["alarm", "list"]), "");
    raise_no_space(&etcd);
    assert_eq!(
        etcd.ok(&["alarm", "list"]),
        etcd.etcdctl(&["alarm", "list"]).replace(" \n", "\n")
    );
    let (code, message) = etcd.fails(&["endpoint", "health"]);
    assert!(
        code == 3 && message.contains("active alarm(s): NOSPACE"),
        "{code} {message}"
    );
    assert_eq!(
        json(&etcd.ok(&["alarm", "disarm", "--json"]))[0]["alarm"],
        "NOSPACE"
    );
    assert_eq!(etcd.ok(&["alarm", "list"]), "");
}

/// By the JSON gateway: neither etcdctl nor cfgctl raises one.
fn raise_no_space(etcd: &Server) {
    let members = json(&etcd.ok(&["member", "list", "--json"]));
    let id = u64::from_str_radix(members["members"][0]["id"].as_str().unwrap(), 16).unwrap();
    let request = format!("{{\"action\":\"ACTIVATE\",\"memberID\":\"{id}\",\"alarm\":\"NOSPACE\"}}");
    let output = std::process::Command::new("curl")
        .args([
            "-sf",
            "-d",
            &request,
            &format!("{}/v3/maintenance/alarm", etcd.endpoint),
        ])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn history_is_compacted_and_space_given_back() {
    let etcd = Server::etcd();
    for value in ["1", "2", "3"] {
        etcd.ok(&["put", "k", value]);
    }
    assert_eq!(
        etcd.ok(&["compaction", "3", "--physical"]),
        "compacted revision 3\n"
    );
    let (code, message) = etcd.fails(&["get", "k", "--rev", "2"]);
    assert!(code == 10 && message.contains("compacted"), "{code} {message}");
    assert_eq!(etcd.fails(&["compaction", "100"]).0, 2);
    let defragmented = format!("Finished defragmenting etcd member[{}]\n", etcd.endpoint);
    assert_eq!(etcd.ok(&["defrag"]), defragmented);
    assert_eq!(etcd.ok(&["defrag", "--cluster"]), defragmented);
}

#[test]
fn leadership_goes_to_nobody_else() {
    let etcd = Server::etcd();
    let members = json(&etcd.ok(&["member", "list", "--json"]));
    let id = members["members"][0]["id"].as_str().unwrap();
    // The leader itself: etcd has nothing to do.
    assert_eq!(
        etcd.ok(&["move-leader", id]),
        format!("Leadership transferred from {id} to {id}\n")
    );
    let (code, message) = etcd.fails(&["move-leader", "1234"]);
    assert!(
        code == 2 && message.contains("bad leader transferee"),
        "{code} {message}"
    );
}

#[test]
fn leases_live_as_long_as_they_are_kept_alive() {
    let etcd = Server::etcd();
    let granted = etcd.ok(&["lease", "grant", "500"]);
    let id = granted.split_whitespace().nth(1).unwrap();
    assert_eq!(granted, format!("lease {id} granted with TTL(500s)\n"));
    etcd.etcdctl(&["put", "leased", "v", "--lease", id]);
    assert_eq!(etcd.ok(&["lease", "list"]), etcd.etcdctl(&["lease", "list"]));
    let left = etcd.ok(&["lease", "timetolive", id, "--keys"]);
    assert!(
        left.starts_with(&format!("lease {id} granted with TTL(500s), remaining(")),
        "{left}"
    );
    assert!(left.ends_with("s), attached keys([leased])\n"), "{left}");
    let renewed = format!("lease {id} keepalived with TTL(500)\n");
    assert_eq!(etcd.ok(&["lease", "keep-alive", id, "--once"]), renewed);

    let short = json(&etcd.ok(&["lease", "grant", "1", "--json"]))["lease"]
        .as_str()
        .unwrap()
        .to_owned();
    let (mut keeper, mut lines) = etcd.start_reading(&["lease", "keep-alive", &short]);
    for _ in 0..3 {
        assert!(line(&mut lines).starts_with(&format!("lease {short} keepalived with TTL(")));
    }
    etcd.ok(&["lease", "revoke", &short]);
    assert_eq!(keeper.wait().unwrap().code(), Some(1));

    assert_eq!(etcd.ok(&["lease", "revoke", id]), format!("lease {id} revoked\n"));
    assert_eq!(etcd.fails(&["get", "leased"]).0, 1);
    assert_eq!(
        etcd.ok(&["lease", "timetolive", id]),
        format!("lease {id} already expired\n")
    );
    assert_eq!(etcd.fails(&["lease", "revoke", id]).0, 1);
    assert_eq!(etcd.fails(&["lease", "keep-alive", id]).0, 1);
}

#[test]
fn notifications_are_set_listed_retried_and_removed() {
    let server = Server::cfgstored_with(&["--notify-give-up-after", "0"]);
    // It refuses twice.
    let mut answers = ["500 Oops", "500 Oops"].into_iter();
    let sink = HttpSink::answering(0, move |_| answers.next().unwrap_or("200 OK").to_owned());
    let hook = sink.url("/?token=hunter2");
    let set = [
        "notify",
        "set",
        "ops",
        "--prefix",
        "app/",
        "--kinds",
        "put",
        "--values",
        "--webhook",
    ];
    assert_eq!(
        server.ok(&[&set[..], &[&hook]].concat()),
        "notification ops set\n"
    );
    let mail = [
        "notify",
        "set",
        "mail",
        "--prefix",
        "never/",
        "--smtp",
        "smtp://127.0.0.1:1",
    ];
    let addresses = ["--from", "a@example.com", "--to", "b@example.com,c@example.com"];
    server.ok(&[&mail[..], &addresses].concat());
    let listed = server.ok(&["notify", "list"]);
    for line in [
        format!("ops: prefix \"app/\" to webhook http://127.0.0.1:{}/?…, not signed; done through revision ", sink.port()),
        "mail: prefix \"never/\" to e-mail to b@example.com, c@example.com by smtp://127.0.0.1:1; done through".to_owned(),
    ] {
        assert!(listed.contains(&line), "{listed}");
    }
    let listed = json(&server.ok(&["notify", "list", "--json"]));
    let rules = listed["notifications"].as_array().unwrap();
    let ops = rules.iter().find(|rule| rule["name"] == "ops").unwrap();
    assert_eq!((&ops["kinds"][0], &ops["values"]), (&"put".into(), &true.into()));

    server.ok(&["put", "app/a", "1"]);
    server.ok(&["put", "app/b", "1"]);
    server.ok(&["del", "app/a"]);
    server.ok(&["put", "app/c", "1"]);
    let revision =
        |posted: sink::Posted| json(std::str::from_utf8(&posted.body).unwrap())["revision"].as_i64();
    assert_eq!(
        [(); 3].map(|()| revision(sink.next())),
        [Some(2), Some(3), Some(5)]
    );
    let letters = server.ok(&["notify", "dead-letters", "ops"]);
    let first = letters.lines().next().unwrap();
    assert!(
        first.starts_with("ops ")
            && first.ends_with(": revision 2: given up after 1 attempts: 127.0.0.1 answered 500"),
        "{letters}"
    );
    assert_eq!(letters.lines().count(), 2, "{letters}");
    let ids: Vec<String> = server
        .ok(&["notify", "dead-letters", "--json"])
        .lines()
        .map(|line| json(line)["id"].to_string())
        .collect();
    assert_eq!(
        server.ok(&["notify", "retry", "ops", &ids[1]]),
        "1 delivered, 1 dead letters left\n"
    );
    assert_eq!(revision(sink.next()), Some(3));
    let forgotten = json(&server.ok(&["notify", "retry", "ops", "--forget", "--json"]));
    assert_eq!(forgotten["left"], 0);
    assert_eq!(server.ok(&["notify", "dead-letters", "ops"]), "");
    assert!(sink.try_next().is_none());

    assert_eq!(
        server.ok(&["notify", "remove", "ops"]),
        "notification ops removed\n"
    );
    assert!(!server.ok(&["notify", "list"]).contains("ops"));
    let set = |target: &[&str], code: i32, why: &str| {
        let (ended_with, said) = server.fails(&[&["notify", "set", "x", "--prefix", ""], target].concat());
        assert!(
            ended_with == code && said.contains(why),
            "{target:?}: {ended_with} {said}"
        );
    };
    set(&[], 2, "required");
    set(&["--webhook", "ftp://x"], 2, "http");
    set(&["--slack", "https://h/x", "--secret", "env:X"], 2, "--secret");
    set(
        &["--webhook", "https://h/x", "--password", "env:X"],
        2,
        "--password",
    );
    set(&["--smtp", "smtps://h", "--from", "a@example.com"], 2, "--to");
    assert_eq!(server.fails(&["notify", "remove", "ops"]).0, 1);
    assert_eq!(server.fails(&["notify", "retry", "ops"]).0, 1);
    let (code, said) = Server::etcd().fails(&["notify", "list"]);
    assert!(code == 10 && said.contains("does not offer this"), "{said}");
}
