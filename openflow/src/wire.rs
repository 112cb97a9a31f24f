//! Reading and writing network byte order, safely.
//!
//! A [`Reader`] hands out sub-readers, so that an inner parser cannot run past its TLV; a
//! [`Writer`] back-patches lengths, so that nesting costs nothing. Neither knows any structure of
//! the protocol.

use crate::error::{DecodeError, EncodeError, ErrorKind};

/// A cursor over received bytes. Every read is checked; nothing panics.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    kind: ErrorKind,
    context: &'static str,
    depth: u8,
}

/// How deep structures may nest, so that no message exhausts the stack.
const MAX_DEPTH: u8 = 64;

macro_rules! read_int {
    ($($name:ident -> $ty:ty;)*) => {$(
        #[doc = concat!("Reads a big-endian `", stringify!($ty), "`.")]
        #[doc = "\n# Errors\n[`short`](Self::short), when too few bytes are left."]
        #[inline]
        pub fn $name(&mut self) -> Result<$ty, DecodeError> {
            Ok(<$ty>::from_be_bytes(*self.array()?))
        }
    )*};
}

impl<'a> Reader<'a> {
    /// A reader over `bytes`, whose errors are of `kind` and say `context`.
    #[must_use]
    #[inline]
    pub const fn new(bytes: &'a [u8], kind: ErrorKind, context: &'static str) -> Self {
        Reader {
            rest: bytes,
            kind,
            context,
            depth: 0,
        }
    }

    /// The error that this reader reports when bytes run out.
    #[must_use]
    #[inline(always)]
    pub const fn short(&self) -> DecodeError {
        DecodeError::new(self.kind, self.context)
    }

    /// An error of `kind` with this reader's context.
    #[must_use]
    #[inline(always)]
    pub const fn error(&self, kind: ErrorKind) -> DecodeError {
        DecodeError::new(kind, self.context)
    }

    /// How many bytes are left.
    #[must_use]
    #[inline]
    pub const fn len(&self) -> usize {
        self.rest.len()
    }

    /// Whether nothing is left.
    #[must_use]
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// What is left, without reading it.
    #[must_use]
    #[inline]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Reads `N` bytes.
    ///
    /// # Errors
    /// [`short`](Self::short), when fewer are left.
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Result<&'a [u8; N], DecodeError> {
        match self.rest.split_first_chunk::<N>() {
            Some((head, tail)) => {
                self.rest = tail;
                Ok(head)
            }
            None => Err(self.short()),
        }
    }

    read_int! {
        u8 -> u8;
        u16 -> u16;
        u32 -> u32;
        u64 -> u64;
        u128 -> u128;
    }

    /// Reads `n` bytes.
    ///
    /// # Errors
    /// [`short`](Self::short), when fewer are left.
    #[inline]
    pub fn bytes(&mut self, n: usize) -> Result<&'a [u8], DecodeError> {
        match self.rest.split_at_checked(n) {
            Some((head, tail)) => {
                self.rest = tail;
                Ok(head)
            }
            None => Err(self.short()),
        }
    }

    /// Skips `n` bytes whatever they hold.
    ///
    /// # Errors
    /// [`short`](Self::short), when fewer are left.
    #[inline]
    pub fn skip(&mut self, n: usize) -> Result<(), DecodeError> {
        self.bytes(n).map(drop)
    }

    /// A reader over the next `n` bytes, with the same errors; this one goes on after them.
    ///
    /// # Errors
    /// [`short`](Self::short), when fewer are left.
    #[inline]
    pub fn sub(&mut self, n: usize) -> Result<Reader<'a>, DecodeError> {
        Ok(Reader {
            rest: self.bytes(n)?,
            ..*self
        })
    }

    /// As [`sub`](Self::sub), with errors of its own.
    ///
    /// # Errors
    /// This reader's [`short`](Self::short), when fewer than `n` bytes are left.
    #[inline]
    pub fn sub_as(
        &mut self,
        n: usize,
        kind: ErrorKind,
        context: &'static str,
    ) -> Result<Reader<'a>, DecodeError> {
        Ok(Reader {
            rest: self.bytes(n)?,
            kind,
            context,
            depth: self.depth,
        })
    }

    /// A reader over `bytes`, with errors of its own, as deep as this one.
    #[must_use]
    #[inline]
    pub const fn over(
        &self,
        bytes: &'a [u8],
        kind: ErrorKind,
        context: &'static str,
    ) -> Reader<'a> {
        Reader {
            rest: bytes,
            kind,
            context,
            depth: self.depth,
        }
    }

    /// Takes note that this reader is over what stands one level deeper.
    ///
    /// # Errors
    /// When structures nest deeper than any sensible message has them.
    #[inline]
    pub fn deepen(&mut self) -> Result<(), DecodeError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            Err(self.short())
        } else {
            Ok(())
        }
    }

    /// Takes all that is left.
    #[inline]
    pub fn take_rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// Fails unless everything was read.
    ///
    /// # Errors
    /// [`short`](Self::short), when something is left.
    #[inline]
    pub fn finish(self) -> Result<(), DecodeError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(self.short())
        }
    }

    /// Fails with `kind` unless all that is left is zero.
    ///
    /// # Errors
    /// Of `kind`, when a byte that is left is not zero.
    #[inline]
    pub fn finish_zero(self, kind: ErrorKind) -> Result<(), DecodeError> {
        if self.rest.iter().all(|b| *b == 0) {
            Ok(())
        } else {
            Err(self.error(kind))
        }
    }

    /// Fails with `kind` unless the next `n` bytes are zero, and skips them.
    ///
    /// # Errors
    /// Of `kind`, when one of them is not zero; [`short`](Self::short), when fewer are left.
    #[inline]
    pub fn zeros(&mut self, n: usize, kind: ErrorKind) -> Result<(), DecodeError> {
        if self.bytes(n)?.iter().all(|b| *b == 0) {
            Ok(())
        } else {
            Err(self.error(kind))
        }
    }
}

