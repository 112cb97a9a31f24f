//! What the datapath has cached of before a change of policy: it must not outlast it.

use std::net::IpAddr;

use anyhow::{Context as _, Result};
use serde_json::json;
use sluice_testbed::cluster::Cluster;
use sluice_testbed::datapath;
use sluice_testbed::dial::{Dial, Protocol};
use sluice_testbed::objects::Object;
use sluice_testbed::serve::{Listen, Server};
use sluice_testbed::steady::Load;
use sluice_testbed::suite::Scenario;

use crate::bench::{Bench, FAMILIES, PORT};
use crate::common::{SILENCE, app, ingress, labelled};
use crate::revoke::{Revoked, all_silent};

pub(crate) const SCENARIOS: &[Scenario] = &[(
    "connections_are_judged_right_however_often_policy_changes",
    overlaps,
)];

/// These ports are open to a client, or everything if none is named.
fn open_to(client: &str, server: &str, ports: &[u16]) -> Object {
    let both = |port: &u16| {
        [Protocol::Tcp, Protocol::Udp]
            .map(|protocol| json!({"protocol": protocol.name(), "port": port}))
    };
    let mut rule = json!({"from": [app(client)]});
    if !ports.is_empty() {
        rule["ports"] = ports.iter().flat_map(both).collect();
    }
    ingress(server, server, json!([rule]))
}

/// Waits until the switch has the change, and the datapath has been through all that it has cached.
fn settle(bench: &mut Bench<'_>) -> Result<()> {
    bench.folder.settle()?;
    datapath::revalidated(&bench.node(1)?)
}

/// Connections live while policy stops looking at ports, so that what comes to be cached speaks of them too, and then
/// looks at them again and denies them, or allows them. Before 2.17.8, 3.0.5 and 3.1.3 the userspace datapath, told to
/// change one of two cached flows that overlap, may change the other.
fn overlaps(cluster: &mut Cluster) -> Result<()> {
    const ROUNDS: u16 = 4;
    /// Each is cached apart: of which of two cached flows the datapath is told first, is chance.
    const HELD: [u16; 8] = [9200, 9210, 9220, 9230, 9240, 9250, 9260, 9270];
    /// Of this and the next ones nothing is cached yet.
    const FRESH: u16 = 9300;
    let mut bench = labelled(cluster)?;
    let client = bench.netns("c1")?;
    let both = |ports: &[u16], ip: IpAddr| -> Vec<Dial> {
        let of = |port: &u16| Protocol::ALL.map(|protocol| Dial::new(protocol, ip, *port));
        ports.iter().flat_map(of).collect()
    };
    // What looks at no ports is cached before what looks at them, and found before it.
    bench.folder.put(&open_to("c1", "b1", &[]))?;
    bench.folder.settle()?;
    let mut found_first = Vec::new();
    for ipv6 in FAMILIES {
        for dial in both(&[PORT], bench.address("b1", ipv6)?) {
            let mut conn = Revoked::open(&bench, "c1", &dial)?;
            conn.resumes("more")?;
            found_first.push(conn);
        }
    }
    bench.folder.put(&open_to("c1", "a1", &HELD))?;
    bench.folder.settle()?;
    let (mut listen, mut held) = (Vec::new(), Vec::new());
    for ipv6 in FAMILIES {
        let ip = bench.address("a1", ipv6)?;
        for port in HELD.into_iter().chain(FRESH..FRESH + ROUNDS) {
            let at = (ip, port).into();
            listen.extend([Listen::Tcp(at), Listen::Udp(at)]);
        }
    }
    let _server = Server::start(&bench.netns("a1")?, "ports", &listen)?;
    for ipv6 in FAMILIES {
        for dial in both(&HELD, bench.address("a1", ipv6)?) {
            held.push(Revoked::open(&bench, "c1", &dial)?);
        }
    }
    for round in 0..ROUNDS {
        let fresh = FRESH + round;
        let mut loads = Vec::new();
        for (step, (who, ports, silent)) in [
            ("c1", &HELD[..], false),
            ("c1", &[], false),
            ("c1", &[fresh], true),
            ("c1", &[], false),
            ("nobody", &[], true),
            ("c1", &HELD, false),
        ]
        .into_iter()
        .enumerate()
        {
            let what = || format!("round {round}, step {step}: open to {who}, ports {ports:?}");
            bench.folder.put(&open_to(who, "a1", ports))?;
            settle(&mut bench)?;
            if step == 1 {
                for ipv6 in FAMILIES {
                    for dial in both(&[fresh], bench.address("a1", ipv6)?) {
                        loads.push(Load::start(&client, &dial.within(SILENCE / 8))?);
                    }
                }
                loads.iter().try_for_each(|load| load.wait(20))?;
            }
            for time in 0..2 {
                let tag = format!("{round}-{step}-{time}");
                let resumes = |conn: &mut Revoked| conn.resumes(&tag);
                found_first.iter_mut().try_for_each(resumes)?;
                if silent {
                    all_silent(&mut held, &tag).with_context(what)?;
                } else {
                    held.iter_mut().try_for_each(resumes).with_context(what)?;
                }
            }
        }
        for load in loads {
            load.finish()?;
        }
    }
    Ok(())
}
