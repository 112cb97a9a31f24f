//! The flows of Services, in the text of `ovs-ofctl`; and what else a change of one means.

use openflow::message::{FlowRemoved, FlowRemovedReason};
use openflow::{FlowFlags, FlowMod, FlowStats, Message, TableId};
use sluice_flows::claims::{Claim, Owner};
use sluice_flows::model::{Change, Frontend, Protocol, ServicePort, TrafficPolicy};
use sluice_flows::service::affinity_remainder;
use sluice_flows::{Compiler, Cookie, Patch, compile_all, cookie, diff};

use crate::fixture::ip;
use crate::service_fixture::*;
use crate::service_properties::dump;

fn web(endpoints: &[&str]) -> ServicePort {
    service("web", Protocol::Tcp, vec![cluster_ip(VIP)], endpoints)
}

fn sets(patch: &Patch) -> Vec<String> {
    let mut flows: Vec<String> = patch.flows_set.iter().map(ToString::to_string).collect();
    flows.sort();
    flows
}

#[test]
fn a_service_is_one_flow_and_one_for_each_endpoint() {
    let mut compiler = Compiler::new(state());
    let patch = compiler.apply(set(web(&["10.0.1.11", "10.0.2.7"])));
    assert_eq!(
        sets(&patch),
        [
            "table=12,priority=200,ip,nw_src=10.0.1.11 actions=load:0x1->NXM_NX_REG0[4],goto_table:20",
            "table=12,priority=200,ip,nw_src=10.0.2.7 actions=load:0x1->NXM_NX_REG0[4],goto_table:20",
            "table=20,priority=100,ip,nw_dst=10.96.0.10 actions=ct(table=23,zone=20929,nat)",
            "table=20,priority=300,tcp,nw_dst=10.96.0.10,nw_frag=no,tp_dst=80 actions=set_field:0x2706f80c3e38dffb->xreg4,set_field:0x20000->reg1,move:NXM_OF_TCP_SRC[1]->NXM_NX_REG1[0],resubmit(,22),goto_table:24",
            "table=22,priority=100,reg1=0x20000 actions=set_field:0->reg5",
            "table=22,priority=100,reg1=0x20001 actions=set_field:0x1->reg5",
            "table=23,priority=100,ip,nw_dst=10.96.0.10 actions=goto_table:26",
            "table=24,priority=200,ip,reg5=0,reg8=0x2706f80c,reg9=0x3e38dffb actions=load:0x1->NXM_NX_REG0[6],ct(commit,table=36,zone=20929,nat(dst=10.0.1.11:8080))",
            "table=24,priority=200,ip,reg5=0x1,reg8=0x2706f80c,reg9=0x3e38dffb actions=load:0x1->NXM_NX_REG0[6],ct(commit,table=36,zone=20929,nat(dst=10.0.2.7:8080))",
        ]
    );
    // An endpoint goes: what was for it goes to the other, and its address is remembered.
    let patch = compiler.apply(set(web(&["10.0.2.7"])));
    assert_eq!(
        sets(&patch),
        [
            "table=24,priority=300,ip,reg1=0/0xff,reg5=0,reg8=0x2706f80c,reg9=0x3e38dffb actions=load:0x1->NXM_NX_REG0[6],ct(commit,table=36,zone=20929,nat(dst=10.0.2.7:8080))"
        ]
    );
    assert_eq!(patch.flows_gone.len(), 1);
    let lingering: Vec<_> = compiler.state().memory.lingering().collect();
    assert_eq!(lingering, [ip("10.0.1.11")]);
    let patch = compiler.apply(Change::ForgetEndpoint(ip("10.0.1.11")));
    assert_eq!((patch.flows_set.len(), patch.flows_gone.len()), (0, 1));
    let patch = compiler.apply(Change::ForgetEndpoint(ip("10.0.2.7")));
    assert!(patch.is_empty(), "it is an endpoint");
}

