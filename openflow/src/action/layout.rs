//! The layouts of bodies of one number or none, and of `output`: encode beside decode.
//!
//! A layout is a module with `encode(kinds, parts…, w)`, which writes an action in one of the forms it has in the list, and
//! `decode(kind, r)`, which reads what comes after the head. Must not know which actions there are.

use super::kind::Kind;
use crate::error::{DecodeError, EncodeError, ErrorKind};
use crate::types::{GroupId, MacAddr, PortNo, QueueId};
use crate::wire::{Reader, Writer};

#[inline(always)]
pub(super) fn bad_argument(context: &'static str) -> DecodeError {
    DecodeError::new(ErrorKind::BacBadArgument, context)
}

/// All that is left, if it is so long.
#[inline(always)]
pub(super) fn exact<'a, const N: usize>(r: &Reader<'a>) -> Result<&'a [u8; N], DecodeError> {
    <&[u8; N]>::try_from(r.rest()).map_err(|_| r.short())
}

/// A port in 16 bits; what does not fit is no port of Open vSwitch.
#[inline]
pub(super) fn port16(port: PortNo) -> u16 {
    port.to_u16().unwrap_or(0xffff)
}

/// The ports that can be output to: not `TABLE`-like wildcards.
#[inline]
pub(super) fn check_output_port(port: PortNo) -> Result<(), DecodeError> {
    match port {
        PortNo::ANY => Err(DecodeError::new(ErrorKind::BacBadOutPort, "output action")),
        p if p.0 < 0xff00 || p >= PortNo::IN_PORT => Ok(()),
        _ => Err(DecodeError::new(ErrorKind::BacBadOutPort, "output action")),
    }
}

/// Nothing: bytes of zero, which are not looked at.
pub(super) mod void {
    use super::*;

    #[inline(always)]
    pub(in super::super) fn encode(
        [kind]: &[Kind; 1],
        w: &mut Writer<'_>,
    ) -> Result<(), EncodeError> {
        match kind.experimenter {
            0 => kind.short(0, w),
            _ => kind.fixed_with(0, w),
        }
        Ok(())
    }

    /// Their lengths being multiples of eight, 4 or 6 bytes after a head are as few as there can be.
    #[inline(always)]
    pub(in super::super) fn decode(_: u16, r: Reader<'_>) -> Result<(), DecodeError> {
        if r.len() <= 6 { Ok(()) } else { Err(r.short()) }
    }
}

/// ```text
/// 4        8        16
/// +--------+---------+---------------+
/// |  port  | max_len |     zeros     |
/// +--------+---------+---------------+
/// ```
pub(super) mod output {
    use super::*;

    #[inline(always)]
    pub(in super::super) fn encode(
        [kind]: &[Kind; 1],
        port: &PortNo,
        max_len: &u16,
        w: &mut Writer<'_>,
    ) -> Result<(), EncodeError> {
        let head = u64::from(kind.number) << 48 | 16 << 32;
        w.u64(head | u64::from(port.0));
        w.u64(u64::from(*max_len) << 48);
        Ok(())
    }

    #[inline(always)]
    pub(in super::super) fn decode(_: u16, r: Reader<'_>) -> Result<(PortNo, u16), DecodeError> {
        let [p0, p1, p2, p3, l0, l1, ..] = *exact::<12>(&r)?;
        let port = PortNo(u32::from_be_bytes([p0, p1, p2, p3]));
        let port = port.checked("output action")?;
        check_output_port(port)?;
        Ok((port, u16::from_be_bytes([l0, l1])))
    }
}

