//! Lets clients in whose `:authority` is none.
//!
//! grpc-go, grpc-java and gRPC for Python send the path of a unix socket as `:authority`, and etcdctl 3.4
//! sends a whole URL (`http://host:2379`) from the commands that ask one endpoint. etcd does not care; the
//! HTTP/2 library below us ends such requests with a protocol error and offers no way round. So what a
//! connection sends passes through a [`Filter`] until its first request has been seen. If that has a proper
//! authority, as nearly all have, the filter is done. If not, the filter stays, and puts in its place a name
//! of the same length: HPACK's two ends count the lengths of names to agree on what their tables hold.

mod hpack;
mod huffman;

use tonic::codegen::http::uri;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const FRAME_HEADER_BYTES: usize = 9;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;
/// The largest frame that this server takes, and so the largest that may leave here.
const MAX_FRAME_BYTES: usize = 16_384;
/// Header blocks that are larger are left to the HTTP/2 library, which refuses them.
const MAX_HEADERS_BYTES: usize = 64 * 1024;

/// What a client speaks, as the first bytes of its connection show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// Anything that does not begin as HTTP/2 does.
    Http1,
    Http2,
}

/// Looks at what one connection sends, and amends it where it must.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    /// Bytes that came in and are held back: the beginning of a frame, or header frames that are not
    /// complete.
    held: Vec<u8>,
    /// Bytes of the present frame still to come that are not looked at.
    pass: usize,
    /// Known once the preface has passed, or something else instead.
    protocol: Option<Protocol>,
    /// Whether an authority had to be amended on this connection.
    amends: bool,
    done: bool,
}

impl Filter {
    /// Takes what came in, and appends to `out` what may go on.
    pub fn feed(&mut self, mut input: &[u8], out: &mut Vec<u8>) {
        while !input.is_empty() && !self.done {
            if self.pass > 0 {
                let count = self.pass.min(input.len());
                out.extend_from_slice(&input[..count]);
                input = &input[count..];
                self.pass -= count;
                continue;
            }
            let missing = self.missing();
            let count = missing.min(input.len());
            self.held.extend_from_slice(&input[..count]);
            input = &input[count..];
            if self.protocol.is_none() {
                self.look_at_preface(out);
            } else if count == missing {
                self.step(out);
            }
        }
        out.extend_from_slice(input);
    }

    /// Whether nothing needs to be looked at any more; all that came in has gone out.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// What the client speaks; `None` as long as that is open.
    pub fn protocol(&self) -> Option<Protocol> {
        self.protocol
    }

    /// How many more bytes are needed to go on. Never 0.
    fn missing(&self) -> usize {
        if self.protocol.is_none() {
            return PREFACE.len() - self.held.len();
        }
        match Frames(&self.held).last_end() {
            End::Partial { missing } => missing,
            // A whole frame is held: header fields that go on in the next one.
            End::Whole => FRAME_HEADER_BYTES,
        }
    }

    /// The first byte that differs decides: a request of HTTP/1 may be shorter than the preface.
    fn look_at_preface(&mut self, out: &mut Vec<u8>) {
        if self.held == PREFACE {
            self.protocol = Some(Protocol::Http2);
        } else if !PREFACE.starts_with(&self.held) {
            self.protocol = Some(Protocol::Http1);
            self.done = true;
        } else {
            return;
        }
        out.append(&mut self.held);
    }

    fn step(&mut self, out: &mut Vec<u8>) {
        let frames = Frames(&self.held);
        let Some(first) = frames.first() else {
            return self.give_up(out);
        };
        if first.kind != HEADERS {
            // Of other frames only the header is held.
            self.pass = first.length;
            return out.append(&mut self.held);
        }
        if self.held.len() > MAX_HEADERS_BYTES || !frames.are_one_request() {
            return self.give_up(out);
        }
        if !frames.is_complete() {
            return;
        }
        match amended(&self.held) {
            Some(frame) => {
                self.amends = true;
                self.held.clear();
                out.extend_from_slice(&frame);
            }
            None => {
                self.done = !self.amends;
                out.append(&mut self.held);
            }
        }
    }

    fn give_up(&mut self, out: &mut Vec<u8>) {
        self.done = true;
        out.append(&mut self.held);
    }
}

/// One or more frames, the last of which may be partial.
#[derive(Clone, Copy)]
struct Frames<'a>(&'a [u8]);

#[derive(Clone, Copy)]
struct FrameHeader {
    length: usize,
    kind: u8,
    flags: u8,
    stream: [u8; 4],
}

