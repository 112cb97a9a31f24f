//! Services and policies on a real switch, as others say that they shall be: what kube-proxy was recorded to do with
//! the same objects, the manifests of applications that many have deployed, the recipes that people learn policies by,
//! and a cluster of many tenants as others' scale tests have it.
//!
//! From the objects to the answer everything is the agent's own: decoders, index, compiler, and an Open vSwitch that
//! is asked, packet by packet, where it would go. The recordings and manifests are not part of this repository;
//! without them the tests fail.
#![allow(clippy::unwrap_used, reason = "tests")]

mod applications;
mod judges;
mod kube_proxy;
mod node;
mod policies;
mod recipes;
mod recording;
mod tenants;
mod trace;

#[path = "../../../flows/tests/policy/cluster.rs"]
#[allow(dead_code, reason = "other tests use the rest of it")]
mod cluster;
#[path = "../../../flows/tests/policy/flows.rs"]
#[allow(dead_code, reason = "other tests use the rest of it")]
mod flows;
#[path = "../../../flows/tests/policy/oracle.rs"]
mod oracle;

#[path = "../../../flows/tests/suite/switch.rs"]
#[allow(dead_code, reason = "other tests use the rest of it")]
mod switch;

/// A file of the test data.
fn test_data(name: &str) -> String {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/testdata");
    let path = folder.join(name);
    std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("test data {} is needed: {error}", path.display()))
}
