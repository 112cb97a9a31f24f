//! [`Kind`]: which actions there are, one line each: what it is called, its number, and how long it may be.
//!
//! Open vSwitch looks no further into an action that it does not know or whose length is wrong for its kind; so does
//! [`Kind::of`], which is asked once something is known to be wrong. Must not know what actions hold.

use super::{NICIRA, ONF};
use crate::error::{DecodeError, ErrorKind};

/// A kind of action that Open vSwitch has on OpenFlow 1.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// What Open vSwitch calls it, such as `NXAST_RESUBMIT_TABLE`.
    pub name: &'static str,
    /// [`NICIRA`] or [`ONF`], or 0 for an action of the specification.
    pub experimenter: u32,
    /// Its type, or the subtype among those of the experimenter.
    pub number: u16,
    /// How many bytes it has at least.
    least: u16,
    /// Whether it may be longer.
    grows: bool,
}

const fn exactly(bytes: u16) -> (u16, bool) {
    (bytes, false)
}

const fn at_least(bytes: u16) -> (u16, bool) {
    (bytes, true)
}

macro_rules! kinds {
    ($($name:literal $experimenter:ident $number:literal $length:ident($bytes:literal);)*) => {
        const ALL: &[Kind] = &[$({
            let (least, grows) = $length($bytes);
            Kind { name: $name, experimenter: $experimenter, number: $number, least, grows }
        }),*];
    };
}

/// Not an experimenter.
const OF: u32 = 0;

kinds! {
    "OFPAT_OUTPUT" OF 0 exactly(16);
    "OFPAT_SET_VLAN_VID" OF 1 exactly(8);
    "OFPAT_SET_VLAN_PCP" OF 2 exactly(8);
    "OFPAT_SET_DL_SRC" OF 3 exactly(16);
    "OFPAT_SET_DL_DST" OF 4 exactly(16);
    "OFPAT_SET_NW_SRC" OF 5 exactly(8);
    "OFPAT_SET_NW_DST" OF 6 exactly(8);
    "OFPAT_SET_NW_TOS" OF 7 exactly(8);
    "OFPAT_SET_NW_ECN" OF 8 exactly(8);
    "OFPAT_SET_TP_SRC" OF 9 exactly(8);
    "OFPAT_SET_TP_DST" OF 10 exactly(8);
    "OFPAT_SET_MPLS_LABEL" OF 13 exactly(8);
    "OFPAT_SET_MPLS_TC" OF 14 exactly(8);
    "OFPAT_SET_MPLS_TTL" OF 15 exactly(8);
    "OFPAT_DEC_MPLS_TTL" OF 16 exactly(8);
    "OFPAT_PUSH_VLAN" OF 17 exactly(8);
    "OFPAT_POP_VLAN" OF 18 exactly(8);
    "OFPAT_PUSH_MPLS" OF 19 exactly(8);
    "OFPAT_POP_MPLS" OF 20 exactly(8);
    "OFPAT_SET_QUEUE" OF 21 exactly(8);
    "OFPAT_GROUP" OF 22 exactly(8);
    "OFPAT_SET_NW_TTL" OF 23 exactly(8);
    "OFPAT_DEC_NW_TTL" OF 24 exactly(8);
    "OFPAT_SET_FIELD" OF 25 at_least(8);
    "NXAST_RESUBMIT" NICIRA 1 exactly(16);
    "NXAST_SET_TUNNEL" NICIRA 2 exactly(16);
    "NXAST_POP_QUEUE" NICIRA 5 exactly(16);
    "NXAST_REG_MOVE" NICIRA 6 at_least(16);
    "NXAST_REG_LOAD" NICIRA 7 exactly(24);
    "NXAST_NOTE" NICIRA 8 at_least(16);
    "NXAST_SET_TUNNEL64" NICIRA 9 exactly(24);
    "NXAST_MULTIPATH" NICIRA 10 exactly(32);
    "NXAST_BUNDLE" NICIRA 12 at_least(32);
    "NXAST_BUNDLE_LOAD" NICIRA 13 at_least(32);
    "NXAST_RESUBMIT_TABLE" NICIRA 14 exactly(16);
    "NXAST_OUTPUT_REG" NICIRA 15 exactly(24);
    "NXAST_LEARN" NICIRA 16 at_least(32);
    "NXAST_EXIT" NICIRA 17 exactly(16);
    "NXAST_FIN_TIMEOUT" NICIRA 19 exactly(16);
    "NXAST_CONTROLLER" NICIRA 20 exactly(16);
    "NXAST_DEC_TTL_CNT_IDS" NICIRA 21 at_least(16);
    "NXAST_WRITE_METADATA" NICIRA 22 exactly(32);
    "NXAST_STACK_PUSH" NICIRA 27 exactly(24);
    "NXAST_STACK_POP" NICIRA 28 exactly(24);
    "NXAST_SAMPLE" NICIRA 29 exactly(24);
    "NXAST_OUTPUT_REG2" NICIRA 32 exactly(24);
    "NXAST_REG_LOAD2" NICIRA 33 at_least(16);
    "NXAST_CONJUNCTION" NICIRA 34 exactly(16);
    "NXAST_CT" NICIRA 35 at_least(24);
    "NXAST_NAT" NICIRA 36 at_least(16);
    "NXAST_CONTROLLER2" NICIRA 37 at_least(16);
    "NXAST_SAMPLE2" NICIRA 38 exactly(32);
    "NXAST_OUTPUT_TRUNC" NICIRA 39 exactly(16);
    "NXAST_SAMPLE3" NICIRA 41 exactly(32);
    "NXAST_CLONE" NICIRA 42 at_least(16);
    "NXAST_CT_CLEAR" NICIRA 43 exactly(16);
    "NXAST_RESUBMIT_TABLE_CT" NICIRA 44 exactly(16);
    "NXAST_LEARN2" NICIRA 45 at_least(40);
    "NXAST_ENCAP" NICIRA 46 at_least(16);
    "NXAST_DECAP" NICIRA 47 at_least(16);
    "NXAST_DEC_NSH_TTL" NICIRA 48 exactly(16);
    "NXAST_CHECK_PKT_LARGER" NICIRA 49 exactly(24);
    "NXAST_DELETE_FIELD" NICIRA 50 exactly(24);
    "NXAST_DEBUG_SLOW" NICIRA 254 exactly(16);
    "NXAST_DEBUG_RECIRC" NICIRA 255 exactly(16);
    "ONFACT_COPY_FIELD" ONF 3200 at_least(24);
}

