//! [`Kind`]: what the first bytes of a message announce, which is its name and how long its body may be.
//!
//! Open vSwitch looks no further into a message whose length is wrong for its kind, so this comes before any
//! decoding. The lines of the tables are the messages of OpenFlow 1.3; vendors' messages stand with
//! [`Message`](super::Message). Must not know what bodies hold.

use std::fmt;

use super::experimenter::{NICIRA, ONF};
use super::multipart;
use crate::error::ErrorKind;
use crate::header::{HEADER_LEN, Header, MsgType, VERSION};

/// How many bytes a body may have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Length {
    least: usize,
    /// In which steps it may be longer; 0 for not at all.
    step: usize,
}

impl Length {
    pub(crate) const fn exactly(bytes: usize) -> Self {
        Length {
            least: bytes,
            step: 0,
        }
    }

    pub(crate) const fn at_least(bytes: usize) -> Self {
        Length {
            least: bytes,
            step: 1,
        }
    }

    /// `bytes`, then any number of pieces of `step` bytes.
    pub(crate) const fn then_each(bytes: usize, step: usize) -> Self {
        Length { least: bytes, step }
    }

    fn allows(self, bytes: usize) -> bool {
        match bytes.checked_sub(self.least) {
            None => false,
            Some(more) => more == 0 || (self.step != 0 && more.is_multiple_of(self.step)),
        }
    }
}

/// A kind of message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    name: &'static str,
    suffix: &'static str,
    /// How many bytes come before the body.
    head: usize,
    body: Length,
}

impl Kind {
    /// The kind of the message that `bytes` begin, of which the end may be missing.
    ///
    /// # Errors
    /// When Open vSwitch knows no such message, or there is too little to tell.
    pub(crate) fn of(bytes: &[u8]) -> Result<Kind, ErrorKind> {
        let header = Header::peek(bytes).ok_or(ErrorKind::BrcBadLen)?;
        let word = |at: usize| {
            let word = bytes.get(at..).and_then(|b| b.first_chunk::<4>());
            word.map(|b| u32::from_be_bytes(*b))
                .ok_or(ErrorKind::BrcBadLen)
        };
        let vendor = |at: usize| {
            let (experimenter, exp_type) = (word(at)?, word(at + 4)?);
            match experimenter {
                NICIRA | ONF => Ok((experimenter, exp_type)),
                _ => Err(ErrorKind::BrcBadExperimenter),
            }
        };
        let kind = |name, suffix, head, body| Kind {
            name,
            suffix,
            head,
            body,
        };
        match header.type_ {
            MsgType::EXPERIMENTER if !matches!(header.version, 1..=3 | 5 | 6) => {
                let (experimenter, exp_type) = vendor(HEADER_LEN)?;
                if header.version != VERSION {
                    return Err(ErrorKind::BrcBadExpType);
                }
                let (name, body) =
                    super::vendor_kind(experimenter, exp_type).ok_or(ErrorKind::BrcBadExpType)?;
                Ok(kind(name, "", 16, body))
            }
            type_ @ (MsgType::MULTIPART_REQUEST | MsgType::MULTIPART_REPLY)
                if !matches!(header.version, 1..=3 | 5 | 6) =>
            {
                word(12)?;
                let code = u16::try_from(word(8)? >> 16).unwrap_or(u16::MAX);
                let (head, found) = match code {
                    multipart::EXPERIMENTER if header.version != VERSION => {
                        vendor(16)?;
                        return Err(ErrorKind::BrcBadExpType);
                    }
                    _ if header.version != VERSION => return Err(ErrorKind::BrcBadType),
                    multipart::EXPERIMENTER => {
                        let (experimenter, exp_type) = vendor(16)?;
                        let found = multipart::vendor_kind(experimenter, exp_type);
                        (24, found.ok_or(ErrorKind::BrcBadExpType)?)
                    }
                    _ => (16, multipart::kind(code).ok_or(ErrorKind::BrcBadMultipart)?),
                };
                let (name, request, reply) = found;
                Ok(if type_ == MsgType::MULTIPART_REQUEST {
                    kind(name, " request", head, request)
                } else {
                    kind(name, " reply", head, reply)
                })
            }
            type_ => {
                let known = plain(type_).ok_or(match header.version {
                    VERSION | 0 | 7.. => ErrorKind::BrcBadType,
                    _ => ErrorKind::BrcBadVersion,
                });
                let (name, body) = known?;
                // These few are the same in all versions, those to come included.
                match header.version {
                    VERSION => {}
                    _ if type_ <= MsgType::ECHO_REPLY => {}
                    1..=6 => return Err(ErrorKind::BrcBadVersion),
                    _ => return Err(ErrorKind::BrcBadType),
                }
                Ok(kind(name, "", HEADER_LEN, body))
            }
        }
    }

