//! Database schemas (RFC 7047 section 3): tables, columns, types and their constraints.
//!
//! Owns: the schema's JSON form both ways, and what a column's type says about a value (default,
//! conformity, constraints). Must not know: connections, or any schema in particular.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::value::{Atom, AtomType, Real, Value};

/// A database's schema (section 3.2, `<database-schema>`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DatabaseSchema {
    /// The database's name.
    pub name: String,
    /// `x.y.z` (section 3.2, `<database-schema>`)
    #[serde(default)]
    pub version: String,
    /// The checksum `ovsdb-tool` keeps, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cksum: Option<String>,
    /// The tables by name.
    pub tables: BTreeMap<String, TableSchema>,
}

/// One table (section 3.2, `<table-schema>`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TableSchema {
    /// The columns by name; `_uuid` and `_version`, which every table has, are not among them.
    pub columns: BTreeMap<String, ColumnSchema>,
    /// The most rows the table may have; `None` is no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_rows: Option<u64>,
    /// Rows of a root table live without a strong reference to them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_root: bool,
    /// Sets of columns that are unique together.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub indexes: Vec<Vec<String>>,
}

/// One column (section 3.2, `<column-schema>`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ColumnSchema {
    /// What it may hold.
    #[serde(rename = "type")]
    pub ty: ColumnType,
    /// Not kept over a restart of the server.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ephemeral: bool,
    /// May be changed after the row was inserted.
    #[serde(default = "yes", skip_serializing_if = "Clone::clone")]
    pub mutable: bool,
}

fn yes() -> bool {
    true
}

/// A column's type (section 3.2, `<type>`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "repr::Type", into = "repr::Type")]
pub struct ColumnType {
    /// The elements, or the keys of a map.
    pub key: BaseType,
    /// The values of a map; `None` for everything else.
    pub value: Option<BaseType>,
    /// The fewest elements: 0 or 1.
    pub min: u64,
    /// The most elements; `None` is `"unlimited"`.
    pub max: Option<u64>,
}

/// A type of atoms, with constraints (section 3.2, `<base-type>`).
#[derive(Clone, Debug, PartialEq)]
pub struct BaseType {
    /// The atoms' type.
    pub ty: AtomType,
    /// The only atoms allowed, if limited so.
    pub allowed: Option<Value>,
    /// Smallest and largest integer.
    pub integers: (Option<i64>, Option<i64>),
    /// Smallest and largest real.
    pub reals: (Option<f64>, Option<f64>),
    /// Fewest and most characters of a string.
    pub length: (Option<u64>, Option<u64>),
    /// The table that a uuid refers to.
    pub references: Option<Reference>,
}

/// Where a uuid points to (`refTable`, `refType`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The table referred to.
    pub table: String,
    /// A weak reference vanishes with its row; a strong one keeps its row.
    pub weak: bool,
}

/// A value does not fit its column's type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Mismatch {
    /// An atom of another type than the column's.
    #[error("{found} where the column holds {expected}")]
    AtomType {
        /// What the column holds.
        expected: AtomType,
        /// What was there.
        found: AtomType,
    },
    /// A map in a column of sets, or the other way round.
    #[error("{0}")]
    Shape(&'static str),
    /// Too few or too many elements.
    #[error("{found} elements where the column holds {min} to {max}", max = Unlimited(*max))]
    Count {
        /// How many there were.
        found: usize,
        /// The fewest allowed.
        min: u64,
        /// The most allowed.
        max: Option<u64>,
    },
    /// An atom outside the column's enumeration or range.
    #[error("{atom} violates the constraint {constraint}")]
    Constraint {
        /// The atom, printed.
        atom: String,
        /// The constraint, printed.
        constraint: String,
    },
}

struct Unlimited(Option<u64>);

impl fmt::Display for Unlimited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(max) => max.fmt(f),
            None => f.write_str("any number"),
        }
    }
}

impl BaseType {
    /// The type without constraints.
    #[must_use]
    pub const fn plain(ty: AtomType) -> Self {
        Self {
            ty,
            allowed: None,
            integers: (None, None),
            reals: (None, None),
            length: (None, None),
            references: None,
        }
    }

