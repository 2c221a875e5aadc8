//! Why a pattern or a schema is none.

use thiserror::Error;

use crate::pattern::MAX_PATTERN_BYTES;
use crate::regex::MAX_REGEX_KIB;
use crate::schema::{MAX_CHAIN, MAX_SCHEMA_BYTES, MAX_UNROLLED};

/// Why a text is no [`Pattern`](crate::Pattern).
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PatternError {
    /// It is empty.
    #[error("the pattern is empty; give a key, or a prefix followed by \"*\"")]
    Empty,
    /// It is too long.
    #[error("the pattern has {size_bytes} bytes; the limit is {MAX_PATTERN_BYTES}")]
    TooLong {
        /// Its length in bytes.
        size_bytes: usize,
    },
    /// A `*` stands before its end.
    #[error(
        "the pattern {pattern:?} has a \"*\" that is not its last character; give a key, or a prefix followed by \"*\""
    )]
    Star {
        /// The text.
        pattern: String,
    },
}

/// Why a text is no [`Schema`](crate::Schema). `at` is where: a JSON Pointer into the schema.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// It is too large.
    #[error(
        "the schema has {size_bytes} bytes; the limit is {MAX_SCHEMA_BYTES}: bind smaller schemas to narrower patterns"
    )]
    TooLarge {
        /// Its length in bytes.
        size_bytes: usize,
    },
    /// It is no JSON, or nested too deeply.
    #[error("the schema can't be read: {fault}")]
    NotJson {
        /// What is wrong, and in which line.
        fault: String,
    },
    /// It is written for another draft.
    #[error(
        "at {at:?}: the dialect is not known; write \"https://json-schema.org/draft/2020-12/schema\", or leave \"$schema\" out"
    )]
    Dialect {
        /// Where.
        at: String,
    },
    /// A keyword has a value it can't have.
    #[error("at {at:?}: this must be {expected}")]
    Keyword {
        /// Where.
        at: String,
        /// What the keyword takes.
        expected: &'static str,
    },
    /// A regular expression can't be used.
    #[error("at {at:?}: the regular expression can't be used: {fault}")]
    Regex {
        /// Where.
        at: String,
        /// Why.
        fault: String,
    },
    /// The regular expressions are too large when compiled.
    #[error(
        "at {at:?}: the regular expressions of the schema take more than {MAX_REGEX_KIB} KiB when compiled; write shorter \
         ones, and \"maxLength\" in place of large repetitions"
    )]
    RegexTooLarge {
        /// The one with which it is too much.
        at: String,
    },
    /// A reference leads out of the schema, or nowhere.
    #[error(
        "at {at:?}: the schema has nothing that is called {reference:?}, and nothing is fetched; put what is referred to \
         under \"$defs\""
    )]
    Reference {
        /// Where.
        at: String,
        /// The reference.
        reference: String,
    },
    /// Two parts of the schema have one name.
    #[error("at {at:?}: {name:?} names another part of the schema already; choose another name")]
    Name {
        /// Where.
        at: String,
        /// The name.
        name: String,
    },
    /// Judging a value would never end.
    #[error(
        "at {at:?}: this applies itself to the same value again, without end; put the reference under \"properties\" or \
         \"items\", where it applies to a part of the value"
    )]
    Endless {
        /// A subschema on the circle.
        at: String,
    },
    /// One value would be judged too often.
    #[error(
        "at {at:?}: this applies {count} subschemas to one value, counting each as often as it is referred to; the limit \
         is {MAX_UNROLLED}: refer to less"
    )]
    TooComplex {
        /// The subschema.
        at: String,
        /// How many.
        count: u64,
    },
    /// References or applicators follow one on another for too long.
    #[error(
        "at {at:?}: {length} subschemas apply one another to the same value in a row; the limit is {MAX_CHAIN}: refer \
         directly"
    )]
    LongChain {
        /// The subschema.
        at: String,
        /// How many.
        length: u64,
    },
}
