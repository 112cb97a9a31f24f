//! [`Kind`]: what an action is called, whose it is, its number, and how long it may be; and how the head is written that says so.
//!
//! ```text
//! 0        2        4                8         10
//! +--------+--------+------ … ------+
//! |  type  | length |     body      |                 of the specification, §7.2.5
//! +--------+--------+----------------+---------+------ … ------+
//! | 0xffff | length |  experimenter  | subtype |     body      |  an experimenter's
//! +--------+--------+----------------+---------+------ … ------+
//! ```
//!
//! Open vSwitch looks no further into an action that it does not know or whose length is wrong for its kind; so does
//! [`Kind::of`], which is asked once something is known to be wrong. Which kinds there are stands in the list of
//! actions. Must not know what actions hold.

use super::{Action, Legacy, NICIRA, ONF};
use crate::error::{DecodeError, ErrorKind};
use crate::wire;
use crate::wire::Writer;

/// The type of an experimenter's action.
pub(super) const EXPERIMENTER: u16 = 0xffff;

/// A kind of action that Open vSwitch has on OpenFlow 1.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// What Open vSwitch calls it, such as `NXAST_RESUBMIT_TABLE`.
    pub name: &'static str,
    /// [`NICIRA`] or [`ONF`], or 0 for an action of the specification.
    pub experimenter: u32,
    /// Its type, or the subtype among those of the experimenter.
    pub number: u16,
    pub(super) length: Length,
}

/// How many bytes an action has, its head included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Length {
    least: u16,
    /// Whether it may be longer.
    grows: bool,
    /// Whether Open vSwitch refuses it.
    refused: bool,
}

pub(super) const fn exactly(least: u16) -> Length {
    Length {
        least,
        grows: false,
        refused: false,
    }
}

pub(super) const fn at_least(least: u16) -> Length {
    Length {
        grows: true,
        ..exactly(least)
    }
}

/// Exactly so many, if Open vSwitch did not refuse it.
pub(super) const fn refused(least: u16) -> Length {
    Length {
        refused: true,
        ..exactly(least)
    }
}

impl Kind {
    /// Every one.
    pub fn all() -> impl Iterator<Item = Kind> {
        let known = |kind: &Kind| !kind.length.refused;
        let all = Action::KINDS.iter().chain(Legacy::KINDS);
        all.copied().filter(known)
    }

    /// The first eight bytes of an experimenter's action.
    #[inline(always)]
    const fn first(&self, length: u16) -> u64 {
        (EXPERIMENTER as u64) << 48 | (length as u64) << 32 | self.experimenter as u64
    }

    /// Writes the head of an action of the length that it has at least.
    #[inline(always)]
    pub(super) fn fixed(&self, w: &mut Writer<'_>) {
        let length = self.length.least;
        if self.experimenter == 0 {
            w.u32(u32::from(self.number) << 16 | u32::from(length));
        } else {
            w.u64(self.first(length));
            w.u16(self.number);
        }
    }

    /// As [`fixed`](Self::fixed), of an experimenter's action, with the six bytes that come next.
    #[inline(always)]
    pub(super) fn fixed_with(&self, six: u64, w: &mut Writer<'_>) {
        w.u64(self.first(self.length.least));
        w.u64(u64::from(self.number) << 48 | six);
    }

    /// Writes all of an action of eight bytes, of which the last four are `body`.
    #[inline(always)]
    pub(super) fn short(&self, body: u32, w: &mut Writer<'_>) {
        w.u64(u64::from(self.number) << 48 | 8 << 32 | u64::from(body));
    }

    /// Writes the head of an action whose length is to be [filled in](Writer::end).
    #[inline(always)]
    pub(super) fn begin(&self, w: &mut Writer<'_>) -> wire::Length {
        let start = w.pos();
        if self.experimenter == 0 {
            w.u32(u32::from(self.number) << 16);
        } else {
            w.u64(self.first(0));
            w.u16(self.number);
        }
        w.length_at(start, start + 2)
    }

    /// As [`begin`](Self::begin), of an experimenter's action, with the six bytes that come next.
    #[inline(always)]
    pub(super) fn begin_with(&self, six: u64, w: &mut Writer<'_>) -> wire::Length {
        let start = w.pos();
        w.u64(self.first(0));
        w.u64(u64::from(self.number) << 48 | six);
        w.length_at(start, start + 2)
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
            EXPERIMENTER => {
                let experimenter = u32::from_be_bytes(word);
                if experimenter != NICIRA && experimenter != ONF {
                    return Err(error(ErrorKind::BacBadExperimenter));
                }
                let [.., s0, s1, _, _, _, _, _, _] = *bytes.first_chunk::<16>().ok_or(bad_len)?;
                (experimenter, u16::from_be_bytes([s0, s1]))
            }
            number => (0, number),
        };
        let found = Kind::all().find(|k| k.experimenter == experimenter && k.number == number);
        let kind = found.ok_or(error(if experimenter == 0 {
            ErrorKind::BacBadType
        } else {
            ErrorKind::BacBadExpType
        }))?;
        let length = u16::from_be_bytes([l0, l1]);
        let fits = if kind.length.grows {
            length >= kind.length.least
        } else {
            length == kind.length.least
        };
        if usize::from(length) <= bytes.len() && fits && length.is_multiple_of(8) {
            Ok(kind)
        } else {
            Err(bad_len)
        }
    }
}
