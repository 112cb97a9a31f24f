//! What becomes of the first packet of a connection, by three judges: an evaluator that reads policies word by word,
//! the interpreter of the flows, and the switch. All must say the same; the switch of a part.

use std::fmt;
use std::net::IpAddr;

use openflow::Field;
use sluice_flows::interpreter::{Packet, Tables, Verdict, World};
use sluice_flows::model::{ClusterPod, Protocol, State};
use sluice_flows::{Direction, DropReason};

use crate::flows::packet;
use crate::node::Node;
use crate::oracle::{End, allows};
use crate::trace::dropped;

/// `None` is ICMP.
pub(crate) type Port = Option<(Protocol, u16)>;

/// What the evaluator says: why it is dropped on this node, if it is.
pub(crate) fn expected(state: &State, from: IpAddr, to: IpAddr, port: Port) -> Option<DropReason> {
    let here = |ip: IpAddr| -> Option<&ClusterPod> {
        let pod = state.pods.values().find(|pod| pod.ips.contains(&ip))?;
        let pod = state.cluster_pod(&pod.namespace, &pod.name)?;
        Some(pod)
    };
    let may = |direction, pod: &ClusterPod, peer| {
        allows(state, direction, pod, &End::of(peer, state), port)
    };
    if here(from).is_some_and(|pod| !may(Direction::Egress, pod, to)) {
        return Some(DropReason::EgressIsolation);
    }
    if here(to).is_some_and(|pod| !may(Direction::Ingress, pod, from)) {
        return Some(DropReason::IngressIsolation);
    }
    None
}

/// A connection, and why it shall be dropped, if it shall.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) from: IpAddr,
    pub(crate) to: IpAddr,
    pub(crate) port: Port,
    pub(crate) wanted: Option<DropReason>,
    /// For whoever has to find out.
    pub(crate) what: String,
}

/// The switch is asked about one connection in so many: it takes longest.
const STRIDE: usize = 3;

/// How many connections the judges agreed upon, how many of those are denied, and about how many the switch was asked.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) agreed: usize,
    pub(crate) denied: usize,
    pub(crate) traced: usize,
}

/// Has connections judged by all.
///
/// # Panics
/// When one of them says otherwise than what is wanted.
pub(crate) fn judge(node: &mut Node<'_>, cases: impl IntoIterator<Item = Case>) -> Tally {
    let program = node.desired();
    let tables = Tables::from(&program);
    let mut tally = Tally::default();
    for case in cases {
        let Case {
            from,
            to,
            port,
            wanted,
            what,
        } = case;
        let said = expected(node.state(), from, to, port);
        assert_eq!(said, wanted, "evaluator, {what}");
        let packet = first(packet(node.state(), from, to, port));
        let outcome = tables.run_in(&mut World::default(), packet.clone());
        let met = match outcome.verdict {
            Verdict::Output(_) => None,
            Verdict::Dropped(reason) => Some(reason),
            ref other => panic!("{other:?}, {what}\n{outcome}"),
        };
        assert_eq!(met, wanted, "interpreter, {what}\n{outcome}");
        if tally.agreed.is_multiple_of(STRIDE) {
            let text = node.trace(&packet);
            assert_eq!(dropped(&text), wanted, "switch, {what}\n{text}");
            tally.traced += 1;
        }
        tally.agreed += 1;
        tally.denied += usize::from(wanted.is_some());
    }
    tally
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} connections, {} of them denied; {} of {} by the switch, too",
            self.agreed, self.denied, self.traced, self.agreed
        )
    }
}

/// The first of its connection.
fn first(packet: Packet) -> Packet {
    match packet.get(Field::IP_PROTO).to_u8() {
        6 => packet.with(Field::TCP_FLAGS, 0x002u16),
        _ => packet,
    }
}
