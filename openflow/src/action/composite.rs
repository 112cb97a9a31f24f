//! The layouts of actions of several parts: encode beside decode.

use super::kind::Kind;
use super::layout::{bad_argument, exact, port16};
use super::list::{
    NXAST_BUNDLE_LOAD, NXAST_CONTROLLER2, NXAST_RESUBMIT, NXAST_RESUBMIT_TABLE_CT, NXAST_SAMPLE,
    NXAST_SAMPLE3,
};
use super::writing::{field32, header32, ofs_nbits, subfield};
use super::{
    Action, Bundle, BundleAlgorithm, Controller, Encap, EncapProperty, HashFields, Multipath,
    MultipathAlgorithm, Sample, SampleDirection, decode_list, encode_list,
};
use crate::error::{DecodeError, EncodeError, ErrorKind};
use crate::field::Field;
use crate::types::{PortNo, TableId};
use crate::wire::{Reader, Writer};

/// ```text
/// 10       12      13      16
/// +--------+-------+-------+
/// |  port  | table | zeros |   no table in the shortest form
/// +--------+-------+-------+
/// ```
pub(super) mod resubmit {
    use super::*;

    #[inline(always)]
    pub(in super::super) fn encode(
        [plain, in_table, with_ct]: &[Kind; 3],
        port: &PortNo,
        table: &Option<TableId>,
        ct: &bool,
        w: &mut Writer<'_>,
    ) -> Result<(), EncodeError> {
        let (kind, table) = match (table, ct) {
            (None, false) => (plain, 0),
            (None, true) => (with_ct, 0xff),
            (Some(table), true) => (with_ct, table.0),
            (Some(table), false) => (in_table, table.0),
        };
        let table = u64::from(table) << 24;
        kind.fixed_with(u64::from(port16(*port)) << 32 | table, w);
        Ok(())
    }

    #[inline(always)]
    pub(in super::super) fn decode(
        number: u16,
        r: Reader<'_>,
    ) -> Result<(PortNo, Option<TableId>, bool), DecodeError> {
        let [p0, p1, table, z0, z1, z2] = *exact::<6>(&r)?;
        let port = PortNo::from_u16(u16::from_be_bytes([p0, p1]));
        if number == NXAST_RESUBMIT.number {
            return Ok((port, None, false));
        }
        if [z0, z1, z2] != [0; 3] {
            return Err(bad_argument("resubmit action"));
        }
        Ok((
            port,
            Some(TableId(table)),
            number == NXAST_RESUBMIT_TABLE_CT.number,
        ))
    }
}

/// Bytes; there are six at least, the padding among them.
pub(super) mod note {
    use super::*;

    #[inline(never)]
    pub(in super::super) fn encode(
        [kind]: &[Kind; 1],
        bytes: &[u8],
        w: &mut Writer<'_>,
    ) -> Result<(), EncodeError> {
        let length = kind.begin(w);
        w.bytes(bytes);
        w.end_padded(length, "note")
    }

    #[inline(never)]
    pub(in super::super) fn decode(_: u16, r: Reader<'_>) -> Result<Vec<u8>, DecodeError> {
        if r.len() < 6 {
            return Err(r.short());
        }
        Ok(r.rest().to_vec())
    }
}

/// Their number, four bytes of zeros, and identifiers.
pub(super) mod counters {
    use super::*;

    #[inline(never)]
    pub(in super::super) fn encode(
        [kind]: &[Kind; 1],
        ids: &[u16],
        w: &mut Writer<'_>,
    ) -> Result<(), EncodeError> {
        let length = kind.begin(w);
        w.u16(u16::try_from(ids.len()).map_err(|_| EncodeError::TooLong("dec_ttl"))?);
        w.zeros(4);
        ids.iter().for_each(|id| w.u16(*id));
        w.end_padded(length, "dec_ttl")
    }

    #[inline(never)]
    pub(in super::super) fn decode(_: u16, mut r: Reader<'_>) -> Result<Vec<u16>, DecodeError> {
        let n = r.u16()?;
        r.zeros(4, ErrorKind::NxbrcMustBeZero)?;
        if r.len() < usize::from(n) * 2 {
            return Err(r.short());
        }
        (0..n).map(|_| r.u16()).collect()
    }
}

