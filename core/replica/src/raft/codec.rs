//! Bytes of entry payloads and memberships. `docs/wal-format.md` has the tables.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use cfgstore_store::{Caller, Command, codec};
use openraft::EntryPayload;
use thiserror::Error;

use crate::raft::types::{
    Batch, BatchContent, BatchOrigin, Batches, BatchesContent, MemberNode, Membership, Payload,
};

/// Kind of an entry without content: a new leader's first.
pub(crate) const KIND_BLANK: u8 = 0;
/// Kind of an entry with commands that does not say who proposed it: of the first format, only read.
pub(crate) const KIND_COMMANDS_UNNAMED: u8 = 1;
/// Kind of an entry that changes the membership.
pub(crate) const KIND_MEMBERSHIP: u8 = 2;
/// Kind of an entry with one batch of commands.
pub(crate) const KIND_COMMANDS: u8 = 3;
/// Kind of an entry with several batches of commands.
pub(crate) const KIND_BATCHES: u8 = 4;

/// Bytes of a batch before its commands: time, origin and count.
const BATCH_HEADER_BYTES: usize = 36;
/// The same in the first format: time and count.
const UNNAMED_HEADER_BYTES: usize = 12;

/// Why a payload could not be decoded. Its checksum was right, so it was written like this: by a newer program, or by a
/// faulty one.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("cannot decode {what}: {reason}")]
pub(crate) struct PayloadError {
    pub(crate) what: &'static str,
    pub(crate) reason: String,
}

fn refuse<T>(what: &'static str, reason: impl Into<String>) -> Result<T, PayloadError> {
    Err(PayloadError {
        what,
        reason: reason.into(),
    })
}

/// Collects the commands of the next batch, encoding each as it arrives.
pub(crate) struct BatchBuilder {
    commands: Vec<(Caller, Command)>,
    encoded: Vec<u8>,
}

impl BatchBuilder {
    pub(crate) fn new() -> Self {
        Self {
            commands: Vec::new(),
            encoded: vec![0; BATCH_HEADER_BYTES],
        }
    }

    /// Bytes so far.
    pub(crate) fn size_bytes(&self) -> usize {
        self.encoded.len()
    }

    /// Adds a command unless it is larger than `limit_bytes`; `Err` is its encoded size.
    pub(crate) fn push(
        &mut self,
        caller: Caller,
        command: Command,
        limit_bytes: usize,
    ) -> Result<usize, usize> {
        let start = self.encoded.len();
        self.encoded.put_u32_le(0);
        codec::encode_command(&caller, &command, &mut self.encoded);
        let size = self.encoded.len() - start - 4;
        match u32::try_from(size) {
            Ok(prefix) if size <= limit_bytes => {
                self.encoded[start..start + 4].copy_from_slice(&prefix.to_le_bytes());
                self.commands.push((caller, command));
                Ok(size)
            }
            _ => {
                self.encoded.truncate(start);
                Err(size)
            }
        }
    }

    /// Closes the batch.
    pub(crate) fn finish(mut self, time_unix_ms: i64, origin: BatchOrigin) -> Batch {
        let count = u32::try_from(self.commands.len()).expect("a batch holds at most max_batch_commands");
        put_header(&mut self.encoded, time_unix_ms, origin);
        self.encoded[32..36].copy_from_slice(&count.to_le_bytes());
        Batch(Arc::new(BatchContent {
            origin: Some(origin),
            time_unix_ms,
            commands: self.commands,
            encoded: Bytes::from(self.encoded),
        }))
    }
}

fn put_header(encoded: &mut [u8], time_unix_ms: i64, origin: BatchOrigin) {
    encoded[0..8].copy_from_slice(&time_unix_ms.to_le_bytes());
    encoded[8..16].copy_from_slice(&origin.member.to_le_bytes());
    encoded[16..24].copy_from_slice(&origin.session.to_le_bytes());
    encoded[24..32].copy_from_slice(&origin.sequence.to_le_bytes());
}

