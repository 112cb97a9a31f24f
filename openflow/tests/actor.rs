//! The connection against a switch made of a few lines, over an in-memory stream and with paused time.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use openflow::connection::{
    Connecting, Connection, Connector, Error, FlowStatsRequest, Options, State, Stream,
};
use openflow::header::{Header, MsgType};
use openflow::message::{FeaturesReply, Hello, Message, MultipartReply, PacketIn, PacketInReason};
use openflow::{FlowMod, Match, TableId};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::Instant;

/// Hands out the streams it was given, one per attempt; then refuses.
struct Streams(Arc<Mutex<VecDeque<DuplexStream>>>);

impl Connector for Streams {
    fn connect(&mut self) -> Connecting {
        let stream = self.0.lock().expect("not poisoned").pop_front();
        Box::pin(async move {
            let refused =
                || std::io::Error::new(std::io::ErrorKind::ConnectionRefused, "nobody listens");
            Ok(Box::new(stream.ok_or_else(refused)?) as Box<dyn Stream>)
        })
    }

    fn name(&self) -> String {
        "duplex".to_owned()
    }
}

fn connection(n: usize, options: Options) -> (Connection, Vec<Switch>) {
    let (ours, theirs): (VecDeque<_>, Vec<_>) = (0..n).map(|_| tokio::io::duplex(1 << 16)).unzip();
    let connection = Connection::with_connector(Streams(Arc::new(Mutex::new(ours))), options);
    (connection, theirs.into_iter().map(Switch).collect())
}

/// The switch's end.
struct Switch(DuplexStream);

impl Switch {
    async fn next(&mut self) -> Option<(Header, Vec<u8>)> {
        let mut head = [0; 8];
        self.0.read_exact(&mut head).await.ok()?;
        let header = Header::peek(&head).expect("a header");
        let mut message = head.to_vec();
        message.resize(usize::from(header.length), 0);
        self.0.read_exact(&mut message[8..]).await.ok()?;
        Some((header, message))
    }

    async fn say(&mut self, message: &Message, xid: u32) {
        self.0
            .write_all(&message.to_bytes(xid).expect("encodes"))
            .await
            .expect("is read");
    }

    async fn shake_hands(&mut self) {
        let (hello, _) = self.next().await.expect("a hello");
        assert_eq!(hello.type_, MsgType::HELLO);
        self.say(&Message::Hello(Hello::ours()), 0).await;
        loop {
            let (header, _) = self.next().await.expect("a request");
            if header.type_ == MsgType::FEATURES_REQUEST {
                let features = FeaturesReply {
                    datapath_id: 1,
                    n_buffers: 0,
                    n_tables: 254,
                    auxiliary_id: 0,
                    capabilities: 0,
                    reserved: 0,
                };
                return self
                    .say(&Message::FeaturesReply(features), header.xid)
                    .await;
            }
        }
    }