/// Two timeouts, and two bytes of zeros.
pub(super) mod fin_timeout {
    use super::*;

    #[inline(never)]
    pub(in super::super) fn encode(
        [kind]: &[Kind; 1],
        idle: &u16,
        hard: &u16,
        w: &mut Writer<'_>,
    ) -> Result<(), EncodeError> {
        kind.fixed(w);
        w.u16(*idle);
        w.u16(*hard);
        w.zeros(2);
        Ok(())
    }

    #[inline(never)]
    pub(in super::super) fn decode(_: u16, r: Reader<'_>) -> Result<(u16, u16), DecodeError> {
        let [i0, i1, h0, h1, _, _] = *exact::<6>(&r)?;
        Ok((u16::from_be_bytes([i0, i1]), u16::from_be_bytes([h0, h1])))
    }
}

/// Six bytes of zeros, value and mask.
pub(super) mod write_metadata {
    use super::*;

    #[inline(never)]
    pub(in super::super) fn encode(
        [kind]: &[Kind; 1],
        metadata: &u64,
        mask: &u64,
        w: &mut Writer<'_>,
    ) -> Result<(), EncodeError> {
        kind.fixed(w);
        w.zeros(6);
        w.u64(*metadata);
        w.u64(*mask);
        Ok(())
    }

    #[inline(never)]
    pub(in super::super) fn decode(_: u16, mut r: Reader<'_>) -> Result<(u64, u64), DecodeError> {
        r.zeros(6, ErrorKind::NxbrcMustBeZero)?;
        let (metadata, mask) = (r.u64()?, r.u64()?);
        r.finish()?;
        Ok((metadata, mask))
    }
}

/// ```text
/// 10       11          12    16
/// +--------+-----------+-----+
/// | clause | n_clauses | id  |
/// +--------+-----------+-----+
/// ```
pub(super) mod conjunction {
    use super::*;

    #[inline(never)]
    pub(in super::super) fn encode(
        [kind]: &[Kind; 1],
        id: &u32,
        clause: &u8,
        n_clauses: &u8,
        w: &mut Writer<'_>,
    ) -> Result<(), EncodeError> {
        kind.fixed(w);
        w.u8(*clause);
        w.u8(*n_clauses);
        w.u32(*id);
        Ok(())
    }

    #[inline(never)]
    pub(in super::super) fn decode(_: u16, r: Reader<'_>) -> Result<(u32, u8, u8), DecodeError> {
        let [clause, n_clauses, id @ ..] = *exact::<6>(&r)?;
        if !(2..=64).contains(&n_clauses) || clause >= n_clauses {
            return Err(DecodeError::new(
                ErrorKind::NxbacBadConjunction,
                "conjunction action",
            ));
        }
        Ok((u32::from_be_bytes(id), clause, n_clauses))
    }
}

/// A port and a length.
pub(super) mod output_trunc {
    use super::*;

    #[inline(never)]
    pub(in super::super) fn encode(
        [kind]: &[Kind; 1],
        port: &PortNo,
        max_len: &u32,
        w: &mut Writer<'_>,
    ) -> Result<(), EncodeError> {
        kind.fixed(w);
        w.u16(port16(*port));
        w.u32(*max_len);
        Ok(())
    }

    #[inline(never)]
    pub(in super::super) fn decode(_: u16, r: Reader<'_>) -> Result<(PortNo, u32), DecodeError> {
        let [p0, p1, max_len @ ..] = *exact::<6>(&r)?;
        let max_len = u32::from_be_bytes(max_len);
        if max_len < 14 {
            return Err(bad_argument("output action"));
        }
        Ok((PortNo::from_u16(u16::from_be_bytes([p0, p1])), max_len))
    }
}

/// Six bytes of zeros, and actions.
pub(super) mod clone {
    use super::*;

    #[inline(never)]
    pub(in super::super) fn encode(
        [kind]: &[Kind; 1],
        actions: &[Action],
        w: &mut Writer<'_>,
    ) -> Result<(), EncodeError> {
        let length = kind.begin(w);
        w.zeros(6);
        encode_list(actions, w)?;
        w.end(length, "clone")
    }

