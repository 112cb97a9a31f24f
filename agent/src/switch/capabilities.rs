//! What the running switch can do, against what the configuration asks for.

use std::collections::BTreeMap;

use super::Wanted;
use super::schema::OpenVSwitch;
use crate::config::DatapathType;

/// The oldest Open vSwitch with all that the agent uses: bundles over OpenFlow 1.3, the registers
/// and actions of the pipeline, `monitor_cond_since`.
const OLDEST: (u32, u32) = (2, 17);

/// By series, the first release whose userspace datapath changes the cached flow that it is told to, and not another one
/// that overlaps it (its "dpif-netdev: Fix dpif_netdev_flow_put"). Newer series have it from the beginning.
const CHANGES_THE_RIGHT_FLOW: [(u32, u32, u32); 3] = [(2, 17, 8), (3, 0, 5), (3, 1, 3)];

/// Everything that is missing, one sentence each; empty if the switch will do.
pub(super) fn missing(switch: &OpenVSwitch, wanted: &Wanted) -> Vec<String> {
    let mut missing = Vec::new();
    // Written by the scripts that start the switch, not by itself: it may be absent.
    if let Some(text) = switch.ovs_version.as_deref() {
        match version(text) {
            Some((major, minor, _)) if (major, minor) >= OLDEST => {}
            Some(_) => missing.push(format!(
                "Open vSwitch {}.{} or newer, for bundles among others; this is {text}",
                OLDEST.0, OLDEST.1
            )),
            None => missing.push(format!("a version that can be read; this is {text:?}")),
        }
    }
    let datapath = wanted.datapath_type.as_str();
    if !switch.datapath_types.contains(datapath) {
        let known = join(&switch.datapath_types);
        missing.push(format!("datapath type {datapath}; this switch has {known}"));
    }
    let tunnel = wanted.tunnel.as_ref().map(|tunnel| tunnel.kind.as_str());
    for kind in ["internal"].into_iter().chain(tunnel) {
        if !switch.iface_types.contains(kind) {
            let known = join(&switch.iface_types);
            missing.push(format!("interface type {kind}; this switch has {known}"));
        }
    }
    missing
}

/// What an operator should know of a switch that will do: whether its datapath may change a wrong cached flow. One that
/// does not say its release is taken for one that may.
pub(super) fn hazard(switch: &OpenVSwitch, wanted: &Wanted) -> Option<String> {
    if wanted.datapath_type != DatapathType::Netdev {
        return None;
    }
    let (which, cure) = match switch.ovs_version.as_deref() {
        Some(text) => {
            let (major, minor, patch) = version(text)?;
            let (.., first) = CHANGES_THE_RIGHT_FLOW
                .into_iter()
                .find(|(of, series, first)| (*of, *series) == (major, minor) && patch < *first)?;
            (
                text,
                format!("{major}.{minor}.{first} or newer is free of it"),
            )
        }
        None => (
            "that does not say its release (column ovs_version of Open_vSwitch)",
            "3.2 or newer is free of it, and then should say so".to_owned(),
        ),
    };
    Some(format!(
        "the userspace datapath of an Open vSwitch {which} may change a wrong cached flow where two overlap, as those of a \
         Service's clients may whose loadBalancerSourceRanges change while they are connected; what is wrong stays while \
         it is used, and `ovs-appctl revalidator/purge` ends it. Policy is kept from it: each change has the switch forget \
         what it has cached of those concerned. {cure}"
    ))
}

/// What Services and policies need of a datapath: as its row has it, and what a kernel needs for that.
const OF_DATAPATH: [(&str, &str); 6] = [
    ("recirc", "the module openvswitch of Linux 3.19 or newer"),
    ("ct_state", "CONFIG_NF_CONNTRACK"),
    ("ct_zone", "CONFIG_NF_CONNTRACK_ZONES"),
    ("ct_mark", "CONFIG_NF_CONNTRACK_MARK"),
    ("ct_label", "CONFIG_NF_CONNTRACK_LABELS"),
    ("ct_state_nat", "CONFIG_NF_NAT"),
];