enum End {
    Whole,
    Partial { missing: usize },
}

impl<'a> Frames<'a> {
    fn first(self) -> Option<FrameHeader> {
        let [a, b, c, kind, flags, stream @ ..] = self.0.first_chunk::<FRAME_HEADER_BYTES>()?;
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        Some(FrameHeader {
            length,
            kind: *kind,
            flags: *flags,
            stream: *stream,
        })
    }

    /// The whole frames, and then, if one is partial, nothing.
    fn whole(self) -> impl Iterator<Item = (FrameHeader, &'a [u8])> {
        let mut rest = self;
        std::iter::from_fn(move || {
            let header = rest.first()?;
            let payload = rest
                .0
                .get(FRAME_HEADER_BYTES..FRAME_HEADER_BYTES + header.length)?;
            rest = Frames(&rest.0[FRAME_HEADER_BYTES + header.length..]);
            Some((header, payload))
        })
    }

    fn last_end(self) -> End {
        let whole: usize = self
            .whole()
            .map(|(header, _)| FRAME_HEADER_BYTES + header.length)
            .sum();
        let rest = Frames(&self.0[whole..]);
        match rest.first() {
            None if rest.0.is_empty() && whole > 0 => End::Whole,
            None => End::Partial {
                missing: FRAME_HEADER_BYTES - rest.0.len(),
            },
            Some(header) => End::Partial {
                missing: FRAME_HEADER_BYTES + header.length - rest.0.len(),
            },
        }
    }

    /// Whether these can be the header frames of one request: HEADERS, then CONTINUATION only, none of them
    /// endless.
    fn are_one_request(self) -> bool {
        let mut rest = self.0;
        let mut expected = HEADERS;
        while let Some(header) = Frames(rest).first() {
            if header.kind != expected || header.length > MAX_FRAME_BYTES {
                return false;
            }
            expected = CONTINUATION;
            rest = rest.get(FRAME_HEADER_BYTES + header.length..).unwrap_or_default();
        }
        true
    }

    /// Whether the last frame is whole and says that it is the last.
    fn is_complete(self) -> bool {
        matches!(self.last_end(), End::Whole)
            && self
                .whole()
                .last()
                .is_some_and(|(header, _)| header.flags & END_HEADERS != 0)
    }
}

/// The header frames in `held` as one frame with a proper authority; `None` if they are well as they are, or
/// beyond help.
fn amended(held: &[u8]) -> Option<Vec<u8>> {
    let mut frames = Frames(held).whole();
    let (header, payload) = frames.next()?;
    let (before, first_part) = without_padding(header, payload)?;
    let mut block = first_part.to_vec();
    frames.for_each(|(_, part)| block.extend_from_slice(part));

    let authority = hpack::find_authority(&block).ok()??;
    if uri::Authority::try_from(&authority.value[..]).is_ok() {
        return None;
    }
    let mut fixed = block[..authority.at.start].to_vec();
    hpack::encode_string(&proper(&authority.value), &mut fixed);
    fixed.extend_from_slice(&block[authority.at.end..]);

    let length = before.len() + fixed.len();
    if length > MAX_FRAME_BYTES {
        return None;
    }
    let mut frame = Vec::with_capacity(FRAME_HEADER_BYTES + length);
    frame.extend_from_slice(&(length as u32).to_be_bytes()[1..]);
    frame.push(HEADERS);
    frame.push(header.flags & !PADDED | END_HEADERS);
    frame.extend_from_slice(&header.stream);
    frame.extend_from_slice(before);
    frame.extend_from_slice(&fixed);
    Some(frame)
}

/// The priority fields and the part of the header block in a HEADERS frame; `None` if its lengths contradict
/// each other.
fn without_padding(header: FrameHeader, payload: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut rest = payload;
    let mut padding = 0;
    if header.flags & PADDED != 0 {
        let (count, after) = rest.split_first()?;
        (padding, rest) = (usize::from(*count), after);
    }
    let priority = if header.flags & PRIORITY != 0 { 5 } else { 0 };
    let (before, rest) = rest.split_at_checked(priority)?;
    let part = rest.get(..rest.len().checked_sub(padding)?)?;
    Some((before, part))
}

