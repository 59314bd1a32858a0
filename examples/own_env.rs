//! An environment of one's own, trained by the stock PPO: guess whether a hidden coin that rarely turns shows heads.
#![allow(missing_docs, clippy::print_stdout, reason = "an example")]

use std::convert::Infallible;
use std::error::Error;

use cambist_core::check::check_env;
use cambist_core::clock::SystemClock;
use cambist_core::rng::{Purpose, Stream};
use cambist_core::{ActionSpec, BatchedEnv, End, ObservationSpec, StepBuffers};
use cambist_lab::learning::stock_settings;
use cambist_ppo::Trainer;

struct Coin {
    spec: ObservationSpec,
    streams: Vec<Stream>,
    heads: Vec<bool>,
    steps: Vec<u32>,
    first_env: u64,
}

impl Coin {
    fn new(n_envs: usize, first_env: u64) -> Self {
        let spec = ObservationSpec { names: vec!["noisy look".into()] };
        Self { spec, streams: Vec::new(), heads: vec![true; n_envs], steps: vec![0; n_envs], first_env }
    }

    fn look(&mut self, env: usize) -> f32 {
        let side = if self.heads[env] { 1.0 } else { -1.0 };
        side + 0.5 * self.streams[env].normal() as f32
    }
}

impl BatchedEnv for Coin {
    fn n_envs(&self) -> usize {
        self.heads.len()
    }
    fn observation_spec(&self) -> &ObservationSpec {
        &self.spec
    }
    fn action_spec(&self) -> ActionSpec {
        ActionSpec::Discrete { n: 2 }
    }
    fn reset(&mut self, seed: u64, observations: &mut [f32]) {
        // Every draw comes from the seed and the environment's own index: that is the contract.
        let stream = |env| Stream::new(seed, Purpose::Environment, self.first_env + env as u64);
        self.streams = (0..self.n_envs()).map(stream).collect();
        self.heads.fill(true);
        self.steps.fill(0);
        (0..self.n_envs()).for_each(|env| observations[env] = self.look(env));
    }
    fn step(&mut self, actions: &[f32], out: &mut StepBuffers<'_>) {
        for (env, &action) in actions.iter().enumerate() {
            out.rewards[env] = if (action == 1.0) == self.heads[env] { 1.0 } else { -1.0 };
            self.heads[env] ^= self.streams[env].uniform() < 0.02;
            self.steps[env] += 1;
            out.observations[env] = self.look(env);
            let over = self.steps[env].is_multiple_of(200);
            out.ends[env] = if over { End::Truncated } else { End::Running };
            out.terminal_observations[env] = out.observations[env];
        }
    }
}

pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    println!("{:?}", check_env(&|| Box::new(Coin::new(4, 0)), 1, 1000)?);
    let make = |n, first| Ok::<_, Infallible>(Box::new(Coin::new(n, first)) as Box<dyn BatchedEnv>);
    let mut trainer = Trainer::new(stock_settings(2_000_000, 2, 1), &make, None)?;
    let mut mean = 0.0;
    for _ in 0..trainer.n_updates() {
        let episodes = trainer.iterate(&SystemClock::start())?.episodes;
        mean = if episodes.n > 0 { episodes.total_return / episodes.n as f64 } else { mean };
    }
    println!("return of an episode of 200 guesses: {mean:.1}");
    assert!(mean > 175.0, "a coin that shows itself through noise is guessed right 97 times in 100");
    Ok(())
}
