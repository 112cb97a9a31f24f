use proptest::prelude::*;

use sluice_flows::model::{Change, ClusterPod, NodeName};

use super::super::*;
use crate::source::{Node, object::PodState};

fn node(name: &str, cidrs: &[&str], ips: &[&str]) -> Node {
    Node {
        name: name.into(),
        pod_cidrs: cidrs
            .iter()
            .map(|text| text.parse().expect("a CIDR"))
            .collect(),
        internal_ips: ips
            .iter()
            .map(|text| text.parse().expect("an address"))
            .collect(),
        ..Node::default()
    }
}

fn set(node: &Node) -> Event {
    Event::Set(node.clone().into())
}

fn gone(name: &str) -> Event {
    Event::Gone(ObjectRef::new(Kind::Node, "", name))
}

fn listed(nodes: &[Node]) -> Vec<Event> {
    let of = |kind| match kind {
        Kind::Node => nodes.iter().cloned().map(Object::from).collect(),
        _ => Vec::new(),
    };
    Kind::ALL
        .map(|kind| Event::Listed(kind, of(kind)))
        .into_iter()
        .collect()
}

fn text(changes: &[Change]) -> Vec<String> {
    changes
        .iter()
        .map(|change| match change {
            Change::PeerSet(peer) => {
                format!("{} {:?} by {}", peer.name, peer.pod_cidrs, peer.underlay)
            }
            Change::PeerGone(name) => format!("no {name}"),
            other => format!("unexpected {other:?}"),
        })
        .collect()
}

#[test]
fn nothing_is_said_before_every_kind_was_listed() {
    let mut index = Index::new("n1");
    let nodes = [
        node("n1", &["10.1.1.0/24"], &["192.0.2.1"]),
        node("n2", &["10.1.2.0/24"], &["192.0.2.2"]),
    ];
    let mut events = listed(&nodes);
    let last = events.pop().expect("events");
    assert!(index.apply(events).is_empty());
    assert!(
        index
            .apply(vec![set(&node("n3", &["10.1.3.0/24"], &["192.0.2.3"]))])
            .is_empty()
    );
    let update = index.apply(vec![last]);
    assert_eq!(
        text(&update.changes),
        [
            "n2 [10.1.2.0/24] by 192.0.2.2",
            "n3 [10.1.3.0/24] by 192.0.2.3"
        ]
    );
    assert_eq!(
        update.own.expect("our own node").pod_cidrs,
        nodes[0].pod_cidrs
    );
}

#[test]
fn a_relist_of_what_is_known_changes_nothing() {
    let mut index = Index::new("n1");
    let nodes = [
        node("n1", &["10.1.1.0/24"], &["192.0.2.1"]),
        node("n2", &["10.1.2.0/24"], &["192.0.2.2"]),
    ];
    assert!(!index.apply(listed(&nodes)).is_empty());
    assert!(index.apply(listed(&nodes)).is_empty());
    assert!(index.apply(vec![set(&nodes[1])]).is_empty());
    let pod = Pod {
        cluster: Arc::new(ClusterPod {
            namespace: "web".into(),
            name: "p".into(),
            ..ClusterPod::default()
        }),
        state: Arc::new(PodState {
            node: "n2".into(),
            ..PodState::default()
        }),
    };
    assert!(index.apply(vec![Event::Set(pod.clone().into())]).is_empty());
    assert_eq!(
        (index.pod("web", "p"), index.count(Kind::Pod)),
        (Some(&pod), 1)
    );
    assert_eq!(text(&index.apply(listed(&nodes[..1])).changes), ["no n2"]);
    assert_eq!(index.peers().len(), 0);
}

#[test]
fn a_node_is_a_peer_only_with_both_a_cidr_and_an_address() {
    let mut index = Index::new("n1");
    index.apply(listed(&[]));
    assert!(
        index
            .apply(vec![set(&node("n2", &[], &["192.0.2.2"]))])
            .is_empty()
    );
    assert!(
        index
            .apply(vec![set(&node("n2", &["10.1.2.0/24"], &[]))])
            .is_empty()
    );
    let update = index.apply(vec![set(&node("n2", &["10.1.2.0/24"], &["192.0.2.2"]))]);
    assert_eq!(text(&update.changes), ["n2 [10.1.2.0/24] by 192.0.2.2"]);
    let update = index.apply(vec![set(&node(
        "n2",
        &["10.1.2.0/24", "fd00:2::/64"],
        &["192.0.2.2"],
    ))]);
    assert_eq!(
        text(&update.changes),
        ["n2 [10.1.2.0/24, fd00:2::/64] by 192.0.2.2"]
    );
    assert_eq!(
        text(&index.apply(vec![set(&node("n2", &[], &[]))]).changes),
        ["no n2"]
    );
    assert!(index.apply(vec![gone("n2")]).is_empty());
}

