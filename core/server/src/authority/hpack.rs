//! A walk over a header block (RFC 7541) that looks for `:authority`. It needs no dynamic table: every
//! representation tells its own length.

use std::ops::Range;

use super::huffman;

/// `:authority` in the static table.
const AUTHORITY_INDEX: usize = 1;
const AUTHORITY_NAME: &[u8] = b":authority";

/// An `:authority` written out in a header block.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Authority {
    pub value: Vec<u8>,
    /// Where the value's string (length and all) is in the block.
    pub at: Range<usize>,
}

/// The first `:authority` that is written out in `block`, if there is one; one that is only referred to is
/// not. `Err` if the block is not well-formed.
pub(super) fn find_authority(block: &[u8]) -> Result<Option<Authority>, Malformed> {
    let mut reader = Reader { block, at: 0 };
    while let Some(&first) = block.get(reader.at) {
        let prefix_bits = match first {
            0x80.. => {
                reader.integer(7)?;
                continue;
            }
            // A change of the dynamic table's size.
            0x20..=0x3f => {
                reader.integer(5)?;
                continue;
            }
            0x40..=0x7f => 6,
            _ => 4,
        };
        let is_authority = match reader.integer(prefix_bits)? {
            0 => reader.string()?.0 == AUTHORITY_NAME,
            index => index == AUTHORITY_INDEX,
        };
        let (value, at) = reader.string()?;
        if is_authority {
            return Ok(Some(Authority { value, at }));
        }
    }
    Ok(None)
}

/// The block is not HPACK.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

struct Reader<'a> {
    block: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn byte(&mut self) -> Result<u8, Malformed> {
        let byte = *self.block.get(self.at).ok_or(Malformed)?;
        self.at += 1;
        Ok(byte)
    }

    fn integer(&mut self, prefix_bits: u32) -> Result<usize, Malformed> {
        let mask = (1 << prefix_bits) - 1;
        let mut value = usize::from(self.byte()? & mask);
        if value < usize::from(mask) {
            return Ok(value);
        }
        // Four bytes of seven bits: more than any block holds.
        for shift in (0..28).step_by(7) {
            let byte = self.byte()?;
            value += usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed)
    }

    fn string(&mut self) -> Result<(Vec<u8>, Range<usize>), Malformed> {
        let start = self.at;
        let is_huffman = self.block.get(start).ok_or(Malformed)? & 0x80 != 0;
        let length = self.integer(7)?;
        let bytes = self.block.get(self.at..self.at + length).ok_or(Malformed)?;
        self.at += length;
        let string = if is_huffman {
            huffman::decode(bytes).ok_or(Malformed)?
        } else {
            bytes.to_vec()
        };
        Ok((string, start..self.at))
    }
}

/// `text` as a string of HPACK, not compressed.
pub(super) fn encode_string(text: &[u8], out: &mut Vec<u8>) {
    if text.len() < 127 {
        out.push(text.len() as u8);
    } else {
        out.push(127);
        let mut rest = text.len() - 127;
        while rest >= 128 {
            out.push((rest % 128) as u8 | 0x80);
            rest /= 128;
        }
        out.push(rest as u8);
    }
    out.extend_from_slice(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first request of RFC 7541, appendix C.3.1 and C.4.1: with and without Huffman's code.
    #[test]
    fn examples_of_the_standard() {
        let plain = b"\x82\x86\x84\x41\x0fwww.example.com";
        let found = find_authority(plain).unwrap().unwrap();
        assert_eq!((&found.value[..], found.at), (&b"www.example.com"[..], 4..20));
        let huffman = [
            0x82, 0x86, 0x84, 0x41, 0x8c, 0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4,
            0xff,
        ];
        let found = find_authority(&huffman).unwrap().unwrap();
        assert_eq!((&found.value[..], found.at), (&b"www.example.com"[..], 4..17));
        // The second request refers to the first.
        assert_eq!(find_authority(b"\x82\x86\x84\xbe\x58\x08no-cache"), Ok(None));
    }

    #[test]
    fn every_representation_is_passed_over() {
        let block = b"\x3f\xe1\x1f\x82\x04\x05/path\x10\x06secret\x01x\x40\x0a:authority\x02ok";
        assert_eq!(find_authority(block).unwrap().unwrap().value, b"ok");
    }

    #[test]
    fn malformed_blocks_are_told() {
        for block in [
            &b"\x41"[..],
            b"\x41\x05ab",
            b"\xff\xff\xff\xff\xff\xff",
            b"\x41\x81\x00",
            b"\x00\x7f\xff\xff\xff\xff",
        ] {
            assert_eq!(find_authority(block), Err(Malformed), "{block:x?}");
        }
    }

    #[test]
    fn long_strings_are_encoded() {
        for length in [0, 126, 127, 128, 300, 20_000] {
            let text = vec![b'x'; length];
            let mut block = vec![0x41];
            encode_string(&text, &mut block);
            assert_eq!(find_authority(&block).unwrap().unwrap().value.len(), length);
        }
    }
}
