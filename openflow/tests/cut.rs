//! Connections to a real ovs-vswitchd cut at every sort of place, by a proxy that stops after N bytes.

mod support;

use std::path::PathBuf;
use std::time::Duration;

use openflow::connection::{Connection, Error, FlowStatsRequest, Options};
use openflow::{FlowMod, Instruction, Message, TableId};
use support::Switch;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

/// Copies at most `limit` bytes, then hangs up on both sides.
async fn copy(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    mut limit: usize,
) {
    let mut buffer = [0; 4096];
    while let Ok(n @ 1..) = from.read(&mut buffer).await {
        let n = n.min(limit);
        limit -= n;
        if to.write_all(&buffer[..n]).await.is_err() || limit == 0 {
            return;
        }
    }
}

/// Listens at `path` and passes each connection on; the first is cut after `up` bytes to the switch or `down` from it.
async fn proxy(path: PathBuf, switch: PathBuf, up: usize, down: usize) {
    let listener = UnixListener::bind(&path).expect("binds");
    let mut limits = (up, down);
    while let Ok((client, _)) = listener.accept().await {
        let server = UnixStream::connect(&switch)
            .await
            .expect("the switch listens");
        let (up, down) = std::mem::replace(&mut limits, (usize::MAX, usize::MAX));
        tokio::spawn(async move {
            let (client_read, client_write) = client.into_split();
            let (server_read, server_write) = server.into_split();
            tokio::select! {
                () = copy(client_read, server_write, up) => {}
                () = copy(server_read, client_write, down) => {}
            }
        });
    }
}

fn flows(n: u16) -> Vec<Message> {
    let flow = |priority| FlowMod {
        priority,
        instructions: [Instruction::GotoTable(TableId(9))].into(),
        ..FlowMod::default()
    };
    (1..=n).map(|p| Message::FlowMod(flow(p))).collect()
}

#[tokio::test]
async fn a_cut_anywhere_leaves_all_or_nothing_and_never_a_wrong_answer() {
    const N: u16 = 30;
    let switch = Switch::start();
    let control = Connection::connect(
        switch.target().parse().expect("a target"),
        Options::default(),
    );
    control.connected().await.expect("connects");
    let (mut applied, mut not, mut unknown) = (0, 0, 0);
    // A session is 56 bytes of handshake, then 32 + 30 × 88 + 32 of bundle, then 24 of COMMIT.
    let ups = (0..60).map(|i| (i * 50 + 1, usize::MAX));
    let downs = (0..30).map(|i| (usize::MAX, i * 5 + 1));
    for (i, (up, down)) in ups.chain(downs).enumerate() {
        let path = switch.path(&format!("p{i}"));
        let task = tokio::spawn(proxy(path.clone(), switch.path("br0.mgmt"), up, down));
        support::wait_for_async(|| path.exists()).await;
        let connection = Connection::connect(
            format!("unix:{}", path.display())
                .parse()
                .expect("a target"),
            Options::default(),
        );
        let first = connection.connected().await.expect("connects");
        let outcome = connection.pinned(first).bundle(flows(N)).await;
        let held = control
            .dump_flows(FlowStatsRequest::default())
            .await
            .expect("flows")
            .len();
        assert!(
            held == 0 || held == usize::from(N),
            "cut at {up}/{down} left {held} flows"
        );
        match outcome {
            Ok(_) => {
                assert_eq!(held, usize::from(N), "cut at {up}/{down}");
                applied += 1;
            }
            Err(Error::Unknown { .. }) => unknown += 1,
            Err(Error::Disconnected { .. } | Error::Stale { .. }) => {
                assert_eq!(held, 0, "cut at {up}/{down}: said not to be applied");
                not += 1;
            }
            Err(error) => panic!("cut at {up}/{down}: {error}"),
        }
        // It comes back by itself, and then all is well.
        let again = tokio::time::timeout(Duration::from_secs(20), async {
            loop {
                connection.connected().await.expect("connects again");
                if let Ok(reply) = connection.bundle(flows(N)).await {
                    return reply.generation;
                }
            }
        });
        assert!(again.await.expect("in time") >= first);
        assert_eq!(
            control
                .dump_flows(FlowStatsRequest::default())
                .await
                .expect("flows")
                .len(),
            usize::from(N)
        );
        let all = FlowMod {
            command: openflow::FlowModCommand::Delete,
            table: TableId::ALL,
            ..FlowMod::default()
        };
        control
            .apply(vec![Message::FlowMod(all)])
            .await
            .expect("deletes");
        task.abort();
    }
    println!("applied {applied}, not applied {not}, unknown {unknown}");
    assert!(applied > 0 && not > 0 && unknown > 0);
}
