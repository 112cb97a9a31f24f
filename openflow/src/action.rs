//! [`Action`]: what is done with a packet, one variant for each action of OpenFlow 1.3 and of the
//! Nicira and ONF extensions that Open vSwitch implements on it.
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
pub mod learn;
mod nicira;
mod parse;
mod print;

use crate::error::{DecodeError, EncodeError, ErrorKind};
use crate::few::Few;
use crate::field::{Field, Subfield};
use crate::types::{GroupId, PortNo, QueueId, TableId};
use crate::value::Value;
use crate::wire::{Reader, Writer};

pub use canonical::canonical;
use canonical::masked_set;
pub(crate) use check::{check_instructions, verify_instructions};
use codec::check_output_port;
pub use ct::{Ct, Nat, NatFlags};
pub use kind::Kind;
pub use learn::{Learn, LearnSource, LearnSpec, LearnTarget};
pub use parse::parse_actions;
pub(crate) use parse::parse_instructions;
use print::REASONS;
pub use print::reason_name;
pub(crate) use print::{print_list, print_metadata};

/// The experimenter of Open vSwitch's own actions.
pub const NICIRA: u32 = 0x0000_2320;
/// The experimenter of the Open Networking Foundation's extensions.
pub const ONF: u32 = 0x4f4e_4600;