/// Appends to a buffer in network byte order.
#[derive(Debug)]
pub struct Writer<'a> {
    buf: &'a mut Vec<u8>,
}

/// The place of a 16-bit length that is not known yet. It counts from the structure's start.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Length {
    start: usize,
    at: usize,
}

impl<'a> Writer<'a> {
    /// A writer at the end of `buf`.
    #[inline]
    pub const fn new(buf: &'a mut Vec<u8>) -> Self {
        Writer { buf }
    }

    /// How long the buffer is now, what it held before included.
    #[must_use]
    #[inline]
    pub const fn pos(&self) -> usize {
        self.buf.len()
    }

    /// Makes room for `n` more bytes.
    #[inline]
    pub fn reserve(&mut self, n: usize) {
        self.buf.reserve(n);
    }

    /// Writes a byte.
    #[inline(always)]
    pub fn u8(&mut self, v: u8) {
        self.buf.push(v);
    }

    /// Writes a big-endian `u16`.
    #[inline(always)]
    pub fn u16(&mut self, v: u16) {
        self.buf.extend_from_slice(&v.to_be_bytes());
    }

    /// Writes a big-endian `u32`.
    #[inline(always)]
    pub fn u32(&mut self, v: u32) {
        self.buf.extend_from_slice(&v.to_be_bytes());
    }

    /// Writes a big-endian `u64`.
    #[inline(always)]
    pub fn u64(&mut self, v: u64) {
        self.buf.extend_from_slice(&v.to_be_bytes());
    }

    /// Writes `bytes` as they are.
    #[inline]
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.buf.extend_from_slice(bytes);
    }

    /// Writes a fixed number of bytes as they are.
    #[inline(always)]
    pub fn array<const N: usize>(&mut self, bytes: &[u8; N]) {
        self.buf.extend_from_slice(bytes);
    }

    /// Writes `n` zero bytes.
    #[inline]
    pub fn zeros(&mut self, n: usize) {
        const ZEROS: [u8; 16] = [0; 16];
        match ZEROS.get(..n) {
            Some(zeros) => self.buf.extend_from_slice(zeros),
            None => self.buf.resize(self.buf.len() + n, 0),
        }
    }

    /// Writes zeros until what was written since `start` is a multiple of eight bytes.
    #[inline]
    pub fn pad8(&mut self, start: usize) {
        const ZEROS: [u8; 8] = [0; 8];
        let n = (self.buf.len() - start).wrapping_neg() & 7;
        if let Some(zeros) = ZEROS.get(..n) {
            self.buf.extend_from_slice(zeros);
        }
    }

    /// Writes a 16-bit length to be [filled in](Self::end) later; the structure it belongs to
    /// began at `start`.
    #[inline]
    pub fn length(&mut self, start: usize) -> Length {
        let at = self.buf.len();
        self.u16(0);
        Length { start, at }
    }

    /// The two bytes at `at`, which were written before, as a length that is to be [filled in](Self::end).
    #[inline]
    pub const fn length_at(&self, start: usize, at: usize) -> Length {
        Length { start, at }
    }

    /// Fills in `length` with the number of bytes since the start of its structure.
    ///
    /// # Errors
    /// [`EncodeError::TooLong`], naming `what`, when 16 bits cannot say it.
    #[inline]
    pub fn end(&mut self, length: Length, what: &'static str) -> Result<(), EncodeError> {
        let n = self.buf.len() - length.start;
        let n = u16::try_from(n).map_err(|_| EncodeError::TooLong(what))?;
        self.patch_u16(length.at, n);
        Ok(())
    }

    /// Pads to eight bytes, then fills in `length`.
    ///
    /// # Errors
    /// As [`end`](Self::end).
    #[inline]
    pub fn end_padded(&mut self, length: Length, what: &'static str) -> Result<(), EncodeError> {
        self.pad8(length.start);
        self.end(length, what)
    }

    /// Overwrites the two bytes at `at`, which were written before.
    #[inline]
    pub fn patch_u16(&mut self, at: usize, v: u16) {
        if let Some(place) = self
            .buf
            .get_mut(at..)
            .and_then(|b| b.first_chunk_mut::<2>())
        {
            *place = v.to_be_bytes();
        }
    }

    /// A writer at the same place, to hand on.
    #[inline]
    pub const fn by_ref(&mut self) -> Writer<'_> {
        Writer { buf: self.buf }
    }
}
