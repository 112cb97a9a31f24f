//! Values: atoms, sets and maps (RFC 7047 section 5.1), and their JSON notation both ways.
//!
//! Owns: the canonical in-memory form and its notation. Must not know: which column a value belongs
//! to. The notation is ambiguous without the column (a set of one element is written as that
//! element, and the real 1.0 as `1`); [`crate::schema::ColumnType::conform`] resolves it.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde::de::{self, SeqAccess};
use serde::ser::{SerializeSeq, SerializeTuple};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::uuid::Uuid;

/// A finite real with a total order (no NaN; -0.0 is 0.0), so that it can stand in sets.
#[derive(Clone, Copy, Debug, Default)]
pub struct Real(f64);

impl Real {
    /// `None` for NaN and the infinities, which OVSDB cannot hold.
    #[must_use]
    pub fn new(value: f64) -> Option<Self> {
        value.is_finite().then_some(Self(value + 0.0))
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }
}

impl PartialEq for Real {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Real {}
impl PartialOrd for Real {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Real {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}
impl Hash for Real {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

/// One scalar (RFC 7047 section 5.1, `<atom>`).
///
/// ```text
/// 17   1.5   true   "text"   ["uuid", "36bef046-…"]   ["named-uuid", "row1"]
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Atom {
    /// A signed 64-bit integer.
    Integer(i64),
    /// A double-precision number.
    Real(Real),
    /// A boolean.
    Boolean(bool),
    /// A UTF-8 string.
    String(Arc<str>),
    /// A reference to a row.
    Uuid(Uuid),
    /// A reference to a row inserted under this name by the same transaction.
    NamedUuid(Arc<str>),
}

/// The type of an [`Atom`] (RFC 7047 section 3.2, `<atomic-type>`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AtomType {
    /// `integer`
    Integer,
    /// `real`
    Real,
    /// `boolean`
    Boolean,
    /// `string`
    String,
    /// `uuid`
    Uuid,
}

impl fmt::Display for AtomType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Integer => "integer",
            Self::Real => "real",
            Self::Boolean => "boolean",
            Self::String => "string",
            Self::Uuid => "uuid",
        })
    }
}

impl AtomType {
    /// The value a column of this type has when nobody set it (RFC 7047 section 5.2.1).
    #[must_use]
    pub fn default_atom(self) -> Atom {
        match self {
            Self::Integer => Atom::Integer(0),
            Self::Real => Atom::Real(Real::default()),
            Self::Boolean => Atom::Boolean(false),
            Self::String => Atom::String(Arc::from("")),
            Self::Uuid => Atom::Uuid(Uuid::NIL),
        }
    }
}

impl Atom {
    /// Its type; a named uuid is a uuid.
    #[must_use]
    pub fn atom_type(&self) -> AtomType {
        match self {
            Self::Integer(_) => AtomType::Integer,
            Self::Real(_) => AtomType::Real,
            Self::Boolean(_) => AtomType::Boolean,
            Self::String(_) => AtomType::String,
            Self::Uuid(_) | Self::NamedUuid(_) => AtomType::Uuid,
        }
    }
}

impl fmt::Debug for Atom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(v) => v.fmt(f),
            Self::Real(v) => v.get().fmt(f),
            Self::Boolean(v) => v.fmt(f),
            Self::String(v) => v.fmt(f),
            Self::Uuid(v) => v.fmt(f),
            Self::NamedUuid(v) => write!(f, "@{v}"),
        }
    }
}

impl From<i64> for Atom {
    fn from(v: i64) -> Self {
        Self::Integer(v)
    }
}
impl From<bool> for Atom {
    fn from(v: bool) -> Self {
        Self::Boolean(v)
    }
}
impl From<Real> for Atom {
    fn from(v: Real) -> Self {
        Self::Real(v)
    }
}
impl From<&str> for Atom {
    fn from(v: &str) -> Self {
        Self::String(v.into())
    }
}
impl From<String> for Atom {
    fn from(v: String) -> Self {
        Self::String(v.into())
    }
}
impl From<Uuid> for Atom {
    fn from(v: Uuid) -> Self {
        Self::Uuid(v)
    }
}

/// The elements of a set of any size but one (RFC 7047 section 5.1, `<set>`): sorted, each once.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Set(Box<[Atom]>);

impl Set {
    /// The elements in order.
    #[must_use]
    pub fn as_slice(&self) -> &[Atom] {
        &self.0
    }
}

/// The pairs of a map (RFC 7047 section 5.1, `<map>`), sorted by key, each key once.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Map(Box<[(Atom, Atom)]>);