/// What a datapath says that it cannot do, one sentence each; empty if it will do, or says nothing.
pub(super) fn missing_in_datapath(said: &BTreeMap<String, String>) -> Vec<String> {
    let lacks = |capability: &str| said.get(capability).is_some_and(|value| value == "false");
    OF_DATAPATH
        .into_iter()
        .filter(|(capability, _)| lacks(capability))
        .map(|(capability, needs)| {
            format!("a datapath with {capability}; of a kernel this takes {needs}")
        })
        .collect()
}

/// True once the switch has said what it can do; before that, `ovs-vswitchd` has not run.
pub(super) fn known(switch: &OpenVSwitch) -> bool {
    !switch.iface_types.is_empty() && !switch.datapath_types.is_empty()
}

/// Major, minor and patch; no patch is the first.
fn version(text: &str) -> Option<(u32, u32, u32)> {
    let mut parts = text.trim().splitn(3, '.').map(|part| {
        let end = part.find(|c: char| !c.is_ascii_digit());
        part.get(..end.unwrap_or(part.len()))?.parse().ok()
    });
    let (major, minor) = (parts.next()??, parts.next()??);
    Some((major, minor, parts.next().flatten().unwrap_or(0)))
}

fn join(types: &std::collections::BTreeSet<String>) -> String {
    types
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::switch::Tunnel;
    use sluice_flows::model::TunnelKind;

    fn switch(version: &str) -> OpenVSwitch {
        OpenVSwitch {
            uuid: ovsdb::Uuid::default(),
            bridges: Default::default(),
            datapaths: Default::default(),
            other_config: Default::default(),
            next_cfg: 0,
            cur_cfg: 0,
            ovs_version: Some(version.to_owned()),
            db_version: None,
            datapath_types: ["netdev".to_owned()].into(),
            iface_types: ["internal", "geneve", "vxlan"].map(str::to_owned).into(),
        }
    }

    fn wanted(datapath_type: DatapathType, kind: TunnelKind) -> Wanted {
        Wanted {
            bridge: "br".to_owned(),
            datapath_type,
            gateway: "gw".to_owned(),
            tunnel: Some(Tunnel {
                name: "tun".to_owned(),
                kind,
                dst_port: None,
            }),
        }
    }

    #[test]
    fn all_that_is_missing_is_named_at_once() {
        let missing = missing(
            &switch("2.5.1"),
            &wanted(DatapathType::System, TunnelKind::Stt),
        );
        assert_eq!(missing.len(), 3, "{missing:?}");
        assert!(missing[0].contains("2.5.1"));
        assert!(missing[1].contains("datapath type system"));
        assert!(missing[2].contains("interface type stt"));
    }

    #[test]
    fn a_release_that_changes_wrong_flows_is_told() {
        let told = |text: &str, datapath| {
            let wanted = wanted(datapath, TunnelKind::Geneve);
            hazard(&switch(text), &wanted).is_some()
        };
        let mut silent = switch("");
        silent.ovs_version = None;
        let netdev = wanted(DatapathType::Netdev, TunnelKind::Geneve);
        assert!(hazard(&silent, &netdev).is_some());
        for text in ["2.17.7", "3.0.4", "3.1.0", "3.1", "3.1.2-rc1"] {
            assert!(told(text, DatapathType::Netdev), "{text}");
            assert!(!told(text, DatapathType::System), "{text}");
        }
        for text in ["2.17.8", "3.0.12", "3.1.3", "3.2.0", "4.0"] {
            assert!(!told(text, DatapathType::Netdev), "{text}");
        }
    }

    #[test]
    fn a_datapath_says_what_it_lacks() {
        let said = |pairs: &[(&str, &str)]| {
            let pairs = pairs
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
            missing_in_datapath(&pairs.collect())
        };
        assert_eq!(said(&[]), [""; 0], "it says nothing");
        assert_eq!(said(&[("ct_label", "true"), ("nd_ext", "false")]), [""; 0]);
        let missing = said(&[("ct_label", "false"), ("ct_state", "false")]);
        assert_eq!(missing.len(), 2, "{missing:?}");
        assert!(missing[0].contains("ct_state") && missing[1].contains("ct_label"));
    }

    #[test]
    fn a_newer_switch_will_do() {
        for version in ["2.17.0", "3.1.0", "3.10.2-rc1", "4.0"] {
            let wanted = wanted(DatapathType::Netdev, TunnelKind::Geneve);
            assert_eq!(missing(&switch(version), &wanted), [""; 0], "{version}");
        }
    }
}
