//! What the socket offers, put together from the parts that know.

mod policies;
mod services;
mod unknown;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use sluice_flows::pipeline::Table;
use sluice_flows::{Cookie, DropReason};
use sluice_rpc::report::DropReasonReport;
use sluice_rpc::{
    AddRequest, AddResult, CheckRequest, CheckResult, DelRequest, DelResult, DropsReport,
    DropsRequest, ErrorObject, FlowsReport, FlowsRequest, GcRequest, GcResult, PodState,
    PodsReport, PoliciesReport, PoliciesRequest, ServicesReport, ServicesRequest, StatusReport,
    StatusRequest, StatusResult, VerifyDifference, VerifyReport, WhyReport, WhyRequest, code,
    report,
};

use crate::attach;
use crate::drops::{self, Drops};
use crate::index::Index;
use crate::readiness::Readiness;
use crate::reconciler::{self, InspectError};
use crate::reporter::Reporter;
use crate::rpc::Api;
use crate::source::SourceStatus;
use crate::switch::{Built, Switch};

/// The agent as its callers see it.
#[derive(Debug)]
pub struct Agent {
    /// Name of this node.
    pub node: String,
    /// When the agent started.
    pub started: Instant,
    /// MTU of pods, bytes.
    pub pod_mtu: u16,
    /// Attachments.
    pub service: attach::Service,
    /// Flows.
    pub reconciler: reconciler::Handle,
    /// Bridge and database.
    pub switch: Switch,
    /// The bridge as it was built when the agent started.
    pub built: Built,
    /// Whether all is well.
    pub readiness: Readiness,
    /// Samples of dropped packets.
    pub drops: Drops,
    /// The cluster's objects, joined.
    pub index: Arc<Mutex<Index>>,
    /// Tells the cluster of what fails.
    pub reporter: Reporter,
    /// How the source of the cluster's state fares, once there is one.
    pub source: Arc<OnceLock<SourceStatus>>,
}

impl Api for Agent {
    async fn cni_add(&self, request: AddRequest) -> Result<AddResult, ErrorObject> {
        let pod = request.pod.clone();
        match self.service.add(request).await {
            Ok(result) => Ok(result),
            Err(error) => {
                let error = ErrorObject::from(error);
                if let Some(pod) = pod {
                    self.reporter.attach_failed(&pod, error.to_string());
                }
                Err(error)
            }
        }
    }

    async fn cni_del(&self, request: DelRequest) -> Result<DelResult, ErrorObject> {
        Ok(self.service.del(request).await?)
    }

    async fn cni_check(&self, request: CheckRequest) -> Result<CheckResult, ErrorObject> {
        Ok(self.service.check(request).await?)
    }

    async fn cni_gc(&self, request: GcRequest) -> Result<GcResult, ErrorObject> {
        Ok(self.service.gc(request).await?)
    }

    async fn cni_status(&self, _: StatusRequest) -> Result<StatusResult, ErrorObject> {
        Ok(self.service.status()?)
    }

    async fn status(&self) -> Result<StatusReport, ErrorObject> {
        Ok(self.report())
    }

    async fn pods(&self) -> Result<PodsReport, ErrorObject> {
        Ok(PodsReport {
            pods: self.service.pods(),
        })
    }

    async fn flows(&self, request: FlowsRequest) -> Result<FlowsReport, ErrorObject> {
        let flows = self.reconciler.flows(request).await.map_err(unanswered)?;
        Ok(FlowsReport { flows })
    }

    async fn services(&self, request: ServicesRequest) -> Result<ServicesReport, ErrorObject> {
        let flows = self.reconciler.services().await.map_err(unanswered)?;
        let index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(services::report(&index, &flows, &request))
    }

    async fn policies(&self, request: PoliciesRequest) -> Result<PoliciesReport, ErrorObject> {
        let flows = self.reconciler.policies().await.map_err(unanswered)?;
        let index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(policies::report(&index, &flows, &request))
    }

    async fn why(&self, request: WhyRequest) -> Result<WhyReport, ErrorObject> {
        self.reconciler.why(request).await.map_err(|error| {
            let index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
            unknown::explain(&index, &error).map_or_else(
                || unanswered(error),
                |message| ErrorObject::new(code::FAILED, message),
            )
        })
    }

    async fn drops(&self, request: DropsRequest) -> Result<DropsReport, ErrorObject> {
        let news = if request.follow {
            self.drops.follow(request.after).await
        } else {
            drops::News::default()
        };
        let table = FlowsRequest {
            table: Some(Table::Drop.id().0),
            object: None,
        };
        let flows = self.reconciler.flows(table).await.map_err(unanswered)?;
        let counters = flows.into_iter().filter_map(|flow| {
            let cookie = Cookie::from_u64(flow.cookie)?;
            let reason = DropReason::from_code(cookie.id())?;
            Some(DropReasonReport {
                reason: reason.name().to_owned(),
                explanation: reason.explanation().to_owned(),
                packets: flow.packets,
                bytes: flow.bytes,
            })
        });
        Ok(DropsReport {
            reasons: counters.collect(),
            samples: news.samples,
            last: news.last,
            lost: news.lost,
        })
    }

