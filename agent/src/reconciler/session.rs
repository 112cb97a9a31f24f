//! What a session with the switch begins with, before any flow: settings that a switch forgets when it restarts.

use openflow::Message;
use openflow::connection::{Connection, Error};
use openflow::message::{
    BandKind, MeterBand, MeterCommand, MeterConfig, MeterFlags, MeterMod, SwitchConfig,
};
use sluice_flows::pipeline::{DROP_METER, SAMPLE_BYTES};

/// `OFPC_FRAG_NX_MATCH`: the first fragment of a packet shows its ports, later ones show that they are such.
const NX_MATCH: u16 = 3;

/// Samples of dropped packets a second, and at once.
const SAMPLES: (u32, u32) = (100, 100);

/// Sets the switch up. Without asking for packets' beginnings (`miss_send_len`) a session of this kind hears nothing
/// unasked. Says whether dropped packets can be sampled: a datapath without meters could not limit them.
///
/// # Errors
/// If the session breaks.
pub(super) async fn prepare(connection: &Connection) -> Result<bool, Error> {
    let config = SwitchConfig {
        flags: NX_MATCH,
        miss_send_len: SAMPLE_BYTES,
    };
    connection.apply(vec![Message::SetConfig(config)]).await?;
    match set_meter(connection, MeterCommand::Add).await {
        // It is there already, or cannot be.
        Err(Error::Switch(_)) => match set_meter(connection, MeterCommand::Modify).await {
            Err(Error::Switch(error)) => {
                tracing::info!(%error, "the datapath has no meters: dropped packets cannot be sampled");
                Ok(false)
            }
            other => other.map(|()| true),
        },
        other => other.map(|()| true),
    }
}

/// The meter that limits samples.
async fn set_meter(connection: &Connection, command: MeterCommand) -> Result<(), Error> {
    let meter = MeterMod {
        command,
        config: MeterConfig {
            flags: MeterFlags(MeterFlags::PKTPS | MeterFlags::BURST),
            meter: DROP_METER,
            bands: vec![MeterBand {
                kind: BandKind::Drop,
                rate: SAMPLES.0,
                burst_size: SAMPLES.1,
            }],
        },
    };
    connection.apply(vec![Message::MeterMod(meter)]).await?;
    Ok(())
}