impl Map {
    /// The pairs in order of their keys.
    #[must_use]
    pub fn as_slice(&self) -> &[(Atom, Atom)] {
        &self.0
    }

    /// The value under `key`.
    #[must_use]
    pub fn get(&self, key: &Atom) -> Option<&Atom> {
        let at = self.0.binary_search_by(|(k, _)| k.cmp(key)).ok()?;
        self.0.get(at).map(|(_, v)| v)
    }

    /// The string under a string key, the usual case (`external_ids`, `other_config`, `options`).
    #[must_use]
    pub fn get_str(&self, key: &str) -> Option<&str> {
        let at = self
            .0
            .binary_search_by(|(k, _)| match k {
                Atom::String(k) => (**k).cmp(key),
                Atom::Integer(_) | Atom::Real(_) | Atom::Boolean(_) => Ordering::Less,
                Atom::Uuid(_) | Atom::NamedUuid(_) => Ordering::Greater,
            })
            .ok()?;
        match self.0.get(at)? {
            (_, Atom::String(v)) => Some(v),
            _ => None,
        }
    }
}

impl fmt::Debug for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.iter()).finish()
    }
}
impl fmt::Debug for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.0.iter().map(|(k, v)| (k, v)))
            .finish()
    }
}

/// What one column of one row holds (RFC 7047 section 5.1, `<value>`), in canonical form: equal
/// values compare equal.
///
/// ```text
/// ATOM   ["set", [ATOM, …]]   ["map", [[ATOM, ATOM], …]]
/// ```
///
/// A set of exactly one element *is* that element, as on the wire.
///
/// ```
/// use ovsdb::Value;
/// let value: Value = serde_json::from_str(r#"["set", ["b", "a"]]"#)?;
/// assert_eq!(value, Value::set(["a", "b"]));
/// assert_eq!(serde_json::to_string(&value)?, r#"["set",["a","b"]]"#);
/// assert_eq!(Value::set(["one"]), Value::from("one"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Value {
    /// A scalar, or a set of one element.
    Atom(Atom),
    /// A set of no or several elements.
    Set(Set),
    /// A map.
    Map(Map),
}

impl Value {
    /// A set; sorted here, doubles removed.
    #[must_use]
    pub fn set<A: Into<Atom>>(elements: impl IntoIterator<Item = A>) -> Self {
        let mut elements: Vec<Atom> = elements.into_iter().map(Into::into).collect();
        elements.sort_unstable();
        elements.dedup();
        Self::from_sorted(elements)
    }

    /// A map; sorted here, of equal keys the last wins.
    #[must_use]
    pub fn map<K: Into<Atom>, V: Into<Atom>>(pairs: impl IntoIterator<Item = (K, V)>) -> Self {
        let mut pairs: Vec<(Atom, Atom)> = pairs
            .into_iter()
            .map(|(k, v)| (k.into(), v.into()))
            .collect();
        pairs.reverse();
        pairs.sort_by(|a, b| a.0.cmp(&b.0));
        pairs.dedup_by(|a, b| a.0 == b.0);
        Self::Map(Map(pairs.into()))
    }

    /// The set of no elements.
    #[must_use]
    pub fn empty_set() -> Self {
        Self::Set(Set::default())
    }

    /// The map of no pairs.
    #[must_use]
    pub fn empty_map() -> Self {
        Self::Map(Map::default())
    }

    /// A real number; `None` if it is not finite.
    #[must_use]
    pub fn real(value: f64) -> Option<Self> {
        Real::new(value).map(|r| Self::Atom(Atom::Real(r)))
    }

    pub(crate) fn from_sorted(mut elements: Vec<Atom>) -> Self {
        if elements.len() == 1
            && let Some(only) = elements.pop()
        {
            return Self::Atom(only);
        }
        Self::Set(Set(elements.into()))
    }

    pub(crate) fn from_sorted_pairs(pairs: Vec<(Atom, Atom)>) -> Self {
        Self::Map(Map(pairs.into()))
    }

    /// Its elements when seen as a set: one for a scalar, none for a map.
    #[must_use]
    pub fn elements(&self) -> &[Atom] {
        match self {
            Self::Atom(atom) => std::slice::from_ref(atom),
            Self::Set(set) => set.as_slice(),
            Self::Map(_) => &[],
        }
    }

    /// Its pairs when it is a map, else none.
    #[must_use]
    pub fn pairs(&self) -> &[(Atom, Atom)] {
        match self {
            Self::Map(map) => map.as_slice(),
            _ => &[],
        }
    }

