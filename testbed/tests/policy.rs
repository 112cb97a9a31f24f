//! NetworkPolicy, with real packets: who reaches whom, what a change disturbs, what becomes of connections that are
//! allowed no more, and what of all this can be seen.

use std::process::ExitCode;

use sluice_testbed::options::{Attach, Options};
use sluice_testbed::suite::{self, Group, Scenario};

#[path = "policy/allow.rs"]
mod allow;
// Shared with the tests of Services, which need all of it.
#[allow(dead_code)]
#[path = "services/bench.rs"]
mod bench;
#[path = "policy/cached.rs"]
mod cached;
#[path = "policy/changes.rs"]
mod changes;
#[path = "policy/common.rs"]
mod common;
#[allow(dead_code)]
#[path = "services/cost.rs"]
mod cost;
#[path = "policy/errors.rs"]
mod errors;
#[path = "policy/report.rs"]
mod report;
#[path = "policy/revoke.rs"]
mod revoke;

fn main() -> ExitCode {
    let group = |name: &str, attach, scenarios: &[Scenario]| Group {
        name: name.to_owned(),
        options: Options {
            nodes: 2,
            attach,
            ipv6: true,
            ..Options::default()
        },
        pods: vec![(1, "c1"), (1, "a1"), (1, "b1"), (2, "a2"), (2, "c2")],
        scenarios: scenarios.to_vec(),
    };
    let internal = |name, scenarios| group(name, Attach::Internal, scenarios);
    suite::main_sharing(vec![
        internal("allow", allow::SCENARIOS),
        internal("changes", changes::SCENARIOS),
        internal("cached", cached::SCENARIOS),
        internal("revoke", revoke::SCENARIOS),
        internal("errors", errors::SCENARIOS),
        internal("report", report::SCENARIOS),
        group("veth", Attach::Veth, allow::BASIC),
    ])
}
