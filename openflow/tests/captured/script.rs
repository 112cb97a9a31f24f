//! What is run to be captured: commands of `ovs-ofctl` first, then conversations of our own for what it never asks.

use openflow::message::{
    AsyncConfig, AsyncConfig2, Experimenter, FlowMonitorRequest, MonitorFlags, MultipartRequest,
    NxRole, PacketInFormat, Property, Role, RoleMessage, TableMod,
};
use openflow::{Field, FlowMod, GroupId, GroupMod, GroupType, Match, Message, PortNo, TableId};

use super::file::Vector;
use super::record::Recorder;
use super::switch::Switch;

/// An Ethernet frame with an ARP request.
const ARP: &str =
    "ffffffffffff020000000001080600010800060400010200000000010a0000010000000000000a000002";

/// Matches of every kind of packet.
const MATCHES: &[&str] = &[
    "priority=0",
    "table=3,priority=7,cookie=0x1234567890abcdef,idle_timeout=10,hard_timeout=20,send_flow_rem,check_overlap,\
     reset_counts,no_packet_counts,no_byte_counts,in_port=1",
    "in_port=LOCAL,dl_src=02:00:00:00:00:01,dl_dst=01:00:00:00:00:00/01:00:00:00:00:00,dl_type=0x88b5",
    "dl_vlan=10,dl_vlan_pcp=3",
    "vlan_tci=0x1000/0x1000",
    "vlan_vid=0x1064,vlan_pcp=2",
    "arp,arp_op=1,arp_spa=10.0.0.1,arp_tpa=10.0.0.0/8,arp_sha=02:00:00:00:00:01,arp_tha=00:00:00:00:00:00",
    "ip,nw_src=10.0.0.1,nw_dst=10.1.0.0/16,nw_tos=32,nw_ecn=1,nw_ttl=64,nw_frag=not_later",
    "ip,nw_proto=47,ip_dscp=46",
    "tcp,tp_src=1024/0xfc00,tp_dst=80,tcp_flags=+syn-ack",
    "udp,udp_src=53,udp_dst=5353",
    "sctp,sctp_src=7,sctp_dst=9",
    "icmp,icmp_type=8,icmp_code=0",
    "ipv6,ipv6_src=fd00::1,ipv6_dst=fd00::/64,ipv6_label=0x12345",
    "tcp6,tcp_src=1,tcp_dst=2",
    "icmp6,icmpv6_type=135,icmpv6_code=0,nd_target=fe80::1,nd_sll=02:00:00:00:00:01",
    "icmp6,icmpv6_type=136,nd_target=fe80::1,nd_tll=02:00:00:00:00:02,nd_reserved=0xe0000000,nd_options_type=2",
    "mpls,mpls_label=100,mpls_tc=3,mpls_ttl=64,mpls_bos=1",
    "dl_type=0x894f,nsh_flags=1/3,nsh_ttl=63,nsh_mdtype=1,nsh_np=3,nsh_spi=0x123456,nsh_si=254,nsh_c1=1,nsh_c2=2,\
     nsh_c3=3,nsh_c4=0x4/0xff",
    "packet_type=(1,0x800),nw_src=10.0.0.1",
    "metadata=0x1/0xff,tun_id=0x64,tun_src=192.0.2.1,tun_dst=192.0.2.0/24,tun_flags=+oam,tun_gbp_id=5,tun_gbp_flags=0x40",
    "tun_ipv6_src=fd00::1,tun_ipv6_dst=fd00::2",
    "tun_erspan_ver=2,tun_erspan_dir=1,tun_erspan_hwid=7",
    "tun_erspan_ver=1,tun_erspan_idx=0x12345",
    "tun_gtpu_flags=48,tun_gtpu_msgtype=255",
    "tun_metadata0=0x12340000/0xffff0000",
    "reg0=1,reg1=0x20/0xf0,reg2=2,reg3=3,reg4=4,reg5=5,reg6=6,reg7=7,reg8=8,reg9=9,reg10=10,reg11=11,reg12=12,\
     reg13=13,reg14=14,reg15=15",
    "xreg0=0x1122334455667788,xreg4=0x1/0x3",
    "xxreg0=0x112233445566778899aabbccddeeff00,xxreg3=0x1/0x1",
    "ct_state=+trk+est-inv,ct_zone=5,ct_mark=0x1/0xff,ct_label=0x1234/0xffff",
    "ip,ct_state=+trk,ct_nw_src=10.0.0.1,ct_tp_src=1",
    "ip,ct_state=+trk+est,ct_nw_src=10.0.0.1,ct_nw_dst=10.0.0.2,ct_nw_proto=6,ct_tp_src=1,ct_tp_dst=2",
    "ipv6,ct_state=+trk+est,ct_ipv6_src=fd00::1,ct_ipv6_dst=fd00::2,ct_nw_proto=17,ct_tp_src=1,ct_tp_dst=2",
    "conj_id=7,pkt_mark=0x1/0x1,dp_hash=0x5/0xf,recirc_id=3,actset_output=1",
];

