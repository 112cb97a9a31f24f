//! QUEUE_GET_CONFIG (OpenFlow 1.3 §7.3.6): the queues of a port (§7.2.2).

use super::body::{self, Context};
use crate::error::{DecodeError, EncodeError, ErrorKind};
use crate::types::{PortNo, QueueId};
use crate::wire::{Reader, Writer};

const MIN_RATE: u16 = 1;
const MAX_RATE: u16 = 2;

/// `ofp_queue_get_config_request`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct QueueGetConfigRequest {
    /// Whose queues; [`PortNo::ANY`] is every port's.
    pub port: PortNo,
}

impl QueueGetConfigRequest {
    pub(crate) fn decode_body(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let port = super::port::port(r)?;
        r.skip(4)?;
        if port != PortNo::ANY && port >= PortNo::MAX {
            return Err(r.error(ErrorKind::QofcBadPort));
        }
        Ok(QueueGetConfigRequest { port })
    }

    pub(crate) fn encode_body(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        w.u32(self.port.0);
        w.zeros(4);
        Ok(())
    }
}

/// `ofp_queue_get_config_reply`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct QueueGetConfigReply {
    /// Whose queues.
    pub port: PortNo,
    /// They.
    pub queues: Vec<PacketQueue>,
}

/// `ofp_packet_queue`.
///
/// ```text
///  0 … 3      4 … 7  8 … 9   10 … 15  16 …
/// +----------+------+-------+--------+------------+
/// | queue_id | port | len   | pad    | properties |
/// +----------+------+-------+--------+------------+
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PacketQueue {
    /// Which queue.
    pub queue: QueueId,
    /// Its port.
    pub port: u32,
    /// Its rates, and other experimenters' properties.
    pub properties: Vec<QueueProperty>,
}

/// `ofp_queue_prop`. Rates are in tenths of a percent of the port's; above 1000 they are disabled.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum QueueProperty {
    /// Guaranteed rate.
    MinRate(u16),
    /// Highest rate.
    MaxRate(u16),
    /// Another property.
    Other {
        /// Its type.
        type_: u16,
        /// All that follows type and length.
        data: Vec<u8>,
    },
}

impl QueueGetConfigReply {
    pub(super) fn decode_body(
        context: &mut Context,
        r: &mut Reader<'_>,
    ) -> Result<Self, DecodeError> {
        let port = PortNo(r.u32()?);
        r.skip(4)?;
        if !r.is_empty() && port.to_u16().is_none() {
            return Err(r.error(ErrorKind::BacBadOutPort));
        }
        let queues = body::list(context, r, PacketQueue::decode);
        Ok(QueueGetConfigReply { port, queues })
    }

    pub(super) fn encode_body(&self, _xid: u32, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        w.u32(self.port.0);
        w.zeros(4);
        for queue in &self.queues {
            let start = w.pos();
            w.u32(queue.queue.0);
            w.u32(queue.port);
            let length = w.length(start);
            w.zeros(6);
            queue
                .properties
                .iter()
                .try_for_each(|property| property.encode(w))?;
            w.end(length, "queue")?;
        }
        Ok(())
    }
}

impl PacketQueue {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (queue, port) = (QueueId(r.u32()?), r.u32()?);
        let length = usize::from(r.u16()?);
        r.skip(6)?;
        let size = length
            .checked_sub(16)
            .filter(|_| length % 8 == 0)
            .ok_or(r.short())?;
        let mut inner = r.sub(size)?;
        let mut properties = Vec::new();
        while !inner.is_empty() {
            properties.push(QueueProperty::decode(&mut inner)?);
        }
        Ok(PacketQueue {
            queue,
            port,
            properties,
        })
    }
}

impl QueueProperty {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (type_, length) = (r.u16()?, usize::from(r.u16()?));
        let size = length
            .checked_sub(4)
            .filter(|_| length >= 8 && length % 8 == 0)
            .ok_or(r.short())?;
        let mut data = r.sub(size)?;
        if !matches!(type_, MIN_RATE | MAX_RATE) {
            return Ok(QueueProperty::Other {
                type_,
                data: data.take_rest().to_vec(),
            });
        }
        if length != 16 {
            return Err(r.short());
        }
        data.skip(4)?;
        let rate = data.u16()?;
        Ok(if type_ == MIN_RATE {
            QueueProperty::MinRate(rate)
        } else {
            QueueProperty::MaxRate(rate)
        })
    }

    fn encode(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        let start = w.pos();
        match self {
            QueueProperty::MinRate(rate) | QueueProperty::MaxRate(rate) => {
                w.u16(if matches!(self, QueueProperty::MinRate(_)) {
                    MIN_RATE
                } else {
                    MAX_RATE
                });
                w.u16(16);
                w.zeros(4);
                w.u16(*rate);
                w.zeros(6);
                Ok(())
            }
            QueueProperty::Other { type_, data } => {
                w.u16(*type_);
                let length = w.length(start);
                w.bytes(data);
                w.end(length, "queue property")
            }
        }
    }
}