    fn check(&self, atom: &Atom) -> Result<(), Mismatch> {
        let violated = |constraint: String| {
            Err(Mismatch::Constraint {
                atom: Value::Atom(atom.clone()).to_string(),
                constraint,
            })
        };
        if let Some(allowed) = &self.allowed
            && !allowed.elements().contains(atom)
        {
            return violated(format!("one of {allowed}"));
        }
        fn outside<T: PartialOrd>(v: &T, (min, max): &(Option<T>, Option<T>)) -> bool {
            min.as_ref().is_some_and(|min| v < min) || max.as_ref().is_some_and(|max| v > max)
        }
        match atom {
            Atom::Integer(v) if outside(v, &self.integers) => {
                violated(format!("{:?}", self.integers))
            }
            Atom::Real(v) if outside(&v.get(), &self.reals) => {
                violated(format!("{:?}", self.reals))
            }
            Atom::String(v) => {
                let length = u64::try_from(v.chars().count()).unwrap_or(u64::MAX);
                if outside(&length, &self.length) {
                    violated(format!("length {:?}", self.length))
                } else {
                    Ok(())
                }
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Display for BaseType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ty.fmt(f)
    }
}

/// `string`, `optional integer`, `set of uuid`, `map of string to string`.
impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.value, self.min, self.max) {
            (Some(value), ..) => write!(f, "map of {} to {value}", self.key),
            (None, 1, Some(1)) => self.key.fmt(f),
            (None, _, Some(1)) => write!(f, "optional {}", self.key),
            (None, ..) => write!(f, "set of {}", self.key),
        }
    }
}

impl ColumnType {
    /// Exactly one atom.
    #[must_use]
    pub const fn scalar(ty: AtomType) -> Self {
        Self {
            key: BaseType::plain(ty),
            value: None,
            min: 1,
            max: Some(1),
        }
    }

    /// No or one atom.
    #[must_use]
    pub const fn optional(ty: AtomType) -> Self {
        Self {
            key: BaseType::plain(ty),
            value: None,
            min: 0,
            max: Some(1),
        }
    }

    /// Any number of atoms.
    #[must_use]
    pub const fn set(ty: AtomType) -> Self {
        Self {
            key: BaseType::plain(ty),
            value: None,
            min: 0,
            max: None,
        }
    }

    /// A map of any size.
    #[must_use]
    pub const fn map(key: AtomType, value: AtomType) -> Self {
        Self {
            key: BaseType::plain(key),
            value: Some(BaseType::plain(value)),
            min: 0,
            max: None,
        }
    }

    /// Whether it can hold several elements, so that `update2` sends differences for it.
    #[must_use]
    pub fn is_composite(&self) -> bool {
        self.max.is_none_or(|max| max > 1)
    }

    /// What a column holds that nobody set (section 5.2.1). `update2` leaves such columns out.
    #[must_use]
    pub fn default_value(&self) -> Value {
        match (&self.value, self.min) {
            (Some(_), 0) => Value::empty_map(),
            (Some(value), _) => Value::from_sorted_pairs(vec![(
                self.key.ty.default_atom(),
                value.ty.default_atom(),
            )]),
            (None, 0) => Value::empty_set(),
            (None, _) => Value::Atom(self.key.ty.default_atom()),
        }
    }

    /// Gives a value read without knowing its column the form it has in this column (`1` becomes the
    /// real 1.0), and checks its types. Sizes are not checked: a difference may be of any size.
    ///
    /// # Errors
    /// The value cannot stand in this column.
    pub fn conform(&self, value: &mut Value) -> Result<(), Mismatch> {
        match (&self.value, &mut *value) {
            (None, Value::Map(_)) => Err(Mismatch::Shape("a map where the column holds a set")),
            (Some(_), Value::Atom(_)) => {
                Err(Mismatch::Shape("an atom where the column holds a map"))
            }
            (Some(_), Value::Set(set)) => {
                // The server accepts, and older ones sent, the empty set for an empty map.
                if set.as_slice().is_empty() {
                    *value = Value::empty_map();
                    Ok(())
                } else {
                    Err(Mismatch::Shape("a set where the column holds a map"))
                }
            }
            (None, Value::Atom(atom)) => conform_atom(atom, self.key.ty),
            (None, Value::Set(set)) => {
                if self.key.ty == AtomType::Real {
                    let mut elements = set.as_slice().to_vec();
                    elements
                        .iter_mut()
                        .try_for_each(|atom| conform_atom(atom, AtomType::Real))?;
                    *value = Value::set(elements);
                    return Ok(());
                }
                set.as_slice()
                    .iter()
                    .try_for_each(|atom| check_type(atom, self.key.ty))
            }
            (Some(base), Value::Map(map)) => {
                if self.key.ty == AtomType::Real || base.ty == AtomType::Real {
                    let mut pairs = map.as_slice().to_vec();
                    for (k, v) in &mut pairs {
                        conform_atom(k, self.key.ty)?;
                        conform_atom(v, base.ty)?;
                    }
                    *value = Value::map(pairs);
                    return Ok(());
                }
                map.as_slice().iter().try_for_each(|(k, v)| {
                    check_type(k, self.key.ty)?;
                    check_type(v, base.ty)
                })
            }
        }
    }

