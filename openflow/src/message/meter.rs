//! Meters: METER_MOD (OpenFlow 1.3 §7.3.4.4), their configuration, statistics and features (§7.3.5.12 to §7.3.5.14).

mod parse;

use crate::error::{DecodeError, EncodeError, ErrorKind};
use crate::wire::{Reader, Writer};

/// The number of a meter: `ofp_meter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MeterId(pub u32);

impl MeterId {
    /// The highest number of a flow's meter.
    pub const MAX: MeterId = MeterId(0xffff_0000);
    /// For packets sent to slow paths.
    pub const SLOWPATH: MeterId = MeterId(0xffff_fffd);
    /// For packets sent to the controller.
    pub const CONTROLLER: MeterId = MeterId(0xffff_fffe);
    /// Every meter, in deletions and requests.
    pub const ALL: MeterId = MeterId(0xffff_ffff);
}

/// `ofp_meter_flags`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct MeterFlags(pub u16);

impl MeterFlags {
    /// Rates are in kbit/s.
    pub const KBPS: u16 = 1;
    /// Rates are in packets per second.
    pub const PKTPS: u16 = 2;
    /// Burst sizes are given.
    pub const BURST: u16 = 4;
    /// Statistics are kept.
    pub const STATS: u16 = 8;
}

/// What happens to packets above a rate: `ofp_meter_band_header` (§7.3.4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MeterBand {
    /// What.
    pub kind: BandKind,
    /// Above which rate, in kbit/s or packets per second, as the flags say.
    pub rate: u32,
    /// Burst size, in kbit or packets, as the flags say; it counts with [`MeterFlags::BURST`] only.
    pub burst_size: u32,
}

/// `ofp_meter_band_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BandKind {
    /// They are dropped.
    Drop,
    /// Their drop precedence in the DSCP field is raised.
    DscpRemark {
        /// By how much.
        prec_level: u8,
    },
    /// What an experimenter says, which Open vSwitch refuses.
    Experimenter {
        /// Who.
        experimenter: u32,
    },
}

/// The type of an experimenter's band.
const EXPERIMENTER: u16 = 0xffff;

impl MeterBand {
    fn decode_all(r: &mut Reader<'_>) -> Result<Vec<MeterBand>, DecodeError> {
        let mut bands = Vec::with_capacity(r.len() / 16);
        while !r.is_empty() {
            match Self::decode(r) {
                Ok(band) => bands.push(band),
                // Open vSwitch looks into each before it goes on to the next.
                Err(error) => return Err(Self::check(&bands).err().unwrap_or(error)),
            }
        }
        Ok(bands)
    }

    /// ```text
    ///  0 … 1  2 … 3  4 … 7  8 … 11      12 … 15
    /// +------+------+------+-----------+--------------------------+
    /// | type |  16  | rate |burst_size | prec_level, experimenter |
    /// +------+------+------+-----------+--------------------------+
    /// ```
    fn decode(r: &mut Reader<'_>) -> Result<MeterBand, DecodeError> {
        let bad = r.error(ErrorKind::BrcBadLen);
        let (type_, length) = (r.u16()?, r.u16()?);
        if length != 16 || r.len() < 12 {
            return Err(bad);
        }
        let (rate, burst_size) = (r.u32()?, r.u32()?);
        let last = *r.array::<4>()?;
        let [prec_level, ..] = last;
        let kind = match type_ {
            1 => BandKind::Drop,
            2 => BandKind::DscpRemark { prec_level },
            EXPERIMENTER => BandKind::Experimenter {
                experimenter: u32::from_be_bytes(last),
            },
            _ => return Err(r.error(ErrorKind::MmfcBadBand)),
        };
        Ok(MeterBand {
            kind,
            rate,
            burst_size,
        })
    }

    /// Checks that Open vSwitch knows what `bands` do.
    pub(crate) fn check(bands: &[MeterBand]) -> Result<(), DecodeError> {
        let unknown = |b: &MeterBand| matches!(b.kind, BandKind::Experimenter { .. });
        match bands.iter().any(unknown) {
            true => Err(DecodeError::new(ErrorKind::MmfcBadBand, "meter")),
            false => Ok(()),
        }
    }

    fn encode_all(bands: &[MeterBand], w: &mut Writer<'_>) {
        for band in bands {
            let (type_, last) = match band.kind {
                BandKind::Drop => (1, 0),
                BandKind::DscpRemark { prec_level } => (2, u32::from(prec_level) << 24),
                BandKind::Experimenter { experimenter } => (EXPERIMENTER, experimenter),
            };
            w.u16(type_);
            w.u16(16);
            w.u32(band.rate);
            w.u32(band.burst_size);
            w.u32(last);
        }
    }
}

/// `ofp_meter_mod_command`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MeterCommand {
    /// Makes a meter.
    Add,
    /// Changes it.
    Modify,
    /// Removes it.
    Delete,
}

/// `ofp_meter_mod`.
///
/// ```text
///  8 … 9     10 … 11  12 … 15    16 …
/// +---------+--------+----------+-------------------+
/// | command | flags  | meter_id | bands, 16 each    |
/// +---------+--------+----------+-------------------+
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MeterMod {
    /// What to do.
    pub command: MeterCommand,
    /// The meter.
    pub config: MeterConfig,
}

/// `ofp_meter_config` (§7.3.5.13): a meter.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MeterConfig {
    /// Unit and more.
    pub flags: MeterFlags,
    /// Which meter.
    pub meter: MeterId,
    /// Its bands.
    pub bands: Vec<MeterBand>,
}

