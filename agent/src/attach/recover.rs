//! Finding attachments again: when the agent starts, from the switch's database alone; and their
//! devices, after a restart of the switch.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use sluice_flows::model::Change;
use sluice_rpc::{Attachment, PodState};

use super::book::Entry;
use super::record::{self, Record};
use super::{Service, numbers};
use crate::config::{AttachMode, DatapathType};
use crate::host::HostError;
use crate::host::netlink::Netlink;
use crate::host::pod::{self, Replumbed};

/// Devices that are looked at at a time.
const AT_ONCE: usize = 8;

/// How long a replacement of a pod's device may take to appear.
const APPEAR: Duration = Duration::from_secs(10);

impl Service {
    /// Learns from the database which attachments there are; returns them as changes of the
    /// state. Rows that cannot be read are reported and left alone.
    pub fn recover(&self) -> Vec<Change> {
        let mut changes = Vec::new();
        for port in self.shared.switch.pod_ports() {
            let record = match Record::from_external_ids(&port.external_ids) {
                Ok(record) => record,
                Err(error) => {
                    tracing::error!(interface = port.name, %error, "not a pod that this agent can read");
                    continue;
                }
            };
            // A port that the switch could not make has no number; the one that was asked for
            // keeps its flows apart from others'.
            let Some(ofport) = port.ofport.or(port.ofport_request) else {
                tracing::error!(interface = port.name, "a pod's port without a number");
                continue;
            };
            if !(numbers::FIRST..=numbers::LAST).contains(&ofport) {
                tracing::warn!(
                    interface = port.name,
                    ofport,
                    "outside of the range for pods"
                );
            }
            changes.push(Change::PodSet(record.to_pod(ofport)));
            self.shared.book.adopt(Entry {
                record,
                port: port.name,
                ofport,
                state: PodState::Ready,
                problem: port.error,
            });
        }
        self.shared.book.mark_recovered();
        changes
    }

    /// Removes pods' veth pairs that have no port: an agent that was killed between the two steps
    /// of an attachment left them, and the database knows nothing of them. To be called before the
    /// first request is served.
    pub async fn sweep(&self) {
        let swept = async {
            let netlink = Netlink::open()?;
            for link in netlink.links().await? {
                let pair = link.kind.as_deref() == Some("veth") && record::is_port_name(&link.name);
                if pair && self.shared.switch.port(&link.name).is_none() {
                    tracing::warn!(
                        interface = link.name,
                        "a pod's device without a port; removing"
                    );
                    netlink.delete_link(link.index).await?;
                }
            }
            Ok::<_, HostError>(())
        };
        if let Err(error) = swept.await {
            tracing::error!(%error, "devices without a port may be left");
        }
    }

    /// Puts pods' devices back in order after the switch restarted: on the userspace datapath it
    /// makes new ones and leaves the old ones dead in the pods.
    pub async fn replumb(&self) {
        if self.shared.settings.datapath != DatapathType::Netdev {
            return;
        }
        let entries = self.shared.book.all();
        let internal = entries.into_iter().filter(|entry| {
            entry.record.mode == AttachMode::Internal && entry.state != PodState::Pending
        });
        futures::stream::iter(internal)
            .for_each_concurrent(AT_ONCE, |entry| self.replumb_one(entry.record.attachment))
            .await;
    }

    async fn replumb_one(&self, attachment: Attachment) {
        let shared = Arc::clone(&self.shared);
        let attachment = &attachment;
        let _turn = shared.locks.lock(attachment).await;
        // Only now is it certain what it is: an ADD that is tried again replaces the remains of
        // its first attempt, address and all.
        let Some(entry) = shared.book.get(attachment) else {
            return;
        };
        let pod = entry.record.label();
        if !entry.record.netns.exists() {
            tracing::warn!(pod, netns = %entry.record.netns.display(), "its network namespace is gone");
            return;
        }
        let problem = match pod::replumb(&shared.nic(&entry.record, &entry.port), APPEAR).await {
            Ok(Replumbed::Well) => None,
            Ok(outcome) => {
                tracing::info!(pod, interface = entry.port, ?outcome, "interface put back");
                None
            }
            Err(error) => {
                tracing::error!(pod, interface = entry.port, %error, "interface is lost");
                Some(error.to_string())
            }
        };
        // The number may be another one after a restart of the switch.
        let given = shared
            .switch
            .wait_ofport(&entry.port, APPEAR)
            .await
            .unwrap_or(entry.ofport);
        if given != entry.ofport {
            let change = Change::PodSet(entry.record.to_pod(given));
            if let Err(error) = shared.reconciler.submit(vec![change]).await {
                tracing::error!(pod, %error, "its flows are not up to date");
            }
        }
        shared.book.update(attachment, |entry| {
            entry.ofport = given;
            entry.state = if problem.is_some() {
                PodState::Broken
            } else {
                PodState::Ready
            };
            entry.problem = problem;
        });
    }
}
