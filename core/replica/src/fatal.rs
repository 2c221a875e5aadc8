//! The end of the process when going on could lose or falsify acknowledged data.

use std::fmt;
use std::sync::Arc;

/// What happens on a failure after which the process must not go on: a write or sync of the log failed (what the disk
/// holds is unknown then, and a second sync would report success for data that is gone), or an invariant of the state
/// machine is broken. The default prints one line to standard error and aborts; tests put an observer in its place.
#[derive(Clone)]
pub struct FatalHook(Arc<dyn Fn(&str) + Send + Sync>);

impl FatalHook {
    /// A hook that is called instead of ending the process. The member takes no further writes after it.
    pub fn new(hook: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Arc::new(hook))
    }

    pub(crate) fn call(&self, message: &str) {
        (self.0)(message);
    }
}

impl Default for FatalHook {
    fn default() -> Self {
        Self::new(|message| {
            eprintln!("cfgstore: fatal: {message}");
            std::process::abort();
        })
    }
}

impl fmt::Debug for FatalHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FatalHook")
    }
}
