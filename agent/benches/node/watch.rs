//! What the switch itself says of flows that come, change and go: when it has taken a change in. It says so with the
//! bundle's end, on a connection of our own.

use anyhow::{Context as _, Result, bail};
use futures::StreamExt as _;
use openflow::connection::{Event, Events, Options};
use openflow::message::{
    FlowMonitorRequest, FlowUpdate, FlowUpdateFull, Message, MonitorFlags, MultipartReply,
    MultipartRequest,
};
use openflow::{Connection, Match, PortNo};
use sluice_flows::pipeline::Table;

/// Messages that may wait for us; the switch itself waits when it has too much to tell.
const WAITING: usize = 1 << 20;

/// Watches one table.
#[derive(Debug)]
pub(crate) struct Watch {
    _connection: Connection,
    events: Events,
}

impl Watch {
    /// Watches the flows of `table` that are at least as specific as `match_`, without those that are there.
    ///
    /// # Errors
    /// When the bridge does not answer.
    pub(crate) async fn start(bridge: &str, table: Table, match_: Match) -> Result<Self> {
        let connection = connect(bridge).await?;
        let events = connection.events();
        let request = FlowMonitorRequest {
            id: 1,
            flags: MonitorFlags(MonitorFlags::ADD | MonitorFlags::DELETE | MonitorFlags::MODIFY),
            out_port: PortNo::ANY,
            table: table.id(),
            claimed_match_len: None,
            match_,
        };
        let request = MultipartRequest::FlowMonitor(vec![request]);
        {
            let mut parts = std::pin::pin!(connection.multipart(request).await?);
            while let Some(part) = parts.next().await {
                part?;
            }
        }
        Ok(Self {
            _connection: connection,
            events,
        })
    }

    /// The next changes.
    ///
    /// # Errors
    /// When some were missed.
    pub(crate) async fn next(&mut self) -> Result<Vec<FlowUpdateFull>> {
        loop {
            let event = self.events.recv().await.context("the connection closed")?;
            let Event::Message { message, .. } = event else {
                bail!("the watch missed changes");
            };
            if let Ok(Message::MultipartReply {
                body: MultipartReply::FlowMonitor(updates),
                ..
            }) = *message
            {
                let full = updates.into_iter().filter_map(|update| match update {
                    FlowUpdate::Full(full) => Some(*full),
                    FlowUpdate::Abbreviated { .. } => None,
                });
                return Ok(full.collect());
            }
        }
    }
}

/// A connection of our own to a bridge.
///
/// # Errors
/// When there is none.
pub(crate) async fn connect(bridge: &str) -> Result<Connection> {
    let target = format!("unix:/run/openvswitch/{bridge}.mgmt").parse()?;
    let options = Options {
        event_queue: WAITING,
        ..Options::default()
    };
    let connection = Connection::connect(target, options);
    connection.connected().await?;
    Ok(connection)
}
