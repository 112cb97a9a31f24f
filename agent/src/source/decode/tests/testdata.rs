//! Objects as others write them.

use std::{fs, path::PathBuf};

use super::*;
use crate::source::{manifest, object::Object};

fn read(name: &str) -> String {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/testdata");
    let path = folder.join(name);
    fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("test data {} is needed: {error}", path.display()))
}

fn objects(name: &str) -> Vec<Object> {
    let found = manifest::parse(&read(name))
        .unwrap_or_else(|misfit| panic!("{name} is not understood: {misfit:?}"));
    found.into_iter().map(|found| found.object).collect()
}

fn faultless(name: &str) -> Vec<Object> {
    let objects = objects(name);
    for object in &objects {
        let faults = lines(object.refusals());
        assert_eq!(
            faults,
            Vec::<String>::new(),
            "{name}: {}",
            object.reference()
        );
    }
    objects
}

#[test]
fn applications_and_their_services() {
    for (name, services) in [
        ("online-boutique.yaml", 12),
        ("sock-shop.yaml", 14),
        ("train-ticket.yaml", 67),
        ("deathstarbench-hotel.yaml", 19),
    ] {
        let objects = faultless(name);
        let count = objects
            .iter()
            .filter(|object| object.kind() == Kind::Service)
            .count();
        assert_eq!(count, services, "{name}");
    }
}

#[test]
fn network_policies() {
    for (name, policies) in [
        ("online-boutique-networkpolicies.yaml", 13),
        ("ahmetb-recipes-networkpolicies.yaml", 15),
    ] {
        assert_eq!(faultless(name).len(), policies, "{name}");
    }
}

#[test]
fn what_kube_proxy_is_tested_with() {
    let mut counts = [0, 0];
    for name in [
        "kube-proxy-iptables-packetflow.jsonl",
        "kube-proxy-nftables-packetflow.jsonl",
    ] {
        for line in read(name).lines() {
            let scenario: Value = serde_json::from_str(line).expect("JSON");
            let events = scenario["events"].as_array().expect("events");
            let events = events
                .iter()
                .flat_map(|event| event.as_object().expect("an event"))
                .filter(|(_, object)| !object.is_null());
            for (event, object) in events {
                let refusals = match event.split('-').next() {
                    Some("svc") => {
                        counts[0] += 1;
                        service(object).expect("a Service").refusals
                    }
                    Some("eps") => {
                        counts[1] += 1;
                        endpoint_slice(object).expect("a slice").refusals
                    }
                    _ => continue,
                };
                assert_eq!(lines(&refusals), Vec::<String>::new(), "{line}");
            }
        }
    }
    assert!(counts[0] > 160 && counts[1] > 100, "{counts:?}");
}
