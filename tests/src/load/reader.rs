//! Clients that read registers, linearizably.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::route::Route;
use super::shared::{READ_TIMEOUT, Register, Shared};

/// How long a read may take with all its retries.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) async fn run(shared: Arc<Shared>, number: usize, stopped: watch::Receiver<bool>) {
    let mut route = Route::new(shared.clone(), number, READ_TIMEOUT);
    let mut next = number;
    while !*stopped.borrow() {
        next = (next + 1) % shared.registers.len();
        read(&shared, &mut route, next, &stopped).await;
        shared.pause().await;
    }
}

async fn read(shared: &Arc<Shared>, route: &mut Route, number: usize, stopped: &watch::Receiver<bool>) {
    let register = &shared.registers[number];
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (endpoint, calls) = route.member();
        let floor = register.floor.load(Ordering::SeqCst);
        match calls.get(Register::key(number), false).await {
            Ok(read) => {
                let value = read.kvs.first().and_then(|kv| Register::parse(&kv.value));
                match value {
                    None => shared.fault(format!("register {number} was absent at {endpoint}")),
                    Some(value) => {
                        if let Some(fault) = register.fault(value, floor) {
                            shared.fault(format!("register {number} at {endpoint}: {fault}"));
                        }
                        register.floor.fetch_max(value, Ordering::SeqCst);
                    }
                }
                shared.reads.fetch_add(1, Ordering::Relaxed);
                return;
            }
            Err(error) => {
                route.failed("read", &endpoint, &error);
                if Instant::now() >= deadline {
                    shared.failed_reads.fetch_add(1, Ordering::Relaxed);
                    return;
                }
                if *stopped.borrow() {
                    return;
                }
                shared.pause().await;
            }
        }
    }
}
