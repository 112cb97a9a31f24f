//! The actor: takes changes in, keeps the switch equal to what they add up to.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use openflow::connection::{Connection, Error, Event, FlowStatsRequest, State as Session};
use openflow::{FlowStats, GroupDesc, Message};
use sluice_flows::model::Change;
use sluice_flows::service::{COUNTED, affinity_remainder};
use sluice_flows::{
    Compiler, Cookie, Epochs, Patch, Program, Released, Revoked, Step, cookie::Registry, diff,
};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior};

use super::affected::{Lack, lacks};
use super::flush::{Flushes, forget};
use super::model::{Model, aside};
use super::plan::Plan;
use super::refused::Refused;
use super::{ApplyError, InspectError, Options, Request, Status, inspect, revoke, session, why};
use crate::metrics::{MessageKind, Metrics, Outcome, Phase};
use crate::switch::unixctl;

/// Requests taken from the queue at a time: what shares one bundle.
const BATCH: usize = 256;

/// Refusals that one bundle is retried for at once; what is left waits for the next attempt.
const REFUSALS: usize = 64;

/// How long to wait before reading the switch again after a failure on a session that stayed up.
const RETRY: Duration = Duration::from_millis(500);

/// How long after a change the flows are counted again.
const RECOUNT: Duration = Duration::from_secs(2);

/// Above so many flows that takes too long, and they are counted only when the switch is read back.
const COUNTED_OFTEN: usize = 20_000;

/// Differences that an audit logs one by one.
const LOGGED: usize = 20;

pub(super) struct Actor {
    connection: Connection,
    options: Options,
    metrics: Metrics,
    requests: mpsc::Receiver<Request>,
    publish: Publish,
    status: Status,
    model: Model,
    refused: Refused,
    /// What tells cached flows of before a change of policy from those of after it.
    epochs: Epochs,
    /// Connections that the switch is to forget.
    flushes: Flushes<Released>,
    /// Connections that policy is to judge anew.
    revocations: Flushes<Revoked>,
    /// Whether what the switch held when the agent started was taken over.
    adopted: bool,
    /// Whether the switch can limit samples of dropped packets.
    can_sample: bool,
    waiters: Vec<Waiter>,
    /// Not before this, after a failure.
    not_before: Option<Instant>,
    /// When to count again what the switch shall hold.
    recount: Option<Instant>,
}

/// Where others see how it fares.
pub(super) struct Publish {
    pub(super) status: watch::Sender<Status>,
    /// Apart, since it seldom changes.
    pub(super) lacks: watch::Sender<BTreeSet<Lack>>,
}

/// Someone who waits for changes to be in the switch.
struct Waiter {
    cookies: Vec<Cookie>,
    since: Instant,
    done: oneshot::Sender<Result<(), ApplyError>>,
}

/// Why a plan is not in the switch.
enum Failure {
    /// The session broke, or the outcome is unknown: read back.
    Lost(Error),
    /// Something is wrong that no flow can be blamed for.
    Failed(String),
}

impl Actor {
    pub(super) fn new(
        connection: Connection,
        options: Options,
        metrics: Metrics,
        requests: mpsc::Receiver<Request>,
        publish: Publish,
    ) -> Self {
        Self {
            connection,
            options,
            metrics,
            requests,
            publish,
            status: Status::default(),
            model: Model::default(),
            refused: Refused::default(),
            epochs: Epochs::default(),
            flushes: Flushes::default(),
            revocations: Flushes::default(),
            adopted: false,
            can_sample: false,
            waiters: Vec::new(),
            not_before: None,
            recount: None,
        }
    }

    pub(super) async fn run(mut self) {
        let mut session = self.connection.state();
        let mut events = self.connection.events();
        let mut audit = tokio::time::interval_at(
            Instant::now() + self.options.audit_interval,
            self.options.audit_interval,
        );
        audit.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut batch = Vec::new();
        loop {
            self.observe(&session.borrow_and_update().clone());
            self.converge().await;
            self.publish();
            let wake = self.wake();
            tokio::select! {
                changed = session.changed() => if changed.is_err() { return },
                taken = self.requests.recv_many(&mut batch, BATCH) => {
                    if taken == 0 {
                        return;
                    }
                    self.observe(&session.borrow_and_update().clone());
                    self.take(std::mem::take(&mut batch)).await;
                }
                _ = audit.tick() => self.audit().await,
                event = events.recv() => match event {
                    Some(event) => self.heard(event).await,
                    None => return,
                },
                () = sleep_until(wake), if wake.is_some() => self.woken().await,
            }
        }
    }

