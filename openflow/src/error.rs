//! The errors of the codec (OpenFlow 1.3.5 §7.4.4, and Open vSwitch's ofp-errors.h) and of the text form.
//!
//! A decode error is flat: an OpenFlow error kind, as a switch would send it back, and a static
//! word on where it was met. No strings are built on the way.

use std::fmt;

macro_rules! kinds {
    ($($(#[$doc:meta])* $id:ident = $name:literal;)*) => {
        /// The OpenFlow error a switch would answer with, named as Open vSwitch names it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorKind { $($(#[$doc])* $id,)* }

        impl ErrorKind {
            /// The name Open vSwitch prints, such as `OFPBMC_BAD_PREREQ`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(ErrorKind::$id => $name,)* }
            }
        }
    };
}

kinds! {
    /// Wrong request length.
    BrcBadLen = "OFPBRC_BAD_LEN";
    /// Unknown message type.
    BrcBadType = "OFPBRC_BAD_TYPE";
    /// Unknown multipart type.
    BrcBadMultipart = "OFPBRC_BAD_STAT";
    /// Wrong protocol version.
    BrcBadVersion = "OFPBRC_BAD_VERSION";
    /// Unknown experimenter.
    BrcBadExperimenter = "OFPBRC_BAD_VENDOR";
    /// Unknown experimenter message type.
    BrcBadExpType = "OFPBRC_BAD_SUBTYPE";
    /// A port number outside of the valid ranges.
    BrcBadPort = "OFPBRC_BAD_PORT";
    /// An unknown or invalid table.
    BrcBadTableId = "OFPBRC_BAD_TABLE_ID";
    /// A field that is no pipeline field where only those are allowed.
    BrcPipelineFieldsOnly = "OFPBRC_PIPELINE_FIELDS_ONLY";
    /// Bytes that must be zero are not.
    NxbrcMustBeZero = "NXBRC_MUST_BE_ZERO";
    /// A match of the extension's form that cannot be.
    NxbrcNxmInvalid = "NXBRC_NXM_INVALID";
    /// Unknown action type.
    BacBadType = "OFPBAC_BAD_TYPE";
    /// Wrong action length.
    BacBadLen = "OFPBAC_BAD_LEN";
    /// Unknown experimenter in an action.
    BacBadExperimenter = "OFPBAC_BAD_VENDOR";
    /// Unknown experimenter action type.
    BacBadExpType = "OFPBAC_BAD_VENDOR_TYPE";
    /// Bad port in an action.
    BacBadOutPort = "OFPBAC_BAD_OUT_PORT";
    /// Bad action argument.
    BacBadArgument = "OFPBAC_BAD_ARGUMENT";
    /// An action that does not fit the match.
    BacMatchInconsistent = "OFPBAC_MATCH_INCONSISTENT";
    /// An action of a wrong tag or encapsulation.
    BacBadTag = "OFPBAC_BAD_TAG";
    /// Unknown field in a set-field.
    BacBadSetType = "OFPBAC_BAD_SET_TYPE";
    /// Wrong length in a set-field.
    BacBadSetLen = "OFPBAC_BAD_SET_LEN";
    /// Wrong value in a set-field.
    BacBadSetArgument = "OFPBAC_BAD_SET_ARGUMENT";
    /// Actions in an order that cannot be.
    BacUnsupportedOrder = "OFPBAC_UNSUPPORTED_ORDER";
    /// A mask in a set-field that may not have one.
    BacBadSetMask = "OFPBAC_BAD_SET_MASK";
    /// Bytes of an action that must be zero are not.
    NxbacMustBeZero = "NXBAC_MUST_BE_ZERO";
    /// Unknown encapsulation header.
    NxbacBadHeaderType = "NXBAC_BAD_HEADER_TYPE";
    /// Unknown property of an encapsulation.
    NxbacUnknownEdProp = "NXBAC_UNKNOWN_ED_PROP";
    /// Bad property of an encapsulation.
    NxbacBadEdProp = "NXBAC_BAD_ED_PROP";
    /// Conntrack helper on an unsupported protocol.
    NxbacCtDatapathSupport = "NXBAC_CT_DATAPATH_SUPPORT";
    /// An action nested where it may not be.
    NxbacBadConjunction = "NXBAC_BAD_CONJUNCTION";
    /// Unknown instruction.
    BicUnknownInst = "OFPBIC_UNKNOWN_INST";
    /// An instruction that is not supported.
    BicUnsupInst = "OFPBIC_UNSUP_INST";
    /// A table that may not be jumped to.
    BicBadTableId = "OFPBIC_BAD_TABLE_ID";
    /// Wrong instruction length.
    BicBadLen = "OFPBIC_BAD_LEN";
    /// Unknown experimenter in an instruction.
    BicBadExperimenter = "OFPBIC_BAD_EXPERIMENTER";
    /// The same instruction twice.
    BicDupInst = "OFPBIC_DUP_INST";
    /// Unknown match type.
    BmcBadType = "OFPBMC_BAD_TYPE";
    /// Wrong match length.
    BmcBadLen = "OFPBMC_BAD_LEN";
    /// Bits set in the value that the mask wildcards.
    BmcBadWildcards = "OFPBMC_BAD_WILDCARDS";
    /// Unknown field.
    BmcBadField = "OFPBMC_BAD_FIELD";
    /// A value that the field cannot have.
    BmcBadValue = "OFPBMC_BAD_VALUE";
    /// A mask on a field that takes none.
    BmcBadMask = "OFPBMC_BAD_MASK";
    /// A field whose prerequisite is absent.
    BmcBadPrereq = "OFPBMC_BAD_PREREQ";
    /// The same field twice.
    BmcDupField = "OFPBMC_DUP_FIELD";
    /// Unknown flow mod command.
    FmfcBadCommand = "OFPFMFC_BAD_COMMAND";
    /// Unknown flow mod flags.
    FmfcBadFlags = "OFPFMFC_BAD_FLAGS";
    /// Unknown flow mod table.
    FmfcBadTableId = "OFPFMFC_BAD_TABLE_ID";
    /// An unmapped tunnel metadata field.
    NxfmfcInvalidTlvField = "NXFMFC_INVALID_TLV_FIELD";
    /// Unknown group mod command.
    GmfcBadCommand = "OFPGMFC_BAD_COMMAND";
    /// Unknown group type.
    GmfcBadType = "OFPGMFC_BAD_TYPE";
    /// A bad bucket.
    GmfcBadBucket = "OFPGMFC_BAD_BUCKET";
    /// A bucket that watches a port or a group that cannot be.
    GmfcBadWatch = "OFPGMFC_BAD_WATCH";
    /// A bucket that watches in a group whose type has no use for it.
    GmfcWatchUnsupported = "OFPGMFC_WATCH_UNSUPPORTED";
    /// A group id that is out of range.
    GmfcInvalidGroup = "OFPGMFC_INVALID_GROUP";
    /// Unknown meter mod command.
    MmfcBadCommand = "OFPMMFC_BAD_COMMAND";
    /// Unknown meter flags.
    MmfcBadFlags = "OFPMMFC_BAD_FLAGS";
    /// Unknown meter band.
    MmfcBadBand = "OFPMMFC_BAD_BAND";
    /// A meter id that is out of range.
    MmfcInvalidMeter = "OFPMMFC_INVALID_METER";
    /// Unknown property type.
    BpcBadType = "OFPBPC_BAD_TYPE";
    /// Wrong property length.
    BpcBadLen = "OFPBPC_BAD_LEN";
    /// Unknown experimenter of a property.
    BpcBadExperimenter = "OFPBPC_BAD_EXPERIMENTER";
    /// Unknown type of an experimenter's property.
    BpcBadExpType = "OFPBPC_BAD_EXP_TYPE";
    /// Bad property value.
    BpcBadValue = "OFPBPC_BAD_VALUE";
    /// Bad port configuration.
    PmfcBadConfig = "OFPPMFC_BAD_CONFIG";
    /// Bad table configuration.
    TmfcBadConfig = "OFPTMFC_BAD_CONFIG";
    /// Not permitted.
    BrcEperm = "OFPBRC_EPERM";
    /// An unknown reason.
    NxbrcBadReason = "NXBRC_BAD_REASON";
    /// An unknown flow monitor event.
    NxbrcFmBadEvent = "NXBRC_FM_BAD_EVENT";
    /// Bad flow monitor flags.
    MofcBadFlags = "OFPMOFC_BAD_FLAGS";
    /// A port that has no queues.
    QofcBadPort = "OFPQOFC_BAD_PORT";
    /// A bundled message of a wrong length.
    BfcMsgBadLen = "OFPBFC_MSG_BAD_LEN";
    /// A bundled message of another version.
    BfcBadVersion = "OFPBFC_BAD_VERSION";
    /// A bundled message of another transaction.
    BfcMsgBadXid = "OFPBFC_MSG_BAD_XID";
    /// A message that cannot be bundled.
    BfcMsgUnsup = "OFPBFC_MSG_UNSUP";
    /// Unknown command for the tunnel option table.
    NxttmfcBadCommand = "NXTTMFC_BAD_COMMAND";
    /// A tunnel option of a wrong length.
    NxttmfcBadOptLen = "NXTTMFC_BAD_OPT_LEN";
    /// A tunnel metadata field that is out of range.
    NxttmfcBadFieldIdx = "NXTTMFC_BAD_FIELD_IDX";
    /// Bad table features.
    TffcBadFeatures = "OFPTFFC_BAD_FEATURES";
    /// A table that does not exist.
    TffcBadTable = "OFPTFFC_BAD_TABLE";
    /// Bad asynchronous message masks.
    AcfcInvalid = "OFPACFC_INVALID";
    /// Unknown asynchronous message.
    AcfcUnsupported = "OFPACFC_UNSUPPORTED";
    /// Bad role.
    RrfcBadRole = "OFPRRFC_BAD_ROLE";
}

/// Bytes that are no valid OpenFlow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("{} in {context}", kind.name())]
pub struct DecodeError {
    /// The error a switch would send.
    pub kind: ErrorKind,
    /// Where it was met, such as `"match"` or `"ct action"`.
    pub context: &'static str,
}

impl DecodeError {
    /// An error of `kind` met in `context`.
    #[must_use]
    #[inline(always)]
    pub const fn new(kind: ErrorKind, context: &'static str) -> Self {
        DecodeError { kind, context }
    }
}

/// A value that has no wire form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// A structure longer than its 16-bit length field can say (65,535 bytes).
    #[error("{0} is too long to encode")]
    TooLong(&'static str),
    /// A field that OpenFlow 1.3 has no header for.
    #[error("field {0} has no wire form")]
    NoWireForm(&'static str),
}

/// Text that is not in `ovs-ofctl`'s syntax. The message says what was read and what is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("{0}")]
pub struct ParseError(pub String);

impl ParseError {
    /// An error with `message`.
    #[must_use]
    #[cold]
    pub fn new(message: impl Into<String>) -> Self {
        ParseError(message.into())
    }
}

/// Builds a [`ParseError`] as `format!` builds a string.
macro_rules! parse_error {
    ($($arg:tt)*) => { $crate::error::ParseError(format!($($arg)*)) };
}
pub(crate) use parse_error;

/// A match that no switch would accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MatchError {
    /// `field` needs another field first, such as `nw_src` needs `dl_type`.
    Prerequisite {
        /// The name of the field that lacks its prerequisite.
        field: &'static str,
        /// What it needs.
        needs: &'static str,
    },
    /// `field` has a value it cannot have.
    Value {
        /// The name of the field.
        field: &'static str,
    },
    /// `field` cannot be matched with a mask.
    Mask {
        /// The name of the field.
        field: &'static str,
    },
}

impl fmt::Display for MatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MatchError::Prerequisite { field, needs } => write!(f, "{field} needs {needs}"),
            MatchError::Value { field } => write!(f, "{field} cannot have this value"),
            MatchError::Mask { field } => write!(f, "{field} cannot be masked so"),
        }
    }
}

impl std::error::Error for MatchError {}