/// Actions, each with a match it may stand with.
const ACTIONS: &[(&str, &str)] = &[
    ("", "drop"),
    ("", "output:2,LOCAL,IN_PORT,NORMAL,FLOOD,ALL,CONTROLLER:128"),
    ("", "output(port=2,max_len=100)"),
    ("", "output:NXM_NX_REG0[0..15]"),
    ("", "controller(reason=no_match,max_len=64,id=3)"),
    ("", "controller(userdata=01.02.03,pause,meter_id=4)"),
    ("", "enqueue:2:7"),
    ("", "set_queue:3,output:2,pop_queue"),
    ("", "group:1"),
    ("", "mod_vlan_vid:10,mod_vlan_pcp:3"),
    (
        "",
        "push_vlan:0x8100,set_field:4196->vlan_vid,set_vlan_pcp:2,pop_vlan",
    ),
    (
        "",
        "mod_dl_src:02:00:00:00:00:01,mod_dl_dst:02:00:00:00:00:02",
    ),
    (
        "ip",
        "mod_nw_src:10.0.0.1,mod_nw_dst:10.0.0.2,mod_nw_tos:32,mod_nw_ecn:1,mod_nw_ttl:9",
    ),
    ("tcp", "mod_tp_src:1,mod_tp_dst:2"),
    ("ip", "dec_ttl,dec_ttl(1,2)"),
    (
        "",
        "push_mpls:0x8847,set_mpls_label:5,set_mpls_tc:3,set_mpls_ttl:9,dec_mpls_ttl",
    ),
    ("mpls", "pop_mpls:0x0800"),
    ("", "load:5->NXM_NX_REG0[],load:0x3->NXM_NX_REG1[4..7]"),
    (
        "",
        "set_field:0x12/0xff->reg2,set_field:7->metadata,set_field:0x5->tun_id",
    ),
    (
        "",
        "set_field:fd00::1->tun_ipv6_dst,set_field:1->pkt_mark,set_field:0x1234->xxreg1",
    ),
    (
        "",
        "set_field:0xabcdef12->tun_metadata0,delete_field:tun_metadata5",
    ),
    (
        "",
        "move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[],move:NXM_NX_REG0[0..7]->NXM_NX_REG1[8..15]",
    ),
    ("", "push:NXM_NX_REG0[],pop:NXM_NX_REG1[0..15]"),
    ("", "resubmit:3"),
    ("", "resubmit(,5),resubmit(2,6),resubmit(,7)"),
    ("tcp,ct_state=+trk+est,ct_nw_proto=6", "resubmit(,5,ct)"),
    ("", "set_tunnel:5,set_tunnel64:0x1234567890"),
    (
        "",
        "learn(table=10,idle_timeout=5,hard_timeout=6,fin_idle_timeout=1,fin_hard_timeout=2,priority=9,cookie=0x1,\
         send_flow_rem,delete_learned,NXM_OF_VLAN_TCI[0..11],NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],reg1=5,\
         load:NXM_OF_IN_PORT[]->NXM_NX_REG0[0..15],output:NXM_OF_IN_PORT[])",
    ),
    (
        "",
        "learn(table=10,limit=7,result_dst=reg0[3],NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],load:0x3->NXM_NX_REG2[])",
    ),
    ("", "conjunction(5,1/2),conjunction(6,2/3)"),
    (
        "",
        "multipath(symmetric_l3l4,50,hrw,12,0,NXM_NX_REG0[0..15])",
    ),
    ("", "bundle(eth_src,50,hrw,ofport,members:2,3)"),
    (
        "",
        "bundle_load(symmetric_l4,60,active_backup,ofport,NXM_NX_REG0[0..15],members:2,3)",
    ),
    ("", "note:01.02.03.04.05.06.07"),
    ("", "exit"),
    ("tcp", "fin_timeout(idle_timeout=5,hard_timeout=15)"),
    (
        "",
        "sample(probability=12345,collector_set_id=1,obs_domain_id=2,obs_point_id=3)",
    ),
    (
        "",
        "sample(probability=9,collector_set_id=1,obs_domain_id=2,obs_point_id=3,sampling_port=2,egress)",
    ),
    ("ip", "ct(table=4,zone=5)"),
    (
        "ip",
        "ct(commit,force,zone=NXM_NX_REG0[0..15],nat(src=10.0.0.1-10.0.0.9:1000-2000,random,persistent),\
           exec(set_field:0x1->ct_mark,set_field:0x2/0xff->ct_label))",
    ),
    ("tcp6", "ct(commit,nat(dst=[fd00::1]:80,hash),alg=ftp)"),
    ("ip", "ct(nat),ct_clear"),
    ("", "clone(set_field:5->reg0,output:2,clone(output:3))"),
    ("", "check_pkt_larger(1500)->NXM_NX_REG0[0]"),
    (
        "",
        "encap(nsh(md_type=2,tlv(0x1000,10,0x12345678))),set_field:0x1234->nsh_spi,dec_nsh_ttl,encap(ethernet)",
    ),
    (
        "dl_type=0x894f",
        "decap(),decap(packet_type(ns=1,type=0x800))",
    ),
    ("", "encap(mpls)"),
    (
        "",
        "meter:1,clear_actions,write_actions(group:1,output:2),write_metadata:0x12/0xff,goto_table:20",
    ),
];