/// The same commands under another name, to be proposed again.
pub(crate) fn rename(batch: &Batch, time_unix_ms: i64, origin: BatchOrigin) -> Batch {
    let mut encoded = batch.0.encoded.to_vec();
    put_header(&mut encoded, time_unix_ms, origin);
    Batch(Arc::new(BatchContent {
        origin: Some(origin),
        time_unix_ms,
        commands: batch.0.commands.clone(),
        encoded: Bytes::from(encoded),
    }))
}

/// A batch that another member proposes, with the time it gets here.
pub(crate) fn decode_proposal(encoded: Bytes, time_unix_ms: i64) -> Result<Batch, PayloadError> {
    let mut encoded = BytesMut::from(encoded);
    if encoded.len() >= BATCH_HEADER_BYTES {
        encoded[0..8].copy_from_slice(&time_unix_ms.to_le_bytes());
    }
    decode_batch(encoded.freeze(), true)
}

fn decode_batch(encoded: Bytes, named: bool) -> Result<Batch, PayloadError> {
    let mut rest = encoded.clone();
    let header_bytes = if named {
        BATCH_HEADER_BYTES
    } else {
        UNNAMED_HEADER_BYTES
    };
    if rest.len() < header_bytes {
        return refuse("a batch of commands", "it is shorter than its header");
    }
    let time_unix_ms = rest.get_i64_le();
    let origin = named.then(|| BatchOrigin {
        member: rest.get_u64_le(),
        session: rest.get_u64_le(),
        sequence: rest.get_u64_le(),
    });
    let count = rest.get_u32_le() as usize;
    // The count is checked by what follows it; it must not be trusted with an allocation before.
    let mut commands = Vec::with_capacity(count.min(1024));
    for _ in 0..count {
        if rest.len() < 4 {
            return refuse("a batch of commands", "it ends within a length");
        }
        let len = rest.get_u32_le() as usize;
        if rest.len() < len {
            return refuse("a batch of commands", "it ends within a command");
        }
        match codec::decode_command(&rest.split_to(len)) {
            Ok(command) => commands.push(command),
            Err(error) => return refuse("a command", error.to_string()),
        }
    }
    if !rest.is_empty() {
        return refuse("a batch of commands", "bytes follow the last command");
    }
    Ok(Batch(Arc::new(BatchContent {
        origin,
        time_unix_ms,
        commands,
        encoded,
    })))
}

/// One entry of these batches, of which there is at least one.
pub(crate) fn merge(batches: Vec<Batch>) -> Batches {
    let encoded = match batches.as_slice() {
        [] => unreachable!("an entry is made of what was offered"),
        [batch] => batch.0.encoded.clone(),
        several => {
            let size_bytes = several
                .iter()
                .map(|batch| 4 + batch.0.encoded.len())
                .sum::<usize>();
            let mut encoded = BytesMut::with_capacity(4 + size_bytes);
            put_count(several.len(), &mut encoded);
            for Batch(batch) in several {
                let len = u32::try_from(batch.encoded.len()).expect("a batch is far below 4 GiB");
                encoded.put_u32_le(len);
                encoded.put_slice(&batch.encoded);
            }
            encoded.freeze()
        }
    };
    Batches(Arc::new(BatchesContent { batches, encoded }))
}

fn decode_batches(encoded: Bytes) -> Result<Batches, PayloadError> {
    const WHAT: &str = "an entry of several batches";
    let mut rest = encoded.clone();
    let length = |rest: &mut Bytes| {
        if rest.len() < 4 {
            return refuse(WHAT, "it ends within a length");
        }
        Ok(rest.get_u32_le() as usize)
    };
    let count = length(&mut rest)?;
    if count < 2 {
        return refuse(WHAT, "there are fewer than two");
    }
    let mut batches = Vec::new();
    for _ in 0..count {
        let len = length(&mut rest)?;
        if rest.len() < len {
            return refuse(WHAT, "it ends within a batch");
        }
        batches.push(decode_batch(rest.split_to(len), true)?);
    }
    if !rest.is_empty() {
        return refuse(WHAT, "bytes follow the last batch");
    }
    Ok(Batches(Arc::new(BatchesContent { batches, encoded })))
}

