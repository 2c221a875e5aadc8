//! `cfgctl apply` and `cfgctl export` as their users run them, against each server they are for.

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use support::*;

/// A folder of files, made anew.
fn folder(server: &Server, name: &str, files: &[(&str, &str)]) -> String {
    let folder = server.folder.path().join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    for (path, text) in files {
        let file = folder.join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    folder.to_str().unwrap().to_owned()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

const FILES: &[(&str, &str)] = &[
    (
        "database.json",
        "{\"host\": \"db1\", \"port\": 5432, \"pool\": {\"a.b\": [1, 1.10]}}",
    ),
    ("payment/limits.yaml", "max: 2000\ncurrencies: [EUR, USD]\n"),
    ("cache.ini", "[redis]\nttl = 60\n"),
    (".env", "TOKEN='x y'\n"),
    ("features.php", "<?php\nreturn ['gift_cards' => true];\n"),
    ("README.md", "no document"),
    (".git/config.json", "not read"),
];

fn a_folder_is_one_revision(server: &Server) {
    let config = folder(server, "config", FILES);
    let apply = |more: &[&str]| server.run(&[&["apply", "-f", &config, "--prefix", "/shop/"], more].concat());
    server.ok(&["put", "/shop/old", "1"]);
    server.ok(&[
        "put",
        "/shop/database",
        " {\"host\": \"db0\", \"port\": 5432, \"user\": \"shop\"}",
    ]);
    server.ok(&["put", "/other", "1"]);

    let dry = apply(&["--prune", "--dry-run"]);
    assert_eq!(dry.status.code(), Some(1), "{dry:?}");
    assert_eq!(
        String::from_utf8(dry.stdout).unwrap(),
        "+ /shop/cache: {\"redis\":{\"ttl\":60}}\n\
         ~ /shop/database\n    ~ host: \"db0\" → \"db1\"\n    - user: \"shop\"\n    + pool: {\"a.b\":[1,1.10]}\n\
         + /shop/env: {\"TOKEN\":\"x y\"}\n\
         + /shop/features: {\"gift_cards\":true}\n\
         - /shop/old: 1\n\
         + /shop/payment/limits: {\"max\":2000,\"currencies\":[\"EUR\",\"USD\"]}\n\
         dry run, nothing is written: 4 added, 1 changed, 1 deleted\n"
    );
    let skipped = String::from_utf8(dry.stderr).unwrap();
    assert!(
        skipped.contains("README.md") && !skipped.contains(".git"),
        "{skipped}"
    );
    assert_eq!(
        server.ok(&["get", "--prefix", "/shop/", "--keys-only"]),
        "/shop/database\n/shop/old\n"
    );

    // Without --prune, what no file names stays.
    let first = apply(&["--comment", "the first: 100 % größer"]);
    assert!(first.status.success(), "{first:?}");
    let revision = json(&server.ok(&["get", "/shop/features", "--json"]))["revision"].clone();
    let all = json(&server.ok(&["get", "--prefix", "/shop/", "--json"]));
    let of_it = all["keys"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|key| key["revision"] == revision)
        .count();
    assert_eq!((of_it, all["keys"].as_array().unwrap().len()), (5, 6), "{all}");
    assert_eq!(
        server.ok(&["get", "/shop/database"]),
        "{\"host\":\"db1\",\"port\":5432,\"pool\":{\"a.b\":[1,1.10]}}\n"
    );
    let pruned = apply(&["--prune", "--json"]);
    let pruned = json(&String::from_utf8(pruned.stdout).unwrap());
    assert_eq!(pruned["changes"].as_array().unwrap().len(), 1, "{pruned}");
    assert_eq!(
        (&pruned["changes"][0]["change"], &pruned["changes"][0]["key"]),
        (&"deleted".into(), &"/shop/old".into())
    );
    assert_eq!(
        server.ok(&["get", "--prefix", "", "--keys-only"]).lines().count(),
        6
    );

    // Once more, nothing differs, and nothing is written.
    let again = apply(&["--prune"]);
    assert!(
        String::from_utf8(again.stdout)
            .unwrap()
            .starts_with("nothing differs")
    );
    assert_eq!(json(&server.ok(&["get", "/other", "--json"]))["revision"], 4);
    assert_eq!(apply(&["--prune", "--dry-run"]).status.code(), Some(0));
}

fn what_is_exported_changes_nothing_when_applied(server: &Server) {
    let values = [
        (
            "a",
            "{ \"x\": 1.10, \"y\": [{}, [], {\"0\": null}, \"\\u0085 '\\\"$x\\n\"], \"\": {\"k\": 123456789012345678901234567890} }",
        ),
        ("b/c", "no JSON: a text"),
        ("b/d.e", "\"yes\""),
        ("sealed", "{\"$sealed\":{\"key\":\"k1\",\"data\":\"AAAA\"}}"),
        ("t", " true"),
    ];
    for (key, value) in values {
        server.ok(&["put", &format!("/app/{key}"), value]);
    }
    for format in ["json", "yaml", "php"] {
        let target = server.folder.path().join(format);
        let target = target.to_str().unwrap();
        server.ok(&["export", "-o", target, "--prefix", "/app/", "--format", format]);
        assert_eq!(files(Path::new(target)).len(), values.len());
        let applied = server.ok(&["apply", "-f", target, "--prefix", "/app/", "--prune", "--dry-run"]);
        assert!(
            applied.starts_with("nothing differs: 5 keys"),
            "{format}: {applied}"
        );
        // Elsewhere, it makes the same documents.
        server.ok(&["apply", "-f", target, "--prefix", &format!("/{format}/")]);
        assert_eq!(
            server.ok(&["get", &format!("/{format}/sealed")]).trim_end(),
            values[3].1
        );
    }
    let past = server.folder.path().join("past");
    server.ok(&["put", "/app/t", "false"]);
    let revision = json(&server.ok(&["get", "/app/t", "--json"]))["revision"]
        .as_i64()
        .unwrap()
        - 1;
    server.ok(&[
        "export",
        "-o",
        past.to_str().unwrap(),
        "--prefix",
        "/app/",
        "--revision",
        &revision.to_string(),
    ]);
    assert_eq!(fs::read_to_string(past.join("t.json")).unwrap(), "true\n");

    // A second time only over what is there, and never through a link.
    let past = past.to_str().unwrap();
    let export = ["export", "-o", past, "--prefix", "/app/"];
    assert_eq!(server.fails(&export).0, 2);
    server.ok(&[&export[..], &["--force"]].concat());
    assert_eq!(fs::read_to_string(format!("{past}/t.json")).unwrap(), "false\n");
    let outside = folder(server, "outside", &[]);
    fs::remove_dir_all(format!("{past}/b")).unwrap();
    symlink(&outside, format!("{past}/b")).unwrap();
    let (code, said) = server.fails(&[&export[..], &["--force"]].concat());
    assert!(code == 2 && said.contains("is no folder"), "{said}");
    assert_eq!(files(Path::new(&outside)), [""; 0].map(PathBuf::from));
}

fn what_has_no_file_is_refused_with_its_key(server: &Server) {
    let target = server.folder.path().join("target");
    let export = |more: &[&str]| server.fails(&[&["export", "-o", target.to_str().unwrap()], more].concat());
    for (key, value, more) in [
        ("x/../y", "1", &[][..]),
        ("/x", "1", &[]),
        ("x//y", "1", &[]),
        (".x", "1", &[]),
        ("x", "{\"a\":1,\"a\":2}", &[]),
        ("x", "[1]", &["--format", "env"]),
        ("x", "{\"a\":[[1]]}", &["--format", "ini"]),
    ] {
        server.ok(&["put", key, value]);
        let (code, said) = export(more);
        assert!(code == 2 && said.contains(key), "{key}: {said}");
        assert!(!target.exists());
        server.ok(&["del", key]);
    }
    server.ok(&["put", "a/X", "1"]);
    server.ok(&["put", "A/x", "1"]);
    assert!(export(&[]).1.contains("clash"));
}

fn a_folder_that_is_not_clear_changes_nothing(server: &Server) {
    let refused = |files: &[(&str, &str)], what: &str| {
        let config = folder(server, "config", &[files, &[("good.json", "1")]].concat());
        let (code, said) = server.fails(&["apply", "-f", &config]);
        assert!(code == 2 && said.contains(what), "{files:?}: {said}");
    };
    refused(&[("a.json", "1"), ("a.yaml", "1")], "a.json is the key \"a\" too");
    refused(&[("a/b.json", "{\n\"x\": 1,\n}")], "a/b.json: line 3");
    refused(
        &[("a.php", "<?php return getenv('X');")],
        "getenv would have to be executed",
    );
    refused(&[("a.yaml", "&a [*a]")], "a.yaml: line 1");

    let config = folder(server, "config", &[("good.json", "1")]);
    let config = Path::new(&config);
    fs::write(server.folder.path().join("secret.json"), "1").unwrap();
    symlink("../secret.json", config.join("link.json")).unwrap();
    let apply = |more: &[&str]| server.fails(&[&["apply", "-f", config.to_str().unwrap()], more].concat());
    assert!(apply(&[]).1.contains("link.json: the link leads out"));
    fs::remove_file(config.join("link.json")).unwrap();
    symlink(".", config.join("loop")).unwrap();
    assert!(apply(&[]).1.contains("loop: a link to a folder"));
    fs::remove_file(config.join("loop")).unwrap();
    assert_eq!(server.fails(&["apply", "-f", "/nowhere"]).0, 2);
    for prefix in ["", "/", "/_cfgstore/"] {
        assert!(
            apply(&["--prefix", prefix, "--prune"])
                .1
                .contains("cfgstore's own"),
            "{prefix}"
        );
    }
    assert_eq!(server.ok(&["get", "--prefix", ""]), "");
    // As Kubernetes mounts one: the files are links into a hidden folder.
    fs::create_dir(config.join("..data")).unwrap();
    fs::write(config.join("..data/linked.json"), "2").unwrap();
    symlink("..data/linked.json", config.join("linked.json")).unwrap();
    server.ok(&["apply", "-f", config.to_str().unwrap()]);
    assert_eq!(server.ok(&["get", "--prefix", ""]), "good\t1\nlinked\t2\n");
}

macro_rules! on_each_server {
    ($($server:ident: $($case:ident)*;)*) => {
        $(mod $server {
            $(#[test]
            fn $case() {
                super::$case(&super::Server::$server());
            })*
        })*
    };
}

on_each_server! {
    cfgstored: a_folder_is_one_revision what_is_exported_changes_nothing_when_applied what_has_no_file_is_refused_with_its_key
        a_folder_that_is_not_clear_changes_nothing;
    etcd: a_folder_is_one_revision what_is_exported_changes_nothing_when_applied;
}

#[test]
fn an_etcd_takes_as_much_as_one_transaction_does() {
    let server = Server::etcd();
    let files: Vec<(String, String)> = (0..129).map(|i| (format!("{i}.json"), i.to_string())).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (&path[..], &text[..])).collect();
    let config = folder(&server, "config", &files);
    let (code, said) = server.fails(&["apply", "-f", &config]);
    assert!(
        code == 2 && said.contains("129 keys differ, more than this etcd takes"),
        "{said}"
    );
    assert_eq!(server.ok(&["get", "--prefix", ""]), "");
    fs::remove_file(Path::new(&config).join("0.json")).unwrap();
    assert!(
        server
            .ok(&["apply", "-f", &config])
            .ends_with("revision 2: 128 added, 0 changed, 0 deleted\n")
    );
}

#[test]
fn a_cfgstored_takes_a_whole_folder_as_one_revision_with_its_comment() {
    let server = Server::cfgstored();
    server.ok(&["put", "/shop/old", "1"]);
    let files: Vec<(String, String)> = (0..300).map(|i| (format!("{i}.json"), i.to_string())).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (&path[..], &text[..])).collect();
    let config = folder(&server, "config", &files);
    let apply = ["apply", "-f", &config, "--prefix", "/shop/", "--prune"];
    let said = server.ok(&[&apply[..], &["--comment", "100 % größer"]].concat());
    assert!(
        said.ends_with("revision 3: 300 added, 0 changed, 1 deleted\n"),
        "{said}"
    );
    let log = server.ok(&["log", "--prefix", "/shop/", "--json"]);
    let changes: Vec<serde_json::Value> = log.lines().skip(1).map(json).collect();
    assert_eq!(changes.len(), 301);
    for change in changes {
        assert_eq!(
            (&change["revision"], &change["comment"], &change["author"]["name"]),
            (&3.into(), &"100 % größer".into(), &"cfgctl".into())
        );
    }
}
