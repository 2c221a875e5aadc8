//! How much history prefixes keep.

use std::ops::Bound;

use crate::key::KeyRange;
use crate::map::Map;

/// How many changes of a key are kept where no rule says otherwise.
pub const DEFAULT_RETENTION_COUNT: u32 = 100;

/// The most retention rules.
pub const MAX_RETENTION_RULES: usize = 1_000;

/// How much history the keys of a prefix keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// The most changes kept of one key; 0 keeps no history.
    pub count: u32,
    /// The longest time a change is kept, in seconds; 0 is no bound. A change that is older may be kept until more
    /// changes come.
    pub max_age_secs: u64,
    /// At revisions before this one, keys of the prefix may have been there of which nothing is known any more.
    pub floor_revision: i64,
}

impl Retention {
    /// What holds where nobody has said otherwise.
    pub fn default_from(floor_revision: i64) -> Retention {
        Retention {
            count: DEFAULT_RETENTION_COUNT,
            max_age_secs: 0,
            floor_revision,
        }
    }

    pub(crate) fn max_age_ms(&self) -> Option<i64> {
        (self.max_age_secs > 0)
            .then(|| i64::try_from(self.max_age_secs.saturating_mul(1000)).unwrap_or(i64::MAX))
    }
}

/// The rules by prefix; there is always one of the empty prefix. The longest prefix of a key counts.
#[derive(Clone)]
pub(crate) struct RetentionRules {
    rules: Map<Vec<u8>, Retention>,
    has_ages: bool,
}

impl RetentionRules {
    pub fn new(floor_revision: i64) -> RetentionRules {
        let default = Retention::default_from(floor_revision);
        RetentionRules {
            rules: [(Vec::new(), default)].into_iter().collect(),
            has_ages: false,
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &Retention)> {
        self.rules.iter().map(|(prefix, rule)| (prefix.as_slice(), rule))
    }

    pub fn len(&self) -> usize {
        self.rules.len()
    }

    pub fn contains(&self, prefix: &[u8]) -> bool {
        self.rules.contains_key(prefix)
    }

    /// Whether any rule bounds the age of changes.
    pub fn has_ages(&self) -> bool {
        self.has_ages
    }

    /// The rule that counts for a key.
    pub fn of(&self, key: &[u8]) -> Retention {
        self.find(key).1
    }

    /// The longest prefix of `key` with a rule. A rule between that prefix and the key in order would begin with a
    /// longer common part, so each step back leaves a shorter part of the key to look for.
    fn find(&self, key: &[u8]) -> (&[u8], Retention) {
        let mut rest = key;
        loop {
            let upto = (Bound::Unbounded, Bound::Included(rest));
            let (prefix, rule) = self
                .rules
                .range::<[u8], _>(upto)
                .next_back()
                .expect("there is always a rule of the empty prefix");
            if rest.starts_with(prefix) {
                return (prefix, *rule);
            }
            let common = rest.iter().zip(prefix).take_while(|(a, b)| a == b).count();
            rest = &rest[..common];
        }
    }

    /// Sets a rule, or removes it; that of the empty prefix then becomes the default. Floors never go back: what was
    /// forgotten stays so.
    pub fn set(&mut self, prefix: &[u8], rule: Option<Retention>) {
        let (_, before) = self.find(prefix);
        let floor_revision = before.floor_revision;
        match rule {
            Some(rule) => {
                let floor_revision = floor_revision.max(rule.floor_revision);
                self.rules.insert(
                    prefix.to_vec(),
                    Retention {
                        floor_revision,
                        ..rule
                    },
                );
            }
            None if prefix.is_empty() => {
                self.rules
                    .insert(Vec::new(), Retention::default_from(floor_revision));
            }
            None => {
                if let Some(removed) = self.rules.remove(prefix) {
                    self.raise_floor(prefix, removed.floor_revision);
                }
            }
        }
        self.has_ages = self.rules.iter().any(|(_, rule)| rule.max_age_secs > 0);
    }

    /// Sets a rule with its floor, as it was.
    pub fn load(&mut self, prefix: &[u8], rule: Retention) {
        self.rules.insert(prefix.to_vec(), rule);
        self.has_ages |= rule.max_age_secs > 0;
    }

    /// Nothing is known of what was before a revision.
    pub fn raise_floors(&mut self, revision: i64) {
        let prefixes: Vec<Vec<u8>> = self.rules.iter().map(|(prefix, _)| prefix.clone()).collect();
        prefixes
            .iter()
            .for_each(|prefix| self.raise_floor(prefix, revision));
    }

    pub fn raise_floor(&mut self, key: &[u8], revision: i64) {
        let (prefix, rule) = self.find(key);
        if rule.floor_revision < revision {
            let prefix = prefix.to_vec();
            if let Some(rule) = self.rules.get_mut(&prefix) {
                rule.floor_revision = revision;
            }
        }
    }

    /// The highest floor of the rules that count for some key of the range.
    pub fn floor_of(&self, keys: KeyRange<'_>) -> i64 {
        let (covering, rule) = self.find(common_prefix(&keys));
        let inside = self
            .rules
            .iter()
            .filter(|(prefix, _)| prefix.len() > covering.len() && overlaps(&keys, prefix));
        inside.fold(rule.floor_revision, |floor, (_, rule)| {
            floor.max(rule.floor_revision)
        })
    }
}

/// What every key of a range begins with. It need not be the longest such.
fn common_prefix<'a>(keys: &KeyRange<'a>) -> &'a [u8] {
    match *keys {
        KeyRange::Single(key) => key,
        KeyRange::From(_) => b"",
        KeyRange::Between(start, end) => {
            // The last key is before `end`: of a prefix's range, it shares all but the last byte counted up.
            let common = start.iter().zip(end).take_while(|(a, b)| a == b).count();
            let is_next = end.len() == common + 1
                && start
                    .get(common)
                    .is_some_and(|byte| u16::from(*byte) + 1 == u16::from(end[common]));
            &start[..common + usize::from(is_next)]
        }
    }
}

