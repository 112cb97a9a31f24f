//! [`Action`]: what is done with a packet, one variant for each action of OpenFlow 1.3 and of the
//! Nicira and ONF extensions that Open vSwitch implements on it, each declared once, in `list`.
//!
//! An action is what is on the wire. What `ovs-ofctl` spells one way and sends another, such as
//! `mod_nw_src` or a masked `set_field`, is decided where text is parsed and by
//! [`canonical`]: decoding what a switch echoes gives the canonical actions back.

mod canonical;
mod check;
mod codec;
mod composite;
pub mod ct;
mod kind;
mod layout;
pub mod learn;
mod list;
mod parse;
mod print;
mod writing;

use std::iter;

use crate::error::{DecodeError, EncodeError, ErrorKind};
use crate::few::{Few, put};
use crate::field::{Field, Subfield};
use crate::types::{PortNo, TableId};
use crate::value::Value;
use crate::wire::{Reader, Writer};

pub use canonical::canonical;
use canonical::masked_set;
pub(crate) use check::{check_instructions, verify_instructions};
pub use ct::{Ct, Nat, NatFlags};
pub use kind::Kind;
use layout::check_output_port;
pub use learn::{Learn, LearnSource, LearnSpec, LearnTarget};
pub use list::{Action, Legacy};
pub use parse::parse_actions;
pub(crate) use parse::{Parser, parse_instructions};
use print::REASONS;
pub use print::reason_name;
pub(crate) use print::{print_list, print_metadata};

/// The experimenter of Open vSwitch's own actions: `NX_VENDOR_ID`.
pub const NICIRA: u32 = 0x0000_2320;
/// The experimenter of the Open Networking Foundation's extensions: `ONF_VENDOR_ID`.
pub const ONF: u32 = 0x4f4e_4600;

/// `multipath(FIELDS,BASIS,ALGORITHM,N_LINKS,ARG,DST)`: `nx_action_multipath`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Multipath {
    /// What is hashed.
    pub fields: HashFields,
    /// The seed of the hash.
    pub basis: u16,
    /// How a link follows from the hash.
    pub algorithm: MultipathAlgorithm,
    /// How many links there are, 1 to 65,536.
    pub n_links: u32,
    /// An argument of the algorithm.
    pub arg: u32,
    /// Where the number of the link goes.
    pub dst: Subfield,
}

/// What a hash is made of: `nx_hash_fields`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "named as in ovs-actions(7)")]
#[repr(u16)]
pub enum HashFields {
    EthSrc = 0,
    SymmetricL4 = 1,
    SymmetricL3L4 = 2,
    SymmetricL3L4Udp = 3,
    NwSrc = 4,
    NwDst = 5,
    SymmetricL3 = 6,
}

/// How `multipath` chooses: `nx_mp_algorithm`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "named as in ovs-actions(7)")]
#[repr(u16)]
pub enum MultipathAlgorithm {
    ModuloN = 0,
    HashThreshold = 1,
    Hrw = 2,
    IterHash = 3,
}

/// `bundle(FIELDS,BASIS,ALGORITHM,ofport,members:PORT,…)`, or with a destination `bundle_load`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bundle {
    /// What is hashed.
    pub fields: HashFields,
    /// The seed of the hash.
    pub basis: u16,
    /// How a member is chosen.
    pub algorithm: BundleAlgorithm,
    /// The ports to choose from.
    pub members: Vec<PortNo>,
    /// Where the chosen port goes; without, the packet is sent there.
    pub dst: Option<Subfield>,
}

/// How `bundle` chooses: `nx_bd_algorithm`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u16)]
pub enum BundleAlgorithm {
    /// The first that is live.
    ActiveBackup = 0,
    /// Highest random weight.
    Hrw = 1,
}

/// `controller(…)`: `nx_action_controller`, or NXAST_CONTROLLER2 and its properties.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Controller {
    /// The most bytes sent of the packet; 65,535 for all.
    pub max_len: u16,
    /// Which controllers, by the id they gave themselves.
    pub id: u16,
    /// The reason in the packet-in (`ofp_packet_in_reason`); 1 is "action".
    pub reason: u8,
    /// Bytes that come back in the packet-in.
    pub userdata: Vec<u8>,
    /// Whether to stop until the controller resumes the packet.
    pub pause: bool,
    /// The meter that limits it.
    pub meter_id: Option<u32>,
    /// Whether it takes the longer form although the shorter would do.
    pub long_form: bool,
}

