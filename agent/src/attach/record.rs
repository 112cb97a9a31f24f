//! What the switch's database holds about an attachment: everything that the agent needs to find
//! it again, in the `external_ids` of its `Interface` row.
//!
//! The keys are read by later versions of the agent, and by people; they are never renamed.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use openflow::MacAddr;
use sluice_flows::model::{LocalPod, PodId, Uid};
use sluice_rpc::{Attachment, PodRef};

use crate::config::AttachMode;

/// Key that marks an `Interface` row as a pod's; its value is the sandbox id.
pub const SANDBOX: &str = "sluice-sandbox";
const IFNAME: &str = "sluice-ifname";
const NETWORK: &str = "sluice-network";
const NETNS: &str = "sluice-netns";
const POD_NAMESPACE: &str = "sluice-pod-namespace";
const POD_NAME: &str = "sluice-pod-name";
const POD_UID: &str = "sluice-pod-uid";
const MAC: &str = "sluice-mac";
const IPS: &str = "sluice-ips";
const ATTACH: &str = "sluice-attach";
const MTU: &str = "sluice-mtu";

/// One attachment, as it was asked for and decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Container and interface name.
    pub attachment: Attachment,
    /// Name of the CNI network configuration.
    pub network: String,
    /// Path of the network namespace when it was attached.
    pub netns: PathBuf,
    /// Whose container it is, if anyone said.
    pub pod: Option<PodRef>,
    /// MAC inside the container.
    pub mac: MacAddr,
    /// Addresses inside the container.
    pub ips: Vec<IpAddr>,
    /// How it is attached.
    pub mode: AttachMode,
    /// MTU inside the container, bytes.
    pub mtu: u16,
}

/// A row that is marked as a pod's and cannot be read as one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// A key is missing.
    #[error("external_ids has no {0}")]
    Missing(&'static str),
    /// A value makes no sense.
    #[error("external_ids:{key} is {value:?}")]
    Wrong {
        /// The key.
        key: &'static str,
        /// Its value.
        value: String,
    },
}

impl Record {
    /// The `external_ids` that say so.
    pub fn to_external_ids(&self) -> BTreeMap<String, String> {
        let Self {
            attachment,
            network,
            netns,
            pod,
            mac,
            ips,
            mode,
            mtu,
        } = self;
        let ips: Vec<_> = ips.iter().map(ToString::to_string).collect();
        let mut ids = BTreeMap::from(
            [
                (SANDBOX, attachment.container_id.clone()),
                (IFNAME, attachment.ifname.clone()),
                (NETWORK, network.clone()),
                (NETNS, netns.to_string_lossy().into_owned()),
                (MAC, mac.to_string()),
                (IPS, ips.join(",")),
                (ATTACH, mode.to_string()),
                (MTU, mtu.to_string()),
            ]
            .map(|(key, value)| (key.to_owned(), value)),
        );
        if let Some(PodRef {
            namespace,
            name,
            uid,
        }) = pod
        {
            ids.insert(POD_NAMESPACE.to_owned(), namespace.clone());
            ids.insert(POD_NAME.to_owned(), name.clone());
            ids.extend(uid.clone().map(|uid| (POD_UID.to_owned(), uid)));
        }
        ids
    }

    /// Reads them back.
    ///
    /// # Errors
    /// Names the first key that is missing or wrong.
    pub fn from_external_ids(ids: &BTreeMap<String, String>) -> Result<Self, RecordError> {
        let text = |key| ids.get(key).cloned().ok_or(RecordError::Missing(key));
        fn parsed<T: std::str::FromStr>(
            key: &'static str,
            value: String,
        ) -> Result<T, RecordError> {
            value.parse().map_err(|_| RecordError::Wrong { key, value })
        }
        let ips = text(IPS)?;
        let ips = ips
            .split(',')
            .filter(|ip| !ip.is_empty())
            .map(|ip| parsed(IPS, ip.to_owned()))
            .collect::<Result<_, _>>()?;
        let pod = match (ids.get(POD_NAMESPACE), ids.get(POD_NAME)) {
            (Some(namespace), Some(name)) => Some(PodRef {
                namespace: namespace.clone(),
                name: name.clone(),
                uid: ids.get(POD_UID).cloned(),
            }),
            _ => None,
        };
        Ok(Self {
            attachment: Attachment {
                container_id: text(SANDBOX)?,
                ifname: text(IFNAME)?,
            },
            network: text(NETWORK)?,
            netns: text(NETNS)?.into(),
            pod,
            mac: parsed(MAC, text(MAC)?)?,
            ips,
            mode: parsed(ATTACH, text(ATTACH)?)?,
            mtu: parsed(MTU, text(MTU)?)?,
        })
    }