/// Kind and bytes of a payload.
pub(crate) fn encode_payload(payload: &Payload) -> (u8, Bytes) {
    match payload {
        EntryPayload::Blank => (KIND_BLANK, Bytes::new()),
        EntryPayload::Normal(Batches(content)) => {
            let kind = match content.batches.as_slice() {
                [batch] if batch.0.origin.is_none() => KIND_COMMANDS_UNNAMED,
                [_] => KIND_COMMANDS,
                _ => KIND_BATCHES,
            };
            (kind, content.encoded.clone())
        }
        EntryPayload::Membership(membership) => {
            let mut out = BytesMut::new();
            encode_membership(membership, &mut out);
            (KIND_MEMBERSHIP, out.freeze())
        }
    }
}

/// The payload of this kind in these bytes.
pub(crate) fn decode_payload(kind: u8, bytes: Bytes) -> Result<Payload, PayloadError> {
    match kind {
        KIND_BLANK if bytes.is_empty() => Ok(EntryPayload::Blank),
        KIND_BLANK => refuse("a blank entry", "it has content"),
        KIND_COMMANDS => Ok(EntryPayload::Normal(merge(vec![decode_batch(bytes, true)?]))),
        KIND_COMMANDS_UNNAMED => Ok(EntryPayload::Normal(merge(vec![decode_batch(bytes, false)?]))),
        KIND_BATCHES => Ok(EntryPayload::Normal(decode_batches(bytes)?)),
        KIND_MEMBERSHIP => {
            let mut bytes = bytes;
            let membership = decode_membership(&mut bytes)?;
            if bytes.is_empty() {
                Ok(EntryPayload::Membership(membership))
            } else {
                refuse("a membership", "bytes follow it")
            }
        }
        other => refuse(
            "a log entry",
            format!("its kind {other} is unknown; a newer version of cfgstore may know it"),
        ),
    }
}

fn put_string(text: &str, out: &mut BytesMut) {
    out.put_u32_le(u32::try_from(text.len()).expect("names and addresses are far below 4 GiB"));
    out.put_slice(text.as_bytes());
}

fn put_count(count: usize, out: &mut BytesMut) {
    out.put_u32_le(u32::try_from(count).expect("an entry has far fewer than 2^32 parts"));
}

/// Stands where memberships of the first format have the number of their configurations.
const MEMBERSHIP_VERSIONED: u32 = u32::MAX;
/// Newest format of memberships.
const MEMBERSHIP_VERSION: u32 = 2;
/// Flag of a node: see [`MemberNode::promote_when_ready`].
const NODE_PROMOTE_WHEN_READY: u32 = 1;

/// Appends a membership.
pub(crate) fn encode_membership(membership: &Membership, out: &mut BytesMut) {
    out.put_u32_le(MEMBERSHIP_VERSIONED);
    out.put_u32_le(MEMBERSHIP_VERSION);
    let configs = membership.get_joint_config();
    put_count(configs.len(), out);
    for config in configs {
        put_count(config.len(), out);
        config.iter().for_each(|id| out.put_u64_le(*id));
    }
    let nodes: Vec<_> = membership.nodes().collect();
    put_count(nodes.len(), out);
    for (id, node) in nodes {
        out.put_u64_le(*id);
        put_string(&node.name, out);
        for urls in [&node.peer_urls, &node.client_urls] {
            put_count(urls.len(), out);
            urls.iter().for_each(|url| put_string(url, out));
        }
        out.put_u64_le(node.life);
        out.put_u32_le(if node.promote_when_ready {
            NODE_PROMOTE_WHEN_READY
        } else {
            0
        });
    }
}

