//! `/health`, `/livez` and `/readyz`, in etcd's words.

use std::collections::HashSet;

use cfgstore_store::AlarmKind;
use tonic::body::Body;
use tonic::codegen::http::{Response, StatusCode};

use super::response::{text, with_type};
use crate::context::Context;

/// What etcd calls the alarm of members that differ.
const CORRUPT: &str = "CORRUPT";

/// One thing that `/livez` or `/readyz` looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    DataCorruption,
    SerializableRead,
    LinearizableRead,
    NonLearner,
}

const LIVEZ: &[Check] = &[Check::SerializableRead];
const READYZ: &[Check] = &[
    Check::DataCorruption,
    Check::SerializableRead,
    Check::LinearizableRead,
    Check::NonLearner,
];

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Probe {
    /// `/health`.
    Health,
    /// `/livez` or `/readyz`, and which of its checks.
    Checks(Kind, &'static [Check]),
}

/// The two lists of checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Livez,
    Readyz,
}

impl Check {
    /// Every check, in the order of their discriminants.
    pub const ALL: [Check; 4] = [
        Check::DataCorruption,
        Check::SerializableRead,
        Check::LinearizableRead,
        Check::NonLearner,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Check::DataCorruption => "data_corruption",
            Check::SerializableRead => "serializable_read",
            Check::LinearizableRead => "linearizable_read",
            Check::NonLearner => "non_learner",
        }
    }

    async fn run(self, ctx: &Context) -> Result<(), String> {
        match self {
            Check::DataCorruption if alarms(ctx).contains(&CORRUPT) => {
                Err(format!("alarm activated: {CORRUPT}"))
            }
            Check::LinearizableRead => match ctx.linearizable().await {
                Ok(()) => Ok(()),
                Err(status) => Err(status.message().to_owned()),
            },
            Check::NonLearner if ctx.member.status().is_learner => {
                Err("not supported for learner".to_owned())
            }
            // A member that answers at all has a state to read.
            Check::SerializableRead | Check::DataCorruption | Check::NonLearner => Ok(()),
        }
    }
}

impl Kind {
    /// Every kind, in the order of their discriminants.
    pub const ALL: [Kind; 2] = [Kind::Livez, Kind::Readyz];

    pub fn name(self) -> &'static str {
        match self {
            Kind::Livez => "livez",
            Kind::Readyz => "readyz",
        }
    }

    pub fn checks(self) -> &'static [Check] {
        match self {
            Kind::Livez => LIVEZ,
            Kind::Readyz => READYZ,
        }
    }
}

impl Probe {
    /// What is asked at `path`; `None` if there is nothing.
    pub fn of(path: &str) -> Option<Probe> {
        if path == "/health" {
            return Some(Probe::Health);
        }
        let (name, check) = match path.strip_prefix('/')?.split_once('/') {
            Some((name, check)) => (name, Some(check)),
            None => (path.strip_prefix('/')?, None),
        };
        let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name)?;
        let checks = kind.checks();
        match check {
            None => Some(Probe::Checks(kind, checks)),
            Some(name) => checks
                .chunks(1)
                .find(|check| check[0].name() == name)
                .map(|check| Probe::Checks(kind, check)),
        }
    }

    /// Looks, and answers as `query` wishes.
    pub async fn answer(self, ctx: &Context, query: &str) -> Response<Body> {
        let excluded: HashSet<&str> = values(query, "exclude").filter(|name| !name.is_empty()).collect();
        match self {
            Probe::Health => {
                let serializable = values(query, "serializable").next() == Some("true");
                health(ctx, &excluded, serializable).await
            }
            Probe::Checks(kind, checks) => {
                let verbose = values(query, "verbose").next().is_some();
                run_checks(ctx, kind, checks, &excluded, verbose).await
            }
        }
    }
}

async fn health(ctx: &Context, excluded: &HashSet<&str>, serializable: bool) -> Response<Body> {
    let fault = match alarms(ctx).into_iter().find(|alarm| !excluded.contains(alarm)) {
        Some(alarm) => Some(format!("ALARM {alarm}")),
        None if serializable => None,
        None if !ctx.member.has_leader() => Some("RAFT NO LEADER".to_owned()),
        None => match ctx.linearizable().await {
            Ok(()) => None,
            Err(status) => Some(format!("RANGE ERROR:{}", status.message())),
        },
    };
    ctx.metrics.health.count(fault.is_none());
    match fault {
        None => {
            let body = r#"{"health":"true","reason":""}"#;
            with_type(StatusCode::OK, "text/plain; charset=utf-8", body)
        }
        Some(reason) => {
            tracing::warn!(%reason, "/health answers false");
            let body = serde_json::json!({"health": "false", "reason": reason});
            text(StatusCode::SERVICE_UNAVAILABLE, format!("{body}\n"))
        }
    }
}

async fn run_checks(
    ctx: &Context,
    kind: Kind,
    checks: &[Check],
    excluded: &HashSet<&str>,
    verbose: bool,
) -> Response<Body> {
    let mut lines = String::new();
    let mut failed = false;
    for check in checks.iter().filter(|check| !excluded.contains(check.name())) {
        let result = check.run(ctx).await;
        ctx.metrics.health.count_check(kind, *check, result.is_ok());
        match result {
            Ok(()) => lines.push_str(&format!("[+]{} ok\n", check.name())),
            Err(reason) => {
                failed = true;
                lines.push_str(&format!("[-]{} failed: {reason}\n", check.name()));
            }
        }
    }
    if failed {
        tracing::warn!(kind = kind.name(), checks = lines, "a health check failed");
        return text(StatusCode::SERVICE_UNAVAILABLE, lines + "\n");
    }
    if !verbose {
        lines.clear();
    }
    text(StatusCode::OK, lines + "ok\n")
}

/// The names of the alarms that are raised, and that of the disk, which is this member's own.
fn alarms(ctx: &Context) -> Vec<&'static str> {
    let raised = ctx.member.state();
    let mut alarms: Vec<_> = raised.alarms().iter().map(|alarm| name(alarm.kind)).collect();
    if ctx.member.status().no_space {
        alarms.push(name(AlarmKind::NoSpace));
    }
    alarms
}

fn name(kind: AlarmKind) -> &'static str {
    match kind {
        AlarmKind::NoSpace => "NOSPACE",
        AlarmKind::Corrupt => CORRUPT,
    }
}

/// Every value of `name` in a query. Names of alarms and checks need no escapes.
fn values<'a>(query: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    query.split('&').filter_map(move |pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (key == name).then_some(value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_all_checks_or_one() {
        assert_eq!(Probe::of("/health"), Some(Probe::Health));
        assert_eq!(Probe::of("/livez"), Some(Probe::Checks(Kind::Livez, LIVEZ)));
        assert_eq!(
            Probe::of("/readyz/linearizable_read"),
            Some(Probe::Checks(Kind::Readyz, &[Check::LinearizableRead]))
        );
        for path in [
            "/livez/linearizable_read",
            "/readyz/",
            "/readyz/x",
            "/healthz",
            "livez",
            "/",
        ] {
            assert_eq!(Probe::of(path), None, "{path}");
        }
    }

    #[test]
    fn a_query_may_say_a_thing_several_times() {
        let found: Vec<_> = values("exclude=a&verbose&exclude=b", "exclude").collect();
        assert_eq!(found, ["a", "b"]);
        assert_eq!(values("verbose", "verbose").next(), Some(""));
        assert_eq!(values("", "verbose").next(), None);
    }
}
