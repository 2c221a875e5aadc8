//! Which of many ranges hold a key.
//!
//! A treap (a search tree kept balanced by random priorities) over the distinct ranges, ordered by start and
//! end, in which every node knows the greatest end below it: a lookup skips whole subtrees that end before
//! the key.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use bytes::Bytes;

/// The end of a range, not part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    Before(Bytes),
    Unbounded,
}

impl PartialOrd for End {
    fn partial_cmp(&self, other: &End) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for End {
    fn cmp(&self, other: &End) -> Ordering {
        match (self, other) {
            (End::Before(a), End::Before(b)) => a.cmp(b),
            (End::Before(_), End::Unbounded) => Ordering::Less,
            (End::Unbounded, End::Before(_)) => Ordering::Greater,
            (End::Unbounded, End::Unbounded) => Ordering::Equal,
        }
    }
}

impl End {
    fn is_after(&self, key: &[u8]) -> bool {
        match self {
            End::Before(end) => key < &end[..],
            End::Unbounded => true,
        }
    }
}

type Link = Option<Box<Node>>;

#[derive(Debug)]
struct Node {
    start: Bytes,
    end: End,
    ids: BTreeSet<u64>,
    priority: u64,
    /// The greatest end in this subtree.
    max_end: End,
    left: Link,
    right: Link,
}

impl Node {
    fn order(&self, start: &[u8], end: &End) -> Ordering {
        start.cmp(&self.start).then_with(|| end.cmp(&self.end))
    }

    fn update(&mut self) {
        let children = [&self.left, &self.right]
            .into_iter()
            .flatten()
            .map(|child| &child.max_end);
        self.max_end = children.fold(&self.end, |most, end| most.max(end)).clone();
    }
}

/// Ids, each under one range; many may share a range.
#[derive(Debug, Default)]
pub(super) struct RangeTree {
    root: Link,
    /// State of the priorities' generator.
    random: u64,
}

impl RangeTree {
    pub fn insert(&mut self, start: &[u8], end: End, id: u64) {
        let priority = self.next_priority();
        insert(&mut self.root, start, end, id, priority);
    }

    /// Removes what was inserted with the same arguments; nothing if it was not.
    pub fn remove(&mut self, start: &[u8], end: &End, id: u64) {
        remove(&mut self.root, start, end, id);
    }

    /// Calls `found` with each id whose range holds `key`.
    pub fn holding(&self, key: &[u8], mut found: impl FnMut(u64)) {
        holding(&self.root, key, &mut found);
    }

