//! Which endpoints are used.

use std::time::Duration;

use super::*;

/// What the Service `web/s` uses with these endpoints: for traffic that may go anywhere, and that must stay here.
fn used(slices: Vec<Vec<Value>>) -> (String, String) {
    let mut index = index();
    used_in(&mut index, slices)
}

fn used_in(index: &mut Index, slices: Vec<Vec<Value>>) -> (String, String) {
    let spec = json!({"internalTrafficPolicy": "Local"});
    let mut events = vec![service("web/s", "10.96.0.1", spec)];
    for (number, endpoints) in slices.into_iter().enumerate() {
        events.push(slice(&format!("web/s-{number}"), "s", &endpoints));
    }
    index.apply(events);
    now(index)
}

fn now(index: &Index) -> (String, String) {
    let report = index.services().next().expect("a report");
    let endpoints = &report.ports[0].endpoints;
    let names = |wanted: fn(&EndpointReport) -> bool| {
        let names = endpoints.iter().filter(|it| wanted(it));
        let last = |it: &EndpointReport| it.backend.ip.to_string();
        names
            .map(last)
            .collect::<Vec<_>>()
            .join(" ")
            .replace("10.1.0.", "")
    };
    (names(|it| it.in_cluster), names(|it| it.in_local))
}

fn chosen(cluster: &str, local: &str) -> (String, String) {
    (cluster.into(), local.into())
}

#[test]
fn ready_ones_and_failing_them_those_that_serve_while_they_end() {
    let (a, b) = ("10.1.0.1", "10.1.0.2");
    for (here, there, cluster, local) in [
        ("rs", "rs", "1 2", "1"),
        ("", "rs", "2", ""),
        ("s", "rs", "2", ""),
        ("st", "rs", "2", "1"),
        ("rs", "st", "1", "1"),
        ("st", "st", "1 2", "1"),
        ("t", "st", "2", ""),
        ("t", "t", "", ""),
        ("s", "s", "", ""),
        ("", "", "", ""),
        // publishNotReadyAddresses
        ("r", "t", "1", "1"),
        ("rt", "r", "1 2", "1"),
    ] {
        let endpoints = vec![fares(a, "n1", here), fares(b, "n2", there)];
        assert_eq!(
            used(vec![endpoints]),
            chosen(cluster, local),
            "{here:?} {there:?}"
        );
    }
}

#[test]
fn slices_add_up_and_of_doubles_the_best_counts() {
    let here = |state| fares("10.1.0.1", "n1", state);
    let there = fares("10.1.0.2", "n2", "rs");
    assert_eq!(
        used(vec![vec![here("rs")], vec![there.clone()]]),
        chosen("1 2", "1")
    );
    for (first, second) in [("rs", ""), ("", "rs"), ("st", "rs"), ("rs", "st")] {
        let slices = vec![vec![here(first)], vec![here(second), there.clone()]];
        assert_eq!(used(slices), chosen("1 2", "1"), "{first:?} {second:?}");
    }
    let unplaced = json!({"addresses": ["10.1.0.1"]});
    let slices = vec![vec![unplaced], vec![here("s")]];
    assert_eq!(
        used(slices),
        chosen("1", "1"),
        "it is here if anybody says so"
    );
}

/// Endpoints 1 to 3, the first here, with hints for these zones and nodes.
fn hinted(hints: [(&[&str], &[&str]); 3]) -> Vec<Value> {
    let names = |names: &[&str]| {
        names
            .iter()
            .map(|it| json!({"name": it}))
            .collect::<Vec<_>>()
    };
    let all = hints.iter().zip([("1", "n1"), ("2", "n2"), ("3", "n2")]);
    all.map(|((zones, nodes), (last, node))| {
        let mut endpoint = at(&format!("10.1.0.{last}"), node);
        endpoint["hints"] = json!({"forZones": names(zones), "forNodes": names(nodes)});
        endpoint
    })
    .collect()
}

#[test]
fn hints() {
    let none: (&[&str], &[&str]) = (&[], &[]);
    for (hints, cluster) in [
        ([none, none, none], "1 2 3"),
        (
            [(&["z1"], &[]), (&["z2"], &[]), (&["z1", "z2"], &[])],
            "1 3",
        ),
        // One has none.
        ([(&["z1"], &[]), none, (&["z1"], &[])], "1 2 3"),
        // None is meant for us.
        ([(&["z2"], &[]), (&["z2"], &[]), (&["z3"], &[])], "1 2 3"),
        // Nodes go before zones.
        (
            [(&["z1"], &["n1"]), (&["z1"], &["n2"]), (&["z1"], &["n2"])],
            "1",
        ),
        // No node, but the zone.
        (
            [(&["z2"], &["n2"]), (&["z1"], &["n2"]), (&["z1"], &["n3"])],
            "2 3",
        ),
        // One has none for nodes, all have for zones.
        (
            [(&["z1"], &["n1"]), (&["z2"], &[]), (&["z1"], &["n1"])],
            "1 3",
        ),
    ] {
        let endpoints: [(&[&str], &[&str]); 3] = hints;
        assert_eq!(
            used(vec![hinted(endpoints)]),
            chosen(cluster, "1"),
            "{endpoints:?}"
        );
    }
}

