//! The canonical form of a match: what Open vSwitch holds, and sends back in OpenFlow 1.3.
//!
//! - Wide registers become `reg0` to `reg15`.
//! - `in_port` of 16 bits becomes the port of 32 bits.
//! - `vlan_tci`, `dl_vlan`, `dl_vlan_pcp` become `vlan_vid` with the present bit, and `vlan_pcp`.
//! - `nw_tos` becomes `ip_dscp`.
//! - Masks take the width that Open vSwitch stores: 8 bits of `ct_state`, 2 of `ip_frag`, …
//! - `packet_type=(0,0)` goes once any field of the packet implies it.

use super::parse::{places, slot};
use super::{Entry, Facts, Match, UnsaidPriority};
use crate::error::{DecodeError, ErrorKind};
use crate::field::{Field, Prerequisite};
use crate::types::PortNo;
use crate::value::Value;

const VID_MASK: u64 = 0x0fff;
const CFI: u64 = 0x1000;

impl Match {
    /// Sets `field`, in canonical form. Value and mask have the field's length.
    #[inline]
    pub(crate) fn insert(&mut self, field: Field, value: Value, mask: Value) {
        // Almost always a field comes alone, exact, and after all others.
        if !is_plain(field) {
            self.insert_special(field, value, mask);
        } else {
            self.put(field, value, mask);
        }
    }

    /// From which [`Field::index`] on a [plain](is_plain) field needs nothing but to be put at the
    /// end.
    #[inline]
    pub(super) fn end(&self) -> u8 {
        match self.entries.as_slice() {
            [] => 0,
            [first, ..] if first.field() == Field::PACKET_TYPE => u8::MAX,
            [.., last] => last.field().index() + 1,
        }
    }

    /// Sets one entry that is canonical by itself, keeping the order.
    #[inline]
    pub(super) fn put(&mut self, field: Field, value: Value, mask: Value) {
        if mask.is_zero() && !field.is_variable() {
            self.remove(field);
            return;
        }
        let value = if mask.is_ones() {
            value
        } else {
            value.and(&mask)
        };
        if field.prerequisite() != Prerequisite::Nothing
            && self
                .entries
                .first()
                .is_some_and(|e| e.field() == Field::PACKET_TYPE && e.value().is_zero())
        {
            self.entries.remove(0);
        }
        match self.entries.last() {
            Some(last) if last.field() >= field => {
                let entry = Entry::new(field, value, mask);
                match self.entries.binary_search_by_key(&field, |e| e.field()) {
                    Ok(i) => {
                        if let Some(e) = self.entries.get_mut(i) {
                            *e = entry;
                        }
                    }
                    Err(i) => self.entries.insert(i, entry),
                }
            }
            _ => self.entries.push(Entry::new(field, value, mask)),
        }
    }

