//! `cfgctl keys`, and values that are sealed, against an etcd and a member of cfgstore.

mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use support::*;

const SECRET: &str = "{\"password\":\"hunter2\"}";

fn keyring(server: &Server, patterns: &[&str]) -> PathBuf {
    let place = server.folder.path().join("keys.json");
    let mut arguments = vec!["--keyring", place.to_str().unwrap(), "keys", "new", "--id", "one"];
    for pattern in patterns {
        arguments.extend(["--pattern", pattern]);
    }
    assert!(server.ok(&arguments).contains("made, with key one"));
    place
}

fn with<'a>(place: &'a Path, arguments: &[&'a str]) -> Vec<&'a str> {
    [&["--keyring", place.to_str().unwrap()], arguments].concat()
}

fn id_of(server: &Server, key: &str) -> String {
    let stored = server.ok(&["get", key]);
    let envelope = json(&stored)["$sealed"]
        .as_str()
        .unwrap_or_else(|| panic!("{stored}"))
        .to_owned();
    envelope.split('.').nth(1).unwrap().to_owned()
}

#[test]
fn values_are_sealed_and_opened() {
    for server in [Server::etcd(), Server::cfgstored()] {
        let place = keyring(&server, &["/secret/*"]);
        server.ok(&with(&place, &["put", "/secret/a", SECRET]));
        server.ok(&with(&place, &["put", "/open", "1"]));
        assert_eq!(id_of(&server, "/secret/a"), "one");
        assert!(!server.ok(&["get", "--prefix", ""]).contains("hunter2"));
        assert_eq!(
            server.ok(&with(&place, &["get", "/secret/a"])),
            format!("{SECRET}\n")
        );
        assert_eq!(
            server.ok(&with(&place, &["get", "--prefix", "/secret/"])),
            format!("/secret/a\t{SECRET}\n")
        );
        let watched = server.ok(&with(
            &place,
            &["watch", "/secret/a", "--from-revision", "2", "--max-changes", "1"],
        ));
        assert_eq!(watched, format!("2 put /secret/a {SECRET}\n"));
        // The same from a variable and from a command.
        let of_variable = server
            .command(&["get", "/secret/a"])
            .env("CFGSTORE_KEYRING", "env:MY_KEYS")
            .env("MY_KEYS", fs::read_to_string(&place).unwrap())
            .output()
            .unwrap();
        assert_eq!(of_variable.stdout, format!("{SECRET}\n").as_bytes());
        let command = format!("command:cat {}", place.display());
        assert_eq!(
            server.ok(&["--keyring", &command, "get", "/secret/a"]),
            format!("{SECRET}\n")
        );
    }
}

#[test]
fn a_value_that_does_not_open_is_told_and_hides_no_other() {
    let server = Server::etcd();
    let place = keyring(&server, &["/secret/*"]);
    server.ok(&with(&place, &["put", "/secret/a", SECRET]));
    server.ok(&with(&place, &["put", "/secret/c", "3"]));
    let moved = server.ok(&["get", "/secret/a"]);
    server.ok(&["put", "/secret/b", moved.trim_end()]);
    let (code, message) = server.fails(&with(&place, &["get", "/secret/b"]));
    assert!(
        code == 10 && message.contains("moved here from another key"),
        "{code} {message}"
    );
    let listed = server.run(&with(&place, &["get", "--prefix", "/secret/"]));
    let (out, err) = (
        String::from_utf8(listed.stdout).unwrap(),
        String::from_utf8(listed.stderr).unwrap(),
    );
    assert_eq!(listed.status.code(), Some(10));
    assert!(out.contains("hunter2") && out.contains("/secret/c\t3\n"), "{out}");
    assert!(err.contains("/secret/b"), "{err}");
    let listed = server.run(&with(&place, &["get", "--prefix", "/secret/", "--json"]));
    let keys = json(std::str::from_utf8(&listed.stdout).unwrap())["keys"].clone();
    assert!(
        keys[1]["unopened"].as_str().unwrap().contains("/secret/b") && keys[0]["unopened"].is_null(),
        "{keys}"
    );
}

#[test]
fn what_is_applied_from_a_folder_is_sealed_like_what_is_put() {
    for server in [Server::cfgstored(), Server::etcd()] {
        let place = keyring(&server, &["/shop/secret/*"]);
        let config = server.folder.path().join("config");
        fs::create_dir_all(config.join("secret")).unwrap();
        let file = |name: &str, text: &str| fs::write(config.join(name), text).unwrap();
        file("secret/a.json", SECRET);
        file("secret/b.json", SECRET);
        file("clear.json", "1");
        let apply = |more: &[&str]| {
            let arguments = ["apply", "-f", config.to_str().unwrap(), "--prefix", "/shop/"];
            server.ok(&with(&place, &[&arguments[..], more].concat()))
        };
        assert!(apply(&[]).ends_with(": 3 added, 0 changed, 0 deleted\n"));
        let stored = || server.ok(&["get", "--prefix", ""]);
        assert!(
            !stored().contains("hunter2") && stored().contains("/shop/clear\t1\n"),
            "{}",
            stored()
        );
        assert_eq!(id_of(&server, "/shop/secret/a"), "one");
        assert_eq!(
            server.ok(&with(&place, &["get", "/shop/secret/a"])).trim_end(),
            SECRET
        );

        // What stays the same is not sealed once more, though it is named.
        let before = server.ok(&["get", "/shop/secret/b"]);
        file("secret/a.json", "{\"password\":\"hunter22\"}");
        let said = apply(&["--prune"]);
        assert!(
            said.starts_with("~ /shop/secret/a\n    ~ password: ")
                && said.ends_with(": 0 added, 1 changed, 0 deleted\n"),
            "{said}"
        );
        assert!(!stored().contains("hunter2"), "{}", stored());
        assert_eq!(server.ok(&["get", "/shop/secret/b"]), before);
        assert!(apply(&["--prune"]).starts_with("nothing differs: "));
    }
}

#[test]
fn a_new_file_is_its_owners_alone_and_an_old_one_stays() {
    let server = Server::etcd();
    let place = keyring(&server, &["/secret/*", "/other"]);
    assert_eq!(fs::metadata(&place).unwrap().mode() & 0o7777, 0o600);
    let before = fs::read(&place).unwrap();
    let (code, message) = server.fails(&with(&place, &["keys", "new"]));
    assert!(code == 2 && message.contains("is there already"), "{message}");
    assert_eq!(fs::read(&place).unwrap(), before);
    let printed = json(&server.ok(&["keys", "new", "--pattern", "*"]));
    let today = printed["primary"].as_str().unwrap();
    assert!(
        today.len() == 10 && printed["keys"][today].is_string() && printed["patterns"][0] == "*",
        "{printed}"
    );
    for bad in [&["--pattern", "/a/*/b"][..], &["--id", "a.b"], &["--id", ""]] {
        let (code, _) = server.fails(&[&["keys", "new"], bad].concat());
        assert_eq!(code, 2);
    }
    fs::set_permissions(&place, PermissionsExt::from_mode(0o604)).unwrap();
    for command in [&["put", "/open", "1"][..], &["keys", "list"], &["keys", "rotate"]] {
        let (code, message) = server.fails(&with(&place, command));
        assert!(code == 5 && message.contains("chmod 0600"), "{code} {message}");
    }
    let (code, message) = server.fails(&["--keyring", "env:PATH", "keys", "rotate"]);
    assert!(code == 2 && message.contains("is no file"), "{message}");
    let (code, message) = server.fails(&["keys", "rotate"]);
    assert!(code == 2 && message.contains("--keyring FILE"), "{message}");
}

#[test]
fn keys_are_rotated_and_dropped() {
    for server in [Server::etcd(), Server::cfgstored()] {
        let place = keyring(&server, &["/secret/*"]);
        server.ok(&["put", "/secret/before", "\"in clear\""]);
        for number in 0..150 {
            server.ok(&["put", &format!("/other/{number:03}"), "1"]);
        }
        server.ok(&with(&place, &["put", "/secret/a", SECRET]));
        let link = server.folder.path().join("link");
        symlink(&place, &link).unwrap();
        fs::set_permissions(&place, PermissionsExt::from_mode(0o640)).unwrap();

        assert!(
            server
                .ok(&with(&link, &["keys", "add", "--id", "two"]))
                .contains("rotate --id two")
        );
        server.ok(&with(&place, &["put", "/secret/b", "1"]));
        assert_eq!(id_of(&server, "/secret/b"), "one");
        assert!(
            server
                .ok(&with(&link, &["keys", "rotate", "--id", "two"]))
                .contains("keys reseal")
        );
        assert!(link.is_symlink());
        assert_eq!(fs::metadata(&place).unwrap().mode() & 0o7777, 0o640);
        server.ok(&with(&place, &["put", "/secret/c", "1"]));
        assert_eq!(
            (id_of(&server, "/secret/a"), id_of(&server, "/secret/c")),
            ("one".into(), "two".into())
        );
        assert_eq!(
            server.ok(&with(&place, &["get", "/secret/a"])),
            format!("{SECRET}\n")
        );

        let (code, message) = server.fails(&with(&place, &["keys", "drop", "one"]));
        assert!(
            code == 10 && message.contains("2 values are sealed with it, /secret/a among them"),
            "{message}"
        );
        let listed = server.ok(&with(&place, &["keys", "list"]));
        assert_eq!(
            listed,
            "key one: seals 2 values\nkey two (primary): seals 1 values\npattern /secret/*\n\
             1 values under the patterns are in clear: `cfgctl keys reseal` seals them\n"
        );

        let resealed = server.ok(&with(&place, &["keys", "reseal"]));
        assert!(
            resealed.ends_with(
                "key two: 2 sealed anew, 1 sealed that were in clear, 1 were sealed with it already\n"
            ),
            "{resealed}"
        );
        assert_eq!(
            (id_of(&server, "/secret/a"), id_of(&server, "/secret/before")),
            ("two".into(), "two".into())
        );
        assert_eq!(
            server.ok(&with(&place, &["get", "/secret/a"])),
            format!("{SECRET}\n")
        );
        assert_eq!(
            server.ok(&with(&place, &["get", "/secret/before"])),
            "\"in clear\"\n"
        );
        let again = json(&server.ok(&with(&place, &["keys", "reseal", "--json"])));
        assert_eq!(
            (again["resealed"].as_i64(), again["current"].as_i64()),
            (Some(0), Some(4))
        );
        server.ok(&with(&place, &["keys", "drop", "one"]));
        assert_eq!(
            server.ok(&with(&place, &["get", "/secret/a"])),
            format!("{SECRET}\n")
        );
        assert!(
            server
                .fails(&with(&place, &["keys", "drop", "two"]))
                .1
                .contains("primary")
        );

        // In one step, with an id of its own.
        let rotated = server.ok(&with(&place, &["keys", "rotate", "--reseal"]));
        assert!(rotated.contains("4 sealed anew"), "{rotated}");
        assert_eq!(server.ok(&["get", "/other/149"]), "1\n");
        let left: Vec<_> = fs::read_dir(server.folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert!(
            !left.iter().any(|name| name.to_string_lossy().contains(".tmp")),
            "{left:?}"
        );
        let shown = server.ok(&with(&place, &["keys", "list", "--json"]));
        let secrets = json(&fs::read_to_string(&place).unwrap());
        for secret in secrets["keys"].as_object().unwrap().values() {
            assert!(!shown.contains(secret.as_str().unwrap()));
        }
    }
}

#[test]
fn what_cannot_be_opened_is_left_and_leases_are_kept() {
    let server = Server::etcd();
    let place = keyring(&server, &["/secret/*"]);
    let lease = server.etcdctl(&["lease", "grant", "600"]);
    let lease = lease.split_whitespace().nth(1).unwrap().to_owned();
    server.etcdctl(&["put", "--lease", &lease, "/secret/leased", "1"]);
    server.ok(&with(&place, &["put", "/secret/a", "1"]));
    let moved = server.ok(&["get", "/secret/a"]);
    server.ok(&["put", "/secret/moved", moved.trim_end()]);
    server.ok(&with(&place, &["keys", "rotate", "--id", "two"]));
    let output = server.run(&with(&place, &["keys", "reseal"]));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(10));
    assert!(
        said.contains("/secret/moved") && said.contains("1 values could not be"),
        "{said}"
    );
    assert_eq!(
        (id_of(&server, "/secret/a"), id_of(&server, "/secret/leased")),
        ("two".into(), "two".into())
    );
    assert_eq!(id_of(&server, "/secret/moved"), "one");
    let kept = json(&server.ok(&["get", "/secret/leased", "--json"]));
    assert_eq!(
        format!("{:x}", kept["lease"].as_i64().unwrap()),
        lease.trim_start_matches('0')
    );
}

#[test]
fn two_that_change_one_file_take_turns() {
    let server = Server::etcd();
    let place = keyring(&server, &["*"]);
    let children: Vec<_> = (0..8)
        .map(|number| {
            server
                .command(&with(&place, &["keys", "add", "--id", &format!("k{number}")]))
                .stdout(std::process::Stdio::null())
                .stderr(std::process::Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    let done = children
        .into_iter()
        .filter_map(|mut child| child.wait().unwrap().success().then_some(()))
        .count();
    let keys = json(&fs::read_to_string(&place).unwrap())["keys"]
        .as_object()
        .unwrap()
        .len();
    // Some are sent away, but what was said to be added is there.
    assert_eq!(keys, 1 + done);
    assert!(done >= 1);
}
