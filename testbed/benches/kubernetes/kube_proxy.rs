//! Services by kube-proxy in nftables mode, beside ours: both follow the same API server and serve the same Services,
//! few and very many, and each is asked by clients of its own, through a Service and directly.
//!
//! kube-proxy has a network namespace of its own, a router between a client and a server: what it programs is the kernel's,
//! where our nodes forward by the userspace datapath of Open vSwitch unless they run in the guest. So what counts is, of each,
//! what a Service costs against its own direct way, and whether that grows with the number of Services.

use std::net::{IpAddr, Ipv4Addr};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use sluice_testbed::cluster::Cluster;
use sluice_testbed::dial::Dial;
use sluice_testbed::kubernetes::{self, binaries};
use sluice_testbed::measure::{argument, connections, median};
use sluice_testbed::node::Daemon;
use sluice_testbed::serve::{Listen, Server};
use sluice_testbed::{layout, netns, run};

use crate::api::{Api, Request};

const SERVICES: &str = "/api/v1/namespaces/default/services";
const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
const PORT: u16 = 8080;
/// How long either may take until it serves what was written.
const LIMIT: Duration = Duration::from_secs(180);
/// How long is measured at a time.
const EACH: Duration = Duration::from_millis(200);
/// Where the router's server is.
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 2, 2);

pub(crate) fn measure(cluster: &mut Cluster) -> Result<()> {
    let program = binaries::kube_proxy()?;
    let router = Router::new(cluster)?;
    let api = Api::new(cluster)?;
    let from = cluster.attach(1, "proxy-from")?;
    let to = cluster.attach(1, "proxy-to")?;
    let pod = to.address(false)?;
    let (from, to) = (seen(cluster, &from.name)?, seen(cluster, &to.name)?);
    let mut ways = Vec::new();
    for (who, netns, server) in [
        ("kube-proxy", router.client.clone(), SERVER.into()),
        ("sluice", from.clone(), pod),
    ] {
        let address = create(&api, who, server)?;
        ways.push(Way {
            who,
            netns,
            service: address,
            server,
        });
    }
    let _servers = [
        Server::start(
            &router.server,
            "server",
            &[Listen::Tcp((SERVER, PORT).into())],
        )?,
        Server::start(&to, "server", &[Listen::Tcp((pod, PORT).into())])?,
    ];
    let _proxy = router.run(&program, cluster)?;
    let most = argument("--most", 3000);
    let mut there = 2;
    let mut counts = vec![10, most.min(1000), most];
    counts.dedup();
    for wanted in counts {
        let began = Instant::now();
        api.many(&others(there..wanted))?;
        there = wanted;
        println!(
            "{wanted} Services, written within {:.0} s",
            began.elapsed().as_secs_f64()
        );
        // What is written last is served last.
        let last = create(&api, &format!("last-{wanted}"), SERVER.into())?;
        let last_pod = create(&api, &format!("last-pod-{wanted}"), pod)?;
        for (way, last) in ways.iter().zip([last, last_pod]) {
            let dial = Dial::tcp(last, 80).within(Duration::from_millis(300));
            run::wait_for(&format!("{} to serve them all", way.who), LIMIT, || {
                let made = sluice_testbed::dial::many(&way.netns, &dial, 1)?;
                Ok(made.all_answered().is_ok().then_some(()))
            })?;
        }
        for way in &ways {
            way.measure()?;
        }
    }
    Ok(())
}

/// Who is measured, and how he is asked.
struct Way {
    who: &'static str,
    netns: String,
    service: IpAddr,
    server: IpAddr,
}

impl Way {
    fn measure(&self) -> Result<()> {
        // Ended by RST: a client has few ports for one address, and would hold each for a minute.
        let service = Dial::tcp(self.service, 80).aborting();
        let direct = Dial::tcp(self.server, PORT).aborting();
        for dial in [&service, &direct] {
            connections(&self.netns, dial, EACH)?;
        }
        let (mut rates, mut latencies, mut floors, mut ratios) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for _ in 0..argument("--rounds", 9) {
            let by = connections(&self.netns, &service, EACH)?;
            let floor = connections(&self.netns, &direct, EACH)?;
            rates.push(by.per_second);
            latencies.push(by.p50);
            floors.push(floor.per_second);
            ratios.push(by.per_second / floor.per_second);
        }
        println!(
            "  {}: {:.0} connections/s through the Service, p50 {:.0} µs; directly {:.0}; ratio {:.2}",
            self.who,
            median(&mut rates),
            median(&mut latencies),
            median(&mut floors),
            median(&mut ratios)
        );
        Ok(())
    }
}

