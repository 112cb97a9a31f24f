//! Services and NetworkPolicies, as people make them.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use sluice_testbed::cluster::Cluster;
use sluice_testbed::kubernetes::kubectl::Kubectl;
use sluice_testbed::node::Node;
use sluice_testbed::{kubernetes, layout, run};

use crate::harness::{Pod, SOON, ask, delete, deploy, kubectl, undeploy};

pub(crate) fn services_are_reached(cluster: &mut Cluster) -> Result<()> {
    let kubectl = kubectl(cluster)?;
    let pods = deploy(&kubectl, "backend", 4)?;
    let clients = deploy(&kubectl, "client", 2)?;
    let service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "backend"},
        "spec": {
            "type": "NodePort",
            "selector": {"app": "backend"},
            "ports": [
                {"name": "http", "port": 80, "targetPort": "http"},
                {"name": "tcp", "port": 81, "targetPort": 8081},
                {"name": "dns", "port": 53, "targetPort": 8082, "protocol": "UDP"},
            ],
        },
    });
    kubectl.apply(&service.to_string())?;
    let made = kubectl.get(&["service", "backend"])?;
    let vip = made["spec"]["clusterIP"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let node_port = |index: usize| {
        made["spec"]["ports"][index]["nodePort"]
            .as_u64()
            .unwrap_or(0)
    };
    for (transport, port, index) in [("http", 80, 0), ("tcp", 81, 1), ("udp", 53, 2)] {
        let mut targets = vec![format!("{vip}:{port}")];
        for node in 1..=2 {
            targets.push(format!(
                "{}:{}",
                layout::underlay_v4(node),
                node_port(index)
            ));
        }
        for from in clients.iter().chain(&pods[..1]) {
            reached(&kubectl, from, transport, &targets, &pods)?;
        }
    }
    // Pods reach the API server by its Service: its endpoint is no pod.
    for from in &clients {
        let target = vec![format!("{}:443", layout::FIRST_SERVICE.0)];
        let answer = ask(&kubectl, &from.name, "tcp", &target, 5000)?;
        let connected = match &answer[0] {
            Ok(_) => true,
            // It expects TLS, and waits or closes; either takes a connection.
            Err(why) => ["closed", "reset", "temporarily unavailable"]
                .iter()
                .any(|word| why.contains(word)),
        };
        ensure!(connected, "{} asks the API server: {answer:?}", from.name);
    }
    undeploy(&kubectl, "backend")?;
    // Without endpoints a Service refuses, it does not fall silent.
    let target = vec![format!("{vip}:81")];
    run::wait_for("the Service to refuse", SOON, || {
        let answer = ask(&kubectl, &clients[0].name, "tcp", &target, 5000)?;
        Ok(matches!(&answer[0], Err(why) if why.contains("refused")).then_some(()))
    })?;
    delete(&kubectl, &["service", "backend"])?;
    undeploy(&kubectl, "client")
}

/// Waits until every target answers from inside a pod, by one of some pods.
fn reached(
    kubectl: &Kubectl,
    from: &Pod,
    transport: &str,
    targets: &[String],
    by: &[Pod],
) -> Result<()> {
    let mut last = Vec::new();
    let result = run::wait_for("every address of the Service to answer", SOON, || {
        last = ask(kubectl, &from.name, transport, targets, 2000)?;
        let good = |answer: &Result<String, String>| matches!(answer, Ok(text) if by.iter().any(|pod| text.starts_with(&pod.name)));
        Ok(last.iter().all(good).then_some(()))
    });
    result.map_err(|error| {
        error.context(format!(
            "{} on {} asks {targets:?} by {transport}: {last:?}",
            from.name, from.node
        ))
    })
}

pub(crate) fn policies_are_in_force(cluster: &mut Cluster) -> Result<()> {
    let kubectl = kubectl(cluster)?;
    let servers = deploy(&kubectl, "server", 2)?;
    let friends = deploy(&kubectl, "friend", 2)?;
    let strangers = deploy(&kubectl, "stranger", 2)?;
    let tcp: Vec<String> = servers
        .iter()
        .map(|pod| format!("{}:8081", pod.ip))
        .collect();
    let http: Vec<String> = servers
        .iter()
        .map(|pod| format!("{}:8080", pod.ip))
        .collect();
    expect(&kubectl, &strangers, "tcp", &tcp, true)?;
    kubectl.apply(&policy().to_string())?;
    expect(&kubectl, &strangers, "tcp", &tcp, false)?;
    expect(&kubectl, &friends, "tcp", &tcp, true)?;
    expect(&kubectl, &friends, "http", &http, false)?;
    // Kubelets probe what nobody else may reach: the pods stay ready.
    crate::harness::rolled_out(&kubectl, "server", 2)?;
    delete(&kubectl, &["networkpolicy", "server"])?;
    expect(&kubectl, &strangers, "tcp", &tcp, true)?;
    for name in ["server", "friend", "stranger"] {
        undeploy(&kubectl, name)?;
    }
    Ok(())
}

fn policy() -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "server"},
        "spec": {
            "podSelector": {"matchLabels": {"app": "server"}},
            "policyTypes": ["Ingress"],
            "ingress": [{
                "from": [{"podSelector": {"matchLabels": {"app": "friend"}}}],
                "ports": [{"port": 8081, "protocol": "TCP"}],
            }],
        },
    })
}

