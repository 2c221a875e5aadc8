//! `cfgctl schema`.

mod support;

use support::*;

#[test]
fn a_schema_is_bound_checked_listed_and_unbound() {
    let server = Server::cfgstored();
    let file = |name: &str, text: &str| {
        let path = server.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let schema = file("schema.json", r#"{ "required": ["password"] }"#);
    let (good, bad) = (file("good.json", r#"{"password": "x"}"#), file("bad.json", "{}"));

    server.ok(&["put", "db/old", "{}"]);
    let (code, message) = server.fails(&["schema", "bind", "db/*", &schema, "--dry-run"]);
    assert!(
        code == 2 && message.contains("db/old: /password is required"),
        "{code} {message}"
    );
    server.ok(&["put", "db/old", r#"{"password": "x"}"#]);
    assert_eq!(
        server.ok(&["schema", "bind", "db/*", &schema, "--dry-run"]),
        "db/* can be bound: no existing value violates it\n"
    );
    assert_eq!(server.ok(&["schema", "list"]), "");
    assert_eq!(server.ok(&["schema", "bind", "db/*", &schema]), "bound to db/*\n");
    assert_eq!(
        server.ok(&["schema", "bind", "s/*", "--sealed"]),
        "bound to s/*\n"
    );
    assert_eq!(
        server.ok(&["schema", "list"]),
        "db/*\t{\"required\":[\"password\"]}\ns/*\tsealed values only\n"
    );
    let listed = json(&server.ok(&["schema", "list", "--json"]));
    assert_eq!(listed["schemas"][0]["schema"]["required"][0], "password");

    assert_eq!(server.ok(&["schema", "check", "db/new", &good]), "valid\n");
    let (code, message) = server.fails(&["schema", "check", "db/new", &bad]);
    assert!(
        code == 2 && message.contains("/password is required (schema of db/* at \"/required\")"),
        "{message}"
    );
    let (code, message) = server.fails(&["put", "db/new", "{}"]);
    assert!(
        code == 2 && message.contains("db/new: /password is required"),
        "{message}"
    );
    let (code, message) = server.fails(&["schema", "bind", "x", &good[..good.len() - 1]]);
    assert!(code == 2 && message.contains("cannot read"), "{message}");

    assert_eq!(server.ok(&["schema", "unbind", "db/*"]), "unbound from db/*\n");
    server.ok(&["put", "db/new", "{}"]);
    let (code, message) = server.fails(&["schema", "unbind", "db/*"]);
    assert!(
        code == 1 && message.contains("there is no schema"),
        "{code} {message}"
    );
}
