//! The daemon: wires the parts together and owns start and stop.
//!
//! Start: database → bridge → what is attached already → cluster state → flows → CNI. Each step
//! only waits for what it needs; what is not there yet is retried and shown as not ready. Stop:
//! requests under way are finished, the dataplane is left as it is.

mod cluster;
mod sessions;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use openflow::connection::{BackoffOptions, Connection, Options};
use sluice_flows::model::TunnelKind;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api::Agent;
use crate::attach::{Service, Settings};
use crate::config::{Config, TunnelType};
use crate::drops::Drops;
use crate::health::{self, HealthChecks};
use crate::index::Index;
use crate::metrics::{Metrics, Watches};
use crate::readiness::{Condition, Readiness};
use crate::reporter::Reporter;
use crate::rpc::listener::{Limits, Listener};
use crate::switch::{Built, Switch, SwitchError, Tunnel, Wanted};
use crate::{conflist, host, http, mtu, node, reconciler, rpc};

/// How long one attempt to reach the database, or to build the bridge, may take.
const ATTEMPT: Duration = Duration::from_secs(20);

/// Pause between attempts.
const PAUSE: Duration = Duration::from_secs(1);

/// Runs the agent until it is told to stop (SIGTERM or SIGINT).
///
/// # Errors
/// If the agent cannot serve and waiting would not help: the switch lacks what is asked for, a
/// name is taken, a listener cannot be bound.
pub fn run(config: Config) -> anyhow::Result<()> {
    // One thread does all: the work is waiting. Namespaces are entered on threads of their own.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(8)
        .thread_keep_alive(Duration::from_secs(2))
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(async {
        let stop = CancellationToken::new();
        let (mut term, mut int) = (
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
        );
        let on_signal = stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = term.recv() => tracing::info!("SIGTERM: stopping"),
                _ = int.recv() => tracing::info!("SIGINT: stopping"),
            }
            on_signal.cancel();
        });
        serve(config, stop).await
    })
}

/// Runs the agent until `stop`, on the current runtime.
///
/// # Errors
/// As [`run`].
pub async fn serve(config: Config, stop: CancellationToken) -> anyhow::Result<()> {
    let (readiness, tasks) = (Readiness::default(), TaskTracker::new());
    let (metrics, mut registry) = Metrics::new();
    let source = Arc::new(OnceLock::new());
    registry.register_collector(Box::new(Watches::new(Arc::clone(&source))));
    let node = config.node();
    tracing::info!(version = env!("CARGO_PKG_VERSION"), node, bridge = %config.bridge, "starting");
    if let Some(address) = config.http.0 {
        let serving = http::serve(
            address,
            readiness.clone(),
            registry,
            Arc::clone(&source),
            stop.clone(),
        );
        tasks.spawn(serving.await?);
    }

    let wanted = wanted(&config);
    let Some((switch, built)) = until(&stop, reach(&config, &wanted, &metrics, &readiness))
        .await
        .transpose()?
    else {
        return Ok(());
    };
    tasks.spawn(sessions::watch_database(
        switch.clone(),
        metrics.clone(),
        readiness.clone(),
        stop.clone(),
    ));

    let target = config.openflow_target();
    let target = target
        .parse()
        .with_context(|| format!("OpenFlow endpoint {target:?}"))?;
    let connection = Connection::connect(target, openflow_options());
    let options = reconciler::Options {
        audit_interval: config.audit_interval.0,
        control: config.switch_folder(),
        datapath: format!("{0}@ovs-{0}", config.datapath_type),
        epochs: built.hazard.is_some(),
    };
    let dropped = connection.packet_ins();
    let reconciler = reconciler::start(connection, options, metrics.clone());

    let pod_mtu = pod_mtu(&config, &wanted);
    let settings = Settings {
        mode: config.attach,
        datapath: config.datapath_type,
        mtu: pod_mtu,
        add_timeout: config.add_timeout.0,
    };
    let service = Service::new(
        settings,
        switch.clone(),
        reconciler.clone(),
        readiness.clone(),
        metrics.clone(),
    );
    let recovered = service.recover();
    tracing::info!(
        pods = recovered.len(),
        "attachments recovered from the switch's database"
    );
    let _applied_later = reconciler.submit(recovered).await?;
    service.sweep().await;

    let index = cluster::index(&node, &config);
    let drops = Drops::default();
    tasks.spawn(drops.clone().sample(
        dropped,
        reconciler.clone(),
        names(service.clone(), Arc::clone(&index)),
        stop.clone(),
    ));
    let reporter = match config.access() {
        None => Reporter::default(),
        Some(access) => {
            let (reporter, task) =
                Reporter::new(access, node.clone(), readiness.clone(), stop.clone());
            tasks.spawn(task);
            reporter
        }
    };
    let agent = Agent {
        node: node.clone(),
        started: Instant::now(),
        pod_mtu,
        service: service.clone(),
        reconciler: reconciler.clone(),
        switch: switch.clone(),
        built: built.clone(),
        readiness: readiness.clone(),
        drops: drops.clone(),
        index: Arc::clone(&index),
        reporter: reporter.clone(),
        source: Arc::clone(&source),
    };
    let listener = Listener::bind(&config.socket).await?;
    let serving = listener.serve(
        rpc::module(Arc::new(agent))?,
        Limits::default(),
        stop.clone(),
    );
    let serving = tokio::spawn(serving);

    let (nets, net) = tokio::sync::watch::channel(None);
    let (device_changes, device_changed) = tokio::sync::watch::channel(0);
    tasks.spawn(node::keep(
        net,
        device_changed,
        readiness.clone(),
        stop.clone(),
    ));
    let (addresses, bound) = tokio::sync::watch::channel(None);
    let following = host::addresses::follow(addresses);
    let stopped = stop.clone();
    tasks.spawn(async move {
        until(&stopped, following).await;
    });
    let (health_checks, health_wanted) = tokio::sync::watch::channel(HealthChecks::new());
    tasks.spawn(health::serve(
        health_wanted,
        health::Limits::default(),
        stop.clone(),
    ));
    let cluster = cluster::Cluster {
        node,
        config: config.clone(),
        built,
        pod_mtu,
        service: service.clone(),
        reconciler: reconciler.clone(),
        readiness: readiness.clone(),
        metrics: metrics.clone(),
        nets,
        health: health_checks,
        bound,
        reporter,
        index,
        status: source,
    };
    tasks.spawn(cluster.follow(stop.clone()));
    let sessions = sessions::Sessions {
        switch,
        service: service.clone(),
        reconciler,
        readiness: readiness.clone(),
        metrics,
        device_changes,
        rebuild_interval: config.audit_interval.0,
    };
    tasks.spawn(sessions.follow(stop.clone()));
    tasks.spawn(announce(config.clone(), readiness, stop.clone()));

    stop.cancelled().await;
    tasks.close();
    let drained = async {
        // The socket closes first, then what came over it is finished.
        let _served = serving.await;
        service.drained().await;
        tasks.wait().await;
    };
    if tokio::time::timeout(config.drain_timeout.0, drained)
        .await
        .is_err()
    {
        tracing::warn!("requests under way did not finish in time");
    }
    tracing::info!("stopped; the switch goes on as it is");
    Ok(())
}

