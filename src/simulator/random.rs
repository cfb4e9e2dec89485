//! Random numbers by position: the n-th number of a key costs one multiplication chain, whatever n is.
//!
//! SplitMix64 (Steele, Lea & Flood 2014) adds a constant to its state and scrambles it, so its n-th output
//! is `mix(key + n · γ)`. That makes every reading a pure function of (seed, device, tick): a stream can
//! start anywhere, and a byte never depends on what was drawn before. Not for secrets.

/// The golden ratio in 64 bits, SplitMix64's increment.
const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// What a key is drawn for: two uses of one device never share numbers.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose {
    Traits = 1,
    Noise = 2,
    Faults = 3,
    Delays = 4,
    Schedule = 5,
    Features = 6,
    Order = 7,
}

/// SplitMix64's scrambler: every input bit changes half of the output bits.
pub(super) fn mix(state: u64) -> u64 {
    let state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

/// The key of one use of one device (or partition).
pub(super) fn key(seed: u64, purpose: Purpose, number: u32) -> u64 {
    let seeded = mix(seed.wrapping_add((purpose as u64).wrapping_mul(GAMMA)));
    mix(seeded ^ u64::from(number).wrapping_mul(GAMMA))
}

/// Number `counter` of `key`.
pub(super) fn draw(key: u64, counter: u64) -> u64 {
    mix(key.wrapping_add(counter.wrapping_add(1).wrapping_mul(GAMMA)))
}

/// A number in `[0, 1)` from the upper 53 bits.
pub(super) fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
}

/// A number in `[0, n)` from the upper 32 bits (Lemire's multiplication); 0 if `n` is 0.
pub(super) fn below(bits: u64, n: u32) -> u32 {
    (((bits >> 32) * u64::from(n)) >> 32) as u32
}

/// The bound under which a uniform 32-bit number falls with probability `rate`.
pub(super) fn bound(rate: f64) -> u64 {
    (rate.clamp(0.0, 1.0) * (1u64 << 32) as f64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_splitmix64() {
        // First outputs of the reference implementation with seed 0.
        let first: Vec<u64> = (0..3).map(|n| draw(0, n)).collect();
        assert_eq!(first, [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4, 0x06c4_5d18_8009_454f]);
    }

    #[test]
    fn ranges_are_kept() {
        for n in 0..1000 {
            let bits = draw(7, n);
            assert!((0.0..1.0).contains(&unit(bits)));
            assert!(below(bits, 10) < 10);
        }
        assert_eq!(below(u64::MAX, 0), 0);
        assert_eq!(bound(1.0), 1 << 32);
    }

    #[test]
    fn keys_differ_by_seed_purpose_and_number() {
        let keys = [
            key(1, Purpose::Noise, 0),
            key(2, Purpose::Noise, 0),
            key(1, Purpose::Faults, 0),
            key(1, Purpose::Noise, 1),
        ];
        let distinct: std::collections::BTreeSet<u64> = keys.into_iter().collect();
        assert_eq!(distinct.len(), keys.len());
    }
}
