//! A node as the agent makes one of the cluster's objects, with its flows in a real switch.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use openflow::connection::{FlowStatsRequest, Options as ConnectionOptions};
use openflow::{Connection, MacAddr};
use serde_json::{Value, json};
use sluice_agent::index::{Index, NodePort, Options, OwnNode, Update};
use sluice_agent::node::{gateway_addresses, gateway_mac};
use sluice_agent::source::{Event, Kind, Object, decode};
use sluice_flows::handover::{NODE_PORT, handovers};
use sluice_flows::model::{
    Capabilities, Change, Gateway, LocalNode, LocalPod, PodId, Protocol, State, Tunnel, TunnelKind,
    Uid,
};
use sluice_flows::{Compiler, Patch, Program, diff};

use crate::switch::Switch;
use crate::trace::{Packet, Verdict, trace, trace_first};

const TUNNEL: u32 = 1;
const GATEWAY: u32 = 2;
const FIRST_POD: u32 = 10;
/// How many source ports are tried at least and at most.
const TRIES: (u16, u16) = (32, 512);

/// A switch with room for so many pods.
pub(crate) fn switch(pods: u32) -> Switch {
    let ports: Vec<u32> = [TUNNEL, GATEWAY]
        .into_iter()
        .chain(FIRST_POD..FIRST_POD + pods)
        .collect();
    Switch::start(&ports, TUNNEL)
}

/// A `v1` Node.
pub(crate) fn node_object(name: &str, pod_cidrs: &[String], ips: &[String]) -> Value {
    let address = |ip: &String| json!({"type": "InternalIP", "address": ip});
    json!({
        "metadata": {"name": name},
        "spec": {"podCIDRs": pod_cidrs},
        "status": {"addresses": ips.iter().map(address).collect::<Vec<_>>()},
    })
}

pub(crate) fn object(kind: Kind, from: &Value) -> Object {
    let object = decode::object(kind, from).unwrap_or_else(|misfit| panic!("{misfit}: {from}"));
    assert!(object.refusals().is_empty(), "{:?}", object.refusals());
    object
}

/// What connections from somewhere to somewhere meet.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Met {
    pub(crate) endpoints: BTreeSet<SocketAddr>,
    /// Whether endpoints see the client's own address, in every case where one was met.
    pub(crate) masqueraded: BTreeSet<bool>,
    /// What else became of some of them.
    pub(crate) others: Vec<Verdict>,
}

pub(crate) struct Node<'a> {
    switch: &'a mut Switch,
    pub(crate) index: Index,
    compiler: Compiler,
    pods: BTreeMap<IpAddr, LocalPod>,
}

impl<'a> Node<'a> {
    /// The node called `name` among these. `node_ports` is the agent's key `node-port-addresses`.
    pub(crate) async fn new(
        switch: &'a mut Switch,
        name: &str,
        options: Options,
        nodes: &[Value],
        node_ports: &[IpNet],
    ) -> Self {
        let mut index = Index::with_options(name, options);
        let nodes: Vec<Object> = nodes.iter().map(|it| object(Kind::Node, it)).collect();
        let listed = Kind::ALL.map(|kind| match kind {
            Kind::Node => Event::Listed(kind, nodes.clone()),
            _ => Event::Listed(kind, Vec::new()),
        });
        let update = index.apply(listed.into());
        let local = local_node(name, index.own().unwrap(), node_ports);
        let mut node = Self {
            switch,
            index,
            compiler: Compiler::new(State::new(local)),
            pods: BTreeMap::new(),
        };
        for change in changes(update) {
            node.compiler.apply(change);
        }
        // What another node left in the switch goes.
        let all = node.difference().await;
        node.send(vec![all]).await;
        node
    }

    /// Attaches a pod that the cluster knows nothing of to the switch.
    pub(crate) async fn attach(&mut self, ip: IpAddr) {
        let number = self.pods.len();
        self.attach_as(ip, "default", &format!("pod-{number}"))
            .await;
    }

    /// Attaches a pod to the switch.
    pub(crate) async fn attach_as(&mut self, ip: IpAddr, namespace: &str, name: &str) {
        let ofport = FIRST_POD + u32::try_from(self.pods.len()).unwrap();
        let [high, low] = u16::try_from(ofport).unwrap().to_be_bytes();
        let pod = LocalPod {
            id: PodId::new(format!("sandbox-{ip}")),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            uid: Uid::default(),
            ofport,
            mac: MacAddr([0x0a, 0, 0, 0, high, low]),
            ips: vec![ip],
        };
        self.pods.insert(ip, pod.clone());
        let patch = self.compiler.apply(Change::PodSet(pod));
        self.send(vec![patch]).await;
    }

    /// Takes events in and brings the switch up to date.
    pub(crate) async fn take(&mut self, events: Vec<Event>) {
        let update = self.index.apply(events);
        let changes = changes(update).into_iter();
        let patches = changes
            .map(|change| self.compiler.apply(change))
            .collect::<Vec<_>>();
        self.send(patches).await;
    }

    /// The state that the flows are made of.
    pub(crate) fn state(&self) -> &State {
        self.compiler.state()
    }

    /// What the switch holds.
    pub(crate) fn desired(&self) -> Program {
        self.compiler.desired()
    }

    /// What the switch says of a packet, written as it wants it.
    pub(crate) fn trace(&mut self, packet: &impl fmt::Display) -> String {
        trace_first(self.switch, packet)
    }

