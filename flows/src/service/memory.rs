//! What of Services has to be kept in mind between changes: who is at which index, which addresses are endpoints, and how
//! clients were treated whose connections may live.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use crate::cookie::fnv1a;
use crate::model::{Backend, Frontend, ServiceId, ServicePort, TrafficPolicy};
use crate::service::choice::{Choice, Look, stable_mix};
use crate::service::slots::{Slots, changes};

/// The most addresses that are remembered as endpoints after the last Service let go of them.
pub(crate) const MAX_LINGERING: usize = 16_384;

/// Which of the two sets of endpoints of a Service.
pub type Scope = TrafficPolicy;

/// The number by which flows know a Service's set of endpoints; never zero.
pub fn service_number(id: &ServiceId, scope: Scope) -> u64 {
    let scope = match scope {
        Scope::Cluster => 0,
        Scope::Local => 0x5bd1_e995_9d1b_a3c7,
    };
    stable_mix(fnv1a(id.as_str()) ^ scope).max(1)
}

impl ServicePort {
    /// Whether any frontend leads to endpoints of this scope.
    pub(crate) fn uses(&self, scope: Scope) -> bool {
        self.frontends.iter().any(|frontend| match frontend {
            Frontend::Cluster { policy, .. } => *policy == scope,
            // Pods and the node itself may go anywhere.
            Frontend::External { policy, .. } | Frontend::NodePort { policy, .. } => {
                scope == Scope::Cluster || *policy == scope
            }
        })
    }

    /// Whether clients outside keep their addresses.
    fn keeps_sources(&self) -> bool {
        self.frontends.iter().any(|frontend| match frontend {
            Frontend::Cluster { .. } => false,
            Frontend::External { policy, .. } | Frontend::NodePort { policy, .. } => {
                *policy == Scope::Local
            }
        })
    }

    /// The endpoints of a scope, if it is used.
    pub(crate) fn backends(&self, scope: Scope) -> &[Backend] {
        match scope {
            _ if !self.uses(scope) => &[],
            Scope::Cluster => &self.cluster,
            Scope::Local => &self.local,
        }
    }

    /// The same with lists that are sorted, without repetition and of the family; `None` if they are.
    fn normal(&self) -> Option<Self> {
        let of_family = |b: &Backend| b.ip.is_ipv6() == self.v6;
        let is_normal =
            |list: &[Backend]| list.is_sorted_by(|a, b| a < b) && list.iter().all(of_family);
        if is_normal(&self.cluster) && is_normal(&self.local) {
            return None;
        }
        let mut normal = self.clone();
        for list in [&mut normal.cluster, &mut normal.local] {
            list.retain(of_family);
            list.sort_unstable();
            list.dedup();
        }
        Some(normal)
    }

    pub(crate) fn normalised(self: std::sync::Arc<Self>) -> std::sync::Arc<Self> {
        match self.normal() {
            None => self,
            Some(normal) => std::sync::Arc::new(normal),
        }
    }
}

/// The endpoints of one Service port, by scope.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Assignment {
    cluster: Slots,
    local: Slots,
    /// All that was ever looked at of clients.
    look: Look,
    /// Whether clients outside ever kept their addresses.
    kept: bool,
}

impl Assignment {
    fn get(&self, scope: Scope) -> &Slots {
        match scope {
            Scope::Cluster => &self.cluster,
            Scope::Local => &self.local,
        }
    }

    fn get_mut(&mut self, scope: Scope) -> &mut Slots {
        match scope {
            Scope::Cluster => &mut self.cluster,
            Scope::Local => &mut self.local,
        }
    }

    /// Takes note of how the clients of a Service are treated now.
    fn note(&mut self, port: &ServicePort) {
        for slots in [&self.cluster, &self.local] {
            let choice = Choice::of(slots.shape(), port.affinity.is_some());
            self.look = self.look.with(choice.looks_at());
        }
        self.kept |= port.keeps_sources();
    }
}

/// An address that is or was an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Endpoint {
    /// Of so many sets of endpoints.
    Held(u32),
    /// Of none any more, since this number.
    Lingering(u64),
}