#[test]
fn hints_of_endpoints_that_are_not_ready_do_not_count() {
    let mut endpoints = hinted([(&["z1"], &[]), (&["z2"], &[]), (&[], &[])]);
    endpoints[2]["conditions"] = json!({"ready": false});
    assert_eq!(used(vec![endpoints.clone()]), chosen("1", "1"));
    // Whoever serves while it ends is used wherever it is.
    for endpoint in &mut endpoints {
        endpoint["conditions"] = json!({"ready": false, "serving": true, "terminating": true});
    }
    assert_eq!(used(vec![endpoints]), chosen("1 2 3", "1"));
}

#[test]
fn the_zone_of_our_node_may_change() {
    let mut index = index();
    let endpoints = hinted([(&["z1"], &[]), (&["z2"], &[]), (&["z2"], &[])]);
    assert_eq!(used_in(&mut index, vec![endpoints]), chosen("1", "1"));
    assert_eq!(index.apply(vec![node("n1", "z2")]).joined.len(), 1);
    assert_eq!(now(&index), chosen("2 3", "1"));
    index.apply(vec![set(Kind::Node, "n1", json!({"metadata": {}}))]);
    assert_eq!(
        now(&index),
        chosen("1 2 3", "1"),
        "a node without a zone uses all"
    );
    assert!(index.apply(vec![node("n2", "z9")]).joined.is_empty());
}

#[test]
fn a_slice_may_pass_to_another_service() {
    let mut index = index();
    index.apply(vec![
        service("web/s", "10.96.0.1", json!({})),
        service("web/t", "10.96.0.2", json!({})),
        slice("web/x", "s", &[at("10.1.0.1", "n1")]),
    ]);
    let update = index.apply(vec![slice("web/x", "t", &[at("10.1.0.1", "n1")])]);
    assert_eq!(
        lines(&update),
        [
            "web/s:http/tcp/ipv4 at 10.96.0.1:80",
            "web/t:http/tcp/ipv4 at 10.96.0.2:80 to 10.1.0.1:8080",
        ]
    );
    assert!(update.forgotten_addresses.is_empty());
}

#[test]
fn slices_of_another_namespace_are_of_another_service() {
    let mut index = index();
    index.apply(vec![
        service("web/s", "10.96.0.1", json!({})),
        slice("db/s-1", "s", &[at("10.1.0.1", "n1")]),
    ]);
    assert_eq!(now(&index), chosen("", ""));
    assert_eq!(
        (index.count(Kind::EndpointSlice), index.endpoint_count()),
        (1, 1)
    );
}

#[test]
fn endpoints_that_are_refused_are_not_used_and_named() {
    let mut index = index();
    let endpoints = vec![
        at("10.1.0.1", "n1"),
        at("127.0.0.1", "n1"),
        at("10.1.0.2", "n1"),
    ];
    assert_eq!(used_in(&mut index, vec![endpoints]), chosen("1 2", "1 2"));
    assert_eq!(
        refused(&index),
        ["EndpointSlice web/s-0: field endpoints[1].addresses[0]: 127.0.0.1 is a loopback address"]
    );
    index.apply(vec![gone(Kind::EndpointSlice, "web/s-0")]);
    assert_eq!(refused(&index), Vec::<String>::new());
}

#[test]
fn when_changes_were_triggered() {
    let started = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let mut index = index_with(Options {
        started,
        ..Options::default()
    });
    let at_second = |second: u64, ip: &str| {
        let Event::Set(Object::EndpointSlice(slice)) = slice("web/s-1", "s", &[at(ip, "n1")])
        else {
            panic!("no slice");
        };
        let mut slice = EndpointSlice::clone(&slice);
        slice.triggered = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(second));
        Event::Set(slice.into())
    };
    let triggers = |update: Update| -> Vec<u64> {
        let times = update.triggers.iter();
        times
            .map(|it| {
                assert_eq!((&*it.namespace, &*it.name), ("web", "s"));
                it.at.duration_since(started).expect("later").as_secs()
            })
            .collect()
    };
    let old = index.apply(vec![at_second(999_999_999, "10.1.0.1")]);
    assert!(triggers(old).is_empty(), "from before our time");
    let update = index.apply(vec![at_second(1_000_000_001, "10.1.0.2")]);
    assert_eq!(triggers(update), [1]);
    let update = index.apply(vec![at_second(1_000_000_002, "10.1.0.2")]);
    assert!(triggers(update).is_empty(), "nothing changed");
    let several = vec![
        at_second(1_000_000_003, "10.1.0.3"),
        at_second(1_000_000_004, "10.1.0.4"),
    ];
    assert_eq!(triggers(index.apply(several)), [3, 4]);
    let events = vec![
        at_second(1_000_000_005, "10.1.0.5"),
        gone(Kind::EndpointSlice, "web/s-1"),
    ];
    assert!(
        triggers(index.apply(events)).is_empty(),
        "when it went is not known"
    );
}

use crate::source::EndpointSlice;
