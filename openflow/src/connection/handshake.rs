//! The first messages of a session: version negotiation, features, and the choices made in the options.
//!
//! OpenFlow 1.3 §6.3.1. Must not know reconnecting or requests.

use std::io;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::framing::FrameReader;
use super::options::Options;
use crate::header::{HEADER_LEN, Header, MsgType, VERSION};
use crate::message::{FeaturesReply, Hello, Message, OfError, PacketInFormat, SwitchConfig};

const HELLO_XID: u32 = 0;
const FEATURES_XID: u32 = 0xffff_ff01;
const SETUP_XID: u32 = 0xffff_ff02;

/// Transaction ids from here on are the connection's own.
pub(crate) const RESERVED_XIDS: u32 = 0xffff_ff00;

fn invalid(text: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text.into())
}

/// Brings a fresh stream to the point where requests may be sent. Messages that arrive meanwhile and are not
/// part of the handshake are returned in order.
pub(crate) async fn handshake<S>(
    stream: &mut S,
    reader: &mut FrameReader,
    options: &Options,
) -> io::Result<(FeaturesReply, Vec<(Header, Bytes)>)>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut out = Vec::new();
    encode(&Message::Hello(Hello::ours()), HELLO_XID, &mut out)?;
    stream.write_all(&out).await?;
    stream.flush().await?;

    let (header, frame) = next(stream, reader).await?;
    match header.type_ {
        MsgType::HELLO => {}
        MsgType::ERROR => {
            return Err(invalid(format!(
                "the switch refused our HELLO: {}",
                error_text(&frame)
            )));
        }
        other => {
            return Err(invalid(format!(
                "the switch began with {other} instead of HELLO"
            )));
        }
    }
    let hello = Hello::decode(&frame).map_err(|e| invalid(format!("the switch's HELLO: {e}")))?;
    if !hello.offers(VERSION) {
        return Err(invalid(format!(
            "the switch does not offer OpenFlow 1.3, only {}",
            hello.versions_text()
        )));
    }

    out.clear();
    encode(&Message::FeaturesRequest, FEATURES_XID, &mut out)?;
    if let Some(miss_send_len) = options.miss_send_len {
        encode(
            &Message::SetConfig(SwitchConfig {
                flags: 0,
                miss_send_len,
            }),
            SETUP_XID,
            &mut out,
        )?;
    }
    if options.packet_in2 {
        encode(
            &Message::SetPacketInFormat(PacketInFormat::NXT_PACKET_IN2),
            SETUP_XID,
            &mut out,
        )?;
    }
    if let Some(id) = options.controller_id {
        encode(&Message::SetControllerId(id), SETUP_XID, &mut out)?;
    }
    stream.write_all(&out).await?;
    stream.flush().await?;

    let mut early = Vec::new();
    loop {
        let (header, frame) = next(stream, reader).await?;
        match (header.type_, header.xid) {
            (MsgType::ECHO_REQUEST, _) => stream.write_all(&echo_reply(header, &frame)).await?,
            (MsgType::ERROR, HELLO_XID) => {
                return Err(invalid(format!(
                    "the switch refused our HELLO: {}",
                    error_text(&frame)
                )));
            }
            (MsgType::ERROR, FEATURES_XID) => {
                return Err(invalid(format!(
                    "the switch refused FEATURES_REQUEST: {}",
                    error_text(&frame)
                )));
            }
            (MsgType::FEATURES_REPLY, FEATURES_XID) => {
                let features = FeaturesReply::decode_message(&frame)
                    .map_err(|e| invalid(format!("FEATURES_REPLY: {e}")))?;
                return Ok((features, early));
            }
            _ if header.version != VERSION => {
                return Err(invalid(format!(
                    "the switch speaks version {:#04x} after the HELLO",
                    header.version
                )));
            }
            _ => early.push((header, frame)),
        }
        if early.len() > options.event_queue {
            return Err(invalid("the switch does not answer FEATURES_REQUEST"));
        }
    }
}

/// The answer to an ECHO_REQUEST: the same bytes with another type.
pub(crate) fn echo_reply(header: Header, frame: &[u8]) -> Bytes {
    let mut reply = Vec::with_capacity(frame.len());
    reply.extend(
        Header {
            type_: MsgType::ECHO_REPLY,
            ..header
        }
        .to_bytes(),
    );
    reply.extend(frame.iter().skip(HEADER_LEN));
    reply.into()
}

async fn next<S>(stream: &mut S, reader: &mut FrameReader) -> io::Result<(Header, Bytes)>
where
    S: AsyncRead + Unpin,
{
    loop {
        if let Some(frame) = reader.next_frame()? {
            return Ok(frame);
        }
        reader.fill(stream).await?;
    }
}

fn encode(message: &Message, xid: u32, out: &mut Vec<u8>) -> io::Result<()> {
    message.encode(xid, out).map_err(|e| invalid(e.to_string()))
}

fn error_text(frame: &[u8]) -> String {
    match OfError::decode_message(frame) {
        Ok(error) => error.to_string(),
        Err(error) => format!("an ERROR that cannot be decoded: {error}"),
    }
}
