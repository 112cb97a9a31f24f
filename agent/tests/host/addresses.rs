//! Addresses that come and go.

use std::{collections::BTreeSet, net::IpAddr};

use sluice_agent::host::addresses;
use tokio::{sync::watch, time::timeout};

use crate::harness::{SOON, Space};

#[tokio::test]
async fn what_others_give_to_a_node_and_take_away_is_told() {
    let space = Space::new("addresses");
    let name = space.name.clone();
    let job = async move || {
        let ip = |line: &str| crate::harness::sh(&format!("ip -n {name} {line}"));
        let (tell, mut told) = watch::channel(None);
        let following = tokio::spawn(addresses::follow(tell));
        let loopback = ["127.0.0.1", "::1"].map(address);
        wait(&mut told, &loopback).await;
        ip("address add 192.0.2.1/32 dev lo");
        let [v4, v6] = loopback;
        wait(&mut told, &[v4, v6, address("192.0.2.1")]).await;
        ip("address add 2001:db8::1/128 dev lo nodad");
        ip("address del 192.0.2.1/32 dev lo");
        wait(&mut told, &[v4, v6, address("2001:db8::1")]).await;
        // On whatever device.
        ip("link add d0 type veth peer name d1");
        for last in 1..=200 {
            ip(&format!("address add 198.51.100.{last}/32 dev d0"));
        }
        ip("link del d0");
        ip("address del 2001:db8::1/128 dev lo");
        wait(&mut told, &loopback).await;
        following.abort();
        Ok(())
    };
    space.run(job).await.expect("ended");
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

async fn wait(told: &mut watch::Receiver<Option<BTreeSet<IpAddr>>>, expected: &[IpAddr]) {
    let expected = Some(expected.iter().copied().collect());
    let is_it = |now: &Option<BTreeSet<IpAddr>>| *now == expected;
    if timeout(SOON, told.wait_for(is_it)).await.is_err() {
        panic!("{:?}, not {expected:?}", told.borrow());
    }
}