/// An action. An empty list of them drops the packet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Action {
    /// `output:PORT` (§7.2.5, OFPAT_OUTPUT). `max_len` is how many bytes go to the controller.
    Output {
        /// Where to.
        port: PortNo,
        /// Bytes sent if that is the controller; 0 otherwise.
        max_len: u16,
    },
    /// OFPAT_COPY_TTL_OUT; Open vSwitch refuses it.
    CopyTtlOut,
    /// OFPAT_COPY_TTL_IN; Open vSwitch refuses it.
    CopyTtlIn,
    /// `set_mpls_ttl(TTL)`.
    SetMplsTtl(u8),
    /// `dec_mpls_ttl`.
    DecMplsTtl,
    /// `push_vlan:ETHERTYPE`.
    PushVlan(u16),
    /// `pop_vlan`.
    PopVlan,
    /// `push_mpls:ETHERTYPE`.
    PushMpls(u16),
    /// `pop_mpls:ETHERTYPE`, the type of what is below.
    PopMpls(u16),
    /// `set_queue:QUEUE`.
    SetQueue(QueueId),
    /// `group:GROUP`.
    Group(GroupId),
    /// `mod_nw_ttl:TTL`.
    SetNwTtl(u8),
    /// `dec_ttl`.
    DecTtl,
    /// `set_field:VALUE[/MASK]->FIELD` (OFPAT_SET_FIELD). OpenFlow 1.3 has no mask there: a masked
    /// one goes out as [`Action::Load`]s, as Open vSwitch does it.
    SetField {
        /// What to set.
        field: Field,
        /// To which value.
        value: Value,
        /// Which bits; all if `None`.
        mask: Option<Value>,
    },
    /// OFPAT_PUSH_PBB; Open vSwitch refuses it.
    PushPbb(u16),
    /// OFPAT_POP_PBB; Open vSwitch refuses it.
    PopPbb,
    /// One of the setters of OpenFlow 1.1, deprecated since 1.2, which Open vSwitch accepts.
    Legacy(Legacy),

    /// `resubmit:PORT`, `resubmit([PORT],[TABLE][,ct])`.
    Resubmit {
        /// The port to look up with; [`PortNo::IN_PORT`] for the same.
        port: PortNo,
        /// The table to look in; the same if `None`. ([`TableId::ALL`] also means the same, spelt
        /// in the longer form.)
        table: Option<TableId>,
        /// Look up with the original tuple of the connection.
        ct: bool,
    },
    /// `set_tunnel:ID`.
    SetTunnel(u32),
    /// `set_tunnel64:ID`.
    SetTunnel64(u64),
    /// `pop_queue`.
    PopQueue,
    /// `move:SRC->DST`. Both are equally wide.
    Move {
        /// From where.
        src: Subfield,
        /// To where.
        dst: Subfield,
    },
    /// `move:SRC->DST` in ONF's form for OpenFlow 1.3.
    CopyField {
        /// From where.
        src: Subfield,
        /// To where.
        dst: Subfield,
    },
    /// `load:VALUE->DST` (NXAST_REG_LOAD), at most 64 bits.
    Load {
        /// Where to.
        dst: Subfield,
        /// What.
        value: u64,
    },
    /// `set_field` in the extension's form (NXAST_REG_LOAD2), for fields that `load` cannot name.
    Load2 {
        /// What to set.
        field: Field,
        /// To which value.
        value: Value,
        /// Which bits.
        mask: Value,
    },
    /// `note:HEX.HEX…`: nothing, with a comment. On the wire it is padded with zeros.
    Note(Vec<u8>),
    /// `multipath(…)`.
    Multipath(Box<Multipath>),
    /// `bundle(…)` and `bundle_load(…)`: one live port of a list.
    Bundle(Box<Bundle>),
    /// `output:SRC[bits]`: the port that a field names.
    OutputReg {
        /// Where the port number is.
        src: Subfield,
        /// Bytes sent if that is the controller.
        max_len: u16,
    },
    /// As [`Action::OutputReg`], in the longer form although the shorter would do.
    OutputReg2 {
        /// Where the port number is.
        src: Subfield,
        /// Bytes sent if that is the controller.
        max_len: u16,
    },
    /// `learn(…)`: adds a flow made from the packet.
    Learn(Box<Learn>),
    /// `exit`.
    Exit,
    /// `dec_ttl(ID,…)`: who hears when the TTL ends.
    DecTtlCntIds(Vec<u16>),
    /// `fin_timeout(…)`, seconds, 0 for no change.
    FinTimeout {
        /// The new idle timeout.
        idle: u16,
        /// The new hard timeout.
        hard: u16,
    },
    /// `controller(…)`.
    Controller(Box<Controller>),
    /// `write_metadata:VALUE[/MASK]` as an action (NXAST_WRITE_METADATA); Open vSwitch accepts it
    /// only from OpenFlow 1.0.
    WriteMetadata {
        /// What.
        metadata: u64,
        /// Which bits.
        mask: u64,
    },
    /// `push:SRC[bits]` onto the stack.
    Push(Subfield),
    /// `pop:DST[bits]` off the stack.
    Pop(Subfield),
    /// `sample(…)`.
    Sample(Box<Sample>),
    /// `conjunction(ID, CLAUSE/N)`. The clause counts from 0 here and on the wire, from 1 in text.
    Conjunction {
        /// Which conjunction.
        id: u32,
        /// Which of its clauses, from 0.
        clause: u8,
        /// How many clauses it has, 2 to 64.
        n_clauses: u8,
    },
    /// `ct(…)`.
    Ct(Box<Ct>),
    /// `nat(…)`; only within [`Action::Ct`].
    Nat(Nat),
    /// `ct_clear`.
    CtClear,
    /// `output(port=PORT,max_len=LEN)`.
    OutputTrunc {
        /// Where to.
        port: PortNo,
        /// How many bytes at most.
        max_len: u32,
    },
    /// `clone(…)`.
    Clone(Vec<Action>),
    /// `encap(…)`.
    Encap(Box<Encap>),
    /// `decap(…)`.
    Decap {
        /// What remains: `(namespace << 16) | type`, 0xfffe if the switch is to find out.
        packet_type: u32,
    },
    /// `dec_nsh_ttl`.
    DecNshTtl,
    /// `check_pkt_larger(LEN)->DST[bit]`.
    CheckPktLarger {
        /// Where the answer goes, one bit.
        dst: Subfield,
        /// The length, in bytes.
        pkt_len: u16,
    },
    /// `delete_field:FIELD`.
    DeleteField(Field),
    /// Forces the slow path, for tests of Open vSwitch.
    DebugSlow,
    /// Forces a recirculation, for tests of Open vSwitch.
    DebugRecirc,
    /// An action of another experimenter, as it came: all of it, its header included.
    Unknown(Box<[u8]>),
}