#[test]
fn our_own_node_may_come_late_change_and_go() {
    let mut index = Index::new("n1");
    assert_eq!(index.apply(listed(&[])).own, None);
    let update = index.apply(vec![set(&node("n1", &[], &["192.0.2.1"]))]);
    assert_eq!(update.own.expect("our own node").pod_cidrs, []);
    let update = index.apply(vec![set(&node("n1", &["10.1.1.0/24"], &["192.0.2.1"]))]);
    assert_eq!(update.own.expect("our own node").pod_cidrs.len(), 1);
    assert!(
        index.apply(vec![gone("n1")]).is_empty(),
        "what is here stays here"
    );
    assert_eq!(index.own().map(|own| own.pod_cidrs.len()), Some(1));
}

#[test]
fn the_underlays_family_is_that_of_our_own_first_address() {
    let mut index = Index::new("n1");
    let dual = node("n2", &["10.1.2.0/24"], &["192.0.2.2", "2001:db8::2"]);
    index.apply(listed(&[
        node("n1", &[], &["2001:db8::1", "192.0.2.1"]),
        dual.clone(),
    ]));
    assert_eq!(
        index.peers().next().expect("a peer").underlay,
        dual.internal_ips[1]
    );
    let update = index.apply(vec![set(&node("n1", &[], &["192.0.2.1"]))]);
    assert_eq!(text(&update.changes), ["n2 [10.1.2.0/24] by 192.0.2.2"]);
    let update = index.apply(vec![set(&node("n3", &["10.1.3.0/24"], &["2001:db8::3"]))]);
    assert_eq!(
        text(&update.changes),
        ["n3 [10.1.3.0/24] by 2001:db8::3"],
        "better than nothing"
    );
}

fn any_node() -> impl Strategy<Value = Node> {
    let cidrs =
        proptest::sample::subsequence(vec!["10.1.0.0/24", "10.2.0.0/24", "fd00:1::/64"], 0..=2);
    let ips = proptest::sample::subsequence(vec!["192.0.2.1", "192.0.2.2", "2001:db8::1"], 0..=2)
        .prop_shuffle();
    ("n[1-4]", cidrs, ips).prop_map(|(name, cidrs, ips)| node(&name, &cidrs, &ips))
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => any_node().prop_map(|node| set(&node)),
        2 => "n[2-4]".prop_map(|name| gone(&name)),
        1 => proptest::collection::vec(any_node(), 0..5)
            .prop_map(|nodes| Event::Listed(Kind::Node, nodes.into_iter().map(Object::from).collect())),
    ]
}

proptest! {
    /// Whatever the history and however it is cut into batches, the changes add up to what a fresh index says of
    /// the final objects, and each of them is a change.
    #[test]
    fn deltas_add_up_to_a_fresh_snapshot(
        batches in proptest::collection::vec(proptest::collection::vec(any_event(), 0..5), 0..20),
    ) {
        let mut index = Index::new("n1");
        let mut peers: BTreeMap<NodeName, Peer> = BTreeMap::new();
        let mut batches = batches;
        batches.insert(0, listed(&[]));
        for batch in batches {
            let update = index.apply(batch);
            for change in update.changes {
                match change {
                    Change::PeerSet(peer) => {
                        prop_assert_ne!(peers.get(&peer.name), Some(&peer));
                        peers.insert(peer.name.clone(), peer);
                    }
                    Change::PeerGone(name) => prop_assert!(peers.remove(&name).is_some()),
                    other => prop_assert!(false, "unexpected {:?}", other),
                }
            }
        }
        prop_assert_eq!(peers.values().collect::<Vec<_>>(), index.peers().collect::<Vec<_>>());

        // A fresh index is told our own node as this one last knew it: it may be gone since.
        let mut nodes: Vec<Node> = index.nodes.all().filter(|node| &*node.name != "n1").cloned().collect();
        if let Some(own) = index.own() {
            nodes.push(Node {
                name: "n1".into(),
                pod_cidrs: own.pod_cidrs.clone(),
                internal_ips: own.internal_ips.clone(),
                ..Node::default()
            });
        }
        let mut fresh = Index::new("n1");
        fresh.apply(listed(&nodes));
        prop_assert_eq!(fresh.own(), index.own());
        prop_assert_eq!(fresh.peers().collect::<Vec<_>>(), index.peers().collect::<Vec<_>>());
    }
}
