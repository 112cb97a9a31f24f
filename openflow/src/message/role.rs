//! Controller roles (OpenFlow 1.3 §7.3.9), and ROLE_STATUS (ONF extension 191).

use crate::error::{DecodeError, EncodeError, ErrorKind};
use crate::wire::{Reader, Writer};

/// `ofp_controller_role`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Asks for the present role without changing it.
    NoChange,
    /// One of several with full access; what a connection begins with.
    Equal,
    /// The only one with full access among masters and slaves.
    Primary,
    /// Reads only.
    Secondary,
}

impl Role {
    fn from_wire(value: u32, r: &Reader<'_>) -> Result<Role, DecodeError> {
        match value {
            0 => Ok(Role::NoChange),
            1 => Ok(Role::Equal),
            2 => Ok(Role::Primary),
            3 => Ok(Role::Secondary),
            _ => Err(r.error(ErrorKind::RrfcBadRole)),
        }
    }

    fn to_wire(self) -> u32 {
        match self {
            Role::NoChange => 0,
            Role::Equal => 1,
            Role::Primary => 2,
            Role::Secondary => 3,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Role::NoChange => "nochange",
            Role::Equal => "equal",
            Role::Primary => "primary",
            Role::Secondary => "secondary",
        }
    }
}

/// `ofp_role_request`, which is also the reply.
///
/// ```text
///  8 … 11  12…15  16 … 23
/// +-------+------+---------------+
/// | role  | pad  | generation_id |
/// +-------+------+---------------+
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RoleMessage {
    /// The role asked for or held.
    pub role: Role,
    /// The election's number; `u64::MAX` in a reply if there was none.
    pub generation_id: u64,
}

impl RoleMessage {
    pub(crate) fn decode_body(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let role = Role::from_wire(r.u32()?, r)?;
        r.skip(4)?;
        Ok(RoleMessage {
            role,
            generation_id: r.u64()?,
        })
    }

    pub(crate) fn encode_body(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        w.u32(self.role.to_wire());
        w.zeros(4);
        w.u64(self.generation_id);
        Ok(())
    }
}

/// `nx_role_request`: Nicira's role request and reply, from before the specification had roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NxRole {
    /// The role; there is no "no change".
    pub role: Role,
}

impl NxRole {
    pub(crate) fn decode_body(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let role = r.u32()?;
        let role = role
            .checked_add(1)
            .filter(|r| *r <= 3)
            .ok_or(r.error(ErrorKind::RrfcBadRole))?;
        Ok(NxRole {
            role: Role::from_wire(role, r)?,
        })
    }

    pub(crate) fn encode_body(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        w.u32(self.role.to_wire().saturating_sub(1));
        Ok(())
    }
}

/// `ofp_role_prop` aside, `onf_role_status`: the switch changed this controller's role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RoleStatus {
    /// The new role.
    pub role: Role,
    /// 0: another controller became primary; 1: configuration; 2: an experimenter's reason.
    pub reason: u8,
    /// The election's number.
    pub generation_id: u64,
}

impl RoleStatus {
    pub(crate) fn decode_body(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let role = Role::from_wire(r.u32()?, r)?;
        let reason = r.u8()?;
        r.skip(3)?;
        let generation_id = r.u64()?;
        r.take_rest(); // properties, all of experimenters
        Ok(RoleStatus {
            role,
            reason,
            generation_id,
        })
    }

    pub(crate) fn encode_body(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        w.u32(self.role.to_wire());
        w.u8(self.reason);
        w.zeros(3);
        w.u64(self.generation_id);
        Ok(())
    }
}
