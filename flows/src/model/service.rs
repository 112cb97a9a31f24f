//! Services, as a node serves them: where they listen, and on which endpoints.
//!
//! Which endpoints are used (readiness, topology, traffic policies) was decided before: this is the result.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;

/// What identifies one port of a Service in one address family: `namespace/name:port/tcp/ipv4`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceId(Arc<str>);

impl ServiceId {
    /// The id of a port, by its name or, where it has none, its number.
    pub fn new(namespace: &str, name: &str, port: &str, protocol: Protocol, v6: bool) -> Self {
        let family = if v6 { "ipv6" } else { "ipv4" };
        Self(format!("{namespace}/{name}:{port}/{protocol}/{family}").into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ServiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ServiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

/// A transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// Every protocol.
    pub const ALL: [Self; 3] = [Self::Tcp, Self::Udp, Self::Sctp];

    /// Its number in IP headers.
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Sctp => 132,
        }
    }

    /// Its name, in lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An endpoint: where a connection to the Service ends up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Backend {
    /// Its address, of the family of the Service port.
    pub ip: IpAddr,
    /// Its port.
    pub port: u16,
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SocketAddr::new(self.ip, self.port).fmt(f)
    }
}

/// Which endpoints traffic may go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TrafficPolicy {
    /// To all of the cluster.
    Cluster,
    /// To those of this node only.
    Local,
}

/// Where a Service port listens.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Frontend {
    /// A clusterIP: `internalTrafficPolicy` holds for everyone; what comes from outside the cluster is masqueraded.
    Cluster {
        /// The address.
        ip: IpAddr,
        /// The port.
        port: u16,
        /// The Service's `internalTrafficPolicy`.
        policy: TrafficPolicy,
    },
    /// An externalIP or the address of a load balancer.
    External {
        /// The address.
        ip: IpAddr,
        /// The port.
        port: u16,
        /// The Service's `externalTrafficPolicy`.
        policy: TrafficPolicy,
        /// Who may use it (`loadBalancerSourceRanges`); `None` is everyone.
        sources: Option<Vec<IpNet>>,
    },
    /// A port of the node, on each of [`LocalNode::node_port_addresses`](super::LocalNode::node_port_addresses).
    NodePort {
        /// The port.
        port: u16,
        /// The Service's `externalTrafficPolicy`.
        policy: TrafficPolicy,
    },
}

/// One port of a Service, in one address family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServicePort {
    /// What identifies it.
    pub id: ServiceId,
    /// The Service's namespace.
    pub namespace: String,
    /// The Service's name.
    pub name: String,
    /// The port's name; empty if it has none.
    pub port_name: String,
    /// True for IPv6.
    pub v6: bool,
    /// Its protocol.
    pub protocol: Protocol,
    /// Where it listens.
    pub frontends: Vec<Frontend>,
    /// Endpoints for traffic that may go anywhere, sorted, without repetition.
    pub cluster: Vec<Backend>,
    /// Endpoints for traffic that must stay on this node, likewise; empty if no frontend asks for it.
    pub local: Vec<Backend>,
    /// For how many seconds after its last new connection a client keeps its endpoint (`sessionAffinity: ClientIP`).
    pub affinity: Option<u32>,
}
