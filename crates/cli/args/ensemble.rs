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
    /// How members' positions become one; as the first run's config says if left out, like all that follows.
    #[arg(long, value_enum)]
    pub(crate) combination: Option<CombinationWord>,
    /// Weights by the market's regime; where the runs know none, --set regime.kind=… says how regimes are told apart.
    #[arg(long)]
    pub(crate) by_regime: bool,
    /// Share of the way by which members' Sharpe ratios are drawn together at least; 1 for equal weights.
    #[arg(long, value_parser = finite, allow_negative_numbers = true)]
    pub(crate) shrinkage: Option<f64>,
    /// The position is scaled by 1 less this times the standard deviation of the members' positions.
    #[arg(long, value_parser = finite, allow_negative_numbers = true)]
    pub(crate) disagreement: Option<f64>,
    /// Another field of the section ensemble, or of regime where the runs know no regimes.
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
    /// What was given as fields of a config; none may be given twice.
    pub(crate) fn sets(&self) -> anyhow::Result<Vec<String>> {
        let combination = self.combination.map(|word| match word {
            CombinationWord::Majority => "majority".to_owned(),
            CombinationWord::Mean => "mean".to_owned(),
            CombinationWord::Weighted => "weighted".to_owned(),
        });
        let own = [
            ("combination", combination),
            ("by_regime", self.by_regime.then(|| "true".to_owned())),
            ("shrinkage", self.shrinkage.map(|value| format!("{value:?}"))),
            ("disagreement", self.disagreement.map(|value| format!("{value:?}"))),
        ];
        let mut sets = self.set.clone();
        for (name, value) in own {
            let Some(value) = value else { continue };
            let field = format!("ensemble.{name}");
            let twice = self.set.iter().any(|set| set.split('=').next().map(str::trim) == Some(&field));
            let flag = name.replace('_', "-");
            anyhow::ensure!(!twice, "--{flag} and --set {field} are both there: write one of them");
            sets.push(format!("{field}={value}"));
        }
        Ok(sets)
    }
}

fn finite(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|value: &f64| value.is_finite()).ok_or_else(|| "write a number".to_owned())
}
