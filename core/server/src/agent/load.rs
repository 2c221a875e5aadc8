//! A copy of a whole store at one revision, read in pages.

use bytes::Bytes;
use cfgstore_client::{Client, Error, ErrorKind, Result};
use cfgstore_proto::etcdserverpb as pb;
use cfgstore_proto::mvccpb::KeyValue;

use crate::mirror_outlet::is_public;

/// What a page should weigh; it is at most a key more, or what a thousand keys weigh where sizes change abruptly.
const PAGE_BYTES: usize = 2 << 20;
const FIRST_PAGE_KEYS: i64 = 256;
const MAX_PAGE_KEYS: i64 = 10_000;

/// Every key that is configuration, as of one revision.
pub(super) struct Loaded {
    pub revision: i64,
    /// In the order of the keys.
    pub kvs: Vec<KeyValue>,
    /// The keys that are cfgstore's own, in their order.
    reserved: Vec<Bytes>,
}

impl Loaded {
    /// Whether a key exists, of whatever kind.
    pub fn has(&self, key: &[u8]) -> bool {
        if is_public(key) {
            self.kvs.binary_search_by(|kv| kv.key[..].cmp(key)).is_ok()
        } else {
            self.reserved.binary_search_by(|known| known[..].cmp(key)).is_ok()
        }
    }
}

/// Reads every key. When the revision is compacted meanwhile, or a member has not reached it yet, it begins anew.
pub(super) async fn load(client: &Client) -> Result<Loaded> {
    loop {
        match load_once(client).await {
            Err(error) if error.kind == ErrorKind::Compacted => {
                tracing::info!("the revision that was being copied is compacted, the copy begins anew");
            }
            other => return other,
        }
    }
}

async fn load_once(client: &Client) -> Result<Loaded> {
    let mut loaded = Loaded {
        revision: 0,
        kvs: Vec::new(),
        reserved: Vec::new(),
    };
    let mut limit = FIRST_PAGE_KEYS;
    let mut from = Bytes::from_static(b"\0");
    loop {
        let request = pb::RangeRequest {
            key: from,
            range_end: Bytes::from_static(b"\0"),
            limit,
            revision: loaded.revision,
            ..Default::default()
        };
        let page = client.range_as_is(request).await?;
        if loaded.revision == 0 {
            loaded.revision = page.header.map_or(0, |header| header.revision);
        }
        let next = page.kvs.last().map(|kv| [&kv.key[..], b"\0"].concat());
        limit = next_limit(&page.kvs);
        // Copied out of the page, which would live on with the smallest of its values.
        for kv in page.kvs {
            if is_public(&kv.key) {
                loaded.kvs.push(own(kv));
            } else {
                loaded.reserved.push(Bytes::copy_from_slice(&kv.key));
            }
        }
        match next {
            Some(next) if page.more => from = next.into(),
            None if page.more => {
                return Err(Error::new(
                    ErrorKind::Internal,
                    "a member answered with no keys and said that there are more",
                ));
            }
            _ => return Ok(loaded),
        }
    }
}

fn own(kv: KeyValue) -> KeyValue {
    KeyValue {
        key: Bytes::copy_from_slice(&kv.key),
        value: Bytes::copy_from_slice(&kv.value),
        ..kv
    }
}

/// So many keys as would have made a page of the wanted size.
fn next_limit(kvs: &[KeyValue]) -> i64 {
    let bytes: usize = kvs.iter().map(|kv| kv.key.len() + kv.value.len() + 32).sum();
    let keys = (kvs.len().max(1) * PAGE_BYTES) / bytes.max(1);
    i64::try_from(keys)
        .unwrap_or(MAX_PAGE_KEYS)
        .clamp(1, MAX_PAGE_KEYS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kv(bytes: usize) -> KeyValue {
        KeyValue {
            value: vec![0; bytes].into(),
            ..Default::default()
        }
    }

    #[test]
    fn pages_are_of_one_weight() {
        assert_eq!(next_limit(&[]), MAX_PAGE_KEYS);
        assert_eq!(next_limit(&[kv(0)]), MAX_PAGE_KEYS);
        assert_eq!(next_limit(&[kv((1 << 20) - 32), kv((1 << 20) - 32)]), 2);
        assert_eq!(next_limit(&[kv(100 << 20)]), 1);
    }
}
