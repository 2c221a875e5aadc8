//! Prefixes, limits of keys, the keys that belong to cfgstore itself, and which values are sealed.

use std::sync::Arc;

use bytes::Bytes;
use cfgstore_seal::LiveKeyring;

use crate::error::{Error, ErrorKind, Result};

/// Longest key, its prefix included.
pub const MAX_KEY_BYTES: usize = 64 * 1024;

/// Keys below this belong to cfgstore. Ranges and watches of shorter prefixes leave them out.
pub const RESERVED_PREFIX: &[u8] = b"/_cfgstore/";

const LOCKS: &[u8] = b"lock/";

/// The part of the key space below one prefix, and the keyring for its values.
#[derive(Debug, Clone)]
pub(crate) struct Keyspace {
    prefix: Bytes,
    keyring: Option<Arc<LiveKeyring>>,
}

/// Start and end as etcd's requests have them.
#[derive(Debug, Clone)]
pub(crate) struct Span {
    pub key: Bytes,
    pub range_end: Bytes,
    /// Reserved keys lie inside, but were not asked for.
    pub hides_reserved: bool,
}

impl Keyspace {
    pub fn new(prefix: Vec<u8>) -> Result<Keyspace> {
        if prefix.len() >= MAX_KEY_BYTES {
            return Err(too_large(prefix.len()));
        }
        Ok(Keyspace {
            prefix: prefix.into(),
            keyring: None,
        })
    }

    pub fn with_keyring(self, keyring: Option<Arc<LiveKeyring>>) -> Keyspace {
        Keyspace { keyring, ..self }
    }

    /// The value as it is to be stored under a whole key.
    pub fn seal(&self, key: &[u8], value: Bytes) -> Result<Bytes> {
        match self.keyring_of(key) {
            Some(keyring) => Ok(keyring.seal(key, &value)?.map_or(value, Bytes::from)),
            None => Ok(value),
        }
    }

    /// A stored value of a whole key as it was put; or as it is stored, and why it can't be opened.
    pub fn open(&self, key: &[u8], value: Bytes) -> (Bytes, Option<Box<Error>>) {
        match self.keyring_of(key).map(|keyring| keyring.open(key, &value)) {
            None | Some(Ok(None)) => (value, None),
            Some(Ok(Some(plain))) => (plain.into(), None),
            Some(Err(error)) => (value, Some(Box::new(error.into()))),
        }
    }

    fn keyring_of(&self, key: &[u8]) -> Option<&LiveKeyring> {
        self.keyring
            .as_deref()
            .filter(|_| !key.starts_with(RESERVED_PREFIX))
    }

    /// The whole key of `key`.
    pub fn key(&self, key: &[u8]) -> Result<Bytes> {
        if key.is_empty() {
            return Err(Error::invalid("the key is empty; name at least one byte"));
        }
        self.joined(key)
    }

    /// The keys that begin with `below`, which may be empty.
    pub fn below(&self, below: &[u8]) -> Result<Span> {
        let start = self.joined(below)?;
        let hides_reserved = !start.starts_with(RESERVED_PREFIX) && RESERVED_PREFIX.starts_with(&start);
        if start.is_empty() {
            let every = Bytes::from_static(b"\0");
            return Ok(Span {
                key: every.clone(),
                range_end: every,
                hides_reserved,
            });
        }
        Ok(Span {
            range_end: end_of_prefix(&start),
            key: start,
            hides_reserved,
        })
    }

    /// The name under which etcd's Lock service knows the lock `name`.
    pub fn lock(&self, name: &[u8]) -> Result<Bytes> {
        if name.is_empty() {
            return Err(Error::invalid("the lock has no name; name at least one byte"));
        }
        let whole = [RESERVED_PREFIX, LOCKS, &self.prefix, name].concat();
        // "/" and 16 hexadecimal digits of the lease follow.
        if whole.len() + 17 > MAX_KEY_BYTES {
            return Err(too_large(whole.len() + 17));
        }
        Ok(whole.into())
    }

    /// `key` without the prefix. A key that a server sends from elsewhere stays as it is.
    pub fn strip(&self, key: Bytes) -> Bytes {
        if key.starts_with(&self.prefix) {
            key.slice(self.prefix.len()..)
        } else {
            key
        }
    }

