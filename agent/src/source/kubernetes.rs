//! The Kubernetes API as a source.
//!
//! One task a kind lists and watches (`watch`) and decodes what comes; what they find is put together here, in
//! the order of each kind. Pods are watched by node and by namespace, as far as they are wanted (`pods`). An object that cannot be understood is reported, and what it said before stays in force.
//! While the API server does not answer, the last known state stays in force too: nothing is ever forgotten because
//! nobody repeats it.
//!
//! Must not know what is made of the objects.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{mpsc, watch as channel};
use tokio::task::JoinSet;

use super::object::{Kind, Object, ObjectRef, Pod};
use super::{Event, PodScope, Source};

mod access;
mod pods;
mod state;
mod status;
mod target;
mod watch;
mod wire;

pub use access::{Access, AccessError};
pub use state::{StateError, StateFile};
pub use status::{KubernetesStatus, Watching};
pub use target::Target;

use pods::Pods;
use state::{Entry, Keeper};
use watch::Watcher;
use wire::{Found, Item, News};

/// How much of what the tasks find may wait for whoever listens; then they read no further.
const WAITING: usize = 1024;
/// How many changes are handed on together.
const TOGETHER: usize = 256;

/// The watched API server. Knows every object by name, so that what cannot be understood keeps its last good form.
#[derive(Debug)]
pub struct KubernetesSource {
    access: Access,
    news: mpsc::Receiver<News>,
    /// For the tasks to come.
    sender: mpsc::Sender<News>,
    /// How many tasks there have been.
    started: u64,
    /// The tasks of whole kinds.
    whole: BTreeMap<u64, Kind>,
    known: BTreeMap<Kind, HashMap<ObjectRef, Object>>,
    pods: Pods,
    /// Which task found the objects that cannot be understood.
    faults: BTreeMap<ObjectRef, u64>,
    status: channel::Sender<KubernetesStatus>,
    /// Whoever keeps the state on disk.
    keeper: Option<Keeper>,
    /// What it was told last of which pods it has.
    kept: Option<PodScope>,
    /// What is to be handed on without waiting for news: what was read from disk, at first.
    ready: Vec<Event>,
    tasks: JoinSet<()>,
}

impl KubernetesSource {
    /// Watches the API server that `access` leads to, for the node `node`: of pods its own, and those that are asked
    /// for with [`want_pods`](Self::want_pods). If there is a `state` file, the first answer is what it holds, and it
    /// is kept up to date.
    pub fn start(access: Access, node: &str, state: Option<StateFile>) -> KubernetesSource {
        let (sender, news) = mpsc::channel(WAITING);
        let node: Arc<str> = super::intern::text(node);
        let mut source = KubernetesSource {
            access,
            news,
            sender,
            started: 0,
            whole: BTreeMap::new(),
            known: BTreeMap::new(),
            pods: Pods::new(node.clone()),
            faults: BTreeMap::new(),
            status: channel::Sender::default(),
            keeper: None,
            kept: None,
            ready: Vec::new(),
            tasks: JoinSet::new(),
        };
        if let Some(state) = state {
            source.restore(&state);
            source.keeper = Some(state.keeper(source.status.clone()));
        }
        for kind in Kind::ALL {
            match kind {
                Kind::Pod => source.watch(Target::PodsOf(node.clone())),
                kind => source.watch(Target::All(kind)),
            }
        }
        source
    }

    /// Starts a task for a target.
    fn watch(&mut self, target: Target) {
        self.started += 1;
        let id = self.started;
        self.status.send_modify(|status| {
            status.watches.entry(target.clone()).or_default();
        });
        let watcher = Watcher::new(
            id,
            target.clone(),
            self.access.clone(),
            self.sender.clone(),
            self.status.clone(),
            self.keeper.is_some(),
        );
        // Those that were ended are not waited for elsewhere.
        while self.tasks.try_join_next().is_some() {}
        let task = self.tasks.spawn(watcher.run());
        match target {
            Target::All(kind) if kind != Kind::Pod => drop(self.whole.insert(id, kind)),
            target => self.pods.watch(id, target, task),
        }
    }

    /// These pods are to be known beside the own node's; an [`Event::Covered`] says when they are.
    pub fn want_pods(&mut self, scope: &PodScope) {
        let (targets, events) = self.pods.want(scope, Instant::now());
        for target in targets {
            tracing::debug!(watch = %target, "watching, since a policy speaks of its pods");
            self.watch(target);
        }
        self.keep_gone(&events);
        self.ready.extend(events);
        // Now that whoever listens has said what it makes of what it knows, the disk may rely on it.
        let all = self.status.borrow().is_listed();
        let live = self
            .pods
            .live_coverage()
            .filter(|live| all && self.kept.as_ref() != Some(live));
        if let Some(live) = live {
            self.kept = Some(live.clone());
            self.keep(|| Some(Entry::Covered(live)));
        }
    }

