//! A real cluster: pods come by kubelet, container runtime and plugin, and what is asked is asked with `kubectl`.
//!
//! Runs where `SLUICE_REQUIRE_KUBERNETES` is set, as `testbed/check --kubernetes` does, and builds the programs of
//! Kubernetes first if they are not there. Elsewhere nothing runs, which is said aloud.

#[path = "kubernetes/drain.rs"]
mod drain;
#[path = "kubernetes/events.rs"]
mod events;
#[path = "kubernetes/harness.rs"]
mod harness;
#[path = "kubernetes/install.rs"]
mod install;
#[path = "kubernetes/pods.rs"]
mod pods;
#[path = "kubernetes/restarts.rs"]
mod restarts;
#[path = "kubernetes/services.rs"]
mod services;

use std::process::ExitCode;

use sluice_testbed::kubernetes::binaries;
use sluice_testbed::options::Options;
use sluice_testbed::suite::{self, Group};

fn main() -> ExitCode {
    if std::env::var_os("SLUICE_REQUIRE_KUBERNETES").is_none() {
        println!("\nkubernetes: NOT RUN: that takes `testbed/check --kubernetes`");
        return ExitCode::SUCCESS;
    }
    if let Err(error) = binaries::ensure() {
        println!("\nkubernetes: FAILED: {error:#}");
        return ExitCode::FAILURE;
    }
    suite::main(vec![Group {
        name: "cluster".to_owned(),
        options: Options {
            kubernetes: true,
            nodes: 2,
            ..Options::default()
        },
        pods: Vec::new(),
        scenarios: vec![
            ("twenty_pods_reach_each_other", pods::twenty_pods),
            ("kubectl_reaches_pods", pods::kubectl_reaches_pods),
            ("kubelets_probe_pods", pods::kubelets_probe_pods),
            (
                "host_network_pods_keep_the_nodes_address",
                pods::host_network,
            ),
            ("manifests_are_accepted", pods::manifests_are_accepted),
            ("services_are_reached", services::services_are_reached),
            ("policies_are_in_force", services::policies_are_in_force),
            (
                "policies_bring_their_pods",
                services::policies_bring_their_pods,
            ),
            ("refused_flows_become_events", events::refused_flows),
            ("kubelet_and_runtime_restart", restarts::kubelet_and_runtime),
            ("the_agent_restarts", restarts::agent),
            ("the_api_server_is_away", restarts::api_server),
            (
                "vanished_sandboxes_are_collected",
                restarts::vanished_sandboxes,
            ),
            ("a_node_is_drained", drain::a_node_is_drained),
            (
                "the_manifest_installs_and_upgrades",
                install::from_the_manifest,
            ),
            ("pods_come_and_go_without_a_trace", pods::churn),
            // The last one: it leaves a node without a runtime.
            ("going_down_ends_what_runs", restarts::left_running),
        ],
    }])
}
