//! Random inputs outside of proptest's own loop, for tests that keep a switch between cases.

use std::time::{SystemTime, UNIX_EPOCH};

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// A source of random values that says how to repeat them.
pub(crate) fn runner() -> TestRunner {
    let seed: u64 = match std::env::var("SLUICE_SEED") {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .subsec_nanos()
            .into(),
    };
    println!("SLUICE_SEED={seed}");
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    TestRunner::new_with_rng(
        Config::default(),
        TestRng::from_seed(RngAlgorithm::ChaCha, &bytes),
    )
}

/// One value.
pub(crate) fn draw<T: std::fmt::Debug>(
    runner: &mut TestRunner,
    from: &impl Strategy<Value = T>,
) -> T {
    from.new_tree(runner).unwrap().current()
}
