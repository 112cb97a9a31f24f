//! [`Instruction`]: what a flow entry does, OpenFlow 1.3.5 §7.2.4.
//!
//! Each is declared once. Open vSwitch keeps the instructions of a flow in one order, which is canonical: meter,
//! apply-actions, clear-actions, write-actions, write-metadata, goto-table. Apply-actions without
//! any action says nothing and is left out.

use std::fmt;

use crate::action::{self, Action, Parser, print_list, print_metadata};
use crate::error::{DecodeError, EncodeError, ErrorKind, ParseError};
use crate::few::Few;
use crate::text::{Commas, Names, Print, Table, display_by_print};
use crate::types::TableId;
use crate::wire::{Reader, Writer};

macro_rules! instructions {
    (
        $(#[$enum_doc:meta])*
        enum Instruction {$(
            $(#[$doc:meta])*
            $variant:ident
                $(($ty:ty))?
                $({$($(#[$part_doc:meta])* $part:ident: $part_ty:ty),*})?
                = $type:ident $number:literal $length:ident($bytes:literal) => $word:literal [$parse:ident];
        )*}
        besides {$($rest:tt)*}
    ) => {
        $(#[$enum_doc])*
        pub enum Instruction {
            $($(#[$doc])* $variant $(($ty))? $({$($(#[$part_doc])* $part: $part_ty),*})?,)*
            $($rest)*
        }

        $(const $type: u16 = $number;)*

        /// Types, each with the length of its instructions if that is always the same.
        const TYPES: &[(u16, Option<usize>)] = &[$(($type, $length($bytes))),*];

        /// The canonical order.
        enum Place {
            $($variant,)*
            Unknown,
        }

        impl Instruction {
            /// Its place in the canonical order.
            #[inline]
            pub(crate) const fn rank(&self) -> u8 {
                match self {
                    $(Instruction::$variant { .. } => Place::$variant as u8,)*
                    Instruction::Unknown(_) => Place::Unknown as u8,
                }
            }

            /// Reads the argument of `word`, if it is one of an instruction.
            pub(crate) fn parse_listed(
                p: &Parser,
                word: &str,
                arg: &str,
            ) -> Option<Result<Instruction, ParseError>> {
                Some(match word {
                    $($word => p.$parse(arg),)*
                    _ => return None,
                })
            }
        }
    };
}

const fn exactly(bytes: usize) -> Option<usize> {
    Some(bytes)
}

const fn at_least(_: usize) -> Option<usize> {
    None
}

// In the canonical order: the variant, its type on the wire, its length there; then its word, and what reads its argument.
instructions! {
    /// An instruction of a flow entry.
    #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    #[non_exhaustive]
    enum Instruction {
        /// `meter:METER`.
        Meter(u32) = METER 6 exactly(8) => "meter" [meter];
        /// Actions at once, in order.
        ApplyActions(Vec<Action>) = APPLY_ACTIONS 4 at_least(8) => "apply_actions" [apply_actions];
        /// `clear_actions`: empties the action set.
        ClearActions = CLEAR_ACTIONS 5 exactly(8) => "clear_actions" [clear_actions];
        /// `write_actions(…)`: into the action set.
        WriteActions(Vec<Action>) = WRITE_ACTIONS 3 at_least(8) => "write_actions" [write_actions];
        /// `write_metadata:VALUE[/MASK]`.
        WriteMetadata {
            /// What.
            metadata: u64,
            /// Which bits.
            mask: u64
        } = WRITE_METADATA 2 exactly(24) => "write_metadata" [write_metadata];
        /// `goto_table:TABLE`, a later one.
        GotoTable(TableId) = GOTO_TABLE 1 exactly(8) => "goto_table" [goto_table];
    }
    besides {
        /// An instruction of an experimenter, as it came: all of it, its header included.
        Unknown(Box<[u8]>),
    }
}

const EXPERIMENTER: u16 = 0xffff;

/// The instructions of a flow entry: a slice, of which one or two need no allocation.
pub type Instructions = Few<Instruction, 2>;

/// Where actions are going to be read to.
const APPLY_NONE: Instruction = Instruction::ApplyActions(Vec::new());
const WRITE_NONE: Instruction = Instruction::WriteActions(Vec::new());

impl Instruction {
    /// Writes it.
    ///
    /// ```text
    /// 0        2        4                         length
    /// +--------+--------+----------- … -----------+
    /// |  type  | length | table:8, 0:24           |  1  goto-table
    /// |        |        | meter:32                |  6  meter
    /// |        |        | 0:32, value:64, mask:64 |  2  write-metadata
    /// |        |        | 0:32, actions           |  3, 4, 5: write, apply, clear
    /// +--------+--------+----------- … -----------+
    /// ```
    ///
    /// # Errors
    /// When it is too long, or an action has no wire form.
    pub fn encode(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        let head =
            |type_: u16, len: u64, body: u32| u64::from(type_) << 48 | len << 32 | u64::from(body);
        let actions = |w: &mut Writer<'_>, type_, actions: &[Action]| {
            let start = w.pos();
            w.u16(type_);
            let length = w.length(start);
            w.u32(0);
            action::encode_list(actions, w)?;
            w.end(length, "instruction")
        };
        match self {
            Instruction::GotoTable(table) => w.u64(head(GOTO_TABLE, 8, u32::from(table.0) << 24)),
            Instruction::WriteMetadata { metadata, mask } => {
                w.u64(head(WRITE_METADATA, 24, 0));
                w.u64(*metadata);
                w.u64(*mask);
            }
            Instruction::WriteActions(list) => return actions(w, WRITE_ACTIONS, list),
            Instruction::ApplyActions(list) => return actions(w, APPLY_ACTIONS, list),
            Instruction::ClearActions => w.u64(head(CLEAR_ACTIONS, 8, 0)),
            Instruction::Meter(meter) => w.u64(head(METER, 8, *meter)),
            Instruction::Unknown(bytes) => w.bytes(bytes),
        }
        Ok(())
    }

    /// Reads one instruction.
    ///
    /// # Errors
    /// As Open vSwitch would answer; see [`ErrorKind`].
    pub fn decode(r: &mut Reader<'_>) -> Result<Instruction, DecodeError> {
        let mut one = Instructions::new();
        Self::decode_to(r, &mut one)?;
        let one = one.into_iter().next();
        one.ok_or(DecodeError::new(ErrorKind::BicBadLen, "instruction"))
    }

    /// Reads one instruction to the end of `out`, and returns it where it is.
    #[inline]
    fn decode_to<'a>(
        r: &mut Reader<'_>,
        out: &'a mut Instructions,
    ) -> Result<&'a Instruction, DecodeError> {
        let bad_len = DecodeError::new(ErrorKind::BicBadLen, "instruction");
        let [t0, t1, l0, l1, b @ ..] = *r.rest().first_chunk::<8>().ok_or(bad_len)?;
        let type_ = u16::from_be_bytes([t0, t1]);
        let len = usize::from(u16::from_be_bytes([l0, l1]));
        if len < 8 || len % 8 != 0 {
            return Err(bad_len);
        }
        let all = r.bytes(len).map_err(|_| bad_len)?;
        let body = all.get(8..).ok_or(bad_len)?;
        let place = match type_ {
            APPLY_ACTIONS => out.push_mut(APPLY_NONE),
            WRITE_ACTIONS => out.push_mut(WRITE_NONE),
            _ => {
                return Ok(out.push_mut(Self::decode_other(
                    type_,
                    b,
                    r.over(body, bad_len.kind, "instruction"),
                    all,
                )?));
            }
        };
        if let Instruction::ApplyActions(list) | Instruction::WriteActions(list) = place {
            action::decode_list_to(body, r, list)?;
        }
        Ok(place)
    }

    /// Reads an instruction that has no actions.
    fn decode_other(
        type_: u16,
        b: [u8; 4],
        mut body: Reader<'_>,
        all: &[u8],
    ) -> Result<Instruction, DecodeError> {
        let bad_len = DecodeError::new(ErrorKind::BicBadLen, "instruction");
        let exact = |n: usize| if all.len() == n { Ok(()) } else { Err(bad_len) };
        match type_ {
            GOTO_TABLE => {
                exact(8)?;
                let [table, ..] = b;
                Ok(Instruction::GotoTable(TableId(table)))
            }
            WRITE_METADATA => {
                exact(24)?;
                Ok(Instruction::WriteMetadata {
                    metadata: body.u64()?,
                    mask: body.u64()?,
                })
            }
            CLEAR_ACTIONS => exact(8).map(|()| Instruction::ClearActions),
            METER => exact(8).map(|()| Instruction::Meter(u32::from_be_bytes(b))),
            EXPERIMENTER => Ok(Instruction::Unknown(all.into())),
            _ => Err(DecodeError::new(ErrorKind::BicUnknownInst, "instruction")),
        }
    }
}

impl Print for Instruction {
    fn print(&self, f: &mut fmt::Formatter<'_>, names: &dyn Names) -> fmt::Result {
        match self {
            Instruction::GotoTable(table) => write!(f, "goto_table:{}", Table(*table, names)),
            Instruction::WriteMetadata { metadata, mask } => print_metadata(f, *metadata, *mask),
            Instruction::WriteActions(list) => {
                f.write_str("write_actions(")?;
                if list.is_empty() {
                    f.write_str("drop")?
                } else {
                    print_list(f, names, list)?
                }
                f.write_str(")")
            }
            Instruction::ApplyActions(list) => print_list(f, names, list),
            Instruction::ClearActions => f.write_str("clear_actions"),
            Instruction::Meter(meter) => write!(f, "meter:{meter}"),
            Instruction::Unknown(bytes) => write!(f, "unknown:{}", crate::text::DottedHex(bytes)),
        }
    }
}

display_by_print!(Instruction);

/// Writes instructions one after the other, as given.
///
/// # Errors
/// As [`Instruction::encode`].
pub fn encode_list(list: &[Instruction], w: &mut Writer<'_>) -> Result<(), EncodeError> {
    list.iter().try_for_each(|i| i.encode(w))
}

/// Reads instructions until `r` is empty, each kind at most once.
///
/// # Errors
/// As [`Instruction::decode`].
pub fn decode_list(mut r: Reader<'_>) -> Result<Instructions, DecodeError> {
    let mut out = Instructions::new();
    decode_list_to(&mut r, &mut out)?;
    Ok(out)
}

/// As [`decode_list`], in place; `out` is empty before.
#[inline]
pub(crate) fn decode_list_to(
    r: &mut Reader<'_>,
    out: &mut Instructions,
) -> Result<(), DecodeError> {
    let all = r.rest();
    decode_each_to(r, out).map_err(|error| first_wrong(all, error))
}

/// What Open vSwitch answers to a list that is wrong somewhere: it looks at all instructions before it looks into any.
#[cold]
fn first_wrong(all: &[u8], error: DecodeError) -> DecodeError {
    let mut r = Reader::new(all, ErrorKind::BicBadLen, "instructions");
    let bad = |kind| DecodeError::new(kind, "instructions");
    let mut seen = 0u8;
    while let Some(&[t0, t1, l0, l1, ..]) = r.rest().first_chunk::<8>() {
        let len = usize::from(u16::from_be_bytes([l0, l1]));
        if len < 8 || len % 8 != 0 || r.skip(len).is_err() {
            return bad(ErrorKind::BicBadLen);
        }
        let type_ = u16::from_be_bytes([t0, t1]);
        let known = TYPES.iter().enumerate().find(|(_, (t, _))| *t == type_);
        let Some((place, (_, fixed))) = known else {
            return bad(match type_ {
                EXPERIMENTER => ErrorKind::BicBadExperimenter,
                _ => ErrorKind::BicUnknownInst,
            });
        };
        if fixed.is_some_and(|fixed| fixed != len) {
            return bad(ErrorKind::BicBadLen);
        }
        let bit = 1u8 << place;
        if seen & bit != 0 {
            return bad(ErrorKind::BicDupInst);
        }
        seen |= bit;
    }
    if r.is_empty() {
        error
    } else {
        bad(ErrorKind::BicBadLen)
    }
}

#[inline]
fn decode_each_to(r: &mut Reader<'_>, out: &mut Instructions) -> Result<(), DecodeError> {
    let mut seen = 0u8;
    while !r.is_empty() {
        let i = Instruction::decode_to(r, out)?;
        let bit = 1 << i.rank();
        if seen & bit != 0 && !matches!(i, Instruction::Unknown(_)) {
            return Err(DecodeError::new(ErrorKind::BicDupInst, "instructions"));
        }
        seen |= bit;
    }
    Ok(())
}

/// Checks what Open vSwitch checks when it reads instructions: that it knows them all and their
/// actions, and that actions stand where they may.
///
/// # Errors
/// What it would answer.
pub fn verify(list: &[Instruction]) -> Result<(), DecodeError> {
    action::verify_instructions(list)
}

/// `list` as Open vSwitch echoes it: in its order, empty apply-actions left out, actions in
/// [their canonical form](action::canonical).
#[must_use]
pub fn canonical(list: &[Instruction]) -> Instructions {
    let mut out: Instructions = list
        .iter()
        .filter_map(|i| match i {
            Instruction::ApplyActions(actions) if actions.is_empty() => None,
            Instruction::ApplyActions(actions) => {
                Some(Instruction::ApplyActions(action::canonical(actions)))
            }
            Instruction::WriteActions(actions) => {
                Some(Instruction::WriteActions(action::canonical(actions)))
            }
            other => Some(other.clone()),
        })
        .collect();
    out.sort_by_key(Instruction::rank);
    out
}

/// Prints instructions in the canonical order, as what follows `actions=`; `drop` if there is
/// nothing to do.
pub(crate) fn print_all(
    f: &mut fmt::Formatter<'_>,
    names: &dyn Names,
    list: &[Instruction],
) -> fmt::Result {
    let mut commas = Commas::default();
    let mut any = false;
    for rank in 0..=6 {
        for i in list.iter().filter(|i| i.rank() == rank) {
            if matches!(i, Instruction::ApplyActions(actions) if actions.is_empty()) {
                continue;
            }
            any = true;
            commas.next(f)?;
            i.print(f, names)?;
        }
    }
    if any { Ok(()) } else { f.write_str("drop") }
}
