//! The environment of a config, put through the contract.

use cambist_core::check::{EnvReport, check_env};
use cambist_core::{AutoReset, BatchedEnv};
use cambist_market::MarketEnv;

use crate::config::{Config, Layers};
use crate::error::LabError;
use crate::market::Market;
use crate::run::Machine;

/// Episodes side by side.
const N_ENVS: usize = 8;
/// Steps of each.
const N_STEPS: usize = 2000;

/// Checks the training environment of `layers`.
///
/// # Errors
/// When the config makes no sense, or the environment breaks the contract.
pub fn env(layers: &Layers, machine: &Machine) -> Result<EnvReport, LabError> {
    let config = Config::validate(layers.resolve()?)?;
    let market = Market::prepare(&config, &machine.data)?;
    let fold = config.folds(market.whole())?.remove(0);
    let market = market.with_regimes(&config, &fold)?;
    let spec = market.training_spec(&config, &fold)?;
    let env = MarketEnv::new(spec, N_ENVS, 0, AutoReset::SameStep)?;
    let make = || Box::new(env.clone()) as Box<dyn BatchedEnv>;
    Ok(check_env(&make, config.raw.run.seed, N_STEPS)?)
}
