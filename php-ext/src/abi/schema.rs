//! Schemas: binding them, listing them, and asking what they refuse.

use bytes::Bytes;
use cfgstore_client::{BoundSchema, Error, ErrorKind, Violation};

use super::lent::Lent;
use super::source::{CoreSource, whole_key};
use super::types::{CoreBytes, CoreError, guard};

/// A schema and its pattern. Pointers are valid as `cfgstore_core_history` says.
#[repr(C)]
pub struct CoreSchema {
    /// The pattern, without the client's prefix.
    pub pattern: CoreBytes,
    /// The schema, JSON; empty: there is none, but only sealed values may be put.
    pub schema: CoreBytes,
}

/// One thing that is wrong with a value. Pointers are valid as `cfgstore_core_history` says.
#[repr(C)]
pub struct CoreViolation {
    /// The whole key.
    pub key: CoreBytes,
    /// Where in the value: a JSON Pointer.
    pub path: CoreBytes,
    /// What is wrong there.
    pub message: CoreBytes,
}

impl CoreViolation {
    fn of(violation: &Violation) -> CoreViolation {
        CoreViolation {
            key: CoreBytes::of(&violation.key),
            path: CoreBytes::of(violation.path.as_bytes()),
            message: CoreBytes::of(violation.message.as_bytes()),
        }
    }
}

/// Binds a schema to a pattern; if `sealed`, which takes an empty one, the rule that only sealed values may be put; or unbinds it, if
/// neither is given.
///
/// # Safety
/// As the module says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_core_set_schema(
    source: *mut CoreSource,
    timeout_secs: f64,
    prefix: CoreBytes,
    pattern: CoreBytes,
    schema: CoreBytes,
    sealed: bool,
    error: *mut CoreError,
) -> bool {
    let set = || {
        // SAFETY: the caller holds the handle and lends the rest.
        let (source, prefix, pattern, schema) =
            unsafe { (&mut *source, prefix.get(), pattern.get(), schema.get()) };
        let pattern = whole_pattern(prefix, pattern)?;
        let client = source.client(timeout_secs)?;
        if schema.is_empty() && !sealed {
            return client.unbind_schema(&pattern);
        }
        let schema = BoundSchema {
            sealed,
            ..bound(pattern, schema)
        };
        client.bind_schema(&schema, false)
    };
    // SAFETY: the caller lends `error`.
    unsafe { guard(error, set) }.is_some()
}

/// The schemas whose patterns begin with `prefix`, in their order.
///
/// `schemas` and `count` describe memory that is valid as `cfgstore_core_history` says.
///
/// # Safety
/// As the module says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_core_schemas(
    source: *mut CoreSource,
    timeout_secs: f64,
    prefix: CoreBytes,
    schemas: *mut *const CoreSchema,
    count: *mut usize,
    error: *mut CoreError,
) -> bool {
    let list = || {
        // SAFETY: the caller holds the handle and lends the rest.
        let (source, prefix, schemas, count) =
            unsafe { (&mut *source, prefix.get(), &mut *schemas, &mut *count) };
        let mut found = source.client(timeout_secs)?.schemas()?;
        found.retain(|bound| bound.pattern.as_bytes().starts_with(prefix));
        let view = |bound: &BoundSchema| CoreSchema {
            pattern: CoreBytes::of(&bound.pattern.as_bytes()[prefix.len()..]),
            schema: CoreBytes::of(&bound.schema),
        };
        Lent::of(found, view).lend(source, schemas, count);
        Ok(())
    };
    // SAFETY: the caller lends `error`.
    unsafe { guard(error, list) }.is_some()
}

/// Which existing values would keep a schema from being bound to a pattern.
///
/// `violations` and `count` describe memory that is valid as `cfgstore_core_history` says.
///
/// # Safety
/// As the module says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_core_check_schema(
    source: *mut CoreSource,
    timeout_secs: f64,
    prefix: CoreBytes,
    pattern: CoreBytes,
    schema: CoreBytes,
    violations: *mut *const CoreViolation,
    count: *mut usize,
    error: *mut CoreError,
) -> bool {
    let check = || {
        // SAFETY: the caller holds the handle and lends the rest.
        let (source, prefix, pattern, schema, violations, count) = unsafe {
            (
                &mut *source,
                prefix.get(),
                pattern.get(),
                schema.get(),
                &mut *violations,
                &mut *count,
            )
        };
        let schema = bound(whole_pattern(prefix, pattern)?, schema);
        let found = match source.client(timeout_secs)?.bind_schema(&schema, true) {
            Ok(()) => Vec::new(),
            Err(refused) if refused.kind == ErrorKind::SchemaViolation => refused.violations.list,
            Err(error) => return Err(error),
        };
        Lent::of(found, CoreViolation::of).lend(source, violations, count);
        Ok(())
    };
    // SAFETY: the caller lends `error`.
    unsafe { guard(error, check) }.is_some()
}

/// What a put of the value would be refused for. `violations` and `count` as in `cfgstore_core_check_schema`.
///
/// # Safety
/// As the module says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_core_check_value(
    source: *mut CoreSource,
    timeout_secs: f64,
    prefix: CoreBytes,
    key: CoreBytes,
    value: CoreBytes,
    violations: *mut *const CoreViolation,
    count: *mut usize,
    error: *mut CoreError,
) -> bool {
    let check = || {
        // SAFETY: the caller holds the handle and lends the rest.
        let (source, prefix, key, value, violations, count) = unsafe {
            (
                &mut *source,
                prefix.get(),
                key.get(),
                value.get(),
                &mut *violations,
                &mut *count,
            )
        };
        let key = whole_key(prefix, key)?;
        let found = source
            .client(timeout_secs)?
            .check_value(&key, Bytes::copy_from_slice(value))?;
        Lent::of(found.list, CoreViolation::of).lend(source, violations, count);
        Ok(())
    };
    // SAFETY: the caller lends `error`.
    unsafe { guard(error, check) }.is_some()
}

fn whole_pattern(prefix: &[u8], pattern: &[u8]) -> Result<String, Error> {
    String::from_utf8(whole_key(prefix, pattern)?).map_err(|_| {
        let message = "the pattern, with the client's prefix, is not UTF-8";
        Error::new(ErrorKind::InvalidArgument, message)
    })
}

fn bound(pattern: String, schema: &[u8]) -> BoundSchema {
    BoundSchema {
        pattern,
        schema: Bytes::copy_from_slice(schema),
        sealed: false,
    }
}
