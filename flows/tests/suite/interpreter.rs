//! The interpreter on flows written by hand, where it can follow and where it must say that it cannot.

use openflow::{Field, FlowMod, FlowStats, PortNo, TableId};
use sluice_flows::interpreter::{Loss, Outcome, Packet, Tables, Verdict};

use crate::fixture::{mac, of_pod};

/// Flows in the syntax of `ovs-ofctl add-flows`, as a switch would hold them.
pub(crate) fn flows(text: &[&str]) -> Vec<FlowStats> {
    let read = |line: &&str| {
        let flow: FlowMod = line.parse().unwrap_or_else(|e| panic!("{line}: {e}"));
        FlowStats {
            table: flow.table,
            priority: flow.priority,
            cookie: flow.cookie,
            match_: flow.match_,
            instructions: flow.instructions,
            duration_sec: 0,
            duration_nsec: 0,
            idle_timeout: 0,
            hard_timeout: 0,
            flags: flow.flags,
            packet_count: 0,
            byte_count: 0,
        }
    };
    text.iter().map(read).collect()
}

fn run(text: &[&str], packet: Packet) -> Outcome {
    Tables::from(&*flows(text)).run(packet)
}

fn verdict(text: &[&str]) -> Verdict {
    run(text, of_pod("10.0.1.11")).verdict
}

#[track_caller]
fn field_after(actions: &str, field: Field) -> u128 {
    let Verdict::Output(out) = verdict(&[&format!("ip actions={actions},output:7")]) else {
        panic!("{actions}")
    };
    out[0].packet.get(field).to_u128()
}

#[test]
fn fields_are_set_in_whole_and_in_part() {
    let reg = Field::REG1;
    assert_eq!(field_after("set_field:0x12345678->reg1", reg), 0x1234_5678);
    assert_eq!(field_after("set_field:0xff00/0xff00->reg1", reg), 0xff00);
    assert_eq!(
        field_after(
            "load:0x5->NXM_NX_REG1[4..7],load:0x3->NXM_NX_REG1[0..1]",
            reg
        ),
        0x53
    );
    assert_eq!(
        field_after("move:NXM_OF_IP_DST[0..7]->NXM_NX_REG1[8..15]", reg),
        11 << 8
    );
    assert_eq!(
        field_after("move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[]", Field::ETH_DST),
        0x0a00_0000_000a
    );
    assert_eq!(field_after("dec_ttl,dec_ttl", Field::NW_TTL), 62);
}

#[test]
fn a_packet_may_leave_more_than_once() {
    let flows = ["ip actions=output:5,set_field:9->reg2,output:NXM_NX_REG2[],IN_PORT,output:10"];
    let Verdict::Output(out) = verdict(&flows) else {
        panic!()
    };
    let ports: Vec<u32> = out.iter().map(|d| d.port.0).collect();
    assert_eq!(ports, [5, 9, 10], "to where it came from by IN_PORT alone");
    assert_eq!(
        out[0].packet.get(Field::REG2).to_u32(),
        0,
        "each as it was then"
    );
}

#[test]
fn a_packet_may_be_lost() {
    assert_eq!(
        verdict(&["arp actions=output:5"]),
        Verdict::Lost(Loss::NoMatch(TableId(0)))
    );
    assert_eq!(
        verdict(&["ip actions=goto_table:9"]),
        Verdict::Lost(Loss::NoMatch(TableId(9)))
    );
    assert_eq!(
        verdict(&["ip actions=drop"]),
        Verdict::Lost(Loss::Nowhere(TableId(0)))
    );
    assert_eq!(
        verdict(&["ip actions=output:10"]),
        Verdict::Lost(Loss::BackOut)
    );
    assert_eq!(
        verdict(&["ip actions=set_field:1->nw_ttl,dec_ttl,output:5"]),
        Verdict::Lost(Loss::Expired)
    );
    assert_eq!(
        verdict(&[
            "ip actions=set_field:99->reg3,goto_table:60",
            "table=60,ip actions=drop"
        ]),
        Verdict::Lost(Loss::Nowhere(TableId(60))),
        "no reason has that code"
    );
}

#[test]
fn what_it_cannot_follow_it_names() {
    for unknown in [
        "group:3",
        "NORMAL",
        "check_pkt_larger(100)->reg0[0]",
        "controller(pause)",
        "write_actions(output:5)",
    ] {
        let verdict = verdict(&[&format!("ip actions={unknown}")]);
        assert!(
            matches!(verdict, Verdict::Unsupported(_)),
            "{unknown}: {verdict:?}"
        );
    }
    let Verdict::Unsupported(what) =
        verdict(&["ip actions=ct(table=5,zone=1)", "table=5 actions=FLOOD"])
    else {
        panic!()
    };
    assert_eq!(what, "output to FLOOD");
}

#[test]
fn the_highest_priority_wins_and_ties_are_told() {
    let flows = [
        "priority=5,ip actions=output:5",
        "priority=7,ip,nw_dst=10.0.1.11 actions=output:7",
    ];
    assert!(matches!(verdict(&flows), Verdict::Output(out) if out[0].port == PortNo(7)));
    let ties = [
        "priority=5,ip actions=output:5",
        "priority=5,in_port=10 actions=output:7",
    ];
    assert!(run(&ties, of_pod("10.0.1.11")).trace[0].ambiguous);
    let packet = of_pod("10.0.1.11")
        .with(Field::IN_PORT, 11u32)
        .with(Field::ETH_SRC, mac(11));
    assert!(!run(&ties, packet).trace[0].ambiguous);
}
