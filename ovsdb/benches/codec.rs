//! The codec alone: scanning, values, differences.
#![allow(clippy::unwrap_used, missing_docs)]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ovsdb::framing::Scanner;
use ovsdb::schema::ColumnType;
use ovsdb::{AtomType, Value, diff};

const IDS: &str =
    r#"["map",[["mac","0a:00:00:00:00:01"],["netns","/run/netns/cni-1"],["pod-name","app-1"]]]"#;

fn codec(c: &mut Criterion) {
    let mut document = br#"{"id":null,"method":"update3","params":["#.to_vec();
    for _ in 0..10_000 {
        document.extend_from_slice(IDS.as_bytes());
        document.push(b',');
    }
    document.extend_from_slice(b"1]}");
    let mut group = c.benchmark_group("framing");
    group.throughput(Throughput::Bytes(document.len() as u64));
    group.bench_function("scan", |b| {
        b.iter(|| Scanner::new(1 << 30).scan(black_box(&document)).unwrap())
    });
    group.finish();

    let value: Value = serde_json::from_str(IDS).unwrap();
    c.bench_function("value/decode", |b| {
        b.iter(|| serde_json::from_str::<Value>(black_box(IDS)).unwrap())
    });
    c.bench_function("value/encode", |b| {
        b.iter(|| serde_json::to_vec(black_box(&value)).unwrap())
    });

    let ports = ColumnType::set(AtomType::Integer);
    let set = Value::set(0..10_000);
    let change = Value::set([5_000, 20_000]);
    c.bench_function("diff/two of 10,000", |b| {
        b.iter(|| diff::apply(&ports, black_box(&set), black_box(change.clone())));
    });
}

criterion_group!(benches, codec);
criterion_main!(benches);
