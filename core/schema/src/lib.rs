//! JSON Schema (2020-12) for configuration values.
//!
//! A [`Schema`] is compiled from its text once and then judges values; [`Schemas`] is what a store has bound to
//! [`Pattern`]s of keys. All of it is for servers that judge anybody's values by anybody's schemas, and so differs from a
//! validator for trusted input in three ways:
//!
//! * **It ends.** Judging takes [`Steps`], and when they are used up the value is refused for that reason. What would never
//!   end, or double with every level, is refused when it is compiled. Regular expressions are matched in linear time.
//! * **It keeps secrets.** No message quotes a value; a [`Violation`] says where, and what the schema wants there.
//! * **It fetches nothing.** A reference leads into the same schema, or is an error.
//!
//! `format`, `contentEncoding` and `contentMediaType` are annotations, as the specification has it by default: they
//! refuse nothing. Use `pattern`.
//!
//! The crate depends on nothing of ours, does no I/O and starts no thread.

mod compile;
mod error;
mod index;
mod json;
mod judge;
mod keywords;
mod message;
mod node;
mod number;
mod pattern;
mod regex;
mod schema;
mod schemas;
mod seen;
mod steps;
mod uri;
mod violation;

pub use error::{PatternError, SchemaError};
pub use pattern::{MAX_PATTERN_BYTES, Pattern};
pub use schema::{MAX_SCHEMA_BYTES, MAX_SCHEMA_DEPTH, MAX_UNROLLED, MAX_VALUE_DEPTH, Schema};
pub use schemas::{Refusal, Rule, Schemas};
pub use steps::Steps;
pub use violation::{MAX_VIOLATIONS, Violation, Violations};
