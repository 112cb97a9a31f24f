//! What random programs leave out, by hand: learned flows, groups, conjunctions, and lists of actions that end
//! early, in the interpreter and in a real Open vSwitch.

use openflow::action::parse_actions;
use openflow::{Bucket, GroupDesc, GroupId, GroupType};
use sluice_flows::interpreter::{Tables, Verdict, World};

use crate::bench::{Bench, PROBE};
use crate::fixture::{mac, packet, udp};
use crate::frames::{encode, hex};
use crate::interpreter::flows;

/// Sends some packets through a program of table 1 and on, by both, twice.
fn compare(bench: &mut Bench, program: &[&str], groups: &[(GroupType, &[&str])]) {
    bench.switch.ofctl(&[], "del-flows", &[]);
    bench.switch.ofctl(&[], "del-groups", &[]);
    bench.switch.appctl("dpctl/flush-conntrack", &[]);
    let described = |(i, (type_, buckets)): (usize, &(GroupType, &[&str]))| GroupDesc {
        id: GroupId(u32::try_from(i).unwrap() + 1),
        type_: *type_,
        buckets: buckets
            .iter()
            .map(|actions| Bucket::new(0, parse_actions(actions).unwrap()))
            .collect(),
    };
    let groups: Vec<GroupDesc> = groups.iter().enumerate().map(described).collect();
    for group in &groups {
        let text = group.to_string();
        let text = format!("group_id={}", text.split_once("group_id=").unwrap().1);
        bench.switch.ofctl(&[], "add-group", &[&text]);
    }
    let first = format!("table=0 actions=resubmit(,1),output:{PROBE}");
    let text: Vec<&str> = [first.as_str()].iter().chain(program).copied().collect();
    bench.switch.add_flows(&text.join("\n"));
    bench.switch.appctl("revalidator/purge", &[]);
    let held = flows(&text);
    let tables = Tables::from(&*held).with_groups(&groups);
    let mut world = World::default();
    let mut left = 0;
    for n in [1u8, 2, 3, 1, 2, 3] {
        let source = format!("10.0.0.{n}");
        let packet = packet(n.into(), mac(n), &source, "10.0.0.9");
        let packet = udp(packet, 1000 + u16::from(n), 53);
        let outcome = tables.run_in(&mut world, packet.clone());
        let Verdict::Output(deliveries) = &outcome.verdict else {
            panic!("{outcome}");
        };
        // Flows that were learned hold for cached packets only once the switch has looked after its cache.
        bench.switch.appctl("revalidator/purge", &[]);
        for (port, theirs) in bench.send(&packet) {
            let ours = deliveries.iter().filter(|d| d.port.0 == port);
            let ours: Vec<String> = ours.map(|d| hex(&encode(&d.packet))).collect();
            let theirs: Vec<String> = theirs.iter().map(|f| hex(f)).collect();
            assert_eq!(ours, theirs, "port {port}\n{}\n{outcome}", text.join("\n"));
            left += usize::from(port != PROBE) * theirs.len();
        }
    }
    assert!(left > 0, "nothing to compare\n{}", text.join("\n"));
}

