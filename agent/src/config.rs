//! The configuration of the agent: what each key means, and how flags, environment, file and
//! defaults combine (in this order; the first that names a key wins).
//!
//! Each key is declared once, in the `keys!` table below: the field, its flag, its environment
//! variable, its default and the text that `--help` prints all follow from that line. A value has
//! one text form, whatever it came from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::source::kubernetes::Access;

mod values;

pub use values::{AttachMode, Cidrs, DatapathType, LogFormat, Optional, Span, TunnelType, Word};

/// One key: what `--help`, the file and the environment know of it.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// The name in the file, and after `--` the flag.
    pub name: &'static str,
    /// The environment variable.
    pub env: &'static str,
    /// The value when nothing names the key, in text form; empty where there is none.
    pub default: &'static str,
    /// What it means.
    pub help: &'static str,
}

macro_rules! keys {
    ($($(#[doc = $doc:literal])+ $field:ident: $type:ty = $name:literal, $env:literal, $default:literal;)+) => {
        /// All keys, in the order in which `--help` prints them.
        pub const KEYS: &[Key] = &[$(Key {
            name: $name, env: $env, default: $default, help: concat!($($doc),+),
        }),+];

        /// The configuration of one agent, every key decided.
        #[derive(Debug, Clone, PartialEq)]
        pub struct Config { $($(#[doc = $doc])+ pub $field: $type,)+ }

        impl Config {
            fn parse(values: &BTreeMap<&'static str, (String, Origin)>) -> Result<Self, ConfigError> {
                Ok(Self { $($field: one::<$type>(values, $name, $default)?,)+ })
            }
        }
    };
}

keys! {
    /// Name of this node, as the cluster state spells it; the host name if not given.
    node_name: Optional<Word> = "node-name", "SLUICE_NODE_NAME", "";
    /// Address ranges of this node's pods, comma-separated; without it they come from the Node object.
    pod_cidrs: Cidrs = "pod-cidrs", "SLUICE_POD_CIDRS", "";
    /// Folder of Kubernetes manifests to take the cluster state from, watched.
    manifests: Optional<PathBuf> = "manifests", "SLUICE_MANIFESTS", "";
    /// How to reach the Kubernetes API to take the cluster state from: a kubeconfig file, or in-cluster for the pod's own account.
    kubeconfig: Optional<PathBuf> = "kubeconfig", "SLUICE_KUBECONFIG", "";
    /// URL of the API server instead of the one that the kubeconfig or the pod's environment names: one that is reached without Services.
    kubernetes_server: Optional<Word> = "kubernetes-server", "SLUICE_KUBERNETES_SERVER", "";
    /// File that keeps the last known state of the Kubernetes API, for a start while it does not answer.
    state_file: Optional<PathBuf> = "state-file", "SLUICE_STATE_FILE", "";
    /// OVSDB server of the switch: unix:PATH or tcp:HOST:PORT.
    ovsdb: Word = "ovsdb", "SLUICE_OVSDB", "unix:/var/run/openvswitch/db.sock";
    /// OpenFlow endpoint of the bridge: unix:PATH or tcp:HOST:PORT; if not given, BRIDGE.mgmt beside the OVSDB socket.
    openflow: Optional<Word> = "openflow", "SLUICE_OPENFLOW", "";
    /// Name of the bridge that the agent owns.
    bridge: Word = "bridge", "SLUICE_BRIDGE", "br-sluice";
    /// Datapath of the bridge: system (kernel) or netdev (userspace).
    datapath_type: DatapathType = "datapath-type", "SLUICE_DATAPATH_TYPE", "system";
    /// Name of the internal port through which the host reaches its pods.
    gateway: Word = "gateway", "SLUICE_GATEWAY", "sluice0";
    /// Tunnel between nodes: vxlan, geneve, gre, stt, or none.
    tunnel: TunnelType = "tunnel", "SLUICE_TUNNEL", "geneve";
    /// Name of the tunnel port.
    tunnel_name: Word = "tunnel-name", "SLUICE_TUNNEL_NAME", "sluice-tun";
    /// UDP or TCP destination port of the tunnel, if not the one of its type.
    tunnel_dst_port: Optional<u16> = "tunnel-dst-port", "SLUICE_TUNNEL_DST_PORT", "";
    /// MTU of the network between the nodes, bytes; the pods' MTU follows from it and from the tunnel.
    underlay_mtu: u16 = "underlay-mtu", "SLUICE_UNDERLAY_MTU", "1500";
    /// True if the tunnel runs over IPv6, whose header is longer.
    underlay_ipv6: bool = "underlay-ipv6", "SLUICE_UNDERLAY_IPV6", "false";
    /// How pods are attached: internal (an OVS internal port) or veth.
    attach: AttachMode = "attach", "SLUICE_ATTACH", "internal";
    /// True to masquerade what pods send beyond pods and nodes.
    masquerade: bool = "masquerade", "SLUICE_MASQUERADE", "true";
    /// Which of the node's addresses serve node ports, comma-separated prefixes; its first InternalIP of each family if not given.
    node_port_addresses: Cidrs = "node-port-addresses", "SLUICE_NODE_PORT_ADDRESSES", "";
    /// True to serve externalIPs of Services: whoever may write a Service may then take any address for it.
    external_ips: bool = "external-ips", "SLUICE_EXTERNAL_IPS", "false";
    /// Unix socket for the CNI plugin and sluicectl.
    socket: PathBuf = "socket", "SLUICE_SOCKET", "/run/sluice/agent.sock";
    /// Address of /healthz, /readyz and /metrics; none to have no listener.
    http: Optional<std::net::SocketAddr> = "http", "SLUICE_HTTP", "127.0.0.1:9810";
    /// CNI network configuration list to write once ready; none to write none.
    conflist: Optional<PathBuf> = "conflist", "SLUICE_CONFLIST", "/etc/cni/net.d/10-sluice.conflist";
    /// Longest time that a CNI ADD may take before it is rolled back, such as 20s or 500ms.
    add_timeout: Span = "add-timeout", "SLUICE_ADD_TIMEOUT", "20s";
    /// How often the switch is read back and compared with what is wanted.
    audit_interval: Span = "audit-interval", "SLUICE_AUDIT_INTERVAL", "5m";
    /// How long a stopping agent lets requests under way finish.
    drain_timeout: Span = "drain-timeout", "SLUICE_DRAIN_TIMEOUT", "20s";
    /// What to log: a level (error, warn, info, debug, trace) or tracing directives.
    log: Word = "log", "SLUICE_LOG", "info";
    /// Form of the log: text or json.
    log_format: LogFormat = "log-format", "SLUICE_LOG_FORMAT", "text";
}

/// Where a value came from, for messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A command line flag.
    Flag,
    /// An environment variable.
    Environment,
    /// The configuration file.
    File(PathBuf),
    /// The built-in default.
    Default,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Origin::Flag => write!(f, "the command line"),
            Origin::Environment => write!(f, "the environment"),
            Origin::File(path) => write!(f, "{}", path.display()),
            Origin::Default => write!(f, "the defaults"),
        }
    }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{path}: {message}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What the parser said, with line and column.
        message: String,
    },
    /// The file names keys that do not exist.
    #[error("{path}: unknown key{} {}", if keys.len() == 1 { "" } else { "s" }, keys.join(", "))]
    UnknownKeys {
        /// The file.
        path: PathBuf,
        /// The keys.
        keys: Vec<String>,
    },
    /// A value is not what its key takes.
    #[error("`{key}` from {origin}: {message}")]
    Value {
        /// The key.
        key: &'static str,
        /// Where the value came from.
        origin: Origin,
        /// What is wrong with it.
        message: String,
    },
}

impl Config {
    /// Combines the values named on the command line and in the environment (`named`, by key) with
    /// the file, if any, and the defaults.
    ///
    /// # Errors
    /// If the file cannot be read or names unknown keys, or a value is not what its key takes.
    pub fn resolve(
        mut named: BTreeMap<&'static str, (String, Origin)>,
        file: Option<&Path>,
    ) -> Result<Self, ConfigError> {
        if let Some(path) = file {
            let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
                path: path.to_owned(),
                source,
            })?;
            for (key, value) in read_file(path, &text)? {
                named
                    .entry(key)
                    .or_insert((value, Origin::File(path.to_owned())));
            }
        }
        let config = Self::parse(&named)?;
        config.check(|key| {
            let (_, origin) = named.get(key)?;
            Some(origin.clone())
        })?;
        Ok(config)
    }

    /// The node's name: the configured one or the host name.
    pub fn node(&self) -> String {
        match &self.node_name.0 {
            Some(name) => name.to_string(),
            None => std::fs::read_to_string("/proc/sys/kernel/hostname")
                .map(|name| name.trim().to_owned())
                .unwrap_or_else(|_| "localhost".to_owned()),
        }
    }

    /// The OpenFlow endpoint: the configured one, or the bridge's management socket, which
    /// `ovs-vswitchd` puts beside the OVSDB socket.
    pub fn openflow_target(&self) -> String {
        if let Some(target) = &self.openflow.0 {
            return target.to_string();
        }
        let directory = self
            .ovsdb
            .strip_prefix("unix:")
            .and_then(|path| Path::new(path).parent())
            .unwrap_or(Path::new("/var/run/openvswitch"));
        format!("unix:{}/{}.mgmt", directory.display(), self.bridge)
    }

    /// Where the switch's sockets are, if they are on this machine.
    pub fn switch_folder(&self) -> Option<PathBuf> {
        let path = Path::new(self.ovsdb.strip_prefix("unix:")?);
        path.parent().map(Path::to_owned)
    }

    /// The way to the API server, if the cluster state comes from there.
    pub fn access(&self) -> Option<Access> {
        let file = self.kubeconfig.0.as_ref()?;
        Some(Access {
            kubeconfig: (file != Path::new("in-cluster")).then(|| file.clone()),
            server: self.kubernetes_server.0.as_ref().map(Word::to_string),
        })
    }

    /// What no value shows by itself. `origin` is where the value of a key came from, if not from the defaults.
    fn check(&self, origin: impl Fn(&str) -> Option<Origin>) -> Result<(), ConfigError> {
        let origin = |key| origin(key).unwrap_or(Origin::Default);
        for (key, name) in [
            ("bridge", &self.bridge),
            ("gateway", &self.gateway),
            ("tunnel-name", &self.tunnel_name),
        ] {
            if name.is_empty() || name.len() > 15 || name.contains('/') {
                return Err(ConfigError::Value {
                    key,
                    origin: origin(key),
                    message: format!("{name:?} is no device name (1 to 15 characters, no slash)"),
                });
            }
        }
        if self.manifests.0.is_some() && self.kubeconfig.0.is_some() {
            return Err(ConfigError::Value {
                key: "kubeconfig",
                origin: origin("kubeconfig"),
                message: "the cluster state comes from here or from `manifests`, not from both"
                    .to_owned(),
            });
        }
        Ok(())
    }
}

