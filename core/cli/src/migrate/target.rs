//! Writing, a few keys at a time.

use std::collections::HashSet;
use std::time::Duration;

use bytes::Bytes;
use cfgstore_client::{Client, Txn};

use crate::failure::Failure;

/// Below the 128 operations and 1.5 MiB that servers take at once by default.
const BATCH_KEYS: usize = 100;
const BATCH_BYTES: usize = 512 << 10;

/// How often a batch is tried that may or may not have been written. Writing it twice does no harm.
const ATTEMPTS: u32 = 10;

/// Collects changes and writes them in batches.
pub struct Writer {
    client: Client,
    dry_run: bool,
    batch: Txn,
    keys: HashSet<Bytes>,
    bytes: usize,
}

impl Writer {
    pub fn new(client: Client, dry_run: bool) -> Writer {
        Writer {
            client,
            dry_run,
            batch: Txn::new(),
            keys: HashSet::new(),
            bytes: 0,
        }
    }

    pub async fn put(&mut self, key: Bytes, value: Bytes, lease: i64) -> Result<(), Failure> {
        self.make_room(&key, key.len() + value.len()).await?;
        self.batch = std::mem::take(&mut self.batch).put_with_lease(key, value, lease);
        Ok(())
    }

    pub async fn delete(&mut self, key: Bytes) -> Result<(), Failure> {
        self.make_room(&key, key.len()).await?;
        self.batch = std::mem::take(&mut self.batch).delete(key);
        Ok(())
    }

    /// A key can be changed only once in a batch.
    async fn make_room(&mut self, key: &Bytes, bytes: usize) -> Result<(), Failure> {
        let is_full = self.keys.len() >= BATCH_KEYS || self.bytes + bytes > BATCH_BYTES;
        if is_full || self.keys.contains(key) {
            self.flush().await?;
        }
        self.keys.insert(key.clone());
        self.bytes += bytes;
        Ok(())
    }

    /// Writes what was collected.
    pub async fn flush(&mut self) -> Result<(), Failure> {
        let batch = std::mem::take(&mut self.batch);
        self.keys.clear();
        self.bytes = 0;
        if batch.is_empty() || self.dry_run {
            return Ok(());
        }
        let mut attempt = 0;
        loop {
            attempt += 1;
            let error = match self.client.txn(batch.clone()).await {
                Ok(_) => return Ok(()),
                Err(error) => error,
            };
            if attempt == ATTEMPTS || !(error.maybe_committed || error.retryable()) {
                return Err(error.into());
            }
            tokio::time::sleep(Duration::from_millis(100) * attempt).await;
        }
    }
}
