//! The list of actions, an entry for each.
//!
//! An entry is the variant of [`Action`], then in brackets the [layout](super::layout) of its body, then each form that it
//! has on the wire: Open vSwitch's name, whose it is, its number, how many bytes it has. Behind the arrow is its text, or the
//! function of [`print`](super::print) that makes it; at last come the words that [a parser](super::parse) reads as this
//! action, each with what reads its argument. What no action set may hold is `outside sets`. All else about actions follows
//! from here: what is refused for its length or its place, decoding, encoding, printing, parsing. To add an action, add its entry; if its body is like no other's, also a layout.

use super::composite::{
    bundle, clone, conjunction, controller, counters, decap, encap, fin_timeout, multipath, note,
    output_trunc, resubmit, sample, write_metadata,
};
use super::ct::{self, Ct, Nat, nat};
use super::kind::{Kind, at_least, exactly, refused};
use super::layout::{
    ecn, group, left8, left16, mac, mpls_type, output, pcp, queue, right32, right64, tos, vid,
    vlan_type, void, whole,
};
use super::learn::{self, Learn};
use super::parse::{Item, Parser};
use super::print;
use super::writing::{
    check_pkt_larger, copy_field, delete_field, load, load2, move_, output_reg, output_reg2,
    set_field, stack_pop, stack_push,
};
use super::{Bundle, Controller, Encap, Multipath, NICIRA, ONF, Sample};
use crate::error::{DecodeError, EncodeError, ErrorKind, ParseError};
use crate::few::put;
use crate::field::{Field, Subfield};
use crate::text::Names;
use crate::types::{GroupId, MacAddr, PortNo, QueueId, TableId};
use crate::value::Value;
use crate::wire::{Reader, Writer};
use std::fmt::{self, Formatter};

/// Whose the actions of the specification are: no experimenter's.
const OF: u32 = 0;

macro_rules! decode_by {
    ([$layout:ident], $number:expr, $r:expr, $place:ident, $made:expr, $part:ident) => {
        read($layout::decode($number, $r), $place, |$part| $made)
    };
    ([$layout:ident], $number:expr, $r:expr, $place:ident, $made:expr, $($part:ident),*) => {
        read($layout::decode($number, $r), $place, |($($part),*)| $made)
    };
    // Where it stays: to move it there would cost more than to read it.
    ([$layout:ident in place], $number:expr, $r:expr, $place:ident, $made:expr, $($part:ident),*) => {
        $layout::decode_to($number, $r, $place)
    };
}

/// Puts what is made of `parts` where a placeholder is.
#[inline]
fn read<T>(
    parts: Result<T, DecodeError>,
    place: &mut Action,
    make: impl FnOnce(T) -> Action,
) -> Result<(), DecodeError> {
    put(place, make(parts?));
    Ok(())
}

macro_rules! encode_by {
    ([$layout:ident $($how:ident)*], $kinds:expr, $w:ident, $($part:ident),*) => {
        $layout::encode($kinds, $($part,)* $w)
    };
}

macro_rules! print_by {
    ([$print:ident], $f:ident, $names:ident, $($part:ident),*) => {
        print::$print($f, $names, $($part),*)
    };
    ($text:literal, $f:ident, $names:ident, $($part:ident),*) => {
        write!($f, $text)
    };
}

macro_rules! parse_by {
    // The word alone.
    ([is $made:ident], $p:ident, $key:ident, $arg:ident, $enum:ident) => {
        Ok($enum::$made.into())
    };
    ([$parse:ident], $p:ident, $key:ident, $arg:ident, $enum:ident) => {
        $p.$parse($arg).map(Item::from)
    };
    // Told how the word was spelt.
    ([$parse:ident as spelt], $p:ident, $key:ident, $arg:ident, $enum:ident) => {
        $p.$parse($key, $arg).map(Item::from)
    };
}

macro_rules! may_be_in_a_set {
    () => {
        true
    };
    (sets) => {
        false
    };
}