impl Default for Controller {
    fn default() -> Self {
        Controller {
            max_len: u16::MAX,
            id: 0,
            reason: 1,
            userdata: Vec::new(),
            pause: false,
            meter_id: None,
            long_form: false,
        }
    }
}

/// `sample(…)`: `nx_action_sample`, or the longer `nx_action_sample2`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sample {
    /// Of 65,535 packets, how many.
    pub probability: u16,
    /// Which collectors.
    pub collector_set_id: u32,
    /// The observation domain of IPFIX.
    pub obs_domain_id: u32,
    /// The observation point of IPFIX.
    pub obs_point_id: u32,
    /// The port it is said to leave by.
    pub sampling_port: PortNo,
    /// The direction, as far as known.
    pub direction: SampleDirection,
    /// Which of the three forms it has on the wire: 1, 2 or 3.
    pub form: u8,
}

/// The direction of a sampled packet: `nx_action_sample_direction`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum SampleDirection {
    /// Unknown.
    #[default]
    Default = 0,
    /// Coming in.
    Ingress = 1,
    /// Going out.
    Egress = 2,
}

/// `encap(…)`: `nx_action_encap`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Encap {
    /// What is put around: `(namespace << 16) | type`.
    pub packet_type: u32,
    /// The size of the header in bytes, 0 if it does not matter.
    pub hdr_size: u16,
    /// Its properties.
    pub properties: Vec<EncapProperty>,
}

/// A property of an encapsulation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EncapProperty {
    /// `md_type` of a Network Service Header.
    NshMdType(u8),
    /// `tlv(CLASS,TYPE,VALUE)` of a Network Service Header.
    NshTlv {
        /// The class.
        class: u16,
        /// The type.
        type_: u8,
        /// The value.
        value: Vec<u8>,
    },
}

impl Action {
    /// `output:port`. To the controller, whole packets go.
    #[must_use]
    pub const fn output(port: PortNo) -> Action {
        let max_len = if port.0 == PortNo::CONTROLLER.0 {
            u16::MAX
        } else {
            0
        };
        Action::Output { port, max_len }
    }

    /// `set_field:value->field`, all of it.
    #[must_use]
    pub fn set(field: Field, value: impl Into<Value>) -> Action {
        let value = value.into();
        let len = match field.is_variable() {
            true => value.significant_len(),
            false => field.bytes(),
        };
        Action::SetField {
            field,
            value: value.resized(len),
            mask: None,
        }
    }

    /// `load:value->dst`.
    #[must_use]
    pub fn load(dst: impl Into<Subfield>, value: u64) -> Action {
        Action::Load {
            dst: dst.into(),
            value,
        }
    }

    /// `move:src->dst`.
    #[must_use]
    pub fn copy(src: impl Into<Subfield>, dst: impl Into<Subfield>) -> Action {
        Action::Move {
            src: src.into(),
            dst: dst.into(),
        }
    }

    /// `resubmit(,table)`.
    #[must_use]
    pub const fn resubmit(table: TableId) -> Action {
        Action::Resubmit {
            port: PortNo::IN_PORT,
            table: Some(table),
            ct: false,
        }
    }

    /// Writes it, padded to eight bytes.
    ///
    /// # Errors
    /// When it is too long, or names a field that has no header.
    #[inline]
    pub fn encode(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        codec::encode(self, w)
    }

    /// Reads one action.
    ///
    /// # Errors
    /// As Open vSwitch would answer; see [`ErrorKind`].
    pub fn decode(r: &mut Reader<'_>) -> Result<Action, DecodeError> {
        let mut action = PLACEHOLDER;
        let rest = codec::decode(r.rest(), r, &mut action)?;
        r.skip(r.len() - rest.len())?;
        Ok(action)
    }
}

/// Checks what Open vSwitch checks when it reads a list of actions as of a bucket or a packet-out:
/// that it knows them all, and that they stand where they may.
///
/// # Errors
/// What it would answer.
pub fn verify(actions: &[Action]) -> Result<(), DecodeError> {
    check::verify(actions, check::Outer::List)
}

/// Writes actions one after the other.
///
/// # Errors
/// As [`Action::encode`].
pub fn encode_list(actions: &[Action], w: &mut Writer<'_>) -> Result<(), EncodeError> {
    actions.iter().try_for_each(|a| a.encode(w))
}

/// Reads actions until `r` is empty.
///
/// # Errors
/// As [`Action::decode`].
#[inline]
pub fn decode_list(r: Reader<'_>) -> Result<Vec<Action>, DecodeError> {
    let mut out = Vec::new();
    decode_list_to(r.rest(), &r, &mut out)?;
    Ok(out)
}

