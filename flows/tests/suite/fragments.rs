//! The flows that one object asks for, in the text of `ovs-ofctl`.

use sluice_flows::model::{Change, State};
use sluice_flows::{Compiler, Cookie, Patch, cookie};

use crate::fixture::*;

fn flows(patch: &Patch) -> Vec<String> {
    patch.flows_set.iter().map(ToString::to_string).collect()
}

#[track_caller]
fn adds(change: Change, expected: &[&str]) {
    let patch = Compiler::new(State::new(node())).apply(change);
    assert_eq!(flows(&patch), expected);
    assert_eq!(patch.len(), expected.len());
}

#[test]
fn of_a_pod() {
    adds(
        Change::PodSet(pod(10)),
        &[
            "table=0,priority=100,in_port=10 actions=set_field:0x1->reg0,goto_table:4",
            "table=4,priority=100,ip,in_port=10,dl_src=0a:00:00:00:00:0a,nw_src=10.0.1.10 actions=goto_table:12",
            "table=4,priority=100,ipv6,in_port=10,dl_src=0a:00:00:00:00:0a,ipv6_src=fd00:1::10 actions=goto_table:12",
            "table=4,priority=200,arp,in_port=10,dl_src=0a:00:00:00:00:0a,arp_spa=10.0.1.10,arp_sha=0a:00:00:00:00:0a actions=goto_table:8",
            "table=4,priority=200,icmp6,in_port=10,dl_src=0a:00:00:00:00:0a,ipv6_src=fd00:1::10,icmp_type=135,icmp_code=0,nd_sll=0a:00:00:00:00:0a actions=goto_table:8",
            "table=4,priority=200,icmp6,in_port=10,dl_src=0a:00:00:00:00:0a,ipv6_src=fe80::/10,icmp_type=135,icmp_code=0,nd_sll=0a:00:00:00:00:0a actions=goto_table:8",
            "table=4,priority=300,arp,in_port=10,arp_tpa=10.0.1.10 actions=set_field:0x9->reg3,goto_table:60",
            "table=36,priority=1500,ip,nw_dst=10.0.1.10 actions=set_field:aa:53:4c:55:49:43->eth_src,set_field:0a:00:00:00:00:0a->eth_dst,set_field:0xa->reg2,goto_table:37",
            "table=36,priority=1500,ipv6,ipv6_dst=fd00:1::10 actions=set_field:aa:53:4c:55:49:43->eth_src,set_field:0a:00:00:00:00:0a->eth_dst,set_field:0xa->reg2,goto_table:37",
            "table=48,priority=700,ip,reg0=0x40/0x40,in_port=10,nw_src=10.0.1.10 actions=ct(commit,zone=20930,nat(src=10.0.1.10:16384-32767,random),exec(load:0->NXM_NX_CT_MARK[0],move:NXM_NX_REG14[]->NXM_NX_CT_LABEL[0..31],move:NXM_NX_REG15[]->NXM_NX_CT_LABEL[32..63])),goto_table:52",
            "table=48,priority=700,ipv6,reg0=0x40/0x40,in_port=10,ipv6_src=fd00:1::10 actions=ct(commit,zone=20930,nat(src=[fd00:1::10]:16384-32767,random),exec(load:0->NXM_NX_CT_MARK[0],move:NXM_NX_REG14[]->NXM_NX_CT_LABEL[0..31],move:NXM_NX_REG15[]->NXM_NX_CT_LABEL[32..63])),goto_table:52",
            "table=48,priority=890,ip,reg0=0x800/0x800,reg2=0xa,in_port=10 actions=ct(zone=20929,nat),load:0x1->NXM_NX_REG0[12],goto_table:52",
            "table=48,priority=890,ipv6,reg0=0x800/0x800,reg2=0xa,in_port=10 actions=ct(zone=20929,nat),load:0x1->NXM_NX_REG0[12],goto_table:52",
            "table=48,priority=900,ip,reg0=0x40/0x40,reg2=0xa,in_port=10 actions=ct(commit,zone=20930,nat(src=10.0.1.1:16384-32767,random),exec(load:0->NXM_NX_CT_MARK[0],move:NXM_NX_REG14[]->NXM_NX_CT_LABEL[0..31],move:NXM_NX_REG15[]->NXM_NX_CT_LABEL[32..63])),load:0x1->NXM_NX_REG0[12],goto_table:52",
            "table=48,priority=900,ipv6,reg0=0x40/0x40,reg2=0xa,in_port=10 actions=ct(commit,zone=20930,nat(src=[fd00:1::1]:16384-32767,random),exec(load:0->NXM_NX_CT_MARK[0],move:NXM_NX_REG14[]->NXM_NX_CT_LABEL[0..31],move:NXM_NX_REG15[]->NXM_NX_CT_LABEL[32..63])),load:0x1->NXM_NX_REG0[12],goto_table:52",
            "table=52,priority=300,reg2=0xa,in_port=10 actions=set_field:0x10->reg3,goto_table:60",
        ],
    );
}

