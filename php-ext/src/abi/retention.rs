//! How much history is kept.

use bytes::Bytes;
use cfgstore_client::Retention;

use super::lent::Lent;
use super::source::CoreSource;
use super::types::{CoreBytes, CoreError, guard};

/// A rule of how much history the keys of a prefix keep. Pointers are valid as `cfgstore_core_history` says.
#[repr(C)]
pub struct CoreRetention {
    /// Without the client's prefix.
    pub prefix: CoreBytes,
    /// Most changes kept of a key; 0: none.
    pub count: u32,
    /// Longest time that a change is kept, in seconds; 0: no bound.
    pub max_age_secs: u64,
}

/// Sets the rule of a prefix, or removes it.
///
/// # Safety
/// As the module says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_core_set_retention(
    source: *mut CoreSource,
    timeout_secs: f64,
    client_prefix: CoreBytes,
    rule: CoreRetention,
    remove: bool,
    error: *mut CoreError,
) -> bool {
    let set = || {
        // SAFETY: the caller holds the handle and lends the rest.
        let (source, client_prefix, prefix) =
            unsafe { (&mut *source, client_prefix.get(), rule.prefix.get()) };
        let prefix = [client_prefix, prefix].concat();
        let client = source.client(timeout_secs)?;
        if remove {
            return client.remove_retention(prefix);
        }
        client.set_retention(&Retention {
            prefix: prefix.into(),
            count: rule.count,
            max_age_secs: rule.max_age_secs,
        })
    };
    // SAFETY: the caller lends `error`.
    unsafe { guard(error, set) }.is_some()
}

/// The rules whose prefixes begin with `client_prefix`, in their order.
///
/// `rules` and `count` describe memory that is valid as `cfgstore_core_history` says.
///
/// # Safety
/// As the module says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_core_retention(
    source: *mut CoreSource,
    timeout_secs: f64,
    client_prefix: CoreBytes,
    rules: *mut *const CoreRetention,
    count: *mut usize,
    error: *mut CoreError,
) -> bool {
    let list = || {
        // SAFETY: the caller holds the handle and lends the rest.
        let (source, client_prefix, rules, count) =
            unsafe { (&mut *source, client_prefix.get(), &mut *rules, &mut *count) };
        let all = source.client(timeout_secs)?.retention()?;
        let below = |rule: Retention| {
            let prefix = Bytes::copy_from_slice(rule.prefix.strip_prefix(client_prefix)?);
            Some(Retention { prefix, ..rule })
        };
        let view = |rule: &Retention| CoreRetention {
            prefix: CoreBytes::of(&rule.prefix),
            count: rule.count,
            max_age_secs: rule.max_age_secs,
        };
        Lent::of(all.into_iter().filter_map(below).collect(), view).lend(source, rules, count);
        Ok(())
    };
    // SAFETY: the caller lends `error`.
    unsafe { guard(error, list) }.is_some()
}
