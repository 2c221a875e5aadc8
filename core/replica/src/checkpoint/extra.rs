//! What the checkpoint holds beside leases and records: rules, and the changes of the change log.

use cfgstore_store::codec;

use super::format::{
    CHANGE_PREFIX, PART_BYTES, RULES_PREFIX, change_key, parse_change_key, put_item, rules_key, take_item,
    unseal,
};
use super::load::{Reading, damaged};
use super::sled_db::SledDb;
use super::{CheckpointError, Update};

impl Update<'_> {
    /// All rules, whenever one of their parts differs: there are few.
    pub(super) fn rules(&mut self) -> Result<(), CheckpointError> {
        let mut bytes = Vec::new();
        let _: Result<(), std::convert::Infallible> = codec::encode_rules(&self.position.state, |item| {
            put_item(&mut bytes, item);
            Ok(())
        });
        let mut parts = bytes.chunks(PART_BYTES).enumerate();
        for item in self.db.with_prefix(RULES_PREFIX) {
            let (key, value) = item?;
            let part = parts.next();
            let wanted = part.map(|(number, content)| (rules_key(number as u32), content));
            if let Some((wanted_key, content)) = wanted
                && *key == wanted_key
                && unseal(&key, &value) == Some(content)
            {
                continue;
            }
            self.remove(&key, &value)?;
            if let Some((key, content)) = wanted {
                self.insert(&key, content)?;
            }
        }
        for (number, content) in parts {
            self.insert(&rules_key(number as u32), content)?;
        }
        Ok(())
    }

    /// Removes the changes that are no longer kept, and adds those made since.
    pub(super) fn changes(&mut self) -> Result<(), CheckpointError> {
        let held = match self.held.changes.take() {
            Some(held) => held,
            None => held_changes(self.db)?,
        };
        let state = &self.position.state;
        let mut kept: Vec<(i64, u32)> = Vec::with_capacity(held.len());
        for &place in &held {
            if state.logged_change(place).is_some() {
                kept.push(place);
                continue;
            }
            for part in 0.. {
                let key = change_key(place, part);
                let Some(value) = self.db.get(&key)? else { break };
                self.remove(&key, &value)?;
            }
        }
        let last = held.last().copied().unwrap_or_default();
        let mut bytes = Vec::new();
        for change in state.logged_changes_after(last) {
            bytes.clear();
            codec::encode_change(change, &mut bytes);
            let place = (change.record.mod_revision(), change.record.sub());
            for (part, content) in bytes.chunks(PART_BYTES).enumerate() {
                self.insert(&change_key(place, part as u32), content)?;
            }
            kept.push(place);
        }
        self.held.changes = Some(kept);
        Ok(())
    }
}

/// The places of the changes that sled holds.
fn held_changes(db: &SledDb) -> Result<Vec<(i64, u32)>, CheckpointError> {
    let mut places = Vec::new();
    for item in db.with_prefix(CHANGE_PREFIX) {
        match parse_change_key(&item?.0) {
            Some((place, 0)) => places.push(place),
            Some(_) => {}
            None => return damaged("the key of a change is malformed"),
        }
    }
    Ok(places)
}

impl Reading {
    pub(super) fn rules(&mut self, db: &SledDb) -> Result<(), CheckpointError> {
        let mut bytes = Vec::new();
        for item in db.with_prefix(RULES_PREFIX) {
            let (key, value) = item?;
            let Some(content) = unseal(&key, &value) else {
                return damaged("a rule has a wrong checksum");
            };
            bytes.extend_from_slice(content);
            self.count(&key, &value);
        }
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let Some(item) = take_item(&mut rest) else {
                return damaged("the rules end within one");
            };
            let rule = codec::decode_rule(item).or_else(damaged)?;
            self.loader.rule(rule).or_else(damaged)?;
        }
        Ok(())
    }

    pub(super) fn changes(&mut self, db: &SledDb) -> Result<(), CheckpointError> {
        let (mut bytes, mut present) = (Vec::new(), None);
        let mut places = Vec::new();
        for item in db.with_prefix(CHANGE_PREFIX) {
            let (key, value) = item?;
            let Some((place, part)) = parse_change_key(&key) else {
                return damaged("the key of a change is malformed");
            };
            let Some(content) = unseal(&key, &value) else {
                return damaged("a change has a wrong checksum");
            };
            if part == 0 {
                self.change(&bytes)?;
                bytes.clear();
                present = Some(place);
                places.push(place);
            } else if present != Some(place) {
                return damaged("a change does not begin with its first part");
            }
            bytes.extend_from_slice(content);
            self.count(&key, &value);
        }
        self.change(&bytes)?;
        self.changes = places;
        Ok(())
    }

    /// Nothing, before the first.
    fn change(&mut self, bytes: &[u8]) -> Result<(), CheckpointError> {
        if bytes.is_empty() {
            return Ok(());
        }
        let change = codec::decode_change(bytes).or_else(damaged)?;
        self.loader.change(change).or_else(damaged)
    }
}
