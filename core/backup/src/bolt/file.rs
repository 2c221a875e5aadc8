//! A file of pages, opened for reading.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::page::{Page, PageHeader, take_u32, take_u64};
use super::{FLAG_META, MAGIC, META_CHECKSUM, PAGE_HEADER_BYTES, VERSION, fnv1a};
use crate::error::SnapshotError;

/// Page sizes that are tried for the second meta page when the first is damaged, and the only ones accepted.
const PAGE_SIZES: std::ops::RangeInclusive<u32> = 9..=16;

/// The largest page with what it goes on over: as much as etcd could ever put into one (a few values of the largest
/// request), and a bound on memory.
const MAX_PAGE_BYTES: u64 = 1 << 30;

const META_BYTES: usize = META_CHECKSUM + 8;

/// The file, and what its valid meta page says.
pub(crate) struct BoltFile {
    file: File,
    path: PathBuf,
    page_bytes: u64,
    root: u64,
    pages: u64,
}

struct Meta {
    page_bytes: u64,
    root: u64,
    pages: u64,
    transaction: u64,
}

impl Meta {
    /// What is wrong is said only where neither page is right.
    fn decode(bytes: &[u8; META_BYTES]) -> Result<Meta, &'static str> {
        let mut header = [0; PAGE_HEADER_BYTES];
        header.copy_from_slice(&bytes[..PAGE_HEADER_BYTES]);
        let mut rest = &bytes[PAGE_HEADER_BYTES..];
        let [magic, version, page_bytes, _flags] = std::array::from_fn(|_| take_u32(&mut rest));
        let [root, _sequence, _freelist, pages, transaction, checksum] =
            std::array::from_fn(|_| take_u64(&mut rest));
        if magic != MAGIC || PageHeader::decode(&header).flags & FLAG_META == 0 {
            Err("it does not begin with a page of bbolt's")
        } else if version != VERSION {
            Err("its format version is not 2")
        } else if checksum != fnv1a(&bytes[PAGE_HEADER_BYTES..META_CHECKSUM]) {
            Err("both of its meta pages are damaged")
        } else if !PAGE_SIZES
            .map(|bits| 1 << bits)
            .any(|size: u32| size == page_bytes)
        {
            Err("its page size is not between 512 and 65536")
        } else {
            Ok(Meta {
                page_bytes: page_bytes.into(),
                root,
                pages,
                transaction,
            })
        }
    }
}

impl BoltFile {
    /// `content_bytes` is the size of the file without what follows the pages.
    pub(crate) fn open(file: File, path: &Path, content_bytes: u64) -> Result<BoltFile, SnapshotError> {
        let meta = read_meta(&file, path)?;
        let expected = meta.pages.saturating_mul(meta.page_bytes);
        if content_bytes < expected {
            return Err(SnapshotError::Truncated {
                path: path.to_owned(),
                found: content_bytes,
                expected,
            });
        }
        Ok(BoltFile {
            file,
            path: path.to_owned(),
            page_bytes: meta.page_bytes,
            root: meta.root,
            pages: meta.pages,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The page of the list of buckets.
    pub(crate) fn root(&self) -> u64 {
        self.root
    }

    /// Number of pages in use.
    pub(crate) fn pages(&self) -> u64 {
        self.pages
    }

    pub(crate) fn damaged(&self, page: u64, fault: &'static str) -> SnapshotError {
        SnapshotError::Damaged {
            path: self.path.clone(),
            page,
            fault,
        }
    }

    /// Reads a page and what it goes on over.
    pub(crate) fn page(&self, number: u64) -> Result<Page, SnapshotError> {
        let fail = |fault| self.damaged(number, fault);
        if !(2..self.pages).contains(&number) {
            return Err(fail("there is no such page"));
        }
        let io_error = |source| SnapshotError::Io {
            path: self.path.clone(),
            source,
        };
        let offset = number * self.page_bytes;
        let mut bytes = vec![0; self.page_bytes as usize];
        self.file.read_exact_at(&mut bytes, offset).map_err(io_error)?;
        let mut header = [0; PAGE_HEADER_BYTES];
        header.copy_from_slice(&bytes[..PAGE_HEADER_BYTES]);
        let header = PageHeader::decode(&header);
        if header.number != number {
            return Err(fail("it carries the number of another page"));
        }
        let pages = 1 + u64::from(header.overflow);
        if pages > self.pages - number {
            return Err(fail("it goes on beyond the end"));
        }
        if pages * self.page_bytes > MAX_PAGE_BYTES {
            return Err(fail("it has more than 1 GiB"));
        }
        if pages > 1 {
            bytes.resize((pages * self.page_bytes) as usize, 0);
            let rest = &mut bytes[self.page_bytes as usize..];
            self.file
                .read_exact_at(rest, offset + self.page_bytes)
                .map_err(io_error)?;
        }
        Page::new(bytes).map_err(fail)
    }
}

/// The valid meta page with the higher transaction number.
fn read_meta(file: &File, path: &Path) -> Result<Meta, SnapshotError> {
    let mut fault = "it is too short";
    let mut newest: Option<Meta> = None;
    for offset in [0].into_iter().chain(PAGE_SIZES.map(|bits| 1 << bits)) {
        let mut bytes = [0; META_BYTES];
        match file.read_exact_at(&mut bytes, offset) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
            Err(source) => {
                let path = path.to_owned();
                return Err(SnapshotError::Io { path, source });
            }
        }
        match Meta::decode(&bytes) {
            // The second one counts only where it belongs.
            Ok(meta) if offset != 0 && meta.page_bytes != offset => {}
            Ok(meta) => {
                if newest
                    .as_ref()
                    .is_none_or(|newest| newest.transaction < meta.transaction)
                {
                    newest = Some(meta);
                }
            }
            Err(found) if offset == 0 => fault = found,
            Err(_) => {}
        }
    }
    newest.ok_or_else(|| SnapshotError::Foreign {
        path: path.to_owned(),
        fault,
    })
}
