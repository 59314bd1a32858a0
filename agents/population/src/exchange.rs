//! Population-based training: now and then the worst members take over weights and settings of the best, and change the settings.
//!
//! Truncation selection and perturbation of Jaderberg et al. (2017, arXiv 1711.09846, section 4 and appendix A.1): a member in the worst
//! share copies one drawn from the best share, and multiplies every setting that is explored by the factor or its inverse.

use cambist_core::rng::{Purpose, Stream};
use cambist_ppo::PpoConfig;
use serde::{Deserialize, Serialize};

/// A setting that is explored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gene {
    /// Learning rate.
    LearningRate,
    /// Weight of the entropy bonus.
    EntropyCoefficient,
    /// ε of the ratio.
    ClipRange,
    /// Weight of the value loss.
    ValueCoefficient,
}

impl Gene {
    /// Its name in a config.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::LearningRate => "learning_rate",
            Self::EntropyCoefficient => "entropy_coefficient",
            Self::ClipRange => "clip_range",
            Self::ValueCoefficient => "value_coefficient",
        }
    }

    /// Largest that makes sense: a rate or a ratio's clip above 1 is a slip of the search.
    fn most(self) -> f32 {
        match self {
            Self::LearningRate | Self::ClipRange => 1.0,
            Self::EntropyCoefficient | Self::ValueCoefficient => f32::MAX,
        }
    }

    /// Multiplies it in `ppo`.
    fn scale(self, ppo: &mut PpoConfig, factor: f64) {
        let setting = self.of(ppo);
        *setting = (*setting * factor as f32).min(self.most());
    }

    /// Where it stands in `ppo`.
    pub fn of(self, ppo: &mut PpoConfig) -> &mut f32 {
        match self {
            Self::LearningRate => &mut ppo.learning_rate,
            Self::EntropyCoefficient => &mut ppo.entropy_coefficient,
            Self::ClipRange => &mut ppo.clip_range,
            Self::ValueCoefficient => &mut ppo.value_coefficient,
        }
    }
}

/// How members exchange.
#[derive(Debug, Clone, PartialEq)]
pub struct ExchangeRules {
    /// Updates between two exchanges; none ever for 0.
    pub every: u64,
    /// Share of the members that copy, and of those that are copied; at most a half.
    pub share: f64,
    /// Settings are multiplied by this or by its inverse.
    pub factor: f64,
    /// At the start a setting is drawn log-uniformly between the config's over this and the config's times this.
    pub spread: f64,
    /// Settings that are explored.
    pub genes: Vec<Gene>,
    /// Seed of what is drawn.
    pub seed: u64,
}

/// Member `to` takes over weights, optimiser and settings of `from`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exchange {
    /// Who copies.
    pub to: usize,
    /// Who is copied.
    pub from: usize,
}

impl ExchangeRules {
    /// Whether there is an exchange after `update` of `n_updates`: not after the last, which nothing would be made of.
    #[must_use]
    pub fn is_due(&self, update: u64, n_updates: u64) -> bool {
        self.every > 0 && update.is_multiple_of(self.every) && update < n_updates
    }

    /// Settings of member `member` at the start: those of `ppo` where nothing is exchanged.
    #[must_use]
    pub fn at_start(&self, ppo: PpoConfig, member: usize) -> PpoConfig {
        let mut own = ppo;
        if self.every > 0 {
            let (mut stream, width) = (self.stream(0, member), libm::log(self.spread));
            for gene in &self.genes {
                let place = 2.0 * stream.uniform() - 1.0;
                gene.scale(&mut own, libm::exp(width * place));
            }
        }
        own
    }

    /// Who copies whom after `update`, given the members' scores: the worst, in their order from the worst on. Of equal scores the
    /// earlier member counts as the better, so that the members' order decides what luck may not.
    #[must_use]
    pub fn exchanges(&self, scores: &[f64], update: u64) -> Vec<Exchange> {
        let n = (self.share * scores.len() as f64).floor() as usize;
        let n = n.max(1).min(scores.len() / 2);
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
        let copy = |&to: &usize| Exchange { to, from: order[self.stream(update, to).index(n)] };
        order.iter().rev().take(n).map(copy).collect()
    }

