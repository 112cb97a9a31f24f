//! [`Match`]: which packets a flow is about. OpenFlow 1.3.5 §7.2.3, ovs-fields(7).
//!
//! A match is kept in one canonical form, the one that Open vSwitch sends back in OpenFlow 1.3
//! dumps, so that equality, order and hash are those of OpenFlow. `canonical` says what that
//! form is; `print` and `parse` hold the text form. Nothing here knows of actions.

mod canonical;
mod entry;
mod facts;
mod parse;
mod plain;
mod print;
mod short;
mod standard;

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

use smallvec::SmallVec;

use crate::error::{DecodeError, EncodeError, ErrorKind, MatchError};
use crate::field::{Field, OxmHeader, Prerequisite};
use crate::value::Value;
use crate::wire::{Reader, Writer};

pub(crate) use canonical::is_value_valid;
use entry::Entry;
pub(crate) use facts::Facts;
pub(crate) use parse::{MatchBuilder, parse_value};
use plain::PlainFields;
pub use print::MatchText;
pub(crate) use print::{BytesHex, print_value};
pub(crate) use short::Short;

/// A conjunction of field values, each exact or masked. The empty one matches every packet.
///
/// Canonical: sorted by field, values masked, wider views of a field (`xreg0`, `vlan_tci`,
/// `dl_vlan`, `nw_tos`, …) split into the fields that OpenFlow 1.3 carries. `Eq`, `Ord` and `Hash`
/// follow from that. Tunnel metadata keeps the leading zeros with which it came, which do not count. Nor does what
/// OpenFlow 1.3 has no way to say, the priority where there is no tag, of which `dl_vlan=0xffff` is an example: it is
/// printed, and goes into NXM.
///
/// ```
/// use openflow::{Field, Match};
/// let m = Match::new().eq(Field::ETH_TYPE, 0x0800u16).eq(Field::IP_PROTO, 6u8);
/// assert_eq!(m.to_string(), "tcp");
/// assert_eq!("ip,nw_proto=6".parse::<Match>().unwrap(), m);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Match {
    entries: SmallVec<[Entry; 6]>,
    unsaid: UnsaidPriority,
}

/// What is asked of a tag's priority beyond what the entry of `vlan_pcp` says, value and mask: where there is no tag
/// to have one, or where not all three bits are asked for. OpenFlow 1.3 cannot say it.
#[derive(Clone, Copy, Debug, Default)]
struct UnsaidPriority {
    value: u8,
    mask: u8,
}

/// The type of an OXM match (§7.2.3.1).
const OFPMT_OXM: u16 = 1;
/// The type of the match that OpenFlow 1.1 had, which 1.3 names and deprecates.
const OFPMT_STANDARD: u16 = 0;

impl Match {
    /// Matches every packet.
    #[must_use]
    #[inline]
    pub fn new() -> Self {
        Match::default()
    }

    /// Also requires `field` to be `value`.
    #[must_use]
    #[allow(clippy::should_implement_trait, reason = "reads as the text form does")]
    pub fn eq(mut self, field: Field, value: impl Into<Value>) -> Self {
        let value = value.into().resized(field.bytes());
        let mask = Value::ones(value.len());
        self.insert(field, value, mask);
        self
    }

    /// Also requires the bits of `field` that are one in `mask` to be as in `value`. A mask of
    /// zeros requires nothing.
    #[must_use]
    pub fn masked(mut self, field: Field, value: impl Into<Value>, mask: impl Into<Value>) -> Self {
        let (value, mask) = (value.into(), mask.into());
        self.insert(
            field,
            value.resized(field.bytes()),
            mask.resized(field.bytes()),
        );
        self
    }

    /// Sets what `field` must be, replacing what was required of it.
    pub fn set(&mut self, field: Field, value: impl Into<Value>, mask: impl Into<Value>) {
        let (value, mask) = (value.into(), mask.into());
        let len = if field.is_variable() {
            value.len()
        } else {
            field.bytes()
        };
        self.insert(field, value.resized(len), mask.resized(len));
    }

    /// The value and the mask of `field`. Both are in the canonical form: ask for `reg0`, not
    /// `xreg0`.
    #[must_use]
    pub fn get(&self, field: Field) -> Option<(Value, Value)> {
        self.entries
            .iter()
            .find(|e| e.field() == field)
            .map(|e| (e.value(), e.mask()))
    }

    /// Requires nothing of `field` any more.
    pub fn remove(&mut self, field: Field) {
        if matches!(field, Field::VLAN_VID | Field::VLAN_PCP) {
            self.unsaid = UnsaidPriority::default();
        }
        self.entries.retain(|e| e.field() != field);
    }

    /// Every field with its value and mask, in the order of [`Field`].
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (Field, Value, Value)> {
        self.entries
            .iter()
            .map(|e| (e.field(), e.value(), e.mask()))
    }

