//! The attachments of this node, in memory: who has which port, number and addresses.
//!
//! Filled from the switch's database once, then kept in step with it by those who change it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ipnet::IpNet;
use sluice_rpc::{Attachment, CniCode, CniError, PodReport, PodState, report::RangeReport};
use tokio::sync::watch;

use super::numbers::Numbers;
use super::record::Record;
use crate::ipam::{Ipam, Usage};
use crate::metrics::{FamilyLabel, Metrics};

/// One attachment.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) record: Record,
    /// Name of the port and of its device.
    pub(super) port: String,
    /// OpenFlow port number.
    pub(super) ofport: u32,
    pub(super) state: PodState,
    pub(super) problem: Option<String>,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Book {
    inner: Mutex<Inner>,
    recovered: watch::Sender<bool>,
    /// Ticks whenever an attachment comes or goes.
    changes: watch::Sender<u64>,
    metrics: Metrics,
}

#[derive(Debug)]
struct Inner {
    entries: BTreeMap<Attachment, Entry>,
    /// Absent until this node's ranges are known.
    ipam: Option<Ipam>,
    numbers: Numbers,
}

impl Book {
    pub(super) fn new(metrics: Metrics) -> Self {
        // Where the search for port numbers begins: another place at each start.
        let seed = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map(|since| since.subsec_micros())
            .unwrap_or_default();
        let inner = Inner {
            entries: BTreeMap::new(),
            ipam: None,
            numbers: Numbers::new([], seed),
        };
        Self {
            inner: Mutex::new(inner),
            recovered: watch::Sender::new(false),
            changes: watch::Sender::new(0),
            metrics,
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_ranges(&self, ranges: &[IpNet]) {
        let mut inner = self.inner();
        let taken: Vec<IpAddr> = inner
            .entries
            .values()
            .flat_map(|entry| entry.record.ips.iter().copied())
            .collect();
        inner.ipam = Some(Ipam::new(ranges, taken));
        self.gauge(&inner);
    }

    /// Puts an attachment in that exists already.
    pub(super) fn adopt(&self, entry: Entry) {
        let mut inner = self.inner();
        inner.numbers.mark(entry.ofport);
        if let Some(ipam) = &mut inner.ipam {
            for &ip in &entry.record.ips {
                ipam.take(ip);
            }
        }
        inner.entries.insert(entry.record.attachment.clone(), entry);
        self.gauge(&inner);
    }

    pub(super) fn mark_recovered(&self) {
        self.recovered.send_replace(true);
    }

    pub(super) async fn recovered(&self) {
        let mut watched = self.recovered.subscribe();
        // Cannot fail: the sender is ours.
        let _known = watched.wait_for(|&known| known).await;
    }

    /// Takes addresses and a port number, and puts a new attachment in, pending. `make` builds it
    /// from them.
    pub(super) fn open(
        &self,
        make: impl FnOnce(Vec<IpAddr>, u32) -> Entry,
    ) -> Result<Entry, CniError> {
        let mut inner = self.inner();
        let Some(number) = inner.numbers.take() else {
            return Err(CniError::new(
                CniCode::NO_ADDRESSES,
                "no port number is left",
            ));
        };
        let allocated = match &mut inner.ipam {
            None => Err(CniError::new(
                CniCode::TRY_AGAIN,
                "this node has no address range yet",
            )),
            Some(ipam) => ipam.allocate().map_err(|error| {
                CniError::new(CniCode::NO_ADDRESSES, "no address is left")
                    .with_details(error.to_string())
            }),
        };
        let ips = match allocated {
            Ok(ips) => ips,
            Err(error) => {
                inner.numbers.release(number);
                return Err(error);
            }
        };
        let entry = make(ips, number);
        inner
            .entries
            .insert(entry.record.attachment.clone(), entry.clone());
        self.gauge(&inner);
        Ok(entry)
    }

    /// Changes an attachment, if it is still there.
    pub(super) fn update(&self, attachment: &Attachment, change: impl FnOnce(&mut Entry)) {
        let mut inner = self.inner();
        let Inner {
            entries, numbers, ..
        } = &mut *inner;
        if let Some(entry) = entries.get_mut(attachment) {
            let before = entry.ofport;
            change(entry);
            if entry.ofport != before {
                numbers.release(before);
                numbers.mark(entry.ofport);
            }
        }
    }

    /// Takes an attachment out, and frees what it had.
    pub(super) fn close(&self, attachment: &Attachment) {
        let mut inner = self.inner();
        if let Some(entry) = inner.entries.remove(attachment) {
            inner.numbers.release(entry.ofport);
            if let Some(ipam) = &mut inner.ipam {
                ipam.release(&entry.record.ips);
            }
        }
        self.gauge(&inner);
    }

    pub(super) fn get(&self, attachment: &Attachment) -> Option<Entry> {
        self.inner().entries.get(attachment).cloned()
    }

    pub(super) fn all(&self) -> Vec<Entry> {
        self.inner().entries.values().cloned().collect()
    }

    /// Says so if no further pod can get its addresses.
    pub(super) fn exhausted(&self) -> Option<String> {
        let inner = self.inner();
        inner
            .ipam
            .as_ref()
            .and_then(|ipam| ipam.check().err())
            .map(|error| error.to_string())
    }

    pub(super) fn ranges(&self) -> Vec<RangeReport> {
        let inner = self.inner();
        let usage = inner.ipam.as_ref().map(Ipam::usage).unwrap_or_default();
        usage
            .into_iter()
            .map(|range| RangeReport {
                cidr: range.cidr.to_string(),
                used: u64::try_from(range.used).unwrap_or(u64::MAX),
                free: free(&range),
            })
            .collect()
    }

    pub(super) fn reports(&self) -> Vec<PodReport> {
        let mut reports: Vec<_> = self.all().into_iter().map(report).collect();
        reports.sort_by(|a, b| {
            (&a.namespace, &a.name, &a.container_id).cmp(&(&b.namespace, &b.name, &b.container_id))
        });
        reports
    }

    /// Ticks whenever an attachment comes or goes.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// What every change of the attachments ends with.
    fn gauge(&self, inner: &Inner) {
        self.changes.send_modify(|count| *count += 1);
        self.metrics
            .pods
            .set(i64::try_from(inner.entries.len()).unwrap_or(i64::MAX));
        for range in inner.ipam.as_ref().map(Ipam::usage).unwrap_or_default() {
            let family = if range.cidr.addr().is_ipv4() {
                "ipv4"
            } else {
                "ipv6"
            };
            let gauge = self
                .metrics
                .addresses_free
                .get_or_create(&FamilyLabel { family });
            gauge.set(i64::try_from(free(&range)).unwrap_or(i64::MAX));
        }
    }
}

/// Addresses left.
fn free(range: &Usage) -> u64 {
    let used = u128::try_from(range.used).unwrap_or(u128::MAX);
    u64::try_from(range.capacity.saturating_sub(used)).unwrap_or(u64::MAX)
}

fn report(entry: Entry) -> PodReport {
    let Entry {
        record,
        port,
        ofport,
        state,
        problem,
    } = entry;
    let pod = record.pod.clone();
    let (namespace, name, uid) = match pod {
        Some(pod) => (pod.namespace, pod.name, pod.uid),
        None => Default::default(),
    };
    let gone = !record.netns.exists();
    PodReport {
        namespace,
        name,
        uid,
        container_id: record.attachment.container_id,
        ifname: record.attachment.ifname,
        host_ifname: port,
        ofport: Some(ofport),
        mac: record.mac.to_string(),
        ips: record.ips,
        netns: record.netns.to_string_lossy().into_owned(),
        attach: record.mode.to_string(),
        state: if gone && state == PodState::Ready {
            PodState::Broken
        } else {
            state
        },
        problem: problem.or_else(|| gone.then(|| "its network namespace is gone".to_owned())),
    }
}