    /// How the API server fares; changes as it does.
    pub fn status(&self) -> channel::Receiver<KubernetesStatus> {
        self.status.subscribe()
    }

    fn restore(&mut self, state: &StateFile) {
        let path = state.path().display();
        match state.read() {
            Ok(Some(saved)) => {
                let age = saved.age.as_secs();
                let count = saved.objects.values().map(Vec::len).sum::<usize>();
                for (kind, objects) in saved.objects {
                    if kind == Kind::Pod {
                        let events = self.pods.restore(objects, saved.covered.clone());
                        self.ready.extend(events);
                        continue;
                    }
                    let named = objects
                        .iter()
                        .map(|object| (object.reference(), object.clone()));
                    self.known(kind).extend(named);
                    self.ready.push(Event::Listed(kind, objects));
                }
                tracing::info!(
                    %path, objects = count, age, damaged = saved.damaged,
                    "last known state of the cluster read"
                );
                self.status
                    .send_modify(|status| status.restored = Some(age));
            }
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%path, %error, "last known state not usable");
                let why = format!("{path}: {error}");
                self.status
                    .send_modify(|status| status.unusable = Some(why));
            }
        }
    }

    /// Tells whoever keeps the state on disk, if anybody does.
    fn keep(&self, entry: impl FnOnce() -> Option<Entry>) {
        if let Some(keeper) = &self.keeper
            && let Some(entry) = entry()
        {
            keeper.tell(entry);
        }
    }

    fn known(&mut self, kind: Kind) -> &mut HashMap<ObjectRef, Object> {
        self.known.entry(kind).or_default()
    }

    /// The last good form of an object.
    fn last(&self, reference: &ObjectRef) -> Option<Object> {
        match reference.kind {
            Kind::Pod => self.pods.get(reference).cloned().map(Object::Pod),
            kind => self.known.get(&kind)?.get(reference).cloned(),
        }
    }

    /// Takes news in and says what changed by it; nothing if there is nothing new in it, or if it comes from a task
    /// that was ended.
    fn take(&mut self, News { from, found }: News) -> Vec<Event> {
        let kind = match (self.whole.get(&from), self.pods.target(from)) {
            (Some(kind), _) => *kind,
            (None, Some(_)) => Kind::Pod,
            (None, None) => return Vec::new(),
        };
        match found {
            Found::Listed(items) => self.listed(from, kind, items),
            Found::Changed(Item::Object(object, text)) => {
                let reference = object.reference();
                self.fault(from, &reference, None);
                let event = self.set(from, object);
                match &event {
                    Some(Event::Set(_)) => self.keep(|| Some(Entry::Set(reference, text?))),
                    Some(_) => self.keep(|| Some(Entry::Gone(reference))),
                    None => {}
                }
                event.into_iter().collect()
            }
            Found::Changed(Item::Misfit(reference, why)) => {
                self.fault(from, &reference, Some(why));
                Vec::new()
            }
            Found::Gone(reference) => {
                self.fault(from, &reference, None);
                let event = match kind {
                    Kind::Pod => self.pods.remove(from, &reference),
                    kind => {
                        let known = self.known(kind).remove(&reference);
                        known.map(|_| Event::Gone(reference))
                    }
                };
                let events: Vec<Event> = event.into_iter().collect();
                self.keep_gone(&events);
                events
            }
        }
    }

    fn set(&mut self, from: u64, object: Object) -> Option<Event> {
        if let Object::Pod(pod) = object {
            return self.pods.set(from, pod);
        }
        let before = self
            .known(object.kind())
            .insert(object.reference(), object.clone());
        (before.as_ref() != Some(&object)).then_some(Event::Set(object))
    }

    fn listed(&mut self, from: u64, kind: Kind, items: Vec<Item>) -> Vec<Event> {
        let mut faults = BTreeMap::new();
        let mut objects = Vec::with_capacity(items.len());
        let mut texts = Vec::new();
        for item in items {
            match item {
                Item::Object(object, text) => {
                    texts.extend(text.map(|text| (object.reference(), text)));
                    objects.push(object);
                }
                Item::Misfit(reference, why) => {
                    objects.extend(self.last(&reference));
                    faults.insert(reference, why);
                }
            }
        }
        self.faults_listed(from, faults);
        let events = match kind {
            Kind::Pod => {
                let pods = objects.into_iter().filter_map(|object| match object {
                    Object::Pod(pod) => Some(pod),
                    _ => None,
                });
                let pods: Vec<Pod> = pods.collect();
                let events = self.pods.listed(from, pods);
                self.keep(|| Some(Entry::Several(texts)));
                self.keep_gone(&events);
                events
            }
            kind => {
                let named = objects
                    .iter()
                    .map(|object| (object.reference(), object.clone()));
                *self.known(kind) = named.collect();
                self.keep(|| Some(Entry::Listed(kind, texts)));
                vec![Event::Listed(kind, objects)]
            }
        };
        let target = self.target(from);
        self.status.send_modify(|status| {
            if let Some(watching) = target.and_then(|target| status.watches.get_mut(&target)) {
                watching.listed = true;
            }
            if status.is_listed() {
                status.restored = None;
                status.unusable = None;
            }
        });
        events
    }

    fn target(&self, task: u64) -> Option<Target> {
        let whole = self.whole.get(&task).map(|kind| Target::All(*kind));
        whole.or_else(|| self.pods.target(task).cloned())
    }

    /// What a new list of a task says is wrong, instead of what it said before.
    fn faults_listed(&mut self, from: u64, faults: BTreeMap<ObjectRef, String>) {
        let earlier = std::mem::take(&mut self.faults);
        let (stale, kept): (BTreeMap<_, _>, BTreeMap<_, _>) =
            earlier.into_iter().partition(|(_, task)| *task == from);
        self.faults = kept;
        self.faults
            .extend(faults.keys().map(|reference| (reference.clone(), from)));
        self.status.send_if_modified(|status| {
            for (reference, why) in &faults {
                if status.faults.get(reference) != Some(why) {
                    tracing::warn!(object = %reference, error = why, "object not in force");
                }
            }
            let before = status.faults.clone();
            status
                .faults
                .retain(|reference, _| !stale.contains_key(reference));
            status.faults.extend(faults);
            status.faults != before
        });
    }

    /// Notes, or forgets, what is wrong with an object.
    fn fault(&mut self, from: u64, reference: &ObjectRef, why: Option<String>) {
        match &why {
            Some(_) => drop(self.faults.insert(reference.clone(), from)),
            None => drop(self.faults.remove(reference)),
        }
        self.status.send_if_modified(|status| match why {
            Some(why) if status.faults.get(reference) == Some(&why) => false,
            Some(why) => {
                tracing::warn!(object = %reference, error = why, "object not in force");
                status.faults.insert(reference.clone(), why);
                true
            }
            None => status.faults.remove(reference).is_some(),
        });
    }

    /// Keeps in mind on disk what went.
    fn keep_gone(&self, events: &[Event]) {
        for event in events {
            if let Event::Gone(reference) = event {
                self.keep(|| Some(Entry::Gone(reference.clone())));
            }
        }
    }

    /// Ends watches that nobody wants any more.
    fn expire(&mut self) -> Vec<Event> {
        let (targets, events) = self.pods.expire(Instant::now());
        self.status.send_modify(|status| {
            for target in targets {
                tracing::debug!(watch = %target, "not watching any more: no policy speaks of its pods");
                status.watches.remove(&target);
            }
        });
        self.keep_gone(&events);
        events
    }

    /// Counts what some tasks know.
    fn count(&self, tasks: &BTreeSet<u64>) {
        self.status.send_if_modified(|status| {
            let mut changed = false;
            for task in tasks {
                let objects = match self.whole.get(task) {
                    Some(kind) => self.known.get(kind).map_or(0, HashMap::len),
                    None => self.pods.count(*task),
                };
                let target = self.target(*task);
                if let Some(watching) = target.and_then(|target| status.watches.get_mut(&target)) {
                    changed |= watching.objects != objects;
                    watching.objects = objects;
                }
            }
            changed
        });
    }
}

impl Source for KubernetesSource {
    async fn next(&mut self) -> Vec<Event> {
        loop {
            if !self.ready.is_empty() {
                return std::mem::take(&mut self.ready);
            }
            let lingering = self.pods.next_expiry();
            let expired = async {
                match lingering {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            let first = tokio::select! {
                news = self.news.recv() => news,
                () = expired => None,
            };
            // From here on there is no wait: whoever cancels loses nothing.
            let Some(first) = first else {
                self.ready = self.expire();
                continue;
            };
            let mut tasks = BTreeSet::from([first.from]);
            let mut events = self.take(first);
            while events.len() < TOGETHER {
                match self.news.try_recv() {
                    Ok(news) => {
                        tasks.insert(news.from);
                        events.extend(self.take(news));
                    }
                    Err(_) => break,
                }
            }
            self.count(&tasks);
            if !events.is_empty() {
                return events;
            }
        }
    }
}

#[cfg(test)]
mod tests;
