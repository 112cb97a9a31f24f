//! A small seeded generator: the seed is printed, and OPENFLOW_SEED repeats a run.

/// SplitMix64.
pub(crate) struct Random(u64);

impl Random {
    /// The generator of this run, whose seed it prints.
    pub(crate) fn from_env() -> Self {
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .expect("a clock past 1970");
        let seed = match std::env::var("OPENFLOW_SEED") {
            Ok(s) => s.parse().expect("OPENFLOW_SEED is a number"),
            Err(_) => now.as_nanos() as u64,
        };
        println!("OPENFLOW_SEED={seed}");
        Random(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    /// True once in `n`.
    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }

    /// A number of at most `bits` bits, small and extreme ones more often than by chance.
    pub(crate) fn bits(&mut self, bits: u32) -> u128 {
        let all = if bits >= 128 {
            u128::MAX
        } else {
            (1 << bits) - 1
        };
        let wide = u128::from(self.next()) << 64 | u128::from(self.next());
        (match self.below(8) {
            0 => 0,
            1 => 1,
            2 => all,
            3 => wide & 0xff,
            _ => wide,
        }) & all
    }
}
