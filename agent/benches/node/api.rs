//! As much of an API server as the agent asks: it tells what there is of every kind over a watch, and what happens
//! afterwards. The agent's tests use it too.

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
    /// Lines for whoever watches pods.
    pub(crate) pods: mpsc::UnboundedSender<String>,
}

/// A line of a watch.
pub(crate) fn line(kind: &str, object: &Value) -> String {
    format!("{}\n", json!({"type": kind, "object": object}))
}

impl Api {
    /// Starts one behind a listener, which may be of another network namespace. One agent can watch it.
    ///
    /// # Errors
    /// When there can be no thread.
    pub(crate) fn start(listener: TcpListener, objects: Objects) -> std::io::Result<Self> {
        let (pods, receiver) = mpsc::unbounded_channel();
        let served = Arc::new(Served {
            objects: Mutex::new(objects),
            pods: Mutex::new(Some(receiver)),
        });
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

#[derive(Debug)]
struct Served {
    objects: Mutex<Objects>,
    pods: Mutex<Option<mpsc::UnboundedReceiver<String>>>,
}

impl Served {
    fn answer(&self, uri: &Uri) -> Response {
        let query = uri.query().unwrap_or_default();
        if !query.contains("watch=true") {
            // What the agent reports.
            return json!({}).to_string().into_response();
        }
        if !query.contains("sendInitialEvents=true") {
            return StatusCode::NOT_IMPLEMENTED.into_response();
        }
        let mut objects = self.objects.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = objects.remove(uri.path()).unwrap_or_default();
        let end = json!({"metadata": {
            "resourceVersion": "2", "annotations": {"k8s.io/initial-events-end": "true"}}});
        all.push(line("BOOKMARK", &end));
        let changes = (uri.path() == PODS).then(|| {
            let mut pods = self.pods.lock().unwrap_or_else(PoisonError::into_inner);
            pods.take()
        });
        let then = futures::stream::unfold(changes.flatten(), |changes| async move {
            let Some(mut changes) = changes else {
                // Nothing ever happens to others.
                return std::future::pending().await;
            };
            let line = changes.recv().await?;
            Some((line, Some(changes)))
        });
        let lines = futures::stream::iter(all).chain(then);
        let bytes = lines.map(|line| Ok::<_, std::io::Error>(Bytes::from(line)));
        Body::from_stream(bytes).into_response()
    }
}
