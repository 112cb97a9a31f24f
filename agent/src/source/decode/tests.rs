use serde_json::{Value, json};

use super::*;
use crate::source::object::Refusal;

mod network_policy;
mod pod;
mod service;
mod slice;
mod testdata;

fn ip(text: &str) -> std::net::IpAddr {
    text.parse().expect("an address")
}

fn lines(refusals: &[Refusal]) -> Vec<String> {
    refusals
        .iter()
        .map(|refusal| format!("{}: {}", refusal.field, refusal.message))
        .collect()
}

/// `base` with the value at `path` (a JSON pointer whose parent exists) replaced.
fn with(mut base: Value, path: &str, value: Value) -> Value {
    let (parent, last) = path.rsplit_once('/').expect("a pointer");
    let parent = base.pointer_mut(parent).expect("a parent");
    match parent {
        Value::Array(items) => {
            let index: usize = last.parse().expect("an index");
            if index == items.len() {
                items.push(value);
            } else {
                items[index] = value;
            }
        }
        parent => parent[last] = value,
    }
    base
}
