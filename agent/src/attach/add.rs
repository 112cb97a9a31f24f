//! CNI ADD: validate, then act, with everything undone on any failure.

use std::path::Path;
use std::time::Duration;

use sluice_flows::model::Change;
use sluice_rpc::{AddRequest, AddResult, Attachment, CniCode, CniError, PodState};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::book::Entry;
use super::record::{self, Record};
use super::{Shared, internal, remove, result, same_namespace, sandbox};
use crate::config::AttachMode;
use crate::host::pod;
use crate::switch::{NewPort, PortKind};

/// How long work inside a pod may go on after nobody waits for it any more.
const PLUMBING: Duration = Duration::from_secs(10);

pub(super) async fn add(
    shared: &Shared,
    request: AddRequest,
    cancelled: CancellationToken,
) -> Result<AddResult, CniError> {
    let limit = shared
        .settings
        .add_timeout
        .min(Duration::from_millis(request.deadline_ms));
    let until = Instant::now() + limit;
    validate(shared, &request)?;
    let attachment = Attachment {
        container_id: request.container_id.clone(),
        ifname: request.ifname.clone(),
    };
    let work = async {
        let _turn = shared.locks.lock(&attachment).await;
        shared.ready(until).await?;
        if let Some(existing) = shared.book.get(&attachment) {
            if request.attempt == 0 {
                return Err(CniError::new(CniCode::ALREADY_ATTACHED, "already attached")
                    .with_details(format!("port {}", existing.port)));
            }
            remove::remove(shared, &existing).await?;
        }
        let entry = open(shared, &request, &attachment)?;
        tracing::debug!(
            pod = entry.record.label(),
            sandbox = sandbox(&attachment),
            "attaching"
        );
        let plumbing = TaskTracker::new();
        let outcome = tokio::select! {
            biased;
            outcome = attach(shared, &entry, until, &plumbing) => outcome,
            () = cancelled.cancelled() => Err(internal("the caller hung up")),
            () = tokio::time::sleep_until(until) => {
                let stage = "not attached in time";
                Err(CniError::new(CniCode::TRY_AGAIN, stage)
                    .with_details(shared.readiness.explain().unwrap_or_default()))
            }
        };
        if let Err(error) = &outcome {
            let pod = entry.record.label();
            tracing::warn!(pod, sandbox = sandbox(&attachment), %error, "attaching failed; undoing");
            // What is being done inside the pod does not stop when nobody waits for it; undoing
            // comes after it.
            plumbing.close();
            let _late = tokio::time::timeout(PLUMBING, plumbing.wait()).await;
            if let Err(error) = remove::remove(shared, &entry).await {
                tracing::error!(pod, %error, "could not undo; DEL or GC will");
                let problem = Some(format!("left over from a failed ADD: {error}"));
                shared.book.update(&attachment, |entry| {
                    entry.state = PodState::Broken;
                    entry.problem = problem;
                });
            }
        }
        outcome
    };
    work.await
}

fn open(shared: &Shared, request: &AddRequest, attachment: &Attachment) -> Result<Entry, CniError> {
    let port = (0..16)
        .map(|attempt| record::port_name(attachment, attempt))
        .find(|name| shared.switch.port(name).is_none())
        .ok_or_else(|| internal("every name for the port is taken"))?;
    shared.book.open(|ips, ofport| Entry {
        record: Record {
            attachment: attachment.clone(),
            network: request.network.clone(),
            netns: request.netns.clone().into(),
            pod: request.pod.clone(),
            mac: record::mac(attachment, &ips),
            ips,
            mode: shared.settings.mode,
            mtu: request.mtu.unwrap_or(shared.settings.mtu),
        },
        port,
        ofport,
        state: PodState::Pending,
        problem: None,
    })
}

/// Waits until the policies that apply to a pod are known, and in the switch: it must not run unprotected.
async fn judgeable(shared: &Shared, record: &Record, until: Instant) -> Result<(), CniError> {
    let mut status = shared.reconciler.status();
    let mut held = shared.held.subscribe();
    let known = async {
        if held.wait_for(|held| !held).await.is_err() {
            return Err(internal("the agent is stopping"));
        }
        loop {
            status.mark_unchanged();
            match shared.reconciler.judgeable(record.pod_id()).await {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(error) => return Err(internal(error.to_string())),
            }
            if status.changed().await.is_err() {
                return Err(internal("the agent is stopping"));
            }
        }
    };
    tokio::time::timeout_at(until, known)
        .await
        .unwrap_or_else(|_| {
            let pod = record.label();
            let uid = record.pod.as_ref().and_then(|pod| pod.uid.as_deref());
            let uid = uid
                .map(|uid| format!(" with UID {uid}"))
                .unwrap_or_default();
            Err(CniError::new(
                CniCode::TRY_AGAIN,
                "which policies apply to the pod is not known",
            )
            .with_details(format!(
                "its namespace has policies, and no Pod object {pod}{uid} has come"
            )))
        })
}

