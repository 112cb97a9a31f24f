//! What each command asks the agent and prints, when all goes well and when the agent refuses.

use std::fs::File;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::runtime::{Invocation, Ran, netns, prev_result};
use crate::scripted_agent::{Reply, ScriptedAgent, content};

const VERSIONS: [&str; 4] = ["0.3.1", "0.4.0", "1.0.0", "1.1.0"];

#[test]
fn add_prints_the_result_in_the_form_of_each_version() {
    let agent = ScriptedAgent::content();
    for version in VERSIONS {
        let ran = Invocation::new("ADD", agent.socket())
            .key("cniVersion", version.into())
            .run();
        assert_eq!(ran.result(), prev_result(version), "{version}");
        assert_eq!(ran.stderr, "");
    }
}

#[test]
fn add_tells_the_agent_all_it_needs() {
    let agent = ScriptedAgent::content();
    Invocation::new("ADD", agent.socket())
        .key("mtu", 1400.into())
        .run()
        .result();
    let calls = agent.calls();
    let [call] = calls.as_slice() else {
        panic!("{calls:?}")
    };
    assert_eq!((call.method.as_str(), call.protocol), ("cni_add", 1));
    let mut body = call.body.clone();
    let deadline = body["deadline_ms"].take();
    assert!(
        (10_000..=15_000).contains(&deadline.as_u64().expect("a number")),
        "{deadline}"
    );
    assert_eq!(
        body,
        json!({
            "container_id": "c1",
            "ifname": "eth0",
            "netns": netns(),
            "network": "pods",
            "pod": {"namespace": "default", "name": "web-0", "uid": "3f1b"},
            "mtu": 1400,
            "deadline_ms": null,
            "attempt": 0,
        })
    );
}

#[test]
fn add_without_kubernetes_has_no_pod() {
    let agent = ScriptedAgent::content();
    Invocation::new("ADD", agent.socket())
        .without("CNI_ARGS")
        .run()
        .result();
    assert_eq!(agent.calls()[0].body.get("pod"), None);
}

#[test]
fn dns_of_the_configuration_goes_into_the_result() {
    let agent = ScriptedAgent::content();
    let dns = json!({"nameservers": ["10.96.0.10"], "search": ["svc.cluster.local"], "options": ["ndots:5"]});
    let result = Invocation::new("ADD", agent.socket())
        .key("dns", dns.clone())
        .run()
        .result();
    assert_eq!(result["dns"], dns);
}

#[test]
fn a_refusal_of_the_agent_is_passed_on_word_for_word() {
    for (code, msg, details) in [
        (100, "eth0 exists", ""),
        (101, "no addresses left", "10.244.1.0/24: 254 used"),
        (3, "gone", ""),
    ] {
        let agent = ScriptedAgent::start(move |_| Reply::cni_error(code, msg, details));
        let error = Invocation::new("ADD", agent.socket())
            .run()
            .error(code.into(), &[]);
        assert_eq!(error["msg"], msg);
        assert_eq!(error["details"].as_str().unwrap_or(""), details);
        assert_eq!(error["cniVersion"], "1.1.0");
    }
}

#[test]
fn an_error_speaks_the_version_of_the_configuration() {
    let agent = ScriptedAgent::start(|_| Reply::cni_error(101, "no addresses left", ""));
    for version in VERSIONS {
        let invocation = Invocation::new("ADD", agent.socket()).key("cniVersion", version.into());
        assert_eq!(invocation.run().error(101, &[])["cniVersion"], version);
    }
}

#[test]
fn an_add_whose_result_cannot_be_printed_is_undone() {
    let agent = ScriptedAgent::content();
    let invocation = Invocation::new("ADD", agent.socket());
    let full = File::create("/dev/full").expect("/dev/full");
    let mut child = invocation
        .command()
        .stdout(Stdio::from(full))
        .spawn()
        .expect("the plugin starts");
    let config = invocation.config.to_string();
    std::io::Write::write_all(&mut child.stdin.take().expect("a pipe"), config.as_bytes())
        .expect("stdin");
    assert!(!Ran::of(child).status.success());
    let methods: Vec<String> = agent.calls().into_iter().map(|call| call.method).collect();
    assert_eq!(methods, ["cni_add", "cni_del"]);
}

