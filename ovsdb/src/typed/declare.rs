//! The declaration of a table, from which everything typed follows.

/// Declares a table: a struct of its columns, a token for each column, and the schema check.
///
/// ```
/// ovsdb::table! {
///     /// A bridge, as far as we care.
///     pub struct Bridge: "Bridge" {
///         /// Its name.
///         name: String,
///         /// Its ports.
///         ports: std::collections::BTreeSet<ovsdb::Uuid>,
///         /// `fail_mode`, under another name.
///         mode = "fail_mode": Option<String>,
///     }
/// }
/// assert_eq!(Bridge::mode.name(), "fail_mode");
/// ```
///
/// `Bridge { uuid, name, ports, mode }` is the row; `Bridge::name` is the column's token, a
/// [`crate::typed::Column`], with which rows are written and compared.
#[macro_export]
macro_rules! table {
    ($(
        $(#[$meta:meta])*
        $vis:vis struct $table:ident: $name:literal {
            $($(#[$doc:meta])* $field:ident $(= $column:literal)?: $ty:ty),* $(,)?
        }
    )*) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        $vis struct $table {
            /// The row's uuid.
            pub uuid: $crate::Uuid,
            $($(#[$doc])* pub $field: $ty,)*
        }

        #[allow(non_upper_case_globals)]
        impl $table {
            $($(#[$doc])* pub const $field: $crate::typed::Column<$table, $ty> =
                $crate::typed::Column::new($crate::table!(@name $field $($column)?));)*
        }

        impl $crate::typed::Table for $table {
            const NAME: &'static str = $name;
            const COLUMNS: &'static [$crate::typed::ColumnSpec] = &[
                $($crate::typed::ColumnSpec::of::<$ty>($crate::table!(@name $field $($column)?)),)*
            ];
            #[allow(unused_assignments, unused_mut, unused_variables)]
            fn decode<'a>(
                uuid: $crate::Uuid,
                mut values: impl FnMut(usize) -> Option<&'a $crate::Value>,
            ) -> Option<Self> {
                let mut index = 0;
                $(
                    let $field = <$ty as $crate::typed::ColumnValue>::from_value(values(index)?)?;
                    index += 1;
                )*
                Some(Self { uuid, $($field,)* })
            }
        }
    )*};
    (@name $field:ident) => { stringify!($field) };
    (@name $field:ident $column:literal) => { $column };
}
