//! Schemas: what values may be.

use bytes::Bytes;
use cfgstore_proto::cfgstore::v1 as pb;
use cfgstore_proto::cfgstore::v1::schemas_client::SchemasClient;
use prost::Message;
use tonic::Status;

use crate::call::{Call, attempt};
use crate::client::Client;
use crate::error::{Error, Result};

/// One thing that is wrong with a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The key, below the client's prefix.
    pub key: Bytes,
    /// Where in the value: a JSON Pointer (RFC 6901); empty: the value as a whole. Of a member that is missing, where it
    /// should be.
    pub path: String,
    /// What it violates there, in a sentence without its subject. Never quotes the value.
    pub message: String,
    /// The pattern whose schema it violates, with the client's prefix.
    pub pattern: String,
    /// Where in the schema: a JSON Pointer to the keyword.
    pub schema_path: String,
}

/// What is wrong with values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Violations {
    /// The first ones, at most a hundred; with a refusal, as many as fit in four kilobytes.
    pub list: Vec<Violation>,
    /// How many there are.
    pub count: u64,
}

/// A schema that is bound to keys, or is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoundSchema {
    /// A key, or a prefix followed by `*`, below the client's prefix.
    pub pattern: String,
    /// The JSON Schema (2020-12). Empty if `sealed`.
    pub schema: Bytes,
    /// Only sealed values may be put.
    pub sealed: bool,
}

impl Violations {
    fn of_wire(violations: pb::Violations) -> Violations {
        let one = |violation: pb::Violation| Violation {
            key: violation.key,
            path: violation.path,
            message: violation.message,
            pattern: violation.pattern,
            schema_path: violation.schema_path,
        };
        Violations {
            list: violations.violations.into_iter().map(one).collect(),
            count: violations.count,
        }
    }

    /// Those that a server's refusal carries; `None`: it refuses for another reason.
    pub(crate) fn of_status(status: &Status) -> Option<Violations> {
        let details = status
            .metadata()
            .get_bin("cfgstore-violations-bin")?
            .to_bytes()
            .ok()?;
        pb::Violations::decode(details).ok().map(Violations::of_wire)
    }
}

impl Client {
    /// Binds a schema in place of the one bound to the pattern before. Fails with
    /// [`ErrorKind::SchemaViolation`](crate::ErrorKind::SchemaViolation) if existing values violate it, with
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) if it is no schema or could take too long. With
    /// `dry_run`, binds nothing and fails for the same reasons.
    pub async fn bind_schema(&self, schema: &BoundSchema, dry_run: bool) -> Result<()> {
        let request = pb::BindSchemaRequest {
            schema: Some(pb::Schema {
                pattern: self.whole_pattern(&schema.pattern)?,
                schema: schema.schema.clone(),
                sealed: schema.sealed,
            }),
            dry_run,
        };
        let call = Call {
            writes: !dry_run,
            ..Call::write("bind schema", schema.pattern.as_bytes())
        };
        self.call(call, attempt!(SchemasClient, bind, request)).await?;
        Ok(())
    }

    /// Unbinds the schema of a pattern. Fails with [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) if there is none.
    pub async fn unbind_schema(&self, pattern: &str) -> Result<()> {
        let request = pb::UnbindSchemaRequest {
            pattern: self.whole_pattern(pattern)?,
        };
        let call = Call::write("unbind schema", pattern.as_bytes());
        self.call(call, attempt!(SchemasClient, unbind, request)).await?;
        Ok(())
    }

    /// The schemas whose patterns are below the client's prefix, in order of the patterns.
    pub async fn schemas(&self) -> Result<Vec<BoundSchema>> {
        let request = pb::ListSchemasRequest {};
        let call = Call::read("list schemas", b"");
        let answer = self.call(call, attempt!(SchemasClient, list, request)).await?;
        let prefix = &self.options().prefix;
        let below = |schema: pb::Schema| {
            let pattern = schema.pattern.as_bytes().strip_prefix(&prefix[..])?;
            Some(BoundSchema {
                pattern: String::from_utf8_lossy(pattern).into_owned(),
                schema: schema.schema,
                sealed: schema.sealed,
            })
        };
        Ok(answer.schemas.into_iter().filter_map(below).collect())
    }

    /// What a put of the value, sealed as there, would be refused for. Writes nothing.
    pub async fn check_value(&self, key: impl AsRef<[u8]>, value: impl Into<Bytes>) -> Result<Violations> {
        let key = key.as_ref();
        let whole_key = self.keyspace().key(key)?;
        let request = pb::CheckValueRequest {
            value: self.keyspace().seal(&whole_key, value.into())?,
            key: whole_key,
        };
        let call = Call::read("check value", key);
        let answer = self.call(call, attempt!(SchemasClient, check, request)).await?;
        let violations = Violations::of_wire(answer.violations.unwrap_or_default());
        Ok(self.below_prefix(violations))
    }

    /// Keys as the caller knows them.
    pub(crate) fn below_prefix(&self, mut violations: Violations) -> Violations {
        for violation in &mut violations.list {
            violation.key = self.keyspace().strip(std::mem::take(&mut violation.key));
        }
        violations
    }

    fn whole_pattern(&self, pattern: &str) -> Result<String> {
        let whole = [&self.options().prefix[..], pattern.as_bytes()].concat();
        String::from_utf8(whole)
            .map_err(|_| Error::invalid("schemas need a prefix that is text, but the client's is not UTF-8"))
    }
}
