//! The folder of manifests as an operator sees it: what is not in force, and what is claimed twice, is
//! said by `status` until it is mended.

use crate::harness::{Node, wait};

fn node_object(name: &str, range: &str, address: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Node\nmetadata: {{name: {name}}}\nspec: {{podCIDRs: [{range}]}}\n\
         status: {{addresses: [{{type: InternalIP, address: {address}}}]}}\n"
    )
}

/// Waits until the problems that `status` names are as many as `wanted`, each with all its words.
fn problems(node: &Node, wanted: &[&[&str]]) {
    wait(&format!("problems {wanted:?}"), || {
        let problems = node.status().problems;
        let fits = problems.len() == wanted.len()
            && wanted.iter().all(|words| {
                let has = |problem: &String| words.iter().all(|word| problem.contains(word));
                problems.iter().any(has)
            });
        fits.then_some(())
    });
}

#[test]
fn status_names_faults_and_conflicts_until_they_are_mended() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        let (new, file) = (folder.path().join(".new"), folder.path().join(name));
        std::fs::write(&new, text).expect("writes");
        std::fs::rename(&new, file).expect("renames");
    };
    let good = node_object("n2", "10.8.0.0/24", "192.0.2.2");
    write("n1.yaml", &node_object("n1", "10.7.0.0/24", "192.0.2.1"));
    write("n2.yaml", &good);
    let path = folder.path().to_string_lossy().into_owned();
    let node = Node::ready(&["--manifests", &path]);
    problems(&node, &[]);
    let wanted = node.flows();

    write("n2.yaml", &good.replace("10.8.0.0/24", "10.8.0.0/240"));
    problems(&node, &[&["n2.yaml", "document 1", "podCIDRs"]]);
    assert_eq!(node.flows(), wanted, "the last good state stays in force");

    write("n2.yaml", &good);
    problems(&node, &[]);

    write("n3.yaml", &node_object("n3", "10.8.0.0/24", "192.0.2.3"));
    problems(&node, &[&["prefix 10.8.0.0/24", "n2", "n3"]]);
    write("n3.yaml", &node_object("n3", "10.9.0.0/24", "192.0.2.3"));
    problems(&node, &[]);
}

/// A pod that no object describes has no labels, and policies for all pods are for it: from ADD on, and without a
/// moment of something else when the agent starts again.
#[test]
fn a_pod_without_an_object_stays_isolated_when_the_agent_restarts() {
    let folder = tempfile::tempdir().expect("a folder");
    let policy = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: all, namespace: default}\n\
                  spec: {podSelector: {}, ingress: [{ports: [{port: 80}]}]}\n";
    std::fs::write(folder.path().join("policy.yaml"), policy).expect("writes");
    let path = folder.path().to_string_lossy().into_owned();
    let mut node = Node::ready(&["--manifests", &path]);
    let pod = crate::harness::Pod::new();
    node.add(&pod).expect("attached");
    let flows = node.flows();
    let policed = |flow: &&String| flow.contains("table=46,") && flow.contains("tp_dst=80");
    assert!(flows.iter().any(|flow| policed(&flow)), "{flows:#?}");
    node.stop_agent();
    node.start_agent();
    node.wait_ready();
    assert_eq!(node.flow_mods(), 0, "{}", node.log());
    assert_eq!(node.flows(), flows);
}

/// The ranges of its pods' addresses may come long after the node, and one family after the other.
#[test]
fn ranges_come_late_and_by_and_by() {
    let folder = tempfile::tempdir().expect("a folder");
    let ranges = |ranges: &str| {
        let (new, file) = (folder.path().join(".new"), folder.path().join("n1.yaml"));
        std::fs::write(&new, node_object("n1", ranges, "192.0.2.1")).expect("writes");
        std::fs::rename(&new, file).expect("renames");
    };
    ranges("");
    let mut node = Node::new();
    let path = folder.path().to_string_lossy();
    node.arguments = ["--manifests", &path, "--pod-cidrs", ""]
        .map(str::to_owned)
        .into();
    node.start_agent();
    let said = "node n1 has no podCIDRs";
    wait(said, || node.log().contains(said).then_some(()));
    let given = |ranges_now: &str, count: usize| {
        ranges(ranges_now);
        wait(ranges_now, || {
            node.wait_ready();
            let pod = crate::harness::Pod::new();
            let given = node.add(&pod).expect("attached").ips.len();
            node.del(&pod).expect("detached");
            (given == count).then_some(())
        });
        assert!(node.verify().in_sync);
    };
    given("10.7.0.0/24", 1);
    given("10.7.0.0/24, 'fd00:7::/64'", 2);
}