    /// Whether a whole message of this kind may have `bytes` bytes.
    ///
    /// # Errors
    /// When it may not.
    pub(crate) fn check(self, bytes: usize) -> Result<(), ErrorKind> {
        match bytes.checked_sub(self.head) {
            Some(body) if self.body.allows(body) => Ok(()),
            _ => Err(ErrorKind::BrcBadLen),
        }
    }
}

/// Open vSwitch's name, such as `OFPST_FLOW request`.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        f.write_str(self.suffix)
    }
}

/// Name and body of a message that is neither a vendor's nor in parts.
fn plain(type_: MsgType) -> Option<(&'static str, Length)> {
    Some(match type_ {
        MsgType::HELLO => ("OFPT_HELLO", Length::at_least(0)),
        MsgType::ERROR => ("OFPT_ERROR", Length::at_least(4)),
        MsgType::ECHO_REQUEST => ("OFPT_ECHO_REQUEST", Length::at_least(0)),
        MsgType::ECHO_REPLY => ("OFPT_ECHO_REPLY", Length::at_least(0)),
        MsgType::FEATURES_REQUEST => ("OFPT_FEATURES_REQUEST", Length::exactly(0)),
        MsgType::FEATURES_REPLY => ("OFPT_FEATURES_REPLY", Length::exactly(24)),
        MsgType::GET_CONFIG_REQUEST => ("OFPT_GET_CONFIG_REQUEST", Length::exactly(0)),
        MsgType::GET_CONFIG_REPLY => ("OFPT_GET_CONFIG_REPLY", Length::exactly(4)),
        MsgType::SET_CONFIG => ("OFPT_SET_CONFIG", Length::exactly(4)),
        MsgType::PACKET_IN => ("OFPT_PACKET_IN", Length::at_least(16)),
        MsgType::FLOW_REMOVED => ("OFPT_FLOW_REMOVED", Length::then_each(40, 8)),
        MsgType::PORT_STATUS => ("OFPT_PORT_STATUS", Length::exactly(72)),
        MsgType::PACKET_OUT => ("OFPT_PACKET_OUT", Length::at_least(16)),
        MsgType::FLOW_MOD => ("OFPT_FLOW_MOD", Length::then_each(40, 8)),
        MsgType::GROUP_MOD => ("OFPT_GROUP_MOD", Length::then_each(8, 8)),
        MsgType::PORT_MOD => ("OFPT_PORT_MOD", Length::exactly(32)),
        MsgType::TABLE_MOD => ("OFPT_TABLE_MOD", Length::exactly(8)),
        MsgType::BARRIER_REQUEST => ("OFPT_BARRIER_REQUEST", Length::exactly(0)),
        MsgType::BARRIER_REPLY => ("OFPT_BARRIER_REPLY", Length::exactly(0)),
        MsgType::QUEUE_GET_CONFIG_REQUEST => ("OFPT_QUEUE_GET_CONFIG_REQUEST", Length::exactly(8)),
        MsgType::QUEUE_GET_CONFIG_REPLY => ("OFPT_QUEUE_GET_CONFIG_REPLY", Length::then_each(8, 8)),
        MsgType::ROLE_REQUEST => ("OFPT_ROLE_REQUEST", Length::exactly(16)),
        MsgType::ROLE_REPLY => ("OFPT_ROLE_REPLY", Length::exactly(16)),
        MsgType::GET_ASYNC_REQUEST => ("OFPT_GET_ASYNC_REQUEST", Length::exactly(0)),
        MsgType::GET_ASYNC_REPLY => ("OFPT_GET_ASYNC_REPLY", Length::exactly(24)),
        MsgType::SET_ASYNC => ("OFPT_SET_ASYNC", Length::exactly(24)),
        MsgType::METER_MOD => ("OFPT_METER_MOD", Length::then_each(8, 8)),
        _ => return None,
    })
}
