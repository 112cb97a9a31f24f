//! One endpoint's change: from the event of a source, through index, compiler and reconciler, to the barrier.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use openflow::MacAddr;
use sluice_agent::index::{Index, Options};
use sluice_agent::metrics::{KindLabel, MessageKind, Metrics};
use sluice_agent::reconciler;
use sluice_agent::source::{Event, Kind, Object, decode};
use sluice_flows::model::{Capabilities, Change, Gateway, LocalNode};

use crate::cold::{connect, empty, runtime};
use crate::objects;
use crate::stats::Sample;

const ENDPOINTS: usize = 10;
const CHANGES: usize = 2_000;
const PATIENCE: Duration = Duration::from_secs(120);

/// Measures among so many Services. Leaves the switch empty.
///
/// # Errors
/// When the switch fails.
pub(crate) fn measure(services: usize) -> Result<()> {
    runtime()?.block_on(measured(services))
}

async fn measured(services: usize) -> Result<()> {
    let connection = connect().await?;
    let (metrics, _registry) = Metrics::new();
    let options = reconciler::Options {
        control: None,
        datapath: "netdev@ovs-netdev".into(),
        epochs: false,
        audit_interval: Duration::from_secs(3600),
    };
    let handle = reconciler::start(connection.clone(), options, metrics.clone());
    let mut index = Index::with_options("bench", Options::default());
    let mut events = Vec::from(Kind::ALL.map(|kind| Event::Listed(kind, Vec::new())));
    for n in 0..services {
        events.push(Event::Set(object(Kind::Service, &objects::service(n))?));
        let slice = objects::slice(n, 0, ENDPOINTS);
        events.push(Event::Set(object(Kind::EndpointSlice, &slice)?));
    }
    let all = index.apply(events).joined.into_iter().map(Change::from);
    let all = std::iter::once(Change::Node(node()?)).chain(all);
    let answer = handle.submit(all.collect()).await?;
    handle.listed().await;
    tokio::time::timeout(PATIENCE, answer).await???;
    let sent = || {
        let kind = MessageKind::flow_mod;
        metrics
            .openflow_messages
            .get_or_create(&KindLabel { kind })
            .get()
    };
    let before = sent();
    let mut times = Vec::with_capacity(CHANGES);
    for change in 0..CHANGES {
        let (n, round) = (change % services, change / services + 1);
        let slice = object(Kind::EndpointSlice, &objects::slice(n, round, ENDPOINTS))?;
        let began = Instant::now();
        let changes = index.apply(vec![Event::Set(slice)]).joined;
        handle
            .apply(changes.into_iter().map(Change::from).collect())
            .await?;
        times.push(began.elapsed());
    }
    let each = f64::from(u32::try_from(sent() - before)?) / f64::from(u32::try_from(CHANGES)?);
    println!(
        "one endpoint changes among {services:5} Services × {ENDPOINTS}: {} flow mods {each:.1} each",
        Sample::new(times).line()
    );
    drop(handle);
    empty(&connection).await
}

fn object(kind: Kind, object: &serde_json::Value) -> Result<Object> {
    decode::object(kind, object.clone()).with_context(|| format!("{kind:?} {object}"))
}

/// A node whose ports exist or not: what is measured does not depend on them.
fn node() -> Result<LocalNode> {
    Ok(LocalNode {
        name: "bench".into(),
        pod_cidrs: vec!["10.244.0.0/20".parse()?],
        gateway: Gateway {
            ofport: 2,
            mac: MacAddr([2, 0, 0, 0, 0, 1]),
            ips: vec!["10.244.0.1".parse()?],
        },
        tunnel: None,
        addresses: vec!["172.31.255.1".parse()?],
        node_port_addresses: Vec::new(),
        caps: Capabilities::default(),
    })
}
