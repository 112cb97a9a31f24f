//! The connection over TLS against a real ovs-vswitchd. Run with `--features tls`.

mod support;

use std::process::Stdio;
use std::sync::Arc;

use openflow::connection::{Connection, Options, State, tls};
use support::Switch;

/// An authority, and a certificate it signed for each of `names`.
fn make_certificates(switch: &Switch, names: &[&str]) {
    let openssl = |args: &str| {
        let mut command = switch.command("openssl");
        let status = command
            .args(args.split_whitespace())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        assert!(
            status
                .expect("openssl is not installed: this test needs it")
                .success(),
            "openssl {args}"
        );
    };
    std::fs::write(
        switch.path("ext"),
        "basicConstraints=CA:FALSE\nsubjectAltName=DNS:somebody\n",
    )
    .expect("writes");
    for ca in ["ca", "other"] {
        openssl(&format!(
            "req -x509 -newkey rsa:2048 -nodes -keyout {ca}.key -out {ca}.pem -days 2 -subj /CN={ca}"
        ));
    }
    for name in names {
        openssl(&format!(
            "req -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}"
        ));
        openssl(&format!(
            "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out {name}.pem"
        ));
    }
}

#[tokio::test]
async fn it_speaks_tls_and_trusts_only_the_given_authority() {
    let switch = Switch::start();
    make_certificates(&switch, &["switch", "client"]);
    let path = |name: &str| switch.path(name).display().to_string();
    switch.vsctl(&[
        "set-ssl",
        &path("switch.key"),
        &path("switch.pem"),
        &path("ca.pem"),
    ]);
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .expect("binds")
        .local_addr()
        .expect("bound")
        .port();
    switch.vsctl(&["set-controller", "br0", &format!("pssl:{port}:127.0.0.1")]);
    let read = |name: &str| std::fs::read(switch.path(name)).expect("reads");
    let connect = |ca: &str| {
        let config = tls::client_config(&read(ca), &read("client.pem"), &read("client.key"))
            .expect("a configuration");
        let options = Options {
            tls: Some(Arc::new(config)),
            ..Options::default()
        };
        Connection::connect(
            format!("ssl:127.0.0.1:{port}").parse().expect("a target"),
            options,
        )
    };

    let connection = connect("ca.pem");
    let connected =
        tokio::time::timeout(std::time::Duration::from_secs(20), connection.connected());
    connected.await.expect("in time").expect("connects");
    assert_eq!(connection.dump_ports().await.expect("ports").len(), 1);

    let stranger = connect("other.pem");
    let mut state = stranger.state();
    let state = state
        .wait_for(|s| matches!(s, State::Disconnected { error: Some(_) }))
        .await
        .expect("an attempt");
    let State::Disconnected { error: Some(error) } = &*state else {
        panic!("{state:?}")
    };
    assert!(error.contains("certificate"), "{error}");
}
