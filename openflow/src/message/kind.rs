//! [`Kind`]: what the first bytes of a message announce, which is its name and how long its body may be.
//!
//! Open vSwitch looks no further into a message whose length is wrong for its kind, so this comes before any
//! decoding. Which there are stands in the lists of messages and of multiparts. Must not know what bodies hold.

use std::fmt;

use super::experimenter::{NICIRA, ONF};
use super::{list, multipart};
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
                    list::vendor((experimenter, exp_type)).ok_or(ErrorKind::BrcBadExpType)?;
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
                        let found = multipart::vendor((experimenter, exp_type));
                        (24, found.ok_or(ErrorKind::BrcBadExpType)?)
                    }
                    _ => (
                        16,
                        multipart::standard(code).ok_or(ErrorKind::BrcBadMultipart)?,
                    ),
                };
                let (name, request, reply) = found;
                Ok(if type_ == MsgType::MULTIPART_REQUEST {
                    kind(name, " request", head, request)
                } else {
                    kind(name, " reply", head, reply)
                })
            }
            type_ => {
                let known = list::standard(type_).ok_or(match header.version {
                    VERSION | 0 | 7.. => ErrorKind::BrcBadType,
                    _ => ErrorKind::BrcBadVersion,
                });
                let (name, body) = known?;
                // These few are the same in all versions, those to come included.
                match header.version {
                    VERSION => {}
                    0 => return Err(ErrorKind::BrcBadType),
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
