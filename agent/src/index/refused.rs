//! What is not in force although it was asked for, and why: said once in the log, and at any time to who asks.

use std::collections::BTreeMap;

use super::Key;
use crate::source::{Kind, ObjectRef, Refusal};

#[derive(Debug, Default)]
pub(super) struct Refused {
    /// What objects break of the rules by themselves.
    objects: BTreeMap<ObjectRef, Vec<Refusal>>,
    /// What Services ask for that others have.
    conflicts: BTreeMap<ObjectRef, Vec<Refusal>>,
}

impl Refused {
    /// Notes what of an object is refused, in place of what was noted of it before.
    pub(super) fn note(&mut self, object: ObjectRef, refusals: &[Refusal]) {
        replace(&mut self.objects, object, refusals);
    }

    /// Notes what a Service does not get, in place of what was noted of it before.
    pub(super) fn note_conflicts(&mut self, service: &Key, refusals: &[Refusal]) {
        replace(&mut self.conflicts, reference(service), refusals);
    }

    /// Everything that is refused of a Service.
    pub(super) fn of_service(&self, service: &Key) -> impl Iterator<Item = &Refusal> {
        let object = reference(service);
        let own = self.objects.get(&object).into_iter().flatten();
        own.chain(self.conflicts.get(&object).into_iter().flatten())
    }

    /// The NetworkPolicies that break the rules, and how.
    pub(super) fn policies(&self) -> impl Iterator<Item = (&ObjectRef, &Refusal)> {
        let policies = self
            .objects
            .iter()
            .filter(|(object, _)| object.kind == Kind::NetworkPolicy);
        policies.flat_map(|(object, refusals)| refusals.iter().map(move |it| (object, it)))
    }

    /// Everything that is refused.
    pub(super) fn all(&self) -> impl Iterator<Item = (ObjectRef, &Refusal)> {
        let all = self.objects.iter().chain(&self.conflicts);
        all.flat_map(|(object, refusals)| refusals.iter().map(|it| (object.clone(), it)))
    }
}

fn reference(service: &Key) -> ObjectRef {
    ObjectRef::new(
        Kind::Service,
        service.namespace.clone(),
        service.name.clone(),
    )
}

fn replace(all: &mut BTreeMap<ObjectRef, Vec<Refusal>>, object: ObjectRef, refusals: &[Refusal]) {
    let known = all.get(&object).map(Vec::as_slice).unwrap_or_default();
    for refusal in refusals.iter().filter(|refusal| !known.contains(refusal)) {
        tracing::warn!(%object, field = refusal.field, error = refusal.message, "refused");
    }
    if refusals.is_empty() {
        all.remove(&object);
    } else if known != refusals {
        all.insert(object, refusals.to_vec());
    }
}
