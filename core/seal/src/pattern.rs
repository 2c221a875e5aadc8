//! Which keys are meant: one, or all that begin alike.

/// Longest pattern, in bytes.
pub const MAX_PATTERN_BYTES: usize = 4096;

/// A whole stored key, or the beginning of keys followed by `*`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pattern {
    text: String,
}

impl Pattern {
    /// Fails with what is wrong: nothing in it, too long, or a `*` that is not at the end.
    pub fn parse(text: &str) -> Result<Pattern, String> {
        if text.is_empty() {
            return Err("a pattern is empty; \"*\" means every key".to_owned());
        }
        if text.len() > MAX_PATTERN_BYTES {
            return Err(format!(
                "a pattern has {} bytes; the limit is {MAX_PATTERN_BYTES}",
                text.len()
            ));
        }
        if text[..text.len() - 1].contains('*') {
            return Err(format!(
                "pattern {text:?} has a * that is not its end; it can only stand there, for any rest of a key"
            ));
        }
        Ok(Pattern {
            text: text.to_owned(),
        })
    }

    /// Whether a stored key, its prefix included, is meant.
    pub fn matches(&self, key: &[u8]) -> bool {
        match self.text.strip_suffix('*') {
            Some(start) => key.starts_with(start.as_bytes()),
            None => key == self.text.as_bytes(),
        }
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_a_key_or_a_beginning() {
        let one = Pattern::parse("/shop/secret").unwrap();
        assert!(one.matches(b"/shop/secret"));
        assert!(!one.matches(b"/shop/secret/a") && !one.matches(b"/shop/secre"));
        let below = Pattern::parse("/shop/*").unwrap();
        assert!(below.matches(b"/shop/") && below.matches(b"/shop/\xff"));
        assert!(!below.matches(b"/shop") && !below.matches(b"/shops"));
        assert!(Pattern::parse("*").unwrap().matches(b"anything"));
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        assert!(Pattern::parse("").unwrap_err().contains("empty"));
        assert!(Pattern::parse("/a/*/b").unwrap_err().contains("not its end"));
        assert!(Pattern::parse("/a/**").is_err());
        assert!(Pattern::parse(&"k".repeat(MAX_PATTERN_BYTES)).is_ok());
        assert!(Pattern::parse(&"k".repeat(MAX_PATTERN_BYTES + 1)).is_err());
    }
}
