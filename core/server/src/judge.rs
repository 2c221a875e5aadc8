//! Judges what clients write by the schemas of the state, before it is proposed.
//!
//! The store only checks that a judgement holds (`cfgstore_store::Judged`): that it was made by the schemas that are bound
//! when the command is applied. So no value gets past a schema, though each member judges for itself and only once.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use cfgstore_client::RESERVED_PREFIX;
use cfgstore_proto::cfgstore::v1 as pb;
use cfgstore_schema::{Refusal, Rule, Schemas, Steps};
use cfgstore_store::{Command, Judged, Put, PutViolation, State, Txn, TxnOp};
use prost::Message;
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

use crate::errors;

/// Metadata that goes with a refusal: an encoded `Violations`.
const VIOLATIONS: &str = "cfgstore-violations-bin";
/// The most of it, before it is encoded as text: some clients take no more than eight kilobytes of metadata.
const MAX_REPORT_BYTES: usize = 4_096;
/// The violations that a refusal's text tells.
const TOLD: usize = 3;
/// Steps for which judging is not worth another thread: about a millisecond.
const STEPS_INLINE: u64 = 50_000;
/// Bytes of values that are read on this thread.
const BYTES_INLINE: usize = 64 * 1024;

/// The schemas of the state, compiled.
#[derive(Default)]
pub(crate) struct Judge {
    /// Of the state that was last judged by.
    compiled: Mutex<Arc<Compiled>>,
}

#[derive(Default)]
struct Compiled {
    schema_revision: i64,
    schemas: Schemas,
}

impl Judge {
    /// `command` with the judgement of its values by the schemas of `state`, or as it is where there never were schemas.
    pub async fn judged(&self, state: &State, command: Command) -> Result<Command, Status> {
        let schema_revision = state.schema_revision();
        if schema_revision == 0 || !command.has_puts() {
            return Ok(command);
        }
        let compiled = self.compiled(state);
        let puts = Puts::of(&command).under(&compiled.schemas);
        let violations = match judge_here(&compiled.schemas, &puts) {
            Some(violations) => violations,
            None => tokio::task::spawn_blocking(move || {
                judge(&compiled.schemas, &puts, &mut Steps::new(Steps::PER_WRITE))
            })
            .await
            .map_err(|_| errors::stopped())?,
        };
        Ok(Command::Judged(Judged {
            schema_revision,
            violations,
            command: Box::new(command),
        }))
    }

    /// Refuses what `command` would be refused for if each of its puts ran, without proposing it.
    pub async fn allow(&self, state: &State, command: Command) -> Result<(), Status> {
        let Command::Judged(judged) = self.judged(state, command).await? else {
            return Ok(());
        };
        match judged.violations.into_iter().next() {
            Some(violation) => Err(refusal_of(violation.report)),
            None => Ok(()),
        }
    }

    /// What a put of the value would be refused for.
    pub async fn check(&self, state: &State, key: Bytes, value: Bytes) -> Result<pb::Violations, Status> {
        let compiled = self.compiled(state);
        let judge = move || {
            let refusals = compiled
                .schemas
                .judge(&key, &value, &mut Steps::new(Steps::PER_WRITE));
            violations(&key, refusals)
        };
        tokio::task::spawn_blocking(judge)
            .await
            .map_err(|_| errors::stopped())
    }

    /// The schemas of `state`. Those that are new are compiled when they are needed.
    fn compiled(&self, state: &State) -> Arc<Compiled> {
        let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        let schema_revision = state.schema_revision();
        if compiled.schema_revision != schema_revision {
            let rules = state.schemas().map(|(pattern, rule)| Rule {
                pattern,
                schema: &rule.schema,
                sealed: rule.sealed,
            });
            *compiled = Arc::new(Compiled {
                schema_revision,
                schemas: Schemas::new(rules, &compiled.schemas),
            });
        }
        compiled.clone()
    }
}