    #[inline(never)]
    pub(in super::super) fn decode(_: u16, mut r: Reader<'_>) -> Result<Vec<Action>, DecodeError> {
        r.skip(6)?;
        r.deepen()?;
        decode_list(r)
    }
}

/// Numbers, or in the longer form properties: `type:16, length:16, value`, each padded to eight bytes.
pub(super) mod controller {
    use super::*;

    #[inline(never)]
    pub(in super::super) fn encode(
        [short, long]: &[Kind; 2],
        c: &Controller,
        w: &mut Writer<'_>,
    ) -> Result<(), EncodeError> {
        if c.userdata.is_empty() && !c.pause && c.meter_id.is_none() && !c.long_form {
            short.fixed(w);
            w.u16(c.max_len);
            w.u16(c.id);
            w.u8(c.reason);
            w.u8(0);
            return Ok(());
        }
        let length = long.begin(w);
        w.zeros(6);
        let property = |w: &mut Writer<'_>, type_: u16, value: &[u8]| {
            let start = w.pos();
            w.u16(type_);
            let length = w.length(start);
            w.bytes(value);
            w.end(length, "controller")?;
            w.pad8(start);
            Ok(())
        };
        // Numbers stand at the left of a word of their own.
        let [m0, m1] = c.max_len.to_be_bytes();
        let [i0, i1] = c.id.to_be_bytes();
        if c.max_len != u16::MAX {
            property(w, 0, &[m0, m1, 0, 0])?;
        }
        if c.id != 0 {
            property(w, 1, &[i0, i1, 0, 0])?;
        }
        if c.reason != 1 {
            property(w, 2, &[c.reason])?;
        }
        if !c.userdata.is_empty() {
            property(w, 3, &c.userdata)?;
        }
        if c.pause {
            property(w, 4, &[])?;
        }
        if let Some(meter) = c.meter_id {
            property(w, 5, &meter.to_be_bytes())?;
        }
        w.end_padded(length, "controller")
    }

    #[inline(never)]
    pub(in super::super) fn decode(
        number: u16,
        mut r: Reader<'_>,
    ) -> Result<Box<Controller>, DecodeError> {
        if number == NXAST_CONTROLLER2.number {
            return decode_long(r).map(Box::new);
        }
        let (max_len, id) = (r.u16()?, r.u16()?);
        let reason = r.u8()?;
        r.skip(1)?;
        r.finish()?;
        Ok(Box::new(Controller {
            max_len,
            id,
            reason,
            ..Controller::default()
        }))
    }

    fn decode_long(mut b: Reader<'_>) -> Result<Controller, DecodeError> {
        let context = "controller action";
        b.zeros(6, ErrorKind::NxbrcMustBeZero)?;
        let mut c = Controller {
            long_form: true,
            ..Controller::default()
        };
        let mut short = true;
        while !b.is_empty() {
            let (type_, mut p) = property(&mut b, context)?;
            match type_ {
                0 => c.max_len = p.u16()?,
                1 => c.id = p.u16()?,
                2 => c.reason = p.u8()?,
                3 => c.userdata = p.take_rest().to_vec(),
                4 => c.pause = true,
                5 => c.meter_id = Some(p.u32()?).filter(|m| *m != 0),
                _ => return Err(DecodeError::new(ErrorKind::BpcBadType, context)),
            }
        }
        if !c.userdata.is_empty() || c.pause || c.meter_id.is_some() {
            short = false;
        }
        // What only the long form can say is not told apart from one that chose it.
        c.long_form = short;
        Ok(c)
    }

    /// Reads a property: `type:16, length:16, value`, padded to eight bytes.
    fn property<'a>(
        b: &mut Reader<'a>,
        context: &'static str,
    ) -> Result<(u16, Reader<'a>), DecodeError> {
        let bad = DecodeError::new(ErrorKind::BpcBadLen, context);
        let (type_, len) = (b.u16().map_err(|_| bad)?, b.u16().map_err(|_| bad)?);
        let len = usize::from(len).checked_sub(4).ok_or(bad)?;
        let value = b
            .sub_as(len, ErrorKind::BpcBadLen, context)
            .map_err(|_| bad)?;
        let padding = (len + 4).next_multiple_of(8) - (len + 4);
        b.skip(padding).map_err(|_| bad)?;
        Ok((type_, value))
    }
}

