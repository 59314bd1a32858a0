//! What can be written after `cambist ensemble`.

use clap::{Args, ValueEnum};

#[derive(Debug, Args)]
pub(crate) struct EnsembleArgs {
    /// Two runs or more: names, their beginnings, or paths. Members of ensembles among them join one by one.
    #[arg(required = true, num_args = 1..)]
    pub(crate) runs: Vec<String>,
    /// Name of the ensemble's run, after the time.
    #[arg(long, default_value = "ensemble")]
    pub(crate) name: String,
    /// How members' positions become one.
    #[arg(long, value_enum, default_value = "mean")]
    pub(crate) combination: CombinationWord,
    /// Weights by the market's regime; where the runs know none, --set regime.kind=… says how regimes are told apart.
    #[arg(long)]
    pub(crate) by_regime: bool,
    /// Share of the way by which members' Sharpe ratios are drawn together at least; 1 for equal weights.
    #[arg(long, default_value_t = 0.0)]
    pub(crate) shrinkage: f64,
    /// The position is scaled by 1 less this times the standard deviation of the members' positions.
    #[arg(long, default_value_t = 1.0)]
    pub(crate) disagreement: f64,
    /// Another field of [ensemble], or of [regime] where the runs know no regimes.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// The judgement as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CombinationWord {
    /// What most members want.
    Majority,
    /// The mean.
    Mean,
    /// The mean weighted by Sharpe ratios on validation.
    Weighted,
}

impl EnsembleArgs {
    /// All of it as fields of a config.
    pub(crate) fn sets(&self) -> Vec<String> {
        let combination = match self.combination {
            CombinationWord::Majority => "majority",
            CombinationWord::Mean => "mean",
            CombinationWord::Weighted => "weighted",
        };
        let own = [
            format!("ensemble.combination={combination}"),
            format!("ensemble.by_regime={}", self.by_regime),
            format!("ensemble.shrinkage={:?}", self.shrinkage),
            format!("ensemble.disagreement={:?}", self.disagreement),
        ];
        own.into_iter().chain(self.set.iter().cloned()).collect()
    }
}
