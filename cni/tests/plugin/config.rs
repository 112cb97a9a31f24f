//! The network configuration is validated before anything is done: no refused case reaches the
//! agent.

use serde_json::{Value, json};

use crate::runtime::{Invocation, prev_result};
use crate::scripted_agent::ScriptedAgent;

#[test]
fn versions_outside_the_range_are_refused() {
    let agent = ScriptedAgent::content();
    for command in ["ADD", "DEL", "CHECK", "GC", "STATUS"] {
        let of =
            |version: Value| Invocation::new(command, agent.socket()).key("cniVersion", version);
        for version in [
            "0.1.0", "0.2.0", "0.3.0", "0.4.1", "1.0.1", "1.2.0", "2.0.0",
        ] {
            of(version.into())
                .run()
                .error(1, &[version, "0.3.1, 0.4.0, 1.0.0, 1.1.0"]);
        }
        of(Value::Null).run().error(1, &["no cniVersion"]);
        of("".into()).run().error(1, &["no cniVersion"]);
        for nonsense in ["1.1", "v1.1.0", "1.1.0.0", "1.x.0", "1..0", "1.1.0-rc1"] {
            of(nonsense.into()).run().error(6, &[nonsense]);
        }
        of(5.into()).run().error(6, &[]);
    }
    assert!(agent.calls().is_empty());
}

#[test]
fn what_is_not_a_json_object_is_not_decoded() {
    let agent = ScriptedAgent::content();
    for stdin in [
        "",
        " ",
        "{",
        "[]",
        "null",
        "\"x\"",
        "{\"cniVersion\":\"1.1.0\"",
        "\u{0}",
        "{} {}",
    ] {
        Invocation::new("ADD", agent.socket())
            .run_on(stdin.as_bytes())
            .error(6, &[]);
    }
    Invocation::new("ADD", agent.socket())
        .run_on(b"{\"cniVersion\":\"\xff\"}")
        .error(6, &[]);
    assert!(agent.calls().is_empty());
}

#[test]
fn wrong_values_are_refused_with_key_and_value() {
    let long_socket = format!("/{}", "s".repeat(107));
    let cases = [
        ("name", Value::Null, "name"),
        ("name", "".into(), "name"),
        ("name", "a/b".into(), "a/b"),
        ("name", 5.into(), "5"),
        ("socket", "agent.sock".into(), "agent.sock"),
        ("socket", 5.into(), "socket is 5"),
        ("socket", long_socket.into(), "107"),
        ("timeout", 0.into(), "timeout is 0"),
        ("timeout", 601.into(), "timeout is 601"),
        ("timeout", "20s".into(), "timeout is \"20s\""),
        ("timeout", 1.5.into(), "timeout is 1.5"),
        ("mtu", 575.into(), "mtu is 575"),
        ("mtu", 65_536.into(), "mtu is 65536"),
        ("mtu", (-1).into(), "mtu is -1"),
        ("logFile", "cni.log".into(), "logFile is \"cni.log\""),
        ("dns", json!({"nameservers": "10.96.0.10"}), "dns is"),
        ("prevResult", prev_result("1.1.0"), "first plugin"),
    ];
    let agent = ScriptedAgent::content();
    for (key, value, words) in cases {
        Invocation::new("ADD", agent.socket())
            .key(key, value)
            .run()
            .error(7, &[words]);
    }
    assert!(agent.calls().is_empty());
}

#[test]
fn unsupported_fields_are_refused_with_key_and_value() {
    let cases = [
        (
            "ipam",
            json!({"type": "host-local"}),
            ["ipam", "host-local"],
        ),
        ("ipMasq", true.into(), ["ipMasq", "true"]),
        ("tiemout", 5.into(), ["tiemout", "5"]),
        (
            "runtimeConfig",
            json!({"mac": "0a:00:00:00:00:01"}),
            ["runtimeConfig.mac", "0a:00:00:00:00:01"],
        ),
        (
            "runtimeConfig",
            json!({"portMappings": [{"hostPort": 80}]}),
            ["runtimeConfig.portMappings", "80"],
        ),
    ];
    let agent = ScriptedAgent::content();
    for command in ["ADD", "CHECK", "STATUS"] {
        for (key, value, words) in &cases {
            Invocation::new(command, agent.socket())
                .key(key, value.clone())
                .run()
                .error(2, words);
        }
    }
    assert!(agent.calls().is_empty());
}

#[test]
fn keys_of_the_runtime_of_vendors_and_of_nobody_pass() {
    let agent = ScriptedAgent::content();
    Invocation::new("ADD", agent.socket())
        .key("cniVersions", json!(["1.0.0", "1.1.0"]))
        .key("args", json!({"cni": {"ips": []}}))
        .key("capabilities", json!({"portMappings": true}))
        .key("runtimeConfig", json!({"portMappings": [], "mac": null}))
        .key("disableCheck", true.into())
        .key("ipam", json!({}))
        .key("cni.dev/something", 1.into())
        .key("example.com/vendor", 1.into())
        .key("_comment", "hello".into())
        .run()
        .result();
}