/// What a flow looks at of clients must not become less while a Service lives, or cached flows would overlap.
#[test]
fn a_service_looks_at_no_less_than_it_did() {
    const ALL: [&str; 4] = ["10.0.1.11", "10.0.2.7", "10.0.2.8", "10.0.2.9"];
    let mut compiler = Compiler::new(state());
    let chosen = |compiler: &Compiler| {
        let flows = compile_all(compiler.state()).to_string();
        let line = flows
            .lines()
            .find(|line| line.contains("table=20,") && line.contains("tp_dst=80"));
        let (_, actions) = line
            .expect("a flow")
            .split_once("->xreg4,")
            .expect("actions");
        actions.to_owned()
    };
    compiler.apply(set(web(&ALL[..3])));
    // Five bits for three endpoints.
    assert_eq!(
        chosen(&compiler),
        "set_field:0x30000->reg1,move:NXM_OF_TCP_SRC[1..5]->NXM_NX_REG1[0..4],resubmit(,22),goto_table:24"
    );
    compiler.apply(set(web(&ALL)));
    // Two for four, and a look at the others.
    let four = "move:NXM_OF_TCP_SRC[3..5]->NXM_NX_REG4[0..2],set_field:0->reg4,set_field:0x40000->reg1,\
                move:NXM_OF_TCP_SRC[1..2]->NXM_NX_REG1[0..1],resubmit(,22),goto_table:24";
    assert_eq!(chosen(&compiler), four);
    // Another agent finds that out.
    let mut fresh = Compiler::new(with([web(&ALL)]));
    fresh.adopt(&dump(&compiler.desired()));
    assert_eq!(chosen(&fresh), four);
    let none = "move:NXM_OF_TCP_SRC[1..5]->NXM_NX_REG4[0..4],set_field:0->reg4,";
    compiler.apply(set(web(&ALL[..1])));
    assert_eq!(
        chosen(&compiler),
        format!("{none}set_field:0x10000->reg1,resubmit(,22),goto_table:24")
    );
    compiler.apply(set(web(&[])));
    assert_eq!(
        chosen(&compiler),
        format!("{none}ct(table=23,zone=20929,nat)")
    );
    // What goes for good leaves the same look behind, for connections that live.
    let patch = compiler.apply(Change::ServiceGone(web(&[]).id));
    let passing: Vec<_> = patch.passing.iter().map(ToString::to_string).collect();
    assert!(
        passing.iter().any(|flow| flow.contains(none)),
        "{passing:?}"
    );
    // A new one begins anew.
    compiler.apply(set(web(&ALL[..1])));
    assert_eq!(
        chosen(&compiler),
        "set_field:0x10000->reg1,resubmit(,22),goto_table:24"
    );
}

/// What is there for a moment stands where something goes that is there no more: it must not go with that.
#[test]
fn what_is_there_for_a_moment_outlives_what_it_replaces() {
    let affine = ServicePort {
        affinity: Some(600),
        ..web(&["10.0.1.11", "10.0.2.7"])
    };
    let mut compiler = Compiler::new(with([affine]));
    let patch = compiler.apply(set(web(&["10.0.1.11", "10.0.2.7"])));
    let [passing] = &patch.passing[..] else {
        panic!("{:?}", patch.passing)
    };
    let about = |message: &Message| match message {
        Message::FlowMod(flow) => {
            (flow.table, flow.priority, &flow.match_)
                == (passing.table, passing.priority, &passing.match_)
        }
        _ => false,
    };
    let messages = patch.messages();
    let about: Vec<&Message> = messages.iter().filter(|message| about(message)).collect();
    let [Message::FlowMod(gone), Message::FlowMod(new)] = about[..] else {
        panic!("{about:?}")
    };
    assert_eq!(gone.command, openflow::FlowModCommand::DeleteStrict);
    assert_eq!(new, passing);
}

#[test]
fn of_two_services_at_one_port_the_first_has_it() {
    let mut compiler = Compiler::new(state());
    let late = service("z", Protocol::Tcp, vec![cluster_ip(VIP)], &["10.0.2.7"]);
    compiler.apply(set(late.clone()));
    compiler.apply(set(web(&["10.0.1.11"])));
    let [conflict] = &compiler.conflicts()[..] else {
        panic!("{:?}", compiler.conflicts())
    };
    assert_eq!(conflict.claim, Claim::Frontend(ip(VIP), Protocol::Tcp, 80));
    assert_eq!(conflict.winner, Owner::Service(web(&[]).id));
    assert_eq!(
        conflict.to_string(),
        "tcp port 10.96.0.10:80 belongs to service default/web:http/tcp/ipv4, also claimed by service default/z:http/tcp/ipv4"
    );
    compiler.apply(Change::ServiceGone(web(&[]).id));
    assert!(compiler.conflicts().is_empty());
    // Other ports of the address are no conflict.
    let more = ServicePort {
        frontends: vec![Frontend::Cluster {
            ip: ip(VIP),
            port: 443,
            policy: TrafficPolicy::Cluster,
        }],
        ..web(&[])
    };
    compiler.apply(set(more));
    assert!(compiler.conflicts().is_empty());
}

