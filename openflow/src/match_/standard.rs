//! Reads the match that OpenFlow 1.1 had, OFPMT_STANDARD, which 1.3 deprecates and Open vSwitch still reads.

use super::Match;
use crate::error::{DecodeError, ErrorKind};
use crate::field::Field;
use crate::types::PortNo;
use crate::value::Value;
use crate::wire::Reader;

/// How long it is, type and length included.
pub(super) const LEN: usize = 88;

const IN_PORT: u16 = 1;
const DL_VLAN: u16 = 1 << 1;
const DL_VLAN_PCP: u16 = 1 << 2;
const DL_TYPE: u16 = 1 << 3;
const NW_TOS: u16 = 1 << 4;
const NW_PROTO: u16 = 1 << 5;
const TP_SRC: u16 = 1 << 6;
const TP_DST: u16 = 1 << 7;
const MPLS_LABEL: u16 = 1 << 8;
const MPLS_TC: u16 = 1 << 9;

const CFI: u64 = 0x1000;
const VID_ANY: u16 = 0xfffe;
const VID_NONE: u16 = 0xffff;

impl Match {
    /// Reads what follows type and length; `self` is empty before.
    ///
    /// ```text
    /// +---------+-----------+--------------+--------------+------+-----+---+---------+-----+-------+
    /// | in_port | wildcards | dl_src, mask | dl_dst, mask | vlan | pcp | 0 | dl_type | tos | proto |
    /// +---------+-----+-----+--------+-----+--+--------+--+-------+----+---+---------+-----+-------+
    /// | nw_src, mask  | nw_dst, mask | tp_src | tp_dst | mpls_label | mpls_tc, 0:24 | metadata, mask |
    /// +---------------+--------------+--------+--------+------------+---------------+----------------+
    /// ```
    ///
    /// Where a bit of a mask is set, the bit is not looked at; where one of the wildcards is set, the field.
    pub(super) fn decode_standard(&mut self, mut r: Reader<'_>) -> Result<(), DecodeError> {
        let bad = |kind| DecodeError::new(kind, "match");
        let bad_value = bad(ErrorKind::BmcBadValue);
        let in_port = PortNo(r.u32()?);
        let wildcards = (r.u32()? & 0xffff) as u16;
        let asks = |bit| wildcards & bit == 0;
        if asks(IN_PORT) {
            in_port.to_u16().ok_or(bad_value)?;
            self.exactly(Field::IN_PORT, in_port.0);
        }
        for field in [Field::ETH_SRC, Field::ETH_DST] {
            let (value, not) = (
                Value::from_bytes(r.bytes(6)?),
                Value::from_bytes(r.bytes(6)?),
            );
            let mask = not.to_u64() ^ 0xffff_ffff_ffff;
            self.insert(field, value, Value::from_u64(mask, 6));
        }
        let (vid, pcp) = (r.u16()?, r.u8()?);
        r.skip(1)?;
        if asks(DL_VLAN) {
            let (mut tci, mut mask) = match vid {
                VID_NONE => (0, 0xffff),
                VID_ANY => (CFI, CFI),
                vid if vid > 0xfff => return Err(bad_value),
                vid => (CFI | u64::from(vid), CFI | 0xfff),
            };
            if vid != VID_NONE && asks(DL_VLAN_PCP) {
                if pcp > 7 {
                    return Err(bad_value);
                }
                tci |= u64::from(pcp) << 13;
                mask |= 0xe000;
            }
            self.set_tci(tci, mask);
        }
        let dl_type = r.u16()?;
        let dl_type = if asks(DL_TYPE) { dl_type } else { 0 };
        if asks(DL_TYPE) {
            self.exactly(Field::ETH_TYPE, dl_type);
        }
        let ipv4 = dl_type == 0x0800;
        let arp = matches!(dl_type, 0x0806 | 0x8035);
        let (tos, proto) = (r.u8()?, r.u8()?);
        if ipv4 && asks(NW_TOS) {
            if tos & 3 != 0 {
                return Err(bad_value);
            }
            self.exactly(Field::IP_DSCP, tos >> 2);
        }
        let proto = (asks(NW_PROTO) && (ipv4 || arp)).then_some(proto);
        if let Some(proto) = proto {
            if ipv4 {
                self.exactly(Field::IP_PROTO, proto);
            } else {
                self.exactly(Field::ARP_OP, u16::from(proto));
            }
        }
        let addresses = if ipv4 {
            [Field::IPV4_SRC, Field::IPV4_DST]
        } else {
            [Field::ARP_SPA, Field::ARP_TPA]
        };
        for field in addresses {
            let (value, not) = (r.u32()?, r.u32()?);
            if ipv4 || arp {
                self.insert(field, value.into(), (!not).into());
            }
        }
        let (tp_src, tp_dst) = (r.u16()?, r.u16()?);
        let fields = match proto.filter(|_| ipv4) {
            Some(1) => Some([Field::ICMPV4_TYPE, Field::ICMPV4_CODE]),
            Some(6) => Some([Field::TCP_SRC, Field::TCP_DST]),
            Some(17) => Some([Field::UDP_SRC, Field::UDP_DST]),
            Some(132) => Some([Field::SCTP_SRC, Field::SCTP_DST]),
            _ => None,
        };
        for (field, (bit, value)) in fields
            .into_iter()
            .flatten()
            .zip([(TP_SRC, tp_src), (TP_DST, tp_dst)])
        {
            if asks(bit) {
                if field.bytes() == 1 && value > 0xff {
                    return Err(bad(ErrorKind::BmcBadField));
                }
                self.exactly(field, value);
            }
        }
        let (label, tc) = (r.u32()?, r.u8()?);
        r.skip(3)?;
        if matches!(dl_type, 0x8847 | 0x8848) {
            if asks(MPLS_LABEL) {
                self.exactly(Field::MPLS_LABEL, label & 0xf_ffff);
            }
            if asks(MPLS_TC) {
                self.exactly(Field::MPLS_TC, tc & 7);
            }
        }
        let (metadata, not) = (r.u64()?, r.u64()?);
        self.insert(Field::METADATA, metadata.into(), (!not).into());
        Ok(())
    }

    fn exactly(&mut self, field: Field, value: impl Into<Value>) {
        let value = value.into().resized(field.bytes());
        self.insert(field, value, Value::ones(field.bytes()));
    }
}
