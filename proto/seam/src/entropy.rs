//! Random numbers from one seed, so that a simulation can be run again.
//!
//! `fork("name")` gives an independent child: what one part draws never shifts another part's numbers.
//! The real one is ChaCha12 seeded by the
//! operating system, good enough for ids and access tokens. Must not do: make private keys (certs uses the
//! crypto provider for that).

use std::sync::{Arc, Mutex};

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A seeded generator, shared by clones.
#[derive(Clone, Debug)]
pub struct Entropy {
    seed: [u8; 32],
    rng: Arc<Mutex<ChaCha12Rng>>,
}

impl Entropy {
    /// From the operating system.
    ///
    /// # Panics
    /// When the operating system has no entropy, which nothing can work without.
    #[must_use]
    pub fn real() -> Self {
        let mut seed = [0; 32];
        let mut filled = 0;
        while filled < seed.len() {
            filled += rustix::rand::getrandom(&mut seed[filled..], rustix::rand::GetRandomFlags::empty()).expect("the operating system gives entropy");
        }
        Self::from_bytes(seed)
    }

    /// From a seed: the same seed gives the same numbers.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        Self::from_bytes(bytes)
    }

    fn from_bytes(seed: [u8; 32]) -> Self {
        Self { seed, rng: Arc::new(Mutex::new(ChaCha12Rng::from_seed(seed))) }
    }

    /// An independent generator, the same for the same seed and name.
    #[must_use]
    pub fn fork(&self, name: &str) -> Self {
        let mut seed = self.seed;
        for (i, byte) in name.bytes().enumerate() {
            let at = i % seed.len();
            seed[at] = seed[at].wrapping_mul(31).wrapping_add(byte).rotate_left(3);
        }
        let mut rng = ChaCha12Rng::from_seed(seed);
        let mut child = [0; 32];
        rng.fill_bytes(&mut child);
        Self::from_bytes(child)
    }

    /// 64 random bits.
    #[must_use]
    pub fn next_u64(&self) -> u64 {
        self.with(ChaCha12Rng::next_u64)
    }

    /// 128 random bits.
    #[must_use]
    pub fn next_u128(&self) -> u128 {
        (u128::from(self.next_u64()) << 64) | u128::from(self.next_u64())
    }

    /// Evenly from `0..bound`; 0 when `bound` is 0.
    #[must_use]
    pub fn below(&self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { u64::try_from((u128::from(self.next_u64()) * u128::from(bound)) >> 64).unwrap_or(0) }
    }

    /// True with probability `share` (0.0 to 1.0).
    #[must_use]
    pub fn chance(&self, share: f64) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "53 bits are plenty here")]
        let draw = (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        draw < share
    }

    fn with<T>(&self, draw: impl FnOnce(&mut ChaCha12Rng) -> T) -> T {
        let mut rng = self.rng.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        draw(&mut rng)
    }
}