    /// The one string it holds.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Atom(Atom::String(s)) => Some(s),
            _ => None,
        }
    }

    /// The one integer it holds.
    #[must_use]
    pub fn as_integer(&self) -> Option<i64> {
        match self {
            Self::Atom(Atom::Integer(i)) => Some(*i),
            _ => None,
        }
    }

    /// The one boolean it holds.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Atom(Atom::Boolean(b)) => Some(*b),
            _ => None,
        }
    }

    /// The one uuid it holds.
    #[must_use]
    pub fn as_uuid(&self) -> Option<Uuid> {
        match self {
            Self::Atom(Atom::Uuid(u)) => Some(*u),
            _ => None,
        }
    }

    /// The map it is.
    #[must_use]
    pub fn as_map(&self) -> Option<&Map> {
        match self {
            Self::Map(map) => Some(map),
            _ => None,
        }
    }
}

impl<A: Into<Atom>> From<A> for Value {
    fn from(atom: A) -> Self {
        Self::Atom(atom.into())
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Atom(v) => v.fmt(f),
            Self::Set(v) => v.fmt(f),
            Self::Map(v) => v.fmt(f),
        }
    }
}

/// OVSDB's own JSON notation.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

impl Serialize for Real {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // As the server does: no fraction where there is none, up to fifteen digits.
        if self.0.fract() == 0.0 && self.0.abs() < 1e15 {
            #[allow(clippy::cast_possible_truncation)]
            serializer.serialize_i64(self.0 as i64)
        } else {
            serializer.serialize_f64(self.0)
        }
    }
}

impl Serialize for Atom {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Integer(v) => serializer.serialize_i64(*v),
            Self::Real(v) => v.serialize(serializer),
            Self::Boolean(v) => serializer.serialize_bool(*v),
            Self::String(v) => serializer.serialize_str(v),
            Self::Uuid(v) => ("uuid", v).serialize(serializer),
            Self::NamedUuid(v) => ("named-uuid", &**v).serialize(serializer),
        }
    }
}

impl Serialize for Set {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_tuple(2)?;
        out.serialize_element("set")?;
        out.serialize_element(&*self.0)?;
        out.end()
    }
}

impl Serialize for Map {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Pairs<'a>(&'a [(Atom, Atom)]);
        impl Serialize for Pairs<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut out = serializer.serialize_seq(Some(self.0.len()))?;
                for pair in self.0 {
                    out.serialize_element(pair)?;
                }
                out.end()
            }
        }
        let mut out = serializer.serialize_tuple(2)?;
        out.serialize_element("map")?;
        out.serialize_element(&Pairs(&self.0))?;
        out.end()
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Atom(v) => v.serialize(serializer),
            Self::Set(v) => v.serialize(serializer),
            Self::Map(v) => v.serialize(serializer),
        }
    }
}

macro_rules! visit_scalars {
    ($wrap:expr) => {
        fn visit_i64<E: de::Error>(self, v: i64) -> Result<Self::Value, E> {
            Ok($wrap(Atom::Integer(v)))
        }
        #[allow(clippy::cast_precision_loss)]
        fn visit_u64<E: de::Error>(self, v: u64) -> Result<Self::Value, E> {
            // Past i64 the server reads a number as a real, and so do we.
            Ok($wrap(match i64::try_from(v) {
                Ok(v) => Atom::Integer(v),
                Err(_) => Atom::Real(Real(v as f64)),
            }))
        }
        fn visit_f64<E: de::Error>(self, v: f64) -> Result<Self::Value, E> {
            Real::new(v)
                .map(|r| $wrap(Atom::Real(r)))
                .ok_or_else(|| E::custom("a real must be finite"))
        }
        fn visit_bool<E: de::Error>(self, v: bool) -> Result<Self::Value, E> {
            Ok($wrap(Atom::Boolean(v)))
        }
        fn visit_str<E: de::Error>(self, v: &str) -> Result<Self::Value, E> {
            Ok($wrap(Atom::String(v.into())))
        }
    };
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "kebab-case")]
enum Tag {
    Uuid,
    NamedUuid,
    Set,
    Map,
}

fn next<'de, T: Deserialize<'de>, A: SeqAccess<'de>>(
    seq: &mut A,
    what: &'static str,
) -> Result<T, A::Error> {
    seq.next_element()?.ok_or_else(|| de::Error::custom(what))
}

fn end<'de, A: SeqAccess<'de>>(seq: &mut A) -> Result<(), A::Error> {
    match seq.next_element::<de::IgnoredAny>()? {
        None => Ok(()),
        Some(_) => Err(de::Error::custom("a tagged value has two elements")),
    }
}