    fn joined(&self, key: &[u8]) -> Result<Bytes> {
        let length = self.prefix.len() + key.len();
        if length > MAX_KEY_BYTES {
            return Err(too_large(length));
        }
        Ok(if self.prefix.is_empty() {
            Bytes::copy_from_slice(key)
        } else {
            [&self.prefix, key].concat().into()
        })
    }
}

impl Span {
    /// Whether a key that a server sent belongs to what was asked for.
    pub fn wants(&self, key: &[u8]) -> bool {
        !(self.hides_reserved && key.starts_with(RESERVED_PREFIX))
    }
}

fn too_large(length: usize) -> Error {
    Error::new(
        ErrorKind::TooLarge,
        format!("the key with its prefix is {length} bytes; the limit is {MAX_KEY_BYTES}"),
    )
}

/// The smallest key above every key that begins with `prefix`.
fn end_of_prefix(prefix: &[u8]) -> Bytes {
    match prefix.iter().rposition(|&byte| byte != 0xff) {
        Some(last) => {
            let mut end = prefix[..=last].to_vec();
            end[last] += 1;
            end.into()
        }
        // Nothing is above: "\0" means to the end.
        None => Bytes::from_static(b"\0"),
    }
}

/// A key as it can be shown in a message: text as it is, quoted, anything else escaped; long ones cut.
pub(crate) fn printable(key: &[u8]) -> String {
    const SHOWN: usize = 120;
    let shown = &key[..key.len().min(SHOWN)];
    let cut = if key.len() > SHOWN { "…" } else { "" };
    match std::str::from_utf8(shown) {
        Ok(text) => format!("{text:?}{cut}"),
        Err(_) => format!("\"{}\"{cut}", shown.escape_ascii()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyspace(prefix: &str) -> Keyspace {
        Keyspace::new(prefix.into()).unwrap()
    }

    #[test]
    fn keys_go_below_the_prefix_and_come_back_without_it() {
        let shop = keyspace("/shop/");
        assert_eq!(shop.key(b"a").unwrap(), "/shop/a");
        assert_eq!(shop.strip("/shop/a".into()), "a");
        assert_eq!(shop.strip("/other".into()), "/other");
        assert_eq!(shop.lock(b"l").unwrap(), "/_cfgstore/lock//shop/l");
    }

    #[test]
    fn keys_are_limited() {
        let shop = keyspace("/shop/");
        assert_eq!(shop.key(b"").unwrap_err().kind, ErrorKind::InvalidArgument);
        assert!(shop.key(&vec![b'k'; MAX_KEY_BYTES - 6]).is_ok());
        assert_eq!(
            shop.key(&vec![b'k'; MAX_KEY_BYTES - 5]).unwrap_err().kind,
            ErrorKind::TooLarge
        );
        assert_eq!(
            Keyspace::new(vec![b'k'; MAX_KEY_BYTES]).unwrap_err().kind,
            ErrorKind::TooLarge
        );
        assert_eq!(
            shop.lock(&vec![b'k'; MAX_KEY_BYTES - 20]).unwrap_err().kind,
            ErrorKind::TooLarge
        );
    }

    #[test]
    fn a_prefix_ends_before_the_next_one() {
        assert_eq!(end_of_prefix(b"a"), "b");
        assert_eq!(end_of_prefix(b"a\xff\xff"), "b");
        assert_eq!(end_of_prefix(b"\xff"), &b"\0"[..]);
        let every = keyspace("").below(b"").unwrap();
        assert_eq!((&every.key[..], &every.range_end[..]), (&b"\0"[..], &b"\0"[..]));
    }

    #[test]
    fn reserved_keys_are_hidden_unless_asked_for() {
        for (below, hidden) in [
            ("", true),
            ("/", true),
            ("/_cfgstore/", false),
            ("/_cfgstore/lock", false),
            ("/x", false),
        ] {
            let span = keyspace("").below(below.as_bytes()).unwrap();
            assert_eq!(!span.wants(b"/_cfgstore/lock/x"), hidden, "{below}");
            assert!(span.wants(b"/a"));
        }
    }
}
