//! One schema.

use serde_json::Value;

use crate::compile::{Compiled, compile};
use crate::error::SchemaError;
use crate::json;
use crate::judge;
use crate::steps::Steps;
use crate::violation::Violations;

/// The longest text of a schema, in bytes.
pub const MAX_SCHEMA_BYTES: usize = 64 * 1024;
/// How deep a schema may be nested, in arrays and objects.
pub const MAX_SCHEMA_DEPTH: usize = 64;
/// How deep a value under a schema may be nested, in arrays and objects; serde_json's limit.
pub const MAX_VALUE_DEPTH: usize = 127;
/// How many subschemas may be applied to one value, counting each as often as it is referred to, and not counting those
/// that are applied to its parts.
pub const MAX_UNROLLED: u64 = 10_000;
/// How many of these may apply one another in a row.
pub(crate) const MAX_CHAIN: u64 = 64;

/// A JSON Schema, compiled.
pub struct Schema {
    compiled: Compiled,
}

impl Schema {
    /// Compiles a schema from its text.
    ///
    /// Takes some milliseconds at most for each of its kilobytes.
    ///
    /// # Errors
    ///
    /// It is no schema, it is beyond a limit, or judging by it might never end; the error says where and what to do.
    pub fn compile(text: &[u8]) -> Result<Schema, SchemaError> {
        if text.len() > MAX_SCHEMA_BYTES {
            return Err(SchemaError::TooLarge {
                size_bytes: text.len(),
            });
        }
        let root = json::parse(text).map_err(|fault| SchemaError::NotJson { fault })?;
        if json::depth(&root) > MAX_SCHEMA_DEPTH {
            return Err(SchemaError::NotJson {
                fault: format!("it is nested deeper than {MAX_SCHEMA_DEPTH} levels"),
            });
        }
        Ok(Schema {
            compiled: compile(&root)?,
        })
    }

    /// What of the schema `value` violates, for which it takes `steps`. If these don't suffice, that is the only violation.
    pub fn judge(&self, value: &Value, steps: &mut Steps) -> Violations {
        judge::judge(&self.compiled, value, steps)
    }

    /// As [`judge`](Schema::judge), of a value as it is stored. What is no JSON, has two members of one name, or is nested
    /// deeper than [`MAX_VALUE_DEPTH`], violates every schema.
    pub fn judge_bytes(&self, value: &[u8], steps: &mut Steps) -> Violations {
        match json::parse(value) {
            Ok(value) => self.judge(&value, steps),
            Err(fault) => Violations::of_whole(format!("can't be read as JSON: {fault}")),
        }
    }
}

impl std::fmt::Debug for Schema {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Schema({} subschemas)", self.compiled.nodes.len())
    }
}
