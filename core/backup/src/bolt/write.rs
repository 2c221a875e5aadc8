//! Writing a whole file in one pass, from sorted keys.
//!
//! Pages are numbered in the order in which they are finished: leaves, and each branch page once it is full. So all that
//! is held is one open page of each level. The meta pages come first though, and name the root, which is finished last:
//! a first pass over the same keys, whose pages go nowhere, finds it.

use std::io::{self, Write};

use super::{
    BUCKET_BYTES, ELEMENT_BYTES, ELEMENT_IS_BUCKET, FLAG_BRANCH, FLAG_FREELIST, FLAG_LEAF, FLAG_META, MAGIC,
    META_CHECKSUM, PAGE_HEADER_BYTES, VERSION, fnv1a,
};

/// What bbolt takes on every machine with pages of this size; the reader accepts others.
pub(crate) const PAGE_BYTES: usize = 4096;

/// Pages 0 and 1 are the meta pages, 2 the empty freelist.
const FREELIST_PAGE: u64 = 2;
const FIRST_TREE_PAGE: u64 = 3;

/// What the meta pages say: all that a first pass has to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Page of the list of buckets.
    pub root: u64,
    /// Number of pages in the file.
    pub pages: u64,
}

/// Pages in order, to a file or (the first pass) nowhere.
pub(crate) struct Pages<'a> {
    out: Option<&'a mut dyn Write>,
    next: u64,
    buffer: Vec<u8>,
}

impl<'a> Pages<'a> {
    /// For the first pass.
    pub(crate) fn counted() -> Pages<'a> {
        Pages {
            out: None,
            next: FIRST_TREE_PAGE,
            buffer: Vec::new(),
        }
    }

    /// For the second pass: writes the pages before the trees.
    pub(crate) fn written(out: &'a mut dyn Write, layout: &Layout) -> io::Result<Pages<'a>> {
        for number in 0..2 {
            out.write_all(&meta_page(number, layout))?;
        }
        let mut freelist = vec![0; PAGE_BYTES];
        freelist[..PAGE_HEADER_BYTES].copy_from_slice(&page_header(FREELIST_PAGE, FLAG_FREELIST, 0, 0));
        out.write_all(&freelist)?;
        Ok(Pages {
            out: Some(out),
            next: FIRST_TREE_PAGE,
            buffer: Vec::new(),
        })
    }

    /// Finishes with the list of buckets, sorted by name.
    pub(crate) fn finish(mut self, buckets: &[(&[u8], u64)]) -> io::Result<Layout> {
        let mut root = OpenPage::new(FLAG_LEAF);
        for (name, page) in buckets {
            let mut value = [0; BUCKET_BYTES];
            value[..8].copy_from_slice(&page.to_le_bytes());
            root.push(name, ELEMENT_IS_BUCKET.into(), &value);
        }
        let root = self.page(&root)?;
        Ok(Layout {
            root,
            pages: self.next,
        })
    }

    fn page(&mut self, page: &OpenPage) -> io::Result<u64> {
        let number = self.next;
        let pages = page.size().div_ceil(PAGE_BYTES);
        self.next += pages as u64;
        if let Some(out) = &mut self.out {
            self.buffer.clear();
            page.encode(number, (pages - 1) as u32, &mut self.buffer);
            self.buffer.resize(pages * PAGE_BYTES, 0);
            out.write_all(&self.buffer)?;
        }
        Ok(number)
    }
}

fn page_header(number: u64, flags: u16, count: u16, overflow: u32) -> [u8; PAGE_HEADER_BYTES] {
    let mut header = [0; PAGE_HEADER_BYTES];
    header[..8].copy_from_slice(&number.to_le_bytes());
    header[8..10].copy_from_slice(&flags.to_le_bytes());
    header[10..12].copy_from_slice(&count.to_le_bytes());
    header[12..].copy_from_slice(&overflow.to_le_bytes());
    header
}

/// The transaction number of a meta page has the page's parity: the next transaction overwrites the older one.
fn meta_page(number: u64, layout: &Layout) -> Vec<u8> {
    let mut page = Vec::with_capacity(PAGE_BYTES);
    page.extend_from_slice(&page_header(number, FLAG_META, 0, 0));
    for field in [MAGIC, VERSION, PAGE_BYTES as u32, 0] {
        page.extend_from_slice(&field.to_le_bytes());
    }
    for field in [layout.root, 0, FREELIST_PAGE, layout.pages, number] {
        page.extend_from_slice(&field.to_le_bytes());
    }
    let checksum = fnv1a(&page[PAGE_HEADER_BYTES..META_CHECKSUM]);
    page.extend_from_slice(&checksum.to_le_bytes());
    page.resize(PAGE_BYTES, 0);
    page
}

