//! CHECK: `prevResult` against the agent's word, every difference said.

use serde_json::{Value, json};

use crate::runtime::{Invocation, netns, prev_result};
use crate::scripted_agent::{Reply, ScriptedAgent, attachment};

/// CHECK with `edit` done to prevResult.
fn check_with(agent: &ScriptedAgent, edit: impl FnOnce(&mut Value)) -> Invocation {
    let mut invocation = Invocation::new("CHECK", agent.socket());
    edit(&mut invocation.config["prevResult"]);
    invocation
}

#[test]
fn what_add_printed_passes_in_every_version() {
    let agent = ScriptedAgent::content();
    for version in ["0.4.0", "1.0.0", "1.1.0"] {
        Invocation::new("CHECK", agent.socket())
            .key("cniVersion", version.into())
            .key("prevResult", prev_result(version))
            .run()
            .silent_success();
    }
    assert_eq!(
        agent.calls()[0].body,
        json!({"container_id": "c1", "ifname": "eth0", "netns": netns(), "network": "pods"})
    );
}

#[test]
fn prev_result_is_needed_and_must_be_readable() {
    let agent = ScriptedAgent::content();
    let check = Invocation::new("CHECK", agent.socket());
    check
        .clone()
        .key("prevResult", Value::Null)
        .run()
        .error(7, &["prevResult"]);
    check
        .clone()
        .key("prevResult", json!({"ips": [{"address": "ten"}]}))
        .run()
        .error(6, &["prevResult"]);
    check
        .key("prevResult", "x".into())
        .run()
        .error(6, &["prevResult"]);
    assert!(agent.calls().is_empty());
}

#[test]
fn every_difference_is_said() {
    let agent = ScriptedAgent::content();
    type Edit = fn(&mut Value);
    let cases: &[(Edit, &str)] = &[
        (
            |prev| prev["interfaces"][1]["mac"] = "0a:00:00:00:00:09".into(),
            "MAC of eth0",
        ),
        (
            |prev| prev["interfaces"][1]["mtu"] = 1500.into(),
            "MTU of eth0",
        ),
        (
            |prev| prev["interfaces"][1]["sandbox"] = "/run/netns/other".into(),
            "no interface eth0",
        ),
        (
            |prev| prev["interfaces"][0]["name"] = "sl-other".into(),
            "host interface: prevResult has sl-other",
        ),
        (
            |prev| prev["ips"][0]["address"] = "10.244.1.6/32".into(),
            "10.244.1.6/32 is in prevResult",
        ),
        (
            |prev| prev["ips"][0]["address"] = "10.244.1.6/32".into(),
            "10.244.1.5/32 is with the agent",
        ),
        (
            |prev| prev["ips"][1]["gateway"] = "fe80::2".into(),
            "gateway of fd00:10:244:1::5/128",
        ),
        (
            |prev| prev["ips"] = json!([]),
            "fd00:10:244:1::5/128 is with the agent",
        ),
        (
            |prev| prev["routes"][0]["gw"] = "169.254.1.2".into(),
            "route to 0.0.0.0/0",
        ),
    ];
    for (edit, words) in cases {
        check_with(&agent, edit).run().error(102, &[words]);
    }
    let all = check_with(&agent, |prev| {
        prev["interfaces"][1]["mac"] = "0a:00:00:00:00:09".into();
        prev["ips"][0]["gateway"] = "169.254.1.2".into();
    });
    all.run().error(
        102,
        &["2 differences", "MAC of eth0", "gateway of 10.244.1.5/32"],
    );
}

#[test]
fn what_later_plugins_may_change_is_no_difference() {
    let agent = ScriptedAgent::content();
    check_with(&agent, |prev| {
        let interfaces = prev["interfaces"].as_array_mut().expect("a list");
        interfaces.insert(0, json!({"name": "ifb0"}));
        interfaces[2]["mtu"] = 1400.into();
        prev["ips"][0]["interface"] = 2.into();
        prev["ips"][1]["interface"] = 2.into();
        prev["routes"]
            .as_array_mut()
            .expect("a list")
            .push(json!({"dst": "192.0.2.0/24", "gw": "169.254.1.9"}));
    })
    .run()
    .silent_success();
    check_with(&agent, |prev| prev["routes"] = json!([]))
        .run()
        .silent_success();
    check_with(&agent, |prev| {
        prev["interfaces"][1]["mac"] = "0A:58:0A:F4:01:05".into()
    })
    .run()
    .silent_success();
}

#[test]
fn what_the_agent_found_is_said_too() {
    let agent = ScriptedAgent::start(|_| {
        Reply::Result(json!({
            "attachment": attachment(),
            "problems": ["port sl0123456789ab is not on the bridge", "3 flows are missing"],
        }))
    });
    check_with(&agent, |prev| {
        prev["interfaces"][1]["mac"] = "0a:00:00:00:00:09".into()
    })
    .run()
    .error(
        102,
        &[
            "3 differences",
            "MAC of eth0",
            "is not on the bridge",
            "3 flows are missing",
        ],
    );
}

#[test]
fn an_attachment_nobody_knows_is_code_3() {
    let agent = ScriptedAgent::start(|_| Reply::cni_error(3, "no attachment eth0 of c1", ""));
    Invocation::new("CHECK", agent.socket())
        .run()
        .error(3, &["c1"]);
}
