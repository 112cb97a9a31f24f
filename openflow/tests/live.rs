//! The connection against a real ovs-vswitchd.

mod support;

use openflow::connection::{Connection, FlowStatsRequest, Options, State};
use openflow::message::{Message, NxFlowMod, PacketOut, Role, SwitchConfig};
use openflow::{
    Action, Bucket, FlowMod, FlowModCommand, FlowStats, GroupId, GroupMod, GroupType, Instruction,
    PortNo, TableId,
};
use support::Switch;

async fn connect(switch: &Switch) -> Connection {
    let connection = Connection::connect(
        switch.target().parse().expect("a target"),
        Options::default(),
    );
    tokio::time::timeout(std::time::Duration::from_secs(10), connection.connected())
        .await
        .expect("connects in time")
        .expect("connects");
    connection
}

#[tokio::test]
async fn it_connects_asks_and_reconnects_after_a_kill() {
    let mut switch = Switch::start();
    let connection = connect(&switch).await;
    let State::Connected {
        generation,
        features,
    } = connection.state().borrow().clone()
    else {
        panic!("not connected")
    };
    assert_eq!(
        (generation, features.datapath_id, features.n_tables),
        (1, 0xa1, 254)
    );
    assert_eq!(connection.barrier().await.expect("a barrier").generation, 1);
    let ports = connection.dump_ports().await.expect("ports");
    assert_eq!(ports.iter().map(|p| p.name()).collect::<Vec<_>>(), ["br0"]);
    assert_eq!(connection.dump_tables().await.expect("tables").len(), 254);
    assert_eq!(
        connection
            .role(Role::NoChange, 0)
            .await
            .expect("a role")
            .role,
        Role::Equal
    );
    let echo = connection
        .request(&Message::EchoRequest(b"hello".to_vec()))
        .await
        .expect("an echo");
    assert_eq!(echo.value, Message::EchoReply(b"hello".to_vec()));

    let pinned = connection.pinned(1);
    switch.kill();
    let mut state = connection.state();
    state
        .wait_for(|s| !s.is_connected())
        .await
        .expect("it notices");
    assert!(matches!(
        connection.barrier().await,
        Err(openflow::connection::Error::Disconnected { .. })
    ));
    switch.revive();
    assert_eq!(connection.connected().await.expect("connects again"), 2);
    assert_eq!(connection.barrier().await.expect("a barrier").generation, 2);
    assert!(matches!(
        pinned.barrier().await,
        Err(openflow::connection::Error::Stale {
            wanted: 1,
            current: 2
        })
    ));
}

#[tokio::test]
async fn a_switch_without_openflow_13_is_named() {
    let switch = Switch::with_protocols("OpenFlow10,OpenFlow14");
    let connection = Connection::connect(
        switch.target().parse().expect("a target"),
        Options::default(),
    );
    let mut state = connection.state();
    let state = state
        .wait_for(|s| matches!(s, State::Disconnected { error: Some(_) }))
        .await
        .expect("an attempt");
    let State::Disconnected { error: Some(error) } = &*state else {
        panic!("not disconnected")
    };
    assert!(
        error.contains("does not offer OpenFlow 1.3, only 1.0, 1.4"),
        "{error}"
    );
}

fn flow(priority: u16, table: u8, goto: u8) -> Message {
    Message::FlowMod(FlowMod {
        priority,
        table: TableId(table),
        cookie: 0x51,
        instructions: [Instruction::GotoTable(TableId(goto))].into(),
        ..FlowMod::default()
    })
}

#[tokio::test]
async fn a_bundle_is_applied_whole_or_not_at_all_and_names_the_offender() {
    let switch = Switch::start();
    let connection = connect(&switch).await;
    connection
        .bundle((1..=1000).map(|p| flow(p, 0, 4)).collect())
        .await
        .expect("a bundle");
    let flows = connection
        .dump_flows(FlowStatsRequest::default())
        .await
        .expect("flows");
    assert_eq!((flows.len(), flows.generation), (1000, 1));
    assert_eq!(
        switch
            .ofctl(&["dump-flows", "br0"])
            .matches("cookie=")
            .count(),
        1000
    );

    // A message that is refused when it is added: the others must not be committed.
    let error = connection
        .bundle(vec![flow(2000, 1, 4), flow(2001, 5, 3), flow(2002, 1, 4)])
        .await
        .expect_err("refused");
    let refused = error.as_switch().expect("by the switch");
    let offending = refused.offending.as_ref().expect("named");
    assert_eq!(
        (offending.index, refused.error.code.name()),
        (1, Some("OFPBIC_BAD_TABLE_ID"))
    );
    assert!(
        offending.text.contains("priority=2001"),
        "{}",
        offending.text
    );

    // One that is refused when the bundle is committed: a flow that points at a group that is not there.
    let group = Instruction::ApplyActions(vec![Action::Group(GroupId(7))]);
    let bad = FlowMod {
        priority: 3000,
        instructions: [group].into(),
        ..FlowMod::default()
    };
    let error = connection
        .bundle(vec![flow(2000, 1, 4), Message::FlowMod(bad)])
        .await
        .expect_err("refused");
    let refused = error.as_switch().expect("by the switch");
    assert_eq!(refused.offending.as_ref().map(|o| o.index), Some(1));
    assert_eq!(refused.error.code.name(), Some("OFPBAC_BAD_OUT_GROUP"));
    assert_eq!(refused.further, 0);

    let error = connection
        .apply(vec![flow(5000, 0, 4), flow(5001, 5, 3)])
        .await
        .expect_err("refused");
    assert_eq!(
        error
            .as_switch()
            .and_then(|e| e.offending.as_ref())
            .map(|o| o.index),
        Some(1)
    );
    let flows = connection
        .dump_flows(FlowStatsRequest::default())
        .await
        .expect("flows");
    assert_eq!(
        flows.len(),
        1001,
        "only the good message of the batch was added"
    );

    let group = GroupMod::add_or_mod(
        GroupId(7),
        GroupType::Select,
        vec![Bucket::new(1, Vec::new())],
    );
    connection
        .bundle(vec![Message::GroupMod(group)])
        .await
        .expect("a group");
    assert_eq!(
        connection
            .dump_groups()
            .await
            .expect("groups")
            .iter()
            .map(|g| g.id)
            .collect::<Vec<_>>(),
        [GroupId(7)]
    );
}