/// Layouts of four bytes in which a number stands: how it is made of them, and they of it.
macro_rules! four_bytes {
    ($($(#[$doc:meta])* $name:ident: $ty:ty, |$v:ident| $to:expr, |$bytes:ident| $from:expr;)*) => {$(
        $(#[$doc])*
        pub(super) mod $name {
            use super::*;

            #[inline(always)]
            pub(in super::super) fn encode(
                [kind]: &[Kind; 1],
                $v: &$ty,
                w: &mut Writer<'_>,
            ) -> Result<(), EncodeError> {
                kind.short(u32::from_be_bytes($to), w);
                Ok(())
            }

            #[inline(never)]
            pub(in super::super) fn decode(_: u16, r: Reader<'_>) -> Result<$ty, DecodeError> {
                let $bytes = *exact::<4>(&r)?;
                $from
            }
        }
    )*};
}

fn first([v, ..]: [u8; 4]) -> u8 {
    v
}

fn first16([v0, v1, ..]: [u8; 4]) -> u16 {
    u16::from_be_bytes([v0, v1])
}

fn left([v0, v1]: [u8; 2]) -> [u8; 4] {
    [v0, v1, 0, 0]
}

fn if_so<T>(v: T, ok: impl FnOnce(&T) -> bool, context: &'static str) -> Result<T, DecodeError> {
    if ok(&v) {
        Ok(v)
    } else {
        Err(bad_argument(context))
    }
}

four_bytes! {
    /// A number at the left.
    left8: u8, |v| [*v, 0, 0, 0], |bytes| Ok(first(bytes));
    /// A number at the left.
    left16: u16, |v| left(v.to_be_bytes()), |bytes| Ok(first16(bytes));
    /// A number.
    whole: u32, |v| v.to_be_bytes(), |bytes| Ok(u32::from_be_bytes(bytes));
    queue: QueueId, |v| v.0.to_be_bytes(), |bytes| Ok(QueueId(u32::from_be_bytes(bytes)));
    group: GroupId, |v| v.0.to_be_bytes(), |bytes| Ok(GroupId(u32::from_be_bytes(bytes)));
    /// The type of a tag of a VLAN.
    vlan_type: u16, |v| left(v.to_be_bytes()),
        |bytes| if_so(first16(bytes), |t| matches!(t, 0x8100 | 0x88a8), "push_vlan action");
    /// The type of a label.
    mpls_type: u16, |v| left(v.to_be_bytes()),
        |bytes| if_so(first16(bytes), |t| matches!(t, 0x8847 | 0x8848), "push_mpls action");
    /// Twelve bits of a VLAN.
    vid: u16, |v| left(v.to_be_bytes()), |bytes| if_so(first16(bytes), |v| *v < 0x1000, "set action");
    /// Three bits of a VLAN's priority.
    pcp: u8, |v| [*v, 0, 0, 0], |bytes| if_so(first(bytes), |v| *v < 8, "set action");
    /// The upper six bits of a type of service.
    tos: u8, |v| [*v, 0, 0, 0], |bytes| if_so(first(bytes), |v| v & 3 == 0, "set action");
    /// The lower two.
    ecn: u8, |v| [*v, 0, 0, 0], |bytes| if_so(first(bytes), |v| *v < 4, "set action");
}

/// An address, and six bytes of zeros.
pub(super) mod mac {
    use super::*;

    #[inline(never)]
    pub(in super::super) fn encode(
        [kind]: &[Kind; 1],
        mac: &MacAddr,
        w: &mut Writer<'_>,
    ) -> Result<(), EncodeError> {
        kind.fixed(w);
        w.array(&mac.0);
        w.zeros(6);
        Ok(())
    }

    #[inline(never)]
    pub(in super::super) fn decode(_: u16, r: Reader<'_>) -> Result<MacAddr, DecodeError> {
        let [mac @ .., _, _, _, _, _, _] = *exact::<12>(&r)?;
        Ok(MacAddr(mac))
    }
}

/// Two bytes of zeros, and a number.
pub(super) mod right32 {
    use super::*;

    #[inline(never)]
    pub(in super::super) fn encode(
        [kind]: &[Kind; 1],
        v: &u32,
        w: &mut Writer<'_>,
    ) -> Result<(), EncodeError> {
        kind.fixed(w);
        w.zeros(2);
        w.u32(*v);
        Ok(())
    }

    #[inline(never)]
    pub(in super::super) fn decode(_: u16, r: Reader<'_>) -> Result<u32, DecodeError> {
        let [_, _, v @ ..] = *exact::<6>(&r)?;
        Ok(u32::from_be_bytes(v))
    }
}

/// Six bytes of zeros, and a number.
pub(super) mod right64 {
    use super::*;

    #[inline(never)]
    pub(in super::super) fn encode(
        [kind]: &[Kind; 1],
        v: &u64,
        w: &mut Writer<'_>,
    ) -> Result<(), EncodeError> {
        kind.fixed(w);
        w.zeros(6);
        w.u64(*v);
        Ok(())
    }

    #[inline(never)]
    pub(in super::super) fn decode(_: u16, r: Reader<'_>) -> Result<u64, DecodeError> {
        let [_, _, _, _, _, _, v @ ..] = *exact::<14>(&r)?;
        Ok(u64::from_be_bytes(v))
    }
}
