//! The life of a pod attachment: CNI ADD, DEL, CHECK, GC and STATUS as the agent carries them out.
//!
//! The promises are those of `sluice_rpc`: calls for one attachment are served one after another,
//! calls for different ones at once; an ADD that fails, comes too late, or whose caller went away
//! leaves nothing behind. The switch's database is the only memory: what is held here is read back
//! from it when the agent starts.
//!
//! It must not know the protocols, nor how devices are made.

mod add;
mod book;
mod check;
mod locks;
pub mod numbers;
pub mod record;
mod recover;
mod remove;
mod stale;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ipnet::IpNet;
use sluice_flows::model::Uid;
use sluice_rpc::{
    AddRequest, AddResult, Attachment, CheckRequest, CheckResult, CniCode, CniError, DelRequest,
    DelResult, GcRequest, GcResult, PodRef, PodReport, StatusResult,
};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{AttachMode, DatapathType};
use crate::host::pod::{self, PodNic, Remnant};
use crate::metrics::{Metrics, Outcome};
use crate::readiness::{Condition, Readiness};
use crate::reconciler;
use crate::switch::Switch;
use book::Book;
use locks::Locks;
use record::Record;

/// How pods are attached.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How new pods are attached.
    pub mode: AttachMode,
    /// Which datapath carries the bridge.
    pub datapath: DatapathType,
    /// MTU of pods, bytes.
    pub mtu: u16,
    /// Longest time for one ADD.
    pub add_timeout: Duration,
}

/// The service; clones are the same one.
#[derive(Debug, Clone)]
pub struct Service {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    settings: Settings,
    switch: Switch,
    reconciler: reconciler::Handle,
    readiness: Readiness,
    metrics: Metrics,
    book: Book,
    locks: Locks,
    /// Whether the agent has been ready once, as far as STATUS has seen.
    served: AtomicBool,
    /// Whether changes of policies are on their way that may apply to pods being attached.
    held: tokio::sync::watch::Sender<bool>,
    tasks: TaskTracker,
}