fn named<E: de::Error>(name: &str) -> Result<Arc<str>, E> {
    let mut chars = name.chars();
    let first = chars
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    if first && chars.all(|c| c.is_ascii_alphanumeric() || c == '_') {
        Ok(name.into())
    } else {
        Err(E::custom("a named-uuid must be an identifier"))
    }
}

impl<'de> Deserialize<'de> for Atom {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Atom;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an atom")
            }
            visit_scalars!(std::convert::identity);
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Atom, A::Error> {
                let atom = match next(&mut seq, "an atom is not an empty array")? {
                    Tag::Uuid => Atom::Uuid(next(&mut seq, "\"uuid\" has no value")?),
                    Tag::NamedUuid => {
                        let name: std::borrow::Cow<'_, str> =
                            next(&mut seq, "\"named-uuid\" has no value")?;
                        Atom::NamedUuid(named(&name)?)
                    }
                    Tag::Set | Tag::Map => {
                        return Err(de::Error::custom(
                            "a set or map cannot stand inside another",
                        ));
                    }
                };
                end(&mut seq)?;
                Ok(atom)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

fn distinct<T: Ord, E: de::Error>(
    items: &mut [T],
    same: fn(&T, &T) -> bool,
    what: &'static str,
) -> Result<(), E> {
    // The server sends them sorted; sorting what is sorted is one pass.
    items.sort();
    if items
        .windows(2)
        .any(|pair| matches!(pair, [a, b] if same(a, b)))
    {
        return Err(E::custom(what));
    }
    Ok(())
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Value;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an atom, a set or a map")
            }
            visit_scalars!(Value::Atom);
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
                let value = match next(&mut seq, "a value is not an empty array")? {
                    Tag::Uuid => Value::Atom(Atom::Uuid(next(&mut seq, "\"uuid\" has no value")?)),
                    Tag::NamedUuid => {
                        let name: std::borrow::Cow<'_, str> =
                            next(&mut seq, "\"named-uuid\" has no value")?;
                        Value::Atom(Atom::NamedUuid(named(&name)?))
                    }
                    Tag::Set => {
                        let mut elements: Vec<Atom> = next(&mut seq, "\"set\" has no value")?;
                        distinct(&mut elements, |a, b| a == b, "a set holds an element twice")?;
                        Value::from_sorted(elements)
                    }
                    Tag::Map => {
                        let mut pairs: Vec<(Atom, Atom)> = next(&mut seq, "\"map\" has no value")?;
                        distinct(&mut pairs, |a, b| a.0 == b.0, "a map holds a key twice")?;
                        Value::from_sorted_pairs(pairs)
                    }
                };
                end(&mut seq)?;
                Ok(value)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parse(text: &str) -> Result<Value, serde_json::Error> {
        serde_json::from_str(text)
    }

    #[test]
    fn a_cell_is_three_words() {
        assert_eq!(std::mem::size_of::<Value>(), 24);
    }

    #[test]
    fn notation_both_ways() {
        for (text, value) in [
            ("17", Value::from(17)),
            ("-9223372036854775808", Value::from(i64::MIN)),
            ("1.5", Value::real(1.5).unwrap()),
            ("true", Value::from(true)),
            (r#""a\u0000\"b""#, Value::from("a\0\"b")),
            (r#"["set",[]]"#, Value::empty_set()),
            (r#"["set",[1,2]]"#, Value::set([2, 1, 2])),
            (r#"["map",[]]"#, Value::empty_map()),
            (
                r#"["map",[["a","1"],["b","2"]]]"#,
                Value::map([("b", "2"), ("a", "0"), ("a", "1")]),
            ),
            (
                r#"["named-uuid","row1"]"#,
                Value::Atom(Atom::NamedUuid("row1".into())),
            ),
        ] {
            assert_eq!(parse(text).unwrap(), value, "{text}");
            assert_eq!(value.to_string(), text);
        }
    }

    #[test]
    fn refuses_what_the_server_refuses() {
        for bad in [
            "null",
            "{}",
            "[]",
            r#"["set"]"#,
            r#"["set",[],1]"#,
            r#"["set",[1,1]]"#,
            r#"["set",[["set",[]]]]"#,
            r#"["map",[["a",1],["a",2]]]"#,
            r#"["map",[["a"]]]"#,
            r#"["uuid","x"]"#,
            r#"["named-uuid","1x"]"#,
            r#"["other",1]"#,
            "1e999",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn map_lookup() {
        let value = Value::map([("a", "1"), ("b", "2")]);
        let map = value.as_map().unwrap();
        assert_eq!(map.get_str("b"), Some("2"));
        assert_eq!(map.get_str("c"), None);
        assert_eq!(map.get(&Atom::from("a")), Some(&Atom::from("1")));
    }
}