/// Names the pod that has an address: of those attached here, or else of those the cluster knows.
fn names(service: Service, index: Arc<Mutex<Index>>) -> impl Fn(IpAddr) -> Option<String> + Send {
    move |ip| {
        let pods = service.pods();
        let pod = pods.iter().find(|pod| pod.ips.contains(&ip));
        if let Some(pod) = pod {
            return Some(format!("{}/{}", pod.namespace, pod.name));
        }
        let index = index.lock().unwrap_or_else(PoisonError::into_inner);
        index
            .pod_of(ip)
            .map(|(namespace, name)| format!("{namespace}/{name}"))
    }
}

/// The switch is on the same machine: a failed attempt costs nothing, and each moment without a
/// session after its restart is one without forwarding.
fn openflow_options() -> Options {
    Options {
        backoff: BackoffOptions {
            min: Duration::from_millis(20),
            max: Duration::from_millis(500),
            stable_after: Duration::from_secs(5),
        },
        ..Options::default()
    }
}

/// Reaches the database and builds the bridge, as long as waiting can help.
async fn reach(
    config: &Config,
    wanted: &Wanted,
    metrics: &Metrics,
    readiness: &Readiness,
) -> anyhow::Result<(Switch, Built)> {
    let switch = loop {
        match Switch::connect(&config.ovsdb, wanted.clone(), ATTEMPT, metrics.clone()).await {
            Ok(switch) => break switch,
            Err(error) if passing(&error) => readiness.fails(Condition::Ovsdb, error.to_string()),
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(PAUSE).await;
    };
    readiness.holds(Condition::Ovsdb);
    loop {
        match switch.build(ATTEMPT).await {
            Ok(built) => {
                readiness.holds(Condition::Switch);
                if let Some(hazard) = &built.hazard {
                    tracing::warn!("{hazard}");
                }
                return Ok((switch, built));
            }
            Err(error) if passing(&error) => readiness.fails(Condition::Switch, error.to_string()),
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// True if the error may go away by itself.
fn passing(error: &SwitchError) -> bool {
    use SwitchError::{Foreign, Missing, NoBridge, Schema, Stopped};
    !matches!(
        error,
        Schema(_) | Missing(_) | Foreign { .. } | NoBridge(_) | Stopped
    )
}

/// Writes the conflist once all is ready.
async fn announce(config: Config, readiness: Readiness, stop: CancellationToken) {
    let Some(path) = config.conflist.0 else {
        return;
    };
    if until(&stop, readiness.ready()).await.is_none() {
        return;
    }
    match conflist::write(&path, &config.socket) {
        Ok(true) => tracing::info!(path = %path.display(), "conflist written"),
        Ok(false) => tracing::debug!(path = %path.display(), "conflist is there"),
        Err(error) => {
            tracing::error!(error = %format!("{error:#}"), "no conflist: pods cannot be attached")
        }
    }
}

/// The bridge that the configuration asks for.
pub fn wanted(config: &Config) -> Wanted {
    Wanted {
        bridge: config.bridge.to_string(),
        datapath_type: config.datapath_type,
        gateway: config.gateway.to_string(),
        tunnel: tunnel_kind(config.tunnel).map(|kind| Tunnel {
            name: config.tunnel_name.to_string(),
            kind,
            dst_port: config.tunnel_dst_port.0,
        }),
    }
}

fn tunnel_kind(tunnel: TunnelType) -> Option<TunnelKind> {
    Some(match tunnel {
        TunnelType::Vxlan => TunnelKind::Vxlan,
        TunnelType::Geneve => TunnelKind::Geneve,
        TunnelType::Gre => TunnelKind::Gre,
        TunnelType::Stt => TunnelKind::Stt,
        TunnelType::None => return None,
    })
}

fn pod_mtu(config: &Config, wanted: &Wanted) -> u16 {
    let kind = wanted.tunnel.as_ref().map(|tunnel| tunnel.kind);
    let family = if config.underlay_ipv6 {
        mtu::Family::V6
    } else {
        mtu::Family::V4
    };
    mtu::pod_mtu(config.underlay_mtu, kind, family)
}

/// `None` if `stop` comes first.
async fn until<T>(stop: &CancellationToken, work: impl Future<Output = T>) -> Option<T> {
    stop.run_until_cancelled(work).await
}
