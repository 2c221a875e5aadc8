//! The keywords that look at objects.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::{Judge, Judgement, NOTE, Path};
use crate::message;
use crate::node::{Keyword, NodeId};
use crate::regex::Regex;
use crate::seen::Seen;

impl<'s> Judge<'s, '_> {
    pub(super) fn object<'v>(
        &mut self,
        keyword: &'s Keyword,
        pointer: &str,
        members: &'v Map<String, Value>,
        path: &Path<'_>,
        seen: Option<&mut Seen<'v>>,
    ) -> Judgement {
        match keyword {
            Keyword::Members {
                named,
                matching,
                others,
            } => self.members(named, matching, *others, members, path, seen),
            Keyword::PropertyNames(node) => self.names(*node, pointer, members, path),
            Keyword::UnevaluatedProperties(node) => self.unevaluated(*node, members, path, seen),
            Keyword::Required(names) => {
                let mut valid = true;
                for name in names {
                    self.steps.take(1)?;
                    let missing = Path::Member(path, name);
                    valid &= members.contains_key(name)
                        || self.violates(&missing, pointer, "required", || "is required".to_owned());
                }
                Ok(valid)
            }
            Keyword::DependentRequired(lists) => {
                let mut valid = true;
                for (present, names) in lists {
                    self.steps.take(1)?;
                    if !members.contains_key(present) {
                        continue;
                    }
                    for name in names {
                        self.steps.take(1)?;
                        let missing = Path::Member(path, name);
                        let told = || format!("is required beside {:?}", message::clip(present));
                        valid &= members.contains_key(name)
                            || self.violates(&missing, pointer, "dependentRequired", told);
                    }
                }
                Ok(valid)
            }
            Keyword::MaxProperties(limit) => {
                let limit_told = || message::count(*limit, "member", "members");
                let told = || format!("must have at most {}", limit_told());
                Ok(members.len() as u64 <= *limit || self.violates(path, pointer, "maxProperties", told))
            }
            Keyword::MinProperties(limit) => {
                let limit_told = || message::count(*limit, "member", "members");
                let told = || format!("must have at least {}", limit_told());
                Ok(members.len() as u64 >= *limit || self.violates(path, pointer, "minProperties", told))
            }
            _ => Ok(true),
        }
    }

    fn members<'v>(
        &mut self,
        named: &HashMap<String, NodeId>,
        matching: &[(Regex, NodeId)],
        others: Option<NodeId>,
        members: &'v Map<String, Value>,
        path: &Path<'_>,
        mut seen: Option<&mut Seen<'v>>,
    ) -> Judgement {
        let mut valid = true;
        for (name, member) in members {
            self.steps.take(1)?;
            let here = Path::Member(path, name);
            let mut looked_at = false;
            if let Some(node) = named.get(name) {
                looked_at = true;
                valid &= self.apply(*node, member, &here, None)?;
            }
            for (regex, node) in matching {
                self.steps.take(regex.steps(name))?;
                if regex.is_match(name) {
                    looked_at = true;
                    valid &= self.apply(*node, member, &here, None)?;
                }
            }
            if let (false, Some(node)) = (looked_at, others) {
                valid &= self.apply(node, member, &here, None)?;
            }
            // With a schema for the others, all are.
            if let (true, None, Some(seen)) = (looked_at, others, seen.as_deref_mut()) {
                self.steps.take(NOTE)?;
                seen.member(name);
            }
            if !valid && self.silent > 0 {
                break;
            }
        }
        if let (Some(_), Some(seen)) = (others, seen) {
            seen.all_members();
        }
        Ok(valid)
    }

    fn names(
        &mut self,
        node: NodeId,
        pointer: &str,
        members: &Map<String, Value>,
        path: &Path<'_>,
    ) -> Judgement {
        let mut valid = true;
        for name in members.keys() {
            self.steps.take(1 + name.len() as u64 / 16)?;
            let allowed = self.test(node, &Value::String(name.clone()), path, None)?;
            let here = Path::Member(path, name);
            let told = || "has a name that is not allowed".to_owned();
            valid &= allowed || self.violates(&here, pointer, "propertyNames", told);
        }
        Ok(valid)
    }

    fn unevaluated<'v>(
        &mut self,
        node: NodeId,
        members: &'v Map<String, Value>,
        path: &Path<'_>,
        seen: Option<&mut Seen<'v>>,
    ) -> Judgement {
        let Some(seen) = seen else { return Ok(true) };
        let mut valid = true;
        for (name, member) in members {
            self.steps.take(1)?;
            if !seen.has_member(name) {
                valid &= self.apply(node, member, &Path::Member(path, name), None)?;
            }
        }
        seen.all_members();
        Ok(valid)
    }
}