    /// Takes note of the state of the connection.
    fn observe(&mut self, session: &Session) {
        let generation = session.generation();
        if generation == self.status.generation {
            return;
        }
        self.metrics
            .openflow_connected
            .set(i64::from(generation.is_some()));
        match session {
            Session::Connected { generation, .. } => {
                tracing::info!(generation, "OpenFlow session is up");
            }
            Session::Disconnected { error } => {
                let error = error.clone().unwrap_or_else(|| "not connected".into());
                tracing::warn!(%error, "OpenFlow session is down");
                self.status.last_error = Some(error);
            }
        }
        self.status.generation = generation;
        self.status.synced = None;
        self.not_before = None;
    }

    /// When to look again without being asked.
    fn wake(&self) -> Option<Instant> {
        let retry = if self.status.in_sync() {
            self.refused.retry()
        } else {
            None
        };
        let waits = [self.not_before, self.recount, retry];
        let forgets = [self.flushes.next(), self.revocations.next()];
        waits.into_iter().chain(forgets).flatten().min()
    }

    /// Takes note of what the switch says unasked. Of clients that shall keep their endpoint for longer than a flow
    /// can, it says when their flow goes.
    async fn heard(&mut self, event: Event) {
        let Event::Message {
            generation,
            message,
            ..
        } = event
        else {
            return;
        };
        let (Ok(Message::FlowRemoved(removed)), Some(compiler)) = (*message, self.model.known())
        else {
            return;
        };
        let Some(rest) = affinity_remainder(&removed, compiler.state()) else {
            return;
        };
        let connection = self.connection.pinned(generation);
        self.metrics.sent(MessageKind::flow_mod, 1);
        if let Err(error) = connection.send(&Message::FlowMod(rest)).await {
            tracing::warn!(%error, "a client loses the endpoint it should keep");
        }
    }

    /// Has the switch forget the connections that are due.
    async fn flush(&mut self, now: Instant) {
        let mut due = self.flushes.due(now);
        if let Some(compiler) = self.model.known() {
            for released in &mut due {
                let (protocol, backend) = (released.protocol, released.backend);
                // The endpoint may be back, maybe by another Service.
                let gone =
                    |(ip, port): &(IpAddr, u16)| !compiler.serves(protocol, *ip, *port, &backend);
                released.listeners.retain(gone);
            }
        }
        let flushes = due.iter().flat_map(forget).map(Message::CtFlush);
        self.end(flushes.collect()).await;
    }

    /// Has the switch end connections by these messages, one for each.
    async fn end(&mut self, messages: Vec<Message>) {
        let Some(generation) = self.status.generation.filter(|_| !messages.is_empty()) else {
            return;
        };
        let connection = self.connection.pinned(generation);
        let count = messages.len();
        match connection.apply(messages).await {
            Ok(_) => tracing::debug!(count, "connections ended"),
            Err(error) => tracing::warn!(%error, count, "the switch does not end connections"),
        }
    }

    async fn woken(&mut self) {
        let now = Instant::now();
        self.flush(now).await;
        self.revoke(now).await;
        self.not_before = self.not_before.filter(|&at| at > now);
        if self.recount.is_some_and(|at| at <= now) {
            let counts = self
                .model
                .with(|compiler| counts(&compiler.desired()))
                .await;
            self.counted(counts.unwrap_or_default());
        }
        if self.status.in_sync() && self.refused.retry().is_some_and(|at| at <= now) {
            tracing::info!(flows = self.refused.len(), "trying refused flows again");
            self.refused.try_again();
            // What was left out is missing in the switch, so a comparison finds it.
            self.status.synced = None;
        }
    }