/// Numbers; from the second form on port and direction, and zeros.
pub(super) mod sample {
    use super::*;

    #[inline(never)]
    pub(in super::super) fn encode(
        [plain, with_port, with_direction]: &[Kind; 3],
        s: &Sample,
        w: &mut Writer<'_>,
    ) -> Result<(), EncodeError> {
        let (kind, long) = match s.form {
            3 => (with_direction, true),
            _ if s.direction != SampleDirection::Default => (with_direction, true),
            2 => (with_port, true),
            _ if s.sampling_port != PortNo::ANY => (with_port, true),
            _ => (plain, false),
        };
        kind.fixed(w);
        w.u16(s.probability);
        w.u32(s.collector_set_id);
        w.u32(s.obs_domain_id);
        w.u32(s.obs_point_id);
        if long {
            w.u16(port16(s.sampling_port));
            w.u8(s.direction as u8);
            w.zeros(5);
        }
        Ok(())
    }

    #[inline(never)]
    pub(in super::super) fn decode(
        number: u16,
        mut b: Reader<'_>,
    ) -> Result<Box<Sample>, DecodeError> {
        let mut s = Sample {
            probability: b.u16()?,
            collector_set_id: b.u32()?,
            obs_domain_id: b.u32()?,
            obs_point_id: b.u32()?,
            sampling_port: PortNo::ANY,
            direction: SampleDirection::Default,
            form: 1,
        };
        if number != NXAST_SAMPLE.number {
            s.sampling_port = PortNo::from_u16(b.u16()?);
            let direction = b.u8()?;
            let zeros = b.zeros(5, ErrorKind::NxbrcMustBeZero);
            s.form = 2;
            if number == NXAST_SAMPLE3.number {
                zeros?;
                s.form = 3;
                s.direction = match direction {
                    0 => SampleDirection::Default,
                    1 => SampleDirection::Ingress,
                    2 => SampleDirection::Egress,
                    _ => return Err(bad_argument("sample action")),
                };
            }
        }
        b.finish()?;
        if s.probability == 0 {
            return Err(bad_argument("sample action"));
        }
        s.form = s.normal_form(s.form);
        Ok(Box::new(s))
    }
}

impl Sample {
    /// 1 if `form` is the shortest that says everything, else `form`.
    fn normal_form(&self, form: u8) -> u8 {
        let needed = match self {
            s if s.direction != SampleDirection::Default => 3,
            s if s.sampling_port != PortNo::ANY => 2,
            _ => 1,
        };
        if form == needed { 1 } else { form }
    }
}

/// A length, a type, and properties.
/// ```text
/// +-------+------+--------+------ … ------+-------+
/// | class | type | length |     value     | zeros |   class 4: Network Service Header
/// +-------+------+--------+------ … ------+-------+
/// ```
pub(super) mod encap {
    use super::*;

    #[inline(never)]
    pub(in super::super) fn encode(
        [kind]: &[Kind; 1],
        encap: &Encap,
        w: &mut Writer<'_>,
    ) -> Result<(), EncodeError> {
        let length = kind.begin(w);
        w.u16(encap.hdr_size);
        w.u32(encap.packet_type);
        let mut properties = encap.properties.iter();
        properties.try_for_each(|p| encode_property(p, w))?;
        w.end_padded(length, "encap")
    }

    fn encode_property(p: &EncapProperty, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        let start = w.pos();
        w.u16(4);
        match p {
            EncapProperty::NshMdType(md) => {
                w.u8(1);
                w.u8(5);
                w.u8(*md);
                w.zeros(3);
            }
            EncapProperty::NshTlv {
                class,
                type_,
                value,
            } => {
                let too_long = |_| EncodeError::TooLong("encap");
                w.u8(2);
                w.u8(u8::try_from(8 + value.len().next_multiple_of(8)).map_err(too_long)?);
                w.u16(*class);
                w.u8(*type_);
                w.u8(u8::try_from(value.len()).map_err(too_long)?);
                w.bytes(value);
                w.pad8(start);
            }
        }
        Ok(())
    }

