//! Typed access: tables and columns as Rust types. Types and conditions are those of RFC 7047, sections 3.2 and 5.1.
//!
//! Owns: the traits and tokens by which a declared table is read, written, compared and checked
//! against the server's schema. Must not know: any table in particular (see [`crate::vswitch`]).

mod assign;
mod declare;
mod value;

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use crate::error::SchemaError;
use crate::op::{Clause, Function, Mutation, Mutator};
use crate::schema::{ColumnType, DatabaseSchema};
use crate::uuid::Uuid;
use crate::value::{Atom, Value};

pub use assign::{Assign, Reference};
pub use value::{AtomValue, ColumnValue};

/// A table declared with [`crate::table!`].
pub trait Table: Sized + 'static {
    /// The table's name.
    const NAME: &'static str;
    /// Its declared columns, in the order of the declaration.
    const COLUMNS: &'static [ColumnSpec];
    /// Builds the row from its uuid and, in the same order, the declared columns' values.
    #[doc(hidden)]
    fn decode<'a>(uuid: Uuid, values: impl FnMut(usize) -> Option<&'a Value>) -> Option<Self>;
}

/// The table of an operation whose table is named at run time.
#[derive(Clone, Copy, Debug)]
pub enum Untyped {}

/// A declared column, as far as the schema check needs it.
#[derive(Clone, Copy)]
pub struct ColumnSpec {
    /// Its name.
    pub name: &'static str,
    /// The type declared, in words.
    pub expected: fn() -> ColumnType,
    /// Whether the server's type can be read and written as the declared one.
    pub accepts: fn(&ColumnType) -> bool,
}

impl ColumnSpec {
    /// The spec of column `name` declared as `V`.
    #[must_use]
    pub const fn of<V: ColumnValue>(name: &'static str) -> Self {
        Self {
            name,
            expected: V::column_type,
            accepts: V::accepts,
        }
    }
}

impl fmt::Debug for ColumnSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, (self.expected)())
    }
}

/// Checks a declared table against the server's schema.
///
/// # Errors
/// The first table or column missing or of another type, by name.
pub fn check<T: Table>(schema: &DatabaseSchema) -> Result<(), SchemaError> {
    check_columns(schema, T::NAME, T::COLUMNS)
}

pub(crate) fn check_columns(
    schema: &DatabaseSchema,
    table: &str,
    specs: &[ColumnSpec],
) -> Result<(), SchemaError> {
    let Some(columns) = schema.tables.get(table) else {
        return Err(SchemaError::NoTable {
            database: schema.name.as_str().into(),
            version: schema.version.as_str().into(),
            table: table.into(),
        });
    };
    for spec in specs {
        let Some(column) = columns.columns.get(spec.name) else {
            return Err(no_column(schema, table, spec.name));
        };
        if !(spec.accepts)(&column.ty) {
            return Err(SchemaError::ColumnType {
                database: schema.name.as_str().into(),
                version: schema.version.as_str().into(),
                table: table.into(),
                column: spec.name.into(),
                expected: (spec.expected)().to_string().into(),
                found: column.ty.to_string().into(),
            });
        }
    }
    Ok(())
}

pub(crate) fn no_column(schema: &DatabaseSchema, table: &str, column: &str) -> SchemaError {
    SchemaError::NoColumn {
        database: schema.name.as_str().into(),
        version: schema.version.as_str().into(),
        table: table.into(),
        column: column.into(),
    }
}

/// A column of table `T` that holds a `V`: a token, such as `Bridge::name`.
pub struct Column<T, V> {
    name: &'static str,
    types: PhantomData<fn() -> (T, V)>,
}

impl<T, V> Clone for Column<T, V> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T, V> Copy for Column<T, V> {}

