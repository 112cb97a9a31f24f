//! The pods that several watches find between them.
//!
//! The own node's pods have a watch of their own; those of other nodes are watched by namespace, or all at once, as far
//! as somebody wants them. A pod that two watches know is one pod: what makes a difference outside is what is known of
//! it altogether. A watch that is no longer wanted goes on for a while, since pods come and go, and with them the
//! policies that are of concern here.
//!
//! Must not know how watches work.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sluice_flows::model::PodSet;
use tokio::task::AbortHandle;

use super::Target;
use crate::source::object::{Kind, Object, ObjectRef, Pod};
use crate::source::{Event, PodScope};

/// How long a watch goes on that nobody wants.
pub(super) const LINGER: Duration = Duration::from_secs(60);

/// What one watch knows.
#[derive(Debug)]
struct View {
    target: Target,
    task: AbortHandle,
    known: PodSet<Pod>,
    listed: bool,
    /// Since when nobody wants it.
    idle: Option<Instant>,
}

/// What was read from disk, as far as no watch has said anything newer.
#[derive(Debug, Default)]
struct Restored {
    scope: PodScope,
    known: PodSet<Pod>,
}

/// All pods that are known.
#[derive(Debug)]
pub(super) struct Pods {
    node: Arc<str>,
    views: BTreeMap<u64, View>,
    restored: Option<Restored>,
    wanted: PodScope,
    /// Whether whoever listens has had a first list.
    told: bool,
    covered: Option<PodScope>,
}

impl Pods {
    pub(super) fn new(node: Arc<str>) -> Pods {
        Pods {
            node,
            views: BTreeMap::new(),
            restored: None,
            wanted: PodScope::default(),
            told: false,
            covered: None,
        }
    }

    /// Takes in what was read from disk, and says so.
    pub(super) fn restore(&mut self, pods: Vec<Object>, scope: PodScope) -> Vec<Event> {
        let mut restored = Restored {
            scope,
            ..Restored::default()
        };
        for object in pods {
            if let Object::Pod(pod) = object {
                restored.known.put(pod);
            }
        }
        self.restored = Some(restored);
        let mut events = self.all_told();
        events.extend(self.tell_coverage());
        events
    }

    /// Adds a watch.
    pub(super) fn watch(&mut self, id: u64, target: Target, task: AbortHandle) {
        let view = View {
            target,
            task,
            known: PodSet::default(),
            listed: false,
            idle: None,
        };
        self.views.insert(id, view);
    }

    /// The target of a watch, if it is one of these.
    pub(super) fn target(&self, id: u64) -> Option<&Target> {
        self.views.get(&id).map(|view| &view.target)
    }

    /// How many pods a watch knows.
    pub(super) fn count(&self, id: u64) -> usize {
        self.views.get(&id).map_or(0, |view| view.known.len())
    }

    /// A pod, if it is known.
    pub(super) fn get(&self, pod: &ObjectRef) -> Option<&Pod> {
        let own = |view: &View| matches!(view.target, Target::PodsOf(_));
        let of = |first: bool| self.views.values().filter(move |view| own(view) == first);
        // The own node's watch is right about the own node's pods.
        let watched = of(true)
            .chain(of(false))
            .find_map(|view| view.known.get(&pod.namespace, &pod.name));
        watched.or_else(|| self.restored.as_ref()?.known.get(&pod.namespace, &pod.name))
    }

    /// These pods are wanted from now on; the targets that no watch has yet, and what changes at once.
    pub(super) fn want(&mut self, wanted: &PodScope, now: Instant) -> (Vec<Target>, Vec<Event>) {
        self.wanted = wanted.clone();
        let mut needed = match wanted {
            PodScope::All => vec![Target::All(Kind::Pod)],
            PodScope::Namespaces(names) => names.iter().cloned().map(Target::PodsIn).collect(),
        };
        for view in self.views.values_mut() {
            let used = matches!(view.target, Target::PodsOf(_)) || needed.contains(&view.target);
            match used {
                true => view.idle = None,
                false => view.idle = view.idle.or(Some(now)),
            }
        }
        needed.retain(|target| self.views.values().all(|view| view.target != *target));
        (needed, self.settle())
    }