/// Everything else that `ovs-ofctl` does in one go.
const COMMANDS: &[&[&str]] = &[
    &["probe", "br0"],
    &["ping", "br0", "16"],
    &["show", "br0"],
    &["dump-desc", "br0"],
    &[
        "add-tlv-map",
        "br0",
        "{class=0xffff,type=0,len=4}->tun_metadata0,{class=0x102,type=0x80,len=8}->tun_metadata1",
    ],
    &["dump-tlv-map", "br0"],
    &[
        "add-meter",
        "br0",
        "meter=1,kbps,burst,stats,bands=type=drop,rate=1000,burst_size=100",
    ],
    &[
        "mod-meter",
        "br0",
        "meter=1,pktps,stats,bands=type=drop,rate=7,type=dscp_remark,rate=9,prec_level=1",
    ],
    &[
        "mod-meter",
        "br0",
        "meter=1,pktps,stats,bands=type=drop,rate=7",
    ],
    &["add-meter", "br0", "meter=4,kbps,bands=type=drop,rate=5"],
    &[
        "add-group",
        "br0",
        "group_id=1,type=all,bucket=output:2,bucket=mod_dl_src:02:00:00:00:00:01,output:3",
    ],
    &[
        "add-group",
        "br0",
        "group_id=2,type=select,bucket=weight:10,output:2,bucket=weight:20,ct(commit,table=4,nat(dst=10.0.0.1:80))",
    ],
    &[
        "add-group",
        "br0",
        "group_id=3,type=indirect,bucket=group:1",
    ],
    &[
        "add-group",
        "br0",
        "group_id=4,type=ff,bucket=watch_port:2,output:2,bucket=watch_group:1,output:3",
    ],
    &["add-group", "br0", "group_id=4,type=all"],
    &["mod-group", "br0", "group_id=1,type=all,bucket=output:2"],
    &[
        "--may-create",
        "mod-group",
        "br0",
        "group_id=9,type=all,bucket=drop",
    ],
    &["mod-group", "br0", "group_id=77,type=all,bucket=drop"],
];

