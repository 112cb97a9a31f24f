//! JSON-RPC 1.0 framing: where a document ends, and where its members stand (RFC 7047 section 4).
//!
//! Owns: the scan. Each byte is looked at once, whatever the reads' sizes; the members' spans fall
//! out of the same pass, so that each is parsed once, straight into its own type. Must not know:
//! what methods mean. A span's content is checked by whoever parses it.

use std::ops::Range;

/// Nesting past this is refused; OVSDB needs a dozen levels, and the parser's own limit is 128.
const MAX_DEPTH: u32 = 100;

/// The bytes are not a JSON-RPC message, or too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// Not the text of a JSON object at this byte of the document.
    #[error("not a json-rpc message at byte {at}")]
    Syntax {
        /// Offset from the document's first byte.
        at: usize,
    },
    /// The document did not end within the limit.
    #[error("document longer than {limit} bytes")]
    TooLong {
        /// The limit, in bytes.
        limit: usize,
    },
    /// Nested too deeply.
    #[error("document nested too deeply")]
    TooDeep,
    /// A member occurs twice, or one that the message needs is missing.
    #[error("{0}")]
    Message(&'static str),
}

/// A whole document in the buffer: its end, and the spans of the members JSON-RPC knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Envelope {
    /// One past the document's last byte.
    pub end: usize,
    /// The span of the value of `id`.
    pub id: Option<Range<usize>>,
    /// The span of the value of `method`.
    pub method: Option<Range<usize>>,
    /// The span of the value of `params`.
    pub params: Option<Range<usize>>,
    /// The span of the value of `result`.
    pub result: Option<Range<usize>>,
    /// The span of the value of `error`.
    pub error: Option<Range<usize>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the opening brace.
    Start,
    /// After the opening brace.
    FirstKey,
    /// After a comma.
    Key,
    /// Inside a key that began at this offset.
    InKey {
        from: usize,
        escape: bool,
    },
    Colon,
    Value,
    /// Inside a string value.
    InString {
        from: usize,
        escape: bool,
    },
    /// Inside a number or word.
    InWord {
        from: usize,
    },
    /// Inside an array or object, `depth` brackets deep.
    Nested {
        from: usize,
        depth: u32,
    },
    /// Inside a string of an array or object.
    NestedString {
        from: usize,
        depth: u32,
        escape: bool,
    },
    Comma,
}

#[derive(Clone, Copy, Debug)]
enum Member {
    Id,
    Method,
    Params,
    Result,
    Error,
    Other,
}

/// Finds the end of a document in a growing buffer.
///
/// ```
/// use ovsdb::framing::Scanner;
/// let mut scanner = Scanner::new(1 << 20);
/// let text = br#"{"id":"echo","method":"echo","params":[]}"#;
/// assert_eq!(scanner.scan(&text[..20])?, None);
/// let envelope = scanner.scan(text)?.ok_or("incomplete")?;
/// assert_eq!(envelope.end, text.len());
/// assert_eq!(&text[envelope.method.ok_or("no method")?], br#""echo""#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Scanner {
    limit: usize,
    at: usize,
    state: State,
    member: Member,
    found: Envelope,
}

