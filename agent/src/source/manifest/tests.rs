use std::sync::Arc;

use sluice_flows::model::ClusterPod;

use super::*;
use crate::source::object::{Namespace, Node, Pod, PodState};

fn objects_of(text: &str) -> Vec<Object> {
    parse(text)
        .expect("a manifest that is understood")
        .into_iter()
        .map(|found| found.object)
        .collect()
}

fn misfit_of(text: &str) -> (usize, String, String) {
    let misfit = parse(text).expect_err("a manifest that is not understood");
    (misfit.document, misfit.field, misfit.message)
}

const NODE: &str = "\
apiVersion: v1
kind: Node
metadata: {name: n1, labels: {a: b}}
spec: {podCIDR: 10.1.1.0/24, podCIDRs: [10.1.1.0/24, 'fd00:1:0:1::/64']}
status:
  addresses:
  - {type: Hostname, address: n1}
  - {type: InternalIP, address: 192.0.2.1}
  - {type: InternalIP, address: '2001:db8::1'}
";

fn n1() -> Object {
    Object::from(Node {
        name: "n1".into(),
        pod_cidrs: vec![
            "10.1.1.0/24".parse().expect("a CIDR"),
            "fd00:1:0:1::/64".parse().expect("a CIDR"),
        ],
        internal_ips: vec![
            "192.0.2.1".parse().expect("an address"),
            "2001:db8::1".parse().expect("an address"),
        ],
        ..Node::default()
    })
}

#[test]
fn a_node() {
    assert_eq!(objects_of(NODE), [n1()]);
}

#[test]
fn many_documents_and_other_kinds() {
    let text = format!(
        "# a comment\n---\n{NODE}---\n# nothing\n--- # a comment\napiVersion: v1\nkind: Namespace\nmetadata:\n  name: web\n\
         \n---\napiVersion: apps/v1\nkind: Deployment\nspec: {{anything: at all}}\n---\nnull\n"
    );
    let namespace = Object::from(Namespace {
        name: "web".into(),
        ..Namespace::default()
    });
    assert_eq!(objects_of(&text), [n1(), namespace]);
    let documents: Vec<usize> = parse(&text)
        .expect("understood")
        .iter()
        .map(|found| found.document)
        .collect();
    assert_eq!(documents, [1, 3]);
}

#[test]
fn a_document_before_the_first_marker_counts() {
    assert_eq!(
        objects_of(&format!("{NODE}---\n{}", NODE.replace("n1", "n2"))).len(),
        2
    );
}

#[test]
fn lists_of_both_sorts_and_json() {
    let list = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Namespace, metadata: {name: a}}\n\
                - {apiVersion: v1, kind: ConfigMap, metadata: {name: b}}\n";
    assert_eq!(objects_of(list).len(), 1);
    let typed =
        r#"{"apiVersion": "v1", "kind": "PodList", "items": [{"metadata": {"name": "p"}}]}"#;
    let pod = Object::from(Pod {
        cluster: Arc::new(ClusterPod {
            namespace: "default".into(),
            name: "p".into(),
            ..ClusterPod::default()
        }),
        state: Arc::new(PodState {
            ready: true,
            ..PodState::default()
        }),
    });
    assert_eq!(objects_of(typed), [pod]);
}

#[test]
fn a_pod_with_and_without_status() {
    let text = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\n  namespace: web\n  uid: '1'\n  creationTimestamp: null\n\
                spec: {nodeName: n1, hostNetwork: true, containers: []}\nstatus: {podIP: 10.1.1.2}\n";
    let pod = Pod {
        cluster: Arc::new(ClusterPod {
            namespace: "web".into(),
            name: "p".into(),
            uid: crate::source::object::Uid::new("1"),
            ips: vec!["10.1.1.2".parse().expect("an address")].into(),
            ..ClusterPod::default()
        }),
        state: Arc::new(PodState {
            node: "n1".into(),
            host_network: true,
            ready: true,
            ..PodState::default()
        }),
    };
    assert_eq!(objects_of(text), [Object::from(pod)]);
    assert_eq!(
        objects_of("apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: null\nstatus: {}").len(),
        1
    );
}

#[test]
fn an_empty_file_says_nothing() {
    for text in [
        "",
        "\n\n",
        "# only a comment\n",
        "---\n---\n",
        "---\n# x\n---",
    ] {
        assert_eq!(objects_of(text), [], "{text:?}");
    }
}

