//! Which change each value of a document comes from.

use cfgstore_client::Blame;

use super::history::CoreHistoryChange;
use super::source::{CoreSource, whole_key};
use super::types::{CoreBytes, CoreError, guard};

/// What C looks at, and what that points to.
struct Blamed {
    leaves: Vec<CoreBlamed>,
    changes: Vec<CoreHistoryChange>,
    #[expect(dead_code, reason = "own the bytes that the others point to")]
    owned: (Blame, Vec<String>),
}

/// A value of a document. Pointers are valid as `cfgstore_core_history` says.
#[repr(C)]
pub struct CoreBlamed {
    /// Where it is; empty: the document itself.
    pub path: CoreBytes,
    /// The value, JSON.
    pub value: CoreBytes,
    /// Whether the change that it comes from is kept, and could be opened.
    pub has_change: bool,
    /// The number of that change among `changes`.
    pub change: usize,
}

/// Says of each value of a key's document which change it comes from.
///
/// `leaves` and `count` describe memory that is valid as `cfgstore_core_history` says, as do `changes`, of which there are as many
/// as the leaves name.
///
/// # Safety
/// As the module says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cfgstore_core_blame(
    source: *mut CoreSource,
    timeout_secs: f64,
    prefix: CoreBytes,
    key: CoreBytes,
    leaves: *mut *const CoreBlamed,
    count: *mut usize,
    changes: *mut *const CoreHistoryChange,
    error: *mut CoreError,
) -> bool {
    let blame = || {
        // SAFETY: the caller holds the handle and lends the rest.
        let (source, prefix, key, leaves, count, changes) = unsafe {
            (
                &mut *source,
                prefix.get(),
                key.get(),
                &mut *leaves,
                &mut *count,
                &mut *changes,
            )
        };
        let key = whole_key(prefix, key)?;
        let blame = source.client(timeout_secs)?.blame(&key)?;
        let values: Vec<String> = blame.leaves.iter().map(|leaf| leaf.value.to_json()).collect();
        let told = blame.leaves.iter().zip(&values).map(|(leaf, value)| CoreBlamed {
            path: CoreBytes::of(leaf.path.as_bytes()),
            value: CoreBytes::of(value.as_bytes()),
            has_change: leaf.change.is_some(),
            change: leaf.change.unwrap_or(0),
        });
        let blamed = Blamed {
            leaves: told.collect(),
            changes: blame.changes.iter().map(CoreHistoryChange::of).collect(),
            owned: (blame, values),
        };
        *leaves = blamed.leaves.as_ptr();
        *count = blamed.leaves.len();
        *changes = blamed.changes.as_ptr();
        source.lend(blamed);
        Ok(())
    };
    // SAFETY: the caller lends `error`.
    unsafe { guard(error, blame) }.is_some()
}
