//! What many Services cost the agent: the first synchronisation of an empty switch against the same messages sent
//! without an agent, one endpoint's change from event to barrier, and memory.
//!
//! ```text
//! cargo bench -p sluice-agent --bench services            # as root, Open vSwitch installed
//! ```

use std::process::ExitCode;

use anyhow::Result;

mod change;
mod cold;
#[path = "../node/daemons.rs"]
mod daemons;
#[path = "../node/objects.rs"]
mod objects;
#[path = "../node/sandbox.rs"]
mod sandbox;
#[path = "../node/stats.rs"]
mod stats;

use daemons::Switch;

/// Services, and endpoints of each.
const SHAPES: [(usize, usize); 2] = [(4_000, 7), (10_000, 10)];
/// Among how many Services one endpoint changes.
const AMONG: [usize; 3] = [100, 1_000, 10_000];

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> Result<ExitCode> {
    if std::env::args().any(|argument| argument == "--test") {
        return Ok(ExitCode::SUCCESS);
    }
    sandbox::enter()?;
    let switch = Switch::start()?;
    for (services, endpoints) in SHAPES {
        cold::measure(&switch, services, endpoints)?;
    }
    for services in AMONG {
        change::measure(services)?;
    }
    Ok(ExitCode::SUCCESS)
}
