use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use futures::StreamExt as _;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::*;

/// An API server that knows nodes and pods, and says what a test has it say.
#[derive(Default)]
struct Fake {
    /// Whether it streams lists.
    streams: bool,
    objects: Mutex<BTreeMap<&'static str, Vec<Value>>>,
    /// Whoever watches the pods of a node.
    watches: Mutex<Vec<mpsc::UnboundedSender<String>>>,
    /// Whoever watches others.
    others: Mutex<BTreeMap<String, Vec<mpsc::UnboundedSender<String>>>>,
    /// What was asked for, of pods.
    asked: Mutex<Vec<String>>,
    /// Whether the next watch is of a forgotten time.
    forgetful: AtomicBool,
}

const PODS: &str = "/api/v1/pods";

impl Fake {
    fn new(streams: bool) -> Arc<Fake> {
        let fake = Fake {
            streams,
            ..Fake::default()
        };
        fake.put(
            "/api/v1/nodes",
            vec![json!({
                "metadata": {"name": "n1", "resourceVersion": "1"},
                "spec": {"podCIDRs": ["10.1.0.0/24"]},
            })],
        );
        fake.put(
            PODS,
            vec![
                pod("a", "10.1.0.1"),
                pod("b", "10.1.0.2"),
                pod("c", "10.1.0.3"),
            ],
        );
        Arc::new(fake)
    }

    fn put(&self, path: &'static str, objects: Vec<Value>) {
        self.objects.lock().expect("a lock").insert(path, objects);
    }

    /// Says something to all who watch pods.
    fn say(&self, kind: &str, object: &Value) {
        let line = format!("{}\n", json!({"type": kind, "object": object}));
        self.watches
            .lock()
            .expect("a lock")
            .retain(|watch| watch.send(line.clone()).is_ok());
    }

    /// Says something to all who watch one path.
    fn say_at(&self, path: &str, kind: &str, object: &Value) {
        let line = format!("{}\n", json!({"type": kind, "object": object}));
        for watch in self
            .others
            .lock()
            .expect("a lock")
            .entry(path.to_owned())
            .or_default()
        {
            // Those who no longer listen are no concern.
            let _ = watch.send(line.clone());
        }
    }

    /// Whether anybody watches a path.
    fn is_watched(&self, path: &str) -> bool {
        let others = self.others.lock().expect("a lock");
        others
            .get(path)
            .is_some_and(|watches| watches.iter().any(|watch| !watch.is_closed()))
    }

    /// Ends all watches.
    fn hang_up(&self) {
        self.watches.lock().expect("a lock").clear();
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("a lock").clone()
    }

    fn answer(&self, path: &str, query: &str) -> Response {
        if path == PODS && query.contains("fieldSelector") {
            self.asked.lock().expect("a lock").push(query.to_owned());
        }
        let mut objects = self
            .objects
            .lock()
            .expect("a lock")
            .get(path)
            .cloned()
            .unwrap_or_default();
        if path == PODS && query.contains("fieldSelector") {
            objects.retain(|pod| pod["spec"]["nodeName"] == "n1");
        }
        if !query.contains("watch=true") {
            return page(&objects, query);
        }
        let initial = query.contains("sendInitialEvents=true");
        if initial && !self.streams {
            return status(
                StatusCode::UNPROCESSABLE_ENTITY,
                "sendInitialEvents is forbidden",
            );
        }
        if path == PODS && !initial && self.forgetful.swap(false, Ordering::Relaxed) {
            return status(StatusCode::GONE, "too old resource version");
        }
        let (sender, mut lines) = mpsc::unbounded_channel();
        if initial {
            for object in &objects {
                let line = json!({"type": "ADDED", "object": object});
                sender.send(format!("{line}\n")).expect("sent");
            }
            let end = json!({"type": "BOOKMARK", "object": {"metadata": {
                "resourceVersion": "10", "annotations": {"k8s.io/initial-events-end": "true"}}}});
            sender.send(format!("{end}\n")).expect("sent");
        }
        if path == PODS && query.contains("fieldSelector=spec.nodeName%3Dn1") {
            self.watches.lock().expect("a lock").push(sender);
        } else {
            // Nobody hangs up on them.
            self.others
                .lock()
                .expect("a lock")
                .entry(path.to_owned())
                .or_default()
                .push(sender);
        }
        let stream = futures::stream::poll_fn(move |context| lines.poll_recv(context));
        Body::from_stream(stream.map(|line| Ok::<_, std::io::Error>(Bytes::from(line))))
            .into_response()
    }
}

