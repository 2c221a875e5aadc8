//! The commands about history as their users run them.

mod support;

use support::*;

/// With each time replaced, and each port.
fn steady(text: &str) -> String {
    let word = |word: &str| {
        let is_time = word.len() == 20 && word.ends_with('Z') && word.as_bytes()[10] == b'T';
        match word.strip_prefix("127.0.0.1:") {
            _ if is_time => "TIME".to_owned(),
            Some(port) if port.parse::<u16>().is_ok() => "127.0.0.1:PORT".to_owned(),
            _ => word.to_owned(),
        }
    };
    let line = |line: &str| line.split(' ').map(word).collect::<Vec<_>>().join(" ") + "\n";
    text.lines().map(line).collect()
}

/// The revisions 2 to 7.
fn a_shop() -> Server {
    let server = Server::cfgstored();
    for arguments in [
        &[
            "put",
            "/shop/db",
            "{\"host\":\"db1\",\"port\":5432}",
            "--comment",
            "first: 100 %",
        ][..],
        &["put", "/shop/old", "1"],
        &[
            "put",
            "/shop/db",
            "{\"host\":\"db2\",\"port\":5432,\"pool\":{\"max\":[8]}}",
            "--comment",
            "größer",
        ],
        &["del", "/shop/old"],
        &["put", "/shop/new", "true"],
        &["put", "other", "1"],
    ] {
        server.ok(arguments);
    }
    server
}

#[test]
fn history_and_log_tell_who_when_why_and_what() {
    let server = a_shop();
    let newest = "revision 4  TIME  cfgctl (unverified)  127.0.0.1:PORT  größer\n\
                  ~ /shop/db\n    ~ host: \"db1\" → \"db2\"\n    + pool: {\"max\":[8]}\n";
    let first = "revision 2  TIME  cfgctl (unverified)  127.0.0.1:PORT  first: 100 %\n\
                 + /shop/db: {\"host\":\"db1\",\"port\":5432}\n";
    let history = |more: &[&str]| server.ok(&[&["history", "/shop/db"], more].concat());
    assert_eq!(steady(&history(&[])), format!("{newest}{first}"));
    for more in [
        &["--limit", "1"][..],
        &["--since", "3"],
        &["--since", "1h", "--author", "cfgctl", "--limit", "1"],
    ] {
        assert_eq!(steady(&history(more)), newest, "{more:?}");
    }
    assert_eq!(
        history(&["--author", "nobody"]) + &history(&["--since", "2999-01-01"]),
        ""
    );
    assert_eq!(server.fails(&["history", "k", "--since", "yesterday"]).0, 2);
    // A reason that would not be kept is none.
    let (code, said) = server.fails(&["put", "other", "2", "--comment", &"c".repeat(1_025)]);
    assert!(code == 2 && said.contains("1025 bytes"), "{said}");
    server.ok(&["del", "other", "--comment", "tidy"]);
    assert!(
        server
            .ok(&["history", "other", "--limit", "1"])
            .ends_with("  tidy\n- other: 1\n")
    );

    let log = steady(&server.ok(&["log", "--prefix", "/shop/"]));
    let heads = log.lines().filter(|line| line.starts_with("revision"));
    assert_eq!(heads.map(|line| &line[9..10]).collect::<String>(), "23456");
    assert!(log.contains("\n- /shop/old: 1\n"), "{log}");
    assert_eq!(server.ok(&["log", "--to", "2001-01-01"]), "");
    let told = server.ok(&["history", "/shop/", "--prefix", "--since", "4", "--json"]);
    let json = json(told.lines().last().unwrap());
    assert_eq!(
        (
            &json["change"],
            &json["revision"],
            &json["comment"],
            &json["paths"],
            &json["before"]["host"]
        ),
        (
            &"put".into(),
            &4.into(),
            &"größer".into(),
            &vec!["host", "pool"].into(),
            &"db1".into()
        )
    );
    assert_eq!(
        (&json["author"]["name"], &json["author"]["verified"]),
        (&"cfgctl".into(), &false.into())
    );
}

#[test]
fn a_log_is_followed_across_a_restart() {
    let mut server = a_shop();
    let (mut log, mut lines) = server.start_reading(&["log", "--prefix", "/shop/", "--follow", "--json"]);
    let revisions = |lines: &mut std::io::BufReader<_>, count: usize| -> Vec<i64> {
        (0..count)
            .map(|_| json(&line(lines))["revision"].as_i64().unwrap())
            .collect()
    };
    assert_eq!(revisions(&mut lines, 5), [2, 3, 4, 5, 6]);
    server.ok(&["put", "/shop/live", "1"]);
    assert_eq!(revisions(&mut lines, 1), [8]);
    server.restart_cfgstored();
    server.ok(&["put", "other", "2"]);
    server.ok(&["put", "/shop/live", "2"]);
    assert_eq!(revisions(&mut lines, 1), [10]);
    let _ = log.kill();
    let _ = log.wait();
}