    /// Whether the server would take this (conformed) value: its types, its size, its constraints.
    ///
    /// # Errors
    /// The first thing wrong.
    pub fn check(&self, value: &Value) -> Result<(), Mismatch> {
        self.conform(&mut value.clone())?;
        let found = match value {
            Value::Map(map) => map.as_slice().len(),
            other => other.elements().len(),
        };
        let n = u64::try_from(found).unwrap_or(u64::MAX);
        if n < self.min || self.max.is_some_and(|max| n > max) {
            return Err(Mismatch::Count {
                found,
                min: self.min,
                max: self.max,
            });
        }
        value
            .elements()
            .iter()
            .try_for_each(|atom| self.key.check(atom))?;
        if let Some(base) = &self.value {
            for (k, v) in value.pairs() {
                self.key.check(k)?;
                base.check(v)?;
            }
        }
        Ok(())
    }
}

fn check_type(atom: &Atom, expected: AtomType) -> Result<(), Mismatch> {
    let found = atom.atom_type();
    if found == expected {
        Ok(())
    } else {
        Err(Mismatch::AtomType { expected, found })
    }
}

fn conform_atom(atom: &mut Atom, expected: AtomType) -> Result<(), Mismatch> {
    if let (AtomType::Real, Atom::Integer(v)) = (expected, &*atom) {
        #[allow(clippy::cast_precision_loss)]
        if let Some(real) = Real::new(*v as f64) {
            *atom = Atom::Real(real);
        }
    }
    check_type(atom, expected)
}

/// The JSON forms, which allow an atomic type's name for a whole type.
mod repr {
    use serde::{Deserialize, Serialize};

    use super::{BaseType, ColumnType, Reference};
    use crate::value::{AtomType, Value};

    #[derive(Clone, Serialize, Deserialize)]
    #[serde(untagged)]
    pub(super) enum Type {
        Atomic(AtomType),
        Full {
            key: Base,
            #[serde(default, skip_serializing_if = "Option::is_none")]
            value: Option<Base>,
            #[serde(default = "one", skip_serializing_if = "is_one")]
            min: u64,
            #[serde(default, skip_serializing_if = "Max::is_one")]
            max: Max,
        },
    }

    fn one() -> u64 {
        1
    }
    #[allow(clippy::trivially_copy_pass_by_ref)]
    fn is_one(n: &u64) -> bool {
        *n == 1
    }

