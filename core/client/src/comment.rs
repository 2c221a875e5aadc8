//! Why something is written, in the writer's words, as it goes along with a request.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use tonic::Request;
use tonic::metadata::AsciiMetadataValue;

use crate::error::{Error, Result};

/// Longest comment that the history keeps, in bytes.
pub const MAX_COMMENT_BYTES: usize = 1_024;

/// Where it travels.
const HEADER: &str = "cfgstore-comment";

/// What is not ASCII is encoded in any case.
const ENCODED: &AsciiSet = &CONTROLS.add(b'%');

/// Takes a comment as the history keeps it: one line of UTF-8, of at most [`MAX_COMMENT_BYTES`]. Any other is refused with
/// [`InvalidArgument`](crate::ErrorKind::InvalidArgument), since a server would leave it out without a word.
pub fn checked_comment(comment: &[u8]) -> Result<&str> {
    if comment.len() > MAX_COMMENT_BYTES {
        return Err(Error::invalid(format!(
            "the comment has {} bytes; at most {MAX_COMMENT_BYTES} are kept",
            comment.len()
        )));
    }
    match std::str::from_utf8(comment).map(str::trim) {
        Ok(text) if !text.contains(char::is_control) => Ok(text),
        _ => Err(Error::invalid("the comment is not one line of UTF-8 text")),
    }
}

/// A comment that was checked, as a request carries it.
pub(crate) struct Comment(Option<AsciiMetadataValue>);

impl Comment {
    /// Of a text; an empty one is none. Fails as [`checked_comment`].
    pub fn new(text: &str) -> Result<Comment> {
        let encoded = utf8_percent_encode(checked_comment(text.as_bytes())?, ENCODED).to_string();
        Ok(Comment(encoded.parse().ok().filter(|_| !encoded.is_empty())))
    }

    /// A request that carries it.
    pub fn on<T>(&self, request: T) -> Request<T> {
        let mut request = Request::new(request);
        if let Some(comment) = &self.0 {
            request.metadata_mut().insert(HEADER, comment.clone());
        }
        request
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    fn carried(text: &str) -> Option<String> {
        let request = Comment::new(text).unwrap().on(());
        let comment = request.metadata().get(HEADER)?;
        Some(comment.to_str().unwrap().to_owned())
    }

    #[test]
    fn comments_travel_as_ascii() {
        assert_eq!(
            carried(" 100% Größe\n").as_deref(),
            Some("100%25 Gr%C3%B6%C3%9Fe")
        );
        assert_eq!(carried("\t"), None);
        assert_eq!(carried(&"ö".repeat(512)).map(|text| text.len()), Some(512 * 6));
    }

    #[test]
    fn what_the_history_would_leave_out_is_refused() {
        for (bad, why) in [
            (&b"two\nlines"[..], "one line"),
            (b"\xff", "UTF-8"),
            (&[b'c'; 1_025], "1025 bytes"),
        ] {
            let error = checked_comment(bad).unwrap_err();
            assert_eq!(error.kind, ErrorKind::InvalidArgument);
            assert!(error.message.contains(why), "{error}");
        }
    }
}
