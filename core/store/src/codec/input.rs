//! Bounds-checked reading, and what can be wrong with bytes.

use thiserror::Error;

use super::FORMAT_VERSION;

/// Why bytes could not be decoded, and where. The bytes are damaged, foreign, or of a newer version.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("at byte {offset}: {reason}")]
pub struct DecodeError {
    /// Where decoding failed, in bytes from the start of the input.
    pub offset: usize,
    /// What was wrong there.
    pub reason: DecodeReason,
}

/// What was wrong with bytes that could not be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DecodeReason {
    /// The input ends before the value does.
    #[error("the input ends too early")]
    Truncated,
    /// The input goes on after the value.
    #[error("there is more input after the end")]
    TrailingBytes,
    /// Written by another version of the format.
    #[error("format version {found} is not known; only {FORMAT_VERSION} is")]
    UnknownVersion {
        /// The version byte found.
        found: u8,
    },
    /// A number that stands for nothing.
    #[error("{found} is no {of}")]
    UnknownNumber {
        /// What the number should have stood for.
        of: &'static str,
        /// The number found.
        found: u8,
    },
    /// Flag bits that have no meaning.
    #[error("flag bits {found:#04x} have no meaning")]
    UnknownFlags {
        /// The byte found.
        found: u8,
    },
    /// A string that is not UTF-8.
    #[error("the string is not UTF-8")]
    NotUtf8,
    /// Transactions nested deeper than [`MAX_TXN_DEPTH`](crate::MAX_TXN_DEPTH).
    #[error("transactions are nested too deeply")]
    TxnTooDeep,
    /// A sub-revision at or above [`MAX_RECORDS_PER_REVISION`](crate::MAX_RECORDS_PER_REVISION).
    #[error("the sub-revision is too large")]
    SubTooLarge,
}

/// A cursor over the input.
pub(super) struct Input<'a> {
    all: &'a [u8],
    offset: usize,
}

impl<'a> Input<'a> {
    pub fn new(all: &'a [u8]) -> Input<'a> {
        Input { all, offset: 0 }
    }

    pub fn fail<T>(&self, offset: usize, reason: DecodeReason) -> Result<T, DecodeError> {
        Err(DecodeError { offset, reason })
    }

    pub fn offset(&self) -> usize {
        self.offset
    }

    pub fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let rest = &self.all[self.offset..];
        let Some(taken) = rest.get(..count) else {
            return self.fail(self.offset, DecodeReason::Truncated);
        };
        self.offset += count;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(self.array::<1>()?[0])
    }

    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub fn u64(&mut self) -> Result<u64, DecodeError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub fn i64(&mut self) -> Result<i64, DecodeError> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    pub fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = self.u32()?;
        self.take(length as usize)
    }

    pub fn string(&mut self) -> Result<String, DecodeError> {
        let bytes = self.bytes()?;
        match std::str::from_utf8(bytes) {
            Ok(string) => Ok(string.to_owned()),
            Err(_) => self.fail(self.offset - bytes.len(), DecodeReason::NotUtf8),
        }
    }

    /// A byte of which the low `N` bits are flags.
    pub fn flags<const N: usize>(&mut self) -> Result<[bool; N], DecodeError> {
        let found = self.u8()?;
        if u32::from(found) >> N != 0 {
            return self.fail(self.offset - 1, DecodeReason::UnknownFlags { found });
        }
        Ok(std::array::from_fn(|bit| found & (1 << bit) != 0))
    }

    /// A byte that stands for one of `values`, numbered from 0.
    pub fn one_of<T: Copy>(&mut self, of: &'static str, values: &[T]) -> Result<T, DecodeError> {
        let found = self.u8()?;
        match values.get(usize::from(found)) {
            Some(&value) => Ok(value),
            None => self.fail(self.offset - 1, DecodeReason::UnknownNumber { of, found }),
        }
    }

    pub fn version(&mut self) -> Result<(), DecodeError> {
        match self.u8()? {
            FORMAT_VERSION => Ok(()),
            found => self.fail(self.offset - 1, DecodeReason::UnknownVersion { found }),
        }
    }

    pub fn end(&self) -> Result<(), DecodeError> {
        if self.offset == self.all.len() {
            Ok(())
        } else {
            self.fail(self.offset, DecodeReason::TrailingBytes)
        }
    }
}