/// Takes a membership off the front of `bytes`.
pub(crate) fn decode_membership(bytes: &mut Bytes) -> Result<Membership, PayloadError> {
    const WHAT: &str = "a membership";
    fn count(bytes: &mut Bytes) -> Result<usize, PayloadError> {
        if bytes.len() < 4 {
            refuse(WHAT, "it ends within a count")
        } else {
            Ok(bytes.get_u32_le() as usize)
        }
    }
    fn id(bytes: &mut Bytes) -> Result<u64, PayloadError> {
        if bytes.len() < 8 {
            refuse(WHAT, "it ends within a member id")
        } else {
            Ok(bytes.get_u64_le())
        }
    }
    fn string(bytes: &mut Bytes) -> Result<String, PayloadError> {
        let len = count(bytes)?;
        if bytes.len() < len {
            return refuse(WHAT, "it ends within a string");
        }
        match String::from_utf8(bytes.split_to(len).to_vec()) {
            Ok(text) => Ok(text),
            Err(_) => refuse(WHAT, "a string is not UTF-8"),
        }
    }
    fn strings(bytes: &mut Bytes) -> Result<Vec<String>, PayloadError> {
        (0..count(bytes)?).map(|_| string(bytes)).collect()
    }
    let mut config_count = count(bytes)?;
    let versioned = config_count == MEMBERSHIP_VERSIONED as usize;
    if versioned {
        match count(bytes)? {
            2 => config_count = count(bytes)?,
            other => {
                return refuse(
                    WHAT,
                    format!("its format {other} is unknown; a newer version of cfgstore may know it"),
                );
            }
        }
    }
    let mut configs = Vec::new();
    for _ in 0..config_count {
        let config = (0..count(bytes)?)
            .map(|_| id(bytes))
            .collect::<Result<BTreeSet<u64>, _>>()?;
        configs.push(config);
    }
    let mut nodes = BTreeMap::new();
    for _ in 0..count(bytes)? {
        let member = id(bytes)?;
        let mut node = MemberNode {
            name: string(bytes)?,
            peer_urls: strings(bytes)?,
            client_urls: strings(bytes)?,
            ..MemberNode::default()
        };
        if versioned {
            node.life = id(bytes)?;
            let flags = count(bytes)? as u32;
            if flags & !NODE_PROMOTE_WHEN_READY != 0 {
                return refuse(WHAT, "a member has flags of a newer version of cfgstore");
            }
            node.promote_when_ready = flags & NODE_PROMOTE_WHEN_READY != 0;
        }
        nodes.insert(member, node);
    }
    if configs.is_empty() && nodes.is_empty() {
        return Ok(Membership::default());
    }
    Membership::new(configs, nodes).or_else(|error| refuse(WHAT, error.to_string()))
}

#[cfg(test)]
mod tests {
    use cfgstore_store::Put;

    use super::*;

    #[test]
    fn memberships_round_trip_and_truncated_ones_are_refused() {
        let node = |name: &str| MemberNode {
            name: name.into(),
            peer_urls: vec![format!("http://{name}:2380")],
            client_urls: vec![],
            life: 77,
            promote_when_ready: name == "learner",
        };
        let nodes = BTreeMap::from([(1, node("a")), (2, node("b")), (9, node("learner"))]);
        for membership in [
            Membership::default(),
            Membership::new(vec![BTreeSet::from([1])], nodes.clone()).unwrap(),
            Membership::new(vec![BTreeSet::from([1]), BTreeSet::from([1, 2])], nodes).unwrap(),
        ] {
            let (kind, bytes) = encode_payload(&EntryPayload::Membership(membership.clone()));
            assert!(decode_payload(kind, bytes.clone()).unwrap() == EntryPayload::Membership(membership));
            for len in 0..bytes.len() {
                assert!(decode_payload(kind, bytes.slice(..len)).is_err());
            }
        }
    }

    #[test]
    fn memberships_of_the_first_format_are_read_and_unknown_ones_refused() {
        let mut old = BytesMut::new();
        put_count(1, &mut old);
        put_count(1, &mut old);
        old.put_u64_le(7);
        put_count(1, &mut old);
        old.put_u64_le(7);
        put_string("a", &mut old);
        put_count(0, &mut old);
        put_count(0, &mut old);
        let membership = decode_membership(&mut old.freeze()).unwrap();
        let node = membership.get_node(&7).unwrap();
        assert_eq!((node.name.as_str(), node.life), ("a", 0));
        assert_eq!(membership.voter_ids().collect::<Vec<_>>(), [7]);

        let mut newer = BytesMut::new();
        newer.put_u32_le(MEMBERSHIP_VERSIONED);
        newer.put_u32_le(3);
        let error = decode_membership(&mut newer.freeze()).unwrap_err();
        assert!(error.to_string().contains("newer version"), "{error}");
    }

    /// The batch of an entry that has one.
    fn decode_only(kind: u8, bytes: Bytes) -> Batch {
        match decode_payload(kind, bytes).unwrap() {
            EntryPayload::Normal(Batches(content)) if content.batches.len() == 1 => {
                content.batches[0].clone()
            }
            other => panic!("{other}"),
        }
    }

