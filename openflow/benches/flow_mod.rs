//! What it costs to encode and to decode a FLOW_MOD with six match fields and four actions.

#[path = "support/flows.rs"]
mod flows;

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use flows::{decode, encode, flows};

fn bench(c: &mut Criterion) {
    for (name, flow) in flows() {
        let mut bytes = Vec::new();
        encode(&flow, &mut bytes);
        assert_eq!(decode(&bytes), Ok(flow.clone()), "it comes back as it was");
        let mut out = Vec::with_capacity(1024);
        c.bench_function(&format!("encode/{name} ({} bytes)", bytes.len()), |b| {
            b.iter(|| {
                encode(black_box(&flow), &mut out);
                black_box(&out);
            });
        });
        c.bench_function(&format!("decode/{name} ({} bytes)", bytes.len()), |b| {
            // By reference: to move the flow about is not what is measured.
            b.iter(|| {
                black_box(&decode(black_box(&bytes)));
            });
        });
    }
}

criterion_group!(benches, bench);
criterion_main!(benches);
