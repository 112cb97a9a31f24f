//! [`Field`]: what can be matched and set, and how it is named on the wire (OpenFlow 1.3.5 §7.2.3) and in text
//! (ovs-fields(7)).
//!
//! Everything about a field is one line of the [table](table.rs); this module reads that table and
//! knows no field by name. What makes two fields overlap is the business of
//! [`match_`](crate::match_).

mod table;

use std::fmt;

use crate::error::{DecodeError, EncodeError, ErrorKind};
use crate::wire::{Reader, Writer};

use table::{FIELDS, N_FIELDS};

/// A field of a packet, of its metadata, or of the pipeline.
///
/// A copyable handle into the table of fields; there is a constant for each. Fields order as Open
/// vSwitch writes them in a match.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Field(u8);

/// How the value of a field is printed and read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// A decimal number.
    Dec,
    /// A hexadecimal number.
    Hex,
    /// An Ethernet address.
    Mac,
    /// An IPv4 address.
    Ipv4,
    /// An IPv6 address.
    Ipv6,
    /// `no`, `yes`, `first`, `later`, `not_later`.
    Frag,
    /// A port of 32 bits.
    Port,
    /// A port of 16 bits, as Open vSwitch's own extensions have it.
    Port16,
    /// Flags of connection tracking.
    CtState,
    /// Flags of a tunnel.
    TunFlags,
    /// Flags of TCP.
    TcpFlags,
    /// A namespace and a type.
    PacketType,
}

/// What a match must say before a field may be in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Prerequisite {
    /// Nothing.
    Nothing,
    /// An Ethernet packet.
    Ethernet,
    /// `dl_type` 0x0806 or 0x8035.
    Arp,
    /// An 802.1Q tag.
    Vlan,
    /// `dl_type` 0x0800.
    Ipv4,
    /// `dl_type` 0x86dd.
    Ipv6,
    /// Either IP.
    Ip,
    /// `dl_type` 0x894f.
    Nsh,
    /// A tracked packet of either IP.
    CtValid,
    /// `dl_type` 0x8847 or 0x8848.
    Mpls,
    /// TCP on either IP, no later fragment.
    Tcp,
    /// UDP on either IP, no later fragment.
    Udp,
    /// SCTP on either IP, no later fragment.
    Sctp,
    /// ICMP on IPv4.
    Icmp4,
    /// ICMPv6 on IPv6.
    Icmp6,
    /// A neighbour solicitation or advertisement.
    Nd,
    /// A neighbour solicitation.
    NdSolicit,
    /// A neighbour advertisement.
    NdAdvert,
}

impl Prerequisite {
    /// Every one.
    #[cfg(test)]
    pub(crate) const ALL: [Prerequisite; 18] = [
        Prerequisite::Nothing,
        Prerequisite::Ethernet,
        Prerequisite::Arp,
        Prerequisite::Vlan,
        Prerequisite::Ipv4,
        Prerequisite::Ipv6,
        Prerequisite::Ip,
        Prerequisite::Nsh,
        Prerequisite::CtValid,
        Prerequisite::Mpls,
        Prerequisite::Tcp,
        Prerequisite::Udp,
        Prerequisite::Sctp,
        Prerequisite::Icmp4,
        Prerequisite::Icmp6,
        Prerequisite::Nd,
        Prerequisite::NdSolicit,
        Prerequisite::NdAdvert,
    ];

    /// Its bit in a set of them; none for [`Nothing`](Prerequisite::Nothing), which always holds.
    #[inline]
    pub(crate) const fn bit(self) -> u32 {
        1 << self as u32 >> 1
    }
}

/// One of the headers a field has on the wire.
#[derive(Clone, Copy, Debug)]
struct Header {
    class: u16,
    /// Zero, unless the class is 0xffff.
    experimenter: u32,
    field: u8,
    /// The wire version of OpenFlow that brought it; zero for extensions.
    since: u8,
    name: &'static str,
}

