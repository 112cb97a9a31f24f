//! Differences of values, as `update2` and `update3` carry them (ovsdb-server(7), "Update2").
//!
//! Owns: applying one, making one. Must not know: rows or tables.

use std::cmp::Ordering;

use crate::schema::ColumnType;
use crate::value::{Atom, Value};

/// What `old` becomes when the server says its column changed by `diff`.
///
/// A column of at most one element carries its new value. A set carries the elements that came or
/// went (their symmetric difference). A map carries pairs: one equal to an old pair went, one with
/// an old key and another value replaces, a new key came.
#[must_use]
pub fn apply(ty: &ColumnType, old: &Value, diff: Value) -> Value {
    if !ty.is_composite() {
        return diff;
    }
    if ty.value.is_some() {
        let pairs = merge(
            old.pairs(),
            diff.pairs(),
            |a, b| a.0.cmp(&b.0),
            |a, b| (a.1 != b.1).then(|| b.clone()),
        );
        Value::from_sorted_pairs(pairs)
    } else {
        Value::from_sorted(merge(old.elements(), diff.elements(), Atom::cmp, |_, _| {
            None
        }))
    }
}

/// The difference that turns `old` into `new`: the inverse of [`apply`].
#[must_use]
pub fn between(ty: &ColumnType, old: &Value, new: &Value) -> Value {
    if !ty.is_composite() {
        return new.clone();
    }
    if ty.value.is_some() {
        let pairs = merge(
            old.pairs(),
            new.pairs(),
            |a, b| a.0.cmp(&b.0),
            |a, b| (a.1 != b.1).then(|| b.clone()),
        );
        Value::from_sorted_pairs(pairs)
    } else {
        Value::from_sorted(merge(old.elements(), new.elements(), Atom::cmp, |_, _| {
            None
        }))
    }
}

/// Merges two sorted runs; what stands in both becomes what `both` makes of it.
fn merge<T: Clone>(
    a: &[T],
    b: &[T],
    cmp: impl Fn(&T, &T) -> Ordering,
    both: impl Fn(&T, &T) -> Option<T>,
) -> Vec<T> {
    let mut out = Vec::with_capacity(a.len() + b.len());
    let (mut a, mut b) = (a.iter().peekable(), b.iter().peekable());
    loop {
        let order = match (a.peek(), b.peek()) {
            (None, None) => return out,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(x), Some(y)) => cmp(x, y),
        };
        match order {
            Ordering::Less => out.extend(a.next().cloned()),
            Ordering::Greater => out.extend(b.next().cloned()),
            Ordering::Equal => {
                if let (Some(x), Some(y)) = (a.next(), b.next()) {
                    out.extend(both(x, y));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::AtomType;

    #[test]
    fn sets_maps_and_scalars() {
        let set = ColumnType::set(AtomType::Integer);
        assert_eq!(
            apply(&set, &Value::set([1, 2]), Value::set([2, 3])),
            Value::set([1, 3])
        );
        assert_eq!(
            apply(&set, &Value::from(1), Value::from(1)),
            Value::empty_set()
        );
        assert_eq!(
            apply(&set, &Value::empty_set(), Value::from(1)),
            Value::from(1)
        );

        let map = ColumnType::map(AtomType::String, AtomType::String);
        assert_eq!(
            apply(
                &map,
                &Value::map([("gone", "1"), ("kept", "1"), ("changed", "1")]),
                Value::map([("gone", "1"), ("changed", "2"), ("new", "1")]),
            ),
            Value::map([("kept", "1"), ("changed", "2"), ("new", "1")]),
        );

        // At most one element, a set or a map though it be: the difference is the new value.
        let optional = ColumnType::optional(AtomType::Integer);
        assert_eq!(
            apply(&optional, &Value::from(1), Value::from(1)),
            Value::from(1)
        );
        assert_eq!(
            apply(&optional, &Value::from(1), Value::empty_set()),
            Value::empty_set()
        );
        let mut pair = map;
        pair.max = Some(1);
        assert_eq!(
            apply(&pair, &Value::map([("a", "1")]), Value::map([("a", "1")])),
            Value::map([("a", "1")])
        );
    }
}
