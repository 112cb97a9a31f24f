//! Flows through our own connection: what a switch reads back is what was meant, to the last field.

use openflow::Connection;
use openflow::connection::{FlowStatsRequest, Options};
use proptest::collection::vec;
use sluice_flows::interpreter::Tables;
use sluice_flows::model::State;
use sluice_flows::{Compiler, Patch, Program, compile_all, diff};

use crate::random::{draw, runner};
use crate::switch::Switch;
use crate::{fixture, service_world, world};

/// Holds a switch and a connection to it.
struct Installed {
    connection: Connection,
    switch: Switch,
}

impl Installed {
    async fn new() -> Self {
        let switch = Switch::start(&world::PORTS, world::TUNNEL);
        let connection = Connection::connect(switch.target().parse().unwrap(), Options::default());
        connection.connected().await.unwrap();
        Self { connection, switch }
    }

    async fn send(&self, patch: &Patch) {
        let sent = self.connection.bundle(patch.messages()).await;
        sent.unwrap_or_else(|error| panic!("{error}: {patch:#?}"));
    }

    /// What the switch is short of, and what it holds too much.
    async fn difference(&self, desired: &Program) -> Patch {
        let flows = self
            .connection
            .dump_flows(FlowStatsRequest::default())
            .await
            .unwrap();
        let groups = self.connection.dump_groups().await.unwrap();
        diff(desired, &flows, &groups)
    }
}

#[tokio::test]
async fn everything_comes_back_as_it_was_sent() {
    let installed = Installed::new().await;
    let program = compile_all(&fixture::state());
    let all = installed.difference(&program).await;
    assert_eq!(all.flows_set.len(), program.len());
    installed.send(&all).await;
    assert_eq!(installed.difference(&program).await, Patch::default());
}

#[tokio::test]
async fn the_switch_follows_any_history() {
    let installed = Installed::new().await;
    let mut runner = runner();
    for _ in 0..40 {
        let mut compiler = Compiler::new(draw(&mut runner, &world::state()));
        // From whatever is left of the last round.
        installed
            .send(&installed.difference(&compiler.desired()).await)
            .await;
        for change in draw(&mut runner, &vec(world::change(), 12)) {
            let patch = compiler.apply(change);
            installed.send(&patch).await;
            assert_eq!(
                installed.difference(&compiler.desired()).await,
                Patch::default(),
                "{patch:#?}"
            );
        }
    }
}

/// The same with Services: what the switch gives back of every kind of flow is what was sent.
#[tokio::test]
async fn the_switch_follows_any_history_of_services() {
    let installed = Installed::new().await;
    let mut runner = runner();
    for _ in 0..25 {
        let node = draw(&mut runner, &service_world::node());
        let mut compiler = Compiler::new(State::new(node));
        installed
            .send(&installed.difference(&compiler.desired()).await)
            .await;
        for change in draw(&mut runner, &vec(service_world::change(), 12)) {
            let patch = compiler.apply(change);
            installed.send(&patch).await;
            assert_eq!(
                installed.difference(&compiler.desired()).await,
                Patch::default(),
                "{patch:#?}"
            );
        }
    }
}

#[tokio::test]
async fn drift_is_repaired_and_what_is_foreign_stays() {
    let installed = Installed::new().await;
    let program = compile_all(&fixture::state());
    installed.send(&installed.difference(&program).await).await;
    installed
        .switch
        .ofctl(&["--strict"], "del-flows", &["table=52,priority=0"]);
    installed
        .switch
        .ofctl(&[], "mod-flows", &["table=60,reg3=0x5 actions=output:10"]);
    installed
        .switch
        .add_flows("table=36,priority=7,cookie=0x51ce050000000001,ip actions=drop");
    installed
        .switch
        .add_flows("table=36,priority=7,cookie=0xabcd,ipv6 actions=drop");
    let drift = installed.difference(&program).await;
    assert_eq!(
        (drift.flows_set.len(), drift.flows_gone.len()),
        (2, 1),
        "{drift:#?}"
    );
    installed.send(&drift).await;
    assert_eq!(installed.difference(&program).await, Patch::default());
    let left = installed
        .switch
        .ofctl(&[], "dump-flows", &["cookie=0xabcd/-1"]);
    assert!(left.contains("priority=7"), "{left}");
}

#[tokio::test]
async fn a_packet_fares_the_same_in_what_was_read_back() {
    let installed = Installed::new().await;
    let mut runner = runner();
    for _ in 0..5 {
        let state = draw(&mut runner, &world::state());
        let program = compile_all(&state);
        installed.send(&installed.difference(&program).await).await;
        let flows = installed
            .connection
            .dump_flows(FlowStatsRequest::default())
            .await
            .unwrap();
        for _ in 0..200 {
            let packet = draw(&mut runner, &world::dice()).packet(&state);
            let outcome = Tables::from(&program).run(packet.clone());
            assert_eq!(Tables::from(&**flows).run(packet), outcome);
        }
    }
}
