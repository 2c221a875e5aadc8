//! The elements of one page, each checked before it is handed out.

use std::ops::Range;

use super::{ELEMENT_BYTES, FLAG_BRANCH, FLAG_LEAF, PAGE_HEADER_BYTES};

/// What is wrong with a page.
pub(crate) type Fault = &'static str;

/// The first 16 bytes of a page.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PageHeader {
    pub number: u64,
    pub flags: u16,
    pub count: u16,
    pub overflow: u32,
}

impl PageHeader {
    pub(crate) fn decode(bytes: &[u8; PAGE_HEADER_BYTES]) -> PageHeader {
        let mut bytes = &bytes[..];
        PageHeader {
            number: take_u64(&mut bytes),
            flags: take_u16(&mut bytes),
            count: take_u16(&mut bytes),
            overflow: take_u32(&mut bytes),
        }
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> [u8; N] {
    let (head, rest) = bytes.split_at(N);
    *bytes = rest;
    let mut out = [0; N];
    out.copy_from_slice(head);
    out
}

fn take_u16(bytes: &mut &[u8]) -> u16 {
    u16::from_le_bytes(take(bytes))
}

pub(crate) fn take_u32(bytes: &mut &[u8]) -> u32 {
    u32::from_le_bytes(take(bytes))
}

pub(crate) fn take_u64(bytes: &mut &[u8]) -> u64 {
    u64::from_le_bytes(take(bytes))
}

/// A leaf or branch page with what it goes on over.
pub(crate) struct Page {
    bytes: Vec<u8>,
    count: usize,
    is_leaf: bool,
}

/// Where an element of a leaf page has its parts.
pub(crate) struct LeafElement {
    pub flags: u32,
    pub key: Range<usize>,
    pub value: Range<usize>,
}

impl Page {
    /// `bytes` start with the page's header.
    pub(crate) fn new(bytes: Vec<u8>) -> Result<Page, Fault> {
        let Some(header) = bytes.first_chunk::<PAGE_HEADER_BYTES>() else {
            return Err("it is shorter than its header");
        };
        let header = PageHeader::decode(header);
        let is_leaf = match header.flags {
            FLAG_LEAF => true,
            FLAG_BRANCH => false,
            _ => return Err("it is neither a leaf nor a branch"),
        };
        let count = usize::from(header.count);
        if bytes.len() < PAGE_HEADER_BYTES + count * ELEMENT_BYTES {
            return Err("it has more elements than room for them");
        }
        if count == 0 && !is_leaf {
            return Err("a branch without children");
        }
        Ok(Page {
            bytes,
            count,
            is_leaf,
        })
    }

    pub(crate) fn is_leaf(&self) -> bool {
        self.is_leaf
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    pub(crate) fn bytes(&self, range: Range<usize>) -> &[u8] {
        &self.bytes[range]
    }

    /// Element `index` of a leaf; `index` is below the count.
    pub(crate) fn leaf_element(&self, index: usize) -> Result<LeafElement, Fault> {
        let start = PAGE_HEADER_BYTES + index * ELEMENT_BYTES;
        let mut fields = &self.bytes[start..start + ELEMENT_BYTES];
        let flags = take_u32(&mut fields);
        let position = take_u32(&mut fields) as usize;
        let (key_len, value_len) = (take_u32(&mut fields) as usize, take_u32(&mut fields) as usize);
        let key = self.range(start + position, key_len)?;
        let value = self.range(key.end, value_len)?;
        Ok(LeafElement { flags, key, value })
    }

    /// Key and child of element `index` of a branch; `index` is below the count.
    pub(crate) fn branch_element(&self, index: usize) -> Result<(Range<usize>, u64), Fault> {
        let start = PAGE_HEADER_BYTES + index * ELEMENT_BYTES;
        let mut fields = &self.bytes[start..start + ELEMENT_BYTES];
        let position = take_u32(&mut fields) as usize;
        let key_len = take_u32(&mut fields) as usize;
        let child = take_u64(&mut fields);
        Ok((self.range(start + position, key_len)?, child))
    }

    /// Positions are below 2^33: they cannot overflow 64 bits.
    fn range(&self, start: usize, len: usize) -> Result<Range<usize>, Fault> {
        let elements_end = PAGE_HEADER_BYTES + self.count * ELEMENT_BYTES;
        if start < elements_end || start + len > self.bytes.len() {
            return Err("a key or value lies outside of it");
        }
        Ok(start..start + len)
    }
}
