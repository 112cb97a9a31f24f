//! HELLO (OpenFlow 1.3 §7.5.1): which versions a side speaks.

use super::body::Context;
use crate::error::{DecodeError, EncodeError, ErrorKind};
use crate::header::{HEADER_LEN, Header, VERSION};
use crate::wire::{Reader, Writer};

const VERSION_BITMAP: u16 = 1;

/// A HELLO. Its version stands in the message's header.
///
/// ```text
///  0 … 7    8 …
/// +--------+---------------------------------------+
/// | header | elements, each padded to eight bytes  |
/// +--------+---------------------------------------+
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Hello {
    /// The highest version the sender speaks, from the header.
    pub version: u8,
    /// What else it says.
    pub elements: Vec<HelloElement>,
}

/// `ofp_hello_elem_header` and its data.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HelloElement {
    /// `OFPHET_VERSIONBITMAP`: bit `n` of word `n / 32` stands for version `n`.
    Versions(Vec<u32>),
    /// Any other element.
    Other {
        /// Its type.
        type_: u16,
        /// Its data, without padding.
        data: Vec<u8>,
    },
    /// What is no element, to the end of the message.
    Unreadable(Vec<u8>),
}

impl HelloElement {
    fn decode(r: &mut Reader<'_>) -> Result<HelloElement, DecodeError> {
        let type_ = r.u16()?;
        let length = usize::from(r.u16()?);
        let mut data = r.sub(length.checked_sub(4).ok_or(r.short())?)?;
        r.skip(length.wrapping_neg() & 7)?;
        if type_ != VERSION_BITMAP || data.len() % 4 != 0 {
            return Ok(HelloElement::Other {
                type_,
                data: data.take_rest().to_vec(),
            });
        }
        let mut words = Vec::with_capacity(data.len() / 4);
        while !data.is_empty() {
            words.push(data.u32()?);
        }
        Ok(HelloElement::Versions(words))
    }
}

impl Hello {
    /// What this crate sends: version 1.3 and nothing else.
    #[must_use]
    pub fn ours() -> Hello {
        Hello {
            version: VERSION,
            elements: vec![HelloElement::Versions(vec![1 << VERSION])],
        }
    }

    /// The first word of the version bitmap; without one, the versions up to the header's.
    #[must_use]
    pub fn versions(&self) -> u32 {
        let mut bitmap = if self.version >= 32 {
            u32::MAX
        } else {
            (2_u32 << self.version).wrapping_sub(1)
        } & !1;
        for element in &self.elements {
            if let HelloElement::Versions(words) = element
                && let Some(first) = words.first().map(|w| w & !1).filter(|w| *w != 0)
            {
                bitmap = first;
            }
        }
        bitmap
    }

    /// Whether `version` (as in the header) can be spoken with the sender.
    #[must_use]
    pub fn offers(&self, version: u8) -> bool {
        version < 32 && self.versions() & (1 << version) != 0
    }

    /// The versions as people call them: `1.0, 1.4`.
    #[must_use]
    pub fn versions_text(&self) -> String {
        let mut names = Vec::new();
        for version in (0..32).filter(|v| self.offers(*v)) {
            names.push(match version {
                1..=6 => format!("1.{}", version - 1),
                other => format!("{other:#04x}"),
            });
        }
        if names.is_empty() {
            "no version at all".to_owned()
        } else {
            names.join(", ")
        }
    }

    /// Decodes a whole HELLO, whatever its version.
    ///
    /// # Errors
    /// If the header or an element is cut short.
    pub fn decode(message: &[u8]) -> Result<Hello, DecodeError> {
        let header =
            Header::peek(message).ok_or(DecodeError::new(ErrorKind::BrcBadLen, "header"))?;
        let mut r = Reader::new(message, ErrorKind::BrcBadLen, "hello");
        r.skip(HEADER_LEN)?;
        Self::decode_body(&mut Context::of(header), &mut r)
    }

    pub(super) fn decode_body(
        context: &mut Context,
        r: &mut Reader<'_>,
    ) -> Result<Hello, DecodeError> {
        let version = context.version;
        let mut elements = Vec::new();
        while !r.is_empty() {
            let mut ahead = *r;
            match HelloElement::decode(&mut ahead) {
                Ok(element) => {
                    elements.push(element);
                    *r = ahead;
                }
                // A HELLO is read as far as it goes: what follows may be of a version yet to come.
                Err(_) => elements.push(HelloElement::Unreadable(r.take_rest().to_vec())),
            }
        }
        Ok(Hello { version, elements })
    }

    pub(super) fn encode_body(&self, _xid: u32, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        for element in &self.elements {
            let start = w.pos();
            match element {
                HelloElement::Versions(words) => {
                    w.u16(VERSION_BITMAP);
                    let length = w.length(start);
                    for word in words {
                        w.u32(*word);
                    }
                    w.end(length, "hello element")?;
                }
                HelloElement::Unreadable(data) => {
                    w.bytes(data);
                    continue;
                }
                HelloElement::Other { type_, data } => {
                    w.u16(*type_);
                    let length = w.length(start);
                    w.bytes(data);
                    w.end(length, "hello element")?;
                }
            }
            w.pad8(start);
        }
        Ok(())
    }
}

impl Hello {
    /// Whether it holds nothing but version bitmaps that name a version.
    pub(crate) fn is_plain(&self) -> bool {
        self.elements.iter().all(|element| match element {
            HelloElement::Versions(words) => words.first().is_some_and(|word| word & !1 != 0),
            HelloElement::Other { .. } | HelloElement::Unreadable(_) => false,
        })
    }
}
