//! The Rust types a column may be declared as.
//!
//! | Rust | column |
//! |---|---|
//! | `i64`, `f64`, `bool`, `String`, `Uuid` | exactly one |
//! | `Option<A>` | at most one |
//! | `BTreeSet<A>` (reals: not) | any number |
//! | `BTreeMap<K, V>` | a map |

use std::collections::{BTreeMap, BTreeSet};

use crate::schema::ColumnType;
use crate::uuid::Uuid;
use crate::value::{Atom, AtomType, Real, Value};

/// A Rust type for one atom.
pub trait AtomValue: Sized {
    /// The atomic type it stands for.
    const TYPE: AtomType;
    /// Out of an atom of that type.
    fn from_atom(atom: &Atom) -> Option<Self>;
    /// Into an atom of that type.
    fn into_atom(self) -> Atom;
}

/// A Rust type for a whole column.
pub trait ColumnValue: Sized {
    /// The type it was declared as.
    fn column_type() -> ColumnType;
    /// Whether a column of this type always reads as `Self`.
    fn accepts(ty: &ColumnType) -> bool;
    /// Out of a value of an accepted column.
    fn from_value(value: &Value) -> Option<Self>;
    /// Into a value.
    fn into_value(self) -> Value;
}

fn single(ty: &ColumnType, atom: AtomType) -> bool {
    ty.value.is_none() && ty.key.ty == atom && ty.max == Some(1)
}

macro_rules! atoms {
    ($($rust:ty, $ty:ident, $from:expr, $into:expr;)*) => {$(
        impl AtomValue for $rust {
            const TYPE: AtomType = AtomType::$ty;
            fn from_atom(atom: &Atom) -> Option<Self> {
                #[allow(clippy::redundant_closure_call)]
                if let Atom::$ty(v) = atom { Some($from(v)) } else { None }
            }
            fn into_atom(self) -> Atom {
                #[allow(clippy::redundant_closure_call)]
                Atom::$ty($into(self))
            }
        }

        impl ColumnValue for $rust {
            fn column_type() -> ColumnType {
                ColumnType::scalar(AtomType::$ty)
            }
            fn accepts(ty: &ColumnType) -> bool {
                single(ty, AtomType::$ty) && ty.min == 1
            }
            fn from_value(value: &Value) -> Option<Self> {
                if let Value::Atom(atom) = value { Self::from_atom(atom) } else { None }
            }
            fn into_value(self) -> Value {
                Value::Atom(self.into_atom())
            }
        }
    )*};
}

atoms! {
    i64, Integer, |v: &i64| *v, |v| v;
    f64, Real, |v: &Real| v.get(), |v| Real::new(v).unwrap_or_default();
    bool, Boolean, |v: &bool| *v, |v| v;
    String, String, |v: &std::sync::Arc<str>| String::from(&**v), |v: String| v.into();
    Uuid, Uuid, |v: &Uuid| *v, |v| v;
}

impl<A: AtomValue> ColumnValue for Option<A> {
    fn column_type() -> ColumnType {
        ColumnType::optional(A::TYPE)
    }
    fn accepts(ty: &ColumnType) -> bool {
        single(ty, A::TYPE)
    }
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Atom(atom) => A::from_atom(atom).map(Some),
            Value::Set(set) if set.as_slice().is_empty() => Some(None),
            _ => None,
        }
    }
    fn into_value(self) -> Value {
        self.map_or_else(Value::empty_set, |v| Value::Atom(v.into_atom()))
    }
}

impl<A: AtomValue + Ord> ColumnValue for BTreeSet<A> {
    fn column_type() -> ColumnType {
        ColumnType::set(A::TYPE)
    }
    fn accepts(ty: &ColumnType) -> bool {
        ty.value.is_none() && ty.key.ty == A::TYPE
    }
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Map(_) => None,
            other => other.elements().iter().map(A::from_atom).collect(),
        }
    }
    fn into_value(self) -> Value {
        Value::set(self.into_iter().map(A::into_atom))
    }
}

impl<K: AtomValue + Ord, V: AtomValue> ColumnValue for BTreeMap<K, V> {
    fn column_type() -> ColumnType {
        ColumnType::map(K::TYPE, V::TYPE)
    }
    fn accepts(ty: &ColumnType) -> bool {
        ty.key.ty == K::TYPE && ty.value.as_ref().is_some_and(|v| v.ty == V::TYPE)
    }
    fn from_value(value: &Value) -> Option<Self> {
        let map = value.as_map()?;
        map.as_slice()
            .iter()
            .map(|(k, v)| Some((K::from_atom(k)?, V::from_atom(v)?)))
            .collect()
    }
    fn into_value(self) -> Value {
        Value::map(
            self.into_iter()
                .map(|(k, v)| (k.into_atom(), v.into_atom())),
        )
    }
}
