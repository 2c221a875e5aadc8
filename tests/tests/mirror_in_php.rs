//! PHP reads a mirror whose generations are replaced as fast as they can be published.

use cfgstore_mirror::{Change, Entry, Origin, Publisher, PublisherOptions};
use cfgstore_tests::{Host, Process};
use std::time::Instant;

/// Each reader is to see so many different generations.
const VALUES: usize = 1000;
const PADDING_KEYS: i64 = 100;

fn entry<'a>(key: &'a str, value: &'a str, revision: i64) -> Entry<'a> {
    Entry {
        key: key.as_bytes(),
        value: value.as_bytes(),
        create_revision: 1,
        mod_revision: revision,
        version: revision,
    }
}

/// Two keys and a document that always change together.
fn values(n: i64) -> [(&'static str, String); 3] {
    let list: Vec<String> = (n..n + 50).map(|x| x.to_string()).collect();
    let document = format!(r#"{{"n":{n},"list":[{}],"text":"number {n}"}}"#, list.join(","));
    [("a", n.to_string()), ("b", n.to_string()), ("document", document)]
}

#[test]
fn readers_of_both_kinds_see_whole_generations() {
    let host = Host::new();
    let folder = host.path("mirror");
    let mut publisher = Publisher::open(PublisherOptions::folder(&folder)).expect("publisher");
    let padding: Vec<String> = (0..PADDING_KEYS).map(|n| format!("padding/{n}")).collect();
    let first = values(1);
    let entries = padding
        .iter()
        .map(|key| entry(key, "\"some text\"", 1))
        .chain(first.iter().map(|(key, value)| entry(key, value, 1)));
    let origin = Origin {
        source_id: 1,
        revision: 1,
        restored: false,
    };
    publisher.publish_full(origin, entries).expect("publish");
    let readers: Vec<Process> = ["immutable", "refcounted"]
        .into_iter()
        .flat_map(|mode| [(mode, "request"), (mode, "latest")])
        .map(|(mode, consistency)| {
            let mut php = host.php();
            for setting in [
                format!("cfgstore.mirror_dir={}", folder.display()),
                format!("cfgstore.value_mode={mode}"),
                format!("cfgstore.consistency={consistency}"),
                "cfgstore.autostart=0".to_owned(),
            ] {
                php.args(["-d", &setting]);
            }
            php.arg("-f")
                .arg(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("php/generations.php"));
            Process::spawn(php.arg(VALUES.to_string()))
        })
        .collect();
    let began = Instant::now();
    let mut n = 1;
    while readers.iter().any(|reader| !reader.has_ended()) {
        n += 1;
        let values = values(n);
        let changes = values
            .iter()
            .map(|(key, value)| Change::Put(entry(key, value, n)));
        publisher.publish_changes(n, changes).expect("publish");
        assert!(n < 10_000_000, "the readers come to no end");
    }
    println!(
        "{:.0} generations a second, {n} in all",
        n as f64 / began.elapsed().as_secs_f64()
    );
    for reader in readers {
        assert_eq!(reader.line().as_deref(), Some("consistent"));
        assert!(reader.wait().success());
    }
}