/// Who is at which index, and what follows from all Services together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memory {
    assignments: BTreeMap<ServiceId, Assignment>,
    endpoints: HashMap<IpAddr, Endpoint>,
    lingering: BTreeMap<u64, IpAddr>,
    /// How many sets of endpoints are spread over so many indices by source-port bits.
    shapes: BTreeMap<u16, u32>,
    clock: u64,
}

/// What a change meant for that which belongs to no Service alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Delta {
    pub(crate) endpoints_came: Vec<IpAddr>,
    pub(crate) endpoints_went: Vec<IpAddr>,
    pub(crate) shapes_came: Vec<u16>,
    pub(crate) shapes_went: Vec<u16>,
}

static NO_SLOTS: Slots = Slots::none();

impl Memory {
    /// The slots of a Service.
    pub fn slots(&self, id: &ServiceId, scope: Scope) -> &Slots {
        self.assignments.get(id).map_or(&NO_SLOTS, |a| a.get(scope))
    }

    /// What is looked at of a Service's clients, as long as it lives.
    pub(crate) fn look(&self, id: &ServiceId) -> Look {
        self.assignments.get(id).map(|a| a.look).unwrap_or_default()
    }

    /// Whether clients of a Service from outside have kept their addresses at any time of its life: connections that do
    /// may live, whatever its policy by now.
    pub(crate) fn kept_sources(&self, id: &ServiceId) -> bool {
        self.assignments.get(id).is_some_and(|a| a.kept)
    }

    /// Takes note of how a Service's clients were treated before this memory began, and in no other way but as they are now:
    /// what was looked at of them, and whether those outside kept their addresses.
    pub(crate) fn has_treated(&mut self, port: &ServicePort, look: Look, kept: bool) {
        if let Some(assignment) = self.assignments.get_mut(&port.id) {
            (assignment.look, assignment.kept) = (look, kept);
            assignment.note(port);
        }
    }

    /// Every address that is an endpoint, or was one lately.
    pub fn endpoints(&self) -> impl Iterator<Item = IpAddr> {
        self.endpoints.keys().copied()
    }

    /// The addresses that are endpoints no more but may still have connections, the longest gone first.
    pub fn lingering(&self) -> impl Iterator<Item = IpAddr> {
        self.lingering.values().copied()
    }

    /// The numbers of indices that source-port bits are mapped to.
    pub(crate) fn shapes(&self) -> impl Iterator<Item = u16> {
        self.shapes.keys().copied()
    }

    /// Takes note that a Service is now this; `before` is what it was.
    pub(crate) fn set(&mut self, before: Option<&ServicePort>, after: &ServicePort) -> Delta {
        let mut delta = Delta::default();
        let mut assignment = self.assignments.remove(&after.id).unwrap_or_default();
        let firm = after.affinity.is_some();
        // What comes is held before what goes is let go.
        let mut gone = Vec::new();
        for scope in [Scope::Cluster, Scope::Local] {
            let had = before.map_or(&[][..], |port| port.backends(scope));
            let (went, came) = changes(had, after.backends(scope));
            let slots = assignment.get_mut(scope);
            self.unspread(
                slots,
                before.is_some_and(|p| p.affinity.is_some()),
                &mut delta,
            );
            slots.change(&went, &came, firm);
            self.spread(slots, firm, &mut delta);
            came.iter().for_each(|b| self.hold(b.ip, &mut delta));
            gone.extend(went);
        }
        gone.iter().for_each(|b| self.let_go(b.ip, &mut delta));
        assignment.note(after);
        self.assignments.insert(after.id.clone(), assignment);
        delta.settle();
        delta
    }

    /// Takes note that a Service went.
    pub(crate) fn remove(&mut self, before: &ServicePort) -> Delta {
        let mut delta = Delta::default();
        let assignment = self.assignments.remove(&before.id).unwrap_or_default();
        for scope in [Scope::Cluster, Scope::Local] {
            let affinity = before.affinity.is_some();
            self.unspread(assignment.get(scope), affinity, &mut delta);
            for backend in before.backends(scope) {
                self.let_go(backend.ip, &mut delta);
            }
        }
        delta.settle();
        delta
    }

