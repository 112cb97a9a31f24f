//! NXT_FLOW_MOD: the FLOW_MOD that Nicira gave to OpenFlow 1.0.
//!
//! Open vSwitch sends it only there, but reads it in every version; in 1.3, instructions follow the match as in
//! FLOW_MOD itself.

use std::fmt;

use crate::error::{DecodeError, EncodeError, ErrorKind};
use crate::flow::{Cookies, FlowFlags, FlowMod, FlowModCommand};
use crate::instruction;
use crate::match_::Match;
use crate::text::{Names, Print, display_by_print};
use crate::types::{PortNo, TableId};
use crate::wire::{Reader, Writer};

/// `nx_flow_mod`. Matched cookies are a field of the match on the wire, not of the flow.
///
/// ```text
///  16…23   24      25        26…27  28…29  30…31      32…35       36…37      38…39   40…41       42…47  48 …
/// +--------+-------+---------+------+------+----------+-----------+----------+-------+-----------+------+------------+--------------+
/// | cookie | table | command | idle | hard | priority | buffer id | out port | flags | match_len |  0   | match,pad8 | instructions |
/// +--------+-------+---------+------+------+----------+-----------+----------+-------+-----------+------+------------+--------------+
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct NxFlowMod {
    /// The flow. Its `cookie` is what the flow has afterwards, all ones for what it had, and its `cookie_mask` is 0;
    /// its `out_group` cannot be said.
    pub flow: FlowMod,
    /// Of changes and deletions, the cookie of the flows that are meant, and which of its bits count.
    pub matched_cookie: Option<(u64, u64)>,
}

/// NXM_NX_COOKIE, without and with a mask.
const COOKIE: [u8; 4] = [0x00, 0x01, 0x3c, 0x08];
const COOKIE_MASKED: [u8; 4] = [0x00, 0x01, 0x3d, 0x10];

impl NxFlowMod {
    pub(crate) fn decode_body(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let context = "flow mod";
        let error = |kind| Err(DecodeError::new(kind, context));
        let cookie = r.u64()?;
        let [table, command] = *r.array::<2>()?;
        let (idle_timeout, hard_timeout, priority) = (r.u16()?, r.u16()?, r.u16()?);
        let (buffer_id, out_port) = (r.u32()?, r.u16()?);
        let (flags, match_len) = (r.u16()?, usize::from(r.u16()?));
        r.skip(6)?;
        let bad = DecodeError::new(ErrorKind::BmcBadLen, "match");
        let fields = r.bytes(match_len).map_err(|_| bad)?;
        r.skip(match_len.wrapping_neg() & 7).map_err(|_| bad)?;
        let (fields, matched_cookie) = without_cookie(fields)?;
        let match_ = Match::decode_fields(&fields, true)?;
        if command == FlowModCommand::Add as u8 && matched_cookie.is_some_and(|(_, mask)| mask != 0)
        {
            return error(ErrorKind::NxbrcNxmInvalid);
        }
        let mut flow = FlowMod {
            cookie,
            table: TableId(table),
            idle_timeout,
            hard_timeout,
            priority,
            buffer_id,
            out_port: PortNo::from_u16(out_port),
            flags: FlowFlags(flags),
            match_,
            ..FlowMod::default()
        };
        flow.decode_rest(FlowModCommand::from_wire(command), r.sub(r.len())?)?;
        Ok(NxFlowMod {
            flow,
            matched_cookie,
        })
    }

    pub(crate) fn encode_body(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        let flow = &self.flow;
        w.u64(flow.cookie);
        w.u8(flow.table.0);
        w.u8(flow.command as u8);
        w.u16(flow.idle_timeout);
        w.u16(flow.hard_timeout);
        w.u16(flow.priority);
        w.u32(flow.buffer_id);
        let port = flow.out_port.to_u16();
        w.u16(port.ok_or(EncodeError::NoWireForm("out_port"))?);
        w.u16(flow.flags.0);
        let length = w.pos();
        w.zeros(8);
        let start = w.pos();
        flow.match_.encode_nxm_fields(w)?;
        if let Some((cookie, mask)) = self.matched_cookie {
            if mask == u64::MAX {
                w.array(&COOKIE);
                w.u64(cookie);
            } else {
                w.array(&COOKIE_MASKED);
                w.u64(cookie);
                w.u64(mask);
            }
        }
        let size = u16::try_from(w.pos() - start).map_err(|_| EncodeError::TooLong("match"))?;
        w.patch_u16(length, size);
        w.pad8(start);
        instruction::encode_list(&flow.instructions, w)
    }
}

/// The fields but for the cookie, and the cookie.
#[allow(clippy::type_complexity, reason = "fields and cookie, as said")]
fn without_cookie(fields: &[u8]) -> Result<(Vec<u8>, Option<(u64, u64)>), DecodeError> {
    let (mut out, mut cookie) = (Vec::with_capacity(fields.len()), None);
    let mut r = Reader::new(fields, ErrorKind::BmcBadLen, "match");
    while let Some(&[class, number, field, length]) = r.rest().first_chunk::<4>() {
        let header = [class, number, field, length];
        if header != COOKIE && header != COOKIE_MASKED {
            match r.bytes(4 + usize::from(length)) {
                Ok(entry) => out.extend_from_slice(entry),
                Err(_) => break,
            }
            continue;
        }
        r.skip(4)?;
        let found = read_cookie(&mut r, header == COOKIE_MASKED).and_then(|found| {
            match cookie.is_some_and(|(_, mask)| mask != 0) {
                true => Err(r.error(ErrorKind::BmcDupField)),
                false => Ok(found),
            }
        });
        match found {
            Ok(found) => cookie = Some(found),
            // What is before it is looked at first.
            Err(error) => return Err(Match::decode_fields(&out, true).err().unwrap_or(error)),
        }
    }
    // What is cut short is for the match to complain about.
    out.extend_from_slice(r.rest());
    Ok((out, cookie))
}

fn read_cookie(r: &mut Reader<'_>, masked: bool) -> Result<(u64, u64), DecodeError> {
    let value = r.u64()?;
    let mask = if masked { r.u64()? } else { u64::MAX };
    if value & !mask != 0 {
        return Err(r.error(ErrorKind::BmcBadWildcards));
    }
    Ok((value, mask))
}

/// As `ovs-ofctl ofp-print` prints it after the name of the message.
impl Print for NxFlowMod {
    fn print(&self, f: &mut fmt::Formatter<'_>, names: &dyn Names) -> fmt::Result {
        let cookies = Cookies {
            new: Some(self.flow.cookie),
            matched: self.matched_cookie.unwrap_or_default(),
        };
        self.flow.print_with(f, names, cookies)
    }
}

display_by_print!(NxFlowMod);