    /// Makes the switch hold what it shall, if it is not known to.
    async fn converge(&mut self) {
        if self.model.known().is_none() || self.not_before.is_some() || self.status.in_sync() {
            return;
        }
        let Some(generation) = self.status.generation else {
            return;
        };
        match self.resync(generation).await {
            Ok(difference) => {
                tracing::info!(
                    generation,
                    messages = difference,
                    "the switch holds what it shall"
                );
                self.status.synced = Some(generation);
                self.status.last_error = None;
                self.refused.settled();
                self.answer();
            }
            Err(failure) => self.failed(failure),
        }
    }

    /// Reads back, compares, sends the difference; returns how many messages that took.
    async fn resync(&mut self, generation: u64) -> Result<usize, Failure> {
        let connection = self.connection.pinned(generation);
        self.can_sample = session::prepare(&connection).await.map_err(Failure::Lost)?;
        let began = Instant::now();
        let (flows, groups) = self.read(generation).await.map_err(Failure::Lost)?;
        let read = Instant::now();
        self.epochs.read(&flows);
        let adopts = !std::mem::replace(&mut self.adopted, true);
        let patch = self.compare(adopts, flows, groups).await;
        let mut plan = self.plan(patch);
        let messages = plan.len();
        let compiled = Instant::now();
        self.send(generation, &mut plan).await?;
        self.metrics.took(Phase::read, read - began);
        self.metrics.took(Phase::compile, compiled - read);
        self.metrics.took(Phase::send, compiled.elapsed());
        Ok(messages)
    }

    async fn read(&mut self, generation: u64) -> Result<(Vec<FlowStats>, Vec<GroupDesc>), Error> {
        let connection = self.connection.pinned(generation);
        self.metrics.sent(MessageKind::dump, 2);
        let (flows, groups) = tokio::join!(
            connection.dump_flows(FlowStatsRequest::default()),
            connection.dump_groups()
        );
        self.metrics.readbacks.inc();
        self.status.compared = Some(Instant::now());
        Ok((flows?.into_inner(), groups?.into_inner()))
    }

    /// What would make the switch hold what it shall, if these are its flows and groups; `None` while it is not known
    /// what it shall hold. `adopts` says to take over what the agent before had in mind.
    async fn compare(
        &mut self,
        adopts: bool,
        flows: Vec<FlowStats>,
        groups: Vec<GroupDesc>,
    ) -> Option<Patch> {
        let compare = move |compiler: &mut Compiler| {
            if adopts {
                compiler.adopt(&flows);
            }
            let desired = compiler.desired();
            (counts(&desired), diff(&desired, &flows, &groups))
        };
        let (counts, patch) = self.model.with(compare).await?;
        self.counted(counts);
        Some(patch)
    }

    /// Patches as one plan, without the flows that the switch is known to refuse, and with the epochs that they begin.
    fn plan(&mut self, patches: impl IntoIterator<Item = Patch>) -> Plan {
        let mut plan = Plan::default();
        for mut patch in patches {
            for key in &patch.flows_gone {
                self.refused.forget(key);
            }
            patch.flows_set.retain(|flow| !self.refused.contains(flow));
            for flow in &patch.flows_set {
                // Another flow than the one that was refused under this key.
                self.refused.forget(&flow.key);
            }
            plan.extend(patch);
        }
        plan.append(if self.options.epochs {
            self.epochs.begin(plan.steps())
        } else {
            self.epochs.end()
        });
        plan
    }

