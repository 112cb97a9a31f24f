//! The client against a peer that does as it likes.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::{Duration, Instant};

use sluice_rpc::method::CniDel;
use sluice_rpc::{Client, ClientError, Deadline, DelRequest, DelResult};

fn request() -> DelRequest {
    DelRequest {
        container_id: "c1".into(),
        ifname: "eth0".into(),
        network: "pods".into(),
        netns: None,
    }
}

/// A client whose peer is `peer`, in a thread.
fn with_peer(peer: impl FnOnce(UnixStream) + Send + 'static) -> Client {
    let (ours, theirs) = UnixStream::pair().expect("a socket pair");
    std::thread::spawn(move || peer(theirs));
    Client::over(ours)
}

fn call(client: &mut Client, patience: Duration) -> Result<DelResult, ClientError> {
    client.call::<CniDel>(&request(), Deadline::after(patience))
}

const LONG: Duration = Duration::from_secs(20);

#[test]
fn answers_may_come_in_crumbs_or_together() {
    let mut client = with_peer(|mut peer| {
        let mut lines = BufReader::new(peer.try_clone().expect("a clone")).lines();
        let first = lines.next().expect("a line").expect("read");
        assert_eq!(
            first,
            r#"{"jsonrpc":"2.0","id":1,"method":"cni_del","params":{"protocol":1,"body":{"container_id":"c1","ifname":"eth0","network":"pods"}}}"#
        );
        let both = "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"removed\":true}}\n\
                    {\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{\"removed\":false}}\n";
        for byte in both.as_bytes() {
            peer.write_all(&[*byte]).expect("write");
        }
        // The second answer is there before its request is sent; keep the socket until then.
        let _ = lines.next();
    });
    assert!(call(&mut client, LONG).expect("an answer").removed);
    assert!(!call(&mut client, LONG).expect("an answer").removed);
}

#[test]
fn a_peer_that_says_nothing_is_left_in_time() {
    let mut client = with_peer(|mut peer| {
        let _ = peer.read_to_end(&mut Vec::new());
    });
    let started = Instant::now();
    let outcome = call(&mut client, Duration::from_millis(200));
    assert!(matches!(outcome, Err(ClientError::Timeout)), "{outcome:?}");
    assert!(
        (150..5_000).contains(&started.elapsed().as_millis()),
        "{:?}",
        started.elapsed()
    );
}

#[test]
fn a_peer_that_drips_without_end_is_left_in_time() {
    let mut client = with_peer(|mut peer| while peer.write_all(b" ").is_ok() {});
    client.set_max_answer(usize::MAX);
    let outcome = call(&mut client, Duration::from_millis(200));
    assert!(matches!(outcome, Err(ClientError::Timeout)), "{outcome:?}");
}

#[test]
fn an_answer_has_a_bound() {
    let mut client = with_peer(|mut peer| while peer.write_all(&[b'x'; 4096]).is_ok() {});
    client.set_max_answer(100_000);
    let outcome = call(&mut client, LONG);
    assert!(
        matches!(outcome, Err(ClientError::TooLong { limit: 100_000 })),
        "{outcome:?}"
    );
}

#[test]
fn a_peer_that_hangs_up_leaves_the_outcome_unknown() {
    let mut client = with_peer(|mut peer| {
        let mut byte = [0];
        let _ = peer.read(&mut byte);
    });
    let outcome = call(&mut client, LONG);
    assert!(matches!(outcome, Err(ClientError::Lost(_))), "{outcome:?}");
}

#[test]
fn nobody_there_is_told_from_not_allowed() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("agent.sock");
    assert!(matches!(
        Client::connect(&path),
        Err(ClientError::Absent { .. })
    ));
    drop(UnixListener::bind(&path).expect("a socket"));
    assert!(
        matches!(Client::connect(&path), Err(ClientError::Absent { .. })),
        "refused"
    );
    let long = dir.path().join("x".repeat(120));
    assert!(matches!(
        Client::connect(&long),
        Err(ClientError::Unusable { .. })
    ));
    let started = Instant::now();
    let patience = Deadline::after(Duration::from_millis(100));
    assert!(matches!(
        Client::connect_waiting(&path, patience),
        Err(ClientError::Absent { .. })
    ));
    assert!(started.elapsed() >= Duration::from_millis(100));
    assert!(matches!(
        Client::connect(Path::new("/dev/null")),
        Err(ClientError::Absent { .. })
    ));
}
