//! How the API server is reached: by a kubeconfig file, or as a pod of the cluster.
//!
//! Files are read anew for every client, so that a certificate or an address that changed is taken in with the next
//! attempt.

use std::path::PathBuf;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long the server may be silent. It sends a bookmark on every watch each minute.
const SILENCE: Duration = Duration::from_secs(150);

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The kubeconfig file cannot be used.
    #[error("kubeconfig {path}: {message}")]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// This is no pod, or its account is not mounted.
    #[error("not a pod with a service account: {0}")]
    InCluster(String),
    /// The address given is none.
    #[error("{0:?} is no URL of an API server")]
    Server(String),
    /// TLS cannot be set up.
    #[error("cannot set up a client: {0}")]
    Client(String),
}

/// The way to the API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// The kubeconfig file; without it, the service account of the pod that this is.
    pub kubeconfig: Option<PathBuf>,
    /// The server's URL, instead of the one in the file or in the pod's environment, which is a Service that only
    /// works once we do.
    pub server: Option<String>,
}

impl Access {
    /// A client, made of what the files say now.
    ///
    /// # Errors
    /// When they do not say enough.
    pub async fn client(&self) -> Result<Client, AccessError> {
        let mut config = match &self.kubeconfig {
            Some(path) => {
                let wrong = |error: kube::config::KubeconfigError| AccessError::Kubeconfig {
                    path: path.clone(),
                    message: chain(&error),
                };
                let file = Kubeconfig::read_from(path).map_err(wrong)?;
                Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
                    .await
                    .map_err(wrong)?
            }
            None => {
                Config::incluster_env().map_err(|error| AccessError::InCluster(chain(&error)))?
            }
        };
        if let Some(server) = &self.server {
            config.cluster_url = server
                .parse()
                .map_err(|_| AccessError::Server(server.clone()))?;
        }
        config.connect_timeout = Some(CONNECT);
        config.read_timeout = Some(SILENCE);
        config.reset_reader_on_write = true;
        // We try again ourselves, and say so.
        config.default_retry = false;
        Client::try_from(config).map_err(|error| AccessError::Client(chain(&error)))
    }
}

/// An error with what caused it, each thing said once.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}