    #[inline(never)]
    fn insert_special(&mut self, field: Field, value: Value, mask: Value) {
        let (v, m) = (value.to_u64(), mask.to_u64());
        match field {
            Field::PACKET_TYPE => {
                if v == 0
                    && self
                        .entries
                        .iter()
                        .any(|e| e.field().prerequisite() != Prerequisite::Nothing)
                {
                    self.remove(field);
                } else {
                    self.put(field, value, mask);
                }
            }
            Field::IN_PORT_NXM => {
                let port = PortNo::from_u16(value.to_u16());
                let mask = if mask.is_zero() { 0 } else { u32::MAX };
                self.put(Field::IN_PORT, port.0.into(), mask.into());
            }
            Field::VLAN_TCI => self.set_tci(v, m),
            Field::VLAN_VID => {
                let (old, old_mask) = self.tci();
                let pcp = old_mask & 0xe000;
                let m = m & (VID_MASK | CFI);
                self.set_tci(v & m | old & pcp, m | pcp);
            }
            Field::VLAN_PCP | Field::DL_VLAN_PCP => {
                let (old, old_mask) = self.tci();
                if mask.is_zero() {
                    let keep = if old_mask & VID_MASK != 0 { !0xe000 } else { 0 };
                    self.set_tci(old & keep, old_mask & keep);
                } else {
                    self.set_tci(old & !0xe000 | (v & 7) << 13 | CFI, old_mask | 0xe000 | CFI);
                }
            }
            Field::DL_VLAN => {
                let (old, old_mask) = self.tci();
                if mask.is_zero() {
                    let keep = if old_mask & 0xe000 != 0 { !VID_MASK } else { 0 };
                    self.set_tci(old & keep, old_mask & keep);
                } else if v == 0xffff {
                    self.set_tci(0, 0xffff);
                } else {
                    self.set_tci(old & 0xe000 | v & VID_MASK | CFI, old_mask | VID_MASK | CFI);
                }
            }
            Field::NW_TOS => {
                let mask = Value::from_u64(if mask.is_zero() { 0 } else { 0xff }, 1);
                self.put(Field::IP_DSCP, Value::from_u64(v >> 2 & 0x3f, 1), mask);
            }
            Field::NW_FRAG => {
                let m = if m & 3 == 3 { 0xff } else { m & 3 };
                self.put(field, Value::from_u64(v & 3, 1), Value::from_u64(m, 1));
            }
            Field::CT_STATE => {
                self.put(
                    field,
                    Value::from_u64(v & 0xff, 4),
                    Value::from_u64(m & 0xff, 4),
                );
            }
            Field::TUN_FLAGS => {
                self.put(field, Value::from_u64(v & 1, 2), Value::from_u64(m & 1, 2));
            }
            f if f.is_variable() => {
                // Leading zeros are not sent; the mask of an exact match keeps its full length.
                let exact = mask.is_ones() && mask.len() == f.bytes();
                let len = match exact {
                    true => value.significant_len(),
                    false => value.significant_len().max(mask.significant_len()),
                };
                let mask = if exact { mask } else { mask.resized(len) };
                self.put(f, value.resized(len), mask);
            }
            Field::IPV6_LABEL => {
                let mask = if m & 0xf_ffff == 0xf_ffff {
                    Value::ones(4)
                } else {
                    mask
                };
                self.put(field, value, mask);
            }
            Field::TUN_ERSPAN_VER
            | Field::TUN_ERSPAN_DIR
            | Field::TUN_ERSPAN_HWID
            | Field::TUN_GTPU_FLAGS
            | Field::TUN_GTPU_MSGTYPE => {
                // Open vSwitch 3.1 stores the value where it means to store the mask.
                if mask.is_zero() {
                    self.put(field, value, mask);
                } else {
                    self.put(field, value.and(&mask), value);
                }
            }
            _ => self.insert_wide_register(field, &value, &mask),
        }
    }

    fn insert_wide_register(&mut self, field: Field, value: &Value, mask: &Value) {
        let (first, n) = match (
            field.offset_in(Field::XREG0, Field::XREG7),
            field.offset_in(Field::XXREG0, Field::XXREG3),
        ) {
            (Some(i), _) => (i * 2, 2u8),
            (_, Some(i)) => (i * 4, 4),
            _ => return self.put(field, value.clone(), mask.clone()),
        };
        for i in 0..n {
            let shift = u32::from(n - 1 - i) * 32;
            let part = |v: &Value| Value::from(((v.to_u128() >> shift) & 0xffff_ffff) as u32);
            self.put(Field::reg(first + i), part(value), part(mask));
        }
    }

    /// The 802.1Q tag control information that it matches, and its mask.
    pub(crate) fn tci(&self) -> (u64, u64) {
        let (mut v, mut m) = (0, 0);
        if let Some((value, mask)) = self.get(Field::VLAN_VID) {
            v = value.to_u64();
            m = mask.to_u64() & (VID_MASK | CFI);
        }
        if self.unsaid.mask != 0 {
            v |= u64::from(self.unsaid.value) << 13;
            m |= u64::from(self.unsaid.mask) << 13;
        } else if let Some((value, _)) = self.get(Field::VLAN_PCP) {
            v |= value.to_u64() << 13;
            m |= 0xe000;
        }
        (v, m)
    }