    #[inline(never)]
    pub(in super::super) fn decode(_: u16, mut b: Reader<'_>) -> Result<Box<Encap>, DecodeError> {
        let context = "encap action";
        let hdr_size = b.u16()?;
        let packet_type = b.u32()?;
        if !matches!(packet_type, 0 | 0x1894f | 0x18847 | 0x18848) {
            return Err(DecodeError::new(ErrorKind::NxbacBadHeaderType, context));
        }
        let bad = DecodeError::new(ErrorKind::NxbacBadEdProp, context);
        let mut properties = Vec::new();
        while !b.is_empty() {
            let (class, type_, len) = (b.u16()?, b.u8()?, b.u8()?);
            if len < 4 {
                return Err(b.short());
            }
            // With its padding, in which Open vSwitch looks for what the length leaves out.
            let mut v = b.sub(usize::from(len).next_multiple_of(8) - 4)?;
            properties.push(match (class, type_) {
                (4, 1) => {
                    let md = v.u8().map_err(|_| bad)?;
                    if len > 8 {
                        return Err(bad);
                    }
                    EncapProperty::NshMdType(md)
                }
                (4, 2) => {
                    let [c0, c1, type_, n] = *v.array::<4>().map_err(|_| bad)?;
                    let value = v.bytes(usize::from(n)).map_err(|_| bad)?;
                    if usize::from(len) != 8 + value.len().next_multiple_of(8) {
                        return Err(bad);
                    }
                    EncapProperty::NshTlv {
                        class: u16::from_be_bytes([c0, c1]),
                        type_,
                        value: value.to_vec(),
                    }
                }
                _ => return Err(DecodeError::new(ErrorKind::NxbacUnknownEdProp, context)),
            });
        }
        Ok(Box::new(Encap {
            packet_type,
            hdr_size,
            properties,
        }))
    }
}

/// Two bytes of zeros, and a type; properties could follow, of which there are none.
pub(super) mod decap {
    use super::*;

    #[inline(never)]
    pub(in super::super) fn encode(
        [kind]: &[Kind; 1],
        packet_type: &u32,
        w: &mut Writer<'_>,
    ) -> Result<(), EncodeError> {
        kind.fixed(w);
        w.zeros(2);
        w.u32(*packet_type);
        Ok(())
    }

    #[inline(never)]
    pub(in super::super) fn decode(_: u16, mut r: Reader<'_>) -> Result<u32, DecodeError> {
        r.skip(2)?;
        let packet_type = r.u32()?;
        if r.is_empty() {
            Ok(packet_type)
        } else {
            let kind = ErrorKind::NxbacUnknownEdProp;
            Err(DecodeError::new(kind, "decap action"))
        }
    }
}

/// ```text
/// 10       12      14      16          18         20    24      26          28           32
/// +--------+-------+-------+-----------+----------+-----+-------+-----------+------------+
/// | fields | basis | zeros | algorithm | max_link | arg | zeros | ofs_nbits | NXM header |
/// +--------+-------+-------+-----------+----------+-----+-------+-----------+------------+
/// ```
pub(super) mod multipath {
    use super::*;

    #[inline(never)]
    pub(in super::super) fn encode(
        [kind]: &[Kind; 1],
        mp: &Multipath,
        w: &mut Writer<'_>,
    ) -> Result<(), EncodeError> {
        kind.fixed(w);
        w.u16(mp.fields as u16);
        w.u16(mp.basis);
        w.zeros(2);
        w.u16(mp.algorithm as u16);
        let max_link = u16::try_from(mp.n_links.saturating_sub(1));
        w.u16(max_link.map_err(|_| EncodeError::TooLong("multipath"))?);
        w.u32(mp.arg);
        w.zeros(2);
        w.u16(ofs_nbits(mp.dst));
        w.u32(header32(mp.dst.field)?);
        Ok(())
    }

