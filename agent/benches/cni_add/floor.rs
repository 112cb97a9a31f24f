//! The least that attaches a pod to Open vSwitch: one OVSDB transaction that makes an internal
//! port, the wait until the switch has made it (moved earlier, its device is lost again: the
//! switch is not done with it), the device moved into the pod, and the pod's addresses, neighbours
//! and routes by netlink. No flows, no records, no process of its own, and one connection to the
//! database that is already there.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use nix::sched::{CloneFlags, setns};
use serde_json::{Value, json};

use crate::daemons::OVSDB;
use crate::netlink::{Batch, index_of};
use crate::sandbox::run;

const BRIDGE: &str = "br-floor";
const ROUTER_MAC: [u8; 6] = [0xaa, 0, 0, 0, 0, 1];

/// The bridge that the floor's ports hang on, beside the agent's in the same switch.
pub(crate) struct Bridge;

impl Bridge {
    pub(crate) fn new() -> Result<Self> {
        run(
            "ovs-vsctl",
            &[
                "--timeout=30",
                "add-br",
                BRIDGE,
                "--",
                "set",
                "Bridge",
                BRIDGE,
                "datapath_type=netdev",
                "fail_mode=secure",
            ],
        )?;
        Ok(Bridge)
    }

    /// Removes it with all its ports and waits for the switch to have done so.
    pub(crate) fn remove(self) -> Result<()> {
        run("ovs-vsctl", &["--timeout=60", "del-br", BRIDGE]).map(drop)
    }
}

/// A database connection shared by all, as in a daemon.
pub(crate) struct Floor {
    ovsdb: Mutex<UnixStream>,
    heard: Arc<Heard>,
}

/// What the database has said.
#[derive(Default)]
struct Heard {
    said: Mutex<Said>,
    changed: Condvar,
}

#[derive(Default)]
struct Said {
    /// Interfaces that have a port number.
    numbered: BTreeSet<String>,
    /// The first thing that went wrong.
    failed: Option<String>,
}

impl Floor {
    pub(crate) fn new() -> Result<Self> {
        let mut ovsdb = UnixStream::connect(OVSDB).context("no database server")?;
        let select = json!({"initial": false, "insert": false, "delete": false, "modify": true});
        let monitor = json!({"id": "monitor", "method": "monitor", "params": [
            "Open_vSwitch", null, {"Interface": {"columns": ["name", "ofport"], "select": select}},
        ]});
        ovsdb.write_all(monitor.to_string().as_bytes())?;
        let heard = Arc::new(Heard::default());
        let (stream, hearing) = (ovsdb.try_clone()?, Arc::clone(&heard));
        std::thread::spawn(move || hearing.listen(stream));
        Ok(Floor {
            ovsdb: Mutex::new(ovsdb),
            heard,
        })
    }

    /// Attaches pod `number`, whose namespace is at `netns`; how long it took.
    pub(crate) fn attach(&self, number: u16, netns: &Path) -> Result<Duration> {
        let started = Instant::now();
        let name = format!("fl{number:04x}");
        self.add_port(&name, number, netns)?;
        self.heard.wait_for(&name)?;
        let index = index_of(&name)?;
        let file = File::open(netns)?;
        let [high, low] = number.to_be_bytes();
        let mut batch = Batch::default();
        batch.move_in(
            index,
            "eth0",
            [0x0a, 0, 0, 1, high, low],
            1450,
            file.as_raw_fd(),
        )?;
        batch.send()?;
        let inside = std::thread::spawn(move || -> Result<()> {
            setns(&file, CloneFlags::CLONE_NEWNET)?;
            configure(number)
        });
        inside
            .join()
            .map_err(|_| anyhow::anyhow!("a thread panicked"))??;
        Ok(started.elapsed())
    }

    /// One transaction: interface, port, and the bridge's reference to it.
    fn add_port(&self, name: &str, number: u16, netns: &Path) -> Result<()> {
        let external_ids = json!([
            "map",
            [
                ["sandbox", format!("{:064x}", number)],
                ["netns", netns],
                ["pod", format!("default/pod-{number}")],
                ["mac", "0a:00:00:01:00:00"],
                ["ips", format!("10.250.0.{number}")],
            ]
        ]);
        let request = json!({"id": number, "method": "transact", "params": [
            "Open_vSwitch",
            {"op": "insert", "table": "Interface", "uuid-name": "iface", "row": {
                "name": name, "type": "internal", "ofport_request": u32::from(number) + 1024,
                "external_ids": external_ids,
            }},
            {"op": "insert", "table": "Port", "uuid-name": "port", "row": {
                "name": name, "interfaces": ["named-uuid", "iface"],
            }},
            {"op": "mutate", "table": "Bridge", "where": [["name", "==", BRIDGE]],
                "mutations": [["ports", "insert", ["named-uuid", "port"]]]},
        ]});
        let mut ovsdb = self.ovsdb.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(ovsdb.write_all(request.to_string().as_bytes())?)
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        let ovsdb = self.ovsdb.get_mut().unwrap_or_else(PoisonError::into_inner);
        // Ends the listening thread.
        let _ = ovsdb.shutdown(std::net::Shutdown::Both);
    }
}

impl Heard {
    /// Reads until the connection ends.
    fn listen(&self, stream: UnixStream) {
        let reader = std::io::BufReader::new(stream);
        for message in serde_json::Deserializer::from_reader(reader).into_iter::<Value>() {
            let outcome = message
                .map_err(Into::into)
                .and_then(|message| self.take(&message));
            let Err(error) = outcome else { continue };
            let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
            said.failed.get_or_insert(format!("{error:#}"));
            self.changed.notify_all();
            return;
        }
    }

    fn take(&self, message: &Value) -> Result<()> {
        if let Some(results) = message["result"].as_array() {
            ensure!(
                results.iter().all(|result| result.get("error").is_none()),
                "{message}"
            );
        }
        let rows = message["params"][1]["Interface"].as_object();
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        for row in rows.into_iter().flat_map(|rows| rows.values()) {
            let row = &row["new"];
            if let (Some(name), Some(1..)) = (row["name"].as_str(), row["ofport"].as_i64()) {
                said.numbered.insert(name.to_owned());
            }
        }
        self.changed.notify_all();
        Ok(())
    }

    fn wait_for(&self, name: &str) -> Result<()> {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(error) = &said.failed {
                bail!("{error}");
            }
            if said.numbered.remove(name) {
                return Ok(());
            }
            said = self
                .changed
                .wait(said)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Runs inside the pod.
fn configure(number: u16) -> Result<()> {
    for (key, value) in [
        ("disable_ipv6", "0"),
        ("accept_ra", "0"),
        ("accept_dad", "0"),
        ("accept_redirects", "0"),
    ] {
        // A kernel without the key lacks what it governs.
        match std::fs::write(format!("/proc/sys/net/ipv6/conf/eth0/{key}"), value) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    let [high, low] = number.to_be_bytes();
    let eth0 = index_of("eth0")?;
    let mut batch = Batch::default();
    batch.up(1)?;
    batch.up(eth0)?;
    batch.address(eth0, IpAddr::V4(Ipv4Addr::new(10, 250, high, low)))?;
    batch.address(
        eth0,
        IpAddr::V6(Ipv6Addr::new(0xfd00, 0x250, 0, 0, 0, 0, 0, number)),
    )?;
    for router in [
        IpAddr::V4(Ipv4Addr::new(169, 254, 1, 1)),
        IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1)),
    ] {
        batch.neighbour(eth0, router, ROUTER_MAC)?;
        batch.default_route(eth0, router)?;
    }
    batch.send()
}