    /// Sends a plan as one bundle and waits for the switch to confirm it. Flows that the switch
    /// refuses are taken out, noted, and the rest is sent again.
    async fn send(&mut self, generation: u64, plan: &mut Plan) -> Result<(), Failure> {
        let connection = self.connection.pinned(generation);
        for _ in 0..REFUSALS {
            if plan.is_empty() {
                self.settled(plan);
                return Ok(());
            }
            let flows = plan.flows();
            self.metrics.sent(MessageKind::flow_mod, flows);
            self.metrics
                .sent(MessageKind::group_mod, plan.len() - flows);
            let began = Instant::now();
            let sent = connection.bundle(plan.messages()).await;
            self.metrics
                .bundle_seconds
                .observe(began.elapsed().as_secs_f64());
            let error = match sent {
                Ok(_) => {
                    self.metrics.bundle(Outcome::ok);
                    self.status.bundles += 1;
                    self.settled(plan);
                    return Ok(());
                }
                Err(error) => error,
            };
            let Some(refusal) = error.as_switch() else {
                self.metrics.bundle(Outcome::unknown);
                return Err(Failure::Lost(error));
            };
            self.metrics.bundle(Outcome::refused);
            self.status.failures += 1;
            let reason = refusal.error.code.to_string();
            match refusal
                .offending
                .as_ref()
                .and_then(|offending| plan.take(offending.index))
            {
                Some(Step::FlowSet(flow)) => {
                    let object = flow.cookie.describe(&self.registry().await);
                    let text = flow.to_string();
                    tracing::error!(
                        object,
                        flow = text,
                        error = reason,
                        "the switch refuses a flow"
                    );
                    let error = ApplyError::Refused {
                        object,
                        flow: text,
                        reason,
                    };
                    self.refused.add(flow, error);
                }
                Some(step) => {
                    return Err(Failure::Failed(format!(
                        "the switch refuses {step:?}: {reason}"
                    )));
                }
                None => {
                    return Err(Failure::Failed(format!(
                        "the switch refuses a bundle: {error}"
                    )));
                }
            }
        }
        Err(Failure::Failed(
            "the switch refuses too many flows".to_owned(),
        ))
    }

    /// The switch holds a plan: what conntrack has of before may have to go.
    fn settled(&mut self, plan: &mut Plan) {
        let now = Instant::now();
        self.flushes.add(now, plan.take_released());
        self.revocations.add(now, plan.take_revoked());
    }

    /// Has the switch end the connections of UDP that policy allows no more.
    async fn revoke(&mut self, now: Instant) {
        let revoked = self.revocations.due(now);
        if revoked.is_empty() {
            return;
        }
        let messages = match self.connections().await {
            Ok(dump) => {
                let denied =
                    move |compiler: &mut Compiler| revoke::denied(compiler, &revoked, &dump);
                self.model.with(denied).await.unwrap_or_default()
            }
            Err(error) => {
                tracing::info!(%error, "conntrack cannot be read: all that pods have of UDP begins anew");
                revoke::all(&revoked)
            }
        };
        self.end(messages).await;
    }

    /// What conntrack has in the zones that policy knows, in the words of `dpctl/dump-conntrack`.
    async fn connections(&self) -> std::io::Result<String> {
        let Some(folder) = &self.options.control else {
            return Err(std::io::Error::other("ovs-vswitchd is on another machine"));
        };
        let mut dump = String::new();
        for zone in revoke::ZONES {
            let arguments = [&*self.options.datapath, &format!("zone={zone}")];
            dump += &unixctl::command(folder, "dpctl/dump-conntrack", &arguments).await?;
            dump.push('\n');
        }
        Ok(dump)
    }

    fn failed(&mut self, failure: Failure) {
        self.status.synced = None;
        self.not_before = Some(Instant::now() + RETRY);
        let error: Arc<str> = match failure {
            Failure::Lost(error) => error.to_string().into(),
            Failure::Failed(error) => error.into(),
        };
        tracing::warn!(%error, "the switch is read back before anything else");
        self.status.last_error = Some(error);
    }

    /// Takes a batch of requests: all changes in one bundle, then the questions.
    async fn take(&mut self, batch: Vec<Request>) {
        let mut patches = Vec::new();
        let mut questions = Vec::new();
        let since = Instant::now();
        // Those who gave up while there was no switch.
        self.waiters.retain(|waiter| !waiter.done.is_closed());
        for request in batch {
            match request {
                Request::Apply { changes, done } => {
                    let cookies = changes.iter().filter_map(cookie).collect();
                    for change in changes {
                        patches.extend(self.change(change));
                    }
                    self.waiters.push(Waiter {
                        cookies,
                        since,
                        done,
                    });
                }
                Request::Listed => self.model.complete().await,
                question => questions.push(question),
            }
        }
        if self.status.in_sync() {
            let mut plan = self.plan(patches);
            let generation = self.status.generation.unwrap_or_default();
            match self.send(generation, &mut plan).await {
                Ok(()) => self.answer(),
                Err(failure) => self.failed(failure),
            }
        }
        for question in questions {
            self.inspect(question).await;
        }
    }