impl Kind {
    /// Every one.
    pub fn all() -> impl Iterator<Item = Kind> {
        ALL.iter().copied()
    }

    /// The kind of the action that `bytes` begin with.
    ///
    /// # Errors
    /// As Open vSwitch answers, if it does not know it or the length in its header cannot be: the action would be
    /// longer than `bytes`, or longer or shorter than it may be, or no multiple of eight.
    pub fn of(bytes: &[u8]) -> Result<Kind, DecodeError> {
        let error = |kind| DecodeError::new(kind, "action");
        let bad_len = error(ErrorKind::BacBadLen);
        let [t0, t1, l0, l1, word @ ..] = *bytes.first_chunk::<8>().ok_or(bad_len)?;
        let (experimenter, number) = match u16::from_be_bytes([t0, t1]) {
            super::codec::EXPERIMENTER => {
                let experimenter = u32::from_be_bytes(word);
                if experimenter != NICIRA && experimenter != ONF {
                    return Err(error(ErrorKind::BacBadExperimenter));
                }
                let [.., s0, s1, _, _, _, _, _, _] = *bytes.first_chunk::<16>().ok_or(bad_len)?;
                (experimenter, u16::from_be_bytes([s0, s1]))
            }
            number => (OF, number),
        };
        let found = Kind::all().find(|k| k.experimenter == experimenter && k.number == number);
        let kind = found.ok_or(error(if experimenter == OF {
            ErrorKind::BacBadType
        } else {
            ErrorKind::BacBadExpType
        }))?;
        let length = u16::from_be_bytes([l0, l1]);
        let fits = if kind.grows {
            length >= kind.least
        } else {
            length == kind.least
        };
        if usize::from(length) <= bytes.len() && fits && length.is_multiple_of(8) {
            Ok(kind)
        } else {
            Err(bad_len)
        }
    }
}