/// What the table says about a field, and what follows from that.
#[derive(Debug)]
struct FieldInfo {
    name: &'static str,
    alias: &'static str,
    bits: u16,
    bytes: u8,
    maskable: bool,
    format: Format,
    prerequisite: Prerequisite,
    writable: bool,
    rank: u8,
    headers: &'static [Header],
    /// The header for OpenFlow 1.3.
    oxm: WireHeader,
    /// The header for extensions, NXM if there is one.
    nxm: WireHeader,
}

/// A header ready to write: without mask, and with the longest length.
#[derive(Clone, Copy, Debug)]
struct WireHeader {
    /// Class, field, and length; zero when there is none.
    word: u32,
    experimenter: u32,
    name: &'static str,
}

/// The wire version number of OpenFlow 1.3.
const OF13: u8 = 4;

impl FieldInfo {
    #[allow(clippy::too_many_arguments, reason = "called by the table alone")]
    const fn new(
        name: &'static str,
        alias: &'static str,
        bits: u16,
        bytes: u8,
        maskable: bool,
        format: Format,
        prerequisite: Prerequisite,
        writable: bool,
        rank: u8,
        headers: &'static [Header],
    ) -> Self {
        FieldInfo {
            name,
            alias,
            bits,
            bytes,
            maskable,
            format,
            prerequisite,
            writable,
            rank,
            headers,
            oxm: WireHeader::choose(headers, OF13, bytes),
            nxm: WireHeader::choose(headers, 0, bytes),
        }
    }
}

impl WireHeader {
    /// The last of `headers` that `version` has, else the first, as Open vSwitch chooses.
    #[allow(clippy::indexing_slicing, reason = "evaluated at compile time only")]
    const fn choose(headers: &[Header], version: u8, bytes: u8) -> Self {
        let mut best: Option<Header> = None;
        let mut i = 0;
        while i < headers.len() {
            if best.is_none() || version >= headers[i].since {
                best = Some(headers[i]);
            }
            i += 1;
        }
        match best {
            None => WireHeader {
                word: 0,
                experimenter: 0,
                name: "",
            },
            Some(h) => {
                let len = bytes as u32 + if h.class == 0xffff { 4 } else { 0 };
                WireHeader {
                    word: (h.class as u32) << 16 | (h.field as u32) << 9 | len,
                    experimenter: h.experimenter,
                    name: h.name,
                }
            }
        }
    }
}

const NONE: u8 = 0xff;
const _: () = assert!(N_FIELDS < NONE as usize);

/// For each number of a class, the field that has it.
#[allow(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "evaluated at compile time only, and there are fewer than 255 fields"
)]
const fn by_number(class: u16, experimenter: u32) -> [u8; 128] {
    let mut out = [NONE; 128];
    let mut i = 0;
    while i < N_FIELDS {
        let headers = FIELDS[i].headers;
        let mut k = 0;
        while k < headers.len() {
            if headers[k].class == class && headers[k].experimenter == experimenter {
                out[headers[k].field as usize] = i as u8;
            }
            k += 1;
        }
        i += 1;
    }
    out
}

static NXM0: [u8; 128] = by_number(0x0000, 0);
static NXM1: [u8; 128] = by_number(0x0001, 0);
static ERIC: [u8; 128] = by_number(0x1000, 0);
static BASIC: [u8; 128] = by_number(0x8000, 0);
static PKT_REG: [u8; 128] = by_number(0x8001, 0);
static NICIRA: [u8; 128] = by_number(0xffff, 0x0000_2320);
static NSH: [u8; 128] = by_number(0xffff, 0x005a_d650);
static ONF: [u8; 128] = by_number(0xffff, 0x4f4e_4600);

/// An OXM or NXM header as received (OpenFlow 1.3.5 §7.2.3.2).
///
/// ```text
/// |31         16 15       9| 8 |7        0|
/// +-------------+----------+---+----------+
/// |    class    |  field   | M |  length  |  M: a mask of the same length follows the value
/// +-------------+----------+---+----------+  then, in class 0xffff, 32 bits of experimenter,
/// ```                                        which the length counts
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OxmHeader {
    /// The first 32 bits, in host byte order.
    pub word: u32,
    /// The experimenter, zero unless the class is 0xffff.
    pub experimenter: u32,
}

