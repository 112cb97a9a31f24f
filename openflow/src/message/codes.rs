//! The names of error types and codes: one line each.
//!
//! Open vSwitch's names, which are the specification's (OpenFlow 1.3 §7.4.4) where it has one. An experimenter
//! error has its number in `type_` and no code.

use std::fmt;

use super::experimenter::{NICIRA, ONF};

/// `ofp_error_type` for experimenter errors: the code is the experimenter's own.
pub(crate) const EXPERIMENTER_ERROR: u16 = 0xffff;

/// The type and code of an ERROR message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ErrorCode {
    /// The experimenter that defined it; `None` for the specification's own.
    pub experimenter: Option<u32>,
    /// `ofp_error_type`, or the experimenter's error number.
    pub type_: u16,
    /// The code within the type; 0 for an experimenter's.
    pub code: u16,
}

impl ErrorCode {
    /// A code of the specification.
    #[must_use]
    pub const fn new(type_: u16, code: u16) -> ErrorCode {
        ErrorCode {
            experimenter: None,
            type_,
            code,
        }
    }

    /// The code called `name`, such as `"OFPBAC_BAD_OUT_PORT"`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<ErrorCode> {
        CODES
            .iter()
            .find(|(.., n)| *n == name)
            .map(|&(experimenter, type_, code, _)| ErrorCode {
                experimenter,
                type_,
                code,
            })
    }

    /// Its name, such as `"OFPBAC_BAD_OUT_PORT"`, if it has one.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        // Of no experimenter are the specification's own, whichever way that is said.
        let experimenter = self.experimenter.filter(|e| *e != 0);
        CODES
            .iter()
            .find(|&&(e, t, c, _)| e == experimenter && t == self.type_ && c == self.code)
            .map(|(.., name)| *name)
    }

    /// Every code that has a name.
    pub fn all() -> impl Iterator<Item = (ErrorCode, &'static str)> {
        CODES.iter().map(|&(experimenter, type_, code, name)| {
            (
                ErrorCode {
                    experimenter,
                    type_,
                    code,
                },
                name,
            )
        })
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.name(), self.experimenter) {
            (Some(name), _) => f.write_str(name),
            (None, None) => write!(f, "error type {} code {}", self.type_, self.code),
            (None, Some(experimenter)) => {
                write!(f, "error {} of experimenter {experimenter:#x}", self.type_)
            }
        }
    }
}

