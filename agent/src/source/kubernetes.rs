//! The Kubernetes API as a source.
//!
//! One task a kind lists and watches (`watch`) and decodes what comes; what they find is put together here, in
//! the order of each kind. An object that cannot be understood is reported, and what it said before stays in force.
//! While the API server does not answer, the last known state stays in force too: nothing is ever forgotten because
//! nobody repeats it.
//!
//! Must not know what is made of the objects.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Instant;

use tokio::sync::{mpsc, watch as channel};
use tokio::task::JoinSet;

use super::object::{Kind, Object, ObjectRef};
use super::{Event, Source};

mod access;
mod state;
mod watch;
mod wire;

pub use access::{Access, AccessError};
pub use state::{StateError, StateFile};

use state::Entry;
use watch::Watcher;
use wire::{Item, News};

/// How much of what the tasks find may wait for whoever listens; then they read no further.
const WAITING: usize = 1024;
/// How many changes are handed on together.
const TOGETHER: usize = 256;

/// How one kind fares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watching {
    /// Objects in force.
    pub objects: usize,
    /// Whether it has been listed by the API server since the agent started.
    pub listed: bool,
    /// Bytes received.
    pub bytes: u64,
    /// Changes received.
    pub changes: u64,
    /// Times it was listed.
    pub lists: u64,
    /// Why it is not being watched, and since when, if it is not.
    pub trouble: Option<(String, Instant)>,
}

/// How the API server fares, as seen from here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KubernetesStatus {
    /// Every kind.
    pub kinds: BTreeMap<Kind, Watching>,
    /// Objects that cannot be understood, and why.
    pub faults: BTreeMap<ObjectRef, String>,
    /// Age in seconds of the state that was read from disk, while some kind has not been listed since.
    pub restored: Option<u64>,
}

impl KubernetesStatus {
    /// What a person should know, a line each; empty when all is well.
    pub fn problems(&self) -> Vec<String> {
        // One line for all kinds that fail alike.
        let mut alike: BTreeMap<&str, (Instant, Vec<&str>)> = BTreeMap::new();
        for (kind, watching) in &self.kinds {
            if let Some((why, since)) = &watching.trouble {
                let entry = alike.entry(why).or_insert((*since, Vec::new()));
                entry.0 = entry.0.min(*since);
                entry.1.push(kind.as_str());
            }
        }
        let mut lines: Vec<String> = alike
            .into_iter()
            .map(|(why, (since, kinds))| {
                let seconds = since.elapsed().as_secs();
                let kinds = if kinds.len() == Kind::ALL.len() {
                    "the cluster".to_owned()
                } else {
                    kinds.join(", ")
                };
                format!("not watching {kinds} for {seconds} s, last known state in force: {why}")
            })
            .collect();
        if let Some(age) = self.restored {
            lines.push(format!(
                "the state in force was read from disk, and was {age} s old then"
            ));
        }
        let faults = self.faults.iter();
        lines.extend(faults.map(|(object, why)| format!("not in force: {object}: {why}")));
        lines
    }

    /// Whether every kind is being watched.
    pub fn is_live(&self) -> bool {
        self.kinds
            .values()
            .all(|watching| watching.listed && watching.trouble.is_none())
    }
}

/// The watched API server. Knows every object by name, so that what cannot be understood keeps its last good form.
#[derive(Debug)]
pub struct KubernetesSource {
    news: mpsc::Receiver<News>,
    known: BTreeMap<Kind, HashMap<ObjectRef, Object>>,
    status: channel::Sender<KubernetesStatus>,
    /// Whoever keeps the state on disk.
    writer: Option<std::sync::mpsc::Sender<Entry>>,
    /// What was read from disk, before it is handed on.
    restored: Option<Vec<Event>>,
    _tasks: JoinSet<()>,
}