    /// Puts the endpoints of a Service where they were found.
    pub(crate) fn reassign(&mut self, port: &ServicePort, scope: Scope, found: Slots) {
        let firm = port.affinity.is_some();
        let mut slots = found;
        let mut there: Vec<Backend> = slots.iter().map(|(_, backend)| backend).collect();
        there.sort_unstable();
        let (gone, come) = changes(&there, port.backends(scope));
        slots.change(&gone, &come, firm);
        let mut assignment = self.assignments.remove(&port.id).unwrap_or_default();
        let mut delta = Delta::default();
        self.unspread(assignment.get(scope), firm, &mut delta);
        self.spread(&slots, firm, &mut delta);
        *assignment.get_mut(scope) = slots;
        assignment.note(port);
        self.assignments.insert(port.id.clone(), assignment);
    }

    /// Takes note that an address was an endpoint some time ago.
    pub(crate) fn linger(&mut self, ip: IpAddr) {
        if !self.endpoints.contains_key(&ip) {
            self.endpoints.insert(ip, Endpoint::Lingering(self.clock));
            self.lingering.insert(self.clock, ip);
            self.clock += 1;
            self.evict(&mut Delta::default());
        }
    }

    /// Forgets that an address was an endpoint; one that is cannot be forgotten.
    pub(crate) fn forget(&mut self, ip: IpAddr) -> Delta {
        let mut delta = Delta::default();
        if let Some(Endpoint::Lingering(since)) = self.endpoints.get(&ip).copied() {
            self.endpoints.remove(&ip);
            self.lingering.remove(&since);
            delta.endpoints_went.push(ip);
        }
        delta
    }

    fn hold(&mut self, ip: IpAddr, delta: &mut Delta) {
        match self.endpoints.get_mut(&ip) {
            Some(Endpoint::Held(sets)) => *sets += 1,
            Some(Endpoint::Lingering(since)) => {
                self.lingering.remove(since);
                self.endpoints.insert(ip, Endpoint::Held(1));
            }
            None => {
                self.endpoints.insert(ip, Endpoint::Held(1));
                delta.endpoints_came.push(ip);
            }
        }
    }

    fn let_go(&mut self, ip: IpAddr, delta: &mut Delta) {
        match self.endpoints.get_mut(&ip) {
            Some(Endpoint::Held(sets)) if *sets > 1 => *sets -= 1,
            Some(Endpoint::Held(_)) => {
                self.endpoints.insert(ip, Endpoint::Lingering(self.clock));
                self.lingering.insert(self.clock, ip);
                self.clock += 1;
                self.evict(delta);
            }
            Some(Endpoint::Lingering(_)) | None => {}
        }
    }

    fn evict(&mut self, delta: &mut Delta) {
        while self.lingering.len() > MAX_LINGERING {
            let Some((_, ip)) = self.lingering.pop_first() else {
                return;
            };
            self.endpoints.remove(&ip);
            delta.endpoints_went.push(ip);
        }
    }

    fn spread(&mut self, slots: &Slots, affinity: bool, delta: &mut Delta) {
        if let Choice::Bits { shape, .. } = Choice::of(slots.shape(), affinity) {
            let users = self.shapes.entry(shape).or_default();
            *users += 1;
            if *users == 1 {
                delta.shapes_came.push(shape);
            }
        }
    }

    fn unspread(&mut self, slots: &Slots, affinity: bool, delta: &mut Delta) {
        if let Choice::Bits { shape, .. } = Choice::of(slots.shape(), affinity)
            && let Some(users) = self.shapes.get_mut(&shape)
        {
            *users -= 1;
            if *users == 0 {
                self.shapes.remove(&shape);
                delta.shapes_went.push(shape);
            }
        }
    }
}

impl Delta {
    /// What both came and went is where it was.
    fn settle(&mut self) {
        let Self {
            endpoints_came,
            endpoints_went,
            shapes_came,
            shapes_went,
        } = self;
        settle(endpoints_came, endpoints_went);
        settle(shapes_came, shapes_went);
    }
}

fn settle<T: Ord + Copy>(came: &mut Vec<T>, went: &mut Vec<T>) {
    came.sort_unstable();
    went.sort_unstable();
    let both: Vec<T> = came
        .iter()
        .copied()
        .filter(|item| went.binary_search(item).is_ok())
        .collect();
    for item in both {
        for list in [&mut *came, &mut *went] {
            if let Ok(at) = list.binary_search(&item) {
                list.remove(at);
            }
        }
    }
}