/// Whether a key of the range may begin with the prefix.
fn overlaps(keys: &KeyRange<'_>, prefix: &[u8]) -> bool {
    match *keys {
        KeyRange::Single(key) => key.starts_with(prefix),
        KeyRange::From(start) => start <= prefix || start.starts_with(prefix),
        KeyRange::Between(start, end) => prefix < end && (start <= prefix || start.starts_with(prefix)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(count: u32) -> Retention {
        Retention {
            count,
            max_age_secs: 0,
            floor_revision: 0,
        }
    }

    #[test]
    fn the_longest_prefix_counts() {
        let mut rules = RetentionRules::new(0);
        let prefixes: [&[u8]; 6] = [b"a", b"a/b", b"a/b/c", b"a/bb", b"b", b"a/b/cc"];
        for (number, prefix) in prefixes.iter().enumerate() {
            rules.set(prefix, Some(rule(number as u32)));
        }
        let keys: [&[u8]; 12] = [
            b"", b"a", b"a/", b"a/b", b"a/ba", b"a/bb", b"a/bbb", b"a/b/c", b"a/b/cb", b"a/b/ccc", b"a/b/d",
            b"c",
        ];
        for key in keys {
            let longest = prefixes
                .iter()
                .enumerate()
                .filter(|(_, prefix)| key.starts_with(prefix))
                .max_by_key(|(_, prefix)| prefix.len());
            let expected = longest.map_or(DEFAULT_RETENTION_COUNT, |(number, _)| number as u32);
            assert_eq!(rules.of(key).count, expected, "{}", key.escape_ascii());
        }
    }

    #[test]
    fn floors_only_rise_and_count_where_their_rule_does() {
        let mut rules = RetentionRules::new(2);
        rules.set(b"a/", Some(rule(1)));
        rules.raise_floor(b"a/x", 9);
        rules.raise_floor(b"a/x", 7);
        let floor = |rules: &RetentionRules, key: &[u8], end: &[u8]| rules.floor_of(KeyRange::new(key, end));
        assert_eq!(floor(&rules, b"a/x", b""), 9);
        assert_eq!(floor(&rules, b"b", b""), 2);
        assert_eq!(floor(&rules, b"a/", b"a0"), 9);
        assert_eq!(floor(&rules, b"a/s", b"a/t"), 9);
        assert_eq!(floor(&rules, b"a", b"b"), 9, "part of it is under the rule");
        assert_eq!(floor(&rules, b"b", b"c"), 2);
        assert_eq!(floor(&rules, b"\0", b"\0"), 9);
        assert_eq!(floor(&rules, b"b", b"\0"), 2);
        rules.raise_floor(b"b", 5);
        assert_eq!(
            floor(&rules, b"a/s", b"a/t"),
            9,
            "the shorter rule does not count there"
        );
        rules.raise_floor(b"b", 12);
        assert_eq!(floor(&rules, b"a/s", b"a/t"), 9);
        rules.set(b"a/", None);
        assert_eq!(floor(&rules, b"a/s", b"a/t"), 12);
        rules.set(b"a/", Some(rule(3)));
        assert_eq!(
            floor(&rules, b"a/s", b"a/t"),
            12,
            "nothing that was forgotten comes back"
        );
        rules.set(b"", None);
        assert_eq!(floor(&rules, b"z", b""), 12);
    }
}