impl KubernetesSource {
    /// Watches the API server that `access` leads to. If there is a `state` file, the first answer is what it holds,
    /// and it is kept up to date.
    pub fn start(access: Access, state: Option<StateFile>) -> KubernetesSource {
        let (sender, news) = mpsc::channel(WAITING);
        let status = channel::Sender::new(KubernetesStatus {
            kinds: Kind::ALL.map(|kind| (kind, Watching::default())).into(),
            ..KubernetesStatus::default()
        });
        let mut tasks = JoinSet::new();
        for kind in Kind::ALL {
            let watcher = Watcher::new(
                kind,
                access.clone(),
                sender.clone(),
                status.clone(),
                state.is_some(),
            );
            tasks.spawn(watcher.run());
        }
        let mut source = KubernetesSource {
            news,
            known: Kind::ALL.map(|kind| (kind, HashMap::new())).into(),
            status,
            writer: None,
            restored: None,
            _tasks: tasks,
        };
        if let Some(state) = state {
            source.restore(&state);
            source.writer = Some(state.writer());
        }
        source
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
                let listed: Vec<Event> = saved
                    .objects
                    .into_iter()
                    .map(|(kind, objects)| {
                        let named = objects
                            .iter()
                            .map(|object| (object.reference(), object.clone()));
                        self.known(kind).extend(named);
                        Event::Listed(kind, objects)
                    })
                    .collect();
                tracing::info!(
                    %path, objects = self.known.values().map(HashMap::len).sum::<usize>(), age, damaged = saved.damaged,
                    "last known state of the cluster read"
                );
                self.status
                    .send_modify(|status| status.restored = Some(age));
                self.restored = Some(listed);
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(%path, %error, "last known state not usable"),
        }
    }

    /// Tells whoever keeps the state on disk, if anybody does.
    fn keep(&self, entry: impl FnOnce() -> Option<Entry>) {
        if let Some(writer) = &self.writer
            && let Some(entry) = entry()
        {
            // It ends only with us.
            let _ = writer.send(entry);
        }
    }

    fn known(&mut self, kind: Kind) -> &mut HashMap<ObjectRef, Object> {
        self.known.entry(kind).or_default()
    }

    /// Takes news in and says what changed by it; nothing if there is nothing new in it.
    fn take(&mut self, news: News) -> Option<Event> {
        match news {
            News::Listed(kind, items) => Some(self.listed(kind, items)),
            News::Changed(Item::Object(object, text)) => {
                let reference = object.reference();
                self.fault(&reference, None);
                let before = self
                    .known(object.kind())
                    .insert(reference.clone(), object.clone());
                if before.as_ref() == Some(&object) {
                    return None;
                }
                self.keep(|| Some(Entry::Set(reference, text?)));
                Some(Event::Set(object))
            }
            News::Changed(Item::Misfit(reference, why)) => {
                self.fault(&reference, Some(why));
                None
            }
            News::Gone(reference) => {
                self.fault(&reference, None);
                self.known(reference.kind).remove(&reference)?;
                self.keep(|| Some(Entry::Gone(reference.clone())));
                Some(Event::Gone(reference))
            }
        }
    }

    fn listed(&mut self, kind: Kind, items: Vec<Item>) -> Event {
        let before = std::mem::take(self.known(kind));
        let mut faults = BTreeMap::new();
        let mut objects = Vec::with_capacity(items.len());
        let mut texts = Vec::new();
        for item in items {
            let object = match item {
                Item::Object(object, text) => {
                    texts.extend(text.map(|text| (object.reference(), text)));
                    Some(object)
                }
                Item::Misfit(reference, why) => {
                    let last = before.get(&reference).cloned();
                    faults.insert(reference, why);
                    last
                }
            };
            if let Some(object) = object {
                self.known(kind).insert(object.reference(), object.clone());
                objects.push(object);
            }
        }
        self.status.send_modify(|status| {
            for (reference, why) in &faults {
                if status.faults.get(reference) != Some(why) {
                    tracing::warn!(object = %reference, error = why, "object not in force");
                }
            }
            status.faults.retain(|reference, _| reference.kind != kind);
            status.faults.extend(faults);
            if let Some(watching) = status.kinds.get_mut(&kind) {
                watching.listed = true;
            }
            if status.kinds.values().all(|watching| watching.listed) {
                status.restored = None;
            }
        });
        self.keep(|| Some(Entry::Listed(kind, texts)));
        Event::Listed(kind, objects)
    }

    /// Notes, or forgets, what is wrong with an object.
    fn fault(&self, reference: &ObjectRef, why: Option<String>) {
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

    /// Counts what is known.
    fn count(&self, events: &[Event]) {
        let touched: BTreeSet<Kind> = events
            .iter()
            .map(|event| match event {
                Event::Listed(kind, _) => *kind,
                Event::Set(object) => object.kind(),
                Event::Gone(reference) => reference.kind,
            })
            .collect();
        self.status.send_if_modified(|status| {
            let mut changed = false;
            for kind in touched {
                let objects = self.known.get(&kind).map_or(0, HashMap::len);
                if let Some(watching) = status.kinds.get_mut(&kind) {
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
        if let Some(events) = self.restored.take() {
            return events;
        }
        loop {
            // The tasks live as long as we do.
            let Some(first) = self.news.recv().await else {
                return std::future::pending().await;
            };
            // From here on there is no wait: whoever cancels loses nothing.
            let mut events: Vec<Event> = self.take(first).into_iter().collect();
            while events.len() < TOGETHER {
                match self.news.try_recv() {
                    Ok(news) => events.extend(self.take(news)),
                    Err(_) => break,
                }
            }
            self.count(&events);
            if !events.is_empty() {
                return events;
            }
        }
    }
}

#[cfg(test)]
mod tests;
