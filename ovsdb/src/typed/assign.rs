//! What may be written where a column of a given type is set or compared.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::typed::value::ColumnValue;
use crate::uuid::Uuid;
use crate::value::{Atom, Value};

/// A row to refer to: one that exists, or one that the same transaction inserts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reference {
    /// An existing row.
    Row(Uuid),
    /// A row inserted by this transaction under this name.
    Named(Arc<str>),
}

impl From<Uuid> for Reference {
    fn from(uuid: Uuid) -> Self {
        Self::Row(uuid)
    }
}

impl From<&Reference> for Reference {
    fn from(reference: &Reference) -> Self {
        reference.clone()
    }
}

impl From<Reference> for Atom {
    fn from(reference: Reference) -> Self {
        match reference {
            Reference::Row(uuid) => Atom::Uuid(uuid),
            Reference::Named(name) => Atom::NamedUuid(name),
        }
    }
}

impl From<&Reference> for Atom {
    fn from(reference: &Reference) -> Self {
        reference.clone().into()
    }
}

/// Something that can stand for a column declared as `V`: a `V`, or what is handier to write
/// (`&str` for strings, arrays and vectors for sets and maps, a bare atom for a set of one,
/// a [`Reference`] for a uuid).
pub trait Assign<V> {
    /// The column's value.
    fn assign(self) -> Value;
}

impl<V: ColumnValue> Assign<V> for V {
    fn assign(self) -> Value {
        self.into_value()
    }
}

macro_rules! one {
    ($($given:ty => $($column:ty),+;)*) => {$($(
        impl Assign<$column> for $given {
            fn assign(self) -> Value {
                Value::Atom(self.into())
            }
        }
    )+)*};
}

one! {
    &str => String, Option<String>, BTreeSet<String>;
    &String => String, Option<String>, BTreeSet<String>;
    String => Option<String>, BTreeSet<String>;
    i64 => Option<i64>, BTreeSet<i64>;
    bool => Option<bool>, BTreeSet<bool>;
    Uuid => Option<Uuid>, BTreeSet<Uuid>;
    Reference => Uuid, Option<Uuid>, BTreeSet<Uuid>;
    &Reference => Uuid, Option<Uuid>, BTreeSet<Uuid>;
}

impl From<&String> for Atom {
    fn from(text: &String) -> Self {
        Atom::from(text.as_str())
    }
}

macro_rules! many {
    ($($column:ty: $given:ty;)*) => {$(
        impl<const N: usize> Assign<BTreeSet<$column>> for [$given; N] {
            fn assign(self) -> Value {
                Value::set(self)
            }
        }
        impl Assign<BTreeSet<$column>> for Vec<$given> {
            fn assign(self) -> Value {
                Value::set(self)
            }
        }
    )*};
}

many! {
    Uuid: Reference;
    Uuid: &Reference;
    Uuid: Uuid;
    String: &str;
    String: String;
    i64: i64;
}

macro_rules! pairs {
    ($key:ty, $value:ty, $k:path, $v:path) => {
        impl<const N: usize, K: $k, V: $v> Assign<BTreeMap<$key, $value>> for [(K, V); N] {
            fn assign(self) -> Value {
                Value::map(self.map(|(k, v)| (Atom::from(k.into()), Atom::from(v.into()))))
            }
        }
        impl<K: $k, V: $v> Assign<BTreeMap<$key, $value>> for Vec<(K, V)> {
            fn assign(self) -> Value {
                Value::map(
                    self.into_iter()
                        .map(|(k, v)| (Atom::from(k.into()), Atom::from(v.into()))),
                )
            }
        }
    };
}

pairs!(String, String, Into<String>, Into<String>);
pairs!(i64, Uuid, Into<i64>, Into<Reference>);
pairs!(String, Uuid, Into<String>, Into<Reference>);
