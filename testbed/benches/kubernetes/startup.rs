//! From a pod's creation to Running with an address, with our plugin and with the reference's `bridge`, turn about in
//! the same cluster.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
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
const PODS: &str = "/api/v1/namespaces/default/pods";

/// Who attaches pods.
struct Plugin {
    name: &'static str,
    /// What its pods' addresses begin with, so that they say by whom they were attached.
    network: &'static str,
}

const SLUICE: Plugin = Plugin {
    name: "sluice",
    network: "10.244.",
};
const BRIDGE: Plugin = Plugin {
    name: "bridge",
    network: "10.99.0.",
};

pub(crate) fn measure(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1)?;
    let bench = Bench {
        kubectl: kubernetes::control_plane(cluster)?.kubectl(),
        api: Api::new(cluster)?,
        ours: std::fs::read(node.conflist())?,
        node,
    };
    let mut times: BTreeMap<(usize, &str), Vec<f64>> = BTreeMap::new();
    for round in 0..argument("--rounds", 3) {
        for plugin in [SLUICE, BRIDGE] {
            bench.attach_by(&plugin)?;
            for count in COUNTS {
                let name = format!("{}-{count}-{round}", plugin.name);
                let pods = bench.pods(&name, count)?;
                for pod in &pods {
                    ensure!(
                        pod.ip.starts_with(plugin.network),
                        "another plugin attached a pod of {name}: its address is {}",
                        pod.ip
                    );
                }
                let took = pods.iter().map(|pod| pod.took);
                times.entry((count, plugin.name)).or_default().extend(took);
            }
        }
    }
    bench.attach_by(&SLUICE)?;
    println!("pods at once, from creation to Running with an address (p50, p99 over all rounds):");
    for count in COUNTS {
        let mut of = |plugin: &Plugin| {
            let values = times.entry((count, plugin.name)).or_default();
            (quantile(values, 0.5), quantile(values, 0.99))
        };
        let (ours, bridge) = (of(&SLUICE), of(&BRIDGE));
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

struct Bench {
    node: Node,
    kubectl: Kubectl,
    api: Api,
    /// The list of plugins that the agent has written.
    ours: Vec<u8>,
}

/// A pod that runs.
struct Running {
    ip: String,
    /// Seconds since it was created.
    took: f64,
}

impl Bench {
    /// Makes the node's runtime use one plugin, and only that; returns when it does.
    fn attach_by(&self, plugin: &Plugin) -> Result<()> {
        let node = &self.node;
        let other = node.dir().join("net.d/20-bridge.conflist");
        if plugin.name == SLUICE.name {
            std::fs::write(node.conflist(), &self.ours)?;
            let _ = std::fs::remove_file(&other);
        } else {
            for program in ["bridge", "host-local"] {
                let link = node.dir().join("cni-bin").join(program);
                if !link.exists() {
                    std::os::unix::fs::symlink(Path::new(runtime::PLUGINS).join(program), link)?;
                }
            }
            let list = json!({
                "cniVersion": "1.0.0",
                "name": "bridge",
                "plugins": [{
                    "type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": false,
                    "ipam": {
                        "type": "host-local",
                        "ranges": [[{"subnet": format!("{}0/24", BRIDGE.network)}]],
                        "routes": [{"dst": "0.0.0.0/0"}],
                    },
                }],
            });
            std::fs::write(&other, list.to_string())?;
            std::fs::remove_file(node.conflist())?;
        }
        // The runtime looks at the folder when it likes, and a pod's address is the only thing that tells.
        let mut number = 0;
        run::wait_for("the runtime to use the other plugin", LIMIT, || {
            number += 1;
            let pods = self.pods(&format!("probe-{}-{number}", plugin.name), 1)?;
            Ok(pods
                .iter()
                .all(|pod| pod.ip.starts_with(plugin.network))
                .then_some(()))
        })
    }

    /// Creates pods at once on the node, waits until all run, and removes them.
    fn pods(&self, name: &str, count: usize) -> Result<Vec<Running>> {
        let selector = format!("labelSelector=app%3D{name}");
        let mut changes = self.api.connect()?.watch(PODS, &selector)?;
        let requests: Vec<Request> = (0..count)
            .map(|number| Request::post(PODS, &pod(name, number)))
            .collect();
        let running = std::thread::scope(|scope| {
            let writer = scope.spawn(|| self.api.many(&requests));
            let (mut created, mut running) = (BTreeMap::new(), BTreeMap::new());
            let deadline = Instant::now() + LIMIT;
            while running.len() < count {
                let object = changes
                    .next()
                    .with_context(|| format!("{} of {count} pods of {name} run", running.len()))?;
                let at = Instant::now();
                ensure!(at < deadline, "{} of {count} pods run", running.len());
                let pod = object["metadata"]["name"].as_str().unwrap_or_default();
                let since = *created.entry(pod.to_owned()).or_insert(at);
                let status = &object["status"];
                if let Some(ip) = status["podIP"].as_str()
                    && status["phase"] == "Running"
                {
                    running.entry(pod.to_owned()).or_insert_with(|| Running {
                        ip: ip.to_owned(),
                        took: at.duration_since(since).as_secs_f64(),
                    });
                }
            }
            match writer.join() {
                Ok(result) => result?,
                Err(_) => bail!("a thread panicked"),
            }
            anyhow::Ok(running.into_values().collect())
        })?;
        let app = format!("app={name}");
        // It waits until they are gone.
        self.kubectl
            .run(&["delete", "pods", "-l", &app, "--grace-period=1"])?;
        Ok(running)
    }
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
