//! Which members and items of a value the subschemas have looked at: what `unevaluatedProperties` and `unevaluatedItems`
//! leave to themselves.

use std::collections::HashSet;

#[derive(Default)]
pub(crate) struct Seen<'v> {
    all_members: bool,
    members: HashSet<&'v str>,
    all_items: bool,
    /// So many from the first one on.
    items: usize,
    /// Others, which `contains` has matched.
    matched: HashSet<usize>,
}

impl<'v> Seen<'v> {
    pub fn member(&mut self, name: &'v str) {
        if !self.all_members {
            self.members.insert(name);
        }
    }

    pub fn all_members(&mut self) {
        self.all_members = true;
    }

    pub fn first_items(&mut self, count: usize) {
        self.items = self.items.max(count);
    }

    pub fn item(&mut self, at: usize) {
        self.matched.insert(at);
    }

    pub fn all_items(&mut self) {
        self.all_items = true;
    }

    pub fn has_member(&self, name: &str) -> bool {
        self.all_members || self.members.contains(name)
    }

    pub fn has_item(&self, at: usize) -> bool {
        self.all_items || at < self.items || self.matched.contains(&at)
    }

    /// How much there is to merge.
    pub fn len(&self) -> usize {
        self.members.len() + self.matched.len()
    }

    pub fn merge(&mut self, other: Seen<'v>) {
        self.all_members |= other.all_members;
        self.all_items |= other.all_items;
        self.items = self.items.max(other.items);
        self.members.extend(other.members);
        self.matched.extend(other.matched);
    }
}
