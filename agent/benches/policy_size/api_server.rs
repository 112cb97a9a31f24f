//! A real API server, with etcd behind it, in the benchmark's namespaces. No controller runs: what there is, the
//! benchmark has written.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use axum::http::Request;
use kube::Client;
use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};

use crate::daemons::Daemon;
use crate::sandbox::run;

pub(crate) const KUBECONFIG: &str = "/run/bench/kubeconfig";
const FOLDER: &str = "/run/bench";
const SERVER: &str = "https://127.0.0.1:6443";
const PATIENCE: Duration = Duration::from_secs(120);
/// Who asks may do everything.
const TOKEN: &str = "bench";

/// A running API server.
pub(crate) struct ApiServer {
    _etcd: Daemon,
    _server: Daemon,
    client: Client,
}

/// Where its programs are: what `sluice-testbed build-kubernetes` makes, or the folder that `SLUICE_KUBERNETES_BIN`
/// names; nothing if they are not there.
pub(crate) fn programs() -> Option<PathBuf> {
    let folder = match std::env::var_os("SLUICE_KUBERNETES_BIN") {
        Some(folder) => PathBuf::from(folder),
        None => {
            let home = std::env::var_os("HOME")?;
            Path::new(&home).join(".cache/sluice/kubernetes-v1.36.2")
        }
    };
    let there = |name: &str| folder.join(name).is_file();
    (there("etcd") && there("kube-apiserver")).then_some(folder)
}

impl ApiServer {
    /// Starts both and waits until the server says that it is ready.
    ///
    /// # Errors
    /// When one of them ends, or takes too long.
    pub(crate) async fn start(programs: &Path) -> Result<Self> {
        keys()?;
        // It will not be reached by a loopback address.
        run("ip", &["addr", "add", "192.0.2.1/32", "dev", "lo"])?;
        let program = |name: &str| programs.join(name).display().to_string();
        let etcd = Daemon::start(
            "etcd",
            &program("etcd"),
            &[
                "--data-dir=/run/bench/etcd",
                "--listen-client-urls=http://127.0.0.1:2379",
                "--advertise-client-urls=http://127.0.0.1:2379",
                "--listen-peer-urls=http://127.0.0.1:2380",
                "--unsafe-no-fsync",
                "--log-level=warn",
            ],
        )?;
        let mut server = Daemon::start(
            "kube-apiserver",
            &program("kube-apiserver"),
            &[
                "--etcd-servers=http://127.0.0.1:2379",
                "--bind-address=127.0.0.1",
                "--advertise-address=192.0.2.1",
                "--endpoint-reconciler-type=none",
                "--secure-port=6443",
                "--tls-cert-file=/run/bench/server.crt",
                "--tls-private-key-file=/run/bench/server.key",
                "--token-auth-file=/run/bench/tokens.csv",
                "--authorization-mode=AlwaysAllow",
                "--service-cluster-ip-range=10.96.0.0/16",
                "--service-account-key-file=/run/bench/accounts.key",
                "--service-account-signing-key-file=/run/bench/accounts.key",
                "--service-account-issuer=https://kubernetes.default.svc",
                // It would wait for what a controller makes.
                "--disable-admission-plugins=ServiceAccount",
            ],
        )?;
        let config = Kubeconfig::read_from(KUBECONFIG)?;
        let config = Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await?;
        let client = Client::try_from(config)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            server.running()?;
            // The namespace is the last that it makes by itself.
            let path = "/api/v1/namespaces/default";
            let found = client.request_text(Request::get(path).body(Vec::new())?);
            match found.await {
                Ok(_) => break,
                Err(error) if Instant::now() > deadline => {
                    return Err(error).context("the API server does not become ready");
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
        Ok(Self {
            _etcd: etcd,
            _server: server,
            client,
        })
    }

    /// Makes an object.
    ///
    /// # Errors
    /// What the server says.
    pub(crate) async fn create(&self, collection: &str, object: &Value) -> Result<()> {
        self.send("POST", collection, serde_json::to_vec(object)?)
            .await
    }

    /// Puts an object in the place of the one of its name.
    ///
    /// # Errors
    /// What the server says.
    pub(crate) async fn replace(&self, path: &str, object: &Value) -> Result<()> {
        self.send("PUT", path, serde_json::to_vec(object)?).await
    }

    /// Takes an object away.
    ///
    /// # Errors
    /// What the server says.
    pub(crate) async fn delete(&self, path: &str) -> Result<()> {
        self.send("DELETE", path, Vec::new()).await
    }

    async fn send(&self, method: &str, path: &str, body: Vec<u8>) -> Result<()> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", "application/json")
            .body(body)?;
        let answer = self.client.request_text(request);
        answer.await.with_context(|| format!("{method} {path}"))?;
        Ok(())
    }
}

/// What the server and its clients know each other by.
fn keys() -> Result<()> {
    let file = |name: &str| format!("{FOLDER}/{name}");
    std::fs::write(
        file("openssl.conf"),
        "[req]\ndistinguished_name=dn\nx509_extensions=v3\nprompt=no\n[dn]\nCN=bench\n\
         [v3]\nsubjectAltName=IP:127.0.0.1\nbasicConstraints=critical,CA:FALSE\nextendedKeyUsage=serverAuth\n",
    )?;
    for key in ["server.key", "accounts.key"] {
        let key = file(key);
        let arguments = [
            "ecparam",
            "-name",
            "prime256v1",
            "-genkey",
            "-noout",
            "-out",
            &key,
        ];
        run("openssl", &arguments)?;
    }
    let (config, key, certificate) = (file("openssl.conf"), file("server.key"), file("server.crt"));
    let arguments = [
        "req",
        "-x509",
        "-days",
        "2",
        "-config",
        &config,
        "-key",
        &key,
        "-out",
        &certificate,
    ];
    run("openssl", &arguments)?;
    std::fs::write(
        file("tokens.csv"),
        format!("{TOKEN},bench,bench,system:masters\n"),
    )?;
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "it",
        "clusters": [{"name": "it", "cluster": {"server": SERVER, "certificate-authority": certificate}}],
        "users": [{"name": "it", "user": {"token": TOKEN}}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
    });
    std::fs::write(KUBECONFIG, kubeconfig.to_string())?;
    Ok(())
}
