//! The keywords that look at arrays.

use std::collections::HashMap;

use serde_json::Value;

use super::{Judge, Judgement, NOTE, Path};
use crate::json::canonical;
use crate::message;
use crate::node::{Keyword, NodeId};
use crate::seen::Seen;

impl<'s> Judge<'s, '_> {
    pub(super) fn array<'v>(
        &mut self,
        keyword: &'s Keyword,
        pointer: &str,
        items: &'v [Value],
        path: &Path<'_>,
        seen: Option<&mut Seen<'v>>,
    ) -> Judgement {
        match keyword {
            Keyword::Items { prefix, rest } => self.items(prefix, *rest, items, path, seen),
            Keyword::Contains { node, min, max } => {
                let count = self.contains(*node, items, path, seen)?;
                let wanted = |number| message::count(number, "item that matches", "items that match");
                let few = || format!("must have at least {}", wanted(*min));
                let many = || format!("must have at most {}", wanted(max.unwrap_or_default()));
                Ok(if count < *min {
                    self.violates(path, pointer, "contains", few)
                } else if max.is_some_and(|max| count > max) {
                    self.violates(path, pointer, "maxContains", many)
                } else {
                    true
                })
            }
            Keyword::UnevaluatedItems(node) => self.unevaluated_items(*node, items, path, seen),
            Keyword::UniqueItems => self.unique(pointer, items, path),
            Keyword::MaxItems(limit) => {
                let told = || format!("must have at most {}", message::count(*limit, "item", "items"));
                Ok(items.len() as u64 <= *limit || self.violates(path, pointer, "maxItems", told))
            }
            Keyword::MinItems(limit) => {
                let told = || format!("must have at least {}", message::count(*limit, "item", "items"));
                Ok(items.len() as u64 >= *limit || self.violates(path, pointer, "minItems", told))
            }
            _ => Ok(true),
        }
    }

    fn items<'v>(
        &mut self,
        prefix: &[NodeId],
        rest: Option<NodeId>,
        items: &'v [Value],
        path: &Path<'_>,
        seen: Option<&mut Seen<'v>>,
    ) -> Judgement {
        let mut valid = true;
        for (at, item) in items.iter().enumerate() {
            let Some(node) = prefix.get(at).copied().or(rest) else {
                break;
            };
            valid &= self.apply(node, item, &Path::Item(path, at), None)?;
            if !valid && self.silent > 0 {
                break;
            }
        }
        match (seen, rest) {
            (Some(seen), Some(_)) => seen.all_items(),
            (Some(seen), None) => seen.first_items(prefix.len()),
            (None, _) => {}
        }
        Ok(valid)
    }

    fn contains<'v>(
        &mut self,
        node: NodeId,
        items: &'v [Value],
        path: &Path<'_>,
        mut seen: Option<&mut Seen<'v>>,
    ) -> Result<u64, super::Stop> {
        let mut count = 0;
        for (at, item) in items.iter().enumerate() {
            if self.test(node, item, &Path::Item(path, at), None)? {
                count += 1;
                if let Some(seen) = seen.as_deref_mut() {
                    self.steps.take(NOTE)?;
                    seen.item(at);
                }
            }
        }
        Ok(count)
    }

    fn unevaluated_items<'v>(
        &mut self,
        node: NodeId,
        items: &'v [Value],
        path: &Path<'_>,
        seen: Option<&mut Seen<'v>>,
    ) -> Judgement {
        let Some(seen) = seen else { return Ok(true) };
        let mut valid = true;
        for (at, item) in items.iter().enumerate() {
            self.steps.take(1)?;
            if !seen.has_item(at) {
                valid &= self.apply(node, item, &Path::Item(path, at), None)?;
            }
        }
        seen.all_items();
        Ok(valid)
    }

    fn unique(&mut self, pointer: &str, items: &[Value], path: &Path<'_>) -> Judgement {
        let mut known: HashMap<String, usize> = HashMap::new();
        for (at, item) in items.iter().enumerate() {
            self.pay_for(item)?;
            if let Some(first) = known.insert(canonical(item), at) {
                let told = || format!("must have no two equal items, but {first} and {at} are");
                return Ok(self.violates(path, pointer, "uniqueItems", told));
            }
        }
        Ok(true)
    }
}