impl OxmHeader {
    /// Reads a header of four or eight bytes.
    ///
    /// # Errors
    /// `OFPBMC_BAD_LEN` when it is cut short.
    #[inline(always)]
    pub fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let bad = |r: &Reader<'_>| r.error(ErrorKind::BmcBadLen);
        let word = r.u32().map_err(|_| bad(r))?;
        let mut experimenter = 0;
        if word >> 16 == 0xffff {
            experimenter = r.u32().map_err(|_| bad(r))?;
            if word & 0xff < 4 {
                return Err(bad(r));
            }
        }
        Ok(OxmHeader { word, experimenter })
    }

    /// Whether a mask follows the value.
    #[must_use]
    #[inline]
    pub const fn has_mask(self) -> bool {
        self.word & 0x100 != 0
    }

    /// How many bytes follow the header.
    #[must_use]
    #[inline]
    pub const fn payload_len(self) -> usize {
        let len = (self.word & 0xff) as usize;
        if self.word >> 16 == 0xffff {
            len.saturating_sub(4)
        } else {
            len
        }
    }

    /// The field it names, if there is one of this width.
    #[must_use]
    #[inline(always)]
    pub fn field(self) -> Option<Field> {
        let field = self.field_of_any_width()?;
        let n = if self.has_mask() {
            self.payload_len() / 2
        } else {
            self.payload_len()
        };
        // Open vSwitch takes seven bits of a length for such, so that a longer one names no field.
        (n == field.bytes() || (field.is_variable() && n < 0x80)).then_some(field)
    }

    /// The field it names, although the width may be wrong.
    #[inline(always)]
    pub(crate) fn field_of_any_width(self) -> Option<Field> {
        let table = match (self.word >> 16, self.experimenter) {
            (0x8000, _) => &BASIC,
            (0x0001, _) => &NXM1,
            (0x0000, _) => &NXM0,
            (0x8001, _) => &PKT_REG,
            (0x1000, _) => &ERIC,
            (0xffff, 0x0000_2320) => &NICIRA,
            (0xffff, 0x005a_d650) => &NSH,
            (0xffff, 0x4f4e_4600) => &ONF,
            _ => return None,
        };
        let index = *table.get((self.word >> 9 & 0x7f) as usize)?;
        (usize::from(index) < N_FIELDS).then_some(Field(index))
    }
}

impl FieldInfo {
    const fn is_variable(&self) -> bool {
        self.bytes > 16
    }
}

