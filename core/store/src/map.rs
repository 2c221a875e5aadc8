//! The persistent ordered map everything is built on.
//!
//! The only module that names `imbl`, and only the few operations used: its `diff` and `==` are not, for they have had
//! defects. A clone is O(1) and shares structure; a change copies the path to one leaf, or nothing if nobody shares it.

use std::borrow::Borrow;
use std::ops::RangeBounds;

use imbl::OrdMap;

/// A persistent ordered map.
#[derive(Clone)]
pub(crate) struct Map<K, V>(OrdMap<K, V>);

impl<K, V> Default for Map<K, V> {
    fn default() -> Map<K, V> {
        Map(OrdMap::new())
    }
}

impl<K: Ord + Clone, V: Clone> Map<K, V> {
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.0.get(key)
    }

    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        self.0.get_mut(key)
    }

    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.0.get(key).is_some()
    }

    /// Returns the value that was there.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        self.0.insert(key, value)
    }

    /// Returns the value that was there.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.0.remove(key)
    }

    /// The entry with the least key.
    pub fn first(&self) -> Option<(&K, &V)> {
        self.0.get_min().map(|(key, value)| (key, value))
    }

    /// In key order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        self.0.iter()
    }

    /// In key order. `bounds` must not be inverted.
    pub fn range<'a, Q, R>(
        &'a self,
        bounds: R,
    ) -> impl DoubleEndedIterator<Item = (&'a K, &'a V)> + use<'a, K, V, Q, R>
    where
        Q: Ord + ?Sized + 'a,
        K: Borrow<Q>,
        R: RangeBounds<Q>,
    {
        self.0.range(bounds)
    }
}

impl<K: Ord + Clone, V: Clone> FromIterator<(K, V)> for Map<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Map<K, V> {
        Map(entries.into_iter().collect())
    }
}
