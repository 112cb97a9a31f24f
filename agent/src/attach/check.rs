//! CNI CHECK: the attachment against the database, the flows and the container.

use std::path::Path;
use std::time::Duration;

use sluice_rpc::{Attachment, CheckRequest, CheckResult, CniCode, CniError};
use tokio::time::Instant;

use super::{Shared, result, same_namespace};
use crate::host::pod;

/// How long a check waits for an agent that is starting.
const START: Duration = Duration::from_secs(10);

pub(super) async fn check(shared: &Shared, request: CheckRequest) -> Result<CheckResult, CniError> {
    let CheckRequest {
        container_id,
        ifname,
        netns,
        network,
    } = request;
    let attachment = Attachment {
        container_id,
        ifname,
    };
    shared.recovered(Instant::now() + START).await?;
    let _turn = shared.locks.lock(&attachment).await;
    let Some(entry) = shared.book.get(&attachment) else {
        return Err(CniError::new(
            CniCode::UNKNOWN_CONTAINER,
            "this container is not attached",
        ));
    };
    let (record, port) = (&entry.record, &entry.port);
    let mut problems = Vec::new();
    problems.extend(entry.problem.clone());
    if record.network != network {
        problems.push(format!(
            "it is attached to network {}, not {network}",
            record.network
        ));
    }
    match same_namespace(Path::new(&netns), &record.netns) {
        Ok(true) => {}
        Ok(false) => problems.push(format!("{netns} is not the namespace it was attached in")),
        Err(error) => problems.push(format!("network namespace {netns}: {error}")),
    }
    match shared.switch.port(port) {
        None => problems.push(format!("port {port} is missing in the switch")),
        Some(found) => {
            if let Some(error) = found.error {
                problems.push(format!("port {port}: {error}"));
            } else if found.ofport != Some(entry.ofport) {
                let number = found
                    .ofport
                    .map_or("none".to_owned(), |number| number.to_string());
                problems.push(format!(
                    "port {port} has number {number}, not {}",
                    entry.ofport
                ));
            }
            if found.external_ids != record.to_external_ids() {
                problems.push(format!("external_ids of interface {port} were changed"));
            }
        }
    }
    let nic = shared.nic(record, port);
    let (flows, device) = tokio::join!(
        shared.reconciler.check_pod(record.pod_id()),
        pod::check(&nic)
    );
    match flows {
        Ok(found) => problems.extend(found),
        Err(error) => problems.push(error.to_string()),
    }
    match device {
        Ok(found) => problems.extend(found.iter().map(ToString::to_string)),
        Err(error) => problems.push(error.to_string()),
    }
    Ok(CheckResult {
        attachment: result(record, port),
        problems,
    })
}
