//! bbolt's file format, version 2: a copy-on-write B+tree of pages, as far as a finished file needs it.
//!
//! The file is an array of pages; integers are little-endian. A page starts with 16 bytes: its number (`u64`), flags
//! (`u16`), count of elements (`u16`), and how many further pages it goes on for (`u32`). Pages 0 and 1 are the two
//! meta pages, of which the valid one with the higher transaction number counts:
//!
//! | offset in the page | bytes | field                                             |
//! |--------------------|-------|---------------------------------------------------|
//! | 16                 | 4     | magic `0xED0CDAED`                                |
//! | 20                 | 4     | version, 2                                        |
//! | 24                 | 4     | page size                                         |
//! | 28                 | 4     | flags, 0                                          |
//! | 32                 | 16    | root bucket: page (`u64`), sequence (`u64`)       |
//! | 48                 | 8     | page of the freelist                              |
//! | 56                 | 8     | number of pages in use                            |
//! | 64                 | 8     | transaction number                                |
//! | 72                 | 8     | FNV-1a of bytes 16 to 72                          |
//!
//! A branch page has elements of 16 bytes: where the key is, counted from the element (`u32`), its length (`u32`), the
//! child page (`u64`). A leaf page has elements of 16 bytes: flags (`u32`, 1 for a bucket), where the key is, its
//! length, the length of the value that follows it (`u32` each). The value of a bucket is its root page and sequence;
//! root page 0 means that a page follows inside the value.

pub(crate) mod cursor;
pub(crate) mod file;
pub(crate) mod page;
pub(crate) mod write;

pub(crate) const MAGIC: u32 = 0xED0C_DAED;
pub(crate) const VERSION: u32 = 2;
pub(crate) const PAGE_HEADER_BYTES: usize = 16;
/// Bytes of an element of a branch or leaf page.
pub(crate) const ELEMENT_BYTES: usize = 16;
/// Where the checksum of a meta page is.
pub(crate) const META_CHECKSUM: usize = 72;
/// Bytes of a bucket's value before an inline page.
pub(crate) const BUCKET_BYTES: usize = 16;

pub(crate) const FLAG_BRANCH: u16 = 0x01;
pub(crate) const FLAG_LEAF: u16 = 0x02;
pub(crate) const FLAG_META: u16 = 0x04;
pub(crate) const FLAG_FREELIST: u16 = 0x10;
/// Marks a leaf element whose value is a bucket.
pub(crate) const ELEMENT_IS_BUCKET: u32 = 1;

/// FNV-1a, 64 bits.
pub(crate) fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
