//! The types of configuration values: each has one text form.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;

macro_rules! choice {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $($(#[$vmeta])* $variant,)+ }

        impl $name {
            /// The name, as in the configuration.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(self.as_str()) }
        }

        impl FromStr for $name {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err(format!("expected one of {}", [$($text),+].join(", "))),
                }
            }
        }
    };
}

choice! {
    /// Which datapath carries the bridge (`Bridge.datapath_type`).
    DatapathType {
        /// The kernel's.
        System = "system",
        /// OVS's own, in userspace.
        Netdev = "netdev",
    }
}

choice! {
    /// Tunnel between nodes (`Interface.type` of the tunnel port).
    TunnelType {
        /// VXLAN, RFC 7348.
        Vxlan = "vxlan",
        /// Geneve, RFC 8926.
        Geneve = "geneve",
        /// GRE, RFC 2890.
        Gre = "gre",
        /// STT; left Open vSwitch in 3.6.
        Stt = "stt",
        /// No tunnel port.
        None = "none",
    }
}

choice! {
    /// How pods are attached.
    AttachMode {
        /// An OVS internal port moved into the pod.
        Internal = "internal",
        /// A veth pair with its host end on the bridge.
        Veth = "veth",
    }
}

choice! {
    /// The form of the log.
    LogFormat {
        /// For people.
        Text = "text",
        /// One JSON object a line.
        Json = "json",
    }
}

/// A piece of text without white space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word(String);

impl Word {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Deref for Word {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Word {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() {
            return Err("must not be empty");
        }
        if text.contains(char::is_whitespace) {
            return Err("must not contain white space");
        }
        Ok(Self(text.to_owned()))
    }
}

/// A value that may be absent: the empty text and `none` mean so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Optional<T>(pub Option<T>);

impl<T: FromStr> FromStr for Optional<T> {
    type Err = T::Err;
    fn from_str(text: &str) -> Result<Self, T::Err> {
        match text {
            "" | "none" => Ok(Self(None)),
            text => text.parse().map(|value| Self(Some(value))),
        }
    }
}

/// Address ranges, comma-separated in text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cidrs(pub Vec<IpNet>);

impl FromStr for Cidrs {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let mut ranges = Vec::new();
        for part in text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
        {
            let range: IpNet = part
                .parse()
                .map_err(|_| format!("{part:?} is no address range"))?;
            ranges.push(range.trunc());
        }
        Ok(Self(ranges))
    }
}

/// A length of time: a number and `ms`, `s`, `m` or `h`; a bare number counts seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(pub Duration);

impl FromStr for Span {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "expected a length of time such as 500ms, 20s, 5m or 1h";
        let split = text
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len());
        let (number, unit) = text.split_at(split);
        let number: u64 = number.parse().map_err(|_| WRONG)?;
        let milliseconds = match unit {
            "ms" => 1,
            "" | "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(WRONG),
        };
        let total = number
            .checked_mul(milliseconds)
            .filter(|&total| total > 0)
            .ok_or(WRONG)?;
        Ok(Self(Duration::from_millis(total)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans() {
        for (text, milliseconds) in [
            ("500ms", 500),
            ("20", 20_000),
            ("20s", 20_000),
            ("5m", 300_000),
            ("1h", 3_600_000),
        ] {
            assert_eq!(
                text.parse(),
                Ok(Span(Duration::from_millis(milliseconds))),
                "{text}"
            );
        }
        for text in [
            "",
            "s",
            "-1s",
            "1.5s",
            "1d",
            "0",
            "99999999999999999999h",
            "9999999999999999999h",
        ] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }

    #[test]
    fn cidrs_lose_their_host_bits() {
        let cidrs: Cidrs = "10.0.1.7/24, fd00::1/64".parse().expect("parsed");
        assert_eq!(
            cidrs.0,
            [
                "10.0.1.0/24".parse().expect("v4"),
                "fd00::/64".parse().expect("v6")
            ]
        );
        assert!("10.0.0.0".parse::<Cidrs>().is_err());
    }
}
