//! Splits a response that is too large for one message, for clients that allow it.

use std::collections::VecDeque;

use cfgstore_proto::etcdserverpb::WatchResponse;
use prost::Message;
use prost::encoding::encoded_len_varint;

/// The response in pieces of at most `max_bytes`; an event that is larger by itself has a piece of its own.
/// All but the last say that more follows.
pub(super) fn split(mut response: WatchResponse, max_bytes: usize) -> VecDeque<WatchResponse> {
    if response.encoded_len() <= max_bytes || response.events.len() < 2 {
        return VecDeque::from([response]);
    }
    let events = std::mem::take(&mut response.events);
    // `fragment: true` takes two bytes more than the empty response.
    let empty_bytes = response.encoded_len() + 2;
    let mut pieces = VecDeque::new();
    let blank = WatchResponse {
        fragment: true,
        ..response
    };
    let mut piece = blank.clone();
    let mut piece_bytes = empty_bytes;
    for event in events {
        let event_bytes = event.encoded_len();
        let event_bytes = 1 + encoded_len_varint(event_bytes as u64) + event_bytes;
        if piece_bytes + event_bytes > max_bytes && !piece.events.is_empty() {
            pieces.push_back(std::mem::replace(&mut piece, blank.clone()));
            piece_bytes = empty_bytes;
        }
        piece_bytes += event_bytes;
        piece.events.push(event);
    }
    piece.fragment = false;
    pieces.push_back(piece);
    pieces
}

#[cfg(test)]
mod tests {
    use cfgstore_proto::mvccpb::{Event, KeyValue};

    use super::*;

    fn response(values: &[usize]) -> WatchResponse {
        let event = |(number, size): (usize, &usize)| Event {
            kv: Some(KeyValue {
                version: number as i64,
                value: vec![0; *size].into(),
                ..Default::default()
            }),
            ..Default::default()
        };
        let events = values.iter().enumerate().map(event).collect();
        WatchResponse {
            watch_id: 7,
            header: Some(Default::default()),
            events,
            ..Default::default()
        }
    }

    #[test]
    fn pieces_fit_and_together_are_the_whole() {
        let whole = response(&[100, 100, 100, 3_000, 1, 1, 990]);
        let pieces = split(whole.clone(), 1_000);
        let (last, others) = pieces
            .iter()
            .collect::<Vec<_>>()
            .split_last()
            .map(|(l, o)| (*l, o.to_vec()))
            .unwrap();
        assert!(others.iter().all(|piece| piece.fragment) && !last.fragment);
        for piece in &pieces {
            assert!(
                piece.encoded_len() <= 1_000 || piece.events.len() == 1,
                "{}",
                piece.encoded_len()
            );
            assert_eq!((piece.watch_id, &piece.header), (7, &whole.header));
        }
        let events: Vec<_> = pieces.iter().flat_map(|piece| piece.events.clone()).collect();
        assert_eq!(events, whole.events);
        assert_eq!(pieces.len(), 4);
    }

    #[test]
    fn what_fits_stays_whole() {
        assert_eq!(split(response(&[1, 2]), 1_000).len(), 1);
        assert_eq!(split(response(&[5_000]), 1_000).len(), 1);
    }
}