    /// splitmix64: balance needs no better.
    fn next_priority(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

fn insert(link: &mut Link, start: &[u8], end: End, id: u64, priority: u64) {
    let Some(node) = link else {
        *link = Some(Box::new(Node {
            start: Bytes::copy_from_slice(start),
            max_end: end.clone(),
            end,
            ids: BTreeSet::from([id]),
            priority,
            left: None,
            right: None,
        }));
        return;
    };
    match node.order(start, &end) {
        Ordering::Equal => {
            node.ids.insert(id);
            return;
        }
        Ordering::Less => insert(&mut node.left, start, end, id, priority),
        Ordering::Greater => insert(&mut node.right, start, end, id, priority),
    }
    node.update();
    let above = |child: &Link| child.as_ref().is_some_and(|child| child.priority > node.priority);
    if above(&node.left) {
        rotate(link, |node| &mut node.left, |node| &mut node.right);
    } else if above(&node.right) {
        rotate(link, |node| &mut node.right, |node| &mut node.left);
    }
}

/// Makes the child on the `near` side the root of the subtree.
fn rotate(link: &mut Link, near: fn(&mut Node) -> &mut Link, far: fn(&mut Node) -> &mut Link) {
    let Some(mut node) = link.take() else { return };
    let Some(mut child) = near(&mut node).take() else {
        *link = Some(node);
        return;
    };
    *near(&mut node) = far(&mut child).take();
    node.update();
    *far(&mut child) = Some(node);
    child.update();
    *link = Some(child);
}

fn remove(link: &mut Link, start: &[u8], end: &End, id: u64) {
    let Some(node) = link else { return };
    match node.order(start, end) {
        Ordering::Less => remove(&mut node.left, start, end, id),
        Ordering::Greater => remove(&mut node.right, start, end, id),
        Ordering::Equal => {
            node.ids.remove(&id);
            if node.ids.is_empty() {
                let (left, right) = (node.left.take(), node.right.take());
                *link = merge(left, right);
            }
            return;
        }
    }
    node.update();
}

/// One tree of two, all of whose ranges are in order: `left` before `right`.
fn merge(left: Link, right: Link) -> Link {
    match (left, right) {
        (None, other) | (other, None) => other,
        (Some(mut left), Some(mut right)) => {
            if left.priority > right.priority {
                left.right = merge(left.right.take(), Some(right));
                left.update();
                Some(left)
            } else {
                right.left = merge(Some(left), right.left.take());
                right.update();
                Some(right)
            }
        }
    }
}

fn holding(link: &Link, key: &[u8], found: &mut impl FnMut(u64)) {
    let Some(node) = link else { return };
    if !node.max_end.is_after(key) {
        return;
    }
    holding(&node.left, key, found);
    // What is to the right starts no earlier.
    if &node.start[..] <= key {
        if node.end.is_after(key) {
            node.ids.iter().for_each(|id| found(*id));
        }
        holding(&node.right, key, found);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn depth(link: &Link) -> usize {
        link.as_ref()
            .map_or(0, |node| 1 + depth(&node.left).max(depth(&node.right)))
    }

    #[derive(Clone, Debug)]
    enum Step {
        Insert(Vec<u8>, Option<Vec<u8>>, u64),
        RemoveNth(usize),
    }

    fn short_key() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(b'a'..b'e', 0..3)
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            2 => (short_key(), proptest::option::of(short_key()), 0..6u64)
                .prop_map(|(start, end, id)| Step::Insert(start, end, id)),
            1 => any::<usize>().prop_map(Step::RemoveNth),
        ]
    }

    fn end_of(end: &Option<Vec<u8>>) -> End {
        end.clone().map_or(End::Unbounded, |end| End::Before(end.into()))
    }

    proptest! {
        #[test]
        fn finds_what_a_list_finds(steps in proptest::collection::vec(step(), 0..60)) {
            let mut tree = RangeTree::default();
            let mut list: Vec<(Vec<u8>, Option<Vec<u8>>, u64)> = Vec::new();
            for step in steps {
                match step {
                    Step::Insert(start, end, id) => {
                        tree.insert(&start, end_of(&end), id);
                        if !list.contains(&(start.clone(), end.clone(), id)) {
                            list.push((start, end, id));
                        }
                    }
                    Step::RemoveNth(nth) if !list.is_empty() => {
                        let (start, end, id) = list.swap_remove(nth % list.len());
                        tree.remove(&start, &end_of(&end), id);
                    }
                    Step::RemoveNth(_) => tree.remove(b"a", &End::Unbounded, 99),
                }
                for key in [&b""[..], b"a", b"ab", b"b", b"bd", b"c", b"dz", b"e"] {
                    let mut found = Vec::new();
                    tree.holding(key, |id| found.push(id));
                    let mut expected: Vec<u64> = list
                        .iter()
                        .filter(|(start, end, _)| {
                            &start[..] <= key && end.as_ref().is_none_or(|end| key < &end[..])
                        })
                        .map(|(.., id)| *id)
                        .collect();
                    found.sort_unstable();
                    expected.sort_unstable();
                    prop_assert_eq!(found, expected);
                }
            }
        }
    }

    #[test]
    fn stays_shallow_when_filled_in_order() {
        let mut tree = RangeTree::default();
        for number in 0..10_000u64 {
            let start = number.to_be_bytes();
            tree.insert(
                &start,
                End::Before(Bytes::copy_from_slice(&(number + 1).to_be_bytes())),
                number,
            );
        }
        assert!(depth(&tree.root) < 60, "{}", depth(&tree.root));
        let mut found = Vec::new();
        tree.holding(&4_321u64.to_be_bytes(), |id| found.push(id));
        assert_eq!(found, [4_321]);
    }
}
