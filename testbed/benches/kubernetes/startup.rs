//! From a pod's creation to Running with an address, with our plugin and with the reference's `bridge`, turn about in
//! the same cluster.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use sluice_testbed::cluster::Cluster;
use sluice_testbed::kubernetes::kubectl::Kubectl;
use sluice_testbed::kubernetes::{self, images, runtime};
use sluice_testbed::measure::{argument, quantile};
use sluice_testbed::node::Node;
use sluice_testbed::run;

use crate::api::{Api, Request};

const COUNTS: [usize; 3] = [1, 10, 50];
const LIMIT: Duration = Duration::from_secs(120);
/// How long the runtime gets to see another configuration.
const SEEN: Duration = Duration::from_secs(2);
const PODS: &str = "/api/v1/namespaces/default/pods";

pub(crate) fn measure(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1)?;
    let kubectl = kubernetes::control_plane(cluster)?.kubectl();
    let api = Api::new(cluster)?;
    let ours = std::fs::read(node.conflist())?;
    let mut times: BTreeMap<(usize, &str), Vec<f64>> = BTreeMap::new();
    for round in 0..argument("--rounds", 3) {
        for plugin in ["sluice", "bridge"] {
            attach_by(&node, plugin, &ours)?;
            for count in COUNTS {
                let name = format!("{plugin}-{count}-{round}");
                let took = pods(&kubectl, &api, &name, count)?;
                times.entry((count, plugin)).or_default().extend(took);
            }
        }
    }
    attach_by(&node, "sluice", &ours)?;
    println!("pods at once, from creation to Running with an address (p50, p99 over all rounds):");
    for count in COUNTS {
        let mut of = |plugin| {
            let values = times.entry((count, plugin)).or_default();
            (quantile(values, 0.5), quantile(values, 0.99))
        };
        let (ours, bridge) = (of("sluice"), of("bridge"));
        println!(
            "{count}: sluice {:.2} s, {:.2} s; bridge {:.2} s, {:.2} s; ratio {:.2}, {:.2}",
            ours.0,
            ours.1,
            bridge.0,
            bridge.1,
            ours.0 / bridge.0,
            ours.1 / bridge.1
        );
    }
    Ok(())
}

/// Makes a node's runtime use one plugin, and only that.
fn attach_by(node: &Node, plugin: &str, ours: &[u8]) -> Result<()> {
    let other = node.dir().join("net.d/20-bridge.conflist");
    if plugin == "sluice" {
        let _ = std::fs::remove_file(&other);
        std::fs::write(node.conflist(), ours)?;
    } else {
        for program in ["bridge", "host-local"] {
            let link = node.dir().join("cni-bin").join(program);
            if !link.exists() {
                std::os::unix::fs::symlink(
                    std::path::Path::new(runtime::PLUGINS).join(program),
                    link,
                )?;
            }
        }
        let list = json!({
            "cniVersion": "1.0.0",
            "name": "bridge",
            "plugins": [{
                "type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": false,
                "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.99.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]},
            }],
        });
        std::fs::write(&other, list.to_string())?;
        std::fs::remove_file(node.conflist())?;
    }
    // The runtime looks at the folder by itself, and says nowhere when it has.
    std::thread::sleep(SEEN);
    Ok(())
}

/// Creates pods at once on the node, waits until all run, and says how long each took; then removes them.
fn pods(kubectl: &Kubectl, api: &Api, name: &str, count: usize) -> Result<Vec<f64>> {
    let (tell, events) = mpsc::channel();
    let mut watch = watch(kubectl, name, tell)?;
    let requests: Vec<Request> = (0..count)
        .map(|number| Request::post(PODS, &pod(name, number)))
        .collect();
    api.many(&requests)?;
    let mut created: BTreeMap<String, Instant> = BTreeMap::new();
    let mut took: BTreeMap<String, f64> = BTreeMap::new();
    let deadline = Instant::now() + LIMIT;
    while took.len() < count {
        let left = deadline.saturating_duration_since(Instant::now());
        let (pod, runs, at): (String, bool, Instant) = events
            .recv_timeout(left)
            .with_context(|| format!("{} of {count} pods run", took.len()))?;
        let since = *created.entry(pod.clone()).or_insert(at);
        if runs {
            took.entry(pod)
                .or_insert_with(|| at.duration_since(since).as_secs_f64());
        }
    }
    let _ = watch.kill();
    watch.wait()?;
    kubectl.run(&[
        "delete",
        "pods",
        "-l",
        &format!("app={name}"),
        "--grace-period=1",
        "--wait=true",
    ])?;
    run::wait_for("the pods to be gone", LIMIT, || {
        let left = kubectl.get(&["pods", "-l", &format!("app={name}")])?;
        Ok(left["items"]
            .as_array()
            .is_some_and(Vec::is_empty)
            .then_some(()))
    })?;
    Ok(took.into_values().collect())
}

/// Tells of every change of the pods that carry a label: name, and whether it runs and has an address.
fn watch(
    kubectl: &Kubectl,
    name: &str,
    tell: mpsc::Sender<(String, bool, Instant)>,
) -> Result<Child> {
    let columns = "custom-columns=N:.metadata.name,P:.status.phase,I:.status.podIP";
    let label = format!("app={name}");
    let mut child = kubectl
        .command(&[
            "get",
            "pods",
            "-l",
            &label,
            "--watch",
            "--no-headers",
            "-o",
            columns,
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let out = child.stdout.take().context("no output")?;
    std::thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            let words: Vec<&str> = line.split_whitespace().collect();
            if let [name, phase, ip] = words[..] {
                let runs = phase == "Running" && ip != "<none>";
                if tell.send((name.to_owned(), runs, Instant::now())).is_err() {
                    return;
                }
            }
        }
    });
    // Until it watches, what is created is not seen at once. It says nothing when it does.
    std::thread::sleep(Duration::from_secs(1));
    Ok(child)
}

fn pod(name: &str, number: usize) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": format!("{name}-{number}"), "labels": {"app": name}},
        "spec": {
            "nodeName": "n1",
            "terminationGracePeriodSeconds": 1,
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "containers": [{"name": "pause", "image": images::PAUSE, "imagePullPolicy": "Never"}],
        },
    })
}