    #[derive(Clone, Serialize, Deserialize)]
    #[serde(untagged)]
    pub(super) enum Max {
        Number(u64),
        Word(Unlimited),
    }
    #[derive(Clone, Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    pub(super) enum Unlimited {
        Unlimited,
    }
    impl Default for Max {
        fn default() -> Self {
            Self::Number(1)
        }
    }
    impl Max {
        fn is_one(&self) -> bool {
            matches!(self, Self::Number(1))
        }
    }

    #[derive(Clone, Serialize, Deserialize)]
    #[serde(untagged)]
    pub(super) enum Base {
        Atomic(AtomType),
        Full(Box<Full>),
    }

    #[derive(Clone, Serialize, Deserialize)]
    #[serde(rename_all = "camelCase")]
    pub(super) struct Full {
        #[serde(rename = "type")]
        ty: AtomType,
        #[serde(default, rename = "enum", skip_serializing_if = "Option::is_none")]
        allowed: Option<Value>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        min_integer: Option<i64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_integer: Option<i64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        min_real: Option<f64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_real: Option<f64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        min_length: Option<u64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_length: Option<u64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ref_table: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ref_type: Option<RefType>,
    }

    #[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum RefType {
        Strong,
        Weak,
    }

    impl From<Base> for BaseType {
        fn from(base: Base) -> Self {
            match base {
                Base::Atomic(ty) => BaseType::plain(ty),
                Base::Full(full) => {
                    let weak = full.ref_type == Some(RefType::Weak);
                    let key = ColumnType {
                        key: BaseType::plain(full.ty),
                        value: None,
                        min: 0,
                        max: None,
                    };
                    let allowed = full.allowed.map(|mut allowed| {
                        // A mismatch would make an enumeration that nothing satisfies, as the server has it.
                        let _ = key.conform(&mut allowed);
                        allowed
                    });
                    BaseType {
                        ty: full.ty,
                        allowed,
                        integers: (full.min_integer, full.max_integer),
                        reals: (full.min_real, full.max_real),
                        length: (full.min_length, full.max_length),
                        references: full.ref_table.map(|table| Reference { table, weak }),
                    }
                }
            }
        }
    }

    impl From<BaseType> for Base {
        fn from(base: BaseType) -> Self {
            if base == BaseType::plain(base.ty) {
                return Base::Atomic(base.ty);
            }
            let (ref_table, ref_type) = match base.references {
                Some(r) => (Some(r.table), r.weak.then_some(RefType::Weak)),
                None => (None, None),
            };
            Base::Full(Box::new(Full {
                ty: base.ty,
                allowed: base.allowed,
                min_integer: base.integers.0,
                max_integer: base.integers.1,
                min_real: base.reals.0,
                max_real: base.reals.1,
                min_length: base.length.0,
                max_length: base.length.1,
                ref_table,
                ref_type,
            }))
        }
    }

    impl From<Type> for ColumnType {
        fn from(ty: Type) -> Self {
            match ty {
                Type::Atomic(ty) => ColumnType::scalar(ty),
                Type::Full {
                    key,
                    value,
                    min,
                    max,
                } => ColumnType {
                    key: key.into(),
                    value: value.map(Into::into),
                    min,
                    max: match max {
                        Max::Number(n) => Some(n),
                        Max::Word(Unlimited::Unlimited) => None,
                    },
                },
            }
        }
    }

    impl From<ColumnType> for Type {
        fn from(ty: ColumnType) -> Self {
            if ty == ColumnType::scalar(ty.key.ty) {
                return Type::Atomic(ty.key.ty);
            }
            Type::Full {
                key: ty.key.into(),
                value: ty.value.map(Into::into),
                min: ty.min,
                max: ty.max.map_or(Max::Word(Unlimited::Unlimited), Max::Number),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn ty(text: &str) -> ColumnType {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn types_both_ways() {
        // Forms taken from vswitch.ovsschema of Open vSwitch 3.1.
        for (text, printed) in [
            (r#""string""#, "string"),
            (r#"{"key":"string","min":0}"#, "optional string"),
            (
                r#"{"key":{"type":"uuid","refTable":"Port"},"min":0,"max":"unlimited"}"#,
                "set of uuid",
            ),
            (
                r#"{"key":"string","value":"string","min":0,"max":"unlimited"}"#,
                "map of string to string",
            ),
            (
                r#"{"key":{"type":"integer","minInteger":0,"maxInteger":4095},"min":0,"max":4096}"#,
                "set of integer",
            ),
            (
                r#"{"key":{"type":"string","enum":["set",["secure","standalone"]]},"min":0}"#,
                "optional string",
            ),
            (
                r#"{"key":{"type":"uuid","refTable":"Interface","refType":"weak"},"min":0}"#,
                "optional uuid",
            ),
        ] {
            let parsed = ty(text);
            assert_eq!(parsed.to_string(), printed);
            assert_eq!(serde_json::to_string(&parsed).unwrap(), text);
        }
    }

    #[test]
    fn conforms_reals() {
        let mut value: Value = serde_json::from_str(r#"["set",[1,0.5]]"#).unwrap();
        ColumnType::set(AtomType::Real).conform(&mut value).unwrap();
        assert_eq!(
            value,
            Value::set([Real::new(0.5).unwrap(), Real::new(1.0).unwrap()])
        );
    }

    #[test]
    fn constraints() {
        let vlan =
            ty(r#"{"key":{"type":"integer","minInteger":0,"maxInteger":4095},"min":0,"max":2}"#);
        vlan.check(&Value::set([0, 4095])).unwrap();
        assert!(matches!(
            vlan.check(&Value::from(4096)),
            Err(Mismatch::Constraint { .. })
        ));
        assert!(matches!(
            vlan.check(&Value::set([1, 2, 3])),
            Err(Mismatch::Count { found: 3, .. })
        ));
        assert!(matches!(
            vlan.check(&Value::from("1")),
            Err(Mismatch::AtomType { .. })
        ));
        assert!(matches!(
            vlan.check(&Value::empty_map()),
            Err(Mismatch::Shape(_))
        ));
        let mode =
            ty(r#"{"key":{"type":"string","enum":["set",["secure","standalone"]]},"min":0}"#);
        mode.check(&Value::from("secure")).unwrap();
        assert!(mode.check(&Value::from("other")).is_err());
    }
}
