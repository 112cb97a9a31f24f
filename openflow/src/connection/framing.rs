//! Cuts the byte stream into messages, and gathers messages into vectored writes.
//!
//! Knows the header only. A message is never copied: frames are slices of the read buffer, and what is to be
//! written stays where the encoder put it.

use std::collections::VecDeque;
use std::io::{self, IoSlice};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::header::{HEADER_LEN, Header};

const READ_SIZE: usize = 256 * 1024;
const MAX_SLICES: usize = 64;

/// Reads whole messages from a stream.
#[derive(Debug, Default)]
pub(crate) struct FrameReader {
    buffer: BytesMut,
}

impl FrameReader {
    /// Reads once. An end of the stream is an error. Cancelling it loses nothing.
    pub(crate) async fn fill(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
        if self.buffer.capacity() - self.buffer.len() < READ_SIZE / 4 {
            self.buffer.reserve(READ_SIZE);
        }
        match stream.read_buf(&mut self.buffer).await? {
            0 if self.buffer.is_empty() => Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the switch hung up",
            )),
            0 => Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the switch hung up in the middle of a message",
            )),
            _ => Ok(()),
        }
    }

    /// The next whole message, if the buffer holds one.
    pub(crate) fn next_frame(&mut self) -> io::Result<Option<(Header, Bytes)>> {
        let Some(header) = Header::peek(&self.buffer) else {
            return Ok(None);
        };
        let length = usize::from(header.length);
        if length < HEADER_LEN {
            let text =
                format!("the switch sent a message of length {length}, less than its header");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        if self.buffer.len() < length {
            return Ok(None);
        }
        Ok(Some((header, self.buffer.split_to(length).freeze())))
    }
}

/// Chunks of whole messages that wait to be written, in order.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    chunks: VecDeque<Bytes>,
    /// The front chunk has been written in part: nothing may be put before it.
    front_started: bool,
    queued: usize,
    /// Stream offset of the end of what was queued.
    accepted: u64,
}

impl Outbox {
    /// Queues `chunk`, which holds whole messages.
    pub(crate) fn push(&mut self, chunk: Bytes) {
        if !chunk.is_empty() {
            self.queued += chunk.len();
            self.accepted += chunk.len() as u64;
            self.chunks.push_back(chunk);
        }
    }

    /// Queues a message ahead of everything that has not been started.
    pub(crate) fn push_urgent(&mut self, chunk: Bytes) {
        self.queued += chunk.len();
        // Offsets of what is already queued shift by this message; counting it as written early can only make
        // an outcome "unknown" that was in fact "not sent", which is the safe side.
        self.accepted += chunk.len() as u64;
        let at = usize::from(self.front_started).min(self.chunks.len());
        self.chunks.insert(at, chunk);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Bytes not yet written.
    pub(crate) fn queued(&self) -> usize {
        self.queued
    }

    /// Stream offset at which the next pushed byte will stand.
    pub(crate) fn end_offset(&self) -> u64 {
        self.accepted
    }

    /// Stream offset of the first byte that has not been handed to the socket.
    pub(crate) fn written(&self) -> u64 {
        self.accepted - self.queued as u64
    }

    /// Writes once, as much as the socket takes. Cancelling it loses nothing.
    pub(crate) async fn write(&mut self, stream: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        let mut slices = [IoSlice::new(&[]); MAX_SLICES];
        let mut used = 0;
        for (slice, chunk) in slices.iter_mut().zip(&self.chunks) {
            *slice = IoSlice::new(chunk);
            used += 1;
        }
        let Some(slices) = slices.get(..used).filter(|s| !s.is_empty()) else {
            return Ok(());
        };
        let written = stream.write_vectored(slices).await?;
        if written == 0 {
            return Err(io::Error::new(
                io::ErrorKind::WriteZero,
                "the socket takes no more",
            ));
        }
        self.consume(written);
        Ok(())
    }

    fn consume(&mut self, mut n: usize) {
        self.queued = self.queued.saturating_sub(n);
        while let Some(front) = self.chunks.front_mut() {
            if n < front.len() {
                front.advance(n);
                self.front_started |= n > 0;
                return;
            }
            n -= front.len();
            self.chunks.pop_front();
            self.front_started = false;
            if n == 0 {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn frames_survive_any_cut_of_the_stream() {
        let mut bytes = Vec::new();
        for length in [8_u16, 9, 8, 300] {
            let mut frame = vec![4, 2, 0, 0, 0, 0, 0, 7];
            frame[2..4].copy_from_slice(&length.to_be_bytes());
            frame.resize(usize::from(length), 0xab);
            bytes.extend(frame);
        }
        for step in 1..40 {
            let mut reader = FrameReader::default();
            let mut lengths = Vec::new();
            for mut piece in bytes.chunks(step) {
                reader.fill(&mut piece).await.expect("in memory");
                while let Some((header, frame)) = reader.next_frame().expect("in memory") {
                    assert_eq!(usize::from(header.length), frame.len());
                    lengths.push(frame.len());
                }
            }
            assert_eq!(lengths, [8, 9, 8, 300]);
        }
    }

    #[tokio::test]
    async fn a_length_below_the_header_is_an_error_and_so_is_the_end() {
        let mut reader = FrameReader::default();
        reader
            .fill(&mut &[4, 0, 0, 7, 0, 0, 0, 0][..])
            .await
            .expect("in memory");
        assert!(reader.next_frame().is_err());
        assert!(FrameReader::default().fill(&mut &[][..]).await.is_err());
    }

    #[tokio::test]
    async fn an_urgent_message_never_splits_another() {
        let mut outbox = Outbox::default();
        outbox.push(Bytes::from_static(b"aaaa"));
        outbox.push(Bytes::from_static(b"bbbb"));
        outbox.consume(2);
        outbox.push_urgent(Bytes::from_static(b"!!"));
        let mut out = Vec::new();
        while !outbox.is_empty() {
            outbox.write(&mut out).await.expect("in memory");
        }
        assert_eq!(out, b"aa!!bbbb");
        assert_eq!(
            (outbox.queued(), outbox.written(), outbox.end_offset()),
            (0, 10, 10)
        );
    }
}