/// What is asked and changed once there are flows.
const AFTERWARDS: &[&[&str]] = &[
    &["add-flow", "br0", "table=4,in_port=1 actions=output:65000"],
    &["add-flow", "br0", "actions=group:1234"],
    &["add-flow", "br0", "actions=meter:99"],
    &[
        "add-flow",
        "br0",
        "check_overlap,priority=32768,in_port=3 actions=drop",
    ],
    &["mod-flows", "br0", "tcp actions=output:3"],
    &["mod-flows", "br0", "cookie=0x10/0xff,udp,actions=output:3"],
    &[
        "--strict",
        "mod-flows",
        "br0",
        "table=3,priority=7,in_port=1 actions=output:4",
    ],
    &["del-flows", "br0", "table=9,out_port=2,cookie=1/-1"],
    &["del-flows", "br0", "table=9,out_group=1,ip"],
    &[
        "--strict",
        "del-flows",
        "br0",
        "table=3,priority=7,in_port=1",
    ],
    &[
        "--bundle",
        "add-flow",
        "br0",
        "table=7,reg0=9 actions=output:2",
    ],
    &[
        "--bundle",
        "add-flow",
        "br0",
        "table=7,reg0=9 actions=group:1234",
    ],
    &[
        "--bundle",
        "add-group",
        "br0",
        "group_id=10,type=select,bucket=output:2",
    ],
    &[
        "packet-out",
        "br0",
        "in_port=LOCAL,packet=ffffffffffff020000000001080600010800060400010200000000010a0000010000000000000a000002,actions=output:2",
    ],
    &["dump-flows", "br0"],
    &["dump-flows", "br0", "table=3,cookie=0/0,out_port=2,ip"],
    &["dump-aggregate", "br0"],
    &["dump-aggregate", "br0", "table=0,out_group=1"],
    &["dump-tables", "br0"],
    &["dump-table-features", "br0"],
    &["dump-ports", "br0"],
    &["dump-ports", "br0", "2"],
    &["dump-ports-desc", "br0"],
    &["queue-get-config", "br0"],
    &["queue-get-config", "br0", "2"],
    &["queue-stats", "br0"],
    &["queue-stats", "br0", "2", "0"],
    &["dump-groups", "br0"],
    &["dump-group-features", "br0"],
    &["dump-group-stats", "br0"],
    &["dump-group-stats", "br0", "group_id=1"],
    &["dump-meters", "br0"],
    &["dump-meters", "br0", "meter=1"],
    &["meter-stats", "br0"],
    &["meter-stats", "br0", "meter=4"],
    &["meter-features", "br0"],
    &["dump-ipfix-bridge", "br0"],
    &["dump-ipfix-flow", "br0"],
    &["get-frags", "br0"],
    &["set-frags", "br0", "nx-match"],
    &["mod-port", "br0", "2", "no-flood"],
    &["mod-port", "br0", "2", "flood"],
    &["ct-flush-zone", "br0", "5"],
    &["ct-flush", "br0"],
    &[
        "ct-flush",
        "br0",
        "zone=5",
        "ct_nw_src=10.0.0.1,ct_nw_dst=10.0.0.2,ct_nw_proto=6,ct_tp_src=1,ct_tp_dst=2",
        "ct_nw_src=10.0.0.2",
    ],
    &[
        "ct-flush",
        "br0",
        "ct_ipv6_src=fd00::1,ct_nw_proto=58,icmp_type=128,icmp_code=0,icmp_id=7",
    ],
    &[
        "add-flow",
        "br0",
        "table=9,tun_metadata0=0x12,tun_metadata1=0x34/0xff,actions=set_field:0x5->tun_metadata1",
    ],
    &["dump-flows", "br0", "table=9"],
    &["del-meters", "br0", "meter=4"],
    &["del-groups", "br0", "group_id=9"],
    &["del-groups", "br0"],
    &[
        "del-tlv-map",
        "br0",
        "{class=0x102,type=0x80,len=8}->tun_metadata1",
    ],
];

