//! The channel to the switch cut at arbitrary bytes: whatever was under way then, the switch ends
//! up with what it shall hold.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::harness::{BRIDGE, Node, Pod, address, wait};

/// Bytes towards the switch that a session may carry; never ending when huge.
const FOREVER: u64 = u64::MAX / 2;

/// Stands between agent and switch, and cuts each session after its budget of bytes.
struct Proxy {
    path: String,
    budget: Arc<AtomicU64>,
    sessions: Arc<AtomicU64>,
}

impl Proxy {
    fn new(node: &Node) -> Self {
        let path = node.file("proxy.sock");
        let listener = UnixListener::bind(&path).expect("a socket");
        let switch = node.file(&format!("{BRIDGE}.mgmt"));
        let (budget, sessions) = (
            Arc::new(AtomicU64::new(FOREVER)),
            Arc::new(AtomicU64::new(0)),
        );
        let (budgets, count) = (Arc::clone(&budget), Arc::clone(&sessions));
        std::thread::spawn(move || {
            for agent in listener.incoming() {
                let Ok(agent) = agent else { return };
                let Ok(switch) = UnixStream::connect(&switch) else {
                    continue;
                };
                count.fetch_add(1, Ordering::SeqCst);
                let back = (
                    switch.try_clone().expect("a socket"),
                    agent.try_clone().expect("a socket"),
                );
                std::thread::spawn(move || copy(back.0, back.1, &AtomicU64::new(FOREVER)));
                let budgets = Arc::clone(&budgets);
                std::thread::spawn(move || copy(agent, switch, &budgets));
            }
        });
        Self {
            path,
            budget,
            sessions,
        }
    }

    /// Cuts the session after this many further bytes; the next one is whole.
    fn cut_after(&self, bytes: u64) {
        self.budget.store(bytes, Ordering::SeqCst);
    }
}

/// Copies until the budget is used up, then cuts both sides and renews the budget.
fn copy(mut from: UnixStream, mut to: UnixStream, budget: &AtomicU64) {
    let mut buffer = [0; 4096];
    loop {
        let n = match from.read(&mut buffer) {
            Ok(n) if n > 0 => n,
            _ => break,
        };
        let left = budget.load(Ordering::SeqCst);
        let pass = n.min(usize::try_from(left).unwrap_or(usize::MAX));
        if to.write_all(&buffer[..pass]).is_err() {
            break;
        }
        budget.fetch_sub(pass as u64, Ordering::SeqCst);
        if pass < n {
            budget.store(FOREVER, Ordering::SeqCst);
            break;
        }
    }
    let _ended = from.shutdown(Shutdown::Both);
    let _ended = to.shutdown(Shutdown::Both);
}

#[test]
fn a_channel_cut_at_any_byte_is_made_good() {
    let mut node = Node::ready(&[]);
    node.stop_agent();
    let proxy = Proxy::new(&node);
    node.arguments = ["--openflow", &format!("unix:{}", proxy.path)]
        .map(str::to_owned)
        .to_vec();
    node.start_agent();
    node.wait_ready();
    // From the first byte of a bundle to well behind its end; fixed, so that a failure can be
    // seen again.
    let cuts = [
        0, 1, 7, 16, 40, 97, 211, 500, 777, 1024, 1500, 1999, 2500, 3000, 3500, 4096, 5000,
    ];
    for cut in cuts {
        let pod = Pod::new();
        let before = proxy.sessions.load(Ordering::SeqCst);
        proxy.cut_after(cut);
        // Answered only once the flows are confirmed, in whatever session that is.
        let result = node
            .add(&pod)
            .unwrap_or_else(|error| panic!("cut at {cut}: {error:?}"));
        proxy.cut_after(FOREVER);
        let verify = node.verify();
        assert!(verify.in_sync, "cut at {cut}: {verify:?}");
        pod.netns.reaches("10.7.0.1");
        proxy.cut_after(cut);
        node.del(&pod)
            .unwrap_or_else(|error| panic!("cut at {cut}: {error:?}"));
        wait("the flows to go", || {
            let address = address(&result, true);
            (!node.flows().iter().any(|flow| flow.contains(&address))).then_some(())
        });
        proxy.cut_after(FOREVER);
        if cut < 500 {
            let after = proxy.sessions.load(Ordering::SeqCst);
            assert!(
                after >= before + 2,
                "the channel was cut at {cut}: {before}, {after}"
            );
        }
    }
    node.wait_ready();
    let verify = node.verify();
    assert!(verify.in_sync, "{verify:?}");
}