    /// The attachment as flows are compiled from it, on OpenFlow port `ofport`.
    pub fn to_pod(&self, ofport: u32) -> LocalPod {
        let pod = self.pod.clone().unwrap_or_else(|| PodRef {
            namespace: String::new(),
            name: self.attachment.container_id.clone(),
            uid: None,
        });
        LocalPod {
            id: self.pod_id(),
            namespace: pod.namespace,
            name: pod.name,
            uid: Uid::new(pod.uid.as_deref().unwrap_or_default()),
            ofport,
            mac: self.mac,
            ips: self.ips.clone(),
        }
    }

    /// What names the attachment among the flows: a sandbox may have several interfaces.
    pub fn pod_id(&self) -> PodId {
        pod_id(&self.attachment)
    }

    /// For logs: `namespace/name`, or the container's id.
    pub fn label(&self) -> String {
        match &self.pod {
            Some(pod) => format!("{}/{}", pod.namespace, pod.name),
            None => self.attachment.container_id.clone(),
        }
    }
}

/// What names the attachment among the flows.
pub fn pod_id(attachment: &Attachment) -> PodId {
    PodId::new(format!("{}/{}", attachment.container_id, attachment.ifname))
}

/// Name of the attachment's port: unique on the node, and the same whenever it is asked for.
/// `attempt` above 0 gives other names, for the case that one is taken.
pub fn port_name(attachment: &Attachment, attempt: u32) -> String {
    let seed = format!(
        "{}/{}/{attempt}",
        attachment.container_id, attachment.ifname
    );
    format!("sl{:012x}", stable_hash(seed.as_bytes()) >> 16)
}

/// Whether `name` is one that [`port_name`] gives.
pub fn is_port_name(name: &str) -> bool {
    let hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    name.strip_prefix("sl")
        .is_some_and(|rest| rest.len() == 12 && rest.bytes().all(hex))
}

/// A MAC for the attachment, locally administered. It follows from the IPv4 address where there
/// is one, so that it is as unique as that.
pub fn mac(attachment: &Attachment, ips: &[IpAddr]) -> MacAddr {
    let v4 = ips.iter().find_map(|ip| match ip {
        IpAddr::V4(ip) => Some(ip.octets()),
        IpAddr::V6(_) => None,
    });
    let [a, b, c, d] = v4.unwrap_or_else(|| {
        let seed = format!("{}/{}", attachment.container_id, attachment.ifname);
        let [a, b, c, d, ..] = stable_hash(seed.as_bytes()).to_be_bytes();
        [a, b, c, d]
    });
    let family = if v4.is_some() { 0x58 } else { 0x59 };
    MacAddr([0x0a, family, a, b, c, d])
}

/// FNV-1a, its bits mixed once more. Stable across versions: device names follow from it.
fn stable_hash(bytes: &[u8]) -> u64 {
    let fnv = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mixed = (fnv ^ (fnv >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    mixed ^ (mixed >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(pod: bool) -> Record {
        Record {
            attachment: Attachment {
                container_id: "c0ffee".to_owned(),
                ifname: "eth0".to_owned(),
            },
            network: "sluice".to_owned(),
            netns: "/run/netns/x".into(),
            pod: pod.then(|| PodRef {
                namespace: "default".to_owned(),
                name: "web-0".to_owned(),
                uid: Some("u1".to_owned()),
            }),
            mac: MacAddr([0x0a, 0x58, 10, 0, 0, 2]),
            ips: vec![
                "10.0.0.2".parse().expect("v4"),
                "fd00::2".parse().expect("v6"),
            ],
            mode: AttachMode::Internal,
            mtu: 1442,
        }
    }

    #[test]
    fn comes_back_from_external_ids() {
        for record in [record(true), record(false)] {
            assert_eq!(
                Record::from_external_ids(&record.to_external_ids()),
                Ok(record)
            );
        }
    }

    #[test]
    fn says_what_is_missing_or_wrong() {
        let mut ids = record(true).to_external_ids();
        ids.insert(MAC.to_owned(), "no".to_owned());
        let error = Record::from_external_ids(&ids).expect_err("wrong");
        assert_eq!(error.to_string(), "external_ids:sluice-mac is \"no\"");
        ids.remove(IFNAME);
        assert_eq!(
            Record::from_external_ids(&ids),
            Err(RecordError::Missing(IFNAME))
        );
    }

    #[test]
    fn port_names_are_stable_and_fit_a_device() {
        let attachment = record(false).attachment;
        let name = port_name(&attachment, 0);
        assert_eq!(name, port_name(&attachment, 0));
        assert_eq!(name.len(), 14);
        assert!(is_port_name(&name) && !is_port_name("sluice0") && !is_port_name("sl0123456789AB"));
        assert_ne!(name, port_name(&attachment, 1));
    }
}
