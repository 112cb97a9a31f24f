//! EndpointSlices. A large cluster has more endpoints than pods, so that every byte counts.

use std::{net::IpAddr, sync::Arc, time::SystemTime};

use sluice_flows::model::Protocol;

use super::Refusal;

/// Some endpoints of a Service, all of one address family and with the same ports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointSlice {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// The Service (label `kubernetes.io/service-name`); empty if it belongs to none that we serve.
    pub service: Arc<str>,
    /// The ports of each endpoint.
    pub ports: Vec<EndpointPort>,
    /// The endpoints.
    pub endpoints: Vec<Endpoint>,
    /// When the change happened that its last change answers.
    pub triggered: Option<SystemTime>,
    /// What of it is not in force.
    pub refusals: Vec<Refusal>,
}

/// A port of some endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointPort {
    /// The name of the Service's port that it answers.
    pub name: Arc<str>,
    /// Its protocol.
    pub protocol: Protocol,
    /// Its number.
    pub port: u16,
}

/// An endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its address.
    pub ip: IpAddr,
    /// How it fares.
    pub state: State,
    /// The node it is on, where known.
    pub node: Option<Arc<str>>,
    /// The zone it is in, where known.
    pub zone: Option<Arc<str>>,
    /// Who should use it, where anybody has an opinion.
    pub hints: Option<Box<Hints>>,
}

/// How an endpoint fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct State {
    /// New connections may go to it.
    pub ready: bool,
    /// It answers, whether or not it is about to end.
    pub serving: bool,
    /// It is about to end.
    pub terminating: bool,
}

impl Default for State {
    /// Of an endpoint of which nothing is said.
    fn default() -> State {
        State {
            ready: true,
            serving: true,
            terminating: false,
        }
    }
}

/// From where an endpoint should be used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Hints {
    /// From these zones.
    pub zones: Vec<Arc<str>>,
    /// From these nodes.
    pub nodes: Vec<Arc<str>>,
}

impl EndpointSlice {
    /// Whether another says the same of its endpoints, whenever that was triggered.
    pub fn says_the_same(&self, other: &EndpointSlice) -> bool {
        self.namespace == other.namespace
            && self.service == other.service
            && self.ports == other.ports
            && self.endpoints == other.endpoints
    }
}
