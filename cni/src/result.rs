//! CNI's own JSON: the ADD result in each version's form, the error object, and `prevResult` read
//! back from any of them.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sluice_rpc::{AddResult, CniCode, CniError, Dns};

use crate::version::CniVersion;

/// Where the container's end stands in `interfaces`.
const CONTAINER_END: u32 = 1;

/// An ADD result (specification 1.1.0, section 5 "ADD Success"). One type for all versions:
/// `ips[].version` is printed up to 0.4.0 and `interfaces[].mtu` from 1.1.0 on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CniResult {
    /// The version of this form.
    #[serde(rename = "cniVersion", default)]
    pub cni_version: String,
    /// The host's end, then the container's.
    #[serde(default)]
    pub interfaces: Vec<Interface>,
    /// Addresses of the container's end.
    #[serde(default)]
    pub ips: Vec<Ip>,
    /// Routes in the container.
    #[serde(default)]
    pub routes: Vec<Route>,
    /// Resolver settings; always printed, empty if there are none.
    #[serde(default)]
    pub dns: Dns,
}

/// One of `interfaces`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Interface {
    /// Name where it lives.
    #[serde(default)]
    pub name: String,
    /// Hardware address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    /// MTU, bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// Network namespace path; absent on the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<String>,
}

/// One of `ips`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ip {
    /// `4` or `6`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Address and prefix length.
    pub address: IpNet,
    /// Next hop of this family's default route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
    /// Index into `interfaces`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<u32>,
}

/// One of `routes`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Route {
    /// Destination.
    pub dst: IpNet,
    /// Next hop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gw: Option<IpAddr>,
}

impl CniResult {
    /// What ADD prints for `attachment`.
    pub fn of(
        attachment: &AddResult,
        ifname: &str,
        netns: &str,
        dns: Option<&Dns>,
        version: CniVersion,
    ) -> Self {
        let ip = |assigned: &sluice_rpc::IpAssignment| Ip {
            version: (version < CniVersion::V1_0_0).then(|| match assigned.address {
                IpNet::V4(_) => "4".to_owned(),
                IpNet::V6(_) => "6".to_owned(),
            }),
            address: assigned.address,
            gateway: assigned.gateway,
            interface: Some(CONTAINER_END),
        };
        let mtu = (version >= CniVersion::V1_1_0).then(|| u32::from(attachment.mtu));
        CniResult {
            cni_version: version.name().to_owned(),
            interfaces: vec![
                Interface {
                    name: attachment.host_ifname.clone(),
                    mac: attachment.host_mac.clone(),
                    mtu,
                    sandbox: None,
                },
                Interface {
                    name: ifname.to_owned(),
                    mac: Some(attachment.mac.clone()),
                    mtu,
                    sandbox: Some(netns.to_owned()),
                },
            ],
            ips: attachment.ips.iter().map(ip).collect(),
            routes: attachment
                .routes
                .iter()
                .map(|route| Route {
                    dst: route.dst,
                    gw: route.gw,
                })
                .collect(),
            dns: dns.or(attachment.dns.as_ref()).cloned().unwrap_or_default(),
        }
    }

    /// `prevResult` of any served version; what is not known is skipped.
    ///
    /// # Errors
    /// [`CniCode::DECODE`].
    pub fn from_prev_result(value: &Value) -> Result<Self, CniError> {
        CniResult::deserialize(value).map_err(|error| {
            CniError::new(CniCode::DECODE, "cannot decode prevResult")
                .with_details(error.to_string())
        })
    }

    /// As printed.
    ///
    /// # Errors
    /// None that these types can bring about.
    pub fn to_json(&self) -> Result<Value, CniError> {
        serde_json::to_value(self).map_err(|error| {
            CniError::new(CniCode::DECODE, "cannot encode the result")
                .with_details(error.to_string())
        })
    }
}

/// The error object (specification 1.1.0, section 5 "Error").
pub fn error_json(error: &CniError, version: CniVersion) -> Value {
    let mut object = serde_json::json!({
        "cniVersion": version.name(),
        "code": error.code.0,
        "msg": error.msg,
    });
    if let (false, Some(object)) = (error.details.is_empty(), object.as_object_mut()) {
        object.insert("details".into(), error.details.clone().into());
    }
    object
}