impl MeterMod {
    pub(crate) fn decode_body(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let command = r.u16()?;
        let flags = r.u16()?;
        let meter = MeterId(r.u32()?);
        let command = match command {
            0 => MeterCommand::Add,
            1 => MeterCommand::Modify,
            2 => MeterCommand::Delete,
            _ => return Err(r.error(ErrorKind::MmfcBadCommand)),
        };
        let both = MeterFlags::KBPS | MeterFlags::PKTPS;
        if command != MeterCommand::Delete && flags & both == both {
            return Err(r.error(ErrorKind::MmfcBadFlags));
        }
        // What is said of a meter that is to be deleted does not matter.
        let bands = match MeterBand::decode_all(&mut r.clone()) {
            Err(error) if command != MeterCommand::Delete => return Err(error),
            bands => bands.unwrap_or_default(),
        };
        r.take_rest();
        Ok(MeterMod {
            command,
            config: MeterConfig {
                flags: MeterFlags(flags),
                meter,
                bands,
            },
        })
    }

    pub(crate) fn encode_body(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        w.u16(match self.command {
            MeterCommand::Add => 0,
            MeterCommand::Modify => 1,
            MeterCommand::Delete => 2,
        });
        w.u16(self.config.flags.0);
        w.u32(self.config.meter.0);
        MeterBand::encode_all(&self.config.bands, w);
        Ok(())
    }
}

impl MeterConfig {
    pub(crate) fn decode_body(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let bad = r.error(ErrorKind::BrcBadLen);
        let length = r
            .rest()
            .first_chunk::<2>()
            .map(|b| usize::from(u16::from_be_bytes(*b)))
            .ok_or(bad)?;
        if length < 8 || length > r.len() {
            return Err(bad);
        }
        let mut r = r.sub(length)?;
        r.skip(2)?;
        let (flags, meter) = (MeterFlags(r.u16()?), MeterId(r.u32()?));
        Ok(MeterConfig {
            flags,
            meter,
            bands: MeterBand::decode_all(&mut r)?,
        })
    }

    pub(crate) fn encode_body(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        let start = w.pos();
        let length = w.length(start);
        w.u16(self.flags.0);
        w.u32(self.meter.0);
        MeterBand::encode_all(&self.bands, w);
        w.end(length, "meter config")
    }
}

/// `ofp_meter_stats` (§7.3.5.12): the counters of a meter.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MeterStats {
    /// Which meter.
    pub meter: MeterId,
    /// Flows that point at it.
    pub flow_count: u32,
    /// Packets in.
    pub packet_in_count: u64,
    /// Bytes in.
    pub byte_in_count: u64,
    /// Age in seconds.
    pub duration_sec: u32,
    /// And nanoseconds beyond these.
    pub duration_nsec: u32,
    /// Packets and bytes that each band met.
    pub bands: Vec<(u64, u64)>,
}

impl MeterStats {
    pub(crate) fn decode_body(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let bad = r.error(ErrorKind::BrcBadLen);
        if r.len() < 40 {
            return Err(bad);
        }
        let meter = MeterId(r.u32()?);
        let length = usize::from(r.u16()?);
        if length < 40 || (length - 40) % 16 != 0 || length - 6 > r.len() {
            return Err(bad);
        }
        let mut r = r.sub(length - 6)?;
        r.skip(6)?;
        let flow_count = r.u32()?;
        let (packet_in_count, byte_in_count) = (r.u64()?, r.u64()?);
        let (duration_sec, duration_nsec) = (r.u32()?, r.u32()?);
        let mut bands = Vec::with_capacity(r.len() / 16);
        while !r.is_empty() {
            bands.push((r.u64()?, r.u64()?));
        }
        Ok(MeterStats {
            meter,
            flow_count,
            packet_in_count,
            byte_in_count,
            duration_sec,
            duration_nsec,
            bands,
        })
    }

    pub(crate) fn encode_body(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        let start = w.pos();
        w.u32(self.meter.0);
        let length = w.length(start);
        w.zeros(6);
        w.u32(self.flow_count);
        w.u64(self.packet_in_count);
        w.u64(self.byte_in_count);
        w.u32(self.duration_sec);
        w.u32(self.duration_nsec);
        for (packets, bytes) in &self.bands {
            w.u64(*packets);
            w.u64(*bytes);
        }
        w.end(length, "meter stats")
    }
}

/// `ofp_meter_features` (§7.3.5.14): what meters the switch can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MeterFeatures {
    /// How many.
    pub max_meter: u32,
    /// Bit `n` says whether band type `n` is supported.
    pub band_types: u32,
    /// [`MeterFlags`] that are supported.
    pub capabilities: u32,
    /// Bands a meter can have.
    pub max_bands: u8,
    /// Highest colour value.
    pub max_color: u8,
}

impl MeterFeatures {
    pub(crate) fn decode_body(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let features = MeterFeatures {
            max_meter: r.u32()?,
            band_types: r.u32()?,
            capabilities: r.u32()?,
            max_bands: r.u8()?,
            max_color: r.u8()?,
        };
        r.skip(2)?;
        Ok(features)
    }

    pub(crate) fn encode_body(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        w.u32(self.max_meter);
        w.u32(self.band_types);
        w.u32(self.capabilities);
        w.u8(self.max_bands);
        w.u8(self.max_color);
        w.zeros(2);
        Ok(())
    }
}