/// `delete_field` names an option that is not mapped: what length the switch gives to others, only its table of options
/// tells.
pub(crate) fn capture() -> Vec<Vector> {
    let switch = Switch::start();
    for (number, port) in ["2", "3", "4"].into_iter().zip(["p2", "p3", "p4"]) {
        let ofport = format!("ofport_request={number}");
        switch.vsctl(&[
            "add-port",
            "br0",
            port,
            "--",
            "set",
            "interface",
            port,
            "type=dummy",
            &ofport,
        ]);
    }
    let mut recorder = Recorder::new(&switch);
    for command in COMMANDS {
        recorder.run(command);
    }
    for match_ in MATCHES {
        recorder.run(&["add-flow", "br0", &format!("{match_} actions=output:2")]);
    }
    for (i, (match_, actions)) in ACTIONS.iter().enumerate() {
        let comma = if match_.is_empty() { "" } else { "," };
        recorder.run(&[
            "add-flow",
            "br0",
            &format!("priority={},{match_}{comma}actions={actions}", 100 + i),
        ]);
    }
    switch.vsctl(&[
        "--",
        "set",
        "bridge",
        "br0",
        "ipfix=@i",
        "--",
        "--id=@i",
        "create",
        "IPFIX",
        "targets=\"127.0.0.1:9\"",
        "--",
        "--id=@b",
        "get",
        "bridge",
        "br0",
        "--",
        "create",
        "Flow_Sample_Collector_Set",
        "id=1",
        "bridge=@b",
        "ipfix=@f",
        "--",
        "--id=@f",
        "create",
        "IPFIX",
        "targets=\"127.0.0.1:9\"",
    ]);
    for command in AFTERWARDS {
        recorder.run(command);
    }
    events(&mut recorder);
    conversations(&mut recorder);
    recorder.vectors
}

/// What the switch sends unasked.
fn events(recorder: &mut Recorder<'_>) {
    let receive = |switch: &Switch| {
        switch.appctl(&["netdev-dummy/receive", "p2", ARP]);
    };
    let flow = "table=0,priority=65000,in_port=2,arp,cookie=0x51,send_flow_rem";
    for (format, actions, kind) in [
        ("standard", "controller", "OFPT_PACKET_IN"),
        (
            "nxt_packet_in",
            "set_field:7->reg0,set_field:0x9->metadata,controller",
            "NXT_PACKET_IN",
        ),
        (
            "nxt_packet_in2",
            "set_field:7->reg0,controller(userdata=01.02.03,max_len=20)",
            "NXT_PACKET_IN2",
        ),
    ] {
        recorder.run(&["add-flow", "br0", &format!("{flow} actions={actions}")]);
        recorder.monitor(
            &["-P", format, "monitor", "br0", "65535"],
            &[(kind, 1)],
            receive,
        );
    }
    recorder.run(&[
        "add-flow",
        "br0",
        &format!("{flow} actions=controller(pause),output:3"),
    ]);
    recorder.monitor(
        &["-P", "nxt_packet_in2", "monitor", "br0", "65535", "resume"],
        &[("NXT_PACKET_IN2", 1), ("NXT_RESUME", 1)],
        receive,
    );
    recorder.monitor(
        &["monitor", "br0", "65535"],
        &[("OFPT_FLOW_REMOVED", 1)],
        |switch| {
            switch.ofctl(&["del-flows", "br0", "cookie=0x51/-1"]);
        },
    );
    recorder.monitor(
        &["monitor", "br0", "65535"],
        &[("OFPT_PORT_STATUS", 1)],
        |switch| {
            switch.vsctl(&[
                "add-port",
                "br0",
                "p9",
                "--",
                "set",
                "interface",
                "p9",
                "type=dummy",
                "ofport_request=9",
            ]);
        },
    );
    recorder.run(&["del-flows", "br0"]);
    recorder.run(&[
        "add-flow",
        "br0",
        "table=1,ip,nw_src=10.0.0.1 actions=output:2",
    ]);
    let watch = "watch:table=1,ip";
    recorder.monitor(
        &["monitor", "br0", watch],
        &[("ONFST_FLOW_MONITOR reply", 4)],
        |switch| {
            switch.ofctl(&[
                "add-flow",
                "br0",
                "table=1,ip,nw_src=10.0.0.2,cookie=7,idle_timeout=60 actions=output:3",
            ]);
            switch.ofctl(&["mod-flows", "br0", "table=1,ip actions=output:4"]);
            switch.ofctl(&["del-flows", "br0", "table=1"]);
        },
    );
}

