//! Closed loops of unary calls: each client sends its next call when the one before was answered.

use std::io;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::wire::{Arrival, Connection};

/// Keys that are written and read.
pub const KEYS: u64 = 10_000;
const VALUE: [u8; 256] = [b'v'; 256];
/// Connections to one member, at most.
const CONNECTIONS: usize = 6;

/// What is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Put,
    Linearizable,
    Serializable,
}

impl Operation {
    pub const ALL: [Operation; 3] = [Operation::Put, Operation::Linearizable, Operation::Serializable];

    pub fn name(self) -> &'static str {
        match self {
            Operation::Put => "put",
            Operation::Linearizable => "linearizable get",
            Operation::Serializable => "serializable get",
        }
    }

    fn path(self) -> &'static str {
        match self {
            Operation::Put => "/etcdserverpb.KV/Put",
            _ => "/etcdserverpb.KV/Range",
        }
    }

    /// The message, by field number: key 1, value 2; serializable 7.
    fn message(self, key: &str) -> Vec<u8> {
        let mut message = vec![0x0a, key.len() as u8];
        message.extend(key.as_bytes());
        match self {
            Operation::Put => {
                message.extend([0x12, 0x80, 0x02]);
                message.extend(VALUE);
            }
            Operation::Linearizable => {}
            Operation::Serializable => message.extend([0x38, 0x01]),
        }
        message
    }

    /// Bytes that the answer to a successful call has at least.
    fn answer(self) -> usize {
        match self {
            Operation::Put => 6,
            _ => VALUE.len(),
        }
    }
}

/// What a run of calls showed.
#[derive(Debug, Default)]
pub struct Calls {
    /// Of each successful call in the measured time, in microseconds.
    pub latencies: Vec<u32>,
    pub failed: u64,
}

/// Runs `clients` over `endpoints` until `duration` has passed, and returns what was answered in that time.
pub async fn run(
    operation: Operation,
    endpoints: &[String],
    clients: usize,
    duration: Duration,
) -> io::Result<Calls> {
    let members = endpoints.len().min(clients);
    let mut connections = JoinSet::new();
    for (index, endpoint) in endpoints[..members].iter().enumerate() {
        let here = clients / members + usize::from(index < clients % members);
        let count = here.min(CONNECTIONS);
        for number in 0..count {
            let loops = here / count + usize::from(number < here % count);
            let connection = Connection::open(endpoint, operation.path()).await?;
            let seed = (index * CONNECTIONS + number) as u64;
            connections.spawn(drive(
                connection,
                operation,
                loops,
                Sequence(seed * 7_919 + 1),
                duration,
            ));
        }
    }
    let mut all = Calls::default();
    while let Some(ended) = connections.join_next().await {
        let calls = ended.expect("a connection")?;
        all.latencies.extend(calls.latencies);
        all.failed += calls.failed;
    }
    all.latencies.sort_unstable();
    Ok(all)
}

/// Puts every key once.
pub async fn fill(endpoint: &str) -> io::Result<()> {
    let mut connection = Connection::open(endpoint, Operation::Put.path()).await?;
    let (mut sent, mut open, mut bytes) = (0, 0, 0);
    while sent < KEYS || open > 0 {
        while sent < KEYS && open < 64 {
            let message = Operation::Put.message(&key(sent));
            if !connection.has_room(message.len()) {
                break;
            }
            connection.call(&message, false);
            sent += 1;
            open += 1;
        }
        connection.flush().await?;
        connection
            .receive(|arrival| match arrival {
                Arrival::Data(_, data) => bytes += data.len(),
                Arrival::End(_) => open -= 1,
            })
            .await?;
    }
    if bytes < KEYS as usize * Operation::Put.answer() {
        return Err(io::Error::other("not every first write was taken"));
    }
    Ok(())
}

fn key(number: u64) -> String {
    format!("bench/{number:010}")
}

/// Keys in no order: a linear congruence.
struct Sequence(u64);

impl Sequence {
    fn next(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % KEYS
    }
}

struct Slot {
    stream: u32,
    begun: Instant,
    bytes: usize,
}

async fn drive(
    mut connection: Connection,
    operation: Operation,
    loops: usize,
    mut keys: Sequence,
    duration: Duration,
) -> io::Result<Calls> {
    let mut calls = Calls::default();
    let end = Instant::now() + duration;
    let mut slots: Vec<Slot> = Vec::with_capacity(loops);
    let mut ended: Vec<u32> = Vec::new();
    loop {
        while slots.len() < loops && Instant::now() < end {
            let message = operation.message(&key(keys.next()));
            if !connection.has_room(message.len()) {
                break;
            }
            slots.push(Slot {
                stream: connection.call(&message, false),
                begun: Instant::now(),
                bytes: 0,
            });
        }
        if slots.is_empty() {
            return Ok(calls);
        }
        connection.flush().await?;
        connection
            .receive(|arrival| match arrival {
                Arrival::Data(stream, bytes) => {
                    if let Some(slot) = slots.iter_mut().find(|slot| slot.stream == stream) {
                        slot.bytes += bytes.len();
                    }
                }
                Arrival::End(stream) => ended.push(stream),
            })
            .await?;
        let now = Instant::now();
        for stream in ended.drain(..) {
            let Some(index) = slots.iter().position(|slot| slot.stream == stream) else {
                continue;
            };
            let slot = slots.swap_remove(index);
            if slot.bytes < operation.answer() {
                calls.failed += 1;
            } else if now <= end {
                calls.latencies.push((now - slot.begun).as_micros() as u32);
            }
        }
    }
}