impl Scanner {
    /// A scanner that refuses documents longer than `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            at: 0,
            state: State::Start,
            member: Member::Other,
            found: Envelope::default(),
        }
    }

    /// Scans on from where the last call stopped. `buffer` must begin with the same document as
    /// then. Once a document is returned, its bytes are to be taken off the buffer: the next call
    /// begins a new one.
    ///
    /// # Errors
    /// The stream cannot be read on: end the connection.
    pub fn scan(&mut self, buffer: &[u8]) -> Result<Option<Envelope>, FrameError> {
        while let Some(&byte) = buffer.get(self.at) {
            if self.at >= self.limit {
                return Err(FrameError::TooLong { limit: self.limit });
            }
            match self.state {
                // The two states in which nearly all bytes are read, each a tight loop.
                State::Nested { from, depth } => {
                    self.nested(buffer, from, depth)?;
                    continue;
                }
                State::NestedString {
                    from,
                    depth,
                    escape,
                } => {
                    self.nested_string(buffer, from, depth, escape);
                    continue;
                }
                _ => {}
            }
            if self.step(buffer, byte)? {
                let mut found = std::mem::take(&mut self.found);
                found.end = self.at;
                self.at = 0;
                self.state = State::Start;
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn nested(&mut self, buffer: &[u8], from: usize, mut depth: u32) -> Result<(), FrameError> {
        let stop = buffer.len().min(self.limit);
        let rest = buffer.get(self.at..stop).unwrap_or_default();
        for (i, byte) in rest.iter().enumerate() {
            match byte {
                b'"' => {
                    self.at += i + 1;
                    self.state = State::NestedString {
                        from,
                        depth,
                        escape: false,
                    };
                    return Ok(());
                }
                b'[' | b'{' => {
                    depth += 1;
                    if depth > MAX_DEPTH {
                        return Err(FrameError::TooDeep);
                    }
                }
                b']' | b'}' => {
                    depth -= 1;
                    if depth == 0 {
                        self.at += i + 1;
                        return self.value_ends(from);
                    }
                }
                _ => {}
            }
        }
        self.at += rest.len();
        self.state = State::Nested { from, depth };
        Ok(())
    }

    fn nested_string(&mut self, buffer: &[u8], from: usize, depth: u32, mut escape: bool) {
        let stop = buffer.len().min(self.limit);
        let rest = buffer.get(self.at..stop).unwrap_or_default();
        for (i, byte) in rest.iter().enumerate() {
            if escape {
                escape = false;
            } else if *byte == b'\\' {
                escape = true;
            } else if *byte == b'"' {
                self.at += i + 1;
                self.state = State::Nested { from, depth };
                return;
            }
        }
        self.at += rest.len();
        self.state = State::NestedString {
            from,
            depth,
            escape,
        };
    }

    /// One byte at the top level; true at the document's end.
    fn step(&mut self, buffer: &[u8], byte: u8) -> Result<bool, FrameError> {
        let at = self.at;
        let syntax = Err(FrameError::Syntax { at });
        self.at += 1;
        let space = matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        match self.state {
            State::Start
            | State::FirstKey
            | State::Key
            | State::Colon
            | State::Value
            | State::Comma
                if space => {}
            State::Start if byte == b'{' => self.state = State::FirstKey,
            State::FirstKey if byte == b'}' => return Ok(true),
            State::FirstKey | State::Key if byte == b'"' => {
                self.state = State::InKey {
                    from: at,
                    escape: false,
                }
            }
            State::InKey {
                from,
                escape: false,
            } if byte == b'"' => {
                self.member = member(buffer.get(from..self.at).unwrap_or_default(), at)?;
                self.state = State::Colon;
            }
            State::InKey { from, escape } => {
                self.state = State::InKey {
                    from,
                    escape: !escape && byte == b'\\',
                };
            }
            State::Colon if byte == b':' => self.state = State::Value,
            State::Value => match byte {
                b'"' => {
                    self.state = State::InString {
                        from: at,
                        escape: false,
                    }
                }
                b'[' | b'{' => self.state = State::Nested { from: at, depth: 1 },
                b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => self.state = State::InWord { from: at },
                _ => return syntax,
            },
            State::InString {
                from,
                escape: false,
            } if byte == b'"' => self.value_ends(from)?,
            State::InString { from, escape } => {
                self.state = State::InString {
                    from,
                    escape: !escape && byte == b'\\',
                };
            }
            State::InWord { from } => {
                if space || matches!(byte, b',' | b'}') {
                    self.at = at; // the byte belongs to what follows
                    self.value_ends(from)?;
                } else if !matches!(byte, b'0'..=b'9' | b'a'..=b'z' | b'E' | b'.' | b'+' | b'-') {
                    return syntax;
                }
            }
            State::Comma if byte == b',' => self.state = State::Key,
            State::Comma if byte == b'}' => return Ok(true),
            _ => return syntax,
        }
        Ok(false)
    }

    fn value_ends(&mut self, from: usize) -> Result<(), FrameError> {
        let slot = match self.member {
            Member::Id => &mut self.found.id,
            Member::Method => &mut self.found.method,
            Member::Params => &mut self.found.params,
            Member::Result => &mut self.found.result,
            Member::Error => &mut self.found.error,
            Member::Other => &mut None,
        };
        if slot.replace(from..self.at).is_some() {
            return Err(FrameError::Message("a member occurs twice"));
        }
        self.state = State::Comma;
        Ok(())
    }
}

fn member(key: &[u8], at: usize) -> Result<Member, FrameError> {
    let name = |key: &[u8]| match key {
        b"\"id\"" => Member::Id,
        b"\"method\"" => Member::Method,
        b"\"params\"" => Member::Params,
        b"\"result\"" => Member::Result,
        b"\"error\"" => Member::Error,
        _ => Member::Other,
    };
    if !key.contains(&b'\\') {
        return Ok(name(key));
    }
    let plain: String = serde_json::from_slice(key).map_err(|_| FrameError::Syntax { at })?;
    Ok(name(format!("\"{plain}\"").as_bytes()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const DOC: &str = r#" {"id" : 7, "error":null,"res\u0075lt":[{"a":"}]\\\""},[],"\"",-1.5e3],"extra":{"id":1}} "#;

    #[test]
    fn finds_members_at_every_split() {
        let text = DOC.as_bytes();
        let whole = Scanner::new(1000).scan(text).unwrap().unwrap();
        assert_eq!(&text[whole.id.clone().unwrap()], b"7");
        assert_eq!(&text[whole.error.clone().unwrap()], b"null");
        assert_eq!(
            &text[whole.result.clone().unwrap()],
            br#"[{"a":"}]\\\""},[],"\"",-1.5e3]"#
        );
        assert_eq!(whole.end, text.len() - 1);
        for split in 0..whole.end {
            let mut scanner = Scanner::new(1000);
            assert_eq!(scanner.scan(&text[..split]).unwrap(), None, "{split}");
            assert_eq!(
                scanner.scan(text).unwrap().as_ref(),
                Some(&whole),
                "{split}"
            );
        }
    }

    #[test]
    fn one_scanner_reads_document_after_document() {
        let mut scanner = Scanner::new(100);
        let text = br#"{"id":1,"result":{}}{"id":2}"#;
        let first = scanner.scan(text).unwrap().unwrap();
        let second = scanner.scan(&text[first.end..]).unwrap().unwrap();
        assert_eq!((first.end, second.end), (20, 8));
        assert_eq!(second.result, None);
    }

    #[test]
    fn refuses() {
        for bad in [
            "x",
            "[]",
            "{,",
            "{1",
            r#"{"a",1}"#,
            r#"{"a":}"#,
            r#"{"a":1,}"#,
            r#"{"a":1 2"#,
            r#"{"a":+"#,
            r#"{"id":1,"id":2}"#,
        ] {
            assert!(Scanner::new(100).scan(bad.as_bytes()).is_err(), "{bad}");
        }
        assert_eq!(
            Scanner::new(8).scan(br#"{"id":[1]}"#),
            Err(FrameError::TooLong { limit: 8 })
        );
        assert_eq!(
            Scanner::new(8).scan(br#"{"id":"aaaaaaa"}"#),
            Err(FrameError::TooLong { limit: 8 })
        );
        let deep = format!("{{\"id\":{}", "[".repeat(200));
        assert_eq!(
            Scanner::new(1000).scan(deep.as_bytes()),
            Err(FrameError::TooDeep)
        );
        // Exactly at the limit is fine.
        assert!(Scanner::new(10).scan(br#"{"id":[1]}"#).unwrap().is_some());
    }
}