    #[test]
    fn merged_batches_stay_apart_and_truncated_ones_are_refused() {
        let batch = |sequence: u64| {
            let mut builder = BatchBuilder::new();
            let put = Put {
                key: format!("k{sequence}").into(),
                ..Put::default()
            };
            builder.push(Caller::default(), Command::Put(put), 1000).unwrap();
            let origin = BatchOrigin {
                member: sequence % 2,
                session: 2,
                sequence,
            };
            builder.finish(1_700_000_000_000 + sequence as i64, origin)
        };
        let batches: Vec<Batch> = (0..3).map(batch).collect();
        let (kind, bytes) = encode_payload(&EntryPayload::Normal(merge(batches.clone())));
        assert_eq!(kind, KIND_BATCHES);
        let EntryPayload::Normal(decoded) = decode_payload(kind, bytes.clone()).unwrap() else {
            panic!()
        };
        let content = |Batch(batch): &Batch| (batch.origin, batch.time_unix_ms, batch.commands.clone());
        assert_eq!(
            decoded.0.batches.iter().map(content).collect::<Vec<_>>(),
            batches.iter().map(content).collect::<Vec<_>>()
        );
        assert!(encode_payload(&EntryPayload::Normal(decoded)) == (kind, bytes.clone()));
        for len in 0..bytes.len() {
            assert!(decode_payload(kind, bytes.slice(..len)).is_err());
        }
        let (kind, one) = encode_payload(&EntryPayload::Normal(merge(batches[..1].to_vec())));
        assert_eq!((kind, one), (KIND_COMMANDS, batches[0].0.encoded.clone()));
    }

    #[test]
    fn batches_round_trip_and_truncated_ones_are_refused() {
        let command = |n: u8| {
            Command::Put(Put {
                key: vec![n].into(),
                value: vec![n; 10].into(),
                ..Put::default()
            })
        };
        let caller = Caller {
            user: None,
            client: Some("test".into()),
            ..Caller::default()
        };
        let mut builder = BatchBuilder::new();
        for n in 0..3 {
            builder.push(caller.clone(), command(n), 1000).unwrap();
        }
        let before = builder.size_bytes();
        let size = builder.push(caller.clone(), command(3), 10).unwrap_err();
        assert!(size > 10);
        assert_eq!(builder.size_bytes(), before);
        let origin = BatchOrigin {
            member: 1,
            session: 2,
            sequence: 3,
        };
        let batch = builder.finish(1_700_000_000_123, origin);
        let bytes = batch.0.encoded.clone();
        let decoded = decode_only(KIND_COMMANDS, bytes.clone());
        assert_eq!(decoded.0.time_unix_ms, 1_700_000_000_123);
        assert_eq!(decoded.0.origin, Some(origin));
        let next = BatchOrigin {
            sequence: 4,
            ..origin
        };
        let renamed = decode_proposal(rename(&decoded, 5, next).0.encoded.clone(), 6).unwrap();
        assert_eq!((renamed.0.time_unix_ms, renamed.0.origin), (6, Some(next)));
        assert_eq!(renamed.0.commands, decoded.0.commands);
        // As the first format had it: without the origin.
        let unnamed = [&bytes[..8], &bytes[32..]].concat();
        let old = decode_payload(KIND_COMMANDS_UNNAMED, unnamed.clone().into()).unwrap();
        assert!(encode_payload(&old) == (KIND_COMMANDS_UNNAMED, unnamed.clone().into()));
        let old = decode_only(KIND_COMMANDS_UNNAMED, unnamed.into());
        assert_eq!((old.0.origin, &old.0.commands), (None, &decoded.0.commands));
        assert_eq!(
            decoded.0.commands,
            (0..3).map(|n| (caller.clone(), command(n))).collect::<Vec<_>>()
        );
        for len in 0..bytes.len() {
            assert!(decode_payload(KIND_COMMANDS, bytes.slice(..len)).is_err());
        }
        assert!(
            decode_payload(77, bytes)
                .unwrap_err()
                .to_string()
                .contains("newer version")
        );
    }
}
