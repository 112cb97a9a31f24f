//! The recordings of kube-proxy's own tests: objects as they come and go, and rows of what a connection then meets.

use std::net::{IpAddr, SocketAddr};

use serde::Deserialize;
use serde_json::Value;
use sluice_agent::source::{Event, Kind, ObjectRef};

use crate::node::object;

/// A scenario, from the start of a kube-proxy on.
#[derive(Deserialize)]
pub(crate) struct Scenario {
    pub(crate) test: String,
    pub(crate) events: Vec<Value>,
}

/// kube-proxy's options, as it had them when it was asked.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Sync {
    pub(crate) node_name: String,
    pub(crate) masquerade_all: bool,
    pub(crate) local_detector_implemented: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Check {
    #[serde(rename = "nodeIPs")]
    pub(crate) node_ips: Vec<String>,
    pub(crate) rows: Vec<Row>,
}

/// What a connection meets.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Row {
    pub(crate) name: String,
    #[serde(rename = "sourceIP")]
    pub(crate) source: IpAddr,
    pub(crate) protocol: String,
    #[serde(rename = "destIP")]
    pub(crate) destination: IpAddr,
    pub(crate) dest_port: u16,
    /// Endpoints, or a word.
    pub(crate) output: String,
    pub(crate) masq: bool,
}

/// One step of a scenario.
pub(crate) enum Step {
    Event(Box<Event>),
    Check(Sync, Check),
}

impl Scenario {
    /// Every scenario of a file.
    pub(crate) fn all(file: &str) -> Vec<Scenario> {
        let text = crate::test_data(file);
        let scenarios = text.lines().map(serde_json::from_str);
        scenarios
            .map(|it| it.unwrap_or_else(|error| panic!("{file}: {error}")))
            .collect()
    }

    pub(crate) fn steps(&self) -> Vec<Step> {
        self.events.iter().filter_map(step).collect()
    }

    /// Every row with the number of its check.
    pub(crate) fn rows(&self) -> Vec<(usize, Row)> {
        let checks = self.steps().into_iter().filter_map(|step| match step {
            Step::Check(_, check) => Some(check.rows),
            Step::Event(_) => None,
        });
        let rows = checks.enumerate();
        rows.flat_map(|(n, rows)| rows.into_iter().map(move |row| (n, row)))
            .collect()
    }

    /// Every endpoint that ever comes, with the node that it is on, where it says so.
    pub(crate) fn endpoints(&self) -> Vec<(IpAddr, Option<String>)> {
        let slices = self.events.iter().filter_map(|event| event.get("eps-add"));
        let endpoints = slices.flat_map(|slice| slice["endpoints"].as_array().unwrap());
        endpoints
            .flat_map(|endpoint| {
                let node = endpoint["nodeName"].as_str().map(str::to_owned);
                let ips = endpoint["addresses"].as_array().unwrap().iter();
                ips.map(move |ip| (ip.as_str().unwrap().parse().unwrap(), node.clone()))
            })
            .collect()
    }
}

fn step(event: &Value) -> Option<Step> {
    if let Some(check) = event.get("check") {
        let read = "a check and how kube-proxy was set up";
        let sync = Sync::deserialize(&event["sync"]).expect(read);
        let check = Check::deserialize(check).expect(read);
        return Some(Step::Check(sync, check));
    }
    let (what, from) = event.as_object().unwrap().iter().next().unwrap();
    if from.is_null() {
        // An update to nothing: kube-proxy's own way to say that there is a deletion, which is recorded as well.
        return None;
    }
    let (kind, how) = what.split_once('-').unwrap();
    let kind = match kind {
        "svc" => Kind::Service,
        "eps" => Kind::EndpointSlice,
        _ => panic!("unknown event {what}"),
    };
    let event = match how {
        "add" | "update" => Event::Set(object(kind, from)),
        "delete" => {
            let metadata = |field: &str| from["metadata"][field].as_str().unwrap();
            let reference = ObjectRef::new(kind, metadata("namespace"), metadata("name"));
            Event::Gone(reference)
        }
        _ => panic!("unknown event {what}"),
    };
    Some(Step::Event(Box::new(event)))
}

impl Row {
    pub(crate) fn to(&self) -> SocketAddr {
        SocketAddr::new(self.destination, self.dest_port)
    }

    /// Whether it is about the same connection.
    pub(crate) fn is_like(&self, other: &Row) -> bool {
        let Row {
            name: _,
            source,
            protocol,
            destination,
            dest_port,
            output: _,
            masq: _,
        } = other;
        (&self.source, &self.protocol, &self.destination) == (source, protocol, destination)
            && self.dest_port == *dest_port
    }

    /// What it says in short.
    pub(crate) fn answer(&self) -> String {
        let what = match &*self.output {
            "" => "nothing done",
            output => output,
        };
        let masq = if self.masq { ", masqueraded" } else { "" };
        format!("{what}{masq}")
    }
}