impl Service {
    /// A service that knows no attachment yet: see [`recover`](Self::recover).
    pub fn new(
        settings: Settings,
        switch: Switch,
        reconciler: reconciler::Handle,
        readiness: Readiness,
        metrics: Metrics,
    ) -> Self {
        let book = Book::new(metrics.clone());
        let (locks, tasks) = (Locks::default(), TaskTracker::new());
        let shared = Shared {
            settings,
            switch,
            reconciler,
            readiness,
            metrics,
            book,
            locks,
            served: AtomicBool::new(false),
            held: tokio::sync::watch::Sender::new(false),
            tasks,
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// This node's pod address ranges are now these. Addresses in use stay in use.
    pub fn set_ranges(&self, ranges: &[IpNet]) {
        self.shared.book.set_ranges(ranges);
    }

    /// Whether changes of policies are known and wait for something: attachments wait for them, too.
    pub fn hold(&self, held: bool) {
        self.shared
            .held
            .send_if_modified(|before| std::mem::replace(before, held) != held);
    }

    /// CNI ADD. Dropping the future undoes what was done.
    ///
    /// # Errors
    /// With the code that CNI has for it; nothing is left behind.
    pub async fn add(&self, request: AddRequest) -> Result<AddResult, CniError> {
        let cancelled = CancellationToken::new();
        let hung_up = cancelled.clone().drop_guard();
        let shared = Arc::clone(&self.shared);
        // A task of its own, so that undoing does not depend on anyone who waits.
        let task = self.shared.tasks.spawn(async move {
            let began = Instant::now();
            let result = add::add(&shared, request, cancelled).await;
            shared.count("add", began, result.is_ok());
            result
        });
        let result = task
            .await
            .unwrap_or_else(|_| Err(internal("the request's task ended")));
        hung_up.disarm();
        result
    }

    /// CNI DEL: succeeds when anything, or everything, is gone already.
    ///
    /// # Errors
    /// If something is there and cannot be removed now.
    pub async fn del(&self, request: DelRequest) -> Result<DelResult, CniError> {
        let shared = Arc::clone(&self.shared);
        self.detached("del", async move { remove::del(&shared, request).await })
            .await
    }

    /// CNI CHECK.
    ///
    /// # Errors
    /// If the attachment is not known, or cannot be looked at.
    pub async fn check(&self, request: CheckRequest) -> Result<CheckResult, CniError> {
        let began = Instant::now();
        let result = check::check(&self.shared, request).await;
        self.shared.count("check", began, result.is_ok());
        result
    }

    /// CNI GC: goes on after failures and reports all.
    ///
    /// # Errors
    /// If the agent does not know its attachments yet.
    pub async fn gc(&self, request: GcRequest) -> Result<GcResult, CniError> {
        let shared = Arc::clone(&self.shared);
        self.detached("gc", async move { remove::gc(&shared, request).await })
            .await
    }

    /// CNI STATUS: could an ADD be served now? Looks at memory only.
    ///
    /// # Errors
    /// [`CniCode::NOT_AVAILABLE`], with reasons; [`CniCode::LIMITED_CONNECTIVITY`] when the switch
    /// was there and is not any more: pods that exist then miss what only it can do.
    pub fn status(&self) -> Result<StatusResult, CniError> {
        let began = Instant::now();
        let shared = &self.shared;
        let missing = shared.readiness.missing();
        let result = if let Some(why) = shared.readiness.explain() {
            let switch_lost = shared.served.load(Ordering::Relaxed)
                && missing
                    .iter()
                    .any(|(condition, _)| *condition == Condition::Flows);
            Err(if switch_lost {
                CniError::new(CniCode::LIMITED_CONNECTIVITY, "the switch is away").with_details(why)
            } else {
                CniError::new(CniCode::NOT_AVAILABLE, "not ready").with_details(why)
            })
        } else {
            shared.served.store(true, Ordering::Relaxed);
            match shared.book.exhausted() {
                None => Ok(StatusResult {}),
                Some(why) => {
                    Err(CniError::new(CniCode::NOT_AVAILABLE, "no address is left")
                        .with_details(why))
                }
            }
        };
        shared.count("status", began, result.is_ok());
        result
    }

    /// The attachments, in order of namespace, name and container.
    pub fn pods(&self) -> Vec<PodReport> {
        self.shared.book.reports()
    }

    /// The named pods that are attached here, with their addresses: by namespace, name and UID.
    pub fn named(&self) -> BTreeMap<(String, String, Uid), Vec<IpAddr>> {
        let mut named: BTreeMap<_, Vec<IpAddr>> = BTreeMap::new();
        for entry in self.shared.book.all() {
            if let Some(pod) = entry.record.pod {
                let uid = Uid::new(pod.uid.as_deref().unwrap_or_default());
                let ips = named.entry((pod.namespace, pod.name, uid)).or_default();
                ips.extend(entry.record.ips);
            }
        }
        named
    }

    /// The pods that are attached here, as the runtime named them.
    pub fn named_pods(&self) -> Vec<PodRef> {
        let entries = self.shared.book.all().into_iter();
        entries.filter_map(|entry| entry.record.pod).collect()
    }

    /// Ticks whenever an attachment comes or goes.
    pub fn changes(&self) -> tokio::sync::watch::Receiver<u64> {
        self.shared.book.changes()
    }

    /// The address ranges and how much of them is used.
    pub fn ranges(&self) -> Vec<sluice_rpc::report::RangeReport> {
        self.shared.book.ranges()
    }

    /// Waits for requests under way; later ones are still served.
    pub async fn drained(&self) {
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }

    /// Runs `work` to its end even if nobody waits any more: half a removal helps nobody.
    async fn detached<T: Send + 'static>(
        &self,
        command: &'static str,
        work: impl Future<Output = Result<T, CniError>> + Send + 'static,
    ) -> Result<T, CniError> {
        let shared = Arc::clone(&self.shared);
        let task = self.shared.tasks.spawn(async move {
            let began = Instant::now();
            let result = work.await;
            shared.count(command, began, result.is_ok());
            result
        });
        task.await
            .unwrap_or_else(|_| Err(internal("the request's task ended")))
    }
}

impl Shared {
    fn count(&self, command: &'static str, began: Instant, ok: bool) {
        let outcome = if ok { Outcome::ok } else { Outcome::refused };
        self.metrics
            .cni(command, outcome, began.elapsed().as_secs_f64());
    }

