//! A place in a text, for the parsers of this crate.

use crate::error::ParseError;

pub(crate) struct Scanner<'a> {
    text: &'a str,
    at: usize,
    line: usize,
}

impl<'a> Scanner<'a> {
    pub fn new(text: &'a str) -> Scanner<'a> {
        Scanner { text, at: 0, line: 1 }
    }

    /// What is still to be read.
    pub fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    pub fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.advance(next.len_utf8());
        Some(next)
    }

    pub fn eat(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        if found {
            self.advance(text.len());
        }
        found
    }

    pub fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let taken = &rest[..rest.find(|c| !wanted(c)).unwrap_or(rest.len())];
        self.advance(taken.len());
        taken
    }

    /// Everything up to a text, which is read too; `None`: it does not come, and nothing is read.
    pub fn take_until(&mut self, text: &str) -> Option<&'a str> {
        let taken = &self.rest()[..self.rest().find(text)?];
        self.advance(taken.len() + text.len());
        Some(taken)
    }

    fn advance(&mut self, bytes: usize) {
        let read = &self.text.as_bytes()[self.at..self.at + bytes];
        self.line += read.iter().filter(|&&byte| byte == b'\n').count();
        self.at += bytes;
    }

    pub fn line(&self) -> usize {
        self.line
    }

    pub fn error(&self, message: impl Into<String>) -> ParseError {
        ParseError::new(self.line(), message)
    }
}

/// Blanks inside a line.
pub(crate) fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r')
}
