//! What goes over the socket, to the letter: either side may be of another age than this test.

use std::fmt::Debug;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use sluice_rpc::method::{self, Method};
use sluice_rpc::{
    AddRequest, AddResult, CheckResult, CniCode, CniError, DelRequest, ErrorObject, GcRequest,
    PodState, StatusReport, StatusResult, code, decode_params,
};

#[track_caller]
fn stays<T: Serialize + DeserializeOwned + Debug>(json: Value) {
    let typed: T = serde_json::from_value(json.clone()).expect("decodes");
    assert_eq!(
        serde_json::to_value(&typed).expect("encodes"),
        json,
        "{typed:?}"
    );
}

#[test]
fn each_type_has_the_form_it_had() {
    stays::<AddRequest>(json!({
        "container_id": "c1", "ifname": "eth0", "netns": "/run/netns/a", "network": "pods",
        "pod": {"namespace": "default", "name": "web", "uid": "u"},
        "mtu": 1400, "deadline_ms": 20000, "attempt": 1,
    }));
    stays::<AddResult>(json!({
        "host_ifname": "sl1", "host_mac": "02:00:00:00:00:01", "mac": "02:00:00:00:00:02",
        "mtu": 1450, "ips": [{"address": "10.0.0.5/32", "gateway": "169.254.1.1"}],
        "routes": [{"dst": "::/0", "gw": "fe80::1"}, {"dst": "169.254.1.1/32"}],
        "dns": {"nameservers": ["10.96.0.10"]},
    }));
    stays::<DelRequest>(json!({"container_id": "c1", "ifname": "eth0", "network": "pods"}));
    stays::<GcRequest>(
        json!({"network": "pods", "valid": [{"container_id": "c1", "ifname": "eth0"}]}),
    );
    stays::<StatusResult>(json!({}));
    stays::<CniError>(json!({"code": 101, "msg": "no addresses left"}));
}

#[test]
fn fields_of_a_newer_side_are_ignored_and_absent_ones_have_a_default() {
    let check: CheckResult = serde_json::from_value(json!({
        "attachment": {"host_ifname": "sl1", "mac": "02:00:00:00:00:02", "mtu": 1450, "ips": [], "colour": "blue"},
        "mood": "good",
    }))
    .expect("decodes");
    assert!(check.problems.is_empty() && check.attachment.routes.is_empty());
    let status: StatusReport = serde_json::from_value(json!({"node": "n1"})).expect("decodes");
    assert_eq!((status.node.as_str(), status.ready), ("n1", false));
    let state: PodState = serde_json::from_value(json!("evaporating")).expect("decodes");
    assert_eq!(state, PodState::Unknown);
}

#[test]
fn the_protocol_is_looked_at_before_the_body() {
    let of = |protocol: u32, body: Value| {
        decode_params::<DelRequest>(&json!({"protocol": protocol, "body": body}).to_string())
    };
    let good = json!({"container_id": "c1", "ifname": "eth0", "network": "pods"});
    assert_eq!(of(1, good).expect("served").container_id, "c1");
    for protocol in [0, 2, 77] {
        let error = of(protocol, json!({"a body": "of another age"})).expect_err("not served");
        assert_eq!(error.code, code::PROTOCOL_MISMATCH);
        let range = error.protocol_range().expect("the range");
        assert_eq!((range.min, range.max), (1, 1));
    }
    assert_eq!(
        of(1, json!({})).expect_err("no id").code,
        code::INVALID_PARAMS
    );
    for params in ["", "[]", "null", "{}", "{\"body\":{}}"] {
        let error = decode_params::<DelRequest>(params).expect_err("no protocol");
        assert_eq!(error.code, code::INVALID_PARAMS, "{params}");
    }
}

#[test]
fn a_cni_error_survives_the_error_object() {
    let error =
        CniError::new(CniCode::NO_ADDRESSES, "no addresses left").with_details("10.0.0.0/24");
    let object = ErrorObject::from(error.clone());
    assert_eq!(object.code, code::FAILED);
    assert_eq!(object.cni(), Some(error));
    assert_eq!(object.protocol_range(), None);
    assert_eq!(ErrorObject::new(code::FAILED, "no data").cni(), None);
}

#[test]
fn names_and_codes_are_unique() {
    assert_eq!(method::CniAdd::NAME, "cni_add");
    let mut names = method::ALL.to_vec();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), method::ALL.len());
    let mut codes: Vec<u32> = CniCode::ALL.iter().map(|(code, _)| code.0).collect();
    codes.dedup();
    assert_eq!(codes.len(), CniCode::ALL.len());
}

#[test]
fn every_code_and_method_is_on_its_page() {
    let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let read = |name: &str| std::fs::read_to_string(docs.join(name)).expect(name);
    let (cni, rpc) = (read("cni.md"), read("rpc.md"));
    for (code, name) in CniCode::ALL {
        assert!(
            cni.contains(&format!("| {code} | {name} |")),
            "docs/cni.md lacks {code} {name}"
        );
    }
    for name in method::ALL {
        assert!(
            rpc.contains(&format!("`{name}`")),
            "docs/rpc.md lacks {name}"
        );
    }
}
