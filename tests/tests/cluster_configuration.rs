//! What a cluster knows of configuration, whoever leads: schemas, which every member enforces, also one that was away when they
//! were bound; and the steps of `examples/php/config-manager`, while leaders are killed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use cfgstore_client::blocking::{Client, Mode};
use cfgstore_client::{Address, BoundSchema, Error, ErrorKind, Options, PutOptions, Range};
use cfgstore_tests::{Cluster, Host, Kind};

fn client(endpoint: &str) -> Client {
    let options = Options {
        address: Address::parse(endpoint).expect("an address"),
        call_timeout: Duration::from_secs(20),
        ..Options::default()
    };
    Client::new(options, Mode::NoThread).expect("a client")
}

fn put(client: &Client, key: &str, value: &str) -> Result<i64, Error> {
    client.put(key, value.to_owned(), &PutOptions::default())
}

#[track_caller]
fn assert_refused(client: &Client, key: &str) {
    let error = put(client, key, "\"bad\"").expect_err("it violates the schema");
    assert_eq!(error.kind, ErrorKind::SchemaViolation, "{error}");
}

#[test]
fn every_member_enforces_schemas_also_one_that_was_away() {
    // Few entries are kept, so that whoever was away gets a snapshot.
    let mut cluster = Cluster::with_flags(3, Kind::Cfgstored, &["--snapshot-count=20"]);
    let away = cluster.follower();
    cluster.kill(away);
    let present: Vec<Client> = cluster
        .running()
        .iter()
        .map(|index| client(&cluster.endpoints()[*index]))
        .collect();
    let integers = BoundSchema {
        pattern: "n/*".to_owned(),
        schema: r#"{"type": "integer"}"#.into(),
        sealed: false,
    };
    put(&present[0], "n/a", "1").expect("no schema yet");
    present[1].bind_schema(&integers, false).expect("bind");
    for (number, member) in present.iter().enumerate() {
        assert_refused(member, &format!("n/{number}"));
    }
    for number in 0..100 {
        put(&present[number % 2], &format!("n/{number}"), "2").expect("a good value");
    }
    cluster.start_member(away);
    cluster.wait_serving(away);
    cluster.wait_caught_up();

    let returned = client(&cluster.endpoints()[away]);
    assert_refused(&returned, "n/a");
    assert_eq!(returned.schemas().expect("list"), [integers]);
    // Whoever leads.
    let leader = cluster.leader();
    cluster.kill(leader);
    assert_refused(&returned, "n/a");
    put(&returned, "n/a", "3").expect("a good value");
    cluster.start_member(leader);
    cluster.wait_serving(leader);
    cluster.wait_caught_up();
    for endpoint in cluster.endpoints() {
        let member = client(&endpoint);
        assert_refused(&member, "n/b");
        let found = member.range(&Range::prefix("n/")).expect("range");
        assert_eq!(found.kvs.len(), 101);
        assert!(found.kvs.iter().all(|kv| kv.value.iter().all(u8::is_ascii_digit)));
    }
}

/// The programs of the example, in their order.
fn steps() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/php/config-manager");
    let files = std::fs::read_dir(folder).expect("the example");
    let mut steps: Vec<PathBuf> = files.map(|entry| entry.expect("an entry").path()).collect();
    steps.retain(|path| path.extension().is_some_and(|extension| extension == "php"));
    steps.sort();
    steps
}

#[test]
fn the_ten_steps_of_a_configuration_manager_pass_though_the_leader_is_killed_between_any_two() {
    // Elections take less time than by default.
    let flags = ["--heartbeat-interval=50", "--election-timeout=300"];
    let mut cluster = Cluster::with_flags(3, Kind::Cfgstored, &flags);
    let host = Host::new();
    let endpoints = format!("cfgstore.endpoints={}", cluster.endpoints().join(","));
    let steps = steps();
    assert_eq!(steps.len(), 10, "{steps:?}");
    let mut killed = None;
    for step in steps {
        let mut php = host.php();
        php.args(["-d", &endpoints, "-d", "cfgstore.timeout=20"])
            .arg(&step);
        let ran = php.output().expect("php");
        assert!(ran.status.success(), "{} ended with {ran:#?}", step.display());
        if let Some(index) = killed {
            cluster.start_member(index);
            cluster.wait_serving(index);
        }
        let leader = cluster.leader();
        cluster.kill(leader);
        killed = Some(leader);
    }
}
