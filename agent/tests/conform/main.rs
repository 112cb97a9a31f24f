//! Services and policies on a real switch, as others say that they shall be: what kube-proxy was recorded to do with
//! the same objects, and the manifests of applications that many have deployed.
//!
//! From the objects to the answer everything is the agent's own: decoders, index, compiler, and an Open vSwitch that
//! is asked, packet by packet, where it would go. The recordings and manifests are not part of this repository;
//! without them the tests fail.
#![allow(clippy::unwrap_used, reason = "tests")]

mod applications;
mod kube_proxy;
mod node;
mod policies;
mod recording;
mod trace;

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