    /// The pod's interface as it should be.
    fn nic(&self, record: &Record, port: &str) -> PodNic {
        PodNic {
            host_ifname: port.to_owned(),
            netns: record.netns.clone(),
            ifname: record.attachment.ifname.clone(),
            mac: record.mac.0,
            addrs: record.ips.clone(),
            mtu: record.mtu.into(),
            attachment: device_kind(record.mode),
            datapath: self.datapath(),
            router_mac: sluice_flows::pipeline::ROUTER_MAC.0,
        }
    }

    fn remnant(&self, record: &Record, port: &str) -> Remnant {
        Remnant {
            host_ifname: port.to_owned(),
            netns: Some(record.netns.clone()),
            ifname: record.attachment.ifname.clone(),
            mac: Some(record.mac.0),
            attachment: device_kind(record.mode),
        }
    }

    fn datapath(&self) -> pod::Datapath {
        match self.settings.datapath {
            DatapathType::System => pod::Datapath::Kernel,
            DatapathType::Netdev => pod::Datapath::Userspace,
        }
    }

    /// Waits until attachments can be made, as long as the caller can wait.
    async fn ready(&self, until: tokio::time::Instant) -> Result<(), CniError> {
        tokio::time::timeout_at(until, self.readiness.ready())
            .await
            .map_err(|_| {
                CniError::new(CniCode::TRY_AGAIN, "the agent is not ready")
                    .with_details(self.readiness.explain().unwrap_or_default())
            })
    }

    /// Waits until the attachments made before the agent started are known.
    async fn recovered(&self, until: tokio::time::Instant) -> Result<(), CniError> {
        tokio::time::timeout_at(until, self.book.recovered())
            .await
            .map_err(|_| {
                CniError::new(
                    CniCode::TRY_AGAIN,
                    "the agent does not know its attachments yet",
                )
                .with_details(self.readiness.explain().unwrap_or_default())
            })
    }
}

fn device_kind(mode: AttachMode) -> pod::Attachment {
    match mode {
        AttachMode::Internal => pod::Attachment::Internal,
        AttachMode::Veth => pod::Attachment::Veth,
    }
}

fn internal(message: impl Into<String>) -> CniError {
    CniError::new(CniCode::AGENT, message)
}

/// What CNI hears about an attachment.
fn result(record: &Record, port: &str) -> AddResult {
    use crate::host::{ROUTER_V4, ROUTER_V6};
    let mut result = AddResult {
        host_ifname: port.to_owned(),
        host_mac: None,
        mac: record.mac.to_string(),
        mtu: record.mtu,
        ips: Vec::new(),
        routes: Vec::new(),
        dns: None,
    };
    for &ip in &record.ips {
        let (gateway, all) = if ip.is_ipv4() {
            (ROUTER_V4.into(), IpNet::V4(ipnet::Ipv4Net::default()))
        } else {
            (ROUTER_V6.into(), IpNet::V6(ipnet::Ipv6Net::default()))
        };
        result.ips.push(sluice_rpc::IpAssignment {
            address: ip.into(),
            gateway: Some(gateway),
        });
        result.routes.push(sluice_rpc::Route {
            dst: all,
            gw: Some(gateway),
        });
    }
    result
}

/// For logs.
fn sandbox(attachment: &Attachment) -> &str {
    &attachment.container_id
}

/// Whether two files are the same network namespace.
fn same_namespace(a: &Path, b: &Path) -> std::io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    let (a, b) = (std::fs::metadata(a)?, std::fs::metadata(b)?);
    Ok((a.dev(), a.ino()) == (b.dev(), b.ino()))
}