impl Field {
    #[inline]
    #[allow(clippy::indexing_slicing, reason = "only the table makes fields")]
    const fn info(self) -> &'static FieldInfo {
        &FIELDS[self.0 as usize]
    }

    /// Its place in the table, for tables beside it.
    #[inline]
    pub(crate) const fn index(self) -> u8 {
        self.0
    }

    /// Its number in `class`, which is not an experimenter's, if it has one there.
    #[allow(clippy::indexing_slicing, reason = "evaluated at compile time only")]
    pub(crate) const fn number_in(self, class: u16) -> Option<u8> {
        let headers = self.info().headers;
        let mut i = 0;
        while i < headers.len() {
            if headers[i].class == class {
                return Some(headers[i].field);
            }
            i += 1;
        }
        None
    }

    /// The field at `index` of the table.
    #[allow(clippy::cast_possible_truncation, reason = "there are fewer than 255")]
    pub(crate) const fn at(index: usize) -> Option<Field> {
        if index < N_FIELDS {
            Some(Field(index as u8))
        } else {
            None
        }
    }

    /// Every field.
    pub fn all() -> impl Iterator<Item = Field> {
        (0u8..).take(N_FIELDS).map(Field)
    }

    /// The name that ovs-fields(7) gives it.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.info().name
    }

    /// Its second name, such as `nw_src` for `ip_src`.
    #[must_use]
    pub fn alias(self) -> Option<&'static str> {
        Some(self.info().alias).filter(|s| !s.is_empty())
    }

    /// The name of the header that extension actions use for it, such as `NXM_NX_REG0`; its
    /// [name](Self::name) when it has none.
    #[must_use]
    pub fn nxm_name(self) -> &'static str {
        let info = self.info();
        if info.nxm.name.is_empty() {
            info.name
        } else {
            info.nxm.name
        }
    }

    /// The field called `name`, by its first or second name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Field> {
        let found = FIELDS
            .iter()
            .position(|f| f.name == name || (f.alias == name && !name.is_empty()))?;
        u8::try_from(found).ok().map(Field)
    }

    /// The field that has a header called `name`.
    #[must_use]
    pub fn by_header_name(name: &str) -> Option<Field> {
        let found = FIELDS
            .iter()
            .position(|f| f.headers.iter().any(|h| h.name == name))?;
        u8::try_from(found).ok().map(Field)
    }

    /// How many bits it has.
    #[must_use]
    #[inline]
    pub const fn bits(self) -> u16 {
        self.info().bits
    }

    /// How many bytes it has on the wire; the most it can have, when that varies.
    #[must_use]
    #[inline]
    pub const fn bytes(self) -> usize {
        self.info().bytes as usize
    }

    /// Whether its length varies (tunnel metadata).
    #[must_use]
    #[inline]
    pub fn is_variable(self) -> bool {
        self.info().is_variable()
    }

    /// Whether any mask is allowed on it.
    #[must_use]
    #[inline]
    pub const fn is_maskable(self) -> bool {
        self.info().maskable
    }

    /// Whether actions may write it.
    #[must_use]
    #[inline]
    pub const fn is_writable(self) -> bool {
        self.info().writable
    }

    /// How it is printed.
    #[must_use]
    pub fn format(self) -> Format {
        self.info().format
    }

    /// What it needs to be in a match.
    #[must_use]
    #[inline]
    pub const fn prerequisite(self) -> Prerequisite {
        self.info().prerequisite
    }

    /// Its rank among fields in Open vSwitch's own numbering, which lists of fields follow.
    #[must_use]
    pub fn rank(self) -> u8 {
        self.info().rank
    }

    /// The register `reg0` to `reg15`; higher numbers wrap.
    #[must_use]
    pub const fn reg(n: u8) -> Field {
        Field(Field::REG0.0 + (n & 15))
    }

    /// The register pair `xreg0` to `xreg7`; higher numbers wrap.
    #[must_use]
    pub const fn xreg(n: u8) -> Field {
        Field(Field::XREG0.0 + (n & 7))
    }

    /// The register quadruple `xxreg0` to `xxreg3`; higher numbers wrap.
    #[must_use]
    pub const fn xxreg(n: u8) -> Field {
        Field(Field::XXREG0.0 + (n & 3))
    }

    /// The tunnel option `tun_metadata0` to `tun_metadata63`; higher numbers wrap.
    #[must_use]
    pub const fn tun_metadata(n: u8) -> Field {
        Field(Field::TUN_METADATA0.0 + (n & 63))
    }

    /// Its number among the fields from `first` to `last`, such as 3 for `reg3`.
    pub(crate) fn offset_in(self, first: Field, last: Field) -> Option<u8> {
        (self >= first && self <= last).then(|| self.0 - first.0)
    }

    /// Whether OpenFlow 1.3 has a header for it at all.
    #[must_use]
    pub fn has_header(self) -> bool {
        self.info().oxm.word != 0
    }

    /// The header that OpenFlow 1.3 writes for it, without mask.
    #[must_use]
    pub fn oxm_header(self) -> Option<OxmHeader> {
        let h = self.info().oxm;
        (h.word != 0).then_some(OxmHeader {
            word: h.word,
            experimenter: h.experimenter,
        })
    }

    /// The 32-bit header that extension actions write for it, if it has one.
    #[must_use]
    pub fn nxm_header32(self) -> Option<u32> {
        let h = self.info().nxm;
        (h.word != 0 && h.experimenter == 0).then_some(h.word)
    }

    /// Writes its OpenFlow 1.3 header for a value of `len` bytes.
    #[inline(always)]
    pub(crate) fn put_oxm(
        self,
        w: &mut Writer<'_>,
        masked: bool,
        len: usize,
    ) -> Result<(), EncodeError> {
        self.put_header(&self.info().oxm, w, masked, len)
    }

    /// Writes its header for extension actions: NXM if there is one.
    #[inline]
    pub(crate) fn put_nxm(
        self,
        w: &mut Writer<'_>,
        masked: bool,
        len: usize,
    ) -> Result<(), EncodeError> {
        self.put_header(&self.info().nxm, w, masked, len)
    }

    #[inline(always)]
    fn put_header(
        self,
        h: &WireHeader,
        w: &mut Writer<'_>,
        masked: bool,
        len: usize,
    ) -> Result<(), EncodeError> {
        if h.word == 0 {
            return Err(EncodeError::NoWireForm(self.name()));
        }
        let payload = if masked { 2 * len } else { len };
        let total = payload + if h.experimenter != 0 { 4 } else { 0 };
        let total = u8::try_from(total).map_err(|_| EncodeError::TooLong(self.name()))?;
        w.u32(h.word & 0xffff_fe00 | u32::from(masked) << 8 | u32::from(total));
        if h.experimenter != 0 {
            w.u32(h.experimenter);
        }
        Ok(())
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Some of the bits of a field: `reg0[8..15]`, as ovs-actions(7) writes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subfield {
    /// The field.
    pub field: Field,
    /// The lowest bit; 0 is the least significant of the field.
    pub start_bit: u16,
    /// How many bits.
    pub n_bits: u16,
}

impl Subfield {
    /// `n_bits` bits of `field`, from `start_bit` up.
    #[must_use]
    pub const fn new(field: Field, start_bit: u16, n_bits: u16) -> Self {
        Subfield {
            field,
            start_bit,
            n_bits,
        }
    }

    /// All of `field`.
    #[must_use]
    pub fn all(field: Field) -> Self {
        Subfield {
            field,
            start_bit: 0,
            n_bits: field.bits(),
        }
    }

    /// The bit above the highest; a subfield that was not checked may reach beyond its field.
    #[inline(always)]
    const fn end(self) -> u32 {
        self.start_bit as u32 + self.n_bits as u32
    }

    /// Whether there are bits, and all of them within the field.
    #[inline(always)]
    pub(crate) fn is_within(self) -> bool {
        self.n_bits != 0 && self.end() <= u32::from(self.field.bits())
    }

    /// Checks that the bits are within the field, as Open vSwitch does for a source.
    #[inline(always)]
    pub(crate) fn check(self, context: &'static str) -> Result<Self, DecodeError> {
        if !self.is_within() {
            return Err(DecodeError::new(ErrorKind::BacBadSetLen, context));
        }
        Ok(self)
    }

    /// As [`check`](Self::check), for a destination, which must also be writable.
    #[inline(always)]
    pub(crate) fn check_writable(self, context: &'static str) -> Result<Self, DecodeError> {
        self.check(context)?;
        if !self.field.is_writable() {
            return Err(DecodeError::new(ErrorKind::BacBadSetArgument, context));
        }
        Ok(self)
    }
}

impl From<Field> for Subfield {
    fn from(field: Field) -> Self {
        Subfield::all(field)
    }
}

impl fmt::Display for Subfield {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.field.nxm_name())?;
        if self.start_bit == 0 && self.n_bits == self.field.bits() {
            f.write_str("[]")
        } else if self.n_bits == 1 {
            write!(f, "[{}]", self.start_bit)
        } else {
            write!(
                f,
                "[{}..{}]",
                self.start_bit,
                self.end().max(u32::from(self.start_bit) + 1) - 1
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_header_leads_back_to_its_field() {
        let mut headers = 0;
        for field in Field::all() {
            for h in field.info().headers {
                let len = u32::from(field.info().bytes) + if h.experimenter != 0 { 4 } else { 0 };
                let word = u32::from(h.class) << 16 | u32::from(h.field) << 9 | len;
                let header = OxmHeader {
                    word,
                    experimenter: h.experimenter,
                };
                assert_eq!(header.field(), Some(field), "{}", h.name);
                assert_eq!(Field::by_header_name(h.name), Some(field));
                headers += 1;
            }
            assert_eq!(Field::by_name(field.name()), Some(field));
        }
        assert_eq!((N_FIELDS, headers), (183, 209));
    }
}
