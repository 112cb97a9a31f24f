//! As much of an API server as the agent asks: every kind over a watch, and what happens to pods.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use futures::StreamExt as _;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::cluster::{Cluster, line};

/// A running API server; its thread ends with the process.
#[derive(Debug)]
pub(crate) struct Api {
    address: SocketAddr,
    /// Lines for whoever watches pods.
    pub(crate) changes: mpsc::UnboundedSender<String>,
}

impl Api {
    /// How it is reached.
    pub(crate) fn kubeconfig(&self) -> String {
        json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "bench",
            "clusters": [{"name": "bench", "cluster": {"server": format!("http://{}", self.address)}}],
            "users": [{"name": "bench", "user": {}}],
            "contexts": [{"name": "bench", "context": {"cluster": "bench", "user": "bench"}}],
        })
        .to_string()
    }
}

/// What there is at the start, and what comes.
struct Served {
    pods: Vec<String>,
    nodes: Vec<String>,
    namespaces: Vec<String>,
    policies: Vec<String>,
    changes: Mutex<Option<mpsc::UnboundedReceiver<String>>>,
}

/// # Errors
/// When nothing can be listened on.
pub(crate) fn start(cluster: &Cluster) -> Result<Api> {
    let (changes, receiver) = mpsc::unbounded_channel();
    let added = |object: Value| line("ADDED", &object);
    let served = Arc::new(Served {
        pods: cluster.lines().collect(),
        nodes: Cluster::nodes().map(added).collect(),
        namespaces: Cluster::namespaces().map(added).collect(),
        policies: cluster.policies().map(added).collect(),
        changes: Mutex::new(Some(receiver)),
    });
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    std::thread::Builder::new()
        .name("api-server".into())
        .spawn(move || {
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
                let answer = move |uri: Uri| {
                    let served = served.clone();
                    async move { served.answer(&uri) }
                };
                let served = axum::serve(listener, Router::new().fallback(answer));
                served.await.expect("served");
            });
        })
        .context("no thread")?;
    Ok(Api { address, changes })
}

impl Served {
    fn answer(&self, uri: &Uri) -> Response {
        let query = uri.query().unwrap_or_default();
        if !query.contains("watch=true") {
            return json!({}).to_string().into_response();
        }
        if !query.contains("sendInitialEvents=true") {
            return StatusCode::NOT_IMPLEMENTED.into_response();
        }
        let objects = match uri.path() {
            "/api/v1/pods" => &self.pods,
            "/api/v1/nodes" => &self.nodes,
            "/api/v1/namespaces" => &self.namespaces,
            "/apis/networking.k8s.io/v1/networkpolicies" => &self.policies,
            _ => &Vec::new(),
        };
        let end = line(
            "BOOKMARK",
            &json!({"metadata": {"resourceVersion": "2", "annotations": {"k8s.io/initial-events-end": "true"}}}),
        );
        let all: Vec<String> = objects.iter().cloned().chain([end]).collect();
        let changes = match uri.path() {
            "/api/v1/pods" => {
                let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
                changes.take()
            }
            _ => None,
        };
        let there = futures::stream::iter(all);
        let then = futures::stream::unfold(changes, |changes| async move {
            let Some(mut changes) = changes else {
                // Nothing ever happens to others.
                return std::future::pending().await;
            };
            let line = changes.recv().await?;
            Some((line, Some(changes)))
        });
        let lines = there.chain(then);
        Body::from_stream(lines.map(|line| Ok::<_, std::io::Error>(Bytes::from(line))))
            .into_response()
    }
}