#[tokio::test]
async fn packets_go_out_and_come_in() {
    let switch = Switch::start();
    let connection = connect(&switch).await;
    let mut packets = connection.packet_ins();
    let config = SwitchConfig {
        flags: 0,
        miss_send_len: 128,
    };
    connection
        .send(&Message::SetConfig(config))
        .await
        .expect("sent");
    let controller = Action::Output {
        port: PortNo::CONTROLLER,
        max_len: 0xffff,
    };
    let mut packet = vec![0xff; 12];
    packet.extend([0x88, 0xb5]);
    packet.resize(60, 7);
    connection
        .packet_out(PacketOut::new(packet.clone(), vec![controller]))
        .await
        .expect("sent");
    let event = packets.recv().await.expect("a packet");
    let packet_in = event.packet_in.expect("decodes");
    assert_eq!(
        (packet_in.data, packet_in.total_len, event.generation),
        (packet, 60, 1)
    );
}

#[tokio::test]
async fn a_switch_takes_the_flow_mod_of_the_extension_on_13() {
    let switch = Switch::start();
    let connection = connect(&switch).await;
    let add = NxFlowMod {
        flow: "table=3,tcp,in_port=1,reg0=7,cookie=5,actions=output:2"
            .parse()
            .expect("a flow"),
        matched_cookie: None,
    };
    let message = Message::NxFlowMod(add.clone());
    connection.send(&message).await.expect("sent");
    connection.barrier().await.expect("taken");
    let there = switch.ofctl(&["--no-stats", "dump-flows", "br0"]);
    let expected = "cookie=0x5, table=3, tcp,reg0=0x7,in_port=1 actions=output:2";
    assert!(there.contains(expected), "{there}");

    let mut delete = add;
    delete.flow.command = FlowModCommand::Delete;
    delete.flow.instructions.clear();
    for (cookie, left) in [(6, true), (5, false)] {
        delete.matched_cookie = Some((cookie, u64::MAX));
        let message = Message::NxFlowMod(delete.clone());
        connection.send(&message).await.expect("sent");
        connection.barrier().await.expect("taken");
        let there = switch.ofctl(&["--no-stats", "dump-flows", "br0"]);
        assert_eq!(there.contains(expected), left, "{there}");
    }
}

#[tokio::test]
async fn what_was_dumped_can_be_added_again() {
    let switch = Switch::start();
    let connection = connect(&switch).await;
    for text in [
        "table=3,priority=7,cookie=0x9,idle_timeout=600,hard_timeout=900,send_flow_rem,ip,nw_dst=10.0.0.0/8,actions=drop",
        "table=4,tcp,tp_dst=80,actions=ct(commit,zone=5,nat(dst=10.1.2.3:8080),table=9)",
    ] {
        let flow = text.parse::<FlowMod>().expect("a flow");
        let add = vec![Message::FlowMod(flow)];
        connection.apply(add).await.expect("added");
    }
    let dump = || async {
        let flows = connection.dump_flows(FlowStatsRequest::default()).await;
        flows.expect("flows").into_inner()
    };
    let before = dump().await;
    assert_eq!(before.len(), 2);
    let delete = FlowMod {
        command: FlowModCommand::Delete,
        table: TableId::ALL,
        ..FlowMod::default()
    };
    let again = before.iter().map(|flow| Message::FlowMod(flow.to_add()));
    let all = std::iter::once(Message::FlowMod(delete)).chain(again);
    connection.bundle(all.collect()).await.expect("a bundle");
    let after = dump().await;
    let adds = |flows: &[FlowStats]| flows.iter().map(FlowStats::to_add).collect::<Vec<_>>();
    assert_eq!(adds(&after), adds(&before));
    assert_eq!((after[0].idle_timeout, after[0].hard_timeout), (600, 900));
}