/// The puts of a command that have a value of their own, by number (see `PutViolation`). Keys of cfgstore itself are left out.
struct Puts(Vec<(u32, Bytes, Bytes)>);

impl Puts {
    fn of(command: &Command) -> Puts {
        let mut puts = Puts(Vec::new());
        let mut next = 0;
        match command {
            Command::Put(put) => puts.add(put, &mut next),
            Command::Txn(txn) => puts.add_all(txn, &mut next),
            _ => {}
        }
        puts
    }

    fn add_all(&mut self, txn: &Txn, next: &mut u32) {
        for op in txn.success.iter().chain(&txn.failure) {
            match op {
                TxnOp::Put(put) => self.add(put, next),
                TxnOp::Txn(txn) => self.add_all(txn, next),
                TxnOp::Range(_) | TxnOp::DeleteRange(_) => {}
            }
        }
    }

    fn add(&mut self, put: &Put, next: &mut u32) {
        // The value that a key has already was judged when it was put, or when the schema was bound.
        if !put.ignore_value && !put.key.starts_with(RESERVED_PREFIX) {
            self.0.push((*next, put.key.clone(), put.value.clone()));
        }
        *next += 1;
    }

    fn under(mut self, schemas: &Schemas) -> Puts {
        self.0.retain(|(_, key, _)| schemas.apply_to(key));
        self
    }
}

/// Judges on this thread, unless that would keep other calls waiting.
fn judge_here(schemas: &Schemas, puts: &Puts) -> Option<Vec<PutViolation>> {
    let bytes: usize = puts.0.iter().map(|(_, _, value)| value.len()).sum();
    if bytes > BYTES_INLINE || puts.0.iter().any(|(_, key, _)| !schemas.are_compiled_for(key)) {
        return None;
    }
    let mut steps = Steps::new(STEPS_INLINE);
    let violations = judge(schemas, puts, &mut steps);
    (steps.left() > 0).then_some(violations)
}

fn judge(schemas: &Schemas, puts: &Puts, steps: &mut Steps) -> Vec<PutViolation> {
    let judged = puts.0.iter().filter_map(|(put, key, value)| {
        let refusals = schemas.judge(key, value, steps);
        (!refusals.is_empty()).then(|| PutViolation {
            put: *put,
            report: report(violations(key, refusals)),
        })
    });
    judged.collect()
}

/// As the wire has them.
pub(crate) fn violations(key: &[u8], refusals: Vec<Refusal>) -> pb::Violations {
    let mut all = pb::Violations::default();
    for Refusal { pattern, violations } in refusals {
        all.count += violations.count;
        let room = cfgstore_schema::MAX_VIOLATIONS - all.violations.len();
        let listed = violations.list.into_iter().take(room);
        all.violations.extend(listed.map(|violation| pb::Violation {
            key: Bytes::copy_from_slice(key),
            path: violation.path,
            message: violation.message,
            pattern: pattern.clone(),
            schema_path: violation.schema_path,
        }));
    }
    all
}

/// As much of `violations` as fits, encoded.
fn report(mut violations: pb::Violations) -> Bytes {
    let mut size = 16;
    let fit = violations.violations.iter().take_while(|violation| {
        size += violation.encoded_len() + 4;
        size <= MAX_REPORT_BYTES
    });
    let fit = fit.count();
    violations.violations.truncate(fit);
    violations.encode_to_vec().into()
}

/// The refusal of what violates a schema.
pub(crate) fn refusal(violations: pb::Violations) -> Status {
    refusal_of(report(violations))
}

/// The refusal of a put that was judged so.
pub(crate) fn refusal_of(report: Bytes) -> Status {
    let violations = pb::Violations::decode(report.clone()).unwrap_or_default();
    let mut status = Status::new(Code::FailedPrecondition, text(&violations));
    let details = MetadataValue::from_bytes(&report);
    status.metadata_mut().insert_bin(VIOLATIONS, details);
    status
}