impl<T, V> fmt::Debug for Column<T, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl<T, V> Column<T, V> {
    #[doc(hidden)]
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self {
            name,
            types: PhantomData,
        }
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.name
    }

    fn compare(self, function: Function, value: Value) -> Where<T> {
        Where::clause(Clause::Compare(self.name.into(), function, value))
    }

    /// `==`: the column holds exactly this.
    #[must_use]
    pub fn eq(self, value: impl Assign<V>) -> Where<T> {
        self.compare(Function::Equal, value.assign())
    }

    /// `!=`: the column holds anything else.
    #[must_use]
    pub fn ne(self, value: impl Assign<V>) -> Where<T> {
        self.compare(Function::NotEqual, value.assign())
    }

    /// `includes`: the column holds all of these.
    #[must_use]
    pub fn includes(self, value: impl Assign<V>) -> Where<T> {
        self.compare(Function::Includes, value.assign())
    }

    /// `excludes`: the column holds none of these.
    #[must_use]
    pub fn excludes(self, value: impl Assign<V>) -> Where<T> {
        self.compare(Function::Excludes, value.assign())
    }

    /// `<`, for numbers.
    #[must_use]
    pub fn lt(self, value: impl Assign<V>) -> Where<T> {
        self.compare(Function::Less, value.assign())
    }

    /// `<=`, for numbers.
    #[must_use]
    pub fn le(self, value: impl Assign<V>) -> Where<T> {
        self.compare(Function::LessOrEqual, value.assign())
    }

    /// `>`, for numbers.
    #[must_use]
    pub fn gt(self, value: impl Assign<V>) -> Where<T> {
        self.compare(Function::Greater, value.assign())
    }

    /// `>=`, for numbers.
    #[must_use]
    pub fn ge(self, value: impl Assign<V>) -> Where<T> {
        self.compare(Function::GreaterOrEqual, value.assign())
    }

    pub(crate) fn mutation(self, mutator: Mutator, value: Value) -> Mutation {
        Mutation(self.name.into(), mutator, value)
    }
}

/// Which rows of table `T`: those for which every clause holds; without clauses, all (RFC 7047 section 5.1, `<condition>`).
///
/// Made of a uuid (`uuid.into()`), of a column's comparison (`Bridge::name.eq("br0")`), or of several
/// joined by [`Where::and`].
pub struct Where<T> {
    pub(crate) clauses: Vec<Clause>,
    table: PhantomData<fn() -> T>,
}

impl<T> Clone for Where<T> {
    fn clone(&self) -> Self {
        Self {
            clauses: self.clauses.clone(),
            table: PhantomData,
        }
    }
}

impl<T> fmt::Debug for Where<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.clauses.fmt(f)
    }
}

impl<T> Where<T> {
    /// Every row.
    #[must_use]
    pub const fn all() -> Self {
        Self {
            clauses: Vec::new(),
            table: PhantomData,
        }
    }

    /// One clause, unchecked.
    #[must_use]
    pub fn clause(clause: Clause) -> Self {
        Self {
            clauses: vec![clause],
            table: PhantomData,
        }
    }

    /// A comparison with a column named at run time.
    #[must_use]
    pub fn compare(column: &str, function: Function, value: impl Into<Value>) -> Self {
        Self::clause(Clause::Compare(column.into(), function, value.into()))
    }

    /// Both conditions.
    #[must_use]
    pub fn and(mut self, other: impl Into<Self>) -> Self {
        self.clauses.extend(other.into().clauses);
        self
    }
}

impl<T> From<Uuid> for Where<T> {
    fn from(uuid: Uuid) -> Self {
        Self::compare("_uuid", Function::Equal, uuid)
    }
}

impl<T> From<&Reference> for Where<T> {
    fn from(reference: &Reference) -> Self {
        Self::compare("_uuid", Function::Equal, Atom::from(reference))
    }
}

impl<T> From<Reference> for Where<T> {
    fn from(reference: Reference) -> Self {
        (&reference).into()
    }
}

/// The names of the columns of `T`, as the wire wants them.
#[must_use]
pub fn column_names<T: Table>() -> Vec<Arc<str>> {
    T::COLUMNS.iter().map(|spec| spec.name.into()).collect()
}