/// What `ovs-ofctl` never asks on OpenFlow 1.3: our own requests, and the switch's answers.
fn conversations(recorder: &mut Recorder<'_>) {
    let config = AsyncConfig {
        packet_in: [7, 1],
        port_status: [7, 3],
        flow_removed: [15, 0],
    };
    let mut client = recorder.client();
    client.ask(&[
        Message::SetAsync(config),
        Message::GetAsyncRequest,
        Message::NxSetAsync(config),
        Message::NxRoleRequest(NxRole { role: Role::Equal }),
        Message::FlowModTableId(false),
        Message::SetPacketInFormat(PacketInFormat::NXT_PACKET_IN2),
        Message::SetControllerId(3),
        Message::FlowAge,
        Message::TableMod(TableMod {
            table: TableId(1),
            config: 3,
        }),
        Message::FlowMonitorCancel(77),
    ]);
    client.ask(&[Message::Experimenter(Experimenter {
        experimenter: 0x00ab_cdef,
        exp_type: 1,
        body: vec![1, 2, 3, 4],
    })]);
    recorder.keep_client("questions of every kind", &mut client);

    let property = |type_| Property {
        type_,
        data: 1_u32.to_be_bytes().to_vec(),
    };
    let mut first = recorder.client();
    first.ask(&[
        // Requests that are forwarded to others, and the loss of the primary's role.
        Message::NxSetAsync2(AsyncConfig2 {
            properties: vec![property(10), property(11), property(6), property(7)],
        }),
        Message::RoleRequest(RoleMessage {
            role: Role::Primary,
            generation_id: 5,
        }),
    ]);
    let mut second = recorder.client();
    second.ask(&[Message::GroupMod(GroupMod::add_or_mod(
        GroupId(5),
        GroupType::All,
        Vec::new(),
    ))]);
    first.until("ONFT_REQUESTFORWARD");
    second.ask(&[
        Message::RoleRequest(RoleMessage {
            role: Role::Primary,
            generation_id: 6,
        }),
        Message::RoleRequest(RoleMessage {
            role: Role::Secondary,
            generation_id: 4,
        }),
    ]);
    first.until("ONFT_ROLE_STATUS");
    recorder.keep_client("a controller that another one supplants", &mut first);
    recorder.keep_client("the controller that supplants it", &mut second);

    slow_monitor(recorder);
}

/// A flow monitor that does not listen: the switch stops telling it, and goes on when it does.
fn slow_monitor(recorder: &mut Recorder<'_>) {
    let mut monitor = recorder.client();
    let request = FlowMonitorRequest {
        id: 1,
        flags: MonitorFlags(MonitorFlags::ADD | MonitorFlags::ACTIONS),
        out_port: PortNo::ANY,
        table: TableId(9),
        claimed_match_len: None,
        match_: Match::new(),
    };
    let body = MultipartRequest::FlowMonitor(vec![request]);
    monitor.ask(&[Message::MultipartRequest { flags: 0, body }]);
    let mut client = recorder.client();
    for chunk in 0..40_u32 {
        let flows = (0..500).map(|i| {
            Message::FlowMod(FlowMod {
                table: TableId(9),
                match_: Match::new().eq(Field::reg(0), chunk * 500 + i),
                ..FlowMod::default()
            })
        });
        client.ask(&flows.collect::<Vec<_>>());
    }
    monitor.until("ONFT_FLOW_MONITOR_PAUSED");
    monitor.until("ONFT_FLOW_MONITOR_RESUMED");
    monitor.send(&Message::FlowMonitorCancel(1));
    monitor.passed.retain(|(_, m)| {
        Message::decode(m).is_ok_and(|(_, m)| {
            matches!(
                m,
                Message::FlowMonitorPaused
                    | Message::FlowMonitorResumed
                    | Message::FlowMonitorCancel(_)
            )
        })
    });
    recorder.keep_client("a flow monitor that does not listen", &mut monitor);
}
