//! Samples of dropped packets, while somebody watches.
//!
//! The switch sends dropped packets (their beginning, at a limited rate) only while it is asked to: a watcher's
//! question starts it, and it ends some time after the last question. The newest samples are kept; watchers ask for
//! what came after the last they saw. Must not know how the switch is told, nor where names come from.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use etherparse::{IpPayloadSlice, NetSlice, SlicedPacket, TransportSlice};
use openflow::Field;
use openflow::connection::PacketIns;
use openflow::message::PacketIn;
use sluice_flows::model::Change;
use sluice_flows::{Cookie, DropReason, cookie};
use sluice_rpc::report::DropSample;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::reconciler;

/// How long sampling goes on after the last question.
const LEASE: Duration = Duration::from_secs(8);

/// How long a question waits for an answer.
const WAIT: Duration = Duration::from_secs(5);

/// Samples that are kept.
const KEPT: usize = 1024;

/// Dropped packets, for any number of watchers. Clones share them.
#[derive(Debug, Clone)]
pub struct Drops {
    samples: Arc<Mutex<Samples>>,
    /// The number of the newest sample.
    newest: watch::Sender<u64>,
    /// Until when sampling is wanted.
    until: watch::Sender<Option<Instant>>,
}

#[derive(Debug, Default)]
struct Samples {
    kept: VecDeque<DropSample>,
}

/// What a watcher is told.
#[derive(Debug, Clone, Default)]
pub struct News {
    /// What came, oldest first.
    pub samples: Vec<DropSample>,
    /// The number to ask after next.
    pub last: u64,
    /// What came and is not kept any more.
    pub lost: u64,
}

impl Default for Drops {
    fn default() -> Self {
        Self {
            samples: Arc::default(),
            newest: watch::Sender::new(0),
            until: watch::Sender::new(None),
        }
    }
}

impl Drops {
    fn samples(&self) -> MutexGuard<'_, Samples> {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits some seconds for samples after number `after`, or after now.
    pub async fn follow(&self, after: Option<u64>) -> News {
        self.until.send_replace(Some(Instant::now() + LEASE));
        let mut newest = self.newest.subscribe();
        let after = after.unwrap_or(*newest.borrow_and_update());
        // Ends when a newer one is there, or with nothing.
        let _timed_out =
            tokio::time::timeout(WAIT, newest.wait_for(|newest| *newest > after)).await;
        let samples = self.samples();
        let samples: Vec<_> = samples
            .kept
            .iter()
            .filter(|sample| sample.number > after)
            .cloned()
            .collect();
        let last = samples.last().map_or(after, |sample| sample.number);
        let count = u64::try_from(samples.len()).unwrap_or(u64::MAX);
        News {
            samples,
            last,
            lost: (last - after).saturating_sub(count),
        }
    }

