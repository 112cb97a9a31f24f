//! ERROR (OpenFlow 1.3 §7.4.4): a request failed.

use std::fmt;

use super::codes::{EXPERIMENTER_ERROR, ErrorCode};
use crate::error::{DecodeError, EncodeError, ErrorKind};
use crate::header::{HEADER_LEN, Header};
use crate::wire::{Reader, Writer};

/// `ofp_error_msg`, or `ofp_error_experimenter_msg` if the code is an experimenter's.
///
/// ```text
///  0 … 7    8 … 9   10 … 11                 12 … 15                    …
/// +--------+-------+-----------------------+--------------------------+------+
/// | header | type  | code (or exp_type)    | experimenter, if 0xffff  | data |
/// +--------+-------+-----------------------+--------------------------+------+
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OfError {
    /// What failed.
    pub code: ErrorCode,
    /// The beginning of the message that failed; a text for a failed HELLO.
    pub data: Vec<u8>,
}

impl OfError {
    /// Decodes a whole ERROR message.
    ///
    /// # Errors
    /// If it is too short.
    pub fn decode_message(message: &[u8]) -> Result<OfError, DecodeError> {
        let mut r = Reader::new(message, ErrorKind::BrcBadLen, "error");
        r.skip(HEADER_LEN)?;
        Self::decode_body(&mut r)
    }

    /// The header of the message that failed, if the switch quoted it.
    #[must_use]
    pub fn offending_header(&self) -> Option<Header> {
        if self.is_hello_failed() {
            None
        } else {
            Header::peek(&self.data)
        }
    }

    pub(crate) fn is_hello_failed(&self) -> bool {
        self.code.experimenter.is_none() && self.code.type_ == 0
    }

    pub(crate) fn decode_body(r: &mut Reader<'_>) -> Result<OfError, DecodeError> {
        let (type_, code) = (r.u16()?, r.u16()?);
        let code = if type_ == EXPERIMENTER_ERROR {
            ErrorCode {
                experimenter: Some(r.u32()?),
                type_: code,
                code: 0,
            }
        } else {
            ErrorCode {
                experimenter: None,
                type_,
                code,
            }
        };
        Ok(OfError {
            code,
            data: r.take_rest().to_vec(),
        })
    }

    pub(crate) fn encode_body(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        match self.code.experimenter {
            None => {
                w.u16(self.code.type_);
                w.u16(self.code.code);
            }
            Some(experimenter) => {
                w.u16(EXPERIMENTER_ERROR);
                w.u16(self.code.type_);
                w.u32(experimenter);
            }
        }
        w.bytes(&self.data);
        Ok(())
    }
}

impl fmt::Display for OfError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        match self.offending_header() {
            Some(header) => write!(f, " for {} (xid={:#x})", header.type_, header.xid),
            None => write!(f, " {}", String::from_utf8_lossy(&self.data)),
        }
    }
}
