//! Services, with real packets: who is reached at which address, what a change of endpoints disturbs, and what a
//! packet costs the datapath.

use std::process::ExitCode;

use sluice_testbed::options::{Attach, Options};
use sluice_testbed::suite::{self, Group, Scenario};

#[path = "services/affinity.rs"]
mod affinity;
#[path = "services/bench.rs"]
mod bench;
#[path = "services/cached.rs"]
mod cached;
#[path = "services/changes.rs"]
mod changes;
#[path = "services/cluster_ip.rs"]
mod cluster_ip;
#[path = "services/conntrack.rs"]
mod conntrack;
#[path = "services/cost.rs"]
mod cost;
#[path = "services/node_port.rs"]
mod node_port;
#[path = "services/own_addresses.rs"]
mod own_addresses;
#[path = "services/policy_change.rs"]
mod policy_change;
#[path = "services/report.rs"]
mod report;
#[path = "services/spread.rs"]
mod spread;

fn main() -> ExitCode {
    let group = |name: &str, attach, scenarios: &[&[Scenario]]| Group {
        name: name.to_owned(),
        options: Options {
            nodes: 2,
            attach,
            ipv6: true,
            agent: vec!["external-ips = true".into()],
            ..Options::default()
        },
        pods: vec![(1, "c1"), (1, "a1"), (1, "b1"), (2, "a2"), (2, "c2")],
        scenarios: scenarios.concat(),
    };
    let internal = |name, scenarios| group(name, Attach::Internal, &[scenarios]);
    let mut own_addresses = internal("own_addresses", own_addresses::SCENARIOS);
    let everywhere = "node-port-addresses = \"0.0.0.0/0,::/0\"";
    own_addresses.options.agent.push(everywhere.into());
    suite::main(vec![
        internal("cluster_ip", cluster_ip::SCENARIOS),
        internal("node_port", node_port::SCENARIOS),
        own_addresses,
        internal("affinity", affinity::SCENARIOS),
        internal("changes", changes::SCENARIOS),
        internal("policy_change", policy_change::SCENARIOS),
        internal("cached", cached::SCENARIOS),
        internal("conntrack", conntrack::SCENARIOS),
        internal("report", report::SCENARIOS),
        internal("cost", cost::SCENARIOS),
        internal("spread", spread::SCENARIOS),
        group(
            "veth",
            Attach::Veth,
            &[cluster_ip::BASIC, node_port::BASIC, cost::BASIC],
        ),
    ])
}