    /// Has the switch sample while somebody watches, and takes the samples in, until `stop`. `name` says what stands
    /// behind an address.
    pub async fn sample(
        self,
        mut packets: PacketIns,
        reconciler: reconciler::Handle,
        name: impl Fn(IpAddr) -> Option<String> + Send,
        stop: CancellationToken,
    ) {
        let mut until = self.until.subscribe();
        let mut sampling = false;
        loop {
            let end = *until.borrow_and_update();
            let wanted = end.is_some_and(|end| end > Instant::now());
            if wanted != sampling {
                sampling = wanted;
                tracing::info!(sampling, "sampling of dropped packets");
                if reconciler
                    .submit(vec![Change::SampleDrops(wanted)])
                    .await
                    .is_err()
                {
                    return;
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                changed = until.changed() => if changed.is_err() { return },
                () = expiry(end), if sampling => {}
                packet = packets.recv() => match packet {
                    None => return,
                    Some(event) => if let Ok(packet) = event.packet_in {
                        self.take(&packet, &name);
                    },
                }
            }
        }
    }

    fn take(&self, packet: &PacketIn, name: &impl Fn(IpAddr) -> Option<String>) {
        let Some(reason) = reason(packet) else {
            return;
        };
        let number = *self.newest.borrow() + 1;
        let sample = DropSample {
            number,
            time_ms: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .ok()
                .and_then(|since| u64::try_from(since.as_millis()).ok())
                .unwrap_or_default(),
            reason: reason.name().to_owned(),
            in_port: in_port(packet),
            ..describe(&packet.data, name)
        };
        let mut samples = self.samples();
        if samples.kept.len() == KEPT {
            samples.kept.pop_front();
        }
        samples.kept.push_back(sample);
        drop(samples);
        self.newest.send_replace(number);
    }
}

async fn expiry(end: Option<Instant>) {
    match end {
        Some(end) => tokio::time::sleep_until(end).await,
        None => std::future::pending().await,
    }
}

/// The reason, if it is one of our drops: the flow that sent the packet says it.
fn reason(packet: &PacketIn) -> Option<DropReason> {
    let cookie = Cookie::from_u64(packet.cookie)?;
    (cookie.kind() == Some(cookie::Kind::Drop))
        .then(|| DropReason::from_code(cookie.id()))
        .flatten()
}

fn in_port(packet: &PacketIn) -> u32 {
    let mut fields = packet.match_.iter();
    fields
        .find(|(field, ..)| *field == Field::IN_PORT)
        .map_or(0, |(_, value, _)| value.to_u32())
}

/// Who, to whom, and how, as far as the packet's beginning says.
fn describe(data: &[u8], name: &impl Fn(IpAddr) -> Option<String>) -> DropSample {
    let named = |ip: IpAddr| match name(ip) {
        Some(name) => format!("{name} ({ip})"),
        None => ip.to_string(),
    };
    let Ok(packet) = SlicedPacket::from_ethernet(data) else {
        return DropSample {
            protocol: "malformed".to_owned(),
            ..DropSample::default()
        };
    };
    let (from, to, payload) = match &packet.net {
        Some(NetSlice::Ipv4(ip)) => {
            let header = ip.header();
            let (from, to) = (header.source_addr(), header.destination_addr());
            (named(from.into()), named(to.into()), Some(ip.payload()))
        }
        Some(NetSlice::Ipv6(ip)) => {
            let header = ip.header();
            let (from, to) = (header.source_addr(), header.destination_addr());
            (named(from.into()), named(to.into()), Some(ip.payload()))
        }
        _ => (String::new(), String::new(), None),
    };
    let number = payload.map(|payload| payload.ip_number.0);
    let (protocol, port) = match (&packet.transport, number) {
        (Some(TransportSlice::Tcp(tcp)), _) => ("tcp".to_owned(), Some(tcp.destination_port())),
        (Some(TransportSlice::Udp(udp)), _) => ("udp".to_owned(), Some(udp.destination_port())),
        (_, Some(132)) => ("sctp".to_owned(), payload.and_then(sctp_port)),
        (_, Some(1 | 58)) => ("icmp".to_owned(), None),
        (_, Some(number)) => (format!("protocol {number}"), None),
        (_, None) => match data.get(12..14) {
            Some([0x08, 0x06]) => ("arp".to_owned(), None),
            Some([high, low]) => (format!("ethertype 0x{high:02x}{low:02x}"), None),
            _ => ("malformed".to_owned(), None),
        },
    };
    DropSample {
        from,
        to,
        protocol,
        port,
        ..DropSample::default()
    }
}

/// The port that SCTP is for, where the packet holds it.
fn sctp_port(payload: &IpPayloadSlice<'_>) -> Option<u16> {
    let bytes = payload.payload.get(2..4).filter(|_| !payload.fragmented)?;
    bytes.try_into().ok().map(u16::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use etherparse::{IpNumber, PacketBuilder};

    fn name(ip: IpAddr) -> Option<String> {
        (ip == IpAddr::from([10, 0, 0, 1])).then(|| "default/web".to_owned())
    }

    #[test]
    fn a_packet_in_words() {
        let builder = PacketBuilder::ethernet2([2; 6], [4; 6])
            .ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
            .udp(4000, 53);
        let mut data = Vec::new();
        builder.write(&mut data, b"hello").expect("a packet");
        let sample = describe(&data, &name);
        assert_eq!(
            (&*sample.from, &*sample.to, &*sample.protocol, sample.port),
            ("default/web (10.0.0.1)", "10.0.0.2", "udp", Some(53))
        );
    }

    #[test]
    fn sctp_has_a_port_too() {
        let builder =
            PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4([10, 0, 0, 2], [10, 0, 0, 1], 64);
        let mut data = Vec::new();
        let header = [0x9c, 0x40, 0x0f, 0x1c, 0, 0, 0, 0];
        builder
            .write(&mut data, IpNumber::SCTP, &header)
            .expect("a packet");
        let sample = describe(&data, &name);
        assert_eq!((&*sample.protocol, sample.port), ("sctp", Some(3868)));
    }

    #[test]
    fn what_is_no_ip_or_cut_short() {
        let mut arp = vec![0xff; 12];
        arp.extend([0x08, 0x06]);
        arp.extend([0; 28]);
        assert_eq!(describe(&arp, &name).protocol, "arp");
        assert_eq!(describe(&[1, 2, 3], &name).protocol, "malformed");
    }

    #[tokio::test(start_paused = true)]
    async fn watchers_see_what_comes_after_they_asked() {
        let drops = Drops::default();
        assert!(drops.follow(None).await.samples.is_empty());
        let packet = |code: u16| PacketIn {
            cookie: Cookie::drop(DropReason::from_code(code.into()).expect("a reason")).to_u64(),
            ..packet_in()
        };
        let waiting = tokio::spawn({
            let drops = drops.clone();
            async move { drops.follow(None).await }
        });
        tokio::task::yield_now().await;
        drops.take(&packet(5), &name);
        let news = waiting.await.expect("news");
        assert_eq!(
            news.samples.first().map(|s| &*s.reason),
            Some("spoofed-source")
        );
        for _ in 0..KEPT + 10 {
            drops.take(&packet(1), &name);
        }
        let news = drops.follow(Some(news.last)).await;
        assert_eq!((news.samples.len(), news.lost), (KEPT, 10));
    }

    fn packet_in() -> PacketIn {
        PacketIn {
            buffer_id: u32::MAX,
            total_len: 0,
            reason: openflow::message::PacketInReason::ACTION,
            table: openflow::TableId(60),
            cookie: 0,
            match_: openflow::Match::new(),
            data: Vec::new(),
            userdata: Vec::new(),
            continuation: Vec::new(),
        }
    }
}