/// Objects one by one, so that pages are needed.
fn page(objects: &[Value], query: &str) -> Response {
    let at = query
        .split("continue=")
        .nth(1)
        .and_then(|at| at.parse().ok())
        .unwrap_or(0_usize);
    let next = if at + 1 < objects.len() {
        (at + 1).to_string()
    } else {
        String::new()
    };
    let items: Vec<_> = objects.get(at).into_iter().collect();
    json!({"metadata": {"resourceVersion": "10", "continue": next}, "items": items})
        .to_string()
        .into_response()
}

fn status(code: StatusCode, message: &str) -> Response {
    let body = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message,
        "reason": "Some", "code": code.as_u16()});
    (code, body.to_string()).into_response()
}

fn pod(name: &str, ip: &str) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "default", "uid": name, "resourceVersion": "11", "labels": {"app": "web"},
            "managedFields": [{"manager": "much", "fieldsV1": {"f:spec": {}}}]},
        "spec": {"nodeName": "n1", "containers": [{"name": "c", "image": "i", "env": [{"name": "SECRET", "value": "hush"}],
            "ports": [{"name": "http", "containerPort": 80}]}]},
        "status": {"phase": "Running", "podIPs": [{"ip": ip}]},
    })
}

fn own() -> Target {
    Target::PodsOf("n1".into())
}

fn some(names: &[&str]) -> PodScope {
    PodScope::Namespaces(names.iter().map(|name| (*name).into()).collect())
}

/// A pod of another node.
fn far(namespace: &str, name: &str) -> Value {
    let mut pod = pod(name, "10.2.0.1");
    pod["metadata"]["namespace"] = json!(namespace);
    pod["spec"]["nodeName"] = json!("n2");
    pod
}

struct Bench {
    fake: Arc<Fake>,
    access: Access,
    folder: tempfile::TempDir,
    server: tokio::task::JoinHandle<()>,
}

impl Bench {
    async fn new(streams: bool) -> Bench {
        let fake = Fake::new(streams);
        let answer = async |State(fake): State<Arc<Fake>>, request: Request| {
            let query = request.uri().query().unwrap_or_default();
            fake.answer(request.uri().path(), query)
        };
        let app = Router::new().fallback(answer).with_state(Arc::clone(&fake));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("bound");
        let address = listener.local_addr().expect("an address");
        let server = tokio::spawn(async move { axum::serve(listener, app).await.expect("served") });
        let folder = tempfile::tempdir().expect("a folder");
        let kubeconfig = folder.path().join("kubeconfig");
        let text = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": format!("http://{address}")}}],
            "users": [{"name": "u", "user": {}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        });
        std::fs::write(&kubeconfig, text.to_string()).expect("written");
        let access = Access {
            kubeconfig: Some(kubeconfig),
            server: None,
        };
        Bench {
            fake,
            access,
            folder,
            server,
        }
    }

    fn start(&self, state: bool) -> KubernetesSource {
        let file = || StateFile::new(self.folder.path().join("state"));
        KubernetesSource::start(self.access.clone(), "n1", state.then(file))
    }
}

async fn next(source: &mut KubernetesSource) -> Vec<Event> {
    tokio::time::timeout(Duration::from_secs(20), source.next())
        .await
        .expect("events")
}

/// Waits until every kind was listed; the pods' names.
async fn listed(source: &mut KubernetesSource) -> Vec<String> {
    let (mut kinds, mut names) = (BTreeSet::new(), Vec::new());
    while kinds.len() < Kind::ALL.len() {
        for event in next(source).await {
            match event {
                Event::Listed(kind, objects) => {
                    kinds.insert(kind);
                    if kind == Kind::Pod {
                        names = objects
                            .iter()
                            .map(|pod| pod.reference().name.to_string())
                            .collect();
                    }
                }
                Event::Covered(scope) => assert_eq!(scope, PodScope::default()),
                other => panic!("before all was listed: {other:?}"),
            }
        }
    }
    names
}

