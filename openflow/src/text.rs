//! What the text forms share: names for numbers, lists, scanning.
//!
//! The text of each thing stands beside that thing; here is only what several of them need.

pub mod scan;

use std::fmt;
use std::net::Ipv6Addr;

use crate::types::{PortNo, TableId};

/// Names that are printed in place of the numbers of ports and tables.
pub trait Names {
    /// The name of `port`, if it is to be printed by name.
    fn port(&self, port: PortNo) -> Option<&str>;
    /// The name of `table`, if it is to be printed by name.
    fn table(&self, table: TableId) -> Option<&str>;
}

/// No names: everything is printed by number.
#[derive(Clone, Copy, Debug, Default)]
pub struct Numbers;

impl Names for Numbers {
    fn port(&self, _: PortNo) -> Option<&str> {
        None
    }
    fn table(&self, _: TableId) -> Option<&str> {
        None
    }
}

/// Something that has a text form as `ovs-ofctl` prints it.
pub trait Print {
    /// Prints it, with `names` for ports and tables.
    ///
    /// # Errors
    /// Those of the formatter.
    fn print(&self, f: &mut fmt::Formatter<'_>, names: &dyn Names) -> fmt::Result;

    /// It, to be displayed with `names`.
    fn with_names<'a>(&'a self, names: &'a dyn Names) -> WithNames<'a, Self>
    where
        Self: Sized,
    {
        WithNames { what: self, names }
    }
}

/// Displays something with names; see [`Print::with_names`].
#[allow(missing_debug_implementations)]
pub struct WithNames<'a, T> {
    what: &'a T,
    names: &'a dyn Names,
}

impl<T: Print> fmt::Display for WithNames<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.what.print(f, self.names)
    }
}

/// Implements `Display` by [`Print`] with numbers.
macro_rules! display_by_print {
    ($($ty:ty),*) => {$(
        impl std::fmt::Display for $ty {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                $crate::text::Print::print(self, f, &$crate::text::Numbers)
            }
        }
    )*};
}
pub(crate) use display_by_print;

/// Puts commas between the items of a list.
#[derive(Default)]
pub(crate) struct Commas(bool);

impl Commas {
    pub(crate) fn next(&mut self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if std::mem::replace(&mut self.0, true) {
            f.write_str(",")
        } else {
            Ok(())
        }
    }
}

/// A port as `ovs-ofctl` prints it.
pub(crate) struct Port<'a>(pub(crate) PortNo, pub(crate) &'a dyn Names);

impl fmt::Display for Port<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1.port(self.0) {
            Some(name) if self.0.name().is_none() => Name(name).fmt(f),
            _ => self.0.fmt(f),
        }
    }
}

/// A table as `ovs-ofctl` prints it.
pub(crate) struct Table<'a>(pub(crate) TableId, pub(crate) &'a dyn Names);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1.table(self.0) {
            Some(name) => Name(name).fmt(f),
            None => self.0.fmt(f),
        }
    }
}

/// A name as `ovs-ofctl` prints it: in quotes unless it is a plain word.
struct Name<'a>(&'a str);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let starts = self
            .0
            .starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if starts && self.0.chars().all(word) {
            return f.write_str(self.0);
        }
        f.write_str("\"")?;
        for c in self.0.chars() {
            match c {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                '\t' => f.write_str("\\t")?,
                c => write!(f, "{c}")?,
            }
        }
        f.write_str("\"")
    }
}

/// An IPv6 address as `inet_ntop` prints it.
pub(crate) struct Ipv6(pub(crate) Ipv6Addr);

impl fmt::Display for Ipv6 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.segments() {
            // An IPv4-compatible address, which the standard library prints in hexadecimal.
            [0, 0, 0, 0, 0, 0, hi, lo] if hi != 0 => {
                let [a, b] = hi.to_be_bytes();
                let [c, d] = lo.to_be_bytes();
                write!(f, "::{a}.{b}.{c}.{d}")
            }
            _ => fmt::Display::fmt(&self.0, f),
        }
    }
}

/// A number as C's `%#x` prints it: no `0x` before zero.
pub(crate) struct Hash(pub(crate) u128);

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            f.write_str("0")
        } else {
            write!(f, "{:#x}", self.0)
        }
    }
}

/// Flags by name with `|` between; what has no name follows in hexadecimal.
pub(crate) struct Flags<'a> {
    pub(crate) bits: u32,
    pub(crate) names: &'a [(u32, &'a str)],
    pub(crate) separator: char,
}

impl fmt::Display for Flags<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.bits == 0 {
            return f.write_str("0");
        }
        let (mut rest, mut bad, mut first) = (self.bits, 0, true);
        while rest != 0 {
            let bit = rest & rest.wrapping_neg();
            rest &= !bit;
            match self.names.iter().find(|(b, _)| *b == bit) {
                Some((_, name)) => {
                    if !std::mem::take(&mut first) {
                        write!(f, "{}", self.separator)?;
                    }
                    f.write_str(name)?;
                }
                None => bad |= bit,
            }
        }
        if bad != 0 {
            if !first {
                write!(f, "{}", self.separator)?;
            }
            write!(f, "{bad:#x}")?;
        }
        Ok(())
    }
}

/// Flags each with `+` or `-`; all of them by name when every bit of `all` is in the mask.
pub(crate) struct MaskedFlags<'a> {
    pub(crate) bits: u32,
    pub(crate) mask: u32,
    pub(crate) all: u32,
    pub(crate) names: &'a [(u32, &'a str)],
}

impl fmt::Display for MaskedFlags<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.mask == self.all {
            return Flags {
                bits: self.bits,
                names: self.names,
                separator: '|',
            }
            .fmt(f);
        }
        if self.mask == 0 {
            return f.write_str("0/0");
        }
        let mut rest = self.mask;
        while rest != 0 {
            let bit = rest & rest.wrapping_neg();
            rest &= !bit;
            let name = self
                .names
                .iter()
                .find(|(b, _)| *b == bit)
                .map_or("[Unknown]", |(_, n)| n);
            write!(f, "{}{name}", if self.bits & bit != 0 { '+' } else { '-' })?;
        }
        Ok(())
    }
}

/// Bytes in hexadecimal with dots between.
pub(crate) struct DottedHex<'a>(pub(crate) &'a [u8]);

impl fmt::Display for DottedHex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, b) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(".")?;
            }
            write!(f, "{b:02x}")?;
        }
        Ok(())
    }
}

/// Names of connection tracking flags.
pub(crate) const CT_STATE: &[(u32, &str)] = &[
    (0x01, "new"),
    (0x02, "est"),
    (0x04, "rel"),
    (0x08, "rpl"),
    (0x10, "inv"),
    (0x20, "trk"),
    (0x40, "snat"),
    (0x80, "dnat"),
];

/// Names of TCP flags.
pub(crate) const TCP_FLAGS: &[(u32, &str)] = &[
    (0x001, "fin"),
    (0x002, "syn"),
    (0x004, "rst"),
    (0x008, "psh"),
    (0x010, "ack"),
    (0x020, "urg"),
    (0x040, "ece"),
    (0x080, "cwr"),
    (0x100, "ns"),
    (0x200, "[200]"),
    (0x400, "[400]"),
    (0x800, "[800]"),
];

/// Names of tunnel flags.
pub(crate) const TUN_FLAGS: &[(u32, &str)] = &[(0x1, "oam")];
