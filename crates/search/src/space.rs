//! What is searched: named parameters, their ranges, and when each matters. Written as Optuna writes distributions.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::SearchError;

/// A range of values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Domain {
    /// Real numbers.
    Float {
        /// Smallest value.
        low: f64,
        /// Largest value.
        high: f64,
        /// Whether its logarithm is uniform.
        #[serde(default)]
        log: bool,
        /// Distance of values, from `low` on.
        #[serde(default)]
        step: Option<f64>,
    },
    /// Whole numbers.
    Int {
        /// Smallest value.
        low: i64,
        /// Largest value.
        high: i64,
        /// Whether its logarithm is uniform.
        #[serde(default)]
        log: bool,
        /// Distance of values, from `low` on.
        #[serde(default = "one")]
        step: i64,
    },
    /// Numbers, words, or yes and no.
    Choice(Vec<Value>),
}

fn one() -> i64 {
    1
}

/// When a parameter matters: another one, named before it, has one of these values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// The other parameter.
    pub parameter: String,
    /// Its values.
    pub is: Vec<Value>,
}

/// A parameter that is searched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// Its name: a field of the config, as `section.name`.
    pub name: String,
    /// Its range.
    pub domain: Domain,
    /// When it matters; always if left out.
    #[serde(default)]
    pub when: Option<Condition>,
}

/// The space that is searched, in the order in which it is asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Space {
    parameters: Vec<Parameter>,
}

impl Space {
    /// A space.
    ///
    /// # Errors
    /// When it is empty, a name comes twice, a range is empty or no range, or a condition is on what is not asked before.
    pub fn new(parameters: Vec<Parameter>) -> Result<Self, SearchError> {
        if parameters.is_empty() {
            return Err(SearchError::Space { name: "space".into(), reason: "it has no parameters".into() });
        }
        for (place, parameter) in parameters.iter().enumerate() {
            let refuse = |reason: String| SearchError::Space { name: parameter.name.clone(), reason };
            let before = &parameters[..place];
            if before.iter().any(|p| p.name == parameter.name) {
                return Err(refuse("it is named twice".to_owned()));
            }
            parameter.domain.check().map_err(refuse)?;
            if let Some(condition) = &parameter.when {
                let on = before.iter().find(|p| p.name == condition.parameter).ok_or_else(|| {
                    refuse(format!("it depends on {}, which is not named before it", condition.parameter))
                })?;
                for value in &condition.is {
                    on.domain.internal(value).ok_or_else(|| {
                        refuse(format!("it depends on {} being {value}, which it cannot be", on.name))
                    })?;
                }
            }
        }
        Ok(Self { parameters })
    }

    /// Its parameters.
    #[must_use]
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// The parameter called `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Parameter> {
        self.parameters.iter().find(|p| p.name == name)
    }
}

impl Parameter {
    /// Whether it matters, given what was chosen before it.
    #[must_use]
    pub fn matters(&self, chosen: impl Fn(&str) -> Option<Value>) -> bool {
        self.when.as_ref().is_none_or(|condition| {
            chosen(&condition.parameter).is_some_and(|value| condition.is.iter().any(|is| same(is, &value)))
        })
    }
}