    fn change(&mut self, change: Change) -> Option<Patch> {
        if change == Change::SampleDrops(true) && !self.can_sample {
            tracing::warn!("the switch has no meters: dropped packets are not sampled");
            return None;
        }
        if self.status.flows <= COUNTED_OFTEN {
            self.recount.get_or_insert_with(|| Instant::now() + RECOUNT);
        }
        self.model.apply(change)
    }

    /// Tells those who wait that the switch holds what they asked for, or refuses it.
    fn answer(&mut self) {
        for Waiter {
            cookies,
            since,
            done,
        } in self.waiters.drain(..)
        {
            let result = match self.refused.error_of(&cookies) {
                Some(error) => Err(error),
                None => Ok(()),
            };
            tracing::debug!(elapsed = ?since.elapsed(), ok = result.is_ok(), "changes are in the switch");
            // Whoever asked may have given up.
            let _gone = done.send(result);
        }
    }

    /// Compares as a matter of routine, and repairs.
    async fn audit(&mut self) {
        if !self.status.in_sync() {
            return;
        }
        let Some(generation) = self.status.generation else {
            return;
        };
        let (flows, groups) = match self.read(generation).await {
            Ok(read) => read,
            Err(error) => return self.failed(Failure::Lost(error)),
        };
        let installed = flows.len();
        self.epochs.read(&flows);
        let patch = self.compare(false, flows, groups).await;
        let mut plan = self.plan(patch);
        if plan.is_empty() {
            tracing::debug!(flows = installed, "audit found no drift");
            return;
        }
        let count = plan.len();
        tracing::warn!(differences = count, "the switch has drifted; repairing");
        let registry = self.registry().await;
        for step in plan.steps().iter().take(LOGGED) {
            match step {
                Step::FlowSet(flow) => {
                    let object = flow.cookie.describe(&registry);
                    tracing::warn!(%flow, object, "drift: missing or changed");
                }
                Step::FlowGone(key) => tracing::warn!(flow = %key, "drift: not wanted"),
                Step::Group(group) => tracing::warn!(?group, "drift: group"),
                Step::Passing(_) | Step::Epoch(_) => {}
                Step::Forget(cookie) => tracing::warn!(%cookie, "drift: learned of what is gone"),
            }
        }
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.metrics.drift.inc_by(count);
        self.status.repaired += count;
        if let Err(failure) = self.send(generation, &mut plan).await {
            self.failed(failure);
        }
    }

    async fn inspect(&mut self, question: Request) {
        let generation = self.status.generation.unwrap_or_default();
        match question {
            Request::Verify { done } => {
                let read = self.read(generation).await;
                let answer = self
                    .answered(read, |compiler, (flows, groups)| {
                        inspect::verify(compiler, &flows, &groups)
                    })
                    .await;
                let _gone = done.send(answer);
            }
            Request::Flows { filter, done } => {
                let read = self.dump(generation, [inspect::request(&filter)]).await;
                let registry = self.registry().await;
                let _gone = done.send(match read {
                    Err(error) => Err(error.into()),
                    Ok(flows) => {
                        Ok(aside(move || inspect::annotate(&registry, &filter, flows)).await)
                    }
                });
            }
            Request::Services { done } => {
                let requests = COUNTED.map(inspect::request_table);
                let read = self.dump(generation, requests).await;
                let answer = self
                    .answered(read, |compiler, flows| {
                        inspect::services(compiler.state(), &flows)
                    })
                    .await;
                let _gone = done.send(answer);
            }
            Request::Policies { done } => {
                let read = self
                    .dump(generation, inspect::POLICY.map(inspect::request_table))
                    .await;
                let answer = self
                    .answered(read, |compiler, flows| inspect::policies(compiler, &flows))
                    .await;
                let _gone = done.send(answer);
            }
            Request::Judgeable { pod, done } => {
                let known = self.model.known();
                let _gone = done.send(Ok(known.is_some_and(|known| known.is_judgeable(&pod))));
            }
            Request::Why { request, done } => {
                let read = self.read(generation).await;
                let answer = self
                    .answered(read, move |compiler, (flows, groups)| {
                        why::why(compiler, &flows, &groups, &request)
                    })
                    .await;
                let _gone = done.send(answer.and_then(|why| why));
            }
            Request::CheckPod { pod, done } => {
                let cookie = Cookie::pod(&pod);
                let read = self
                    .dump(generation, [inspect::request_object(cookie)])
                    .await;
                let answer = self
                    .answered(read, move |compiler, flows| {
                        inspect::check_object(compiler, cookie, &flows)
                    })
                    .await;
                let _gone = done.send(answer);
            }
            Request::Apply { .. } | Request::Listed => {}
        }
    }

