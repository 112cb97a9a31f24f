//! Numbers from a seed, and the small things made of them.
#![allow(dead_code, missing_docs, unreachable_pub, unused_imports)]

use openflow::{MacAddr, PortNo};

/// xorshift64*: enough to be varied, the same everywhere.
pub struct Rng(pub u64);

impl Rng {
    pub fn new(seed: u64) -> Rng {
        Rng(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The seed in `SEED`, or one from the clock; printed, so that a failure can be repeated.
    pub fn from_env() -> Rng {
        let clock = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .expect("a clock")
            .as_nanos() as u64;
        let seed = std::env::var("SEED")
            .ok()
            .and_then(|s| s.parse().ok())
            .unwrap_or(clock);
        println!("SEED={seed}");
        Rng::new(seed)
    }

    pub fn u64(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Less than `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        (self.u64() >> 11) % n
    }

    pub fn chance(&mut self, one_in: u64) -> bool {
        self.below(one_in) == 0
    }

    pub fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize].clone()
    }

    /// A number whose size varies: small ones and the extremes are frequent.
    pub fn number(&mut self) -> u64 {
        match self.below(8) {
            0 => 0,
            1 => u64::MAX,
            2 => self.below(10),
            3 => self.below(1 << 16),
            4 => self.below(1 << 32),
            _ => self.u64() >> self.below(64),
        }
    }

    pub fn n32(&mut self) -> u32 {
        let n = self.number();
        if n == u64::MAX { u32::MAX } else { n as u32 }
    }

    pub fn n16(&mut self) -> u16 {
        let n = self.number();
        if n == u64::MAX { u16::MAX } else { n as u16 }
    }

    pub fn n8(&mut self) -> u8 {
        self.n16() as u8
    }

    pub fn bytes(&mut self, max: u64) -> Vec<u8> {
        (0..self.below(max + 1)).map(|_| self.u64() as u8).collect()
    }

    pub fn list<T>(&mut self, max: u64, mut item: impl FnMut(&mut Rng) -> T) -> Vec<T> {
        (0..self.below(max + 1)).map(|_| item(self)).collect()
    }

    pub fn array<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.u64() as u8)
    }

    /// Printable and zero-terminated.
    pub fn name<const N: usize>(&mut self) -> [u8; N] {
        let length = self.below(N as u64) as usize;
        std::array::from_fn(|i| {
            if i < length {
                b'!' + self.below(94) as u8
            } else {
                0
            }
        })
    }

    pub fn mac(&mut self) -> MacAddr {
        if self.chance(6) {
            MacAddr([0; 6])
        } else {
            MacAddr(self.array())
        }
    }

    pub fn port(&mut self) -> PortNo {
        match self.below(4) {
            0 => PortNo(0xffff_fff7 + self.below(9) as u32),
            1 => PortNo(self.below(12) as u32),
            2 => PortNo(0xffff_ff00 + self.below(0x100) as u32),
            _ => PortNo(self.below(0xff00) as u32),
        }
    }

    pub fn nanos(&mut self) -> u32 {
        match self.below(10) {
            0..=2 => 0,
            3..=5 => self.below(1000) as u32 * 1_000_000,
            // More than a second of them makes no sense, and is printed as it is.
            6 => self.n32(),
            _ => self.below(1_000_000_000) as u32,
        }
    }

    pub fn seconds(&mut self) -> u32 {
        if self.chance(8) {
            u32::MAX
        } else {
            self.below(1 << 31) as u32
        }
    }
}
