//! What judging a value may cost.

/// How many steps judging may take yet. A step is about one keyword looked at, a few characters compared, or one character
/// matched by a small regular expression: some ten nanoseconds.
///
/// The number that judging takes follows from the schema and the value alone.
#[derive(Clone, Debug)]
pub struct Steps {
    left: u64,
}

/// The steps are used up.
#[derive(Debug)]
pub(crate) struct UsedUp;

impl Steps {
    /// For what one call writes, be it one value or many: some tenths of a second at most.
    pub const PER_WRITE: u64 = 20_000_000;
    /// For all values that are there when a schema is bound: some ten seconds at most.
    pub const PER_BIND: u64 = 1_000_000_000;

    /// That many.
    pub fn new(count: u64) -> Steps {
        Steps { left: count }
    }

    /// How many are left.
    pub fn left(&self) -> u64 {
        self.left
    }

    pub(crate) fn take(&mut self, count: u64) -> Result<(), UsedUp> {
        match self.left.checked_sub(count) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => {
                self.left = 0;
                Err(UsedUp)
            }
        }
    }
}