/// The setters of OpenFlow 1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "each is named as the field it sets")]
pub enum Legacy {
    VlanVid(u16),
    VlanPcp(u8),
    DlSrc(crate::types::MacAddr),
    DlDst(crate::types::MacAddr),
    NwSrc(u32),
    NwDst(u32),
    NwTos(u8),
    NwEcn(u8),
    TpSrc(u16),
    TpDst(u16),
    MplsLabel(u32),
    MplsTc(u8),
}

/// `multipath(FIELDS,BASIS,ALGORITHM,N_LINKS,ARG,DST)`.
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

/// What a hash is made of.
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

/// How `multipath` chooses.
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

/// How `bundle` chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u16)]
pub enum BundleAlgorithm {
    /// The first that is live.
    ActiveBackup = 0,
    /// Highest random weight.
    Hrw = 1,
}

/// `controller(…)`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Controller {
    /// Bytes sent.
    pub max_len: u16,
    /// Which controllers, by the id they gave themselves.
    pub id: u16,
    /// The reason in the packet-in; 1 is "action".
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

/// `sample(…)`.
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

/// The direction of a sampled packet.
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

/// `encap(…)`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Encap {
    /// What is put around: `(namespace << 16) | type`.
    pub packet_type: u32,
    /// The size of the header, 0 if it does not matter.
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
        codec::decode(r, &mut action)?;
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
pub fn decode_list(mut r: Reader<'_>) -> Result<Vec<Action>, DecodeError> {
    let mut out = Vec::new();
    decode_list_to(&mut r, &mut out)?;
    Ok(out)
}

/// What stands where an action is going to be read to.
const PLACEHOLDER: Action = Action::Exit;

/// As [`decode_list`], in place; `out` is empty before.
pub(crate) fn decode_list_to(r: &mut Reader<'_>, out: &mut Vec<Action>) -> Result<(), DecodeError> {
    let all = r.rest();
    let n = count(all);
    *out = Vec::with_capacity(n);
    out.resize_with(n, || PLACEHOLDER);
    decode_each(r, out).map_err(|wrong| {
        out.truncate(wrong.at);
        first_wrong(all, out, wrong.error)
    })
}

/// As [`decode_list_to`], where there are few.
pub(crate) fn decode_few_to<const N: usize>(
    r: &mut Reader<'_>,
    out: &mut Few<Action, N>,
) -> Result<(), DecodeError> {
    let all = r.rest();
    while !r.is_empty() {
        out.push(PLACEHOLDER);
        let at = out.len() - 1;
        let Some(place) = out.last_mut() else { break };
        if let Err(error) = codec::decode(r, place) {
            out.truncate(at);
            return Err(first_wrong(all, out, error));
        }
    }
    Ok(())
}

/// How many actions there are, as their lengths say; none of the last if it is cut short.
#[inline]
fn count(bytes: &[u8]) -> usize {
    let mut rest = bytes;
    let mut n = 0;
    while let Some(next) = after_first(rest) {
        rest = next;
        n += 1;
    }
    n
}

/// What follows the first action, as its length says.
#[inline]
fn after_first(bytes: &[u8]) -> Option<&[u8]> {
    let [_, _, l0, l1, ..] = bytes.first_chunk::<8>()?;
    let len = usize::from(u16::from_be_bytes([*l0, *l1]));
    bytes.get(len..).filter(|_| len >= 8)
}

/// An error, and how many actions before it are right.
struct Wrong {
    at: usize,
    error: DecodeError,
}

/// Reads actions, each in the place of a [`PLACEHOLDER`].
#[inline]
fn decode_each(r: &mut Reader<'_>, places: &mut [Action]) -> Result<(), Wrong> {
    for (at, place) in places.iter_mut().enumerate() {
        codec::decode(r, place).map_err(|error| Wrong { at, error })?;
    }
    if r.is_empty() {
        return Ok(());
    }
    // Something is wrong with what is left, or it would have been counted.
    let at = places.len();
    let mut none = PLACEHOLDER;
    match codec::decode(r, &mut none) {
        Ok(()) => Err(Wrong {
            at,
            error: r.short(),
        }),
        Err(error) => Err(Wrong { at, error }),
    }
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