    /// Sets the tag control information, with a priority where `ovs-ofctl` sends one.
    pub(super) fn set_tci(&mut self, v: u64, m: u64) {
        self.set_tci_if(v, m, v & m & (VID_MASK | CFI) != 0);
    }

    /// Leaves the priority out where there is no tag, where no switch takes it.
    pub(super) fn unsay_priority(&mut self) {
        let (v, m) = self.tci();
        self.set_tci_if(v, m, v & m & CFI != 0);
    }

    fn set_tci_if(&mut self, v: u64, m: u64, has_priority: bool) {
        let v = v & m;
        let vid = v & m & (VID_MASK | CFI);
        let vid_mask = m & (VID_MASK | CFI);
        let wire_mask = if vid_mask == VID_MASK | CFI {
            0xffff
        } else {
            vid_mask
        };
        self.put(
            Field::VLAN_VID,
            Value::from_u64(vid, 2),
            Value::from_u64(wire_mask, 2),
        );
        let has_priority = has_priority && m & 0xe000 != 0;
        let pcp = if has_priority { 0xff } else { 0 };
        self.put(
            Field::VLAN_PCP,
            Value::from_u64(v >> 13 & 7, 1),
            Value::from_u64(pcp, 1),
        );
        let said = m & 0xe000 == 0 || (has_priority && m & 0xe000 == 0xe000);
        let bits = |n: u64| if said { 0 } else { (n >> 13 & 7) as u8 };
        self.unsaid = UnsaidPriority {
            value: bits(v),
            mask: bits(m),
        };
    }

    /// Without prerequisites, a field may have come in the place of another, such as `arp_op` in that of `nw_proto`;
    /// makes it the one that the packet has there.
    ///
    /// # Errors
    /// When two came for one place.
    #[inline(never)]
    pub(super) fn settle(&mut self) -> Result<(), DecodeError> {
        let wanting = |facts: &Facts, e: &Entry| !facts.has(e.field().prerequisite());
        // What is found out of addresses and protocol says what ports are.
        for _ in 0..2 {
            let facts = Facts::of(self);
            if !self.entries.iter().any(|e| wanting(&facts, e)) {
                return Ok(());
            }
            let mut settled = Match {
                unsaid: self.unsaid,
                ..Match::new()
            };
            let mut taken = Vec::with_capacity(self.entries.len());
            for e in &self.entries {
                let place = slot(e.field());
                if taken.contains(&place) {
                    return Err(DecodeError::new(ErrorKind::BmcDupField, "match"));
                }
                taken.push(place);
                if !wanting(&facts, e) {
                    settled.put(e.field(), e.value(), e.mask());
                    continue;
                }
                let to = places(place, facts.eth_type(), &facts, true).unwrap_or(place);
                // What it cannot hold stays where it came.
                let to = if e.value().significant_len() > to.bytes() {
                    place
                } else {
                    to
                };
                let len = to.bytes();
                let mask = match e.mask() {
                    mask if mask.is_ones() && !to.is_variable() => Value::ones(len),
                    mask => mask.resized(len),
                };
                settled.put(to, e.value().resized(len), mask);
            }
            *self = settled;
        }
        Ok(())
    }