    /// The settings of a member that copied `ppo` after `update`.
    #[must_use]
    pub fn explored(&self, ppo: PpoConfig, update: u64, member: usize) -> PpoConfig {
        let mut own = ppo;
        let mut stream = self.stream(update, member);
        // The first draw said whom it copies.
        let _ = stream.index(2);
        for gene in &self.genes {
            let factor = if stream.index(2) == 0 { self.factor } else { 1.0 / self.factor };
            gene.scale(&mut own, factor);
        }
        own
    }

    /// Draws of `member` after `update`.
    fn stream(&self, update: u64, member: usize) -> Stream {
        Stream::new(self.seed ^ update.rotate_left(24), Purpose::Population, member as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cambist_ppo::Schedule;

    fn rules() -> ExchangeRules {
        let genes = vec![Gene::LearningRate, Gene::EntropyCoefficient];
        ExchangeRules { every: 4, share: 0.25, factor: 1.2, spread: 3.0, genes, seed: 1 }
    }

    const PPO: PpoConfig = PpoConfig {
        horizon: 8,
        n_epochs: 1,
        minibatch_size: 8,
        gamma: 0.99,
        gae_lambda: 0.95,
        clip_range: 0.2,
        clip_range_value: 0.0,
        value_coefficient: 0.5,
        entropy_coefficient: 0.01,
        learning_rate: 1e-3,
        schedule: Schedule::Constant,
        max_grad_norm: 0.5,
        target_kl: 0.0,
        normalise_advantage: true,
        scale_rewards: false,
        sequence_length: 1,
        burn_in: 0,
        path_group: 1,
    };

    #[test]
    fn the_worst_copy_the_best() {
        let scores = [0.3, -1.0, 2.0, 0.5, 1.0, -2.0, 0.1, 0.2];
        let mut copied = [0; 8];
        for update in 0..400 {
            let exchanges = rules().exchanges(&scores, update);
            assert_eq!(exchanges.iter().map(|e| e.to).collect::<Vec<_>>(), [5, 1]);
            exchanges.iter().for_each(|e| copied[e.from] += 1);
            assert_eq!(exchanges, rules().exchanges(&scores, update));
        }
        // 800 draws of two: each 400, with a deviation of 14.
        assert!(copied[2] + copied[4] == 800 && (340..460).contains(&copied[2]), "{copied:?}");
        // A population of two has one of each; of one, nobody to copy.
        assert_eq!(rules().exchanges(&[1.0, 1.0], 4), [Exchange { to: 1, from: 0 }]);
        assert!(rules().exchanges(&[1.0], 4).is_empty());
        assert!(rules().is_due(8, 9) && !rules().is_due(8, 8) && !rules().is_due(9, 12));
    }

    #[test]
    fn settings_are_multiplied_or_divided() {
        let mut ups = 0;
        for member in 0..1000 {
            let own = rules().explored(PPO, 8, member);
            let by = f64::from(own.learning_rate) / 1e-3;
            assert!((by - 1.2).abs() < 1e-6 || (by - 1.0 / 1.2).abs() < 1e-6, "{by}");
            ups += usize::from(by > 1.0);
            assert_eq!(own.clip_range, PPO.clip_range, "not explored");
            let start = f64::from(rules().at_start(PPO, member).learning_rate) / 1e-3;
            assert!((1.0 / 3.0..=3.0).contains(&start), "{start}");
        }
        assert!((430..570).contains(&ups), "{ups}");
        let high = PpoConfig { clip_range: 0.95, ..PPO };
        let clip = ExchangeRules { genes: vec![Gene::ClipRange], ..rules() };
        assert!((0..20).all(|member| clip.explored(high, 8, member).clip_range <= 1.0));
        let never = ExchangeRules { every: 0, ..rules() };
        assert_eq!(never.at_start(PPO, 3), PPO);
    }
}