/// The first violations in words: `cfgstore: /shop/db: /password is required (schema of /shop/*)`.
fn text(violations: &pb::Violations) -> String {
    let told: Vec<String> = violations
        .violations
        .iter()
        .take(TOLD)
        .map(|violation| {
            let key = cut(violation.key.escape_ascii().to_string());
            let subject = match violation.path.as_str() {
                "" => Cow::Borrowed("the value"),
                path => Cow::Owned(cut(path.to_owned())),
            };
            format!(
                "{key}: {subject} {} (schema of {})",
                violation.message,
                cut(violation.pattern.clone())
            )
        })
        .collect();
    let more = violations.count.saturating_sub(told.len() as u64);
    match (told.is_empty(), more) {
        (true, _) => "cfgstore: the value violates its schema".to_owned(),
        (false, 0) => format!("cfgstore: {}", told.join("; ")),
        (false, more) => format!("cfgstore: {}; and {more} more", told.join("; ")),
    }
}

/// What is long is cut: the text goes into a header.
fn cut(text: String) -> String {
    const LIMIT: usize = 200;
    if text.len() <= LIMIT {
        return text;
    }
    let end = (0..=LIMIT)
        .rev()
        .find(|end| text.is_char_boundary(*end))
        .unwrap_or(0);
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(key: &str, value: &str) -> Put {
        Put {
            key: key.to_owned().into(),
            value: value.to_owned().into(),
            ..Put::default()
        }
    }

    #[test]
    fn puts_are_numbered_as_they_are_written() {
        let kept = Put {
            ignore_value: true,
            ..put("kept", "")
        };
        let inner = Txn {
            success: vec![TxnOp::Put(put("b", "1"))],
            failure: vec![TxnOp::Put(kept)],
            ..Txn::default()
        };
        let txn = Txn {
            success: vec![
                TxnOp::Put(put("a", "1")),
                TxnOp::Txn(inner),
                TxnOp::Put(put("c", "1")),
            ],
            failure: vec![TxnOp::Put(put("d", "1"))],
            ..Txn::default()
        };
        let puts = Puts::of(&Command::Txn(txn));
        let numbered: Vec<(u32, &[u8])> = puts.0.iter().map(|(put, key, _)| (*put, &key[..])).collect();
        assert_eq!(numbered, [(0, &b"a"[..]), (1, b"b"), (3, b"c"), (4, b"d")]);
    }

    #[test]
    fn a_refusal_fits_in_headers_and_tells_how_much_there_is() {
        let violation = pb::Violation {
            key: "k".repeat(60_000).into(),
            path: format!("/{}", "é".repeat(600)),
            message: "is required".to_owned(),
            pattern: "*".to_owned(),
            schema_path: "/required".to_owned(),
        };
        let small = pb::Violation {
            key: "k".into(),
            path: "/a".to_owned(),
            ..violation.clone()
        };
        let refuse = |first: &pb::Violation| {
            let mut list = vec![first.clone(); 1];
            list.extend(vec![small.clone(); 99]);
            refusal(pb::Violations {
                violations: list,
                count: 7_000,
            })
        };
        let details = |status: &Status| {
            let details = status.metadata().get_bin(VIOLATIONS).unwrap().to_bytes().unwrap();
            assert!(details.len() <= MAX_REPORT_BYTES);
            pb::Violations::decode(details).unwrap()
        };
        let status = refuse(&small);
        assert_eq!(status.code(), Code::FailedPrecondition);
        assert!(
            status
                .message()
                .starts_with("cfgstore: k: /a is required (schema of *); ")
        );
        assert!(status.message().ends_with("and 6997 more"));
        assert!(details(&status).violations.len() > 50);
        assert_eq!(details(&status).count, 7_000);

        // Without room for even the first.
        let status = refuse(&violation);
        assert_eq!(status.message(), "cfgstore: the value violates its schema");
        assert_eq!(details(&status).count, 7_000);
    }
}