    /// When the next watch has lingered long enough, if any does and may go.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        let idle = self.views.iter().filter(|(id, _)| self.may_go(**id));
        idle.filter_map(|(_, view)| Some(view.idle? + LINGER)).min()
    }

    /// Whether what is wanted is there without a watch.
    fn may_go(&self, id: u64) -> bool {
        self.coverage(Some(id), true)
            .is_some_and(|scope| scope.covers(&self.wanted))
    }

    /// Ends the watches that have lingered long enough: their targets, and what changes by it.
    pub(super) fn expire(&mut self, now: Instant) -> (Vec<Target>, Vec<Event>) {
        let (mut targets, mut events) = (Vec::new(), Vec::new());
        let old = |view: &View| view.idle.is_some_and(|since| now >= since + LINGER);
        let ids: Vec<u64> = self
            .views
            .iter()
            .filter(|(_, view)| old(view))
            .map(|(id, _)| *id)
            .collect();
        for id in ids {
            if !self.may_go(id) {
                continue;
            }
            let Some(view) = self.views.get(&id) else {
                continue;
            };
            let touched: Vec<ObjectRef> = view.known.iter().map(reference).collect();
            targets.push(view.target.clone());
            events.extend(self.change(touched, |pods| {
                if let Some(view) = pods.views.remove(&id) {
                    view.task.abort();
                }
            }));
        }
        events.extend(self.settle());
        (targets, events)
    }

    /// A pod, in the allocation of the one that is known, if that is the same to policies.
    fn shared(&self, pod: Pod) -> Pod {
        let known = self.get(&reference(&pod));
        pod.sharing(known)
    }

    /// A watch says what all its pods are.
    pub(super) fn listed(&mut self, id: u64, listed: Vec<Pod>) -> Vec<Event> {
        // Whoever listens has those already that are the same.
        let listed: Vec<Pod> = listed.into_iter().map(|pod| self.shared(pod)).collect();
        let Some(view) = self.views.get_mut(&id) else {
            return Vec::new();
        };
        view.listed = true;
        let target = view.target.clone();
        let mut touched: Vec<ObjectRef> = view.known.iter().map(reference).collect();
        touched.extend(listed.iter().map(reference));
        // What was read from disk is out of date as far as the list goes.
        let node = self.node.clone();
        let superseded = |pod: &Pod| match &target {
            Target::PodsOf(_) => pod.state.node == node,
            Target::PodsIn(namespace) => pod.state.node != node && pod.namespace == *namespace,
            Target::All(_) => pod.state.node != node,
        };
        let restored = self
            .restored
            .iter()
            .flat_map(|restored| restored.known.iter());
        let old: Vec<ObjectRef> = restored
            .filter(|pod| superseded(pod))
            .map(reference)
            .collect();
        touched.extend(old.iter().cloned());
        let mut events = self.change(touched, |pods| {
            if let Some(restored) = &mut pods.restored {
                old.iter()
                    .for_each(|pod| drop(restored.known.remove(&pod.namespace, &pod.name)));
            }
            if let Some(view) = pods.views.get_mut(&id) {
                view.known = PodSet::default();
                for pod in listed {
                    if belongs(&view.target, &pods.node, &pod) {
                        view.known.put(pod);
                    }
                }
            }
        });
        if !self.told && self.own_listed() {
            events = self.all_told();
        }
        events.extend(self.settle());
        events
    }

    /// Forgets what was read from disk, once watches know all that is wanted; says what is covered, if that is new.
    fn settle(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        if self.live_coverage().is_some()
            && let Some(rest) = &self.restored
        {
            let touched = rest.known.iter().map(reference).collect();
            events = self.change(touched, |pods| pods.restored = None);
        }
        events.extend(self.tell_coverage());
        events
    }

    /// A watch says that a pod came or changed.
    pub(super) fn set(&mut self, id: u64, pod: Pod) -> Option<Event> {
        self.views.get(&id).filter(|view| view.listed)?;
        let pod = self.shared(pod);
        let events = self.change(vec![reference(&pod)], |pods| {
            if let Some(view) = pods.views.get_mut(&id) {
                match belongs(&view.target, &pods.node, &pod) {
                    true => view.known.put(pod),
                    false => view.known.remove(&pod.namespace, &pod.name),
                };
            }
        });
        events.into_iter().next()
    }

    /// A watch says that a pod went.
    pub(super) fn remove(&mut self, id: u64, pod: &ObjectRef) -> Option<Event> {
        self.views.get(&id).filter(|view| view.listed)?;
        let events = self.change(vec![pod.clone()], |pods| {
            if let Some(view) = pods.views.get_mut(&id) {
                view.known.remove(&pod.namespace, &pod.name);
            }
        });
        events.into_iter().next()
    }

    /// Does something that concerns some pods, and says what is different by it.
    fn change(&mut self, mut touched: Vec<ObjectRef>, work: impl FnOnce(&mut Pods)) -> Vec<Event> {
        touched.sort_unstable();
        touched.dedup();
        let before: Vec<Option<Pod>> = touched.iter().map(|pod| self.get(pod).cloned()).collect();
        work(self);
        if !self.told {
            return Vec::new();
        }
        let differences = touched
            .into_iter()
            .zip(before)
            .filter_map(|(name, before)| match (before, self.get(&name)) {
                (None, None) => None,
                (Some(_), None) => Some(Event::Gone(name)),
                (Some(before), Some(now)) if before == *now => None,
                (_, Some(now)) => Some(Event::Set(Object::Pod(now.clone()))),
            });
        differences.collect()
    }

    /// A first list of everything.
    fn all_told(&mut self) -> Vec<Event> {
        self.told = true;
        let watched = self.views.values().flat_map(|view| view.known.iter());
        let restored = self
            .restored
            .iter()
            .flat_map(|restored| restored.known.iter());
        let names: BTreeSet<ObjectRef> = watched.chain(restored).map(reference).collect();
        let pods = names.iter().filter_map(|name| self.get(name).cloned());
        vec![Event::Listed(Kind::Pod, pods.map(Object::Pod).collect())]
    }

    fn own_listed(&self) -> bool {
        let mut own = self
            .views
            .values()
            .filter(|view| matches!(view.target, Target::PodsOf(_)));
        own.any(|view| view.listed)
    }

    /// Of which namespaces all pods are known, if the own ones are: without one of the watches; with or without what
    /// was read from disk.
    fn coverage(&self, without: Option<u64>, restored: bool) -> Option<PodScope> {
        let restored = self.restored.as_ref().filter(|_| restored);
        if !self.own_listed() && restored.is_none() {
            return None;
        }
        let mut names = match restored.map(|restored| &restored.scope) {
            Some(PodScope::All) => return Some(PodScope::All),
            Some(PodScope::Namespaces(names)) => names.clone(),
            None => Default::default(),
        };
        let views = self
            .views
            .iter()
            .filter(|(id, view)| view.listed && Some(**id) != without);
        for (_, view) in views {
            match &view.target {
                Target::All(_) => return Some(PodScope::All),
                Target::PodsIn(namespace) => drop(names.insert(namespace.clone())),
                Target::PodsOf(_) => {}
            }
        }
        Some(PodScope::Namespaces(names))
    }

    /// What watches cover, if that is all that is wanted.
    pub(super) fn live_coverage(&self) -> Option<PodScope> {
        self.coverage(None, false)
            .filter(|live| live.covers(&self.wanted))
    }

    fn tell_coverage(&mut self) -> Option<Event> {
        let covered = self.coverage(None, true)?;
        if self.covered.as_ref() == Some(&covered) || !self.told {
            return None;
        }
        self.covered = Some(covered.clone());
        Some(Event::Covered(covered))
    }
}

/// Whether a pod is for a watch to tell of: the own node's are for the watch on them alone.
fn belongs(target: &Target, node: &Arc<str>, pod: &Pod) -> bool {
    matches!(target, Target::PodsOf(_)) == (pod.state.node == *node)
}

fn reference(pod: &Pod) -> ObjectRef {
    ObjectRef {
        kind: Kind::Pod,
        namespace: pod.namespace.clone(),
        name: pod.name.clone(),
    }
}

#[cfg(test)]
mod tests;