#[test]
fn del_succeeds_whatever_is_missing() {
    let agent = ScriptedAgent::start(|call| match call.method.as_str() {
        "cni_del" => Reply::Result(json!({"removed": false})),
        _ => content(call),
    });
    let del = Invocation::new("DEL", agent.socket());
    let cases = [
        ("as usual", del.clone()),
        ("again", del.clone()),
        ("no CNI_NETNS", del.clone().without("CNI_NETNS")),
        ("empty CNI_NETNS", del.clone().env("CNI_NETNS", "")),
        (
            "CNI_NETNS gone",
            del.clone().env("CNI_NETNS", "/run/netns/gone"),
        ),
        ("no CNI_ARGS", del.clone().without("CNI_ARGS")),
        ("senseless CNI_ARGS", del.clone().env("CNI_ARGS", ";=;x")),
        ("no CNI_PATH", del.clone().without("CNI_PATH")),
        (
            "with prevResult",
            del.clone().key("prevResult", prev_result("1.1.0")),
        ),
        (
            "senseless prevResult",
            del.clone().key("prevResult", json!({"ips": 5})),
        ),
        (
            "senseless settings",
            del.clone()
                .key("timeout", "x".into())
                .key("mtu", 1.into())
                .key("logFile", 1.into()),
        ),
        ("a key nobody knows", del.clone().key("tiemout", 5.into())),
        ("0.3.1", del.clone().key("cniVersion", "0.3.1".into())),
    ];
    let count = cases.len();
    for (name, invocation) in cases {
        let ran = invocation.run();
        assert!(
            ran.status.success() && ran.stdout.is_empty(),
            "{name}: {ran:?}"
        );
    }
    assert_eq!(agent.calls().len(), count);
}

#[test]
fn del_names_the_attachment() {
    let agent = ScriptedAgent::content();
    Invocation::new("DEL", agent.socket())
        .run()
        .silent_success();
    assert_eq!(
        agent.calls()[0].body,
        json!({"container_id": "c1", "ifname": "eth0", "network": "pods", "netns": netns()})
    );
}

#[test]
fn gc_reads_the_list_under_both_names() {
    let entry = |id: &str| json!({"containerID": id, "ifname": "eth0"});
    let ours = |id: &str| json!({"container_id": id, "ifname": "eth0"});
    let none = Value::Null;
    let cases = [
        (
            json!([entry("a"), entry("b")]),
            none.clone(),
            json!([ours("a"), ours("b")]),
        ),
        (none.clone(), json!([entry("a")]), json!([ours("a")])),
        (json!([entry("a")]), json!([entry("a")]), json!([ours("a")])),
        (
            json!([entry("a")]),
            json!([entry("b")]),
            json!([ours("a"), ours("b")]),
        ),
        (json!([]), json!([]), json!([])),
        (none.clone(), none, json!([])),
    ];
    let agent = ScriptedAgent::content();
    for (right, misspelt, expected) in cases {
        let gc = Invocation::new("GC", agent.socket())
            .without("CNI_CONTAINERID")
            .without("CNI_IFNAME")
            .without("CNI_NETNS")
            .key("cni.dev/valid-attachments", right)
            .key("cni.dev/attachments", misspelt);
        gc.run().silent_success();
        let call = agent.calls().pop().expect("a call");
        assert_eq!(call.method, "cni_gc");
        assert_eq!(call.body, json!({"network": "pods", "valid": expected}));
    }
}

#[test]
fn gc_takes_null_for_an_empty_list() {
    let agent = ScriptedAgent::content();
    let mut gc = Invocation::new("GC", agent.socket());
    gc.config["cni.dev/valid-attachments"] = Value::Null;
    gc.run().silent_success();
    assert_eq!(agent.calls()[0].body["valid"], json!([]));
}

#[test]
fn gc_removes_nothing_by_a_list_it_cannot_read() {
    let agent = ScriptedAgent::content();
    for list in [
        json!("all"),
        json!([{"containerID": "a"}]),
        json!([{"ifname": "eth0"}]),
        json!(["a"]),
    ] {
        let gc = Invocation::new("GC", agent.socket()).key("cni.dev/valid-attachments", list);
        gc.run().error(7, &["cni.dev/valid-attachments"]);
    }
    assert!(agent.calls().is_empty());
}

