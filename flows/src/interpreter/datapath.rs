//! What the datapath does with a packet once its flows are translated: it changes it, tracks it, sends it out, or
//! sends it through the flows again. It knows operations, not flows.

use openflow::field::Prerequisite;
use openflow::{Field, PortNo, TableId, Value};

use super::conntrack::{Request, Tracking};
use super::lookup::Tables;
use super::packet::{Packet, is_header};
use super::translate::{Fail, Translation};
use super::{Delivery, Loss, PacketIn, Report, World};

/// How often a packet may go around.
const MOST_RECIRCULATIONS: u32 = 6;

/// One operation.
#[derive(Debug)]
pub(super) enum Operation {
    Set(Field, Value),
    /// With what the pipeline knew of the packet then.
    Output(PortNo, Box<Packet>),
    Track(Request),
    ClearTracking,
    Recirculate(Box<Frozen>),
    Clone(Vec<Operation>),
    PacketIn(PacketIn),
}

/// What is kept of a packet's way while it goes around.
#[derive(Debug)]
pub(super) struct Frozen {
    pub(super) table: TableId,
    /// Of its fields, those that are not in the packet.
    pub(super) metadata: Packet,
    pub(super) stack: Vec<u128>,
}

/// A packet on the wire.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub(super) packet: Packet,
    pub(super) tracking: Tracking,
    pub(super) recirculations: u32,
}

impl Frame {
    /// Another address or another port is another connection.
    fn set(&mut self, field: Field, value: Value) {
        let another = match field {
            Field::IPV4_SRC | Field::IPV4_DST | Field::IPV6_SRC | Field::IPV6_DST => {
                self.packet.get(field) != value
            }
            field => matches!(
                field.prerequisite(),
                Prerequisite::Tcp
                    | Prerequisite::Udp
                    | Prerequisite::Sctp
                    | Prerequisite::Icmp4
                    | Prerequisite::Icmp6
            ),
        };
        if another {
            self.tracking.forget_connection();
        }
        self.packet.set(field, value);
    }
}

/// The tables that a packet meets first, and those that it meets once it has been around.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ways<'t, 'p> {
    pub(super) first: &'t Tables<'p>,
    pub(super) next: &'t Tables<'p>,
}

/// Runs a frame through the flows, and what they say, until nothing is left of it.
pub(super) fn run(
    ways: Ways<'_, '_>,
    world: &mut World,
    report: &mut Report,
    frame: Frame,
    frozen: Option<Frozen>,
) -> Result<(), Fail> {
    let tables = match frame.recirculations {
        0 => ways.first,
        _ => ways.next,
    };
    let translation = Translation::new(tables, &mut world.learned, report, &frame, frozen);
    let operations = translation.run()?;
    execute(ways, world, report, frame, operations)
}

fn execute(
    ways: Ways<'_, '_>,
    world: &mut World,
    report: &mut Report,
    mut frame: Frame,
    operations: Vec<Operation>,
) -> Result<(), Fail> {
    for operation in operations {
        match operation {
            Operation::Set(field, value) => frame.set(field, value),
            Operation::Output(port, known) => report.deliveries.push(Delivery {
                port,
                packet: onto(&frame.packet, &known),
                recirculations: frame.recirculations,
            }),
            Operation::Track(request) => {
                let Frame {
                    packet, tracking, ..
                } = &mut frame;
                world.conntrack.execute(packet, tracking, &request);
            }
            Operation::ClearTracking => frame.tracking = Tracking::default(),
            Operation::Recirculate(frozen) => {
                if frame.recirculations == MOST_RECIRCULATIONS {
                    report.loss = Some(Loss::AroundTooOften);
                    continue;
                }
                let mut again = frame.clone();
                again.recirculations += 1;
                run(ways, world, report, again, Some(*frozen))?;
            }
            Operation::Clone(operations) => {
                execute(ways, world, report, frame.clone(), operations)?;
            }
            Operation::PacketIn(packet_in) => {
                let packet = onto(&frame.packet, &packet_in.packet);
                report.packet_ins.push(PacketIn {
                    packet,
                    ..packet_in
                });
            }
        }
    }
    Ok(())
}

/// The headers of one packet with the metadata of another.
pub(super) fn onto(headers: &Packet, metadata: &Packet) -> Packet {
    let mut packet = headers.clone();
    let old: Vec<Field> = packet.fields().map(|(f, _)| f).collect();
    old.into_iter()
        .filter(|f| !is_header(*f))
        .for_each(|f| packet.clear(f));
    for (field, value) in metadata.fields().filter(|(f, _)| !is_header(*f)) {
        packet.set(field, value.clone());
    }
    packet
}
