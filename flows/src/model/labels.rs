//! Labels. Many objects have the same few, so that they are kept without room to grow.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// A key and its value.
type Label = (Arc<str>, Arc<str>);

/// Labels of an object, by key.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Labels(Box<[Label]>);

impl Labels {
    /// The value of a label, if it is there.
    pub fn get(&self, key: &str) -> Option<&Arc<str>> {
        let at = self.0.binary_search_by(|(known, _)| (**known).cmp(key));
        at.ok().map(|at| &self.0[at].1)
    }

    /// Each with its value, by key.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Arc<str>, &Arc<str>)> {
        self.0.iter().map(|(key, value)| (key, value))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Of a key that comes twice, the last value counts.
impl FromIterator<Label> for Labels {
    fn from_iter<T: IntoIterator<Item = Label>>(labels: T) -> Self {
        Self(BTreeMap::from_iter(labels).into_iter().collect())
    }
}

impl<const N: usize> From<[Label; N]> for Labels {
    fn from(labels: [Label; N]) -> Self {
        labels.into_iter().collect()
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_found_by_key() {
        let pairs = [("b", "1"), ("a", "2"), ("c", "3"), ("a", "4")];
        let labels = Labels::from(pairs.map(|(key, value)| (key.into(), value.into())));
        let get = |key| labels.get(key).map(|value| &**value);
        assert_eq!(
            ["a", "b", "c", "", "d", "aa"].map(get),
            [Some("4"), Some("1"), Some("3"), None, None, None]
        );
        assert_eq!(format!("{labels:?}"), r#"{"a": "4", "b": "1", "c": "3"}"#);
        assert!(Labels::default().is_empty() && !labels.is_empty());
        assert_eq!(labels.iter().len(), 3);
    }
}