#[test]
fn gc_reports_everything_that_could_not_be_removed() {
    let agent = ScriptedAgent::start(|_| {
        let failure = |id: &str| json!({"attachment": {"container_id": id, "ifname": "eth0"}, "error": "device busy"});
        Reply::Result(json!({
            "removed": [{"container_id": "a", "ifname": "eth0"}],
            "failed": [failure("b"), failure("c")],
        }))
    });
    Invocation::new("GC", agent.socket()).run().error(
        103,
        &[
            "1 attachments removed, 2 not",
            "b eth0: device busy",
            "c eth0: device busy",
        ],
    );
}

#[test]
fn status_is_the_agents_word() {
    let agent = ScriptedAgent::content();
    let status = Invocation::new("STATUS", agent.socket())
        .without("CNI_CONTAINERID")
        .without("CNI_IFNAME")
        .without("CNI_NETNS");
    status.run().silent_success();
    assert_eq!(agent.calls()[0].body, json!({"network": "pods"}));
    for (from_agent, printed) in [(50, 50), (51, 51), (101, 50), (11, 50)] {
        let agent =
            ScriptedAgent::start(move |_| Reply::cni_error(from_agent, "no addresses left", ""));
        Invocation::new("STATUS", agent.socket())
            .run()
            .error(printed, &["no addresses left"]);
        assert_eq!(agent.calls().len(), 1, "STATUS costs one round trip");
    }
}

#[test]
fn status_and_gc_do_not_exist_before_1_1_0_and_check_not_before_0_4_0() {
    let agent = ScriptedAgent::content();
    for (command, versions) in [
        ("STATUS", &VERSIONS[..3]),
        ("GC", &VERSIONS[..3]),
        ("CHECK", &VERSIONS[..1]),
    ] {
        for version in versions {
            let invocation =
                Invocation::new(command, agent.socket()).key("cniVersion", (*version).into());
            let error = invocation.run().error(1, &[command, version]);
            assert_eq!(error["cniVersion"], *version);
        }
    }
    assert!(agent.calls().is_empty());
}

#[test]
fn version_answers_without_an_agent() {
    let nowhere = std::path::Path::new("/nonexistent/agent.sock");
    let version = Invocation::new("VERSION", nowhere);
    for (stdin, echoed) in [
        (r#"{"cniVersion":"0.4.0"}"#, "0.4.0"),
        (r#"{"cniVersion":"9.9.9"}"#, "9.9.9"),
        (r#"{"cniVersion":"0.1.0","name":"x"}"#, "0.1.0"),
        ("{}", "1.1.0"),
        ("", "1.1.0"),
        ("\n", "1.1.0"),
    ] {
        let ran = version.run_on(stdin.as_bytes());
        assert_eq!(
            ran.result(),
            json!({"cniVersion": echoed, "supportedVersions": ["0.3.1", "0.4.0", "1.0.0", "1.1.0"]}),
            "{stdin:?}"
        );
    }
    version.run_on(b"{").error(6, &[]);
    version
        .run_on(br#"{"cniVersion":"one"}"#)
        .error(6, &["one"]);
}

#[test]
fn the_log_file_has_a_line_per_invocation_and_stdout_none_of_it() {
    let agent = ScriptedAgent::content();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("cni.log");
    let logged = |command| Invocation::new(command, agent.socket()).key("logFile", json!(path));
    logged("ADD").run().result();
    logged("DEL").run().silent_success();
    logged("ADD")
        .env("CNI_IFNAME", "eth0")
        .key("mtu", 5.into())
        .run()
        .error(7, &["mtu"]);
    let log = std::fs::read_to_string(&path).expect("the log");
    let lines: Vec<&str> = log.lines().collect();
    let [add, del] = lines.as_slice() else {
        panic!("{log}")
    };
    assert!(
        add.contains(" ADD container=c1 ifname=eth0 pod=default/web-0 ms=") && add.ends_with(" ok"),
        "{add}"
    );
    assert!(del.contains(" DEL container=c1 ifname=eth0 ms="), "{del}");
}

#[test]
fn a_log_that_cannot_be_written_fails_nothing() {
    let agent = ScriptedAgent::content();
    let ran = Invocation::new("ADD", agent.socket())
        .key("logFile", "/nonexistent/log".into())
        .run();
    ran.result();
    assert!(ran.stderr.contains("/nonexistent/log"), "{ran:?}");
}
