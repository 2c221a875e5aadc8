//! Putting pages of records together again.

use cfgstore_store::codec::{self, RecordView};

use super::CheckpointError;
use super::format::{parse_record_key, take_item, unseal};

/// A page: records one after the other, as bytes.
pub(super) struct Page {
    /// Every record in it has this seq or a higher one, and a lower one than the next page.
    pub(super) seq: u64,
    /// The content of its parts.
    pub(super) bytes: Vec<u8>,
    /// Keys and values it was read from.
    pub(super) parts: Vec<(sled::IVec, sled::IVec)>,
}

fn damaged<T>(reason: impl ToString) -> Result<T, CheckpointError> {
    Err(CheckpointError::Damaged(reason.to_string()))
}

impl Page {
    fn begin(key: sled::IVec, value: sled::IVec) -> Result<Page, CheckpointError> {
        let Some((seq, 0)) = parse_record_key(&key) else {
            return damaged("a page does not begin with its first part");
        };
        let mut page = Page {
            seq,
            bytes: Vec::new(),
            parts: Vec::new(),
        };
        page.push(key, value)?;
        Ok(page)
    }

    /// Whether this is the key of the page's next part.
    fn continues(&self, key: &[u8]) -> bool {
        parse_record_key(key) == Some((self.seq, self.parts.len() as u32))
    }

    fn push(&mut self, key: sled::IVec, value: sled::IVec) -> Result<(), CheckpointError> {
        let Some(content) = unseal(&key, &value) else {
            return damaged("a value has a wrong checksum");
        };
        self.bytes.extend_from_slice(content);
        self.parts.push((key, value));
        Ok(())
    }

    /// The records, each also as bytes.
    pub(super) fn records(&self) -> impl Iterator<Item = Result<(RecordView<'_>, &[u8]), CheckpointError>> {
        let mut rest = &self.bytes[..];
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let Some(item) = take_item(&mut rest) else {
                rest = &[];
                return Some(damaged("a page ends within a record"));
            };
            Some(
                codec::decode_record(item)
                    .map(|record| (record, item))
                    .or_else(damaged),
            )
        })
    }
}

/// The pages in a sequence of items of records.
pub(super) struct Pages<I> {
    items: I,
    /// First item of the next page.
    ahead: Option<(sled::IVec, sled::IVec)>,
}

impl<I: Iterator<Item = Result<(sled::IVec, sled::IVec), CheckpointError>>> Pages<I> {
    pub(super) fn new(items: I) -> Self {
        Pages { items, ahead: None }
    }

    fn next_page(&mut self) -> Result<Option<Page>, CheckpointError> {
        let first = match self.ahead.take() {
            Some(first) => first,
            None => match self.items.next() {
                Some(item) => item?,
                None => return Ok(None),
            },
        };
        let mut page = Page::begin(first.0, first.1)?;
        for item in self.items.by_ref() {
            let (key, value) = item?;
            if !page.continues(&key) {
                self.ahead = Some((key, value));
                break;
            }
            page.push(key, value)?;
        }
        Ok(Some(page))
    }
}

impl<I: Iterator<Item = Result<(sled::IVec, sled::IVec), CheckpointError>>> Iterator for Pages<I> {
    type Item = Result<Page, CheckpointError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_page().transpose()
    }
}
