//! Connection tracking: the `ct` and `nat` actions of ovs-actions(7).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::kind::Kind;
use super::layout::bad_argument;
use super::writing::{field32, header32, ofs_nbits, subfield};
use super::{Action, check, decode_few_to, encode_list};
use crate::error::{DecodeError, EncodeError, ErrorKind};
use crate::few::{Few, put};
use crate::field::Subfield;
use crate::types::TableId;
use crate::wire::{Reader, Writer};

/// `ct(…)`: passes the packet to the connection tracker (`nx_action_conntrack`).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ct {
    /// Whether the connection is remembered.
    pub commit: bool,
    /// Whether a connection of the other direction is replaced; needs `commit`.
    pub force: bool,
    /// Where the packet goes on as a tracked one.
    pub table: Option<TableId>,
    /// Which connections it belongs among.
    pub zone: Zone,
    /// The helper, by its well-known port: 0 for none, 21 for FTP, 69 for TFTP.
    pub alg: u16,
    /// What is done with the connection. A `nat` that comes first prints before `exec`.
    pub actions: Few<Action, 2>,
}

/// The zone of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Zone {
    /// A number, 0 to 65,535.
    Imm(u16),
    /// What 16 bits of a field say.
    Field(Subfield),
}

impl Default for Zone {
    fn default() -> Self {
        Zone::Imm(0)
    }
}

/// `nat(…)`: translates addresses, once or as the connection says (`nx_action_nat`).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nat {
    /// What is translated and how.
    pub flags: NatFlags,
    /// The addresses to choose from: the lowest, and the highest if there are several.
    pub addrs: Option<(IpAddr, Option<IpAddr>)>,
    /// The ports to choose from, as the addresses. Only with addresses.
    pub ports: Option<(u16, Option<u16>)>,
}

/// The flags of [`Nat`]: `nx_nat_flags`.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NatFlags(pub u16);

impl NatFlags {
    /// The source is translated.
    pub const SRC: NatFlags = NatFlags(1);
    /// The destination is translated.
    pub const DST: NatFlags = NatFlags(2);
    /// The same address for a client across restarts.
    pub const PERSISTENT: NatFlags = NatFlags(4);
    /// The port is chosen by hash.
    pub const HASH: NatFlags = NatFlags(8);
    /// The port is chosen at random.
    pub const RANDOM: NatFlags = NatFlags(16);

    /// Whether all of `other` are set.
    #[must_use]
    pub const fn contains(self, other: NatFlags) -> bool {
        self.0 & other.0 == other.0
    }
}

impl std::ops::BitOr for NatFlags {
    type Output = NatFlags;
    fn bitor(self, other: NatFlags) -> NatFlags {
        NatFlags(self.0 | other.0)
    }
}

impl fmt::Debug for NatFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NatFlags({:#x})", self.0)
    }
}

impl Nat {
    /// `nat`: as the connection says.
    #[must_use]
    pub fn established() -> Self {
        Nat::default()
    }

    /// `nat(src=ADDR)`.
    #[must_use]
    pub fn source(addr: IpAddr) -> Self {
        Nat {
            flags: NatFlags::SRC,
            addrs: Some((addr, None)),
            ports: None,
        }
    }

    /// `nat(dst=ADDR:PORT)`.
    #[must_use]
    pub fn destination(addr: IpAddr, port: Option<u16>) -> Self {
        Nat {
            flags: NatFlags::DST,
            addrs: Some((addr, None)),
            ports: port.map(|p| (p, None)),
        }
    }
}

const COMMIT: u16 = 1;
const FORCE: u16 = 2;

/// ```text
/// 10     12         16               18      19   22    24
/// +------+----------+----------------+-------+----+-----+---- … ----+
/// |flags | zone_src | zone: ofs_nbits| table | 0  | alg |  actions  |
/// |      | or 0     | or number      | or ff |    |     |           |
/// +------+----------+----------------+-------+----+-----+---- … ----+
/// ```
pub(super) fn encode([kind]: &[Kind; 1], ct: &Ct, w: &mut Writer<'_>) -> Result<(), EncodeError> {
    let flags = if ct.commit { COMMIT } else { 0 } | if ct.force { FORCE } else { 0 };
    let (zone_src, zone) = match ct.zone {
        Zone::Imm(zone) => (0, zone),
        Zone::Field(src) => (header32(src.field)?, ofs_nbits(src)),
    };
    let length = kind.begin_with(u64::from(flags) << 32 | u64::from(zone_src), w);
    let table = ct.table.map_or(0xff, |t| t.0);
    w.u64(u64::from(zone) << 48 | u64::from(table) << 40 | u64::from(ct.alg));
    encode_list(&ct.actions, w)?;
    w.end(length, "ct")
}

