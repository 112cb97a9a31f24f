//! Vendor messages (OpenFlow 1.3 §7.5.4) that this crate does not know, kept as they came.

use crate::error::{DecodeError, EncodeError};
use crate::header::{HEADER_LEN, Header, MsgType};
use crate::wire::{Reader, Writer};

/// Nicira's experimenter id: most of Open vSwitch's extensions.
pub const NICIRA: u32 = 0x0000_2320;
/// The Open Networking Foundation's experimenter id: extensions approved for OpenFlow 1.3.
pub const ONF: u32 = 0x4f4e_4600;

/// `ofp_experimenter_header` and whatever follows.
///
/// ```text
///  0 … 7    8 … 11          12 … 15    16 …
/// +--------+---------------+----------+------+
/// | header | experimenter  | exp_type | body |
/// +--------+---------------+----------+------+
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Experimenter {
    /// Whose message it is.
    pub experimenter: u32,
    /// Which of theirs.
    pub exp_type: u32,
    /// The rest, uninterpreted.
    pub body: Vec<u8>,
}

impl Experimenter {
    pub(crate) fn decode_body(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Experimenter {
            experimenter: r.u32()?,
            exp_type: r.u32()?,
            body: r.take_rest().to_vec(),
        })
    }

    pub(crate) fn encode_body(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        w.u32(self.experimenter);
        w.u32(self.exp_type);
        w.bytes(&self.body);
        Ok(())
    }
}

impl Experimenter {
    /// Whose and which, without reading them.
    pub(crate) fn peek(r: &Reader<'_>) -> Result<(u32, u32), DecodeError> {
        let mut ahead = *r;
        Ok((ahead.u32()?, ahead.u32()?))
    }
}

/// The body of a vendor's message, if it is this one.
pub(super) fn vendor_body(message: &[u8], (experimenter, exp_type): (u32, u32)) -> Option<&[u8]> {
    let header = Header::peek(message)?;
    let body = message.get(HEADER_LEN..)?;
    let body = body.strip_prefix(&experimenter.to_be_bytes())?;
    let body = body.strip_prefix(&exp_type.to_be_bytes())?;
    (header.type_ == MsgType::EXPERIMENTER).then_some(body)
}
