//! `ssl:` remotes, against a real ovsdb-server that demands a certificate.
#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used)]

#[path = "support/server.rs"]
mod server;

use std::path::Path;
use std::time::Duration;

use ovsdb::{Client, Error, Options, TlsConfig};
use server::{SCHEMA, Server, quick, run};

/// A CA, and a key and certificate of it, in `dir`.
fn certificates(dir: &Path, name: &str) {
    let file = |suffix: &str| {
        dir.join(format!("{name}{suffix}"))
            .to_str()
            .unwrap()
            .to_owned()
    };
    let openssl = |args: &[&str]| {
        let output = run("openssl", args);
        assert!(
            output.status.success(),
            "openssl {args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    };
    let new = [
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
    ];
    let (ca_key, ca, key, request, cert, extensions) = (
        file("-ca.key"),
        file("-ca.pem"),
        file(".key"),
        file(".csr"),
        file(".pem"),
        file(".ext"),
    );
    openssl(
        &[
            &[
                "req", "-x509", "-days", "2", "-subj", "/CN=ca", "-keyout", &ca_key, "-out", &ca,
            ],
            &new[..],
        ]
        .concat(),
    );
    openssl(
        &[
            &[
                "req",
                "-subj",
                "/CN=some switch",
                "-keyout",
                &key,
                "-out",
                &request,
            ],
            &new[..],
        ]
        .concat(),
    );
    std::fs::write(
        &extensions,
        "basicConstraints=CA:FALSE\nsubjectAltName=DNS:switch.invalid\n",
    )
    .unwrap();
    openssl(&[
        "x509",
        "-req",
        "-days",
        "2",
        "-in",
        &request,
        "-CA",
        &ca,
        "-CAkey",
        &ca_key,
        "-CAcreateserial",
        "-extfile",
        &extensions,
        "-out",
        &cert,
    ]);
}

#[tokio::test]
async fn both_sides_show_certificates() {
    let dir = tempfile::tempdir().unwrap();
    certificates(dir.path(), "ours");
    certificates(dir.path(), "other");
    let file = |name: &str| dir.path().join(name);
    let text = |name: &str| file(name).to_str().unwrap().to_owned();
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let server = Server::start_with(
        SCHEMA,
        false,
        &[
            &format!("--remote=pssl:{port}:127.0.0.1"),
            &format!("--private-key={}", text("ours.key")),
            &format!("--certificate={}", text("ours.pem")),
            &format!("--ca-cert={}", text("ours-ca.pem")),
        ],
    );
    let client = |key: &str, cert: &str, ca: &str, timeout: Duration| {
        let tls = TlsConfig::from_pem_files(&file(key), &file(cert), &file(ca)).unwrap();
        let options = Options {
            tls: Some(tls),
            request_timeout: timeout,
            ..quick()
        };
        Client::connect([format!("ssl:127.0.0.1:{port}").parse().unwrap()], options)
    };
    // The certificate names neither this address nor this host: what counts is the CA.
    let good = client("ours.key", "ours.pem", "ours-ca.pem", server::PATIENCE);
    assert!(good.list_dbs().await.unwrap().contains(&"Test".to_owned()));
    let short = Duration::from_secs(1);
    // A server of another CA is not spoken to.
    let error = client("ours.key", "ours.pem", "other-ca.pem", short)
        .list_dbs()
        .await
        .unwrap_err();
    assert!(
        matches!(&error, Error::Disconnected(why) if why.contains("certificate")),
        "{error}"
    );
    // Nor does the server speak to a client of another CA.
    client("other.key", "other.pem", "ours-ca.pem", short)
        .list_dbs()
        .await
        .unwrap_err();
    assert!(
        TlsConfig::from_pem_files(&file("none"), &file("ours.pem"), &file("ours-ca.pem")).is_err()
    );
    drop(server);
}