#[test]
fn what_random_programs_leave_out() {
    const SHOW: &str = "move:NXM_NX_REG1[0..15]->NXM_OF_ETH_DST[0..15],output:4";
    let mut bench = Bench::new();
    let bench = &mut bench;
    let learn = "learn(table=2,idle_timeout=60,priority=7,cookie=5,eth_type=0x800,NXM_OF_IP_SRC[],\
                 load:NXM_OF_UDP_SRC[]->NXM_NX_REG1[0..15],load:3->NXM_NX_REG2[0..15])";
    let show = format!("table=3,ip actions={SHOW}");
    let known = "table=1,priority=9,udp actions=resubmit(,2),goto_table:3";
    let unknown = "table=2,priority=1,udp actions=set_field:0xffff->reg1";
    // What is learned after the look-up shows with the next packet, and before it at once or not.
    let after = format!("table=3,udp actions={SHOW},{learn}");
    compare(bench, &[known, unknown, &after], &[]);
    let before = format!("table=1,udp actions={learn},resubmit(,2),goto_table:3");
    compare(bench, &[&before, unknown, &show], &[]);
    let limited = learn.replace("cookie=5", "cookie=5,limit=2,result_dst=NXM_NX_REG1[15]");
    let limited = format!("table=1,udp actions={limited},resubmit(,2),goto_table:3");
    compare(
        bench,
        &[&limited, unknown.replace("reg1", "reg3").as_str(), &show],
        &[],
    );
    let output = "table=1,udp actions=learn(table=2,eth_type=0x800,NXM_OF_IP_SRC[],output:NXM_NX_REG4[0..15]),\
                  set_field:4->reg4,goto_table:2";
    compare(
        bench,
        &[
            output.replace("learn", "set_field:2->reg4,learn").as_str(),
            unknown,
        ],
        &[],
    );

    let both: &[&str] = &[
        "set_field:10.7.7.7->ip_dst,output:4",
        "dec_ttl,output:3",
        "resubmit(,2)",
    ];
    let called = "table=2,ip actions=set_field:5->reg1,output:4,exit,output:4";
    for type_ in [GroupType::All, GroupType::Indirect] {
        let buckets = if type_ == GroupType::All {
            both
        } else {
            &both[..1]
        };
        let group = format!("table=1,ip actions=set_field:7->reg1,group:1,{SHOW}");
        compare(bench, &[&group, called], &[(type_, buckets)]);
    }
    let tracks: &[&str] = &[
        "ct(commit,zone=3,nat(src=10.8.8.8))",
        "output:4",
        "ct(commit,zone=4,table=2)",
    ];
    compare(
        bench,
        &["table=1,ip actions=group:1,output:4", called],
        &[(GroupType::All, tracks)],
    );

    compare(
        bench,
        &[
            "table=1,priority=20,conj_id=9,ip actions=output:4",
            "table=1,priority=20,ip,nw_src=10.0.0.1 actions=conjunction(9,1/2)",
            "table=1,priority=20,ip,nw_src=10.0.0.2 actions=conjunction(9,1/2),conjunction(8,1/2)",
            "table=1,priority=20,udp,tp_dst=53 actions=conjunction(9,2/2)",
            "table=1,priority=20,udp,tp_dst=54 actions=conjunction(8,2/2)",
            "table=1,priority=10,ip actions=dec_ttl,output:4",
        ],
        &[],
    );

    for ends in [
        "clone(exit)",
        "clone(resubmit(,2))",
        "resubmit(,3)",
        "dec_ttl,set_field:1->nw_ttl,dec_ttl",
    ] {
        let flow = format!("table=1,ip actions=output:4,{ends},output:4");
        let deep = "table=3,ip actions=set_field:1->nw_ttl,output:4,dec_ttl,output:4";
        let probe = format!("table=2,ip actions=output:{PROBE},exit");
        let exits = ends.contains("exit") || ends.contains(",2");
        let flow = if exits {
            flow.replace("output:4,", &format!("output:4,output:{PROBE},"))
        } else {
            flow
        };
        compare(bench, &[&flow, &probe, deep], &[]);
    }
    let metadata = "table=1,ip actions=write_metadata:0xab/0xff,goto_table:2";
    let moves = "table=2,ip,metadata=0xab/0xff actions=push:OXM_OF_METADATA[0..7],set_field:0x1234->metadata,\
                 pop:NXM_NX_REG1[8..15],pop:NXM_NX_REG1[0..7],load:0x5->NXM_NX_XXREG0[64..95],\
                 move:OXM_OF_PKT_REG0[32..39]->NXM_NX_REG1[0..7],goto_table:3";
    compare(bench, &[metadata, moves, &show], &[]);
}