    /// Whether it matches every packet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether every packet that `self` matches is matched by `other` too.
    #[must_use]
    pub fn is_within(&self, other: &Match) -> bool {
        other.iter().all(|(field, value, mask)| {
            self.get(field)
                .is_some_and(|(v, m)| !mask.exceeds(&m) && v.and(&mask) == value)
        })
    }

    /// Checks what a switch checks: that each field has its prerequisites, and a value and a mask
    /// it can have.
    ///
    /// # Errors
    /// The first field that a switch would refuse, and why.
    pub fn validate(&self) -> Result<(), MatchError> {
        let facts = Facts::of(self);
        for (field, value, mask) in self.iter() {
            let name = field.name();
            if !facts.has(field.prerequisite()) {
                return Err(MatchError::Prerequisite {
                    field: name,
                    needs: needs(field.prerequisite()),
                });
            }
            if !canonical::is_value_valid(field, &value) {
                return Err(MatchError::Value { field: name });
            }
            if !field.is_maskable() && !mask.is_ones() {
                return Err(MatchError::Mask { field: name });
            }
        }
        Ok(())
    }

    /// The value of a short `field` that is matched exactly.
    pub(crate) fn exact(&self, field: Field) -> Option<u64> {
        self.get(field)
            .filter(|(_, mask)| mask.is_ones())
            .map(|(value, _)| value.to_u64())
    }

    /// The Ethernet type, whether it is matched by itself or in the packet type.
    pub(crate) fn eth_type(&self) -> Option<u16> {
        Facts::of(self).eth_type()
    }

    /// Whether the match satisfies `prerequisite`.
    pub(crate) fn has(&self, prerequisite: Prerequisite) -> bool {
        Facts::of(self).has(prerequisite)
    }

    /// Writes it with its header and padding.
    ///
    /// ```text
    /// 0       2          4                  length   padded to 8
    /// +-------+----------+---------- … ----------+---------+
    /// | type 1|  length  |        OXM TLVs       |  zeros  |    §7.2.3.1
    /// +-------+----------+---------- … ----------+---------+
    /// ```
    ///
    /// # Errors
    /// When it is too long, or has a field that OpenFlow 1.3 cannot carry.
    pub fn encode(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        let start = w.pos();
        w.u16(OFPMT_OXM);
        let length = w.length(start);
        self.encode_fields(w)?;
        w.end(length, "match")?;
        w.pad8(start);
        Ok(())
    }

