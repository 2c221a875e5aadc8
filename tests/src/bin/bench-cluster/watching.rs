//! A thousand watchers of one key, and clients that write it.

use std::cell::Cell;
use std::collections::HashMap;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::task::LocalSet;

use crate::calls::{self, Operation};
use crate::wire::{Arrival, Connection};

pub const WATCHERS: usize = 1_000;
/// Connections they share, over all members.
const CONNECTIONS: usize = 12;
const WRITERS: usize = 16;

/// What the watchers got.
#[derive(Debug)]
pub struct Delivered {
    pub events: u64,
    pub elapsed: Duration,
}

/// Watches all keys of the load at all `endpoints`, writes for `duration`, and waits until each watcher has every event.
pub async fn run(endpoints: &[String], duration: Duration, begun: impl FnOnce()) -> io::Result<Delivered> {
    let created = Rc::new(Cell::new(0u64));
    let events = Rc::new(Cell::new(0u64));
    let local = LocalSet::new();
    for number in 0..CONNECTIONS {
        let endpoint = &endpoints[number % endpoints.len()];
        let here = WATCHERS / CONNECTIONS + usize::from(number < WATCHERS % CONNECTIONS);
        let connection = Connection::open(endpoint, "/etcdserverpb.Watch/Watch").await?;
        local.spawn_local(watch(connection, here, created.clone(), events.clone()));
    }
    local
        .run_until(async {
            reach(&created, WATCHERS as u64, "watches").await?;
            begun();
            let start = Instant::now();
            let written = calls::run(Operation::Put, endpoints, WRITERS, duration).await?;
            // Calls that were answered after the end wrote too: what must be seen is at least what was counted, and the
            // rest comes at once or not at all.
            let least = written.latencies.len() as u64 * WATCHERS as u64;
            reach(&events, least, "events").await?;
            Ok(Delivered {
                events: events.get(),
                elapsed: start.elapsed(),
            })
        })
        .await
}

async fn reach(counter: &Cell<u64>, goal: u64, what: &str) -> io::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(60);
    while counter.get() < goal {
        if Instant::now() > deadline {
            return Err(io::Error::other(format!(
                "{} of {goal} {what} within a minute",
                counter.get()
            )));
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(())
}

async fn watch(mut connection: Connection, watchers: usize, created: Rc<Cell<u64>>, events: Rc<Cell<u64>>) {
    // create_request (1) of the prefix "bench/": key (1), range_end (2).
    let mut create = vec![0x0a, 16, 0x0a, 6];
    create.extend(b"bench/");
    create.extend([0x12, 6]);
    create.extend(b"bench0");
    for _ in 0..watchers {
        connection.call(&create, true);
    }
    let mut partial: HashMap<u32, Vec<u8>> = HashMap::new();
    loop {
        let arrived = |arrival: Arrival<'_>| {
            if let Arrival::Data(stream, bytes) = arrival {
                let buffer = partial.entry(stream).or_default();
                buffer.extend(bytes);
                let mut at = 0;
                while let Some(length) = buffer.get(at + 1..at + 5) {
                    let length = u32::from_be_bytes(length.try_into().expect("four bytes")) as usize;
                    let Some(message) = buffer.get(at + 5..at + 5 + length) else {
                        break;
                    };
                    at += 5 + length;
                    let (is_created, count) = look_at(message);
                    created.set(created.get() + u64::from(is_created));
                    events.set(events.get() + count);
                }
                buffer.drain(..at);
            }
        };
        if connection.flush().await.is_err() || connection.receive(arrived).await.is_err() {
            return;
        }
    }
}

/// Whether a WatchResponse says `created` (field 3), and how many events (field 11) it has.
fn look_at(message: &[u8]) -> (bool, u64) {
    let (mut at, mut created, mut events) = (0, false, 0);
    let varint = |at: &mut usize| {
        let (mut value, mut shift) = (0u64, 0);
        while let Some(&byte) = message.get(*at) {
            *at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        value
    };
    while at < message.len() {
        let tag = varint(&mut at);
        let value = varint(&mut at);
        if tag & 7 == 2 {
            at += value as usize;
        }
        created |= tag == 3 << 3 && value == 1;
        events += u64::from(tag == (11 << 3 | 2));
    }
    (created, events)
}