    /// How many flows the switch has now.
    pub(crate) fn flows(&self) -> usize {
        self.compiler.desired().len()
    }

    async fn connect(&self) -> Connection {
        let target = self.switch.target().parse().unwrap();
        let connection = Connection::connect(target, ConnectionOptions::default());
        connection.connected().await.unwrap();
        connection
    }

    /// What the switch is short of, and what it holds too much.
    async fn difference(&self) -> Patch {
        let connection = self.connect().await;
        let flows = connection.dump_flows(FlowStatsRequest::default()).await;
        let groups = connection.dump_groups().await.unwrap();
        diff(&self.compiler.desired(), &flows.unwrap(), &groups)
    }

    /// Sends patches; afterwards the switch holds what it should, to the last field.
    async fn send(&self, patches: Vec<Patch>) {
        let connection = self.connect().await;
        for patch in patches {
            let sent = connection.bundle(patch.messages()).await;
            sent.unwrap_or_else(|error| panic!("{error}: {patch:#?}"));
        }
        let difference = self.difference().await;
        assert!(difference.is_empty(), "{difference:#?}");
    }

    /// What connections meet, tried from one source port after the other until every endpoint of `expected` was met.
    pub(crate) fn connections(
        &mut self,
        protocol: Protocol,
        source: IpAddr,
        destination: SocketAddr,
        expected: &BTreeSet<SocketAddr>,
    ) -> Met {
        let (in_port, mac) = match self.pods.get(&source) {
            Some(pod) => (pod.ofport, pod.mac),
            None => (GATEWAY, self.compiler.state().local.gateway.mac),
        };
        let destination = if in_port == GATEWAY {
            self.handed_over(protocol, destination)
        } else {
            destination
        };
        let mut met = Met::default();
        for n in 0..TRIES.1 {
            if n >= TRIES.0 && met.endpoints.is_superset(expected) {
                break;
            }
            let packet = Packet {
                in_port,
                mac,
                protocol,
                // Every value of its low bits, and all over the range.
                source: SocketAddr::new(source, 20_000 + n * 83),
                destination,
            };
            let (verdict, text) = trace(self.switch, &packet);
            match verdict {
                Verdict::Endpoint { at, from, by } => {
                    assert_eq!(by.unwrap_or(in_port), self.way_to(at.ip()), "{text}");
                    met.endpoints.insert(at);
                    met.masqueraded.insert(from != source);
                }
                other if met.others.contains(&other) => {}
                other => met.others.push(other),
            }
        }
        met
    }

    /// What one connection from a pod meets.
    pub(crate) fn connection(
        &mut self,
        protocol: Protocol,
        source: IpAddr,
        destination: SocketAddr,
    ) -> Verdict {
        let pod = &self.pods[&source];
        let packet = Packet {
            in_port: pod.ofport,
            mac: pod.mac,
            protocol,
            source: SocketAddr::new(source, 40_000),
            destination,
        };
        trace(self.switch, &packet).0
    }

    /// The port that leads to an endpoint.
    fn way_to(&self, ip: IpAddr) -> u32 {
        match self.pods.get(&ip) {
            Some(pod) => pod.ofport,
            None => TUNNEL,
        }
    }

    /// Where the host sends what it gets: what is for a port of its own that the switch serves, to the address at which
    /// the switch serves it.
    fn handed_over(&self, protocol: Protocol, to: SocketAddr) -> SocketAddr {
        let local = &self.compiler.state().local;
        let port = NodePort {
            v6: to.is_ipv6(),
            protocol,
            port: to.port(),
        };
        let node_port = local.node_port_addresses.contains(&to.ip())
            && self.index.node_ports().any(|it| it == port);
        let external = self.index.external_at(&local.addresses);
        if external.contains(&(to.ip(), protocol, to.port())) {
            SocketAddr::new(handovers(&local.addresses)[&to.ip()], to.port())
        } else if node_port {
            SocketAddr::new(NODE_PORT[usize::from(to.is_ipv6())], to.port())
        } else {
            to
        }
    }
}

/// The node as the agent describes it to the compiler.
fn local_node(name: &str, own: &OwnNode, node_ports: &[IpNet]) -> LocalNode {
    let ips = gateway_addresses(&own.pod_cidrs);
    let named = |ip: &&IpAddr| node_ports.iter().any(|net| net.contains(*ip));
    let first = |v4: bool| own.internal_ips.iter().find(|ip| ip.is_ipv4() == v4);
    let node_port_addresses = if node_ports.is_empty() {
        let both = [first(true), first(false)].into_iter().flatten();
        both.copied().collect()
    } else {
        own.internal_ips.iter().filter(named).copied().collect()
    };
    LocalNode {
        name: name.into(),
        pod_cidrs: own.pod_cidrs.clone(),
        gateway: Gateway {
            ofport: GATEWAY,
            mac: gateway_mac(&ips),
            ips,
        },
        tunnel: Some(Tunnel {
            ofport: TUNNEL,
            kind: TunnelKind::Vxlan,
        }),
        addresses: own.internal_ips.clone(),
        node_port_addresses,
        caps: Capabilities::default(),
    }
}

/// What the compiler has to know of an update.
fn changes(update: Update) -> Vec<Change> {
    let forgotten = update.forgotten_addresses.into_iter();
    let mut changes = update.changes;
    changes.extend(update.joined.into_iter().map(Change::from));
    changes.extend(forgotten.map(Change::ForgetEndpoint));
    changes
}
