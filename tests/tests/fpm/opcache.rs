//! opcache in the forms it takes, while the values change and opcache is emptied.

use crate::pair::StopAtEnd;
use cfgstore_client::PutOptions;
use cfgstore_client::blocking::Client;
use cfgstore_tests::{Fpm, FpmOptions, Host, HttpConnection, wait_until};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

const WORKERS: usize = 4;
const REQUESTS: usize = 600;
/// One request in so many empties opcache.
const RESETS_ONE_IN: usize = 20;
/// To be completed with a folder. opcache keeps no files of code that it compiles.
const FILE_CACHE: &str = "opcache.file_cache=";

#[test]
fn values_change_under_protected_memory_compiled_code_and_resets() {
    let answer = requests_while_values_change(&[
        "opcache.protect_memory=1",
        "opcache.jit=tracing",
        "opcache.jit_buffer_size=16M",
    ]);
    assert_eq!(
        (&answer["protects"], &answer["compiles"]),
        (&json!("1"), &json!(true)),
        "{answer}"
    );
}

#[test]
fn values_change_under_protected_memory_that_is_filled_from_files() {
    let answer = requests_while_values_change(&["opcache.protect_memory=1", FILE_CACHE]);
    assert_eq!(answer["protects"], "1", "{answer}");
}

#[test]
fn values_change_under_scripts_that_are_cached_in_files_only() {
    let answer = requests_while_values_change(&["opcache.file_cache_only=1", FILE_CACHE]);
    assert_eq!(answer["file_cache"], "1", "{answer}");
}

/// The last answer.
fn requests_while_values_change(settings: &[&str]) -> Value {
    let host = Host::new();
    let cache = host.path("opcache");
    std::fs::create_dir(&cache).expect("folder");
    std::fs::set_permissions(&cache, std::fs::Permissions::from_mode(0o777)).expect("chmod");
    let keeps_files = settings.contains(&FILE_CACHE);
    let mut settings: Vec<String> = settings
        .iter()
        .map(|&setting| {
            if setting == FILE_CACHE {
                format!("{setting}{}", cache.display())
            } else {
                setting.to_owned()
            }
        })
        .collect();
    settings.extend(["opcache.enable=1", "opcache.file_update_protection=0"].map(str::to_owned));
    let fpm = Fpm::start(
        &host,
        &FpmOptions {
            workers: WORKERS,
            settings,
            ..FpmOptions::default()
        },
    );
    assert_eq!(fpm.get("/put-get.php").status, 200);
    let client = host.client();
    put_document(&client, 0);
    wait_until("the document", || fpm.get("/values.php").status == 200);
    let (answered, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let _stop = StopAtEnd(&stop);
        let writer = scope.spawn(|| {
            let mut number = 0;
            while !stop.load(Ordering::Relaxed) {
                number += 1;
                put_document(&client, number);
                std::thread::sleep(Duration::from_millis(2));
            }
            number
        });
        let readers: Vec<_> = (0..WORKERS)
            .map(|_| {
                scope.spawn(|| {
                    let mut connection = HttpConnection::open(fpm.port()).expect("connect");
                    loop {
                        let turn = answered.fetch_add(1, Ordering::Relaxed);
                        if turn >= REQUESTS {
                            return;
                        }
                        let path = if turn % RESETS_ONE_IN == 0 {
                            "/values.php?reset"
                        } else {
                            "/values.php"
                        };
                        let response = connection.get(path).expect("request");
                        assert_eq!(response.status, 200, "{}", response.body);
                    }
                })
            })
            .collect();
        for reader in readers {
            reader.join().expect("no failed request");
        }
        stop.store(true, Ordering::Relaxed);
        let written = writer.join().expect("the load of writes");
        println!("{REQUESTS} requests, {written} changes");
        assert!(written > 20, "it changed {written} times only");
    });
    let files = std::fs::read_dir(&cache).expect("folder").count();
    assert_eq!(files > 0, keeps_files, "opcache keeps scripts in files");
    serde_json::from_str(&fpm.get("/values.php").body).expect("an answer")
}

fn put_document(client: &Client, n: i64) {
    let list: Vec<i64> = (n..n + 20).collect();
    let document = json!({"n": n, "list": list, "map": {"a": {"b": format!("deep {n}")}}});
    client
        .put("document", document.to_string(), &PutOptions::default())
        .expect("a write");
}
