//! Walking a bucket in key order, with everything checked on the way.

use super::file::BoltFile;
use super::page::{Page, take_u64};
use super::{BUCKET_BYTES, ELEMENT_IS_BUCKET};
use crate::error::SnapshotError;

/// Deeper than any tree of 2^48 pages with two children each.
const MAX_DEPTH: usize = 48;

/// A bucket's place: a tree of pages, or one page inside the list of buckets.
pub(crate) enum Bucket {
    Tree { root: u64 },
    Inline { page: Vec<u8>, listed_at: u64 },
}

/// What a walk hands out.
pub(crate) struct Entry<'a> {
    pub key: &'a [u8],
    pub value: &'a [u8],
    pub is_bucket: bool,
    /// The page it is on, to name in errors.
    pub page: u64,
}

struct Walk<'f, F> {
    file: &'f BoltFile,
    /// The last key seen; all keys of the tree ascend, so no walk goes in a circle.
    last: Option<Vec<u8>>,
    /// Pages that may still be visited: a page belongs to one place of one tree.
    budget: u64,
    visit: F,
}

impl BoltFile {
    /// Calls `visit` for every entry of the bucket, in ascending order of the keys.
    pub(crate) fn walk(
        &self,
        bucket: &Bucket,
        visit: impl FnMut(Entry<'_>) -> Result<(), SnapshotError>,
    ) -> Result<(), SnapshotError> {
        let mut walk = Walk {
            file: self,
            last: None,
            budget: self.pages(),
            visit,
        };
        match bucket {
            Bucket::Tree { root } => walk.tree(*root, 0, None),
            Bucket::Inline { page, listed_at } => {
                let page = Page::new(page.clone()).map_err(|fault| self.damaged(*listed_at, fault))?;
                if page.is_leaf() {
                    walk.leaf(&page, *listed_at)
                } else {
                    Err(self.damaged(*listed_at, "an inline bucket with branches"))
                }
            }
        }
    }

    /// All buckets by name, in ascending order.
    pub(crate) fn buckets(&self) -> Result<Vec<(Vec<u8>, Bucket)>, SnapshotError> {
        let mut buckets = Vec::new();
        self.walk(&Bucket::Tree { root: self.root() }, |entry| {
            let fail = |fault| self.damaged(entry.page, fault);
            if !entry.is_bucket {
                return Err(fail("a key outside of all buckets"));
            }
            if entry.value.len() < BUCKET_BYTES {
                return Err(fail("the place of a bucket is cut short"));
            }
            let (mut place, inline) = entry.value.split_at(BUCKET_BYTES);
            let bucket = match take_u64(&mut place) {
                0 => Bucket::Inline {
                    page: inline.to_vec(),
                    listed_at: entry.page,
                },
                root => Bucket::Tree { root },
            };
            buckets.push((entry.key.to_vec(), bucket));
            Ok(())
        })?;
        Ok(buckets)
    }
}

impl<F: FnMut(Entry<'_>) -> Result<(), SnapshotError>> Walk<'_, F> {
    fn tree(&mut self, number: u64, depth: usize, first_key: Option<&[u8]>) -> Result<(), SnapshotError> {
        let fail = |fault| self.file.damaged(number, fault);
        if depth > MAX_DEPTH {
            return Err(fail("the tree is too deep"));
        }
        self.budget = self
            .budget
            .checked_sub(1)
            .ok_or_else(|| fail("pages belong to several places"))?;
        let page = self.file.page(number)?;
        if page.is_leaf() {
            if page.count() == 0 && depth > 0 {
                return Err(fail("an empty leaf below a branch"));
            }
            if let Some(first_key) = first_key {
                let element = page.leaf_element(0).map_err(fail)?;
                if page.bytes(element.key) < first_key {
                    return Err(fail("its keys begin before those its branch gives it"));
                }
            }
            return self.leaf(&page, number);
        }
        for index in 0..page.count() {
            let (key, child) = page.branch_element(index).map_err(fail)?;
            self.tree(child, depth + 1, Some(page.bytes(key)))?;
        }
        Ok(())
    }

    fn leaf(&mut self, page: &Page, number: u64) -> Result<(), SnapshotError> {
        for index in 0..page.count() {
            let fail = |fault| self.file.damaged(number, fault);
            let element = page.leaf_element(index).map_err(fail)?;
            let key = page.bytes(element.key);
            if self.last.as_deref().is_some_and(|last| last >= key) {
                return Err(fail("its keys do not ascend"));
            }
            let last = self.last.get_or_insert_default();
            last.clear();
            last.extend_from_slice(key);
            (self.visit)(Entry {
                key,
                value: page.bytes(element.value),
                is_bucket: element.flags & ELEMENT_IS_BUCKET != 0,
                page: number,
            })?;
        }
        Ok(())
    }
}
