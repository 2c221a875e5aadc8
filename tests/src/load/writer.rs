//! Clients that write, in turn a unique key and their register.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::watch;
use tonic::Status;

use super::route::{Route, certainly_refused};
use super::shared::{END, Fate, PREFIX, Register, Shared, WRITE_TIMEOUT};

/// The first value of all registers, and the revision before it.
pub(super) async fn prepare(shared: &Arc<Shared>) {
    let mut route = Route::new(shared.clone(), 0, WRITE_TIMEOUT);
    let (_, calls) = route.member();
    let read = calls
        .get(Bytes::from(PREFIX), false)
        .await
        .expect("the first read of the load");
    shared.start_revision.store(read.revision, Ordering::Relaxed);
    for number in 0..shared.registers.len() {
        let put = calls.put(Register::key(number), Register::value(0)).await;
        put.expect("the first writes of the load");
    }
}

pub(super) async fn run(shared: Arc<Shared>, number: usize, stopped: watch::Receiver<bool>) {
    let mut route = Route::new(shared.clone(), number, WRITE_TIMEOUT);
    let register = &shared.registers[number];
    let mut count = 0u64;
    while !*stopped.borrow() {
        count += 1;
        let key = Bytes::from(format!("{PREFIX}u/{number}/{count:08}"));
        let (endpoint, calls) = route.member();
        let answer = calls.put(key.clone(), Register::value(count)).await;
        let fate = match answer {
            Ok(revision) => Fate::Acknowledged(revision),
            Err(error) => failed(&mut route, &endpoint, &error),
        };
        acknowledge(&shared, fate);
        shared.uniques.lock().expect("no panic").insert(key, fate);

        let (endpoint, calls) = route.member();
        register.issued.store(count, Ordering::SeqCst);
        let answer = calls
            .put_if_greater(Register::key(number), Register::value(count))
            .await;
        let fate = match answer {
            Ok(true) => {
                register.floor.fetch_max(count, Ordering::SeqCst);
                Fate::Acknowledged(0)
            }
            Ok(false) => {
                shared.fault(format!(
                    "register {number} held {count} or more before {count} was written"
                ));
                Fate::Refused
            }
            Err(error) => failed(&mut route, &endpoint, &error),
        };
        if fate == Fate::Refused {
            register.refused.lock().expect("no panic").insert(count);
        }
        acknowledge(&shared, fate);
        shared.pause().await;
    }
}

fn failed(route: &mut Route, endpoint: &str, error: &Status) -> Fate {
    route.failed("write", endpoint, error);
    if certainly_refused(error) {
        Fate::Refused
    } else {
        Fate::Unknown
    }
}

fn acknowledge(shared: &Shared, fate: Fate) {
    if matches!(fate, Fate::Acknowledged(_)) {
        shared.acknowledged.fetch_add(1, Ordering::Relaxed);
    }
}

/// Writes what watchers wait for, through whichever member takes it.
pub(super) async fn mark_end(shared: &Arc<Shared>) {
    let mut route = Route::new(shared.clone(), 0, WRITE_TIMEOUT);
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let (endpoint, calls) = route.member();
        let Err(error) = calls.put(Bytes::from(END), Bytes::new()).await else {
            return;
        };
        assert!(
            Instant::now() < deadline,
            "no member took the last write: {error}"
        );
        route.failed("last write", &endpoint, &error);
        shared.pause().await;
    }
}
