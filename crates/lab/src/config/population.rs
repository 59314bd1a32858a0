//! The sections `[population]` and `[ensemble]`: how many train side by side, what they take from each other, and how they act as one.

use cambist_policy::Combination;
use cambist_population::{ExchangeRules, Gene};

use super::ConfigError;
use super::raw::{self, RawConfig};
use super::sections::require;
use super::validate::Config;

/// How members become one policy.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EnsembleRules {
    /// How their wishes become one.
    pub combination: Combination,
    /// Whether weights are of the regime.
    pub by_regime: bool,
    /// Least share of the way to the members' mean.
    pub shrinkage: f64,
    /// κ: what disagreement takes away.
    pub disagreement: f64,
}

pub(super) fn check_population(raw: &RawConfig) -> Result<(), ConfigError> {
    let p = &raw.population;
    require((1..=1024).contains(&p.size), "population.size", p.size, "from 1 to 1024")?;
    // TOML knows no larger numbers, and a member's config is written too.
    let most = i64::MAX as u64 - p.size as u64;
    require(raw.run.seed <= most, "run.seed", raw.run.seed, format!("at most {most}"))?;
    if p.exchange_every > 0 {
        let looks = raw.ppo.validate_every;
        require(p.size > 1, "population.exchange_every", p.exchange_every, "0 where population.size is 1")?;
        require(
            p.exchange_every.is_multiple_of(looks),
            "population.exchange_every",
            p.exchange_every,
            format!("a multiple of ppo.validate_every, {looks}: members are compared by validation"),
        )?;
        let some = !p.explore.is_empty();
        require(some, "population.explore", "empty", "a setting at least, such as learning_rate")?;
        for name in &p.explore {
            let (ppo, gene) = (&raw.ppo, gene(*name));
            let value = match gene {
                Gene::LearningRate => ppo.learning_rate,
                Gene::EntropyCoefficient => ppo.entropy_coefficient,
                Gene::ClipRange => ppo.clip_range,
                Gene::ValueCoefficient => ppo.value_coefficient,
            };
            let what = format!("{}, which is {value}", gene.name());
            require(value > 0.0, "population.explore", what, "settings above 0: a factor changes no zero")?;
        }
    }
    let share = p.exchange_share;
    require(share > 0.0 && share <= 0.5, "population.exchange_share", share, "above 0 and at most 0.5")?;
    for (field, value) in
        [("population.exchange_factor", p.exchange_factor), ("population.initial_spread", p.initial_spread)]
    {
        require((1.0..=100.0).contains(&value), field, value, "from 1 to 100")?;
    }
    let e = &raw.ensemble;
    require((0.0..=1.0).contains(&e.shrinkage), "ensemble.shrinkage", e.shrinkage, "from 0 to 1")?;
    require(
        (0.0..=100.0).contains(&e.disagreement),
        "ensemble.disagreement",
        e.disagreement,
        "from 0 to 100",
    )?;
    if e.by_regime {
        let weighted = e.combination == raw::CombinationName::Weighted;
        require(weighted, "ensemble.by_regime", true, "false unless ensemble.combination is 'weighted'")?;
        let known = raw.regime.kind != raw::RegimeName::None;
        require(
            known,
            "ensemble.by_regime",
            true,
            "false unless regime.kind says how regimes are told apart",
        )?;
    }
    Ok(())
}

fn gene(name: raw::GeneName) -> Gene {
    match name {
        raw::GeneName::LearningRate => Gene::LearningRate,
        raw::GeneName::EntropyCoefficient => Gene::EntropyCoefficient,
        raw::GeneName::ClipRange => Gene::ClipRange,
        raw::GeneName::ValueCoefficient => Gene::ValueCoefficient,
    }
}

impl Config {
    /// How its members become one policy.
    #[must_use]
    pub fn ensemble(&self) -> EnsembleRules {
        let e = &self.raw.ensemble;
        EnsembleRules {
            combination: match e.combination {
                raw::CombinationName::Majority => Combination::Majority,
                raw::CombinationName::Mean => Combination::Mean,
                raw::CombinationName::Weighted => Combination::Weighted,
            },
            by_regime: e.by_regime,
            shrinkage: e.shrinkage,
            disagreement: e.disagreement,
        }
    }

    /// What its members take from each other.
    #[must_use]
    pub fn exchange(&self) -> ExchangeRules {
        let p = &self.raw.population;
        ExchangeRules {
            every: p.exchange_every,
            share: p.exchange_share,
            factor: p.exchange_factor,
            spread: p.initial_spread,
            genes: p.explore.iter().copied().map(gene).collect(),
            seed: self.raw.run.seed,
        }
    }

    /// Its members, each as the config of a run of its own.
    #[must_use]
    pub fn members(&self) -> Vec<Self> {
        let alone = |member: usize| {
            let mut own = self.with_seed(self.raw.run.seed + member as u64);
            own.raw.population.size = 1;
            own.raw.population.exchange_every = 0;
            own
        };
        (0..self.raw.population.size).map(alone).collect()
    }
}
