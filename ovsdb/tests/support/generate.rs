//! Schemas and values made up from a seed.
#![allow(dead_code, clippy::unwrap_used, unreachable_pub)]

use ovsdb::schema::{BaseType, ColumnType};
use ovsdb::{Atom, AtomType, Real, Uuid, Value};

use crate::server::Random;

pub const TYPES: [AtomType; 5] = [
    AtomType::Integer,
    AtomType::Real,
    AtomType::Boolean,
    AtomType::String,
    AtomType::Uuid,
];

/// Any string, the awkward ones often: control characters, quotes, the ends of planes.
pub fn string(random: &mut Random) -> String {
    const AWKWARD: [char; 24] = [
        '"',
        '\\',
        '/',
        '\n',
        '\r',
        '\t',
        '\u{8}',
        '\u{c}',
        '\u{1}',
        '\u{1f}',
        '\u{7f}',
        ' ',
        '[',
        ']',
        '{',
        '}',
        ',',
        ':',
        'é',
        '\u{7ff}',
        '\u{ffff}',
        '\u{10000}',
        '\u{10ffff}',
        '😀',
    ];
    (0..random.below(12))
        .map(|_| match random.below(3) {
            0 => *random.pick(&AWKWARD),
            1 => char::from(b'a' + u8::try_from(random.below(26)).unwrap()),
            // The server keeps no NUL in a string.
            _ => char::from_u32(u32::try_from(random.bits() % 0x11_0000).unwrap())
                .filter(|c| *c != '\0')
                .unwrap_or('x'),
        })
        .collect()
}

pub fn integer(random: &mut Random) -> i64 {
    match random.below(6) {
        0 => *random.pick(&[
            0,
            1,
            -1,
            i64::MAX,
            i64::MIN,
            i64::from(i32::MAX),
            1 << 53,
            (1 << 53) + 1,
        ]),
        1..4 => i64::try_from(random.below(20)).unwrap() - 10,
        _ => i64::from_ne_bytes(random.bits().to_ne_bytes()),
    }
}

/// Any real that the server can print in 15 digits: it prints no more, so others it cannot give back.
pub fn real(random: &mut Random) -> Real {
    let digits = i64::try_from(random.bits() % 1_000_000_000_000_000).unwrap();
    let digits = if random.chance(2) {
        digits
    } else {
        digits % 1000
    };
    let exponent = i64::try_from(random.below(40)).unwrap() - 20;
    let sign = if random.chance(2) { "-" } else { "" };
    Real::new(format!("{sign}{digits}e{exponent}").parse().unwrap()).unwrap()
}

pub fn uuid(random: &mut Random) -> Uuid {
    let (a, b) = (random.bits().to_be_bytes(), random.bits().to_be_bytes());
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&a);
    bytes[8..].copy_from_slice(&b);
    Uuid::from_bytes(bytes)
}

pub fn atom(random: &mut Random, ty: AtomType) -> Atom {
    match ty {
        AtomType::Integer => Atom::Integer(integer(random)),
        AtomType::Real => Atom::Real(real(random)),
        AtomType::Boolean => Atom::Boolean(random.chance(2)),
        AtomType::String => Atom::String(string(random).into()),
        AtomType::Uuid => Atom::Uuid(uuid(random)),
    }
}

/// Any type of column.
pub fn column_type(random: &mut Random) -> ColumnType {
    let key = BaseType::plain(*random.pick(&TYPES));
    let value = random
        .chance(3)
        .then(|| BaseType::plain(*random.pick(&TYPES)));
    let min = u64::try_from(random.below(2)).unwrap();
    let max = *random.pick(&[Some(1), Some(1), Some(4), None, None]);
    ColumnType {
        key,
        value,
        min,
        max,
    }
}

/// Any value that a column of this type takes.
pub fn value(random: &mut Random, ty: &ColumnType) -> Value {
    let min = usize::try_from(ty.min).unwrap();
    let max = ty.max.map_or(6, |max| usize::try_from(max).unwrap());
    let n = min + random.below(max - min + 1);
    let made = match &ty.value {
        None => Value::set((0..n).map(|_| atom(random, ty.key.ty))),
        Some(base) => Value::map((0..n).map(|_| (atom(random, ty.key.ty), atom(random, base.ty)))),
    };
    debug_assert!(ty.check(&made).is_ok());
    made
}
