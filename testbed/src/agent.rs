//! A node's agent: its configuration file, its start, and how to see that it is ready.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::kubernetes::certs;
use crate::layout::BRIDGE;
use crate::node::{Daemon, Node};
use crate::options::{self, Options};
use crate::run;

/// How long an agent gets from start to ready.
const READY: Duration = Duration::from_secs(180);

/// Writes the agent's configuration file.
///
/// # Errors
/// When the node's folder cannot be written.
pub fn configure(node: &Node, options: &Options) -> Result<()> {
    let mut text = format!(
        "# Written by sluice-testbed.\n\
         node-name = \"{name}\"\n\
         {source}\
         ovsdb = \"{ovsdb}\"\n\
         bridge = \"{BRIDGE}\"\n\
         datapath-type = \"{datapath}\"\n\
         tunnel = \"{tunnel}\"\n\
         underlay-mtu = {mtu}\n\
         underlay-ipv6 = {underlay_ipv6}\n\
         attach = \"{attach}\"\n\
         socket = \"{socket}\"\n\
         conflist = \"{conflist}\"\n",
        name = node.name(),
        source = source(node, options),
        ovsdb = node.ovsdb(),
        datapath = options::name(options.datapath()),
        tunnel = options::name(options.tunnel),
        mtu = options.mtu,
        underlay_ipv6 = options.underlay_ipv6,
        attach = options::name(options.attach),
        socket = node.agent_socket().display(),
        conflist = node.conflist().display(),
    );
    for line in &options.agent {
        text.push_str(line);
        text.push('\n');
    }
    std::fs::create_dir_all(node.dir().join("net.d"))?;
    std::fs::write(node.dir().join("agent.toml"), text)
        .context("cannot write the agent's configuration")
}

/// Where the agent learns of the cluster.
fn source(node: &Node, options: &Options) -> String {
    if options.kubernetes {
        let config = certs::kubeconfig(&node.testbed.control_dir(), "sluice-agent");
        format!(
            "kubeconfig = \"{}\"\nstate-file = \"{}\"\n",
            config.display(),
            node.dir().join("state").display()
        )
    } else {
        format!("manifests = \"{}\"\n", node.testbed.manifests().display())
    }
}

/// The agent's command line.
fn arguments(node: &Node) -> Vec<String> {
    vec![
        "--config".into(),
        node.dir().join("agent.toml").display().to_string(),
    ]
}

/// Starts the agent; it is not ready yet when this returns.
///
/// # Errors
/// When it cannot be started.
pub fn start(node: &Node) -> Result<()> {
    node.spawn(Daemon::Agent, "sluice-agent", &arguments(node))
}

/// Waits until the agent serves pods.
///
/// # Errors
/// When it ends, or takes too long; the end of its log is quoted.
pub fn wait_ready(node: &Node) -> Result<()> {
    run::wait_for("the agent to be ready", READY, || {
        if !node.runs(Daemon::Agent) {
            return Ok(Some(false));
        }
        let mut status = node.command("sluicectl", &["status"]);
        let serves = run::output(&mut status)?.status.success();
        Ok((serves && node.conflist().exists()).then_some(true))
    })
    .and_then(|ready| {
        if ready {
            Ok(())
        } else {
            bail!("the agent ended")
        }
    })
    .with_context(|| {
        format!(
            "agent of {}, last lines of its log:\n{}",
            node.name(),
            node.log_tail(Daemon::Agent, 15)
        )
    })
}

/// Removes from the node whatever the agent made.
///
/// # Errors
/// When the agent's own clean-up fails.
pub fn cleanup(node: &Node) -> Result<String> {
    let mut args = vec!["cleanup".to_owned()];
    args.extend(arguments(node));
    node.sh("sluice-agent", &args)
}
