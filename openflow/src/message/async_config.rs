//! Which messages the switch sends unasked (OpenFlow 1.3 §7.3.10, and Nicira's two forms of it).

use super::property::{self, Property};
use crate::error::{DecodeError, EncodeError, ErrorKind};
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

/// The reasons that OpenFlow 1.3 has for PACKET_IN, PORT_STATUS, FLOW_REMOVED, ROLE_STATUS, TABLE_STATUS and
/// REQUESTFORWARD.
pub(crate) const ALLOWED: [u32; 6] = [0x07, 0x07, 0x3f, 0x07, 0x18, 0x03];

/// From which type on a property is an experimenter's.
const EXPERIMENTER: u16 = 0xfffe;

/// `NXT_SET_ASYNC_CONFIG2`: OpenFlow 1.4's form, which also knows role and table status and forwarded requests.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct AsyncConfig2 {
    /// `ofp_async_config_prop`: an even type is for secondary, an odd one for primary and equal.
    pub properties: Vec<Property>,
}

impl AsyncConfig2 {
    pub(crate) fn decode_body(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut config = AsyncConfig2::default();
        match Property::decode_all(r, "async config", &mut config.properties) {
            Ok(()) => Ok(config),
            // Open vSwitch looks into each before it goes on to the next.
            Err(error) => Err(config.check().err().unwrap_or(error)),
        }
    }

    /// Checks what Open vSwitch checks before it does as it is told.
    ///
    /// # Errors
    /// Of the first property that it would refuse: it does not know it, or it is no mask of the reasons there are.
    pub fn check(&self) -> Result<(), DecodeError> {
        let error = |kind| DecodeError::new(kind, "async config");
        for property in &self.properties {
            let data = Reader::new(&property.data, ErrorKind::BpcBadLen, "async config");
            if property.type_ >= EXPERIMENTER {
                property::is_experimenter(data)?;
                return Err(error(ErrorKind::BpcBadExpType));
            }
            let allowed = ALLOWED.get(usize::from(property.type_ / 2));
            let allowed = allowed.ok_or(error(ErrorKind::AcfcUnsupported))?;
            if property::whole_u32(data)? & !allowed != 0 {
                return Err(error(ErrorKind::AcfcInvalid));
            }
        }
        Ok(())
    }

    pub(crate) fn encode_body(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        self.properties
            .iter()
            .try_for_each(|property| property.encode(w))
    }
}
