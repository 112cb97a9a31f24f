//! Reads meters as `ovs-ofctl add-meter` does, ovs-ofctl(8) "Meter Syntax".

use std::str::FromStr;

use super::{BandKind, MeterBand, MeterCommand, MeterConfig, MeterFlags, MeterId, MeterMod};
use crate::error::{ParseError, parse_error};
use crate::text::scan;

type Result<T> = std::result::Result<T, ParseError>;

/// The meter is added.
impl FromStr for MeterMod {
    type Err = ParseError;

    fn from_str(s: &str) -> Result<Self> {
        Self::parse(MeterCommand::Add, s)
    }
}

/// The words of a text, whose separators depend on what is asked for.
struct Words<'a>(&'a str);

impl<'a> Words<'a> {
    fn next(&mut self, separators: &[char]) -> Option<&'a str> {
        let s = self.0.trim_start_matches(separators);
        let end = s.find(separators).unwrap_or(s.len());
        let (word, rest) = s.split_at(end);
        let mut rest = rest.chars();
        rest.next();
        self.0 = rest.as_str();
        (!word.is_empty()).then_some(word)
    }

    fn name(&mut self) -> Option<&'a str> {
        self.next(&['=', ',', ' ', '\t', '\r', '\n'])
    }

    fn value(&mut self, name: &str) -> Result<&'a str> {
        self.next(&[',', ' ', '\t', '\r', '\n'])
            .ok_or_else(|| parse_error!("field {name} missing value"))
    }
}

impl MeterMod {
    /// Reads a meter for `command`, as `ovs-ofctl add-meter`, `mod-meter` and `del-meters` do:
    /// `meter=3,kbps,burst,band=type=drop,rate=1000,burst_size=100`.
    ///
    /// ```
    /// use openflow::message::{MeterCommand, MeterMod};
    /// let meter = MeterMod::parse(MeterCommand::Add, "meter=3,pktps,bands=type=drop,rate=1000")?;
    /// assert_eq!((meter.config.meter.0, meter.config.bands.len()), (3, 1));
    /// # Ok::<(), openflow::ParseError>(())
    /// ```
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn parse(command: MeterCommand, s: &str) -> Result<Self> {
        let deletes = command == MeterCommand::Delete;
        let mut config = MeterConfig {
            flags: MeterFlags::default(),
            meter: MeterId(0),
            bands: Vec::new(),
        };
        let (head, bands) = if deletes {
            (s, "")
        } else {
            let bands = s
                .split_once("band")
                .map(|(head, rest)| (head, rest.split_once('=')));
            match bands {
                Some((head, Some((_, bands)))) => (head, bands),
                _ => return Err(parse_error!("must specify bands")),
            }
        };
        let mut words = Words(head);
        while let Some(name) = words.name() {
            let flag = match name {
                "kbps" => MeterFlags::KBPS,
                "pktps" => MeterFlags::PKTPS,
                "burst" => MeterFlags::BURST,
                "stats" => MeterFlags::STATS,
                _ => 0,
            };
            if flag != 0 && !deletes {
                config.flags.0 |= flag;
                continue;
            }
            let value = words.value(name)?;
            if name != "meter" {
                return Err(parse_error!("unknown keyword {name}"));
            }
            config.meter = meter_id(value)?;
        }
        if config.meter.0 == 0 {
            return Err(parse_error!("must specify 'meter'"));
        }
        if !deletes {
            if config.flags.0 == 0 {
                return Err(parse_error!("meter must specify either 'kbps' or 'pktps'"));
            }
            config.bands = parse_bands(bands)?;
            let burst = config.flags.0 & MeterFlags::BURST != 0;
            config
                .bands
                .iter()
                .try_for_each(|band| check(band, burst))?;
        }
        Ok(MeterMod { command, config })
    }
}

fn meter_id(value: &str) -> Result<MeterId> {
    Ok(match value {
        "all" => MeterId::ALL,
        "controller" => MeterId::CONTROLLER,
        "slowpath" => MeterId::SLOWPATH,
        _ => match MeterId(scan::strtou32(value)?) {
            MeterId(0) => return Err(parse_error!("invalid value for meter")),
            id if id > MeterId::MAX => return Err(parse_error!("invalid value for meter")),
            id => id,
        },
    })
}

fn parse_bands(s: &str) -> Result<Vec<MeterBand>> {
    let (mut bands, mut words) = (Vec::<MeterBand>::new(), Words(s));
    // Which have one, although it may be zero.
    let mut levels = Vec::new();
    while let Some(name) = words.name() {
        let value = words.value(name)?;
        if name == "type" {
            let kind = match value {
                "drop" => BandKind::Drop,
                "dscp_remark" => BandKind::DscpRemark { prec_level: 0 },
                _ => return Err(parse_error!("field type unknown value {value}")),
            };
            levels.push(0);
            bands.push(MeterBand {
                kind,
                rate: 0,
                burst_size: 0,
            });
            continue;
        }
        let (Some(band), Some(level)) = (bands.last_mut(), levels.last_mut()) else {
            return Err(parse_error!("band must start with the 'type' keyword"));
        };
        match name {
            "rate" => band.rate = scan::strtou32(value)?,
            "burst_size" => band.burst_size = scan::strtou32(value)?,
            "prec_level" => *level = scan::u8(value, name)?,
            _ => return Err(parse_error!("unknown keyword {name}")),
        }
    }
    for (band, level) in bands.iter_mut().zip(levels) {
        match &mut band.kind {
            BandKind::DscpRemark { prec_level } => *prec_level = level,
            _ if level != 0 => {
                return Err(parse_error!(
                    "Only 'dscp_remark' band may have 'prec_level'"
                ));
            }
            _ => {}
        }
    }
    if bands.is_empty() {
        return Err(parse_error!("meter must have bands"));
    }
    Ok(bands)
}

fn check(band: &MeterBand, burst: bool) -> Result<()> {
    let problem = match band {
        MeterBand {
            kind: BandKind::DscpRemark { prec_level: 0 },
            ..
        } => "'dscp_remark' band must have 'prec_level'",
        MeterBand { rate: 0, .. } => "band must have 'rate'",
        MeterBand { burst_size: 0, .. } if burst => {
            "band must have 'burst_size' when 'burst' flag is set"
        }
        MeterBand {
            burst_size: 1.., ..
        } if !burst => "band may have 'burst_size' only when 'burst' flag is set",
        _ => return Ok(()),
    };
    Err(ParseError::new(problem))
}
