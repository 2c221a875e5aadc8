//! Cuts a stream of bytes into the JSON objects that follow each other in it.

use bytes::{Buf, Bytes, BytesMut};

/// Finds the ends of objects as bytes come in. What is inside is left to the parser; brackets and strings suffice.
#[derive(Debug)]
pub(super) struct Values {
    buffer: BytesMut,
    /// Bytes of `buffer` that have been looked at.
    scanned: usize,
    depth: usize,
    in_string: bool,
    escaped: bool,
    /// Longest object that is kept while it is not complete.
    limit: usize,
}

impl Values {
    pub fn new(limit: usize) -> Values {
        Values {
            buffer: BytesMut::new(),
            scanned: 0,
            depth: 0,
            in_string: false,
            escaped: false,
            limit,
        }
    }

    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Whether nothing is held but space.
    pub fn is_empty(&self) -> bool {
        self.buffer.iter().all(u8::is_ascii_whitespace)
    }

    /// The next whole object; `None` until more bytes come.
    ///
    /// # Errors
    /// What is wrong. The stream can't be read on then.
    pub fn next(&mut self) -> Result<Option<Bytes>, String> {
        if self.scanned == 0 {
            let space = self
                .buffer
                .iter()
                .take_while(|byte| byte.is_ascii_whitespace())
                .count();
            self.buffer.advance(space);
            match self.buffer.first() {
                None => return Ok(None),
                Some(b'{') => {}
                Some(_) => return Err("each message must be a JSON object".to_owned()),
            }
        }
        while let Some(byte) = self.buffer.get(self.scanned).copied() {
            self.scanned += 1;
            if self.is_end(byte) {
                let object = self.buffer.split_to(self.scanned);
                self.scanned = 0;
                return Ok(Some(object.freeze()));
            }
        }
        if self.buffer.len() > self.limit {
            return Err(format!(
                "a message is larger than {} bytes: see --max-request-bytes",
                self.limit
            ));
        }
        Ok(None)
    }

    fn is_end(&mut self, byte: u8) -> bool {
        if self.in_string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return false;
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => {
                self.depth -= 1;
                return self.depth == 0;
            }
            _ => {}
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(input: &str, size: usize) -> Result<Vec<String>, String> {
        let mut values = Values::new(1_000);
        let mut found = Vec::new();
        for piece in input.as_bytes().chunks(size) {
            values.push(piece);
            while let Some(value) = values.next()? {
                found.push(String::from_utf8(value.to_vec()).unwrap());
            }
        }
        Ok(found)
    }

    #[test]
    fn objects_are_found_however_they_arrive() {
        let objects = [r#"{"a":"}\"{\\"}"#, "{}", r#"{"b":[{"c":{}},1]}"#];
        let input = format!(" {}\n{}{}\r\n {{", objects[0], objects[1], objects[2]);
        for size in 1..input.len() {
            assert_eq!(cut(&input, size).unwrap(), objects, "in pieces of {size}");
        }
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for input in ["[]", "{} 7", "\"a\"", "{}]"] {
            cut(input, 1).expect_err(input);
        }
        let long = format!("{{\"a\":\"{}", "x".repeat(2_000));
        assert!(cut(&long, 100).unwrap_err().contains("--max-request-bytes"));
    }
}
