//! The `CNI_*` variables are validated before anything is done: no case reaches the agent.

use crate::runtime::Invocation;
use crate::scripted_agent::ScriptedAgent;

#[test]
fn what_is_missing_is_named_all_at_once() {
    let agent = ScriptedAgent::content();
    for command in ["ADD", "CHECK"] {
        Invocation::new(command, agent.socket())
            .without("CNI_CONTAINERID")
            .env("CNI_IFNAME", "")
            .without("CNI_NETNS")
            .run()
            .error(4, &["CNI_CONTAINERID", "CNI_IFNAME", "CNI_NETNS"]);
    }
    Invocation::new("DEL", agent.socket())
        .without("CNI_CONTAINERID")
        .without("CNI_IFNAME")
        .without("CNI_NETNS")
        .run()
        .error(4, &["missing: CNI_CONTAINERID, CNI_IFNAME"]);
    assert!(agent.calls().is_empty());
}

#[test]
fn the_command_must_be_one() {
    let agent = ScriptedAgent::content();
    Invocation::new("FLY", agent.socket())
        .run()
        .error(4, &["CNI_COMMAND", "FLY"]);
    Invocation::new("add", agent.socket())
        .run()
        .error(4, &["CNI_COMMAND", "add"]);
    Invocation::new("ADD", agent.socket())
        .without("CNI_COMMAND")
        .run()
        .error(4, &["CNI_COMMAND"]);
    Invocation::new("ADD", agent.socket())
        .env("CNI_COMMAND", "")
        .run()
        .error(4, &["CNI_COMMAND"]);
}

#[test]
fn every_variable_is_validated() {
    let long_name = "x".repeat(16);
    let long_pod = format!(
        "IgnoreUnknown=1;K8S_POD_NAMESPACE=a;K8S_POD_NAME={}",
        "x".repeat(254)
    );
    let cases: &[(&str, &str, &[&str])] = &[
        ("CNI_CONTAINERID", "-c1", &["CNI_CONTAINERID", "-c1"]),
        ("CNI_CONTAINERID", "c/1", &["c/1"]),
        ("CNI_CONTAINERID", "c 1", &["c 1"]),
        ("CNI_CONTAINERID", "../../etc", &["../../etc"]),
        ("CNI_CONTAINERID", "cé", &["cé"]),
        ("CNI_IFNAME", &long_name, &["CNI_IFNAME", "15"]),
        ("CNI_IFNAME", "..", &[".."]),
        ("CNI_IFNAME", "eth/0", &["eth/0"]),
        ("CNI_IFNAME", "eth:0", &["eth:0"]),
        ("CNI_IFNAME", "eth 0", &["eth 0"]),
        ("CNI_IFNAME", "eth\n0", &["CNI_IFNAME"]),
        ("CNI_IFNAME", "lo", &["loopback"]),
        ("CNI_NETNS", "run/netns/x", &["CNI_NETNS", "absolute"]),
        (
            "CNI_NETNS",
            "/run/netns/none-of-that-name",
            &["/run/netns/none-of-that-name"],
        ),
        ("CNI_NETNS", "/proc/self/ns/net", &["own network namespace"]),
        ("CNI_ARGS", "K8S_POD_NAME", &["CNI_ARGS", "KEY=VALUE"]),
        ("CNI_ARGS", "FOO=bar", &["FOO", "IgnoreUnknown"]),
        ("CNI_ARGS", "IgnoreUnknown=0;FOO=bar", &["FOO"]),
        ("CNI_ARGS", "IgnoreUnknown=perhaps", &["perhaps"]),
        ("CNI_ARGS", "K8S_POD_NAME=web", &["only one"]),
        (
            "CNI_ARGS",
            "K8S_POD_NAMESPACE=default;K8S_POD_NAME=",
            &["only one"],
        ),
        (
            "CNI_ARGS",
            "K8S_POD_NAMESPACE=a/b;K8S_POD_NAME=x",
            &["K8S_POD_NAMESPACE", "a/b"],
        ),
        (
            "CNI_ARGS",
            "K8S_POD_NAMESPACE=a;K8S_POD_NAME=x y",
            &["K8S_POD_NAME", "x y"],
        ),
        (
            "CNI_ARGS",
            "K8S_POD_NAMESPACE=a;K8S_POD_NAME=x;K8S_POD_UID=;;K8S_POD_UID=$",
            &["K8S_POD_UID", "$"],
        ),
        ("CNI_ARGS", &long_pod, &["K8S_POD_NAME"]),
    ];
    let agent = ScriptedAgent::content();
    for (name, value, words) in cases {
        Invocation::new("ADD", agent.socket())
            .env(name, value)
            .run()
            .error(4, words);
    }
    assert!(agent.calls().is_empty());
}

#[test]
fn what_is_allowed_is_taken() {
    let cases = [
        ("CNI_CONTAINERID", "0.a_b-C"),
        ("CNI_IFNAME", "fifteen-letters"),
        ("CNI_IFNAME", "eth0.100"),
        ("CNI_ARGS", ""),
        ("CNI_ARGS", "IgnoreUnknown=true;FOO=a=b;;"),
        ("CNI_ARGS", "FOO=bar;IgnoreUnknown=1"),
        ("CNI_ARGS", "K8S_POD_NAMESPACE=;K8S_POD_NAME="),
        ("CNI_ARGS", "K8S_POD_NAMESPACE=a;K8S_POD_NAME=b.c"),
    ];
    let agent = ScriptedAgent::content();
    for (name, value) in cases {
        Invocation::new("ADD", agent.socket())
            .env(name, value)
            .run()
            .result();
    }
    assert_eq!(agent.calls().len(), cases.len());
}

#[test]
fn run_by_hand_it_says_what_it_is() {
    let by_hand = Invocation::new("ADD", std::path::Path::new("/nowhere")).without("CNI_COMMAND");
    let output = by_hand.command().arg("--version").output().expect("runs");
    assert_eq!(
        output.stdout,
        format!("sluice-cni {}\n", env!("CARGO_PKG_VERSION")).as_bytes()
    );
    let output = by_hand.command().arg("--help").output().expect("runs");
    assert!(output.status.success() && output.stdout.is_empty());
    assert!(String::from_utf8_lossy(&output.stderr).contains("CNI_COMMAND"));
    assert!(
        !by_hand
            .command()
            .arg("--what")
            .status()
            .expect("runs")
            .success()
    );
}