/// Those of these environment variables that look like a key and are none: somebody's slip. What Kubernetes tells of
/// a Service whose name begins like ours is not meant.
pub fn unknown_variables(names: impl Iterator<Item = String>) -> Vec<String> {
    let of_a_service = |name: &str| {
        name.contains("_SERVICE_HOST") || name.contains("_PORT_") || name.ends_with("_PORT")
    };
    let unknown = names.filter(|name| {
        name.starts_with("SLUICE_")
            && name != "SLUICE_CONFIG"
            && !of_a_service(name)
            && KEYS.iter().all(|key| key.env != name)
    });
    unknown.collect()
}

fn one<T>(
    values: &BTreeMap<&'static str, (String, Origin)>,
    key: &'static str,
    default: &'static str,
) -> Result<T, ConfigError>
where
    T: FromStr,
    T::Err: std::fmt::Display,
{
    let (text, origin) = match values.get(key) {
        Some((text, origin)) => (text.as_str(), origin.clone()),
        None => (default, Origin::Default),
    };
    text.parse().map_err(|error: T::Err| ConfigError::Value {
        key,
        origin,
        message: format!("{text:?}: {error}"),
    })
}

/// The keys and values of a file, in text form.
fn read_file(path: &Path, text: &str) -> Result<Vec<(&'static str, String)>, ConfigError> {
    let table: toml::Table =
        text.parse()
            .map_err(|error: toml::de::Error| ConfigError::Syntax {
                path: path.to_owned(),
                message: error.to_string(),
            })?;
    let mut unknown = Vec::new();
    let mut found = Vec::new();
    for (name, value) in table {
        match KEYS.iter().find(|key| key.name == name) {
            None => unknown.push(name),
            Some(key) => match text_of(&value) {
                Some(text) => found.push((key.name, text)),
                None => {
                    return Err(ConfigError::Value {
                        key: key.name,
                        origin: Origin::File(path.to_owned()),
                        message: format!("a {} is no value for it", value.type_str()),
                    });
                }
            },
        }
    }
    if unknown.is_empty() {
        Ok(found)
    } else {
        Err(ConfigError::UnknownKeys {
            path: path.to_owned(),
            keys: unknown,
        })
    }
}