async fn until(
    source: &mut KubernetesSource,
    what: &str,
    mut done: impl FnMut(&KubernetesStatus) -> bool,
) {
    let mut status = source.status();
    let work = async {
        loop {
            if done(&status.borrow_and_update()) {
                return;
            }
            tokio::select! {
                events = source.next() => assert!(events.is_empty() || matches!(&events[..], [Event::Listed(..), ..]), "{events:?}"),
                _changed = status.changed() => {}
                () = tokio::time::sleep(Duration::from_millis(10)) => {}
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), work)
        .await
        .expect(what);
}

#[tokio::test]
async fn lists_then_changes_whether_streamed_or_in_pages() {
    for streams in [true, false] {
        let bench = Bench::new(streams).await;
        let mut source = bench.start(false);
        assert_eq!(
            listed(&mut source).await,
            ["a", "b", "c"],
            "streams: {streams}"
        );
        until(&mut source, "a watch", |status| status.is_live()).await;
        while bench.fake.watches.lock().expect("a lock").is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        bench.fake.say("ADDED", &pod("d", "10.1.0.4"));
        let events = next(&mut source).await;
        assert!(
            matches!(&events[..], [Event::Set(Object::Pod(pod))] if &*pod.name == "d"),
            "{events:?}"
        );
        // What changes nothing that is kept is no change.
        bench.fake.say("MODIFIED", &pod("d", "10.1.0.4"));
        bench.fake.say("DELETED", &pod("a", "10.1.0.1"));
        let events = next(&mut source).await;
        assert!(
            matches!(&events[..], [Event::Gone(gone)] if &*gone.name == "a"),
            "{events:?}"
        );
        assert_eq!(source.status().borrow().watches[&own()].objects, 3);
        let in_pages = bench
            .fake
            .asked()
            .iter()
            .any(|query| query.contains("continue=2"));
        assert_eq!(in_pages, !streams, "{:?}", bench.fake.asked());
    }
}

#[tokio::test]
async fn a_malformed_object_is_reported_and_keeps_its_last_good_form() {
    let bench = Bench::new(true).await;
    let mut source = bench.start(false);
    listed(&mut source).await;
    until(&mut source, "a watch", |status| status.is_live()).await;
    let mut bad = pod("b", "10.1.0.2");
    bad["status"]["podIPs"] = json!([{"ip": "nonsense"}]);
    bench.fake.say("MODIFIED", &bad);
    bench.fake.say("ADDED", &pod("e", "10.1.0.5"));
    let events = next(&mut source).await;
    assert!(
        matches!(&events[..], [Event::Set(Object::Pod(pod))] if &*pod.name == "e"),
        "{events:?}"
    );
    let problems = source.status().borrow().problems();
    assert!(
        problems.len() == 1
            && problems[0].contains("Pod default/b")
            && problems[0].contains("status.podIPs"),
        "{problems:?}"
    );
    // A list with it in says the same, and does not lose it.
    bench.fake.put(PODS, vec![pod("a", "10.1.0.1"), bad]);
    bench.fake.forgetful.store(true, Ordering::Relaxed);
    bench.fake.hang_up();
    let events = next(&mut source).await;
    assert_eq!(said(&events), ["no c", "no e"]);
    until(&mut source, "a watch", |_| {
        !bench.fake.watches.lock().expect("a lock").is_empty()
    })
    .await;
    bench.fake.say("MODIFIED", &pod("b", "10.1.0.9"));
    next(&mut source).await;
    assert_eq!(source.status().borrow().problems(), Vec::<String>::new());
}

#[tokio::test]
async fn a_watch_that_ends_goes_on_where_it_was() {
    let bench = Bench::new(true).await;
    let mut source = bench.start(false);
    listed(&mut source).await;
    bench.fake.say("ADDED", &pod("d", "10.1.0.4"));
    next(&mut source).await;
    bench.fake.hang_up();
    until(&mut source, "a watch", |_| {
        !bench.fake.watches.lock().expect("a lock").is_empty()
    })
    .await;
    let last = bench.fake.asked().pop().unwrap_or_default();
    assert!(
        last.contains("resourceVersion=11") && !last.contains("sendInitialEvents"),
        "{last}"
    );
    assert_eq!(source.status().borrow().watches[&own()].lists, 1);
}

#[tokio::test]
async fn without_a_server_the_last_known_state_is_in_force() {
    let bench = Bench::new(true).await;
    let mut source = bench.start(true);
    listed(&mut source).await;
    // Only what whoever listens asks for makes it whole.
    source.want_pods(&PodScope::default());
    bench.fake.say("ADDED", &pod("d", "10.1.0.4"));
    next(&mut source).await;
    bench.fake.say("DELETED", &pod("a", "10.1.0.1"));
    next(&mut source).await;
    // The writer ends with the source, having written what it was told.
    let state = StateFile::new(bench.folder.path().join("state"));
    drop(source);
    bench.server.abort();
    let written = async {
        loop {
            let saved = state.read().expect("readable");
            let objects = saved.map(|saved| saved.objects).unwrap_or_default();
            let pods = objects.get(&Kind::Pod).cloned().unwrap_or_default();
            let mut pods: Vec<_> = pods
                .iter()
                .map(|pod| pod.reference().name.to_string())
                .collect();
            pods.sort();
            if pods == ["b", "c", "d"] {
                return pods;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let pods = tokio::time::timeout(Duration::from_secs(20), written)
        .await
        .expect("the writer writes what it was told");
    let text = std::fs::read_to_string(state.path()).expect("read");
    assert!(
        !text.contains("hush") && !text.contains("managedFields"),
        "{text}"
    );
    let mut source = bench.start(true);
    let mut names = listed(&mut source).await;
    names.sort();
    assert_eq!(names, pods);
    until(&mut source, "trouble", |status| {
        let problems = status.problems().join("\n");
        problems.contains("not watching the cluster") && problems.contains("read from disk")
    })
    .await;
}

#[tokio::test]
async fn a_state_that_cannot_be_used_is_said_until_all_is_listed() {
    for kept in ["sluice-state 99\n", "", "no state at all"] {
        let bench = Bench::new(true).await;
        std::fs::write(bench.folder.path().join("state"), kept).expect("written");
        let mut source = bench.start(true);
        let problems = source.status().borrow().problems().join("\n");
        assert!(problems.contains("cannot be used"), "{kept:?}: {problems}");
        listed(&mut source).await;
        source.want_pods(&PodScope::default());
        assert_eq!(source.status().borrow().problems(), Vec::<String>::new());

        // With nobody to ask, nothing is in force, and that is said. The first file is another's: its writer may still be at it.
        let bench = Bench::new(true).await;
        std::fs::write(bench.folder.path().join("state"), kept).expect("written");
        bench.server.abort();
        let mut source = bench.start(true);
        until(&mut source, "trouble", |status| {
            let problems = status.problems().join("\n");
            problems.contains("not all of the cluster's state is known yet")
                && problems.contains("cannot be used")
        })
        .await;
    }
}

/// What events say of pods, in short.
fn said(events: &[Event]) -> Vec<String> {
    events
        .iter()
        .map(|event| match event {
            Event::Set(object) => object.reference().name.to_string(),
            Event::Gone(reference) => format!("no {}", reference.name),
            Event::Covered(scope) => format!("covered: {scope}"),
            Event::Listed(kind, objects) => format!("{} of {kind}", objects.len()),
        })
        .collect()
}

#[tokio::test]
async fn only_pods_that_are_wanted_are_watched() {
    let bench = Bench::new(true).await;
    let mut all = vec![
        pod("a", "10.1.0.1"),
        far("shop", "till"),
        far("web", "front"),
    ];
    bench.fake.put(PODS, all.clone());
    bench
        .fake
        .put("/api/v1/namespaces/shop/pods", vec![all.remove(1)]);
    let mut source = bench.start(false);
    assert_eq!(listed(&mut source).await, ["a"]);
    until(&mut source, "a watch", |status| status.is_live()).await;
    source.want_pods(&some(&["shop"]));
    assert_eq!(said(&next(&mut source).await), ["till", "covered: shop"]);
    assert_eq!(
        source.status().borrow().watches[&Target::PodsIn("shop".into())].objects,
        1
    );
    let shop = "/api/v1/namespaces/shop/pods";
    bench.fake.say_at(shop, "ADDED", &far("shop", "clerk"));
    assert_eq!(said(&next(&mut source).await), ["clerk"]);
    // One that comes to the own node is told of by that node's watch alone.
    let mut moved = far("shop", "clerk");
    moved["spec"]["nodeName"] = json!("n1");
    bench.fake.say_at(shop, "MODIFIED", &moved);
    assert_eq!(said(&next(&mut source).await), ["no clerk"]);
    bench.fake.say("ADDED", &moved);
    assert_eq!(said(&next(&mut source).await), ["clerk"]);
    bench.fake.say_at(shop, "DELETED", &moved);
    bench.fake.say("DELETED", &moved);
    assert_eq!(said(&next(&mut source).await), ["no clerk"]);
    // All pods instead: only those are news that were not known.
    source.want_pods(&PodScope::All);
    assert_eq!(
        said(&next(&mut source).await),
        ["front", "covered: all namespaces"]
    );
    assert!(bench.fake.is_watched(PODS) && bench.fake.is_watched(shop));
}