    /// Whether nothing is required yet of what `field` stands for, other views of it included.
    pub(super) fn is_wild(&self, field: Field) -> bool {
        // Entries arrive in order from Open vSwitch itself: then nothing can overlap.
        let Some(last) = self.entries.last() else {
            return true;
        };
        if last.field() < field && is_plain(field) {
            return true;
        }
        let free = |f: Field| self.get(f).is_none();
        let regs = |first: u8, n: u8| (first..first + n).all(|i| free(Field::reg(i)));
        match field {
            Field::IN_PORT_NXM => free(Field::IN_PORT),
            Field::NW_TOS => free(Field::IP_DSCP),
            Field::VLAN_TCI => self.tci().1 == 0,
            Field::VLAN_VID | Field::DL_VLAN => self.tci().1 & (VID_MASK | CFI) == 0,
            Field::VLAN_PCP | Field::DL_VLAN_PCP => self.tci().1 & 0xe000 == 0,
            _ => {
                if let Some(i) = field.offset_in(Field::XREG0, Field::XREG7) {
                    regs(i * 2, 2)
                } else if let Some(i) = field.offset_in(Field::XXREG0, Field::XXREG3) {
                    regs(i * 4, 4)
                } else {
                    free(field)
                }
            }
        }
    }
}

/// Whether a masked value of `field` is canonical as it is, and no other field overlaps it but
/// a wider one.
#[inline]
pub(super) fn is_plain(field: Field) -> bool {
    IS_PLAIN
        .get(usize::from(field.index()))
        .is_some_and(|plain| *plain)
}

/// [`is_plain`], for each index of a field.
#[allow(clippy::indexing_slicing, reason = "evaluated at compile time only")]
pub(super) const IS_PLAIN: [bool; 256] = {
    let mut out = [true; 256];
    let special = [
        Field::PACKET_TYPE,
        Field::IN_PORT_NXM,
        Field::VLAN_TCI,
        Field::VLAN_VID,
        Field::VLAN_PCP,
        Field::DL_VLAN,
        Field::DL_VLAN_PCP,
        Field::NW_TOS,
        Field::NW_FRAG,
        Field::CT_STATE,
        Field::TUN_FLAGS,
        Field::IPV6_LABEL,
        Field::TUN_ERSPAN_VER,
        Field::TUN_ERSPAN_DIR,
        Field::TUN_ERSPAN_HWID,
        Field::TUN_GTPU_FLAGS,
        Field::TUN_GTPU_MSGTYPE,
    ];
    let mut i = 0;
    while i < special.len() {
        exclude(&mut out, special[i].index(), special[i].index());
        i += 1;
    }
    let (first, last) = (Field::TUN_METADATA0, Field::TUN_METADATA63);
    exclude(&mut out, first.index(), last.index());
    exclude(&mut out, Field::XREG0.index(), u8::MAX);
    out
};

#[allow(clippy::indexing_slicing, reason = "evaluated at compile time only")]
const fn exclude(out: &mut [bool; 256], first: u8, last: u8) {
    let mut i = first as usize;
    while i <= last as usize {
        out[i] = false;
        i += 1;
    }
}

/// Whether `field` can have `value`.
#[inline]
pub(crate) fn is_value_valid(field: Field, value: &Value) -> bool {
    is_number_valid(field, value.to_u64())
}

/// As [`is_value_valid`], for a field of at most 64 bits; wider ones can have any value.
#[inline]
pub(super) fn is_number_valid(field: Field, value: u64) -> bool {
    let max = match field {
        Field::IN_PORT | Field::ACTSET_OUTPUT => {
            return PortNo((value & 0xffff_ffff) as u32).to_u16().is_some();
        }
        Field::NW_TOS => return value & 3 == 0,
        Field::NSH_MDTYPE => return matches!(value, 1 | 2),
        Field::IP_DSCP | Field::NSH_TTL => 0x3f,
        Field::IP_ECN | Field::NW_FRAG => 3,
        Field::TCP_FLAGS | Field::DL_VLAN => 0xfff,
        Field::VLAN_VID => 0x1fff,
        Field::ARP_OP | Field::CT_STATE => 0xff,
        Field::VLAN_PCP | Field::DL_VLAN_PCP | Field::MPLS_TC => 7,
        Field::IPV6_LABEL | Field::MPLS_LABEL => 0xf_ffff,
        Field::MPLS_BOS | Field::TUN_FLAGS => 1,
        Field::NSH_SPI => 0xff_ffff,
        _ => return true,
    };
    value <= max
}