    /// Reads up to the next message of `type_`.
    async fn until(&mut self, type_: MsgType) -> (Header, Vec<u8>) {
        loop {
            let (header, message) = self.next().await.expect("a message");
            if header.type_ == type_ {
                return (header, message);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_switch_is_asked_and_then_given_up() {
    let options = Options::default();
    let interval = options.probe_interval;
    let (connection, mut switches) = connection(1, options);
    let mut switch = switches.remove(0);
    switch.shake_hands().await;
    connection.connected().await.expect("connects");
    let since = Instant::now();
    let (echo, _) = switch.until(MsgType::ECHO_REQUEST).await;
    assert!(since.elapsed() >= interval && since.elapsed() < interval * 2);
    switch.say(&Message::EchoReply(Vec::new()), echo.xid).await;
    switch.until(MsgType::ECHO_REQUEST).await;
    let mut state = connection.state();
    let state = state
        .wait_for(|s| !s.is_connected())
        .await
        .expect("a state");
    let State::Disconnected { error: Some(error) } = &*state else {
        panic!("{state:?}")
    };
    assert!(
        error.contains("did not answer an echo") || error.contains("nobody listens"),
        "{error}"
    );
    assert!(since.elapsed() >= interval * 3);
}

#[tokio::test]
async fn a_slow_consumer_of_packets_delays_no_reply() {
    let options = Options {
        packet_in_queue: 10,
        ..options()
    };
    let (connection, mut switches) = connection(1, options);
    let mut switch = switches.remove(0);
    switch.shake_hands().await;
    connection.connected().await.expect("connects");
    let mut packets = connection.packet_ins();
    let served = tokio::spawn(async move {
        let (barrier, _) = switch.until(MsgType::BARRIER_REQUEST).await;
        let packet = Message::PacketIn(PacketIn {
            buffer_id: u32::MAX,
            total_len: 64,
            reason: PacketInReason::ACTION,
            table: TableId(0),
            cookie: 0,
            match_: Match::new(),
            data: vec![0; 64],
            userdata: Vec::new(),
            continuation: Vec::new(),
        });
        for _ in 0..5000 {
            switch.say(&packet, 0).await;
        }
        switch.say(&Message::BarrierReply, barrier.xid).await;
        switch
    });
    connection.barrier().await.expect("the barrier is answered");
    assert_eq!(connection.statistics().packet_ins_dropped, 4990);
    for _ in 0..10 {
        let event = packets.recv().await.expect("a packet");
        assert_eq!(
            (
                event.generation,
                event.packet_in.expect("decodes").data.len()
            ),
            (1, 64)
        );
    }
    drop(served.await);
}

fn options() -> Options {
    Options::default()
}

#[tokio::test]
async fn a_multipart_reply_is_bounded_and_the_connection_goes_on() {
    let options = Options {
        multipart_limit: 1000,
        ..options()
    };
    let (connection, mut switches) = connection(1, options);
    let mut switch = switches.remove(0);
    switch.shake_hands().await;
    let served = tokio::spawn(async move {
        let (request, _) = switch.until(MsgType::MULTIPART_REQUEST).await;
        let flow = openflow::FlowStats {
            table: TableId(0),
            duration_sec: 0,
            duration_nsec: 0,
            priority: 1,
            idle_timeout: 0,
            hard_timeout: 0,
            flags: openflow::FlowFlags::default(),
            cookie: 0,
            packet_count: 0,
            byte_count: 0,
            match_: Match::new(),
            instructions: Default::default(),
        };
        for part in 0..100 {
            let flags = u16::from(part < 99);
            switch
                .say(
                    &Message::MultipartReply {
                        flags,
                        body: MultipartReply::Flow(vec![flow.clone()]),
                    },
                    request.xid,
                )
                .await;
        }
        let (barrier, _) = switch.until(MsgType::BARRIER_REQUEST).await;
        switch.say(&Message::BarrierReply, barrier.xid).await;
        switch
    });
    connection.connected().await.expect("connects");
    let error = connection
        .dump_flows(FlowStatsRequest::default())
        .await
        .expect_err("too much");
    assert!(matches!(error, Error::TooLarge { limit: 1000 }), "{error}");
    connection.barrier().await.expect("the session goes on");
    drop(served.await);
}

#[tokio::test]
async fn what_is_cut_off_is_known_or_said_to_be_unknown() {
    let (connection, switches) = connection(3, options());
    let served = tokio::spawn(async move {
        for (i, mut switch) in switches.into_iter().enumerate() {
            switch.shake_hands().await;
            // The first is cut while the bundle is filled, the second after its COMMIT, the third in a request.
            let (close, _) = match i {
                2 => switch.until(MsgType::BARRIER_REQUEST).await,
                _ => loop {
                    let (header, message) = switch.next().await.expect("a message");
                    if message.get(12..16) == Some(&2300_u32.to_be_bytes()[..])
                        && message.get(20..22) == Some(&[0, 2])
                    {
                        break (header, message);
                    }
                },
            };
            if i == 1 {
                let closed = openflow::message::BundleControl {
                    bundle_id: 1,
                    type_: openflow::message::BundleControlType::CLOSE_REPLY,
                    flags: openflow::message::BundleFlags(3),
                };
                switch.say(&Message::BundleControl(closed), close.xid).await;
                switch.next().await.expect("the commit");
            }
        }
    });
    let flow = || vec![Message::FlowMod(FlowMod::default())];
    assert_eq!(connection.connected().await.expect("connects"), 1);
    let error = connection.bundle(flow()).await.expect_err("cut");
    assert!(
        matches!(error, Error::Disconnected { .. }) && !error.outcome_unknown(),
        "{error}"
    );
    assert_eq!(connection.connected().await.expect("connects"), 2);
    let error = connection.bundle(flow()).await.expect_err("cut");
    assert!(error.outcome_unknown(), "{error}");
    assert_eq!(connection.connected().await.expect("connects"), 3);
    let error = connection.apply(flow()).await.expect_err("cut");
    assert!(error.outcome_unknown(), "{error}");
    served.await.expect("served");
}

#[tokio::test(start_paused = true)]
async fn only_a_session_that_stays_up_makes_the_next_attempt_soon() {
    let options = options();
    let (min, stable) = (options.backoff.min, options.backoff.stable_after);
    let (connection, switches) = connection(14, options);
    let mut switches = switches.into_iter();
    let mut waits = Vec::new();
    for _ in 0..12 {
        let mut switch = switches.next().expect("a switch");
        switch.shake_hands().await;
        let since = Instant::now();
        drop(switch);
        let mut state = connection.state();
        state
            .wait_for(|s| !s.is_connected())
            .await
            .expect("a state");
        // The next one waits for its handshake, so that the attempt itself can be timed.
        let mut next = switches.next().expect("a switch");
        next.shake_hands().await;
        waits.push(since.elapsed());
        tokio::time::sleep(if waits.len() < 6 {
            Duration::ZERO
        } else {
            stable
        })
        .await;
        drop(next);
        state
            .wait_for(|s| !s.is_connected())
            .await
            .expect("a state");
        if waits.len() == 7 {
            break;
        }
    }
    assert!(waits[0] <= min * 2 && waits[5] > min * 8, "{waits:?}");
}

#[tokio::test(start_paused = true)]
async fn an_unanswered_request_ends_in_time() {
    let options = Options {
        request_timeout: Duration::from_secs(2),
        ..options()
    };
    let (connection, mut switches) = connection(1, options);
    let mut switch = switches.remove(0);
    switch.shake_hands().await;
    connection.connected().await.expect("connects");
    let since = Instant::now();
    let error = connection.barrier().await.expect_err("no answer");
    assert!(matches!(error, Error::Timeout { .. }) && error.outcome_unknown());
    assert_eq!(since.elapsed(), Duration::from_secs(2));
    // The late answer must not be taken for the next request's.
    let (late, _) = switch.until(MsgType::BARRIER_REQUEST).await;
    let asked = tokio::spawn({
        let connection = connection.clone();
        async move { connection.request(&Message::EchoRequest(vec![9])).await }
    });
    let (echo, _) = switch.until(MsgType::ECHO_REQUEST).await;
    switch.say(&Message::BarrierReply, late.xid).await;
    switch.say(&Message::EchoReply(vec![9]), echo.xid).await;
    assert_eq!(
        asked.await.expect("runs").expect("an answer").value,
        Message::EchoReply(vec![9])
    );
}