#[test]
fn the_place_of_a_misfit() {
    let second = |text: &str| misfit_of(&format!("{NODE}---\n{text}"));
    let head = "apiVersion: v1\nkind: Node\nmetadata: {name: n2}\n";
    let policy = |spec| {
        format!(
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: p, more: 1}}\nspec: {spec}\nstatus: {{x: 1}}"
        )
    };
    for (text, field, message) in [
        (format!("{head}spec: {{podCIDRs: [10.1.1.0/24, nonsense]}}"), "spec.podCIDRs[1]", "invalid IP address syntax"),
        (format!("{head}spec: {{podCIDRs: 7}}"), "spec.podCIDRs", "invalid type: integer `7`, expected a sequence"),
        (
            format!("{head}status: {{addresses: [{{type: InternalIP, address: n2}}]}}"),
            "status.addresses[0].address",
            "invalid IP address syntax",
        ),
        ("apiVersion: v1\nkind: Node\n".into(), "", "missing field `metadata`"),
        ("apiVersion: v1\nkind: Node\nmetadata: {}".into(), "metadata.name", "missing"),
        ("apiVersion: v1\nkind: Namespace\nmetadata: {name: x, labels: {a: 1}}".into(), "metadata.labels.a", "invalid type: integer `1`, expected a string"),
        ("kind: Node\nmetadata: {name: x}".into(), "apiVersion", "missing"),
        ("apiVersion: v1\nmetadata: {name: x}".into(), "kind", "missing"),
        ("apiVersion: v1\nkind: [Node]".into(), "kind", "not a string"),
        ("- 1\n- 2".into(), "", "not an object"),
        (
            "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Pod, metadata: {name: 7}}".into(),
            "items[0].metadata.name",
            "invalid type: integer `7`, expected a string",
        ),
        (policy("{ingress: [{form: []}]}"), "spec.ingress[0].form", "there is no such field"),
        (policy("{ingress: [{from: [{podSelektor: {}}]}]}"), "spec.ingress[0].from[0].podSelektor", "no such field"),
        (policy("{podselector: {}}"), "spec.podselector", "there is no such field"),
    ] {
        let (document, found, why) = second(&text);
        assert_eq!((document, found.as_str()), (2, field), "{text}");
        assert!(why.contains(message), "{text}: {why}");
    }
}

#[test]
fn the_line_of_a_syntax_error_counts_from_the_top_of_the_file() {
    let misfit =
        parse("a: 1\nkind: x\napiVersion: v2\n---\nkind: Node\n  bad: [\n").expect_err("not YAML");
    assert_eq!(misfit.document, 2);
    assert!(matches!(misfit.line, Some(5..=7)), "{misfit:?}");
}

#[test]
fn a_name_is_not_a_boolean() {
    for name in ["y", "n", "on", "off", "yes"] {
        let namespace = Object::from(Namespace {
            name: name.into(),
            ..Namespace::default()
        });
        assert_eq!(
            objects_of(&format!(
                "apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n"
            )),
            [namespace]
        );
    }
}

#[test]
fn a_list_of_a_large_cluster_is_not_too_large() {
    let item = format!(
        "- {{apiVersion: v1, kind: Pod, metadata: {{name: p}}, x: [{}]}}\n",
        "1, ".repeat(2_000)
    );
    let list = format!("apiVersion: v1\nkind: List\nitems:\n{}", item.repeat(150));
    assert_eq!(objects_of(&list).len(), 150);
}

#[test]
fn aliases_cannot_explode() {
    let mut text =
        "apiVersion: v1\nkind: Other\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..12 {
        let last = format!("*a{}, ", n - 1).repeat(10);
        text += &format!("a{n}: &a{n} [{last}]\n");
    }
    assert!(parse(&text).is_err());
}

#[test]
fn one_bad_document_spoils_the_file() {
    assert!(parse(&format!("{NODE}---\nkind: {{\n")).is_err());
}

#[test]
fn typed_lists_of_every_group_and_lists_of_what_nobody_uses() {
    let of = |version: &str, kind: &str, item: &str| {
        objects_of(&format!(
            r#"{{"apiVersion": "{version}", "kind": "{kind}", "items": [{item}]}}"#
        ))
        .len()
    };
    let item = r#"{"metadata": {"name": "x"}}"#;
    for kind in Kind::ALL {
        assert_eq!(
            of(kind.api_version(), &format!("{kind}List"), item),
            1,
            "{kind}"
        );
    }
    assert_eq!(of("apps/v1", "DeploymentList", item), 0);
    assert_eq!(of("example.com/v1", "AllowList", "1, 2"), 0);
    assert_eq!(of("example.com/v1", "PodList", item), 0);
}

#[test]
fn a_version_that_is_no_more_is_not_passed_over() {
    for (version, kind) in [
        ("extensions/v1beta1", "NetworkPolicy"),
        ("networking.k8s.io/v2", "NetworkPolicy"),
        ("discovery.k8s.io/v1beta1", "EndpointSlice"),
    ] {
        let text = format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{name: x}}\n");
        let (_, field, message) = misfit_of(&text);
        assert_eq!(field, "apiVersion");
        assert!(message.contains("is not understood, that of"), "{message}");
    }
    for (version, kind) in [
        ("crd.projectcalico.org/v1", "NetworkPolicy"),
        ("serving.knative.dev/v1", "Service"),
    ] {
        let text = format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{name: x}}\n");
        assert_eq!(objects_of(&text), []);
    }
}
