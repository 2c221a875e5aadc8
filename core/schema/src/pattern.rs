//! Which keys a schema is bound to.

use std::fmt;

use crate::error::PatternError;

/// The longest pattern, in bytes.
pub const MAX_PATTERN_BYTES: usize = 1024;

/// One key, or, with `*` as the last character, every key that begins with what stands before it: `/shop/db`,
/// `/shop/*`; `*` alone is every key.
///
/// A `*` elsewhere is refused, as one might expect it to mean something. So no pattern names exactly one key that
/// contains a `*`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pattern(Box<str>);

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    ///
    /// It is empty, longer than [`MAX_PATTERN_BYTES`], or has a `*` before its end.
    pub fn parse(text: &str) -> Result<Pattern, PatternError> {
        if text.is_empty() {
            return Err(PatternError::Empty);
        }
        if text.len() > MAX_PATTERN_BYTES {
            return Err(PatternError::TooLong {
                size_bytes: text.len(),
            });
        }
        match text.find('*') {
            Some(at) if at + 1 < text.len() => Err(PatternError::Star {
                pattern: text.to_owned(),
            }),
            _ => Ok(Pattern(text.into())),
        }
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The prefix of the keys it matches; `None`: it is one key.
    pub fn prefix(&self) -> Option<&str> {
        self.0.strip_suffix('*')
    }

    /// Whether `key` is one it is bound to.
    pub fn matches(&self, key: &[u8]) -> bool {
        match self.prefix() {
            Some(prefix) => key.starts_with(prefix.as_bytes()),
            None => key == self.0.as_bytes(),
        }
    }

    /// The keys it matches as etcd writes a range: the first key, and the key after the last; the latter is empty for one
    /// key, and `"\0"` if there is no end. The range of `*` begins at `"\0"`.
    pub fn range(&self) -> (Vec<u8>, Vec<u8>) {
        let Some(prefix) = self.prefix() else {
            return (self.0.as_bytes().to_vec(), Vec::new());
        };
        if prefix.is_empty() {
            return (vec![0], vec![0]);
        }
        // Text in UTF-8 has no byte 0xff, so the last byte can be counted up.
        let mut end = prefix.as_bytes().to_vec();
        *end.last_mut().expect("not empty") += 1;
        (prefix.as_bytes().to_vec(), end)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_a_key_or_a_prefix() {
        let key = Pattern::parse("/shop/db").unwrap();
        assert!(key.matches(b"/shop/db") && !key.matches(b"/shop/db2") && !key.matches(b"/shop/d"));
        assert_eq!(key.range(), (b"/shop/db".to_vec(), vec![]));

        let prefix = Pattern::parse("/shop/*").unwrap();
        assert!(prefix.matches(b"/shop/") && prefix.matches(b"/shop/\xff") && !prefix.matches(b"/shop"));
        assert_eq!(prefix.range(), (b"/shop/".to_vec(), b"/shop0".to_vec()));

        let all = Pattern::parse("*").unwrap();
        assert!(all.matches(b"x") && all.matches(b"\xff"));
        assert_eq!(all.range(), (vec![0], vec![0]));
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        assert_eq!(Pattern::parse(""), Err(PatternError::Empty));
        for text in ["/a/*/b", "**", "*a"] {
            assert!(
                matches!(Pattern::parse(text), Err(PatternError::Star { .. })),
                "{text}"
            );
        }
        assert!(Pattern::parse(&"a".repeat(MAX_PATTERN_BYTES)).is_ok());
        let long = Pattern::parse(&"a".repeat(MAX_PATTERN_BYTES + 1)).unwrap_err();
        assert_eq!(long, PatternError::TooLong { size_bytes: 1025 });
    }
}
