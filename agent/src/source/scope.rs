//! Which pods of the cluster are to be known, beside those of the own node.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

/// Pods by the namespaces they are in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PodScope {
    /// Those of every namespace.
    All,
    /// Those of some namespaces, or of none.
    Namespaces(BTreeSet<Arc<str>>),
}

impl Default for PodScope {
    /// None.
    fn default() -> PodScope {
        PodScope::Namespaces(BTreeSet::new())
    }
}

impl PodScope {
    /// Whether all pods of another scope are in this one.
    pub fn covers(&self, other: &PodScope) -> bool {
        match (self, other) {
            (PodScope::All, _) => true,
            (PodScope::Namespaces(_), PodScope::All) => false,
            (PodScope::Namespaces(ours), PodScope::Namespaces(theirs)) => theirs.is_subset(ours),
        }
    }

    /// What of another scope is not in this one.
    pub fn missing(&self, other: &PodScope) -> PodScope {
        match (self, other) {
            (PodScope::All, _) => PodScope::default(),
            (PodScope::Namespaces(_), PodScope::All) => PodScope::All,
            (PodScope::Namespaces(ours), PodScope::Namespaces(theirs)) => {
                PodScope::Namespaces(theirs.difference(ours).cloned().collect())
            }
        }
    }
}

/// How many namespaces are named before the others are only counted.
const NAMED: usize = 5;

impl fmt::Display for PodScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PodScope::All => f.write_str("all namespaces"),
            PodScope::Namespaces(names) if names.is_empty() => f.write_str("no namespace"),
            PodScope::Namespaces(names) => {
                let some: Vec<&str> = names.iter().take(NAMED).map(|name| &**name).collect();
                write!(f, "{}", some.join(", "))?;
                match names.len().saturating_sub(NAMED) {
                    0 => Ok(()),
                    more => write!(f, " and {more} more"),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(names: &[&str]) -> PodScope {
        PodScope::Namespaces(names.iter().map(|name| (*name).into()).collect())
    }

    #[test]
    fn scopes_cover_what_is_in_them() {
        let all = [PodScope::All, some(&["a", "b"]), some(&["b"]), some(&[])];
        for (at, wide) in all.iter().enumerate() {
            for (other, narrow) in all.iter().enumerate() {
                assert_eq!(wide.covers(narrow), at <= other, "{wide} {narrow}");
                let missing = wide.missing(narrow);
                assert_eq!(
                    wide.covers(narrow),
                    missing == PodScope::default(),
                    "{missing}"
                );
            }
        }
        assert_eq!(some(&["a"]).missing(&some(&["a", "b"])), some(&["b"]));
        assert_eq!(
            some(&["a", "b", "c", "d", "e", "f", "g"]).to_string(),
            "a, b, c, d, e and 2 more"
        );
    }
}
