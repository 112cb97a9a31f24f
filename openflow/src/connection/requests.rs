//! The requests with typed answers: dumps, roles, packet-outs. Sections are those of OpenFlow 1.3.5.

use futures::StreamExt as _;
use futures::stream::{self, Stream};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::Connection;
use super::error::Error;
use super::pending::{Answer, Kind};
use super::state::Reply;
use crate::flow::FlowStats;
use crate::group::GroupDesc;
use crate::message::{
    DescStats, FlowRequest, GroupStats, Message, MeterConfig, MultipartReply, MultipartRequest,
    PacketOut, PortDesc, PortStats, Role, RoleMessage, TableFeatures, TableStats,
};

/// Which flows to dump. [`Default`] is all of them.
pub type FlowStatsRequest = FlowRequest;

impl Connection {
    /// Sends a multipart request and yields the parts of its answer as they arrive.
    ///
    /// # Errors
    /// The stream ends after an error.
    pub async fn multipart(
        &self,
        request: MultipartRequest,
    ) -> Result<impl Stream<Item = Result<Reply<MultipartReply>, Error>> + use<>, Error> {
        let xid = self.xids(1);
        let (parts, receiver) = mpsc::unbounded_channel();
        let limit = self.shared.options.multipart_limit;
        let kind = Kind::Multipart {
            parts,
            left: limit,
            limit,
        };
        let message = Message::multipart_request(request);
        self.in_time(async {
            self.submit(Self::encode_one(&message, xid)?, xid, xid, kind)
                .await
        })
        .await?;
        let patience = self.shared.options.request_timeout;
        Ok(stream::unfold(Some(receiver), move |receiver| async move {
            let mut receiver = receiver?;
            let part = match timeout(patience, receiver.recv()).await {
                Ok(part) => part?,
                Err(_) => Err(Error::Timeout {
                    seconds: patience.as_secs_f64(),
                }),
            };
            let part =
                part.and_then(
                    |Answer { generation, frame }| match Message::decode(&frame)?.1 {
                        Message::MultipartReply { body, .. } => Ok(Reply {
                            generation,
                            value: body,
                        }),
                        _ => Err(Error::Unexpected("not a multipart reply")),
                    },
                );
            let next = part.is_ok().then_some(receiver);
            Some((part, next))
        }))
    }

    async fn gather<T>(
        &self,
        request: MultipartRequest,
        pick: impl Fn(MultipartReply) -> Option<Vec<T>>,
    ) -> Result<Reply<Vec<T>>, Error> {
        let mut parts = std::pin::pin!(self.multipart(request).await?);
        let (mut all, mut seen) = (Vec::new(), None);
        while let Some(part) = parts.next().await {
            let Reply { generation, value } = part?;
            seen = Some(generation);
            let part = pick(value).ok_or(Error::Unexpected("a multipart reply of another type"))?;
            if all.is_empty() {
                all = part
            } else {
                all.extend(part)
            }
        }
        let generation = seen.ok_or(Error::Unexpected("a multipart reply without parts"))?;
        Ok(Reply {
            generation,
            value: all,
        })
    }

    /// The flows that fit `request`, in the switch's order (§7.3.5.2).
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn dump_flows(
        &self,
        request: FlowStatsRequest,
    ) -> Result<Reply<Vec<FlowStats>>, Error> {
        self.gather(MultipartRequest::Flow(request), |reply| match reply {
            MultipartReply::Flow(flows) => Some(flows),
            _ => None,
        })
        .await
    }

    /// Every group with its buckets (§7.3.5.10).
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn dump_groups(&self) -> Result<Reply<Vec<GroupDesc>>, Error> {
        self.gather(MultipartRequest::GroupDesc, |reply| match reply {
            MultipartReply::GroupDesc(groups) => Some(groups),
            _ => None,
        })
        .await
    }

    /// The counters of every group (§7.3.5.9).
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn dump_group_stats(&self) -> Result<Reply<Vec<GroupStats>>, Error> {
        self.gather(
            MultipartRequest::Group(crate::types::GroupId::ALL),
            |reply| match reply {
                MultipartReply::Group(groups) => Some(groups),
                _ => None,
            },
        )
        .await
    }

    /// Every meter with its bands (§7.3.5.13).
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn dump_meters(&self) -> Result<Reply<Vec<MeterConfig>>, Error> {
        self.gather(
            MultipartRequest::MeterConfig(crate::message::MeterId::ALL),
            |reply| match reply {
                MultipartReply::MeterConfig(meters) => Some(meters),
                _ => None,
            },
        )
        .await
    }

    /// Every port (§7.3.5.7).
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn dump_ports(&self) -> Result<Reply<Vec<PortDesc>>, Error> {
        self.gather(MultipartRequest::PortDesc, |reply| match reply {
            MultipartReply::PortDesc(ports) => Some(ports),
            _ => None,
        })
        .await
    }

    /// The counters of every port (§7.3.5.6).
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn dump_port_stats(&self) -> Result<Reply<Vec<PortStats>>, Error> {
        self.gather(
            MultipartRequest::Port(crate::types::PortNo::ANY),
            |reply| match reply {
                MultipartReply::Port(ports) => Some(ports),
                _ => None,
            },
        )
        .await
    }

    /// The counters of every table (§7.3.5.4).
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn dump_tables(&self) -> Result<Reply<Vec<TableStats>>, Error> {
        self.gather(MultipartRequest::Table, |reply| match reply {
            MultipartReply::Table(tables) => Some(tables),
            _ => None,
        })
        .await
    }

    /// What every table can do (§7.3.5.5).
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn table_features(&self) -> Result<Reply<Vec<TableFeatures>>, Error> {
        self.gather(
            MultipartRequest::TableFeatures(Vec::new()),
            |reply| match reply {
                MultipartReply::TableFeatures(tables) => Some(tables),
                _ => None,
            },
        )
        .await
    }

    /// Manufacturer, hardware, software, serial number and datapath (§7.3.5.1).
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn description(&self) -> Result<Reply<DescStats>, Error> {
        let all = self
            .gather(MultipartRequest::Desc, |reply| match reply {
                MultipartReply::Desc(desc) => Some(vec![desc]),
                _ => None,
            })
            .await?;
        let generation = all.generation;
        let value = all
            .into_iter()
            .next()
            .ok_or(Error::Unexpected("an empty description"))?;
        Ok(Reply {
            generation,
            value: *value,
        })
    }

    /// Asks for `role` (§7.3.9). `generation_id` must not be older than the switch has seen from any controller.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn role(&self, role: Role, generation_id: u64) -> Result<Reply<RoleMessage>, Error> {
        let request = Message::RoleRequest(RoleMessage {
            role,
            generation_id,
        });
        let Reply { generation, value } = self.request(&request).await?;
        match value {
            Message::RoleReply(value) => Ok(Reply { generation, value }),
            _ => Err(Error::Unexpected("not a ROLE_REPLY")),
        }
    }

    /// Has the switch send a packet (§7.3.7), and waits until it has.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn packet_out(&self, packet: PacketOut) -> Result<Reply<()>, Error> {
        self.apply(vec![Message::PacketOut(packet)]).await
    }
}
