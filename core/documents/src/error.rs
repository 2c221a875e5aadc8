//! Why a file can't be read, or a value can't be written.

use std::fmt;

/// Why bytes are no document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ParseError {
    /// The line, from 1; 0: none in particular.
    pub line: usize,
    /// What is wrong, and what to do.
    pub message: String,
}

/// Why a value has no form in a format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct PrintError {
    /// Where in the value; empty: the value itself.
    pub path: String,
    /// What is wrong, and what to do.
    pub message: String,
}

impl ParseError {
    pub(crate) fn new(line: usize, message: impl Into<String>) -> ParseError {
        ParseError {
            line,
            message: message.into(),
        }
    }
}

impl PrintError {
    pub(crate) fn new(path: impl Into<String>, message: impl Into<String>) -> PrintError {
        PrintError {
            path: path.into(),
            message: message.into(),
        }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.message),
            line => write!(f, "line {line}: {}", self.message),
        }
    }
}

impl fmt::Display for PrintError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "at {:?}: {}", self.path, self.message)
        }
    }
}
