//! The wire form of Nicira's actions that carry lists: properties, members, a hash and its parts.

use super::codec::bad_argument;
use super::nicira::{SAMPLE, SAMPLE3, begin, field32, subfield};
use super::{
    Action, Bundle, BundleAlgorithm, Controller, Encap, EncapProperty, HashFields, Multipath,
    MultipathAlgorithm, Sample, SampleDirection, nicira,
};
use crate::error::{DecodeError, EncodeError, ErrorKind};
use crate::field::Field;
use crate::types::PortNo;
use crate::wire::{Reader, Writer};

/// The short form, or properties: `type:16, length:16, value`, each padded to eight bytes.
pub(super) fn encode_controller(c: &Controller, w: &mut Writer<'_>) -> Result<(), EncodeError> {
    if c.userdata.is_empty() && !c.pause && c.meter_id.is_none() && !c.long_form {
        nicira::fixed(w, nicira::CONTROLLER, 16);
        w.u16(c.max_len);
        w.u16(c.id);
        w.u8(c.reason);
        w.u8(0);
        return Ok(());
    }
    let length = begin(w, nicira::CONTROLLER2);
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

/// ```text
/// +-------+------+--------+------ … ------+-------+
/// | class | type | length |     value     | zeros |   class 4: Network Service Header
/// +-------+------+--------+------ … ------+-------+
/// ```
pub(super) fn encode_property(p: &EncapProperty, w: &mut Writer<'_>) -> Result<(), EncodeError> {
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

pub(super) fn decode_controller(mut b: Reader<'_>) -> Result<Action, DecodeError> {
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
    Ok(Action::Controller(Box::new(c)))
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

pub(super) fn decode_sample(mut b: Reader<'_>, subtype: u16) -> Result<Action, DecodeError> {
    let mut s = Sample {
        probability: b.u16()?,
        collector_set_id: b.u32()?,
        obs_domain_id: b.u32()?,
        obs_point_id: b.u32()?,
        sampling_port: PortNo::ANY,
        direction: SampleDirection::Default,
        form: 1,
    };
    if subtype != SAMPLE {
        s.sampling_port = PortNo::from_u16(b.u16()?);
        let direction = b.u8()?;
        let zeros = b.zeros(5, ErrorKind::NxbrcMustBeZero);
        s.form = 2;
        if subtype == SAMPLE3 {
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
    Ok(Action::Sample(Box::new(s)))
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

pub(super) fn decode_encap(mut b: Reader<'_>) -> Result<Action, DecodeError> {
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
        let value = usize::from(len).checked_sub(4).ok_or(bad)?;
        let padding = (value + 4).next_multiple_of(8) - (value + 4);
        let mut v = b.sub(value).map_err(|_| bad)?;
        b.skip(padding).map_err(|_| bad)?;
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
    Ok(Action::Encap(Box::new(Encap {
        packet_type,
        hdr_size,
        properties,
    })))
}

pub(super) fn decode_multipath(mut b: Reader<'_>) -> Result<Action, DecodeError> {
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
    Ok(Action::Multipath(Box::new(Multipath {
        fields,
        basis,
        algorithm,
        n_links,
        arg,
        dst,
    })))
}

pub(super) fn decode_bundle(mut b: Reader<'_>, load: bool) -> Result<Action, DecodeError> {
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
    let (algorithm, fields) = (algorithm?, fields?);
    if let Some(dst) = dst {
        dst.check_writable(context)?;
    }
    let bad_port = |p: &PortNo| p.0 >= 0xff00 && *p != PortNo::ANY;
    if members.iter().any(bad_port) {
        return Err(DecodeError::new(ErrorKind::BacBadOutPort, context));
    }
    Ok(Action::Bundle(Box::new(Bundle {
        fields,
        basis,
        algorithm,
        members,
        dst,
    })))
}