    /// Writes its fields alone, without header or padding.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn encode_fields(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        self.entries.iter().try_for_each(|e| e.encode(w))
    }

    /// Writes its fields alone with the headers that messages from before OpenFlow 1.2 use, where there are any.
    pub(crate) fn encode_nxm_fields(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        let at = self
            .entries
            .partition_point(|e| e.field() < Field::VLAN_VID);
        let (before, after) = self.entries.split_at(at);
        before.iter().try_for_each(|e| e.encode_nxm(w))?;
        let (tci, mask) = self.tci();
        if mask != 0 {
            let (tci, mask) = (Value::from_u64(tci, 2), Value::from_u64(mask, 2));
            Entry::new(Field::VLAN_TCI, tci, mask).encode_nxm(w)?;
        }
        after
            .iter()
            .filter(|e| !matches!(e.field(), Field::VLAN_VID | Field::VLAN_PCP))
            .try_for_each(|e| e.encode_nxm(w))
    }

    /// Reads a match with its header and padding.
    ///
    /// # Errors
    /// As a switch would answer; see [`ErrorKind`].
    pub fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut out = Match::new();
        out.decode_from(r)?;
        Ok(out)
    }

    /// As [`decode`](Self::decode), in place; `self` is empty before.
    #[inline]
    pub(crate) fn decode_from(&mut self, r: &mut Reader<'_>) -> Result<(), DecodeError> {
        let bad_len = DecodeError::new(ErrorKind::BmcBadLen, "match");
        let [t0, t1, l0, l1] = *r.array::<4>().map_err(|_| bad_len)?;
        let len = usize::from(u16::from_be_bytes([l0, l1]));
        let fields = len.wrapping_sub(4);
        match u16::from_be_bytes([t0, t1]) {
            OFPMT_OXM if len < 4 => return Err(bad_len),
            OFPMT_OXM => {}
            OFPMT_STANDARD if len != standard::LEN => return Err(bad_len),
            OFPMT_STANDARD => {
                let body = r.bytes(fields).map_err(|_| bad_len)?;
                let body = r.over(body, ErrorKind::BmcBadLen, "match");
                return self.decode_standard(body);
            }
            _ => return Err(DecodeError::new(ErrorKind::BmcBadType, "match")),
        }
        let bytes = r.rest();
        r.skip(len.next_multiple_of(8) - 4).map_err(|_| bad_len)?;
        self.decode_fields_from(bytes, fields, true)
    }

    /// Reads fields alone, to the end of `bytes`. When not `strict`, unknown fields are skipped
    /// and prerequisites not asked for, as for the metadata of a packet-in.
    ///
    /// # Errors
    /// As [`decode`](Self::decode).
    pub fn decode_fields(bytes: &[u8], strict: bool) -> Result<Self, DecodeError> {
        let mut out = Match::new();
        out.decode_fields_from(bytes, bytes.len(), strict)?;
        Ok(out)
    }

    /// As [`decode_fields`](Self::decode_fields), of the bytes up to `end`.
    #[inline]
    fn decode_fields_from(
        &mut self,
        bytes: &[u8],
        end: usize,
        strict: bool,
    ) -> Result<(), DecodeError> {
        let decoded = self.decode_each_from(bytes, end, strict);
        if !strict {
            self.settle()?;
        }
        decoded
    }

    #[inline]
    fn decode_each_from(
        &mut self,
        bytes: &[u8],
        end: usize,
        strict: bool,
    ) -> Result<(), DecodeError> {
        let mut fields = PlainFields::new(bytes, end, self.end(), strict);
        fields.read_to(&mut self.entries);
        while fields.at != end {
            self.decode_special(&mut fields, strict)?;
            fields.read_to(&mut self.entries);
        }
        Ok(())
    }

    /// Reads a field that is not plain, or says what is wrong with it.
    #[inline(never)]
    fn decode_special(
        &mut self,
        fields: &mut PlainFields<'_>,
        strict: bool,
    ) -> Result<(), DecodeError> {
        let r = &mut Reader::new(fields.rest(), ErrorKind::BmcBadLen, "match");
        let header = OxmHeader::decode(r)?;
        let payload = r.bytes(header.payload_len())?;
        fields.at = fields.end - r.len();
        let halves = header.has_mask().then(|| {
            let (value, mask) = payload.split_at(payload.len() / 2);
            // Of an odd length, the last byte means nothing.
            let mask = mask.get(..value.len()).unwrap_or_default();
            (Value::from_bytes(value), Value::from_bytes(mask))
        });
        // This is asked first, even of a field that is not known.
        if halves
            .as_ref()
            .is_some_and(|(value, mask)| value.exceeds(mask))
        {
            return Err(r.error(ErrorKind::BmcBadWildcards));
        }
        let Some(field) = header.field() else {
            return if strict {
                Err(r.error(ErrorKind::BmcBadField))
            } else {
                Ok(())
            };
        };
        let (value, mask) = if let Some((value, mask)) = halves {
            if !field.is_maskable() && !mask.is_ones() && !mask.is_zero() {
                return Err(r.error(ErrorKind::BmcBadMask));
            }
            (value, mask)
        } else {
            (Value::from_bytes(payload), Value::ones(field.bytes()))
        };
        if !canonical::is_value_valid(field, &value) {
            return Err(r.error(ErrorKind::BmcBadValue));
        }
        if strict && !fields.facts.has(field.prerequisite()) {
            return Err(r.error(ErrorKind::BmcBadPrereq));
        }
        if !self.is_wild(field) {
            return Err(r.error(ErrorKind::BmcDupField));
        }
        fields.note(field, &value, &mask);
        if field.is_variable() {
            // Its length is that of the option in the table of the switch, and goes back as it came.
            self.put(field, value, mask);
        } else {
            self.insert(field, value, mask);
            if matches!(field, Field::VLAN_TCI | Field::VLAN_VID) {
                self.unsay_priority();
            }
        }
        fields.next = self.end();
        Ok(())
    }
}

impl PartialEq for Match {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        self.entries == other.entries
    }
}

impl Eq for Match {}

impl PartialOrd for Match {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Match {
    fn cmp(&self, other: &Self) -> Ordering {
        self.entries.cmp(&other.entries)
    }
}

impl Hash for Match {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.entries.hash(state);
    }
}

/// What a prerequisite asks for, in words of the text form.
fn needs(p: Prerequisite) -> &'static str {
    use Prerequisite as P;
    match p {
        P::Nothing => "nothing",
        P::Ethernet => "an Ethernet packet",
        P::Arp => "arp or rarp",
        P::Vlan => "a vlan_vid",
        P::Ipv4 => "ip",
        P::Ipv6 => "ipv6",
        P::Ip => "ip or ipv6",
        P::Nsh => "dl_type=0x894f",
        P::CtValid => "a ct_state that implies a tracked packet",
        P::Mpls => "mpls or mplsm",
        P::Tcp => "tcp or tcp6, not a later fragment",
        P::Udp => "udp or udp6, not a later fragment",
        P::Sctp => "sctp or sctp6, not a later fragment",
        P::Icmp4 => "icmp",
        P::Icmp6 => "icmp6",
        P::Nd => "icmp6 with icmp_type 135 or 136",
        P::NdSolicit => "icmp6 with icmp_type 135",
        P::NdAdvert => "icmp6 with icmp_type 136",
    }
}
