//! Policies, and what of them is refused.

use super::*;

fn policy(name: &str, spec: Value) -> Event {
    set(Kind::NetworkPolicy, name, json!({"spec": spec}))
}

#[test]
fn policies_come_change_and_go() {
    let mut index = index();
    let event = || policy("web/p", json!({"podSelector": {}}));
    assert_eq!(lines(&index.apply(vec![event()])), ["policy web/p"]);
    assert!(index.apply(vec![event()]).is_empty());
    let update = index.apply(vec![policy(
        "web/p",
        json!({"podSelector": {}, "ingress": [{}]}),
    )]);
    assert_eq!(lines(&update), ["policy web/p"]);
    assert!(
        index
            .apply(vec![
                gone(Kind::NetworkPolicy, "web/p"),
                policy("web/p", json!({"ingress": [{}]}))
            ])
            .is_empty(),
        "back within one batch"
    );
    assert_eq!(
        lines(&index.apply(vec![gone(Kind::NetworkPolicy, "web/p")])),
        ["no policy web/p"]
    );
    assert_eq!(index.policies().len(), 0);
}

#[test]
fn what_is_refused_is_named_as_long_as_it_is() {
    let mut index = index();
    let bad = json!({"podSelector": {}, "ingress": [{"ports": [{"port": 0}]}]});
    assert_eq!(
        lines(&index.apply(vec![policy("web/p", bad)])),
        ["policy web/p"]
    );
    assert_eq!(
        refused(&index),
        ["NetworkPolicy web/p: field spec.ingress[0].ports[0].port: 0 is no port: 1 to 65535 are"]
    );
    assert_eq!(index.policies().next().map(|it| it.refusals.len()), Some(1));
    index.apply(vec![policy("web/p", json!({"podSelector": {}}))]);
    assert!(refused(&index).is_empty());
}
