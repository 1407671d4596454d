//! What a run does: all that is random in it comes from its seed.

use std::time::Duration;

use accounts_center::store::failpoint::DEFENCES;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::support::Stack;

/// The generator of one task of a run.
pub type Dice = ChaCha8Rng;

/// The failpoints that switch a defence off: `epoch` is all that has one.
pub fn planted(defence: &str) -> Vec<&'static str> {
    let (whole, part) = (format!("plant::{defence}"), format!("-{defence}"));
    DEFENCES.into_iter().filter(|point| *point == whole || point.ends_with(&part)).collect()
}

/// Whose generator it is: each task has its own, so that none disturbs another's sequence.
#[derive(Clone, Copy)]
pub enum Role {
    Plan,
    Client,
    Subscriber,
    Lane,
    House,
}

/// One run.
#[derive(Clone)]
pub struct Plan {
    pub seed: u64,
    pub stack: Stack,
    pub accounts: usize,
    pub subscribers: usize,
    /// Over all phases.
    pub operations: u64,
    /// A phase ends after this time, too.
    pub phase_at_most: Duration,
    /// Whether a backup is taken in the middle, and restored.
    pub restores: bool,
    /// Between two faults of a lane.
    pub calm: (Duration, Duration),
    /// How long a fault lasts.
    pub fault: (Duration, Duration),
    /// How long replicas keep what they have read, themselves and in Redis.
    pub near_seconds: u32,
    /// Percent of hints that get lost, are doubled, come late by 5 s.
    hints: [u32; 3],
    /// Percent of fills that are slow, and by how many milliseconds.
    slow_fills: (u32, u32),
    /// Whether whole answers are remembered.
    pub remembers_answers: bool,
    /// What switches a defence off, if one is.
    plant: Vec<&'static str>,
}

impl Plan {
    /// A run of the soak.
    pub fn soak(seed: u64, stack: Stack, plant: Vec<&'static str>) -> Self {
        Self { plant, ..Self::new(seed, stack) }
    }

    /// A run for CI, of 15 to 20 seconds with its end.
    pub fn small(seed: u64, stack: Stack, remembers_answers: bool) -> Self {
        Self {
            remembers_answers,
            accounts: 8,
            subscribers: 14,
            operations: 12_000,
            phase_at_most: Duration::from_secs(3),
            restores: true,
            calm: (Duration::from_millis(300), Duration::from_millis(1_200)),
            fault: (Duration::from_millis(100), Duration::from_millis(600)),
            ..Self::new(seed, stack)
        }
    }

    fn new(seed: u64, stack: Stack) -> Self {
        let mut dice = generator(seed, Role::Plan, 0);
        let mut one_of = |choices: [u32; 4]| choices[dice.random_range(0..choices.len())];
        let hints = [one_of([0, 0, 5, 30]), one_of([0, 2, 10, 30]), one_of([0, 2, 10, 30])];
        // The default, or so short that much is read anew; longer than a fill may take in any case.
        let near_seconds = one_of([3, 60, 60, 60]);
        let slow_fills = (one_of([0, 1, 3, 10]), one_of([100, 300, 700, 1500]));
        let restores = one_of([0, 0, 0, 1]) == 1;
        // Some runs are stormy; in others there is time to see what is late although all is calm.
        let calm = Duration::from_millis(one_of([1_000, 2_000, 3_000, 13_000]).into());
        let remembers_answers = one_of([0, 1, 0, 1]) == 1;
        Self {
            seed,
            stack,
            accounts: 32,
            subscribers: 56,
            operations: 100_000,
            phase_at_most: Duration::from_secs(90),
            restores,
            calm: (calm / 4, calm),
            fault: (Duration::from_millis(50), Duration::from_millis(1_200)),
            near_seconds,
            hints,
            slow_fills,
            remembers_answers,
            plant: Vec::new(),
        }
    }

    /// The generator of the task `number` of a role.
    pub fn dice(&self, role: Role, number: usize) -> Dice {
        generator(self.seed, role, number)
    }

    /// Whether a replica that does not follow an account, and is not asked for a version, may show an old one for
    /// more than some seconds: it does while it trusts what it has read, unless it hears of what came after.
    pub fn lets_replicas_be_old(&self) -> bool {
        self.hints[0] > 0 && self.near_seconds > 5
    }

    /// What was drawn, for whoever wonders why this seed finds what another does not.
    pub fn describe(&self) -> String {
        let restores = if self.restores { "a backup is restored" } else { "no restore" };
        let (near, failpoints) = (self.near_seconds, self.failpoints());
        let answers = if self.remembers_answers { "remembered" } else { "made anew" };
        let calm = self.calm.1;
        format!(
            "calm up to {calm:?}, near entries live {near} s, answers {answers}, {restores}; {failpoints}"
        )
    }

    /// What the replicas get as `FAILPOINTS`: hints that are lost, doubled and late, slow fillers, and the defence
    /// that is switched off.
    pub fn failpoints(&self) -> String {
        let mut points = Vec::new();
        let kinds = ["lost", "doubled", "delayed"];
        let hints: Vec<String> = (kinds.iter().zip(self.hints))
            .filter(|(_, percent)| *percent > 0)
            .map(|(kind, percent)| format!("{percent}%return({kind})"))
            .collect();
        if !hints.is_empty() {
            points.push(format!("bus::hint={}", hints.join("->")));
        }
        if let (percent @ 1.., milliseconds) = self.slow_fills {
            points.push(format!("link_graph::filled={percent}%return({milliseconds})"));
        }
        points.extend(self.plant.iter().map(|point| format!("{point}=return")));
        points.join(";")
    }
}

/// A time between two others.
pub fn between(dice: &mut Dice, (least, most): (Duration, Duration)) -> Duration {
    dice.random_range(least..=most)
}

fn generator(seed: u64, role: Role, number: usize) -> Dice {
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    dice.set_stream(((role as u64) << 32) | number as u64);
    dice
}
