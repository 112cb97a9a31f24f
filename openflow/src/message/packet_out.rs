//! PACKET_OUT (OpenFlow 1.3 §7.3.7): a packet from the controller.

use super::packet_in::NO_BUFFER;
use crate::action::{self, Action};
use crate::error::{DecodeError, EncodeError, ErrorKind};
use crate::types::PortNo;
use crate::wire::{Reader, Writer};

/// `ofp_packet_out`.
///
/// ```text
///  8 … 11     12 … 15   16 … 17       18…23  24 …      …
/// +----------+---------+-------------+------+---------+------+
/// | buffer_id| in_port | actions_len | pad  | actions | data |
/// +----------+---------+-------------+------+---------+------+
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct PacketOut {
    /// The packet the switch keeps, or [`NO_BUFFER`] if it is in [`data`](Self::data).
    pub buffer_id: u32,
    /// Where it shall seem to have come from: a port, [`PortNo::CONTROLLER`], [`PortNo::LOCAL`] or [`PortNo::ANY`].
    pub in_port: PortNo,
    /// What to do with it.
    pub actions: Vec<Action>,
    /// The packet, from its Ethernet header.
    pub data: Vec<u8>,
}

impl PacketOut {
    /// Sends `data` as from the controller.
    #[must_use]
    pub fn new(data: Vec<u8>, actions: Vec<Action>) -> PacketOut {
        PacketOut {
            buffer_id: NO_BUFFER,
            in_port: PortNo::CONTROLLER,
            actions,
            data,
        }
    }

    pub(crate) fn decode_body(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let buffer_id = r.u32()?;
        let in_port = super::port::port(r)?;
        let length = usize::from(r.u16()?);
        r.skip(6)?;
        let bytes = r.sub_as(length, ErrorKind::BrcBadLen, "packet out actions")?;
        if length % 8 != 0 {
            return Err(bytes.error(ErrorKind::BrcBadLen));
        }
        let actions = action::decode_list(bytes)?;
        let special = [PortNo::LOCAL, PortNo::ANY, PortNo::CONTROLLER];
        if in_port >= PortNo::MAX && !special.contains(&in_port) {
            action::verify(&actions)?;
            return Err(r.error(ErrorKind::BrcBadPort));
        }
        Ok(PacketOut {
            buffer_id,
            in_port,
            actions,
            data: r.take_rest().to_vec(),
        })
    }

    pub(crate) fn encode_body(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        w.u32(self.buffer_id);
        w.u32(self.in_port.0);
        let length = w.pos();
        w.zeros(8);
        let start = w.pos();
        action::encode_list(&self.actions, w)?;
        let size = u16::try_from(w.pos() - start)
            .map_err(|_| EncodeError::TooLong("packet out actions"))?;
        w.patch_u16(length, size);
        w.bytes(&self.data);
        Ok(())
    }
}
