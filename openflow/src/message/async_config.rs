//! Which messages the switch sends unasked (OpenFlow 1.3 §7.3.10, and Nicira's two forms of it).

use super::property::Property;
use crate::error::{DecodeError, EncodeError};
use crate::wire::{Reader, Writer};

/// `ofp_async_config`, which is also Nicira's `nx_async_config`. The first mask of a pair is for the roles primary
/// and equal, the second for secondary; bit `n` stands for reason `n`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct AsyncConfig {
    /// Reasons for PACKET_IN.
    pub packet_in: [u32; 2],
    /// Reasons for PORT_STATUS.
    pub port_status: [u32; 2],
    /// Reasons for FLOW_REMOVED.
    pub flow_removed: [u32; 2],
}

impl AsyncConfig {
    pub(crate) fn decode_body(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(AsyncConfig {
            packet_in: [r.u32()?, r.u32()?],
            port_status: [r.u32()?, r.u32()?],
            flow_removed: [r.u32()?, r.u32()?],
        })
    }

    pub(crate) fn encode_body(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        for mask in self
            .packet_in
            .iter()
            .chain(&self.port_status)
            .chain(&self.flow_removed)
        {
            w.u32(*mask);
        }
        Ok(())
    }
}

/// `NXT_SET_ASYNC_CONFIG2`: OpenFlow 1.4's form, which also knows role and table status and forwarded requests.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct AsyncConfig2 {
    /// `ofp_async_config_prop`: an even type is for secondary, an odd one for primary and equal.
    pub properties: Vec<Property>,
}

impl AsyncConfig2 {
    pub(crate) fn decode_body(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(AsyncConfig2 {
            properties: Property::decode_all(r, "async config")?,
        })
    }

    pub(crate) fn encode_body(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        self.properties
            .iter()
            .try_for_each(|property| property.encode(w))
    }
}