/// Makes a Service with one endpoint, and says at which address the API server has put it.
fn create(api: &Api, name: &str, endpoint: IpAddr) -> Result<IpAddr> {
    let [service, slice] = pair(name, endpoint);
    let mut connection = api.connect()?;
    let answer = connection.ask(&service)?;
    connection.send(&slice)?;
    let answer: Value = serde_json::from_slice(&answer)?;
    let address = answer["spec"]["clusterIP"].as_str();
    Ok(address.context("a Service without an address")?.parse()?)
}

fn others(numbers: std::ops::Range<u64>) -> Vec<Request> {
    let requests = numbers.flat_map(|number| {
        let [_, _, _, _, _, high, middle, low] = number.to_be_bytes();
        pair(
            &format!("many-{number}"),
            [10, 200 + high, middle, low.max(1)].into(),
        )
    });
    requests.collect()
}

fn pair(name: &str, endpoint: IpAddr) -> [Request; 2] {
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"ports": [{"name": "web", "port": 80, "targetPort": PORT}]},
    });
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": name, "labels": {"kubernetes.io/service-name": name}},
        "endpoints": [{"addresses": [endpoint], "conditions": {"ready": true}}],
        "ports": [{"name": "web", "protocol": "TCP", "port": PORT}],
    });
    [
        Request::post(SERVICES, &service),
        Request::post(SLICES, &slice),
    ]
}

/// Namespaces for kube-proxy, its client and its server, which go when this is dropped.
struct Router {
    router: String,
    client: String,
    server: String,
}

impl Router {
    fn new(cluster: &Cluster) -> Result<Self> {
        let control = cluster.name.control();
        let name = |suffix| format!("{control}-{suffix}");
        let new = Self {
            router: name("kp"),
            client: name("kc"),
            server: name("ks"),
        };
        for namespace in [&new.router, &new.client, &new.server] {
            netns::add(namespace)?;
        }
        let control_address = layout::control_v4();
        let links = [
            (&new.client, "kp1", "10.77.1"),
            (&new.server, "kp2", "10.77.2"),
            (&control, "kp3", "10.77.3"),
        ];
        let mut lines = vec!["link set lo up".to_owned()];
        for (other, device, net) in links {
            lines.push(format!(
                "link add {device} type veth peer name {device}x netns {other}"
            ));
            lines.push(format!("addr add {net}.1/24 dev {device}"));
            lines.push(format!("link set {device} up"));
        }
        lines.push(format!("route add {control_address}/32 via 10.77.3.2"));
        run::ip_batch(&new.router, &lines)?;
        for (other, device, net) in links {
            let mut lines = vec![
                format!("addr add {net}.2/24 dev {device}x"),
                format!("link set {device}x up"),
            ];
            if *other != control {
                lines.push(format!("route add default via {net}.1"));
            }
            run::ip_batch(other, &lines)?;
        }
        new.sh("sysctl", &["-qw", "net.ipv4.ip_forward=1"])?;
        Ok(new)
    }

    fn sh(&self, program: &str, args: &[&str]) -> Result<()> {
        run::stdout(&mut self.command(program, args)).map(drop)
    }

    fn command(&self, program: &str, args: &[&str]) -> std::process::Command {
        let enter = format!("--net={}", netns::path(&self.router).display());
        let mut command = run::command("nsenter", [enter.as_str(), "--", program]);
        command.args(args);
        command
    }

    fn run(&self, program: &std::path::Path, cluster: &Cluster) -> Result<Proxy> {
        let dir = kubernetes::control_plane(cluster)?.dir();
        let config = format!(
            "--kubeconfig={}",
            kubernetes::certs::kubeconfig(&dir, "admin").display()
        );
        // It asks for the node whose Services it serves; its own addresses are of no concern here.
        let node = format!("--hostname-override={}", layout::node_name(1));
        let log = std::fs::File::create(dir.join("kube-proxy.log"))?;
        let mut command = self.command(
            &program.display().to_string(),
            &[
                &config,
                &node,
                "--proxy-mode=nftables",
                "--conntrack-max-per-core=0",
                "--conntrack-tcp-timeout-established=0s",
                "--conntrack-tcp-timeout-close-wait=0s",
            ],
        );
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("cannot run kube-proxy")?;
        Ok(Proxy(child))
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        for namespace in [&self.router, &self.client, &self.server] {
            // What is left of them is removed with the testbed's other namespaces by whoever looks for them.
            let _ = netns::delete(namespace);
        }
    }
}

/// The namespace of a pod, seen from outside of its node: nodes of a cluster have a file system of their own.
fn seen(cluster: &Cluster, pod: &str) -> Result<String> {
    let inside = netns::path(&cluster.name.pod(1, pod));
    let pid = cluster.node(1)?.pid(Daemon::Agent)?;
    Ok(format!("/proc/{pid}/root{}", inside.display()))
}

/// kube-proxy, which ends with this.
struct Proxy(Child);

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