/// The port and its device on one side, the flows on the other, at once.
async fn attach(
    shared: &Shared,
    entry: &Entry,
    until: Instant,
    plumbing: &TaskTracker,
) -> Result<AddResult, CniError> {
    let Entry {
        record,
        port,
        ofport,
        ..
    } = entry;
    let flows = async {
        let pod = record.to_pod(*ofport);
        let applied = shared.reconciler.apply(vec![Change::PodSet(pod)]).await;
        applied.map_err(|error| {
            internal("its flows are not in the switch").with_details(error.to_string())
        })?;
        judgeable(shared, record, until).await
    };
    let ((), given) = tokio::try_join!(flows, plug(shared, entry, until, plumbing))?;
    if given != *ofport {
        // Someone else has the number that was asked for.
        tracing::warn!(
            pod = record.label(),
            wanted = ofport,
            given,
            "another port number was given"
        );
        let applied = shared
            .reconciler
            .apply(vec![Change::PodSet(record.to_pod(given))])
            .await;
        applied.map_err(|error| {
            internal("its flows are not in the switch").with_details(error.to_string())
        })?;
    }
    shared.book.update(&record.attachment, |entry| {
        entry.ofport = given;
        entry.state = PodState::Ready;
    });
    let (pod, ips) = (record.label(), &record.ips);
    tracing::info!(
        pod,
        sandbox = sandbox(&record.attachment),
        interface = port,
        ?ips,
        "attached"
    );
    Ok(result(record, port))
}

/// Makes port and device; returns the port's OpenFlow number.
async fn plug(
    shared: &Shared,
    entry: &Entry,
    until: Instant,
    plumbing: &TaskTracker,
) -> Result<u32, CniError> {
    let Entry {
        record,
        port,
        ofport,
        ..
    } = entry;
    let switch = &shared.switch;
    let new = |kind| NewPort {
        name: port.clone(),
        kind,
        ofport_request: *ofport,
        external_ids: record.to_external_ids(),
    };
    let refused = |error: crate::switch::SwitchError| {
        internal("the switch did not make its port").with_details(error.to_string())
    };
    let plumb = async |limit| {
        let nic = shared.nic(record, port);
        let task = plumbing.spawn(async move { pod::plumb(&nic, limit).await });
        task.await
            .map_err(|_| internal("the task in the pod ended"))?
            .map_err(host_error)
    };
    let left = || until.saturating_duration_since(Instant::now());
    match record.mode {
        AttachMode::Internal => {
            let row = switch
                .insert_port(new(PortKind::Internal))
                .await
                .map_err(refused)?;
            // The device is there once the number is.
            let given = switch
                .wait_number(row, port, left())
                .await
                .map_err(refused)?;
            plumb(left()).await?;
            Ok(given)
        }
        AttachMode::Veth => {
            plumb(left()).await?;
            let row = switch
                .insert_port(new(PortKind::System))
                .await
                .map_err(refused)?;
            switch.wait_number(row, port, left()).await.map_err(refused)
        }
    }
}

fn host_error(error: crate::host::HostError) -> CniError {
    let (code, msg) = if error.namespace_is_gone() {
        (
            CniCode::INVALID_NETNS,
            "the pod's network namespace is gone",
        )
    } else if error.errno() == Some(nix::libc::EEXIST) {
        (
            CniCode::ALREADY_ATTACHED,
            "an interface of that name exists already",
        )
    } else {
        (CniCode::AGENT, "the pod's interface could not be made")
    };
    CniError::new(code, msg).with_details(error.to_string())
}

fn validate(shared: &Shared, request: &AddRequest) -> Result<(), CniError> {
    let invalid = |message: String| CniError::new(CniCode::INVALID_ENVIRONMENT, message);
    if request.container_id.is_empty() || request.container_id.contains(char::is_whitespace) {
        return Err(invalid(format!(
            "container id {:?} is not valid",
            request.container_id
        )));
    }
    let ifname = request.ifname.as_str();
    let bad = |c: char| c == '/' || c == ':' || c.is_whitespace() || c.is_control();
    if ifname.is_empty()
        || ifname.len() > 15
        || matches!(ifname, "." | ".." | "lo")
        || ifname.contains(bad)
    {
        return Err(invalid(format!("interface name {ifname:?} is not valid")));
    }
    if let Some(mtu) = request.mtu
        && mtu > shared.settings.mtu
    {
        return Err(CniError::new(
            CniCode::INVALID_CONFIG,
            format!(
                "mtu {mtu} is more than the {} that this network carries",
                shared.settings.mtu
            ),
        ));
    }
    let netns = Path::new(&request.netns);
    let unusable = |why: String| CniError::new(CniCode::INVALID_NETNS, why);
    match same_namespace(netns, Path::new("/proc/self/ns/net")) {
        Err(error) => Err(unusable(format!(
            "network namespace {}: {error}",
            netns.display()
        ))),
        Ok(true) => Err(unusable(format!(
            "{} is the host's own network namespace",
            netns.display()
        ))),
        Ok(false) => Ok(()),
    }
}