    async fn verify(&self) -> Result<VerifyReport, ErrorObject> {
        let mut report = self.reconciler.verify().await.map_err(unanswered)?;
        report.differences.extend(self.missing_ports());
        report.in_sync = report.differences.is_empty();
        Ok(report)
    }
}

impl Agent {
    /// Attachments whose port is not in the switch's database, or that the switch could not make.
    fn missing_ports(&self) -> Vec<VerifyDifference> {
        let attached = self
            .service
            .pods()
            .into_iter()
            .filter(|pod| pod.state != PodState::Pending);
        attached
            .filter_map(|pod| {
                let found = self.switch.port(&pod.host_ifname);
                let kind = match &found {
                    None => "missing",
                    Some(port) if port.error.is_some() || port.ofport != pod.ofport => "changed",
                    Some(_) => return None,
                };
                let number = |port: Option<u32>| port.map_or("none".to_owned(), |n| n.to_string());
                Some(VerifyDifference {
                    kind: kind.to_owned(),
                    what: "port".to_owned(),
                    object: Some(format!("pod {}/{}", pod.namespace, pod.name)),
                    desired: Some(format!("{} number {}", pod.host_ifname, number(pod.ofport))),
                    installed: found.map(|port| {
                        let error = port.error.map(|e| format!(" ({e})")).unwrap_or_default();
                        format!("{} number {}{error}", port.name, number(port.ofport))
                    }),
                })
            })
            .collect()
    }

    fn report(&self) -> StatusReport {
        let status = self.reconciler.status().borrow().clone();
        let wanted = self.switch.wanted();
        let versions = self.switch.versions();
        let pods = self.service.pods();
        let mut problems: Vec<String> = Vec::new();
        for (condition, why) in self.readiness.missing() {
            problems.push(format!("{}: {why}", condition.as_str()));
        }
        problems.extend(status.refused.iter().cloned());
        problems.extend(status.conflicts.iter().cloned());
        problems.extend(status.policy_faults.iter().cloned());
        if let Some(source) = self.source.get() {
            problems.extend(source.problems());
        }
        let index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        problems.extend(index.missing_pods().map(|pods| {
            format!("policies speak of pods in {pods}, and these are not listed yet: what is in force allows them nothing")
        }));
        drop(index);
        for pod in pods.iter().filter(|pod| pod.state == PodState::Broken) {
            let problem = pod.problem.as_deref().unwrap_or("broken");
            problems.push(format!("pod {}/{}: {problem}", pod.namespace, pod.name));
        }
        StatusReport {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            protocol: sluice_rpc::PROTOCOL,
            node: self.node.clone(),
            uptime_seconds: self.started.elapsed().as_secs(),
            ready: self.readiness.is_ready(),
            problems,
            switch: report::SwitchReport {
                ovs_version: versions.ovs,
                db_version: versions.database,
                bridge: wanted.bridge.clone(),
                datapath_type: wanted.datapath_type.to_string(),
                ovsdb_connected: self.switch.in_sync(),
                openflow_connected: status.generation.is_some(),
                generation: status.generation.unwrap_or_default(),
            },
            tunnel: wanted.tunnel.as_ref().map(|tunnel| report::TunnelReport {
                kind: tunnel.kind.to_string(),
                ifname: tunnel.name.clone(),
                ofport: self.built.tunnel_ofport.unwrap_or_default(),
                pod_mtu: self.pod_mtu,
            }),
            ranges: self.service.ranges(),
            reconciler: report::ReconcilerReport {
                in_sync: status.in_sync(),
                bundles: status.bundles,
                failures: status.failures,
                repaired: status.repaired,
                last_audit_seconds: status.compared.map(|at| at.elapsed().as_secs_f64()),
                last_error: status.last_error.as_deref().map(str::to_owned),
            },
            counts: BTreeMap::from(
                [
                    ("pods", pods.len()),
                    ("peers", status.peers),
                    ("flows", status.flows),
                    ("groups", status.groups),
                ]
                .map(|(name, n)| (name.to_owned(), u64::try_from(n).unwrap_or(u64::MAX))),
            ),
            watches: self.source.get().map(watches).unwrap_or_default(),
        }
    }
}

fn watches(source: &SourceStatus) -> Vec<report::WatchReport> {
    let watches = source.watches().into_iter();
    watches
        .map(|(target, watching)| report::WatchReport {
            what: target.to_string(),
            objects: u64::try_from(watching.objects).unwrap_or(u64::MAX),
            bytes: watching.bytes,
            changes: watching.changes,
            lists: watching.lists,
            live: watching.listed && watching.trouble.is_none(),
        })
        .collect()
}

fn unanswered(error: InspectError) -> ErrorObject {
    ErrorObject::new(code::FAILED, error.to_string())
}
