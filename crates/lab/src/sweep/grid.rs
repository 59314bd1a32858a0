//! The grid: axes written by the user, multiplied out.

use super::{Subject, SweepError};

/// A name and its values.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// A parameter of the rule, or a config field with its section.
    pub name: String,
    /// As written.
    pub values: Vec<String>,
}

/// One point of the grid.
#[derive(Debug, Clone, PartialEq)]
pub struct Combination {
    /// Its values, one an axis, as written.
    pub values: Vec<String>,
    /// Parameters of the rule, in its order.
    pub parameters: Vec<f64>,
    /// Index of its config fields.
    pub scene: usize,
}

/// Axes multiplied out.
#[derive(Debug, Clone, PartialEq)]
pub struct Grid {
    /// The axes.
    pub axes: Vec<Axis>,
    /// Points that make sense, the last axis running fastest.
    pub combinations: Vec<Combination>,
    /// `section.field=value`, for each choice of config fields.
    pub scenes: Vec<Vec<String>>,
    /// Points left out because they make no sense, such as a fast average that is slower than the slow one.
    pub left_out: usize,
}

impl std::str::FromStr for Axis {
    type Err = SweepError;

    /// `name=1,2,3` or `name=from:to:step`, `to` included.
    fn from_str(text: &str) -> Result<Self, SweepError> {
        let wrong = |reason: &str| SweepError::Axis { text: text.to_owned(), reason: reason.to_owned() };
        let (name, values) = text.split_once('=').ok_or_else(|| wrong("there is no '='"))?;
        let parts: Vec<&str> = values.split(':').collect();
        let values: Vec<String> = match parts[..] {
            [from, to, step] => {
                let number =
                    |text: &str| text.trim().parse::<f64>().map_err(|_| wrong("these are no numbers"));
                let (from, to, step) = (number(from)?, number(to)?, number(step)?);
                let n = (to - from) / step;
                if !(step > 0.0 && (0.0..=1e5).contains(&n)) {
                    return Err(wrong(
                        "the step must be positive and lead from the first to the last in 100,000 steps at most",
                    ));
                }
                (0..=(n + 1e-9) as usize).map(|at| (from + at as f64 * step).to_string()).collect()
            }
            _ => values.split(',').map(|value| value.trim().to_owned()).collect(),
        };
        if name.trim().is_empty() || values.iter().any(String::is_empty) {
            return Err(wrong("a name or a value is empty"));
        }
        Ok(Self { name: name.trim().to_owned(), values })
    }
}

/// Fields that a rule does not know: it takes any target at once the equity, without stops or limits, as baselines do.
const WITHOUT_EFFECT: [&str; 12] = [
    "broker.sizing",
    "broker.size",
    "broker.stop_loss_atr",
    "broker.take_profit_atr",
    "broker.atr_bars",
    "broker.max_exposure",
    "broker.orders_per_hour",
    "broker.daily_loss",
    "broker.max_drawdown",
    "broker.stale_after",
    "decision.leverage",
    "decision.dead_band",
];

impl Grid {
    pub(super) fn new(subject: &Subject, axes: &[Axis]) -> Result<Self, SweepError> {
        let parameters: &[&'static str] = match subject {
            Subject::Rule { kind, .. } => kind.parameters(),
            Subject::Policy(_) => &[],
        };
        if let Some(axis) =
            axes.iter().find(|a| !a.name.contains('.') && !parameters.contains(&a.name.as_str()))
        {
            let parameters =
                if parameters.is_empty() { "a policy has none".to_owned() } else { parameters.join(", ") };
            return Err(SweepError::Unknown { name: axis.name.clone(), parameters });
        }
        if let Subject::Rule { .. } = subject
            && let Some(axis) = axes.iter().find(|axis| WITHOUT_EFFECT.contains(&axis.name.as_str()))
        {
            return Err(SweepError::WithoutEffect { name: axis.name.clone() });
        }
        if let Some(missing) = parameters.iter().find(|p| !axes.iter().any(|a| a.name == **p)) {
            return Err(SweepError::Missing { missing });
        }
        let mut grid =
            Self { axes: axes.to_vec(), combinations: Vec::new(), scenes: Vec::new(), left_out: 0 };
        let n: usize = axes.iter().map(|axis| axis.values.len()).product();
        let mut last = String::new();
        for at in 0..n {
            let mut rest = at;
            let mut values: Vec<String> = axes
                .iter()
                .rev()
                .map(|axis| {
                    let value = axis.values[rest % axis.values.len()].clone();
                    rest /= axis.values.len();
                    value
                })
                .collect();
            values.reverse();
            let value_of = |name: &str| axes.iter().position(|a| a.name == name).map(|k| &values[k]);
            let number = |name: &&str| -> Result<f64, SweepError> {
                let text = value_of(name).map_or("", String::as_str);
                let reason = format!("'{text}' is no number");
                text.parse().map_err(|_| SweepError::Axis { text: (*name).to_owned(), reason })
            };
            let numbers: Vec<f64> = parameters.iter().map(number).collect::<Result<_, _>>()?;
            if let Subject::Rule { kind, .. } = subject
                && let Err(error) = kind.check(&numbers)
            {
                (last, grid.left_out) = (error.to_string(), grid.left_out + 1);
                continue;
            }
            let fields = axes.iter().zip(&values).filter(|(axis, _)| axis.name.contains('.'));
            let sets: Vec<String> = fields.map(|(axis, value)| format!("{}={value}", axis.name)).collect();
            let scene = grid.scenes.iter().position(|known| *known == sets).unwrap_or_else(|| {
                grid.scenes.push(sets);
                grid.scenes.len() - 1
            });
            grid.combinations.push(Combination { values, parameters: numbers, scene });
        }
        if grid.combinations.is_empty() { Err(SweepError::Nothing(last)) } else { Ok(grid) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]
    use super::super::RuleKind;
    use super::*;

    #[test]
    fn axes_multiply_and_nonsense_is_left_out() {
        let subject = Subject::Rule { kind: RuleKind::SmaCross, long_only: false };
        let axes: Vec<Axis> =
            ["fast=5:15:5", "slow=10,20", "execution.commission_bp=0,5"].map(|t| t.parse().unwrap()).to_vec();
        let grid = Grid::new(&subject, &axes).unwrap();
        // fast 10 and 15 against slow 10 are left out, under both commissions.
        assert_eq!((grid.combinations.len(), grid.left_out, grid.scenes.len()), (8, 4, 2));
        assert_eq!(grid.combinations[0].parameters, [5.0, 10.0]);
        assert_eq!(grid.scenes[1], ["execution.commission_bp=5"]);
        assert!(matches!(Grid::new(&subject, &axes[..1]), Err(SweepError::Missing { missing: "slow" })));
        assert!("fast=1:0:1".parse::<Axis>().is_err() && "fast".parse::<Axis>().is_err());
    }
}
