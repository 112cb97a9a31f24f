//! What the cluster is told by this node: that its network is there, why a pod of it has none, and which policies for a
//! pod of it are not in force as they are written.
//!
//! A task of its own talks to the API server; whoever has something to say never waits for it. What cannot be said
//! soon is dropped: it is in the log as well. Must not know how pods are attached.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use axum::http::Request;
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use serde_json::{Value, json};
use sluice_rpc::PodRef;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::readiness::Readiness;
use crate::source::kubernetes::Access;

/// How many reports may wait.
const WAITING: usize = 64;
/// The same is not said again of the same pod for so long.
const QUIET: Duration = Duration::from_secs(60);
/// How long one request may take.
const LIMIT: Duration = Duration::from_secs(10);
/// The first and the longest pause before the node's condition is tried again.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// Who says it.
const COMPONENT: &str = "sluice-agent";

#[derive(Debug)]
struct Report {
    pod: PodRef,
    /// In a word, as events have it.
    reason: &'static str,
    message: String,
}

/// Takes reports; clones report to the same cluster. Without a cluster it takes them and does nothing.
#[derive(Clone, Debug, Default)]
pub struct Reporter {
    sender: Option<mpsc::Sender<Report>>,
}

impl Reporter {
    /// A reporter for the node `node`, and the task that must be run for it.
    pub fn new(
        access: Access,
        node: String,
        readiness: Readiness,
        stop: CancellationToken,
    ) -> (Reporter, impl Future<Output = ()> + Send) {
        let (sender, reports) = mpsc::channel(WAITING);
        let task = async move {
            let work = async {
                tokio::join!(
                    condition(&access, &node, &readiness),
                    events(&access, &node, reports)
                )
            };
            stop.run_until_cancelled(work).await;
        };
        let reporter = Reporter {
            sender: Some(sender),
        };
        (reporter, task)
    }

    /// A pod could not be attached, for this reason.
    pub fn attach_failed(&self, pod: &PodRef, message: String) {
        self.say(pod, "NetworkAttachFailed", message);
    }

    /// A policy for a pod is not in force as it is written, for this reason.
    pub fn policy_refused(&self, pod: &PodRef, message: String) {
        self.say(pod, "NetworkPolicyRefused", message);
    }

    fn say(&self, pod: &PodRef, reason: &'static str, message: String) {
        if let Some(sender) = &self.sender {
            let pod = pod.clone();
            // Too many at once: what is lost here is in the log.
            let _ = sender.try_send(Report {
                pod,
                reason,
                message,
            });
        }
    }
}

/// Clears the node's condition NetworkUnavailable, which some clouds set on new nodes, once the agent serves.
async fn condition(access: &Access, node: &str, readiness: &Readiness) {
    readiness.ready().await;
    let now = now();
    let body = json!({"status": {"conditions": [{
        "type": "NetworkUnavailable",
        "status": "False",
        "reason": "SluiceIsReady",
        "message": "sluice-agent serves pods on this node",
        "lastHeartbeatTime": now,
        "lastTransitionTime": now,
    }]}});
    let path = format!("/api/v1/nodes/{node}/status");
    let mut pause = PAUSE.0;
    loop {
        let request = Request::patch(&path)
            .header("content-type", "application/strategic-merge-patch+json")
            .body(body.to_string().into_bytes());
        match send(access, request).await {
            Ok(()) => return tracing::info!("the node's condition NetworkUnavailable is False"),
            Err(error) => {
                tracing::warn!(
                    error,
                    "cannot clear the node's condition NetworkUnavailable"
                );
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE.1);
    }
}

async fn events(access: &Access, node: &str, mut reports: mpsc::Receiver<Report>) {
    let mut said: HashMap<(String, String), Instant> = HashMap::new();
    while let Some(report) = reports.recv().await {
        let Report { pod, message, .. } = &report;
        said.retain(|_, at| at.elapsed() < QUIET);
        let key = (format!("{}/{}", pod.namespace, pod.name), message.clone());
        if said.contains_key(&key) {
            continue;
        }
        said.insert(key, Instant::now());
        let path = format!("/api/v1/namespaces/{}/events", pod.namespace);
        let body = event(&report, node).to_string().into_bytes();
        let request = Request::post(path)
            .header("content-type", "application/json")
            .body(body);
        if let Err(error) = send(access, request).await {
            tracing::debug!(error, pod = %format!("{}/{}", pod.namespace, pod.name), "event not written");
        }
    }
}

fn event(report: &Report, node: &str) -> Value {
    let Report {
        pod,
        reason,
        message,
    } = report;
    let now = now();
    json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": format!("{}.", pod.name), "namespace": pod.namespace},
        "involvedObject": {
            "apiVersion": "v1",
            "kind": "Pod",
            "namespace": pod.namespace,
            "name": pod.name,
            "uid": pod.uid,
        },
        "type": "Warning",
        "reason": reason,
        "message": message,
        "source": {"component": COMPONENT, "host": node},
        "reportingComponent": COMPONENT,
        "reportingInstance": node,
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    })
}

async fn send(
    access: &Access,
    request: Result<Request<Vec<u8>>, axum::http::Error>,
) -> Result<(), String> {
    let request = request.map_err(|error| error.to_string())?;
    let work = async {
        // Seldom enough for a client of its own each time, which holds no connection in between.
        let client: Client = access.client().await.map_err(|error| error.to_string())?;
        let answer = client.request_text(request).await;
        answer.map(drop).map_err(|error| match error {
            kube::Error::Api(status) => format!("{} ({})", status.message, status.code),
            other => other.to_string(),
        })
    };
    tokio::time::timeout(LIMIT, work)
        .await
        .unwrap_or_else(|_| Err("no answer".to_owned()))
}

/// The time as the API writes it, to the second.
fn now() -> String {
    let seconds = Timestamp::now().as_second();
    Timestamp::from_second(seconds)
        .map(|time| time.to_string())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_names_the_pod_and_the_node() {
        let pod = PodRef {
            namespace: "shop".into(),
            name: "web".into(),
            uid: Some("u1".into()),
        };
        let report = Report {
            pod,
            reason: "NetworkAttachFailed",
            message: "no addresses left".into(),
        };
        let event = event(&report, "n1");
        assert_eq!(event["reason"], "NetworkAttachFailed");
        assert_eq!(event["involvedObject"]["uid"], "u1");
        assert_eq!(event["metadata"]["namespace"], "shop");
        assert_eq!(event["source"]["host"], "n1");
        let time = event["lastTimestamp"].as_str().expect("a time");
        assert!(time.ends_with('Z') && time.len() == 20, "{time}");
    }
}
