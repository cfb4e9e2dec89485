//! Depth first through every world there can be.

use std::collections::HashSet;
use std::hash::{Hash, Hasher};

use streamer::protocol::Rules;

use super::world::{Bounds, Step, Violation, World};

/// What a search has found.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// Different worlds seen.
    pub(crate) states: usize,
    /// Worlds where all is delivered.
    pub(crate) complete: usize,
    /// The first violation, and the steps that lead to it.
    pub(crate) violation: Option<(Violation, Vec<Step>)>,
}

/// Searches every world within `bounds`, at most `states_max` of them, until one is wrong.
pub(crate) fn explore(rules: &dyn Rules, bounds: Bounds, states_max: usize) -> Report {
    let mut report = Report::default();
    let mut seen = HashSet::new();
    let start = World::new(bounds);
    seen.insert(fingerprint(&start));
    let mut path: Vec<Step> = Vec::new();
    let mut stack = vec![start.successors(rules).into_iter()];
    while let Some(successors) = stack.last_mut() {
        let Some((step, world)) = successors.next() else {
            stack.pop();
            path.pop();
            continue;
        };
        if !seen.insert(fingerprint(&world)) {
            continue;
        }
        report.states += 1;
        report.complete += usize::from(world.complete());
        path.push(step);
        if let Some(violation) = world.violation(rules) {
            report.violation = Some((violation, path));
            return report;
        }
        if report.states >= states_max {
            return report;
        }
        stack.push(world.successors(rules).into_iter());
    }
    report
}

/// 128 bits of a world; two of ten million share them with a chance of 10⁻²⁵.
fn fingerprint(world: &World) -> u128 {
    let mut words = Words(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d);
    world.hash(&mut words);
    words.0 ^ words.0 >> 67
}

/// Mixes word by word: the standard library's hasher takes most of the time of a search, and gives 64 bits.
struct Words(u128);

impl Words {
    fn mix(&mut self, word: u64) {
        const ODD: u128 = 0x2d35_8dcc_aa6c_78a5_8bb8_4b93_962e_acc9;
        self.0 = (self.0 ^ u128::from(word)).wrapping_mul(ODD).rotate_left(53);
    }
}

impl Hasher for Words {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let word = chunk.iter().fold(1, |word: u64, byte| word << 8 | u64::from(*byte));
            self.mix(word);
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.mix(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        self.mix(value);
    }

    fn write_usize(&mut self, value: usize) {
        self.mix(value as u64);
    }

    fn write_isize(&mut self, value: isize) {
        self.mix(value as u64);
    }

    fn finish(&self) -> u64 {
        self.0 as u64
    }
}