fn text_of(value: &toml::Value) -> Option<String> {
    Some(match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Integer(number) => number.to_string(),
        toml::Value::Boolean(yes) => yes.to_string(),
        toml::Value::Array(items) => items
            .iter()
            .map(text_of)
            .collect::<Option<Vec<_>>>()?
            .join(","),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(values: &[(&'static str, &str)]) -> BTreeMap<&'static str, (String, Origin)> {
        values
            .iter()
            .map(|&(key, value)| (key, (value.to_owned(), Origin::Flag)))
            .collect()
    }

    fn with_file(text: &str, flags: &[(&'static str, &str)]) -> Result<Config, ConfigError> {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("agent.toml");
        std::fs::write(&path, text).expect("written");
        Config::resolve(named(flags), Some(&path))
    }

    #[test]
    fn every_default_parses() {
        let config = Config::resolve(BTreeMap::new(), None).expect("the defaults");
        assert_eq!(config.bridge.as_str(), "br-sluice");
        assert_eq!(config.tunnel, TunnelType::Geneve);
        assert_eq!(
            config.openflow_target(),
            "unix:/var/run/openvswitch/br-sluice.mgmt"
        );
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        let config = with_file(
            "bridge = \"br-file\"\ntunnel = \"gre\"\npod-cidrs = [\"10.1.0.0/24\", \"fd00::/64\"]\nunderlay-mtu = 9000\nmasquerade = false",
            &[("bridge", "br-flag")],
        )
        .expect("a configuration");
        assert_eq!(config.bridge.as_str(), "br-flag");
        assert_eq!(config.tunnel, TunnelType::Gre);
        assert_eq!(config.pod_cidrs.0.len(), 2);
        assert_eq!(config.underlay_mtu, 9000);
        assert!(!config.masquerade);
    }

    #[test]
    fn variables_that_are_no_keys_are_found() {
        let names = [
            "SLUICE_TUNEL",
            "SLUICE_TUNNEL_DST_PORT",
            "SLUICE_CONFIG",
            "SLUICE_PORT_443_TCP",
            "SLUICE_SERVICE_HOST",
            "PATH",
        ];
        let unknown = unknown_variables(names.map(str::to_owned).into_iter());
        assert_eq!(unknown, ["SLUICE_TUNEL"]);
    }

    #[test]
    fn unknown_keys_are_refused_by_name() {
        let error =
            with_file("bridge = \"b\"\nbrigde = \"x\"\ntunel = 1", &[]).expect_err("refused");
        assert!(
            error.to_string().ends_with("unknown keys brigde, tunel"),
            "{error}"
        );
    }

    #[test]
    fn a_bad_value_names_key_and_origin() {
        let error = with_file("tunnel = \"ipip\"", &[])
            .expect_err("refused")
            .to_string();
        assert!(
            error.contains("`tunnel` from ") && error.contains("agent.toml"),
            "{error}"
        );
        assert!(error.contains("vxlan, geneve, gre, stt, none"), "{error}");
        let error = with_file("bridge = \"a-much-too-long-name\"", &[]).expect_err("refused");
        assert!(error.to_string().contains("agent.toml"), "{error}");
        let error = Config::resolve(named(&[("bridge", "a-much-too-long-name")]), None);
        assert!(
            error
                .expect_err("refused")
                .to_string()
                .contains("no device name")
        );
    }

    /// `docs/agent.md` has the table of keys; `UPDATE_GOLDEN=1` writes it.
    #[test]
    fn the_page_has_every_key() {
        use std::fmt::Write as _;
        let mut table = String::from("| key | environment | default | |\n|---|---|---|---|\n");
        for Key {
            name,
            env,
            default,
            help,
        } in KEYS
        {
            let default = if default.is_empty() {
                String::new()
            } else {
                format!("`{default}`")
            };
            writeln!(
                table,
                "| `{name}` | `{env}` | {default} | {} |",
                help.trim()
            )
            .expect("text");
        }
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/agent.md");
        let page = std::fs::read_to_string(&path).expect("the page");
        let (before, rest) = page.split_once("<!-- keys -->\n").expect("the mark");
        let (_, after) = rest.split_once("<!-- end of keys -->").expect("the mark");
        let wanted = format!("{before}<!-- keys -->\n{table}<!-- end of keys -->{after}");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, &wanted).expect("written");
        } else {
            assert!(page == wanted, "run this test with UPDATE_GOLDEN=1");
        }
    }
}