#[test]
fn what_goes_is_told() {
    let affine = |endpoints: &[&str]| ServicePort {
        affinity: Some(600),
        ..service("dns", Protocol::Udp, vec![cluster_ip(VIP)], endpoints)
    };
    let mut compiler = Compiler::new(state());
    compiler.apply(set(affine(&["10.0.1.11", "10.0.2.7"])));
    let patch = compiler.apply(set(affine(&["10.0.2.7"])));
    let cookie = Cookie::affinity(&affine(&[]).id, &backend("10.0.1.11"));
    assert_eq!(patch.forgotten, [cookie]);
    let released: Vec<_> = patch
        .released
        .iter()
        .map(|released| (released.protocol, released.backend))
        .collect();
    assert_eq!(released, [(Protocol::Udp, backend("10.0.1.11"))]);
    let Some(Message::FlowMod(last)) = patch.messages().pop() else {
        panic!()
    };
    assert_eq!(
        (last.table, last.cookie, last.cookie_mask),
        (TableId(21), cookie.to_u64(), u64::MAX)
    );

    let registry = cookie::Registry::new(compiler.state());
    let left = Cookie::affinity(&affine(&[]).id, &backend("10.0.2.7"));
    assert_eq!(
        registry.describe(left.to_u64()),
        "affinity default/dns:http/udp/ipv4 at 10.0.2.7:8080"
    );
    let endpoint = Cookie::endpoint(ip("10.0.1.11"));
    assert_eq!(registry.describe(endpoint.to_u64()), "endpoint 10.0.1.11");
    let service = Cookie::service(&affine(&[]).id);
    assert_eq!(
        registry.describe(service.to_u64()),
        "service default/dns:http/udp/ipv4"
    );
}

/// What the switch learned from the flow of an endpoint.
fn learned(compiler: &Compiler, port: &ServicePort, endpoint: &str) -> FlowMod {
    let cookie = Cookie::affinity(&port.id, &backend(endpoint));
    let number = sluice_flows::service::service_number(&port.id, TrafficPolicy::Cluster);
    let slots = compiler
        .state()
        .memory
        .slots(&port.id, TrafficPolicy::Cluster);
    let (index, _) = slots.iter().find(|(_, b)| *b == backend(endpoint)).unwrap();
    let text = format!(
        "table=21,priority=200,cookie={cookie},idle_timeout=65535,ip,nw_src=10.0.1.10,reg8={:#x},reg9={:#x} actions=load:{index}->NXM_NX_REG5[]",
        number >> 32,
        number & 0xffff_ffff
    );
    text.parse().unwrap()
}

#[test]
fn what_was_learned_is_not_drift_until_its_endpoint_goes() {
    let port = ServicePort {
        affinity: Some(86_400),
        ..web(&["10.0.1.11", "10.0.2.7"])
    };
    let mut compiler = Compiler::new(state());
    compiler.apply(set(port.clone()));
    let mut switch = dump(&compiler.desired());
    let flow = learned(&compiler, &port, "10.0.1.11");
    switch.push(FlowStats {
        table: flow.table,
        priority: flow.priority,
        cookie: flow.cookie,
        match_: flow.match_,
        instructions: flow.instructions,
        idle_timeout: 65_535,
        flags: FlowFlags::SEND_FLOW_REM,
        ..switch[0].clone()
    });
    assert!(diff(&compiler.desired(), &switch, &[]).is_empty());
    let mut fewer = state();
    fewer.apply(set(ServicePort {
        affinity: Some(86_400),
        ..web(&["10.0.2.7"])
    }));
    let patch = diff(&compile_all(&fewer), &switch, &[]);
    assert_eq!(
        patch.forgotten,
        [Cookie::affinity(&port.id, &backend("10.0.1.11"))]
    );
}

#[test]
fn a_long_affinity_is_kept_in_two_parts() {
    let with = |affinity| ServicePort {
        affinity: Some(affinity),
        ..web(&["10.0.1.11", "10.0.2.7"])
    };
    let mut compiler = Compiler::new(state());
    compiler.apply(set(with(86_400)));
    let flow = learned(&compiler, &with(86_400), "10.0.2.7");
    let removed = FlowRemoved {
        cookie: flow.cookie,
        priority: 200,
        reason: FlowRemovedReason::IDLE_TIMEOUT,
        table: TableId(21),
        duration_sec: 70_000,
        duration_nsec: 0,
        idle_timeout: 65_535,
        hard_timeout: 0,
        packet_count: 3,
        byte_count: 300,
        match_: flow.match_.clone(),
    };
    let rest = affinity_remainder(&removed, compiler.state()).unwrap();
    assert_eq!((rest.idle_timeout, rest.priority), (20_865, 100));
    assert_eq!((rest.cookie, &rest.match_), (flow.cookie, &flow.match_));
    assert_eq!(rest.instructions.len(), 1);

    let deleted = FlowRemoved {
        reason: FlowRemovedReason::DELETE,
        ..removed.clone()
    };
    assert_eq!(affinity_remainder(&deleted, compiler.state()), None);
    compiler.apply(set(with(65_535)));
    assert_eq!(affinity_remainder(&removed, compiler.state()), None);
    compiler.apply(set(ServicePort {
        affinity: Some(86_400),
        ..web(&["10.0.1.11"])
    }));
    assert_eq!(affinity_remainder(&removed, compiler.state()), None);
}
