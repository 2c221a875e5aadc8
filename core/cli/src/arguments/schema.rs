//! What values may be.

use std::ffi::OsString;

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub enum SchemaCommand {
    /// Bind a JSON Schema (2020-12) to keys
    ///
    /// From then on every put of a value that violates it is refused, whoever sends it. It replaces the schema bound to the
    /// same pattern. If existing values violate it, they are named and nothing is bound.
    Bind {
        /// A key, or a prefix followed by *
        pattern: String,
        /// The file with the schema; - reads it from standard input
        #[arg(required_unless_present = "sealed", conflicts_with = "sealed")]
        file: Option<OsString>,
        /// No schema: only sealed values may be put
        #[arg(long)]
        sealed: bool,
        /// Only say what would be refused
        #[arg(long)]
        dry_run: bool,
    },
    /// Unbind the schema of a pattern
    Unbind {
        /// The pattern, as it was bound
        pattern: String,
    },
    /// Print the patterns and their schemas
    List,
    /// Say what a put would be refused for, without writing
    Check {
        /// The key
        key: String,
        /// The file with the value; - reads it from standard input
        file: OsString,
    },
}