/// Boxed from the start: to move it costs more than to read it.
pub(super) fn decode(_: u16, mut b: Reader<'_>) -> Result<Box<Ct>, DecodeError> {
    let context = "ct action";
    b.deepen()?;
    let [f0, f1, s0, s1, s2, s3, z0, z1, table, _, _, _, a0, a1] = *b.array::<14>()?;
    let [flags, zone, alg] = [[f0, f1], [z0, z1], [a0, a1]].map(u16::from_be_bytes);
    let zone_src = u32::from_be_bytes([s0, s1, s2, s3]);
    if flags & FORCE != 0 && flags & COMMIT == 0 {
        return Err(bad_argument(context));
    }
    let zone = if zone_src == 0 {
        Zone::Imm(zone)
    } else {
        let src = subfield(field32(zone_src, context)?, zone).check(context)?;
        if src.n_bits != 16 {
            return Err(DecodeError::new(ErrorKind::BacBadSetLen, context));
        }
        Zone::Field(src)
    };
    let commit = flags & COMMIT != 0;
    let mut ct = Box::<Ct>::default();
    ct.commit = commit;
    ct.force = flags & FORCE != 0;
    ct.table = (table != 0xff).then_some(TableId(table));
    ct.zone = zone;
    ct.alg = alg;
    decode_few_to(b.rest(), &b, &mut ct.actions)?;
    let plain = |a: &Action| matches!(a, Action::Nat(nat) if *nat == Nat::default());
    if !commit && !ct.actions.iter().all(plain) {
        check::verify(&ct.actions, check::Outer::Ct)?;
        return Err(bad_argument(context));
    }
    Ok(ct)
}

/// The layout of `nat`.
pub(super) mod nat {
    use super::*;

    const IPV4_MIN: u16 = 1;
    const IPV4_MAX: u16 = 2;
    const IPV6_MIN: u16 = 4;
    const IPV6_MAX: u16 = 8;
    const PROTO_MIN: u16 = 16;
    const PROTO_MAX: u16 = 32;

    /// ```text
    /// 10    12      14             16
    /// +-----+-------+--------------+----- … -----+-------+
    /// |  0  | flags |   present    |  the range  | zeros |   each bound only if its bit is set
    /// +-----+-------+--------------+----- … -----+-------+
    /// ```
    pub(in super::super) fn encode(
        [kind]: &[Kind; 1],
        nat: &Nat,
        w: &mut Writer<'_>,
    ) -> Result<(), EncodeError> {
        let length = kind.begin_with(u64::from(nat.flags.0) << 16, w);
        let at = w.pos() - 2;
        let mut present = 0;
        let mut put = |w: &mut Writer<'_>, addr: IpAddr, v4: u16, v6: u16| match addr {
            IpAddr::V4(a) => {
                w.u32(a.into());
                present |= v4;
            }
            IpAddr::V6(a) => {
                w.array(&a.octets());
                present |= v6;
            }
        };
        if let Some((min, max)) = nat.addrs {
            if !min.is_unspecified() {
                put(w, min, IPV4_MIN, IPV6_MIN);
            }
            if let Some(max) = max {
                put(w, max, IPV4_MAX, IPV6_MAX);
            }
            if let Some((min, max)) = nat.ports {
                // Zero is no port, and is not sent.
                if min != 0 {
                    w.u16(min);
                    present |= PROTO_MIN;
                }
                if let Some(max) = max {
                    w.u16(max);
                    present |= PROTO_MAX;
                }
            }
        }
        w.patch_u16(at, present);
        w.end_padded(length, "nat")
    }

    /// To where a placeholder is.
    #[inline(always)]
    pub(in super::super) fn decode_to(
        _: u16,
        mut b: Reader<'_>,
        place: &mut Action,
    ) -> Result<(), DecodeError> {
        let bad = bad_argument("nat action");
        let [_, _, f0, f1, p0, p1] = *b.array::<6>()?;
        let [flags, present] = [[f0, f1], [p0, p1]].map(u16::from_be_bytes);
        let flags = NatFlags(flags);
        let both = |x, y| flags.contains(x) && flags.contains(y);
        if flags.0 & !0x1f != 0
            || both(NatFlags::SRC, NatFlags::DST)
            || both(NatFlags::HASH, NatFlags::RANDOM)
        {
            return Err(bad);
        }
        put(place, Action::Nat(Nat::default()));
        let Action::Nat(nat) = place else {
            return Err(bad);
        };
        nat.flags = flags;
        let has = |bit| present & bit != 0;
        if has(IPV4_MIN) {
            if has(IPV6_MIN) || has(IPV6_MAX) {
                return Err(bad);
            }
            let mut v4 = || b.u32().map_err(|_| bad);
            let min = v4()?;
            let max = if has(IPV4_MAX) { Some(v4()?) } else { None };
            if min == 0 || max.is_some_and(|max| max < min) {
                return Err(bad);
            }
            let ip = |a: u32| IpAddr::V4(Ipv4Addr::from(a));
            nat.addrs = Some((ip(min), max.map(ip)));
        } else if has(IPV4_MAX) {
            return Err(bad);
        } else if has(IPV6_MIN) {
            let mut v6 = || b.u128().map_err(|_| bad);
            let min = v6()?;
            let max = if has(IPV6_MAX) { Some(v6()?) } else { None };
            if min == 0 || max.is_some_and(|max| max < min) {
                return Err(bad);
            }
            let ip = |a: u128| IpAddr::V6(Ipv6Addr::from(a));
            nat.addrs = Some((ip(min), max.map(ip)));
        } else if has(IPV6_MAX) {
            return Err(bad);
        }
        if has(PROTO_MIN) {
            let mut port = || b.u16().map_err(|_| bad);
            let min = port()?;
            let max = if has(PROTO_MAX) { Some(port()?) } else { None };
            if nat.addrs.is_none() || min == 0 || max.is_some_and(|max| max < min) {
                return Err(bad);
            }
            nat.ports = Some((min, max));
        } else if has(PROTO_MAX) {
            return Err(bad);
        }
        Ok(())
    }
}
