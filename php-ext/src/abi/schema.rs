//! Binding schemas.

use cfgstore_client::{BoundSchema, Error, ErrorKind};

use super::source::{CoreSource, whole_key};
use super::types::{CoreBytes, CoreError, guard};

/// Binds a schema to a pattern, or unbinds it, if `schema` is empty.
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
    error: *mut CoreError,
) -> bool {
    let set = || {
        // SAFETY: the caller holds the handle and lends the rest.
        let (source, prefix, pattern, schema) =
            unsafe { (&mut *source, prefix.get(), pattern.get(), schema.get()) };
        let pattern = String::from_utf8(whole_key(prefix, pattern)?).map_err(|_| {
            let message = "the pattern, with the client's prefix, is not UTF-8";
            Error::new(ErrorKind::InvalidArgument, message)
        })?;
        let client = source.client(timeout_secs)?;
        if schema.is_empty() {
            return client.unbind_schema(&pattern);
        }
        let bound = BoundSchema {
            pattern,
            schema: schema.to_vec().into(),
            sealed: false,
        };
        client.bind_schema(&bound, false)
    };
    // SAFETY: the caller lends `error`.
    unsafe { guard(error, set) }.is_some()
}