const CODES: &[(Option<u32>, u16, u16, &str)] = &[
    (None, 0, 0, "OFPHFC_INCOMPATIBLE"),
    (None, 0, 1, "OFPHFC_EPERM"),
    (None, 1, 0, "OFPBRC_BAD_VERSION"),
    (None, 1, 1, "OFPBRC_BAD_TYPE"),
    (None, 1, 2, "OFPBRC_BAD_STAT"),
    (None, 1, 3, "OFPBRC_BAD_VENDOR"),
    (None, 1, 4, "OFPBRC_BAD_SUBTYPE"),
    (None, 1, 5, "OFPBRC_EPERM"),
    (None, 1, 6, "OFPBRC_BAD_LEN"),
    (None, 1, 7, "OFPBRC_BUFFER_EMPTY"),
    (None, 1, 8, "OFPBRC_BUFFER_UNKNOWN"),
    (None, 1, 9, "OFPBRC_BAD_TABLE_ID"),
    (None, 1, 10, "OFPBRC_IS_SECONDARY"),
    (None, 1, 11, "OFPBRC_BAD_PORT"),
    (None, 1, 12, "OFPBRC_BAD_PACKET"),
    (None, 1, 13, "OFPBRC_MULTIPART_BUFFER_OVERFLOW"),
    (None, 2, 0, "OFPBAC_BAD_TYPE"),
    (None, 2, 1, "OFPBAC_BAD_LEN"),
    (None, 2, 2, "OFPBAC_BAD_VENDOR"),
    (None, 2, 3, "OFPBAC_BAD_VENDOR_TYPE"),
    (None, 2, 4, "OFPBAC_BAD_OUT_PORT"),
    (None, 2, 5, "OFPBAC_BAD_ARGUMENT"),
    (None, 2, 6, "OFPBAC_EPERM"),
    (None, 2, 7, "OFPBAC_TOO_MANY"),
    (None, 2, 8, "OFPBAC_BAD_QUEUE"),
    (None, 2, 9, "OFPBAC_BAD_OUT_GROUP"),
    (None, 2, 10, "OFPBAC_MATCH_INCONSISTENT"),
    (None, 2, 11, "OFPBAC_UNSUPPORTED_ORDER"),
    (None, 2, 12, "OFPBAC_BAD_TAG"),
    (None, 2, 13, "OFPBAC_BAD_SET_TYPE"),
    (None, 2, 14, "OFPBAC_BAD_SET_LEN"),
    (None, 2, 15, "OFPBAC_BAD_SET_ARGUMENT"),
    (None, 3, 0, "OFPBIC_UNKNOWN_INST"),
    (None, 3, 1, "OFPBIC_UNSUP_INST"),
    (None, 3, 2, "OFPBIC_BAD_TABLE_ID"),
    (None, 3, 3, "OFPBIC_UNSUP_METADATA"),
    (None, 3, 4, "OFPBIC_UNSUP_METADATA_MASK"),
    (None, 3, 5, "OFPBIC_BAD_EXPERIMENTER"),
    (None, 3, 6, "OFPBIC_BAD_EXP_TYPE"),
    (None, 3, 7, "OFPBIC_BAD_LEN"),
    (None, 3, 8, "OFPBIC_EPERM"),
    (None, 4, 0, "OFPBMC_BAD_TYPE"),
    (None, 4, 1, "OFPBMC_BAD_LEN"),
    (None, 4, 2, "OFPBMC_BAD_TAG"),
    (None, 4, 3, "OFPBMC_BAD_DL_ADDR_MASK"),
    (None, 4, 4, "OFPBMC_BAD_NW_ADDR_MASK"),
    (None, 4, 5, "OFPBMC_BAD_WILDCARDS"),
    (None, 4, 6, "OFPBMC_BAD_FIELD"),
    (None, 4, 7, "OFPBMC_BAD_VALUE"),
    (None, 4, 8, "OFPBMC_BAD_MASK"),
    (None, 4, 9, "OFPBMC_BAD_PREREQ"),
    (None, 4, 10, "OFPBMC_DUP_FIELD"),
    (None, 4, 11, "OFPBMC_EPERM"),
    (None, 5, 0, "OFPFMFC_UNKNOWN"),
    (None, 5, 1, "OFPFMFC_TABLE_FULL"),
    (None, 5, 2, "OFPFMFC_BAD_TABLE_ID"),
    (None, 5, 3, "OFPFMFC_OVERLAP"),
    (None, 5, 4, "OFPFMFC_EPERM"),
    (None, 5, 5, "OFPFMFC_BAD_TIMEOUT"),
    (None, 5, 6, "OFPFMFC_BAD_COMMAND"),
    (None, 5, 7, "OFPFMFC_BAD_FLAGS"),
    (None, 6, 0, "OFPGMFC_GROUP_EXISTS"),
    (None, 6, 1, "OFPGMFC_INVALID_GROUP"),
    (None, 6, 2, "OFPGMFC_WEIGHT_UNSUPPORTED"),
    (None, 6, 3, "OFPGMFC_OUT_OF_GROUPS"),
    (None, 6, 4, "OFPGMFC_OUT_OF_BUCKETS"),
    (None, 6, 5, "OFPGMFC_CHAINING_UNSUPPORTED"),
    (None, 6, 6, "OFPGMFC_WATCH_UNSUPPORTED"),
    (None, 6, 7, "OFPGMFC_LOOP"),
    (None, 6, 8, "OFPGMFC_UNKNOWN_GROUP"),
    (None, 6, 9, "OFPGMFC_CHAINED_GROUP"),
    (None, 6, 10, "OFPGMFC_BAD_TYPE"),
    (None, 6, 11, "OFPGMFC_BAD_COMMAND"),
    (None, 6, 12, "OFPGMFC_BAD_BUCKET"),
    (None, 6, 13, "OFPGMFC_BAD_WATCH"),
    (None, 6, 14, "OFPGMFC_EPERM"),
    (None, 7, 0, "OFPPMFC_BAD_PORT"),
    (None, 7, 1, "OFPPMFC_BAD_HW_ADDR"),
    (None, 7, 2, "OFPPMFC_BAD_CONFIG"),
    (None, 7, 3, "OFPPMFC_BAD_ADVERTISE"),
    (None, 7, 4, "OFPPMFC_EPERM"),
    (None, 8, 0, "OFPTMFC_BAD_TABLE"),
    (None, 8, 1, "OFPTMFC_BAD_CONFIG"),
    (None, 8, 2, "OFPTMFC_EPERM"),
    (None, 9, 0, "OFPQOFC_BAD_PORT"),
    (None, 9, 1, "OFPQOFC_BAD_QUEUE"),
    (None, 9, 2, "OFPQOFC_EPERM"),
    (None, 10, 0, "OFPSCFC_BAD_FLAGS"),
    (None, 10, 1, "OFPSCFC_BAD_LEN"),
    (None, 10, 2, "OFPSCFC_EPERM"),
    (None, 11, 0, "OFPRRFC_STALE"),
    (None, 11, 1, "OFPRRFC_UNSUP"),
    (None, 11, 2, "OFPRRFC_BAD_ROLE"),
    (None, 12, 0, "OFPMMFC_UNKNOWN"),
    (None, 12, 1, "OFPMMFC_METER_EXISTS"),
    (None, 12, 2, "OFPMMFC_INVALID_METER"),
    (None, 12, 3, "OFPMMFC_UNKNOWN_METER"),
    (None, 12, 4, "OFPMMFC_BAD_COMMAND"),
    (None, 12, 5, "OFPMMFC_BAD_FLAGS"),
    (None, 12, 6, "OFPMMFC_BAD_RATE"),
    (None, 12, 7, "OFPMMFC_BAD_BURST"),
    (None, 12, 8, "OFPMMFC_BAD_BAND"),
    (None, 12, 9, "OFPMMFC_BAD_BAND_VALUE"),
    (None, 12, 10, "OFPMMFC_OUT_OF_METERS"),
    (None, 12, 11, "OFPMMFC_OUT_OF_BANDS"),
    (None, 13, 0, "OFPTFFC_BAD_TABLE"),
    (None, 13, 1, "OFPTFFC_BAD_METADATA"),
    (None, 13, 2, "OFPBPC_BAD_TYPE"),
    (None, 13, 3, "OFPBPC_BAD_LEN"),
    (None, 13, 4, "OFPBPC_BAD_VALUE"),
    (None, 13, 5, "OFPTFFC_EPERM"),
    (Some(NICIRA), 2, 0, "NXBRC_NXM_INVALID"),
    (Some(NICIRA), 3, 0, "NXBRC_NXM_BAD_TYPE"),
    (Some(NICIRA), 4, 0, "NXBRC_MUST_BE_ZERO"),
    (Some(NICIRA), 5, 0, "NXBRC_BAD_REASON"),
    (Some(NICIRA), 6, 0, "OFPMOFC_MONITOR_EXISTS"),
    (Some(NICIRA), 7, 0, "OFPMOFC_BAD_FLAGS"),
    (Some(NICIRA), 8, 0, "OFPMOFC_UNKNOWN_MONITOR"),
    (Some(NICIRA), 9, 0, "NXBRC_FM_BAD_EVENT"),
    (Some(NICIRA), 10, 0, "NXBRC_UNENCODABLE_ERROR"),
    (Some(NICIRA), 11, 0, "NXBAC_MUST_BE_ZERO"),
    (Some(NICIRA), 12, 0, "NXFMFC_HARDWARE"),
    (Some(NICIRA), 13, 0, "NXFMFC_BAD_TABLE_ID"),
    (Some(NICIRA), 15, 0, "NXBAC_BAD_CONJUNCTION"),
    (Some(NICIRA), 16, 0, "NXTTMFC_BAD_COMMAND"),
    (Some(NICIRA), 17, 0, "NXTTMFC_BAD_OPT_LEN"),
    (Some(NICIRA), 18, 0, "NXTTMFC_BAD_FIELD_IDX"),
    (Some(NICIRA), 19, 0, "NXTTMFC_TABLE_FULL"),
    (Some(NICIRA), 20, 0, "NXTTMFC_ALREADY_MAPPED"),
    (Some(NICIRA), 21, 0, "NXTTMFC_DUP_ENTRY"),
    (Some(NICIRA), 34, 0, "NXR_NOT_SUPPORTED"),
    (Some(NICIRA), 35, 0, "NXR_STALE"),
    (Some(NICIRA), 36, 0, "NXST_NOT_CONFIGURED"),
    (Some(NICIRA), 37, 0, "NXFMFC_INVALID_TLV_FIELD"),
    (Some(NICIRA), 38, 0, "NXTTMFC_INVALID_TLV_DEL"),
    (Some(NICIRA), 39, 0, "NXBAC_BAD_HEADER_TYPE"),
    (Some(NICIRA), 40, 0, "NXBAC_UNKNOWN_ED_PROP"),
    (Some(NICIRA), 41, 0, "NXBAC_BAD_ED_PROP"),
    (Some(NICIRA), 42, 0, "NXBAC_CT_DATAPATH_SUPPORT"),
    (Some(NICIRA), 43, 0, "NXBMC_CT_DATAPATH_SUPPORT"),
    (Some(NICIRA), 44, 0, "NXTFFC_DUP_TABLE"),
    (Some(ONF), 2300, 0, "OFPBFC_UNKNOWN"),
    (Some(ONF), 2301, 0, "OFPBFC_EPERM"),
    (Some(ONF), 2302, 0, "OFPBFC_BAD_ID"),
    (Some(ONF), 2303, 0, "OFPBFC_BUNDLE_EXIST"),
    (Some(ONF), 2304, 0, "OFPBFC_BUNDLE_CLOSED"),
    (Some(ONF), 2305, 0, "OFPBFC_OUT_OF_BUNDLES"),
    (Some(ONF), 2306, 0, "OFPBFC_BAD_TYPE"),
    (Some(ONF), 2307, 0, "OFPBFC_BAD_FLAGS"),
    (Some(ONF), 2308, 0, "OFPBFC_MSG_BAD_LEN"),
    (Some(ONF), 2309, 0, "OFPBFC_MSG_BAD_XID"),
    (Some(ONF), 2310, 0, "OFPBFC_MSG_UNSUP"),
    (Some(ONF), 2311, 0, "OFPBFC_MSG_CONFLICT"),
    (Some(ONF), 2312, 0, "OFPBFC_MSG_TOO_MANY"),
    (Some(ONF), 2313, 0, "OFPBFC_MSG_FAILED"),
    (Some(ONF), 2314, 0, "OFPBFC_TIMEOUT"),
    (Some(ONF), 2315, 0, "OFPBFC_BUNDLE_IN_PROGRESS"),
    (Some(ONF), 2360, 0, "OFPFMFC_BAD_PRIORITY"),
    (Some(ONF), 2370, 0, "OFPACFC_INVALID"),
    (Some(ONF), 2371, 0, "OFPACFC_UNSUPPORTED"),
    (Some(ONF), 2372, 0, "OFPACFC_EPERM"),
    (Some(ONF), 2600, 0, "OFPBIC_DUP_INST"),
    (Some(ONF), 2640, 0, "OFPBRC_MULTIPART_REQUEST_TIMEOUT"),
    (Some(ONF), 2641, 0, "OFPBRC_MULTIPART_REPLY_TIMEOUT"),
    (Some(ONF), 4250, 0, "OFPBAC_BAD_SET_MASK"),
    (Some(ONF), 4443, 0, "OFPBPC_TOO_MANY"),
    (Some(ONF), 4444, 0, "OFPBPC_DUP_TYPE"),
    (Some(ONF), 4445, 0, "OFPBPC_BAD_EXPERIMENTER"),
    (Some(ONF), 4446, 0, "OFPBPC_BAD_EXP_TYPE"),
    (Some(ONF), 4447, 0, "OFPBPC_BAD_EXP_VALUE"),
    (Some(ONF), 4448, 0, "OFPBPC_EPERM"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_codes_are_one_to_one() {
        let names: std::collections::HashSet<_> = ErrorCode::all().map(|(_, name)| name).collect();
        let codes: std::collections::HashSet<_> = ErrorCode::all().map(|(code, _)| code).collect();
        assert_eq!((names.len(), codes.len()), (CODES.len(), CODES.len()));
        for (code, name) in ErrorCode::all() {
            assert_eq!(
                (code.name(), ErrorCode::from_name(name)),
                (Some(name), Some(code))
            );
        }
    }
}
