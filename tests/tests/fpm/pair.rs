//! Two keys that one transaction always changes together: who writes them, and what requests see of them.

use cfgstore_client::Txn;
use cfgstore_client::blocking::Client;
use cfgstore_tests::{Fpm, HttpResponse, monotonic_ns, wait_until};
use serde_json::Value;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Between two writes of the load: 100 changes a second.
const WRITE_EVERY: Duration = Duration::from_millis(10);
const WRITES_PER_SECOND_AT_LEAST: f64 = 90.0;

/// One write: its number, and the clock when it was acknowledged.
#[derive(Debug, Clone, Copy)]
pub struct Write {
    pub number: i64,
    pub acknowledged_ns: i64,
}

/// What one request saw.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    /// The clock just before its first read.
    pub at_ns: i64,
    /// The number in both keys.
    pub number: i64,
    pub worker: i32,
}

impl Seen {
    /// Reads the answer of `pair.php`.
    ///
    /// # Panics
    /// When it failed, or saw one new and one old value.
    pub fn parse(response: &HttpResponse) -> Seen {
        assert_eq!(response.status, 200, "{}", response.body);
        let answer: Value = serde_json::from_str(&response.body).expect(&response.body);
        assert_eq!(
            answer["a"], answer["b"],
            "one request saw two revisions: {answer}"
        );
        let number = |field: &str| {
            answer[field]
                .as_i64()
                .unwrap_or_else(|| panic!("no number {field:?} in {answer}"))
        };
        Seen {
            at_ns: number("at"),
            number: number("a"),
            worker: number("pid") as i32,
        }
    }
}

pub fn write_pair(client: &Client, number: i64) -> Write {
    let value = number.to_string();
    let txn = Txn::new().put("pair/a", value.clone()).put("pair/b", value);
    client.txn(txn).expect("transaction");
    Write {
        number,
        acknowledged_ns: monotonic_ns(),
    }
}

/// Writes the first pair, and returns when it is on the page.
pub fn write_first_pair(client: &Client, fpm: &Fpm) -> Write {
    let write = write_pair(client, 0);
    wait_until("the pair to be on the page", || {
        fpm.get("/pair.php").status == 200
    });
    write
}

/// Writes the pair 100 times a second, from number 1 on, until it is told to stop.
///
/// # Panics
/// When it could not write that often: then there was not the load to be tested.
pub fn write_pairs_until(client: &Client, stop: &AtomicBool) -> Vec<Write> {
    let started = Instant::now();
    let mut written = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        written.push(write_pair(client, written.len() as i64 + 1));
        // What a delay took is made up for.
        std::thread::sleep((WRITE_EVERY * written.len() as u32).saturating_sub(started.elapsed()));
    }
    let per_second = written.len() as f64 / started.elapsed().as_secs_f64();
    assert!(
        per_second >= WRITES_PER_SECOND_AT_LEAST,
        "only {per_second:.1} writes a second"
    );
    written
}

/// Ends the load when it is dropped: a test that fails must not wait for threads that go on.
pub struct StopAtEnd<'a>(pub &'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