    /// The flows that these requests find, those of the first one first.
    async fn dump(
        &self,
        generation: u64,
        requests: impl IntoIterator<Item = FlowStatsRequest>,
    ) -> Result<Vec<FlowStats>, Error> {
        let connection = self.connection.pinned(generation);
        let mut flows = Vec::new();
        for request in requests {
            self.metrics.sent(MessageKind::dump, 1);
            flows.extend(connection.dump_flows(request).await?.into_inner());
        }
        Ok(flows)
    }

    /// What the compiler answers to what was read.
    async fn answered<R: Send + 'static, T: Send + 'static>(
        &mut self,
        read: Result<R, Error>,
        answer: impl FnOnce(&Compiler, R) -> T + Send + 'static,
    ) -> Result<T, InspectError> {
        let read = read?;
        let answer = self
            .model
            .with(move |compiler| answer(compiler, read))
            .await;
        answer.ok_or(InspectError::NotYet)
    }

    async fn registry(&mut self) -> Registry {
        let registry = self.model.with(|compiler| compiler.registry()).await;
        registry.unwrap_or_default()
    }

    /// Notes how much the switch shall hold. Compiling everything costs as much as the state is
    /// large, so between comparisons this is done only now and then.
    fn counted(&mut self, (flows, groups): (usize, usize)) {
        self.status.flows = flows;
        self.status.groups = groups;
        self.recount = None;
    }

    fn publish(&mut self) {
        if let Some(compiler) = self.model.known() {
            self.status.peers = compiler.state().peers.len();
            let conflicts = compiler.conflicts();
            let conflicts: Vec<_> = conflicts.iter().map(ToString::to_string).collect();
            for conflict in &conflicts {
                if !self.status.conflicts.contains(conflict) {
                    tracing::warn!(conflict, "several objects claim the same");
                }
            }
            self.status.conflicts = conflicts;
            let faults = compiler.policy_faults();
            let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
            for fault in &faults {
                if !self.status.policy_faults.contains(fault) {
                    tracing::error!(fault, "a policy cannot be compiled");
                }
            }
            self.status.policy_faults = faults;
            let causes = self.refused.causes();
            let causes = causes.iter().map(|(cookie, why)| (*cookie, &**why));
            let lacks = lacks(compiler, causes);
            self.publish.lacks.send_if_modified(|said| {
                let news = *said != lacks;
                *said = lacks;
                news
            });
        }
        self.status.refused = self.refused.texts();
        let gauge = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        self.metrics.flows.set(gauge(self.status.flows));
        self.metrics.groups.set(gauge(self.status.groups));
        self.metrics.peers.set(gauge(self.status.peers));
        self.metrics.flows_refused.set(gauge(self.refused.len()));
        self.publish.status.send_replace(self.status.clone());
    }
}

/// Flows and groups.
fn counts(desired: &Program) -> (usize, usize) {
    (desired.len(), desired.groups().count())
}

/// The object that a change makes flows of.
fn cookie(change: &Change) -> Option<Cookie> {
    match change {
        Change::Node(node) => Some(Cookie::node(&node.name)),
        Change::PeerSet(peer) => Some(Cookie::peer(&peer.name)),
        Change::PodSet(pod) => Some(Cookie::pod(&pod.id)),
        Change::ServiceSet(port) => Some(Cookie::service(&port.id)),
        Change::PolicySet(_)
        | Change::NamespaceSet(_)
        | Change::NamespaceGone(_)
        | Change::ClusterPodSet(_)
        | Change::ClusterPodGone(..)
        | Change::PolicyGone(_)
        | Change::PeerGone(_)
        | Change::PodGone(_)
        | Change::ServiceGone(_)
        | Change::ForgetEndpoint(_)
        | Change::SampleDrops(_) => None,
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
