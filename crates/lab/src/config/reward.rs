//! The section `[reward]`: what it must be, and the reward it becomes.

use std::sync::Arc;

use cambist_market::Reward;
use cambist_reward::{Component, Composite, DrawdownLimit, MOST_PARTS, Part};

use super::ConfigError;
use super::raw::{RawConfig, RegimeName};
use super::sections::{refuse, require};

/// # Errors
/// The first field that makes no sense.
pub(super) fn reward(raw: &RawConfig) -> Result<Reward, ConfigError> {
    let r = &raw.reward;
    let scale = raw.episode.reward_scale;
    require(scale > 0.0 && scale.is_finite(), "episode.reward_scale", scale, "positive")?;
    let (names, weights) = (&r.components, &r.weights);
    let n = names.len();
    require((1..=MOST_PARTS).contains(&n), "reward.components", n, format!("from 1 to {MOST_PARTS} names"))?;
    let fits = weights.len() == n && weights.iter().all(|w| w.is_finite());
    require(fits, "reward.weights", format!("{weights:?}"), format!("{n} numbers, one a component"))?;
    require(r.bars.is_finite() && r.bars > 1.0, "reward.bars", r.bars, "more than 1")?;
    let volatility = r.volatility;
    require(volatility.is_finite() && volatility > 0.0, "reward.volatility", volatility, "positive")?;
    let penalty = r.ruin_penalty;
    require(penalty.is_finite() && penalty >= 0.0, "reward.ruin_penalty", penalty, "at least 0")?;
    let limit = limit(raw)?;
    let is_plain = names == &["log_equity"] && weights == &[1.0] && limit.is_none() && r.by_regime.is_empty();
    if is_plain && penalty == 0.0 {
        return Ok(Reward::LogEquity { scale });
    }
    let part = |(at, name): (usize, &String)| {
        let component = Component::named(name, r.bars, volatility)
            .or_else(|error| refuse("reward.components", format!("'{name}'"), error))?;
        Ok(Part { component, weight: weights[at], by_regime: Vec::new() })
    };
    let parts = names.iter().enumerate().map(part).collect::<Result<_, ConfigError>>()?;
    let grows = names.iter().zip(weights).any(|(name, &w)| name == "log_equity" && w > 0.0);
    require(
        grows || penalty > 0.0,
        "reward.ruin_penalty",
        penalty,
        "positive where log_equity has no weight: ruin would be the cheapest way out",
    )?;
    check_regimes(raw, n)?;
    let composite = Composite { parts, scale, ruin_penalty: penalty, limit };
    Ok(Reward::Composed { reward: Arc::new(composite), multiplier: 0.0 })
}

fn check_regimes(raw: &RawConfig, n: usize) -> Result<(), ConfigError> {
    let by_regime = &raw.reward.by_regime;
    let shown = || by_regime.keys().cloned().collect::<Vec<_>>().join(", ");
    let known = by_regime.is_empty() || raw.regime.kind != RegimeName::None;
    require(known, "reward.by_regime", shown(), "empty while regime.kind is none")?;
    for (name, weights) in by_regime {
        let fits = weights.len() == n && weights.iter().all(|w| w.is_finite());
        let found = format!("{name} = {weights:?}");
        require(fits, "reward.by_regime", found, format!("{n} numbers a regime, one a component"))?;
    }
    Ok(())
}

fn limit(raw: &RawConfig) -> Result<Option<DrawdownLimit>, ConfigError> {
    let r = &raw.reward;
    let limit = r.drawdown_limit;
    require((0.0..1.0).contains(&limit), "reward.drawdown_limit", limit, "a share from 0 to below 1")?;
    for (field, value, most) in [
        ("reward.drawdown_binds_at", r.drawdown_binds_at, 1.0),
        ("reward.drawdown_aim", r.drawdown_aim, 1.0),
        ("reward.multiplier_rate", r.multiplier_rate, 1e6),
        ("reward.multiplier_largest", r.multiplier_largest, 1e6),
    ] {
        require((0.0..=most).contains(&value), field, value, format!("from 0 to {most}"))?;
    }
    require(r.drawdown_aim > 0.0, "reward.drawdown_aim", r.drawdown_aim, "positive")?;
    Ok((limit > 0.0).then_some(DrawdownLimit {
        limit,
        binds_at: r.drawdown_binds_at,
        aim: r.drawdown_aim,
        rate: r.multiplier_rate,
        largest: r.multiplier_largest,
    }))
}

/// `reward` with the weights that `raw` gives each of a model's regimes.
///
/// # Errors
/// When a regime has no weights, or weights have no regime.
pub(crate) fn with_regimes(
    raw: &RawConfig,
    reward: &Reward,
    names: &[String],
) -> Result<Reward, ConfigError> {
    let by_regime = &raw.reward.by_regime;
    let Reward::Composed { reward: composite, multiplier } = reward else { return Ok(reward.clone()) };
    if by_regime.is_empty() {
        return Ok(reward.clone());
    }
    if let Some(odd) = by_regime.keys().find(|name| !names.contains(name)) {
        return refuse("reward.by_regime", odd, format!("one of the model's regimes: {}", names.join(", ")));
    }
    let mut composite = composite.as_ref().clone();
    for (at, part) in composite.parts.iter_mut().enumerate() {
        let weight = |name: &String| match by_regime.get(name) {
            Some(weights) => Ok(weights[at]),
            None => refuse("reward.by_regime", format!("without '{name}'"), "weights for every regime"),
        };
        part.by_regime = names.iter().map(weight).collect::<Result<_, _>>()?;
    }
    Ok(Reward::Composed { reward: Arc::new(composite), multiplier: *multiplier })
}