#[test]
fn of_a_pod_with_one_ipv4_address() {
    let mut pod = pod(10);
    pod.ips.truncate(1);
    adds(
        Change::PodSet(pod),
        &[
            "table=0,priority=100,in_port=10 actions=set_field:0x1->reg0,goto_table:4",
            "table=4,priority=100,ip,in_port=10,dl_src=0a:00:00:00:00:0a,nw_src=10.0.1.10 actions=goto_table:12",
            "table=4,priority=200,arp,in_port=10,dl_src=0a:00:00:00:00:0a,arp_spa=10.0.1.10,arp_sha=0a:00:00:00:00:0a actions=goto_table:8",
            "table=4,priority=300,arp,in_port=10,arp_tpa=10.0.1.10 actions=set_field:0x9->reg3,goto_table:60",
            "table=36,priority=1500,ip,nw_dst=10.0.1.10 actions=set_field:aa:53:4c:55:49:43->eth_src,set_field:0a:00:00:00:00:0a->eth_dst,set_field:0xa->reg2,goto_table:37",
            "table=48,priority=700,ip,reg0=0x40/0x40,in_port=10,nw_src=10.0.1.10 actions=ct(commit,zone=20930,nat(src=10.0.1.10:16384-32767,random),exec(load:0->NXM_NX_CT_MARK[0],move:NXM_NX_REG14[]->NXM_NX_CT_LABEL[0..31],move:NXM_NX_REG15[]->NXM_NX_CT_LABEL[32..63])),goto_table:52",
            "table=48,priority=890,ip,reg0=0x800/0x800,reg2=0xa,in_port=10 actions=ct(zone=20929,nat),load:0x1->NXM_NX_REG0[12],goto_table:52",
            "table=48,priority=900,ip,reg0=0x40/0x40,reg2=0xa,in_port=10 actions=ct(commit,zone=20930,nat(src=10.0.1.1:16384-32767,random),exec(load:0->NXM_NX_CT_MARK[0],move:NXM_NX_REG14[]->NXM_NX_CT_LABEL[0..31],move:NXM_NX_REG15[]->NXM_NX_CT_LABEL[32..63])),load:0x1->NXM_NX_REG0[12],goto_table:52",
            "table=52,priority=300,reg2=0xa,in_port=10 actions=set_field:0x10->reg3,goto_table:60",
        ],
    );
}

#[test]
fn of_a_pod_without_addresses() {
    let mut pod = pod(10);
    pod.ips.clear();
    adds(
        Change::PodSet(pod),
        &[
            "table=0,priority=100,in_port=10 actions=set_field:0x1->reg0,goto_table:4",
            "table=52,priority=300,reg2=0xa,in_port=10 actions=set_field:0x10->reg3,goto_table:60",
        ],
    );
}

#[test]
fn of_a_peer() {
    adds(
        Change::PeerSet(peer(2, "192.0.2.2")),
        &[
            "table=0,priority=100,tun_src=192.0.2.2,in_port=1 actions=set_field:0x2->reg0,goto_table:12",
            "table=36,priority=1024,ip,nw_dst=10.0.2.0/24 actions=set_field:192.0.2.2->tun_dst,load:0->NXM_NX_REG0[5],set_field:0x1->reg2,goto_table:37",
            "table=36,priority=1064,ipv6,ipv6_dst=fd00:2::/64 actions=set_field:192.0.2.2->tun_dst,load:0->NXM_NX_REG0[5],set_field:0x1->reg2,goto_table:37",
        ],
    );
}

#[test]
fn of_a_peer_on_ipv6() {
    adds(
        Change::PeerSet(peer(3, "2001:db8::3")),
        &[
            "table=0,priority=100,tun_ipv6_src=2001:db8::3,in_port=1 actions=set_field:0x2->reg0,goto_table:12",
            "table=36,priority=1024,ip,nw_dst=10.0.3.0/24 actions=set_field:2001:db8::3->tun_ipv6_dst,load:0->NXM_NX_REG0[5],set_field:0x1->reg2,goto_table:37",
            "table=36,priority=1064,ipv6,ipv6_dst=fd00:3::/64 actions=set_field:2001:db8::3->tun_ipv6_dst,load:0->NXM_NX_REG0[5],set_field:0x1->reg2,goto_table:37",
        ],
    );
}

#[test]
fn host_bits_and_repetitions_of_prefixes_do_not_matter() {
    let mut peer = peer(2, "192.0.2.2");
    peer.pod_cidrs = vec![
        "10.0.2.7/24".parse().unwrap(),
        "10.0.2.0/24".parse().unwrap(),
    ];
    let patch = Compiler::new(State::new(node())).apply(Change::PeerSet(peer));
    assert_eq!(patch.len(), 2);
}

#[test]
fn a_cookie_leads_back_to_its_object() {
    let state = state();
    let registry = cookie::Registry::new(&state);
    let describe = |cookie: Cookie| registry.describe(cookie.to_u64());
    assert_eq!(describe(Cookie::pod(&pod(10).id)), "pod default/web-10");
    assert_eq!(describe(Cookie::peer(&"node-2".into())), "peer node-2");
    assert_eq!(describe(Cookie::node(&"node-a".into())), "node node-a");
    assert_eq!(
        describe(Cookie::drop(sluice_flows::DropReason::SpoofedSource)),
        "drop spoofed-source"
    );
    assert_eq!(
        describe(Cookie::base(sluice_flows::pipeline::Table::Guard)),
        "base Guard"
    );
    assert_eq!(describe(Cookie::pod(&pod(99).id)), "pod no longer known");
    assert_eq!(registry.describe(0), "foreign");
    assert_eq!(
        registry.describe(0x51ce_ff00_0000_0001),
        "of another version"
    );
    // The same in every process: an agent that restarts must not find its own flows foreign or stale.
    assert_eq!(
        Cookie::pod(&"sandbox-10".into()).to_u64(),
        0x51ce_0556_af2e_aa48
    );
}
