//! An application on the demo's pods, as manifests in the folder that the agents watch: a Service before the `api`
//! pods, and a policy by which `web` pods may ask them, at one of the two ports that they listen on.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use crate::cluster::Cluster;
use crate::dial::{self, Dial, Protocol};
use crate::objects::{self, Endpoint, Folder, Object};
use crate::pod::Pod;
use crate::run;
use crate::serve::{Listen, Server};

/// The file that holds it.
const FILE: &str = "application.yaml";
const SERVICE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 96, 0, 80));
const SERVICE_PORT: u16 = 80;
const PORT: u16 = 8080;
const CLOSED: u16 = 9090;
/// Questions from one pod.
const QUESTIONS: usize = 20;
/// How long a question may go unanswered that nobody is to hear.
const SILENCE: Duration = Duration::from_millis(700);

/// What a pod of the demo is of, by its name.
fn app(pod: &Pod) -> &str {
    pod.name.split('-').next().unwrap_or_default()
}

/// Takes it away, where an earlier demo has left it.
///
/// # Errors
/// When the folder cannot be written, or a switch does not follow.
pub(super) fn remove(cluster: &Cluster) -> Result<()> {
    if !cluster.name.manifests().join(FILE).exists() {
        return Ok(());
    }
    let mut folder = Folder::new(&cluster.name, cluster.nodes()?);
    folder.remove(FILE)?;
    folder.settle()
}

/// Puts it there, uses it, and says what came of that. `None` where there are no pods for it.
///
/// # Errors
/// When a switch does not follow, or the application does not do what its manifests say.
pub(super) fn show(cluster: &Cluster) -> Result<Option<String>> {
    let of = |wanted| cluster.pods().iter().filter(move |pod| app(pod) == wanted);
    let (Some(client), Some(other)) = (of("web").next(), of("api").next()) else {
        return Ok(None);
    };
    let mut folder = Folder::new(&cluster.name, cluster.nodes()?);
    folder.put_together(FILE, &manifests(cluster)?)?;
    folder.settle()?;
    let mut servers = Vec::new();
    for pod in of("api") {
        let netns = cluster.node(pod.node)?.pod_netns(&pod.name)?;
        let address = pod.address(false)?;
        let listen = [PORT, CLOSED].map(|port| Listen::Tcp(SocketAddr::new(address, port)));
        servers.push(Server::start(&netns, &pod.name, &listen)?);
    }
    let node = cluster.node(client.node)?;
    let netns = node.pod_netns(&client.name)?;
    let ask = |dial: &Dial, count| {
        dial::many(&netns, dial, count).with_context(|| format!("from {}", client.name))
    };
    let dial = Dial::tcp(SERVICE, SERVICE_PORT);
    let answered = ask(&dial, QUESTIONS)?;
    let direct = Dial::tcp(other.address(false)?, CLOSED).within(SILENCE);
    let denied = ask(&direct, 1)?;
    let by: Vec<String> = answered
        .by()
        .iter()
        .map(|(server, count)| format!("{server} {count}"))
        .collect();
    let why = format!(
        "default/{} default/{} tcp/{CLOSED}",
        client.name, other.name
    );
    let words: Vec<&str> = ["why"].into_iter().chain(why.split(' ')).collect();
    // It fails, as it should, for what does not arrive.
    let reason = run::output(&mut node.command("sluicectl", &words))?;
    let reason = String::from_utf8_lossy(&reason.stdout);
    let mut out = format!(
        "Service api at {SERVICE}:{SERVICE_PORT} stands before port {PORT} of the api pods, and policy api lets only web \
         pods in, at that port ({}):\n\n",
        cluster.name.manifests().join(FILE).display()
    );
    let _ = writeln!(
        out,
        "  {} → Service api: {} of {QUESTIONS} connections answered, by {}",
        client.name,
        QUESTIONS - answered.failures().len(),
        by.join(", ")
    );
    let silent = !denied.failures().is_empty();
    let outcome = if silent { "no answer" } else { "answered" };
    let _ = writeln!(
        out,
        "  {} → {}:{CLOSED}: {outcome}\n",
        client.name, other.name
    );
    let _ = writeln!(
        out,
        "Why? (sluice-testbed exec {} sluicectl why {why})\n",
        node.name()
    );
    for line in reason.lines() {
        let _ = writeln!(out, "  {line}");
    }
    answered.all_answered()?;
    ensure!(
        silent,
        "{} was answered by {} at port {CLOSED}, although policy api forbids it",
        client.name,
        other.name
    );
    folder.leave(FILE);
    Ok(Some(out))
}

fn manifests(cluster: &Cluster) -> Result<Vec<Object>> {
    let mut objects = vec![objects::namespace(objects::NAMESPACE)];
    let mut endpoints = Vec::new();
    for pod in cluster.pods() {
        let ports = [("http", Protocol::Tcp, PORT)];
        objects.push(objects::pod(pod, &[("app", app(pod))], &ports));
        if app(pod) == "api" {
            endpoints.push(Endpoint::of(pod, false)?);
        }
    }
    let port = [("http", Protocol::Tcp, PORT)];
    objects.push(objects::service("api", &[SERVICE]).port(
        "http",
        Protocol::Tcp,
        SERVICE_PORT,
        "http",
    ));
    objects.push(objects::slice("api", "1", false, &port, &endpoints));
    let from_web = json!([{
        "from": [{"podSelector": {"matchLabels": {"app": "web"}}}],
        "ports": [{"protocol": "TCP", "port": "http"}],
    }]);
    objects.push(objects::ingress_policy("api", &[("app", "api")], from_web));
    Ok(objects)
}
