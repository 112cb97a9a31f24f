//! How far a connection has come, by protocol (`lib/conntrack-tcp.c`, `-icmp.c` and `-other.c`). It knows packets
//! and their direction, not who asks.

use openflow::Field;

use super::tuple::Tuple;
use crate::interpreter::packet::{ICMP, ICMPV6, Packet, TCP, tcp};

/// What a packet does to its connection.
pub(super) enum Update {
    Established,
    StillNew,
    Invalid,
    /// The connection ended before; the packet is the first of another one.
    Over,
}

/// How far a connection has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Progress {
    /// What each end has done; the one that began comes first.
    Tcp(Peer, Peer),
    /// Whether there was an answer.
    Icmp(bool),
    /// Whether there was an answer.
    Other(bool),
}

/// An end of a TCP connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Peer {
    stage: Stage,
    /// Whether it is known how far it may send. It is not of an end whose SYN crossed the other's, until the other
    /// one says more.
    window: bool,
}

/// What an end of a TCP connection has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Closed,
    SynSent,
    Established,
    Closing,
    FinWait2,
    TimeWait,
}

/// The flags of a segment. Its later fragments do not have them, and go with the first.
fn flags(packet: &Packet) -> u16 {
    if packet.is_later_fragment() {
        return tcp::ACK;
    }
    packet.get(Field::TCP_FLAGS).to_u16()
}

fn are_nonsense(flags: u16) -> bool {
    let has = |bits| flags & bits != 0;
    let alone = if has(tcp::SYN) {
        has(tcp::RST | tcp::FIN)
    } else {
        !has(tcp::ACK | tcp::RST)
    };
    alone || !has(tcp::ACK) && has(tcp::FIN | tcp::PSH | tcp::URG)
}

impl Progress {
    /// How a connection begins with a packet, if it can.
    pub(super) fn start(packet: &Packet, tuple: &Tuple) -> Option<Self> {
        let begins = match tuple.protocol {
            TCP => {
                let flags = flags(packet);
                let answer = flags & (tcp::SYN | tcp::ACK) == tcp::SYN | tcp::ACK;
                !are_nonsense(flags) && !answer
            }
            ICMP => matches!(packet.get(Field::ICMPV4_TYPE).to_u8(), 8 | 13 | 15),
            ICMPV6 => packet.get(Field::ICMPV6_TYPE).to_u8() == 128,
            _ => true,
        };
        begins.then_some(match tuple.protocol {
            TCP => Self::Tcp(
                Peer {
                    stage: Stage::SynSent,
                    window: true,
                },
                Peer {
                    stage: Stage::Closed,
                    window: false,
                },
            ),
            ICMP | ICMPV6 => Self::Icmp(false),
            _ => Self::Other(false),
        })
    }

    /// Takes note of a packet.
    pub(super) fn update(&mut self, packet: &Packet, reply: bool) -> Update {
        match self {
            Self::Tcp(first, second) if reply => update_tcp(flags(packet), second, first),
            Self::Tcp(first, second) => update_tcp(flags(packet), first, second),
            Self::Icmp(answered) | Self::Other(answered) => {
                *answered |= reply;
                if *answered {
                    Update::Established
                } else {
                    Update::StillNew
                }
            }
        }
    }
}

fn update_tcp(flags: u16, from: &mut Peer, to: &mut Peer) -> Update {
    if are_nonsense(flags) {
        return Update::Invalid;
    }
    if flags & (tcp::SYN | tcp::ACK) == tcp::SYN {
        if from.stage >= Stage::FinWait2 && to.stage >= Stage::FinWait2 {
            return Update::Over;
        }
        if from.stage <= Stage::SynSent {
            from.stage = Stage::SynSent;
            return Update::StillNew;
        }
    }
    if from.stage == Stage::Closed {
        from.stage = Stage::SynSent;
        from.window = true;
    }
    // These take a sequence number, which the end would have to be allowed.
    let takes = flags & (tcp::SYN | tcp::FIN) != 0;
    if takes && !from.window && to.stage < Stage::FinWait2 {
        return Update::Invalid;
    }
    to.window = true;
    if flags & tcp::FIN != 0 {
        from.stage = from.stage.max(Stage::Closing);
    }
    if flags & tcp::ACK != 0 {
        to.stage = match to.stage {
            Stage::SynSent => Stage::Established,
            Stage::Closing => Stage::FinWait2,
            other => other,
        };
    }
    if flags & tcp::RST != 0 {
        (from.stage, to.stage) = (Stage::TimeWait, Stage::TimeWait);
    }
    Update::Established
}
