//! As much of an API server as the agent asks: it tells what there is of every kind over a watch, and what happens to
//! pods afterwards; of pods those of a node or of a namespace, if it is asked for these. The agent's tests use it too.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use futures::StreamExt as _;
use serde_json::{Value, json};
use tokio::sync::mpsc;

pub(crate) const PODS: &str = "/api/v1/pods";
pub(crate) const NODES: &str = "/api/v1/nodes";
pub(crate) const NAMESPACES: &str = "/api/v1/namespaces";
pub(crate) const POLICIES: &str = "/apis/networking.k8s.io/v1/networkpolicies";

/// What there is, in lines as a watch has them, by path.
pub(crate) type Objects = HashMap<&'static str, Vec<String>>;

/// A running API server; its thread ends with the process.
#[derive(Debug)]
pub(crate) struct Api {
    address: SocketAddr,
    /// Lines for whoever watches the pod that they are about.
    pub(crate) pods: mpsc::UnboundedSender<String>,
}

/// A line of a watch.
pub(crate) fn line(kind: &str, object: &Value) -> String {
    format!("{}\n", json!({"type": kind, "object": object}))
}

impl Api {
    /// Starts one behind a listener, which may be of another network namespace. What a watch is told of pods at its
    /// beginning is what there was at the start.
    ///
    /// # Errors
    /// When there can be no thread.
    pub(crate) fn start(listener: TcpListener, objects: Objects) -> std::io::Result<Self> {
        let (pods, mut changes) = mpsc::unbounded_channel::<String>();
        let mut objects: HashMap<_, Vec<Bytes>> = objects
            .into_iter()
            .map(|(path, lines)| (path, lines.into_iter().map(Bytes::from).collect()))
            .collect();
        let known = objects.remove(PODS).unwrap_or_default();
        let served = Arc::new(Served {
            objects,
            pods: known.into_iter().map(Pod::new).collect(),
            watches: Mutex::default(),
        });
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        std::thread::Builder::new()
            .name("api-server".into())
            .spawn(move || {
                let told = served.clone();
                runtime.spawn(async move {
                    while let Some(line) = changes.recv().await {
                        told.tell(&Pod::new(Bytes::from(line)));
                    }
                });
                runtime.block_on(async move {
                    let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
                    let answer = move |uri: Uri| {
                        let served = served.clone();
                        async move { served.answer(&uri) }
                    };
                    let serving = axum::serve(listener, Router::new().fallback(answer));
                    serving.await.expect("served");
                });
            })?;
        Ok(Self { address, pods })
    }

    /// How it is reached.
    pub(crate) fn kubeconfig(&self) -> String {
        let server = format!("http://{}", self.address);
        json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "it",
            "clusters": [{"name": "it", "cluster": {"server": server}}],
            "users": [{"name": "it", "user": {}}],
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        })
        .to_string()
    }
}

/// A line about a pod.
#[derive(Debug)]
struct Pod {
    line: Bytes,
    namespace: String,
    node: String,
}

impl Pod {
    fn new(line: Bytes) -> Self {
        let told: Value = serde_json::from_slice(&line).unwrap_or_default();
        let text = |path: &str| {
            let value = told.pointer(path).and_then(Value::as_str);
            value.unwrap_or_default().to_owned()
        };
        Self {
            namespace: text("/object/metadata/namespace"),
            node: text("/object/spec/nodeName"),
            line,
        }
    }
}

/// Which pods a watch is about.
#[derive(Debug)]
enum Pods {
    All,
    Of(String),
    In(String),
}

impl Pods {
    fn asked_for(uri: &Uri) -> Option<Self> {
        let path = uri.path();
        if path != PODS {
            let namespace = path.strip_prefix("/api/v1/namespaces/")?;
            return Some(Self::In(namespace.strip_suffix("/pods")?.to_owned()));
        }
        let mut query = uri.query().unwrap_or_default().split('&');
        let of = query.find_map(|part| part.strip_prefix("fieldSelector=spec.nodeName%3D"));
        Some(of.map_or(Self::All, |node| Self::Of(node.to_owned())))
    }

    fn include(&self, pod: &Pod) -> bool {
        match self {
            Self::All => true,
            Self::Of(node) => *node == pod.node,
            Self::In(namespace) => *namespace == pod.namespace,
        }
    }
}

#[derive(Debug)]
struct Served {
    objects: HashMap<&'static str, Vec<Bytes>>,
    pods: Vec<Pod>,
    watches: Mutex<Vec<(Pods, mpsc::UnboundedSender<Bytes>)>>,
}

impl Served {
    /// Whoever watches such pods, and is there still, is told.
    fn tell(&self, pod: &Pod) {
        let mut watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        watches.retain(|(pods, watch)| !pods.include(pod) || watch.send(pod.line.clone()).is_ok());
    }

    fn answer(&self, uri: &Uri) -> Response {
        let query = uri.query().unwrap_or_default();
        if !query.contains("watch=true") {
            // What the agent reports.
            return json!({}).to_string().into_response();
        }
        if !query.contains("sendInitialEvents=true") {
            return StatusCode::NOT_IMPLEMENTED.into_response();
        }
        let (watch, changes) = mpsc::unbounded_channel();
        let mut all: Vec<Bytes> = match Pods::asked_for(uri) {
            Some(pods) => {
                let of_interest = self.pods.iter().filter(|pod| pods.include(pod));
                let lines = of_interest.map(|pod| pod.line.clone()).collect();
                let mut watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
                watches.push((pods, watch));
                lines
            }
            None => self.objects.get(uri.path()).cloned().unwrap_or_default(),
        };
        let end = json!({"metadata": {
            "resourceVersion": "2", "annotations": {"k8s.io/initial-events-end": "true"}}});
        all.push(line("BOOKMARK", &end).into());
        let then = futures::stream::unfold(changes, |mut changes| async move {
            match changes.recv().await {
                Some(line) => Some((line, changes)),
                // Nothing ever happens to others.
                None => std::future::pending().await,
            }
        });
        let lines = futures::stream::iter(all).chain(then);
        Body::from_stream(lines.map(Ok::<_, std::io::Error>)).into_response()
    }
}