/// What stands where an action is going to be read to.
const PLACEHOLDER: Action = Action::Exit;

/// As [`decode_list`], in place; `out` is empty before.
/// `r` says how deep they are.
pub(crate) fn decode_list_to<'a>(
    all: &'a [u8],
    r: &Reader<'a>,
    out: &mut Vec<Action>,
) -> Result<(), DecodeError> {
    // Room for as many as there are if they have 16 bytes each: few are shorter. To count them would take as long as
    // to read one.
    put(out, Vec::with_capacity(all.len().div_ceil(16)));
    let mut rest = all;
    while !rest.is_empty() {
        // Not pushed, which would write all of it.
        out.resize_with(out.len() + 1, || Action::Exit);
        let Some(place) = out.last_mut() else { break };
        match codec::decode(rest, r, place) {
            Ok(next) => rest = next,
            Err(error) => {
                out.pop();
                return Err(first_wrong(all, out, error));
            }
        }
    }
    Ok(())
}

/// As [`decode_list_to`], where there are few.
pub(crate) fn decode_few_to<'a, const N: usize>(
    all: &'a [u8],
    r: &Reader<'a>,
    out: &mut Few<Action, N>,
) -> Result<(), DecodeError> {
    // There are as many places as lengths, the last of which may be wrong.
    let lengths = iter::successors(Some(all), |rest| after_first(rest));
    let n = lengths.take_while(|rest| !rest.is_empty()).count();
    out.extend(iter::repeat_with(|| Action::Exit).take(n));
    let mut rest = all;
    for (at, place) in out.iter_mut().enumerate() {
        match codec::decode(rest, r, place) {
            Ok(next) => rest = next,
            Err(error) => {
                let right = out.get(..at).unwrap_or_default();
                return Err(first_wrong(all, right, error));
            }
        }
    }
    Ok(())
}

/// What follows the first action, as its length says.
fn after_first(bytes: &[u8]) -> Option<&[u8]> {
    let [_, _, l0, l1, ..] = bytes.first_chunk::<8>()?;
    let len = usize::from(u16::from_be_bytes([*l0, *l1]));
    bytes.get(len..).filter(|_| len >= 8)
}

/// What Open vSwitch answers to the list `all`, in which `error` comes after `right`: of those it refuses what it does
/// not know; of the wrong one it looks at kind and length before all else.
#[cold]
fn first_wrong(all: &[u8], right: &[Action], error: DecodeError) -> DecodeError {
    let wrong = right.iter().try_fold(all, |rest, _| after_first(rest));
    check::known(right)
        .and_then(|()| Kind::of(wrong.unwrap_or_default()).map(drop))
        .err()
        .unwrap_or(error)
}

impl HashFields {
    const ALL: [(HashFields, &'static str); 7] = [
        (HashFields::EthSrc, "eth_src"),
        (HashFields::SymmetricL4, "symmetric_l4"),
        (HashFields::SymmetricL3L4, "symmetric_l3l4"),
        (HashFields::SymmetricL3L4Udp, "symmetric_l3l4+udp"),
        (HashFields::NwSrc, "nw_src"),
        (HashFields::NwDst, "nw_dst"),
        (HashFields::SymmetricL3, "symmetric_l3"),
    ];

    /// Its name in ovs-actions(7).
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(f, _)| *f == self)
            .map_or("", |(_, name)| name)
    }

    pub(crate) fn from_wire(n: u16) -> Result<Self, DecodeError> {
        let found = Self::ALL.iter().find(|(f, _)| *f as u16 == n);
        found
            .map(|(f, _)| *f)
            .ok_or(DecodeError::new(ErrorKind::BacBadArgument, "hash fields"))
    }
}

impl MultipathAlgorithm {
    const ALL: [(MultipathAlgorithm, &'static str); 4] = [
        (MultipathAlgorithm::ModuloN, "modulo_n"),
        (MultipathAlgorithm::HashThreshold, "hash_threshold"),
        (MultipathAlgorithm::Hrw, "hrw"),
        (MultipathAlgorithm::IterHash, "iter_hash"),
    ];

    /// Its name in ovs-actions(7).
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(a, _)| *a == self)
            .map_or("", |(_, name)| name)
    }

    pub(crate) fn from_wire(n: u16) -> Result<Self, DecodeError> {
        let found = Self::ALL.iter().find(|(a, _)| *a as u16 == n);
        found
            .map(|(a, _)| *a)
            .ok_or(DecodeError::new(ErrorKind::BacBadArgument, "multipath"))
    }
}