/// Waits until all, or none, of the targets answer each of some pods.
fn expect(
    kubectl: &Kubectl,
    from: &[Pod],
    transport: &str,
    targets: &[String],
    reached: bool,
) -> Result<()> {
    for pod in from {
        let mut last = Vec::new();
        let result = run::wait_for("the policy's effect", SOON, || {
            last = ask(kubectl, &pod.name, transport, targets, 1000)?;
            Ok(last
                .iter()
                .all(|answer| answer.is_ok() == reached)
                .then_some(()))
        });
        result.map_err(|error| {
            error.context(format!(
                "{} on {} asks {targets:?}, expected {reached}: {last:?}",
                pod.name, pod.node
            ))
        })?;
    }
    Ok(())
}

/// A node hears of another's pods only if a policy of its own pods speaks of them; and then the policy holds for them.
pub(crate) fn policies_bring_their_pods(cluster: &mut Cluster) -> Result<()> {
    let kubectl = kubectl(cluster)?;
    for (name, team) in [("red", "red"), ("blue", "blue")] {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"team": team}}});
        kubectl.apply(&namespace.to_string())?;
        for number in 0..2 {
            kubectl.apply(&single(name, &format!("{name}-{number}"), "n2").to_string())?;
        }
    }
    kubectl.apply(&single("default", "guarded", "n1").to_string())?;
    let guarded = address(&kubectl, "default", "guarded")?;
    for name in ["red", "blue"] {
        for number in 0..2 {
            address(&kubectl, name, &format!("{name}-{number}"))?;
        }
    }
    let (first, second) = (cluster.node(1)?, cluster.node(2)?);
    // What other tests had watched may linger.
    let of_others = |node: &Node| -> Result<Vec<String>> {
        let mut watches = watches(node)?;
        watches.retain(|what| ["Pod in red", "Pod in blue", "Pod"].contains(&what.as_str()));
        Ok(watches)
    };
    ensure!(
        of_others(&first)?.is_empty(),
        "nobody needs pods of others: {:?}",
        watches(&first)?
    );
    let policy = json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "guarded"},
        "spec": {
            "podSelector": {"matchLabels": {"run": "guarded"}},
            "ingress": [{"from": [{"namespaceSelector": {"matchLabels": {"team": "red"}}}]}],
        },
    });
    kubectl.apply(&policy.to_string())?;
    let reaches = |namespace: &str, name: &str| -> Result<bool> {
        let target = format!("{guarded}:8081");
        let words = [
            "-n",
            namespace,
            "exec",
            name,
            "--",
            "/t",
            "ask",
            "--timeout-ms",
            "1000",
            "tcp",
            &target,
        ];
        Ok(run::output(&mut kubectl.command(&words))?.status.success())
    };
    run::wait_for("the policy to hold", SOON, || {
        Ok((!reaches("blue", "blue-0")?).then_some(()))
    })?;
    ensure!(
        reaches("red", "red-0")? && reaches("red", "red-1")?,
        "the policy took effect without its pods"
    );
    ensure!(
        of_others(&first)? == ["Pod in red"],
        "{:?}",
        watches(&first)?
    );
    ensure!(of_others(&second)?.is_empty(), "{:?}", watches(&second)?);
    // One that comes later, and a namespace that joins the team.
    kubectl.apply(&single("red", "red-2", "n2").to_string())?;
    address(&kubectl, "red", "red-2")?;
    run::wait_for("a new pod to be let in", SOON, || {
        Ok(reaches("red", "red-2")?.then_some(()))
    })?;
    kubectl.run(&["label", "--overwrite", "namespace", "blue", "team=red"])?;
    run::wait_for("the namespace to be let in", SOON, || {
        Ok(reaches("blue", "blue-1")?.then_some(()))
    })?;
    ensure!(
        of_others(&first)? == ["Pod in blue", "Pod in red"],
        "{:?}",
        watches(&first)?
    );
    delete(&kubectl, &["networkpolicy", "guarded"])?;
    delete(&kubectl, &["pod", "guarded"])?;
    delete(&kubectl, &["namespace", "red", "blue"])
}

/// What a node watches at the API server.
fn watches(node: &Node) -> Result<Vec<String>> {
    let status: Value = serde_json::from_str(&node.sh("sluicectl", &["status", "-o", "json"])?)?;
    let watches = status["watches"]
        .as_array()
        .context("no watches in the status")?;
    Ok(watches
        .iter()
        .filter_map(|watch| Some(watch["what"].as_str()?.to_owned()))
        .collect())
}

/// A test server on a node.
fn single(namespace: &str, name: &str, node: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"run": name}},
        "spec": {"nodeName": node, "terminationGracePeriodSeconds": 1, "containers": [crate::harness::container()]},
    })
}

/// The address of a pod, once it is ready.
fn address(kubectl: &Kubectl, namespace: &str, name: &str) -> Result<String> {
    run::wait_for("the pod to be ready", SOON, || {
        let pod = kubectl.get(&["-n", namespace, "pod", name])?;
        let ip = pod["status"]["podIP"].as_str().map(str::to_owned);
        Ok(ip.filter(|_| kubernetes::condition(&pod, "Ready")))
    })
}