/// A page that takes more elements. `tag` is what the kinds of pages differ in: a branch's child, a leaf's flags.
struct OpenPage {
    flags: u16,
    elements: Vec<Element>,
    /// Keys and values, one after the other.
    data: Vec<u8>,
}

struct Element {
    tag: u64,
    start: usize,
    key_len: usize,
    value_len: usize,
}

impl OpenPage {
    fn new(flags: u16) -> OpenPage {
        OpenPage {
            flags,
            elements: Vec::new(),
            data: Vec::new(),
        }
    }

    fn size(&self) -> usize {
        PAGE_HEADER_BYTES + self.elements.len() * ELEMENT_BYTES + self.data.len()
    }

    /// Whether an element fits. One that is larger than a page has a page of its own, which goes on over the next ones.
    fn has_room(&self, bytes: usize) -> bool {
        self.elements.is_empty() || self.size() + ELEMENT_BYTES + bytes <= PAGE_BYTES
    }

    fn push(&mut self, key: &[u8], tag: u64, value: &[u8]) {
        self.elements.push(Element {
            tag,
            start: self.data.len(),
            key_len: key.len(),
            value_len: value.len(),
        });
        self.data.extend_from_slice(key);
        self.data.extend_from_slice(value);
    }

    fn first_key(&self) -> &[u8] {
        self.elements
            .first()
            .map_or(&[], |first| &self.data[..first.key_len])
    }

    fn clear(&mut self) {
        self.elements.clear();
        self.data.clear();
    }

    /// Lengths fit their fields: values are limited to far less than 4 GiB, and a page of 4 KiB has few elements.
    fn encode(&self, number: u64, overflow: u32, out: &mut Vec<u8>) {
        let count = self.elements.len();
        out.extend_from_slice(&page_header(number, self.flags, count as u16, overflow));
        for (index, element) in self.elements.iter().enumerate() {
            let position = ((count - index) * ELEMENT_BYTES + element.start) as u32;
            if self.flags == FLAG_BRANCH {
                for field in [position, element.key_len as u32] {
                    out.extend_from_slice(&field.to_le_bytes());
                }
                out.extend_from_slice(&element.tag.to_le_bytes());
            } else {
                for field in [
                    element.tag as u32,
                    position,
                    element.key_len as u32,
                    element.value_len as u32,
                ] {
                    out.extend_from_slice(&field.to_le_bytes());
                }
            }
        }
        out.extend_from_slice(&self.data);
    }
}

/// One bucket, given its keys in ascending order.
pub(crate) struct Tree {
    /// The open page of each level, the leaf first. A level above the leaf exists once the one below was full.
    levels: Vec<OpenPage>,
}

impl Tree {
    pub(crate) fn new() -> Tree {
        Tree {
            levels: vec![OpenPage::new(FLAG_LEAF)],
        }
    }

    pub(crate) fn push(&mut self, pages: &mut Pages<'_>, key: &[u8], value: &[u8]) -> io::Result<()> {
        assert!(value.len() < u32::MAX as usize - PAGE_BYTES);
        self.make_room(pages, 0, key.len() + value.len())?;
        self.levels[0].push(key, 0, value);
        Ok(())
    }

    fn make_room(&mut self, pages: &mut Pages<'_>, level: usize, bytes: usize) -> io::Result<()> {
        if self.levels[level].has_room(bytes) {
            Ok(())
        } else {
            self.close(pages, level)
        }
    }

    /// Finishes the open page of a level, and enters it in the level above.
    fn close(&mut self, pages: &mut Pages<'_>, level: usize) -> io::Result<()> {
        let number = pages.page(&self.levels[level])?;
        let key = self.levels[level].first_key().to_vec();
        self.levels[level].clear();
        if self.levels.len() == level + 1 {
            self.levels.push(OpenPage::new(FLAG_BRANCH));
        }
        self.make_room(pages, level + 1, key.len())?;
        self.levels[level + 1].push(&key, number, &[]);
        Ok(())
    }

    /// Finishes the bucket; returns its root page.
    pub(crate) fn finish(mut self, pages: &mut Pages<'_>) -> io::Result<u64> {
        let mut level = 0;
        // A level exists only when one below it is closed, so each that has one above is not empty, and the last has
        // more than one element, or is a leaf.
        while level + 1 < self.levels.len() {
            self.close(pages, level)?;
            level += 1;
        }
        pages.page(&self.levels[level])
    }
}