/// A name of the same length: what no host name has is a dash.
fn proper(authority: &[u8]) -> Vec<u8> {
    let keep = |byte: &u8| {
        if byte.is_ascii_alphanumeric() || *byte == b'.' {
            *byte
        } else {
            b'-'
        }
    };
    authority.iter().map(keep).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = payload.len() as u32;
        [&length.to_be_bytes()[1..], &[kind, flags, 0, 0, 0, 1], payload].concat()
    }

    fn block(authority: &[u8]) -> Vec<u8> {
        let mut block = vec![0x83, 0x86, 0x41];
        hpack::encode_string(authority, &mut block);
        block.extend_from_slice(b"\x04\x05/path");
        block
    }

    fn headers(authority: &[u8]) -> Vec<u8> {
        frame(HEADERS, END_HEADERS, &block(authority))
    }

    /// Feeds `parts` in pieces of every size: the pieces a connection arrives in must not matter.
    #[track_caller]
    fn check(parts: &[Vec<u8>], expected: &[Vec<u8>], done: bool) {
        let (input, expected) = (parts.concat(), expected.concat());
        for size in [1, 2, 3, 7, 10, 100, input.len()] {
            let mut filter = Filter::default();
            let mut out = Vec::new();
            input.chunks(size).for_each(|piece| filter.feed(piece, &mut out));
            assert_eq!(out, expected, "in pieces of {size}");
            assert_eq!(filter.is_done(), done);
        }
    }

    #[test]
    fn a_proper_authority_ends_the_filter() {
        let settings = frame(4, 0, &[0; 6]);
        for authority in [&b"localhost:2379"[..], b"127.0.0.1", b"[::1]:2379"] {
            let parts = [
                PREFACE.to_vec(),
                settings.clone(),
                headers(authority),
                b"whatever".to_vec(),
            ];
            check(&parts, &parts, true);
        }
    }

    #[test]
    fn an_improper_one_is_amended_at_its_length_every_time() {
        let parts = |authority: &[u8]| {
            [
                PREFACE.to_vec(),
                frame(4, 0, &[]),
                headers(authority),
                frame(0, 1, b"data that looks like \x00\x00\x05\x01\x04"),
                headers(authority),
            ]
        };
        check(
            &parts(b"/tmp/cfgstore.sock"),
            &parts(b"-tmp-cfgstore.sock"),
            false,
        );
        check(
            &parts(b"http://127.0.0.1:2379"),
            &parts(b"http---127.0.0.1-2379"),
            false,
        );
        check(&parts(b"%2Ftmp%2Fx.sock"), &parts(b"-2Ftmp-2Fx.sock"), false);
        let long = [b"/d".repeat(100), b".sock".to_vec()].concat();
        check(
            &parts(&long),
            &parts(&[b"-d".repeat(100), b".sock".to_vec()].concat()),
            false,
        );
    }

    #[test]
    fn padding_priority_and_continuations_are_understood() {
        let block = block(b"/x.sock");
        let (one, two) = block.split_at(5);
        let padded = [&[3, 9, 9, 9, 9, 9], one, &[0, 0, 0]].concat();
        let input = [
            PREFACE.to_vec(),
            frame(HEADERS, PADDED | PRIORITY | 1, &padded),
            frame(CONTINUATION, 0, &two[..4]),
            frame(CONTINUATION, END_HEADERS, &two[4..]),
        ];
        let fixed = [&[9; 5][..], &super::tests::block(b"-x.sock")].concat();
        let output = [
            PREFACE.to_vec(),
            frame(HEADERS, PRIORITY | END_HEADERS | 1, &fixed),
        ];
        check(&input, &output, false);
    }

    #[test]
    fn what_is_not_understood_passes() {
        let http1 = b"GET /health HTTP/1.1\r\nHost: /tmp/x\r\n\r\n".to_vec();
        check(std::slice::from_ref(&http1), std::slice::from_ref(&http1), true);
        // It begins as the preface does, and is shorter.
        let short = b"PUT / HTTP/1.0\r\n\r\n".to_vec();
        check(std::slice::from_ref(&short), std::slice::from_ref(&short), true);
        let malformed = [PREFACE.to_vec(), frame(HEADERS, END_HEADERS, b"\x41\x7f")];
        check(&malformed, &malformed, true);
        let interrupted = [
            PREFACE.to_vec(),
            frame(HEADERS, 0, &block(b"/x")),
            frame(0, 0, b"d"),
        ];
        check(&interrupted, &interrupted, true);
        let large = frame(HEADERS, 0, &[0x82; MAX_FRAME_BYTES]);
        let endless: Vec<_> = [PREFACE.to_vec(), large]
            .into_iter()
            .chain((0..6).map(|_| frame(CONTINUATION, 0, &[0x82; MAX_FRAME_BYTES])))
            .collect();
        check(&endless, &endless, true);
    }
}