#[test]
fn diff_and_blame_compare_revisions() {
    let server = a_shop();
    let diff = |arguments: &[&str]| {
        let output = server.run(&[&["diff"], arguments].concat());
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, said) = diff(&["--prefix", "/shop/", "3"]);
    assert_eq!(
        (code, &said[..]),
        (
            Some(1),
            "~ /shop/db\n    ~ host: \"db1\" → \"db2\"\n    + pool: {\"max\":[8]}\n+ /shop/new: true\n- /shop/old: 1\n"
        )
    );
    assert_eq!(diff(&["/shop/db", "4", "7"]), (Some(0), String::new()));
    let (code, said) = diff(&["/shop/db", "2", "1", "--json"]);
    assert_eq!(
        (code, &json(&said)["changes"][0]["change"]),
        (Some(1), &"deleted".into())
    );

    server.ok(&[
        "put",
        "/shop/db",
        "{\"port\":5433,\"host\":\"db2\",\"pool\":{\"max\":[8,9]}}",
    ]);
    let said = server.ok(&["history", "/shop/db", "--limit", "1", "--json"]);
    assert!(
        said.contains(r#""after":{"port":5433,"host":"db2","#),
        "as it is stored: {said}"
    );
    assert_eq!(
        steady(&server.ok(&["blame", "/shop/db"])),
        "8  TIME  cfgctl (unverified)  port: 5433\n\
         4  TIME  cfgctl (unverified)  host: \"db2\"\n\
         4  TIME  cfgctl (unverified)  pool.max.0: 8\n\
         8  TIME  cfgctl (unverified)  pool.max.1: 9\n"
    );
    assert_eq!(server.fails(&["blame", "/shop/old"]).0, 1);
    assert_eq!(server.fails(&["blame", "never"]).0, 1);
    server.ok(&["retention", "set", "/shop/", "--count", "1"]);
    let said = server.ok(&["blame", "/shop/db"]);
    assert!(said.contains("?  no longer kept"), "{said}");
    assert_eq!(
        json(&server.ok(&["blame", "/shop/db", "--json"]))
            .as_array()
            .unwrap()
            .len(),
        4
    );
}

#[test]
fn a_prefix_is_rolled_back() {
    let server = a_shop();
    let rollback =
        |more: &[&str]| server.run(&[&["rollback", "--prefix", "/shop/", "--to", "3"], more].concat());
    let dry = rollback(&["--dry-run"]);
    let differs = "~ /shop/db\n    ~ host: \"db2\" → \"db1\"\n    - pool: {\"max\":[8]}\n- /shop/new: true\n+ /shop/old: 1\n";
    assert_eq!(dry.status.code(), Some(1));
    assert_eq!(
        String::from_utf8(dry.stdout).unwrap(),
        format!("{differs}dry run, nothing is written: 1 added, 1 changed, 1 deleted\n")
    );
    let done = rollback(&["--comment", "undone"]);
    assert_eq!(
        String::from_utf8(done.stdout).unwrap(),
        format!("{differs}revision 8: 1 added, 1 changed, 1 deleted\n")
    );
    assert_eq!(
        server.ok(&["get", "--prefix", ""]),
        "/shop/db\t{\"host\":\"db1\",\"port\":5432}\n/shop/old\t1\nother\t1\n"
    );
    assert!(
        server
            .ok(&["history", "/shop/new", "--limit", "1"])
            .contains("  undone\n- /shop/new: true")
    );
    assert_eq!(rollback(&["--dry-run"]).status.code(), Some(0));
    assert!(
        server
            .fails(&["rollback", "--prefix", "/", "--to", "3"])
            .1
            .contains("cfgstore's own")
    );

    // What is no longer kept.
    server.ok(&["compaction", "8"]);
    server.ok(&["retention", "set", "/shop/", "--count", "1", "--max-age", "90d"]);
    let (code, said) = server.fails(&["rollback", "/shop/db", "--to", "4"]);
    assert!(
        code == 10 && said.contains("at revision 4 is no longer kept"),
        "{said}"
    );
    let listed = server.ok(&["retention", "list"]);
    assert!(
        listed.contains("/shop/: 1 changes of each key, for 90d\n"),
        "{listed}"
    );
    server.ok(&["retention", "remove", "/shop/"]);
    assert!(!server.ok(&["retention", "list"]).contains("/shop/"));
}

#[test]
fn history_goes_along_in_a_snapshot() {
    let server = a_shop();
    let (before, folder) = (server.ok(&["log"]), tempfile::tempdir().unwrap());
    let file = server.folder.path().join("backup.db");
    let file = file.to_str().unwrap();
    server.ok(&["snapshot", "save", file]);
    let data = folder.path().join("store");
    server.ok(&["snapshot", "restore", file, "--data-dir", data.to_str().unwrap()]);
    let restored = Server::cfgstored_in(folder, &free_url());
    assert_eq!(restored.ok(&["log"]), before);
}

#[test]
fn an_etcd_says_that_it_has_no_history() {
    let server = Server::etcd();
    for arguments in [
        &["history", "k"][..],
        &["log", "--follow"],
        &["diff", "k", "1"],
        &["blame", "k"],
        &["rollback", "k", "--to", "1"],
        &["retention", "list"],
    ] {
        let (code, said) = server.fails(arguments);
        assert!(
            code == 10 && said.contains("the server does not offer this"),
            "{arguments:?}: {said}"
        );
    }
}
