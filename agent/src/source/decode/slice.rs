//! EndpointSlices.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Deserializer};

use super::{
    Metadata, Misfit, Named, Refusals, Text, address, or_default, port_number, protocol, read, time,
};
use crate::source::{
    intern,
    object::{Endpoint, EndpointPort, EndpointSlice, Hints, State},
};

/// A `discovery.k8s.io/v1` EndpointSlice.
///
/// Of an endpoint's addresses the first counts, as the API has it. A port without a number (which means all) and
/// endpoints that are host names are not served.
///
/// # Errors
/// When a field is of the wrong type.
pub fn endpoint_slice<'de, D>(from: D) -> Result<EndpointSlice, Misfit>
where
    D: Deserializer<'de, Error: fmt::Display>,
{
    let from: SliceManifest = read(from)?;
    let mut refusals = Refusals::default();
    let mut ports = Vec::new();
    for (index, port) in from.ports.into_iter().enumerate() {
        ports.extend(endpoint_port(index, port, &mut refusals));
    }
    let endpoints = match &*from.address_type {
        "IPv4" | "IPv6" => {
            let read = from.endpoints.into_iter().enumerate();
            read.filter_map(|(index, it)| endpoint(index, it, &from.address_type, &mut refusals))
                .collect()
        }
        "FQDN" => {
            refusals.note("addressType", "host names are not served");
            Vec::new()
        }
        other => {
            refusals.note(
                "addressType",
                format!("{other:?} is none: IPv4 and IPv6 are"),
            );
            Vec::new()
        }
    };
    let metadata = &from.metadata;
    let unserved = [
        "service.kubernetes.io/headless",
        "service.kubernetes.io/service-proxy-name",
    ]
    .iter()
    .any(|label| metadata.label(label).is_some());
    let service = metadata.label("kubernetes.io/service-name");
    Ok(EndpointSlice {
        namespace: metadata.namespace(),
        service: service
            .filter(|_| !unserved)
            .cloned()
            .unwrap_or_else(|| intern::text("")),
        ports,
        endpoints,
        triggered: metadata
            .annotations
            .last_change_trigger_time
            .as_deref()
            .and_then(time),
        refusals: refusals.0,
        name: from.metadata.name.into(),
    })
}

fn endpoint_port(index: usize, port: SlicePort, refusals: &mut Refusals) -> Option<EndpointPort> {
    let field = |field: &str| format!("ports[{index}].{field}");
    let Some(number) = port.port else {
        refusals.note(field("port"), "missing: all ports at once are not served");
        return None;
    };
    Some(EndpointPort {
        name: port.name.0,
        protocol: refusals.keep(|| field("protocol"), protocol(&port.protocol))?,
        port: refusals.keep(|| field("port"), port_number(number))?,
    })
}

fn endpoint(
    index: usize,
    from: EndpointManifest,
    address_type: &str,
    refusals: &mut Refusals,
) -> Option<Endpoint> {
    let field = || format!("endpoints[{index}].addresses[0]");
    let Some(text) = from.addresses.first() else {
        refusals.note(format!("endpoints[{index}].addresses"), "missing");
        return None;
    };
    let ip = refusals.keep(field, address::unicast(text))?;
    if address::family(&ip) != address_type {
        refusals.note(field(), format!("{ip} is no {address_type} address"));
        return None;
    }
    let Conditions {
        ready,
        serving,
        terminating,
    } = from.conditions;
    Some(Endpoint {
        ip,
        state: State {
            ready: ready.unwrap_or(true),
            serving: serving.unwrap_or(true),
            terminating: terminating.unwrap_or(false),
        },
        node: from.node_name.map(|name| name.0),
        zone: from.zone.map(|zone| zone.0),
        hints: hints(&from.hints),
    })
}

fn hints(from: &HintsManifest) -> Option<Box<Hints>> {
    let names =
        |list: &[Hint]| -> Vec<Arc<str>> { list.iter().map(|hint| hint.name.0.clone()).collect() };
    let hints = Hints {
        zones: names(&from.for_zones),
        nodes: names(&from.for_nodes),
    };
    (hints != Hints::default()).then(|| Box::new(hints))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SliceManifest {
    metadata: Metadata,
    #[serde(default, deserialize_with = "or_default")]
    address_type: Text,
    #[serde(default, deserialize_with = "or_default")]
    endpoints: Vec<EndpointManifest>,
    #[serde(default, deserialize_with = "or_default")]
    ports: Vec<SlicePort>,
}

impl Named for SliceManifest {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SlicePort {
    #[serde(deserialize_with = "or_default")]
    name: Text,
    #[serde(deserialize_with = "or_default")]
    protocol: Text,
    port: Option<i64>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct EndpointManifest {
    #[serde(deserialize_with = "or_default")]
    addresses: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    conditions: Conditions,
    node_name: Option<Text>,
    zone: Option<Text>,
    #[serde(deserialize_with = "or_default")]
    hints: HintsManifest,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Conditions {
    ready: Option<bool>,
    serving: Option<bool>,
    terminating: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct HintsManifest {
    #[serde(deserialize_with = "or_default")]
    for_zones: Vec<Hint>,
    #[serde(deserialize_with = "or_default")]
    for_nodes: Vec<Hint>,
}

#[derive(Deserialize)]
struct Hint {
    name: Text,
}
