//! What is wrong with a value.

/// The most violations of one value that are listed.
pub const MAX_VIOLATIONS: usize = 100;

/// One thing that is wrong with a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Where in the value: a JSON Pointer (RFC 6901), cut after about a kilobyte; empty: the value as a whole. Of a member that
    /// is missing, where it should be.
    pub path: String,
    /// What it violates there, in a sentence without its subject. Never quotes the value.
    pub message: String,
    /// Where in the schema: a JSON Pointer to the keyword; empty if no keyword is violated (the value is no JSON, say).
    pub schema_path: String,
}

/// All that is wrong with a value; nothing, if it is valid.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Violations {
    /// The first [`MAX_VIOLATIONS`].
    pub list: Vec<Violation>,
    /// How many there are.
    pub count: u64,
}

impl Violations {
    /// Whether the value is valid.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The only one, of the value as a whole.
    pub(crate) fn of_whole(message: String) -> Violations {
        let whole = Violation {
            path: String::new(),
            message,
            schema_path: String::new(),
        };
        Violations {
            list: vec![whole],
            count: 1,
        }
    }

    /// Counts one, and lists what `make` makes unless the list is full.
    pub(crate) fn add(&mut self, make: impl FnOnce() -> Violation) {
        self.count += 1;
        if self.list.len() < MAX_VIOLATIONS {
            self.list.push(make());
        }
    }
}