macro_rules! actions {
    (
        $(#[$enum_doc:meta])*
        enum $enum:ident {$(
            $(#[$doc:meta])*
            $variant:ident
                $(($bind:ident: $ty:ty))?
                $({$($(#[$part_doc:meta])* $part:ident: $part_ty:ty),*})?
                = $layout:tt $($name:ident $experimenter:ident $number:literal $length:ident($bytes:literal)),+
                $(outside $sets:ident)?
                => $text:tt
                $(, $($word:literal)|+ => $parse:tt)*;
        )*}
        $(besides {$($rest:tt)*})?
    ) => {
        $(#[$enum_doc])*
        pub enum $enum {
            $(
                $(#[$doc])*
                #[doc = concat!("\n\nOn the wire: ", $("`", stringify!($name), "` ",)+)]
                $variant $(($ty))? $({$($(#[$part_doc])* $part: $part_ty),*})?,
            )*
            $($($rest)*)?
        }

        $($(pub(super) const $name: Kind = Kind {
            name: stringify!($name),
            experimenter: $experimenter,
            number: $number,
            length: $length($bytes),
        };)+)*

        impl $enum {
            /// All that are in the list, as they are on the wire.
            pub(super) const KINDS: &[Kind] = &[$($($name),+),*];

            /// Reads the body of one that is in the list to where a placeholder is, and does `otherwise` if it is not. `r`
            /// says how deep it is.
            #[inline(always)]
            pub(super) fn decode_listed<'a>(
                code: (u32, u16),
                r: &Reader<'a>,
                body: &'a [u8],
                place: &mut Action,
                otherwise: impl FnOnce(&mut Action) -> Result<(), DecodeError>,
            ) -> Result<(), DecodeError> {
                match code {
                    $($(($experimenter, $number))|+ => decode_by!(
                        $layout,
                        code.1,
                        r.over(body, ErrorKind::BacBadLen, "action"),
                        place,
                        Action::from($enum::$variant $(($bind))? $({$($part),*})?),
                        $($bind)? $($($part),*)?
                    ),)*
                    _ => otherwise(place),
                }
            }

            #[inline]
            #[allow(unreachable_patterns, reason = "of those that have others besides")]
            pub(super) fn encode_listed(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
                match self {
                    $($enum::$variant $(($bind))? $({$($part),*})? => {
                        encode_by!($layout, &[$($name),+], w, $($bind)? $($($part),*)?)
                    })*
                    _ => Ok(()),
                }
            }

            #[allow(unreachable_patterns, reason = "of those that have others besides")]
            #[allow(unused_variables, reason = "not everything is printed")]
            pub(super) fn print_listed(
                &self,
                f: &mut Formatter<'_>,
                names: &dyn Names,
            ) -> fmt::Result {
                match self {
                    $($enum::$variant $(($bind))? $({$($part),*})? => {
                        print_by!($text, f, names, $($bind)? $($($part),*)?)
                    })*
                    _ => Ok(()),
                }
            }

            /// Whether an action set may hold it; not what is not in the list.
            #[allow(unreachable_patterns, reason = "of those that have others besides")]
            pub(super) const fn may_be_in_a_set_listed(&self) -> bool {
                match self {
                    $($enum::$variant { .. } => may_be_in_a_set!($($sets)?),)*
                    _ => false,
                }
            }

            /// Reads the argument of one of the words in the list: `word`, spelt `key`.
            pub(super) fn parse_listed(
                p: &mut Parser,
                word: &str,
                key: &str,
                arg: &str,
            ) -> Option<Result<Item, ParseError>> {
                Some(match word {
                    $($($($word)|+ => parse_by!($parse, p, key, arg, $enum),)*)*
                    _ => return None,
                })
            }
        }
    };
}

actions! {
    /// An action. An empty list of them drops the packet.
    #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    #[non_exhaustive]
    enum Action {
        /// `output:PORT` (§7.2.5, OFPAT_OUTPUT). `max_len` is how many bytes go to the controller.
        Output {
            /// Where to.
            port: PortNo,
            /// Bytes sent if that is the controller; 0 otherwise.
            max_len: u16
        } = [output] OFPAT_OUTPUT OF 0 exactly(16) => [output],
            "output" | "output_reg" => [output], "enqueue" => [enqueue];
        /// OFPAT_COPY_TTL_OUT; Open vSwitch refuses it.
        CopyTtlOut = [void] OFPAT_COPY_TTL_OUT OF 11 refused(8) => "copy_ttl_out";
        /// OFPAT_COPY_TTL_IN; Open vSwitch refuses it.
        CopyTtlIn = [void] OFPAT_COPY_TTL_IN OF 12 refused(8) => "copy_ttl_in";
        /// `set_mpls_ttl(TTL)`.
        SetMplsTtl(ttl: u8) = [left8] OFPAT_SET_MPLS_TTL OF 15 exactly(8) => "set_mpls_ttl({ttl})",
            "set_mpls_ttl" => [set_mpls_ttl as spelt];
        /// `dec_mpls_ttl`.
        DecMplsTtl = [void] OFPAT_DEC_MPLS_TTL OF 16 exactly(8) => "dec_mpls_ttl",
            "dec_mpls_ttl" => [dec_mpls_ttl as spelt];
        /// `push_vlan:ETHERTYPE`.
        PushVlan(ethertype: u16) = [vlan_type] OFPAT_PUSH_VLAN OF 17 exactly(8) => "push_vlan:{ethertype:#x}",
            "push_vlan" => [push_vlan];
        /// `pop_vlan`.
        PopVlan = [void] OFPAT_POP_VLAN OF 18 exactly(8) => "pop_vlan",
            "strip_vlan" | "pop_vlan" => [pop_vlan as spelt];
        /// `push_mpls:ETHERTYPE`.
        PushMpls(ethertype: u16) = [mpls_type] OFPAT_PUSH_MPLS OF 19 exactly(8) => "push_mpls:0x{ethertype:04x}",
            "push_mpls" => [push_mpls as spelt];
        /// `pop_mpls:ETHERTYPE`, the type of what is below.
        PopMpls(ethertype: u16) = [left16] OFPAT_POP_MPLS OF 20 exactly(8) => "pop_mpls:0x{ethertype:04x}",
            "pop_mpls" => [pop_mpls as spelt];
        /// `set_queue:QUEUE`.
        SetQueue(queue_id: QueueId) = [queue] OFPAT_SET_QUEUE OF 21 exactly(8) => [set_queue],
            "set_queue" => [set_queue];
        /// `group:GROUP`.
        Group(group_id: GroupId) = [group] OFPAT_GROUP OF 22 exactly(8) => "group:{group_id}",
            "group" => [group];
        /// `mod_nw_ttl:TTL`.
        SetNwTtl(ttl: u8) = [left8] OFPAT_SET_NW_TTL OF 23 exactly(8) => "mod_nw_ttl:{ttl}",
            "mod_nw_ttl" | "set_nw_ttl" => [set_nw_ttl as spelt];
        /// `dec_ttl`.
        DecTtl = [void] OFPAT_DEC_NW_TTL OF 24 exactly(8) => "dec_ttl",
            "dec_ttl" => [dec_ttl as spelt];
        /// `set_field:VALUE[/MASK]->FIELD` (OFPAT_SET_FIELD). OpenFlow 1.3 has no mask there: a masked
        /// one goes out as [`Action::Load`]s, as Open vSwitch does it.
        SetField {
            /// What to set.
            field: Field,
            /// To which value.
            value: Value,
            /// Which bits; all if `None`.
            mask: Option<Value>
        } = [set_field in place] OFPAT_SET_FIELD OF 25 at_least(8) => [set_field],
            "set_field" => [set_field];
        /// OFPAT_PUSH_PBB; Open vSwitch refuses it.
        PushPbb(ethertype: u16) = [left16] OFPAT_PUSH_PBB OF 26 refused(8) => "push_pbb:{ethertype:#x}";
        /// OFPAT_POP_PBB; Open vSwitch refuses it.
        PopPbb = [void] OFPAT_POP_PBB OF 27 refused(8) => "pop_pbb";

        /// `resubmit:PORT`, `resubmit([PORT],[TABLE][,ct])`.
        Resubmit {
            /// The port to look up with; [`PortNo::IN_PORT`] for the same.
            port: PortNo,
            /// The table to look in; the same if `None`. ([`TableId::ALL`] also means the same, spelt
            /// in the longer form.)
            table: Option<TableId>,
            /// Look up with the original tuple of the connection.
            ct: bool
        } = [resubmit]
            NXAST_RESUBMIT NICIRA 1 exactly(16),
            NXAST_RESUBMIT_TABLE NICIRA 14 exactly(16),
            NXAST_RESUBMIT_TABLE_CT NICIRA 44 exactly(16) => [resubmit],
            "resubmit" => [resubmit];
        /// `set_tunnel:ID`.
        SetTunnel(id: u32) = [right32] NXAST_SET_TUNNEL NICIRA 2 exactly(16) => [set_tunnel],
            "set_tunnel" => [set_tunnel];
        /// `set_tunnel64:ID`.
        SetTunnel64(id: u64) = [right64] NXAST_SET_TUNNEL64 NICIRA 9 exactly(24) => [set_tunnel64],
            "set_tunnel64" => [set_tunnel];
        /// `pop_queue`.
        PopQueue = [void] NXAST_POP_QUEUE NICIRA 5 exactly(16) outside sets => "pop_queue",
            "pop_queue" => [is PopQueue];
        /// `move:SRC->DST`. Both are equally wide.
        Move {
            /// From where.
            src: Subfield,
            /// To where.
            dst: Subfield
        } = [move_] NXAST_REG_MOVE NICIRA 6 at_least(16) => "move:{src}->{dst}",
            "move" => [move_];
        /// `move:SRC->DST` in ONF's form for OpenFlow 1.3.
        CopyField {
            /// From where.
            src: Subfield,
            /// To where.
            dst: Subfield
        } = [copy_field] ONFACT_COPY_FIELD ONF 3200 at_least(24) => "move:{src}->{dst}";
        /// `load:VALUE->DST` (NXAST_REG_LOAD), at most 64 bits.
        Load {
            /// Where to.
            dst: Subfield,
            /// What.
            value: u64
        } = [load] NXAST_REG_LOAD NICIRA 7 exactly(24) => [load],
            "load" => [load];
        /// `set_field` in the extension's form (NXAST_REG_LOAD2), for fields that `load` cannot name.
        Load2 {
            /// What to set.
            field: Field,
            /// To which value.
            value: Value,
            /// Which bits.
            mask: Value
        } = [load2] NXAST_REG_LOAD2 NICIRA 33 at_least(16) => [load2];
        /// `note:HEX.HEX…`: nothing, with a comment. On the wire it is padded with zeros.
        Note(bytes: Vec<u8>) = [note] NXAST_NOTE NICIRA 8 at_least(16) outside sets => [note],
            "note" => [note];
        /// `multipath(…)`.
        Multipath(action: Box<Multipath>) = [multipath] NXAST_MULTIPATH NICIRA 10 exactly(32) outside sets => [multipath],
            "multipath" => [multipath];
        /// `bundle(…)` and `bundle_load(…)`: one live port of a list.
        Bundle(action: Box<Bundle>) = [bundle]
            NXAST_BUNDLE NICIRA 12 at_least(32),
            NXAST_BUNDLE_LOAD NICIRA 13 at_least(32) outside sets => [bundle],
            "bundle" => [bundle], "bundle_load" => [bundle_load];
        /// `output:SRC[bits]`: the port that a field names.
        OutputReg {
            /// Where the port number is.
            src: Subfield,
            /// Bytes sent if that is the controller.
            max_len: u16
        } = [output_reg] NXAST_OUTPUT_REG NICIRA 15 exactly(24) outside sets => "output:{src}";
        /// As [`Action::OutputReg`], in the longer form although the shorter would do.
        OutputReg2 {
            /// Where the port number is.
            src: Subfield,
            /// Bytes sent if that is the controller.
            max_len: u16
        } = [output_reg2 in place] NXAST_OUTPUT_REG2 NICIRA 32 exactly(24) outside sets => "output:{src}";
        /// `learn(…)`: adds a flow made from the packet.
        Learn(action: Box<Learn>) = [learn]
            NXAST_LEARN NICIRA 16 at_least(32),
            NXAST_LEARN2 NICIRA 45 at_least(40) outside sets => [learn],
            "learn" => [learn];
        /// `exit`.
        Exit = [void] NXAST_EXIT NICIRA 17 exactly(16) outside sets => "exit",
            "exit" => [is Exit];
        /// `dec_ttl(ID,…)`: who hears when the TTL ends.
        DecTtlCntIds(ids: Vec<u16>) = [counters] NXAST_DEC_TTL_CNT_IDS NICIRA 21 at_least(16) => [dec_ttl];
        /// `fin_timeout(…)`, seconds, 0 for no change.
        FinTimeout {
            /// The new idle timeout, in seconds.
            idle: u16,
            /// The new hard timeout, in seconds.
            hard: u16
        } = [fin_timeout] NXAST_FIN_TIMEOUT NICIRA 19 exactly(16) outside sets => [fin_timeout],
            "fin_timeout" => [fin_timeout as spelt];
        /// `controller(…)`.
        Controller(action: Box<Controller>) = [controller]
            NXAST_CONTROLLER NICIRA 20 exactly(16),
            NXAST_CONTROLLER2 NICIRA 37 at_least(16) outside sets => [controller],
            "controller" => [controller];
        /// `write_metadata:VALUE[/MASK]` as an action (NXAST_WRITE_METADATA); Open vSwitch accepts it
        /// only from OpenFlow 1.0.
        WriteMetadata {
            /// What.
            metadata: u64,
            /// Which bits.
            mask: u64
        } = [write_metadata] NXAST_WRITE_METADATA NICIRA 22 exactly(32) outside sets => [write_metadata];
        /// `push:SRC[bits]` onto the stack.
        Push(src: Subfield) = [stack_push] NXAST_STACK_PUSH NICIRA 27 exactly(24) outside sets => "push:{src}",
            "push" => [push];
        /// `pop:DST[bits]` off the stack.
        Pop(dst: Subfield) = [stack_pop] NXAST_STACK_POP NICIRA 28 exactly(24) outside sets => "pop:{dst}",
            "pop" => [pop];
        /// `sample(…)`.
        Sample(action: Box<Sample>) = [sample]
            NXAST_SAMPLE NICIRA 29 exactly(24),
            NXAST_SAMPLE2 NICIRA 38 exactly(32),
            NXAST_SAMPLE3 NICIRA 41 exactly(32) outside sets => [sample],
            "sample" => [sample];
        /// `conjunction(ID, CLAUSE/N)`. The clause counts from 0 here and on the wire, from 1 in text.
        Conjunction {
            /// Which conjunction.
            id: u32,
            /// Which of its clauses, from 0.
            clause: u8,
            /// How many clauses it has, 2 to 64.
            n_clauses: u8
        } = [conjunction] NXAST_CONJUNCTION NICIRA 34 exactly(16) outside sets => [conjunction],
            "conjunction" => [conjunction];
        /// `ct(…)`.
        Ct(action: Box<Ct>) = [ct] NXAST_CT NICIRA 35 at_least(24) => [ct],
            "ct" => [ct];
        /// `nat(…)`; only within [`Action::Ct`].
        Nat(action: Nat) = [nat in place] NXAST_NAT NICIRA 36 at_least(16) outside sets => [nat],
            "nat" => [nat_action];
        /// `ct_clear`.
        CtClear = [void] NXAST_CT_CLEAR NICIRA 43 exactly(16) => "ct_clear",
            "ct_clear" => [is CtClear];
        /// `output(port=PORT,max_len=LEN)`.
        OutputTrunc {
            /// Where to.
            port: PortNo,
            /// How many bytes at most.
            max_len: u32
        } = [output_trunc] NXAST_OUTPUT_TRUNC NICIRA 39 exactly(16) outside sets => [output_trunc];
        /// `clone(…)`.
        Clone(actions: Vec<Action>) = [clone] NXAST_CLONE NICIRA 42 at_least(16) outside sets => [clone],
            "clone" => [clone_];
        /// `encap(…)`.
        Encap(action: Box<Encap>) = [encap] NXAST_ENCAP NICIRA 46 at_least(16) => [encap],
            "encap" => [encap];
        /// `decap(…)`.
        Decap {
            /// What remains: `(namespace << 16) | type`, 0xfffe if the switch is to find out.
            packet_type: u32
        } = [decap] NXAST_DECAP NICIRA 47 at_least(16) => [decap],
            "decap" => [decap];
        /// `dec_nsh_ttl`.
        DecNshTtl = [void] NXAST_DEC_NSH_TTL NICIRA 48 exactly(16) => "dec_nsh_ttl",
            "dec_nsh_ttl" => [dec_nsh_ttl as spelt];
        /// `check_pkt_larger(LEN)->DST[bit]`.
        CheckPktLarger {
            /// Where the answer goes, one bit.
            dst: Subfield,
            /// The length, in bytes.
            pkt_len: u16
        } = [check_pkt_larger] NXAST_CHECK_PKT_LARGER NICIRA 49 at_least(24) outside sets => "check_pkt_larger({pkt_len})->{dst}",
            "check_pkt_larger" => [check_pkt_larger];
        /// `delete_field:FIELD`.
        DeleteField(field: Field) = [delete_field] NXAST_DELETE_FIELD NICIRA 50 exactly(24) outside sets => "delete_field:{field}",
            "delete_field" => [delete_field];
        /// Forces the slow path, for tests of Open vSwitch.
        DebugSlow = [void] NXAST_DEBUG_SLOW NICIRA 254 exactly(16) outside sets => "debug_slow",
            "debug_slow" => [is DebugSlow];
        /// Forces a recirculation, for tests of Open vSwitch.
        DebugRecirc = [void] NXAST_DEBUG_RECIRC NICIRA 255 exactly(16) outside sets => "debug_recirc",
            "debug_recirc" => [is DebugRecirc];
    }
    besides {
        /// One of the setters of OpenFlow 1.1, deprecated since 1.2, which Open vSwitch accepts.
        Legacy(Legacy),
        /// An action of another experimenter, as it came: all of it, its header included.
        Unknown(Box<[u8]>),
    }
}

// Their words say what `set_field` does since, and are read as that.
actions! {
    /// The setters of OpenFlow 1.1.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    #[allow(missing_docs, reason = "each is named as the field it sets")]
    enum Legacy {
        VlanVid(v: u16) = [vid] OFPAT_SET_VLAN_VID OF 1 exactly(8) => "set_vlan_vid:{v}",
            "set_vlan_vid" => [set_vlan_vid], "mod_vlan_vid" => [mod_vlan_vid];
        VlanPcp(v: u8) = [pcp] OFPAT_SET_VLAN_PCP OF 2 exactly(8) => "set_vlan_pcp:{v}",
            "set_vlan_pcp" => [set_vlan_pcp], "mod_vlan_pcp" => [mod_vlan_pcp];
        DlSrc(v: MacAddr) = [mac] OFPAT_SET_DL_SRC OF 3 exactly(16) => "mod_dl_src:{v}",
            "mod_dl_src" => [mod_dl_src];
        DlDst(v: MacAddr) = [mac] OFPAT_SET_DL_DST OF 4 exactly(16) => "mod_dl_dst:{v}",
            "mod_dl_dst" => [mod_dl_dst];
        NwSrc(v: u32) = [whole] OFPAT_SET_NW_SRC OF 5 exactly(8) => [mod_nw_src],
            "mod_nw_src" => [mod_nw_src as spelt];
        NwDst(v: u32) = [whole] OFPAT_SET_NW_DST OF 6 exactly(8) => [mod_nw_dst],
            "mod_nw_dst" => [mod_nw_dst as spelt];
        NwTos(v: u8) = [tos] OFPAT_SET_NW_TOS OF 7 exactly(8) => "mod_nw_tos:{v}",
            "mod_nw_tos" => [mod_nw_tos as spelt];
        NwEcn(v: u8) = [ecn] OFPAT_SET_NW_ECN OF 8 exactly(8) => "mod_nw_ecn:{v}",
            "mod_nw_ecn" => [mod_nw_ecn as spelt];
        TpSrc(v: u16) = [left16] OFPAT_SET_TP_SRC OF 9 exactly(8) => "mod_tp_src:{v}",
            "mod_tp_src" => [mod_tp_src];
        TpDst(v: u16) = [left16] OFPAT_SET_TP_DST OF 10 exactly(8) => "mod_tp_dst:{v}",
            "mod_tp_dst" => [mod_tp_dst];
        MplsLabel(v: u32) = [whole] OFPAT_SET_MPLS_LABEL OF 13 exactly(8) => "set_mpls_label({v})",
            "set_mpls_label" => [set_mpls_label as spelt];
        MplsTc(v: u8) = [left8] OFPAT_SET_MPLS_TC OF 14 exactly(8) => "set_mpls_tc({v})",
            "set_mpls_tc" => [set_mpls_tc as spelt];
    }
}

impl From<Legacy> for Action {
    #[inline]
    fn from(legacy: Legacy) -> Self {
        Action::Legacy(legacy)
    }
}
