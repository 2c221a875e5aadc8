//! HPACK's Huffman code (RFC 7541, appendix B), decoding only.
//!
//! The code is canonical: codes of one length are consecutive, in the order of their symbols, and begin where
//! the next shorter ones end. So the lengths alone say everything.

/// The length in bits of each byte's code. The end-of-string symbol has 30 bits and is never sent.
const LENGTHS: [u8; 256] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28,
    28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6,
    6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7,
    8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7,
    15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24,
    23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23,
    23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26,
    26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20,
    21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27,
    27, 27, 26,
];

const LONGEST: usize = 30;

/// The first code of each length, and where its symbols begin in `SYMBOLS`.
const FIRST: [(u32, u16); LONGEST + 2] = first_codes();

/// All bytes, by length of code and then by value.
const SYMBOLS: [u8; 256] = symbols();

const fn first_codes() -> [(u32, u16); LONGEST + 2] {
    let mut first = [(0, 0); LONGEST + 2];
    let mut length = 1;
    while length <= LONGEST + 1 {
        let (code, symbol) = first[length - 1];
        let count = count_of(length - 1);
        first[length] = ((code + count) << 1, symbol + count as u16);
        length += 1;
    }
    first
}

const fn count_of(length: usize) -> u32 {
    let (mut count, mut byte) = (0, 0);
    while byte < 256 {
        count += (LENGTHS[byte] as usize == length) as u32;
        byte += 1;
    }
    count
}

const fn symbols() -> [u8; 256] {
    let mut symbols = [0; 256];
    let (mut next, mut length) = (0, 1);
    while length <= LONGEST {
        let mut byte = 0;
        while byte < 256 {
            if LENGTHS[byte] as usize == length {
                symbols[next] = byte as u8;
                next += 1;
            }
            byte += 1;
        }
        length += 1;
    }
    symbols
}

/// Decodes a string; `None` if it is not one.
pub(super) fn decode(encoded: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(encoded.len() * 8 / 5);
    let (mut code, mut length) = (0u32, 0usize);
    for byte in encoded {
        for bit in (0..8).rev() {
            code = code << 1 | u32::from(byte >> bit & 1);
            length += 1;
            if length > LONGEST {
                return None;
            }
            let (first, symbol) = FIRST[length];
            let (_, next_symbol) = FIRST[length + 1];
            if code >= first && code - first < u32::from(next_symbol - symbol) {
                decoded.push(SYMBOLS[usize::from(symbol) + (code - first) as usize]);
                (code, length) = (0, 0);
            }
        }
    }
    // What is left is padding: fewer than eight bits, all ones.
    (length < 8 && code == (1 << length) - 1).then_some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of RFC 7541, appendix C.
    #[test]
    fn examples_of_the_standard() {
        for (encoded, text) in [
            (
                &[
                    0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff,
                ][..],
                "www.example.com",
            ),
            (&[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf], "no-cache"),
            (&[0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xa9, 0x7d, 0x7f], "custom-key"),
            (
                &[
                    0xd0, 0x7a, 0xbe, 0x94, 0x10, 0x54, 0xd4, 0x44, 0xa8, 0x20, 0x05, 0x95, 0x04, 0x0b, 0x81,
                    0x66, 0xe0, 0x82, 0xa6, 0x2d, 0x1b, 0xff,
                ],
                "Mon, 21 Oct 2013 20:13:21 GMT",
            ),
        ] {
            assert_eq!(decode(encoded).as_deref(), Some(text.as_bytes()));
        }
    }

    #[test]
    fn what_is_not_a_string_is_refused() {
        // Padding of zeros, padding of a whole byte, the end-of-string symbol.
        assert_eq!(decode(&[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xb0]), None);
        assert_eq!(decode(&[0xff]), None);
        assert_eq!(decode(&[0xff, 0xff, 0xff, 0xff]), None);
        assert_eq!(decode(&[]).as_deref(), Some(&[][..]));
    }
}
