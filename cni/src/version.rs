//! CNI specification versions: which are served, and what each has.

use std::fmt;

use serde_json::{Map, Value};
use sluice_rpc::{CniCode, CniError};

use crate::environment::Command;

/// A served version. 0.3.0 and older have another `ips` or no lists at all, and are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum CniVersion {
    /// 0.3.1.
    V0_3_1,
    /// 0.4.0: CHECK, and `prevResult` for DEL.
    V0_4_0,
    /// 1.0.0: no `version` in `ips`.
    V1_0_0,
    /// 1.1.0: GC and STATUS, `mtu` in `interfaces`.
    #[default]
    V1_1_0,
}

impl CniVersion {
    /// All of them, oldest first.
    pub const ALL: [CniVersion; 4] = [
        CniVersion::V0_3_1,
        CniVersion::V0_4_0,
        CniVersion::V1_0_0,
        CniVersion::V1_1_0,
    ];

    /// Their names, oldest first.
    pub const NAMES: [&str; 4] = ["0.3.1", "0.4.0", "1.0.0", "1.1.0"];

    /// As it stands in `cniVersion`.
    pub fn name(self) -> &'static str {
        match self {
            CniVersion::V0_3_1 => "0.3.1",
            CniVersion::V0_4_0 => "0.4.0",
            CniVersion::V1_0_0 => "1.0.0",
            CniVersion::V1_1_0 => "1.1.0",
        }
    }

    /// The served version of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        CniVersion::ALL
            .into_iter()
            .find(|version| version.name() == name)
    }
}

impl fmt::Display for CniVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The `cniVersion` of a configuration, well-formed but perhaps not served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionField(Option<String>);

impl VersionField {
    /// Out of a network configuration. Only this key is looked at.
    ///
    /// # Errors
    /// [`CniCode::DECODE`] when it is not a version.
    pub fn of(keys: &Map<String, Value>) -> Result<Self, CniError> {
        match keys.get("cniVersion") {
            None | Some(Value::Null) => Ok(VersionField(None)),
            Some(Value::String(version)) if version.is_empty() => Ok(VersionField(None)),
            Some(Value::String(version)) if is_semver(version) => {
                Ok(VersionField(Some(version.clone())))
            }
            Some(value) => Err(CniError::new(
                CniCode::DECODE,
                format!("cniVersion {value} is not of the form MAJOR.MINOR.PATCH"),
            )),
        }
    }

    /// The version as it was given.
    pub fn given(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// The served version it names.
    ///
    /// # Errors
    /// [`CniCode::INCOMPATIBLE_VERSION`]; a missing version means one older than 0.3.0.
    pub fn supported(&self) -> Result<CniVersion, CniError> {
        let given = self.given();
        given.and_then(CniVersion::from_name).ok_or_else(|| {
            let what = match given {
                Some(version) => format!("cniVersion {version:?} is not supported"),
                None => "the network configuration has no cniVersion".to_owned(),
            };
            CniError::new(CniCode::INCOMPATIBLE_VERSION, what).with_details(format!(
                "this plugin supports {}",
                CniVersion::NAMES.join(", ")
            ))
        })
    }

    /// Whether `command` exists in `version`.
    ///
    /// # Errors
    /// [`CniCode::INCOMPATIBLE_VERSION`].
    pub fn allows(&self, command: Command, version: CniVersion) -> Result<(), CniError> {
        let since = command.since();
        if version >= since {
            return Ok(());
        }
        Err(CniError::new(
            CniCode::INCOMPATIBLE_VERSION,
            format!("cniVersion {version} has no {}", command.name()),
        )
        .with_details(format!("{} exists since {since}", command.name())))
    }
}

/// Semantic Versioning 2.0 without pre-release and build parts, which CNI never uses.
fn is_semver(text: &str) -> bool {
    let mut parts = 0;
    text.split('.').all(|part| {
        parts += 1;
        !part.is_empty() && part.len() <= 9 && part.bytes().all(|byte| byte.is_ascii_digit())
    }) && parts == 3
}
