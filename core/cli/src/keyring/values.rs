//! The values of a store as far as keyrings are concerned: what each is sealed with, and sealing them anew.

use std::collections::BTreeMap;

use cfgstore_client::seal::{Keyring, is_envelope, key_id_of};
use cfgstore_client::{Client, ErrorKind, KeyValue, PutOptions, RESERVED_PREFIX, Range};

use crate::failure::Failure;
use crate::output::Output;
use crate::value::to_line;

/// Keys read at a time: values may be large.
const PAGE_KEYS: u32 = 100;
/// A value that changes so often while it is sealed anew is left to the next run.
const ATTEMPTS: usize = 20;

/// Every key of a store as it is stored, page by page, each page as of when it is read. The client must have no keyring.
struct Pages<'a> {
    client: &'a Client,
    after: Option<Vec<u8>>,
    is_over: bool,
}

impl Pages<'_> {
    async fn next(&mut self) -> Result<Option<Vec<KeyValue>>, Failure> {
        if self.is_over {
            return Ok(None);
        }
        let mut range = Range::prefix("").limit(PAGE_KEYS);
        if let Some(after) = &self.after {
            range = range.after(after);
        }
        let found = self.client.range(&range).await?;
        self.is_over = !found.more;
        self.after = match found.kvs.last() {
            Some(last) => Some(last.key.to_vec()),
            // Nothing but reserved keys, which are left out: go on behind all of them.
            None => Some([RESERVED_PREFIX, b"\xff"].concat()),
        };
        Ok(Some(found.kvs))
    }
}

fn pages(client: &Client) -> Pages<'_> {
    Pages {
        client,
        after: None,
        is_over: false,
    }
}

/// How many values are sealed with what.
#[derive(Default)]
pub struct Count {
    /// By the id of their key.
    pub sealed: BTreeMap<String, u64>,
    /// An example of each.
    pub example: BTreeMap<String, String>,
    /// Envelopes that name no key.
    pub damaged: u64,
    /// Under the patterns, and in clear.
    pub plain: u64,
}

pub async fn count(client: &Client, keyring: &Keyring) -> Result<Count, Failure> {
    let mut count = Count::default();
    let mut pages = pages(client);
    while let Some(page) = pages.next().await? {
        for kv in page {
            match key_id_of(&kv.value) {
                Some(id) => {
                    *count.sealed.entry(id.to_owned()).or_default() += 1;
                    count
                        .example
                        .entry(id.to_owned())
                        .or_insert_with(|| to_line(&kv.key));
                }
                None if is_envelope(&kv.value) => count.damaged += 1,
                None if keyring.covers(&kv.key) => count.plain += 1,
                None => {}
            }
        }
    }
    Ok(count)
}

/// What became of the values.
#[derive(Default)]
pub struct Resealed {
    /// Sealed with another key before.
    pub resealed: u64,
    /// In clear before.
    pub sealed: u64,
    /// Sealed with the primary key already.
    pub current: u64,
    /// Could not be opened, or changed all the time.
    pub left: u64,
}

/// Seals every value anew that is sealed with another key than the primary one, and seals what is under the patterns in clear. Each
/// is written only if it is still what was read.
pub async fn reseal(client: &Client, keyring: &Keyring, output: &mut Output) -> Result<Resealed, Failure> {
    let mut done = Resealed::default();
    let mut pages = pages(client);
    while let Some(page) = pages.next().await? {
        for kv in page {
            reseal_one(client, keyring, kv, &mut done, output).await?;
        }
    }
    Ok(done)
}

async fn reseal_one(
    client: &Client,
    keyring: &Keyring,
    mut kv: KeyValue,
    done: &mut Resealed,
    output: &mut Output,
) -> Result<(), Failure> {
    for _ in 0..ATTEMPTS {
        let was_sealed = is_envelope(&kv.value);
        if !was_sealed && !keyring.covers(&kv.key) {
            return Ok(());
        }
        if key_id_of(&kv.value) == Some(keyring.primary()) {
            done.current += 1;
            return Ok(());
        }
        let opened = if was_sealed {
            keyring.open(&kv.key, &kv.value)
        } else {
            Ok(kv.value.to_vec())
        };
        let sealed = match opened.and_then(|plain| keyring.seal(&kv.key, &plain)) {
            Ok(sealed) => sealed,
            Err(error) => {
                done.left += 1;
                output.complain(&error.to_string());
                return Ok(());
            }
        };
        let options = PutOptions {
            if_revision: Some(kv.mod_revision),
            lease: kv.lease,
            comment: "sealed with another key".to_owned(),
        };
        match client.put(&kv.key, sealed, &options).await {
            Ok(_) => {
                let (count, how) = if was_sealed {
                    (&mut done.resealed, "sealed anew")
                } else {
                    (&mut done.sealed, "sealed")
                };
                *count += 1;
                if !output.is_json() {
                    output.line(&format!("{how}: {}", to_line(&kv.key)))?;
                }
                return Ok(());
            }
            // Somebody else wrote it, or its lease has ended: what is there now decides.
            Err(error) if matches!(error.kind, ErrorKind::Conflict | ErrorKind::NotFound) => {
                match client.get(&kv.key).await? {
                    Some(now) => kv = now,
                    None => return Ok(()),
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    done.left += 1;
    output.complain(&format!(
        "{} changes too often to be sealed anew; run this again",
        to_line(&kv.key)
    ));
    Ok(())
}