    #[inline(never)]
    pub(in super::super) fn decode(
        _: u16,
        mut b: Reader<'_>,
    ) -> Result<Box<Multipath>, DecodeError> {
        let (fields, basis) = (b.u16()?, b.u16()?);
        b.skip(2)?;
        let (algorithm, max_link, arg) = (b.u16()?, b.u16()?, b.u32()?);
        b.skip(2)?;
        let ofs_nbits = b.u16()?;
        let dst = subfield(field32(b.u32()?, "multipath action")?, ofs_nbits);
        b.finish()?;
        let fields = HashFields::from_wire(fields)?;
        let algorithm = MultipathAlgorithm::from_wire(algorithm)?;
        if dst.n_bits < 16 && max_link >> dst.n_bits != 0 {
            return Err(bad_argument("multipath action"));
        }
        let dst = dst.check_writable("multipath action")?;
        let n_links = u32::from(max_link) + 1;
        Ok(Box::new(Multipath {
            fields,
            basis,
            algorithm,
            n_links,
            arg,
            dst,
        }))
    }
}

/// ```text
/// 10          12       14      16         20          22          24           28      32
/// +-----------+--------+-------+----------+-----------+-----------+------------+-------+--- … ---+-------+
/// | algorithm | fields | basis | in_port  | n_members | ofs_nbits | NXM header | zeros | members | zeros |
/// +-----------+--------+-------+----------+-----------+-----------+------------+-------+--- … ---+-------+
/// ```
/// Where it loads nothing, there are no bits and no header.
pub(super) mod bundle {
    use super::*;

    #[inline(never)]
    pub(in super::super) fn encode(
        [sends, loads]: &[Kind; 2],
        b: &Bundle,
        w: &mut Writer<'_>,
    ) -> Result<(), EncodeError> {
        let length = if b.dst.is_some() { loads } else { sends }.begin(w);
        w.u16(b.algorithm as u16);
        w.u16(b.fields as u16);
        w.u16(b.basis);
        w.u32(header32(Field::IN_PORT_NXM)?);
        w.u16(u16::try_from(b.members.len()).map_err(|_| EncodeError::TooLong("bundle"))?);
        w.u16(b.dst.map_or(0, ofs_nbits));
        w.u32(b.dst.map_or(Ok(0), |dst| header32(dst.field))?);
        w.zeros(4);
        b.members.iter().for_each(|port| w.u16(port16(*port)));
        w.end_padded(length, "bundle")
    }

    #[inline(never)]
    pub(in super::super) fn decode(
        number: u16,
        mut b: Reader<'_>,
    ) -> Result<Box<Bundle>, DecodeError> {
        let load = number == NXAST_BUNDLE_LOAD.number;
        let context = "bundle action";
        let bad = bad_argument(context);
        let algorithm = match b.u16()? {
            0 => Ok(BundleAlgorithm::ActiveBackup),
            1 => Ok(BundleAlgorithm::Hrw),
            _ => Err(bad),
        };
        let fields = HashFields::from_wire(b.u16()?);
        let basis = b.u16()?;
        let is_port = Some(b.u32()?) == Field::IN_PORT_NXM.nxm_header32();
        let n = b.u16()?;
        let (ofs_nbits, dst) = (b.u16()?, b.u32()?);
        let zeros = b.zeros(4, ErrorKind::BacBadArgument).is_ok();
        let known = algorithm.is_ok() && fields.is_ok() && is_port && n <= 2048 && zeros;
        // Of `bundle_load` Open vSwitch forgets again whether they were right; here only a hash that is not known is refused.
        let (dst, right) = if load {
            let dst = subfield(field32(dst, context)?, ofs_nbits);
            (Some(dst), dst.n_bits >= 16)
        } else {
            (None, known && ofs_nbits == 0 && dst == 0)
        };
        if b.len() < usize::from(n) * 2 {
            return Err(b.short());
        }
        let members: Vec<PortNo> = (0..n)
            .map(|_| b.u16().map(PortNo::from_u16))
            .collect::<Result<_, _>>()?;
        if !right {
            return Err(bad);
        }
        if let Some(dst) = dst {
            dst.check_writable(context)?;
        }
        // Reserved ones but for that of the controller, for which there is no `max_len`.
        let bad_port =
            |p: &PortNo| (p.0 >= 0xff00 && *p < PortNo::IN_PORT) || *p == PortNo::CONTROLLER;
        if members.iter().any(bad_port) {
            return Err(DecodeError::new(ErrorKind::BacBadOutPort, context));
        }
        let (algorithm, fields) = (algorithm?, fields?);
        Ok(Box::new(Bundle {
            fields,
            basis,
            algorithm,
            members,
            dst,
        }))
    }
}
