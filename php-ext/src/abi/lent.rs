//! Lists that C looks at.

use super::source::CoreSource;

/// What C looks at, and what that points to.
pub(super) struct Lent<View, Owner> {
    views: Vec<View>,
    #[expect(dead_code, reason = "own the bytes that `views` point to")]
    owners: Vec<Owner>,
}

impl<View: 'static, Owner: 'static> Lent<View, Owner> {
    pub fn of(owners: Vec<Owner>, view: impl Fn(&Owner) -> View) -> Lent<View, Owner> {
        Lent {
            views: owners.iter().map(view).collect(),
            owners,
        }
    }

    /// Until `cfgstore_core_forget`.
    pub fn lend(self, source: &mut CoreSource, views: &mut *const View, count: &mut usize) {
        *views = self.views.as_ptr();
        *count = self.views.len();
        source.lend(self);
    }
}
