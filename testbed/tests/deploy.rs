//! `deploy/sluice.yaml` is what the Helm chart gives with its own values, so that neither drifts from the other.
//!
//! The chart's template uses little of Helm's language, and this renders that little. `UPDATE_GOLDEN=1` writes the
//! manifest anew. Helm itself is asked where it is installed or `SLUICE_HELM` names it, as `deploy/helm` does.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

const HEADER: &str = "\
# Sluice for a cluster of any size: kubectl apply -f sluice.yaml
#
# Before: every node has Open vSwitch running, and a container runtime that looks for CNI plugins in /opt/cni/bin and
# for networks in /etc/cni/net.d. The image is made by deploy/build-image, or taken from where you push it.
# Edit the ConfigMap for what differs; docs/agent.md documents every key. Made from deploy/chart.
";

fn deploy(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../deploy")
        .join(file)
}

fn read(file: &str) -> String {
    std::fs::read_to_string(deploy(file)).expect("a file of the chart")
}

/// The text of one `{{ … }}`.
fn expression(text: &str, values: &Value) -> String {
    let lookup = |path: &str| match path {
        ".Release.Namespace" => Value::from("kube-system"),
        _ => {
            let path = path
                .strip_prefix(".Values")
                .expect("a value")
                .replace('.', "/");
            values
                .pointer(&path)
                .unwrap_or_else(|| panic!("values.yaml has no {path}"))
                .clone()
        }
    };
    let plain = |value: Value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    let words: Vec<&str> = text.split_whitespace().collect();
    match words[..] {
        [path] => plain(lookup(path)),
        ["toJson", path] => lookup(path).to_string(),
        [path, "|", "trim", "|", "nindent", width] => {
            let blanks = " ".repeat(width.parse().expect("a number"));
            let text = plain(lookup(path));
            let lines: Vec<String> = text
                .trim_end()
                .lines()
                .map(|line| format!("{blanks}{line}"))
                .collect();
            format!("\n{}", lines.join("\n"))
        }
        _ => panic!("{text:?}: not of the language that this test knows"),
    }
}

fn render(template: &str, values: &Value) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let (inside, after) = after.split_once("}}").expect("an end");
        match inside.strip_prefix('-') {
            Some(inside) => {
                out.push_str(before.trim_end());
                out.push_str(&expression(inside, values));
            }
            None => {
                out.push_str(before);
                out.push_str(&expression(inside, values));
            }
        }
        rest = after;
    }
    out + rest
}

#[test]
fn the_manifest_is_the_chart_with_its_own_values() {
    let values: Value = serde_saphyr::from_str(&read("chart/values.yaml")).expect("values");
    let wanted = format!(
        "{HEADER}{}",
        render(&read("chart/templates/agent.yaml"), &values)
    );
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(deploy("sluice.yaml"), &wanted).expect("written");
    }
    assert!(
        read("sluice.yaml") == wanted,
        "run this test with UPDATE_GOLDEN=1"
    );
}

#[test]
fn chart_and_image_are_of_this_version() {
    let version = env!("CARGO_PKG_VERSION");
    let chart = read("chart/Chart.yaml");
    assert!(
        chart.contains(&format!("appVersion: {version}\n")),
        "{chart}"
    );
    assert!(read("chart/values.yaml").contains(&format!("tag: {version}\n")));
}

/// Objects by kind and name.
fn objects(text: &str) -> BTreeMap<String, Value> {
    let objects: Vec<Value> = serde_saphyr::from_multiple(text).expect("YAML");
    let named = objects.into_iter().map(|object| {
        let key = format!("{} {}", object["kind"], object["metadata"]["name"]);
        (key, object)
    });
    named.collect()
}

/// What Helm makes of the chart for a namespace; nothing, said aloud, where there is no Helm.
fn helm(namespace: &str) -> Option<String> {
    let given = std::env::var_os("SLUICE_HELM");
    let program = given.clone().unwrap_or_else(|| OsString::from("helm"));
    // Of the oldest Kubernetes that the chart takes; Helm's own idea of it depends on how Helm was built.
    let output = Command::new(&program)
        .args(["template", "sluice", "--kube-version", "v1.29.0"])
        .args(["--namespace", namespace])
        .arg(deploy("chart"))
        .output();
    match output {
        Ok(output) => {
            assert!(output.status.success(), "helm template: {output:?}");
            Some(String::from_utf8(output.stdout).expect("text"))
        }
        Err(error) => {
            assert!(given.is_none(), "SLUICE_HELM is {program:?}: {error}");
            // Not eprintln!, which the test harness would keep to itself.
            let _ = writeln!(
                std::io::stderr(),
                "\n*** NOT TESTED: what Helm makes of deploy/chart, since there is no helm ({error})\n*** SLUICE_HELM=$(deploy/helm) has it built"
            );
            None
        }
    }
}

#[test]
fn helm_makes_the_manifest_of_the_chart() {
    for namespace in ["kube-system", "another"] {
        let Some(rendered) = helm(namespace) else {
            return;
        };
        let manifest = read("sluice.yaml").replace("kube-system", namespace);
        let (rendered, wanted) = (objects(&rendered), objects(&manifest));
        let names = |objects: &BTreeMap<String, Value>| objects.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&rendered), names(&wanted));
        for (name, object) in &wanted {
            assert_eq!(rendered.get(name), Some(object), "{name} in {namespace}");
        }
    }
}
