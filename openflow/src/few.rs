//! [`Few`]: a list that holds its first elements in place, for what is almost always short.
//!
//! It knows nothing of what it holds.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::mem;
use std::ops::{Deref, DerefMut};

use smallvec::SmallVec;

/// A list whose first `N` elements need no allocation. It is a slice in all else.
///
/// ```
/// use openflow::few::Few;
/// let mut few: Few<u8, 2> = Few::from([1]);
/// few.push(2);
/// assert_eq!(few, [1, 2]);
/// assert_eq!(Vec::from(few), [1, 2]);
/// ```
#[derive(Clone)]
pub struct Few<T, const N: usize>(SmallVec<[T; N]>);

impl<T, const N: usize> Few<T, N> {
    /// None.
    #[must_use]
    #[inline]
    pub fn new() -> Self {
        Few(SmallVec::new())
    }

    /// Appends `item`.
    #[inline]
    pub fn push(&mut self, item: T) {
        self.0.push(item);
    }

    /// Appends `item`, and returns it where it is.
    #[inline(always)]
    pub(crate) fn push_mut(&mut self, item: T) -> &mut T {
        self.0.push(item);
        self.0
            .last_mut()
            .unwrap_or_else(|| unreachable!("there is one"))
    }

    /// Removes all from the one at `n` on.
    pub fn truncate(&mut self, n: usize) {
        self.0.truncate(n);
    }

    /// Removes all.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// All of them, without copying.
    #[must_use]
    #[inline]
    pub fn as_slice(&self) -> &[T] {
        &self.0
    }
}

impl<T, const N: usize> Default for Few<T, N> {
    #[inline]
    fn default() -> Self {
        Few::new()
    }
}

impl<T, const N: usize> Deref for Few<T, N> {
    type Target = [T];
    #[inline]
    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T, const N: usize> DerefMut for Few<T, N> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.0
    }
}

impl<T, const N: usize> From<Vec<T>> for Few<T, N> {
    fn from(list: Vec<T>) -> Self {
        Few(SmallVec::from_vec(list))
    }
}

impl<T: Clone, const N: usize> From<&[T]> for Few<T, N> {
    fn from(list: &[T]) -> Self {
        Few(SmallVec::from(list))
    }
}

impl<T, const N: usize, const M: usize> From<[T; M]> for Few<T, N> {
    fn from(list: [T; M]) -> Self {
        list.into_iter().collect()
    }
}

impl<T, const N: usize> From<Few<T, N>> for Vec<T> {
    fn from(list: Few<T, N>) -> Self {
        list.0.into_vec()
    }
}

impl<T, const N: usize> FromIterator<T> for Few<T, N> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        Few(items.into_iter().collect())
    }
}

impl<T, const N: usize> Extend<T> for Few<T, N> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, items: I) {
        self.0.extend(items);
    }
}

impl<T, const N: usize> IntoIterator for Few<T, N> {
    type Item = T;
    type IntoIter = smallvec::IntoIter<[T; N]>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a, T, const N: usize> IntoIterator for &'a Few<T, N> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Equal to whatever list has the same elements.
impl<T: PartialEq, L: AsRef<[T]> + ?Sized, const N: usize> PartialEq<L> for Few<T, N> {
    fn eq(&self, other: &L) -> bool {
        self.as_slice() == other.as_ref()
    }
}

impl<T: Eq, const N: usize> Eq for Few<T, N> {}

impl<T, const N: usize> AsRef<[T]> for Few<T, N> {
    fn as_ref(&self) -> &[T] {
        self
    }
}

impl<T: PartialOrd, const N: usize> PartialOrd for Few<T, N> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        self.as_slice().partial_cmp(other.as_slice())
    }
}

impl<T: Ord, const N: usize> Ord for Few<T, N> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_slice().cmp(other.as_slice())
    }
}

impl<T: Hash, const N: usize> Hash for Few<T, N> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_slice().hash(state);
    }
}

impl<T: fmt::Debug, const N: usize> fmt::Debug for Few<T, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_slice().fmt(f)
    }
}

/// Puts `value` in the place of a placeholder, which holds nothing that would have to be dropped. So a decoder builds
/// a value where it stays: to move it there costs more than to read it.
#[inline(always)]
pub(crate) fn put<T>(place: &mut T, value: T) {
    mem::forget(mem::replace(place, value));
}
