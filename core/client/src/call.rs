//! One call: one deadline, as many attempts as are safe, one clear failure.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tonic::{Response, Status as RpcStatus};

use crate::client::Client;
use crate::connection::{Connection, jittered};
use crate::error::{Error, ErrorKind, Result};
use crate::keyspace::printable;
use crate::refusal::{Effect, Failure, advice};

/// Largest answer taken from a server.
pub(crate) const MAX_ANSWER_BYTES: usize = 1 << 30;

/// A call, as its failures name it.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    pub name: &'a str,
    /// The key, prefix or name it is about; empty: none.
    pub about: &'a [u8],
    pub writes: bool,
}

impl Call<'_> {
    pub fn read<'a>(name: &'a str, about: &'a [u8]) -> Call<'a> {
        Call {
            name,
            about,
            writes: false,
        }
    }

    pub fn write<'a>(name: &'a str, about: &'a [u8]) -> Call<'a> {
        Call {
            name,
            about,
            writes: true,
        }
    }

    fn describe(&self) -> String {
        if self.about.is_empty() {
            self.name.to_owned()
        } else {
            format!("{} of {}", self.name, printable(self.about))
        }
    }

    /// The error for a failure that is not tried again.
    pub fn error(&self, connection: &Connection, failure: &Failure) -> Error {
        let unsure = self.writes && failure.effect == Effect::Unknown;
        let next = if unsure {
            "; it may have happened: read before you write again"
        } else {
            advice(failure.kind)
        };
        let message = format!(
            "{} failed at {}: {}{next}",
            self.describe(),
            connection.endpoint(),
            failure.text
        );
        let error = Error::new(failure.kind, message);
        if unsure {
            error.with_unknown_effect()
        } else {
            error
        }
    }

    fn timed_out(&self, at: &str, bound: Duration) -> Error {
        let next = if self.writes {
            "; it may have happened: read before you write again"
        } else {
            "; the server is overloaded, stuck, or has no leader"
        };
        let message = format!(
            "{} got no answer from {at} within {:.1} s{next}",
            self.describe(),
            bound.as_secs_f64()
        );
        let error = Error::new(ErrorKind::Timeout, message);
        if self.writes {
            error.with_unknown_effect()
        } else {
            error
        }
    }
}

/// A generated client on a connection.
macro_rules! on {
    ($client:ident, $connection:expr) => {{
        let origin = $connection.origin();
        $client::with_origin($connection, origin).max_decoding_message_size($crate::call::MAX_ANSWER_BYTES)
    }};
}
pub(crate) use on;

/// One attempt at a call with a request that may be sent again.
macro_rules! attempt {
    ($client:ident, $method:ident, $request:expr) => {{
        let request = $request;
        move |connection: $crate::connection::Connection| {
            let request = request.clone();
            async move { $crate::call::on!($client, connection).$method(request).await }
        }
    }};
}
pub(crate) use attempt;

impl Client {
    /// Makes a call: connects, attempts, and attempts again as long as it is safe and in time.
    pub(crate) async fn call<T, Attempt>(
        &self,
        call: Call<'_>,
        attempt: impl Fn(Connection) -> Attempt,
    ) -> Result<T>
    where
        Attempt: Future<Output = std::result::Result<Response<T>, RpcStatus>>,
    {
        let deadline = self.deadline();
        let mut backoff = Duration::from_millis(10);
        loop {
            let began = Instant::now();
            let connection = self.connections().shared(deadline).await?;
            let answer = timeout_at(self.attempt_deadline(call, deadline), attempt(connection.clone())).await;
            let error = match answer {
                Ok(Ok(answer)) => return Ok(answer.into_inner()),
                Ok(Err(status)) => {
                    let failure = Failure::of(&status);
                    let read_elsewhere = failure.read_may_succeed_elsewhere();
                    let mut error = call.error(&connection, &failure);
                    error.violations = self.below_prefix(failure.violations);
                    let again = match failure.effect {
                        Effect::Refused => false,
                        Effect::NotDone => true,
                        Effect::Unknown => !call.writes && read_elsewhere,
                    };
                    if failure.broken || again {
                        self.connections().abandon(&connection);
                    }
                    if !again {
                        return Err(error);
                    }
                    error
                }
                Err(_) => {
                    self.connections().abandon(&connection);
                    let bound = self.options().call_timeout;
                    let error = call.timed_out(&connection.endpoint().to_string(), bound);
                    if call.writes {
                        return Err(error);
                    }
                    error
                }
            };
            let next = Instant::now() + jittered(backoff);
            // A write that might be cut off half-way would end less surely than it has now.
            let takes = if call.writes {
                began.elapsed()
            } else {
                Duration::ZERO
            };
            if next + takes >= deadline {
                return Err(error);
            }
            tokio::time::sleep_until(next).await;
            backoff = (backoff * 2).min(Duration::from_millis(500));
        }
    }

    /// A read may be answered by another member, so one that hangs gets half of the time left.
    fn attempt_deadline(&self, call: Call<'_>, deadline: Instant) -> Instant {
        let now = Instant::now();
        if call.writes || self.connections().endpoints().len() < 2 {
            return deadline;
        }
        let share = (deadline.saturating_duration_since(now) / 2).max(Duration::from_millis(200));
        deadline.min(now + share)
    }
}