/// Whether two scalars are the same value: 1 and 1.0 are.
fn same(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

impl Domain {
    fn check(&self) -> Result<(), String> {
        match self {
            Self::Float { low, high, log, step } => {
                if !(low.is_finite() && high.is_finite() && low < high) {
                    return Err(format!("its range from {low} to {high} is empty"));
                }
                if *log && *low <= 0.0 {
                    return Err(format!("a logarithmic range cannot begin at {low}"));
                }
                if step.is_some_and(|step| !(step > 0.0 && step <= high - low)) || (*log && step.is_some()) {
                    return Err(
                        "its step must be positive, no longer than the range, and not with log".into()
                    );
                }
            }
            Self::Int { low, high, log, step } => {
                if low >= high {
                    return Err(format!("its range from {low} to {high} is empty"));
                }
                if *log && *low <= 0 {
                    return Err(format!("a logarithmic range cannot begin at {low}"));
                }
                if *step < 1 || *step > high - low || (*log && *step != 1) {
                    return Err(format!(
                        "its step of {step} must be from 1 to the range's length, and 1 with log"
                    ));
                }
            }
            Self::Choice(choices) => {
                if choices.is_empty() {
                    return Err("it has no choices".to_owned());
                }
                if let Some(bad) = choices.iter().find(|c| c.is_object() || c.is_array() || c.is_null()) {
                    return Err(format!("{bad} is no number, word, true or false"));
                }
            }
        }
        Ok(())
    }

    /// As Optuna writes it into `trial_params.distribution_json`.
    #[must_use]
    pub fn distribution(&self) -> Value {
        match self {
            Self::Float { low, high, log, step } => json!({
                "name": "FloatDistribution",
                "attributes": { "step": step, "low": low, "high": high, "log": log }
            }),
            Self::Int { low, high, log, step } => json!({
                "name": "IntDistribution",
                "attributes": { "log": log, "step": step, "low": low, "high": high }
            }),
            Self::Choice(choices) => {
                json!({ "name": "CategoricalDistribution", "attributes": { "choices": choices } })
            }
        }
    }

    /// The number that stands for `value` in the storage: itself, or a choice's place; none when it is not in the range.
    #[must_use]
    pub fn internal(&self, value: &Value) -> Option<f64> {
        match self {
            Self::Float { low, high, .. } => value.as_f64().filter(|x| (*low..=*high).contains(x)),
            Self::Int { low, high, .. } => {
                value.as_i64().filter(|x| (*low..=*high).contains(x)).map(|x| x as f64)
            }
            Self::Choice(choices) => choices.iter().position(|choice| same(choice, value)).map(|x| x as f64),
        }
    }

    /// The value that `internal` stands for; none when it stands for nothing.
    #[must_use]
    pub fn external(&self, internal: f64) -> Option<Value> {
        match self {
            Self::Float { low, high, .. } => (*low..=*high).contains(&internal).then(|| json!(internal)),
            Self::Int { low, high, .. } => {
                let whole = internal as i64;
                (whole as f64 == internal && (*low..=*high).contains(&whole)).then(|| json!(whole))
            }
            Self::Choice(choices) => choices.get(internal as usize).cloned(),
        }
    }

    /// Its values when they can be counted, `n` of them spread evenly where they cannot.
    #[must_use]
    pub fn grid(&self, n: usize) -> Vec<f64> {
        let spread = |low: f64, high: f64, log: bool| -> Vec<f64> {
            let share = |i: usize| i as f64 / (n.max(2) - 1) as f64;
            let at = |i: usize| {
                if log { low * libm::pow(high / low, share(i)) } else { low + (high - low) * share(i) }
            };
            (0..n.max(2)).map(|i| at(i).clamp(low, high)).collect()
        };
        match self {
            Self::Float { low, high, step: Some(step), .. } => {
                let count = ((high - low) / step + 1e-9) as usize;
                (0..=count).map(|i| (low + step * i as f64).min(*high)).collect()
            }
            Self::Float { low, high, log, .. } => spread(*low, *high, *log),
            Self::Int { low, high, log: false, step } if ((high - low) / step) < n as i64 => {
                (0..=(high - low) / step).map(|i| (low + step * i) as f64).collect()
            }
            Self::Int { low, high, log, step } => {
                let on_step = |x: f64| low + ((x.round() as i64 - low) / step) * step;
                let mut values: Vec<i64> =
                    spread(*low as f64, *high as f64, *log).into_iter().map(on_step).collect();
                values.dedup();
                values.into_iter().map(|x| x as f64).collect()
            }
            Self::Choice(choices) => (0..choices.len()).map(|x| x as f64).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn float(low: f64, high: f64, log: bool) -> Domain {
        Domain::Float { low, high, log, step: None }
    }

    fn named(name: &str, domain: Domain) -> Parameter {
        Parameter { name: name.into(), domain, when: None }
    }

    #[test]
    fn empty_ranges_and_dangling_conditions_are_named() {
        let refused = |parameters: Vec<Parameter>| Space::new(parameters).unwrap_err().to_string();
        assert!(refused(vec![]).contains("no parameters"));
        assert!(
            refused(vec![named("a", float(2.0, 1.0, false))]).contains("a: its range from 2 to 1 is empty")
        );
        assert!(refused(vec![named("a", float(0.0, 1.0, true))]).contains("cannot begin at 0"));
        assert!(refused(vec![named("a", Domain::Choice(vec![]))]).contains("no choices"));
        let int = Domain::Int { low: 1, high: 9, log: false, step: 20 };
        assert!(refused(vec![named("a", int)]).contains("step of 20"));
        let twice = vec![named("a", float(0.0, 1.0, false)), named("a", float(0.0, 1.0, false))];
        assert!(refused(twice).contains("twice"));
        let on = |parameter: &str, value| Some(Condition { parameter: parameter.into(), is: vec![value] });
        let dangling = Parameter { when: on("b", json!(1)), ..named("a", float(0.0, 1.0, false)) };
        assert!(refused(vec![dangling]).contains("not named before"));
        let kind = named("kind", Domain::Choice(vec![json!("x"), json!("y")]));
        let never = Parameter { when: on("kind", json!("z")), ..named("a", float(0.0, 1.0, false)) };
        assert!(refused(vec![kind, never]).contains("which it cannot be"));
    }

    #[test]
    fn values_go_in_and_out() {
        let choice = Domain::Choice(vec![json!("x"), json!(3), json!(true)]);
        assert_eq!(choice.internal(&json!(3.0)), Some(1.0));
        assert_eq!(choice.external(2.0), Some(json!(true)));
        assert_eq!(choice.internal(&json!("z")), None);
        let int = Domain::Int { low: 1, high: 9, log: false, step: 4 };
        assert_eq!((int.internal(&json!(5)), int.internal(&json!(10))), (Some(5.0), None));
        assert_eq!((int.external(5.0), int.external(5.5)), (Some(json!(5)), None));
        assert_eq!(int.grid(10), [1.0, 5.0, 9.0]);
        assert_eq!(float(1.0, 100.0, true).grid(3), [1.0, 10.0, 100.0]);
        let stepped = Domain::Float { low: 0.0, high: 1.0, log: false, step: Some(0.25) };
        assert_eq!(stepped.grid(2), [0.0, 0.25, 0.5, 0.75, 1.0]);
    }
}
