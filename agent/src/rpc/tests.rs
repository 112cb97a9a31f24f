use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sluice_rpc::method::{CniDel, CniStatus, Pods, Verify};
use sluice_rpc::report::Empty;
use sluice_rpc::*;
use tokio_util::sync::CancellationToken;

use super::listener::{Limits, Listener};
use super::*;

/// Answers some methods, and never that of `verify`.
#[derive(Default)]
struct Fake {
    verify_dropped: Arc<AtomicBool>,
}

struct OnDrop(Arc<AtomicBool>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn none<T>() -> Result<T, ErrorObject> {
    Err(CniError::new(CniCode::NOT_AVAILABLE, "not ready")
        .with_details("flows")
        .into())
}

impl Api for Fake {
    async fn cni_add(&self, _: AddRequest) -> Result<AddResult, ErrorObject> {
        none()
    }
    async fn cni_del(&self, request: DelRequest) -> Result<DelResult, ErrorObject> {
        Ok(DelResult {
            removed: request.container_id == "there",
        })
    }
    async fn cni_check(&self, _: CheckRequest) -> Result<CheckResult, ErrorObject> {
        none()
    }
    async fn cni_gc(&self, _: GcRequest) -> Result<GcResult, ErrorObject> {
        none()
    }
    async fn cni_status(&self, _: StatusRequest) -> Result<StatusResult, ErrorObject> {
        none()
    }
    async fn status(&self) -> Result<StatusReport, ErrorObject> {
        none()
    }
    async fn pods(&self) -> Result<PodsReport, ErrorObject> {
        Ok(PodsReport::default())
    }
    async fn services(&self, _: ServicesRequest) -> Result<ServicesReport, ErrorObject> {
        none()
    }
    async fn policies(&self, _: PoliciesRequest) -> Result<PoliciesReport, ErrorObject> {
        none()
    }
    async fn why(&self, _: WhyRequest) -> Result<WhyReport, ErrorObject> {
        none()
    }
    async fn drops(&self, _: DropsRequest) -> Result<DropsReport, ErrorObject> {
        none()
    }
    async fn flows(&self, _: FlowsRequest) -> Result<FlowsReport, ErrorObject> {
        none()
    }
    async fn verify(&self) -> Result<VerifyReport, ErrorObject> {
        let _dropped = OnDrop(Arc::clone(&self.verify_dropped));
        std::future::pending().await
    }
}

#[tokio::test]
async fn serves_the_protocol() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sub/agent.sock");
    let fake = Fake::default();
    let dropped = Arc::clone(&fake.verify_dropped);
    let listener = Listener::bind(&path).await.expect("bound");
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(&path).expect("there").permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
    assert!(
        Listener::bind(&path).await.is_err(),
        "two agents on one socket"
    );
    let stop = CancellationToken::new();
    let serving = tokio::spawn(listener.serve(
        module(Arc::new(fake)).expect("a module"),
        Limits::default(),
        stop.clone(),
    ));

    let at = path.clone();
    tokio::task::spawn_blocking(move || {
        let deadline = Deadline::after(Duration::from_secs(10));
        let mut client = Client::connect(&at).expect("connected");
        let request = DelRequest {
            container_id: "there".to_owned(),
            ifname: "eth0".to_owned(),
            network: "n".to_owned(),
            netns: None,
        };
        assert!(
            client
                .call::<CniDel>(&request, deadline)
                .expect("answered")
                .removed
        );
        assert_eq!(
            client
                .call::<Pods>(&Empty {}, deadline)
                .expect("answered")
                .pods,
            []
        );
        let refused = client.call::<CniStatus>(
            &StatusRequest {
                network: "n".to_owned(),
            },
            deadline,
        );
        let Err(ClientError::Agent(error)) = refused else {
            panic!("{refused:?}")
        };
        assert_eq!(
            error.cni().expect("a CNI error").code,
            CniCode::NOT_AVAILABLE
        );
        // Hanging up cancels.
        let soon = Deadline::after(Duration::from_millis(100));
        assert!(matches!(
            client.call::<Verify>(&Empty {}, soon),
            Err(ClientError::Timeout)
        ));
        drop(client);
    })
    .await
    .expect("the client's thread");
    tokio::time::timeout(Duration::from_secs(5), async {
        while !dropped.load(Ordering::SeqCst) {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the call was cancelled");

    // Garbage gets an answer, and so does a caller that ends its own side at once.
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut raw = tokio::net::UnixStream::connect(&path)
        .await
        .expect("connected");
    raw.write_all(
        b"what?\n{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"pods\",\"params\":{\"protocol\":99}}\n",
    )
    .await
    .expect("written");
    raw.shutdown().await.expect("half closed");
    let mut text = String::new();
    raw.read_to_string(&mut text).await.expect("read");
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[0].contains("-32700"), "{text}");
    assert!(
        lines[1].contains("-32001") && lines[1].contains("\"id\":7"),
        "{text}"
    );

    stop.cancel();
    serving.await.expect("served");
    assert!(!path.exists());
}
