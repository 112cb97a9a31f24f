//! Table Spread: from bits of the source port to an index, the same for all Services with as many indices. It is
//! consulted, and says nothing of where to go on.

use crate::fragment::{Fragment, Steps, any};
use crate::pipeline::{INDEX, PICK, Table, pick};
use crate::service::{Choice, index_of, values};

const VALUE: u16 = 100;

/// For Services with so many indices.
pub(crate) fn shape(shape: u16, f: &mut Fragment) {
    let Choice::Bits { bits, shape } = Choice::of(shape.into(), false) else {
        return;
    };
    for value in values(bits) {
        let index = index_of(value, bits, shape);
        f.flow(
            Table::Spread,
            VALUE,
            any().eq(PICK, pick(shape, value)),
            Steps::new().set(INDEX, u32::from(index)),
        );
    }
}
